"""Mining YouTube: densely labelled cooking videos; a set for ordered alignment, and for localization.

Conventions
-----------
- Classes: mapping_without_meta.txt, "id label" a line, ids 0 to 512; without it weakYouTube_dict.txt, one label a line,
  the id being the place. Their orders differ, and scores that others computed follow one of them. `background` is the
  last id in both, never 0.
- Truth: groundTruth/VIDEO (.txt, .gt or no suffix), one label a frame. The files say nothing of a frame rate, so
  frames become seconds by what is known of both: the last labelled frame ends where the last cue of
  annotations/VIDEO.srt ends, or else all frames last as long as the video file does. Without groundTruth: the cues,
  with background between them; a cue whose text is no class (the annotators wrote plurals and other words) is left
  out.
- transcripts.csv holds the classes in order, background included, segments.csv their times: one segment for each
  item of a transcript, in the same order. Both come from the truth; an official transcript that differs is counted.
- For recall every video is its own task: its distinct steps without background, in order. Where step.json or
  vid2step.json ({video: [texts, "background"]}) is there, its texts are the steps, found again in the truth or, since
  they are written as the cues are, in the cues.

Source: hildekuehne/Mining_YouTube_dataset (README files, video_alignment); brian7685/GroundingYouTube vid2step.json.
The annotations and lists were parsed; groundTruth and transcripts were not at hand: their form is as described.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from mcn.errors import UserError, VideoError
from mcn.options.official import OfficialOptions
from mcn.sources.account import Account, write_csv
from mcn.sources.catalogue import found
from mcn.sources.mining_labels import (
    BACKGROUND,
    LABEL_SUFFIXES,
    Segment,
    from_cues,
    from_frames,
    read_classes,
)
from mcn.sources.narration import Line, read_narration
from mcn.sources.reading import GET_AGAIN, find_videos, identifier, read_json, text_lines
from mcn.sources.tables import CLASSES, SEGMENTS, STEPS, TASKS, TRANSCRIPTS

CLASS_COUNT = 513
VIDEO_COUNTS = {"test": 250, "validation": 25}


class Folders(NamedTuple):
    """Official folders and step texts, None where they are not there."""

    truth: Path | None
    cues: Path | None
    transcripts: Path | None
    steps: dict[str, list[str]]
    files: dict[str, Path]

    def cue_file(self, video_id: str) -> Path | None:
        """annotations/VIDEO.srt, where it is there."""
        return next(iter(found(self.cues, (f"{video_id}.srt",))), None) if self.cues else None


def read(options: OfficialOptions, account: Account) -> None:
    """Write manifest.csv, classes.csv, transcripts.csv, segments.csv, tasks.csv and steps.csv."""
    classes = read_classes(options.file(0))
    folders = _folders(options)
    segments: dict[str, list[Segment]] = {}
    steps: dict[str, list[tuple[str, list[Segment]]]] = {}
    for path, line, video_id in _listed(options, folders):
        cues = _cues(folders.cue_file(video_id))
        truth = _truth(folders, video_id, cues, classes, account)
        if isinstance(truth, str):
            account.leave_out(path, line, video_id, truth)
            continue
        segments[video_id] = truth
        steps[video_id] = _steps(truth, cues, folders.steps.get(video_id))
    _write_alignment(account.output, classes, segments)
    _write_steps(account, steps)
    account.write_manifest((video_id, options.split_name, "") for video_id in segments)
    account.count("classes", len(classes), CLASS_COUNT, f"in the order of {options.file(0).name}")
    account.count("videos", len(segments), VIDEO_COUNTS[options.split_name])
    labelled = [one for found in segments.values() for one in found if one.label != BACKGROUND]
    account.count("segments without background", len(labelled))
    _compare_transcripts(folders, segments, account)


def _folders(options: OfficialOptions) -> Folders:
    def below(name: str) -> Path | None:
        places = tuple(f"{folder}{name}" for folder in ("", "test/", "data_test/"))
        return next(iter(found(options.folder, places)), None)

    lists = found(options.folder, ("step.json", "vid2step.json"))
    texts: Any = read_json(lists[0]) if lists else {}
    if not isinstance(texts, dict) or not all(isinstance(one, list) for one in texts.values()):
        raise UserError(f"{lists[0]}: another form", "{video id: [texts]}", GET_AGAIN)
    videos = options.folder / "videos"
    return Folders(
        below("groundTruth"),
        below("annotations"),
        below("transcripts") or below("transcript"),
        texts,
        {video_id: videos / path for video_id, path in find_videos(videos).items()},
    )


def _listed(options: OfficialOptions, folders: Folders) -> Iterator[tuple[Path, int | None, str]]:
    """(file, line, video id) of the split's list; for `test` also what is annotated but not listed (one video)."""
    path = options.file(2)
    seen = set()
    for line, text in text_lines(path):
        seen.add(text)
        yield path, line, identifier(path, line, text)
    folders_of_labels = [folder for folder in (folders.truth, folders.cues) if folder]
    for folder in folders_of_labels if options.split_name == "test" else ():
        for file in sorted(folder.iterdir()):
            if file.stem not in seen and not file.name.startswith("."):
                seen.add(file.stem)
                yield file, None, identifier(file, 1, file.stem)


def _cues(path: Path | None) -> list[Line]:
    """Cues in order; none where there is no file."""
    try:
        return read_narration(path) if path else []
    except VideoError as error:
        raise UserError(str(error), "cues with times and one label each", GET_AGAIN) from error


def _truth(
    folders: Folders, video_id: str, cues: list[Line], classes: dict[str, int], account: Account
) -> list[Segment] | str:
    """Segments of a video, or why there are none."""
    labels = _label_file(folders.truth, video_id)
    if labels:
        return from_frames(labels, classes, cues, folders.files.get(video_id))
    source = folders.cue_file(video_id)
    if source is None:
        return "a video without labels"
    return from_cues(cues, classes, partial(account.leave_out, source, None))


def _label_file(folder: Path | None, video_id: str) -> Path | None:
    """VIDEO.txt, VIDEO.gt or VIDEO, where one is there."""
    names = tuple(f"{video_id}{suffix}" for suffix in LABEL_SUFFIXES)
    return next(iter(found(folder, names)), None) if folder else None


def _words(label: str) -> str:
    return label.replace("_", " ")


def _steps(
    truth: list[Segment], cues: list[Line], texts: list[str] | None
) -> list[tuple[str, list[Segment]]]:
    """(text, segments) of every step of a video, in order."""
    times: dict[str, list[Segment]] = {}
    for segment in truth:
        if segment.label != BACKGROUND:
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
    output: Path, classes: dict[str, int], segments: dict[str, list[Segment]]
) -> None:
    write_csv(
        output / "classes.csv",
        CLASSES.names,
        [(number, _words(label), int(label == BACKGROUND)) for label, number in classes.items()],
    )
    write_csv(
        output / "transcripts.csv",
        TRANSCRIPTS.names,
        [
            (video_id, position, classes[segment.label])
            for video_id, found in segments.items()
            for position, segment in enumerate(found)
        ],
    )
    write_csv(
        output / "segments.csv",
        SEGMENTS.names,
        [
            (video_id, classes[segment.label], segment.start, segment.end)
            for video_id, found in segments.items()
            for segment in found
        ],
    )


def _write_steps(account: Account, steps: dict[str, list[tuple[str, list[Segment]]]]) -> None:
    listed = [
        (video_id, number, text, found)
        for video_id, texts in steps.items()
        for number, (text, found) in enumerate(texts)
    ]
    write_csv(account.output / "tasks.csv", TASKS.names, [row[:3] for row in listed])
    write_csv(
        account.output / "steps.csv",
        STEPS.names,
        [
            (video_id, video_id, number, segment.start, segment.end)
            for video_id, number, _, found in listed
            for segment in found
        ],
    )
    account.count("steps", len(listed), note="distinct texts of each video")
    account.count("steps without a time", sum(not found for *_, found in listed))


def _compare_transcripts(
    folders: Folders, segments: dict[str, list[Segment]], account: Account
) -> None:
    """Count the official transcripts that are not the order of the truth, with and without background."""
    compared = differing = 0
    for video_id, truth in segments.items():
        path = _label_file(folders.transcripts, video_id)
        if path:
            official = [label for _, label in text_lines(path) if label != BACKGROUND]
            order = [segment.label for segment in truth if segment.label != BACKGROUND]
            compared += 1
            differing += _merged(official) != _merged(order)
    account.count("official transcripts", compared)
    account.count("official transcripts in another order", differing, 0)


def _merged(labels: list[str]) -> list[str]:
    """Labels without those that repeat the one before: background between them may or may not be written."""
    return labels[:1] + [after for before, after in pairwise(labels) if before != after]
