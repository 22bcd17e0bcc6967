"""What the answers of a model rest on, in words; read from its configuration alone, without loading PyTorch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mcn.errors import UserError

VERDICT_VERSION = (
    1  # of `mcn.evaluation.retrieval.verdict`; raised when its numbers would be others
)
SEEDED = "seeded weights, which understand nothing"


def model_config(directory: Path) -> dict[str, Any]:
    """The configuration in the folder of a model. Errors: `UserError` where there is none, or it is damaged."""
    path = Path(directory) / "config.yaml"
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        if not isinstance(config, dict) or not config:
            raise ValueError("not the configuration of a model")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "a model", "make it") from None
    except (ValueError, yaml.YAMLError) as error:
        wanted, cure = "the configuration of a model", f"delete it and make it again (rm {path})"
        raise UserError(f"{path}: {str(error).splitlines()[0]}", wanted, cure) from error
    return config


def basis(directory: Path) -> str:
    """What the answers of the model of a folder rest on, in a sentence without its full stop.

    Errors: those of `model_config`.
    """
    config = model_config(directory)
    if config.get("kind") == "frozen":
        return str(config["basis"])
    if "imported" in config:
        imported = config["imported"]
        return f"{imported['kind']}, trained by others ({imported['source']})"
    recipes = (config.get("recipes") or {}).values()
    if any("seeded" in str(one.get("weights") or {}) for one in recipes):
        return SEEDED
    names = [*config["features"]["video"], config["features"].get("audio")]
    read = ", ".join(filter(None, names))
    trained_on = config.get("training_set") or {}
    clips = f"{trained_on['clips']:,} clips of " if trained_on.get("clips") else ""
    return f"a head trained here on {clips}{trained_on.get('videos')} videos, reading {read}"


def read_verdict(path: Path) -> Mapping[str, Any] | None:
    """What `mcn.evaluation.retrieval.verdict.judge` wrote; None of what was never judged, or by another version of mcn.

    Errors: `UserError` for a damaged file.
    """
    try:
        found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if found["version"] != VERDICT_VERSION:
            return None
        verdict_in_words(found)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        cure = f"delete it and run again (rm {path})"
        raise UserError(f"{path}: {error!r}", "a verdict", cure) from error
    return found


def verdict_in_words(found: Mapping[str, Any]) -> str:
    """How a head compares with the frozen pair that it stands on."""
    clips, difference = found["clips"], found["difference"]
    if difference["low"] is None:
        return f"too few held-out clips to judge it: {clips} of {found['videos']} videos"
    better = (
        "better" if difference["low"] > 0 else "worse" if difference["high"] < 0 else "no better"
    )
    mean, low, high = (difference[key] for key in ("value", "low", "high"))
    own, pairs = (found[key]["R@10"] for key in ("head", "pair"))
    return (
        f"{better} than the frozen pair on {clips} held-out clips of {found['videos']} videos: by their own words "
        f"it finds {own:.0f} % of them among the first ten, the pair {pairs:.0f} % "
        f"(reciprocal rank {mean:+.3f}, 95 % interval {low:+.3f} to {high:+.3f})"
    )
