"""How much each step of the appearance recipe matters: change one, compare the features with the unchanged recipe.

    python benchmarks/what_equals_what.py [results] [--videos 6]

Needs a finished demo run (shard lists and seeded ResNet-152 weights). Prints the table of docs/published.md. The
weights are seeded, so the figures show the kind of a difference, not its size with pretrained weights.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from mcn.features.extraction import extract
from mcn.features.registry import make_extractor
from mcn.media.decode import decode
from mcn.options.decode import DecodeOptions, FrameOptions
from mcn.options.encoders import TimmOptions
from mcn.options.features import RuntimeOptions
from mcn.published.causes import likely_causes
from mcn.published.compare_features import compare


@dataclass(frozen=True)
class Change:
    """One difference from the published recipe."""

    name: str
    decoding: dict[str, float] = field(default_factory=dict)
    options: dict[str, object] = field(default_factory=dict)
    precision: str = "fp32"
    weights: str = "same"


CHANGES = (
    Change("nothing (run twice)"),
    Change("bf16 instead of fp32", precision="bf16"),
    Change("not L2-normalised", options={"normalize": False}),
    Change("2 frames a second", {"frames_per_second": 2}),
    Change("short side 240", {"short_side": 240}),
    Change("centre crop 224", {"crop": 224}),
    Change("Kinetics mean", options={"mean": [110.6 / 255, 103.2 / 255, 96.3 / 255]}),
    Change("mean 0, std 1", options={"mean": [0, 0, 0], "std": [1, 1, 1]}),
    Change("BGR instead of RGB", weights="bgr"),
    Change("other weights of the same network", weights="other"),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"))
    parser.add_argument("--videos", type=int, default=6)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        listed = (arguments.results / "demo_test/shards/00000.csv").read_text().splitlines()
        shard = work / "00000.csv"
        shard.write_text("\n".join(listed[: arguments.videos + 1]) + "\n")
        weights = {
            "same": arguments.results / "weights/resnet152.safetensors",
            "bgr": work / "bgr.safetensors",
            "other": work / "other.safetensors",
        }
        save_changed(weights["same"], weights["bgr"], weights["other"])
        reference = features(Change("reference"), shard, weights, work / "reference")
        print("| change | cosine, median | least | offset share | geometry | what the tool says |")
        print("|---|---|---|---|---|---|")
        for number, change in enumerate(CHANGES):
            changed = features(change, shard, weights, work / f"changed{number}")
            found = compare(reference, changed, "resnet152")
            print(
                f"| {change.name} | {np.median(found.cosines):.5f} | {found.cosines.min():.5f} |"
                f" {found.offset_share:.2f} | {found.geometry:.3f} | {'; '.join(likely_causes(found))} |",
                flush=True,
            )


def save_changed(same: Path, bgr: Path, other: Path) -> None:
    """The weights with the first layer's colours reversed, and with every layer's output channels in another order."""
    with safe_open(same, "pt") as file:
        metadata = file.metadata()
    rows = load_file(same)
    rows["conv1.weight"] = rows["conv1.weight"].flip(1).contiguous()
    save_file(rows, bgr, metadata)
    generator = np.random.default_rng(1)
    rows = load_file(same)
    for name, row in rows.items():
        if row.dim() == 4:  # convolutions drawn anew: the same numbers in another order
            order = generator.permutation(row.numel())
            rows[name] = row.flatten()[order].reshape(row.shape).contiguous()
    save_file(rows, other, metadata)


def features(change: Change, shard: Path, weights: dict[str, Path], work: Path) -> Path:
    """Decode and extract with one change; returns the feature shard."""
    work.mkdir()
    seen = {"frames_per_second": 1, "short_side": 224, **change.decoding}
    frames = FrameOptions.model_validate(seen)
    decode(shard, [frames], [work / "1fps.parquet"], DecodeOptions())
    row = TimmOptions.model_validate({**change.options, "reads": seen})
    runtime = RuntimeOptions.model_validate({"device": "cpu", "precision": change.precision})
    extractor = make_extractor("resnet152", row, str(weights[change.weights]), runtime)
    extract(work / "1fps.parquet", work / "00000.parquet", extractor)
    return work / "00000.parquet"


if __name__ == "__main__":
    main()
