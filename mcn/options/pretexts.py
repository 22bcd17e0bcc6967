"""Options of the objectives that learn from one modality alone, from the order of the rows of one feature, and of those
that ask whether a sound belongs to a picture."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import model_validator

from mcn.options.base import field
from mcn.options.objectives import Needs, ObjectiveOptions


class PretextOptions(ObjectiveOptions):
    """What objectives on the sequences of one feature share. context: what stands over the latents of the rows."""

    context: ClassVar[Literal["none", "gru", "transformer"]] = "none"

    modality: Literal["video", "audio"] = field(
        "video", "whose feature's rows are learned from; the model names one feature of it", "", ""
    )
    windows: Literal["random", "lines"] = field(
        "random",
        "where the sequences are taken: anywhere in the video, training.min_clip_seconds long, or around narration "
        "lines",
        "",
        "random: none of the papers has narration",
    )

    @property
    def network(self) -> dict[str, Any]:
        """Arguments of the network that only this objective has."""
        return {"context": self.context}

    @property
    def needs(self) -> Needs:
        return Needs(
            (self.modality,),
            windows=self.windows,
            rows=(self.modality,),
            fits_text=True,
            network="SequenceNetwork",
            network_settings=self.network,
        )


class CpcOptions(PretextOptions):
    """Contrastive predictive coding: latents of later rows predicted from a context (van den Oord et al. 2018)."""

    implementation: ClassVar[str] = "cpc:CpcObjective"
    context = "gru"

    kind: Literal["cpc"]
    predicted_rows: int = field(
        4,
        "rows ahead that are predicted, 1 to this many",
        "rows",
        "12 of 10 ms: CPC on speech",
        ge=1,
    )
    negatives: Literal["clips", "times", "both"] = field(
        "both",
        "latents that the true one is told from: those of the other clips at the same place, those of other places of "
        "the same clip, or both",
        "",
        "CPC: drawn from the batch; which: our reading",
    )


class MaskedPredictionOptions(PretextOptions):
    """Masked rows told from other masked rows of the clip, in wav2vec 2.0's manner (Baevski et al. 2020)."""

    implementation: ClassVar[str] = "masked_prediction:MaskedPredictionObjective"
    context = "transformer"

    kind: Literal["masked_prediction"]
    mask_share: float = field(
        0.1,
        "rows that a masked span starts at, over all rows; one span at least",
        "",
        "0.065: wav2vec 2.0",
        gt=0,
        le=1,
    )
    mask_rows: int = field(
        3, "rows of a masked span; spans may overlap", "rows", "10 of 20 ms: wav2vec 2.0", ge=1
    )
    distractors: int = field(
        100,
        "other masked rows of the clip that the true one is told from, at most",
        "rows",
        "wav2vec 2.0",
        ge=1,
    )
    temperature: float = field(0.1, "divisor of the cosines", "", "wav2vec 2.0", gt=0)
    projection_width: int = field(
        256, "width in which contexts and targets are compared", "numbers", "wav2vec 2.0 base", ge=1
    )
    quantised: bool = field(
        False,
        "the targets are entries of learned codebooks, chosen by a Gumbel softmax",
        "",
        "true: wav2vec 2.0",
        strict=True,
    )
    codebooks: int = field(2, "codebooks of `quantised`", "codebooks", "wav2vec 2.0", ge=1)
    codes: int = field(320, "entries of a codebook", "entries", "wav2vec 2.0", ge=2)
    diversity_weight: float = field(
        0.1,
        "weight of the term that wants all entries used, of `quantised`",
        "",
        "wav2vec 2.0",
        ge=0,
    )
    layers: int = field(2, "blocks of the transformer", "blocks", "12: wav2vec 2.0 base", ge=1)
    attention_heads: int = field(4, "attention heads", "heads", "8: wav2vec 2.0 base", ge=1)

    @property
    def network(self) -> dict[str, Any]:
        return {"context": self.context, "layers": self.layers, "heads": self.attention_heads}

    @model_validator(mode="after")
    def _codebooks_share_the_width(self) -> MaskedPredictionOptions:
        if self.quantised and self.projection_width % self.codebooks:
            raise ValueError(
                f"projection_width {self.projection_width} is no multiple of {self.codebooks} codebooks"
            )
        return self


class ShuffleAndLearnOptions(PretextOptions):
    """Are three rows in the order of time? (Misra et al. 2016)."""

    implementation: ClassVar[str] = "shuffle_and_learn:ShuffleAndLearnObjective"

    kind: Literal["shuffle_and_learn"]
    tuples: int = field(
        4, "draws of five rows of a clip, three questions each", "draws", "ours", ge=1
    )
    hidden_width: int = field(
        128,
        "hidden width of the network that answers",
        "numbers",
        "ours; a linear map in the paper",
        ge=1,
    )


class OddOneOutOptions(PretextOptions):
    """Which of several sequences of a clip is out of order? (Fernando et al. 2017)."""

    implementation: ClassVar[str] = "odd_one_out:OddOneOutObjective"
    context = "gru"

    kind: Literal["odd_one_out"]
    sequences: int = field(
        6, "sequences of a question, one of them out of order", "sequences", "O3N, recalled", ge=2
    )
    rows: int = field(4, "rows of a sequence", "rows", "6 frames: O3N, recalled", ge=2)
    hidden_width: int = field(
        128, "hidden width of the network that answers", "numbers", "O3N, recalled", ge=1
    )


class SynchronisationOptions(ObjectiveOptions):
    """AVTS: sound in time with the picture against sound of elsewhere and of another moment (Korbar et al. 2018)."""

    implementation: ClassVar[str] = "synchronisation:SynchronisationObjective"

    kind: Literal["synchronisation"]
    margin: float = field(0.99, "distance that negatives are pushed to", "", "AVTS, recalled", gt=0)
    hard_rate: float = field(
        0.25, "share of the negatives that are of the same video", "", "AVTS, recalled", ge=0, le=1
    )
    easy_epochs: int = field(
        10, "epochs with negatives of other videos alone", "epochs", "unverified", ge=0
    )
    least_shift_seconds: float = field(
        2.0, "shortest shift of the sound of a hard negative", "s", "unverified", gt=0
    )
    most_shift_seconds: float = field(
        10.0,
        "longest shift of the sound of a hard negative, forwards or backwards",
        "s",
        "unverified",
        gt=0,
    )

    @model_validator(mode="after")
    def _check_shifts(self) -> SynchronisationOptions:
        if self.least_shift_seconds > self.most_shift_seconds:
            raise ValueError("least_shift_seconds is more than most_shift_seconds")
        return self

    @property
    def needs(self) -> Needs:
        shifts = self.least_shift_seconds, self.most_shift_seconds
        return Needs(("video", "audio"), second="shift", shift_seconds=shifts, unit_length=True)


class CorrespondenceOptions(ObjectiveOptions):
    """AVC: does this sound belong to this video? (Arandjelovic & Zisserman 2017, 2018)."""

    implementation: ClassVar[str] = "correspondence:CorrespondenceObjective"

    kind: Literal["correspondence"]
    form: Literal["distance", "fusion"] = field(
        "distance",
        "the answer is read from the distance of the two embeddings (Objects that Sound), or by a small network from "
        "both side by side (Look, Listen and Learn)",
        "",
        "Arandjelovic & Zisserman 2018; 2017",
    )
    hidden_width: int = field(
        128, "hidden width of the small network of `fusion`", "numbers", "L3, recalled", ge=1
    )

    @property
    def needs(self) -> Needs:
        return Needs(("video", "audio"), unit_length=True)
