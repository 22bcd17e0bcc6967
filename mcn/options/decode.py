"""Options of decoding: what a stream of frames or sound is, and the limits that every video is decoded under.

A stream is a folder of decoded shards that any number of encoders read. Its name says what it holds, so that two
features that read the same share one stream. The two streams of frames and the sound of the published features have
names of their own: frames_1fps and frames_24fps (video_feature_extractor), audio_16khz (AVLnet).
"""

from __future__ import annotations

from pydantic import Field, RootModel, model_validator

from mcn.options.base import Options, field


class FrameOptions(Options):
    """A stream of RGB frames: one frame rate and picture size."""

    frames_per_second: float = Field(gt=0, le=240, description="frames a second of video")
    short_side: int = Field(ge=16, le=2048, description="shorter side after scaling [pixels]")
    crop: int | None = Field(
        default=None, ge=16, description="side of a centre crop [pixels]; null: no crop"
    )

    @model_validator(mode="after")
    def _crop_fits(self) -> FrameOptions:
        if self.crop is not None and self.crop > self.short_side:
            raise ValueError(f"crop {self.crop} is larger than short_side {self.short_side}")
        return self

    @property
    def stream(self) -> str:
        """Name of the stream, which is also its folder below `decoded`."""
        if self in PUBLISHED_FRAMES:
            return PUBLISHED_FRAMES[self]
        rate = f"{self.frames_per_second:.10g}".replace(".", "p")
        crop = "" if self.crop is None else f"_crop{self.crop}"
        return f"frames_{rate}fps_{self.short_side}px{crop}"

    @property
    def folder(self) -> str:
        """Folder of the stream's shards below that of a data set."""
        return f"decoded/{self.stream}"


PUBLISHED_FRAMES = {
    FrameOptions(frames_per_second=1, short_side=224): "frames_1fps",
    FrameOptions(frames_per_second=24, short_side=112, crop=112): "frames_24fps",
}


class SoundOptions(Options):
    """A stream of mono sound at one sample rate."""

    sample_rate: int = Field(ge=4000, le=192000, description="samples a second [Hz]")

    @property
    def stream(self) -> str:
        """Name of the stream, which is also its folder below `decoded`."""
        return "audio_16khz" if self.sample_rate == 16000 else f"audio_{self.sample_rate}hz"

    @property
    def folder(self) -> str:
        """Folder of the stream's shards below that of a data set."""
        return f"decoded/{self.stream}"


class Streams(RootModel[list[FrameOptions | SoundOptions]]):
    """Streams that are decoded together."""


class DecodeOptions(Options):
    """How much damage, time and memory a video may take while it is decoded."""

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
