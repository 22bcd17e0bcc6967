"""What is counted of Mining YouTube's cues and labels: cues of no class, rates of labels, labels that do not fit.

Conventions
-----------
- Every count stands in accounting.json and in the log; a cue that is not used has its row in left_out.csv.
- A video whose labels do not fit its cues is left out with the figures; where that is more than half of the videos with
  both, the files are of other releases or videos: `UserError`.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mcn.errors import UserError
from mcn.sources.mining_labels import (
    Cue,
    LabelRate,
    Segment,
    fit_rate,
    named_cues,
    rate_of_video,
    segments_of_labels,
)
from mcn.sources.narration import Line
from mcn.sources.official import Account
from mcn.sources.official_text import GET_AGAIN

UNNAMED_SHARE = 0.08  # of the cues; in the official annotations 7.5 %

log = logging.getLogger(__name__)


class CueCounts:
    """Counts the cues and those that name no class."""

    def __init__(self) -> None:
        self.count, self.unnamed = 0, Counter[str]()

    def add(
        self, account: Account, path: Path | None, lines: Sequence[Line], classes: dict[str, int]
    ) -> list[Cue]:
        """The cues of one video with their classes; those without a class, or without a time, are left out."""
        named, reached = named_cues(lines, classes), 0.0
        for line, cue in zip(lines, named, strict=True):
            assert path is not None
            if cue.label is None:
                self.unnamed[line.text] += 1
                account.leave_out(path, None, line.text, "a cue of no class")
            elif max(cue.start, reached) >= cue.end:
                account.leave_out(path, None, line.text, "a cue without time of its own")
            else:
                reached = cue.end
        self.count += len(lines)
        return named

    def finish(self, account: Account, published: int | None) -> None:
        """Note the counts, with the texts that name no class."""
        unnamed = self.unnamed.total()
        texts = ", ".join(f"{text} {times}" for text, times in self.unnamed.most_common())
        account.count("cues", self.count, published)
        account.count("cues of no class", unnamed, note=texts)
        if unnamed:
            log.warning("%d of %d cues name no class: %s", unnamed, self.count, texts)
        if unnamed > UNNAMED_SHARE * self.count:
            share = f"{unnamed / self.count:.1%} of the cues"
            log.warning("%s; in the official files it is %.1f %%", share, 100 * 386 / 5132)


class RateCounts:
    """Counts the rates that labels are read at, and the videos that none fits."""

    def __init__(self) -> None:
        self.rates: dict[str, LabelRate] = {}
        self.short: list[str] = []
        self.refused: dict[str, str] = {}

    def add(
        self, video_id: str, labels: Sequence[str], cues: Sequence[Cue], video: Path | None
    ) -> list[Segment] | str:
        """The segments of one video; or why it has none."""
        if not labels:
            return "a video without a single labelled frame"
        rate = fit_rate(labels, cues) if cues else rate_of_video(labels, video)
        if isinstance(rate, str):
            if cues:
                self.refused[video_id] = rate
            return rate
        log.info("%s: labels at %s", video_id, rate)
        self.rates[video_id] = rate
        if rate.cues < len(cues):
            self.short.append(video_id)
            log.warning("%s: labels of %d of %d cues", video_id, rate.cues, len(cues))
        return segments_of_labels(labels, rate, cues)

    def finish(self, account: Account) -> None:
        """Note the rates; `UserError` where most labels fit no rate."""
        count = len(self.rates) + len(self.refused)
        if len(self.refused) > count / 2:
            shown = [f"{video}: {reason}" for video, reason in list(self.refused.items())[:5]]
            raise UserError(
                "\n  ".join(
                    [f"labels of {len(self.refused)} of {count} videos do not fit", *shown]
                ),
                "groundTruth and annotations of the same videos, complete",
                GET_AGAIN + ", or take groundTruth away: then the annotations are the truth",
            )
        if not count:
            return
        found = Counter(f"{rate.frames_per_second:.2f}" for rate in self.rates.values())
        listed = ", ".join(f"{times} at {rate} frames/s" for rate, times in sorted(found.items()))
        error = max((rate.error_seconds for rate in self.rates.values()), default=0.0)
        note = f"{listed}; boundaries within {error:.2f} s of their cues"
        account.count("label files", len(self.rates), note=note)
        account.count("label files that stop before their cues", len(self.short))
        log.info("labels: %s", note)
