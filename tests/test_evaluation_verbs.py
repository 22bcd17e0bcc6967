"""`mcn evaluate`: every task from prepared tables to its file, and what each is told."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.files import write_table
from mcn.report.evaluations import Own, read_evaluation
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
    flags = ["--probabilities", str(folder), "--frame-probabilities", str(run / "frames")]
    mined = evaluate(run, "alignment", "mining", *flags, **steps, **names)
    assert (mined["items"], mined["tasks"]) == (12, {})
    seconds, frames = (np.loadtxt(place / f"{GOOD[0]}.probs") for place in (folder, run / "frames"))
    assert (len(seconds), len(frames)) == (20, 599)  # 29.97 frames a second
    np.testing.assert_array_equal(frames[[0, 29, 30, 598]], seconds[[0, 0, 1, 19]])
    placed = evaluate(run, "alignment", "steps", synthetic=True, **steps)
    assert (placed["items"], list(placed["tasks"]), placed["synthetic"]) == (18, ["make"], True)


def test_the_other_tasks(run: Path) -> None:
    assert evaluate(run, "recognition", "steps", recognition={"pooling": "max"})["n"] == 4
    assert evaluate(run, "localization", "steps", localization={"cooking_tasks": ["make"]})[
        "splits"
    ]
    assert evaluate(run, "retrieval", "steps", retrieval={"audio_frames": 1024})["full_video"]


OWN = """
import numpy as np
from mcn.evaluation.annotations import read_captions

def evaluate(given):
    captions = read_captions(given.tables["captions"])
    seen, said = given.embed_video(captions.clips), given.embed_text(captions.texts)
    both = seen.present & said.present
    mean = float(np.sum(seen.vectors * said.vectors, axis=1)[both].mean())
    scores = {"similarity": mean * given.options.options["scale"], "undefined": None}
    return {"n": int(both.sum()), "total": len(both), "scores": scores}

def wrong(given):
    return {"scores": {"similarity": "high"}}

def fails(given):
    return {"scores": {"x": 1 / 0}}
"""


def own(run: Path, function: str, **options: Any) -> list[str]:
    given = {"evaluate": f"scores_of_my_own:{function}", "tables": ["captions"], **options}
    arguments = ["evaluate", "own", str(run / "models/small"), str(run / "steps"), "--shards", "2"]
    output = run / "evaluation/small/steps.mine.json"
    return [*arguments, "--output", str(output), "--options", json.dumps(given)]


def test_an_evaluation_of_ones_own_beside_the_configuration(
    run: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "scores_of_my_own.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert main([*own(run, "evaluate", options={"scale": 2}), "--synthetic"]) == 0
    path = run / "evaluation/small/steps.mine.json"
    read = read_evaluation(path)
    assert isinstance(read, Own)
    assert (read.name, read.n, read.total, read.synthetic) == ("mine", 14, 18, True)
    assert read.scores["similarity"]
    assert read.scores["undefined"] is None
    for function, words in (
        ("wrong", "scores.similarity is str, not a number"),
        ("fails", "scores_of_my_own.py, line 17, which fails: ZeroDivisionError"),
        ("nowhere", "which has no 'nowhere'"),
    ):
        path.unlink(missing_ok=True)
        assert main(own(run, function)) == 1
        error = capsys.readouterr().err
        assert words in error
        assert "scores_of_my_own.py" in error
        assert "a function of one EvaluatedModel" in error
        assert not path.exists()


def test_own_evaluations_are_planned_for_models_that_have_the_modalities() -> None:
    values = yaml.safe_load(Path("config.yaml").read_text())
    mine = {"evaluate": "mine:evaluate", "modalities": ["video", "text"]}
    values["datasets"]["demo_test"]["evaluations"] = {"mine": mine, "any": "mine:other"}
    sound = {"base": "mcn", "objective": {"kind": "avlnet"}}
    values["experiments"]["sound"] = {**sound, "model": {"text": None}}
    found = configure(values).evaluations()
    names = {task for experiment, _, task in found if experiment == "sound"}
    assert names == {"retrieval", "any"}
    assert ("mcn", "demo_test", "mine") in found
    values["datasets"]["demo_test"]["evaluations"] = {"retrieval": "mine:evaluate"}
    with pytest.raises(UserError, match="'retrieval' is an evaluation of this package"):
        configure(values)
