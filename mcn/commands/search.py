"""Verbs from features to answers: index, join-index, search."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path

from mcn.commands.verbs import Verbs, add_verb

OPTIONS = "mcn.options.search:SearchOptions"


def register(verbs: Verbs) -> None:
    """Add the parsers of this group."""
    verb = add_verb(verbs, "index", index, OPTIONS, runtime=True)
    verb.add_argument("model", type=Path, help="folder of the model")
    verb.add_argument("dataset", type=Path, help="results/{dataset}")
    verb.add_argument("output", type=Path, help="part to write, .parquet")
    verb.add_argument("--shard", type=int, required=True, help="number of the shard, from 0")

    verb = add_verb(verbs, "join-index", join_index, OPTIONS)
    verb.add_argument("index", type=Path, help="results/index/{experiment}/{dataset}")
    verb.add_argument("--shards", type=int, required=True, help="number of parts")
    verb.add_argument("--threads", type=int, default=0, help="processor threads, 0: all (default)")


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
    from mcn.search.index import join

    options: SearchOptions = parse_options(SearchOptions, arguments.options)
    join(arguments.index, arguments.shards, options, arguments.threads)
