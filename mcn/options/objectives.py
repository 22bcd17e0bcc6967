"""Options of objectives, without PyTorch: what all of them share, and what an objective needs of a batch.

Conventions
-----------
- A key that an objective does not have is an error.
- Every field carries its unit and its source. `MCN` is the code released with Multimodal Clustering Networks (ICCV
  2021, arXiv 2104.12671), `paper` its text; `HowTo100M`, `AVLnet`, `Everything at Once` are those systems' released
  code. `unverified` and `recalled` mark values that no source at hand confirms.
- An options class says what its objective needs of a batch and of the network (`needs`), and names the class
  of the objective itself (`implementation`).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple

from mcn.options.base import Options, field

Pair = Literal["video_text", "audio_text", "video_audio"]
Modality = Literal["video", "audio", "text"]

DEFAULT_KIND = "mcn"
OWN_KIND = "module:Class"
CONTRACT = "a class that extends mcn.objectives.objective.Objective"
MODALITIES: tuple[Modality, ...] = ("video", "audio", "text")
ALL_PAIRS: tuple[Pair, ...] = ("video_text", "audio_text", "video_audio")


def kind_of(values: Any) -> str:
    """The kind that a section of the configuration, or its parsed options, names."""
    if isinstance(values, dict):
        return str(values.get("kind", DEFAULT_KIND))
    return str(getattr(values, "kind", DEFAULT_KIND))


def tag_of(values: Any) -> str:
    """`kind_of`, or one name for all that are the user's own."""
    return OWN_KIND if ":" in kind_of(values) else kind_of(values)


class Needs(NamedTuple):
    """What an objective needs of a batch, which the collation supplies, and of the network.

    modalities: those it trains, and the network has branches for. windows: `lines`: clips around narration lines;
    `random`: anywhere in the video, which then needs no narration. candidates: texts of a clip, its own among them.
    visual_units: equal parts of a clip with a visual vector each; 0: the clip as one. units_are_rows: they are rows of
    the visual features instead, at most so many (`mcn.shards.clips.row_tokens`). valid_frames: the network is told
    which log-mel frames are padding whatever `model.mask_padding_audio` says. second: another clip of the same
    video for every clip: around another `line`, or the same window moved by `shift_seconds` (least, most).
    fits_text: texts are not trained; a linear map from them to the embeddings is fitted when training is done.
    rows: modalities whose clips reach the network as the rows of their feature, one after the other, not pooled.
    only_joined: modalities without an embedding of their own.
    reconstructs: the network has heads that reconstruct each modality's features. unit_length: embeddings are
    L2-normalised whatever `model.normalize` says, because the objective is one of cosines. network: class of the
    network that is trained. network_settings: arguments of the network that only this objective has.
    steps: the annotated step that each clip shows. languages: of each clip what is said in every one of them while it
    lasts; only lines in one of them count.
    """

    modalities: tuple[Modality, ...] = MODALITIES
    windows: Literal["lines", "random"] = "lines"
    candidates: int = 1
    visual_units: int = 0
    units_are_rows: bool = False
    valid_frames: bool = False
    second: Literal["none", "line", "shift"] = "none"
    shift_seconds: tuple[float, float] = (0.0, 0.0)
    rows: tuple[Modality, ...] = ()
    fits_text: bool = False
    reconstructs: bool = False
    unit_length: bool = False
    only_joined: tuple[Modality, ...] = ()
    network: str = "MultimodalClusteringNetwork"
    network_settings: Mapping[str, Any] = MappingProxyType({})
    steps: bool = False
    languages: tuple[str, ...] = ()

    @property
    def whole_streams(self) -> bool:
        """Whether the loss looks at pictures or sound of all clips, which several processes then all read."""
        return bool(self.rows or self.visual_units)


class ObjectiveOptions(Options):
    """Base of the options of every kind of objective; `implementation`: `module:Class` of it in `mcn.objectives`."""

    implementation: ClassVar[str] = ""

    @property
    def part(self) -> str:
        """`module:Class` of the objective, which extends `mcn.objectives.objective.Objective`."""
        return f"mcn.objectives.{self.implementation}"

    @property
    def resolved(self) -> ObjectiveOptions:
        """What the objective is made with: these options, or those of a user's own objective."""
        return self

    @property
    def needs(self) -> Needs:
        """What a batch must hold, and what the network must be."""
        return Needs()


class ContrastOptions(ObjectiveOptions):
    """Options of objectives that set the clips of a batch against each other."""

    same_video: Literal["negative", "masked"] = field(
        "negative",
        "two clips of one video: negatives of each other as every published loss has it, though they may overlap or be "
        "the same line; masked: the pair is left out",
        "",
        "negative: MCN, AVLnet, MIL-NCE",
    )


def modalities_of(pairs: tuple[Pair, ...]) -> tuple[Modality, ...]:
    """Modalities that occur in pairs, in the order video, audio, text."""
    return tuple(name for name in MODALITIES if any(name in pair.split("_") for pair in pairs))
