"""What the demo's videos are about and what is said in them: `story.yaml`, checked when it is read.

Conventions
-----------
- A step is an action on an object, with a target where the action needs one. Tasks share actions and objects.
- `unseen_tasks` never occur in training. Each of their actions and objects does, most of them in other combinations.
- In another language (`story.de.yaml`) everything that is said and written is another; lists have as many entries, so
  that equal draws tell the same video. `STORIES` has the story of each language.
- An action has its drawing in `mcn.demo.actions`, its sound in `mcn.demo.sounds` and its sentences in `story.yaml`.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict, model_validator

Name = str | dict[str, str]  # a word, or the forms of it that sentences want


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
    """An object: its names (the first is the common one), its pictures, and how far its hue varies (degrees).

    A name is a word, or the forms that sentences want of it (`{item[acc]}`) by their names.
    """

    names: tuple[Name, ...]
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
    task_names: dict[str, str] = {}
    place_names: dict[str, str] = {}

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

    def told(self, said: Mapping[str, Any]) -> Story:
        """The same story in another language. ValueError where lists have other lengths than here."""
        values = self.model_dump()
        for name, action in said["actions"].items():
            values["actions"][name] |= action
        for name, names in said["items"].items():
            values["items"][name]["names"] = names
        lists = ("leads", "intros", "outros", "fillers", "details", "misheard")
        values |= {name: said[name] for name in lists}
        values |= {"task_names": said["tasks"], "place_names": said["places"]}
        story = Story.model_validate(values)
        if self._lengths() != story._lengths():
            raise ValueError("as many sentences, names, tasks and places as in story.yaml")
        return story

    def _lengths(self) -> list[int]:
        """Of every list that is drawn from, and what has no name in this language."""
        talk = self.leads, self.intros, self.outros, self.fillers, self.details
        sentences = [one for a in self.actions.values() for one in (a.spoken, a.written)]
        lengths = [len(one) for one in (*talk, *sentences, *(i.names for i in self.items.values()))]
        places = {task.place for task in self.all_tasks.values()}
        named = [(self.task_names, self.all_tasks.keys()), (self.place_names, places)]
        return lengths + [len(wanted - names.keys()) if names else 0 for names, wanted in named]

    def label(self, step: Step) -> str:
        """The name of a step in the list of its task, for example `add egg to bowl`."""
        wording = self.actions[step.action].label or f"{step.action} {{item}}"
        return wording.format(item=step.item, target=step.target)


def asset(name: str) -> Traversable:
    """A file of `mcn/demo/assets`, for example `objects/egg.webp`; it need not exist."""
    return files("mcn.demo").joinpath("assets", *name.split("/"))


def _read(name: str) -> Any:
    return yaml.safe_load(files("mcn.demo").joinpath(name).read_text(encoding="utf-8"))


STORY = Story.model_validate(_read("story.yaml"))
STORIES = {
    "en": STORY,
    "de": STORY.told(_read("story.de.yaml")),
    "es": STORY.told(_read("story.es.yaml")),
}
