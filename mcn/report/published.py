"""The numbers that others published: `published.yaml`, checked when it is read.

Conventions
-----------
- A table has benchmarks (columns, each with its metrics) and rows (methods); a cell is a method's scores on one
  benchmark, in percent, with its sources and whether they were verified. A cell without scores is known to exist but
  not at hand; a score that was not published is null.
- `later`: a row that is not in the paper's own table. `experiments`: names of the experiments that measure it here.
"""

from __future__ import annotations

import functools
import importlib.resources
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, model_validator

TABLES = {
    "table1": ("zero_shot_retrieval", "full_video_retrieval", "fine_tuned_retrieval"),
    "table2": ("zero_shot_localization",),
    "reference": ("action_recognition", "sound_classification", "multilingual_retrieval"),
}
TITLES = {
    "table1": "Table 1: zero-shot retrieval",
    "table2": "Table 2: zero-shot localization",
    "reference": "Reference rows of the lecture",
}


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Cell(_Strict):
    """A method's published scores on one benchmark."""

    scores: list[float | None]
    source: list[str] = Field(min_length=1)
    verified: Literal["yes", "no", "recalled"]
    note: str = ""


class Row(_Strict):
    """A method; '' and None where the source does not say."""

    method: str = Field(min_length=1)
    modalities: Literal["", "VT", "VAT", "AT"] = ""
    backbone: str = ""
    trainable: bool | None = None
    pretraining: str = ""
    later: bool = False
    experiments: list[str] = []
    cells: dict[str, Cell] = Field(min_length=1)


class Benchmark(_Strict):
    """A column: its heading and its metrics."""

    title: str
    metrics: list[str] = Field(min_length=1)


class Table(_Strict):
    """Rows in the order of printing; every cell fits its benchmark."""

    title: str
    note: str
    benchmarks: dict[str, Benchmark]
    rows: list[Row]

    @model_validator(mode="after")
    def _fits(self) -> Table:
        for row in self.rows:
            for name, cell in row.cells.items():
                if name not in self.benchmarks:
                    raise ValueError(f"{row.method}: no benchmark {name!r}")
                wanted = len(self.benchmarks[name].metrics)
                if len(cell.scores) not in (0, wanted):
                    got = len(cell.scores)
                    raise ValueError(f"{row.method}, {name}: {got} scores, wanted {wanted} or none")
                wrong = [one for one in cell.scores if one is not None and not 0 <= one <= 100]
                if wrong:
                    raise ValueError(f"{row.method}, {name}: {wrong}, wanted percent")
        return self


class Published(_Strict):
    """The whole file."""

    sources: dict[str, str]
    tables: dict[str, Table]

    @model_validator(mode="after")
    def _sources_are_listed(self) -> Published:
        used = {
            source
            for table in self.tables.values()
            for row in table.rows
            for cell in row.cells.values()
            for source in cell.source
        }
        if used != set(self.sources):
            raise ValueError(
                f"sources {sorted(used ^ set(self.sources))} are not listed, or not used"
            )
        return self


@functools.cache
def published() -> Published:
    """Every published number; pydantic's ValidationError where the file is not what it should be."""
    text = importlib.resources.files("mcn.report").joinpath("published.yaml").read_text("utf-8")
    values: dict[str, Any] = yaml.safe_load(text)
    return Published.model_validate(values)
