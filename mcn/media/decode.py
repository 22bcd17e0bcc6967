"""Decode the videos of a shard: RGB frames at any number of rates in one pass, or mono sound.

Conventions
-----------
- Input: the shard's csv with the columns video_id, path and optionally sha256 (hexadecimal, may be empty).
- Output: one row a video in the csv's order, in shards of `FRAME_SCHEMA` and `AUDIO_SCHEMA`. Row 0 of every stream
  is at container start. `missing`: the file has no such stream; `failed`: it has one that cannot be used whole.
- Policy: all or nothing for each stream. What is cut short, damaged (beyond `tolerated_errors`), too slow or too large
  fails under its code; nothing is shortened, zeroed or skipped in silence. A failure never stops the run. What is
  worth knowing of a stream that is ok stands in its row (`mcn.media.remarks`).
- A video at an address is fetched first (`mcn.media.remote`), and fails under its code where it does not come.
- Each video is decoded in a child process under limits of time and memory (`mcn.media.isolation`). Its results come
  back through files in the folder for temporary files (TMPDIR), which are mapped: memory holds a part of a video's
  compressed frames at most (`mcn.shards.parts`), whatever its length.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pyarrow as pa
import soxr
from tqdm import tqdm

from mcn.errors import UserError, VideoError
from mcn.files import scratch_folder
from mcn.media.address import Place, place_of
from mcn.media.audio import GAP_SECONDS, QUALITY, mono_samples
from mcn.media.files import require_sha256
from mcn.media.frames import rgb_frames
from mcn.media.isolation import Team, Worker
from mcn.media.lines import require_lines
from mcn.media.lossless import LosslessWriter
from mcn.media.probe import declared_seconds
from mcn.media.remarks import Remarks
from mcn.media.remote import Downloads
from mcn.options.decode import DecodeOptions, FrameOptions, SoundOptions
from mcn.shards import AUDIO_SCHEMA, FRAME_SCHEMA, ShardWriter, empty_row
from mcn.shards.origin import list_digest
from mcn.shards.parts import cut_file, file_parts

log = logging.getLogger(__name__)

FRAMES_VERSION = 1  # raise when the code changes the frames
AUDIO_VERSION = 1  # raise when the code changes the samples

_MISSING = ("no_video_stream", "no_audio")
_LONGEST_SECONDS = 24 * 3600.0  # a longer declared duration buys no more time


@dataclass(frozen=True)
class ListedVideo:
    """One row of a shard's csv."""

    video_id: str
    place: Place
    sha256: str


@dataclass(frozen=True)
class LocalVideo:
    """A listed video whose file is at hand."""

    video_id: str
    path: Path
    sha256: str


Stream = FrameOptions | SoundOptions
_Decode = Callable[[Worker, LocalVideo, Path], list[dict[str, Any]]]  # -> one row a stream


def decode(
    shard_csv: Path,
    streams: Sequence[Stream],
    outputs: Sequence[Path],
    options: DecodeOptions,
    downloads: Downloads | None = None,
    threads: int = 1,
) -> None:
    """Write the shards of one shard list: any number of streams of frames in one pass a video, or one of sound.

    threads: videos that are decoded side by side, each on one core; rows are the same for any number.
    Errors: `UserError` for a shard list that does not parse, streams that no pass can give, or a full disk. Videos
    fail by row.
    """
    frames = [stream for stream in streams if isinstance(stream, FrameOptions)]
    sounds = [stream for stream in streams if isinstance(stream, SoundOptions)]
    if len(outputs) != len(streams) or bool(frames) == bool(sounds) or len(sounds) > 1:
        got = f"{len(frames)} streams of frames, {len(sounds)} of sound and {len(outputs)} outputs"
        wanted = "streams of frames, or one of sound, and an output for each"
        raise UserError(got, wanted, "see mcn decode --help")

    def decode_frames(worker: Worker, video: LocalVideo, scratch: Path) -> list[dict[str, Any]]:
        targets = [scratch / stream.stream for stream in frames]
        limit = _time_limit(worker, video.path, options)
        job = (store_frames, video, frames, options, targets)
        files, shapes, remarks = worker.run(*job, seconds=limit)
        return [
            _frame_row(video.video_id, stream, shape, remarks, stored)
            for stream, shape, stored in zip(frames, shapes, files, strict=True)
        ]

    def decode_sound(worker: Worker, video: LocalVideo, scratch: Path) -> list[dict[str, Any]]:
        target, rate = scratch / "samples", sounds[0].sample_rate
        limit = _time_limit(worker, video.path, options)
        job = (store_samples, video, rate, options, target)
        length, remarks = worker.run(*job, seconds=limit)
        return [_audio_row(video.video_id, rate, length, remarks, target)]

    recipes = [stream_recipe(stream, options) for stream in streams]
    job = decode_frames if frames else decode_sound
    _decode_shard(shard_csv, outputs, recipes, options, job, downloads or Downloads(), threads)


def stream_recipe(stream: Stream, options: DecodeOptions) -> dict[str, Any]:
    """Everything that changes the frames or the samples of a stream."""
    if isinstance(stream, FrameOptions):
        return frames_recipe(stream, options)
    return audio_recipe(stream, options)


def frames_recipe(rate: FrameOptions, options: DecodeOptions) -> dict[str, Any]:
    """Everything that changes the frames."""
    return {
        "stage": "decode_frames",
        "version": FRAMES_VERSION,
        **rate.model_dump(),
        "scaling": "bicubic",
        "tolerated_errors": options.tolerated_errors,
        "libraries": _ffmpeg_versions(),
    }


def audio_recipe(sound: SoundOptions, options: DecodeOptions) -> dict[str, Any]:
    """Everything that changes the samples."""
    return {
        "stage": "decode_audio",
        "version": AUDIO_VERSION,
        "sample_rate": sound.sample_rate,
        "channels": "mean",
        "resampler": f"soxr {QUALITY}",
        "gap_seconds": GAP_SECONDS,
        "tolerated_errors": options.tolerated_errors,
        "libraries": {**_ffmpeg_versions(), "soxr": soxr.__version__},
    }


def _ffmpeg_versions() -> dict[str, str]:
    parts = ("libavcodec", "libavformat", "libavfilter", "libswscale")
    numbers = {name: ".".join(map(str, av.library_versions[name])) for name in parts}
    return {"av": av.__version__, **numbers}


def read_shard_list(path: Path) -> list[ListedVideo]:
    """The rows of a shard's csv. Errors: `UserError` where it is no such list."""
    wanted = "a csv with the columns video_id,path[,sha256], as `mcn partition` writes"
    try:
        require_lines(path)
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: {error}", wanted, "make it: mcn partition --help") from error
    for line, row in enumerate(rows, start=1):
        if not row.get("video_id") or not row.get("path"):
            raise UserError(f"{path}: row {line} is {row}", wanted, "make it: mcn partition --help")
    return [ListedVideo(r["video_id"], place_of(r["path"]), r.get("sha256") or "") for r in rows]


def store_frames(
    video: LocalVideo,
    rates: Sequence[FrameOptions],
    options: DecodeOptions,
    targets: Sequence[Path],
) -> tuple[list[list[Path]], list[tuple[int, int, int]], str]:
    """Decode one video into lossless files, for each rate: these, (length, height, width), and remarks on all.

    Errors: `VideoError`.
    """
    require_sha256(video.path, video.sha256)
    remarks = Remarks()
    with contextlib.ExitStack() as stack:
        writers = [stack.enter_context(LosslessWriter(target)) for target in targets]
        for index, frame in rgb_frames(video.path, rates, options.tolerated_errors, remarks):
            writers[index].write(frame)
    shapes = [(writer.length, writer.height, writer.width) for writer in writers]
    return [writer.files for writer in writers], shapes, str(remarks)


def store_samples(
    video: LocalVideo, sample_rate: int, options: DecodeOptions, target: Path
) -> tuple[int, str]:
    """Decode one video's sound into a file of float32 little-endian samples; their number, and remarks.

    Errors: `VideoError`.
    """
    require_sha256(video.path, video.sha256)
    remarks = Remarks()
    length = 0
    with open(target, "wb") as file:
        for chunk in mono_samples(video.path, sample_rate, options.tolerated_errors, remarks):
            file.write(np.ascontiguousarray(chunk, "<f4").data)
            length += len(chunk)
    if length == 0:
        raise VideoError("no_frames", "the sound lies wholly before container start")
    return length, str(remarks)


def _decode_shard(
    shard_csv: Path,
    outputs: Sequence[Path],
    recipes: Sequence[dict[str, Any]],
    options: DecodeOptions,
    decode: _Decode,
    downloads: Downloads,
    threads: int,
) -> None:
    schema = FRAME_SCHEMA if recipes[0]["stage"] == "decode_frames" else AUDIO_SCHEMA
    videos, inputs = read_shard_list(shard_csv), list_digest(shard_csv)
    tally: Counter[str] = Counter()
    with contextlib.ExitStack() as stack:
        writers = [
            stack.enter_context(ShardWriter(path, schema, recipe, inputs=inputs))
            for path, recipe in zip(outputs, recipes, strict=True)
        ]
        scratch = stack.enter_context(scratch_folder("mcn-decode"))
        team = stack.enter_context(Team(threads, options.memory_limit_mb))

        def decoded(worker: Worker, number: int) -> list[dict[str, Any]]:
            video, own = videos[number], scratch / str(number)
            own.mkdir()
            try:
                with downloads.at_hand(video.place, video.sha256) as path:
                    return decode(worker, LocalVideo(video.video_id, path, video.sha256), own)
            except VideoError as error:
                return [_unusable(schema, video, error)] * len(writers)

        found = team.map(decoded, range(len(videos)))
        shown = tqdm(found, f"decode {shard_csv.stem}", len(videos), unit="video", disable=None)
        for number, rows in enumerate(shown):
            for writer, row in zip(writers, rows, strict=True):
                writer.write(row)
            tally[_outcome(rows[0])] += 1
            shutil.rmtree(scratch / str(number))
    counts = ", ".join(f"{count} {outcome}" for outcome, count in sorted(tally.items()))
    log.info("%s: %d videos: %s", shard_csv, len(videos), counts or "none")


def _unusable(schema: pa.Schema, video: ListedVideo, error: VideoError) -> dict[str, Any]:
    """The row of a video without this stream, or with one that cannot be used whole."""
    status = "missing" if error.code in _MISSING else "failed"
    level = logging.INFO if status == "missing" else logging.WARNING
    log.log(level, "%s (%s): %s, %s", video.video_id, video.place, status, error)
    return empty_row(schema, video.video_id, status, str(error))


def _outcome(row: dict[str, Any]) -> str:
    """ "ok", "failed (truncated)" and the like, for the tally."""
    return "ok" if row["status"] == "ok" else f"{row['status']} ({row['error'].split(':')[0]})"


def _time_limit(worker: Worker, path: Path, options: DecodeOptions) -> float:
    """Wall-clock seconds granted to a video; opening it alone has the limit of an empty one."""
    seconds = worker.run(declared_seconds, path, seconds=options.time_limit_seconds)
    allowed = options.time_limit_per_second * min(seconds, _LONGEST_SECONDS)
    return options.time_limit_seconds + allowed


def _frame_row(
    video_id: str,
    rate: FrameOptions,
    shape: tuple[int, int, int],
    remarks: str,
    stored: Sequence[Path],
) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "status": "ok",
        "error": remarks,
        "start_seconds": 0.0,
        "step_seconds": float(1 / Fraction(rate.frames_per_second).limit_denominator(1001)),
        "length": shape[0],
        "height": shape[1],
        "width": shape[2],
        "video": file_parts(stored),
    }


def _audio_row(
    video_id: str, sample_rate: int, length: int, remarks: str, stored: Path
) -> dict[str, Any]:
    return {
        "video_id": video_id,
        "status": "ok",
        "error": remarks,
        "start_seconds": 0.0,
        "sample_rate": sample_rate,
        "length": length,
        "samples": cut_file(stored),
    }
