"""Pairs of open_clip: the picture tower, one vector of the joint space a frame, and the text tower.

Conventions
-----------
- `model` is open_clip's name with the tag of its weights in `pretrained`, OWNER/NAME of the hub, or a folder with
  open_clip_config.json, as `open_clip.push_to_hf_hub` saves it. A hub's model at a `revision` is fetched into the hub's
  cache, and then opened as a folder.
- The transform and the tokenizer are those of the model's own configuration.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.hub import hub_folder
from mcn.features.hub_cache import cached_snapshot
from mcn.features.library_models import (
    Opened,
    Pictures,
    folder_of,
    frames_extractor,
    library,
    not_opened,
    placed,
    to_place,
)
from mcn.features.runtime import Runtime
from mcn.features.text_towers import TextTower
from mcn.options.base import nearest
from mcn.options.decode import FrameOptions
from mcn.options.libraries import OpenClipPictureOptions, OpenClipTextOptions
from mcn.options.row import is_hub_name

CPU_BATCH, CUDA_BATCH = 4, 64  # frames
CONFIG, SAFE, PICKLED = (
    "open_clip_config.json",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
)
Pair = OpenClipPictureOptions | OpenClipTextOptions
LIBRARIES = ("open_clip_torch", "timm", "torchvision")


def picture_extractor(
    name: str, options: OpenClipPictureOptions, weights: str, place: Runtime
) -> Extractor:
    """The extractor of a row. Errors: `UserError` for a model that open_clip cannot open."""
    place = placed(options, place)
    network, transform, revision = open_pair(options)

    def vectors(clips: list[Pictures], place: Runtime) -> Tensor:
        pixels = torch.stack([transform(clip[0]) for clip in clips])
        found: Tensor = network.encode_image(to_place({"x": pixels}, place)["x"])
        return found

    opened = Opened(network, transform, revision)
    items = FrameItems(1, place.batch(CPU_BATCH, CUDA_BATCH))
    return frames_extractor(name, options, opened, vectors, place, items, LIBRARIES)


def text_tower(options: OpenClipTextOptions, place: Runtime) -> TextTower:
    """The text tower of a row. Errors: `UserError` for a model that open_clip cannot open."""
    network, _, revision = open_pair(options)
    try:
        tokenizer = library("open_clip").get_tokenizer(_source(options, revision)[0])
    except Exception as error:  # whatever the download or the library raises
        raise not_opened(options, error, "a model with a tokenizer that is here") from error

    def fits(text: str) -> bool:
        if hasattr(tokenizer, "tokenizer"):  # of transformers, which adds its special tokens itself
            return len(tokenizer.tokenizer(text).input_ids) <= tokenizer.context_length
        return len(tokenizer.encode(text)) + 2 <= tokenizer.context_length  # start and end

    words = f"{type(tokenizer).__name__}, {tokenizer.context_length} tokens"
    return TextTower(
        options,
        place,
        Opened(network, words, revision),
        ("open_clip_torch", "ftfy", "regex"),
        lambda texts: {"text": tokenizer(texts)},
        lambda inputs: network.encode_text(inputs["text"]),
        fits,
    )


def open_pair(options: Pair) -> tuple[Any, Any, str | None]:
    """The pair in float32 and eval mode, its transform, and the commit of a hub's model."""
    open_clip = library("open_clip")
    name, revision = _source(options)
    try:
        network, _, transform = open_clip.create_model_and_transforms(
            name, pretrained=options.pretrained, pretrained_image=False, pretrained_text=False
        )
    except Exception as error:  # whatever the download or the library raises
        raise not_opened(options, error, "a model that open_clip can open") from error
    result: nn.Module = network.eval().requires_grad_(False)
    return result, transform, revision


def stream(options: OpenClipPictureOptions) -> FrameOptions:
    """The frames that the model's transform starts from: the side that it resizes to."""
    open_clip = library("open_clip")
    name, _ = _source(options, only_config=True)
    if name.startswith("local-dir:"):
        config = _config(options, Path(name.removeprefix("local-dir:")))
        model, transform = config["model_cfg"], config.get("preprocess_cfg", {})
    else:
        model = open_clip.get_model_config(name)
        transform = open_clip.get_pretrained_cfg(name, options.pretrained)
    size = transform.get("size") or model["vision_cfg"]["image_size"]
    side = min(size) if isinstance(size, (list, tuple)) else size
    return FrameOptions(frames_per_second=options.frames_per_second, short_side=int(side))


def check(options: Pair) -> None:
    """`UserError` for a name that open_clip does not know; no weights are read, and no hub is asked."""
    if options.is_folder:
        _config(options, folder_of(options))
    elif not is_hub_name(options.model):
        _source(options)


def _config(options: Pair, folder: Path) -> dict[str, Any]:
    """The configuration of a pair in a folder."""
    try:
        values: dict[str, Any] = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise not_opened(options, error, f"a pair of open_clip, with its {CONFIG}") from error
    if not isinstance(values, dict) or "model_cfg" not in values:
        got = f"{options.model}, whose {CONFIG} has no model_cfg"
        raise UserError(got, "a pair of open_clip", "get it whole")
    return values


def _source(
    options: Pair, revision: str | None = None, only_config: bool = False
) -> tuple[str, str | None]:
    """The name under which open_clip opens a model, and the commit of a hub's."""
    open_clip = library("open_clip")
    if options.is_folder:
        return f"local-dir:{folder_of(options)}", None
    if is_hub_name(options.model):
        folder = _from_hub(options, revision or options.revision, only_config)
        return f"local-dir:{folder}", folder.name
    if options.model not in open_clip.list_models():
        got = f"open_clip model {options.model!r}{nearest(options.model, open_clip.list_models())}"
        raise UserError(got, "a model of open_clip, of the hub, or a folder", "correct `model`")
    tags = open_clip.list_pretrained_tags_by_model(options.model)
    if options.pretrained not in tags:
        got = f"pretrained {options.pretrained!r}{nearest(str(options.pretrained), tags)}"
        raise UserError(got, f"weights of {options.model}", "set features.NAME.pretrained")
    return options.model, None


def _from_hub(options: Pair, revision: str | None, only_config: bool) -> Path:
    """The folder of a hub's model in the cache, with what open_clip reads of it."""
    here = cached_snapshot(options.model, revision)
    if here is not None:  # the hub need not be asked
        return here
    wanted = [CONFIG] if only_config else ["*.json", "*.txt", "*.model", SAFE]
    folder = hub_folder(options.model, revision, wanted)
    if not only_config and not (folder / SAFE).exists():
        hub_folder(options.model, folder.name, [PICKLED])
    if not (folder / CONFIG).exists():
        got = f"{options.model}, which has no {CONFIG}"
        raise UserError(got, "a model of open_clip", "take the encoder transformers_picture")
    return folder
