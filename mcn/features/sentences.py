"""Sentence encoders: one vector of a text as a whole, through sentence-transformers.

Conventions
-----------
- A text is read with its white space joined. What is longer than the model reads (256 tokens for MiniLM) is cut into
  parts of at most so many tokens, and its vector is the mean of theirs, normalised again: nothing is cut off.
- The vectors of a list depend on the list in their last bits alone, since texts of like length are run together.
- The model is opened by path: weights that a package carries (`mcn.features.embedded`), a folder in the layout of
  sentence-transformers, or the folder of a hub's model in its cache, at `revision`.
- Static embeddings (a table of token vectors, as of model2vec) read a text of any length at once.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mcn.errors import UserError
from mcn.features.embedded import INSTALL, locate
from mcn.features.hub import FOREIGN, hub_folder
from mcn.features.registry import TextEncoder, library_versions
from mcn.files import file_sha256
from mcn.options.encoders import SentenceOptions
from mcn.options.row import EMBEDDED_PREFIX, is_hub_name
from mcn.shards.clips import unit_length
from mcn.sources.words import text_units

if TYPE_CHECKING:  # imports torch, which stages of words need not pay for
    import torch

    from mcn.features.runtime import Runtime

VERSION = 1  # raise when the code changes the numbers
BATCH = 32  # texts a forward pass, where the runtime names no number


class SentenceEncoder:
    """A sentence encoder on a device. `width`: numbers of a vector; `recipe`: all that changes them."""

    def __init__(self, options: SentenceOptions, place: Runtime) -> None:
        """Errors: `UserError` for a library or weights that are missing, or that have another sha256."""
        folder, weights = _located(options)
        if options.weights_sha256 not in (None, weights["sha256"]):
            got = f"{options.weights} with sha256 {weights['sha256']}"
            cure = "get the right file, or correct weights_sha256"
            raise UserError(got, f"sha256 {options.weights_sha256}", cure)
        self._model = _opened(folder, place.device).to(place.dtype)
        self._options, self._batch = options, place.batch(BATCH, 8 * BATCH)
        self.width = int(self._model.get_embedding_dimension())
        self.recipe: dict[str, Any] = {
            "version": VERSION,
            "unit": options.unit,
            **options.model_dump(mode="json", include={"encoder", "prompt", "normalize"}),
            "weights": {**weights, "width": self.width},
            "libraries": library_versions("sentence-transformers", "tokenizers", "torch"),
            **place.recipe,
        }

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, width) float32 of texts, of unit length where `normalize`; zeros for an empty text."""
        parts = [list(self._parts(text)) for text in texts]
        joined = [part for one in parts for part in one]
        vectors = np.zeros((len(texts), self.width), np.float32)
        if not joined:
            return vectors
        found = self._model.encode(
            joined,
            batch_size=self._batch,
            show_progress_bar=False,
            normalize_embeddings=self._options.normalize,
        )
        row = 0
        for vector, one in zip(vectors, parts, strict=True):
            if one:
                vector[:] = np.asarray(found[row : row + len(one)], np.float32).mean(axis=0)
            row += len(one)
        several = np.array([len(one) > 1 for one in parts])
        if self._options.normalize and several.any():
            vectors[several] = unit_length(vectors[several])
        return vectors

    def _parts(self, text: str) -> Iterator[str]:
        """A text with the prompt before it, in parts that the model reads whole."""
        for whole in text_units(text, "text"):
            whole = self._options.prompted(whole)
            if (self._model.max_seq_length or math.inf) == math.inf:
                yield whole  # static embeddings read any length
                continue
            tokenizer = self._model.tokenizer
            most = self._model.max_seq_length - tokenizer.num_special_tokens_to_add()
            spans = tokenizer(
                whole, add_special_tokens=False, return_offsets_mapping=True, verbose=False
            )["offset_mapping"]
            for first in range(0, len(spans), most):
                last = spans[min(first + most, len(spans)) - 1]
                yield whole[spans[first][0] : last[1]]


def sentence_vocabulary(texts: Iterable[str], encoder: TextEncoder) -> tuple[list[str], np.ndarray]:
    """The distinct texts, sorted, and their vectors (n, width) float32."""
    from mcn.features.runtime import repeatable

    distinct = sorted({unit for text in texts for unit in text_units(text, "text")})
    with repeatable():
        return distinct, encoder.encode(distinct)


def _located(options: SentenceOptions) -> tuple[Path, dict[str, Any]]:
    """The folder of a model, and what a recipe says of its weights."""
    if options.weights.startswith(EMBEDDED_PREFIX):
        found = locate(options.weights)
        return found.folder, found.recipe
    revision: dict[str, Any] = {}
    folder, source = Path(options.weights), Path(options.weights).name
    if is_hub_name(options.weights):
        ignored = (*FOREIGN, "*.bin")
        folder = hub_folder(options.weights, options.revision, ignored=ignored)
        source = options.weights
        revision = {"revision": folder.name}
    file = folder / "model.safetensors"
    try:
        return folder, {"source": source, **revision, "sha256": file_sha256(file)}
    except OSError as error:
        wanted = "a folder in the layout of sentence-transformers with a model.safetensors"
        raise UserError(f"{file}: {error.strerror}", wanted, "correct `weights`") from None


def open_model(options: SentenceOptions, device: torch.device, **more: Any) -> Any:
    """The library's model of a row. more: arguments of its constructor. Errors: those of `SentenceEncoder`."""
    return _opened(_located(options)[0], device, **more)


def _opened(folder: Path, device: torch.device, **more: Any) -> Any:
    """The model in eval mode at a device."""
    try:
        from sentence_transformers import SentenceTransformer
        from transformers.utils.logging import disable_progress_bar
    except ImportError as error:
        wanted = "the library of sentence encoders"
        raise UserError(f"no sentence-transformers ({error})", wanted, INSTALL) from None
    disable_progress_bar()  # of a file that is read in half a second
    logging.getLogger("sentence_transformers").setLevel(logging.WARNING)
    try:
        model = SentenceTransformer(str(folder), device=str(device), local_files_only=True, **more)
    except (OSError, ValueError, KeyError) as error:
        wanted = "a model in the layout of sentence-transformers"
        raise UserError(f"{folder}: {error}", wanted, "get it whole") from error
    return model.eval()
