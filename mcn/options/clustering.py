"""Options of the objectives that cluster: MCN with its switches, XDC and its variants."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from mcn.options.base import field
from mcn.options.objectives import (
    ALL_PAIRS,
    ContrastOptions,
    Modality,
    Needs,
    ObjectiveOptions,
    Pair,
    modalities_of,
)
from mcn.options.recipes import PAPER_VARIANT


class ClusteringOptions(ContrastOptions):
    """Multimodal Clustering Networks: masked margin softmax over pairs of modalities + clustering + reconstruction."""

    implementation: ClassVar[str] = "mcn:MultimodalClusteringObjective"

    kind: Literal["mcn"] = field("mcn", "which objective", "", "docs/objectives.md")
    variant: Literal["released", "paper"] = field(
        "released",
        "which switches of the objective stand where one is not given; `recipe` of the experiment sets all others too",
        "",
        "docs/published.md",
    )
    pairs: tuple[Pair, ...] = field(
        ALL_PAIRS,
        "pairs of modalities that are contrasted; one pair alone is the two-modality ablation",
        "",
        "paper Eq. 2",
        min_length=1,
    )
    contrast_weight: float = field(
        1.0, "weight of the masked margin softmax", "", "paper Eq. 1", ge=0
    )
    margin: float = field(0.001, "margin of the contrast", "logits", "MCN loss.py:14", ge=0)
    cluster_weight: float = field(1.0, "weight of the cluster term", "", "MCN --clu_lamb", ge=0)
    cluster_by: Literal["kmeans", "prototypes"] = field(
        "kmeans",
        "kmeans: contrast with the centroids of a running k-means; prototypes: learned ones, with targets balanced by "
        "Sinkhorn's iteration",
        "",
        "kmeans: MCN train_tri_kmeans.py; prototypes: MCN script.txt --cluster=1 --soft_label=1",
    )
    clusters: int = field(
        256, "number of centroids or prototypes", "clusters", "MCN --cluster_size", ge=2
    )
    cluster_margin: float = field(
        0.001, "margin of the cluster term", "logits", "MCN train_tri_kmeans.py:261", ge=0
    )
    cluster_reduction: Literal["mean", "sum", "fused"] = field(
        "mean",
        "mean or sum over the modalities, or one loss of the fused feature",
        "",
        "mean: MCN train_tri_kmeans.py:375; sum: paper Eq. 7; fused: MCN --mean=1",
    )
    cluster_mean_over: Literal["present", "three"] = field(
        "present",
        "what the mean of a run with two modalities divides by: the modalities that are there, or always three",
        "",
        "three: MCN train_tri_kmeans.py:375",
    )
    cluster_metric: Literal["cosine", "euclidean"] = field(
        "cosine", "distance that clips are assigned by", "", "cosine: MCN; euclidean: paper Eq. 5"
    )
    margin_in_denominator: bool = field(
        True,
        "the cluster margin is in the denominator too",
        "",
        "true: MCN train_tri_kmeans.py:261; false: paper Eq. 6",
        strict=True,
    )
    queue_steps: int = field(
        20, "length of the feature queue; 0: no queue", "steps", "MCN README --queue_size", ge=0
    )
    refit_every_steps: int = field(
        20,
        "k-means is fitted anew every so many steps, between them clips are only assigned",
        "steps",
        "MCN --fastC=1",
        ge=1,
    )
    reset_centroids_each_epoch: bool = field(
        True,
        "every epoch starts from fresh centroids",
        "",
        "MCN train_tri_kmeans.py:470",
        strict=True,
    )
    kmeans_iterations: int = field(
        100, "iterations of one fit at most", "iterations", "fast_pytorch_kmeans", ge=1
    )
    prototype_width: int = field(
        256, "width in which prototypes are compared", "numbers", "MCN --withMLP", ge=1
    )
    prototype_temperature: float = field(
        0.1, "temperature of the scores of prototypes", "", "MCN train_tri_cos_mil.py", gt=0
    )
    sinkhorn_epsilon: float = field(
        0.05,
        "temperature of the balanced targets",
        "",
        "SwAV; the released module is missing",
        gt=0,
    )
    sinkhorn_iterations: int = field(
        3, "iterations of the balancing", "iterations", "SwAV; released module missing", ge=1
    )
    frozen_prototype_epochs: int = field(
        1, "prototypes do not learn in the first epochs", "epochs", "MCN train_tri_cos_mil.py", ge=0
    )
    reconstruction_weight: float = field(
        50.0,
        "weight of the reconstruction term; 0 leaves the heads out",
        "",
        "50: MCN train_tri_kmeans.py:302; 1: paper Eq. 1",
        ge=0,
    )
    reconstruction_target: Literal["input", "common"] = field(
        "input",
        "what is reconstructed: the feature before projection, or the common-space feature",
        "",
        "input: MCN model_kmeans_ICCV.py:172; common: paper Eq. 8",
    )
    detach_reconstruction_target: bool = field(
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
        return modalities_of(self.pairs)

    @property
    def needs(self) -> Needs:
        return Needs(
            self.modalities,
            reconstructs=self.reconstruction_weight > 0,
            network_settings={"reconstruction_target": self.reconstruction_target},
        )


class CrossModalClusteringOptions(ObjectiveOptions):
    """XDC: every modality predicts cluster ids; no two embeddings are ever compared."""

    implementation: ClassVar[str] = "xdc:CrossModalClusteringObjective"

    kind: Literal["xdc"]
    variant: Literal["xdc", "sdc", "mdc", "cdc"] = field(
        "xdc",
        "whose clusters a modality predicts: the others' (xdc), its own (sdc), its own and the others' (mdc), those of "
        "all modalities side by side (cdc)",
        "",
        "Alwassel et al. 2020",
    )
    modalities: tuple[Modality, ...] = field(
        ("video", "audio"), "modalities that take part", "", "video and audio: XDC", min_length=2
    )
    clusters: int = field(
        128,
        "clusters of each k-means",
        "clusters",
        "64 to 1024 were tried; choice unverified",
        ge=2,
    )
    refit_every_epochs: int = field(
        1,
        "clusters are made anew, and heads drawn anew, where every so many epochs begin",
        "epochs",
        "every epoch: lecture notes on XDC; heads anew: DeepCluster, recalled",
        ge=1,
    )
    memory_clips: int = field(
        40_960,
        "most recent clips that are clustered; the published k-means sees the whole set",
        "clips",
        "our bound",
        ge=1,
    )
    cluster_metric: Literal["cosine", "euclidean"] = field(
        "cosine", "distance of k-means", "", "unverified"
    )
    kmeans_iterations: int = field(100, "iterations of one fit at most", "iterations", "", ge=1)

    @property
    def needs(self) -> Needs:
        return Needs(self.modalities)
