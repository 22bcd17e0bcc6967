"""What extraction costs beyond the bare network: a ViT-S/16 of a library on frames of a decoded shard.

    python benchmarks/library_encoders.py [--library timm] [--seconds 60] [--rates 1 4] [--device cpu]

The network has random weights, which cost what trained ones do. Bare: the forward passes alone, on pixels that are
ready, in batches of the same size. Whole: `mcn.features.extraction.extract` from the shard to the feature shard, with
decoding of the lossless frames, the library's transforms and writing. Seconds of the processor are counted beside
those of the clock, since other programs do not disturb them.
"""

from __future__ import annotations

import argparse
import logging
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch

from mcn.features.extraction import extract
from mcn.features.registry import derive_reads, make_extractor
from mcn.features.runtime import repeatable, resolve
from mcn.options.decode import FrameOptions
from mcn.options.features import RuntimeOptions, parse_row
from mcn.shards import FRAME_SCHEMA, ShardWriter
from tests.features_shards import frame_row


def saved(library: str, folder: Path) -> str:
    """A ViT-S/16 with random weights in the library's format, as the JSON of its row."""
    if library == "timm":
        model = timm.create_model("vit_small_patch16_224", num_classes=10)
        timm.models.save_for_hf(model, folder, safe_serialization=True)
        return f'{{"encoder": "timm_picture", "model": "{folder}"'
    import transformers

    config = transformers.ViTConfig(
        hidden_size=384, intermediate_size=1536, num_attention_heads=6, num_hidden_layers=12
    )
    transformers.ViTModel(config).save_pretrained(folder)
    transformers.ViTImageProcessor().save_pretrained(folder)
    return f'{{"encoder": "transformers_picture", "model": "{folder}", "pooling": "cls"'


def moving(count: int, side: int) -> Iterator[np.ndarray]:
    """Pictures that differ a little from one to the next, as those of a video do."""
    generator = np.random.default_rng(0)
    whole = generator.integers(0, 256, (side + count, 16 * side // 9, 3), np.uint8)
    smooth = torch.from_numpy(whole).permute(2, 0, 1)[None].float()
    smooth = torch.nn.functional.avg_pool2d(smooth, 9, 1, 4)[0].permute(1, 2, 0).byte().numpy()
    for first in range(count):
        yield np.ascontiguousarray(smooth[first : first + side])


def bare_seconds(extractor: Any, frames: int, device: torch.device) -> np.ndarray:
    """Forward passes on pixels that are ready, as many as the frames take: seconds by the clock, of the processor."""
    size = extractor.items.batch_size
    network = timm.create_model("vit_small_patch16_224", num_classes=0).eval().to(device)
    pixels = torch.randn(size, 3, 224, 224, device=device)
    with torch.inference_mode(), repeatable():
        network(pixels)
        start = now()
        for _ in range(-(-frames // size)):
            network(pixels).float().cpu()
        return now() - start


def now() -> np.ndarray:
    """Seconds by the clock, and of the processor in all threads."""
    return np.array([time.perf_counter(), time.process_time()])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--library", default="timm", choices=("timm", "transformers"))
    parser.add_argument("--seconds", type=int, default=60, help="of video")
    parser.add_argument("--rates", type=float, nargs="+", default=[1, 4], help="frames a second")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    runtime = RuntimeOptions(device=arguments.device, precision="fp32")
    device = resolve(runtime).device
    with tempfile.TemporaryDirectory() as folder:
        start = saved(arguments.library, Path(folder) / "model")
        for rate in arguments.rates:
            row = derive_reads(parse_row("vit", f'{start}, "frames_per_second": {rate}}}'))
            assert isinstance(row.reads, FrameOptions)
            count = int(arguments.seconds * rate)
            source, output = Path(folder) / "frames.parquet", Path(folder) / "vit.parquet"
            with ShardWriter(source, FRAME_SCHEMA, {"stream": "benchmark"}) as shard:
                frames = list(moving(count, row.reads.short_side))
                shard.write(frame_row("one", np.stack(frames), 1 / rate))
            extractor = make_extractor("vit", row, "", runtime, arguments.threads)
            bare = bare_seconds(extractor, count, device)
            begun = now()
            extract(source, output, extractor)
            whole = now() - begun
            more = 100 * (whole / bare - 1)
            print(
                f"{arguments.library}, {rate:g} frames a second, {count} frames of short side "
                f"{row.reads.short_side}: clock {whole[0]:.1f} s, bare {bare[0]:.1f} s ({more[0]:+.1f} %); "
                f"processor {whole[1]:.1f} s, bare {bare[1]:.1f} s ({more[1]:+.1f} %)"
            )


if __name__ == "__main__":
    main()
