"""Shards whose code was edited since they were made: named at the start of a run, made anew or accepted.

Conventions
-----------
- Decoding and features may take weeks, so an edit of their code remakes nothing by itself (`mcn.config.reruns.ASKED`).
- Whoever knows that the edit changes no number accepts the shards; otherwise Snakemake is told to make them anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from mcn.config.configuration import Configuration
from mcn.config.reruns import asked_stages, code_of
from mcn.errors import UserError
from mcn.options.base import nearest
from mcn.shards.made_by import accept, read_record


def code_changes(
    results: Path, settings: Configuration, folder: Path | None = None
) -> dict[str, list[Path]]:
    """Stage -> its shards that other code made than there is now, and that were not accepted; '' of none."""
    changes = {}
    for stage, shards in asked_stages(results, settings).items():
        present = [path for path in shards if path.exists()]
        if not present:
            continue
        code = code_of(settings, stage, {}, folder)
        with ThreadPoolExecutor(8) as pool:
            records = list(pool.map(_accepted, present))
        differing = [path for path, found in zip(present, records, strict=True) if found != code]
        if differing:
            changes[stage] = differing
    return changes


def _accepted(path: Path) -> str:
    """The digest for which a shard stands; '' where it notes none, or cannot be read, which `verify` is for."""
    try:
        record = read_record(path)
    except OSError:
        return ""
    return record.accepted if record else ""


def change_lines(changes: dict[str, list[Path]], targets: dict[str, str]) -> list[str]:
    """What the start of a run says: stage, number of shards, two commands. targets: stage -> what to ask for."""
    return [
        f"{stage}: {len(shards)} shard(s) were made by other code than there is now; nothing is remade for that.\n"
        f"  make them anew: snakemake --cores N --forcerun {stage} -- {targets[stage]}\n"
        f"  or accept them, if the edit changes no number: mcn accept {stage}"
        for stage, shards in changes.items()
    ]


def accept_changes(
    results: Path, settings: Configuration, stages: Sequence[str], folder: Path | None = None
) -> dict[str, int]:
    """Accept the shards of some stages for the code that there is now; stage -> number of shards.

    Errors: `UserError` for a stage that has no shards, and for shards that do not note what made them.
    """
    known = asked_stages(results, settings)
    for stage in stages:
        if stage not in known:
            got = f"the stage {stage!r}{nearest(stage, known)}"
            raise UserError(got, "a stage that makes shards", "correct its name")
    changes = code_changes(results, settings, folder)
    accepted = {}
    for stage in stages:
        code = code_of(settings, stage, {}, folder)
        shards = changes.get(stage, [])
        without = [path for path in shards if not accept(path, code)]
        if without:
            got = f"{len(without)} shard(s) that do not say what made them, the first {without[0]}"
            cure = f"make them anew: snakemake --cores N --forcerun {stage} -- {without[0]} ..."
            raise UserError(got, "shards that note the code that made them", cure)
        accepted[stage] = len(shards)
    return accepted
