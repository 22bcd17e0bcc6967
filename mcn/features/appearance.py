"""Appearance: one ResNet-152 vector a frame.

Conventions
-----------
- Frames (H, W, 3) uint8 RGB, short side 224, not cropped; / 255, less `mean`, over `std`; the last feature map averaged
  over all of the frame, L2-normalised: (T, 2048). Row i is frame i: one a second covers [i, i + 1) s.
- Source: `antoine77340/video_feature_extractor` model.py, preprocessing.py, extract.py with torchvision's
  IMAGENET1K_V1 weights (timm `resnet152.tv_in1k`). Another network of timm gives its own pooled vector.
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from timm.models.resnet import ResNet
from torch import Tensor

from mcn.features.backbones import pooled_vectors, require_pixels
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.frame_networks import frame_extractor
from mcn.features.registry import library_versions
from mcn.features.runtime import Runtime
from mcn.features.weights import load_network
from mcn.options.encoders import TimmOptions

VERSION = 1  # raise when the code changes the numbers
CPU_BATCH, CUDA_BATCH = 4, 128  # frames


def appearance_extractor(
    name: str, options: TimmOptions, weights: Path | str, place: Runtime
) -> Extractor:
    """The network with its preprocessing, at the runtime's device and precision.

    weights: path or `timm:` name of what `options.weights` means. Errors: `UserError` for weights that do not fit.
    """
    loaded = load_network(options.network, weights, options.weights_sha256)
    require_pixels(loaded.network, options.mean, options.std, name)
    network = loaded.network.to(place.device, place.dtype).to(memory_format=torch.channels_last)

    def vectors(frames: Tensor) -> Tensor:
        pixels = prepare(frames, options).to(place.dtype)
        if isinstance(network, ResNet):  # averaged in float32, whatever the precision
            pooled = network.forward_features(pixels).float().mean(dim=(2, 3))
        else:
            pooled = pooled_vectors(network, pixels, name).float()
        return F.normalize(pooled, dim=1) if options.normalize else pooled

    recipe = {
        "version": VERSION,
        **options.model_dump(mode="json", include={"mean", "std", "normalize"}),
        "weights": loaded.recipe,
        "libraries": library_versions("torch", "timm", "numpy", "av"),
    }
    items = FrameItems(1, place.batch(CPU_BATCH, CUDA_BATCH))
    return frame_extractor(name, vectors, items, place, recipe, isinstance(network, ResNet))


def prepare(frames: Tensor, options: TimmOptions) -> Tensor:
    """Uint8 (n, 1, H, W, 3) -> float32 (n, 3, H, W), channels last in memory, as the network sees it."""
    pixels = frames.squeeze(1).permute(0, 3, 1, 2).float().div(255)
    mean = torch.tensor(options.mean, device=frames.device).view(1, 3, 1, 1)
    std = torch.tensor(options.std, device=frames.device).view(1, 3, 1, 1)
    return (pixels - mean).div(std)
