"""Read everything that a run has made, with checksums, and compare the inventories.

For every data set: each feature shard that exists is read whole; it must be of its stream's kind, its ids those of its
shard list in order, its recipe that of most shards of its stream. Decoded shards that are kept are read too. Missing
feature shards are named. Nothing is changed.
"""

from __future__ import annotations

import logging
import shlex
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from tqdm import tqdm

from mcn.config.configuration import Configuration
from mcn.errors import DamagedShard, UserError
from mcn.files import canonical_json, read_table
from mcn.layout import Dataset
from mcn.options.decode import FrameOptions
from mcn.shards import ShardReader
from mcn.sources.outside import changed_contents

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """A file that is damaged, missing or inconsistent, and why."""

    path: Path
    reason: str

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def verify(datasets: list[Dataset], settings: Configuration) -> list[Problem]:
    """Every file of these data sets that has to be made anew; empty when all is well.

    Shards of features that an experiment reads must be there; of others, and of decoded streams, those that are there
    are read.
    """
    problems: list[Problem] = []
    for dataset in datasets:
        wanted = settings.features_of(dataset.name)
        streams = [
            (f"features/{name}", "text" if row.kind == "text" else "features", name in wanted)
            for name, row in settings.features.items()
        ]
        for stream in dict.fromkeys(row.stream for row in settings.features.values()):
            if stream is not None:
                kind = "frames" if isinstance(stream, FrameOptions) else "audio"
                streams.append((stream.folder, kind, False))
        spoken = bool(settings.datasets[dataset.name].transcribe)
        streams.append(("speech_account", "speech", spoken))
        for folder, kind, required in tqdm(streams, desc=dataset.name, unit="stream", disable=None):
            problems += _check_stream(dataset, folder, kind, required)
        problems += _tables(dataset)
    log.info("%d problems", len(problems))
    return problems


def verify_content(datasets: list[Dataset]) -> list[Problem]:
    """Every video whose bytes are not those that were decoded; each is read whole."""
    lists = [dataset.shard_list(shard) for dataset in datasets for shard in range(dataset.shards)]
    return [
        Problem(path, reason)
        for one in tqdm(lists, desc="videos", unit="shard", disable=None)
        if one.exists()
        for path, reason in changed_contents(one)
    ]


def cure(problems: Sequence[Problem]) -> str:
    """The commands that make the workflow mend these files and nothing else.

    The files are asked for by name first: what reads them is then compared by checksum, and stays where the new bytes
    are the old ones. Snakemake notes checksums of files up to `max-checksum-file-size` of its profile; what reads a
    larger file that was mended is made again.
    """
    files = shlex.join(dict.fromkeys(str(problem.path) for problem in problems))
    return f"rm -f {files}\nsnakemake --cores N -- {files}\nsnakemake --cores N"


def _check_stream(dataset: Dataset, folder: str, kind: str, wanted: bool) -> list[Problem]:
    problems: list[Problem] = []
    recipes: dict[Path, str] = {}
    for shard, path in enumerate(dataset.paths(folder)):
        if not path.exists():
            problems += [Problem(path, "missing")] if wanted else []
            continue
        try:
            recipes[path] = _check(path, kind, dataset.shard_list(shard))
        except DamagedShard as error:
            problems.append(Problem(path, error.reason))
        except UserError as error:
            problems.append(Problem(path, error.got))
    usual = Counter(recipes.values()).most_common(1)
    reason = "made by another recipe than the other shards"
    return problems + [Problem(p, reason) for p, recipe in recipes.items() if recipe != usual[0][0]]


def _check(path: Path, kind: str, shard_list: Path) -> str:
    """Read a shard whole; its recipe. Errors: `DamagedShard`, `UserError` for other videos than the list's."""
    reader = ShardReader(path, kind)
    ids = [row["video_id"] for row in reader]
    expected = list(pd.read_csv(shard_list, dtype="string", keep_default_na=False).video_id)
    if ids != expected:
        absent, extra = sorted(set(expected) - set(ids)), sorted(set(ids) - set(expected))
        got = f"not the videos of {shard_list}: absent {absent}, extra {extra}"
        raise UserError(got, "its videos, in its order", "delete it and run snakemake again")
    return canonical_json(reader.recipe)


def _tables(dataset: Dataset) -> list[Problem]:
    problems = []
    for path in sorted(
        path
        for pattern in ("*.parquet", "vocabulary/*.parquet", "speech/*.parquet")
        for path in dataset.root.glob(pattern)
    ):
        try:
            read_table(path)
        except DamagedShard as error:
            problems.append(Problem(path, error.reason))
    return problems
