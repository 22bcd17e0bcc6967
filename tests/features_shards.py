"""Small decoded shards for the tests of the feature stages."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from mcn.features.extraction import extract
from mcn.features.registry import make_extractor
from mcn.media.lossless import LosslessWriter
from mcn.shards import AUDIO_SCHEMA, FRAME_SCHEMA, ShardWriter, empty_row

STEP = 0.25


def pictures(count: int, height: int, width: int, seed: int = 0) -> np.ndarray:
    """Uint8 (count, height, width, 3): smooth coloured blobs, another picture for each frame."""
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (count, 4, 4, 3)).astype(np.float32)
    rows, columns = np.arange(height) * 4 // height, np.arange(width) * 4 // width
    noise = random.normal(0, 8, (count, height, width, 3))
    return np.clip(coarse[:, rows][:, :, columns] + noise, 0, 255).astype(np.uint8)


def encode_rgb(frames: Iterable[np.ndarray]) -> bytes:
    """The bytes of the lossless file of frames, each uint8 (H, W, 3)."""
    with tempfile.TemporaryDirectory() as folder:
        with LosslessWriter(Path(folder) / "frames") as writer:
            for frame in frames:
                writer.write(frame)
        return writer.files[0].read_bytes()


def frame_row(video_id: str, frames: np.ndarray, step_seconds: float = STEP) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "status": "ok",
        "error": "",
        "start_seconds": 1.5,
        "step_seconds": step_seconds,
        "length": len(frames),
        "height": frames.shape[1],
        "width": frames.shape[2],
        "video": encode_rgb(frames),
    }


def write_frames(path: Path, videos: dict[str, np.ndarray | None]) -> Path:
    """A frame shard; a video without frames is a failed row."""
    with ShardWriter(path, FRAME_SCHEMA, {"stream": "test"}) as shard:
        for video_id, frames in videos.items():
            if frames is None:
                shard.write(empty_row(FRAME_SCHEMA, video_id, "failed", "truncated: cut short"))
            else:
                shard.write(frame_row(video_id, frames))
    return path


def write_audio(path: Path, videos: dict[str, np.ndarray | None], rate: int = 16000) -> Path:
    """A sound shard, of samples at `rate` a second; a video without samples has no sound."""
    with ShardWriter(path, AUDIO_SCHEMA, {"stream": "test"}) as shard:
        for video_id, samples in videos.items():
            if samples is None:
                shard.write(empty_row(AUDIO_SCHEMA, video_id, "missing", "no_audio"))
                continue
            shard.write(
                {
                    "video_id": video_id,
                    "status": "ok",
                    "error": "",
                    "start_seconds": 0.5,
                    "sample_rate": rate,
                    "length": len(samples),
                    "samples": samples.astype("<f4").tobytes(),
                }
            )
    return path


def extract_feature(source, weights, output, row, runtime, threads=0, name="tried"):  # type: ignore[no-untyped-def]
    """Make the feature shard `output` of the shard `source` by the encoder of a row."""
    return extract(source, output, make_extractor(name, row, str(weights), runtime, threads))
