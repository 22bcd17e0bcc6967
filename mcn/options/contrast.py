"""Options of the objectives that contrast one vector a clip and modality: max-margin, MIL-NCE, NCE, AVLnet, NT-Xent."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from mcn.options.base import LanguageCode, field
from mcn.options.objectives import (
    ALL_PAIRS,
    ContrastOptions,
    Needs,
    ObjectiveOptions,
    Pair,
    modalities_of,
)

View = Literal["video_video", "audio_audio", "text_text", "video_text", "audio_text", "video_audio"]


class MaxMarginOptions(ContrastOptions):
    """Max-margin ranking of cosines (Miech et al. 2019)."""

    implementation: ClassVar[str] = "max_margin:MaxMarginObjective"

    kind: Literal["max_margin"]
    pairs: tuple[Pair, ...] = field(
        ("video_text",), "pairs of modalities that are ranked", "", "HowTo100M", min_length=1
    )
    margin: float = field(0.1, "margin of the hinge", "cosine", "HowTo100M --margin", ge=0)
    hard_negative_rate: float = field(
        0.5,
        "weight of the pairs inside a video",
        "",
        "HowTo100M --hard_negative_rate",
        ge=0,
        le=1,
    )

    @property
    def needs(self) -> Needs:
        return Needs(modalities_of(self.pairs), unit_length=True)


class MilNceOptions(ContrastOptions):
    """MIL-NCE: a clip against the texts around it, one of which may fit (Miech et al. 2020)."""

    implementation: ClassVar[str] = "mil_nce:MilNceObjective"

    kind: Literal["mil_nce"]
    candidates: int = field(
        4,
        "texts of a clip: its own, then the nearest lines beside it that have a known word",
        "texts",
        "4: MIL-NCE_HowTo100M README; the paper's number unverified",
        ge=1,
    )

    @property
    def needs(self) -> Needs:
        return Needs(("video", "text"), candidates=self.candidates)


class NormSoftmaxOptions(ContrastOptions):
    """Normalised softmax, also NCE: cross-entropy of cosines in both directions."""

    implementation: ClassVar[str] = "norm_softmax:NormSoftmaxObjective"

    kind: Literal["norm_softmax"]
    pairs: tuple[Pair, ...] = field(
        ALL_PAIRS, "pairs of modalities that are contrasted", "", "Everything at Once", min_length=1
    )
    temperature: float = field(0.05, "divisor of the cosines", "", "Everything at Once", gt=0)

    @property
    def needs(self) -> Needs:
        return Needs(modalities_of(self.pairs), unit_length=True)


class SupervisedOptions(ObjectiveOptions):
    """Masked margin softmax whose positives are all clips of the same annotated step: an upper bound of grouping."""

    implementation: ClassVar[str] = "supervised:SupervisedObjective"

    kind: Literal["supervised"]
    pairs: tuple[Pair, ...] = field(
        ALL_PAIRS, "pairs of modalities that are contrasted", "", "as MCN", min_length=1
    )
    margin: float = field(0.001, "margin of the contrast", "logits", "as MCN", ge=0)

    @property
    def needs(self) -> Needs:
        return Needs(modalities_of(self.pairs), steps=True)


class MultilingualNceOptions(ContrastOptions):
    """Multilingual NCE: clips and texts in several languages (Huang et al. 2021); terms published, formula ours."""

    implementation: ClassVar[str] = "multilingual_nce:MultilingualNceObjective"

    kind: Literal["multilingual_nce"]
    languages: tuple[LanguageCode, ...] = field(
        ("en", "de", "fr", "cs", "zh", "ru", "vi", "sw", "es"),
        "languages of the texts; lines in others take no part",
        "",
        "the nine of Multi-HowTo100M",
        min_length=1,
    )
    pairs: tuple[Pair, ...] = field(
        ("video_text",),
        "pairs of modalities of the inter-modal term; text is that of every language",
        "",
        "video_text: Huang et al. 2021",
        min_length=1,
    )
    temperature: float = field(0.05, "divisor of the cosines", "", "ours, as norm_softmax", gt=0)
    inter_modal_weight: float = field(1.0, "weight of the inter-modal term", "", "unverified", ge=0)
    cross_lingual_weight: float = field(
        1.0, "weight of the cross-lingual term", "", "unverified", ge=0
    )
    intra_modal_weight: float = field(1.0, "weight of the intra-modal term", "", "unverified", ge=0)

    @model_validator(mode="after")
    def _can_be_computed(self) -> MultilingualNceOptions:
        if len(set(self.languages)) != len(self.languages):
            raise ValueError(f"languages: one twice in {', '.join(self.languages)}")
        if not any("text" in pair for pair in self.pairs):
            raise ValueError("pairs: none with text, and the languages are those of texts")
        if not self.inter_modal_weight + self.cross_lingual_weight + self.intra_modal_weight:
            raise ValueError("every weight is 0")
        if not self.inter_modal_weight + self.intra_modal_weight and len(self.languages) < 2:
            raise ValueError("cross_lingual_weight alone, and one language")
        return self

    @property
    def needs(self) -> Needs:
        second: Literal["line", "none"] = "line" if self.intra_modal_weight else "none"
        modalities = modalities_of(self.pairs)
        return Needs(modalities, second=second, unit_length=True, languages=self.languages)


class AvlnetOptions(ContrastOptions):
    """AVLnet: masked margin softmax of sound and pictures, with or without text (Rouditchenko et al. 2021)."""

    implementation: ClassVar[str] = "avlnet:AvlnetObjective"

    kind: Literal["avlnet"]
    text: Literal["none", "tri", "fused", "summed"] = field(
        "none",
        "none: audio and video alone; tri: all three pairs; fused: video against audio + text; summed: text against "
        "audio + video, which Tri is fine-tuned by",
        "",
        "AVLnet training.md; summed: --fuse_videoaudio_additive",
    )
    variant: Literal["ours", "released"] = field(
        "ours",
        "of text fused: ours adds the embeddings of sound and text; released joins them before their last gate, so "
        "that neither has an embedding of its own",
        "",
        "released: AVLnet model.py --tri_modal_fuse=1",
    )
    margin: float = field(0.001, "margin of the contrast", "logits", "AVLnet loss.py", ge=0)
    windows: Literal["random", "lines"] = field(
        "random",
        "where clips without text are taken: anywhere in the video, or around narration lines like all other "
        "objectives' (with text: lines)",
        "",
        "random: AVLnet --random_audio_windows=1",
    )

    @property
    def needs(self) -> Needs:
        if self.text == "none":
            return Needs(("video", "audio"), windows=self.windows)
        if self.text == "fused" and self.variant == "released":
            return Needs(only_joined=("audio", "text"), network="FusedSoundTextNetwork")
        return Needs()


class NtXentOptions(ContrastOptions):
    """SimCLR's NT-Xent between two views: two windows of one video, or two modalities of one clip."""

    implementation: ClassVar[str] = "nt_xent:NtXentObjective"

    kind: Literal["nt_xent"]
    views: tuple[View, ...] = field(
        ("video_video",),
        "pairs of views: a modality twice means two windows of one video, two modalities mean one clip. A modality "
        "that is in no pair is not trained",
        "",
        "our adaptation of SimCLR to narrated videos",
        min_length=1,
    )
    temperature: float = field(
        0.1, "divisor of the cosines", "", "SimCLR on ImageNet, recalled", gt=0
    )
    projection_width: int | None = field(
        128,
        "width of the two-layer head that the loss sees instead of the embedding; null: no head",
        "numbers",
        "SimCLR, recalled",
        ge=1,
    )

    @property
    def needs(self) -> Needs:
        named = {name for pair in self.views for name in pair.split("_")}
        modalities = tuple(name for name in Needs().modalities if name in named)
        twice = any(len(set(pair.split("_"))) == 1 for pair in self.views)
        return Needs(modalities, second="line" if twice else "none", unit_length=True)
