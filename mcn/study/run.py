"""`mcn study`: the two runs of the workflow that a study is, planning and testing, with the plan between them.

Conventions
-----------
- The plan is an overlay of the configuration (results/study/plan.yaml). A plan that is committed elsewhere is named by
  `--planned`; then nothing is planned anew, and the commit that last changed the file is written on the page. A file
  that git does not have in this state is refused, since nobody could tell when it was made.
- Every command is printed before it is run. Snakemake runs what is missing, so that an interrupted study goes on.
- One `mcn study` at a time writes into a folder. Snakemake ends with it, also where it is killed; the lock that
  Snakemake then leaves behind is removed by the next one.
"""

from __future__ import annotations

import contextlib
import fcntl
import shlex
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from mcn.config.workflow import workflow_file
from mcn.errors import UserError
from mcn.files import write_text
from mcn.search.progress import end_with_parent, stop

PLAN = Path("results/study/plan.yaml")
OVERLAY = Path("results/study/planned.yaml")
LOCK = Path("results/study/.lock")  # not empty: a study is at work, or did not end


def run_study(
    config: Sequence[Path],
    cores: int,
    profile: str | None,
    plan_only: bool,
    planned: Path | None,
) -> int:
    """Plan where there is a validation set and no plan is named, then test; exit status of the workflow.

    Errors: `UserError` for a plan that is not committed, and where another study is at work in this folder.
    """
    study = _section(config)
    with _alone(config):
        return _plan_and_test(study, config, cores, profile, plan_only, planned)


def _plan_and_test(
    study: dict[str, object],
    config: Sequence[Path],
    cores: int,
    profile: str | None,
    plan_only: bool,
    planned: Path | None,
) -> int:
    """The runs of the workflow, one or two; study: the section of the configuration."""
    more = ["--cores", str(cores), *(["--profile", profile] if profile else [])]
    overlays = list(config)
    if study.get("validation"):
        if planned is None:
            status = _snakemake([*more, "--configfile", *map(str, config), "--", str(PLAN)])
            if status:
                return status
            print(f"the plan: {PLAN}", flush=True)
        if plan_only:
            return 0
        overlays.append(_with_commit(planned) if planned else PLAN)
    return _snakemake([*more, "--configfile", *map(str, overlays), "--", "study"])


@contextlib.contextmanager
def _alone(config: Sequence[Path]) -> Iterator[None]:
    """Hold the lock of the folder's study; where the study before did not end, remove what is left of Snakemake's."""
    try:
        LOCK.parent.mkdir(parents=True, exist_ok=True)
        lock = open(LOCK, "a+", encoding="utf-8")  # noqa: SIM115 - closed below
    except OSError as error:
        got = f"{LOCK} cannot be written: {error.strerror}"
        raise UserError(got, "a folder that results can go to", "run it in another") from None
    with lock as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            got = f"another `mcn study` is at work in {Path.cwd()}"
            raise UserError(got, "one at a time", "wait until it has ended") from None
        file.seek(0)
        if file.read():
            print("The study before this one did not end; it goes on.", flush=True)
            _snakemake(["--configfile", *map(str, config), "--unlock"])
        file.truncate(0)
        file.write("at work\n")
        file.flush()
        try:
            yield
        except UserError:
            file.truncate(0)  # Snakemake was not killed
            raise
        file.truncate(0)


def _section(config: Sequence[Path]) -> dict[str, object]:
    """The section `study` of the last file that has one; `UserError` without one, and for files that do not parse."""
    found: dict[str, object] = {}
    for path in config:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except OSError as error:
            got = f"{path}: {error.strerror}"
            raise UserError(got, "a configuration file", "correct the path") from None
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path}: {error}", "a configuration in YAML", "mend it") from None
        if isinstance(values, dict) and isinstance(values.get("study"), dict):
            found |= values["study"]
    if not found:
        got = f"no section `study` in {', '.join(map(str, config))}"
        raise UserError(got, "what is compared on what", "see docs/study.md")
    return found


def _with_commit(planned: Path) -> Path:
    """The plan with the commit that last changed it, as an overlay; `UserError` where git has no such state of it."""
    commit = _git(planned, "log", "-1", "--format=%H", "--", planned.name)
    changed = _git(planned, "status", "--porcelain", "--", planned.name)
    if not commit or changed:
        got = f"{planned}: {'changed since its commit' if commit else 'no commit has it'}"
        raise UserError(got, "a plan that was committed before the test", "git commit it first")
    values = yaml.safe_load(planned.read_text(encoding="utf-8"))
    values["study"]["plan_commit"] = commit
    OVERLAY.parent.mkdir(parents=True, exist_ok=True)
    write_text(OVERLAY, yaml.safe_dump(values, sort_keys=False))
    return OVERLAY


def _git(file: Path, *words: str) -> str:
    """What git says in the folder of a file; empty where it is no repository, or there is no git."""
    try:
        done = subprocess.run(
            ["git", *words], cwd=file.parent, capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _snakemake(words: list[str]) -> int:
    command = ["-s", str(workflow_file("")), *words]
    print(shlex.join(["snakemake", *command]), flush=True)
    asked = [sys.executable, "-m", "snakemake", *command]
    with subprocess.Popen(asked, preexec_fn=end_with_parent) as process:
        try:
            return process.wait()
        except BaseException:
            stop(process)
            raise
