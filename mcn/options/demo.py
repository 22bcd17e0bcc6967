"""What the demo can be told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

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
    languages: tuple[Literal["en", "de", "es"], ...] = Field(
        ("en",),
        min_length=1,
        description="languages of narration and captions; each video has both in all of them, and is spoken in one",
    )
    workers: int = field(
        0, "videos rendered at a time; 0: one a core", "processes", role="runtime", ge=0
    )

    @field_validator("languages")
    @classmethod
    def _each_once(cls, languages: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(languages)) < len(languages):
            raise ValueError(f"{', '.join(languages)}: a language twice")
        return languages


class RenderedOptions(Options):
    """A further rendered set, whose tasks are drawn at random: results/rendered/NAME."""

    seed: int = Field(0, ge=0, description="every random choice but the tasks follows from it")
    videos: int = Field(ge=1, le=9999, description="videos of the set [videos]")
    tasks: tuple[tuple[int, int], ...] = Field(
        min_length=1,
        description="ranges [first, end) of numbers of drawn tasks; the videos take turns at the ranges, and in a "
        "range at its tasks",
    )
    task_seed: int = Field(0, ge=0, description="what the tasks follow from")
    cut: Literal["train", "test"] = Field(
        "train",
        description="train: four steps of the task's list, less background; test: all of them, more background",
    )
    seconds: float = Field(19.5, ge=14, le=120, description="mean length of a video [s]")
    picture: tuple[int, int, int] = Field(
        (320, 240, 12), description="width and height [pixels], frames a second"
    )

    @field_validator("tasks")
    @classmethod
    def _ranges(cls, tasks: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
        for start, end in tasks:
            if not 0 <= start < end:
                raise ValueError(f"[{start}, {end}) holds no task; wanted 0 <= first < end")
        return tasks

    @property
    def ends(self) -> list[int]:
        """The end of each range."""
        return [end for _, end in self.tasks]
