"""Models of sound of transformers (CLAP, AST, Whisper's encoder, wav2vec 2.0, HuBERT, ...): vectors at fixed steps.

Conventions
-----------
- Sound is cut into windows that the model hears at once: those of its own feature extractor (30 s of Whisper, 10 s of
  CLAP, 10.24 s of AST), or `window_seconds`. Nothing is left out: the last window may be shorter, and is filled up as
  the feature extractor does it; one that is too short for a single token is filled up with silence to that.
- Vector i stands for the sound from i * step on. Of models whose tokens follow time (Whisper, wav2vec 2.0, HuBERT; a
  mean is taken) the tokens of each step inside a window are averaged; of the others (a vector of the joint space or a
  pooled output) there is a window for each step.
- Tokens of Whisper that stand for the silence behind the last window's sound do not count.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcn.errors import UserError
from mcn.features.extraction import Extractor
from mcn.features.library_models import Opened, finished, placed, recipe_of, to_place
from mcn.features.runtime import Runtime
from mcn.features.transformers_models import (
    check_model,
    commit_of,
    joint,
    open_network,
    open_processor,
    pooled,
    special_tokens,
    tokens_of,
    tower_of,
)
from mcn.options.decode import SoundOptions
from mcn.options.libraries import TransformersAudioOptions
from mcn.shards.parts import Samples

CPU_BATCH, CUDA_BATCH = 1, 16  # windows
LEAST_SECONDS = 0.025  # a frame of speech features
FBANK_SECONDS = 0.01  # between the frames of AST's features, which its `max_length` counts


def audio_extractor(
    name: str, options: TransformersAudioOptions, weights: str, place: Runtime
) -> Extractor:
    """The extractor of a row. Errors: `UserError` for a model or processor that is not there."""
    place = placed(options, place)
    hearing = Hearing(options, place)
    opened = Opened(
        hearing.network, hearing.processor, commit_of(hearing.network, options), hearing.pooling
    )
    recipe = {
        "feature": name,
        **recipe_of(options, opened, ("transformers",)),
        "window_seconds": hearing.window / hearing.rate,
        "step_seconds": hearing.step / hearing.rate,
        "batch_size": hearing.batch,
        **place.recipe,
    }
    hearing.network.to(place.device, place.dtype)
    step = hearing.step / hearing.rate
    return Extractor(name, hearing.encode, place.workers, recipe, step_seconds=step, place=place)


class Hearing:
    """A model of sound with its feature extractor. window, step: in samples at `rate`; in_time: tokens follow time."""

    def __init__(self, options: TransformersAudioOptions, place: Runtime) -> None:
        self.options, self.place = options, place
        self.processor, self.network = open_sound(options), open_network(options)
        self.rate = int(self.processor.sampling_rate)
        _require_rate(options, self.rate)
        self.window = round(window_seconds(options, self.processor) * self.rate)
        self.step = round((options.step_seconds or self.window / self.rate) * self.rate)
        if self.step > self.window:
            got = f"step_seconds {options.step_seconds}"
            wanted = f"at most the window of {self.window / self.rate:g} s of {options.model}"
            raise UserError(got, wanted, "set features.NAME.step_seconds")
        self.batch = place.batch(CPU_BATCH, CUDA_BATCH)
        with torch.inference_mode():
            silence = [np.zeros(self.window, np.float32)]
            found, self.pooling = self._pooled(silence, Runtime(torch.device("cpu"), "fp32", 1))
        self.in_time = found is None
        if not self.in_time and self.pooling == "mean" and self.step < self.window:
            got = f"step_seconds {self.step / self.rate:g} with pooling mean of {options.model}"
            wanted = "a step as long as the window: its tokens do not follow time"
            raise UserError(got, wanted, "leave step_seconds out")

    @torch.inference_mode()
    def encode(self, samples: np.ndarray | Samples) -> np.ndarray:
        """The whole sound of a video, (N,) -> (n, D)."""
        hop = self.window if self.in_time else self.step
        windows = (samples[first : first + self.window] for first in range(0, len(samples), hop))
        rows = [self._vectors(batch) for batch in self._batches(windows)]
        return np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)

    def _batches(self, windows: Iterator[np.ndarray]) -> Iterator[list[np.ndarray]]:
        """Windows of one length together, at most `batch` of them."""
        batch: list[np.ndarray] = []
        for window in windows:
            if batch and (len(batch) == self.batch or len(batch[0]) != len(window)):
                yield batch
                batch = []
            batch.append(window)
        if batch:
            yield batch

    def _vectors(self, windows: list[np.ndarray]) -> np.ndarray:
        found, _ = self._pooled(windows, self.place)
        vectors = self._spans(windows) if found is None else found
        return finished(vectors, self.options)

    def _pooled(self, windows: list[np.ndarray], place: Runtime) -> tuple[Tensor | None, str]:
        """Vectors (n, D) and their pooling; None where tokens follow time and are averaged over steps."""
        wants_mean = self.options.pooling in ("auto", "mean") and follows_time(self.network)
        if wants_mean and joint(self.network, "audio") is None:
            return None, "mean"
        return pooled(self.network, self._inputs(windows, place), self.options, "audio")

    def _spans(self, windows: list[np.ndarray]) -> Tensor:
        """The means of the tokens of every step of windows of one length, one window after the other."""
        outputs = tower_of(self.network, "audio")(
            **self._inputs(windows, self.place),
            output_hidden_states=self.options.layer is not None,
        )
        tokens = tokens_of(outputs, self.options)[:, special_tokens(self.network) :]
        length = len(windows[0])
        filled = self.window if pads(self.processor) else max(length, self._least())
        steps = math.ceil(length / self.step)
        rows = []
        for number in range(steps):
            first = tokens.shape[1] * number * self.step // filled
            last = -(-tokens.shape[1] * min((number + 1) * self.step, length) // filled)
            rows.append(tokens[:, min(first, tokens.shape[1] - 1) : max(last, first + 1)].mean(1))
        return torch.stack(rows, dim=1).flatten(0, 1)

    def _inputs(self, windows: list[np.ndarray], place: Runtime) -> dict[str, Any]:
        filled = [np.pad(one, (0, max(0, self._least() - len(one)))) for one in windows]
        inputs = self.processor(filled, sampling_rate=self.rate, return_tensors="pt")
        return to_place(inputs, place)

    def _least(self) -> int:
        """The fewest samples that give a token: a frame of the features, or what the convolutions span."""
        span, stride = 1, 1
        config = self.network.config
        for kernel, step in zip(
            getattr(config, "conv_kernel", ()), getattr(config, "conv_stride", ()), strict=True
        ):
            span += (kernel - 1) * stride
            stride *= step
        return max(math.ceil(LEAST_SECONDS * self.rate), span)


def open_sound(options: TransformersAudioOptions) -> Any:
    """The model's feature extractor. Errors: `UserError` for a model that hears nothing."""
    processor = open_processor(options, "AutoFeatureExtractor")
    if not getattr(processor, "sampling_rate", None):
        got = f"{options.model}, whose processor is {type(processor).__name__}"
        raise UserError(got, "a model of sound", "name another model")
    return processor


def check(options: TransformersAudioOptions) -> None:
    """`UserError` for a model that is here and is not what the row asks for; no weights are read."""
    check_model(options, "audio", "AutoFeatureExtractor")
    if options.is_folder:
        processor = open_sound(options)
        _require_rate(options, int(processor.sampling_rate))
        window_seconds(options, processor)


def _require_rate(options: TransformersAudioOptions, rate: int) -> None:
    """`UserError` for sound at another rate than the model's."""
    if options.reads is not None and options.reads.sample_rate != rate:
        got = f"sound at {options.reads.sample_rate} Hz"
        wanted = f"{rate} Hz, for which {options.model} was made"
        raise UserError(got, wanted, "leave features.NAME.reads out")


def stream(options: TransformersAudioOptions) -> SoundOptions:
    """The sound that the model's feature extractor takes."""
    processor = open_sound(options)
    window_seconds(options, processor)
    return SoundOptions(sample_rate=int(processor.sampling_rate))


def window_seconds(options: TransformersAudioOptions, processor: Any) -> float:
    """What the model hears at once. Errors: `UserError` where it has no window, or a shorter one than the row's."""
    own: float | None = getattr(processor, "chunk_length", None) or getattr(
        processor, "max_length_s", None
    )
    if (
        own is None
        and hasattr(processor, "num_mel_bins")
        and getattr(processor, "max_length", None)
    ):
        own = processor.max_length * FBANK_SECONDS
    if own is None and options.window_seconds is None:
        got = f"{options.model}, whose feature extractor names no window"
        raise UserError(got, "how much it hears at once", "give features.NAME.window_seconds: 10")
    if own is not None and options.window_seconds is not None and options.window_seconds > own:
        got = f"window_seconds {options.window_seconds:g}"
        raise UserError(got, f"at most {own:g}, which {options.model} hears", "correct it")
    return float(options.window_seconds or own or 0)


def follows_time(network: Any) -> bool:
    """Whether a model's tokens stand for one moment after the other: of encoders of speech, not of patches."""
    return bool(
        getattr(network.config, "is_encoder_decoder", False)
        or getattr(network.config, "conv_stride", None)
    )


def pads(processor: Any) -> bool:
    """Whether a feature extractor fills every sound up to its window (Whisper)."""
    return bool(getattr(processor, "chunk_length", None))
