"""MSR-VTT: short clips of web videos, each in its own file, with one or with twenty captions; a data set for retrieval.

Conventions
-----------
- `jsfusion`: MSRVTT_JSFUSION_test.csv (header key,vid_key,video_id,sentence), the 1,000 clips and captions of zero-shot
  retrieval. `train_7k`, `train_9k`: a list (column video_id) and all captions that MSRVTT_data.json has of its clips.
- A clip is a whole file: its id is the id of the video, it begins at 0 s and ends at `end time` - `start time` of
  MSRVTT_data.json, which are times in the source video. Without that file, which jsfusion does not need, the end of a
  clip is left empty, which means the end of the video.
- A caption that a clip has twice is kept twice, as published.
- 32 of the 1,000 test clips have no sound; what that does to a score is `retrieval.missing_modality`.

Source: antoine77340/howto100m msrvtt_dataloader.py; the README of the data set for MSRVTT_data.json.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from mcn.errors import UserError
from mcn.sources.annotation_tables import CAPTIONS
from mcn.sources.official import Account, Adapter, Split, csv_inputs
from mcn.sources.official_text import GET_AGAIN, csv_lines, identifier, read_json

PUBLISHED_CLIPS = {"jsfusion": 1_000, "train_7k": 7_010, "train_9k": 9_000}
DATA = "MSRVTT_data.json"


class MSRVTT(Adapter):
    """Reads the clips of one list."""

    makes = csv_inputs("manifest", "captions")
    splits: ClassVar = {
        "jsfusion": Split((("MSRVTT_JSFUSION_test.csv",),), (DATA,)),
        "train_7k": Split((("MSRVTT_train.7k.csv", "MSRVTT_train.csv"), (DATA,))),
        "train_9k": Split((("MSRVTT_train.9k.csv", "MSRVTT_train.csv"), (DATA,))),
    }

    def read(self, account: Account) -> None:
        """Write manifest.csv and captions.csv."""
        path, data, test = self.file(0), self.folder / DATA, self.split == "jsfusion"
        durations, sentences = _read_data(data) if data.exists() else ({}, {})
        captions: dict[str, list[str]] = {}
        for line, video_id, sentence in _listed(path, test):
            if not test and video_id in captions:
                account.leave_out(path, line, video_id, "a clip that is listed twice")
                continue
            texts = [sentence] if test else sentences.get(video_id, [])
            if not texts:
                account.leave_out(path, line, video_id, "a clip without captions")
            for text in texts:
                if text.strip():
                    captions.setdefault(video_id, []).append(" ".join(text.split()))
                else:
                    account.leave_out(path, line, video_id, "an empty caption")
        rows = [
            (video_id, video_id, 0.0, durations.get(video_id, ""), text, "en")
            for video_id, texts in captions.items()
            for text in texts
        ]
        account.write("captions.csv", CAPTIONS, rows)
        account.write_manifest((one, "test" if test else "train", "") for one in captions)
        account.count("clips", len(captions), PUBLISHED_CLIPS[self.split])
        account.count("captions", len(rows), 1_000 if test else None)
        account.count("clips without a duration", len(set(captions) - set(durations)))


def _listed(path: Path, test: bool) -> list[tuple[int, str, str]]:
    """(line, video id, sentence) of every clip of a list; only the list of the test clips has sentences."""
    columns = ("video_id", "sentence") if test else ("video_id",)
    return [
        (line, identifier(path, line, video_id), "".join(sentence))
        for line, (video_id, *sentence) in csv_lines(path, columns, header=True)
    ]


def _read_data(path: Path) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Seconds and captions of every clip in MSRVTT_data.json."""
    data: Any = read_json(path)
    try:
        durations = {
            video["video_id"]: float(video["end time"]) - float(video["start time"])
            for video in data.get("videos", [])
        }
        sentences: dict[str, list[str]] = {}
        for sentence in data["sentences"]:
            sentences.setdefault(sentence["video_id"], []).append(str(sentence["caption"]))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        got = f"{path}: {type(error).__name__}: {error}"
        wanted = '{"videos": [{"video_id", "start time", "end time"}], "sentences": [{"video_id", "caption"}]}'
        raise UserError(got, wanted, GET_AGAIN) from error
    return {video_id: seconds for video_id, seconds in durations.items() if seconds > 0}, sentences
