"""Any picture model of timm, with the transforms of its own pretrained_cfg: one vector a frame.

Conventions
-----------
- `model` is timm's name (`vit_small_patch16_224.augreg_in1k`), OWNER/NAME of the hub, or a folder as
  `timm.models.save_for_hf` writes it. A `revision` of one of timm's names is one of `timm/NAME` on the hub.
- The transform is `timm.data.create_transform` of the model's resolved configuration: size, crop, interpolation, mean
  and deviation.
- `auto`: what the model gives its classifier. `cls`, `mean`: of the last tokens behind the norm, or of the last map;
  of a block's output where `layer` is given.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.hub import hub_commit
from mcn.features.library_models import (
    Opened,
    Pictures,
    folder_of,
    frames_extractor,
    not_opened,
    placed,
    to_place,
    token_mean,
)
from mcn.features.runtime import Runtime
from mcn.options.base import nearest
from mcn.options.decode import FrameOptions
from mcn.options.libraries import TimmPictureOptions
from mcn.options.row import is_hub_name

CPU_BATCH, CUDA_BATCH = 4, 64  # frames


def timm_extractor(
    name: str, options: TimmPictureOptions, weights: str, place: Runtime
) -> Extractor:
    """The extractor of a row. Errors: `UserError` for a model that timm cannot open."""
    place = placed(options, place)
    network, transform = open_timm(options)
    opened = Opened(network, transform, _commit(options), options.pooling)

    def vectors(clips: list[Pictures], place: Runtime) -> Tensor:
        pixels = torch.stack([transform(clip[0]) for clip in clips])
        return pooled(network, to_place({"x": pixels}, place)["x"], options)

    items = FrameItems(1, place.batch(CPU_BATCH, CUDA_BATCH))
    return frames_extractor(name, options, opened, vectors, place, items, ("timm", "torchvision"))


def open_timm(options: TimmPictureOptions) -> tuple[nn.Module, Any]:
    """The network without its classifier, and its transform."""
    import timm

    _check_name(options)
    try:
        network = timm.create_model(_source(options), pretrained=True, num_classes=0)
        network = network.eval().requires_grad_(False)
        return network, timm.data.create_transform(**timm.data.resolve_model_data_config(network))
    except Exception as error:  # whatever the download or timm raises
        raise not_opened(options, error, "a picture model that timm can open") from error


def stream(options: TimmPictureOptions) -> FrameOptions:
    """The frames that the model's transform starts from: the side that it resizes to."""
    import timm

    _check_name(options)
    try:
        known = timm.models.resolve_model_input_args(_source(options))["pretrained_cfg"]
        config = timm.data.resolve_data_config(pretrained_cfg=known)
    except Exception as error:
        raise not_opened(options, error, "a model whose configuration timm can read") from error
    side = min(config["input_size"][1:])
    short = math.floor(side / config["crop_pct"]) if config["crop_mode"] == "center" else side
    return FrameOptions(frames_per_second=options.frames_per_second, short_side=short)


def check(options: TimmPictureOptions) -> None:
    """`UserError` for a name, layer or class token that timm or the model has not; no weights are read."""
    import timm

    _check_name(options)
    if options.pooling == "auto" or not (options.is_folder or not is_hub_name(options.model)):
        return
    try:
        with torch.device("meta"):
            network = timm.create_model(_source(options), pretrained=False)
    except Exception as error:  # whatever timm raises
        raise not_opened(options, error, "a picture model that timm can open") from error
    _require_class_token(network, options)
    blocks = len(getattr(network, "feature_info", ()))
    if options.layer is not None and not -blocks <= options.layer < blocks:
        got = f"layer {options.layer} of {options.model}"
        raise UserError(got, f"one of its {blocks} blocks, 0 to {blocks - 1}", "correct `layer`")


def pooled(network: Any, pixels: Tensor, options: TimmPictureOptions) -> Tensor:
    """(n, 3, H, W) -> (n, D). Errors: `UserError` for a class token that the model has not."""
    if options.pooling == "auto":
        vectors: Tensor = network(pixels)
        return vectors
    prefix = _require_class_token(network, options)
    if options.layer is not None:
        asked = {"return_prefix_tokens": True} if prefix else {}
        (found,) = network.forward_intermediates(
            pixels, indices=[options.layer], intermediates_only=True, **asked
        )
        if options.pooling == "cls":
            return found[1][:, 0]
        return (found[0] if prefix else found).mean(dim=(2, 3))
    found = network.forward_features(pixels)
    if options.pooling == "cls":
        return found[:, 0]
    if found.dim() == 3:
        return token_mean(found, prefix)
    return found.mean(dim=(1, 2) if getattr(network, "output_fmt", "NCHW") == "NHWC" else (2, 3))


def _require_class_token(network: Any, options: TimmPictureOptions) -> int:
    """How many tokens stand before those of places; `UserError` where none does and the class token is asked for."""
    prefix = int(getattr(network, "num_prefix_tokens", 0) or 0)
    if options.pooling == "cls" and not prefix:
        got = f"{options.model}, which has no class token"
        raise UserError(got, "a model with one", "set pooling: mean")
    return prefix


def _source(options: TimmPictureOptions) -> str:
    """The name under which timm opens the model."""
    if options.is_folder:
        return f"local-dir:{folder_of(options)}"
    if is_hub_name(options.model) or options.revision:
        hub = options.model if is_hub_name(options.model) else f"timm/{options.model}"
        return f"hf-hub:{hub}" + (f"@{options.revision}" if options.revision else "")
    return options.model


def _commit(options: TimmPictureOptions) -> str | None:
    if options.is_folder:
        return None
    hub = options.model if is_hub_name(options.model) else f"timm/{options.model}"
    files = ("config.json", "model.safetensors", "pytorch_model.bin")
    return next(filter(None, (hub_commit(hub, options.revision, one) for one in files)), None)


def _check_name(options: TimmPictureOptions) -> None:
    """`UserError` with the nearest name for one that timm does not know."""
    if not options.is_folder and not is_hub_name(options.model):
        require_timm_name(options.model)


def require_timm_name(model: str) -> None:
    """`UserError` with the nearest name, for a model or tag of weights that timm does not know."""
    import timm

    name, _, tag = model.partition(".")
    wanted, cure = "a model of timm, of the hub, or a folder", "correct the name"
    if not timm.is_model(name):
        got = f"timm model {model!r}{nearest(name, timm.list_models())}"
        raise UserError(got, wanted, cure)
    known = timm.list_pretrained(f"{name}.*")
    if tag and model not in known:
        got = f"timm model {model!r}{nearest(model, known) if known else ', which has no weights'}"
        raise UserError(got, "weights that timm knows", cure)
