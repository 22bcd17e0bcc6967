"""Training over two nodes of a real Slurm: the very command of the rule `train`, with `--nodes 2 --processes 1`."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.slurm_cluster import Cluster, unusable
from tests.synthetic_shards import write_topic_shards
from tests.test_objectives_training import options
from tests.test_processes import as_results

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.workflow,
    pytest.mark.skipif(bool(unusable()), reason=unusable()),
]
ROOT = Path(__file__).parent.parent


def test_two_nodes_train_one_model(tmp_path):
    shards = as_results(write_topic_shards(tmp_path / "data", videos=9), tmp_path / "results/set")
    chosen = {"dataset": "set", **options("mcn").model_dump(mode="json")}
    words = [sys.executable, "-m", "mcn", "train", "results", "--output", "model"]
    words += ["--checkpoints", "checkpoints", "--shards", str(shards), "--threads", "1"]
    words += ["--nodes", "2", "--processes", "1", "--options", json.dumps(chosen)]
    with Cluster(tmp_path / "cluster"):
        job = ["--nodes=2", "--ntasks=2", "--mem=1000", "--output=job.log"]
        script = f"--wrap=export PYTHONPATH={ROOT}; {shlex.join(words)}"
        done = subprocess.run(
            ["sbatch", "--wait", *job, script],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
    log = (tmp_path / "job.log").read_text()
    assert done.returncode == 0, done.stderr + log[-3000:]
    steps = [json.loads(line)["step"] for line in (tmp_path / "model/metrics.jsonl").open()]
    assert steps == sorted(steps), "one process writes the log"
    assert (tmp_path / "model/model.safetensors").exists()
    assert log.count("videos, ") == 2, "both nodes trained"
