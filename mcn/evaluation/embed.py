"""A trained model with the data set that it is evaluated on: clips, seconds and texts become embeddings.

Conventions
-----------
- What has no input (no such stream, a failed video, a window outside the features, a text without a known word) gets
  a zero vector and a reason `modality: code`. The caller counts it and never uses the vector.
- Clips: every visual feature is max-pooled and L2-normalised, then they are concatenated (MCN
  youtube_dataloader.py:172-191). Where the network takes a clip in equal parts, this is done for each part.
- A network with `takes_frames` embeds the rows of a clip (`mcn.evaluation.model`).
- Audio: log-mels, padded with 0 dB and pooled over valid columns only, where the model has an audio network of its
  own; otherwise the mean of the rows of its audio feature. Log-mels are padded to `audio_frames` or to where padding
  no longer reaches a valid column, whichever is shorter: the same numbers for a fraction of the work.
- Models run where their parameters are, in float32, in eval mode, and are handed back in the mode they came in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from mcn.errors import UserError, several
from mcn.evaluation.annotations import Moment, Vocabulary, read_vocabulary
from mcn.evaluation.inputs import ClipReader, Stores, audio_batch, open_stores, require_width
from mcn.evaluation.model import device_of, evaluating, features_of, mean_frames, mean_sounds
from mcn.features.runtime import resolve
from mcn.layout import Dataset, ModelShards
from mcn.networks.checkpoints import load_model
from mcn.networks.embedding import EmbeddingNetwork
from mcn.networks.everything_at_once import LongSound
from mcn.options.evaluation import EvaluationOptions, SecondsOptions
from mcn.options.features import RuntimeOptions
from mcn.options.model import ModelFeatures

Item = TypeVar("Item")
Input = TypeVar("Input", np.ndarray, list[np.ndarray])
MODALITY = {"t": "text", "v": "video", "a": "audio"}


@dataclass(frozen=True)
class Embedded:
    """One modality of N items: `vectors` (N, d) float32; `reasons` (N): '' or why the item has none."""

    vectors: np.ndarray
    reasons: list[str]

    @property
    def present(self) -> np.ndarray:
        """Whether each item has an embedding: bool (N,)."""
        return np.array([not reason for reason in self.reasons], bool)


@dataclass(frozen=True)
class EvaluatedModel:
    """One trained model with one data set and the options of one evaluation: what every evaluation is given.

    inputs, stores: the features that the model reads, and the shards of video and audio by name. tables: annotation
    table or `vocabulary` -> its file. words: known words that stand in for those of the data set. config: what the
    model's config.yaml says. experiment, dataset: names for the results. synthetic: the data set is rendered, which
    every table says. exports: folders for files that an evaluation writes beside its scores, by kind.
    """

    model: EmbeddingNetwork
    inputs: ModelFeatures
    stores: Stores
    tables: Mapping[str, Path]
    options: EvaluationOptions
    config: Mapping[str, Any] = field(default_factory=dict)
    experiment: str = ""
    dataset: str = ""
    synthetic: bool = False
    exports: Mapping[str, Path] = field(default_factory=dict)
    words: Vocabulary | None = None

    @classmethod
    def load(
        cls,
        directory: Path,
        dataset: Dataset,
        tables: Sequence[str],
        options: EvaluationOptions,
        device: str = "auto",
        **about: Any,
    ) -> EvaluatedModel:
        """The model of a folder on a device (auto, cpu, cuda, cuda:N), the features that it reads opened.

        tables: names of annotation tables of the data set. about: further fields. Errors: `UserError` for a model,
        features or a device that are missing, damaged or do not fit together.
        """
        model, config = load_model(directory)
        place = resolve(RuntimeOptions.model_validate({"device": device})).device
        shards = dataset.model_shards(*features_of(config, model))
        files = {name: dataset.table(name) for name in tables}
        named = {"experiment": directory.name, "dataset": dataset.name, **about}
        return cls.of(model.to(place), shards, files, options, config=config, **named)

    @classmethod
    def of(
        cls,
        model: EmbeddingNetwork,
        shards: ModelShards,
        tables: Mapping[str, Path],
        options: EvaluationOptions,
        **about: Any,
    ) -> EvaluatedModel:
        """A model at hand, in training perhaps, with the shards that it reads; the rest as for `load`."""
        sound, text = (next(iter(one), None) for one in (shards.audio, shards.text))
        inputs = ModelFeatures(tuple(shards.video), sound, text)
        words = {"vocabulary": shards.vocabulary} if shards.vocabulary else {}
        stores = open_stores({**shards.video, **shards.audio})
        return cls(model, inputs, stores, {**tables, **words}, options, **about)

    @property
    def letters(self) -> str:
        """The modalities that the model embeds: some of t (text), v (video) and a (audio)."""
        return "".join(m[0] for m in ("text", "video", "audio") if self.inputs.by_modality[m])

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return device_of(self.model)

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words that the data set knows, with their vectors."""
        return self.words or read_vocabulary(self.tables["vocabulary"])

    @cached_property
    def reader(self) -> ClipReader:
        """What the model takes of clips and texts."""
        accurate = self.model.units_are_rows and isinstance(self.options, SecondsOptions)
        tokens = getattr(self.options, "visual_tokens", None)
        long_clips = getattr(self.options, "long_clips", "first")
        return ClipReader(self.model, self.inputs, self.stores, tokens, accurate, long_clips)

    def require_videos(self, video_ids: Sequence[str]) -> None:
        """`UserError` naming every annotated video that a feature has no row of, failed rows being rows."""
        wanted = sorted(set(video_ids))
        problems = [
            f"{name}: no row of video {video_id}"
            for name, store in self.stores.items()
            for video_id in wanted
            if video_id not in store
        ]
        if problems:
            cure = "extract the features of the whole set, or correct the annotations"
            raise several(problems, "a row of every annotated video", cure)

    def embed_video(self, clips: Sequence[Moment]) -> Embedded:
        """Visual embeddings of clips."""
        if self.model.takes_frames:
            return self._embed(
                clips, self.reader.frames, partial(mean_frames, self.model, self.inputs.video)
            )
        return self._embed(clips, self.reader.visual, self._run_video)

    def embed_features(self, features: np.ndarray) -> np.ndarray:
        """Visual embeddings (N, d) of clip features (N, D), which are the visual features joined."""
        return self._embed(list(features), lambda row: row, self._run_video).vectors

    def embed_audio(self, clips: Sequence[Moment], audio_frames: int) -> Embedded:
        """Audio embeddings of clips; of log-mels at most `audio_frames` of each are heard."""
        if self.model.takes_frames:
            return self._embed(
                clips, self.reader.sounds, partial(mean_sounds, self.model, str(self.inputs.audio))
            )
        frames = self.reader.heard(audio_frames)
        order = np.argsort([clip.end - clip.start for clip in clips], kind="stable")
        found = self._embed(
            [clips[i] for i in order],
            lambda clip: self.reader.sound(clip, frames),
            lambda rows: self.model.embed_audio(*self._sound_tensors(rows, frames)),
        )
        back = np.argsort(order)
        return Embedded(found.vectors[back], [found.reasons[i] for i in back])

    def embed_text(self, texts: Sequence[str]) -> Embedded:
        """Text embeddings from the first `max_words` known words, padded to that many."""
        return self._embed(
            texts, self._words, lambda words: self.model.embed_text(self._tensor(np.stack(words)))
        )

    def present(self, letter: str, items: Sequence[Any], audio_frames: int = 0) -> Embedded:
        """Which texts (t) or clips (a) have what a network joins with others; vectors are zeros."""
        heard = self.reader.heard(audio_frames)

        def read(item: Any) -> np.ndarray | str:
            return self._words(item) if letter == "t" else self.reader.sound(item, heard)

        return self._embed(items, read, lambda rows: torch.zeros(len(rows), 1))

    def embed_joined(
        self,
        letters: str,
        clips: Sequence[Moment],
        texts: Sequence[str] | None = None,
        audio_frames: int = 0,
    ) -> Embedded:
        """Embeddings of the modalities of a side of `model.joins` at once; of clips, or of each clip with its text.

        letters: out of t, v and a. What lacks one has none, and the first reason is given.
        """
        frames = self.reader.heard(audio_frames)
        read: dict[str, Callable[[Moment, str], np.ndarray | str]] = {
            "v": lambda clip, text: self.reader.visual(clip),
            "a": lambda clip, text: self.reader.sound(clip, frames),
            "t": lambda clip, text: self._words(text),
        }
        tensors: dict[str, Callable[[list[np.ndarray]], tuple[Any, ...]]] = {
            "v": lambda rows: (self._visual_tensor(rows),),
            "a": lambda rows: self._sound_tensors(rows, frames),
            "t": lambda rows: (self._tensor(np.stack(rows)),),
        }

        def inputs(item: tuple[Moment, str]) -> list[np.ndarray] | str:
            found = []
            for letter in letters:
                one = read[letter](*item)
                if isinstance(one, str):
                    return one
                found.append(one)
            return found

        def run(items: list[list[np.ndarray]]) -> Tensor:
            rows = zip(letters, zip(*items, strict=True), strict=True)
            return self.model.embed_joined(
                {MODALITY[letter]: tensors[letter](list(one)) for letter, one in rows}
            )

        pairs = list(zip(clips, texts if texts is not None else [""] * len(clips), strict=True))
        return self._embed(pairs, inputs, run)

    def _words(self, text: str) -> np.ndarray | str:
        width = self.vocabulary.vectors.shape[1]
        require_width("word vectors", width, self.model.settings["word_width"])
        return self.reader.words(text, self.vocabulary, self.options.max_words)

    def _sound_tensors(self, rows: list[np.ndarray], audio_frames: int) -> tuple[Any, ...]:
        if self.model.DAVEnet is None:
            return (self._tensor(np.stack(rows)),)
        padded, valid = audio_batch(rows, audio_frames, self.model.DAVEnet)
        return self._tensor(padded), self._tensor(valid), *self._chosen_columns()

    def _chosen_columns(self) -> tuple[LongSound, ...]:
        """How a network of rows chooses the columns of long sound, where it does not take the first."""
        reader = self.reader
        if not self.model.units_are_rows or reader.long_clips == "first":
            return ()
        return (LongSound(reader.long_clips, reader.most_tokens),)

    def _run_video(self, rows: list[np.ndarray]) -> Tensor:
        return self.model.embed_video(self._visual_tensor(rows))

    def _visual_tensor(self, rows: list[np.ndarray]) -> Tensor:
        for width in {row.shape[-1] for row in rows}:
            require_width("visual features", width, self.model.settings["video_width"])
        return self._tensor(np.stack(rows))

    def _tensor(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.device)

    def _embed(
        self,
        items: Sequence[Item],
        read: Callable[[Item], Input | str],
        run: Callable[[list[Input]], Tensor],
    ) -> Embedded:
        """Embeddings of items: `read` gives the network's input of one or a reason, `run` embeds a list of inputs."""
        vectors = np.zeros((len(items), self.model.embedding_width), np.float32)
        reasons: list[str] = []
        size = self.options.batch_size
        with evaluating(self.model):
            for start in range(0, len(items), size):
                inputs = [read(item) for item in items[start : start + size]]
                reasons += [one if isinstance(one, str) else "" for one in inputs]
                usable = [one for one in inputs if not isinstance(one, str)]
                if usable:
                    rows = [start + i for i, one in enumerate(inputs) if not isinstance(one, str)]
                    vectors[rows] = run(usable).float().cpu().numpy()
        if not np.isfinite(vectors).all():
            got = "a model that gives NaN or infinity"
            raise UserError(got, "a trained model", "train it again")
        return Embedded(vectors, reasons)
