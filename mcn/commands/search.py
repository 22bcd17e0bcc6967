"""Verbs from videos to answers: run, search, serve, export, and the stages of the index."""

from __future__ import annotations

import os
import re
import sys
from argparse import ArgumentTypeError, Namespace
from collections.abc import Sequence
from pathlib import Path

from mcn.commands.verbs import Verbs, add_group, add_path, add_verb
from mcn.errors import UserError

OPTIONS = "mcn.options.search:SearchOptions"


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "run", run)
    verb.add_argument("source", type=Path, metavar="FOLDER", help="folder of videos, or a manifest")
    verb.add_argument(
        "--output", type=Path, required=True, metavar="DIR", help="folder of the answers"
    )
    verb.add_argument(
        "--configfile",
        type=Path,
        nargs="+",
        default=[],
        metavar="OVERLAY",
        help="YAML laid over the configuration that is written",
    )
    verb.add_argument("--cores", type=_positive, help="processor cores (all)")
    verb.add_argument(
        "--encoder",
        choices=("auto", "hub", "embedded", "words"),
        default="auto",
        help="what sees, where no overlay names an experiment: a dual encoder in the hub's cache, the embedded set, "
        "or the words alone; auto: the first of these that is there (auto)",
    )
    verb.add_argument(
        "--no-head",
        action="store_true",
        help="train no head on the folder's narration, however much there is (docs/search.md)",
    )

    verb = add_verb(verbs, "index", index, OPTIONS, runtime=True)
    add_path(verb, "model", "folder of the model")
    add_path(verb, "dataset", "results/{dataset}")
    add_path(verb, "output", "part to write, .parquet")
    verb.add_argument("--shard", type=int, required=True, help="number of the shard, from 0")

    verb = add_verb(verbs, "join-index", join_index, OPTIONS)
    add_path(verb, "index", "results/index/{experiment}/{dataset}")
    verb.add_argument("--shards", type=int, required=True, help="number of parts")
    verb.add_argument("--threads", type=int, default=0, help="processor threads, 0: all (default)")

    _register_search(verbs)
    _register_export(verbs)
    _register_serve(verbs)


def _register_search(verbs: Verbs) -> None:
    verb = add_verb(verbs, "search", search)
    verb.add_argument("directory", type=Path, metavar="DIR", help="folder that `mcn run` wrote")
    verb.add_argument(
        "query", help="what to look for, in words (behind -- where it begins with --)"
    )
    verb.add_argument("--limit", type=_positive, default=10, help="answers at most (10)")
    verb.add_argument("--json", action="store_true", help="print JSON, as the page's API does")
    only = verb.add_mutually_exclusive_group()
    only.add_argument(
        "--said", action="store_true", help="only what was said: words and their meaning"
    )
    only.add_argument("--seen", action="store_true", help="only what is seen")
    verb.add_argument(
        "--one-per-video", action="store_true", help="the best moment of each video alone"
    )
    verb.add_argument(
        "--weak",
        action="store_true",
        help="also the nearest moments of a query that nothing fits, marked as weak",
    )
    verb.add_argument("--video", action="append", help="only this video_id (repeatable)")
    verb.add_argument(
        "--clip", type=Path, metavar="OUT", help="cut the moments out, into this folder"
    )
    verb.add_argument("--dataset", help="data set to ask, where the folder has several")


def _register_export(verbs: Verbs) -> None:
    kinds = add_group(verbs, "export", "Write what was made in forms that other programs read.")
    verb = add_verb(kinds, "index", export_index)
    add_path(verb, "index", "folder that `mcn run` wrote, or of an index")
    add_path(verb, "output", "file to write")
    verb.add_argument("--to", choices=("parquet", "npy", "faiss"), default="parquet", help="form")
    verb.add_argument("--source", help="words, meaning, seen or heard, of several")
    verb = add_verb(kinds, "onnx", export_onnx)
    add_path(verb, "model", "folder of the model, results/models/{experiment}")
    add_path(verb, "output", "folder to write")
    verb.add_argument(
        "--encoders",
        action="store_true",
        help="also the networks that compute its features, of those that allow it (timm, sentence encoders)",
    )
    verb = add_verb(kinds, "model", export_model)
    add_path(verb, "model", "folder of the model, results/models/{experiment}")
    add_path(verb, "output", "folder to write")


def _register_serve(verbs: Verbs) -> None:
    verb = add_verb(verbs, "serve", serve)
    verb.add_argument("directory", type=Path, metavar="DIR", help="folder that `mcn run` wrote")
    verb.add_argument("--dataset", help="which data set, where the folder has several (the first)")
    verb.add_argument(
        "--port", type=int, help="port to listen at, 0: any (the first free one from 8000)"
    )
    verb.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen at; any but this machine's own makes the page want a token (127.0.0.1)",
    )


def with_dashed_query(words: Sequence[str]) -> list[str]:
    """The words of a command line; a query that begins with one dash goes to their end, behind `--`.

    All options of `mcn search` but -h have two dashes; numbers below 0 are words to argparse.
    """
    dashed = [one for one in words[1:] if re.match(r"-[^-\d]", one) and one != "-h"]
    if words[:1] != ["search"] or "--" in words or len(dashed) != 1:
        return list(words)
    return [*(one for one in words if one not in dashed), "--", *dashed]


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def run(arguments: Namespace) -> int:
    """Make a folder of videos searchable: speech, pictures, index; run again after files came, went or changed."""
    from mcn.search.run import run

    cores = arguments.cores or len(os.sched_getaffinity(0))
    return run(
        arguments.source,
        arguments.output,
        arguments.configfile,
        cores,
        arguments.encoder,
        not arguments.no_head,
    )


def index(arguments: Namespace) -> None:
    """Embed the windows of the videos of one shard."""
    import torch

    from mcn.layout import Dataset
    from mcn.options.base import parse_options
    from mcn.options.features import RuntimeOptions
    from mcn.options.search import SearchOptions
    from mcn.search.index import index_shard

    options: SearchOptions = parse_options(SearchOptions, arguments.options)
    runtime: RuntimeOptions = parse_options(RuntimeOptions, arguments.runtime)
    if arguments.threads:
        torch.set_num_threads(arguments.threads)
    dataset = Dataset(arguments.dataset, arguments.shard + 1)
    index_shard(
        *(arguments.model, dataset, arguments.shard, options, arguments.output, runtime.device)
    )


def join_index(arguments: Namespace) -> None:
    """Name the parts of an index; above a million windows, bring its approximate index up to date."""
    from mcn.options.base import parse_options
    from mcn.options.search import SearchOptions
    from mcn.search.catalogue import join

    options: SearchOptions = parse_options(SearchOptions, arguments.options)
    join(arguments.index, arguments.shards, options, arguments.threads)


def search(arguments: Namespace) -> int:
    """Find the moments of a folder of videos that fit a text; exit status 1 where there are none."""
    from mcn.search.answers import Answers, Filters
    from mcn.search.folder import downloads_of
    from mcn.search.printing import as_json, as_text, cut_clips, unknown_language

    answers = Answers.open(arguments.directory, arguments.dataset)
    only = ("words", "meaning") if arguments.said else ("seen",) if arguments.seen else None
    sources = only and [one for one in only if one in answers.sources]
    chosen = frozenset(arguments.video) if arguments.video else None
    found = answers.search(
        arguments.query,
        arguments.limit,
        sources or only,
        Filters(video_ids=chosen),
        arguments.one_per_video,
        arguments.weak,
    )
    if arguments.json:
        print(as_json(answers, found))
    else:
        print(as_text(answers, found, arguments.query, sources or answers.sources))
    sys.stdout.flush()  # before the language is detected, which takes half a second
    if warning := unknown_language(answers, arguments.query, sources or answers.sources):
        print(warning, file=sys.stderr)
    if arguments.clip and found:
        count = cut_clips(answers, found, arguments.clip, downloads_of(arguments.directory))
        print(f"{count} clips in {arguments.clip}", file=sys.stderr)
    return 0 if found else 1


def export_index(arguments: Namespace) -> None:
    """Write the windows of an index and their vectors as one table, matrix or faiss index."""
    from mcn.search.export import export_index

    count = export_index(arguments.index, arguments.output, arguments.to, arguments.source)
    print(f"{count} windows in {arguments.output}")


def export_onnx(arguments: Namespace) -> None:
    """Write the towers of a model as ONNX files, which run without PyTorch."""
    from mcn.search.card import settings_of
    from mcn.search.towers import export_onnx

    settings = settings_of(arguments.model)
    count = export_onnx(arguments.model, arguments.output, settings, arguments.encoders)
    print(f"{count} files in {arguments.output}")


def export_model(arguments: Namespace) -> None:
    """Write a model as a folder for a hub: weights, configuration, and a card that says what it is."""
    from mcn.search.card import export_model, settings_of

    export_model(arguments.model, arguments.output, settings_of(arguments.model))


def serve(arguments: Namespace) -> None:
    """Serve a page to search a folder of videos with, and its API; prints its address, ends with Ctrl-C."""
    try:
        from mcn.search.serve.server import serve
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("starlette", "uvicorn"):
            raise
        cure = "pip install 'mcn[serve]'"
        raise UserError(f"no package {error.name}", "the packages of the page", cure) from None
    serve(arguments.directory, arguments.host, arguments.port, arguments.dataset)
