"""Text towers of dual encoders of transformers (CLIP, SigLIP, SigLIP 2, X-CLIP, CLAP, ...).

Conventions: the tokenizer is the model's own. SigLIP and SigLIP 2 were trained on texts filled up to their full length,
and the library's own pipeline (zero-shot-image-classification) fills them up too; the others are filled up to the
longest of a batch.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from mcn.errors import UserError
from mcn.features.hub import hub_commit
from mcn.features.library_models import Opened
from mcn.features.runtime import Runtime
from mcn.features.text_towers import TextTower
from mcn.features.transformers_models import (
    commit_of,
    joint,
    joint_vectors,
    open_network,
    open_processor,
    require_joint,
    require_named,
)
from mcn.options.libraries import TransformersTextOptions

OTHER_TEXT = "name a dual encoder, or take the encoder `sentence`"


def text_tower(options: TransformersTextOptions, place: Runtime) -> TextTower:
    """The text tower of a row. Errors: `UserError` for a model without one, or without a tokenizer."""
    require_joint(options, "text", OTHER_TEXT)
    tokenizer, network = open_tokenizer(options), open_network(options)
    method = joint(network, "text")
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


def check(options: TransformersTextOptions) -> None:
    """`UserError` for a model that is here and has no text tower or no tokenizer; no weights are read."""
    require_named(options)
    if options.is_folder or hub_commit(options.model, options.revision):
        require_joint(options, "text", OTHER_TEXT)
        open_tokenizer(options)


def open_tokenizer(options: TransformersTextOptions) -> Any:
    """The model's tokenizer. Errors: `UserError` where there is none: the library then makes one without words."""
    tokenizer = open_processor(options, "AutoTokenizer")
    if len(tokenizer) <= len(set(tokenizer.all_special_ids)):
        got = f"{options.model}, which has no files of a tokenizer"
        raise UserError(got, "a model with its tokenizer", "get the model whole")
    return tokenizer


def most_tokens(config: Any, tokenizer: Any) -> int:
    """How many tokens the tower reads, by its positions and by its tokenizer."""
    text = getattr(config, "text_config", config)
    positions = int(getattr(text, "max_position_embeddings", 512))
    return min(positions, int(tokenizer.model_max_length))


def _fills_up(network: Any) -> bool:
    return "siglip" in network.config.model_type
