"""The cosine that a window must reach to answer a query by what is seen, so that what is in no video finds nothing.

Conventions
-----------
- Only of models that name classes (`conse`), whose class vectors stand for a picture of each class. The limit of a
  query is the higher of `search.seen_cosine`, which rejects texts that name nothing visible, and of `search.seen_share`
  of the query's cosine with its nearest class, which rejects things that the classifier would know if it saw them.
- A query is answered where its best window reaches the limit; windows that reach `TAIL` of it follow.
- docs/search.md has the shares of queries that are accepted and refused, right and wrong, on real clips. They hold for
  centred class vectors, so that other models have no limit.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open

from mcn.errors import UserError
from mcn.evaluation.basis import model_config
from mcn.options.search import SearchOptions

TAIL = 0.7


class SeenLimit:
    """The limit of the queries of one model."""

    def __init__(self, model: Path, options: SearchOptions) -> None:
        self._weights, self._options = model / "model.safetensors", options

    def __call__(self, query: np.ndarray) -> float:
        """The cosine that the best window must reach. query: (D,), not zero."""
        nearest = float((self._classes @ (query / np.linalg.norm(query))).max())
        return max(self._options.seen_cosine, self._options.seen_share * nearest)

    @cached_property
    def _classes(self) -> np.ndarray:
        """Centred vectors of the classes, of unit length (K, D)."""
        found = []
        try:
            with safe_open(self._weights, "numpy") as rows:
                for key in rows.keys():  # noqa: SIM118 (a file of rows, which cannot be iterated)
                    if key.startswith("pictures.") and key.endswith(".names"):
                        names = rows.get_tensor(key)
                        found.append(names - names.mean(axis=0))
            if not found:
                raise ValueError("it holds no names of classes")
        except (OSError, ValueError, SafetensorError) as error:
            cure = f"delete it and make it again (rm {self._weights})"
            raise UserError(f"{self._weights}: {error}", "the rows of a model", cure) from error
        classes = np.concatenate(found)
        return classes / np.maximum(np.linalg.norm(classes, axis=1, keepdims=True), 1e-12)


def seen_limit(model: Path, options: SearchOptions) -> SeenLimit | None:
    """The limit of a model folder, None where none is known for its kind."""
    config = model_config(model)
    chosen = config.get("options") or {}
    if chosen.get("pairing") != "conse" or not chosen.get("center"):
        return None
    return SeenLimit(model, options)
