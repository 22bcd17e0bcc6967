"""Other networks in the places of ResNet-152 and 3D ResNeXt-101: timm's picture networks, torchvision's video networks.

Conventions
-----------
- A picture network of timm gives its pooled vector without classifier, (n, D). Its own mean and deviation of pixels
  must be those of the options: a difference is an error, not a correction.
- A video network of torchvision (r3d_18, mc3_18, r2plus1d_18, s3d) gives the mean of its last map over time and place,
  (n, D); pixels are scaled to 0-1 and normalised as torchvision's own preset of its Kinetics-400 weights says.
- Weights come with their library (`timm:NAME`, `torchvision:KINETICS400_V1`), from a package that carries them
  (`embedded:NAME`) or from a file in the library's naming, classifier rows dropped. Networks come on the CPU, in
  float32 and in eval mode.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.features.embedded import locate
from mcn.networks.checkpoints import load_rows, read_state_dict
from mcn.options.base import nearest
from mcn.options.encoders import Triple, VideoNetworkOptions

TORCHVISION = "torchvision:"


def load_timm(model: str, classifier: bool = False) -> nn.Module:
    """A pretrained picture network of timm, downloaded or from its cache; `UserError` if not.

    classifier: leave it on; otherwise the network gives what the classifier is given.
    """
    import timm  # takes 2 s to import, which the jobs of other networks need not wait for

    try:
        classes = None if classifier else 0  # None: as it was trained
        return timm.create_model(model, pretrained=True, num_classes=classes).eval()
    except Exception as error:  # whatever the download or timm raises
        cure = "check the name and the network, or give the path of a downloaded file"
        raise UserError(f"timm:{model}: {error}", "a model that timm can fetch", cure) from error


def load_embedded(model: str, source: str, classifier: bool = False) -> nn.Module:
    """A picture network of timm with the weights `embedded:NAME`, whose rows have other names in the same order.

    classifier: as for `load_timm`. Errors: `UserError` where the weights are not there or not this network's.
    """
    import timm

    located = locate(source)
    rows = read_state_dict(located.file)
    try:
        network: Any = timm.create_model(model, pretrained=False)
    except RuntimeError as error:
        raise UserError(f"network {model}: {error}", "a network of timm", "correct it") from error
    names = list(network.state_dict())
    if len(names) != len(rows):
        got = f"{source}, which has {len(rows)} rows, for {model}, which has {len(names)}"
        raise UserError(got, "the weights of this network", "correct `network` of the feature")
    load_rows(network, dict(zip(names, rows.values(), strict=True)), source)
    if not classifier:
        network.reset_classifier(0)
    return cast(nn.Module, network.eval())


def require_pixels(network: nn.Module, mean: Triple, std: Triple, feature: str) -> None:
    """`UserError` where a network of timm was trained on other pixel statistics than those given."""
    known = getattr(network, "pretrained_cfg", None) or {}
    for key, given in (("mean", mean), ("std", std)):
        wanted = known.get(key)
        if wanted is not None and not torch.allclose(torch.tensor(wanted), torch.tensor(given)):
            numbers = ", ".join(map(str, wanted))
            cure = f"set features.{feature}.{key}: [{numbers}]"
            raise UserError(f"{key} {given}", f"the network's own {key}, {wanted}", cure)


def pooled_vectors(network: nn.Module, pixels: Tensor, feature: str) -> Tensor:
    """(n, 3, H, W) -> (n, D); `UserError` for a network that does not take pictures of this size."""
    try:
        vectors: Tensor = network(pixels)
    except (AssertionError, RuntimeError) as error:
        size = " x ".join(map(str, pixels.shape[2:]))
        cure = f"set features.{feature}.reads: short_side and crop to the size it was trained on"
        raise UserError(f"pictures of {size}: {error}", "a size that it takes", cure) from error
    if vectors.dim() != 2:
        got = f"an output of shape {tuple(vectors.shape)}"
        raise UserError(got, "one vector a picture", "choose another network of timm")
    return vectors


def load_video_network(name: str, weights: str | Path) -> nn.Module:
    """A video network of torchvision without classifier.

    weights: `torchvision:KINETICS400_V1`, or a file. Errors: `UserError`.
    """
    from torchvision.models import get_model

    source = str(weights)
    if source.startswith(TORCHVISION):
        try:
            return _headless(get_model(name, weights=source.removeprefix(TORCHVISION)))
        except Exception as error:  # whatever the download or torchvision raises
            cure = "check the name and the network, or give the path of a downloaded file"
            got = f"{source} for {name}: {error}"
            raise UserError(got, "weights that torchvision can fetch", cure) from error
    network = get_model(name, weights=None)
    rows = read_state_dict(source)
    load_rows(network, rows, source)
    return _headless(network)


def require_video_weights(name: str, weights: str) -> None:
    """`UserError` with the nearest name, for weights `torchvision:NAME` that a network of torchvision has not."""
    from torchvision.models import get_model_weights

    known = get_model_weights(name).__members__
    if weights.removeprefix(TORCHVISION) not in known:
        got = f"weights {weights!r} of {name}{nearest(weights.removeprefix(TORCHVISION), known)}"
        raise UserError(got, "weights of torchvision", "correct `weights`")


def _headless(network: nn.Module) -> nn.Module:
    """Without classifier: the residual networks end in pooling and `fc`, S3D in pooling, `classifier` and a mean."""
    if hasattr(network, "fc"):
        network.fc = nn.Identity()
    else:
        network.classifier = nn.Identity()
        # of a fixed size; the mean that follows is over all of the map
        network.avgpool = nn.Identity()
    return network.eval().requires_grad_(False)


def pixel_statistics(options: VideoNetworkOptions) -> tuple[float, Triple, Triple]:
    """(what 0-255 is divided by, mean, deviation) for the network of the options."""
    if options.network == "resnext101":
        return 1.0, options.mean, (1.0, 1.0, 1.0)
    from torchvision.models import get_model_weights

    preset = get_model_weights(options.network)["KINETICS400_V1"].transforms()
    return 255.0, tuple(preset.mean), tuple(preset.std)
