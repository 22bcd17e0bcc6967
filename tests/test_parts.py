"""Blobs in parts: what is long is written and read a part at a time, and nothing else changes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import mcn.media.decode
import mcn.media.isolation
import mcn.shards.parts
from mcn.errors import DamagedShard
from mcn.features.reading import batches_of, whole_videos
from mcn.media.decode import decode
from mcn.media.lossless import LosslessWriter, decode_rgb
from mcn.options.decode import DecodeOptions, FrameOptions, SoundOptions
from mcn.shards import ShardReader
from mcn.shards.parts import Parts, Samples, layout_metadata, row_groups
from mcn.upkeep.retry import merge
from tests.media_files import make, run_ffmpeg

FAST, SOUND = FrameOptions(frames_per_second=24, short_side=32), SoundOptions(sample_rate=16000)
SMALL = 1 << 15  # bytes a part


def small_writer(target: Path) -> LosslessWriter:
    return LosslessWriter(target, SMALL)


def store(folder: Path, name: str) -> tuple[Path, Path]:
    listed = folder / "list.csv"
    rows = [f"{video},{make(file)}," for video, file in VIDEOS.items()]
    listed.write_text("\n".join(["video_id,path,sha256", *rows]) + "\n")
    frames, sound = folder / f"{name}.frames.parquet", folder / f"{name}.sound.parquet"
    decode(listed, [FAST], [frames], DecodeOptions())
    decode(listed, [SOUND], [sound], DecodeOptions())
    return frames, sound


VIDEOS = {"long": "plain.mp4", "bad": "text.mp4", "short": "long_audio.mp4"}


class InProcess:
    """Runs jobs here, where `small_writer` is known."""

    def __init__(self, memory_limit_mb: int) -> None:
        pass

    def close(self) -> None:
        pass

    def run(self, function, *arguments, seconds: float):  # type: ignore[no-untyped-def]
        return function(*arguments)


@pytest.fixture
def both(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Path], list[Path]]:
    """Shards of frames and of sound in one part a video, and in parts of `SMALL` bytes."""
    monkeypatch.setattr(mcn.media.isolation, "Worker", InProcess)
    whole = store(tmp_path, "whole")
    monkeypatch.setattr(mcn.shards.parts, "PART_BYTES", SMALL)
    monkeypatch.setattr(mcn.media.decode, "LosslessWriter", small_writer)
    return list(whole), list(store(tmp_path, "parts"))


def test_parts_hold_what_one_blob_holds(both: tuple[list[Path], list[Path]]) -> None:
    (whole, heard), (parts, heard_in_parts) = both
    one, many = ShardReader(whole), ShardReader(parts)
    assert many.video_ids == list(VIDEOS)
    assert many.column("status") == ["ok", "failed", "ok"]
    assert len(many) == len(one) == 3
    assert many._file.num_row_groups > 3
    for ours, theirs in zip(many, one, strict=True):
        if ours["status"] == "ok":
            frames = [np.concatenate(list(decode_rgb(row["video"], 5))) for row in (ours, theirs)]
            assert np.array_equal(*frames)
            assert len(frames[0]) == ours["length"] == theirs["length"]
    assert isinstance(many.read(0)["video"], Parts)
    sounds = [list(whole_videos(ShardReader(path))) for path in (heard, heard_in_parts)]
    for ours, theirs in zip(*sounds, strict=True):
        for mine, yours in zip(ours.items, theirs.items, strict=True):
            assert np.array_equal(mine, yours)


def test_items_of_a_network_cross_the_borders_of_parts(both: tuple[list[Path], list[Path]]) -> None:
    items = [
        [item for batch in batches_of(ShardReader(path), 16, 4) for item in batch.items]
        for path in (both[0][0], both[1][0])
    ]
    assert len(items[0]) == len(items[1])
    assert all(np.array_equal(mine, theirs) for mine, theirs in zip(*items, strict=True))


def test_slices_of_samples_cross_the_borders_of_parts() -> None:
    values = np.arange(1000, dtype="<f4")
    cuts = [0, 1, 1, 400, 999, 1000]
    pieces = [values[cuts[i] : cuts[i + 1]].tobytes() for i in range(len(cuts) - 1)]
    samples = Samples(Parts(len(pieces), lambda number: pa.py_buffer(pieces[number])))
    assert len(samples) == 1000
    assert samples.finite
    for wanted in (slice(0, 1000), slice(0, 1), slice(1, 400), slice(399, 1000), slice(990, 2000)):
        assert np.array_equal(samples[wanted], values[wanted])
    assert len(samples[1000:]) == len(samples[5:5]) == 0
    assert np.array_equal(np.asarray(samples), values)
    pieces[3] = np.full(3, np.inf, "<f4").tobytes()
    assert not Samples(Parts(len(pieces), lambda number: pa.py_buffer(pieces[number]))).finite


def test_parts_are_merged(both: tuple[list[Path], list[Path]]) -> None:
    before = both[1][0].read_bytes()
    merge(both[1][0], both[1][0])
    assert both[1][0].read_bytes() == before
    merge(both[1][0], both[0][0])
    reader = ShardReader(both[1][0])
    assert not isinstance(reader.read(0)["video"], Parts)


def test_a_list_of_parts_that_does_not_fit_is_damage(
    both: tuple[list[Path], list[Path]],
) -> None:
    metadata = layout_metadata({0: 3, 2: 2})
    assert row_groups(metadata, 6) == [range(3), range(3, 4), range(4, 6)]
    assert row_groups({}, 6) is None
    with pytest.raises(ValueError, match="6 row groups"):
        row_groups(layout_metadata({0: 8}), 6)
    data = both[1][0].read_bytes()
    key = b"mcn.parts.again"
    both[1][0].write_bytes(data.replace(key, b"mcn.parts.agaIn"))
    with pytest.raises(DamagedShard, match="lists of parts differ"):
        ShardReader(both[1][0])
    both[1][0].write_bytes(data.replace(b"mcn.parts", b"mcn.pArts"))
    with pytest.raises(DamagedShard, match="part of another video"):
        list(ShardReader(both[1][0]))


LONG_HOURS = 5
# Jobs of a five-hour video. Each prints its peak in KiB at its end; the process that runs the tests is larger.
DECODE = """
names = [folder / name for name in ("1.parquet", "24.parquet")]
decode(folder / "list.csv", [FRAMES_1FPS, FRAMES_24FPS], names, DecodeOptions())
"""
READ = """
print(sum(len(item) for batch in batches_of(ShardReader(folder / "24.parquet"), 16, 8) for item in batch.items))
"""
HEAR = """
decode(folder / "list.csv", [SoundOptions(sample_rate=16000)], [folder / "sound.parquet"], DecodeOptions())
"""
LISTEN = """
extractor = make_extractor("logmel", LogMelOptions(reference="REFERENCE"), "", RuntimeOptions(), 1)
extract(folder / "sound.parquet", folder / "mel.parquet", extractor)
"""
JOB = """
import resource
import sys
from pathlib import Path
from mcn.features.extraction import extract
from mcn.features.reading import batches_of
from mcn.features.registry import make_extractor
from mcn.media.decode import decode
from mcn.options.decode import DecodeOptions, SoundOptions
from mcn.options.encoders import FRAMES_24FPS, LogMelOptions
from mcn.options.features import RuntimeOptions
from mcn.options.row import FRAMES_1FPS
from mcn.shards import ShardReader
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    exec(sys.argv[2])
    (own,) = (line for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    print(max(int(own.split()[1]), resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
"""


@pytest.mark.slow
def test_a_video_of_hours_takes_a_gigabyte_at_most(tmp_path: Path) -> None:
    """Decoding, and reading as extractors do, at 1 and 24 frames a second; sound to log-mels."""
    seconds = 3600 * LONG_HOURS
    clip, long = tmp_path / "clip.mp4", tmp_path / "long.mp4"
    source = "-f lavfi -i testsrc2=size=128x112:rate=24:duration=60"
    sine = "-f lavfi -i sine=duration=60"
    run_ffmpeg(f"{source} {sine} -c:v libx264 -preset ultrafast -c:a aac {clip}".split())
    command = f"-stream_loop {seconds // 60 - 1} -i {clip} -c copy {long}"
    run_ffmpeg(command.split())
    (tmp_path / "list.csv").write_text(f"video_id,path,sha256\nlong,{long},\n")
    script = tmp_path / "job.py"
    script.write_text(JOB)
    printed = []
    listening = [LISTEN.replace("REFERENCE", one) for one in ("video", "clip")]
    for work in (DECODE, READ, HEAR, *listening):
        words = [sys.executable, str(script), str(tmp_path), work]
        done = subprocess.run(words, check=True, capture_output=True, text=True)
        printed += done.stdout.split()
    assert len(printed) == 6
    frames = int(printed.pop(1))
    # every repetition begins after the sound of the one before, which AAC's padding makes a block of 1024 longer
    lasts = seconds + seconds / 60 * 1024 / 44_100
    assert abs(frames - 24 * lasts) < 24
    assert max(map(int, printed)) < 1_000_000, printed
