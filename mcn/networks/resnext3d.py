"""3D ResNeXt-101: sixteen frames to one motion vector.

Conventions
-----------
- Input (B, 3, F, H, W) RGB, 0-255 less the channel means (110.6, 103.2, 96.3); published for F = 16, H = W = 112.
  Output (B, 2048): the mean over all positions that remain, no ReLU after it, not normalised.
- Source: Hara et al. 2018, `kenshohara/3D-ResNets-PyTorch` models/resnext.py (cardinality 32, blocks 3-4-23-3, shortcut
  B), as used by `antoine77340/video_feature_extractor`. Parameter names are those of its Kinetics checkpoint.
- Convolutions have no bias; batch norms have eps 1e-5. The stem strides space only, its pooling strides time too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

CARDINALITY = 32
EXPANSION = 2  # channels out of a block over channels inside it
STEM_CHANNELS = 64
STAGE_CHANNELS = (128, 256, 512, 1024)
WRAPPERS = ("state_dict", "net", "model")
DATA_PARALLEL_PREFIX = "module."
CLASSIFIER_ROWS = ("fc.weight", "fc.bias")


class ResNeXtBlock(nn.Module):
    """1x1x1, grouped 3x3x3, 1x1x1 convolutions around a shortcut; (B, in, F, H, W) -> (B, 2 channels, F', H', W')."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        channels_out = channels * EXPANSION
        self.conv1 = nn.Conv3d(channels_in, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm3d(channels)
        self.conv2 = nn.Conv3d(
            channels, channels, 3, stride=stride, padding=1, groups=CARDINALITY, bias=False
        )
        self.bn2 = nn.BatchNorm3d(channels)
        self.conv3 = nn.Conv3d(channels, channels_out, 1, bias=False)
        self.bn3 = nn.BatchNorm3d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv3d(channels_in, channels_out, 1, stride=stride, bias=False),
                nn.BatchNorm3d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        x = self.bn3(self.conv3(x))
        return self.relu(x + shortcut)


class ResNeXt3D(nn.Module):
    """A 3D ResNeXt without its classifier; `blocks` residual blocks in each of the four stages."""

    width = STAGE_CHANNELS[-1] * EXPANSION

    def __init__(self, blocks: Sequence[int] = (3, 4, 23, 3)) -> None:
        super().__init__()
        self.conv1 = nn.Conv3d(3, STEM_CHANNELS, 7, stride=(1, 2, 2), padding=3, bias=False)
        self.bn1 = nn.BatchNorm3d(STEM_CHANNELS)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool3d(3, stride=2, padding=1)
        channels_in = STEM_CHANNELS
        for stage, (channels, count) in enumerate(zip(STAGE_CHANNELS, blocks, strict=True), 1):
            layers = []
            for index in range(count):
                stride = 2 if stage > 1 and index == 0 else 1
                layers.append(ResNeXtBlock(channels_in, channels, stride))
                channels_in = channels * EXPANSION
            self.add_module(f"layer{stage}", nn.Sequential(*layers))
        for module in self.modules():
            if isinstance(module, nn.Conv3d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, frames: Tensor) -> Tensor:
        """(B, 3, F, H, W) -> (B, 2048)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(frames))))
        for stage in range(1, len(STAGE_CHANNELS) + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return x.mean(dim=(2, 3, 4))

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> Any:
        """Load rows as published: a `state_dict` wrapper, a `module.` prefix and classifier (`fc`) rows are dropped.

        Files older than PyTorch 0.4.1 have no `num_batches_tracked`; that is accepted. Any other difference is
        PyTorch's RuntimeError, which names every row.
        """
        rows = {
            name: row for name, row in unwrap(state_dict).items() if name not in CLASSIFIER_ROWS
        }
        return super().load_state_dict(rows, strict=strict, assign=assign)


def resnext101_3d() -> ResNeXt3D:
    """The network of the Kinetics-400 checkpoint: (B, 3, 16, 112, 112) -> (B, 2048), 47.5 M parameters."""
    return ResNeXt3D((3, 4, 23, 3))


def unwrap(state: Mapping[str, Any]) -> dict[str, Any]:
    """The rows inside `state`: out of a wrapper if there is one, without the `DataParallel` prefix."""
    for wrapper in WRAPPERS:
        if isinstance(state.get(wrapper), Mapping):
            return unwrap(state[wrapper])
    return {name.removeprefix(DATA_PARALLEL_PREFIX): row for name, row in state.items()}
