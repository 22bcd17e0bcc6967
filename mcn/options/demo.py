"""What the demo can be told."""

from __future__ import annotations

from pydantic import Field

from mcn.options.base import Options, field


class DemoOptions(Options):
    """Size and seed of the rendered set; the defaults are the embedded demo."""

    seed: int = Field(0, ge=0, description="every random choice follows from it")
    training_videos: int = Field(
        36, ge=1, le=9999, description="narrated videos to learn from [videos]"
    )
    held_out_videos: int = Field(
        18,
        ge=1,
        le=60,
        description="annotated videos, every second one of a task never seen in training [videos]",
    )
    training_seconds: float = Field(
        19.5, ge=14, le=120, description="mean length of a training video [s]"
    )
    held_out_seconds: float = Field(
        27.0, ge=20, le=120, description="mean length of a held-out video [s]"
    )
    workers: int = field(
        0, "videos rendered at a time; 0: one a core", "processes", role="runtime", ge=0
    )
