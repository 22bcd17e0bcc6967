"""YouCook2: cooking videos, each cut into captioned segments; a data set for retrieval.

Conventions
-----------
- `validation_clips`: validation_youcook.csv (header end,start,task,text,video_id; times in seconds), the 3,350 clips
  that zero-shot retrieval is measured on: all segments of 436 of the validation videos.
- `validation`, `training`: the subsets of youcookii_annotations_trainval.json, {"database": {video id: {"subset",
  "annotations": [{"segment": [start, end], "id", "sentence"}]}}}.
- A clip id is the video id, "_", and the clip's place in its video in order of time, from 0: the same clip has the same
  id in both files. Captions that several clips share stay: 77 of the 3,350 occur more than once.

Source: MIL-NCE_HowTo100M csv/validation_youcook.csv and the annotations as released, both parsed.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

from mcn.errors import UserError
from mcn.sources.annotation_tables import CAPTIONS
from mcn.sources.official import Account, Adapter, Split, csv_inputs
from mcn.sources.official_text import GET_AGAIN, csv_lines, identifier, number, read_json

PUBLISHED = {  # clips, videos, distinct captions
    "validation_clips": (3_350, 436, 3_273),
    "validation": (3_492, 457, None),
    "training": (10_337, 1_333, None),
}


class Segment(NamedTuple):
    """A captioned stretch of a video, in seconds; `line` is that of the CSV, None in the JSON."""

    video_id: str
    start: float
    end: float
    caption: str
    line: int | None

    @property
    def fault(self) -> str:
        """Why the segment cannot be used; empty where it can."""
        if not 0 <= self.start < self.end:
            return "a clip that ends before it begins"
        return "" if self.caption else "a clip without a caption"


class YouCook2(Adapter):
    """Reads the clips of one subset."""

    makes = csv_inputs("manifest", "captions")
    splits: ClassVar = {
        "validation_clips": Split((("validation_youcook.csv",),)),
        "validation": Split((("youcookii_annotations_trainval.json",),)),
        "training": Split((("youcookii_annotations_trainval.json",),)),
    }

    def read(self, account: Account) -> None:
        """Write manifest.csv and captions.csv."""
        path = self.file(0)
        clips = self.split == "validation_clips"
        videos: dict[str, list[Segment]] = {}
        for segment in _from_csv(path) if clips else _from_json(path, self.split):
            kept = videos.setdefault(segment.video_id, [])
            if segment.fault:
                item = f"{segment.video_id} {segment.start} to {segment.end} s"
                account.leave_out(path, segment.line, item, segment.fault)
            else:
                kept.append(segment)
        rows = [
            (f"{video_id}_{place:02d}", *segment[:4], "en")
            for video_id, found in videos.items()
            for place, segment in enumerate(sorted(found, key=lambda segment: segment[1:3]))
        ]
        account.write("captions.csv", CAPTIONS, rows)
        subset = "training" if self.split == "training" else "validation"
        account.write_manifest((video_id, subset, "") for video_id in videos)
        published = PUBLISHED[self.split]
        account.count("clips", len(rows), published[0])
        account.count("videos", len(videos), published[1])
        account.count("distinct captions", len({row[4] for row in rows}), published[2])


def _from_csv(path: Path) -> Iterator[Segment]:
    columns = ("video_id", "start", "end", "text")
    for line, (video_id, start, end, text) in csv_lines(path, columns, header=True):
        times = number(path, line, "start", start), number(path, line, "end", end)
        yield Segment(identifier(path, line, video_id), *times, " ".join(text.split()), line)


def _from_json(path: Path, subset: str) -> Iterator[Segment]:
    try:
        for video_id, video in read_json(path)["database"].items():
            if video["subset"] != subset:
                continue
            for annotation in video["annotations"]:
                start, end = map(float, annotation["segment"])
                caption = " ".join(str(annotation["sentence"]).split())
                yield Segment(identifier(path, 1, video_id), start, end, caption, None)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"{path}: {type(error).__name__}: {error}"
        wanted = '{"database": {video id: {"subset", "annotations": [{"segment", "sentence"}]}}}'
        raise UserError(got, wanted, GET_AGAIN) from error
