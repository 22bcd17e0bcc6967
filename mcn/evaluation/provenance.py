"""What an evaluation was made from, as it stands in its JSON."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

import mcn
from mcn.evaluation.embed import Stores
from mcn.options.evaluation import EvaluationOptions

VERSION = 1  # raised when the same inputs would give other scores


def provenance(
    config: dict[str, Any], stores: Stores, options: EvaluationOptions, device: torch.device
) -> dict[str, Any]:
    """Model, features, options, versions and device; plain JSON values."""
    return {
        "version": VERSION,
        "model": {"weights_sha256": config["weights_sha256"], "network": config["network"]},
        "features": {name: store.recipe for name, store in stores.items()},
        "options": options.model_dump(mode="json"),
        "device": device.type,
        "mcn": mcn.__version__,
        "torch": str(torch.__version__),
        "numpy": np.__version__,
    }
