"""What a training run can be told: network sizes, objective, schedule. Defaults are the published values.

Conventions
-----------
- Every field carries its unit and its source: `MCN` is the code released with Multimodal Clustering Networks
  (ICCV 2021, arXiv 2104.12671), `MCN README` its training command, `paper` the text.
- Where the paper's formulas and the released code differ, `objective.variant` picks one set of switches as a whole;
  a switch that is given beside it wins.
- Every field here changes the numbers, or when they are written down; devices and threads are arguments of
  `mcn.training.train`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Pair = Literal["video_text", "audio_text", "video_audio"]
Modality = Literal["video", "audio", "text"]

# switches in which the formulas of the paper differ from the released code, whose values are the defaults below
PAPER_VARIANT: dict[str, Any] = {
    "cluster_reduction": "sum",  # Eq. 7
    "cluster_metric": "euclidean",  # Eq. 5
    "margin_in_denominator": False,  # Eq. 6
    "queue_steps": 0,  # Fig. 2: clusters "in a batch"
    "refit_every_steps": 1,
    "reconstruction_weight": 1.0,  # Eq. 1
    "reconstruction_target": "common",  # Eq. 8
}


def _field(default: Any, description: str, unit: str = "", source: str = "", **limits: Any) -> Any:
    """A field with its unit and source, in the description and (for the documentation) apart."""
    words = description + (f" [{unit}]" if unit else "") + (f" ({source})" if source else "")
    extra: dict[str, Any] = {"unit": unit, "source": source}
    return Field(default, description=words, json_schema_extra=extra, **limits)


class _Options(BaseModel):
    """Base of every section: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid")


class ModelOptions(_Options):
    """The network that is trained; widths of the inputs come from the shards."""

    embedding_width: int = _field(
        6144, "width of the common space", "numbers", "MCN README --embd_dim", ge=1
    )
    audio: Literal["trainable", "frozen"] = _field(
        "trainable",
        "trainable: log-mels go through a ResDAVEnet that is trained; frozen: davenet shards are pooled",
        "",
        "trainable: MCN train_tri_kmeans.py:207; frozen: paper",
    )
    davenet_widths: tuple[int, int, int, int] = _field(
        (128, 256, 512, 1024), "channels of the four ResDAVEnet stages", "channels", "AVLnet"
    )
    reconstruction_width: int = _field(
        1024, "hidden width of the reconstruction heads", "numbers", "MCN README --recon_size", ge=1
    )
    normalize: bool = _field(
        False, "L2-normalise the embeddings", "", "MCN: false; Miech et al.: true", strict=True
    )
    mask_padding_words: bool = _field(
        False, "leave padded words out of the maximum over words", "", "MCN: false", strict=True
    )
    mask_padding_audio: bool = _field(
        False,
        "leave padded audio frames (0 dB, the loudest level) out of the mean over time while training",
        "",
        "MCN: false; evaluation always leaves them out",
        strict=True,
    )


class ObjectiveOptions(_Options):
    """Masked margin softmax over pairs of modalities + clustering + reconstruction."""

    variant: Literal["released", "paper"] = _field(
        "released", "which set of switches stands where a switch is not given", "", "recipe table"
    )
    pairs: tuple[Pair, ...] = _field(
        ("video_text", "audio_text", "video_audio"),
        "pairs of modalities that are contrasted; one pair alone is the two-modality ablation",
        "",
        "paper Eq. 2",
        min_length=1,
    )
    contrast_weight: float = _field(
        1.0, "weight of the masked margin softmax", "", "paper Eq. 1", ge=0
    )
    margin: float = _field(0.001, "margin of the contrast", "logits", "MCN loss.py:14", ge=0)
    cluster_weight: float = _field(1.0, "weight of the cluster term", "", "MCN --clu_lamb", ge=0)
    clusters: int = _field(256, "number of centroids", "clusters", "MCN --cluster_size", ge=2)
    cluster_margin: float = _field(
        0.001, "margin of the cluster term", "logits", "MCN train_tri_kmeans.py:261", ge=0
    )
    cluster_reduction: Literal["mean", "sum", "fused"] = _field(
        "mean",
        "mean or sum over the modalities, or one loss of the fused feature",
        "",
        "mean: MCN train_tri_kmeans.py:375; sum: paper Eq. 7; fused: MCN --mean=1",
    )
    cluster_metric: Literal["cosine", "euclidean"] = _field(
        "cosine", "distance that clips are assigned by", "", "cosine: MCN; euclidean: paper Eq. 5"
    )
    margin_in_denominator: bool = _field(
        True,
        "the cluster margin is in the denominator too",
        "",
        "true: MCN train_tri_kmeans.py:261; false: paper Eq. 6",
        strict=True,
    )
    queue_steps: int = _field(
        20, "length of the feature queue; 0: no queue", "steps", "MCN README --queue_size", ge=0
    )
    refit_every_steps: int = _field(
        20,
        "k-means is fitted anew every so many steps, between them clips are only assigned",
        "steps",
        "MCN --fastC=1",
        ge=1,
    )
    reset_centroids_each_epoch: bool = _field(
        True,
        "every epoch starts from fresh centroids",
        "",
        "MCN train_tri_kmeans.py:470",
        strict=True,
    )
    kmeans_iterations: int = _field(
        100, "iterations of one fit at most", "iterations", "fast_pytorch_kmeans", ge=1
    )
    reconstruction_weight: float = _field(
        50.0,
        "weight of the reconstruction term; 0 leaves the heads out",
        "",
        "50: MCN train_tri_kmeans.py:302; 1: paper Eq. 1",
        ge=0,
    )
    reconstruction_target: Literal["input", "common"] = _field(
        "input",
        "what is reconstructed: the feature before projection, or the common-space feature",
        "",
        "input: MCN model_kmeans_ICCV.py:172; common: paper Eq. 8",
    )

    detach_reconstruction_target: bool = _field(
        False,
        "no gradient flows into what is reconstructed",
        "",
        "MCN: false; it then trains the audio network and the text branch too",
        strict=True,
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_variant(cls, values: Any) -> Any:
        """Switches that are not given take the values of the variant."""
        if isinstance(values, dict) and values.get("variant") == "paper":
            return {**PAPER_VARIANT, **values}
        return values

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """Modalities that occur in `pairs`, in the order video, audio, text."""
        order: tuple[Modality, ...] = ("video", "audio", "text")
        return tuple(name for name in order if any(name in pair.split("_") for pair in self.pairs))


class TrainingOptions(_Options):
    """Batches, schedule, numerics and book-keeping."""

    seed: int = _field(1, "seed of weights, sampling and clustering", "", "MCN --seed", ge=0)
    epochs: int = _field(30, "passes over the videos", "epochs", "MCN README", ge=1)
    videos_per_batch: int = _field(
        128, "videos in a step; an incomplete last batch is dropped", "videos", "MCN README", ge=1
    )
    clips_per_video: int = _field(
        32, "clips drawn of each video", "clips", "MCN README --n_pair", ge=1
    )
    sampling: Literal["with_replacement", "distinct"] = _field(
        "with_replacement",
        "with_replacement: a line may be drawn twice and is then a negative of itself; "
        "distinct: no line comes again before all have come",
        "",
        "MCN youtube_dataloader.py:100",
    )
    small_sets: Literal["shrink", "repeat", "refuse"] = _field(
        "shrink",
        "fewer videos than videos_per_batch: shrink the batch, repeat videos in it, or stop",
    )
    empty_clips: Literal["redraw", "keep"] = _field(
        "redraw",
        "clips without an in-vocabulary word, a feature row or an audio frame: draw another line "
        "(counted), or keep them as zeros",
        "",
        "keep: MCN youtube_dataloader.py",
    )
    min_clip_seconds: float = _field(
        10.0,
        "narration lines are joined until a clip is this long",
        "s",
        "MCN README --min_time",
        ge=0,
    )
    max_words: int = _field(
        20, "words of a clip; further ones are cut", "words", "MCN args.py", ge=1
    )
    audio_frames: int = _field(
        1000,
        "log-mel frames of a clip, 10 ms each; longer cut, shorter padded",
        "frames",
        "MCN README --howto_audio_frames",
        ge=16,
    )
    learning_rate: float = _field(
        1e-4, "highest learning rate of Adam", "", "MCN README --lr", gt=0
    )
    betas: tuple[float, float] = _field((0.9, 0.999), "decay of Adam's moments", "", "MCN")
    weight_decay: float = _field(0.0, "L2 penalty in Adam", "", "MCN", ge=0)
    warmup_steps: int = _field(
        5000, "linear rise from 0; then half a cosine to 0", "steps", "MCN --warmup_steps", ge=0
    )
    gradient_clip: float | None = _field(
        None, "largest norm of the gradient; null: no clipping", "", "MCN: none", gt=0
    )
    loss_limit: float = _field(
        100.0,
        "training stops where the loss is this many times that of the first step",
        "times",
        gt=1,
    )
    log_every_steps: int = _field(10, "a line of metrics every so many steps", "steps", ge=1)
    checkpoint_every_steps: int = _field(500, "a checkpoint every so many steps", "steps", ge=1)
    early_every_epochs: int = _field(
        1,
        "zero-shot scores every so many epochs, where an early evaluation set is configured",
        "epochs",
        ge=1,
    )
    loader_workers: int = _field(
        0,
        "processes that read clips ahead; 0: a thread does",
        "processes",
        "74 in MCN README",
        ge=0,
    )
    read_ahead: int = _field(4, "batches kept ready", "batches", ge=1)


class ExperimentOptions(_Options):
    """One model to train."""

    model: ModelOptions = ModelOptions()
    objective: ObjectiveOptions = ObjectiveOptions()
    training: TrainingOptions = TrainingOptions()

    @property
    def audio_feature(self) -> str:
        """The feature whose shards the model hears: logmel or davenet."""
        return "logmel" if self.model.audio == "trainable" else "davenet"
