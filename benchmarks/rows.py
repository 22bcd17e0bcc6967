"""What `python -m benchmarks` measures on a processor, each row beside a plain formulation of the same work."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import imageio_ffmpeg
import numpy as np
import torch

from benchmarks import gpu_training
from benchmarks.gpu_extraction import made_network, ours, plain, write_shard
from benchmarks.gpu_sizes import WHOLE
from benchmarks.measuring import Figure, cpu_seconds, in_turn, spread
from mcn.evaluation.retrieval.metrics import places_from_embeddings
from mcn.features.extraction import Extractor, extract
from mcn.features.reading import batches_of
from mcn.features.runtime import Runtime
from mcn.media.decode import decode
from mcn.objectives.clustering import kmeans
from mcn.options.decode import DecodeOptions
from mcn.options.encoders import FRAMES_24FPS
from mcn.options.row import FRAMES_1FPS
from mcn.shards import FEATURE_SCHEMA, ShardReader, ShardWriter, feature_row
from mcn.shards.clips import pool
from mcn.shards.mapped import MappedFeatures

CPU = torch.device("cpu")


class Given(NamedTuple):
    """folder: scratch. videos: files that are decoded. whole: the sizes of the published work, else a part of it."""

    folder: Path
    videos: list[Path]
    whole: bool

    @property
    def clips(self) -> int:
        """Of a training step."""
        return 128 if self.whole else 8


def made_videos(folder: Path, seconds: int) -> list[Path]:
    """Two files that move and rustle, 360p and 720p, where no folder of real ones is given."""
    made = []
    for name, size in (("360p", "640x360"), ("720p", "1280x720")):
        source = f"testsrc2=size={size}:rate=25:duration={seconds},noise=alls=8:allf=t"
        made.append(folder / f"{name}.mp4")
        words = f"-y -v error -f lavfi -i {source} -c:v libx264 -preset veryfast {made[-1]}"
        subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), *words.split()], check=True)
    return made


def decoding(given: Given) -> list[Figure]:
    """Both rates of every video up to the network: decoded, stored and read back; the rival runs ffmpeg twice."""
    listed = given.folder / "list.csv"
    rows = [f"v{number},{path}," for number, path in enumerate(given.videos)]
    listed.write_text("\n".join(["video_id,path,sha256", *rows]) + "\n")
    outputs = [given.folder / name for name in ("1.parquet", "24.parquet")]
    seconds = 0.0

    def mine() -> None:
        nonlocal seconds
        decode(listed, [FRAMES_1FPS, FRAMES_24FPS], outputs, DecodeOptions())
        for path, frames in zip(outputs, (1, 16), strict=True):
            for _ in batches_of(ShardReader(path), frames, 64):
                pass
        reader = ShardReader(outputs[0])
        seconds = sum(filter(None, reader.column("length")))

    def rival() -> None:
        for path in given.videos:
            for filters in (
                "fps=1,scale='if(gt(iw,ih),-2,224)':'if(gt(iw,ih),224,-2)'",
                "fps=24,scale='if(gt(iw,ih),-2,112)':'if(gt(iw,ih),112,-2)',crop=112:112",
            ):
                words = ["-v", "error", "-i", str(path), "-vf", filters, "-f", "rawvideo"]
                command = [imageio_ffmpeg.get_ffmpeg_exe(), *words, "-pix_fmt", "rgb24", "-"]
                done = subprocess.run(command, check=True, capture_output=True)
                np.frombuffer(done.stdout, np.uint8).copy()

    taken = in_turn({"mine": mine, "rival": rival})
    stored = sum(path.stat().st_size for path in outputs) * 3600 / seconds / 1e9
    what = f"decode both rates up to the network, {seconds:.0f} s of video"
    note = f"rival: ffmpeg twice, nothing stored; {stored:.2f} GB an hour stored"
    return [_figure(what, "cpu-s", taken["mine"], taken["rival"], note=note)]


def feed(given: Given) -> list[Figure]:
    """Frames of 24 a second of 112 x 112 out of a shard, a core."""
    path = write_shard(
        given.folder / "f.parquet", WHOLE._replace(videos=2, seconds=60), 24, 112, 112
    )
    taken = in_turn({"mine": lambda: [None for _ in batches_of(ShardReader(path), 16, 64)]})["mine"]
    rates = [120 / one for one in taken]
    return [Figure("feed of frames", "x real time", median(rates), None, False, spread(rates), 500)]


def extraction(given: Given) -> list[Figure]:
    """Both visual features of a shard with random weights; the rival's way is that of the cited extractor."""
    figures, seconds = [], 16 if given.whole else 4
    for name, height, width, frames, _ in WHOLE.networks[:2]:
        sizes = WHOLE._replace(videos=1, seconds=seconds)
        shard = write_shard(
            given.folder / f"{name}.parquet", sizes, 24 if frames > 1 else 1, height, width
        )
        works: dict[str, Callable[[], None]] = {}
        shares: dict[str, float] = {}
        network = made_network(name)
        for precision in ("fp32", "bf16"):
            place = Runtime(CPU, precision, torch.get_num_threads())
            extractor, _ = ours(name, 4, frames, place)
            output = given.folder / f"{name}.{precision}.out"
            works[precision] = partial(_job, extractor, shard, output, shares, precision)
        with torch.inference_mode():
            works["rival"] = partial(plain, network, name, shard, frames, CPU)
            taken = in_turn(works)
        for precision in ("fp32", "bf16"):
            what = f"{name} {precision}, {seconds} s of video"
            note = f"network {100 * shares[precision]:.0f} % of the job's time"
            figures.append(_figure(what, "cpu-s", taken[precision], taken["rival"], note=note))
    return figures


def _job(
    extractor: Extractor, shard: Path, output: Path, shares: dict[str, float], name: str
) -> None:
    """Extract, and note the networks' share of the workers' time."""
    began = time.perf_counter()
    timing = extract(shard, output, extractor)
    shares[name] = timing.network / ((time.perf_counter() - began) * extractor.workers)


def reads(given: Given) -> list[Figure]:
    """32 clips of a video out of feature shards: the first read of a video, which is verified, and later ones."""
    random, path = np.random.default_rng(0), given.folder / "features.parquet"
    rows = 400
    with ShardWriter(path, FEATURE_SCHEMA, {"feature": "made"}) as shard:
        for number in range(64):
            shard.write(feature_row(f"v{number}", random.random((rows, 2048)), 0.0, 1.0))
    store = MappedFeatures([path])
    starts = random.integers(0, rows - 12, 32)

    def clips() -> None:
        for number in range(64):
            values = store[f"v{number}"].values
            assert values is not None
            for start in starts:
                pool(values, float(start), float(start) + 10, 1.0)

    def rival() -> None:
        for number in range(64):
            values = torch.from_numpy(kept[number]).float()
            for start in starts:
                torch.nn.functional.normalize(values[start : start + 11].max(dim=0).values, dim=0)

    kept = [np.array(store[f"v{number}"].values) for number in range(64)]
    store = MappedFeatures([path])
    began = cpu_seconds()
    clips()
    first = 1000 * (cpu_seconds() - began) / 64
    taken = {
        name: [1000 * one / 64 for one in found]
        for name, found in in_turn({"mine": clips, "rival": rival}).items()
    }
    note = "one stream of 2,048 numbers; rival: float32 in memory"
    return [
        Figure("32 clips of a video, first read", "cpu-ms", first, None, True, wanted=3),
        _figure(
            "32 clips of a video, later reads", "cpu-ms", taken["mine"], taken["rival"], 1, note
        ),
    ]


def opening(given: Given) -> list[Figure]:
    """Opening a set of feature shards, of which a video costs the same however many there are."""
    random, paths = np.random.default_rng(0), []
    for shard in range(3):
        paths.append(given.folder / f"open{shard}.parquet")
        with ShardWriter(paths[-1], FEATURE_SCHEMA, {"feature": "made"}) as writer:
            for number in range(1000):
                writer.write(feature_row(f"v{shard}_{number}", random.random((2, 8)), 0.0, 1.0))
    taken = [1200 * one for one in in_turn({"mine": lambda: MappedFeatures(paths)})["mine"]]
    note = "three streams of 1.2 million videos, from one of 3,000"
    return [_figure("opening a set", "cpu-s", taken, wanted=20, note=note)]


def steps(given: Given) -> list[Figure]:
    """A training step of MCN at the published widths."""
    sizes = WHOLE._replace(steps=1)
    options = gpu_training.experiment(given.clips, sizes)
    batch = gpu_training.made_batch(given.clips, 1000)
    figures = []
    for precision in ("fp32", "bf16"):
        arguments = (options, batch, precision, CPU, sizes)
        mine, _, _ = gpu_training.timed_steps(*arguments, clock=cpu_seconds)
        rival = gpu_training.plain_steps(*arguments, clock=cpu_seconds)
        figures.append(_figure(f"step of {given.clips} clips, {precision}", "cpu-s", mine, rival))
    return figures


def clustering(given: Given) -> list[Figure]:
    """An iteration of k-means."""
    sizes = WHOLE if given.whole else WHOLE._replace(points=1024)
    points = torch.randn(sizes.points, sizes.width, generator=torch.Generator().manual_seed(0))
    first, count = points[: sizes.clusters].clone(), 5
    taken = in_turn(
        {
            "mine": lambda: kmeans(
                points, len(first), init=first, max_iterations=count, tolerance=-1.0
            ),
            "rival": lambda: gpu_training.plain_kmeans(points, first, count),
        }
    )
    mine, rival = ([1000 * one / count for one in taken[name]] for name in ("mine", "rival"))
    what = f"k-means {sizes.points} x {sizes.width} x {sizes.clusters}, an iteration"
    return [_figure(what, "cpu-ms", mine, rival)]


def retrieval(given: Given) -> list[Figure]:
    """Ranks of queries among as many items, exact; the rival holds the whole matrix in float64."""
    count = 20_000 if given.whole else 4000
    random = np.random.default_rng(0)
    gallery = random.standard_normal((count, 512), np.float32)
    queries = gallery + 20 * random.standard_normal(gallery.shape, np.float32)
    taken = in_turn(
        {
            "mine": lambda: places_from_embeddings(queries, gallery),
            "rival": lambda: gpu_training.plain_ranks(queries, gallery, torch.float64, CPU),
        }
    )
    return [_figure(f"retrieval {count} x {count} x 512", "cpu-s", taken["mine"], taken["rival"])]


def memory(given: Given) -> list[Figure]:
    """Peak of an extraction job in a process of its own: 3D ResNeXt-101, fp32."""
    code = """
import resource, sys
from pathlib import Path
from benchmarks.gpu_extraction import ours, write_shard
from benchmarks.gpu_sizes import WHOLE
from mcn.features.extraction import Extractor, extract
from mcn.features.runtime import Runtime
import torch
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    shard = write_shard(folder / "m.parquet", WHOLE._replace(videos=1, seconds=3), 24, 112, 112)
    extract(shard, folder / "m.out", ours("resnext101", 4, 16, Runtime(torch.device("cpu"), "fp32", 2))[0])
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20)
"""
    words = [sys.executable, "-c", code, str(given.folder)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    peak = float(done.stdout.split()[-1])
    return [Figure("peak memory of an extraction job", "GiB", peak, None, True, wanted=1)]


def _figure(
    work: str,
    unit: str,
    mine: list[float],
    rival: list[float] | None = None,
    wanted: float | None = None,
    note: str = "",
) -> Figure:
    """Of what costs seconds."""
    other = None if rival is None else median(rival)
    return Figure(work, unit, median(mine), other, True, spread(mine), wanted, note)


ROWS = (decoding, feed, extraction, memory, reads, opening, steps, clustering, retrieval)
