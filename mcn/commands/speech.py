"""Verbs of what is said: transcribe."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_verb


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "transcribe", transcribe, "mcn.options.speech:TranscribeOptions")
    verb.set_defaults(stage="transcribe")
    verb.add_argument("shard", type=Path, help="shard list, results/{dataset}/shards/NNNNN.csv")
    verb.add_argument("narration", type=Path, help="the shard's narration of the manifest")
    verb.add_argument("lines", type=Path, help="table of lines to write")
    verb.add_argument(
        "account", type=Path, help="shard to write: where each video's lines are from"
    )
    verb.add_argument("--threads", type=int, default=1, help="processor threads (1)")


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
    )
