"""Seeded weights: the real networks with random numbers, for runs without pretrained files.

Conventions
-----------
A random network as deep as these maps all pictures to nearly one vector. What is done about it, alike for the 2D, the
3D and the audio network (probe figures in docs/seeded_weights.md):
- Convolutions: He initialisation, normal with variance 2 / fan-in. The stem's filters are white noise blurred by
  Gaussians of random width, since neighbouring pixels are alike; every other one does not respond to grey, since
  brightness would drown hue.
- Batch norms have the statistics of the calibration items, layer after layer, in one forward pass.
- Residual branches end in a batch norm of weight 0.1: they add to what the shortcut carries instead of replacing it,
  and bf16 stays close to fp32.
- Inner batch norms have biases drawn from a normal distribution of mean -1 and deviation 1: each channel then fires
  for another, mostly small, range of its input, so that averages over a picture keep its distribution (as a histogram
  does) and not its mean alone.
- The last block's biases let each output be positive at one position in five: averages over sparse activations differ
  more between pictures. `bf16` stays close to `fp32`, as the branches are small.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.features import appearance, motion
from mcn.features.calibration import frame_items, mel_items
from mcn.features.registry import library_versions
from mcn.features.runtime import repeatable
from mcn.features.weights import convolutions_and_norms
from mcn.networks import ResDavenet, resnext101_3d
from mcn.networks.rows import save_rows
from mcn.options.encoders import DavenetOptions, TimmOptions, VideoNetworkOptions
from mcn.options.row import FeatureOptions

log = logging.getLogger(__name__)

VERSION = 1  # raise when the code changes the numbers
RESIDUAL_WEIGHT = 0.1
BIAS_MEAN, BIAS_DEVIATION = -1.0, 1.0
OPEN_FRACTION = 0.2  # of positions at which an output is positive
BLUR_TAPS = (0.3, 2.3)  # standard deviations of the stem's blurs, least and greatest
MARGIN_TAPS = 6  # noise on either side of a filter that its blur mixes in


CALIBRATION_ITEMS, CALIBRATION_ROWS = 16, 1024  # rows: of log-mels, an item


def make_seeded_weights(
    name: str, row: FeatureOptions, shards: Sequence[Path], output: Path, seed: int = 0
) -> None:
    """Write seeded weights of the network of the feature `name` as safetensors.

    shards: of what the row reads (decoded frames, or log-mels); a few items of them calibrate the batch norms. Equal
    seeds and shards give equal bytes on one machine, whatever the number of threads. Errors: `UserError` for an
    encoder without seeded weights and for shards without a usable video.
    """
    began = time.perf_counter()
    network, items, decoded = _network_and_items(name, row, shards)
    with repeatable(), torch.no_grad():
        draw(network, torch.Generator().manual_seed(seed))
        calibrate(network, items)
    recipe = {
        "network": getattr(row, "network", row.encoder),
        "seed": seed,
        "version": VERSION,
        "items": len(items),
        "decoded": decoded,
        "libraries": library_versions("torch", "timm", "numpy"),
    }
    save_rows(output, network.state_dict(), recipe)
    log.info(
        "%s: seed %d, batch norms calibrated on %d items in %.1f s",
        *(name, seed, len(items), time.perf_counter() - began),
    )


def _network_and_items(
    name: str, row: FeatureOptions, shards: Sequence[Path]
) -> tuple[nn.Module, Tensor, dict[str, Any]]:
    """The network without weights, what it sees of the shards, and the shards' recipe."""
    if isinstance(row, TimmOptions):
        frames, decoded = frame_items(shards, 1, CALIBRATION_ITEMS)
        network = timm.create_model(row.network, pretrained=False, num_classes=0)
        return network, appearance.prepare(frames, row), decoded
    if isinstance(row, VideoNetworkOptions):
        frames, decoded = frame_items(shards, row.frames_per_chunk, CALIBRATION_ITEMS)
        return resnext101_3d(), motion.prepare(frames, row), decoded
    if isinstance(row, DavenetOptions):
        return ResDavenet(), *mel_items(shards, CALIBRATION_ROWS, CALIBRATION_ITEMS)
    raise UserError(
        f"seeded weights of {name}, whose encoder is {row.encoder}",
        "an encoder that has them: timm, video_network, davenet",
        "give the path of trained weights",
    )


def draw(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every convolution and set every batch norm's weight and bias, in place."""
    stem = _stem(network)
    for parent, convolution_name, norm_name in convolutions_and_norms(network):
        convolution, norm = getattr(parent, convolution_name), getattr(parent, norm_name)
        deviation = (2 / convolution.weight[0].numel()) ** 0.5
        if convolution is stem:
            filters = _blurred_noise(convolution.weight.shape, generator)
        else:
            filters = torch.randn(convolution.weight.shape, generator=generator)
        convolution.weight.copy_(filters * deviation)
        norm.reset_parameters()
        if norm is _last_norm(parent):
            norm.weight.fill_(RESIDUAL_WEIGHT)
        elif not isinstance(parent, nn.Sequential):  # a shortcut's norm keeps weight 1 and bias 0
            noise = torch.randn(norm.bias.shape, generator=generator)
            norm.bias.copy_(BIAS_MEAN + BIAS_DEVIATION * noise)


def calibrate(network: nn.Module, items: Tensor) -> None:
    """Set batch norm statistics to those of `items` and the biases of the last block, in place."""
    norms = [m for m in network.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for norm in norms:
        norm.momentum = 1.0  # the statistics of this batch replace what was there
    block = _blocks(network)[-1]
    last_norm = _last_norm(block)
    assert block.downsample is None  # so the shortcut is the block's input
    seen: dict[str, Tensor] = {}
    hooks = [
        block.register_forward_pre_hook(lambda _, args: seen.update(shortcut=args[0].clone())),
        last_norm.register_forward_hook(lambda _, args, out: seen.update(branch=out.clone())),
    ]
    network.train()
    network(items)
    network.eval()
    for hook in hooks:
        hook.remove()
    sums = (seen["branch"] + seen["shortcut"]).transpose(0, 1).flatten(1)
    last_norm.bias.sub_(_quantile(sums, 1 - OPEN_FRACTION))


def _stem(network: nn.Module) -> Any:
    """The convolution that sees the input."""
    return network.get_submodule("conv1")


def _blocks(network: nn.Module) -> list[nn.Module]:
    """Residual blocks in order: what has a `downsample`, which is None where the shortcut is the identity."""
    return [module for module in network.modules() if hasattr(module, "downsample")]


def _last_norm(parent: nn.Module) -> Any:
    """The norm that ends the residual branch of a block; None for a module that is no block."""
    if not hasattr(parent, "downsample"):
        return None
    return getattr(parent, max(n for n, _ in parent.named_children() if n.startswith("bn")))


def _blurred_noise(shape: Sequence[int], generator: torch.Generator) -> Tensor:
    """(out, in, ...) filters of unit variance: white noise blurred along every dimension longer than one tap."""
    least, greatest = BLUR_TAPS
    filters = []
    for _ in range(shape[0]):
        width = least + (greatest - least) * torch.rand((), generator=generator)
        margins = [n + 2 * MARGIN_TAPS if n > 1 else 1 for n in shape[2:]]
        noise = torch.randn((shape[1], *margins), generator=generator)
        for dimension, taps in enumerate(shape[2:], 1):
            if taps > 1:
                offsets = (
                    torch.arange(taps)[:, None] + MARGIN_TAPS - torch.arange(margins[dimension - 1])
                )
                blur = torch.exp(-(offsets**2) / (2 * width**2))
                noise = torch.tensordot(noise, blur, ([dimension], [1])).movedim(-1, dimension)
        filters.append(noise / noise.std())
    stacked = torch.stack(filters)
    if shape[1] == 3:
        stacked[::2] -= stacked[::2].mean(dim=1, keepdim=True)  # grey sums to nothing
    return stacked


def _quantile(values: Tensor, fraction: float) -> Tensor:
    """Quantile of each row of (C, N)."""
    return torch.from_numpy(np.quantile(values.numpy(), fraction, axis=1).astype(np.float32))
