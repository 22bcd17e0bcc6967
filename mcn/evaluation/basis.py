"""What the answers of a model rest on, in words; read from its configuration alone, without loading PyTorch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from mcn.errors import UserError

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
    videos = (config.get("training_set") or {}).get("videos")
    return f"a head trained here on {videos} videos, reading {read}"
