"""Text towers of dual encoders of transformers (CLIP, SigLIP, SigLIP 2, X-CLIP, CLAP, ...).

Conventions: the tokenizer is the model's own. SigLIP and SigLIP 2 were trained on texts filled up to their full length,
and the library's own pipeline (zero-shot-image-classification) fills them up too; the others are filled up to the
longest of a batch.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mcn.errors import UserError
from mcn.features.library_models import Opened
from mcn.features.runtime import Runtime
from mcn.features.text_towers import TextTower
from mcn.features.transformers_models import (
    commit_of,
    joint,
    joint_vectors,
    open_network,
    open_processor,
)
from mcn.options.libraries import TransformersTextOptions


def text_tower(options: TransformersTextOptions, place: Runtime) -> TextTower:
    """The text tower of a row. Errors: `UserError` for a model without one, or without a tokenizer."""
    tokenizer, network = open_processor(options, "AutoTokenizer"), open_network(options)
    method = joint(network, "text")
    if method is None:
        got = f"{options.model}, a {type(network).__name__}, which has no text tower with a joint space"
        cure = "name a dual encoder, or take the encoder `sentence`"
        raise UserError(got, "a dual encoder", cure)
    most = most_tokens(network.config, tokenizer)
    full = {"padding": "max_length", "max_length": most} if _fills_up(network) else {}

    def tokenize(texts: list[str]) -> dict[str, Tensor]:
        found: dict[str, Tensor] = tokenizer(
            texts, return_tensors="pt", **full or {"padding": True}
        )
        return found

    return TextTower(
        options,
        place,
        Opened(network, f"{type(tokenizer).__name__}, {most} tokens", commit_of(network, options)),
        ("transformers", "tokenizers"),
        tokenize,
        lambda inputs: joint_vectors(method, inputs),
        lambda text: len(tokenizer(text, verbose=False).input_ids) <= most,
    )


def most_tokens(config: Any, tokenizer: Any) -> int:
    """How many tokens the tower reads, by its positions and by its tokenizer."""
    text = getattr(config, "text_config", config)
    positions = int(getattr(text, "max_position_embeddings", 512))
    return min(positions, int(tokenizer.model_max_length))


def _fills_up(network: Any) -> bool:
    return "siglip" in network.config.model_type
