"""The classes of Mining YouTube and the labels of one video: frames or cues to segments in seconds.

Conventions: see `mcn.sources.mining_youtube`. Segments of a video follow each other without a gap, background between.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mcn.errors import VideoError
from mcn.media.probe import declared_seconds
from mcn.sources.narration import Line
from mcn.sources.reading import text_lines, wrong

BACKGROUND = "background"
LABEL_SUFFIXES = (".txt", ".gt", "")


class Segment(NamedTuple):
    """A label and its time in seconds."""

    label: str
    start: float
    end: float


def read_classes(path: Path) -> dict[str, int]:
    """Label -> id; ids are 0, 1, 2, ... and background is the last."""
    numbered = path.name == "mapping_without_meta.txt"
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


def from_frames(
    path: Path, classes: Mapping[str, int], cues: Sequence[Line], video: Path | None
) -> list[Segment] | str:
    """Segments of groundTruth/VIDEO, one label a frame; or why there are none.

    Its last labelled frame ends with the last cue; without cues its frames last as long as the video file.
    """
    runs = list(_runs(path, classes))
    if not runs:
        return "a video without a single labelled frame"
    labelled = [end for label, _, end in runs if label != BACKGROUND]
    if cues and labelled:
        seconds = max(cue.end_seconds for cue in cues) / labelled[-1]
    else:
        seconds = _duration(video) / runs[-1][2]
    if seconds <= 0:
        return "neither cues nor a readable video file to tell the frame rate of its labels"
    return [Segment(label, start * seconds, end * seconds) for label, start, end in runs]


def _duration(video: Path | None) -> float:
    """Seconds of a video file, 0 where there is none or it does not say."""
    try:
        return declared_seconds(video) if video else 0.0
    except VideoError:
        return 0.0


def _runs(path: Path, classes: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """(label, first frame, frame after the last) of every run of equal labels."""
    current, first, frames = "", 0, 0
    for line, label in text_lines(path):
        if label not in classes:
            raise wrong(path, line, f"label {label!r}", "a label of the class list")
        if label != current and frames:
            yield current, first, frames
            first = frames
        current, frames = label, frames + 1
    if frames:
        yield current, first, frames


def from_cues(
    cues: Sequence[Line], classes: Mapping[str, int], leave_out: Callable[[str, str], None]
) -> list[Segment] | str:
    """Segments of annotations/VIDEO.srt; or why there are none. `leave_out(text, reason)` hears of cues not used."""
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
