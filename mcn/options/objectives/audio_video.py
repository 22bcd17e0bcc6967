"""Options of the two objectives that ask whether a sound belongs to a picture."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import model_validator

from mcn.options.objectives.base import Needs, ObjectiveOptions, field


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
