"""Verbs from decoded shards to feature shards: seed-weights, vocabulary, extract."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from mcn.commands.verbs import Verbs, add_group, add_verb
from mcn.errors import UserError


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "seed-weights", seed_weights)
    verb.set_defaults(stage="seed_weights")
    verb.add_argument(
        "network", choices=("resnet152", "resnext101", "davenet"), help="which network"
    )
    verb.add_argument("shards", type=Path, nargs="+", help="decoded (davenet: logmel) shards")
    verb.add_argument("--output", type=Path, required=True, help=".safetensors")
    verb.add_argument("--seed", type=int, default=0, help="of the random numbers (0)")
    verb.add_argument("--threads", type=int, default=0, help="processor threads, 0: all (default)")

    verb = add_verb(verbs, "vocabulary", vocabulary, "mcn.options.features:TextOptions")
    verb.add_argument("tables", type=Path, nargs="+", help="narration, captions or tasks tables")
    verb.add_argument("--vectors", type=Path, required=True, help="word vectors")
    verb.add_argument("--output", type=Path, required=True, help="table of word vectors to write")

    kinds = add_group(verbs, "extract", "Compute one feature of a shard.", "FEATURE")
    for name, run, model in (
        ("resnet152", extract_resnet152, "AppearanceOptions"),
        ("resnext101", extract_resnext101, "MotionOptions"),
        ("davenet", extract_davenet, "DavenetOptions"),
    ):
        verb = add_verb(kinds, name, run, f"mcn.options.features:{model}", runtime=True)
        verb.set_defaults(stage=name)
        verb.add_argument("shard", type=Path, help="shard, or shard list, that it reads")
        verb.add_argument("output", type=Path, help="feature shard to write")
        verb.add_argument("--weights", default="", help="file, where options.weights is `seeded`")
    verb = add_verb(kinds, "logmel", extract_logmel, "mcn.options.features:LogMelOptions")
    verb.set_defaults(stage="logmel")
    verb.add_argument("shard", type=Path, help="shard, or shard list, that it reads")
    verb.add_argument("output", type=Path, help="feature shard to write")
    verb = add_verb(kinds, "word2vec", extract_word2vec, "mcn.options.features:TextOptions")
    verb.add_argument("shard", type=Path, help="shard, or shard list, that it reads")
    verb.add_argument("output", type=Path, help="feature shard to write")
    verb.add_argument(
        "--narration", type=Path, required=True, help="narration of the shard's videos"
    )
    verb.add_argument("--vocabulary", type=Path, required=True, help="written by `mcn vocabulary`")


def seed_weights(arguments: Namespace) -> None:
    """Draw a network's weights from a seed and calibrate its batch norms on decoded shards."""
    import torch

    from mcn.features.seeding import make_seeded_weights

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    make_seeded_weights(arguments.network, arguments.shards, arguments.output, arguments.seed)


def vocabulary(arguments: Namespace) -> None:
    """Collect the vectors of every word that a data set's texts use."""
    from mcn.features.text import make_vocabulary
    from mcn.options.base import parse_options
    from mcn.options.features import TextOptions

    options = parse_options(TextOptions, arguments.options)
    make_vocabulary(arguments.tables, arguments.vectors, arguments.output, options)


def extract_resnet152(arguments: Namespace) -> None:
    """Appearance: a ResNet-152 vector a frame."""
    from mcn.features.appearance import extract_appearance
    from mcn.options.features import AppearanceOptions

    _extract(arguments, extract_appearance, AppearanceOptions)


def extract_resnext101(arguments: Namespace) -> None:
    """Motion: a 3D ResNeXt-101 vector for 16 frames."""
    from mcn.features.motion import extract_motion
    from mcn.options.features import MotionOptions

    _extract(arguments, extract_motion, MotionOptions)


def extract_davenet(arguments: Namespace) -> None:
    """Audio: a ResDAVEnet vector every 0.16 s of log-mel."""
    from mcn.features.davenet import extract_davenet
    from mcn.options.features import DavenetOptions

    _extract(arguments, extract_davenet, DavenetOptions)


def _extract(arguments: Namespace, stage: Callable[..., Any], model: type[BaseModel]) -> None:
    """Run the stage of a network; its weights are `--weights`, or else those of the options."""
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions

    options = parse_options(model, arguments.options)
    weights = arguments.weights or options.weights
    if weights == "seeded":
        cure = f"mcn seed-weights {arguments.kind} SHARD --output FILE, then --weights FILE"
        raise UserError("weights `seeded` and no --weights", "the file of the seeded weights", cure)
    runtime = parse_options(RuntimeOptions, arguments.runtime)
    stage(arguments.shard, weights, arguments.output, options, runtime, arguments.threads)


def extract_logmel(arguments: Namespace) -> None:
    """Audio: 40 log-mel bands every 10 ms."""
    from mcn.features.audio import extract_log_mel
    from mcn.options.base import parse_options
    from mcn.options.features import LogMelOptions

    extract_log_mel(
        arguments.shard, arguments.output, parse_options(LogMelOptions, arguments.options)
    )


def extract_word2vec(arguments: Namespace) -> None:
    """Text: token ids of every narration line."""
    from mcn.features.text import extract_text
    from mcn.options.base import parse_options
    from mcn.options.features import TextOptions

    options = parse_options(TextOptions, arguments.options)
    extract_text(
        arguments.shard, arguments.narration, arguments.vocabulary, arguments.output, options
    )
