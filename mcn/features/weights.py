"""Weights of the extractors: from a file, from timm, or seeded; checked, hashed and folded for inference.

Conventions
-----------
- `resnet152`: timm's names, which for this network are torchvision's. `resnext101`: names of the Kinetics checkpoint of
  3D-ResNets-PyTorch. `davenet`: names of the AVLnet and MCN checkpoints (alone, or below `DAVEnet.`).
- Any other picture network of timm stands in for ResNet-152, and torchvision's video networks for ResNeXt-101
  (`mcn.features.backbones`); their batch norms stay as they are.
- Classifier rows are dropped; any other missing, unexpected or misshapen row is a `UserError` that lists all of them.
- Networks come on the CPU, in float32, in eval mode, every batch norm folded into the convolution before it
  (w' = w gamma / sqrt(var + eps), b' = beta - mean gamma / sqrt(var + eps)).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from mcn.errors import UserError
from mcn.features.backbones import TORCHVISION, load_embedded, load_timm, load_video_network
from mcn.features.embedded import locate
from mcn.files import file_sha256
from mcn.networks.checkpoints import load_davenet, load_resnext101, load_rows, read_state_dict
from mcn.networks.rows import read_noted, rows_sha256
from mcn.options.row import EMBEDDED_PREFIX

CLASSIFIER = ("fc.weight", "fc.bias")
VIDEO_NETWORKS = ("r3d_18", "mc3_18", "r2plus1d_18", "s3d")
TIMM = "timm:"


@dataclass(frozen=True)
class LoadedNetwork:
    """A network and where its numbers come from (`recipe`: source, sha256, and of seeded weights their own recipe)."""

    network: nn.Module
    recipe: dict[str, Any]


def load_network(
    name: str, weights: str | Path, expected_sha256: str | None = None
) -> LoadedNetwork:
    """The network `name` (resnet152, resnext101, davenet, or a video network of torchvision), ready for inference.

    weights: path, `timm:MODEL` for resnet152, `torchvision:WEIGHTS` for torchvision's, `embedded:NAME`.
    expected_sha256: of the file, or of the library's rows (`rows_sha256`).
    Errors: `UserError` for an unknown, unreadable or mismatched file and for
    another sha256.
    """
    source = str(weights)
    if source in ("", "seeded"):
        make = f"mcn seed-weights {name} SHARD --output {name}.safetensors"
        raise UserError(f"seeded weights of {name}, but no file of them", "their file", make)
    network = _load(name, source)
    if source.startswith(EMBEDDED_PREFIX):
        recipe = locate(source).recipe
        digest = recipe["sha256"]
    elif source.startswith((TIMM, TORCHVISION)):
        digest = rows_sha256(network.state_dict())
        recipe = {"source": source, "sha256": digest}
    else:
        digest = file_sha256(source)
        recipe = {"source": Path(source).name, "sha256": digest, **_seeding(Path(source))}
    if expected_sha256 is not None and digest != expected_sha256:
        cure = f"get the right file, or correct {name}.weights_sha256"
        raise UserError(f"{source} with sha256 {digest}", f"sha256 {expected_sha256}", cure)
    folds = name in FOLDED and (not source.startswith(TIMM) or _is_resnet152(source))
    if folds:  # the names of other networks do not tell where a batch norm belongs
        return LoadedNetwork(fold_batch_norms(network.eval()), recipe)
    return LoadedNetwork(network.eval().requires_grad_(False), recipe)


def _load(name: str, source: str) -> nn.Module:
    if source.startswith(EMBEDDED_PREFIX):
        return load_embedded(name, source)
    if source.startswith(TIMM):
        if name in (*LOADERS, *VIDEO_NETWORKS):
            wanted = "timm's networks for encoders of pictures"
            raise UserError(f"{source} for {name}", wanted, "give the path of a file")
        return load_timm(source.removeprefix(TIMM))
    if name in LOADERS:
        return LOADERS[name](Path(source))
    if name in VIDEO_NETWORKS:
        return load_video_network(name, source)
    return load_picture_network(name, Path(source))


def _is_resnet152(source: str) -> bool:
    return source.removeprefix(TIMM).partition(".")[0] == "resnet152"


def load_picture_network(name: str, path: Path) -> nn.Module:
    """A picture network of timm without its classifier, from a timm or torchvision state dict."""
    import timm  # takes 2 s to import, which the jobs of other networks need not wait for

    rows = read_state_dict(path)
    # drawing numbers that are replaced takes half a second; other networks may compute more than rows meanwhile
    place = torch.device("meta" if name in FOLDED else "cpu")
    try:
        with place:
            network = timm.create_model(name, pretrained=False, num_classes=0)
    except RuntimeError as error:
        raise UserError(f"network {name}: {error}", "a network of timm", "correct it") from error
    kept = {key: row for key, row in rows.items() if key not in CLASSIFIER}
    load_rows(network, kept, str(path))
    return network.eval()


LOADERS: dict[str, Callable[[Path], nn.Module]] = {
    "resnext101": load_resnext101,
    "davenet": load_davenet,
}
FOLDED = ("resnet152", *LOADERS)


def _seeding(path: Path) -> dict[str, str]:
    """What a seeded file says of itself; nothing for other files."""
    if path.suffix != ".safetensors":
        return {}
    noted = read_noted(path)
    return {} if noted is None else {"seeded": noted}


def convolutions_and_norms(network: nn.Module) -> list[tuple[nn.Module, str, str]]:
    """(parent, name of convolution, name of its batch norm): `conv1`/`bn1` beside each other, `downsample.0`/`.1`."""
    pairs = []
    for path, module in network.named_modules():
        names = [name for name, _ in module.named_children()]
        for name in names:
            norm = re.sub(r"^conv", "bn", name)
            if norm != name and norm in names:
                pairs.append((module, name, norm))
        if path.endswith("downsample"):
            pairs.append((module, "0", "1"))
    return pairs


def fold_batch_norms(network: nn.Module) -> nn.Module:
    """Fold each batch norm in place into the convolution before it; the network computes the same function."""
    with torch.no_grad():
        for parent, convolution, norm in convolutions_and_norms(network):
            folded = fuse_conv_bn_eval(getattr(parent, convolution), getattr(parent, norm))
            setattr(parent, convolution, folded)
            setattr(parent, norm, nn.Identity())
    return network.requires_grad_(False)
