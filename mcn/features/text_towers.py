"""Text towers of dual encoders: one vector of the joint space for a whole text.

Conventions
-----------
- A text is read with its white space joined and `prompt` before it, or around it. What is longer than the tower reads
  (77 tokens of CLIP, 64 of SigLIP) is cut into parts at its words, and its vector is the mean of theirs, normalised
  again where vectors are: nothing is cut off. A word that alone is longer is cut into parts at its characters.
- Texts are tokenised as the library's own pipeline does it, padding included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcn.features.library_models import Opened, finished, placed, recipe_of, to_place
from mcn.features.registry import make_text_encoder
from mcn.features.runtime import Runtime, repeatable
from mcn.options.libraries import JoinedTextOptions, TowerOptions
from mcn.shards.clips import unit_length
from mcn.sources.words import text_units

CPU_BATCH, CUDA_BATCH = 32, 256  # texts


class TextTower:
    """A text tower on a device. `width`: numbers of a vector; `recipe`: all that changes them."""

    def __init__(
        self,
        options: TowerOptions,
        place: Runtime,
        opened: Opened,
        libraries: Sequence[str],
        tokenize: Callable[[list[str]], dict[str, Tensor]],
        forward: Callable[[dict[str, Tensor]], Tensor],
        fits: Callable[[str], bool],
    ) -> None:
        """tokenize: texts -> inputs of the network. forward: those -> (n, width). fits: whether a text is read whole.

        Errors: `UserError` for weights with another sha256 than the row's.
        """
        self._options, self._place = options, placed(options, place)
        self._tokenize, self._forward, self._fits = tokenize, forward, fits
        self._batch = self._place.batch(CPU_BATCH, CUDA_BATCH)
        recipe = recipe_of(options, opened, libraries)
        opened.network.to(self._place.device, self._place.dtype)
        self.width = self._vectors(["a"]).shape[1]
        self.recipe: dict[str, Any] = {
            "unit": options.unit,
            **recipe,
            "weights": {**recipe["weights"], "width": self.width},
            **self._place.recipe,
        }

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, width) float32 of texts; zeros for an empty text."""
        parts = [list(self._parts(text)) for text in texts]
        joined = [part for one in parts for part in one]
        vectors = np.zeros((len(texts), self.width), np.float32)
        with repeatable():
            batches = range(0, len(joined), self._batch)
            found = [self._vectors(joined[first : first + self._batch]) for first in batches]
        rows, row = np.concatenate([np.zeros((0, self.width), np.float32), *found]), 0
        for vector, one in zip(vectors, parts, strict=True):
            if one:
                vector[:] = rows[row : row + len(one)].mean(axis=0)
            row += len(one)
        several = np.array([len(one) > 1 for one in parts], bool)
        if self._options.normalize and several.any():
            vectors[several] = unit_length(vectors[several])
        return vectors

    def _vectors(self, texts: list[str]) -> np.ndarray:
        with torch.inference_mode():
            inputs = to_place(self._tokenize(texts), self._place)
            return finished(self._forward(inputs), self._options)

    def _parts(self, text: str) -> Iterator[str]:
        """A text with the prompt before it, in parts that the tower reads whole."""
        for whole in text_units(text, "text"):
            part = ""
            for word in self._options.prompted(whole).split(" "):
                longer = f"{part} {word}" if part else word
                if part and not self._fits(longer):
                    yield part
                    longer = word
                while not self._fits(longer) and len(longer) > 1:
                    end = next(n for n in range(len(longer) - 1, 0, -1) if self._fits(longer[:n]))
                    yield longer[:end]
                    longer = longer[end:]
                part = longer
            yield part


class JoinedTexts:
    """The vectors of several towers side by side, each of unit length. widths: numbers of each tower's vector."""

    def __init__(self, options: JoinedTextOptions, place: Runtime) -> None:
        """Errors: as those of the towers."""
        self._towers = [make_text_encoder(one, place) for one in options.towers]
        self.widths = [one.width for one in self._towers]
        self.width = sum(self.widths)
        self.recipe: dict[str, Any] = {
            "unit": options.unit,
            "encoder": options.encoder,
            "of": [one.recipe for one in self._towers],
        }

    def encode(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, width) float32 of texts; zeros for an empty text."""
        return np.concatenate([unit_length(one.encode(texts)) for one in self._towers], axis=1)
