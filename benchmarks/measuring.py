"""How the benchmarks measure: ours and a rival in turn, medians with their spread, one table, one JSON file."""

from __future__ import annotations

import json
import os
import platform
import resource
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One measured work, beside a rival's where there is one.

    ours, rival: medians. unit: of both. less: whether less is better. spread: (largest - smallest) / median of ours.
    wanted: the figure aimed at. note: what else was seen.
    """

    work: str
    unit: str
    ours: float
    rival: float | None = None
    less: bool = False
    spread: float = 0.0
    wanted: float | None = None
    note: str = ""

    @property
    def ratio(self) -> float | None:
        """How many times ours is better than the rival's."""
        if self.rival is None or not self.ours or not self.rival:
            return None
        return self.rival / self.ours if self.less else self.ours / self.rival


def spread(values: list[float]) -> float:
    """(largest - smallest) / median."""
    return (max(values) - min(values)) / median(values) if len(values) > 1 else 0.0


def cpu_seconds() -> float:
    """Processor seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def in_turn(
    works: Mapping[str, Callable[[], Any]],
    rounds: int = 3,
    clock: Callable[[], float] = cpu_seconds,
) -> dict[str, list[float]]:
    """Seconds by `clock` of each work, in rounds: what else happens on the machine meets all of them alike."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            began = clock()
            work()
            taken[name].append(clock() - began)
    return taken


def machine() -> dict[str, Any]:
    """What was measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    return {
        "processor": model or platform.processor(),
        "cores": len(os.sched_getaffinity(0)),
        "load": round(os.getloadavg()[0], 1),
        "system": platform.release(),
        "python": platform.python_version(),
        "date": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def table(figures: list[Figure]) -> str:
    """The figures as a table for people."""
    rows = [("work", "ours", "rival", "unit", "ratio", "spread", "wanted", "")]
    for one in figures:
        rows.append(
            (
                one.work,
                _number(one.ours),
                _number(one.rival),
                one.unit,
                "" if one.ratio is None else f"{one.ratio:.2f}x",
                f"{100 * one.spread:.0f} %" if one.spread else "",
                ("<= " if one.less else ">= ") + _number(one.wanted) if one.wanted else "",
                one.note,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _number(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def write(output: Path, about: Mapping[str, Any], figures: list[Figure]) -> None:
    """One JSON file: the machine, and the figures with their ratios."""
    rows = [{**asdict(one), "ratio": one.ratio} for one in figures]
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps({"machine": dict(about), "figures": rows}, indent=1) + "\n")
