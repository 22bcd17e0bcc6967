"""Tasks drawn at random out of the story's actions and objects: as many as are wanted, for sets larger than the demo.

Conventions
-----------
- Task n of a seed is the same whatever number of tasks is asked for. Its place goes round the places; its steps are
  drawn so that every action, and every object, comes once before any comes again.
- An action goes with any object, whether people do it or not: what matters is that pictures, sound and words of a step
  belong together. Liquids are poured into vessels, and what is tightened is a part of a machine.
- The name of a task is its first and last step's, and of the middle one where that name is taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mcn.demo.story import STORY, Step, Task

STEPS = 5
PLACES = ("kitchen", "workshop", "garage", "garden", "bedroom")
LIQUIDS = ("milk", "honey")
VESSELS = ("bowl", "pot", "pan", "bucket")
PARTS = ("bolt", "wheel", "chain")
MACHINES = ("car", "bicycle", "chair", "door")


def drawn_tasks(count: int, seed: int) -> dict[str, Task]:
    """The first `count` tasks of a seed by name, in order."""
    rng = np.random.default_rng(seed)
    actions, items = _rounds(sorted(STORY.actions), rng), _rounds(sorted(STORY.items), rng)
    tasks: dict[str, Task] = {}
    for number in range(count):
        steps: list[Step] = []
        while len(steps) < STEPS:
            step = _step(next(actions), items, rng)
            if step not in steps:
                steps.append(step)
        first, *_, middle, _, last = (STORY.label(step) for step in steps)
        name = f"{first} and {last}"
        tasks[f"{name} and {middle}" if name in tasks else name] = Task(
            place=PLACES[number % len(PLACES)], steps=tuple(steps)
        )
        if len(tasks) == number:
            raise ValueError(f"seed {seed}: two tasks are called {name!r}")
    return tasks


def _rounds(names: Sequence[str], rng: np.random.Generator) -> Iterator[str]:
    """The names in random order, again and again, each time in another."""
    while True:
        yield from rng.permutation(names).tolist()


def _step(action: str, items: Iterator[str], rng: np.random.Generator) -> Step:
    if action == "pour":
        return Step(action, str(rng.choice(LIQUIDS)), str(rng.choice(VESSELS)))
    if action == "tighten":
        return Step(action, str(rng.choice(PARTS)), str(rng.choice(MACHINES)))
    item = next(items)
    if action == "add":
        others = [name for name in VESSELS if name != item]
        return Step(action, item, str(rng.choice(others)))
    return Step(action, item)
