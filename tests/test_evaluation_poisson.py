"""Mining YouTube's own aligner: against all paths written out, its limits, and its files.

The formulation here follows the released program's node by node; the released program itself was run on the same inputs
when this was written, and is not part of the project.
"""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest

from mcn.cli import main
from mcn.errors import UserError
from mcn.evaluation.alignment.poisson import align_poisson
from mcn.evaluation.alignment.probabilities import (
    frames_of_seconds,
    read_probabilities,
    write_probabilities,
)


def log_poisson(length: int, mean: float) -> float:
    def log_density(n: float, m: float, norm_of: int) -> float:
        return n * math.log(m) - m - math.lgamma(norm_of + 1)

    rounded = round(mean)
    norm = rounded * math.log(rounded) - rounded - math.lgamma(int(mean) + 1)
    return log_density(length, mean, length) - norm


def all_paths(frames: np.ndarray, transcript: list[int], means: np.ndarray, sampling: int):
    """(score, items of the frames) of every way to give the nodes to the items."""
    chunks = [frames[:sampling].sum(axis=0), frames[0]]
    begins = range(sampling, len(frames), sampling)
    chunks += [frames[begin - sampling + 1 : begin + 1].sum(axis=0) for begin in begins]
    nodes = len(chunks)
    for cuts in itertools.combinations(range(1, nodes), len(transcript) - 1):
        counts = np.diff([0, *cuts, nodes])
        of_node = np.repeat(np.arange(len(transcript)), counts)
        gained = chunks[0][transcript[0]] + sum(
            chunk[transcript[of_node[node]]] for node, chunk in enumerate(chunks[1:])
        )
        lengths = sum(
            log_poisson(count * sampling, means[label])
            for count, label in zip(counts, transcript, strict=True)
        )
        yield gained + lengths, np.repeat(of_node[1:], sampling)[: len(frames)]


@pytest.mark.parametrize("case", range(60))
def test_the_best_of_all_paths_is_found(case: int) -> None:
    generator = np.random.default_rng(case)
    classes, sampling = int(generator.integers(2, 5)), int(generator.integers(1, 6))
    transcript = generator.integers(0, classes, int(generator.integers(1, 5))).tolist()
    least = max(sampling, (len(transcript) - 2) * sampling + 1)
    frames = generator.normal(size=(int(generator.integers(least, least + 8 * sampling)), classes))
    frames = (frames - np.logaddexp.reduce(frames, axis=1, keepdims=True)).astype(np.float32)
    means = generator.choice([1.0, 2.6, 7.0, 20.0], classes)
    paths = list(all_paths(frames, transcript, means, sampling))
    score = max(score for score, _ in paths)
    found = align_poisson(frames, np.array(transcript), means, sampling)
    assert found.score == pytest.approx(score, abs=1e-4)
    equally_good = [items.tolist() for one, items in paths if one > score - 1e-4]
    assert found.items.tolist() in equally_good


def test_scores_above_0_are_moved_below() -> None:
    frames = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    moved = align_poisson(frames - 2 * frames.max(), np.array([0, 2, 1]))
    assert align_poisson(frames, np.array([0, 2, 1])).score == moved.score


def test_limits() -> None:
    frames = -np.ones((400, 2), np.float32)
    with pytest.raises(ValueError, match="no path of 2 items through 400 frames"):
        align_poisson(frames, np.array([0, 1]), longest=200)
    assert np.isfinite(align_poisson(frames, np.array([0, 1]), longest=300).score)
    with pytest.raises(ValueError, match="got 40 frames for 5 items, wanted at least 61"):
        align_poisson(frames[:40], np.array([0, 1, 0, 1, 0]))
    with pytest.raises(ValueError, match="mean lengths"):
        align_poisson(frames, np.array([0, 1]), np.array([150.0, 0.0]))
    with pytest.raises(ValueError, match="no path"):
        align_poisson(frames, np.array([0, 1, 0, 1]), 20, hypotheses=1)


def test_both_forms_of_files(tmp_path: Path) -> None:
    seconds = np.log(np.random.default_rng(1).dirichlet(np.ones(4), 3))
    frames = frames_of_seconds(seconds, 29.97)
    assert len(frames) == 90
    assert [int(np.flatnonzero((seconds == row).all(1))[0]) for row in frames[[29, 30, 89]]] == [
        0,
        1,
        2,
    ]
    write_probabilities(tmp_path / "a.probs", frames)
    np.testing.assert_allclose(read_probabilities(tmp_path / "a.probs", 4), frames, atol=1e-6)
    # as eval_cross.py writes them: str of each number, a blank behind each
    text = "".join("".join(f"{value} " for value in row) + "\n" for row in seconds)
    (tmp_path / "b.probs").write_text(text)
    np.testing.assert_allclose(read_probabilities(tmp_path / "b.probs", 4), seconds, atol=1e-6)
    with pytest.raises(UserError, match="3 rows of 4 columns"):
        read_probabilities(tmp_path / "b.probs", 5)
    (tmp_path / "c.probs").write_text("0 0\n0 nan\n")
    with pytest.raises(UserError, match="row 2: NaN"):
        read_probabilities(tmp_path / "c.probs", 2)
    (tmp_path / "d.probs").write_text("0 0\n0\n")
    with pytest.raises(UserError, match="wanted: a text matrix of 2 columns"):
        read_probabilities(tmp_path / "d.probs", 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two videos in the form of the official sample: 100 frames, three items."""
    (tmp_path / "dict.txt").write_text("crack_egg \npour_egg \nbackground\n")
    labels = ["background"] * 40 + ["crack_egg"] * 40 + ["background"] * 20
    ids = [{"crack_egg": 0, "background": 2}[label] for label in labels]
    for name in ("probs", "grammar", "gt"):
        (tmp_path / name).mkdir()
    for seed, video in enumerate(("one", "two")):
        scores = np.random.default_rng(seed).normal(size=(100, 3))
        scores[np.arange(100), ids] += 2
        logs = scores - np.logaddexp.reduce(scores, axis=1, keepdims=True)
        write_probabilities(tmp_path / f"probs/{video}.probs", logs)
        (tmp_path / f"grammar/{video}.grammar").write_text("background crack_egg background \n")
        (tmp_path / f"gt/{video}.gt").write_text("".join(f"{label}\n" for label in labels))
    return tmp_path


def align(folder: Path, *extra: str) -> int:
    arguments = ["align", str(folder / "probs"), "--classes", str(folder / "dict.txt")]
    arguments += ["--transcripts", str(folder / "grammar"), "--truth", str(folder / "gt")]
    given = '{"mean_length": 40, "frame_sampling": 10}'
    return main([*arguments, "--output", str(folder / "out"), "--options", given, *extra])


def test_files_are_aligned_as_the_official_program_does(folder: Path) -> None:
    assert align(folder) == 0
    result = json.loads((folder / "out/scores.json").read_text())
    assert (result["n"], result["total"]) == (2, 2)
    for video in ("one", "two"):
        found = (folder / f"out/{video}.res").read_text().split()
        right = [
            a == b
            for a, b in zip(found, (folder / f"gt/{video}.gt").read_text().split(), strict=True)
        ]
        accuracy = result["videos"][video]["frame_accuracy_with_background"]
        assert accuracy == pytest.approx(100 * np.mean(right))
        assert accuracy > 80
    (folder / "lengths.txt").write_text("40\n40\n40\n")
    assert align(folder, "--lengths", str(folder / "lengths.txt")) == 0
    assert json.loads((folder / "out/scores.json").read_text()) == result


def test_rows_of_another_kind_and_other_transcripts_are_named(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "gt/one.gt").write_text("background\ncrack_egg\n" * 40)
    (folder / "gt/two.gt").write_text("background\n" * 2 + "crack_egg\n" * 2 + "background\n" * 2)
    (folder / "lengths.txt").write_text("40\n")
    assert align(folder) == 1
    error = capsys.readouterr().err
    assert "one: truth of 80 runs of labels for a transcript of 3 items" in error
    assert "two: 100 rows of probabilities for 6 labels" in error
    assert align(folder, "--lengths", str(folder / "lengths.txt")) == 1
    assert "1 lengths for 3 classes" in capsys.readouterr().err
