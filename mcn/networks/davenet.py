"""ResDAVEnet: log-mel spectrogram to a sequence of audio vectors.

Conventions
-----------
- Input (B, 40, T) log-mel in dB, 100 frames a second; output (B, widths[-1], T') with T' = ceil(T / ratio). Four
  stages of two blocks have ratio 16: 800 -> 50, 1000 -> 63, 1024 -> 64; one output column covers 0.16 s (and its
  surroundings). Six stages, two of two blocks and four of one, have ratio 64: 768 -> 12.
- Sources: Harwath et al. 2020 as released in `roudimit/AVLnet` and `brian7685/Multimodal-Clustering-Network`
  (model_davenet.py); six stages: `ninatu/everything_at_once` davenet.py (`davenet_v2`). Parameter names are those of
  the published checkpoints, `batchnorm1` included, which those files contain and no computation uses; it is frozen, so
  that distributed training does not wait for its gradient.
- Convolutions have no bias and He initialisation over fan-out; batch norms have eps 1e-5.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn

PUBLISHED_WIDTHS = (128, 256, 512, 1024)
BLOCKS = {4: (2, 2, 2, 2), 6: (2, 2, 1, 1, 1, 1)}  # by number of stages
KERNEL = 9  # time steps


class SpeechBlock(nn.Module):
    """Two 1x9 convolutions around a shortcut; (B, in, 1, T) -> (B, out, 1, ceil(T / stride))."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _convolution(channels_in, channels_out, stride)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = _convolution(channels_out, channels_out, 1)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.downsample: nn.Sequential | None = None
        if stride != 1 or channels_in != channels_out:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels_in, channels_out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(channels_out),
            )

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.bn2(self.conv2(x))
        return self.relu(x + shortcut)


class ResDavenet(nn.Module):
    """Log-mel (B, mel_bands, T) -> (B, width, ceil(T / ratio)).

    `widths`: channels of the four or six stages; narrower ones than the published make a smaller network of the same
    shape. `ratio`: input frames an output column. `reach`: frames that a column sees to each side of its first.
    """

    def __init__(self, widths: Sequence[int] = PUBLISHED_WIDTHS, mel_bands: int = 40) -> None:
        super().__init__()
        if len(widths) not in BLOCKS:
            raise ValueError(f"ResDavenet has four or six stages, got widths {tuple(widths)}")
        blocks = BLOCKS[len(widths)]
        self.widths, self.mel_bands, self.width = tuple(widths), mel_bands, widths[-1]
        self.ratio = 2 ** len(widths)
        # a convolution sees half a kernel of its own input frames, which each stage makes twice as long
        self.reach = sum(
            KERNEL // 2 * 2**stage * (1 + 2 * (2 * count - 1)) for stage, count in enumerate(blocks)
        )
        self.batchnorm1 = nn.BatchNorm2d(1).requires_grad_(False)
        self.conv1 = nn.Conv2d(1, widths[0], (mel_bands, 1), bias=False)
        self.bn1 = nn.BatchNorm2d(widths[0])
        self.relu = nn.ReLU(inplace=True)
        channels_in = widths[0]
        for stage, (channels, count) in enumerate(zip(widths, blocks, strict=True), 1):
            first = SpeechBlock(channels_in, channels, stride=2)
            others = [SpeechBlock(channels, channels, stride=1) for _ in range(count - 1)]
            self.add_module(f"layer{stage}", nn.Sequential(first, *others))
            channels_in = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan_out))

    def forward(self, log_mel: Tensor) -> Tensor:
        """(B, mel_bands, T) dB -> (B, width, ceil(T / ratio)); another shape or T = 0: ValueError."""
        if log_mel.dim() != 3 or log_mel.shape[1] != self.mel_bands or log_mel.shape[2] == 0:
            raise ValueError(
                f"log-mel must be (B, {self.mel_bands}, T >= 1), got {tuple(log_mel.shape)}"
            )
        x = self.relu(self.bn1(self.conv1(log_mel.unsqueeze(1))))
        for stage in range(1, len(self.widths) + 1):
            x = self.get_submodule(f"layer{stage}")(x)
        return x.squeeze(2)


def _convolution(channels_in: int, channels_out: int, stride: int) -> nn.Conv2d:
    return nn.Conv2d(
        channels_in, channels_out, (1, KERNEL), stride=stride, padding=(0, KERNEL // 2), bias=False
    )
