"""Kill a small run of the whole workflow at random moments, and compare its end with that of an undisturbed run.

Conventions
-----------
- A kill is drawn from its seed alone: a stage, a moment in it, a victim and a way. Victims: `head`, Snakemake alone;
  `worker`, the last process that the stage's job has started (a decoder, where there is one); `group`, all of them.
  Ways: SIGKILL, SIGTERM, and `memory`: SIGKILL, of a worker's largest process, as where memory runs out.
- After the kill nothing is deleted by hand: where Snakemake says that the folder is locked, it is unlocked; the file
  that was asked for is asked for again, and then everything. The runs must end, equal the undisturbed run byte for
  byte in features, tables and weights, have the same scores and losses, leave no temporary file, and have nothing to
  do afterwards.
- Two runs lie in folders of their own; a kill starts from what the last one left, made anew from the stage on.
- One line a kill, and a total; exit status 1 where an end differs.

    python -m tests.kill_machine --kills 100 --seed 1 --folder FOLDER
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.small_run import SmallRun

# those of `SmallRun.run`: sums of other numbers of threads round otherwise
CORES = ("--cores", str(os.cpu_count()))
PATIENCE_SECONDS = 60.0  # within which the jobs of a head that was killed must have ended


class Stage(NamedTuple):
    """A rule, a file that it makes below results, and the seconds after its start within which kills come."""

    rule: str
    target: str
    seconds: float


STAGES = (
    Stage("prepare", "small/videos.parquet", 3),
    Stage("prepare_captions", "small/captions.parquet", 3),
    Stage("list_videos", "small/shards/00000.csv", 3),
    Stage("list_narration", "small/narration/00000.parquet", 3),
    Stage("decode_frames", "small/decoded/frames_4fps_32px_crop32/00000.parquet", 4),
    Stage("decode_audio", "small/decoded/audio_16khz/00000.parquet", 4),
    Stage("vocabulary", "small/vocabulary.parquet", 5),
    Stage("word2vec", "small/features/word2vec/00000.parquet", 4),
    Stage("logmel", "small/features/logmel/00000.parquet", 5),
    Stage("seed_weights", "weights/resnext101.safetensors", 10),
    Stage("resnext101", "small/features/resnext101/00000.parquet", 8),
    Stage("resnet152", "small/features/resnet152/00000.parquet", 8),
    Stage("train", "models/mcn/model.safetensors", 12),
    Stage("evaluate_retrieval", "evaluation/mcn/small.retrieval.json", 6),
    Stage("ledger", "small/ledger.parquet", 3),
    Stage("report", "report.html", 5),
)
VICTIMS = ("head", "worker", "group")
WAYS = ("SIGKILL", "SIGTERM", "memory")


class Kill(NamedTuple):
    """What is killed, how, and when: seconds after the stage has started."""

    seed: int
    stage: Stage
    victim: str
    way: str
    after: float

    @classmethod
    def drawn(cls, seed: int) -> Kill:
        """The kill of a seed."""
        draw = random.Random(seed)
        stage, victim, way = draw.choice(STAGES), draw.choice(VICTIMS), draw.choice(WAYS)
        return cls(seed, stage, victim, way, round(draw.uniform(0, stage.seconds), 2))

    def __str__(self) -> str:
        where = f"{self.stage.rule} + {self.after} s"
        return f"seed {self.seed}: {self.way} of the {self.victim} in {where}"


def children(pid: int) -> Iterator[int]:
    """All processes below one, parents first."""
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in map(int, task.read_text().split()):
                yield child
                yield from children(child)


def resident(pid: int) -> int:
    """Pages in memory."""
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return 0


def strike(kill: Kill, head: int) -> list[int]:
    """Kill; the processes that lived before, the head first."""
    below = list(children(head))
    number = signal.SIGTERM if kill.way == "SIGTERM" else signal.SIGKILL
    if kill.victim == "group":
        victims = [head, *below]
    elif kill.victim == "head" or not below:
        victims = [head]
    else:
        victims = [max(below, key=resident) if kill.way == "memory" else below[-1]]
    for victim in victims:
        with contextlib.suppress(ProcessLookupError):
            os.kill(victim, number)
    return [head, *below]


def wait_until_gone(processes: list[int]) -> bool:
    """Whether all of them end in time; zombies have ended."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if not any(lives(pid) for pid in processes):
            return True
        time.sleep(0.2)
    return False


def lives(pid: int) -> bool:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def measured(run: SmallRun) -> dict[str, object]:
    """File of scores or of losses -> what it says, without the time that things took."""
    found: dict[str, object] = {}
    for path in sorted(run.results.glob("evaluation/*/*.json")):
        found[path.name] = json.loads(path.read_bytes())["scores"]
    for path in sorted(run.results.glob("models/*/metrics.jsonl")):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        found[path.parent.name] = [
            {key: value for key, value in record.items() if not key.startswith("time/")}
            for record in records
        ]
    return found


def differences(run: SmallRun, undisturbed: SmallRun) -> list[str]:
    """What is not as if nothing had happened."""
    wrong = []
    ours, wanted = run.digests(), undisturbed.digests()
    for name in sorted({*ours, *wanted}):
        if ours.get(name) != wanted.get(name):
            wrong.append(f"{name} differs")
    if measured(run) != measured(undisturbed):
        wrong.append("scores or losses differ")
    wrong += [f"{path} is left over" for path in run.leftovers()]
    planned = run.planned()
    return [*wrong, f"{planned} is to be done again"] if planned else wrong


def finish(run: SmallRun, *arguments: str) -> str:
    """Run to the end as the messages say: unlocked where the folder is locked. What went wrong, '' for nothing."""
    for _ in range(2):
        head = run.start(*CORES, *arguments)
        head.wait()
        if head.returncode == 0:
            return ""
        if "--unlock" not in run.output():
            break
        run.run("--cores", "1", "--unlock")
    return f"the next run fails: {run.output()[-1500:]}"


def suffer(kill: Kill, run: SmallRun, undisturbed: SmallRun) -> list[str]:
    """One kill, and the run to the end; what is wrong then."""
    target = f"results/{kill.stage.target}"
    head = run.start(*CORES, "--forcerun", kill.stage.rule, "--", target)
    run.wait_for(f"rule {kill.stage.rule}:", head)
    with contextlib.suppress(subprocess.TimeoutExpired):
        head.wait(kill.after)
    struck = strike(kill, head.pid) if head.poll() is None else []
    wrong = []
    try:
        head.wait(PATIENCE_SECONDS * 5)  # Snakemake sees its job fail, or lets it finish
    except subprocess.TimeoutExpired:
        wrong.append("Snakemake hangs")
        run.kill(head)
    if struck and not wait_until_gone(struck):
        wrong.append(f"its jobs live on after {PATIENCE_SECONDS:.0f} s")
    failed = finish(run, "--", target) or finish(run)
    return [*wrong, failed] if failed else wrong + differences(run, undisturbed)


def copied(undisturbed: SmallRun, folder: Path) -> SmallRun:
    """A finished run of one's own; it lies as deep as the other, and its videos are links to the same files."""
    ignored = shutil.ignore_patterns("videos")
    shutil.copytree(undisturbed.folder, folder, ignore=ignored, dirs_exist_ok=True)
    shutil.copytree(undisturbed.folder / "videos", folder / "videos", copy_function=os.link)
    return SmallRun.at(folder)


def main() -> int:
    """Kill as often as asked; 1 where an end differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="how many (default: 10)")
    parser.add_argument("--seed", type=int, default=0, help="of the first; the next ones follow")
    parser.add_argument("--folder", type=Path, required=True, help="where runs are made and kept")
    arguments = parser.parse_args()
    folder = arguments.folder / "undisturbed"
    if (folder / "results/report.html").exists():
        undisturbed = SmallRun.at(folder)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        undisturbed = SmallRun(folder)
        undisturbed.run()
    shutil.rmtree(arguments.folder / "killed", ignore_errors=True)
    run = copied(undisturbed, arguments.folder / "killed")
    equal = 0
    for seed in range(arguments.seed, arguments.seed + arguments.kills):
        kill = Kill.drawn(seed)
        wrong = suffer(kill, run, undisturbed)
        print(f"{kill}: {'; '.join(wrong) or 'the same end'}", flush=True)
        equal += not wrong
    print(f"{arguments.kills} kills, {equal} equal ends")
    return int(equal < arguments.kills)


if __name__ == "__main__":
    sys.exit(main())
