"""Queries to vectors without PyTorch: the embedded sentence encoder in NumPy, for a first answer within a second.

Conventions
-----------
- Only for texts that meet in the space of `embedded:minilm` as it is: passages of what is said, and frozen pairs whose
  text encoder it is. The same vectors as those of `mcn.features.sentences` to 1e-5, whose rules for texts are kept.
- What this does not do (pictures, texts of more than 256 tokens) the whole encoder does, which is then loaded.
- BERT (Devlin et al., 2019) with 6 layers, mean pooling, unit length (Reimers and Gurevych, 2019; MiniLM: Wang et al.,
  2020). A query is one text, so that nothing is padded or masked.
- The products are small, and run on one thread: where other programs keep the cores busy, threads that wait for each
  other took ten times the processor time and thirty times the clock.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mcn.features.embedded import locate

WEIGHTS = "embedded:minilm"
MOST_TOKENS = 256


def is_quick(row: Mapping[str, Any]) -> bool:
    """Whether a feature of texts, as plain values of a configuration, is the encoder that is written here."""
    same = row.get("encoder") == "sentence" and row.get("weights") == WEIGHTS
    return same and not row.get("prompt") and bool(row.get("normalize", True))


class QuickQueries:
    """A query encoder. whole: loads the encoder that does the rest."""

    def __init__(self, whole: Callable[[], Any]) -> None:
        """Errors: `UserError` where the package with the weights is not installed."""
        self._network = _network(locate(WEIGHTS).folder)
        self._load = whole

    @functools.cached_property
    def _whole(self) -> Any:
        return self._load()

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, 384) float32 of unit length; zeros for an empty text."""
        words = [self._network.tokens(" ".join(text.split())) for text in texts]
        if any(len(one) > MOST_TOKENS for one in words):
            return np.asarray(self._whole.embed_text(list(texts)))
        return np.stack([self._network.vector(one) for one in words])

    def embed_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """As the whole encoder does."""
        return np.asarray(self._whole.embed_pictures(pictures))


@functools.cache
def _network(folder: Path) -> _Bert:
    return _Bert(folder)


class _Bert:
    """BERT with absolute positions and mean pooling, from a folder of sentence-transformers."""

    def __init__(self, folder: Path) -> None:
        from safetensors.numpy import load_file
        from threadpoolctl import ThreadpoolController
        from tokenizers import Tokenizer

        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        self._layers, self._heads = config["num_hidden_layers"], config["num_attention_heads"]
        self._epsilon = config["layer_norm_eps"]
        self._rows = load_file(folder / "model.safetensors")
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self._threads = ThreadpoolController()

    def tokens(self, text: str) -> list[int]:
        """Ids of the tokens of a text with those around it; [] of an empty text."""
        return list(self._tokenizer.encode(text).ids) if text else []

    def vector(self, tokens: Sequence[int]) -> np.ndarray:
        """(width,) of unit length."""
        rows = self._rows
        words = rows["embeddings.word_embeddings.weight"]
        if not tokens:
            return np.zeros(words.shape[1], np.float32)
        x = words[list(tokens)] + rows["embeddings.position_embeddings.weight"][: len(tokens)]
        x = self._norm(
            x + rows["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm"
        )
        with self._threads.limit(limits=1, user_api="blas"):
            for layer in range(self._layers):
                x = self._layer(x, f"encoder.layer.{layer}")
        mean = x.mean(axis=0)
        return np.asarray(mean / np.linalg.norm(mean), np.float32)

    def _layer(self, x: np.ndarray, name: str) -> np.ndarray:
        attended = self._linear(
            self._attention(x, f"{name}.attention.self"), f"{name}.attention.output.dense"
        )
        x = self._norm(x + attended, f"{name}.attention.output.LayerNorm")
        inner = _gelu(self._linear(x, f"{name}.intermediate.dense"))
        return self._norm(
            x + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
        )

    def _attention(self, x: np.ndarray, name: str) -> np.ndarray:
        length, width = x.shape
        query, key, value = (
            self._linear(x, f"{name}.{one}").reshape(length, self._heads, -1).transpose(1, 0, 2)
            for one in ("query", "key", "value")
        )
        scores = query @ key.transpose(0, 2, 1) / np.sqrt(width // self._heads)
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        weights /= weights.sum(axis=-1, keepdims=True)
        return np.asarray((weights @ value).transpose(1, 0, 2).reshape(length, width))

    def _linear(self, x: np.ndarray, name: str) -> np.ndarray:
        return np.asarray(x @ self._rows[f"{name}.weight"].T + self._rows[f"{name}.bias"])

    def _norm(self, x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        deviation = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + self._epsilon)
        return np.asarray(
            centred / deviation * self._rows[f"{name}.weight"] + self._rows[f"{name}.bias"]
        )


def _gelu(x: np.ndarray) -> np.ndarray:
    from scipy.special import erf

    return np.asarray(0.5 * x * (1 + erf(x / np.sqrt(2))))
