"""Try the failed rows of a data set again, and merge what has changed into its shards.

Conventions
-----------
- What is tried again: the rows of quarantine.csv, by stream. The videos of one shard are decoded and extracted as a
  small shard of their own, by the very stages of the workflow; a video's bytes do not depend on its neighbours, so
  the merged shard is, byte for byte, the one that would have been made had the video worked at once.
- Merging: the new rows take the place of the old ones in a new file, which is renamed over the old one. Both must have
  the same recipe: a shard of another recipe has to be made anew as a whole, by snakemake.
- Shards whose rows come out as they were are not touched. Decoded shards that are kept are merged before the features
  made of them, so that snakemake sees nothing out of date but what follows: models, scores, ledger.
- Narration (word2vec) has no rows to retry: mend the file, and snakemake reads it again.
"""

from __future__ import annotations

import csv
import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mcn.config.configuration import Configuration
from mcn.config.features import Stream, decoded_stream, with_sources
from mcn.errors import UserError
from mcn.features.extraction import extract
from mcn.features.registry import make_extractor
from mcn.files import csv_text, scratch_folder, write_text
from mcn.layout import Dataset
from mcn.media.decode import decode
from mcn.media.remote import Downloads
from mcn.shards import ShardReader, ShardWriter
from mcn.shards.made_by import read_record
from mcn.shards.schemas import SCHEMAS
from mcn.sources.partition import shard_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Outcome:
    """Rows tried again in all streams of a data set, and those of them that are `ok` now."""

    tried: int = 0
    mended: int = 0

    def __add__(self, other: Outcome) -> Outcome:
        return Outcome(self.tried + other.tried, self.mended + other.mended)


def retry(results: Path, settings: Configuration, threads: int = 0) -> Outcome:
    """Retry every data set below `results` whose features are extracted here. threads: 0 is PyTorch's choice.

    Errors: `UserError` where a data set has no quarantine.csv yet, or its shards are of another recipe.
    """
    total = Outcome()
    for name, options in settings.datasets.items():
        if options.published_features is None:
            dataset = Dataset(results / name, options.shards)
            total += retry_dataset(dataset, settings, results / "weights", threads)
    return total


def retry_dataset(
    dataset: Dataset, settings: Configuration, seeded: Path, threads: int = 0
) -> Outcome:
    """Retry one data set. seeded: folder of the seeded weights."""
    total = Outcome()
    for shard, failed in sorted(_failures(dataset, settings).items()):
        with scratch_folder("retry", dataset.root) as scratch:
            work = _Work(dataset, shard, settings, seeded, threads, scratch)
            for streams in settings.decode_passes().values():
                features = _made_of(settings, streams, {stream for _, stream in failed})
                videos = sorted({video for video, stream in failed if stream in features})
                if videos:
                    total += work.again(streams, features, videos)
    log.info("%s: %d rows tried again, %d of them ok now", dataset.name, total.tried, total.mended)
    return total


def _made_of(settings: Configuration, streams: Sequence[Stream], failed: set[str]) -> list[str]:
    """Features that are made of a decoding pass and are used, or have failed rows; sources before what reads them."""
    rows = settings.features
    wanted = set(settings.used_features()) | set(with_sources(rows, failed))
    found = [name for name in rows if name in wanted and decoded_stream(rows, name) in streams]
    return sorted(found, key=lambda name: len(with_sources(rows, [name])))


def _failures(dataset: Dataset, settings: Configuration) -> dict[int, list[tuple[str, str]]]:
    """Shard number -> (video, stream) of the rows of quarantine.csv."""
    path = dataset.root / "quarantine.csv"
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError as error:
        cure = f"snakemake --cores N {dataset.table('ledger')}"
        raise UserError(f"no {path}", "the account of a finished run", cure) from error
    failed = defaultdict(list)
    for row in rows:
        feature = settings.features.get(row["stream"])
        if feature is not None and feature.kind != "text":
            failed[shard_of(row["video_id"], dataset.shards)].append(
                (row["video_id"], row["stream"])
            )
        else:
            cure = "mend its narration file"
            if row["stream"] == "speech":
                shard = shard_of(row["video_id"], dataset.shards)
                cure = f"rm {dataset.paths('speech_account')[shard]}, then snakemake --cores N"
            log.warning("%s: %s is not retried: %s", row["video_id"], row["stream"], cure)
    return failed


@dataclass(frozen=True)
class _Work:
    """The videos of one shard, worked on in `scratch`."""

    dataset: Dataset
    shard: int
    settings: Configuration
    seeded: Path
    threads: int
    scratch: Path

    def again(
        self, streams: Sequence[Stream], features: Sequence[str], videos: list[str]
    ) -> Outcome:
        """Decode and extract `videos`, and merge decoded streams and features, in that order."""
        made = [self._made(stream.folder) for stream in streams]
        downloads = Downloads(self.settings.downloads)
        decode(self._list(videos), streams, made, self.settings.decode, downloads)
        for feature in features:
            self._extract(feature)
        for stream, addition in zip(streams, made, strict=True):
            if self._kept(stream.folder).exists():
                merge(self._kept(stream.folder), addition)
        total = Outcome()
        for feature in features:
            kept = self._kept(f"features/{feature}")
            if kept.exists():
                total += merge(kept, self._made(f"features/{feature}"))
        return total

    def _list(self, videos: list[str]) -> Path:
        """The shard's list, cut to `videos`."""
        with open(self.dataset.shard_list(self.shard), encoding="utf-8", newline="") as file:
            head, *rows = list(csv.reader(file))
        path = self.scratch / "videos.csv"
        write_text(path, csv_text([head, *(row for row in rows if row[0] in videos)]))
        return path

    def _extract(self, feature: str) -> None:
        row = self.settings.features[feature]
        assert row.reads is not None
        weights = str(self.seeded / f"{feature}.safetensors") if row.is_seeded else ""
        extractor = make_extractor(feature, row, weights, self.settings.runtime, self.threads)
        extract(self._made(row.reads.folder), self._made(f"features/{feature}"), extractor)

    def _made(self, folder: str) -> Path:
        return self.scratch / folder / "shard.parquet"

    def _kept(self, folder: str) -> Path:
        return self.dataset.paths(folder)[self.shard]


def merge(shard: Path, addition: Path) -> Outcome:
    """Put the rows of `addition` in the place of the same videos' rows in `shard`; nothing is written if none differs.

    Errors: `UserError` where the recipes differ; `DamagedShard`.
    """
    old, new = ShardReader(shard), ShardReader(addition)
    if (old.kind, old.recipe) != (new.kind, new.recipe):
        raise UserError(
            f"{shard} was made by another recipe (options, weights or libraries) than is in force now",
            "the same recipe",
            f"make the whole shard anew: rm {shard}, then snakemake --cores N",
        )
    rows = {row["video_id"]: row for row in new}
    places = {video_id: index for index, video_id in enumerate(old.video_ids)}
    changed = any(old.read(places[video_id]) != row for video_id, row in rows.items())
    if changed:
        inputs = old.origin.inputs if old.origin else ""
        record = read_record(shard)
        with ShardWriter(shard, SCHEMAS[old.kind], old.recipe, record, inputs) as writer:
            for video_id, index in places.items():
                writer.write(rows[video_id] if video_id in rows else old.read(index))
    old.close()
    new.close()
    return Outcome(len(rows), sum(row["status"] == "ok" for row in rows.values()))
