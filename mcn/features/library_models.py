"""What the encoders of all libraries share: opening a model, its recipe, and extractors around it.

Conventions
-----------
- A library that is missing, a model that it does not know or cannot reach, and a processor or tower that a model lacks
  are `UserError`s that name the model and the cure.
- Networks come in float32 and eval mode; `placed` casts them. Vectors are pooled in the network's precision and
  normalised and stored in float32 and float16.
- Pictures reach a library as PIL images of the decoded frames, one by one, so that its transforms do what they do in
  its own pipeline; the network runs on batches. A batch has always the same number of rows, filled up with black, and
  the last clip of a video is filled up with its last frame.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.features.extraction import Extractor, FrameItems
from mcn.features.registry import library_versions
from mcn.features.runtime import Runtime, resolve
from mcn.features.weights import rows_sha256
from mcn.options.features import RuntimeOptions
from mcn.options.libraries import LibraryOptions

INSTALL = 'pip install "mcn[encoders]"'
VERSION = 1  # raise when the code changes the numbers

Pictures = list[Image.Image]


@dataclasses.dataclass(frozen=True)
class Opened:
    """A model of a library. processor: its transforms, for the recipe. revision: the hub's commit."""

    network: nn.Module
    processor: Any
    revision: str | None = None
    pooling: str = ""


def library(module: str) -> Any:
    """A library by the name of its module. Errors: `UserError` with the pip command."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"open_clip": "open_clip_torch"}.get(module, module)
        cure = f"{INSTALL}, or pip install {package}"
        raise UserError(f"no {module} ({error})", "the library of this encoder", cure) from None


def not_opened(options: LibraryOptions, error: BaseException, wanted: str) -> UserError:
    """The error for whatever a library raises when it opens a model."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    words = textwrap.shorten(lines[0], 300, placeholder=" ...") if lines else type(error).__name__
    cure = "check the folder, which has to be in the library's own format"
    if not options.is_folder:
        cure = (
            f"check `model`, and fetch it where there is a connection: mcn fetch hf:{options.model}"
        )
    return UserError(f"{options.model}: {words}", wanted, cure)


def folder_of(options: LibraryOptions) -> Path:
    """The folder of a model that is one. Errors: `UserError` for what looks like a path and is none."""
    return Path(options.model).expanduser().resolve()


def placed(options: LibraryOptions, place: Runtime) -> Runtime:
    """The runtime at the precision of the row, where that says one."""
    if options.precision == "runtime":
        return place
    wanted = RuntimeOptions(
        device=str(place.device), precision=options.precision, batch_size=place.batch_size
    )
    return resolve(wanted, place.threads)


def recipe_of(options: LibraryOptions, opened: Opened, libraries: Sequence[str]) -> dict[str, Any]:
    """What changes the numbers of a model. Errors: `UserError` for another sha256 than the row's."""
    digest = rows_sha256(opened.network.state_dict())
    if options.weights_sha256 not in (None, digest):
        cure = "get the right weights (pin a hub's model by `revision`), or correct weights_sha256"
        got = f"{options.model}, whose tensors have sha256 {digest}"
        raise UserError(got, f"sha256 {options.weights_sha256}", cure)
    left_out = {"model", "revision", "weights_sha256", "precision", "reads", "kind", "pooling"}
    known = options.model_dump(mode="json", exclude=left_out | {"label", "decode_pass"})
    # of torchvision: a name, or a file, which its sha256 tells
    weights = known.pop("weights", None)
    model = {
        "source": folder_of(options).name if options.is_folder else options.model,
        **({"name": Path(weights).name} if weights else {}),
        "revision": opened.revision,
        "sha256": digest,
    }
    pooling = {"pooling": opened.pooling} if opened.pooling else {}
    return {
        "version": VERSION,
        **known,
        **pooling,
        "weights": model,
        "processor": _plain(opened.processor),
        "libraries": library_versions(*libraries, "torch", "numpy", "pillow"),
    }


def _plain(processor: Any) -> Any:
    """A processor's configuration as JSON values; the words of a transform that has none."""
    if hasattr(processor, "to_json_string"):
        values: dict[str, Any] = json.loads(processor.to_json_string())
        return {key: value for key, value in values.items() if not key.startswith("_")}
    return " ".join(repr(processor).split())


def frames_extractor(
    name: str,
    options: LibraryOptions,
    opened: Opened,
    vectors: Callable[[list[Pictures], Runtime], Tensor],
    place: Runtime,
    items: FrameItems,
    libraries: Sequence[str],
) -> Extractor:
    """An extractor of pictures or clips. vectors: clips of PIL images, each of `items.frames` -> (n, D)."""
    recipe = recipe_of(options, opened, libraries)
    opened.network.to(place.device, place.dtype)

    @torch.inference_mode()
    def encode(frames: np.ndarray) -> np.ndarray:
        clips = [[Image.fromarray(one) for one in clip] for clip in frames]
        return finished(vectors(clips, place), options)

    whole = {"feature": name, **recipe, "frames": items.frames, "batch_size": items.batch_size}
    # on CUDA the transforms of the next batches run beside the network
    workers = min(place.threads, 4) if place.device.type == "cuda" else place.workers
    return Extractor(
        name,
        encode,
        workers,
        {**whole, **place.recipe},
        items,
        items.frames,
        repeats_last_frame=True,
        place=place,
    )


def finished(vectors: Tensor, options: LibraryOptions) -> np.ndarray:
    """Vectors (n, D) float32 on the processor, of unit length where the row says so."""
    if vectors.dim() != 2:
        got = f"{options.model}, whose output has the shape {tuple(vectors.shape)}"
        raise UserError(got, "one vector a row", "choose another pooling")
    whole = F.normalize(vectors.float(), dim=1) if options.normalize else vectors.float()
    return np.asarray(whole.cpu().numpy())


def to_place(inputs: Mapping[str, Any], place: Runtime) -> dict[str, Any]:
    """A processor's tensors on a device, numbers with a fraction at its precision."""
    return {
        key: value.to(place.device, place.dtype)
        if value.is_floating_point()
        else value.to(place.device)
        for key, value in inputs.items()
        if isinstance(value, torch.Tensor)
    }


def token_mean(tokens: Tensor, prefix: int, mask: Tensor | None = None) -> Tensor:
    """The mean (n, D) of tokens (n, L, D) behind the first `prefix`; mask (n, L - prefix): those that count."""
    rest = tokens[:, prefix:]
    if mask is None:
        return rest.mean(dim=1)
    weights = mask.to(rest.dtype).unsqueeze(-1)
    return (rest * weights).sum(dim=1) / weights.sum(dim=1)
