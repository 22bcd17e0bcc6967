"""Models that lie complete in the cache of the Hugging Face hub, opened without asking the hub.

Conventions
-----------
- The cache is that of the hub's library (HF_HOME, HF_HUB_CACHE): `models--OWNER--NAME/snapshots/COMMIT/`, whose files
  link to blobs. The commit of a name is that of `refs/main`, otherwise that of the newest snapshot.
- A snapshot is complete as a dual encoder where configuration, weights, transforms and tokenizer are there, every link
  leads to a file, and the model is of a kind that is tested here: CLIP and SigLIP of transformers, pairs of open_clip.
- The first of several: SigLIP 2, SigLIP, pairs of open_clip, CLIP; of one kind the smallest weights, which cost least;
  then the names in order.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

KINDS = ("siglip2", "siglip", "open_clip", "clip")
TRANSFORMERS, OPEN_CLIP = "transformers", "open_clip"
_TOKENIZERS = ("tokenizer.json", "spiece.model", "vocab.json")
_TRANSFORMS = ("preprocessor_config.json", "processor_config.json")
_WEIGHTS = ("model.safetensors", "pytorch_model.bin")
_OPEN_CLIP_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")


class CachedPair(NamedTuple):
    """A dual encoder in the cache. library: of its files; kind: out of `KINDS`; size: bytes of its weights."""

    name: str
    commit: str
    library: str
    kind: str
    size: int


def cached_pairs() -> list[CachedPair]:
    """The dual encoders that lie complete in the cache and whose library is installed, the first choice first."""
    found = []
    for name, folder in _snapshots():
        library, kind, size = _pair_in(folder)
        if library and find_spec(library) is not None:
            version = "siglip2" if kind == "siglip" and "siglip2" in name.lower() else kind
            found.append(CachedPair(name, folder.name, library, version, size))
    return sorted(found, key=lambda one: (KINDS.index(one.kind), one.size, one.name))


def cached_names() -> list[str]:
    """The names of all models in the cache."""
    return [name for name, _ in _snapshots()]


def cached_snapshot(model: str, revision: str | None) -> Path | None:
    """The folder of a dual encoder that is pinned by its commit and lies complete in the cache, otherwise None."""
    if not revision or "/" in revision:
        return None
    place = _cache() / f"models--{model.replace('/', '--')}" / "snapshots" / revision
    return place if place.is_dir() and _pair_in(place)[0] else None


def _cache() -> Path:
    from huggingface_hub import constants  # takes half a second

    return Path(constants.HF_HUB_CACHE)


def _snapshots() -> Iterator[tuple[str, Path]]:
    """The name of every model of the cache with the folder of its commit."""
    if find_spec("huggingface_hub") is None:
        return
    for repository in sorted(_cache().glob("models--*--*")):
        main = repository / "refs" / "main"
        commit = main.read_text(encoding="utf-8").strip() if main.is_file() else ""
        folders = [one for one in (repository / "snapshots").glob("*") if one.is_dir()]
        newest = sorted(folders, key=lambda one: (one.stat().st_mtime_ns, one.name))[::-1]
        chosen = next((one for one in newest if one.name == commit), next(iter(newest), None))
        if chosen is not None:
            yield repository.name.removeprefix("models--").replace("--", "/", 1), chosen


def _pair_in(folder: Path) -> tuple[str, str, int]:
    """Library, kind and bytes of weights of the dual encoder in a folder; ("", "", 0) where none is complete."""
    nothing = ("", "", 0)
    pair = _values(folder / "open_clip_config.json")
    if pair:
        named = pair.get("model_cfg", {}).get("text_cfg", {}).get("hf_tokenizer_name")
        size = _size(folder, _OPEN_CLIP_WEIGHTS)
        whole = size and (not named or _any(folder, _TOKENIZERS))
        return (OPEN_CLIP, "open_clip", size) if whole else nothing
    kind, size = str(_values(folder / "config.json").get("model_type")), _weights(folder)
    whole = size and _any(folder, _TOKENIZERS) and _any(folder, _TRANSFORMS)
    return (TRANSFORMERS, kind, size) if whole and kind in ("clip", "siglip") else nothing


def _weights(folder: Path) -> int:
    """Bytes of the weights of a model of transformers, in one file or in several; 0 where any of them lacks."""
    parts = _values(folder / "model.safetensors.index.json").get("weight_map", {})
    names = sorted(set(parts.values()))
    if names and all((folder / one).is_file() for one in names):
        return sum((folder / one).stat().st_size for one in names)
    return _size(folder, _WEIGHTS)


def _size(folder: Path, names: tuple[str, ...]) -> int:
    """Bytes of the first of some files that is there, 0 without one."""
    return next((one.stat().st_size for name in names if (one := folder / name).is_file()), 0)


def _any(folder: Path, names: tuple[str, ...]) -> bool:
    return any((folder / name).is_file() for name in names)


def _values(path: Path) -> dict[str, Any]:
    """The values of a file of JSON, none where it is not there or is no such file."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
