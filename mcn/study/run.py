"""`mcn study`: the two runs of the workflow that a study is, planning and testing, with the plan between them.

Conventions
-----------
- The plan is an overlay of the configuration (results/study/plan.yaml). A plan that is committed elsewhere is named by
  `--planned`; then nothing is planned anew, and the commit that last changed the file is written on the page. A file
  that git does not have in this state is refused, since nobody could tell when it was made.
- Every command is printed before it is run. Snakemake runs what is missing, so that an interrupted study goes on.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import yaml

from mcn.config.workflow import workflow_file
from mcn.errors import UserError
from mcn.files import write_text

PLAN = Path("results/study/plan.yaml")
OVERLAY = Path("results/study/planned.yaml")


def run_study(
    config: Sequence[Path],
    cores: int,
    profile: str | None,
    plan_only: bool,
    planned: Path | None,
) -> int:
    """Plan where there is a validation set and no plan is named, then test; exit status of the workflow."""
    study = _section(config)
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


def _section(config: Sequence[Path]) -> dict[str, object]:
    """The section `study` of the last file that has one; `UserError` without one, and for files that do not parse."""
    found: dict[str, object] = {}
    for path in config:
        try:
            values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
        except (OSError, yaml.YAMLError) as error:
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
    return subprocess.run([sys.executable, "-m", "snakemake", *command], check=False).returncode
