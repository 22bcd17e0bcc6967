"""What a run leaves out because its files are not there: optional data sets, and experiments that need them.

Conventions
-----------
- A data set or experiment with `optional: true` is left out, not an error, where files that it needs are missing:
  official files, a manifest, published features; a checkpoint. An experiment that trains on a data set that was left
  out is left out with it.
- Weights of the visual networks and word vectors that are missing leave out every optional data set whose features
  are extracted here.
- Where seeded weights would be calibrated on a data set that was left out, the first one left takes its place.
- Each thing missing is one line: which file, and where to get it.
"""

from __future__ import annotations

import functools
import importlib.resources
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from mcn.config.composition import compose
from mcn.errors import UserError
from mcn.options.features import with_default_rows
from mcn.options.model import ModelOptions
from mcn.options.published import OfficialOptions
from mcn.options.row import NAMED, is_hub_name, path_of
from mcn.sources.adapters import adapter_of


def leave_out(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The configuration without what cannot be made, every base resolved; and one line for each thing missing.

    values: as parsed from YAML; what is not valid is left as it is, for `mcn.config.configuration.configure` to name.
    ValueError as `mcn.config.composition.compose`.
    """
    composed = {**compose(dict(values))}
    sets = composed.get("datasets")
    if not isinstance(sets, Mapping):
        return composed, []
    files = {name: list(_missing_of(one)) for name, one in sets.items() if _optional(one)}
    absent = {name for name, found in files.items() if found}
    lines = [f"data set {name} is left out: {line}" for name, one in files.items() for line in one]
    rows = with_default_rows(composed.get("features") or {})
    for feature, line in _missing_weights(composed).items():
        users = [name for name in files if _extracts(sets[name], rows[feature])]
        absent |= set(users)
        lines += [f"{', '.join(users)} cannot be extracted: {line}"] if users else []
    composed["datasets"] = {name: one for name, one in sets.items() if name not in absent}
    experiments = composed.get("experiments")
    if isinstance(experiments, Mapping):
        kept, gone = _experiments(experiments, absent)
        composed["experiments"] = kept
        lines += gone
    seeding = composed.get("seeding")
    if isinstance(seeding, Mapping) and seeding.get("dataset") in absent:
        composed["seeding"] = {**seeding, "dataset": None}  # the first that is left
    return composed, lines


def _optional(entry: Any) -> bool:
    return isinstance(entry, Mapping) and bool(entry.get("optional"))


def _missing_of(dataset: Mapping[str, Any]) -> Iterator[str]:
    """Official files, manifests and published features that a data set needs and that are not there."""
    if dataset.get("official"):
        try:
            official = OfficialOptions.model_validate(dataset["official"])
            yield from adapter_of(official).missing_files()
        except (ValidationError, UserError, KeyError):
            return
    elif dataset.get("manifest") and not Path(dataset["manifest"]).exists():
        yield f"no manifest {dataset['manifest']}"
    published = dataset.get("published_features")
    for key in ("directory", "audio_directory", "clips"):
        path = published.get(key) if isinstance(published, Mapping) else None
        if path and not Path(path).exists():
            yield f"no published features {path}"


def _extracts(dataset: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    """Whether a feature is extracted here: of published features only the texts are."""
    return row.get("kind") == "text" or not dataset.get("published_features")


def _missing_weights(composed: Mapping[str, Any]) -> dict[str, str]:
    """Feature -> a line on its weights or vectors, of those that an experiment reads and that are not there."""
    rows, found = with_default_rows(composed.get("features") or {}), {}
    for name in _read(composed.get("experiments")):
        row = rows.get(name) if isinstance(rows, Mapping) else None
        path = (row.get("vectors") or row.get("weights")) if isinstance(row, Mapping) else None
        if not isinstance(path, str) or path == "seeded" or path.startswith(NAMED):
            continue
        hub = isinstance(row, Mapping) and row.get("encoder") == "sentence" and is_hub_name(path)
        if not hub and not Path(path_of(path)).exists():
            source = _weights().get(name, {}).get("home_page", "where it was trained")
            found[name] = f"no {path} (features.{name}); get it from {source}"
    return found


def _read(experiments: Any) -> list[str]:
    """The features that experiments read, defaults filled in; one that is not valid is taken to read none."""
    models = [ModelOptions()]
    for one in experiments.values() if isinstance(experiments, Mapping) else ():
        given = one.get("model") if isinstance(one, Mapping) else None
        try:
            models.append(ModelOptions.model_validate(given or {}))
        except ValidationError:
            continue
    return list(
        dict.fromkeys(name for model in (models[1:] or models) for name in model.features.names)
    )


@functools.cache
def _weights() -> dict[str, Any]:
    """Where published weights come from, by feature."""
    text = importlib.resources.files("mcn.published").joinpath("provenance.yaml").read_text("utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def _made_here(start: str, experiments: Mapping[str, Any]) -> bool:
    """Whether a model to start from is there, or an experiment makes it."""
    parts = Path(start).parts
    return Path(start).exists() or (parts[:2] == ("results", "models") and parts[2] in experiments)


def _experiments(
    experiments: Mapping[str, Any], absent: set[str]
) -> tuple[dict[str, Any], list[str]]:
    """The experiments that can be made, without their bases, which are resolved; a line for each other one."""
    kept, lines = {}, []
    for name, one in experiments.items():
        if not isinstance(one, Mapping):
            kept[name] = one
            continue
        found = {key: value for key, value in one.items() if key != "base"}
        checkpoint, dataset = found.get("checkpoint"), found.get("dataset")
        if _optional(one) and checkpoint and not Path(checkpoint).exists():
            lines.append(f"experiment {name} is left out: no checkpoint {checkpoint}")
            continue
        start = (found.get("training") or {}).get("start_from")
        if _optional(one) and start and not checkpoint and not _made_here(start, experiments):
            lines.append(f"experiment {name} is left out: no model {start} to start from")
            continue
        if dataset in absent and not checkpoint:
            lines.append(f"experiment {name} is left out: it trains on {dataset}")
            continue
        early = found.get("early_evaluation")
        if isinstance(early, Mapping) and early.get("dataset") in absent:
            lines.append(f"experiment {name} has no early scores: no {early['dataset']}")
            found["early_evaluation"] = None
        if dataset in absent:
            found["dataset"] = None
        kept[name] = found
    return kept, lines
