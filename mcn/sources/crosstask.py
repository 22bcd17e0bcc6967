"""CrossTask: how-to videos of tasks with ordered step lists, and the times of the steps; a data set for localization.

Conventions
-----------
- tasks_primary.txt, tasks_related.txt: blocks of five lines (id, title, url, number of steps, the steps separated by
  commas) with blank lines between.
- Videos are (task, video) pairs, and one video may serve several tasks: videos.csv and videos_val.csv without header
  (task,video_id,url), cvpr19_test.csv with header (video_id,task,path).
- Times: annotations/TASK_VIDEO.csv without header, step (1-based), start, end in seconds; or TASK_VIDEO.npy, seconds
  by steps, 1 where a step is shown (howto100m_crosstask_eval), as long as the video is taken to be (`video_seconds`).
  Steps are 0-based from here on.
- `test`: the pairs of cvpr19_test.csv, which MCN was measured on. `validation`: those of videos_val.csv. `primary`:
  every pair of videos.csv of a primary task; the manifest's split says which of the other two lists a video is in.
  `related`: pairs of related tasks, which nobody annotated: their times are crosstask_constraints/TASK_VIDEO.csv, where
  the narration speaks of a step.
- A pair without times is left out; a video is in the manifest once, if one of its tasks has times.

Source: DmZhukov/CrossTask data.py; MCN cvpr19_dataloader.py.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import ClassVar, NamedTuple

import numpy as np

from mcn.errors import UserError
from mcn.sources.annotation_tables import STEPS, TASKS
from mcn.sources.arrays import load_array
from mcn.sources.official import Account, Adapter, Split, csv_inputs
from mcn.sources.official_text import GET_AGAIN, csv_lines, identifier, number, text_lines, wrong

PRIMARY_TASKS = 18
LINES_OF_A_TASK = 5
TEST_LIST, VALIDATION_LIST = "cvpr19_test.csv", "videos_val.csv"


class Pair(NamedTuple):
    """A video of a task, and the line that lists it."""

    task: str
    video_id: str
    line: int

    @property
    def name(self) -> str:
        """The name of the files of the pair, without suffix."""
        return f"{self.task}_{self.video_id}"


class CrossTask(Adapter):
    """Reads the tasks, and the videos of them that have times."""

    makes = csv_inputs("manifest", "tasks", "steps")
    splits: ClassVar = {
        "test": Split((("tasks_primary.txt",), (TEST_LIST,), ("annotations",))),
        "validation": Split((("tasks_primary.txt",), (VALIDATION_LIST,), ("annotations",))),
        "primary": Split(
            (("tasks_primary.txt",), ("videos.csv",), ("annotations",)),
            (VALIDATION_LIST, TEST_LIST),
        ),
        "without_validation": Split(
            (("tasks_primary.txt",), ("videos.csv",), ("annotations",), (VALIDATION_LIST,))
        ),
        "related": Split((("tasks_related.txt",), ("videos.csv",), ("crosstask_constraints",))),
    }

    def read(self, account: Account) -> None:
        """Write manifest.csv, tasks.csv and steps.csv."""
        tasks = read_tasks(self.file(0))
        listed, times = self.file(1), self.file(2)
        rows: list[tuple[str, str, int, float, float, int | str]] = []
        annotated: list[Pair] = []
        validation = self._validation_pairs()
        for pair in _usable_pairs(listed, tasks, account):
            if pair.name in validation:
                continue
            found = _read_times(times, pair, len(tasks[pair.task]), account)
            if found.steps:
                rows += [
                    (pair.video_id, pair.task, *segment, found.seconds) for segment in found.steps
                ]
                annotated.append(pair)
            else:
                account.leave_out(listed, pair.line, pair.name, "no usable times of its steps")
        texts = [(task, step, text) for task in tasks for step, text in enumerate(tasks[task])]
        account.write("steps.csv", STEPS, rows)
        account.write("tasks.csv", TASKS, texts)
        subsets = self._subsets()
        videos = dict.fromkeys(pair.video_id for pair in annotated)
        account.write_manifest((one, subsets.get(one, self.split), "") for one in videos)
        account.count("tasks", len(tasks), None if self.split == "related" else PRIMARY_TASKS)
        account.count("tasks with videos", len({pair.task for pair in annotated}))
        account.count("videos", len(videos))
        note = "a video counts in each task"
        account.count("videos of tasks with times", len(annotated), note=note)
        account.count("step segments", len(rows))

    def _validation_pairs(self) -> set[str]:
        """Names of the pairs that the split leaves to validation."""
        lists = self.find([VALIDATION_LIST] if self.split == "without_validation" else [])
        return {pair.name for path in lists for pair in _read_pairs(path)}

    def _subsets(self) -> dict[str, str]:
        """Video id -> `validation` or `test`, for the split `primary`, where the lists are there."""
        lists = {VALIDATION_LIST: "validation", TEST_LIST: "test"}
        names = lists if self.split == "primary" else ()
        return {
            pair.video_id: lists[path.name]
            for path in self.find(names)
            for pair in _read_pairs(path)
        }


def read_tasks(path: Path) -> dict[str, list[str]]:
    """Task id -> its steps in order; `UserError` with the line where a block is not of the form."""
    lines = list(text_lines(path))
    wanted = "blocks of id, title, url, number of steps, steps separated by commas"
    if not lines or len(lines) % LINES_OF_A_TASK:
        last = lines[-1][0] if lines else 1
        raise wrong(path, last, f"{len(lines)} lines that are not blank", wanted)
    tasks: dict[str, list[str]] = {}
    for first in range(0, len(lines), LINES_OF_A_TASK):
        (line, task), _, _, (_, count), (last, text) = lines[first : first + LINES_OF_A_TASK]
        steps = [" ".join(step.split()) for step in text.split(",")]
        if count != str(len(steps)) or "" in steps:
            raise wrong(path, last, f"{len(steps)} steps after the number {count!r}", wanted)
        if task in tasks:
            raise wrong(path, line, f"task {task} again", "every task once")
        tasks[task] = steps
    return tasks


def _read_pairs(path: Path) -> Iterator[Pair]:
    headed = path.name == TEST_LIST
    columns = ("task", "video_id") if headed else ("task", "video_id", "url")
    for line, (task, video_id, *_) in csv_lines(path, columns, header=headed):
        yield Pair(task, identifier(path, line, video_id), line)


def _usable_pairs(path: Path, tasks: Collection[str], account: Account) -> Iterator[Pair]:
    """Pairs of the split's tasks, each once."""
    seen = set()
    for pair in _read_pairs(path):
        if pair.task not in tasks:
            account.leave_out(path, pair.line, pair.name, "a video of a task of another split")
        elif pair.name in seen:
            account.leave_out(path, pair.line, pair.name, "a video that its task lists twice")
        else:
            seen.add(pair.name)
            yield pair


class Times(NamedTuple):
    """(step, start, end) of a pair, in order of time; the whole seconds that were annotated, '' where it is not
    said."""

    steps: list[tuple[int, float, float]]
    seconds: int | str = ""


def _read_times(folder: Path, pair: Pair, steps: int, account: Account) -> Times:
    """The times of a pair, none where it has no file."""
    path, table = folder / f"{pair.name}.csv", folder / f"{pair.name}.npy"
    if not path.exists() and table.exists():
        return _from_table(table, steps)
    if not path.exists():
        return Times([])
    found = []
    for line, (step, *times) in csv_lines(path, ("step", "start", "end"), header=False):
        if not (step.isdigit() and 1 <= int(step) <= steps):
            raise wrong(path, line, f"step {step!r}", f"a step from 1 to {steps} of {pair.task}")
        start, end = (number(path, line, "time", time) for time in times)
        if 0 <= start < end:
            found.append((int(step) - 1, start, end))
        else:
            account.leave_out(path, line, f"step {step}", "a step that ends before it begins")
    return Times(sorted(found, key=lambda segment: segment[1:]))


def _from_table(path: Path, steps: int) -> Times:
    """Runs of ones in every column of a (seconds, steps) table."""
    try:
        table = load_array(path)
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: {error}", "an array of numbers", GET_AGAIN) from error
    if table.ndim != 2 or table.shape[1] != steps or table.dtype.kind not in "bfiu":
        got = f"{path}: shape {table.shape} of {table.dtype}"
        raise UserError(got, f"seconds by {steps} steps, numbers", GET_AGAIN)
    if not np.isfinite(table).all():
        raise UserError(f"{path}: NaN or infinity", "1 where a step is shown, else 0", GET_AGAIN)
    found = []
    for step in range(steps):
        edges = np.flatnonzero(np.diff(table[:, step] > 0, prepend=False, append=False))
        found += [(step, float(start), float(end)) for start, end in edges.reshape(-1, 2)]
    return Times(sorted(found, key=lambda segment: segment[1:]), len(table))
