"""Where a data set's published features lie, and in which form."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from mcn.options.base import Options

# features that published files hold, by the layout of a folder; files of clips hold the first ones
LAYOUT_FEATURES = {
    "howto100m": ("resnet152", "resnext101", "logmel"),
    "crosstask": ("i3d", "resnet152", "vggish"),
}
OF_CLIPS = LAYOUT_FEATURES["howto100m"]
IMPORTED = tuple(dict.fromkeys(name for names in LAYOUT_FEATURES.values() for name in names))


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
