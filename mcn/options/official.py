"""What the import of a published data set can be told."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from mcn.options.base import Options
from mcn.sources.catalogue import HOWTO100M_CAPTIONS, KINDS, Split, found


class OfficialOptions(Options):
    """A published data set in a folder of official files; docs/datasets.md shows the tree of each kind."""

    kind: Literal["howto100m", "youcook2", "msrvtt", "crosstask", "mining_youtube"] = Field(
        description="which data set"
    )
    directory: str = Field(
        min_length=1,
        description="folder of the official files; videos lie anywhere below its folder `videos`",
    )
    split: str = Field(
        "",
        description="which of its published selections; empty: the first of "
        + "; ".join(f"{kind}: {', '.join(one.splits)}" for kind, one in KINDS.items()),
    )
    captions: str = Field(
        "",
        description="howto100m: the file or folder of captions; empty: the only one of "
        f"{', '.join(HOWTO100M_CAPTIONS)} that is there",
    )

    @model_validator(mode="after")
    def _known(self) -> OfficialOptions:
        splits = KINDS[self.kind].splits
        if self.split not in ("", *splits):
            raise ValueError(f"split {self.split!r} of {self.kind}; known: {', '.join(splits)}")
        if self.captions and self.captions not in HOWTO100M_CAPTIONS:
            raise ValueError(f"captions {self.captions!r}; known: {', '.join(HOWTO100M_CAPTIONS)}")
        if self.captions and self.kind != "howto100m":
            raise ValueError(f"captions is for howto100m, {self.kind} has its own")
        return self

    @property
    def folder(self) -> Path:
        return Path(self.directory)

    @property
    def split_name(self) -> str:
        """The split, the default filled in."""
        return self.split or next(iter(KINDS[self.kind].splits))

    @property
    def benchmark(self) -> str:
        """The kind, where this is its first split, which published tables are about; '' for other splits."""
        return self.kind if self.split_name == next(iter(KINDS[self.kind].splits)) else ""

    @property
    def selection(self) -> Split:
        """The official files of the split."""
        split = KINDS[self.kind].splits[self.split_name]
        if not self.captions:
            return split
        needs = [(self.captions,) if one == HOWTO100M_CAPTIONS else one for one in split.needs]
        return Split(tuple(needs), split.helps)

    def file(self, need: int) -> Path:
        """The file or folder of a need of the split: the first of its alternatives that is there."""
        return found(self.folder, self.selection.needs[need])[0]

    def files(self) -> list[Path]:
        """Official files and folders that are there and that the import reads."""
        selection = self.selection
        needed = [path for one in selection.needs for path in found(self.folder, one)[:1]]
        return list(dict.fromkeys([*needed, *found(self.folder, selection.helps)]))
