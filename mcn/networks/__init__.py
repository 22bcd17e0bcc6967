"""The networks written here: 3D ResNeXt-101, ResDAVEnet, the networks that are trained, frozen pairs."""

from mcn.networks.davenet import ResDavenet
from mcn.networks.embedding import EmbeddingNetwork
from mcn.networks.everything_at_once import EverythingAtOnceNetwork
from mcn.networks.frozen import FrozenPair
from mcn.networks.fused import FusedSoundTextNetwork
from mcn.networks.fusion import FusionNetwork, UnitNetwork
from mcn.networks.mcn import Embeddings, MultimodalClusteringNetwork
from mcn.networks.residual import ResidualPair
from mcn.networks.resnext3d import ResNeXt3D, resnext101_3d
from mcn.networks.sequences import SequenceNetwork

TRAINED_NETWORKS: dict[str, type[EmbeddingNetwork]] = {
    network.__name__: network
    for network in (
        MultimodalClusteringNetwork,
        UnitNetwork,
        FusionNetwork,
        FusedSoundTextNetwork,
        EverythingAtOnceNetwork,
        ResidualPair,
        SequenceNetwork,
    )
}
# what a model's config.yaml may name
NETWORKS: dict[str, type[EmbeddingNetwork]] = {
    **TRAINED_NETWORKS,
    FrozenPair.__name__: FrozenPair,
}

__all__ = [
    "NETWORKS",
    "TRAINED_NETWORKS",
    "EmbeddingNetwork",
    "Embeddings",
    "EverythingAtOnceNetwork",
    "FrozenPair",
    "FusedSoundTextNetwork",
    "FusionNetwork",
    "MultimodalClusteringNetwork",
    "ResDavenet",
    "ResNeXt3D",
    "ResidualPair",
    "SequenceNetwork",
    "UnitNetwork",
    "resnext101_3d",
]
