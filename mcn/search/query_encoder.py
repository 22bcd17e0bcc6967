"""What a model makes of a query, or of a picture.

Conventions
-----------
- A query's words, or the query as a whole, are looked up or encoded by the text feature that the model reads, as its
  row of the configuration says. A query without a known word has a zero vector.
- Vectors are float32 of unit length.
- Pictures: of a model whose only video feature is of single frames. They are scaled and cut as the feature's frames.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from mcn.errors import UserError
from mcn.evaluation.model import evaluating, features_of
from mcn.evaluation.text_vectors import TextVectors
from mcn.features.registry import derive_reads, make_extractor
from mcn.features.runtime import resolve
from mcn.media.frames import scaled_size
from mcn.networks.checkpoints import load_model
from mcn.options.base import parsed
from mcn.options.decode import FrameOptions
from mcn.options.features import FeatureRows, RuntimeOptions
from mcn.options.row import FeatureOptions
from mcn.shards.clips import unit_length

MAX_WORDS = 20  # of a query (MCN args.py)


class QueryEncoder:
    """A model with the encoders that turn queries, and pictures where it can, into its inputs."""

    def __init__(
        self, directory: Path, rows: Mapping[str, FeatureOptions], runtime: RuntimeOptions
    ) -> None:
        self._model, config = load_model(directory)
        self._features = features_of(config, self._model)
        self._rows, self._runtime = rows, runtime
        self._place = resolve(runtime)
        self._model.to(self._place.device)
        if self._features.text is None:
            raise UserError(
                f"{directory}, which embeds no text", "a model that does", "ask another"
            )
        self._texts = TextVectors(self._features.text, _row(rows, self._features.text), self._place)
        self._pictures: Any = None

    def embed_text(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, D) float32 of unit length; zeros for a text without a known word."""
        known = self._texts.vocabulary(texts)
        words = [known.words(text, MAX_WORDS) for text in texts]
        padded = np.zeros((len(texts), MAX_WORDS, known.vectors.shape[1]), np.float32)
        for row, one in zip(padded, words, strict=True):
            row[: len(one)] = one
        with evaluating(self._model):
            found = self._model.embed_text(torch.from_numpy(padded).to(self._place.device))
        vectors = unit_length(found.float().cpu().numpy())
        vectors[[not len(one) for one in words]] = 0
        return vectors

    def embed_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors (n, D) float32 of unit length of RGB pictures (H, W, 3) uint8.

        Errors: `UserError` where the model does not read single frames alone.
        """
        if len(self._features.video) != 1:
            got = f"a model of {', '.join(self._features.video) or 'no pictures'}"
            raise UserError(got, "a model of one feature of single frames", "ask with words")
        (name,) = self._features.video
        row = derive_reads(_row(self._rows, name))
        if row.kind != "frame" or not isinstance(row.reads, FrameOptions) or row.is_seeded:
            got = f"features.{name}, of encoder {row.encoder}"
            raise UserError(got, "a trained encoder of single frames", "ask with words")
        if self._pictures is None:
            self._pictures = make_extractor(name, row, "", self._runtime)
        extractor = self._pictures
        frames = [as_frame(one, row.reads.short_side, row.reads.crop) for one in pictures]
        vectors = np.concatenate([extractor.encode(one[None, None]) for one in frames])
        features = torch.from_numpy(vectors.astype(np.float16).astype(np.float32))
        features = features.to(self._place.device)
        with evaluating(self._model):
            if self._model.takes_frames:
                found = self._model.embed_frames(0, features)
            else:
                found = self._model.embed_video(F.normalize(features, dim=1))
        return unit_length(found.float().cpu().numpy())


def load_query_encoder(
    directory: Path,
    settings: Mapping[str, Any] | None = None,
    runtime: RuntimeOptions | None = None,
) -> QueryEncoder:
    """The query encoder of a model folder.

    settings: a configuration as plain values, whose `features` are those that the model was made with; None: the
    default rows. Errors: `UserError` for a model or encoders that are not there or do not fit.
    """
    given = (settings or {}).get("features") or {}
    rows = parsed(FeatureRows, {"features": given}).features
    return QueryEncoder(directory, rows, runtime or RuntimeOptions(device="cpu"))


def as_frame(picture: np.ndarray, short_side: int, crop: int | None) -> np.ndarray:
    """An RGB picture (H, W, 3) uint8 scaled and cut as decoding does with frames (bicubic, centre)."""
    height, width = picture.shape[:2]
    size = scaled_size(width, height, short_side)
    scaled = Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC)
    if crop is not None:
        left, top = (size[0] - crop) // 2, (size[1] - crop) // 2
        scaled = scaled.crop((left, top, left + crop, top + crop))
    return np.array(scaled)


def _row(rows: Mapping[str, FeatureOptions], name: str) -> FeatureOptions:
    if name not in rows:
        got = f"no row of the feature {name}, which the model reads"
        raise UserError(got, "the configuration that the model was made with", "name it")
    return rows[name]
