"""Read everything that a run has made, with checksums and digests, and compare the inventories.

For every data set: each shard list must be that of its table of videos; each feature shard that exists is read whole;
it must be of its stream's kind, say itself that it is this shard, hold the videos of its list in order, and have the
recipe of most shards of its stream. Decoded shards that are kept, indexes and tables are read too, and so are seeded
weights, models and scores. Missing feature shards are named. Nothing is changed.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shlex
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from safetensors import SafetensorError
from tqdm import tqdm

from mcn.config.configuration import Configuration
from mcn.config.features import with_sources
from mcn.content import require_seal, require_sealed_sqlite
from mcn.errors import DamagedShard, UserError
from mcn.files import canonical_json, table_batches
from mcn.layout import Dataset
from mcn.media.address import Place
from mcn.media.remote import Downloads
from mcn.networks.checkpoints import CONFIG, WEIGHTS, load_model
from mcn.networks.rows import load_rows_file
from mcn.options.decode import FrameOptions
from mcn.shards import ShardReader
from mcn.shards.origin import require_inputs
from mcn.shards.parts import Parts
from mcn.sources.outside import changed_contents
from mcn.sources.partition import list_text, shard_lists

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
    are read. All data sets lie in one folder, whose weights, models and scores are read too.
    """
    problems: list[Problem] = []
    for dataset in datasets:
        lists = _check_lists(dataset)
        problems += lists
        bad = {problem.path for problem in lists}
        streams = [*_streams(dataset, settings)]
        for stream in tqdm(streams, desc=dataset.name, unit="stream", disable=None):
            problems += _check_stream(dataset, stream, bad)
        problems += _tables(dataset)
    for results in dict.fromkeys(dataset.root.parent for dataset in datasets):
        problems += _weights(results) + _models(results, settings) + _scores(results, settings)
    log.info("%d problems", len(problems))
    return problems


class _Stream(NamedTuple):
    """The shards of a data set in one folder, their kind, and whether they must be there."""

    paths: list[Path]
    kind: str
    required: bool


def _streams(dataset: Dataset, settings: Configuration) -> Iterator[_Stream]:
    wanted = settings.features_of(dataset.name)
    rows = settings.features
    for name in sorted(rows, key=lambda one: len(with_sources(rows, [one]))):
        kind = "text" if rows[name].kind == "text" else "features"
        yield _Stream(dataset.features(name), kind, name in wanted)
    for stream in dict.fromkeys(row.stream for row in settings.features.values()):
        if stream is not None:
            kind = "frames" if isinstance(stream, FrameOptions) else "audio"
            yield _Stream(dataset.paths(stream.folder), kind, False)
    spoken = bool(settings.datasets[dataset.name].transcribe)
    yield _Stream(dataset.paths("speech_account"), "speech", spoken)
    yield _Stream(dataset.paths("meaning"), "windows", False)
    for experiment in settings.experiments:
        index = replace(dataset, root=dataset.root.parent / "index" / experiment)
        yield _Stream(index.paths(dataset.name), "windows", False)


def verify_content(
    datasets: list[Dataset], downloads: Downloads | None = None
) -> list[tuple[Place, str]]:
    """Every video whose bytes are not those that were decoded, and why.

    Each is read whole; of those at addresses the servers are asked.
    """
    lists = [dataset.shard_list(shard) for dataset in datasets for shard in range(dataset.shards)]
    return [
        changed
        for one in tqdm(lists, desc="videos", unit="shard", disable=None)
        if one.exists()
        for changed in changed_contents(one, downloads)
    ]


# Folders, and tables of a data set, in the order in which files are made of each other; other tables come first.
_ORDER = (
    ("shards", "narration"),
    ("vocabulary", "speech", "speech_account"),
    ("decoded",),
    ("weights",),
    ("features",),
    ("models",),
    ("evaluation", "index", "ledger", "words", "meaning"),
)


def cure(problems: Sequence[Problem]) -> str:
    """The commands that make the workflow mend these files and nothing else.

    The files are asked for by name, those first that others are made of, each group in a run of its own: what reads
    them is then compared by checksum, and stays where the new bytes are the old ones. Snakemake notes checksums of
    files up to `max-checksum-file-size` of its profile; what reads a larger file that was mended is made again.
    """
    groups: dict[tuple[int, str], list[str]] = {}
    for path in dict.fromkeys(problem.path for problem in problems):
        level = _level(path)
        feature = path.parent.name if "features" in _ORDER[level - 1] else ""
        groups.setdefault((level, feature), []).append(str(path))
    order = sorted(groups, key=lambda group: group[0])  # of one level, as `verify` came upon them
    lines = [shlex.join(groups[group]) for group in order]
    runs = [f"snakemake --cores N -- {line}" for line in lines]
    return "\n".join([f"rm -f {' '.join(lines)}", *runs, "snakemake --cores N"])


def _level(path: Path) -> int:
    """How many kinds of files may come before this one is made."""
    names = {path.stem, *(folder.name for folder in list(path.parents)[:3])}
    return max((n for n, kinds in enumerate(_ORDER, 1) if names & {*kinds}), default=0)


def _check_lists(dataset: Dataset) -> list[Problem]:
    """Shard lists that are missing, or not those of the table of videos where that can be read."""
    lists = [dataset.shard_list(shard) for shard in range(dataset.shards)]
    problems = [Problem(path, "missing") for path in lists if not path.exists()]
    videos = dataset.table("videos")
    if not videos.exists():
        return problems
    with contextlib.suppress(DamagedShard):  # which is named among the tables
        for shard, rows in enumerate(shard_lists(videos, dataset.shards)):
            path = dataset.shard_list(shard)
            if path.exists() and path.read_bytes() != list_text(rows).encode():
                problems.append(Problem(path, f"not the list of {videos}"))
    return problems


def _check_stream(dataset: Dataset, stream: _Stream, bad_lists: set[Path]) -> list[Problem]:
    problems: list[Problem] = []
    recipes: dict[Path, str] = {}
    silent = 0
    for shard, path in enumerate(stream.paths):
        if not path.exists():
            problems += [Problem(path, "missing")] if stream.required else []
            continue
        shard_list = dataset.shard_list(shard)
        try:
            reader = _read_whole(path, stream.kind, None if shard_list in bad_lists else shard_list)
            recipes[path] = canonical_json(reader.recipe)
            silent += reader.origin is None
        except DamagedShard as error:
            problems.append(Problem(path, error.reason))
        except UserError as error:
            problems.append(Problem(path, error.got))
    if silent:
        words = "%d shards in %s are of an earlier version and do not say what they are"
        log.warning(words, silent, stream.paths[0].parent)
    usual = Counter(recipes.values()).most_common(1)
    reason = "made by another recipe than the other shards"
    return problems + [Problem(p, reason) for p, recipe in recipes.items() if recipe != usual[0][0]]


def _read_whole(path: Path, kind: str, shard_list: Path | None) -> ShardReader:
    """A shard, all of whose rows are whole. Errors: `DamagedShard`, `UserError` for other videos than the list's."""
    reader = ShardReader(path, kind)
    ids: list[str] = []
    for row in reader:
        ids.append(row.get("video_id", ""))
        for value in row.values():
            deque(value if isinstance(value, Parts) else (), maxlen=0)
    if shard_list is None or kind == "windows":
        return reader
    expected = list(pd.read_csv(shard_list, dtype="string", keep_default_na=False).video_id)
    if ids != expected:
        absent, extra = sorted(set(expected) - set(ids)), sorted(set(ids) - set(expected))
        got = f"not the videos of {shard_list}: absent {absent}, extra {extra}"
        raise UserError(got, "its videos, in its order", "delete it and run snakemake again")
    require_inputs(path, reader.origin)
    return reader


TABLES = ("*.parquet", "vocabulary/*.parquet", "speech/*.parquet", "narration/*.parquet")


def _tables(dataset: Dataset) -> list[Problem]:
    paths = [path for pattern in TABLES for path in dataset.root.glob(pattern)]
    words = _damaged(dataset.root.glob("*.sqlite"), require_sealed_sqlite)
    return _damaged(paths, _read_table) + words


def _read_table(path: Path) -> None:
    """Read a table whole. Errors: `DamagedShard`, ValueError."""
    deque(table_batches(path), maxlen=0)
    if not require_seal(path):
        log.warning("%s is of an earlier version and has no digests", path)


def _weights(results: Path) -> list[Problem]:
    """Seeded weights that are not those that were written."""
    return _damaged(results.glob("weights/*.safetensors"), load_rows_file)


def _models(results: Path, settings: Configuration) -> list[Problem]:
    """Models that are not those that were written, and logs of training that do not parse."""
    folders = [results / "models" / name for name in settings.experiments]
    weights = [folder / WEIGHTS for folder in folders if (folder / CONFIG).exists()]
    logs = [folder / "metrics.jsonl" for folder in folders]
    lines = _damaged(
        (path for path in logs if path.exists()),
        lambda path: [json.loads(line) for line in path.read_bytes().splitlines()],
    )
    return _damaged(weights, lambda path: load_model(path.parent)) + lines


def _scores(results: Path, settings: Configuration) -> list[Problem]:
    """Files of scores that do not parse."""
    files = [
        path
        for experiment in settings.experiments
        for path in (results / "evaluation" / experiment).glob("*.json")
    ]
    return _damaged(files, lambda path: json.loads(path.read_bytes()))


def _damaged(paths: Iterable[Path], read: Callable[[Path], Any]) -> list[Problem]:
    """The files, in order of their names, that cannot be read, and why."""
    problems = []
    for path in sorted(paths):
        try:
            read(path)
        except DamagedShard as error:
            problems.append(Problem(path, error.reason))
        except UserError as error:
            problems.append(Problem(path, error.got))
        except (OSError, ValueError, SafetensorError) as error:
            problems.append(Problem(path, f"cannot be read ({error})"))
    return problems
