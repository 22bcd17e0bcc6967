"""Verbs of what is said: transcribe, index-words, index-passages."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_path, add_verb, downloads_of

SENTENCES = "mcn.options.encoders:SentenceOptions"


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    options = "mcn.options.speech:TranscribeOptions"
    verb = add_verb(verbs, "transcribe", transcribe, options, downloads=True)
    verb.set_defaults(stage="transcribe")
    add_path(verb, "shard", "shard list, results/{dataset}/shards/NNNNN.csv")
    add_path(verb, "narration", "the shard's narration of the manifest")
    add_path(verb, "lines", "table of lines to write")
    add_path(verb, "account", "shard to write: where each video's lines are from")
    verb.add_argument("--threads", type=int, default=1, help="processor threads (1)")

    verb = add_verb(verbs, "index-words", index_words)
    add_path(verb, "output", "file to bring up to date, .sqlite")
    verb.add_argument("lines", type=Path, nargs="+", help="table of lines of each shard")

    verb = add_verb(verbs, "index-passages", index_passages, SENTENCES, runtime=True)
    verb.add_argument("feature", help="feature of texts that embeds the passages")
    add_path(verb, "shard", "shard list, results/{dataset}/shards/NNNNN.csv")
    add_path(verb, "lines", "the shard's table of lines")
    add_path(verb, "output", "part to write, .parquet")


def transcribe(arguments: Namespace) -> None:
    """Read what is said in the videos of a shard: narration files, subtitle streams, or speech recognition."""
    from mcn.features.transcribe import transcribe
    from mcn.options.base import parse_options
    from mcn.options.speech import TranscribeOptions

    transcribe(
        arguments.shard,
        arguments.narration,
        arguments.lines,
        arguments.account,
        parse_options(TranscribeOptions, arguments.options),
        arguments.threads,
        downloads_of(arguments),
    )


def index_words(arguments: Namespace) -> None:
    """Bring the full-text index of what is said up to date with the tables of its shards."""
    from mcn.search.words_file import build_words

    build_words(arguments.lines, arguments.output)


def index_passages(arguments: Namespace) -> None:
    """Embed passages of what is said in the videos of one shard, by a sentence encoder."""
    import torch

    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions, parse_row
    from mcn.search.passages import index_passages

    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    row = parse_row(arguments.feature, arguments.options)
    runtime: RuntimeOptions = parse_options(RuntimeOptions, arguments.runtime)
    index_passages(
        *(arguments.shard, arguments.lines, arguments.output, arguments.feature, row, runtime)
    )
