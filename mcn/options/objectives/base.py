"""What the options of every objective share: fields with units and sources, and what an objective needs of a batch."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

from mcn.options.base import Options, field

Pair = Literal["video_text", "audio_text", "video_audio"]
Modality = Literal["video", "audio", "text"]

MODALITIES: tuple[Modality, ...] = ("video", "audio", "text")
ALL_PAIRS: tuple[Pair, ...] = ("video_text", "audio_text", "video_audio")


class Needs(NamedTuple):
    """What an objective needs of a batch; the collation supplies it.

    modalities: those it trains, and the network has branches for. windows: `lines`: clips around narration lines;
    `random`: anywhere in the video, which then needs no narration. candidates: texts of a clip, its own among them.
    visual_units: equal parts of a clip with a visual vector each; 0: the clip as one. second: another clip of the same
    video for every clip: around another `line`, or the same window moved by `shift_seconds` (least, most).
    """

    modalities: tuple[Modality, ...] = MODALITIES
    windows: Literal["lines", "random"] = "lines"
    candidates: int = 1
    visual_units: int = 0
    second: Literal["none", "line", "shift"] = "none"
    shift_seconds: tuple[float, float] = (0.0, 0.0)


class ObjectiveOptions(Options):
    """Base of the options of every kind of objective.

    implementation: `module:Class` of the objective, which extends `mcn.objectives.objective.Objective`; `kind` of a
    user's own. network: class of the network that is trained; unit_length: its embeddings are L2-normalised
    whatever `model.normalize` says, because the objective is one of cosines.
    """

    implementation: ClassVar[str] = ""
    network: ClassVar[str] = "MultimodalClusteringNetwork"
    unit_length: ClassVar[bool] = False

    @property
    def resolved(self) -> ObjectiveOptions:
        """What the objective is made with: these options, or those of a user's own objective."""
        return self

    @property
    def reconstructs(self) -> bool:
        """Whether the network has heads that reconstruct each modality's features."""
        return False

    @property
    def needs(self) -> Needs:
        """What a batch must hold."""
        return Needs()

    @property
    def network_settings(self) -> dict[str, Any]:
        """Arguments of the network that only this kind has."""
        return {}


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
