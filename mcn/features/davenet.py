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
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from mcn.errors import UserError
from mcn.features.extraction import Extractor, extract
from mcn.features.parallel import Timing
from mcn.features.reading import Batch, Part
from mcn.features.recipes import library_versions
from mcn.features.runtime import Runtime, resolve
from mcn.features.weights import LoadedNetwork, load_network
from mcn.networks import ResDavenet
from mcn.options.features import DavenetOptions, RuntimeOptions
from mcn.shards import ShardReader, feature_sequence

VERSION = 1  # raise when the code changes the numbers
OVERLAP = 432  # log-mel rows: the receptive field of 420, rounded up to the ratio of 16


class Chunk(NamedTuple):
    """Log-mel rows (n, 40) of which the vectors from `first` to before `last` are kept."""

    rows: np.ndarray
    first: int
    last: int


def extract_davenet(
    log_mels: Path,
    weights: Path | str,
    output: Path,
    options: DavenetOptions,
    runtime: RuntimeOptions,
    threads: int = 0,
) -> Timing:
    """A log-mel feature shard to the feature shard `output`; arguments as in `extract_appearance`."""
    loaded = load_network("davenet", weights, options.weights_sha256)
    return extract(log_mels, output, davenet_extractor(loaded, options, runtime, threads))


def davenet_extractor(
    loaded: LoadedNetwork, options: DavenetOptions, runtime: RuntimeOptions, threads: int = 0
) -> Extractor:
    """The network at the runtime's device and precision."""
    place = resolve(runtime, threads)
    network = loaded.network.to(place.device, place.dtype)
    assert isinstance(network, ResDavenet)
    chunk_rows = options.chunk_rows // ResDavenet.ratio * ResDavenet.ratio
    recipe = {
        "feature": "davenet",
        "version": VERSION,
        "chunk_rows": chunk_rows,
        "weights": loaded.recipe,
        "libraries": library_versions("torch", "numpy"),
    }
    batches = partial(_batches, chunk_rows=chunk_rows, mel_bands=network.mel_bands)
    compute = partial(_compute, network, place)
    return Extractor("davenet", "features", batches, compute, ResDavenet.ratio, place, recipe)


def chunks_of(rows: np.ndarray, chunk_rows: int) -> Iterator[Chunk]:
    """Chunks of log-mel rows (T, 40) whose kept vectors, one after the other, are those of all rows."""
    ratio = ResDavenet.ratio
    for start in range(0, len(rows), chunk_rows):
        stop = min(start + chunk_rows, len(rows))
        before = max(0, start - OVERLAP)
        kept = (start - before) // ratio
        yield Chunk(rows[before : stop + OVERLAP], kept, kept + -(-(stop - start) // ratio))


def _batches(reader: ShardReader, chunk_rows: int, mel_bands: int) -> Iterator[Batch]:
    """One batch a chunk."""
    for row in reader:
        values = feature_sequence(row).values
        head = {name: value for name, value in row.items() if name != "features"}
        if values is None:
            yield Batch(parts=[Part(head, 0, True)])
            continue
        if values.shape[1] != mel_bands:
            got, wanted = (
                f"{reader.path}: rows of width {values.shape[1]}",
                f"{mel_bands} mel bands",
            )
            raise UserError(got, wanted, "give shards of the stage logmel")
        chunks = list(chunks_of(values, chunk_rows))
        for chunk in chunks:
            yield Batch([chunk], [Part(head, chunk.last - chunk.first, chunk is chunks[-1])])


def _compute(network: ResDavenet, place: Runtime, batch: Batch) -> np.ndarray:
    if not batch.items:
        return np.zeros((0, 0), np.float32)
    chunk: Chunk = batch.items[0]
    rows = torch.from_numpy(chunk.rows.astype(np.float32)).to(place.device, place.dtype)
    vectors = network(rows.T[None])[0, :, chunk.first : chunk.last]
    return np.asarray(vectors.T.float().cpu().numpy())
