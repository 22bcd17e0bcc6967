"""Several processes equal one: losses, gradients, weights, for every kind of objective; started by torchrun or srun."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as multiprocessing
from torch import nn

from mcn.distributed import (
    ALONE,
    Processes,
    SharedBatchNorm2d,
    launch_command,
    local_threads,
    share_batch_norms,
)
from mcn.features.runtime import resolve
from mcn.options.features import RuntimeOptions
from mcn.shards.lines import vocabulary_vectors
from mcn.training.data import TrainingSet, read_batches
from mcn.training.train import build_trainer
from tests.synthetic_shards import read_by, step_tables, write_topic_shards
from tests.test_objectives_training import OBJECTIVE_SETTINGS, options

STEPS = 3


def train(folder, name, processes):
    """Losses of a few steps, the gradients of the first, and the weights after the last."""
    chosen = options(name, videos_per_batch=5, gradient_clip=1.0)
    told = {"steps": step_tables(folder).read()}
    shards = read_by(folder, chosen.training_features)
    data = TrainingSet(shards, chosen.training, chosen.needs, **told)
    vectors = torch.from_numpy(vocabulary_vectors(folder.vocabulary)[0])
    runtime = resolve(RuntimeOptions(device="cpu", precision="fp32"), 1)
    trainer = build_trainer(data, vectors, chosen, runtime, processes)
    trainer.network.train()
    losses = []
    for step, batch in enumerate(read_batches(data, 0, STEPS, processes=processes)):
        if step % data.steps_per_epoch == 0:
            trainer.objective.start_epoch()
        losses.append(trainer.step(batch, step).losses)
        if step == 0:
            first = [row.grad.clone() for row in trainer.parameters if row.grad is not None]
    rows = {**trainer.network.state_dict(), **trainer.objective.heads.state_dict()}
    return losses, first, rows


def test_batch_norms_may_stay_with_each_process(folder):
    """DataParallel's way: the first process keeps its own statistics, which are those of the model."""
    for value, kind in (("shared", SharedBatchNorm2d), ("per_process", nn.BatchNorm2d)):
        chosen = options("mcn", videos_per_batch=5, batch_norm=value)
        data = TrainingSet(folder, chosen.training, chosen.objective.needs)
        vectors = torch.from_numpy(vocabulary_vectors(folder.vocabulary)[0])
        runtime = resolve(RuntimeOptions(device="cpu", precision="fp32"), 1)
        trainer = build_trainer(data, vectors, chosen, runtime, Processes(0, 2))
        norms = [one for one in trainer.network.modules() if isinstance(one, nn.BatchNorm2d)]
        assert {type(one) for one in norms} == {kind}


def test_on_gpus_batch_norms_are_pytorchs():
    """SyncBatchNorm refuses tensors of a processor; its rows are those of the norm in whose place it stands."""
    usual = nn.Sequential(nn.Conv2d(1, 3, 1), nn.BatchNorm2d(3))
    shared = share_batch_norms(usual, torch.device("cuda"))
    assert type(shared[1]) is nn.SyncBatchNorm
    assert list(shared.state_dict()) == list(usual.state_dict())
    assert shared[1].weight is usual[1].weight


@pytest.mark.parametrize("name", ["mcn", "synchronisation", "fine_grained"])
def test_a_process_reads_its_share_and_draws_what_all_draw(folder, name):
    chosen = options(name, videos_per_batch=5)
    whole = TrainingSet(folder, chosen.training, chosen.needs).batch(1, 0)
    for rank in range(2):
        data = TrainingSet(folder, chosen.training, chosen.needs)
        processes = Processes(rank, 2)
        own, rows = data.batch(1, 0, processes), processes.rows(5, chosen.training.clips_per_video)
        ours, theirs = (sorted(store._verified) for store in data.video.values()), own.held
        assert theirs == (None if name == "fine_grained" else rows)
        assert {len(found) for found in ours} == {5 if theirs is None else 3 - rank}
        compare(own, whole, theirs)
        assert own.second is None or compare(own.second, whole.second, theirs)


def compare(own, whole, held):
    for name in ("video", "audio"):
        expected = getattr(whole, name)
        assert torch.equal(getattr(own, name), expected if held is None else expected[held])
    for name in ("frames", "words", "present", "candidates", "units", "steps", "translations"):
        one, other = getattr(own, name), getattr(whole, name)
        assert (one is None and other is None) or torch.equal(one, other), name
    return True


def work(rank, count, folder, names, meeting, results):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{meeting}", rank=rank, world_size=count)
    found = {name: train(folder, name, Processes(rank, count)) for name in names}
    torch.save(found, results / f"{rank}.pt")
    dist.barrier()
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=9)


@pytest.fixture(scope="module")
def together(folder, tmp_path_factory):
    """What two processes, with 3 and 2 of a step's 5 videos, came to."""
    results = tmp_path_factory.mktemp("together")
    arguments = (2, folder, list(OBJECTIVE_SETTINGS), results / "meeting", results)
    multiprocessing.spawn(work, arguments, nprocs=2)
    return [torch.load(results / f"{rank}.pt", weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("name", OBJECTIVE_SETTINGS)
def test_two_processes_equal_one(folder, together, name):
    losses, gradients, _ = train(folder, name, ALONE)
    for found_losses, found_gradients, _ in (found[name] for found in together):
        for ours, theirs in zip(losses, found_losses, strict=True):
            assert ours == pytest.approx(theirs, rel=5e-4, abs=1e-5)
        for one, other in zip(gradients, found_gradients, strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-5 + 1e-4 * float(one.abs().max()))
    for key, row in together[0][name][2].items():
        assert torch.equal(row, together[1][name][2][key]), f"the processes differ in {key}"


def test_videos_are_dealt_out_whole_and_evenly():
    for count in (1, 2, 3, 5):
        shares = [Processes(rank, count).rows(5, 4) for rank in range(count)]
        assert [row for share in shares for row in range(20)[share]] == list(range(20))
        sizes = [(share.stop - share.start) // 4 for share in shares]
        assert max(sizes) - min(sizes) <= 1


def test_more_processes_than_videos_are_refused(folder):
    from mcn.errors import UserError

    with pytest.raises(UserError, match="6 processes for 5 videos"):
        train(folder, "avlnet", Processes(0, 6))


def test_a_shared_norm_alone_is_the_usual_one(monkeypatch):
    monkeypatch.setattr("mcn.distributed.all_reduce", lambda value: value)
    torch.manual_seed(0)
    usual, shared = nn.BatchNorm2d(3), SharedBatchNorm2d(3)
    values = torch.randn(4, 3, 2, 5, dtype=torch.float32, requires_grad=True)
    again = values.detach().clone().requires_grad_()
    target = torch.randn(4, 3, 2, 5)
    for norm, given in ((usual, values), (shared, again)):
        (norm(given) * target).sum().backward()
    assert torch.allclose(values.grad, again.grad, atol=1e-5)
    for name, row in usual.state_dict().items():
        assert torch.allclose(row.float(), shared.state_dict()[name].float(), atol=1e-6), name
    assert torch.allclose(usual.eval()(values), shared.eval()(values))


def test_processes_of_a_node_share_the_cores_that_they_may_use(monkeypatch):
    """Under `taskset -c 0-7` or a batch system's cpuset these are eight, whatever the machine has."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    for neighbours, told, expected in ((4, 0, 2), (4, 16, 4), (16, 0, 1), (1, 3, 3)):
        monkeypatch.setenv("LOCAL_WORLD_SIZE", str(neighbours))
        assert local_threads(told) == expected
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert local_threads(0) == 0, "PyTorch chooses: the cores that the process may use"


def test_one_node_is_started_by_torchrun_alone():
    words = launch_command(1, 4, ["train", "results", "--options", '{"a": "b c"}'])
    assert words[:4] == [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=4"]
    assert "--standalone" in words
    assert words[-4:] == ["train", "results", "--options", '{"a": "b c"}']


def test_several_nodes_are_started_by_srun_with_every_word_kept():
    words = launch_command(2, 8, ["train", "re sults", "--options", '{"a": "$HOME"}'])
    assert words[:6] == ["srun", "--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "bash", "-c"]
    script = words[6].removeprefix("exec ").replace(sys.executable, "printf '%s\\n'", 1)
    environment = {**os.environ, "SLURM_JOB_ID": "12345", "SLURM_LAUNCH_NODE_IPADDR": "10.0.0.1"}
    shown = subprocess.run(
        ["bash", "-c", script], env=environment, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    assert "--rdzv-endpoint=10.0.0.1:22345" in shown
    assert shown[-4:] == ["train", "re sults", "--options", '{"a": "$HOME"}']
    assert shlex.join(shown).count("--nnodes=2") == 1


def as_results(shards, root):
    """Lay synthetic shards out as the features of a data set; returns their number."""
    for name, paths in {**shards.video, **shards.audio, **shards.text}.items():
        for number, path in enumerate(paths):
            target = root / f"features/{name}/{number:05d}.parquet"
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(path).resolve())
    (root / "vocabulary.parquet").symlink_to(shards.vocabulary.resolve())
    return len(shards.audio["logmel"])


@pytest.mark.slow
def test_the_verb_becomes_two_processes_and_one_model(folder, tmp_path):
    """`mcn train --processes 2` in a run's folder: a model, one log, no checkpoints left."""
    shards = as_results(folder, tmp_path / "results/set")
    chosen = {"dataset": "set", **options("mcn").model_dump(mode="json")}
    done = subprocess.run(
        shlex.split(
            f"{sys.executable} -m mcn train results --output model --checkpoints checkpoints"
        )
        + shlex.split(f"--shards {shards} --processes 2 --threads 2")
        + ["--options", json.dumps(chosen)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    lines = (tmp_path / "model/metrics.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in lines]
    assert steps == sorted(steps)
    assert (tmp_path / "model/model.safetensors").exists()
    assert not (tmp_path / "checkpoints").exists()
