"""Mining YouTube: densely labelled cooking videos; a data set for ordered alignment and for localization.

Conventions
-----------
- Classes: mapping_without_meta.txt has a line "id label" for each of the ids 0 to 512. Without it, weakYouTube_dict.txt
  has one label a line, and the id is the place of the line. The orders of the two differ, and scores that others
  computed follow one of them. `background` is the last id in both, never 0.
- Truth: groundTruth/VIDEO (.txt, .gt or no suffix) has one label a frame. The files do not say their frame rate, so
  frames become seconds by what is known of both: the last labelled frame ends where the last cue of
  annotations/VIDEO.srt ends; without cues, all frames together last as long as the video file. Without groundTruth the
  cues are the truth, with background between them; a cue whose text is no class (the annotators wrote plurals and
  other words) is left out. Segments of a video follow each other without a gap.
- transcripts.csv holds the classes of each video in order, background included, and segments.csv their times: one
  segment for each item of a transcript, in the same order. Both come from the truth; official transcripts that differ
  from it are counted.
- For recall every video is a task of its own: its distinct steps without background, in order. Where step.json or
  vid2step.json ({video: [texts, "background"]}) is there, its texts are the steps. Their times are found in the truth,
  or in the cues, since the texts are written as the cues are.

Source: hildekuehne/Mining_YouTube_dataset (README files, video_alignment); brian7685/GroundingYouTube vid2step.json.
The annotations and lists were parsed; groundTruth and transcripts were not at hand: their form is as described.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

from mcn.errors import UserError, VideoError
from mcn.media.probe import declared_seconds
from mcn.sources.annotation_tables import CLASSES, SEGMENTS, STEPS, TASKS, TRANSCRIPTS
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

BACKGROUND = "background"
CLASS_COUNT = 513
VIDEO_COUNTS = {"test": 250, "validation": 25}

_CLASS_LISTS = ("mapping_without_meta.txt", "weakYouTube_dict.txt")
_STEP_TEXTS = ("step.json", "vid2step.json")


def _places(name: str) -> tuple[str, ...]:
    """Where a folder of the data set may lie."""
    return tuple(f"{folder}{name}" for folder in ("", "test/", "data_test/"))


_LABELS = (*_places("groundTruth"), *_places("annotations"))
_TRANSCRIPTS = (*_places("transcripts"), *_places("transcript"))
_HELPS = (*_CLASS_LISTS, *_LABELS, *_TRANSCRIPTS, *_STEP_TEXTS)


class Segment(NamedTuple):
    """A label and its time in seconds."""

    label: str
    start: float
    end: float


Step = tuple[str, list[Segment]]  # text of a step, and where it is shown


class MiningYouTube(Adapter):
    """Reads the labels of the videos of one list."""

    makes = csv_inputs("manifest", "tasks", "steps", "classes", "transcripts", "segments")
    splits: ClassVar = {
        split: Split((_CLASS_LISTS, _LABELS, (f"test/{name}", name)), _HELPS)
        for split, name in {"test": "videos_test.txt", "validation": "videos_val.txt"}.items()
    }

    def read(self, account: Account) -> None:
        """Write manifest.csv, classes.csv, transcripts.csv, segments.csv, tasks.csv and steps.csv."""
        classes, texts = read_classes(self.file(0)), self._step_texts()
        videos = find_videos(self.folder / "videos")
        truths: dict[str, list[Segment]] = {}
        steps: dict[str, list[Step]] = {}
        for path, line, video_id in self._listed():
            source = self._file_of(_places("annotations"), video_id, (".srt",))
            labels = self._file_of(_places("groundTruth"), video_id)
            cues = _cues(source)
            if labels:
                file = self.folder / "videos" / videos[video_id] if video_id in videos else None
                truth = _from_frames(labels, classes, cues, file)
            elif source:
                truth = _from_cues(cues, classes, partial(account.leave_out, source, None))
            else:
                truth = "a video without labels"
            if isinstance(truth, str):
                account.leave_out(path, line, video_id, truth)
            else:
                truths[video_id] = truth
                steps[video_id] = _steps(truth, cues, texts.get(video_id))
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
        if not isinstance(texts, dict) or not all(isinstance(one, list) for one in texts.values()):
            raise UserError(f"{lists[0]}: another form", "{video id: [texts]}", GET_AGAIN)
        return texts

    def _listed(self) -> Iterator[tuple[Path, int | None, str]]:
        """(file, line, video id) of the list; for `test` also of what is labelled but not listed (one video)."""
        path = self.file(2)
        seen = set()
        for line, text in text_lines(path):
            seen.add(text)
            yield path, line, identifier(path, line, text)
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


def read_classes(path: Path) -> dict[str, int]:
    """Read a class list: label -> id; ids are 0, 1, 2, ..., and background is the last.

    Errors: `UserError` with the line of what is not of this form.
    """
    numbered = path.name == _CLASS_LISTS[0]
    wanted = 'lines "id label", ids 0, 1, 2, ...' if numbered else "one label a line"
    classes: dict[str, int] = {}
    for place, (line, text) in enumerate(text_lines(path)):
        cells = text.split() if numbered else [str(place), text]
        if len(cells) != 2 or cells[0] != str(place) or cells[1] in classes:
            raise wrong(path, line, repr(text), wanted)
        classes[cells[1]] = place
    if classes.get(BACKGROUND, 0) != len(classes) - 1 or not classes:
        got = f"{BACKGROUND} as class {classes.get(BACKGROUND)} of {len(classes)}"
        raise wrong(path, len(classes), got, f"{BACKGROUND} as the last class")
    return classes


def _cues(path: Path | None) -> list[Line]:
    """Cues in order; none where there is no file."""
    try:
        return read_narration(path) if path else []
    except VideoError as error:
        raise UserError(str(error), "cues with times and one label each", GET_AGAIN) from error


def _from_frames(
    path: Path, classes: Mapping[str, int], cues: Sequence[Line], video: Path | None
) -> list[Segment] | str:
    """Segments of a file of labels, one a frame; or why there are none."""
    labels = []
    for line, label in text_lines(path):
        if label not in classes:
            raise wrong(path, line, f"label {label!r}", "a label of the class list")
        labels.append(label)
    if not labels:
        return "a video without a single labelled frame"
    labelled = [frame for frame, label in enumerate(labels, start=1) if label != BACKGROUND]
    if cues and labelled:
        seconds = max(cue.end_seconds for cue in cues) / labelled[-1]
    else:
        seconds = _duration(video) / len(labels)
    if seconds <= 0:
        return "neither cues nor a readable video file to tell the frame rate of its labels"
    segments, first = [], 0
    for label, run in groupby(labels):
        last = first + len(list(run))
        segments.append(Segment(label, first * seconds, last * seconds))
        first = last
    return segments


def _duration(video: Path | None) -> float:
    """Seconds of a video file, 0 where there is none or it does not say."""
    try:
        return declared_seconds(video) if video else 0.0
    except VideoError:
        return 0.0


def _from_cues(
    cues: Sequence[Line], classes: Mapping[str, int], leave_out: Callable[[str, str], None]
) -> list[Segment] | str:
    """Segments of cues, background between them; or why there are none. `leave_out(text, reason)` takes unused cues."""
    segments: list[Segment] = []
    for cue in cues:
        label, end = "_".join(cue.text.split()), segments[-1].end if segments else 0.0
        start = max(cue.start_seconds, end)
        if label not in classes or label == BACKGROUND:
            leave_out(cue.text, "a cue of no class")
        elif start >= cue.end_seconds:
            leave_out(cue.text, "a cue without time of its own")
        else:
            if start > end:
                segments.append(Segment(BACKGROUND, end, start))
            segments.append(Segment(label, start, cue.end_seconds))
    return segments or "a video without labels"


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
        (video_id, video_id, number, segment.start, segment.end)
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
