"""The overlays of the published data sets, planned over small files in the true layout."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcn.sources.action_folders import import_action_folders
from tests.official_files import MAKERS, video, write
from tests.test_sources_official import OWN

ROOT = Path(__file__).parent.parent
WEIGHTS = ("resnext101.pth", "GoogleNews-vectors-negative300.bin.gz")
SMALL = {"datasets": {"howto100m": {"shards": 2}}}  # 1,220 take half a minute to plan
EMPTY: Mapping[str, Any] = {}
pytestmark = pytest.mark.workflow

# What each kind adds to the rules that every data set has
ADDED = {
    "howto100m": {"train"},
    "youcook2": {"prepare_captions"},
    "msrvtt": {"prepare_captions"},
    "crosstask": {"prepare_steps"},
    "mining_youtube": {"prepare_steps", "prepare_alignment"},
}


def plan(
    folder: Path, *overlays: str, targets: tuple[str, ...] = (), more: Mapping[str, Any] = EMPTY
) -> tuple[int, str]:
    """Exit status and output of a dry run in `folder`; `more` is laid over the overlays."""
    values = {**(SMALL if "howto100m" in overlays else {}), **more}
    small = write(folder / "small.yaml", yaml.safe_dump(values))
    files = ["config.yaml", *(f"config/{name}.yaml" for name in overlays)]
    files = [*(str(ROOT / name) for name in files), str(small)]
    command = ["snakemake", "--dry-run", "--configfile", *files, "--directory", str(folder)]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--cores", "1", "--", *targets]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"}
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def tree(tmp_path):
    for kind, make in MAKERS.items():
        make(tmp_path / "data" / kind)
    for name in WEIGHTS:
        write(tmp_path / "weights" / name, "weights")
    return tmp_path


@pytest.mark.parametrize("kind", MAKERS)
def test_each_overlay_plans_its_whole_chain_from_the_official_files(tree, kind):
    tables = [f"results/{kind}/{name}.parquet" for name in ("captions", "steps", "segments")]
    wanted = {"prepare_captions": 0, "prepare_steps": 1, "prepare_alignment": 2}
    targets = [tables[wanted[rule]] for rule in sorted(ADDED[kind]) if rule in wanted]
    status, output = plan(tree, kind, targets=("all", *targets))
    assert status == 0, output[-3000:]
    for rule in {f"import_{kind}", "prepare", "decode_frames", "resnet152", *ADDED[kind]}:
        assert f"rule {rule}:" in output
    assert "demo" not in output


@pytest.mark.slow
def test_several_overlays_are_laid_over_each_other(tree):
    status, output = plan(tree, "howto100m", "youcook2", "msrvtt", "crosstask")
    assert status == 0, output[-3000:]
    assert "results/evaluation/mcn_howto100m/youcook2.retrieval.json" in output
    assert "results/evaluation/mcn_howto100m/crosstask.localization.json" in output


def test_a_missing_official_file_is_named_with_where_to_get_it_before_any_job(tree):
    (tree / "data/youcook2/validation_youcook.csv").unlink()
    status, output = plan(tree, "youcook2")
    assert status != 0
    assert "data/youcook2/validation_youcook.csv" in output
    assert "https://github.com/antoine77340/MIL-NCE_HowTo100M" in output


@pytest.mark.slow
def test_the_papers_tables_are_planned_from_whatever_is_there(tree):
    status, output = plan(tree, "paper", "howto100m", targets=("table1", "table2"))
    assert status == 0, output[-3000:]
    for name in ("youcook2.retrieval", "msrvtt.retrieval", "crosstask.alignment"):
        assert f"results/evaluation/mcn_howto100m/{name}.json" in output
    assert "results/evaluation/mcn_howto100m/mining_youtube.localization.json" in output
    assert "experiment mcn_released is left out: no checkpoint weights/mcn.pth" in output
    (tree / "data/howto100m/HowTo100M_1166_videopaths.txt").unlink()
    (tree / "data/msrvtt/MSRVTT_JSFUSION_test.csv").unlink()
    write(tree / "weights/mcn.pth", "weights")
    status, output = plan(tree, "paper", targets=("table1", "table2"))
    assert status == 0, output[-3000:]
    assert "rule train:" not in output
    assert "results/evaluation/mcn_released/youcook2.retrieval.json" in output
    assert "data set msrvtt is left out: MSR-VTT: no data/msrvtt/MSRVTT_JSFUSION_test.csv" in output
    assert "experiment mcn_howto100m is left out: it trains on howto100m" in output


@pytest.mark.slow
def test_without_any_file_the_tables_are_the_published_rows(tmp_path):
    status, output = plan(tmp_path, "paper", targets=("table1", "table2"))
    assert status == 0, output[-3000:]
    assert "rule table1:" in output
    assert "decode_frames" not in output


@pytest.mark.slow
def test_action_folders_are_planned_from_their_lists(tmp_path):
    video(tmp_path / "data/ucf101", "YoYo/v_YoYo_g01_c01.avi")
    import_action_folders(tmp_path / "data/ucf101/videos", tmp_path / "data/ucf101")
    for name in (*WEIGHTS, "mcn.pth"):
        write(tmp_path / "weights" / name, "weights")
    status, output = plan(tmp_path, "actions")
    assert status == 0, output[-3000:]
    for rule in ("prepare_actions", "decode_frames", "import_checkpoint", "evaluate_recognition"):
        assert f"rule {rule}:" in output


def test_an_adapter_beside_the_configuration_gets_a_rule_of_its_own(tree):
    write(tree / "my_adapter.py", OWN)
    write(tree / "data/mine/clips.csv", "clip,text\na,cut\n")
    official = {"kind": "my_adapter:Mine", "directory": "data/mine"}
    more = {"datasets": {"mine": {"official": official, "shards": 1}}}
    status, output = plan(tree, targets=("results/mine/captions.parquet",), more=more)
    assert status == 0, output[-3000:]
    assert "rule import_my_adapter_Mine:" in output
