"""Experiments of `kind: frozen`: encoders that others trained, put together by a rule, nothing trained here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from pydantic import Field

from mcn.options.base import Options, nearest
from mcn.options.encoders import OwnOptions, TimmOptions
from mcn.options.libraries import JoinedTextOptions, LibraryOptions
from mcn.options.row import FeatureOptions, TextsOptions

Wording = Literal["name", "synonyms", "photo", "definition"]
WORDINGS: tuple[Wording, ...] = ("name", "synonyms", "photo", "definition")
NOT_TRAINED = ("dataset", "checkpoint", "early_evaluation", "objective", "training", "seeds")


class FrozenOptions(Options):
    """How pictures and texts meet; docs/encoders.md has the figures on real clips that chose the defaults."""

    pairing: Literal["auto", "conse", "same_space"] = Field(
        "auto",
        description="auto: same_space where a picture encoder is of a library's dual encoder, otherwise conse; "
        "conse: the classes that a classifier sees become the text encoder's vectors of their names (Norouzi et al., "
        "ICLR 2014); same_space: pictures and texts have one space already, as in CLIP; sound always has, as in CLAP",
    )
    temperature: float = Field(
        1.5, gt=0, description="of conse: divides the logits before the softmax; larger is flatter"
    )
    top: int | None = Field(
        None, ge=1, description="of conse: so many of the likeliest classes [classes]; null: all"
    )
    wordings: tuple[Wording, ...] = Field(
        WORDINGS,
        min_length=1,
        description="of conse: texts that stand for a class, whose vectors are averaged: its first name, all its "
        "synonyms, `a photo of a NAME`, all its synonyms with WordNet's definition",
    )
    center: bool = Field(
        True, description="of conse: take the mean vector of all classes off each class's vector"
    )

    fusion: Literal["mean", "late"] = Field(
        "mean",
        description="of a clip's frames, or windows of sound: mean: of their vectors, brought to unit length; late: of "
        "their scores, the mean of the frames' cosines, which ranks clips whose frames disagree lower. Search takes "
        "unit lengths in either case",
    )

    def settled(self, pictures: Iterable[FeatureOptions | None]) -> FrozenOptions:
        """The options with a pairing that is not `auto`. pictures: rows of the picture encoders."""
        towers = any(isinstance(row, LibraryOptions) for row in pictures)
        pairing = "same_space" if towers else "conse"
        return self if self.pairing != "auto" else self.model_copy(update={"pairing": pairing})


def frozen_problems(
    video: Sequence[str],
    audio: str | None,
    text: str | None,
    given: FrozenOptions,
    rows: Mapping[str, FeatureOptions],
) -> Iterator[str]:
    """What is wrong with the features of a frozen experiment, a line each."""
    row = rows.get(text) if text else None
    if row is None:
        texts = [name for name, one in rows.items() if one.kind == "text"]
        near = nearest(text, texts) if text else f"; known: {', '.join(texts)}"
        yield f"model.text: got {text!r}, wanted the text encoder of the pair{near}"
    elif not isinstance(row, TextsOptions):
        yield f"model.text: {text} is a feature of kind {row.kind}; wanted text"
    said, given = row, given.settled(map(rows.get, video))
    if not video and not audio:
        yield "model.video: none; wanted the picture encoders of the pair, or an encoder of sound as model.audio"
    if audio:
        yield from _sound_problems(audio, rows.get(audio), rows, text, said)
    for name in video:
        row = rows.get(name)
        if row is None or row.kind not in ("frame", "clip"):
            known = [one for one, other in rows.items() if other.kind in ("frame", "clip")]
            yield f"model.video: no feature of pictures {name!r}{nearest(name, known)}"
        elif row.is_seeded:
            yield f"model.video: {name} has seeded weights, which understand nothing; wanted trained ones"
        elif given.pairing == "conse":
            if not isinstance(row, TimmOptions):
                cure = "name one of encoder timm, or set frozen.pairing: same_space"
                yield f"model.video: {name} is no classifier with named classes; {cure}"
            elif row.normalize:
                cure = f"set features.{name}.normalize: false"
                yield f"model.video: {name} is normalised, and its classifier wants what the network gives; {cure}"
        elif said is not None:
            tower = said
            if isinstance(said, JoinedTextOptions):
                tower = said.towers[min(video.index(name), len(said.of) - 1)]
            yield from _space_problems("video", name, row, str(text), tower)
    if isinstance(said, JoinedTextOptions) and (len(video) != len(said.of) or audio):
        yield (
            f"model.text: {text} joins {len(said.of)} towers for {len(video)} features of pictures; wanted one of each "
            "model, in the same order, and no sound"
        )


def _sound_problems(
    name: str,
    row: FeatureOptions | None,
    rows: Mapping[str, FeatureOptions],
    text: str | None,
    said: FeatureOptions | None,
) -> Iterator[str]:
    """An encoder of sound that is not there, or whose vectors lie in no space of texts."""
    if row is None or row.kind != "audio":
        known = [one for one, other in rows.items() if other.kind == "audio"]
        yield f"model.audio: no feature of sound {name!r}{nearest(name, known)}"
    elif not isinstance(row, (LibraryOptions, OwnOptions)):
        yield (
            f"model.audio: {name} is of encoder {row.encoder}, whose vectors lie in no space of texts; name the sound "
            "of a dual encoder (CLAP), or set it to null"
        )
    elif said is not None:
        yield from _space_problems("audio", name, row, str(text), said)


def _space_problems(
    modality: str, name: str, row: FeatureOptions, text: str, said: FeatureOptions
) -> Iterator[str]:
    """Towers of libraries that cannot have one space: of two models, or whose vectors are not of the space."""
    pooling = getattr(row, "pooling", "auto")
    if isinstance(row, LibraryOptions) and pooling not in ("auto", "projected"):
        yield (
            f"model.{modality}: {name} has pooling {pooling}, which lies in no space of texts; set "
            f"features.{name}.pooling: projected"
        )
    if isinstance(row, LibraryOptions) and isinstance(said, LibraryOptions):
        keys = ("model", "revision", "pretrained")
        one, other = ([getattr(each, key, None) for key in keys] for each in (row, said))
        if one != other:
            yield (
                f"model.text: {text} is of {said.model}, {name} of {row.model}; wanted both towers of one model, "
                "at one revision"
            )
