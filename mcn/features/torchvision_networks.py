"""Picture and video networks of torchvision, with the preset of their weights, without their classifiers.

Conventions
-----------
- `model` is torchvision's name (`convnext_tiny`, `r2plus1d_18`, `s3d`, `mvit_v2_s`, `swin3d_t`); `weights` its name
  of the weights, or a state dict, whose transforms are then those of `preset`.
- The classifier is the last layer with as many outputs as the weights have classes; what it is given is the vector.
- Clip length and frame rate are those that torchvision's documentation of the weights names.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from torch import Tensor, nn
from torchvision.models import get_model, get_model_weights, list_models

from mcn.errors import UserError
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.library_models import (
    Opened,
    Pictures,
    frames_extractor,
    not_opened,
    placed,
    to_place,
)
from mcn.features.runtime import Runtime
from mcn.networks.checkpoints import load_rows, read_state_dict
from mcn.options.base import nearest
from mcn.options.decode import FrameOptions
from mcn.options.libraries import TorchvisionPictureOptions, TorchvisionVideoOptions

Options = TorchvisionPictureOptions | TorchvisionVideoOptions
BATCHES = {"frame": (4, 64), "clip": (1, 8)}  # on a processor, on CUDA


def torchvision_extractor(name: str, options: Options, weights: str, place: Runtime) -> Extractor:
    """The extractor of a row. Errors: `UserError` for a network or weights that torchvision has not."""
    place = placed(options, place)
    preset = preset_of(options)
    transform = preset.transforms()
    network = open_network(options, preset)

    def vectors(clips: list[Pictures], place: Runtime) -> Tensor:
        pixels = torch.stack([transform(_input(clip, options)) for clip in clips])
        found: Tensor = network(to_place({"x": pixels}, place)["x"])
        return found

    frames = 1 if isinstance(options, TorchvisionPictureOptions) else clip_frames(options, preset)
    items = FrameItems(frames, place.batch(*BATCHES[options.kind]))
    opened = Opened(network, transform)
    return frames_extractor(name, options, opened, vectors, place, items, ("torchvision",))


def stream(options: Options) -> FrameOptions:
    """The frames that the preset of the weights starts from."""
    preset = preset_of(options)
    transform = preset.transforms()
    side = min(int(one) for one in np.atleast_1d(transform.resize_size))
    rate = options.frames_per_second or documented(preset, "frame_rate")
    if not rate:
        got = f"{preset}, whose description names no frame rate"
        raise UserError(got, "frames a second", "give features.NAME.frames_per_second")
    return FrameOptions(frames_per_second=float(rate), short_side=side)


def check(options: Options) -> None:
    """`UserError` for a network or weights that torchvision has not; no weights are read."""
    preset = preset_of(options)
    if isinstance(options, TorchvisionVideoOptions):
        clip_frames(options, preset)


def preset_of(options: Options) -> Any:
    """The entry of torchvision's weights whose transforms and description count."""
    module = torchvision.models if options.kind == "frame" else torchvision.models.video
    known = list_models(module)
    if options.model not in known:
        kind, other = ("picture", "video") if options.kind == "frame" else ("video", "picture")
        hint = nearest(options.model, known)
        if options.model in list_models():
            hint = f", which is of the encoder torchvision_{other}"
        raise UserError(
            f"{kind} network {options.model!r}{hint}", "a network of torchvision", "correct `model`"
        )
    entries, name = get_model_weights(options.model), options.weights
    name = options.preset if options.file else name
    if name not in entries.__members__:
        got = f"weights {name!r} of {options.model}{nearest(name, entries.__members__)}"
        raise UserError(got, "weights of torchvision, or the path of a file", "correct them")
    return entries[name]


def open_network(options: Options, preset: Any) -> nn.Module:
    """The network without its classifier, in eval mode."""
    try:
        network = get_model(options.model, weights=None if options.file else preset)
        if options.file:
            load_rows(network, read_state_dict(Path(options.file)), options.file)
    except UserError:
        raise
    except Exception as error:  # whatever the download or torchvision raises
        raise not_opened(options, error, "weights that torchvision can fetch") from error
    drop_classifier(network, len(preset.meta["categories"]), options.model)
    return network.eval().requires_grad_(False)


def drop_classifier(network: nn.Module, classes: int, name: str) -> None:
    """Put nothing in the place of the last layer of `classes` outputs, in place."""
    found = [path for path, outputs in _outputs(network) if outputs == classes]
    if not found:
        raise UserError(f"{name}, which ends in no classifier", "a classifier", "name another")
    parent, _, child = found[-1].rpartition(".")
    setattr(network.get_submodule(parent), child, nn.Identity())


def _outputs(network: nn.Module) -> Iterator[tuple[str, int]]:
    for path, module in network.named_modules():
        if isinstance(module, nn.Linear):
            yield path, module.out_features
        elif isinstance(module, nn.Conv2d | nn.Conv3d):
            yield path, module.out_channels


def clip_frames(options: TorchvisionVideoOptions, preset: Any) -> int:
    """Frames of a clip. Errors: `UserError` where neither the row nor the weights say it."""
    frames = options.frames_per_clip or documented(preset, "clip_len")
    if not frames:
        got = f"{preset}, whose description names no length of clips"
        raise UserError(got, "the length of a clip", "give features.NAME.frames_per_clip")
    return int(frames)


def documented(preset: Any, name: str) -> float | None:
    """A number that the documentation of weights names, as `clip_len=16`."""
    found = re.search(rf"{name}=([\d.]+)", preset.meta.get("_docs", ""))
    return float(found[1]) if found else None


def _input(clip: Pictures, options: Options) -> Any:
    """What a preset takes: a picture, or the frames of a clip (F, 3, H, W) uint8."""
    if options.kind == "frame":
        return clip[0]
    return torch.from_numpy(np.stack([np.asarray(one) for one in clip])).permute(0, 3, 1, 2)
