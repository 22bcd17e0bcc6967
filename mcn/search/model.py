"""A model in one's own hands: `mcn.load` gives an object that embeds texts, videos and sound, and asks an index.

Conventions
-----------
- A file is embedded by the stages of the workflow themselves, in a temporary folder: decoded, features extracted,
  windows embedded. The vectors are those that the index of this file holds, before they are rounded to float16.
- The rows of the features are those beside the model (`settings.json`), else of the run that it lies in, else the
  default rows. Weights that are drawn from a seed lie in that run too.
- Windows are those of the section `search`, cut off where a stretch begins and ends: times are seconds from the start
  of the container.
"""

from __future__ import annotations

import logging
import math
import tempfile
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mcn.config.features import decode_passes, with_sources
from mcn.errors import UserError, VideoError
from mcn.evaluation.annotations import Moment
from mcn.evaluation.basis import basis
from mcn.evaluation.embed import Embedded, EvaluatedModel
from mcn.evaluation.inputs import absence
from mcn.evaluation.model import features_of
from mcn.features.extraction import extract
from mcn.features.registry import derive_reads, make_extractor
from mcn.files import csv_text, write_text
from mcn.layout import Dataset
from mcn.media.decode import decode
from mcn.networks.checkpoints import load_model
from mcn.options.base import parsed
from mcn.options.decode import DecodeOptions
from mcn.options.evaluation import EvaluationOptions, RetrievalOptions
from mcn.options.features import FeatureRows, RuntimeOptions
from mcn.options.row import FeatureOptions, FeatureReads
from mcn.options.search import SearchOptions
from mcn.search.answers import Answer, Answers
from mcn.search.card import settings_of
from mcn.search.folder import Video
from mcn.search.index import embed_windows, windows_of
from mcn.search.opening import sources_of
from mcn.search.query_encoder import QueryEncoder, load_query_encoder
from mcn.shards import FeatureStore
from mcn.shards.clips import unit_length

log = logging.getLogger(__name__)

FILE = "file"  # the id of the one video of the temporary data set


class WindowVectors(NamedTuple):
    """Windows of a file: their starts and ends (n,) in seconds, and vectors (n, D) float32 of unit length."""

    starts: np.ndarray
    ends: np.ndarray
    vectors: np.ndarray


class LoadedModel:
    """A model folder. basis: what its answers rest on; features: what it reads, by modality."""

    def __init__(self, directory: Path, settings: Mapping[str, Any], results: Path) -> None:
        self.directory, self._settings, self._results = directory, settings, results
        self.basis = basis(directory)
        self._search = parsed(SearchOptions, dict(settings.get("search") or {}))
        given = {"features": settings.get("features") or {}}
        self._rows: dict[str, FeatureOptions] = dict(parsed(FeatureRows, given).features)
        network, config = load_model(directory)
        self.features = features_of(config, network)
        sources = with_sources(self._rows, [*self.features.video, str(self.features.audio)])
        self._rows |= {name: derive_reads(self._rows[name]) for name in sources}

    @cached_property
    def _queries(self) -> QueryEncoder:
        return load_query_encoder(self.directory, self._settings)

    @property
    def takes_pictures(self) -> bool:
        """Whether single pictures can be embedded: the model sees one trained feature of single frames."""
        rows = [self._rows[name] for name in self.features.video]
        return len(rows) == 1 and rows[0].kind == "frame" and not rows[0].is_seeded

    def encode_text(self, texts: Sequence[str]) -> np.ndarray:
        """Vectors (n, D) float32 of unit length; zeros for a text of which nothing is known.

        Errors: `UserError` for a text in place of a list of texts.
        """
        if isinstance(texts, str):
            raise UserError(f"the text {texts!r}", "a list of texts", "write [text]")
        return self._queries.embed_text(list(texts))

    def embed_text(self, texts: list[str]) -> np.ndarray:
        """As `encode_text`: a model is the encoder of the sources of its own index."""
        return self.encode_text(texts)

    def encode_pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Vectors (n, D) float32 of unit length of RGB pictures (H, W, 3) uint8; `UserError` where it takes none."""
        return self._queries.embed_pictures(pictures)

    def encode_video(
        self, path: Path | str, start: float | None = None, end: float | None = None
    ) -> WindowVectors:
        """The windows of a file's pictures, or of the stretch from `start` to `end` seconds.

        Errors: `VideoError` with the code of the ledger where the file has no usable pictures; `UserError` for a model
        without pictures.
        """
        return self._encode(Path(path), "v", list(self.features.video), start, end)

    def encode_audio(
        self, path: Path | str, start: float | None = None, end: float | None = None
    ) -> WindowVectors:
        """The windows of a file's sound; otherwise as `encode_video`."""
        audio = [self.features.audio] if self.features.audio else []
        return self._encode(Path(path), "a", audio, start, end)

    def encode_files(self, paths: Sequence[Path | str], heard: bool = False) -> np.ndarray:
        """Vectors (n, D) float32 of unit length of whole files: of their pictures, or `heard` of their sound.

        The files are decoded together, and each is one clip; zeros for a file without usable pictures or sound, which
        the log names. Errors: `UserError` for a model without that modality.
        """
        names = [self.features.audio] if heard and self.features.audio else []
        self._require(names if heard else self.features.video, heard)
        with tempfile.TemporaryDirectory() as folder:
            ids = [f"{number:08d}" for number in range(len(paths))]
            given = self._given(dict(zip(ids, map(Path, paths), strict=True)), Path(folder))
            clips = [Moment(one, 0.0, math.inf) for one in ids]
            frames = RetrievalOptions().audio_frames
            found = given.embed_audio(clips, frames) if heard else given.embed_video(clips)
        for path, reason in zip(paths, found.reasons, strict=True):
            if reason:
                log.warning("%s: %s", path, reason)
        return unit_length(found.vectors)

    def search(self, index: Path | str, query: str, limit: int = 10) -> list[Answer]:
        """The best moments for a text, best first. index: a folder of `mcn run`, or of an index of this model.

        A folder of `mcn run` answers from all of its sources, an index from the vectors of this model alone.
        """
        place = Path(index)
        if (place / "results").is_dir():
            return Answers.open(place).search(query, limit)
        vectors = sources_of(place, self.basis, lambda: self)
        ids = {one for source in vectors for one in source.index.video_ids}
        videos = {one: Video(one, Path(one), None, "ok", "", ()) for one in sorted(ids)}
        return Answers(videos, [self.basis], (), vectors).search(query, limit)

    def _encode(
        self, path: Path, letter: str, names: list[str], start: float | None, end: float | None
    ) -> WindowVectors:
        self._require(names, letter == "a")
        if not path.is_file():
            raise VideoError("not_found", str(path))
        with tempfile.TemporaryDirectory() as folder:
            given = self._given({FILE: path}, Path(folder))
            store = given.stores[names[0]]
            windows = self._windows(store, letter, start, end)
            found = embed_windows(given, windows, letter == "v", self._search)
            return _kept(windows, found)

    def _require(self, names: Sequence[str], heard: bool) -> None:
        if not names:
            what = "sound" if heard else "pictures"
            raise UserError(
                f"{self.directory}, which embeds no {what}", "a model that does", "ask another"
            )

    def _given(self, files: Mapping[str, Path], folder: Path) -> EvaluatedModel:
        """The model with the features of files as a data set of its own in `folder`."""
        dataset = Dataset(folder, 1)
        reads = [*self.features.video, *filter(None, [self.features.audio])]
        self._make_features(files, dataset, reads)
        return EvaluatedModel.load(self.directory, dataset, (), EvaluationOptions(), "cpu")

    def _windows(
        self, store: FeatureStore, letter: str, start: float | None, end: float | None
    ) -> list[Moment]:
        sequence = store[FILE]
        if sequence.values is None:
            code, _, words = absence("video" if letter == "v" else "audio", sequence).partition(
                ": "
            )
            code = words or code
            raise VideoError(code, sequence.error.removeprefix(f"{code}: "))
        windows = windows_of(store, FILE, self._search, letter == "v")
        if start is None and end is None:
            return windows
        first, last = start or 0.0, windows[-1].end if end is None else min(end, windows[-1].end)
        if first < 0 or last <= first:
            raise UserError(
                f"from {first} to {last if end is None else end} s",
                f"a stretch of the {windows[-1].end:.1f} s",
                "correct it",
            )
        if letter == "v" and self._search.scene_change is not None:
            cut = ((max(one.start, first), min(one.end, last)) for one in windows)
            return [Moment(FILE, *span) for span in cut if span[0] < span[1]]
        length = self._search.window_seconds
        starts = np.arange(first, max(last - length, first) + 1e-6, self._search.step_seconds)
        return [Moment(FILE, float(one), float(min(one + length, last))) for one in starts]

    def _make_features(
        self, files: Mapping[str, Path], dataset: Dataset, names: Sequence[str]
    ) -> None:
        """Decode files, and compute the features that the model reads, as the rules of the workflow do."""
        listed = dataset.shard_list(0)
        listed.parent.mkdir(parents=True)
        rows = [[one, path.absolute(), ""] for one, path in files.items()]
        write_text(listed, csv_text([["video_id", "path", "sha256"], *rows]))
        wanted = with_sources(self._rows, names)
        needed = {self._rows[name].stream for name in wanted} - {None}
        for streams in decode_passes(self._rows, wanted).values():
            chosen = [stream for stream in streams if stream in needed]
            if chosen:
                places = [dataset.paths(stream.folder)[0] for stream in chosen]
                decode(listed, chosen, places, DecodeOptions())
        for name in sorted(wanted, key=lambda one: isinstance(self._rows[one].reads, FeatureReads)):
            row = self._rows[name]
            assert row.reads is not None
            source = dataset.paths(row.reads.folder)[0]
            extractor = make_extractor(name, row, self._weights(name), RuntimeOptions(device="cpu"))
            extract(source, dataset.features(name)[0], extractor)

    def _weights(self, name: str) -> str:
        row = self._rows[name]
        if not row.is_seeded:
            return row.file or ""
        path = self._results / "weights" / f"{name}.safetensors"
        if not path.exists():
            got = f"features.{name} with weights that are drawn from a seed, and no {path}"
            raise UserError(
                got, "the run that drew them", "load the model from its folder in the run"
            )
        return str(path)


def _kept(windows: Sequence[Moment], found: Embedded) -> WindowVectors:
    """The windows that have a vector, of unit length."""
    times = np.array([one[1:] for one in windows], float).reshape(-1, 2)[found.present]
    vectors = found.vectors[found.present]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return WindowVectors(
        times[:, 0], times[:, 1], (vectors / np.maximum(lengths, 1e-12)).astype(np.float32)
    )


def load(path: Path | str) -> LoadedModel:
    """The model of a folder: a model folder, a folder of `mcn run` (its first model that sees), or a name of the hub.

    Errors: `UserError` where there is no model.
    """
    place = Path(path)
    if not place.exists() and str(path).count("/") == 1:
        place = _from_hub(str(path))
    models = sorted((place / "results" / "models").glob("*/config.yaml"))
    if models:
        place = models[0].parent
    if not (place / "config.yaml").exists():
        cure = "name a model folder, a folder of `mcn run`, or a model of the hub (OWNER/NAME)"
        raise UserError(
            f"no model in {path}", "a folder with config.yaml and model.safetensors", cure
        )
    return LoadedModel(place, settings_of(place), place.resolve().parent.parent)


def _from_hub(name: str) -> Path:
    """The folder of a model of the hub, fetched or from its cache."""
    try:
        from huggingface_hub import snapshot_download

        return Path(snapshot_download(name))
    except Exception as error:  # the hub's client raises many kinds
        cure = "correct the name, or fetch it: mcn fetch hf:OWNER/NAME@REVISION"
        raise UserError(f"{name}: {error}", "a folder, or a model of the hub", cure) from error
