"""Verbs from decoded shards to feature shards: seed-weights, vocabulary, extract."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import TYPE_CHECKING

from mcn.commands.verbs import Verbs, add_path, add_verb
from mcn.errors import UserError

if TYPE_CHECKING:
    from mcn.options.row import FeatureOptions, TextsOptions

ROWS = "mcn.options.features:" + ",".join(
    f"{name}Options"
    for name in (
        *("Timm", "VideoNetwork", "LogMel", "Davenet", "Text", "Sentence", "TimmPicture"),
        *("OpenClipPicture", "OpenClipText", "TransformersPicture", "TransformersVideo"),
        *("TransformersAudio", "TransformersText", "TorchvisionPicture", "TorchvisionVideo", "Own"),
    )
)


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = _add(verbs, "seed-weights", seed_weights)
    verb.set_defaults(stage="seed_weights")
    verb.add_argument("shards", type=Path, nargs="+", help="shards of what the feature reads")
    add_path(verb, "--output", ".safetensors")
    verb.add_argument("--seed", type=int, default=0, help="of the random numbers (0)")
    verb.add_argument("--threads", type=int, default=0, help="processor threads, 0: all (default)")

    verb = _add(verbs, "train-vectors", train_vectors)
    verb.add_argument("tables", type=Path, nargs="+", help="narration tables")
    add_path(verb, "--output", "word vectors to write, .bin")

    verb = _add(verbs, "vocabulary", vocabulary, runtime=True)
    verb.add_argument("tables", type=Path, nargs="+", help="narration, captions or tasks tables")
    verb.add_argument(
        "--vectors", nargs="?", const="", default="", help="word vectors, of a feature of words"
    )
    add_path(verb, "--output", "table of word vectors to write")

    verb = _add(verbs, "extract", extract, runtime=True)
    verb.set_defaults(stage="feature")
    add_path(verb, "shard", "what the feature reads; of texts the shard list")
    add_path(verb, "output", "feature shard to write")
    verb.add_argument(
        "--weights", nargs="?", const="", default="", help="file, where the row's are `seeded`"
    )
    verb.add_argument("--narration", type=Path, help="of texts: the shard's narration")
    verb.add_argument("--vocabulary", type=Path, help="of texts: the vocabulary")
    verb.add_argument("--beside", type=Path, help="folder of the configuration, for own encoders")


def _add(verbs: Verbs, name: str, run: object, runtime: bool = False) -> ArgumentParser:
    verb = add_verb(verbs, name, run, ROWS, runtime)  # type: ignore[arg-type]
    verb.add_argument("feature", help="name of the feature; its row is laid over the default one")
    return verb


def _row(arguments: Namespace) -> FeatureOptions:
    """The row of the feature that a verb is told of."""
    from mcn.options.features import parse_row

    return parse_row(arguments.feature, arguments.options)


def seed_weights(arguments: Namespace) -> None:
    """Draw the weights of a feature's network from a seed and calibrate its batch norms on decoded shards."""
    import torch

    from mcn.features.seeding import make_seeded_weights

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    make_seeded_weights(
        arguments.feature, _row(arguments), arguments.shards, arguments.output, arguments.seed
    )


def train_vectors(arguments: Namespace) -> None:
    """Train word vectors on narration: skip-gram or CBOW of gensim."""
    from mcn.features.train_vectors import train_vectors
    from mcn.options.encoders import TextOptions

    row = _text_row(arguments)
    if not isinstance(row, TextOptions):
        got = f"feature {arguments.feature} with the encoder {row.encoder}"
        raise UserError(got, "a feature of words", "name one")
    train_vectors(arguments.tables, arguments.output, row)


def vocabulary(arguments: Namespace) -> None:
    """Collect the vectors of every word, or of every line, of a data set's texts."""
    from mcn.features.text import make_vocabulary
    from mcn.options.base import parse_options
    from mcn.options.encoders import TextOptions
    from mcn.options.features import RuntimeOptions

    row = _text_row(arguments)
    if isinstance(row, TextOptions) and not arguments.vectors:
        raise UserError("no --vectors", "the file of the word vectors", "give it")
    runtime = parse_options(RuntimeOptions, arguments.runtime)
    make_vocabulary(
        arguments.tables, arguments.vectors, arguments.output, row, runtime, arguments.threads
    )


def _text_row(arguments: Namespace) -> TextsOptions:
    from mcn.options.row import TextsOptions

    row = _row(arguments)
    if not isinstance(row, TextsOptions):
        got = f"feature {arguments.feature} with the encoder {row.encoder}"
        raise UserError(got, "a feature of texts", "name one")
    return row


def extract(arguments: Namespace) -> None:
    """Compute one feature of a shard."""
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions

    row = _row(arguments)
    if row.kind == "text":
        if not (arguments.narration and arguments.vocabulary):
            raise UserError("a feature of texts", "--narration and --vocabulary", "give both")
        from mcn.features.text import extract_text

        extract_text(
            arguments.feature,
            arguments.shard,
            arguments.narration,
            arguments.vocabulary,
            arguments.output,
            _text_row(arguments),
        )
        return
    from mcn.features.extraction import extract
    from mcn.features.registry import make_extractor

    runtime = parse_options(RuntimeOptions, arguments.runtime)
    extractor = make_extractor(
        arguments.feature, row, arguments.weights, runtime, arguments.threads, arguments.beside
    )
    extract(arguments.shard, arguments.output, extractor)
