"""The workflow on a real Slurm, through the shipped profile: partitions, retries, groups, and a head that is killed.

One run is shared: its decode job is cancelled, then its head is killed; it is taken up again as docs/cluster.md says.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from tests.slurm_cluster import Cluster, Job, unusable
from tests.small_run import ROOT, SmallRun

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.workflow,
    pytest.mark.skipif(bool(unusable()), reason=unusable()),
]
pytest.importorskip("snakemake_executor_plugin_slurm", reason="pip install -e '.[slurm]'")

# The shipped profile; the rest is what a Slurm without accounting needs, and shorter waits than a real one deserves.
PROFILE = ("--profile", str(ROOT / "profiles/slurm"), "--slurm-status-command", "squeue")
HASTE = ("--slurm-init-seconds-before-status-checks", "2", "--seconds-between-status-checks", "2")
LATENCY = ("--latency-wait", "5")
PATIENCE_SECONDS = 900  # a loaded machine is no fault
GPU_RULES = ("resnet152", "resnext101", "train")


@dataclass
class Story:
    """What happened: the run, the jobs of the first head and of the second, what each said."""

    run: SmallRun
    cancelled: Job
    again: Job
    orphans: list[Job]
    first: list[Job]
    second: list[Job] = field(default_factory=list)
    resumed: str = ""
    repeated: str = ""


def wait_for(cluster: Cluster, wanted: Callable[[Job], bool]) -> Job:
    """The first job that is as `wanted`, as soon as there is one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        for job in cluster.jobs():
            if wanted(job):
                return job
        time.sleep(0.3)
    raise AssertionError(f"no such job in {PATIENCE_SECONDS} s: {cluster.jobs()}")


def of_rule(job: Job, rule: str) -> bool:
    return job.rule.startswith(f"rule_{rule}_wildcards")


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    run = SmallRun(tmp_path_factory.mktemp("slurm"), {"datasets": {"small": {"shards": 2}}})
    with Cluster(tmp_path_factory.mktemp("cluster")) as cluster:
        head = run.start(*PROFILE, *HASTE, *LATENCY)
        try:
            cancelled = wait_for(
                cluster, lambda j: of_rule(j, "decode_frames") and j.state == "RUNNING"
            )
            cluster.cancel(cancelled)
            again = wait_for(
                cluster, lambda j: j.rule == cancelled.rule and j.number != cancelled.number
            )
            wait_for(cluster, lambda j: of_rule(j, "resnext101") and j.state == "RUNNING")
        finally:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()
        first = cluster.jobs()
        orphans = [job for job in first if job.state in ("RUNNING", "PENDING")]
        cluster.cancel(*(job for job in first if job.name.startswith("mcn")))
        told = Story(run, cancelled, again, orphans, first)
        run.run("--unlock", *PROFILE)
        told.resumed = run.run(*PROFILE, *HASTE, *LATENCY)
        told.second = [job for job in cluster.jobs() if job.number not in {j.number for j in first}]
        told.repeated = run.run(*PROFILE, *HASTE, *LATENCY)
        yield told


def test_a_killed_job_is_submitted_again_with_more_memory(story: Story) -> None:
    assert story.again.memory_mb == 2 * story.cancelled.memory_mb


def test_a_killed_head_leaves_jobs_and_the_next_run_goes_on(story: Story) -> None:
    assert story.orphans, "a head that dies leaves its jobs behind"
    done_before = {job.rule for job in story.first if job.state == "COMPLETED"}
    assert not done_before & {job.rule for job in story.second}, (
        "what was finished is not made again"
    )
    assert (story.run.results / "report.html").exists()
    assert not story.run.leftovers()


def test_a_second_run_does_nothing(story: Story) -> None:
    assert "Nothing to be done" in story.repeated


def test_every_shard_is_intact(story: Story) -> None:
    assert "every shard is intact" in story.run.run("--cores", "1", "verify")


def test_processors_and_gpus_have_their_partitions(story: Story) -> None:
    jobs = [*story.first, *story.second]
    for rule in ("decode_frames", "decode_audio", "logmel", "evaluate_retrieval"):
        found = [job for job in jobs if of_rule(job, rule)]
        assert found, rule
        assert {(job.partition, job.gpus) for job in found} == {("cpu", "")}
    for rule in GPU_RULES:
        found = [job for job in jobs if of_rule(job, rule)]
        assert found, rule
        assert {(job.partition, job.gpus) for job in found} == {("gpu", "gres:gpu:1")}


def test_small_jobs_share_a_submission_and_local_rules_have_none(story: Story) -> None:
    jobs = [*story.first, *story.second]
    done = [job for job in jobs if job.state == "COMPLETED"]
    assert len([job for job in done if job.rule.startswith("rule_texts_word2vec")]) == 1
    assert not [job for job in jobs if of_rule(job, "word2vec")]
    for rule in ("all", "prepare", "prepare_captions", "partition_small", "ledger"):
        assert not [job for job in jobs if of_rule(job, rule)], rule
