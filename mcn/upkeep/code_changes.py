"""Shards whose code was edited since they were made: named at the start of a run, made anew or accepted.

Conventions
-----------
- Decoding and features may take weeks, so an edit of their code remakes nothing by itself (`mcn.config.reruns.ASKED`).
- Whoever knows that the edit changes no number accepts the shards; otherwise Snakemake is told to make them anew.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from mcn.config.configuration import Configuration
from mcn.config.jobs import code_of
from mcn.errors import UserError
from mcn.layout import Dataset
from mcn.options.base import nearest
from mcn.shards.made_by import accept, read_record


class Made(NamedTuple):
    """The files that a rule makes whose stage is in `mcn.config.reruns.ASKED`, and the target that makes them anew."""

    stage: str
    wildcards: Mapping[str, str]
    shards: Sequence[Path]
    target: str


def asked_rules(results: Path, settings: Configuration) -> dict[str, Made]:
    """Rule -> what it makes, for the stages in `ASKED` and every data set whose features are extracted here."""
    sets = {
        name: Dataset(results / name, dataset.shards)
        for name, dataset in settings.datasets.items()
        if not dataset.published_features
    }
    rules = {}
    for name, streams in settings.decode_passes().items():
        folders = [stream.folder for stream in streams]
        shards = [path for one in sets.values() for folder in folders for path in one.paths(folder)]
        target = " ".join(f"{one.root}/{folder}/*" for one in sets.values() for folder in folders)
        rules[f"decode_{name}"] = Made("decode", {}, shards, target)
    shards = [
        path
        for name, one in sets.items()
        if settings.datasets[name].transcribe
        for path in one.paths("speech_account")
    ]
    rules["transcribe"] = Made("transcribe", {}, shards, "transcribe_shards")
    for name, row in settings.features.items():
        if row.is_seeded:
            file = results / "weights" / f"{name}.safetensors"
            rules[f"seed_weights {name}"] = Made(
                "seed_weights", {"feature": name}, [file], str(file)
            )
        if row.kind != "text":
            shards = [path for one in sets.values() for path in one.features(name)]
            rules[name] = Made("feature", {"feature": name}, shards, f"{name}_shards")
    return rules


def code_changes(
    results: Path, settings: Configuration, folder: Path | None = None
) -> dict[str, list[Path]]:
    """Rule -> its shards that other code made than there is now, and that were not accepted."""
    changes = {}
    for rule, made in asked_rules(results, settings).items():
        present = [path for path in made.shards if path.exists()]
        if not present:
            continue
        code = code_of(settings, made.stage, made.wildcards, folder)
        with ThreadPoolExecutor(8) as pool:
            records = list(pool.map(_accepted, present))
        differing = [path for path, found in zip(present, records, strict=True) if found != code]
        if differing:
            changes[rule] = differing
    return changes


def _accepted(path: Path) -> str:
    """The digest for which a shard stands; '' where it notes none, or cannot be read, which `verify` is for."""
    try:
        record = read_record(path)
    except OSError:
        return ""
    return record.accepted if record else ""


def change_lines(results: Path, settings: Configuration, folder: Path | None = None) -> list[str]:
    """What the start of a run says: rule, number of shards, and the two commands."""
    rules = asked_rules(results, settings)
    return [
        f"{rule}: {len(shards)} file(s) were made by other code than there is now; nothing is remade for that.\n"
        f"  make them anew: snakemake --cores N --forcerun {rule.partition(' ')[0]} -- {rules[rule].target}\n"
        f"  or accept them, if the edit changes no number: mcn accept {shlex.quote(rule)}"
        for rule, shards in code_changes(results, settings, folder).items()
    ]


def accept_changes(
    results: Path, settings: Configuration, names: Sequence[str], folder: Path | None = None
) -> dict[str, int]:
    """Accept what some rules made for the code that there is now; rule -> number of files.

    Errors: `UserError` for a rule that is none of those, and for shards that do not note what made them.
    """
    rules = asked_rules(results, settings)
    for name in names:
        if name not in rules:
            got = f"the rule {name!r}{nearest(name, rules)}"
            raise UserError(got, "a rule that decodes or extracts", "correct its name")
    changes = code_changes(results, settings, folder)
    accepted = {}
    for name in names:
        code = code_of(settings, rules[name].stage, rules[name].wildcards, folder)
        shards = changes.get(name, [])
        without = [path for path in shards if not accept(path, code)]
        if without:
            got = f"{len(without)} file(s) that do not say what made them, the first {without[0]}"
            rule = name.partition(" ")[0]
            cure = f"make them anew: snakemake --cores N --forcerun {rule} -- {rules[name].target}"
            raise UserError(got, "shards that note the code that made them", cure)
        accepted[name] = len(shards)
    return accepted
