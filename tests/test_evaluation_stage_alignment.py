"""The alignment stage on small shards: against a plain recomputation, both kinds of annotation, every policy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch

from mcn.evaluation.alignment import programme as alignment
from mcn.evaluation.alignment.metrics import fill_background
from mcn.evaluation.alignment.transcripts import ClassList
from mcn.evaluation.model import evaluating
from mcn.evaluation.seconds import second_features
from mcn.evaluation.stage import run_evaluation
from mcn.options.evaluation import AlignmentOptions
from mcn.report.evaluations import Alignment, read_evaluation
from mcn.shards import FeatureStore
from mcn.shards.clips import mel_slice
from tests.evaluation_set import (
    BROKEN,
    GOOD,
    SILENT,
    TASK_STEPS,
    EvaluationSet,
    evaluated,
    make_model,
    make_set,
)
from tests.test_evaluation_transcripts import tables


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


def run_alignment(
    small: EvaluationSet,
    annotations: Path | None = None,
    probabilities: Path | None = None,
    **given: Any,
) -> dict[str, Any]:
    options = AlignmentOptions(**{"chance_draws": 2, **given})
    output = small.path("evaluation/demo.alignment.json")
    folder = annotations or small.root
    tables = {path.stem: path for path in folder.glob("*.parquet")}
    given = evaluated(
        small, options, tables=tables, exports={"seconds": probabilities} if probabilities else {}
    )
    result = run_evaluation("alignment", given, output)
    assert json.loads(output.read_text()) == json.loads(json.dumps(result))
    return result


def plain_scores(small: EvaluationSet, video_id: str, texts: np.ndarray) -> np.ndarray:
    """Raw scores (20, C) of video + audio, one second at a time."""
    model = make_model()
    stores = {name: FeatureStore(paths) for name, paths in small.shards.items()}
    found = second_features(evaluated(small, AlignmentOptions(), model), video_id)
    assert not isinstance(found, str)
    features, _ = found
    rows = []
    for t in range(20):
        begin = min(max(0, t - 4), 12)
        mel, valid = mel_slice(stores["logmel"][video_id].values, begin, begin + 8, 1024)
        with evaluating(model):
            visual = model.embed_video(torch.from_numpy(features[t : t + 1]))
            audio = model.embed_audio(torch.from_numpy(mel)[None], torch.tensor([valid]))
        rows.append((visual + audio).numpy()[0] @ texts.T)
    return np.array(rows, np.float64)


def step_texts(small: EvaluationSet) -> np.ndarray:
    return evaluated(small, AlignmentOptions()).embed_text(TASK_STEPS).vectors


def best_cuts(log_probabilities: np.ndarray, transcript: list[int]) -> np.ndarray:
    """Item of every second by a plain recursion over where the last item begins."""
    table: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}

    def best(end: int, items: int) -> tuple[float, tuple[int, ...]]:
        if (end, items) not in table:
            column = log_probabilities[:, transcript[items - 1]]
            if items == 1:
                table[end, items] = float(column[:end].sum()), (0,)
            else:
                options = [
                    (before + column[cut:end].sum(), (*cuts, cut))
                    for cut in range(items - 1, end)
                    for before, cuts in [best(cut, items - 1)]
                ]
                table[end, items] = max(options)
        return table[end, items]

    cuts = best(len(log_probabilities), len(transcript))[1]
    return np.searchsorted(np.array(cuts), np.arange(len(log_probabilities)), side="right") - 1


def test_steps_are_what_plain_code_gives(small: EvaluationSet) -> None:
    """Steps of 2.8 s every 5 s: background before none (0.4 s), between all and at the end."""
    result, texts = run_alignment(small, frame_seconds=0.1), step_texts(small)
    transcript = [0, 3, 1, 3, 2, 3]
    spans = [(5 * n + 0.4, 5 * n + 3.2) for n in range(3)]
    ious, iods, right = [], [], []
    for video in GOOD:
        raw = plain_scores(small, video, texts)
        scores = np.column_stack([raw, raw.mean(axis=1)])
        items = best_cuts(scipy.special.log_softmax(scores, axis=1), transcript)
        for step, (start, end) in enumerate(spans):
            second = np.flatnonzero(items == 2 * step)
            first, last = second[0], second[-1] + 1
            shared = max(0.0, min(end, last) - max(start, first))
            ious.append(shared / (end - start + last - first - shared))
            iods.append(shared / (last - first))
        frames = np.arange(200) / 10 + 0.05
        truth = [next((n for n, (s, e) in enumerate(spans) if s <= f < e), 3) for f in frames]
        named = np.array(transcript)[items][frames.astype(int)]
        right.append(np.mean(named == truth))
    # two of six videos are lost and count as 0
    assert result["scores"]["IoU"] == pytest.approx(100 * np.mean(ious) * 4 / 6, abs=0.01)
    assert result["scores"]["IoD"] == pytest.approx(100 * np.mean(iods) * 4 / 6, abs=0.01)
    accuracy = result["scores"]["frame_accuracy_with_background"]
    assert accuracy == pytest.approx(100 * np.mean(right) * 4 / 6, abs=0.01)
    assert (result["n"], result["total"], result["items"]) == (4, 6, 18)
    assert result["missing"] == {"audio: no_audio": 1, "video: truncated": 1}
    assert result["tasks"]["make"]["IoU"] == result["scores"]["IoU"] == result["scores"]["IoU (va)"]
    assert result["modes"]["v"]["scores"]["n"] == 5
    assert 0 < result["chance"]["IoU"] < 67


def test_timelines_show_what_was_scored(small: EvaluationSet) -> None:
    result = run_alignment(small, missing_modality="drop", frame_seconds=0.1)
    ious = []
    for video in result["timelines"]:
        assert video["items"] == TASK_STEPS
        for (item, start, end), (other, first, last) in zip(
            video["truth"], video["predicted"], strict=True
        ):
            assert item == other
            shared = max(0.0, min(end, last) - max(start, first))
            ious.append(shared / (end - start + last - first - shared))
    assert 100 * np.mean(ious) == pytest.approx(result["scores"]["IoU"], abs=0.01)
    assert run_alignment(small, timelines=1)["timelines"][0] in result["timelines"]
    assert isinstance(read_evaluation(small.path("evaluation/demo.alignment.json")), Alignment)


def test_policies(small: EvaluationSet) -> None:
    dropped = run_alignment(small, missing_modality="drop")
    assert (dropped["n"], dropped["total"]) == (4, 4)
    assert dropped["scores"]["IoU"] == pytest.approx(run_alignment(small)["scores"]["IoU"] * 6 / 4)
    alone = run_alignment(small, missing_modality="video_only")
    assert (alone["n"], alone["modes"]["a"]["scores"]["n"]) == (5, 4)
    assert run_alignment(small, background_items="none")["n"] == 4


def write_transcripts(folder: Path, long: int = 0) -> None:
    """Mining YouTube's kind of tables for the small set; `long`: background items added to one video."""
    classes = [*((n, text, False) for n, text in enumerate(TASK_STEPS)), (3, "the", True)]
    order = [3, 0, 3, 2]
    videos = [*GOOD, SILENT, BROKEN]
    transcripts = [(video, n, c) for video in videos for n, c in enumerate(order)]
    transcripts += [(GOOD[0], len(order) + n, 3) for n in range(long)]
    segments = [(v, c, s, s + 5) for v in videos for c, s in ((0, 3.0), (2, 12.0))]
    segments += [(v, 3, s, e) for v in videos for s, e in ((0.0, 3.0), (8.0, 12.0))]
    tables(folder, transcripts, segments, classes)


def test_transcripts_are_what_plain_code_gives(small: EvaluationSet, tmp_path: Path) -> None:
    write_transcripts(tmp_path)
    result = run_alignment(small, tmp_path, tmp_path / "probs")
    given = evaluated(small, AlignmentOptions())
    texts = given.embed_text([*TASK_STEPS, "the"]).vectors
    ious, recalls = [], []
    for video in GOOD:
        scores = plain_scores(small, video, texts)
        logs = scipy.special.log_softmax(scores, axis=1)
        written = np.loadtxt(tmp_path / f"probs/{video}.probs", delimiter=" ")
        np.testing.assert_allclose(written, logs, atol=1e-4)
        items = best_cuts(logs, [3, 0, 3, 2])
        for item, start in ((1, 3), (3, 12)):
            true = (np.arange(20) >= start) & (np.arange(20) < start + 5)
            found = items == item
            ious.append((true & found).sum() / (true | found).sum())
        own = scipy.special.log_softmax(scores[:, [0, 2]], axis=1)
        pairs = [(own[a, 0] + own[b, 1], a, b) for b in range(20) for a in range(b)]
        _, first, second = max(pairs)
        recalls.append(((3 <= first < 8) + (12 <= second < 17)) / 2)
    assert result["scores"]["IoU"] == pytest.approx(100 * np.mean(ious) * 4 / 6)
    assert result["scores"]["recall"] == pytest.approx(100 * np.mean(recalls) * 4 / 6)
    assert result["tasks"] == {}
    assert not (tmp_path / f"probs/{BROKEN}.probs").exists()


def test_the_poisson_programme_aligns_frames(small: EvaluationSet, tmp_path: Path) -> None:
    write_transcripts(tmp_path)
    given = {"programme": "poisson", "frames_per_second": 1, "frame_sampling": 1, "mean_length": 5}
    exact, poisson = run_alignment(small, tmp_path), run_alignment(small, tmp_path, **given)
    assert poisson["n"] == exact["n"]
    assert poisson["scores"]["IoU"] != exact["scores"]["IoU"]
    assert poisson["scores"]["recall"] == exact["scores"]["recall"]
    fine = run_alignment(small, tmp_path, **{**given, "frames_per_second": 25, "mean_length": 125})
    spans = [run for video in fine["timelines"] for _, *run in video["predicted"]]
    assert all(0 <= start <= end <= 20 for start, end in spans)
    assert any(start % 1 for start, _ in spans)
    lost = run_alignment(small, tmp_path, **{**given, "longest": 4})
    assert lost["missing"]["video: no_path_through_it"] == 4
    assert (lost["n"], lost["total"], lost["scores"]["IoU"]) == (0, 6, 0.0)


def test_more_items_than_seconds_is_counted(small: EvaluationSet, tmp_path: Path) -> None:
    write_transcripts(tmp_path, long=17)
    result = run_alignment(small, tmp_path)
    assert result["missing"]["video: shorter_than_transcript"] == 1
    assert (result["n"], result["total"]) == (3, 6)


def test_background_without_a_text() -> None:
    scores = np.array([[1.0, 3.0, 9.0], [2.0, -4.0, 9.0]])
    listed = ClassList(["a", "b", ""], frozenset({2}))
    mean = fill_background(scores, listed, AlignmentOptions())
    assert mean.tolist() == [[1, 3, 2], [2, -4, -1]]
    constant = AlignmentOptions(background_score="constant", background_constant=0.5)
    assert fill_background(scores, listed, constant)[:, 2].tolist() == [0.5, 0.5]
    spoken = ClassList(["a", "b", "background"], frozenset({2}))
    assert (fill_background(scores, spoken, AlignmentOptions()) == scores).all()
    assert scores[0, 2] == 9


def test_plain_recursion_is_the_programme() -> None:
    generator = np.random.default_rng(0)
    for _ in range(20):
        scores, order = generator.standard_normal((9, 4)), generator.permutation(4)
        expected = alignment.align_items(scores, order)
        assert best_cuts(scores, order.tolist()).tolist() == expected.tolist()
