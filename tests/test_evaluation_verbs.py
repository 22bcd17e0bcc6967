"""`mcn evaluate`: every task from prepared tables to its file, and what each is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mcn.cli import main
from mcn.files import write_table
from mcn.sources.annotation_tables import ACTIONS, LABELS
from tests.evaluation_set import GOOD, make_set
from tests.test_evaluation_stage_alignment import write_transcripts


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """results/ of a run on the small set: `steps` has steps, `mining` transcripts as well."""
    root = tmp_path_factory.mktemp("results")
    small = make_set(tmp_path_factory.mktemp("set"))
    for name in ("steps", "mining"):
        folder = root / name
        shutil.copytree(small.root, folder)
        for feature in small.shards:
            (folder / "features").mkdir(exist_ok=True)
            (folder / feature).rename(folder / "features" / feature)
    write_transcripts(root / "mining")
    labels = [list(GOOD), ["Pour", "Cut", "Pour", "Cut"]]
    actions = [["Pour", "Cut"], ["pour water", "cut the bread"]]
    write_table(root / "steps/actions.parquet", pa.Table.from_arrays(actions, schema=ACTIONS))
    write_table(root / "steps/labels.parquet", pa.Table.from_arrays(labels, schema=LABELS))
    (root / "models").mkdir()
    (root / "steps/model").rename(root / "models/small")
    return root


def evaluate(run: Path, task: str, dataset: str, *extra: str, **options: Any) -> dict[str, Any]:
    values = {"manifest": "m.csv", "shards": 2, **options}
    output = run / f"evaluation/small/{dataset}.{task}.json"
    arguments = ["evaluate", task, str(run / "models/small"), str(run / dataset)]
    arguments += ["--output", str(output), "--options", json.dumps(values), *extra]
    assert main([*arguments, "--runtime", '{"device": "cpu"}']) == 0
    found: dict[str, Any] = json.loads(output.read_text())
    assert (found["experiment"], found["dataset"]) == ("small", dataset)
    return found


def test_alignment_takes_transcripts_where_the_data_set_has_them(run: Path) -> None:
    names = dict.fromkeys(("classes", "transcripts", "segments"), "x.csv")
    steps = {"tasks": "x.csv", "steps": "x.csv", "alignment": {"chance_draws": 1}}
    folder = run / "probs"
    mined = evaluate(run, "alignment", "mining", "--probabilities", str(folder), **steps, **names)
    assert (mined["items"], mined["tasks"]) == (12, {})
    assert len((folder / f"{GOOD[0]}.probs").read_text().splitlines()) == 20
    placed = evaluate(run, "alignment", "steps", synthetic=True, **steps)
    assert (placed["items"], list(placed["tasks"]), placed["synthetic"]) == (18, ["make"], True)


def test_the_other_tasks(run: Path) -> None:
    assert evaluate(run, "recognition", "steps", recognition={"pooling": "max"})["n"] == 4
    assert evaluate(run, "localization", "steps", localization={"cooking_tasks": ["make"]})[
        "splits"
    ]
    assert evaluate(run, "retrieval", "steps", retrieval={"audio_frames": 1024})["full_video"]
