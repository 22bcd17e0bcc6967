"""The whole workflow, on real media: end to end, again, one stage alone, damage and repair.

One small run (the demo with few videos, and a data set of videos that go wrong) is shared; the tests look at it or
plan changes of it. They are in the order in which they change it.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests import media_files

ROOT = Path(__file__).parent.parent
pytestmark = pytest.mark.workflow

# video_id -> (file made by media_files, name in the manifest, code in frames streams, code in audio streams)
ODD = {
    "plain": ("plain.mp4", "plain.mp4", "", ""),
    "quotes": ("faststart.mp4", 'it\'s "odd" $(x) ; & video.mp4', "", ""),
    "dash": ("ten_frames.mp4", "-dash.mp4", "", "no_audio"),
    "unicode": ("rotated_90.mp4", "ünïcode 視頻.mp4", "", ""),
    "newline": ("two_frames.mp4", "new\nline.mp4", "", "no_audio"),
    "sound_only": ("no_video.m4a", "sound.m4a", "no_video_stream", ""),
    "cut": ("cut_index_first.mp4", "cut.mp4", "truncated", "truncated"),
    "text": ("text.mp4", "text.mp4", "unreadable", "unreadable"),
    "nothing": ("nothing.mp4", "nothing.mp4", "empty_file", "empty_file"),
    "gone": (None, "gone.mp4", "not_found", "not_found"),
}


def snakemake(folder: Path, *arguments: str, fails: bool = False) -> str:
    """Run snakemake on the test configuration in `folder`; its output."""
    configuration = [str(folder / "config.yaml"), str(folder / "overlay.yaml")]
    command = ["snakemake", "--configfile", *configuration, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--directory", str(folder), "--cores", str(os.cpu_count()), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, output[-8000:]
    return output


def planned(folder: Path, *arguments: str) -> dict[str, int]:
    """Rule -> how often it would run."""
    output = snakemake(folder, "--dry-run", *arguments)
    if "Job stats:" not in output:
        return {}
    table = output[output.index("Job stats:") :].split("\n\n")[0].splitlines()[3:]
    return {line.split()[0]: int(line.split()[1]) for line in table if "total" not in line}


def overlay(folder: Path, **changes: object) -> None:
    """Lay `changes` (dotted keys with __) over the test configuration."""
    values = yaml.safe_load((ROOT / "tests/workflow.yaml").read_text())
    for key, value in changes.items():
        *path, last = key.split("__")
        section = values
        for part in path:
            section = section.setdefault(part, {})
        section[last] = value
    (folder / "overlay.yaml").write_text(yaml.safe_dump(values))


def odd_videos(folder: Path) -> None:
    """Videos with awkward names and contents, and their manifest."""
    folder.mkdir()
    rows = []
    for video_id, (made, name, _, _) in ODD.items():
        if made:
            shutil.copy(media_files.make(made), folder / name)
        rows.append({"video_id": video_id, "path": name, "narration": ""})
    (folder / "plain.srt").write_text("1\n00:00:00,000 --> 00:00:03,000\nstir the onion\n")
    rows[0]["narration"] = "plain.srt"
    pd.DataFrame(rows).to_csv(folder / "manifest.csv", index=False)


@pytest.fixture(scope="session")
def project(tmp_path_factory) -> Path:
    """A finished run of the small demo and the odd videos."""
    folder = tmp_path_factory.mktemp("run")
    config = yaml.safe_load((ROOT / "config.yaml").read_text())
    vectors = config["features"]["word2vec"]["vectors"]
    config["features"]["word2vec"]["vectors"] = str(ROOT / vectors)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    overlay(folder)
    odd_videos(folder / "odd")
    snakemake(folder)
    return folder


def test_everything_is_made(project):
    for name in ("report.html", "models/mcn/model.safetensors", "models/mcn/metrics.jsonl"):
        assert (project / "results" / name).stat().st_size > 0
    assert list((project / "results/models/mcn/tensorboard").iterdir())
    scores = json.loads((project / "results/evaluation/mcn/demo_test.retrieval.json").read_text())
    assert scores["synthetic"] is True
    assert scores["scores"]["t->va"]["n"] == scores["total"] == scores["n"]
    page = (project / "results/report.html").read_text()
    assert "say nothing about the paper" in page
    assert not re.search(r'(src|href)="?(https?:)?//', page), "the page must open offline"


def test_every_odd_video_ends_as_features_or_as_a_named_failure(project):
    ledger = pd.read_parquet(project / "results/odd/ledger.parquet")
    for stream, column in (("resnet152", 2), ("resnext101", 2), ("logmel", 3)):
        rows = ledger[ledger.stream == stream].set_index("video_id")
        assert {i: rows.code[i] for i in ODD} == {i: ODD[i][column] for i in ODD}, stream
    assert (ledger.groupby("stream").size() == len(ODD)).all()
    assert set(ledger[ledger.status == "failed"].video_id) == {"cut", "text", "nothing", "gone"}
    quarantine = pd.read_csv(project / "results/odd/quarantine.csv")
    assert set(quarantine.video_id) == {"cut", "text", "nothing", "gone"}


def test_a_second_run_does_nothing(project):
    assert "Nothing to be done" in snakemake(project)


@pytest.mark.slow
def test_verify_finds_all_well(project):
    assert "every shard is intact" in snakemake(project, "verify")


def test_a_changed_option_makes_its_own_feature_again_and_what_follows(project):
    overlay(project, features__logmel={"padding": "reflect"})
    counts = planned(project)
    overlay(project)
    assert counts == {
        "all": 1,
        "logmel": 4,
        "train": 1,
        "evaluate_retrieval": 1,
        "evaluate_localization": 1,
        "evaluate_alignment": 1,
        "ledger": 3,
        "report": 1,
    }


def test_a_stage_alone(project):
    counts = planned(project, "--forcerun", "resnext101", "--", "resnext101_shards")
    assert counts == {"resnext101": 4, "resnext101_shards": 1}


@pytest.mark.slow
def test_a_lost_shard_is_made_again(project):
    shard = project / "results/demo_train/features/resnet152/00001.parquet"
    before = shard.read_bytes()
    shard.unlink()
    assert planned(project)["resnet152"] == 1
    snakemake(project, str(shard.relative_to(project)))
    assert shard.read_bytes() == before


@pytest.mark.slow
def test_damage_is_found_named_and_repaired(project):
    shard = project / "results/odd/features/logmel/00000.parquet"
    raw = bytearray(shard.read_bytes())
    raw[len(raw) // 2] ^= 1
    shard.write_bytes(raw)
    output = snakemake(project, "verify", fails=True)
    assert f"{shard.relative_to(project)}: " in output
    shard.unlink()
    snakemake(project)
    assert "every shard is intact" in snakemake(project, "verify")


def test_a_bad_configuration_stops_before_any_job(project):
    overlay(project, features__resnet152={"wieghts": "seeded"}, datasets__odd__shards=0)
    output = snakemake(project, fails=True)
    overlay(project)
    assert "did you mean 'weights'?" in output
    assert "datasets.odd.shards" in output


def test_a_bad_manifest_stops_before_any_job(project):
    manifest = project / "odd/manifest.csv"
    before = manifest.read_text()
    manifest.write_text(before + "../x,plain.mp4,\nplain,plain.mp4,\n")
    output = snakemake(project, fails=True)
    manifest.write_text(before)
    assert "'../x'" in output
    assert "'plain' is already on line 2" in output
    assert "Finished job" not in output
