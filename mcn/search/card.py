"""A model as a folder for a hub: weights, configuration, the rows of its features, and a card that says what it is.

Conventions: `model.safetensors` and `config.yaml` are those of the run, `config.json` says the same for programs that
look for it, `settings.json` holds the rows of the features that the model reads and the section `search`, so that
`mcn.load` embeds files as the run did. Paths of word vectors and weights in them are those of this machine.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from mcn.errors import UserError
from mcn.evaluation.basis import basis
from mcn.files import atomic_path, write_json, write_text

_CARD = """---
library_name: mcn
tags: [video-search, video-text-retrieval{tags}]
---

# {title}

{basis}.

| modality | features |
|---|---|
{features}

    import mcn

    model = mcn.load("OWNER/NAME")          # or this folder
    model.encode_text(["stir the soup"])
    starts, ends, vectors = model.encode_video("a.mp4")

Embeddings have {width} numbers; texts and moments that belong together have a high cosine.

## How it was made

{made}

mcn {version}; sha256 of the weights: `{sha256}`.
"""


def export_model(model: Path, output: Path, settings: Mapping[str, Any]) -> None:
    """Write a model folder in the layout of hubs. settings: of the run, plain values; {} for the default rows.

    Errors: `UserError` where there is no model, or the output is not empty.
    """
    from mcn import __version__
    from mcn.networks.checkpoints import load_model

    if output.exists() and any(output.iterdir()):
        raise UserError(f"{output} is not empty", "a new folder", "choose another")
    network, config = load_model(model)
    reads = config.get("features") or {}
    names = [*(reads.get("video") or []), *filter(None, [reads.get("audio"), reads.get("text")])]
    rows = {one: row for one, row in (settings.get("features") or {}).items() if one in names}
    output.mkdir(parents=True, exist_ok=True)
    with atomic_path(output / "model.safetensors") as temporary:
        shutil.copyfile(model / "model.safetensors", temporary)
    write_text(output / "config.yaml", (model / "config.yaml").read_text(encoding="utf-8"))
    write_json(output / "config.json", config)
    write_json(output / "settings.json", {"features": rows, "search": settings.get("search") or {}})
    table = [
        f"| {modality} | {', '.join(one) if isinstance(one, list) else one or 'none'} |"
        for modality, one in ((name, reads.get(name)) for name in ("video", "audio", "text"))
    ]
    made = {
        key: config[key]
        for key in ("kind", "options", "encoders", "training_set", "recipes", "imported")
        if config.get(key)
    }
    card = _CARD.format(
        tags="" if config.get("kind") == "frozen" else ", multimodal-clustering-networks",
        title=model.name,
        basis=basis(model)[:1].upper() + basis(model)[1:],
        features="\n".join(table),
        width=network.embedding_width,
        made="\n".join(
            f"    {line}" for line in yaml.safe_dump(made, sort_keys=False).splitlines()
        ),
        version=__version__,
        sha256=config["weights_sha256"],
    )
    write_text(output / "README.md", card)


def settings_of(model: Path) -> dict[str, Any]:
    """The settings that a model was made with: beside it, or of the run that it lies in; {} where nothing says so."""
    for path in (model / "settings.json", model.resolve().parent.parent / "settings.json"):
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            return found
    return {}
