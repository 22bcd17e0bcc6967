"""The networks written here: 3D ResNeXt-101 (motion), ResDAVEnet (audio), and the networks that are trained."""

from mcn.networks.davenet import ResDavenet
from mcn.networks.fusion import FusionNetwork, UnitNetwork
from mcn.networks.mcn import Embeddings, MultimodalClusteringNetwork
from mcn.networks.resnext3d import ResNeXt3D, resnext101_3d

# what a model's config.yaml may name
TRAINED_NETWORKS: dict[str, type[MultimodalClusteringNetwork]] = {
    network.__name__: network
    for network in (MultimodalClusteringNetwork, UnitNetwork, FusionNetwork)
}

__all__ = [
    "TRAINED_NETWORKS",
    "Embeddings",
    "FusionNetwork",
    "MultimodalClusteringNetwork",
    "ResDavenet",
    "ResNeXt3D",
    "UnitNetwork",
    "resnext101_3d",
]
