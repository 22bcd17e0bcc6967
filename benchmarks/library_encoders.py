"""What extraction costs beyond the bare network, and what memory it takes: models of timm and transformers.

    python benchmarks/library_encoders.py [--library timm] [--seconds 60] [--rates 1 4] [--rounds 3] [--device cpu]
    python benchmarks/library_encoders.py --memory test_vit --frames 60 600 6000
    python benchmarks/library_encoders.py --memory vit_so400m_patch14_siglip_224 --frames 8 --precision bf16

Networks have random weights, which cost what trained ones do. Time, of a ViT-S/16. Bare: the forward passes alone, on
pixels that are ready, in batches of the same size. Whole: `mcn.features.extraction.extract` from the shard to the
feature shard, with decoding of the lossless frames, the library's transforms and writing. Both are measured in turn,
and the medians count; seconds of the processor stand beside those of the clock, since other programs disturb them less.
Memory, of any picture network of timm: the most that one job `mcn extract` holds, for videos of several lengths.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import timm
import torch

from benchmarks.measuring import in_turn
from mcn.features.extraction import extract
from mcn.features.registry import derive_reads, make_extractor
from mcn.features.runtime import repeatable, resolve
from mcn.media.lossless import LosslessWriter
from mcn.options.decode import FrameOptions
from mcn.options.features import RuntimeOptions, parse_row
from mcn.shards import FRAME_SCHEMA, ShardWriter
from mcn.shards.parts import file_parts

MIB = 1 << 20


def saved(library: str, folder: Path, network: str) -> dict[str, Any]:
    """A network with random weights in the library's format, as its row."""
    if library == "timm":
        model = timm.create_model(network, num_classes=10)
        timm.models.save_for_hf(model, str(folder), safe_serialization=True)
        return {"encoder": "timm_picture", "model": str(folder)}
    import transformers

    config = transformers.ViTConfig(
        hidden_size=384, intermediate_size=1536, num_attention_heads=6, num_hidden_layers=12
    )
    transformers.ViTModel(config).save_pretrained(folder)
    transformers.ViTImageProcessor().save_pretrained(folder)
    return {"encoder": "transformers_picture", "model": str(folder), "pooling": "cls"}


def moving(count: int, side: int) -> Iterator[np.ndarray]:
    """Pictures that differ a little from one to the next, as those of a video do."""
    generator = np.random.default_rng(0)
    whole = generator.integers(0, 256, (side + 300, 16 * side // 9, 3), np.uint8)
    noise = torch.from_numpy(whole).permute(2, 0, 1)[None].float()
    smooth = torch.nn.functional.avg_pool2d(noise, 9, 1, 4)[0].permute(1, 2, 0).byte().numpy()
    for first in range(count):
        yield np.ascontiguousarray(smooth[first % 300 : first % 300 + side])


def write_shard(path: Path, count: int, side: int, rate: float) -> None:
    """A shard of one decoded video, in as many parts as decoding makes."""
    with tempfile.TemporaryDirectory() as folder:
        with LosslessWriter(Path(folder) / "frames") as writer:
            for frame in moving(count, side):
                writer.write(frame)
        row = {"video_id": "one", "status": "ok", "error": "", "start_seconds": 0.5 / rate}
        row |= {"step_seconds": 1 / rate, "length": count, "height": side, "width": 16 * side // 9}
        with ShardWriter(path, FRAME_SCHEMA, {"stream": "benchmark"}) as shard:
            shard.write({**row, "video": file_parts(writer.files)})


def bare_pass(extractor: Any, frames: int, device: torch.device) -> Callable[[], None]:
    """Forward passes on pixels that are ready, as many as the frames take."""
    size = extractor.items.batch_size
    network = timm.create_model("vit_small_patch16_224", num_classes=0).eval().to(device)
    pixels = torch.randn(size, 3, 224, 224, device=device)

    def work() -> None:
        with torch.inference_mode(), repeatable():
            for _ in range(-(-frames // size)):
                network(pixels).float().cpu()

    return work


def show_times(arguments: argparse.Namespace, folder: Path) -> None:
    """Extraction beside the bare network at each rate."""
    runtime = RuntimeOptions(device=arguments.device, precision="fp32")
    device = resolve(runtime).device
    row = saved(arguments.library, folder / "model", "vit_small_patch16_224")
    source, output = folder / "frames.parquet", folder / "vit.parquet"
    for rate in arguments.rates:
        told = derive_reads(parse_row("vit", json.dumps({**row, "frames_per_second": rate})))
        assert isinstance(told.reads, FrameOptions)
        count = int(arguments.seconds * rate)
        write_shard(source, count, told.reads.short_side, rate)
        extractor = make_extractor("vit", told, "", runtime, arguments.threads)
        bare = bare_pass(extractor, count, device)
        bare()
        works = {"bare": bare, "whole": lambda: extract(source, output, extractor)}  # noqa: B023
        for unit, clock in (("clock", time.perf_counter), ("processor", time.process_time)):
            taken = in_turn(works, arguments.rounds, clock)
            ours, plain = (median(taken[name]) for name in ("whole", "bare"))
            print(
                f"{arguments.library}, {rate:g} frames a second, {count} frames: {unit} {ours:.2f} s, bare "
                f"{plain:.2f} s ({100 * (ours / plain - 1):+.1f} %), medians of {arguments.rounds}",
                flush=True,
            )


def show_memory(arguments: argparse.Namespace, folder: Path) -> None:
    """The largest resident memory of jobs over one video of each length."""
    row = saved("timm", folder / "model", arguments.memory)
    count = sum(one.numel() for one in timm.create_model(arguments.memory).parameters())
    told = derive_reads(parse_row("seen", json.dumps(row)))
    assert isinstance(told.reads, FrameOptions)
    source, output = folder / "frames.parquet", folder / "seen.parquet"
    place = {"device": arguments.device, "precision": arguments.precision}
    for frames in arguments.frames:
        write_shard(source, frames, told.reads.short_side, 1)
        command = [sys.executable, "-m", "mcn", "extract", "seen", str(source), str(output)]
        command += ["--options", json.dumps(row), "--runtime", json.dumps(place)]
        job = subprocess.Popen([*command, "--threads", str(arguments.threads)])
        _, status, used = os.wait4(job.pid, 0)
        job.returncode = os.waitstatus_to_exitcode(status)
        if job.returncode:
            raise SystemExit(job.returncode)
        print(
            f"{arguments.memory}, {count / 1e6:.1f} million parameters, {arguments.precision}: {frames} frames, a "
            f"shard of {source.stat().st_size / MIB:.0f} MiB, {used.ru_maxrss / 1024:.0f} MiB, "
            f"{used.ru_utime + used.ru_stime:.0f} s of the processor",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--library", default="timm", choices=("timm", "transformers"))
    parser.add_argument("--seconds", type=int, default=60, help="of video")
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 4], help="frames a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", metavar="NETWORK", help="memory of a network of timm instead")
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 600], help="of its videos")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    with tempfile.TemporaryDirectory() as folder:
        (show_memory if arguments.memory else show_times)(arguments, Path(folder))


if __name__ == "__main__":
    main()
