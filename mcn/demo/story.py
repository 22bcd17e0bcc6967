"""What the demo's videos are about and what is said in them: `story.yaml`, checked when it is read.

Conventions
-----------
- A step is an action on an object, with a target where the action needs one. Tasks share actions and objects.
- `unseen_tasks` never occur in training. Each of their actions and objects does, most of them in other combinations.
- An action has its drawing in `mcn.demo.actions`, its sound in `mcn.demo.sounds` and its sentences in `story.yaml`.
"""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, model_validator


class Step(NamedTuple):
    """One thing that is done: a key of `Story.actions`, and keys of `Story.items`."""

    action: str
    item: str
    target: str | None = None


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Action(_Strict):
    """An action: the tool in the picture, the sound it makes, its name in a list of steps, its sentences."""

    tool: str
    sound: str
    label: str | None = None
    spoken: tuple[str, ...]
    written: tuple[str, ...]


class Item(_Strict):
    """An object: its names (the first is the common one), its pictures, and how far its hue varies (degrees)."""

    names: tuple[str, ...]
    pictures: tuple[str, ...]
    hues: tuple[int, ...] = (-8, 0, 8)


class Task(_Strict):
    """An ordered list of steps that are done at one place."""

    place: str
    steps: tuple[Step, ...]


class Story(_Strict):
    """The whole of `story.yaml`, which says what each entry means."""

    actions: dict[str, Action]
    items: dict[str, Item]
    tasks: dict[str, Task]
    unseen_tasks: dict[str, Task]
    clutter: tuple[str, ...]
    leads: tuple[str, ...]
    intros: tuple[str, ...]
    outros: tuple[str, ...]
    fillers: tuple[str, ...]
    details: tuple[str, ...]
    misheard: dict[str, str]

    @model_validator(mode="after")
    def _steps_are_known(self) -> Story:
        for name, task in self.all_tasks.items():
            for action, item, target in task.steps:
                if action not in self.actions or not {item, target or item} <= self.items.keys():
                    raise ValueError(
                        f"{name}: no action or object for [{action}, {item}, {target}]"
                    )
        return self

    @property
    def all_tasks(self) -> dict[str, Task]:
        """Every task by its name, those of training first."""
        return {**self.tasks, **self.unseen_tasks}

    def label(self, step: Step) -> str:
        """The name of a step in the list of its task, for example `add egg to bowl`."""
        wording = self.actions[step.action].label or f"{step.action} {{item}}"
        return wording.format(item=step.item, target=step.target)


def asset(name: str) -> Traversable:
    """A file of `mcn/demo/assets`, for example `objects/egg.webp`; it need not exist."""
    return files("mcn.demo").joinpath("assets", *name.split("/"))


STORY = Story.model_validate(
    yaml.safe_load(files("mcn.demo").joinpath("story.yaml").read_text(encoding="utf-8"))
)
