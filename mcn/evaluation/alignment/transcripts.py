"""Ordered transcripts of videos and where their items truly lie, from either kind of annotation.

Conventions
-----------
- Classes are numbered 0 .. C - 1 within their list; `background` holds those that are background. Times are seconds
  from container start.
- An item of background has no time of its own: it truly lies between the item before it and the item after it, from
  the beginning, or to the end.
- Transcript tables (`classes`, `transcripts`, `segments`, as Mining YouTube has them): one class list for all videos;
  class ids are 0, 1, 2, ... The segments of a video that are not background are its transcript's items that are not
  background, in the same order; where they are not, the video is `transcript: other_than_its_segments` and lost.
- Step tables (`tasks`, `steps`): one class list a task, its steps and, last, background without a text. The items are
  the annotated segments by start, a step annotated twice being two items; where background stands among them says
  `AlignmentOptions.background_items`. A gap lasts a second or more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import AnnotatedVideo, read_rows, read_steps

BackgroundItems = Literal["gaps", "always", "none"]
Segment = tuple[int, float, float]
OTHER = "transcript: other_than_its_segments"
GAP_SECONDS = 1.0  # what is shorter than a score is no gap


@dataclass(frozen=True)
class ClassList:
    """Texts of classes, '' where one has none, and which of them are background."""

    texts: list[str]
    background: frozenset[int]


@dataclass(frozen=True)
class Transcript:
    """One video of a class list `group`: `classes` (N,) of its items, `spans` (N, 2) seconds, NaN for background.

    open_end: the last item is background only where the video goes on behind the one before it. problem: '' or why the
    video cannot be scored.
    """

    video_id: str
    group: str
    classes: np.ndarray
    spans: np.ndarray
    open_end: bool = False
    problem: str = ""

    def until(self, last: float) -> Transcript:
        """The transcript of a video that ends at `last` seconds."""
        if not self.open_end or last - float(np.nanmax(self.spans)) >= GAP_SECONDS:
            return self
        return replace(self, classes=self.classes[:-1], spans=self.spans[:-1], open_end=False)

    def frames(self, start: float, seconds: int, frame_seconds: float) -> np.ndarray:
        """True item of every frame (F,), -1 where none lies; frame i is at start + (i + 1/2) * frame_seconds.

        The frames reach to `start` + `seconds` or to the last annotation, whichever is later. Of items that overlap
        the one that begins later has the frame.
        """
        ends = self.spans[:, 1]
        last = max(start + seconds, float(np.nanmax(ends, initial=-np.inf)))
        times = start + (np.arange(round((last - start) / frame_seconds)) + 0.5) * frame_seconds
        items = np.full(len(times), -1)
        for item, (begin, end) in enumerate(self._filled(last)):
            if np.isnan(self.spans[item, 0]):
                items[(times >= begin) & (times < end)] = item
        named = np.flatnonzero(~np.isnan(self.spans[:, 0]))
        for item in named[np.argsort(self.spans[named, 0], kind="stable")]:
            items[(times >= self.spans[item, 0]) & (times < ends[item])] = item
        return items

    def _filled(self, last: float) -> np.ndarray:
        """Spans (N, 2) with those of background, from what lies before to what lies behind."""
        spans = self.spans.copy()
        reached, following = -np.inf, last
        for item in range(len(spans)):
            spans[item, 0] = reached if np.isnan(spans[item, 0]) else spans[item, 0]
            reached = max(reached, np.nan_to_num(self.spans[item, 1], nan=-np.inf))
        for item in reversed(range(len(spans))):
            spans[item, 1] = following if np.isnan(spans[item, 1]) else spans[item, 1]
            following = np.nan_to_num(self.spans[item, 0], nan=following)
        return spans


def read_transcripts(
    classes: Path | str, transcripts: Path | str, segments: Path | str
) -> tuple[dict[str, ClassList], list[Transcript]]:
    """Transcript tables: the class list, under the group '', and every video; `UserError` for tables that disagree."""
    rows = sorted(
        read_rows(classes, ["class_id", "text", "background"]), key=lambda r: r["class_id"]
    )
    if [row["class_id"] for row in rows] != list(range(len(rows))):
        raise UserError(
            f"{classes}: class ids other than 0 to {len(rows) - 1}", "each once", "mend the classes"
        )
    background = frozenset(row["class_id"] for row in rows if row["background"])
    listed = ClassList([row["text"] or "" for row in rows], background)
    items: dict[str, list[tuple[int, int]]] = {}
    for row in read_rows(transcripts, ["video_id", "position", "class_id"]):
        _require_class(row["class_id"], len(rows), transcripts, row["video_id"])
        items.setdefault(row["video_id"], []).append((row["position"], row["class_id"]))
    found: dict[str, list[Segment]] = {}
    for row in read_rows(segments, ["video_id", "class_id", "start_seconds", "end_seconds"]):
        _require_class(row["class_id"], len(rows), segments, row["video_id"])
        segment = row["class_id"], row["start_seconds"], row["end_seconds"]
        found.setdefault(row["video_id"], []).append(segment)
    return {"": listed}, [
        _matched(video, [one for _, one in sorted(order)], found.get(video, []), background)
        for video, order in sorted(items.items())
    ]


def _require_class(class_id: int, count: int, path: Path | str, video_id: str) -> None:
    if not 0 <= class_id < count:
        raise UserError(
            f"{path}: class {class_id} in video {video_id}",
            f"classes 0 to {count - 1}",
            "mend the annotations or the classes",
        )


def _matched(
    video_id: str, order: Sequence[int], segments: Sequence[Segment], background: frozenset[int]
) -> Transcript:
    named = [item for item, one in enumerate(order) if one not in background]
    true = sorted((s for s in segments if s[0] not in background), key=lambda s: (s[1], s[2]))
    spans = np.full((len(order), 2), np.nan)
    agree = bool(named) and [order[item] for item in named] == [one for one, _, _ in true]
    if agree:
        spans[named] = [(start, end) for _, start, end in true]
    return Transcript(video_id, "", np.array(order), spans, problem="" if agree else OTHER)


def step_transcripts(
    tasks: Path | str, steps: Path | str, background_items: BackgroundItems
) -> tuple[dict[str, ClassList], list[Transcript]]:
    """Step tables: task -> its steps and background, and every video by id and task."""
    texts, videos = read_steps(tasks, steps)
    lists = {
        task: ClassList([*listed, ""], frozenset({len(listed)})) for task, listed in texts.items()
    }
    return lists, [_of_steps(video, texts, background_items) for video in videos]


def _of_steps(
    video: AnnotatedVideo, texts: Mapping[str, Sequence[str]], background_items: BackgroundItems
) -> Transcript:
    background = len(texts[video.task])
    classes: list[int] = []
    spans: list[tuple[float, float]] = []
    reached = 0.0
    for step, start, end in sorted(video.segments, key=lambda s: (s[1], s[2])):
        gap = background_items == "gaps" and start - reached >= GAP_SECONDS
        if gap or background_items == "always":
            classes.append(background)
            spans.append((np.nan, np.nan))
        classes.append(step)
        spans.append((start, end))
        reached = max(reached, end)
    if background_items != "none":
        classes.append(background)
        spans.append((np.nan, np.nan))
    open_end = background_items == "gaps"  # how long the video is, the annotations do not say
    return Transcript(video.video_id, video.task, np.array(classes), np.array(spans), open_end)
