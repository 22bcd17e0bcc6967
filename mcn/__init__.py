"""Multimodal Clustering Networks: a joint video-audio-text space learned from narrated videos.

Chen et al., "Multimodal Clustering Networks for Self-supervised Learning from Unlabeled Videos", ICCV 2021.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mcn.search.model import LoadedModel

# Spinning OpenMP threads lose more than half of the processor as soon as a decoder thread runs beside them;
# the variable is read once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "1.0.0"


def load(path: Path | str) -> LoadedModel:
    """A model to embed texts, videos and sound with: a model folder, a folder of `mcn run`, or a name of the hub.

    See `mcn.search.model.LoadedModel`. Errors: `UserError` where there is no model.
    """
    from mcn.search.model import load

    return load(path)
