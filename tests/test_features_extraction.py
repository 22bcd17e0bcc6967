"""The runner, with small networks in the place of the large ones."""

import logging
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from torch._dynamo.testing import CompileCounter

from mcn.errors import DamagedShard, UserError
from mcn.features.extraction import FrameItems, extract
from mcn.features.frame_networks import Compiled, frame_extractor
from mcn.features.parallel import ReadAhead, Timing, in_order
from mcn.features.reading import batches_of
from mcn.features.runtime import resolve
from mcn.options.features import RuntimeOptions
from mcn.shards import FRAME_SCHEMA, ShardReader, ShardWriter, feature_sequence
from tests.features_shards import STEP, frame_row, pictures, write_frames

VIDEOS = {
    "a": pictures(5, 16, 24, 1),
    "broken": None,
    "b": pictures(1, 16, 24, 2),
    "other_size": pictures(3, 24, 16, 3),
    "c": pictures(9, 16, 24, 4),
}


def network(frames: torch.Tensor) -> torch.Tensor:
    """Mean and spread of each colour: (n, F, H, W, 3) -> (n, 6)."""
    pixels = frames.float()
    return torch.cat([pixels.mean(dim=(1, 2, 3)), pixels.std(dim=(1, 2, 3))], dim=1)


def extractor(frames_per_item=1, batch_size=4, threads=2, compute=network):
    runtime = resolve(RuntimeOptions(device="cpu"), threads)
    items = FrameItems(frames_per_item, batch_size)
    return frame_extractor("tiny", compute, items, runtime, {"version": 1})


def read(path):
    return {row["video_id"]: feature_sequence(row) for row in ShardReader(path, "features")}


@pytest.mark.parametrize("frames_per_item", [1, 4])
def test_rows_equal_a_plain_loop(tmp_path, frames_per_item):
    source = write_frames(tmp_path / "frames.parquet", VIDEOS)
    extract(source, tmp_path / "out.parquet", extractor(frames_per_item))
    found = read(tmp_path / "out.parquet")
    assert list(found) == list(VIDEOS)
    assert found["broken"].error == "truncated: cut short"
    for video_id, frames in VIDEOS.items():
        if frames is None:
            continue
        missing = -len(frames) % frames_per_item
        filled = np.pad(frames, [(0, missing), (0, 0), (0, 0), (0, 0)])
        items = filled.reshape(-1, frames_per_item, *frames.shape[1:])
        expected = np.concatenate([network(torch.from_numpy(item[None])).numpy() for item in items])
        np.testing.assert_allclose(found[video_id].values, expected, rtol=2e-3)
        assert found[video_id].start_seconds == 1.5
        assert found[video_id].step_seconds == STEP * frames_per_item


@pytest.mark.parametrize("threads", [1, 3])
def test_same_bytes_whatever_the_threads(tmp_path, threads):
    source = write_frames(tmp_path / "frames.parquet", VIDEOS)
    extract(source, tmp_path / "one.parquet", extractor(threads=2))
    extract(source, tmp_path / "other.parquet", extractor(threads=threads))
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "other.parquet").read_bytes()


def test_every_batch_has_the_same_size_and_one_frame_size(tmp_path):
    sizes = []

    def compute(frames):
        sizes.append(tuple(frames.shape))
        return network(frames)

    source = write_frames(tmp_path / "frames.parquet", VIDEOS)
    extract(source, tmp_path / "out.parquet", extractor(threads=1, compute=compute))
    wide, tall = (4, 1, 16, 24, 3), (4, 1, 24, 16, 3)
    # a and b fill two batches together; c begins a new one because of the other size between
    assert sizes == [wide, wide, tall, wide, wide, wide]


def test_shard_without_a_usable_video(tmp_path):
    source = write_frames(tmp_path / "frames.parquet", {"x": None, "y": None})
    extract(source, tmp_path / "out.parquet", extractor())
    assert [one.status for one in read(tmp_path / "out.parquet").values()] == ["failed", "failed"]
    empty = write_frames(tmp_path / "empty.parquet", {})
    extract(empty, tmp_path / "none.parquet", extractor())
    assert len(ShardReader(tmp_path / "none.parquet")) == 0


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -1.0])
def test_bad_features_stop_the_run_and_leave_no_file(tmp_path, bad):
    source = write_frames(tmp_path / "frames.parquet", VIDEOS)
    with pytest.raises(UserError, match="a: tiny gives"):
        extract(
            source,
            tmp_path / "out.parquet",
            extractor(compute=lambda frames: torch.full((len(frames), 6), bad)),
        )
    assert [path.name for path in tmp_path.iterdir()] == ["frames.parquet"]
    assert not [thread for thread in threading.enumerate() if thread.name == "read-ahead"]


@pytest.mark.parametrize("change", [{"length": 7}, {"video": b"no video at all"}])
def test_damaged_frames_are_named(tmp_path, change):
    with ShardWriter(tmp_path / "frames.parquet", FRAME_SCHEMA, {}) as shard:
        shard.write({**frame_row("a", VIDEOS["a"]), **change})
    with pytest.raises(DamagedShard, match=r"frames\.parquet"):
        extract(tmp_path / "frames.parquet", tmp_path / "out.parquet", extractor())


def test_report_says_where_the_time_went(tmp_path, caplog):
    def slow(frames):
        time.sleep(0.05)
        return network(frames)

    source = write_frames(tmp_path / "frames.parquet", VIDEOS)
    with caplog.at_level(logging.INFO):
        timing = extract(source, tmp_path / "out.parquet", extractor(threads=1, compute=slow))
    assert timing.vectors == 18
    assert timing.media_seconds == 18 * STEP
    assert 0.3 <= timing.network < 1.5
    assert "tiny: 18 vectors" in caplog.text


def test_reading_stays_a_bounded_number_of_batches_ahead(tmp_path):
    source = write_frames(tmp_path / "frames.parquet", VIDEOS)
    made = []

    def counted():
        for batch in batches_of(ShardReader(source), 1, 1):
            made.append(batch)
            yield batch

    ahead = ReadAhead(counted(), 2)
    next(ahead)
    time.sleep(0.3)
    assert len(made) <= 4  # one taken, two waiting, one that waits for room
    ahead.close()


def test_errors_of_the_reader_and_the_workers_come_through():
    def fail(_=None):
        raise OSError("gone")
        yield

    with pytest.raises(OSError, match="gone"):
        list(ReadAhead(fail(), 2))
    with pytest.raises(ZeroDivisionError):
        list(in_order(iter([1, 0]), lambda n: 1 / n, 2, Timing()))


def test_results_keep_their_order():
    delays = [0.05, 0.0, 0.02, 0.0]
    results = in_order(iter(delays), partial(lambda d: (time.sleep(d), d)[1]), 3, Timing())
    assert [result for _, result in results] == delays


@pytest.mark.parametrize("readers", [2, 5])
def test_several_readers_give_the_same_batches(tmp_path: Path, readers: int) -> None:
    """Videos that are decoded side by side come in their order, and what is damaged is told."""
    videos = {f"v{n}": pictures(5 + 3 * n, 16, 20 + 4 * (n // 3), n) for n in range(7)}
    source = write_frames(
        tmp_path / "frames.parquet", {**videos, "bad": None, "last": pictures(3, 16, 20)}
    )
    alone = list(batches_of(ShardReader(source), 2, 3))
    together = list(batches_of(ShardReader(source), 2, 3, readers))
    assert len(alone) == len(together)
    for ours, theirs in zip(together, alone, strict=True):
        assert ours.parts == theirs.parts
        assert all(np.array_equal(*both) for both in zip(ours.items, theirs.items, strict=True))
    before = threading.active_count()
    batches = batches_of(ShardReader(source), 2, 3, readers)
    next(batches)
    batches.close()
    assert threading.active_count() == before
    monkey = frame_row("v", videos["v0"]) | {"length": 99}
    with ShardWriter(source, FRAME_SCHEMA, {"stream": "test"}) as shard:
        shard.write(monkey)
    with pytest.raises(DamagedShard, match="5 frames of 99"):
        list(batches_of(ShardReader(source), 2, 3, readers))


@pytest.mark.parametrize("compiles", [True, False])
def test_networks_are_compiled_once_for_all_workers(
    tmp_path: Path,
    compiles: bool,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The compiler's part is counted, not done: it takes a C compiler. What cannot be compiled runs as it is."""
    counter = CompileCounter()

    def backend(*given):  # type: ignore[no-untyped-def]
        if not compiles:
            raise RuntimeError("no compiler")
        return counter(*given)

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    torch._dynamo.reset()
    videos = {f"v{n}": pictures(9, 16, 24, n) for n in range(4)}
    source = write_frames(tmp_path / "frames.parquet", videos)
    runtime = resolve(RuntimeOptions(device="cpu"), 3)
    found = {}
    for name, function in (("ours", Compiled(network)), ("plain", network)):
        extractor = frame_extractor("tried", function, FrameItems(1, 2), runtime, {})
        extract(source, tmp_path / name, extractor)
        found[name] = [row["features"] for row in ShardReader(tmp_path / name)]
    assert found["ours"] == found["plain"]
    assert counter.frame_count == compiles
    assert ("not compiled: " in caplog.text) != compiles
