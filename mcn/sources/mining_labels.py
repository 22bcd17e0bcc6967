"""Labels of Mining YouTube: which class a cue names, and the seconds of labels that are given a frame.

Conventions
-----------
- Classes: weakYouTube_dict.txt has one label a line, and the id is the place of the line; the columns of the official
  `.probs` files follow it. mapping_without_meta.txt has lines "id label" in another order. `background` is the last id
  in both, never 0.
- A cue names a class by its own words, by their singular forms, or by the first two words of either. Singular is the
  word without its last `s` or `es`, since the class list was made that way (it has `add_asparagu`). The official sample
  shows the rule: crack_eggs is labelled crack_egg, and pour_egg_whites is labelled pour_egg. Of the 5,132 official cues
  3,898 name a class as they are, 695 by singular forms, 153 by two words, and 386 (7.5 %) name none.
- Frames become seconds by one rate a video. Runs of labels other than background follow the cues in order; a cue
  without a class may have a run of any label, or none. The rate is the one that lies in the middle of frame / seconds
  over the boundaries of matched runs and cues, late ones weighing more; a usual rate within 0.1 % of it is taken.
- Labels that do not follow their cues, or whose boundaries lie further than `ERROR_SECONDS` from those of their cues,
  are refused with the figures. Labels that stop early (the official sample does) are followed by the cues behind them;
  where they stop within a cue, its rest has its label.
- Without cues the rate is that of the video file, and labels have to last as long as the file does.

Source: hildekuehne/Mining_YouTube_dataset: README files, class lists, annotations, and the sample of video_alignment,
whose boundaries lie within 0.04 s of its cues at 29.97 frames/s.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from mcn.errors import VideoError
from mcn.media.probe import probe
from mcn.sources.narration import Line
from mcn.sources.official_text import text_lines, wrong

BACKGROUND = "background"
CLASS_LISTS = ("weakYouTube_dict.txt", "mapping_without_meta.txt")
ERROR_SECONDS = 0.2
USUAL_RATES = tuple(
    rate / part for rate in (24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60) for part in (1, 2)
)
# Cues of one class that are closer than about a frame are one run of labels
_TOUCHING_SECONDS = 0.05
_SHORT_SECONDS = 0.1  # a shorter cue may have no frame


class Segment(NamedTuple):
    """A label and its time in seconds."""

    label: str
    start: float
    end: float


class Cue(NamedTuple):
    """A cue with the class that it names, None where it names none; times in seconds."""

    label: str | None
    start: float
    end: float


class LabelRate(NamedTuple):
    """Frames a second of a file of labels.

    boundaries: how many of them were compared with cues, 0 without cues. error_seconds: the largest distance. cues: how
    many of the cues the labels cover.
    """

    frames_per_second: float
    boundaries: int
    error_seconds: float
    cues: int

    def __str__(self) -> str:
        if not self.boundaries:
            return f"{self.frames_per_second:.2f} frames/s, as the video file has"
        fit = f"{self.boundaries} boundaries within {self.error_seconds:.2f} s"
        return f"{self.frames_per_second:.2f} frames/s, {fit}"


def read_classes(path: Path) -> dict[str, int]:
    """Read a class list: label -> id; ids are 0, 1, 2, ..., and background is the last.

    Errors: `UserError` with the line of what is not of this form.
    """
    numbered = path.name == CLASS_LISTS[1]
    wanted = 'lines "id label", ids 0, 1, 2, ...' if numbered else "one label a line"
    classes: dict[str, int] = {}
    for place, (line, text) in enumerate(text_lines(path)):
        cells = text.split() if numbered else [str(place), text]
        if len(cells) != 2 or cells[0] != str(place) or cells[1] in classes:
            raise wrong(path, line, repr(text), wanted)
        classes[cells[1]] = place
    if classes.get(BACKGROUND) != len(classes) - 1:
        got = f"{BACKGROUND} as class {classes.get(BACKGROUND)} of {len(classes)}"
        raise wrong(path, len(classes), got, f"{BACKGROUND} as the last class")
    return classes


def class_of(text: str, classes: Mapping[str, int]) -> str | None:
    """The label that the words of a cue name, None where they name none; background is no label of a cue.

    >>> class_of("pour egg whites", {"pour_egg": 0, "background": 1})
    'pour_egg'
    """
    words = re.split(r"[\s_]+", text.strip())
    for some in (words, words[:2]):
        for label in map("_".join, itertools.product(*map(_forms, some))):
            if label in classes and label != BACKGROUND:
                return label
    return None


def _forms(word: str) -> Iterator[str]:
    """A word as it is, without its last `s`, and without its last `es`."""
    yield word
    for ending in ("s", "es"):
        if word.endswith(ending) and len(word) > len(ending):
            yield word.removesuffix(ending)


def named_cues(lines: Sequence[Line], classes: Mapping[str, int]) -> list[Cue]:
    """Cues in order, with their classes."""
    return [
        Cue(class_of(line.text, classes), line.start_seconds, line.end_seconds) for line in lines
    ]


def label_runs(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """Runs of equal labels, background included: label, first frame, frame behind the last."""
    runs, first = [], 0
    for label, run in itertools.groupby(labels):
        last = first + len(list(run))
        runs.append((label, first, last))
        first = last
    return runs


def fit_rate(labels: Sequence[str], cues: Sequence[Cue]) -> LabelRate | str:
    """The rate of labels given a frame, found from the cues that they were made of; or why it cannot be told.

    labels: one a frame. cues: in order of time, of the same video.
    """
    runs = [run for run in label_runs(labels) if run[0] != BACKGROUND]
    written = _merged_cues(cues)
    matched = _match([label for label, *_ in runs], [cue.label for cue in written])
    if matched is None:
        named = sum(cue.label is not None for cue in written)
        return f"{len(runs)} runs of labels do not follow its {len(written)} cues, {named} of them with a class"
    pairs = []
    for (_, first, last), place in zip(runs, matched, strict=True):
        cue, before = written[place], written[place - 1].end if place else 0.0
        if cue.label is not None and cue.start >= before:
            pairs += [(first, cue.start), (last, cue.end)]
    pairs = [(frame, seconds) for frame, seconds in pairs if seconds > 0]
    if len(pairs) < 2:
        return f"{len(pairs)} boundaries of labels and cues to tell the frame rate by, 2 are needed"
    rate, reached = _usual(_middle_rate(pairs)), written[matched[-1]].end
    if runs[-1][2] == len(labels) and len(pairs) > 2 and pairs[-1] == (len(labels), reached):
        others = _usual(_middle_rate(pairs[:-1]))
        if len(labels) / others < reached - ERROR_SECONDS:  # they stop within their last cue
            rate, reached, pairs = others, written[matched[-1]].start, pairs[:-1]
    error = max(abs(frame / rate - seconds) for frame, seconds in pairs)
    covered = sum(cue.start < reached for cue in cues)
    found = LabelRate(rate, len(pairs), error, covered)
    if error > ERROR_SECONDS:
        return f"labels at {found} of their cues, {ERROR_SECONDS} s are allowed"
    return found


def rate_of_video(labels: Sequence[str], video: Path | None) -> LabelRate | str:
    """The rate of labels without cues: that of the video file; or why it cannot be told."""
    try:
        facts = probe(video) if video else None
    except VideoError:
        facts = None
    if (
        facts is None
        or facts.video is None
        or not facts.video.frames_per_second
        or not facts.seconds
    ):
        return "neither cues nor a readable video file to tell the frame rate of its labels"
    rate = facts.video.frames_per_second
    if abs(len(labels) / rate - facts.seconds) > max(1.0, 0.01 * facts.seconds):
        lasting = f"{len(labels)} labels at {rate:.2f} frames/s last {len(labels) / rate:.2f} s"
        return f"{lasting}, its video file {facts.seconds:.2f} s, and there are no cues"
    return LabelRate(rate, 0, 0.0, 0)


def segments_of_labels(
    labels: Sequence[str], rate: LabelRate, cues: Sequence[Cue]
) -> list[Segment]:
    """Segments of labels, one a frame, and of the cues behind them where the labels stop early."""
    second = 1 / rate.frames_per_second
    segments = [
        Segment(label, first * second, last * second) for label, first, last in label_runs(labels)
    ]
    *before, last = segments
    behind = segments_of_cues(cues[rate.cues :], last.end)
    if behind and behind[0].label == last.label:  # the rest of the cue that the labels stop in
        last = last._replace(end=behind.pop(0).end)
    return [*before, last, *behind]


def segments_of_cues(cues: Sequence[Cue], reached: float = 0.0) -> list[Segment]:
    """Segments of cues that name a class, background between them; of cues that overlap the first has the time."""
    segments: list[Segment] = []
    for cue in cues:
        start = max(cue.start, reached)
        if cue.label is None or start >= cue.end:
            continue
        if start > reached:
            segments.append(Segment(BACKGROUND, reached, start))
        segments.append(Segment(cue.label, start, cue.end))
        reached = cue.end
    return segments


def _merged_cues(cues: Sequence[Cue]) -> list[Cue]:
    """Cues as their labels show them.

    Those of one class that follow each other without a frame between them are joined. One that may be without a frame
    of its own, since it is short or others cover it, may have no run of labels, like a cue without a class.
    """
    merged: list[Cue] = []
    for cue in cues:
        last = merged[-1] if merged else Cue(None, 0.0, 0.0)
        if cue.end - max(cue.start, last.end) < _SHORT_SECONDS:
            merged.append(cue._replace(label=None, end=max(cue.end, last.end)))
        elif cue.label and cue.label == last.label and cue.start - last.end < _TOUCHING_SECONDS:
            merged[-1] = last._replace(end=cue.end)
        else:
            merged.append(cue)
    return merged


def _match(runs: Sequence[str], cues: Sequence[str | None]) -> list[int] | None:
    """The cue of every run, in order; None where they do not fit.

    Every cue with a class has its run, but cues behind the last run may be left.
    """
    fits = [[False] * (len(cues) + 1) for _ in runs] + [[True] * (len(cues) + 1)]
    for run in reversed(range(len(runs))):
        for cue in reversed(range(len(cues))):
            one = cues[cue] in (None, runs[run]) and fits[run + 1][cue + 1]
            fits[run][cue] = one or (cues[cue] is None and fits[run][cue + 1])
    if not runs or not fits[0][0]:
        return None
    places, cue = [], 0
    for run, label in enumerate(runs):
        while cues[cue] is None and fits[run][cue + 1]:
            cue += 1
        assert cues[cue] in (None, label)
        places.append(cue)
        cue += 1
    return places


def _middle_rate(pairs: Sequence[tuple[float, float]]) -> float:
    """The rate r with the least sum of |frame - r * seconds|: the median of frame / seconds, weighted by seconds."""
    ratios = sorted((frame / seconds, seconds) for frame, seconds in pairs)
    passed = list(itertools.accumulate(seconds for _, seconds in ratios))
    return ratios[bisect.bisect_left(passed, passed[-1] / 2)][0]


def _usual(rate: float) -> float:
    """The nearest usual frame rate, where one is within 0.1 %."""
    nearest = min(USUAL_RATES, key=lambda one: abs(one - rate))
    return nearest if abs(nearest / rate - 1) <= 1e-3 else rate
