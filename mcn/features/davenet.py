"""Audio vectors: ResDAVEnet over the whole log-mel of a video, 6.25 vectors a second.

Conventions
-----------
- Input: rows (T, 40) dB every 0.01 s. Output: (ceil(T / 16), 1024), row i at i * 0.16 s; not normalised, >= 0.
- Long inputs run in chunks. A row depends on 420 input rows on either side of its own (the 1x9 convolutions of the
  four stages: 28 + 56 + 112 + 224), so chunks that overlap by 432 on either side give the rows of one pass, up to
  the rounding of fp32 sums, and padding is seen at the true ends alone.
- Source: `brian7685/Multimodal-Clustering-Network` and `roudimit/AVLnet`, model_davenet.py. Read by experiments whose
  audio network is frozen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mcn.errors import UserError
from mcn.features.extraction import Extractor
from mcn.features.registry import library_versions
from mcn.features.runtime import Runtime
from mcn.features.weights import load_network
from mcn.networks import ResDavenet
from mcn.options.encoders import DavenetOptions

VERSION = 1  # raise when the code changes the numbers


class Chunk(NamedTuple):
    """Log-mel rows (n, 40) of which the vectors from `first` to before `last` are kept."""

    rows: np.ndarray
    first: int
    last: int


def davenet_extractor(
    name: str, options: DavenetOptions, weights: Path | str, place: Runtime
) -> Extractor:
    """The network at the runtime's device and precision; as `appearance_extractor`."""
    loaded = load_network("davenet", weights, options.weights_sha256)
    network = loaded.network.to(place.device, place.dtype)
    assert isinstance(network, ResDavenet)
    chunk_rows = options.chunk_rows // network.ratio * network.ratio

    def encode(values: np.ndarray) -> np.ndarray:
        if values.shape[1] != network.mel_bands:
            got, wanted = f"rows of width {values.shape[1]}", f"{network.mel_bands} mel bands"
            raise UserError(f"{name}: {got}", wanted, f"let features.{name}.reads name log-mels")
        parts = [
            _vectors(network, place, chunk) for chunk in chunks_of(values, chunk_rows, network)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, 0), np.float32)

    recipe = {
        "feature": name,
        "version": VERSION,
        "chunk_rows": chunk_rows,
        "weights": loaded.recipe,
        "libraries": library_versions("torch", "numpy"),
        **place.recipe,
    }
    return Extractor(
        name, encode, place.workers, recipe, None, network.ratio, ends_in_relu=True, place=place
    )


def chunks_of(rows: np.ndarray, chunk_rows: int, network: ResDavenet) -> Iterator[Chunk]:
    """Chunks of log-mel rows (T, 40) whose kept vectors, one after the other, are those of all rows."""
    ratio, overlap = network.ratio, overlap_of(network)
    for start in range(0, len(rows), chunk_rows):
        stop = min(start + chunk_rows, len(rows))
        before = max(0, start - overlap)
        kept = (start - before) // ratio
        yield Chunk(rows[before : stop + overlap], kept, kept + -(-(stop - start) // ratio))


def overlap_of(network: ResDavenet) -> int:
    """Log-mel rows on either side of a chunk: the reach of a column, rounded up to the ratio."""
    return -(-network.reach // network.ratio) * network.ratio


def _vectors(network: ResDavenet, place: Runtime, chunk: Chunk) -> np.ndarray:
    rows = torch.from_numpy(chunk.rows.astype(np.float32)).to(place.device, place.dtype)
    vectors = network(rows.T[None])[0, :, chunk.first : chunk.last]
    return np.asarray(vectors.T.float().cpu().numpy())
