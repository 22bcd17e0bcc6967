"""The annotated steps of training videos, for objectives that are told them (`Needs.steps`).

Conventions
-----------
- A step is known by its text, so that one step of two tasks is one; its number is its place among all texts in order.
- A clip shows the step that fills most of it, and none (-1) where no step fills half of it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from mcn.errors import UserError
from mcn.files import file_sha256, read_table

NO_STEP = -1
LEAST_SHARE = 0.5  # of a clip that a step fills


class ShownStep(NamedTuple):
    """A number of a step and the seconds between which a video shows it."""

    step: int
    start: float
    end: float


class StepTables(NamedTuple):
    """The tables of a data set: task, step, text; and video_id, task, step, start_seconds, end_seconds."""

    tasks: Path
    steps: Path

    def read(self) -> Mapping[str, list[ShownStep]]:
        """Video -> the steps that it shows. An entry that no list has: `UserError`."""
        texts = {
            (row["task"], row["step"]): row["text"]
            for row in read_table(self.tasks, ["task", "step", "text"]).to_pylist()
        }
        numbers = {text: number for number, text in enumerate(sorted(set(texts.values())))}
        shown: dict[str, list[ShownStep]] = defaultdict(list)
        columns = ["video_id", "task", "step", "start_seconds", "end_seconds"]
        for row in read_table(self.steps, columns).to_pylist():
            text = texts.get((row["task"], row["step"]))
            if text is None:
                raise UserError(
                    f"{self.steps}: step {row['step']} of task {row['task']!r}",
                    "steps of the task list",
                    f"mend the annotations or the task list ({self.tasks})",
                )
            found = ShownStep(numbers[text], row["start_seconds"], row["end_seconds"])
            shown[row["video_id"]].append(found)
        return shown

    @property
    def sha256(self) -> str:
        """What identifies their content."""
        return f"{file_sha256(self.tasks)} {file_sha256(self.steps)}"


def step_of(shown: list[ShownStep], start: float, end: float) -> int:
    """The number of the step that a clip from `start` to `end` (s) shows, `NO_STEP` without one."""
    filled: dict[int, float] = defaultdict(float)
    for step, first, last in shown:
        filled[step] += max(0.0, min(end, last) - max(start, first))
    best = max(filled, key=lambda step: filled[step], default=NO_STEP)
    return best if filled.get(best, 0.0) >= LEAST_SHARE * (end - start) else NO_STEP
