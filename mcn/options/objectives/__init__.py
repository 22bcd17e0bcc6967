"""Options of every objective, without PyTorch: the configuration reads them.

Conventions
-----------
- `objective.kind` names the objective; without it the objective is `mcn`. A key that it does not have is an error.
- Every field carries its unit and its source. `MCN` is the code released with Multimodal Clustering Networks (ICCV
  2021, arXiv 2104.12671), `paper` its text; `HowTo100M`, `AVLnet`, `Everything at Once` are those systems' released
  code. `unverified` and `recalled` mark values that no source at hand confirms.
- An options class says what its objective needs of a batch (`needs`) and of the network (`network`,
  `network_settings`, `unit_length`); the objective itself is the class of `mcn.objectives.registry`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, Tag

from mcn.options.objectives.audio_video import CorrespondenceOptions, SynchronisationOptions
from mcn.options.objectives.base import MODALITIES, Needs, ObjectiveOptions
from mcn.options.objectives.clustering import ClusteringOptions, CrossModalClusteringOptions
from mcn.options.objectives.contrast import (
    AvlnetOptions,
    MaxMarginOptions,
    MilNceOptions,
    NormSoftmaxOptions,
    NtXentOptions,
)
from mcn.options.objectives.units import (
    EverythingAtOnceOptions,
    FineGrainedOptions,
    SupportSetOptions,
)

DEFAULT_KIND = "mcn"


def kind_of(values: Any) -> str:
    """The kind that a section of the configuration, or its parsed options, names."""
    if isinstance(values, dict):
        return str(values.get("kind", DEFAULT_KIND))
    return str(getattr(values, "kind", DEFAULT_KIND))


AnyObjective = Annotated[
    Annotated[ClusteringOptions, Tag("mcn")]
    | Annotated[MaxMarginOptions, Tag("max_margin")]
    | Annotated[MilNceOptions, Tag("mil_nce")]
    | Annotated[NormSoftmaxOptions, Tag("norm_softmax")]
    | Annotated[AvlnetOptions, Tag("avlnet")]
    | Annotated[EverythingAtOnceOptions, Tag("everything_at_once")]
    | Annotated[FineGrainedOptions, Tag("fine_grained")]
    | Annotated[CrossModalClusteringOptions, Tag("xdc")]
    | Annotated[SupportSetOptions, Tag("support_set")]
    | Annotated[SynchronisationOptions, Tag("synchronisation")]
    | Annotated[CorrespondenceOptions, Tag("correspondence")]
    | Annotated[NtXentOptions, Tag("nt_xent")],
    Discriminator(kind_of),
]

__all__ = [
    "MODALITIES",
    "AnyObjective",
    "AvlnetOptions",
    "ClusteringOptions",
    "CorrespondenceOptions",
    "CrossModalClusteringOptions",
    "EverythingAtOnceOptions",
    "FineGrainedOptions",
    "MaxMarginOptions",
    "MilNceOptions",
    "Needs",
    "NormSoftmaxOptions",
    "NtXentOptions",
    "ObjectiveOptions",
    "SupportSetOptions",
    "SynchronisationOptions",
]
