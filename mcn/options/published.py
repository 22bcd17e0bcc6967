"""Where the official files of a published data set lie, or features that others extracted of it, and in which form."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from mcn.options.base import Options

# features that published files hold, by the layout of a folder; files of clips hold the first ones
LAYOUT_FEATURES = {
    "howto100m": ("resnet152", "resnext101", "logmel"),
    "crosstask": ("i3d", "resnet152", "vggish"),
}
OF_CLIPS = LAYOUT_FEATURES["howto100m"]
IMPORTED = tuple(dict.fromkeys(name for names in LAYOUT_FEATURES.values() for name in names))


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


class PublishedFeatures(Options):
    """Features that others extracted, read instead of decoding videos: a folder of files, or one file of clips."""

    directory: str | None = Field(
        None,
        description="folder of one file a video and stream (ID_2d.npz, ID_3d.npz, ID_spec.npz), or of ID.npy of "
        "CrossTask",
    )
    audio_directory: str | None = Field(
        None,
        description="folder of the files of sound, where they lie apart (--features_path_audio); null: `directory`",
    )
    layout: Literal["howto100m", "crosstask"] = Field(
        "howto100m",
        description="how the files of `directory` are named and shaped; crosstask: arrays of 3,200 columns, a row a "
        "second, which hold the features i3d, resnet152 and vggish (CrossTask README)",
    )
    clips: str | None = Field(
        None, description="pickle of clips of AVLnet or MCN, or Miech's MSRVTT .pth"
    )

    rows: Literal["pooled", "full"] = Field(
        "pooled",
        description="`clips`: one row for each clip and feature, the maximum (MCN, AVLnet, HowTo100M loaders), or all"
        " its rows (`2d_full`, `3d_full` of YouCook2, `2d`, `3d` of MSR-VTT), which clips lack that have "
        "none (Everything at Once loaders)",
    )

    @model_validator(mode="after")
    def _one_source(self) -> PublishedFeatures:
        if (self.directory is None) == (self.clips is None):
            raise ValueError("give either directory or clips")
        if self.audio_directory and self.directory is None:
            raise ValueError("audio_directory stands beside directory, not beside clips")
        if self.layout == "crosstask" and (self.clips or self.audio_directory):
            raise ValueError("layout: crosstask is one directory with all features")
        if self.rows == "full" and self.clips is None:
            raise ValueError("rows: full stands beside clips; a directory has all rows as it is")
        return self

    @property
    def features(self) -> tuple[str, ...]:
        """The features that the files hold."""
        return LAYOUT_FEATURES[self.layout]
