"""Options of decoding: rates, sizes and limits.

The defaults are those of the published features: 1 frame a second with a short side of 224 pixels for appearance,
24 frames a second with a centre crop of 112 pixels for motion (video_feature_extractor), 16 kHz mono (AVLnet).
"""

from __future__ import annotations

from pydantic import Field, model_validator

from mcn.options.base import Options, field


class FrameOptions(Options):
    """One frame rate and picture size."""

    frames_per_second: float = Field(gt=0, le=240, description="frames a second of video")
    short_side: int = Field(ge=16, le=2048, description="shorter side after scaling, pixels")
    crop: int | None = Field(
        default=None, ge=16, description="centre crop, pixels a side; null: none"
    )

    @model_validator(mode="after")
    def _crop_fits(self) -> FrameOptions:
        if self.crop is not None and self.crop > self.short_side:
            raise ValueError(f"crop {self.crop} is larger than short_side {self.short_side}")
        return self


class DecodeOptions(Options):
    """Decoding of one data set."""

    appearance: FrameOptions = Field(
        FrameOptions(frames_per_second=1, short_side=224),
        description="frames_1fps: what ResNet-152 sees",
    )
    motion: FrameOptions = Field(
        FrameOptions(frames_per_second=24, short_side=112, crop=112),
        description="frames_24fps: what ResNeXt-101 sees",
    )
    sample_rate: int = Field(16000, ge=4000, le=192000, description="audio samples a second, Hz")
    tolerated_errors: int = Field(
        0,
        ge=0,
        description="damaged packets or pictures that a stream may have before it fails; FFmpeg conceals them",
    )
    time_limit_seconds: float = field(
        60, "wall-clock time granted to every video", "s", role="runtime", gt=0
    )
    time_limit_per_second: float = field(
        4,
        "wall-clock seconds granted on top for each second of video",
        "s",
        role="runtime",
        ge=0,
    )
    memory_limit_mb: int = field(
        2048,
        "resident memory of the decoding process; above it, it is killed",
        "MiB",
        role="runtime",
        ge=256,
    )
