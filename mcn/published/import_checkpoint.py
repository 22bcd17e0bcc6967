"""A published checkpoint as a model folder that evaluation, search and the report use like one that was trained here.

Conventions
-----------
- Kinds, told apart by their rows: MCN (brian7685/Multimodal-Clustering-Network), AVLnet-Text-Tri, AVLnet-Text-Fused and
  AVLnet (roudimit/AVLnet), HowTo100M (antoine77340/howto100m: no audio, normalised embeddings), Everything at Once
  (ninatu/everything_at_once). Sizes come from the rows.
- Written: model.safetensors, config.yaml (where the rows came from, their sha256, the kind), and metrics.jsonl without
  a line, since nothing was trained here.
- `features`: what evaluation reads for each branch of the network; those that the checkpoints were trained on.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mcn.errors import UserError
from mcn.files import file_sha256, write_text
from mcn.networks import EmbeddingNetwork, FusedSoundTextNetwork, MultimodalClusteringNetwork
from mcn.networks.checkpoints import load_published, save_model
from mcn.options.model import ModelFeatures, ModelOptions

log = logging.getLogger(__name__)


def import_checkpoint(
    source: Path,
    output: Path,
    expected_sha256: str | None = None,
    features: ModelFeatures | None = None,
) -> dict[str, Any]:
    """Write the folder `output` from the state dict `source`; returns what config.yaml says of it.

    features: what the model reads; those of branches that the network lacks are left out. None: the published ones.
    Errors: `UserError` for a file that is no such checkpoint (every row that does not fit is named), or that has
    another sha256 than the one expected.
    """
    network, features = load_published(source), features or ModelOptions().features
    digest = file_sha256(source)
    if expected_sha256 not in (None, digest):
        cure = "get the right file, or correct checkpoint_sha256"
        raise UserError(f"{source} with sha256 {digest}", f"sha256 {expected_sha256}", cure)
    config = {
        "imported": {
            "source": source.name,
            "sha256": digest,
            "kind": kind_of(network),
            "parameters": sum(row.numel() for row in network.parameters()),
        },
        "features": {
            "video": list(features.video),
            "audio": features.audio if network.has_audio else None,
            "text": features.text if network.has_text else None,
        },
    }
    write_text(output / "metrics.jsonl", "")
    save_model(output, network, config)
    log.info("%s: %s", source, config["imported"])
    return config


def kind_of(network: EmbeddingNetwork) -> str:
    """What was published, by the branches that are there. MCN and AVLnet-Text-Tri have the same rows without heads."""
    if isinstance(network, FusedSoundTextNetwork):
        return "AVLnet-Text-Fused"
    if not isinstance(network, MultimodalClusteringNetwork):
        return "Everything at Once"
    if not network.has_audio:
        return "HowTo100M (Miech et al.)"
    if not network.has_text:
        return "AVLnet"
    return "MCN" if network.has_reconstruction else "MCN or AVLnet-Text-Tri"
