"""Vectors of any texts by a text feature of the configuration, without a data set.

Conventions
-----------
- The words of a text, or the text as a whole, are looked up or encoded as the row of the feature says. A text without a
  known word has a zero vector.
- Vectors are float32.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.errors import UserError
from mcn.evaluation.annotations import Vocabulary
from mcn.features.registry import TextEncoder, make_text_encoder
from mcn.features.runtime import Runtime
from mcn.features.text import build_vocabulary
from mcn.features.vectors import load_vectors
from mcn.options.encoders import TextOptions
from mcn.options.row import FeatureOptions, TextsOptions
from mcn.shards.clips import unit_length


class TextVectors:
    """Vectors of the words of texts, or of whole texts, from a text feature's row.

    width: numbers of a vector; widths: of its parts, where it is of several encoders side by side.
    """

    def __init__(self, name: str, row: FeatureOptions, place: Runtime) -> None:
        """Errors: `UserError` for a row that is not of texts, or whose vectors or weights cannot be read."""
        self._words: Any = None
        self._encoder: TextEncoder | None = None
        self.widths: list[int] = []
        if isinstance(row, TextsOptions) and row.unit == "text":
            self._encoder = make_text_encoder(row, place)
            self.width = self._encoder.width
            self.widths = list(getattr(self._encoder, "widths", []))
            recipe = self._encoder.recipe  # one of the user's own may name no weights
            self.recipe: dict[str, Any] = recipe.get("weights", recipe)
        elif isinstance(row, TextOptions) and row.file:
            self._words, digest = load_vectors(row.file, row.cache)
            self.width, self._case = int(self._words.vector_size), row.case
            self.recipe = {"source": Path(row.file).name, "sha256": digest}
        else:
            wanted = "a feature of texts with vectors or weights"
            raise UserError(f"features.{name}, of encoder {row.encoder}", wanted, "give them")

    def vocabulary(self, texts: Sequence[str]) -> Vocabulary:
        """The known words of the texts, or the texts themselves, with their vectors."""
        if self._encoder is not None:
            whole = sorted({" ".join(text.split()) for text in texts} - {""})
            vectors = self._encoder.encode(whole)
            return Vocabulary({text: row for row, text in enumerate(whole)}, vectors, "text")
        tokens, rows = build_vocabulary(texts, self._words, self._case)
        return Vocabulary({token: row for row, token in enumerate(tokens)}, rows)

    def means(self, texts: Sequence[str]) -> np.ndarray:
        """The mean (n, d) of the vectors of each text, of unit length; zeros where nothing is known."""
        known = self.vocabulary(texts)
        sums = [known.words(text, len(text)).sum(axis=0) for text in texts]
        return unit_length(np.stack(sums))
