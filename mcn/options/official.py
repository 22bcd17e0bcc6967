"""Where the official files of a published data set lie, and which of them are meant."""

from __future__ import annotations

from typing import Any

from pydantic import Field, field_validator

from mcn.options.base import Options


class OfficialOptions(Options):
    """A published data set in a folder of official files; docs/datasets.md shows the tree of each kind.

    `mcn.sources.official` checks kind, split and captions, since the adapters know which there are.
    """

    kind: str = Field(
        min_length=1,
        description="which data set: howto100m, youcook2, msrvtt, crosstask, mining_youtube, or an adapter of your own "
        "as module:Class, whose file lies beside the configuration",
    )
    directory: str = Field(
        min_length=1,
        description="folder of the official files; videos lie anywhere below its folder `videos`",
    )
    split: str = Field(
        "", description="which of its published selections (docs/datasets.md); empty: the first"
    )
    captions: tuple[str, ...] = Field(
        (),
        description="howto100m: the file or folder of captions, or several files of Multi-HowTo100M, a language each "
        "([how2_en.json, how2_de.json]); empty: the only one that is there",
    )

    @field_validator("captions", mode="before")
    @classmethod
    def _one_is_a_list(cls, given: Any) -> Any:
        return (given,) * bool(given) if isinstance(given, str) else given
