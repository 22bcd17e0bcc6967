"""The networks written here: 3D ResNeXt-101 (motion), ResDAVEnet (audio), and the clustering network's heads."""

from mcn.networks.davenet import ResDavenet
from mcn.networks.mcn import Embeddings, MultimodalClusteringNetwork
from mcn.networks.resnext3d import ResNeXt3D, resnext101_3d

__all__ = [
    "Embeddings",
    "MultimodalClusteringNetwork",
    "ResDavenet",
    "ResNeXt3D",
    "resnext101_3d",
]
