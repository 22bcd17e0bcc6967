"""The page of encoders: costs by hand, scores as they stand in the files, and what was not measured."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcn.config.configuration import Configuration, configure
from mcn.report import encoders
from mcn.report.encoders import lines_of, write_encoders
from mcn.report.measured import Files
from mcn.upkeep.costs import JobCost, experiment_costs

ROOT = Path(__file__).parent.parent
RECALLS = {"R@1": 10.0, "R@5": None, "R@10": 50.0}
RETRIEVAL: dict[str, Any] = {
    "scores": {"t->v": RECALLS, "v->t": RECALLS},
    "chance": {"R@1": 9.0, "t->v": {"R@1": 1.0, "R@5": 5.0, "R@10": 10.0}},
    "intervals": {"t->v": {"R@1": (4.0, 16.0)}},
    "synthetic": True,
}
STEPS: dict[str, Any] = {"scores": {"recall": 48.0}, "chance": {"recall": 26.0}, "synthetic": True}
JOBS = [
    JobCost("decode_frames_1fps_292px_crop260", "cpu", 1800, 20, 10, 300, 5_000_000),
    JobCost("efficientnet_lite2", "cpu", 900, 50, 40, 700, 500_000),
    JobCost("efficientnet_lite2", "cuda", 900, 30, 20, 900, 500_000),
    JobCost("logmel", "cpu", 3600, 5, 5, 9999, 1),
]


@pytest.fixture
def settings() -> Configuration:
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["experiments"] |= yaml.safe_load((ROOT / "config/embedded.yaml").read_text())[
        "experiments"
    ]
    return configure(values)


def test_costs_are_for_an_hour_of_video(settings: Configuration) -> None:
    """10 s of half an hour and 60 s of half an hour; 30 s of wall time on the GPU; 1 MB of half an hour."""
    costs = {one.experiment: one.cost for one in experiment_costs(settings, JOBS)}
    assert costs["conse"] == (20 + 120, 60, 2, 900)
    assert costs["mcn"] is None
    sound = JobCost("decode_audio", "cpu", 60, 1, 1, 1, 1)
    costs = {one.experiment: one.cost for one in experiment_costs(settings, [*JOBS, sound])}
    heard = costs["mcn_embedded"]
    assert heard is not None
    assert heard.cpu_seconds == 140 + 5 + 60


def test_scores_are_those_of_the_files(
    settings: Configuration, tmp_path: Path, monkeypatch
) -> None:
    files = [
        Files("conse", "demo_test", {"retrieval": RETRIEVAL, "localization": STEPS}),
        Files("conse", "elsewhere", {"localization": STEPS}),
    ]
    costs = experiment_costs(settings, JOBS)
    lines = {line.read.experiment: line for line in lines_of(costs, files[:1])}
    conse = lines["conse"].read
    assert (conse.kind, conse.features) == ("frozen", "efficientnet_lite2 + minilm")
    assert [score[1:6] for score in lines["conse"].scores] == [
        ("t->v R@1", 10.0, 4.0, 16.0, 1.0),
        ("t->v R@5", None, None, None, 5.0),
        ("t->v R@10", 50.0, None, None, 10.0),
        ("step recall", 48.0, None, None, 26.0),
    ]
    assert lines["mcn"].scores == []
    monkeypatch.setattr(encoders, "read_results", lambda results: files)
    write_encoders(costs, settings.datasets, tmp_path, tmp_path / "encoders.html")
    page = (tmp_path / "encoders.html").read_text()
    assert "not measured" in page
    assert "4.0 – 16.0" in page
    assert "the videos of demo_test are rendered" in page
    with open(tmp_path / "encoders.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["value"] for row in rows] == ["10.0", "", "50.0", "48.0"]
    assert rows[0]["cpu_seconds"] == "140.0"
