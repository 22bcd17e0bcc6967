"""A decoder that hangs, crashes or eats memory costs one video of a shard, which is named with its code."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import mcn.media.decode
from mcn.media.decode import LocalVideo, decode, store_frames
from mcn.options.decode import DecodeOptions
from mcn.options.encoders import FRAMES_24FPS
from mcn.options.row import FRAMES_1FPS
from mcn.shards import ShardReader
from tests.media_files import make

LIMITS = DecodeOptions.model_validate({"time_limit_seconds": 4, "memory_limit_mb": 400})


def hang() -> None:
    while True:
        time.sleep(1)


def crash() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def eat() -> None:
    hoard = []
    while True:
        hoard.append(bytearray(b"\1" * 2**24))


def bad_decoder(fault: Callable[[], None], video: LocalVideo, *arguments: Any):  # type: ignore[no-untyped-def]
    """The real decoder but for the video `bad`."""
    if video.video_id == "bad":
        fault()
    return store_frames(video, *arguments)


def hanging(*arguments):  # type: ignore[no-untyped-def]
    return bad_decoder(hang, *arguments)


def crashing(*arguments):  # type: ignore[no-untyped-def]
    return bad_decoder(crash, *arguments)


def eating(*arguments):  # type: ignore[no-untyped-def]
    return bad_decoder(eat, *arguments)


@pytest.mark.parametrize(
    ("decoder", "code"), [(hanging, "timeout"), (crashing, "crashed"), (eating, "memory")]
)
def test_a_bad_decoder_costs_one_video(
    tmp_path: Path, monkeypatch, caplog, decoder, code: str
) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(mcn.media.decode, "store_frames", decoder)
    listed = tmp_path / "00000.csv"
    rows = [f"{video_id},{make('ten_frames.mp4')}," for video_id in ("before", "bad", "after")]
    listed.write_text("\n".join(["video_id,path,sha256", *rows]) + "\n")
    outputs = tmp_path / "1.parquet", tmp_path / "24.parquet"
    decode(listed, [FRAMES_1FPS, FRAMES_24FPS], outputs, LIMITS)
    for output in outputs:
        reader = ShardReader(output, "frames")
        assert reader.video_ids == ["before", "bad", "after"]
        assert reader.column("status") == ["ok", "failed", "ok"]
        assert reader.column("error")[1].startswith(f"{code}: ")
    assert "bad (" in caplog.text
