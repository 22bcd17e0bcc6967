"""Mining YouTube: densely labelled cooking videos; a data set for ordered alignment and for localization.

Conventions
-----------
- Classes: weakYouTube_dict.txt, whose order the columns of the official `.probs` files follow, or
  mapping_without_meta.txt, which has another order; `accounting.json` says which was used. `mcn.sources.mining_labels`
  has both forms, which class a cue names, and how labels that are given a frame become seconds.
- Truth: groundTruth/VIDEO (.txt, .gt or no suffix) has one label a frame, read at the rate that fits the cues of
  annotations/VIDEO.srt; a video whose labels do not fit is left out with the figures. Where more than half of the
  videos do not fit, the files are of other releases: an error. Without groundTruth the cues are the truth, with
  background between them. Segments of a video follow each other without a gap.
- A cue that names no class is left out and counted; its texts are listed.
- transcripts.csv holds the classes of each video in order, background included, and segments.csv their times: one
  segment for each item of a transcript, in the same order. Both come from the truth; official transcripts that differ
  from it are counted.
- For recall every video is a task of its own: its distinct steps without background, in order. Where step.json or
  vid2step.json ({video: [texts, "background"]}) is there, its texts are the steps. Their times are found in the truth,
  or in the cues, since the texts are written as the cues are.

Source: hildekuehne/Mining_YouTube_dataset (README files, video_alignment); brian7685/GroundingYouTube vid2step.json.
The annotations, the lists and one sample of groundTruth were parsed; the other files of groundTruth and the transcripts
were not at hand.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

from mcn.errors import UserError, VideoError
from mcn.sources.annotation_tables import CLASSES, SEGMENTS, STEPS, TASKS, TRANSCRIPTS
from mcn.sources.mining_counts import CueCounts, RateCounts
from mcn.sources.mining_labels import (
    BACKGROUND,
    CLASS_LISTS,
    Segment,
    read_classes,
    segments_of_cues,
)
from mcn.sources.narration import Line, read_narration
from mcn.sources.official import Account, Adapter, Split, csv_inputs
from mcn.sources.official_text import (
    GET_AGAIN,
    find_videos,
    identifier,
    read_json,
    text_lines,
    wrong,
)

CLASS_COUNT = 513
VIDEO_COUNTS = {"test": 250, "validation": 25}
CUE_COUNTS = {"test": 5132}

_STEP_TEXTS = ("step.json", "vid2step.json")


def _places(name: str) -> tuple[str, ...]:
    """Where a folder of the data set may lie."""
    return tuple(f"{folder}{name}" for folder in ("", "test/", "data_test/"))


_LABELS = (*_places("groundTruth"), *_places("annotations"))
_TRANSCRIPTS = (*_places("transcripts"), *_places("transcript"))
_HELPS = (*CLASS_LISTS, *_LABELS, *_TRANSCRIPTS, *_STEP_TEXTS)


Step = tuple[str, list[Segment]]  # text of a step, and where it is shown


class MiningYouTube(Adapter):
    """Reads the labels of the videos of one list."""

    makes = csv_inputs("manifest", "tasks", "steps", "classes", "transcripts", "segments")
    splits: ClassVar = {
        split: Split((CLASS_LISTS, _LABELS, (f"test/{name}", name)), _HELPS)
        for split, name in {"test": "videos_test.txt", "validation": "videos_val.txt"}.items()
    }

    def read(self, account: Account) -> None:
        """Write manifest.csv, classes.csv, transcripts.csv, segments.csv, tasks.csv and steps.csv."""
        classes, texts = read_classes(self.file(0)), self._step_texts()
        videos = find_videos(self.folder / "videos")
        truths: dict[str, list[Segment]] = {}
        steps: dict[str, list[Step]] = {}
        cues, rates = CueCounts(), RateCounts()
        for path, line, video_id in self._listed():
            source = self._file_of(_places("annotations"), video_id, (".srt",))
            labels = self._file_of(_places("groundTruth"), video_id)
            lines = _cues(source)
            named = cues.add(account, source, lines, classes)
            truth: list[Segment] | str = segments_of_cues(named) or "a video without labels"
            if labels:
                file = self.folder / "videos" / videos[video_id] if video_id in videos else None
                truth = rates.add(video_id, _read_labels(labels, classes), named, file)
            if isinstance(truth, str):
                account.leave_out(path, line, video_id, truth)
            else:
                truths[video_id] = truth
                steps[video_id] = _steps(truth, lines, texts.get(video_id))
        if texts and truths and not texts.keys() & truths.keys():
            got = f"{self.find(_STEP_TEXTS)[0]}: steps of {len(texts)} videos, none of them labelled here"
            cure = (
                "get the file of these videos, or take it away: steps are then those of the labels"
            )
            raise UserError(got, f"steps of the {len(truths)} videos of the list", cure)
        rates.finish(account)
        cues.finish(account, CUE_COUNTS.get(self.split))
        _write_alignment(account, classes, truths)
        _write_steps(account, steps)
        account.write_manifest((video_id, self.split, "") for video_id in truths)
        note = f"in the order of {self.file(0).name}"
        account.count("classes", len(classes), CLASS_COUNT, note)
        account.count("videos", len(truths), VIDEO_COUNTS[self.split])
        account.count("segments without background", sum(map(len, map(_labels, truths.values()))))
        self._compare_transcripts(truths, account)

    def _file_of(
        self, folders: Sequence[str], video_id: str, suffixes: Sequence[str] = (".txt", ".gt", "")
    ) -> Path | None:
        """The file of a video in the first of the folders that is there, where it has one."""
        for folder in self.find(folders)[:1]:
            for suffix in suffixes:
                if (path := folder / f"{video_id}{suffix}").exists():
                    return path
        return None

    def _step_texts(self) -> dict[str, list[str]]:
        """Video id -> texts of its steps, where a list of them is there."""
        lists = self.find(_STEP_TEXTS)
        texts: Any = read_json(lists[0]) if lists else {}
        form = isinstance(texts, dict) and all(
            isinstance(one, list) and all(isinstance(text, str) for text in one)
            for one in texts.values()
        )
        if not form:
            raise UserError(f"{lists[0]}: another form", "{video id: [texts]}", GET_AGAIN)
        return texts

    def _listed(self) -> Iterator[tuple[Path, int | None, str]]:
        """(file, line, video id) of the list; for `test` also of what is labelled but not listed (one video)."""
        path = self.file(2)
        seen = set()
        for line, text in text_lines(path):
            seen.add(text)
            yield path, line, identifier(path, line, text)
        if not seen:
            raise wrong(path, 1, "an empty file", "the id of a video a line")
        labelled = (_places("groundTruth"), _places("annotations")) if self.split == "test" else ()
        for folder in (found for names in labelled for found in self.find(names)[:1]):
            for file in sorted(folder.iterdir()):
                if file.stem not in seen and not file.name.startswith("."):
                    seen.add(file.stem)
                    yield file, None, identifier(file, 1, file.stem)

    def _compare_transcripts(self, truths: Mapping[str, list[Segment]], account: Account) -> None:
        """Count the official transcripts whose labels have another order than the truth, background aside."""
        compared = differing = 0
        for video_id, truth in truths.items():
            path = self._file_of(_TRANSCRIPTS, video_id)
            if path:
                official = [label for _, label in text_lines(path) if label != BACKGROUND]
                order = [segment.label for segment in _labels(truth)]
                compared += 1
                differing += _merged(official) != _merged(order)
        account.count("official transcripts", compared)
        account.count("official transcripts in another order", differing, 0)


def _cues(path: Path | None) -> list[Line]:
    """Cues in order; none where there is no file."""
    try:
        return read_narration(path) if path else []
    except VideoError as error:
        raise UserError(str(error), "cues with times and one label each", GET_AGAIN) from error


def _read_labels(path: Path, classes: Mapping[str, int]) -> list[str]:
    """One label a frame; `UserError` with the line of one that is no class."""
    labels = []
    for line, label in text_lines(path):
        if label not in classes:
            raise wrong(path, line, f"label {label!r}", "a label of the class list")
        labels.append(label)
    return labels


def _labels(truth: Sequence[Segment]) -> list[Segment]:
    """The segments that are not background."""
    return [segment for segment in truth if segment.label != BACKGROUND]


def _words(label: str) -> str:
    return label.replace("_", " ")


def _steps(truth: list[Segment], cues: list[Line], texts: list[str] | None) -> list[Step]:
    """The steps of a video in order, each with its segments."""
    times: dict[str, list[Segment]] = {}
    for segment in _labels(truth):
        times.setdefault(_words(segment.label), []).append(segment)
    if texts is None:
        return list(times.items())
    written: dict[str, list[Segment]] = {}
    for cue in cues:
        if cue.start_seconds < cue.end_seconds:
            segment = Segment(cue.text, cue.start_seconds, cue.end_seconds)
            written.setdefault(_words(cue.text), []).append(segment)
    steps = [_words(text) for text in texts if text != BACKGROUND]
    return [(step, times.get(step) or written.get(step, [])) for step in dict.fromkeys(steps)]


def _write_alignment(
    account: Account, classes: dict[str, int], truths: dict[str, list[Segment]]
) -> None:
    listed = [
        (number, _words(label), int(label == BACKGROUND)) for label, number in classes.items()
    ]
    items = [
        (video_id, place, classes[segment.label], segment.start, segment.end)
        for video_id, truth in truths.items()
        for place, segment in enumerate(truth)
    ]
    account.write("classes.csv", CLASSES, listed)
    account.write("transcripts.csv", TRANSCRIPTS, [item[:3] for item in items])
    account.write("segments.csv", SEGMENTS, [(one[0], *one[2:]) for one in items])


def _write_steps(account: Account, steps: dict[str, list[Step]]) -> None:
    listed = [
        (video_id, number, text, found)
        for video_id, texts in steps.items()
        for number, (text, found) in enumerate(texts)
    ]
    shown = [
        (video_id, video_id, number, segment.start, segment.end, "")
        for video_id, number, _, found in listed
        for segment in found
    ]
    account.write("tasks.csv", TASKS, [row[:3] for row in listed])
    account.write("steps.csv", STEPS, shown)
    account.count("steps", len(listed), note="distinct texts of each video")
    account.count("steps without a time", sum(not found for *_, found in listed))


def _merged(labels: list[str]) -> list[str]:
    """Labels without those that repeat the one before: background between them may or may not be written."""
    return labels[:1] + [after for before, after in pairwise(labels) if before != after]
