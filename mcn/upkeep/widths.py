"""Features of another width than a published checkpoint wants, said before any job starts where both are known.

Conventions
-----------
- Of a checkpoint the shapes of its rows are read, not its numbers. One in PyTorch's format of before 1.6, which cannot
  be looked into without reading all of it, is left to the job that imports it.
- Of a feature the width is known where there are shards of it already, and of word vectors by their file. What is not
  known is left to the evaluation, which says both numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from mcn.config.configuration import Configuration
from mcn.errors import UserError
from mcn.features.vectors import width_of_file


def width_problems(settings: Configuration, results: Path) -> list[str]:
    """A line for each checkpoint of the configuration whose features have other widths. results: where shards lie."""
    problems = []
    for name, experiment in settings.experiments.items():
        path = Path(experiment.checkpoint or "")
        if not experiment.checkpoint or not path.is_file():
            continue
        from mcn.networks.checkpoints import widths_of_checkpoint  # PyTorch, for those alone

        seen, said = widths_of_checkpoint(path)
        video, text = experiment.features.video, experiment.features.text
        wide = [_width(settings, one, results) for one in video]
        if seen is not None and all(wide) and sum(filter(None, wide)) != seen:
            parts = " + ".join(f"{one} {width}" for one, width in zip(video, wide, strict=True))
            problems.append(_line(name, "video", parts, path, seen))
        width = _width(settings, text, results) if text else None
        if said is not None and width not in (None, said):
            problems.append(_line(name, "text", f"{text} {width}", path, said))
    return problems


def _line(name: str, key: str, found: str, path: Path, wanted: int) -> str:
    cure = "name the features that it was trained on, or another checkpoint"
    return f"experiments.{name}.model.{key}: numbers of {found}; {path} wants {wanted}; {cure}"


def _width(settings: Configuration, feature: str, results: Path) -> int | None:
    """Numbers of a vector of a feature, where they are known."""
    row = settings.features[feature]
    file = Path(row.file) if row.kind == "text" and row.file else None
    if file is not None and file.is_file() and hasattr(row, "vectors"):
        return width_of_file(file)
    return next(_widths_of_shards(settings, feature, results), None)


def _widths_of_shards(settings: Configuration, feature: str, results: Path) -> Iterator[int]:
    """The width of every data set's first shard of a feature that is there."""
    for dataset in settings.datasets:
        shard = results / dataset / "features" / feature / "00000.parquet"
        try:
            found = pq.read_table(shard, columns=["width"])["width"].to_pylist()
        except (OSError, ValueError, KeyError, UserError):  # not there, or damaged: its job says so
            continue
        yield from filter(None, found[:1])
