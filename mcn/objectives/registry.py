"""From options to the objective they describe: the only place that knows all kinds."""

from __future__ import annotations

from mcn.objectives.avlnet import AvlnetObjective
from mcn.objectives.candidates import MilNceObjective
from mcn.objectives.correspondence import CorrespondenceObjective
from mcn.objectives.cross_modal_clustering import CrossModalClusteringObjective
from mcn.objectives.everything_at_once import EverythingAtOnceObjective
from mcn.objectives.fine_grained import FineGrainedObjective
from mcn.objectives.max_margin import MaxMarginObjective
from mcn.objectives.multimodal_clustering import MultimodalClusteringObjective
from mcn.objectives.norm_softmax_contrast import NormSoftmaxObjective
from mcn.objectives.nt_xent import NtXentObjective
from mcn.objectives.objective import Objective, Setting
from mcn.objectives.support_set import SupportSetObjective
from mcn.objectives.synchronisation import SynchronisationObjective
from mcn.options.objectives import (
    AvlnetOptions,
    ClusteringOptions,
    CorrespondenceOptions,
    CrossModalClusteringOptions,
    EverythingAtOnceOptions,
    FineGrainedOptions,
    MaxMarginOptions,
    MilNceOptions,
    NormSoftmaxOptions,
    NtXentOptions,
    ObjectiveOptions,
    SupportSetOptions,
    SynchronisationOptions,
)

OBJECTIVES: dict[type[ObjectiveOptions], type[Objective]] = {
    ClusteringOptions: MultimodalClusteringObjective,
    MaxMarginOptions: MaxMarginObjective,
    MilNceOptions: MilNceObjective,
    NormSoftmaxOptions: NormSoftmaxObjective,
    AvlnetOptions: AvlnetObjective,
    EverythingAtOnceOptions: EverythingAtOnceObjective,
    FineGrainedOptions: FineGrainedObjective,
    CrossModalClusteringOptions: CrossModalClusteringObjective,
    SupportSetOptions: SupportSetObjective,
    SynchronisationOptions: SynchronisationObjective,
    CorrespondenceOptions: CorrespondenceObjective,
    NtXentOptions: NtXentObjective,
}


def make_objective(options: ObjectiveOptions, setting: Setting) -> Objective:
    """The objective of some options, its heads on the setting's device."""
    objective = OBJECTIVES[type(options)](options, setting)
    objective.heads.to(setting.device)
    return objective
