"""What the evaluations can be told; which there are stands in `mcn.options.tasks`.

Conventions
-----------
- Every field of the options carries its unit and its source; defaults are the published protocol. Every field changes
  the numbers or what is written.
- An evaluation of the user's own is a row `evaluations.NAME` of a data set.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

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
    batch_size: int = Field(64, ge=1, description="clips or seconds embedded at a time [clips]")
    visual_tokens: int | None = Field(
        None,
        ge=1,
        description="rows of a clip that a network of rows takes (`everything_at_once`, variant `released`), and as "
        "many columns of its sound; null: as many as in training [tokens] (YouCook2 72, MSR-VTT 48: Everything at "
        "Once)",
    )
    seed: int = Field(0, ge=0, description="seed of examples, intervals and random scores")
    max_words: int = Field(
        20, ge=1, description="words of a text, further ones cut [words] (MCN args.py)"
    )


class RetrievalOptions(EvaluationOptions):
    """Zero-shot retrieval between the modalities of captioned clips."""

    audio_frames: int = Field(
        5120,
        ge=16,
        description="log-mel frames of a clip, longer cut, shorter padded and masked [10 ms frames] "
        "(YouCook2 5120, MSR-VTT and LSMDC 3072: MCN evaluation loaders)",
    )
    long_clips: Literal["first", "nearest", "maximum"] = Field(
        "first",
        description="of a clip with more than `visual_tokens` rows and columns of sound, a network of rows takes the "
        "first, the nearest below equal steps, or maxima of neighbours (Everything at Once: first; its configurations "
        "*_nearest.yaml, *_max.yaml)",
    )
    published_total: int | None = Field(
        None,
        ge=1,
        description="queries of the published set where a published file lacks some, which count as errors [queries] "
        "(MSR-VTT: 1000, of which the pickle holds the 968 with sound, MCN metrics.py:21-26)",
    )
    full_video_by: Literal["video", "youtube_id"] = Field(
        "video",
        description="which clips belong to one full video: those of one video, or those whose ids begin with the same "
        "eleven letters, as those of published clips do, which are videos of their own here (MCN video_evaluation.py)",
    )
    vote_ties: Literal["mean", "released"] = Field(
        "mean",
        description="of equal votes for full videos: the mean of their places, or whatever order the released program "
        "sorts them in (MCN video_evaluation.py)",
    )
    released_ties: Literal["of_queries", "of_positions"] = Field(
        "of_queries",
        description="what `released_convention` divides its recalls by: the queries (AVLnet and MCN metrics.py), or "
        "all positions that are tied with a right item (HowTo100M metrics.py)",
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
    token_radius_seconds: int = Field(
        0,
        ge=0,
        description="whole seconds on both sides of a second that a network of rows sees and hears with it [s] "
        "(Everything at Once crosstask_mining_dataset.py, clip_radius; its published value is not released)",
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
    training_draws: int = Field(
        0,
        ge=0,
        description="how often training videos of each task are drawn at random and left out of the recall, which is "
        "then their mean (`zhukov` of the results); 0: not at all [draws] (Zhukov et al. 2019)",
    )
    training_videos: int = Field(
        30,
        ge=1,
        description="`training_draws`: videos of a task that are drawn [videos] (CrossTask train.py --n_train)",
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
    programme: Literal["exact", "poisson"] = Field(
        "exact",
        description="of the alignment: exact, the best path of the seconds' scores, or poisson, Mining YouTube's own "
        "aligner on frames, with a model of lengths (video_alignment). What made the published rows is UNVERIFIED",
    )
    frames_per_second: float = Field(
        30000 / 1001,
        gt=0,
        le=120,
        description="frames that the scores of a second are repeated for, under `poisson` and in files of a row a "
        "frame [frames/s] (29.97: the official sample)",
    )
    frame_sampling: int = Field(
        20, ge=1, description="`poisson`: frames between two decisions [frames] (video_alignment)"
    )
    mean_length: float = Field(
        150.0,
        ge=1,
        description="`poisson`: expected length of an item [frames] (weakYouTube_length.txt, the same for all classes)",
    )
    longest: int = Field(
        5000, ge=2, description="`poisson`: what an item cannot last [frames] (video_alignment)"
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


class ProbeOptions(Options):
    """Options of the linear probe of steps, an evaluation by import path (`mcn.evaluation.recognition.probe`)."""

    folds: int = Field(
        5,
        ge=2,
        description="parts that the videos are dealt out to; each is scored by the others [parts]",
    )
    ridge: float = Field(
        0.01,
        gt=0,
        description="penalty of the map beside the mean of x x^T, whose trace is at most 1",
    )
    seed: int = Field(0, ge=0, description="of the order in which videos are dealt out")
    audio_frames: int = Field(
        1024, ge=16, description="log-mel frames of a segment that are heard [10 ms frames]"
    )


class OwnEvaluation(EvaluationOptions):
    """An evaluation of the user's own, a function by import path; `mcn.evaluation` has its contract."""

    evaluate: str = Field(
        pattern=r"^[\w.]+:\w+$",
        description="the function, `module:function`; the module is looked for beside the configuration first",
    )
    tables: list[str] = Field(
        default_factory=list,
        description="annotations that it reads, of those that the data set has: captions, tasks, steps, classes, "
        "transcripts, segments, actions, labels",
    )
    modalities: list[Literal["video", "audio", "text"]] = Field(
        default_factory=list,
        description="modalities that a model must have to be evaluated; default: any model is",
    )
    options: dict[str, Any] = Field(
        default_factory=dict, description="what the function can be told; its own to define"
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, values: Any) -> Any:
        return {"evaluate": values} if isinstance(values, str) else values
