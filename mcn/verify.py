"""Read everything that a run has made, with checksums, and compare the inventories.

For every data set: each shard list, each feature shard that exists is read whole; its ids must be those of its shard
list, in order; decoded shards that are kept are read too. Missing feature shards are named. Nothing is changed.
"""

from __future__ import annotations

import logging
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from mcn.errors import DamagedShard, UserError
from mcn.files import read_table
from mcn.layout import DECODED, FEATURES, Dataset
from mcn.shards import ShardReader

log = logging.getLogger(__name__)


def verify(datasets: list[Dataset]) -> list[str]:
    """One line a problem: damaged, missing or inconsistent files of these data sets; empty when all is well."""
    problems: list[str] = []
    read = 0
    for dataset in datasets:
        for path, wanted, shard in tqdm(
            _files(dataset), desc=dataset.name, unit="shard", disable=None
        ):
            if not path.exists():
                problems += [f"{path}: missing"] if wanted else []
                continue
            problems += _check(path, dataset.shard_list(shard))
            read += 1
        problems += _tables(dataset)
    log.info("%d shards read, %d problems", read, len(problems))
    return problems


def _files(dataset: Dataset) -> list[tuple[Path, bool, int]]:
    """(path, is it wanted, shard number) of every shard that may exist."""
    folders = [(f"features/{name}", True) for name in FEATURES]
    folders += [(f"decoded/{name}", False) for name in DECODED]
    return [
        (path, wanted, shard)
        for folder, wanted in folders
        for shard, path in enumerate(dataset.paths(folder))
    ]


def _check(path: Path, shard_list: Path) -> list[str]:
    try:
        ids = [row["video_id"] for row in ShardReader(path)]
    except DamagedShard as error:
        return [f"{path}: {error.reason}"]
    except UserError as error:
        return [error.got]
    expected = list(pd.read_csv(shard_list, dtype="string", keep_default_na=False).video_id)
    if ids != expected:
        absent, extra = sorted(set(expected) - set(ids)), sorted(set(ids) - set(expected))
        return [f"{path}: not the videos of {shard_list}: absent {absent}, extra {extra}"]
    return []


def _tables(dataset: Dataset) -> list[str]:
    problems = []
    for path in sorted(dataset.root.glob("*.parquet")):
        try:
            read_table(path)
        except DamagedShard as error:
            problems.append(f"{path}: {error.reason}")
    return problems
