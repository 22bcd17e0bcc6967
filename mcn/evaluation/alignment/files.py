"""`mcn align`: files of log-probabilities to files of aligned labels and their scores, as Mining YouTube's aligner.

Conventions
-----------
- Classes: a class list of Mining YouTube; the columns of the `.probs` files follow it. Transcripts: VIDEO.grammar (one
  line of labels) or VIDEO.txt (one label a line). Truth, where it is given: VIDEO.gt, VIDEO.txt or VIDEO, a label a row
  of the probabilities where rows are frames.
- VIDEO.res has one label a row of the probabilities. `scores.json` has each video's score of its path and, with truth,
  those of `mcn.evaluation.alignment.programme.evaluate`; `frame_accuracy_with_background` is the accuracy that the
  official program writes. Their means over videos are beside them.
- Rows of seconds are aligned as seconds, and truth is then compared at the frame rate of its labels.

Source: hildekuehne/Mining_YouTube_dataset video_alignment/src/alignment.py.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcn.errors import UserError, several
from mcn.evaluation.alignment import programme
from mcn.evaluation.alignment.poisson import align_poisson
from mcn.evaluation.alignment.probabilities import read_probabilities
from mcn.files import atomic_path, write_json
from mcn.options.evaluation import AlignmentOptions
from mcn.sources.first_bytes import what_it_is
from mcn.sources.mining_labels import BACKGROUND, label_runs, read_classes
from mcn.sources.official_text import text_lines

log = logging.getLogger(__name__)


class AlignmentFiles(NamedTuple):
    """Folders of `.probs`, transcripts and, if at hand, truth; the class list; and mean lengths of classes, if any."""

    probabilities: Path
    classes: Path
    transcripts: Path
    truth: Path | None = None
    lengths: Path | None = None


def align_files(
    files: AlignmentFiles, output: Path, options: AlignmentOptions, rows: str
) -> dict[str, Any]:
    """Align every `.probs` file of a folder; write VIDEO.res and scores.json into `output`, and return the latter.

    rows: `frames` or `seconds`. Errors: `UserError` naming every video that cannot be aligned; the others are written.
    """
    classes = read_classes(files.classes)
    lengths = _read_lengths(files.lengths, len(classes)) if files.lengths else options.mean_length
    videos: dict[str, dict[str, Any]] = {}
    problems: list[str] = []
    paths = sorted(files.probabilities.glob("*.probs"))
    if not paths:
        got = f"{files.probabilities}: no file VIDEO.probs"
        raise UserError(got, "log-probabilities, a file a video", "correct the folder")
    output.mkdir(parents=True, exist_ok=True)
    for path in paths:
        try:
            videos[path.stem] = _align(path, files, classes, lengths, output, options, rows)
        except (UserError, ValueError) as error:
            problems.append(f"{path.stem}: {error}")
    named = sorted({name for scores in videos.values() for name in scores})
    means = {name: float(np.mean([one[name] for one in videos.values()])) for name in named}
    result = {"n": len(videos), "total": len(paths), "scores": means, "videos": videos}
    write_json(output / "scores.json", result)
    for name, value in means.items():
        log.info("%s: %.2f", name, value)
    if problems:
        raise several(
            problems, "probabilities, transcripts and truth of the same videos", "see above"
        )
    return result


def _align(
    path: Path,
    files: AlignmentFiles,
    classes: Mapping[str, int],
    lengths: np.ndarray | float,
    output: Path,
    options: AlignmentOptions,
    rows: str,
) -> dict[str, float]:
    """Align one video and write its labels; its scores."""
    probabilities = read_probabilities(path, len(classes))
    transcript = np.array(_labels(_file(files.transcripts, path.stem, ".grammar"), classes))
    if options.programme == "exact":
        items, found = programme.align_items(probabilities, transcript), {}
    else:
        settings = (lengths, options.frame_sampling)
        aligned = align_poisson(probabilities, transcript, *settings, longest=options.longest)
        items, found = aligned.items, {"path_score": aligned.score}
    names = list(classes)
    with atomic_path(output / f"{path.stem}.res") as temporary:
        temporary.write_text("".join(f"{names[one]}\n" for one in transcript[items]))
    if files.truth is None:
        return found
    truth = _true_items(_labels(_file(files.truth, path.stem, ".gt"), classes), transcript)
    predicted = _at_frames(items, len(truth), options.frames_per_second, rows)
    background = {classes[BACKGROUND]}
    return {**found, **programme.evaluate(truth, predicted, transcript, background)}


def _file(folder: Path, video: str, suffix: str) -> Path:
    for name in (f"{video}{suffix}", f"{video}.txt", video):
        if (folder / name).exists():
            return folder / name
    got = f"no {video}{suffix} or {video}.txt in {folder}"
    raise UserError(got, "a file of labels for each video", "add it, or take its .probs away")


def _labels(path: Path, classes: Mapping[str, int]) -> list[int]:
    """Class ids of the labels of a file, separated by blanks or line ends."""
    found = []
    for line, text in text_lines(path):
        for label in text.split():
            if label not in classes:
                got = f"{path}, line {line}: label {label!r}"
                raise UserError(got, "labels of the class list", "give the class list it is of")
            found.append(classes[label])
    return found


def _true_items(labels: list[int], transcript: np.ndarray) -> np.ndarray:
    """Transcript item of every frame of the truth, whose runs are the items in order."""
    runs = label_runs([str(one) for one in labels])
    if [int(label) for label, *_ in runs] != transcript.tolist():
        got = f"truth of {len(runs)} runs of labels for a transcript of {len(transcript)} items"
        raise ValueError(f"{got}, wanted one run for each item, in its order")
    return np.repeat(np.arange(len(runs)), [last - first for _, first, last in runs])


def _at_frames(items: np.ndarray, frames: int, rate: float, rows: str) -> np.ndarray:
    """Predicted item of every frame of the truth, -1 behind the last row."""
    if rows == "frames":
        if len(items) != frames:
            got = f"{len(items)} rows of probabilities for {frames} labels"
            raise ValueError(f"{got}, wanted a row a label (rows of seconds are `--rows seconds`)")
        return items
    second = ((np.arange(frames) + 0.5) / rate).astype(np.int64)
    return np.append(items, -1)[np.minimum(second, len(items))]


def _read_lengths(path: Path, count: int) -> np.ndarray:
    wanted, cure = "a number of frames a line", "give the file of lengths"
    if kind := what_it_is(path):
        raise UserError(f"{path}, which is {kind}", wanted, cure)
    try:
        found = np.loadtxt(path, ndmin=1)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", wanted, cure) from error
    if found.shape != (count,):
        got = f"{path}: {found.shape[0]} lengths for {count} classes"
        raise UserError(
            got, "a mean length [frames] for each class", "give the file of these classes"
        )
    if not (np.isfinite(found).all() and (found > 0).all()):
        line = int(np.flatnonzero(~(np.isfinite(found) & (found > 0)))[0]) + 1
        raise UserError(f"{path}, line {line}: {found[line - 1]}", f"{wanted}, above 0", cure)
    return found
