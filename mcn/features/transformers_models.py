"""What the encoders of transformers share: opening a model with its processor, and its pooled vectors.

Conventions
-----------
- `model` is OWNER/NAME of the hub at `revision`, or a folder as `save_pretrained` writes it, its processor included.
- Code that a model's repository brings along is not run.
- Weights that the file lacks would be drawn at random by the library: only a pooler may lack, which then counts as
  absent; anything else is an error.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.features.hub import hub_commit, require_in_reach
from mcn.features.hub_cache import cached_snapshot
from mcn.features.library_models import folder_of, library, not_opened, token_mean
from mcn.options.libraries import (
    LibraryOptions,
    TransformersAudioOptions,
    TransformersPictureOptions,
    TransformersVideoOptions,
)
from mcn.options.row import is_hub_name

OTHER_POOLING = "set pooling: auto, or name another model"
PROCESSOR_FILES = (
    *("preprocessor_config.json", "processor_config.json"),
    "video_preprocessor_config.json",
)
SPECIAL = ("cls_token", "class_embedding", "distillation_token", "register_tokens")
Sequences = TransformersPictureOptions | TransformersVideoOptions | TransformersAudioOptions


def source(options: LibraryOptions) -> dict[str, Any]:
    """The arguments that name a model to the library. Errors: `UserError` for what is neither a folder nor a name."""
    require_named(options)
    if options.is_folder:
        return {"pretrained_model_name_or_path": str(folder_of(options))}
    here = cached_snapshot(options.model, options.revision)
    if here is not None:  # the hub need not be asked
        return {"pretrained_model_name_or_path": str(here)}
    require_in_reach(options.model, options.revision)
    return {"pretrained_model_name_or_path": options.model, "revision": options.revision or "main"}


def require_named(options: LibraryOptions) -> None:
    """`UserError` for what is neither a folder nor the name of a hub's model."""
    if not (options.is_folder or is_hub_name(options.model)):
        got = f"{options.model}, which is no folder here"
        raise UserError(got, "OWNER/NAME of the hub, or a folder", "correct `model`")


def open_processor(options: LibraryOptions, *classes: str) -> Any:
    """The model's processor, of the first class that opens it."""
    transformers, first = library("transformers"), None
    _require_processor_files(options, classes)
    for name in classes:
        try:
            return getattr(transformers, name).from_pretrained(
                **source(options), trust_remote_code=False
            )
        except UserError:
            raise
        except ImportError as error:
            raise not_opened(options, error, "what its processor needs, installed") from error
        except Exception as error:  # whatever the download or the library raises
            first = first or error
    assert first is not None
    wanted = f"a model with a processor that {' or '.join(classes)} of transformers opens"
    raise not_opened(options, first, wanted) from first


def _require_processor_files(options: LibraryOptions, classes: tuple[str, ...]) -> None:
    """`UserError` for a folder without a processor; the library would speak of names of the hub."""
    if not options.is_folder or "AutoTokenizer" in classes:
        return
    if not any((folder_of(options) / one).is_file() for one in PROCESSOR_FILES):
        got = f"{options.model}, which has no processor (no {' or '.join(PROCESSOR_FILES)})"
        cure = (
            f"copy it from where the model is from, or write it: transformers.{classes[0]}."
            "from_pretrained(NAME).save_pretrained(FOLDER)"
        )
        raise UserError(got, f"a model with a processor that {classes[0]} opens", cure)


def open_config(options: LibraryOptions) -> Any:
    """The model's configuration."""
    try:
        return library("transformers").AutoConfig.from_pretrained(
            **source(options), trust_remote_code=False
        )
    except UserError:
        raise
    except Exception as error:
        raise not_opened(options, error, "a model of transformers") from error


def open_network(options: LibraryOptions) -> nn.Module:
    """The network in float32 and eval mode, every weight from the file."""
    transformers = library("transformers")
    try:
        with _quiet(transformers.utils.logging):
            network, found = transformers.AutoModel.from_pretrained(
                **source(options),
                dtype=torch.float32,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except UserError:
        raise
    except Exception as error:
        raise not_opened(options, error, "a model that AutoModel of transformers opens") from error
    missing = sorted(found["missing_keys"])
    lacking = [name for name in missing if "pooler." not in name]
    if lacking or found.get("mismatched_keys"):
        got = f"{options.model}, whose file has no {', '.join(lacking[:5] or map(str, found['mismatched_keys']))}"
        raise UserError(got, "all weights of the network", "get it whole, or choose another model")
    for parent in {name.partition("pooler.")[0].rstrip(".") for name in missing}:
        network.get_submodule(parent).pooler = None
    result: nn.Module = network.eval().requires_grad_(False)
    return result


@contextlib.contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Without the library's report of what a file lacks, which is checked here, and its bars of a second."""
    before = logging.get_verbosity()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def commit_of(network: Any, options: LibraryOptions) -> str | None:
    """The commit of a hub's model; None of a folder."""
    if options.is_folder:
        return None
    known: str | None = getattr(network.config, "_commit_hash", None)
    return known or hub_commit(options.model, options.revision)


def check_model(options: Sequences, modality: str, *processors: str) -> None:
    """`UserError` for a model that is here and lacks its processor, tower, class token or layer.

    No weights are read, and no hub is asked.
    """
    require_named(options)
    if not (options.is_folder or hub_commit(options.model, options.revision)):
        return
    open_processor(options, *processors)
    if options.pooling == "projected":
        require_joint(options, modality, OTHER_POOLING)
    if options.pooling != "cls" and options.layer is None:
        return
    with contextlib.suppress(RuntimeError, NotImplementedError, ValueError):
        # of networks that cannot be made without numbers; the job that opens them says what they lack
        with torch.device("meta"):
            network = library("transformers").AutoModel.from_config(open_config(options))
        _require_pooling(network, options, modality)


def _require_pooling(network: nn.Module, options: Sequences, modality: str) -> None:
    """`UserError` for a class token or layer that a network has not."""
    if joint(network, modality) is not None and options.pooling in ("auto", "projected"):
        _refuse_layer(options, "projected")
    tower = tower_of(network, modality)
    if options.pooling == "cls" and not special_tokens(tower):
        raise _no_class_token(options)
    config = getattr(tower, "config", None)
    known = (getattr(config, key, None) for key in ("encoder_layers", "num_hidden_layers"))
    layers = next((one for one in known if isinstance(one, int)), None)
    if (
        layers is not None
        and options.layer is not None
        and not -layers - 2 < options.layer <= layers
    ):
        raise _no_layer(options, layers + 1)


def require_joint(options: LibraryOptions, modality: str, cure: str) -> None:
    """`UserError` for a model without a joint space of a modality, known from its configuration alone."""
    mapping = library("transformers").models.auto.modeling_auto.MODEL_MAPPING
    config = open_config(options)
    found = mapping.get(type(config), None)
    classes = found if isinstance(found, tuple) else (found,)
    if not any(joint(one, modality) for one in classes):
        got = f"{options.model}, a {config.model_type}, which has no {modality} tower with a joint space"
        raise UserError(got, "a dual encoder", cure)


def joint(network: nn.Module, modality: str) -> Any:
    """The method that gives a modality's vectors in the joint space; None where the model has none."""
    return getattr(network, f"get_{modality}_features", None)


def joint_vectors(method: Any, inputs: dict[str, Any]) -> Tensor:
    """Vectors (n, D) of the joint space."""
    found = method(**inputs)
    vectors: Tensor = found if isinstance(found, Tensor) else found.pooler_output
    return vectors


def pooled(
    network: Any, inputs: dict[str, Any], options: Sequences, modality: str
) -> tuple[Tensor, str]:
    """Vectors (n, D) of pictures, clips or sounds, and the pooling that `auto` came to.

    modality: image, video or audio. Errors: `UserError` for a pooling that the model has not.
    """
    method, pooling = joint(network, modality), options.pooling
    if pooling == "projected" and method is None:
        require_joint(options, modality, OTHER_POOLING)
    if method is not None and pooling in ("auto", "projected"):
        _refuse_layer(options, "projected")
        return joint_vectors(method, inputs), "projected"
    tower = tower_of(network, modality)
    outputs = tower(**inputs, output_hidden_states=options.layer is not None)
    vectors = getattr(outputs, "pooler_output", None)
    if pooling == "pooler" and vectors is None:
        got = f"{options.model}, which has no pooled output of its own"
        raise UserError(got, "a model with a pooler", "set pooling: mean or cls")
    if vectors is not None and pooling in ("auto", "pooler"):
        _refuse_layer(options, "pooler")
        return vectors.flatten(1), "pooler"
    prefix = special_tokens(tower)
    tokens = tokens_of(outputs, options)
    if pooling == "cls":
        if not prefix:
            raise _no_class_token(options)
        return tokens[:, 0], "cls"
    return token_mean(tokens, prefix), "mean"


def tower_of(network: Any, modality: str) -> Any:
    """The part of a model that sees, or hears."""
    if modality != "audio":
        return getattr(network, "vision_model", network)
    if getattr(network.config, "is_encoder_decoder", False):
        return network.get_encoder()
    return getattr(network, "audio_model", network)


def tokens_of(outputs: Any, options: Sequences) -> Tensor:
    """The tokens (n, L, D) of the last layer, or of the row's; of a map its places."""
    tokens: Tensor = outputs.last_hidden_state
    if options.layer is not None:
        states = outputs.hidden_states
        if not -len(states) <= options.layer < len(states):
            raise _no_layer(options, len(states))
        tokens = states[options.layer]
    return tokens.flatten(2).transpose(1, 2) if tokens.dim() == 4 else tokens


def special_tokens(tower: nn.Module) -> int:
    """How many class, distillation and register tokens stand before those of places or times."""
    count = 0
    for name, row in tower.named_parameters():
        if name.rpartition(".")[2] in SPECIAL:
            count += row.shape[-2] if row.dim() > 1 else 1
    return count


def _no_class_token(options: Sequences) -> UserError:
    got = f"{options.model}, which has no class token"
    return UserError(got, "a model with one", "set pooling: mean, or pooler")


def _no_layer(options: Sequences, states: int) -> UserError:
    got = f"layer {options.layer} of {options.model}"
    return UserError(got, f"0 to {states - 1}, or -{states} to -1 from its end", "correct `layer`")


def _refuse_layer(options: Sequences, pooling: str) -> None:
    if options.layer is not None:
        got = f"layer {options.layer} of {options.model} with pooling {pooling}"
        raise UserError(got, "pooling cls or mean, which are of a layer", "set pooling: mean")
