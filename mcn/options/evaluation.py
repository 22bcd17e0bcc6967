"""What the evaluations of a data set can be told. Defaults are the published protocol.

Conventions: every field carries its unit and its source. Every field changes the numbers or what is written; the device
is an argument of the stages.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from mcn.options.base import Options

MissingPolicy = Literal["mistake", "drop", "video_only"]

MISSING = (
    "a clip or video that lacks a modality: `mistake` counts as an error in the denominator; `drop` leaves it out of "
    "the denominator; `video_only` uses video alone where video and audio are summed, a mistake otherwise "
    "(MSR-VTT: mistake, AVLnet README)"
)


class EvaluationOptions(Options):
    """What all evaluations share; unknown keys are errors."""

    missing_modality: MissingPolicy = Field("mistake", description=MISSING)
    video_features: tuple[str, ...] = Field(
        ("resnet152", "resnext101"),
        min_length=1,
        description="visual features in the order the model was trained with (MCN youtube_dataloader.py:172-191)",
    )
    batch_size: int = Field(64, ge=1, description="clips or seconds embedded at a time [clips]")
    seed: int = Field(0, ge=0, description="seed of examples, intervals and random scores")


class RetrievalOptions(EvaluationOptions):
    """Zero-shot retrieval between the modalities of captioned clips."""

    audio_frames: int = Field(
        5120,
        ge=16,
        description="log-mel frames of a clip, longer cut, shorter padded and masked [10 ms frames] "
        "(YouCook2 5120, MSR-VTT and LSMDC 3072: MCN evaluation loaders)",
    )
    max_words: int = Field(
        20, ge=1, description="words of a caption, further ones cut [words] (MCN args.py)"
    )
    published_total: int | None = Field(
        None,
        ge=1,
        description="queries of the published set where a published file lacks some, which count as errors [queries] "
        "(MSR-VTT: 1000, of which the pickle holds the 968 with sound, MCN metrics.py:21-26)",
    )
    examples: int = Field(
        12, ge=0, description="captions, drawn at random, whose results are written [captions]"
    )
    example_results: int = Field(5, ge=1, description="clips written of each example [clips]")
    interval_level: float = Field(
        0.95,
        gt=0,
        lt=1,
        description="level of the bootstrap intervals of the recalls [probability]",
    )
    bootstrap_draws: int = Field(
        10_000, ge=100, description="draws of a bootstrap interval [draws]"
    )


class SecondsOptions(EvaluationOptions):
    """What localization and alignment share: one score a second, video and the sound around it."""

    audio_window_seconds: float = Field(
        8.0,
        gt=0,
        description="sound around each second, moved inwards at the ends of the video [s] (MCN cvpr19_dataloader.py)",
    )
    audio_frames: int = Field(
        1024,
        ge=16,
        description="log-mel frames of a window after padding [10 ms frames] (MCN cvpr19_dataloader.py)",
    )
    max_words: int = Field(
        30,
        ge=1,
        description="words of a step's text, further ones cut [words] (MCN cvpr19_dataloader.py)",
    )
    score_mode: Literal["v", "a", "va"] = Field(
        "va",
        description="modalities of the headline scores, summed (va: step text . (video + audio)); the others are "
        "written beside it. How MCN mixed them at test is not released",
    )


class LocalizationOptions(SecondsOptions):
    """Zero-shot localization of a task's ordered steps."""

    normalization: Literal["none", "log_softmax"] = Field(
        "none",
        description="of each second's scores over the steps before decoding (none: CrossTask; log_softmax: Mining "
        "YouTube; MCN eval_cross.py)",
    )
    exactly_one: bool = Field(
        True,
        strict=True,
        description="every step takes exactly one second (CrossTask, MCN); false: one or more",
    )
    chance_draws: int = Field(
        100, ge=1, description="random score matrices a video behind the chance recall [draws]"
    )
    timelines: int = Field(
        8, ge=0, description="videos, drawn at random, whose timelines are written [videos]"
    )
    cooking_tasks: list[str] | str | None = Field(
        None,
        description="tasks of the cooking split, or a text file with one a line; scores are then also given for "
        "cooking and other tasks apart. The list that MCN used (cook.txt) is not released",
    )


class AlignmentOptions(SecondsOptions):
    """Ordered alignment of a video with its transcript."""

    background_score: Literal["mean", "constant"] = Field(
        "mean",
        description="score of background in a second where it has no text: the mean of the other classes' scores, or "
        "background_constant. What the published rows used is UNVERIFIED",
    )
    background_constant: float = Field(
        0.0, description="score of background under `constant` [dot product of embeddings]"
    )
    background_items: Literal["gaps", "always", "none"] = Field(
        "gaps",
        description="where a transcript made of step annotations has background: where no step is annotated (as in "
        "Mining YouTube's transcripts), around and between all steps, or nowhere. The published choice is UNVERIFIED",
    )
    frame_seconds: float = Field(
        0.1,
        gt=0,
        le=1,
        description="spacing of the frames on which truth and alignment are compared; scores are per second [s]",
    )
    chance_draws: int = Field(
        10, ge=1, description="random score matrices a video behind the chance scores [draws]"
    )
    timelines: int = Field(
        8, ge=0, description="videos, drawn at random, whose timelines are written [videos]"
    )


class RecognitionOptions(EvaluationOptions):
    """Zero-shot action recognition: class names against whole videos."""

    pooling: Literal["mean", "max"] = Field(
        "mean",
        description="of each visual feature over the video, before L2 normalisation (mean: MCN gen_loader.py)",
    )
    max_words: int = Field(
        20, ge=1, description="words of a class name, further ones cut [words] (MCN args.py)"
    )
