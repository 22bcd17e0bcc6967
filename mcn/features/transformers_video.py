"""Video models of transformers (VideoMAE, X-CLIP, V-JEPA 2, ViViT, TimeSformer, ...): one vector a clip.

Conventions
-----------
- A clip has as many frames as the model's configuration says (or `frames_per_clip`); clips do not overlap. Its frames
  go through the model's own video processor, or image processor where it has none, as they are: none is left out.
- The rate is that of the processor where it names one (`fps`); most do not, and then the row has to.
- Pooling as `mcn.features.transformers_models` says. Of V-JEPA 2 the encoder alone runs, not the predictor.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcn.errors import UserError
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.library_models import Opened, Pictures, frames_extractor, placed, to_place
from mcn.features.runtime import Runtime
from mcn.features.transformers_models import (
    OTHER_POOLING,
    check_model,
    commit_of,
    open_config,
    open_network,
    open_processor,
    pooled,
    require_joint,
)
from mcn.features.transformers_pictures import BLACK, LIBRARIES, short_side
from mcn.options.decode import FrameOptions
from mcn.options.libraries import TransformersVideoOptions

CPU_BATCH, CUDA_BATCH = 1, 8  # clips
PROCESSORS = ("AutoVideoProcessor", "AutoImageProcessor")


def video_extractor(
    name: str, options: TransformersVideoOptions, weights: str, place: Runtime
) -> Extractor:
    """The extractor of a row. Errors: `UserError` for a model, processor or tower that is not there."""
    place = placed(options, place)
    processor, network = open_processor(options, *PROCESSORS), open_network(options)
    frames = clip_frames(options, network.config)
    forward = inspect.signature(type(network).forward).parameters
    extra = {"skip_predictor": True} if "skip_predictor" in forward else {}

    def both(clips: list[Pictures], place: Runtime) -> tuple[Tensor, str]:
        inputs = to_place(clip_inputs(processor, clips), place)
        return pooled(network, {**inputs, **extra}, options, "video")

    with torch.inference_mode():
        pooling = both([[BLACK] * frames], Runtime(torch.device("cpu"), "fp32", 1))[1]
    opened = Opened(network, processor, commit_of(network, options), pooling)
    items = FrameItems(frames, place.batch(CPU_BATCH, CUDA_BATCH))
    return frames_extractor(
        name, options, opened, lambda clips, at: both(clips, at)[0], place, items, LIBRARIES
    )


def clip_inputs(processor: Any, clips: list[Pictures]) -> dict[str, Tensor]:
    """A processor's tensors (n, F, 3, H, W) for clips."""
    found: dict[str, list[Tensor]] = {}
    for clip in clips:
        if hasattr(processor, "sample_frames"):  # a processor of videos
            pixels = np.stack([np.asarray(one) for one in clip])
            inputs = processor(videos=[pixels], do_sample_frames=False, return_tensors="pt")
        else:
            inputs = processor(list(clip), return_tensors="pt")
        for key, value in inputs.items():
            if isinstance(value, Tensor):
                found.setdefault(key, []).append(value if value.dim() == 5 else value[None])
    return {key: torch.cat(values) for key, values in found.items()}


def clip_frames(options: TransformersVideoOptions, config: Any) -> int:
    """Frames of a clip. Errors: `UserError` where neither the row nor the model says it."""
    if options.frames_per_clip is not None:
        return options.frames_per_clip
    for one in (config, getattr(config, "vision_config", None)):
        for key in ("num_frames", "frames_per_clip"):
            if getattr(one, key, None):
                return int(getattr(one, key))
    got = f"{options.model}, whose configuration names no number of frames"
    raise UserError(got, "the length of a clip", "give features.NAME.frames_per_clip")


def check(options: TransformersVideoOptions) -> None:
    """`UserError` for a model that is here and is not what the row asks for; no weights are read."""
    check_model(options, "video", *PROCESSORS)


def stream(options: TransformersVideoOptions) -> FrameOptions:
    """The frames that the model's processor starts from."""
    if options.pooling == "projected":
        require_joint(options, "video", OTHER_POOLING)
    processor = open_processor(options, *PROCESSORS)
    clip_frames(options, open_config(options))
    rate = options.frames_per_second or getattr(processor, "fps", None)
    if not rate:
        got = f"{options.model}, whose processor names no frame rate"
        cure = "give features.NAME.frames_per_second: that of the videos that it was trained on"
        raise UserError(got, "frames a second", cure)
    side = short_side(processor, options.model)
    return FrameOptions(frames_per_second=float(rate), short_side=side)
