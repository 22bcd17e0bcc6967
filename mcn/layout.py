"""Where the files of a run lie, in one place: the workflow and the command line agree on these names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from mcn.errors import UserError


def vocabulary_file(feature: str) -> str:
    """The word vectors of a text feature, below the folder of a data set."""
    return "vocabulary.parquet" if feature == "word2vec" else f"vocabulary/{feature}.parquet"


def placed(path: str, results: Path | str) -> str:
    """Where a file that a configuration names lies: what is below `results/` is below the folder of results."""
    parts = Path(path).parts
    return str(Path(results, *parts[1:])) if parts[:1] == ("results",) else path


@dataclass(frozen=True)
class ModelShards:
    """Shards of one data set that a model reads: feature -> its shards, for each modality, and the word vectors.

    video: in the order of the clip vector. audio, text: one feature at most. vocabulary: None without text.
    """

    video: Mapping[str, Sequence[Path]]
    audio: Mapping[str, Sequence[Path]]
    text: Mapping[str, Sequence[Path]]
    vocabulary: Path | None


@dataclass(frozen=True)
class Dataset:
    """Files of one data set below `root` (results/{dataset}), split into `shards` shards, counted from `first`."""

    root: Path
    shards: int
    first: int = 0

    @classmethod
    def at(cls, root: Path) -> Dataset:
        """The data set at `root`, its shards counted; `UserError` where it has none."""
        shards = len(list((root / "shards").glob("[0-9]" * 5 + ".csv")))
        if not shards:
            cure = "snakemake --cores N partition"
            raise UserError(f"no shard lists below {root}/shards", "a partitioned data set", cure)
        return cls(root, shards)

    @property
    def name(self) -> str:
        return self.root.name

    def table(self, name: str) -> Path:
        """videos, narration, captions, tasks, steps, vocabulary or ledger."""
        return self.root / f"{name}.parquet"

    def features(self, feature: str) -> list[Path]:
        """Every shard of one feature, in order."""
        return self.paths(f"features/{feature}")

    def all_features(self, names: Iterable[str] | None = None) -> dict[str, list[Path]]:
        """Feature -> every shard of it. names: default: those that have a folder, in the order of their names."""
        if names is None:
            names = sorted(path.name for path in (self.root / "features").glob("*"))
        return {feature: self.features(feature) for feature in names}

    def model_shards(
        self, video: Sequence[str], audio: str | None, text: str | None
    ) -> ModelShards:
        """The shards that a model of these features reads."""
        named = [*video], [audio] if audio else [], [text] if text else []
        visual, sound, texts = ({name: self.features(name) for name in one} for one in named)
        return ModelShards(visual, sound, texts, self.vocabulary(text) if text else None)

    def vocabulary(self, feature: str) -> Path:
        """The word vectors of a text feature."""
        return self.root / vocabulary_file(feature)

    def decoded(self, stream: str) -> list[Path]:
        """Every shard of one decoded stream (frames_1fps, frames_24fps, audio_16khz), in order."""
        return self.paths(f"decoded/{stream}")

    def shard_list(self, shard: int) -> Path:
        return self.root / "shards" / f"{shard:05d}.csv"

    def only(self, shard: int) -> Dataset:
        """The data set as if it had this shard alone."""
        return replace(self, first=shard, shards=1)

    def paths(self, folder: str) -> list[Path]:
        """Every shard in a folder of the data set, in order."""
        numbers = range(self.first, self.first + self.shards)
        return [self.root / folder / f"{shard:05d}.parquet" for shard in numbers]
