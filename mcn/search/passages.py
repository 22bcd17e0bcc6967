"""Passages of what is said, embedded by a sentence encoder, so that a query finds what was said in other words.

Conventions
-----------
- A passage is lines that follow each other: from a line on until it lasts `LEAST_SECONDS`, never more than
  `LONGEST_SECONDS` unless a line is, and not across a pause of `PAUSE_SECONDS`. The next one begins in the middle of
  it, so that passages overlap and no sentence is cut by all of them.
- The encoder is the feature of texts that `search.meaning` names. Passages are the windows of the source `meaning` of
  an index (`mcn.search.vectors`): a part a shard in `results/{dataset}/meaning`, joined by `mcn.search.catalogue`.
- Where nothing is said in a shard, its part has no window, and the encoder is not loaded.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from mcn.evaluation.text_vectors import TextVectors
from mcn.features.runtime import repeatable, resolve
from mcn.files import read_table
from mcn.options.features import RuntimeOptions
from mcn.options.row import FeatureOptions
from mcn.search.vectors import Windows, write_part
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.narration import Line

log = logging.getLogger(__name__)

VERSION = 1  # raise when the code changes the numbers
SOURCE = "meaning"
LEAST_SECONDS = 10.0
LONGEST_SECONDS = 20.0
PAUSE_SECONDS = 5.0


class PassageEncoder:
    """The sentence encoder of passages and of queries."""

    def __init__(self, name: str, row: FeatureOptions, runtime: RuntimeOptions) -> None:
        """Errors: `UserError` for a row that is not of texts, or whose weights cannot be read."""
        self._texts = TextVectors(name, row, resolve(runtime))
        self.width = self._texts.width
        self.recipe = {"feature": name, **self._texts.recipe}

    def embed_text(self, texts: list[str]) -> np.ndarray:
        """Vectors of unit length, float32 (n, width); zeros where no word of a text is known."""
        if not texts:
            return np.zeros((0, self.width), np.float32)
        with repeatable():
            return self._texts.means(texts)


def index_passages(
    shard_list: Path,
    lines: Path,
    output: Path,
    name: str,
    row: FeatureOptions,
    runtime: RuntimeOptions,
) -> None:
    """Write the part of one shard. lines: its table of lines. name, row: of the feature that embeds them."""
    with open(shard_list, encoding="utf-8", newline="") as file:
        video_ids = [one["video_id"] for one in csv.DictReader(file)]
    said = _lines_by_video(lines)
    found = [
        [one for lines in said.get(video_id, {}).values() for one in passages(lines)]
        for video_id in video_ids
    ]
    texts = [one.text for of_video in found for one in of_video]
    vectors, encoded_by = np.zeros((0, 0), np.float32), {"feature": name}
    if texts:  # otherwise the encoder need not be loaded, which takes longer than all else
        encoder = PassageEncoder(name, row, runtime)
        vectors, encoded_by = encoder.embed_text(texts), encoder.recipe
    known = vectors.any(axis=1)
    numbers = np.repeat(np.arange(len(video_ids)), [len(one) for one in found])[known]
    times = np.array([one[:2] for of_video in found for one in of_video]).reshape(-1, 2)[known]
    with_passage = set(numbers.tolist())
    errors = ["" if number in with_passage else "nothing is said" for number in range(len(found))]
    recipe = {
        "version": VERSION,
        "seconds": [LEAST_SECONDS, LONGEST_SECONDS, PAUSE_SECONDS],
        "encoder": encoded_by,
    }
    starts, ends = times.T
    windows = Windows(video_ids, errors, numbers, starts, ends, vectors[known])
    write_part(output, {SOURCE: windows}, recipe)
    log.info("%s: %d passages of %d videos", output, len(numbers), len(with_passage))


def _lines_by_video(table: Path) -> dict[str, dict[str, list[Line]]]:
    """Video -> language -> the lines in it, in order of time: no passage is in two languages."""
    found: dict[str, dict[str, list[Line]]] = {}
    for row in read_table(table, NARRATION.names).to_pylist():
        line = Line(row["start_seconds"], row["end_seconds"], row["text"])
        found.setdefault(row["video_id"], {}).setdefault(row.get("language") or "", []).append(line)
    return {
        video_id: {language: sorted(lines) for language, lines in sorted(by_language.items())}
        for video_id, by_language in found.items()
    }


def passages(lines: Sequence[Line]) -> list[Line]:
    """The passages of a video's lines, which are in order of time."""
    found: list[Line] = []
    first = end_before = 0
    while first < len(lines):
        last = _last_of(lines, first)
        if last >= end_before:  # otherwise it lies within the one before
            chosen = lines[first : last + 1]
            end = max(line.end_seconds for line in chosen)
            text = " ".join(line.text for line in chosen)
            found.append(Line(chosen[0].start_seconds, end, text))
            end_before = last + 1
        middle = (lines[first].start_seconds + lines[last].end_seconds) / 2
        inside = range(first + 1, last + 1)
        first = next((one for one in inside if lines[one].start_seconds >= middle), last + 1)
    return found


def _last_of(lines: Sequence[Line], first: int) -> int:
    """Number of the last line of the passage that begins with line `first`."""
    start, last = lines[first].start_seconds, first
    while last + 1 < len(lines) and lines[last].end_seconds - start < LEAST_SECONDS:
        following = lines[last + 1]
        pause = following.start_seconds - lines[last].end_seconds
        if pause >= PAUSE_SECONDS or following.end_seconds - start > LONGEST_SECONDS:
            break
        last += 1
    return last
