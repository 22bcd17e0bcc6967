"""The network of an experiment: the objective's own with weights from the seed, or a frozen pair with residual maps."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from mcn.errors import UserError
from mcn.networks import (
    TRAINED_NETWORKS,
    EmbeddingNetwork,
    FrozenPair,
    MultimodalClusteringNetwork,
    ResidualPair,
    SequenceNetwork,
)
from mcn.networks.checkpoints import load_davenet, load_model, load_rows
from mcn.options.training import ExperimentOptions
from mcn.training.data import TrainingSet

logger = logging.getLogger(__name__)


def build_network(
    data: TrainingSet,
    word_width: int,
    options: ExperimentOptions,
    pair: FrozenPair | None = None,
) -> EmbeddingNetwork:
    """The objective's network, with branches for the features that the experiment's model reads.

    pair: the frozen pair that it starts as, under `model.residual_on`.
    """
    model, needs, reads = options.model, options.needs, options.features
    widths = data.widths
    if pair is not None:
        return residual_network(pair, data, word_width, model.residual_width)
    if needs.network == SequenceNetwork.__name__:
        (modality,) = needs.modalities
        width = sum(widths.video) if modality == "video" else widths.audio
        said = word_width if reads.text else None
        settings = modality, width, said, model.embedding_width
        return SequenceNetwork(*settings, **needs.network_settings)
    if reads.video and "video" not in needs.modalities:
        logger.warning("this objective trains no video: scores with video are those of chance")
    kind = TRAINED_NETWORKS[needs.network]
    branches: dict[str, Any] = {}
    if issubclass(kind, MultimodalClusteringNetwork):
        branches = {
            "reconstruction_width": model.reconstruction_width if needs.reconstructs else None,
            "mask_padding_words": model.mask_padding_words,
            "normalize": model.normalize or needs.unit_length,
        }
    network = kind(
        video_width=sum(widths.video) if reads.video else None,
        word_width=word_width if reads.text else None,
        embedding_width=model.embedding_width,
        davenet_widths=model.davenet_widths if reads.audio and widths.log_mel else None,
        audio_width=widths.audio if reads.audio else None,
        **branches,
        **needs.network_settings,
    )
    if model.audio_weights and network.DAVEnet is not None:
        rows = load_davenet(model.audio_weights).state_dict()
        load_rows(network.DAVEnet, rows, model.audio_weights)
    return network


def read_pair(name: str | None, folder: Path | None) -> FrozenPair | None:
    """The frozen pair that the network starts as; None where it starts as none. `UserError` for another model."""
    if name is None:
        return None
    found = None if folder is None else load_model(folder)[0]
    if not isinstance(found, FrozenPair):
        got = f"model.residual_on: {name}, a {type(found).__name__}"
        raise UserError(got, "an experiment of kind frozen", "name one")
    return found


def residual_network(
    pair: FrozenPair, data: TrainingSet, word_width: int, hidden: int
) -> ResidualPair:
    """The pair with residual maps. Errors: `UserError` for features of other widths than the pair's."""
    settings, widths = pair.settings, data.widths
    wanted = [one["width"] for one in settings["pictures"]], settings["word_width"]
    sound = settings.get("sound_width")
    heard = sound is None or sound == widths.audio
    if wanted != (widths.video, word_width) or not heard:
        got = f"features of widths {widths.video}, sound {widths.audio}, texts {word_width}"
        words = f"{wanted[0]}, sound {sound or 'none'}, texts {wanted[1]}, as in model.residual_on"
        raise UserError(got, words, "make the features with the encoders of the pair")
    network = ResidualPair(hidden, **settings)
    network.pair.load_state_dict(pair.state_dict())
    return network
