"""Results in a bucket, on moto's server of S3 at the loopback address; profiles for machines that share no disk."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcn.config.workflow import workflow_file
from tests.s3_server import KEY, SECRET, Server
from tests.small_run import SmallRun

ROOT = Path(__file__).parent.parent
TO_BUCKET = ("--default-storage-provider", "s3", "--default-storage-prefix", "s3://films/my-run")


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Server]:
    one = Server()
    found = {"ACCESS_KEY": KEY, "SECRET_KEY": SECRET, "ENDPOINT_URL": one.url}
    for name, value in found.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    known = {"ACCESS_KEY_ID": KEY, "SECRET_ACCESS_KEY": SECRET, "ENDPOINT_URL": one.url}
    for name, value in {**known, "EC2_METADATA_DISABLED": "true"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    yield one
    one.close()


def keys(server: Server) -> set[str]:
    """What lies in the bucket below `my-run/`."""
    found = server.client.list_objects_v2(Bucket="films", Prefix="my-run/").get("Contents", [])
    return {one["Key"].removeprefix("my-run/") for one in found}


@pytest.mark.slow
@pytest.mark.workflow
def test_results_go_to_a_bucket_and_are_found_there(server: Server, tmp_path: Path) -> None:
    """Videos come from the bucket, results go to it; a second machine with nothing of them has nothing to do."""
    few: dict[str, Any] = {"experiments": {"mcn": {"training": {"epochs": 2}}}}
    small = SmallRun(tmp_path / "one", few)
    manifest = small.folder / "videos/manifest.csv"
    film = (small.folder / "videos/plain.mp4").read_bytes()
    url = server.put("good/My plain.mp4", film)
    manifest.write_text(manifest.read_text().replace(",plain.mp4,", f",{url},"))
    said = small.run(*TO_BUCKET)
    made = keys(server)
    wanted = (
        "report.html",
        "models/mcn/model.safetensors",
        "small/features/resnet152/00000.parquet",
    )
    assert {f"results/{name}" for name in wanted} <= made
    assert not (small.results / "small").exists(), "what lies in the bucket lies there alone"
    small.results.rename(tmp_path / "moved")
    said += small.run(*TO_BUCKET)
    assert "Nothing to be done" in said
    said += "".join(path.read_text(errors="replace") for path in small.folder.rglob("*.log"))
    said += "".join(server.whole(f"my-run/{key}").decode(errors="replace") for key in made)
    assert not [one for one in (KEY, SECRET, "X-Amz-Signature") if one in said]


@pytest.mark.slow
@pytest.mark.workflow
@pytest.mark.parametrize("name", ["kubernetes", "aws_batch"])
def test_profiles_of_machines_without_a_shared_disk_plan(
    server: Server, tmp_path: Path, name: str
) -> None:
    """What is planned is what the profile asks for; jobs on files from outside are the head's."""
    small = SmallRun(tmp_path)
    # moto keeps what the test above stored: with its prefix, less would be planned
    bucket = ("--default-storage-prefix", "s3://films/planned")
    said = small.run("--profile", str(workflow_file(name)), *bucket, "--dry-run")
    assert "train" in said
    assert "s3://films/planned/results/models/mcn/model.safetensors" in said
    jobs = dict(re.findall(r"^rule (\w+):\n((?:    .*\n)+)", said, re.M))
    rules = "\n".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    on_the_head = {
        text.partition(":")[0]
        for text in re.split(r"^rule ", rules, flags=re.M)
        if "localrule: True" in re.split(r"\n\n\n", text)[0]
    }
    outside = {rule for rule, told in jobs.items() if re.search(r" videos/\w+\.csv", told)}
    assert {"prepare", "list_videos"} <= outside <= on_the_head
    if name == "kubernetes":
        assert "gpu=1" in jobs["train"]
        assert "mem_mb=32000" in jobs["train"]


def test_a_job_that_shares_no_disk_writes_its_settings(tmp_path: Path) -> None:
    """The head wrote them on its own disk; a job elsewhere reads the same configuration."""
    small = SmallRun(tmp_path)
    command = small.command("--cores", "1", "--mode", "remote", "--dry-run")
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert (small.results / "settings.json").exists(), done.stdout + done.stderr
