"""Picture classifiers with named classes: the last layer, and the words of each class.

Conventions
-----------
- The classifier is the last linear layer of the network whose pooled vectors a feature of encoder `timm` holds:
  logits = weight . vector + bias.
- Names come from timm's `ImageNetInfo`: WordNet's synonyms and definition of each class, for every subset of ImageNet
  that it knows, in the order of the network's outputs.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.features.backbones import load_embedded, load_timm
from mcn.features.weights import TIMM
from mcn.networks.checkpoints import load_rows, read_state_dict
from mcn.options.encoders import TimmOptions
from mcn.options.frozen import Wording
from mcn.options.row import EMBEDDED_PREFIX


class Classifier(NamedTuple):
    """weight (K, D), bias (K,); names: for each class its synonyms, with the definition behind a colon."""

    weight: Tensor
    bias: Tensor
    names: list[tuple[str, str]]


def load_classifier(feature: str, row: TimmOptions) -> Classifier:
    """The classifier of a picture feature.

    Errors: `UserError` for weights that cannot be had, a network without a linear classifier, and one whose classes are
    not those of a known subset of ImageNet.
    """
    network = network_of(row)
    layer = network.get_classifier()
    if not isinstance(layer, nn.Linear):
        got = f"features.{feature}, whose network ends in {type(layer).__name__}"
        cure = "name another feature, or set frozen.pairing: same_space"
        raise UserError(got, "a classifier with named classes", cure)
    bias = layer.bias if layer.bias is not None else torch.zeros(layer.out_features)
    return Classifier(layer.weight.detach(), bias.detach(), _names(feature, network, layer))


def network_of(row: TimmOptions) -> Any:
    """The network of a row with its classifier on. Errors: `UserError` for weights that cannot be had."""
    import timm

    if row.weights.startswith(EMBEDDED_PREFIX):
        return load_embedded(row.network, row.weights, classifier=True)
    if row.weights.startswith(TIMM):
        return load_timm(row.weights.removeprefix(TIMM), classifier=True)
    rows = read_state_dict(row.weights)
    network = timm.create_model(row.network, pretrained=False)
    load_rows(network, rows, row.weights)
    return network.eval()


def _names(feature: str, network: nn.Module, layer: nn.Linear) -> list[tuple[str, str]]:
    from timm.data import ImageNetInfo, infer_imagenet_subset

    subset = infer_imagenet_subset(network)
    info = ImageNetInfo(subset) if subset else None
    if info is None or info.num_classes() != layer.out_features:
        got = f"features.{feature}, a classifier of {layer.out_features} classes without names"
        raise UserError(got, "the classes of ImageNet, whose names timm knows", "name another")
    return [
        (info.index_to_description(one), info.index_to_description(one, detailed=True))
        for one in range(layer.out_features)
    ]


def wordings(names: tuple[str, str], chosen: tuple[Wording, ...]) -> list[str]:
    """The texts that stand for a class; names: its synonyms, and those with its definition."""
    synonyms, definition = names
    first = synonyms.partition(",")[0]
    texts = {
        "name": first,
        "synonyms": synonyms,
        "photo": f"a photo of a {first}",
        "definition": definition,
    }
    return [texts[one] for one in chosen]


def class_vectors(vectors: np.ndarray, texts_per_class: int) -> np.ndarray:
    """Vectors (K * n, d) of the n texts of each class, one class after the other -> their means (K, d) float32."""
    means: np.ndarray = vectors.reshape(-1, texts_per_class, vectors.shape[1]).mean(axis=1)
    return means.astype(np.float32)
