"""Every kind of objective that a configuration can name, and the user's own.

Conventions: `objective.kind` names the objective; without it the objective is `mcn`. A kind `module:Class` is an
objective of the user's own (`OwnObjectiveOptions`). A new one in the package needs nothing else either:
`kind: mcn.objectives.my_loss:MyObjective`.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Discriminator, PrivateAttr, Tag, model_validator

from mcn.errors import UserError
from mcn.options.base import field, parsed
from mcn.options.clip_parts import EverythingAtOnceOptions, FineGrainedOptions, SupportSetOptions
from mcn.options.clustering import ClusteringOptions, CrossModalClusteringOptions
from mcn.options.contrast import (
    AvlnetOptions,
    MaxMarginOptions,
    MilNceOptions,
    MultilingualNceOptions,
    NormSoftmaxOptions,
    NtXentOptions,
    SupervisedOptions,
)
from mcn.options.objectives import CONTRACT, OWN_KIND, Needs, ObjectiveOptions, tag_of
from mcn.options.own_parts import load_part, part_file
from mcn.options.pretexts import (
    CorrespondenceOptions,
    CpcOptions,
    MaskedPredictionOptions,
    OddOneOutOptions,
    ShuffleAndLearnOptions,
    SynchronisationOptions,
)


class OwnObjectiveOptions(ObjectiveOptions):
    """An objective of the user's own: a class of a module that stands beside the configuration, or is installed.

    `options` is parsed into the class's own `Options`, which extends `ObjectiveOptions` and says what it needs.
    """

    kind: str = field(description="module:Class", pattern=r"^[\w.]+:\w+$")
    options: dict[str, Any] = field({}, "options of the class")
    _resolved: ObjectiveOptions = PrivateAttr()

    @model_validator(mode="after")
    def _load(self) -> OwnObjectiveOptions:
        """Problems of the module, the class or its options are problems of the configuration."""
        try:
            model = getattr(load_part(self.kind, CONTRACT), "Options", None)
            if not (isinstance(model, type) and issubclass(model, ObjectiveOptions)):
                file = part_file(self.kind) or self.kind
                wanted = "one that extends mcn.options.objectives.ObjectiveOptions"
                raise UserError(
                    f"{file}: the class has Options {model!r}", wanted, "mend that file"
                )
            self._resolved = parsed(model, self.options)
        except UserError as error:
            raise ValueError(f"{error.got}; wanted {error.wanted}; {error.do}") from None
        return self

    @property
    def part(self) -> str:
        return self.kind

    @property
    def resolved(self) -> ObjectiveOptions:
        return self._resolved

    @property
    def needs(self) -> Needs:
        return self._resolved.needs


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
    | Annotated[MultilingualNceOptions, Tag("multilingual_nce")]
    | Annotated[NtXentOptions, Tag("nt_xent")]
    | Annotated[SupervisedOptions, Tag("supervised")]
    | Annotated[CpcOptions, Tag("cpc")]
    | Annotated[MaskedPredictionOptions, Tag("masked_prediction")]
    | Annotated[ShuffleAndLearnOptions, Tag("shuffle_and_learn")]
    | Annotated[OddOneOutOptions, Tag("odd_one_out")]
    | Annotated[OwnObjectiveOptions, Tag(OWN_KIND)],
    Discriminator(tag_of),
]
