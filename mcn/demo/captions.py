"""Annotations of the rendered videos: captions of clips, lists of steps, when each step happens."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np

from mcn.demo.plan import Shot, VideoPlan
from mcn.demo.story import STORIES, STORY, Name, Task


class Caption(NamedTuple):
    """A retrieval clip: a shot that shows a step, and one sentence about it."""

    clip_id: str
    video_id: str
    start_seconds: float
    end_seconds: float
    caption: str


class StepName(NamedTuple):
    """An entry of a task's list."""

    task: str
    step: int
    text: str


class StepTime(NamedTuple):
    """When a video shows a step of its task's list."""

    video_id: str
    task: str
    step: int
    start_seconds: float
    end_seconds: float


def captions(plans: Iterable[VideoPlan], seed: int) -> list[Caption]:
    """One caption for every shot that shows a step: the first of its sentences, in random order, that is new.

    Where so many videos show a step that all of its sentences are used up, they are used again.
    """
    rng = np.random.default_rng([seed, 3])
    written: set[str] = set()
    made = []
    for plan in plans:
        for shot in plan.steps:
            sentences = _sentences(plan, shot, rng)
            text = next((text for text in sentences if text not in written), sentences[0])
            written.add(text)
            clip_id = f"{plan.video_id}_{shot.number:02}"
            made.append(Caption(clip_id, plan.video_id, *_times(shot), text))
    return made


def _sentences(plan: VideoPlan, shot: Shot, rng: np.random.Generator) -> list[str]:
    """Every sentence that describes the shot, in random order; short ones and common names come several times."""
    assert shot.step is not None
    story = STORIES[plan.language]
    names = story.items[shot.step.item].names
    targets: tuple[Name, ...] = story.items[shot.step.target].names if shot.step.target else ("",)
    place = story.place_names.get(plan.place, plan.place)
    choices = [
        f"{sentence} {detail}".strip().format(item=item, target=target, place=place)
        for sentence in story.actions[shot.step.action].written
        for detail in story.details
        for item in (names[0], names[0], *names)
        for target in (targets[0], targets[0], *targets)
    ]
    return [choices[index] for index in rng.permutation(len(choices))]


def step_names(tasks: Mapping[str, Task]) -> list[StepName]:
    """The ordered steps of every task."""
    return [
        StepName(name, number, STORY.label(step))
        for name, task in tasks.items()
        for number, step in enumerate(task.steps)
    ]


def step_times(plans: Iterable[VideoPlan]) -> list[StepTime]:
    """When every step of every video is shown."""
    return [
        StepTime(plan.video_id, plan.task, shot.number or 0, *_times(shot))
        for plan in plans
        for shot in plan.steps
    ]


def _times(shot: Shot) -> tuple[float, float]:
    return round(shot.start, 3), round(shot.end, 3)
