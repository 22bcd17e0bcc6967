"""Whatever dies, the next run continues: the same bytes, nothing damaged, nothing left over.

The reference is one undisturbed run (`tests.conftest`). Kills are those of `tests.kill_machine`: of the head, a worker
or the whole group, at seeded random moments. `test_kills_in_every_stage` is marked slow (minutes): `pytest -m slow`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import save_file

from mcn import files
from mcn.errors import UserError
from tests.kill_machine import STAGES, Kill, differences, suffer
from tests.mounts import mounted, remounted
from tests.small_run import SmallRun

pytestmark = pytest.mark.workflow


ONE_DECODED = ("results/small/decoded/frames_4fps_32px_crop32/00000.parquet",)
TRAIN = next(stage for stage in STAGES if stage.rule == "train")


def same_as(run: SmallRun, undisturbed: SmallRun) -> None:
    """Assert that a run ends as if nothing had happened."""
    run.run()
    assert differences(run, undisturbed) == []


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["head", "group"])
def test_a_run_that_was_killed_continues(
    undisturbed: SmallRun, finished: SmallRun, victim: str
) -> None:
    """In the middle of training; the orphan of a head that was killed ends by itself."""
    assert suffer(Kill(0, TRAIN, victim, "SIGKILL", 4.0), finished, undisturbed) == []


@pytest.mark.slow
def test_kills_in_every_stage(undisturbed: SmallRun, finished: SmallRun) -> None:
    """Ten kills of the machine, drawn from the seeds 0 to 9; `python -m tests.kill_machine --kills 100` for more."""
    ends = {str(kill): suffer(kill, finished, undisturbed) for kill in map(Kill.drawn, range(10))}
    assert {kill: wrong for kill, wrong in ends.items() if wrong} == {}


@pytest.mark.slow
def test_a_second_run_in_one_folder_stops_at_once(
    undisturbed: SmallRun, finished: SmallRun
) -> None:
    first = finished.start("--cores", "2", "--forcerun", "train")
    finished.wait_for("rule train:", first)
    second = subprocess.run(
        finished.command("--cores", "2"), capture_output=True, text=True, check=False
    )
    assert second.returncode != 0
    assert "Directory cannot be locked" in second.stdout + second.stderr
    assert first.wait(300) == 0, finished.output()
    same_as(finished, undisturbed)


@pytest.mark.slow
def test_interrupt_ends_cleanly(undisturbed: SmallRun, finished: SmallRun) -> None:
    """Ctrl-C reaches the whole group: no lock, no half file, no process stays; the next run needs no unlocking."""
    head = finished.start("--cores", "2", "--forcerun", "decode_frames", "--", *ONE_DECODED)
    finished.wait_for("rule decode_frames:", head)
    time.sleep(1)
    os.killpg(head.pid, signal.SIGINT)
    assert head.wait(60) != 0
    assert finished.leftovers() == []
    assert members(head.pid) == []
    same_as(finished, undisturbed)


def members(group: int) -> list[int]:
    """Living processes of a process group."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, _, its_group = (folder / "stat").read_text().rsplit(")", 1)[1].split()[:3]
            if int(its_group) == group and state != "Z":
                found.append(int(folder.name))
    return found


@pytest.mark.slow
def test_a_full_disk_is_said_and_does_no_damage(undisturbed: SmallRun, finished: SmallRun) -> None:
    decoded = finished.results / "small/decoded"
    shutil.rmtree(decoded)
    with mounted(decoded, "size=24k"):
        output = finished.run(*ONE_DECODED, fails=True)
        assert "no space left while writing" in output
        assert "do this: free space" in output
        assert [path for path in decoded.rglob("*") if path.is_file()] == []
    same_as(finished, undisturbed)


def save_tensors(path: Path) -> None:
    save_file({"tensor": torch.zeros(10_000)}, path)


def save_state(path: Path) -> None:
    torch.save({"tensor": torch.zeros(10_000)}, path)


def save_table(path: Path) -> None:
    pq.write_table(pa.table({"column": np.random.default_rng(0).random(10_000)}), path)


@pytest.mark.parametrize("save", [save_tensors, save_state, save_table])
def test_every_librarys_word_for_a_full_disk_is_understood(
    tmp_path: Path, save: Callable[[Path], None]
) -> None:
    with mounted(tmp_path / "small", "size=16k"):
        target = tmp_path / "small/file"
        target.write_text("old")
        with (
            pytest.raises(UserError, match="no space left while writing"),
            files.atomic_path(target) as temporary,
        ):
            save(temporary)
        assert [path.name for path in target.parent.iterdir()] == ["file"]
        assert target.read_text() == "old"


@pytest.mark.parametrize("save", [save_tensors, save_state, save_table])
def test_every_librarys_word_for_a_disk_that_is_only_read_is_understood(
    tmp_path: Path, save: Callable[[Path], None]
) -> None:
    small = tmp_path / "small"
    with (
        mounted(small, "size=1m"),
        pytest.raises(UserError, match="cannot be written"),
        files.writing_explained(small / "file"),
        remounted(small, "ro"),
    ):
        save(small / "temporary")


def rules_run(output: str) -> set[str]:
    """The rules whose jobs a run says that it starts."""
    return set(re.findall(r"^(?:local)?rule (\w+):$", output, re.MULTILINE))


DAMAGED = {
    "small/narration.parquet": "prepare",
    "small/captions.parquet": "prepare_captions",
    "small/shards/00000.csv": "list_videos",
    "small/features/logmel/00000.parquet": "logmel",
    "small/features/word2vec/00000.parquet": "word2vec",
    "weights/resnext101.safetensors": "seed_weights",
    "models/mcn/model.safetensors": "train",
}


@pytest.mark.slow
def test_damage_is_mended_by_the_commands_that_verify_prints(
    undisturbed: SmallRun, finished: SmallRun
) -> None:
    """The very bytes come back; the runs make what was damaged, and the last the report alone: a training that is made
    again takes another time, which the report shows.

    Snakemake takes checksums of files up to 100 MB: what reads larger ones, here a network's weights, is made again.
    """
    for file in DAMAGED:
        path = finished.results / file
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 3] ^= 1
        path.write_bytes(raw[:-9] if "features" in file else raw)
    output = finished.run("verify", fails=True)
    commands = output[output.index("do this: ") :].removeprefix("do this: ").split("\n")
    assert {*shlex.split(commands[0])[2:]} == {f"results/{file}" for file in DAMAGED}
    subprocess.run(commands[0], shell=True, check=True, cwd=finished.folder)
    made: set[str] = set()
    last = next(n for n, line in enumerate(commands) if line == "snakemake --cores N")
    for command in commands[1:last]:
        made |= rules_run(finished.run(*shlex.split(command)[4:]))
    assert made == {*DAMAGED.values(), "resnext101"}
    assert rules_run(finished.run()) == {"report", "all"}
    same_as(finished, undisturbed)
    assert "every shard is intact" in finished.run("verify")


def test_results_that_cannot_be_written(tmp_path: Path) -> None:
    with mounted(tmp_path / "fixed", "size=1m,ro"):
        for target in (tmp_path / "fixed/shard.parquet", tmp_path / "fixed/new/shard.parquet"):
            with (
                pytest.raises(UserError, match="cannot be written") as caught,
                files.atomic_path(target) as temporary,
            ):
                temporary.write_text("never")
            assert "a folder to write to" in caught.value.wanted


@pytest.mark.slow
def test_a_configuration_edited_in_mid_run(undisturbed: SmallRun, finished: SmallRun) -> None:
    """The run goes on as it began; the next one makes what the edit changes, and nothing else."""
    change = {"features": {"logmel": {"padding": "reflect"}}}
    logmel = finished.results / "small/features/logmel"
    shutil.rmtree(logmel)
    head = finished.start("--cores", "2")
    finished.wait_for("rule logmel:", head)
    finished.configure(change)
    assert head.wait(120) == 0, finished.output()
    assert finished.digests() == undisturbed.digests()
    counts = finished.planned()
    assert counts["logmel"] == 1
    assert not {"decode_audio", "resnet152", "word2vec"} & set(counts)


def test_a_job_of_an_edited_configuration_is_refused(finished: SmallRun) -> None:
    """On a cluster each job reads the configuration anew: one that is not the head's stops."""
    command = finished.command(
        "--mode", "remote", "--cores", "1", "results/small/ledger.parquet", "--forcerun", "ledger"
    )
    environment = {**os.environ, "MCN_CONFIGURATION": "0" * 64}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode != 0
    assert "the configuration was edited while the run went on" in done.stdout + done.stderr


def test_what_killed_decoders_left_in_the_temporary_folder_goes(tmp_path: Path) -> None:
    """The folder for temporary files does not fill with what killed jobs left there."""
    code = (
        "import os, signal; from mcn.files import scratch_folder\n"
        "with scratch_folder('mcn-decode') as folder:\n"
        "    (folder / 'frames').write_text('many'); os.kill(os.getpid(), signal.SIGKILL)"
    )
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-c", code], env=environment, check=False)
    assert len(list(tmp_path.iterdir())) == 1
    with files.scratch_folder("mcn-decode", tmp_path):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
