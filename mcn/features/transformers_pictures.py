"""Picture models of transformers (CLIP, SigLIP, SigLIP 2, DINOv2, DINOv3, ViT, ...): one vector a frame.

Conventions: pictures go through the model's own image processor; pooling as `mcn.features.transformers_models` says.
"""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image
from torch import Tensor

from mcn.errors import UserError
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.library_models import Opened, Pictures, frames_extractor, placed, to_place
from mcn.features.runtime import Runtime
from mcn.features.transformers_models import (
    OTHER_POOLING,
    check_model,
    commit_of,
    open_network,
    open_processor,
    pooled,
    require_joint,
)
from mcn.options.decode import FrameOptions
from mcn.options.libraries import TransformersPictureOptions

CPU_BATCH, CUDA_BATCH = 4, 64  # frames
BLACK = Image.new("RGB", (64, 64))
LIBRARIES = ("transformers", "torchvision")


def picture_extractor(
    name: str, options: TransformersPictureOptions, weights: str, place: Runtime
) -> Extractor:
    """The extractor of a row. Errors: `UserError` for a model, processor or tower that is not there."""
    place = placed(options, place)
    processor, network = open_processor(options, "AutoImageProcessor"), open_network(options)

    def both(clips: list[Pictures], place: Runtime) -> tuple[Tensor, str]:
        inputs = processor(images=[clip[0] for clip in clips], return_tensors="pt")
        return pooled(network, to_place(inputs, place), options, "image")

    with torch.inference_mode():
        pooling = both([[BLACK]], Runtime(torch.device("cpu"), "fp32", 1))[1]
    opened = Opened(network, processor, commit_of(network, options), pooling)
    items = FrameItems(1, place.batch(CPU_BATCH, CUDA_BATCH))
    return frames_extractor(
        name, options, opened, lambda clips, at: both(clips, at)[0], place, items, LIBRARIES
    )


def check(options: TransformersPictureOptions) -> None:
    """`UserError` for a model that is here and is not what the row asks for; no weights are read."""
    check_model(options, "image", "AutoImageProcessor")


def stream(options: TransformersPictureOptions) -> FrameOptions:
    """The frames that the model's processor starts from: the side that it resizes to."""
    if options.pooling == "projected":
        require_joint(options, "image", OTHER_POOLING)
    side = short_side(open_processor(options, "AutoImageProcessor"), options.model)
    return FrameOptions(frames_per_second=options.frames_per_second, short_side=side)


def short_side(processor: Any, model: str) -> int:
    """The shorter side that a processor resizes pictures to. Errors: `UserError` where it does not say."""
    sizes = []
    for key in ("size", "crop_size"):
        values = dict(getattr(processor, key, None) or {})
        given = [values.get(one) for one in ("shortest_edge", "height", "width")]
        sizes += [min(int(one) for one in given if one)] if any(given) else []
    if not sizes:
        got = f"{model}, whose processor names no size"
        cure = "give features.NAME.reads: {frames_per_second: 1, short_side: ...}"
        raise UserError(got, "the size of the pictures", cure)
    shown = getattr(processor, "crop_pct", None) or 1.0  # of what is resized, of ConvNeXt
    return int(max(sizes) / shown)
