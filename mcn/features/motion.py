"""Motion: one 3D ResNeXt-101 vector for every sixteen frames.

Conventions
-----------
- Frames (112, 112, 3) uint8 RGB at 24 frames a second, centre-cropped; chunks of 16 that do not overlap, the last one
  filled up with black frames BEFORE `mean` is subtracted from 0-255 (so that filling becomes -mean, as published); the
  network's vector L2-normalised: (T, 2048). Row i covers 16/24 s from i * 16/24 s.
- Source: `antoine77340/video_feature_extractor` model.py, preprocessing.py, extract.py. Its last chunk of a video of
  one chunk is lost to a `squeeze`; here every chunk has its row.
- `network` puts a video network of torchvision in its place (`mcn.features.backbones`).
"""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.features.backbones import pixel_statistics
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.frame_networks import frame_extractor
from mcn.features.registry import library_versions
from mcn.features.runtime import Runtime
from mcn.features.weights import load_network
from mcn.options.encoders import VideoNetworkOptions

VERSION = 1  # raise when the code changes the numbers
CPU_BATCH, CUDA_BATCH = 4, 64  # clips


def motion_extractor(
    name: str, options: VideoNetworkOptions, weights: Path | str, place: Runtime
) -> Extractor:
    """The network with its preprocessing, at the runtime's device and precision; as `appearance_extractor`."""
    loaded = load_network(options.network, weights, options.weights_sha256)
    network = loaded.network.to(place.device, place.dtype).to(memory_format=torch.channels_last_3d)

    def vectors(frames: Tensor) -> Tensor:
        pooled = network(prepare(frames, options).to(place.dtype)).float()
        return F.normalize(pooled, dim=1) if options.normalize else pooled

    recipe = {
        "version": VERSION,
        **options.model_dump(mode="json", include={"network", "frames_per_chunk", "normalize"}),
        "pixels": pixel_statistics(options),
        "weights": loaded.recipe,
        "libraries": library_versions("torch", "numpy", "av"),
    }
    items = FrameItems(options.frames_per_chunk, place.batch(CPU_BATCH, CUDA_BATCH))
    return frame_extractor(name, vectors, items, place, recipe)


def prepare(frames: Tensor, options: VideoNetworkOptions) -> Tensor:
    """Uint8 (n, F, H, W, 3) -> float32 (n, 3, F, H, W), channels last in memory, as the network sees it."""
    whole, *statistics = pixel_statistics(options)
    mean, std = (torch.tensor(one, device=frames.device).view(1, 3, 1, 1, 1) for one in statistics)
    return (frames.permute(0, 4, 1, 2, 3).float() / whole - mean) / std
