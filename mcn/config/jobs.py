"""What a job of a stage is told, and which code computes it: the parameters of its rule, from the table of reruns."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mcn.config.code import code_digest
from mcn.config.configuration import Configuration
from mcn.config.reruns import DEVICE, STAGES
from mcn.features.registry import encoder_row
from mcn.files import canonical_json
from mcn.options.base import recipe
from mcn.options.encoders import OwnOptions, OwnTextOptions
from mcn.options.row import FeatureOptions


def told(settings: Configuration, stage: str, wildcards: Mapping[str, str]) -> dict[str, Any]:
    """What a job of a stage is told and remade for: `options`, and `runtime` where it runs a network."""
    found = STAGES[stage]
    values: dict[str, Any] = {}
    if found.section is not None:
        section: Any = settings
        for key in _keys(found.section, wildcards):
            section = section[key] if isinstance(section, Mapping) else getattr(section, key)
        options = recipe(section, found.labels) or {}  # none of a section that is not given
        values["options"] = {key: options[key] for key in found.keys or options if options}
    if found.runtime:
        one_of = "{feature}" in (found.section or "")
        row = settings.features[wildcards["feature"]] if one_of else None
        keys = found.runtime if row is None or encoder_row(row).network else DEVICE
        values["runtime"] = {
            key: value
            for key, value in recipe(settings.runtime).items()
            if key in keys and (key, value) != ("repeatable", True)  # as before there was the key
        }
    return values


def arguments(
    settings: Configuration, stage: str, wildcards: Mapping[str, str], settings_file: str
) -> str:
    """The arguments of a stage's verb: what it is told, and the file of the values that change no number."""
    values = told(settings, stage, wildcards)
    words = [f"--{name} {shlex.quote(canonical_json(value))}" for name, value in values.items()]
    section = STAGES[stage].section
    if section is not None:
        where = "#".join([settings_file, *filter(None, [".".join(_keys(section, wildcards))])])
        words.append(f"--settings {shlex.quote(where)}")
    return " ".join(words)


def rows_of_frozen(settings: Configuration, experiment: str) -> dict[str, Any]:
    """What a frozen experiment is told of its features: their weights, and how they are used."""
    names = settings.experiments[experiment].features.names
    return {name: recipe(settings.features[name]) for name in names}


def _keys(section: str, wildcards: Mapping[str, str]) -> list[str]:
    return section.format_map(wildcards).split(".") if section else []


def parts(settings: Configuration, stage: str, wildcards: Mapping[str, str]) -> tuple[str, ...]:
    """The modules and classes whose code computes a job of a stage, with those that the configuration names."""
    chosen: tuple[str, ...] = ()
    if stage in ("train", "trial"):
        chosen = (settings.experiments[wildcards["experiment"]].objective.part,)
    if stage == "evaluate_own":
        own = settings.datasets[wildcards["dataset"]].evaluations
        chosen = (own[wildcards["evaluation"]].evaluate,)
    if stage in ("feature", "seed_weights"):
        chosen = encoder_parts(settings.features[wildcards["feature"]])
    if stage == "vocabulary":
        row = settings.features[wildcards["feature"]]
        named = row.encoder if isinstance(row, OwnTextOptions) else ""
        chosen = tuple(filter(None, [encoder_row(row).texts, named]))
    if stage == "import_annotations":
        official = settings.datasets[wildcards["dataset"]].official
        kind = official.kind if official else ""
        chosen = (kind if ":" in kind else f"mcn.sources.{kind}",)
    return (*STAGES[stage].code, *chosen)


def encoder_parts(row: FeatureOptions) -> tuple[str, ...]:
    """The code that computes a feature: its encoder's module, and the class of an encoder of the user's own."""
    return (encoder_row(row).make, *((row.encoder,) if isinstance(row, OwnOptions) else ()))


def code_of(
    settings: Configuration, stage: str, wildcards: Mapping[str, str], folder: Path | None = None
) -> str:
    """The digest of the code that computes a job of a stage. folder: where modules of the user's own lie."""
    return code_digest(parts(settings, stage, wildcards), folder)
