"""Options of the objectives with parts of a clip or networks of their own: fusion transformer, frame-word similarity,
captioning from a support set."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import model_validator

from mcn.options.base import Options, field
from mcn.options.objectives import ContrastOptions, Needs

ABLATIONS = ("shared_projection", "class_token", "positions", "transformer_per_modality")


class CombinationWeights(Options):
    """Weight of each pair of (joined) modalities: t text, v video, a audio."""

    t_v: float = field(1.0, "text and video", "", "Everything at Once", ge=0)
    t_a: float = field(0.1, "text and audio", "", "Everything at Once", ge=0)
    v_a: float = field(0.1, "video and audio", "", "Everything at Once", ge=0)
    t_va: float = field(0.1, "text and video with audio", "", "Everything at Once", ge=0)
    v_ta: float = field(0.1, "video and text with audio", "", "Everything at Once", ge=0)
    a_tv: float = field(0.1, "audio and text with video", "", "Everything at Once", ge=0)


class EverythingAtOnceOptions(ContrastOptions):
    """Combinatorial loss over single and joined modalities, with a fusion transformer (Shvetsova et al. 2022)."""

    implementation: ClassVar[str] = "everything_at_once:EverythingAtOnceObjective"

    kind: Literal["everything_at_once"]
    variant: Literal["ours", "released"] = field(
        "ours",
        "tokens and network: of our own making, with the branches that all objectives have; or released: rows of the "
        "visual features, columns of the audio network and words, each through a gated unit of its own, and a learned "
        "token for what a clip lacks",
        "",
        "released: Everything at Once fusion_model.py",
    )
    weights: CombinationWeights = CombinationWeights()
    temperature: float = field(0.05, "divisor of the cosines", "", "Everything at Once", gt=0)
    visual_tokens: int = field(
        12,
        "equal parts of a clip, a token each; `released`: the first rows of a clip's visual features",
        "tokens",
        "Everything at Once: 8 s x 1.5",
        ge=1,
    )
    audio_columns_per_token: int = field(
        4,
        "ResDAVEnet columns (16 frames each) that are averaged to a token; `released`: a column is a token",
        "columns",
        "4: a token every 64 frames, Everything at Once",
        ge=1,
    )
    fusion_width: int = field(
        4096, "width of the transformer", "numbers", "Everything at Once", ge=1
    )
    fusion_heads: int = field(64, "attention heads", "heads", "Everything at Once", ge=1)
    fusion_mlp_ratio: float = field(
        1.0, "hidden width of its perceptron over its width", "", "Everything at Once", gt=0
    )
    fusion_layers: int = field(1, "transformer blocks", "blocks", "Everything at Once", ge=0)
    shared_projection: bool = field(
        False,
        "`released`: one last gated unit for all modalities",
        "",
        "Everything at Once; true: its ablation shared_final_proj.yaml",
        strict=True,
    )
    class_token: bool = field(
        False,
        "`released`: the output of a learned class token is the embedding; with shared_projection alone",
        "",
        "Everything at Once; true: its ablation cls_token.yaml",
        strict=True,
    )
    positions: tuple[int, int, int] | None = field(
        None,
        "`released`: so many tokens of video, text and audio have learned positions; null: none",
        "tokens",
        "Everything at Once; its configurations pos_*.yaml: 12, 20, 12",
    )
    transformer_per_modality: bool = field(
        False,
        "`released`: a transformer for each modality, none for several; weights of joined modalities are then 0",
        "",
        "Everything at Once; true: its ablation singe_mod_tr_per_mod.yaml",
        strict=True,
    )

    @model_validator(mode="after")
    def _of_the_released_network(self) -> Self:
        named = [name for name in ABLATIONS if getattr(self, name)]
        if named and self.variant != "released":
            raise ValueError(f"{', '.join(named)}: for variant released alone")
        if self.class_token and not self.shared_projection:
            raise ValueError("class_token without shared_projection")
        joined = self.weights.t_va + self.weights.v_ta + self.weights.a_tv
        if self.transformer_per_modality and joined:
            raise ValueError("transformer_per_modality with weights of joined modalities above 0")
        if self.positions and min(self.positions) < 1:
            raise ValueError("positions of less than one token")
        return self

    @property
    def needs(self) -> Needs:
        released = self.variant == "released"
        settings: dict[str, Any] = {
            "visual_units": self.visual_tokens,
            "fusion_width": self.fusion_width,
            "fusion_heads": self.fusion_heads,
            "fusion_mlp_ratio": self.fusion_mlp_ratio,
            "fusion_layers": self.fusion_layers,
        }
        if not released:
            settings["audio_columns_per_token"] = self.audio_columns_per_token
        else:
            settings |= {name: getattr(self, name) for name in ABLATIONS}
        return Needs(
            visual_units=self.visual_tokens,
            units_are_rows=released,
            valid_frames=released,
            unit_length=True,
            network="EverythingAtOnceNetwork" if released else "FusionNetwork",
            network_settings=settings,
        )


class FineGrainedOptions(ContrastOptions):
    """Frame-word similarity with attention and weighted pairs: our reading of Wang & Karout 2021."""

    implementation: ClassVar[str] = "fine_grained:FineGrainedObjective"

    kind: Literal["fine_grained"]
    visual_units: int = field(
        8, "equal parts of a clip, a vector each", "units", "our reading", ge=1
    )
    attention_temperature: float = field(
        0.1, "divisor of the cosines in the attention", "", "our reading", gt=0
    )
    temperature: float = field(
        0.05, "divisor of the similarities in the loss", "", "as norm_softmax; our reading", gt=0
    )
    weigh_pairs: bool = field(
        True,
        "true pairs whose words attend to no frame in particular weigh less",
        "",
        "our reading of 'attention lowers noisy pairs'",
        strict=True,
    )

    @property
    def needs(self) -> Needs:
        return Needs(
            ("video", "text"),
            visual_units=self.visual_units,
            unit_length=True,
            network="UnitNetwork",
            network_settings={"visual_units": self.visual_units},
        )


class SupportSetOptions(ContrastOptions):
    """Contrast and captions written from the videos of the batch (Patrick et al. 2021)."""

    implementation: ClassVar[str] = "support_set:SupportSetObjective"

    kind: Literal["support_set"]
    attention: Literal["none", "identity", "full", "cross", "hybrid"] = field(
        "cross",
        "which videos a caption is written from: its own (identity), all (full), all but its own (cross), the average "
        "of own and all (hybrid); none: contrast alone",
        "",
        "Patrick et al. 2021",
    )
    margin: float = field(0.2, "margin of the hinge", "cosine", "unverified", ge=0)
    caption_weight: float = field(1.0, "weight of the caption loss", "", "unverified", ge=0)
    attention_temperature: float = field(
        0.1, "divisor of the cosines in the attention", "", "unverified", gt=0
    )
    decoder_width: int = field(
        512, "width of the recurrent decoder; the paper's is a transformer", "numbers", "ours", ge=1
    )

    @property
    def needs(self) -> Needs:
        return Needs(("video", "text"), unit_length=True)
