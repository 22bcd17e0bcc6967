"""Feed and extraction on a GPU: from decoded shards to features, whole jobs and networks alone."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import numpy as np
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.gpu_sizes import Sizes
from benchmarks.measuring import Figure, spread
from mcn.features import appearance, motion
from mcn.features.extraction import Extractor, FrameItems, extract
from mcn.features.frame_networks import Turn, frame_extractor
from mcn.features.reading import batches_of
from mcn.features.runtime import Runtime, repeatable
from mcn.features.weights import FOLDED, fold_batch_norms
from mcn.media.lossless import LosslessWriter
from mcn.networks import resnext101_3d
from mcn.options.encoders import TimmOptions, VideoNetworkOptions
from mcn.shards import FRAME_SCHEMA, FeatureStore, ShardReader, ShardWriter
from mcn.shards.parts import file_parts


def frames_like_videos(seconds: int, rate: int, height: int, width: int) -> Iterator[np.ndarray]:
    """Uint8 (H, W, 3): a picture that drifts, with a scene every five seconds and some noise of a sensor."""
    random = np.random.default_rng(0)
    noise = random.integers(0, 6, (16, height, width, 3), np.uint8)
    for number in range(seconds * rate):
        if number % (5 * rate) == 0:
            coarse = random.integers(0, 250, (9, 16, 3)).astype(np.uint8)
            rows = np.arange(2 * height) * 9 // (2 * height)
            columns = np.arange(2 * width) * 16 // (2 * width)
            scene = coarse[rows][:, columns]
        down, right = number % height // 2, number % width // 2
        yield scene[down : down + height, right : right + width] + noise[number % 16]


def write_shard(path: Path, sizes: Sizes, rate: int, height: int, width: int) -> Path:
    """A shard of `sizes.videos` equal videos."""
    with tempfile.TemporaryDirectory() as folder:
        with LosslessWriter(Path(folder) / "frames") as writer:
            for frame in frames_like_videos(sizes.seconds, rate, height, width):
                writer.write(frame)
        with ShardWriter(path, FRAME_SCHEMA, {"stream": "made"}) as shard:
            for number in range(sizes.videos):
                shard.write(
                    {
                        "video_id": f"video{number}",
                        "status": "ok",
                        "error": "",
                        "start_seconds": 0.0,
                        "step_seconds": 1 / rate,
                        "length": writer.length,
                        "height": height,
                        "width": width,
                        "video": file_parts(writer.files),
                    }
                )
    return path


def feed(device: torch.device, sizes: Sizes) -> list[Figure]:
    """Seconds of video a second that lie ready in page-locked memory: 24 frames a second of 112 x 112."""
    figures = []
    with tempfile.TemporaryDirectory() as folder:
        sizes = sizes._replace(videos=-(-sizes.videos // 2))
        path = write_shard(Path(folder) / "frames.parquet", sizes, 24, 112, 112)
        stored = path.stat().st_size / (sizes.videos * sizes.seconds * 24 * 112 * 112 * 3)
        for readers in sizes.readers:
            turn, rates = Turn(device), []
            for _ in range(2):
                began, clips = time.perf_counter(), 0
                for batch in batches_of(ShardReader(path, "frames"), 16, 64, readers):
                    filled = turn.memory((64, 16, 112, 112, 3))
                    for row, item in zip(filled, batch.items, strict=False):
                        row[: len(item)] = item
                    clips += len(batch.items)
                rates.append(clips * 16 / 24 / (time.perf_counter() - began))
            what = f"feed, {readers} reading threads"
            note = f"{100 * stored:.0f} % of the frames' bytes on disk"
            figures.append(
                Figure(what, "x real time", median(rates), spread=spread(rates), note=note)
            )
    return figures


def made_network(name: str) -> nn.Module:
    """A network with random weights, without classifier, on the processor."""
    torch.manual_seed(0)
    if name == "resnext101":
        network: nn.Module = resnext101_3d()
    else:
        network = timm.create_model(name, pretrained=False, num_classes=0)
    return network.eval().requires_grad_(False)


def folded_network(name: str) -> nn.Module:
    """As `mcn.features.weights` hands it over."""
    made = made_network(name)
    return fold_batch_norms(made) if name in FOLDED else made


def pixels_of(name: str, frames: Tensor) -> Tensor:
    """What the network is given, of uint8 (n, F, H, W, 3)."""
    if name == "resnext101":
        return motion.prepare(frames, VideoNetworkOptions())
    return appearance.prepare(frames, TimmOptions())


def ours(name: str, batch: int, frames: int, place: Runtime) -> tuple[Extractor, nn.Module]:
    """The extractor of a network as the package builds it, from random weights."""
    layout = torch.channels_last_3d if name == "resnext101" else torch.channels_last
    network = folded_network(name).to(place.device, place.dtype).to(memory_format=layout)

    def vectors(taken: Tensor) -> Tensor:
        return F.normalize(network(pixels_of(name, taken).to(place.dtype)).float(), dim=1)

    items = FrameItems(frames, batch)
    return frame_extractor(name, vectors, items, place, {"version": 1}, False), network


def plain(network: nn.Module, name: str, shard: Path, frames: int, device: torch.device) -> None:
    """The cited extractor's way: frames decoded by one thread, batches of 64 in float32, each waited for.

    As it, under PyTorch's defaults: convolutions of float32 on CUDA are TF32.
    """
    for batch in batches_of(ShardReader(shard, "frames"), frames, 64):
        items = [item for item in batch.items if len(item) == frames]
        for_network = torch.from_numpy(np.stack(items)).float().to(device)
        F.normalize(network(pixels_of(name, for_network)), dim=1).cpu().numpy()


def extraction(device: torch.device, sizes: Sizes) -> list[Figure]:
    """Items a second of whole jobs and of the networks alone, and how far bf16 is from fp32."""
    figures = []
    for name, height, width, frames, batch in sizes.networks:
        rate = 24 if frames > 1 else 1
        with tempfile.TemporaryDirectory() as folder:
            shard = write_shard(Path(folder) / "frames.parquet", sizes, rate, height, width)
            few = Path(folder) / "few.parquet"
            write_shard(few, sizes._replace(videos=1), rate, height, width)
            items = sizes.videos * -(-sizes.seconds * rate // frames)
            stores: dict[str, FeatureStore] = {}
            with torch.inference_mode():
                network = made_network(name).to(device)
                network(pixels_of(name, torch.zeros(64, frames, height, width, 3, device=device)))
                began = time.perf_counter()
                plain(network, name, shard, frames, device)
                rival = items / (time.perf_counter() - began)
            for precision, repeats in (("fp32", True), ("bf16", True), ("bf16", False)):
                threads = max(1, sizes.readers[-1] // 2)
                place = Runtime(device, precision, threads, repeatable=repeats)
                extractor, network = ours(name, batch, frames, place)
                shape = (batch, frames, height, width, 3)
                alone = rate_of_network(network, name, shape, place, sizes)
                output = Path(folder) / f"{precision}.parquet"
                extract(few, output, extractor)  # memory is taken, and networks are compiled
                with memory_of(device) as peak:
                    began = time.perf_counter()
                    extract(shard, output, extractor)
                    whole = items / (time.perf_counter() - began)
                stores[precision] = FeatureStore([output])
                note = f"network alone {alone:,.0f}, {100 * whole / alone:.0f} % of it{peak()}"
                if precision == "bf16":
                    note += f"; cosine to fp32 >= {least_cosine(stores):.4f}"
                what = f"{name} {precision}{'' if repeats else ', repeatable: false'}, whole job"
                figures.append(Figure(what, "items/s", whole, rival, note=note))
    return figures


def least_cosine(stores: dict[str, FeatureStore]) -> float:
    """The smallest cosine between rows in bf16 and in fp32."""
    both = [np.asarray(stores[one]["video0"].values, np.float64) for one in ("bf16", "fp32")]
    return float((both[0] * both[1]).sum(axis=1).min())


@contextmanager
def memory_of(device: torch.device) -> Iterator[Callable[[], str]]:
    """Tells the peak of the device's memory in words."""
    if device.type != "cuda":
        yield lambda: ""
        return
    torch.cuda.reset_peak_memory_stats(device)
    yield lambda: f"; {torch.cuda.max_memory_allocated(device) / 2**30:.1f} GiB"


def rate_of_network(
    network: Callable[[Tensor], Tensor],
    name: str,
    shape: tuple[int, ...],
    place: Runtime,
    sizes: Sizes,
) -> float:
    """Items a second where frames lie on the device already, as exactly as extraction computes."""
    frames = torch.randint(0, 256, shape, dtype=torch.uint8, device=place.device)
    with torch.inference_mode(), repeatable(place):
        return _rate(
            lambda: network(pixels_of(name, frames).to(place.dtype)), shape[0], place, sizes
        )


def _rate(work: Callable[[], Tensor], items: int, place: Runtime, sizes: Sizes) -> float:
    for _ in range(min(3, sizes.batches)):
        work()
    wait(place.device)
    began = time.perf_counter()
    for _ in range(sizes.batches):
        work()
    wait(place.device)
    return sizes.batches * items / (time.perf_counter() - began)


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def variants(device: torch.device, sizes: Sizes) -> list[Figure]:
    """The networks alone in bf16, as they are and otherwise: layout, autotuning, autocast, torch.compile."""
    figures = []
    place = Runtime(device, "bf16", 1)
    for name, height, width, frames, batch in sizes.networks:
        shape = (batch, frames, height, width, 3)
        _, network = ours(name, batch, frames, place)
        base = rate_of_network(network, name, shape, place, sizes)
        taken = torch.randint(0, 256, shape, dtype=torch.uint8, device=device)
        rows = made_network(name).to(device, place.dtype)
        layout = torch.channels_last_3d if frames > 1 else torch.channels_last
        folded = folded_network(name).to(device, place.dtype)

        def prepared(pixels: Tensor, network: nn.Module = folded) -> Tensor:
            return network(pixels.contiguous())

        tries: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
            "cuDNN autotuned": (network, True),
            "batch norms not folded": (
                made_network(name).to(device, place.dtype).to(memory_format=layout),
                False,
            ),
            "not folded, rows of pixels": (rows, False),
            "rows of pixels": (prepared, False),
        }
        if device.type == "cuda":
            tries["torch.compile"] = (torch.compile(network), False)
            tries["torch.compile, autotuned"] = (torch.compile(network), True)
        for words, (tried, tuned) in tries.items():

            def work(
                tried: Callable[[Tensor], Tensor] = tried, taken: Tensor = taken, name: str = name
            ) -> Tensor:
                return tried(pixels_of(name, taken).to(place.dtype))

            flags = {"benchmark": tuned, "deterministic": not tuned, "allow_tf32": False}
            with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, **flags):
                rate = _rate(work, batch, place, sizes)
            what = f"{name} bf16: {words}"
            figures.append(Figure(what, "items/s", rate, base, note="rival: as it is"))
    return figures
