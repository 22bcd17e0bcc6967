"""Encoders of one's own, named by import path: found, held to their contract (`mcn.features.registry`), and run.

Conventions: whatever an encoder raises is a `UserError` that names its file and the contract. A digest of the file is
in the recipe of all that it makes.
"""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcn.errors import UserError
from mcn.features.registry import Encoder
from mcn.options.decode import FrameOptions, SoundOptions
from mcn.options.encoders import OwnOptions, OwnTextOptions
from mcn.options.own_parts import load_part, part_errors
from mcn.options.row import FeatureOptions

if TYPE_CHECKING:  # both import torch, which the rules that only list encoders need not pay for
    from mcn.features.extraction import Extractor
    from mcn.features.runtime import Runtime

WORDS = f"an encoder as {Encoder.__module__} describes it"


def load_encoder(
    name: str, row: OwnOptions | OwnTextOptions, folder: Path | None = None
) -> type[Encoder]:
    """The class of a feature's own encoder. Errors: `UserError` where it is not found or breaks the contract."""
    part: type[Encoder] = load_part(row.encoder, Encoder, folder)
    wrong = []
    if part.kind != row.kind:
        wrong.append(f"its kind is {part.kind!r}, features.{name}.kind is {row.kind!r}")
    if part.__call__ is Encoder.__call__:
        wrong.append("it has no __call__")
    if isinstance(row.reads, SoundOptions) and part.step_seconds <= 0:
        wrong.append(
            f"its step_seconds is {part.step_seconds}, wanted more than 0 where sound is read"
        )
    if wrong:
        got = f"{inspect.getfile(part)}: {part.__name__}: {'; '.join(wrong)}"
        raise UserError(got, f"the contract that {Encoder.__module__} describes", "mend that file")
    return part


def own_problems(rows: Mapping[str, FeatureOptions], folder: Path | None = None) -> list[str]:
    """What is wrong with the encoders of one's own, a line each."""
    problems = []
    for name, row in rows.items():
        if isinstance(row, (OwnOptions, OwnTextOptions)):
            try:
                load_encoder(name, row, folder)
            except UserError as error:
                problems.append(f"features.{name}.encoder: {error.got}; wanted {error.wanted}")
    return problems


def own_extractor(
    name: str, row: OwnOptions, place: Runtime, folder: Path | None = None
) -> Extractor:
    """The extractor around an encoder of one's own; its errors name its file."""
    from mcn.features.extraction import Extractor, FrameItems

    encoder, recipe = _made(name, row, place, folder)

    def encode(values: Any) -> np.ndarray:
        return _vectors(encoder, row, np.asarray(values), folder)

    recipe = {"feature": name, **recipe}
    frames = isinstance(row.reads, FrameOptions)
    items = FrameItems(encoder.frames_per_vector, encoder.batch_size) if frames else None
    rows = encoder.frames_per_vector if frames else encoder.rows_per_vector
    step = encoder.step_seconds if isinstance(row.reads, SoundOptions) else None
    return Extractor(name, encode, place.workers, recipe, items, rows, step, place=place)


class OwnTextEncoder:
    """An encoder of texts of one's own. `width`: numbers of a vector; `recipe`: all that changes them."""

    def __init__(self, row: OwnTextOptions, place: Runtime) -> None:
        """Errors: `UserError` where the class is not found or breaks the contract."""
        self._row = row
        self._encoder, self.recipe = _made(row.encoder, row, place)
        self.width = _vectors(self._encoder, row, ["text"]).shape[1]

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, width) float32 of texts; zeros for an empty one."""
        said = [row for row, text in enumerate(texts) if text.strip()]
        vectors = np.zeros((len(texts), self.width), np.float32)
        if said:
            vectors[said] = _vectors(self._encoder, self._row, [texts[row] for row in said])
        return vectors


def _made(
    name: str, row: OwnOptions | OwnTextOptions, place: Runtime, folder: Path | None = None
) -> tuple[Encoder, dict[str, Any]]:
    """The encoder of a row, and what changes its numbers."""
    part = load_encoder(name, row, folder)
    with part_errors(row.encoder, WORDS, folder):
        encoder = part(row.options, str(place.device))
    recipe = {
        "encoder": row.encoder,
        "options": row.options,
        "file_sha256": hashlib.sha256(Path(inspect.getfile(part)).read_bytes()).hexdigest(),
        **encoder.recipe,
        **place.recipe,
    }
    return encoder, recipe


def _vectors(
    encoder: Encoder, row: OwnOptions | OwnTextOptions, values: Any, folder: Path | None = None
) -> np.ndarray:
    """What an encoder of one's own makes of its input, (n, D) float32."""
    with part_errors(row.encoder, WORDS, folder):
        vectors = np.asarray(encoder(values), np.float32)
        if vectors.ndim != 2:
            raise ValueError(f"vectors of shape {vectors.shape}, wanted (n, D)")
        if isinstance(values, list) and len(vectors) != len(values):
            raise ValueError(f"{len(vectors)} vectors of {len(values)} texts")
    return vectors
