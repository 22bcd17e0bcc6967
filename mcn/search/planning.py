"""What `mcn run` makes of a folder: its configuration, the number of shards, and which encoders answer.

Conventions
-----------
- Shards: the square root of the number of files, rounded up, so that a new file remakes about that many others. The
  number stays while files come and go, until the square root is twice as large; then everything is made once again.
- Encoders: the experiments of the user's overlay; without any, those that `mcn.search.encoders` chooses.
- Trained is what an overlay names, and a head on the frozen pair that is chosen here (`mcn.search.heads`), both only
  once it is known how many narrated clips there are: the first run of a folder makes all else, counts, and goes on.
- Overlays are laid over the configuration as Snakemake does. Paths in them are relative to the overlay, where such a
  file exists there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from mcn.errors import UserError
from mcn.options.base import laid_over, read_values
from mcn.search.encoders import can_embed, choose, has_packages
from mcn.search.heads import Narrated, head_of, with_sizes

DATASET = "videos"  # the name of the data set of a folder
NO_SPEECH = (
    "Speech is not recognised (pip install 'mcn[speech]'): narration and subtitles are read."
)


@dataclass(frozen=True)
class Plan:
    """The configuration of a run, and what is said of it before and after."""

    configuration: dict[str, Any]
    shards: int
    sentences: list[str]
    trained: tuple[str, ...]
    encoder: str
    head: bool = False


def make_plan(
    title: str,
    files: int,
    shards: int,
    overlays: Sequence[Path],
    encoder: str = "auto",
    before: str = "",
    narrated: Narrated | None = None,
    head: bool = True,
) -> Plan:
    """The plan for a number of files. shards: of the run before, 0 without one.

    encoder: what is wanted (`mcn.search.encoders.choose`); before: the choice of the run before.
    narrated: what there is to train on, None where nobody has counted it yet. head: whether one is wanted. Errors:
    `UserError` for overlays that cannot be read, and encoders that are wanted and not there.
    """
    wanted = math.isqrt(max(1, files) - 1) + 1
    kept = shards if shards and wanted <= 2 * shards else wanted
    speech = has_packages("whisper_tiny_en") and find_spec("faster_whisper") is not None
    sentences = [] if speech else [NO_SPEECH]
    values = _smallest(title, kept, speech)
    for overlay in overlays:
        values = laid_over(values, _read(overlay))
    experiments, chosen = values["experiments"] or {}, before
    if not experiments:
        found = choose(encoder, before)
        chosen, experiments = found.name, found.experiments
        values = laid_over({"features": found.features}, values) | {"experiments": experiments}
        sentences += found.sentences
        if experiments and can_embed():
            values = laid_over({"search": {"meaning": "minilm"}}, values)
        if narrated is not None and narrated.enough and head:
            heads = {
                f"{name}_head": head_of(name, one, DATASET, narrated)
                for name, one in experiments.items()
            }
            values["experiments"] = {**experiments, **heads}
    values["experiments"] = _settled(values["experiments"] or {}, narrated)
    trained = tuple(name for name, one in values["experiments"].items() if _is_trained(one))
    return Plan(values, kept, sentences, trained, chosen, head)


def _smallest(title: str, shards: int, speech: bool) -> dict[str, Any]:
    """The configuration of a folder before overlays and encoders."""
    dataset = {
        "manifest": "manifest.csv",
        "shards": shards,
        "missing_files": "ledger",
        "searchable": True,
        "transcribe": {"recognize": speech},
    }
    return {"title": title, "datasets": {DATASET: dataset}, "features": {}, "experiments": {}}


def _settled(experiments: dict[str, Any], narrated: Narrated | None) -> dict[str, Any]:
    """Experiments with sizes that follow the data; those that are trained wait until it is counted."""
    found = {}
    for name, one in experiments.items():
        if not _is_trained(one):
            found[name] = one
        elif narrated is not None:
            own = (
                one is not None
                and not {"base", "recipe"} & set(one)
                and one.get("dataset") == DATASET
            )
            found[name] = with_sizes(one, narrated) if own else one
    return found


def _is_trained(experiment: Any) -> bool:
    values = experiment if isinstance(experiment, dict) else {}
    return values.get("kind") != "frozen" and not values.get("checkpoint")


def _read(overlay: Path) -> Any:
    """The values of an overlay, its paths made absolute."""
    try:
        values = read_values(overlay.read_text(encoding="utf-8"))
    except OSError as error:
        cure = "correct --configfile"
        raise UserError(f"{overlay}: {error.strerror}", "a YAML file", cure) from error
    except UserError as error:
        raise UserError(f"{overlay}: {error.got}", error.wanted, "mend the file") from None
    if not isinstance(values, dict):
        raise UserError(f"{overlay}: no keys", "a YAML file of keys", "see docs/configuration.md")
    try:
        return _absolute(values, overlay.resolve().parent)
    except RecursionError:
        got = f"{overlay}: an alias that stands within what it names"
        raise UserError(got, "a YAML file of keys", "mend the file") from None


def _absolute(value: Any, folder: Path) -> Any:
    if isinstance(value, dict):
        return {key: _absolute(one, folder) for key, one in value.items()}
    if isinstance(value, list):
        return [_absolute(one, folder) for one in value]
    if isinstance(value, str) and value and len(value) < 1000 and "\n" not in value:
        path = folder / value
        return str(path) if path.is_file() or ("/" in value and path.exists()) else value
    return value
