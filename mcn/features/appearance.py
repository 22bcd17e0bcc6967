"""Appearance: one ResNet-152 vector a frame.

Conventions
-----------
- Frames (H, W, 3) uint8 RGB, short side 224, not cropped; / 255, less `mean`, over `std`; the last feature map averaged
  over all of the frame, L2-normalised: (T, 2048). Row i is frame i: one a second covers [i, i + 1) s.
- Source: `antoine77340/video_feature_extractor` model.py, preprocessing.py, extract.py with torchvision's
  IMAGENET1K_V1 weights (timm `resnet152.tv_in1k`). Another network of timm gives its own pooled vector.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from timm.models.resnet import ResNet
from torch import Tensor

from mcn.features.backbones import pooled_vectors, require_pixels
from mcn.features.extraction import Extractor, extract, frame_extractor
from mcn.features.parallel import Timing
from mcn.features.recipes import library_versions
from mcn.features.runtime import resolve
from mcn.features.weights import LoadedNetwork, load_network
from mcn.options.features import AppearanceOptions, RuntimeOptions

VERSION = 1  # raise when the code changes the numbers
CPU_BATCH, CUDA_BATCH = 4, 128  # frames


def extract_appearance(
    decoded: Path,
    weights: Path | str,
    output: Path,
    options: AppearanceOptions,
    runtime: RuntimeOptions,
    threads: int = 0,
) -> Timing:
    """Decoded frames (`frames_1fps`) to the feature shard `output`.

    weights: path or `timm:` name of what `options.weights` means. threads: of the processor, 0: PyTorch's choice.
    Errors: `UserError` for weights that do not fit, `DamagedShard` for a damaged input.
    """
    loaded = load_network("resnet152", weights, options.weights_sha256)
    return extract(decoded, output, appearance_extractor(loaded, options, runtime, threads))


def appearance_extractor(
    loaded: LoadedNetwork, options: AppearanceOptions, runtime: RuntimeOptions, threads: int = 0
) -> Extractor:
    """The network with its preprocessing, at the runtime's device and precision."""
    place = resolve(runtime, threads)
    require_pixels(loaded.network, options.mean, options.std)
    network = loaded.network.to(place.device, place.dtype).to(memory_format=torch.channels_last)

    def vectors(frames: Tensor) -> Tensor:
        pixels = prepare(frames, options).to(place.dtype)
        if isinstance(network, ResNet):  # averaged in float32, whatever the precision
            pooled = network.forward_features(pixels).float().mean(dim=(2, 3))
        else:
            pooled = pooled_vectors(network, pixels).float()
        return F.normalize(pooled, dim=1) if options.normalize else pooled

    recipe = {
        "feature": "resnet152",
        "version": VERSION,
        **options.model_dump(mode="json", include={"mean", "std", "normalize"}),
        "weights": loaded.recipe,
        "libraries": library_versions("torch", "timm", "numpy", "av"),
    }
    batch = place.batch(CPU_BATCH, CUDA_BATCH)
    extractor = frame_extractor("resnet152", vectors, 1, batch, place, recipe)
    return replace(extractor, ends_in_relu=isinstance(network, ResNet))


def prepare(frames: Tensor, options: AppearanceOptions) -> Tensor:
    """Uint8 (n, 1, H, W, 3) -> float32 (n, 3, H, W), channels last in memory, as the network sees it."""
    pixels = frames.squeeze(1).permute(0, 3, 1, 2).float().div(255)
    mean = torch.tensor(options.mean, device=frames.device).view(1, 3, 1, 1)
    std = torch.tensor(options.std, device=frames.device).view(1, 3, 1, 1)
    return (pixels - mean).div(std)
