"""Scores of evaluation files beside chance, as the rows of the report's tables.

Conventions: chance is one ranking's expectation, the same for every pair, or a mapping from pair to it. Ranks have no
ratio to chance.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcn.report.evaluations import Alignment, Retrieval, Scores

COUNTS = ("n", "total")
MODALITIES = {"t": "text", "v": "video", "a": "audio"}
VARIANTS = {
    "": "segment-wise (default)",
    "_classmask": "class masks",
    "_classmask_with_background": "class masks, background counted",
    "_hull": "best segment, hull",
    " (v)": "segment-wise, video only",
    " (a)": "segment-wise, audio only",
}


@dataclass(frozen=True)
class Measure:
    """One score beside its chance; `compared` where higher is better, so that a ratio to chance means something."""

    name: str
    value: float | None
    chance: float | None
    compared: bool

    @property
    def times_chance(self) -> float | None:
        if not self.compared or self.value is None or not self.chance:
            return None
        return self.value / self.chance


@dataclass(frozen=True)
class PairScores:
    """One modality pair: measures in the file's order, and their denominators."""

    pair: str
    measures: list[Measure]
    n: int
    total: int

    @property
    def words(self) -> str:
        return pair_words(self.pair)


@dataclass(frozen=True)
class ProtocolScores(PairScores):
    """A full-video protocol of one pair."""

    protocol: str

    @property
    def words(self) -> str:
        return f"{pair_words(self.pair)}, {self.protocol.replace('_', ' ')}"


@dataclass(frozen=True)
class LanguageScores(PairScores):
    """One pair, of the queries in one language."""

    language: str

    @property
    def words(self) -> str:
        return f"{self.language or 'unknown'}, {pair_words(self.pair)}"


@dataclass(frozen=True)
class LanguageTable:
    """One data set: R@10 of queries in each language, a row an experiment; chance: of each language.

    pair: what is ranked. rows: (experiment, the scores in the order of `languages`).
    """

    dataset: str
    pair: str
    languages: list[str]
    rows: list[tuple[str, list[float | None]]]
    chance: list[float | None]


@dataclass(frozen=True)
class VariantScores:
    """IoD and IoU of one way of averaging."""

    variant: str
    measures: list[Measure]


def pair_words(pair: str) -> str:
    """`t->va` -> `text → video + audio`; unknown letters stay as they are."""
    sides = [
        " + ".join(MODALITIES.get(letter, letter) for letter in side.replace("+", ""))
        + (", each by itself" if "+" in side else "")
        for side in pair.split("->")
    ]
    return " → ".join(sides)


def retrieval_rows(evaluation: Retrieval) -> list[PairScores]:
    """Scores of every pair beside chance."""
    return [
        PairScores(pair, *_beside_chance(pair, scores, evaluation.chance))
        for pair, scores in evaluation.scores.items()
    ]


def language_rows(evaluation: Retrieval) -> list[LanguageScores]:
    """Scores of every pair that captions query beside chance, by the captions' language; [] where there is only one."""
    return [
        LanguageScores(pair, *_beside_chance(pair, scores, found["chance"]), language)
        for language, found in evaluation.languages.items()
        for pair, scores in found["scores"].items()
    ]


def language_tables(evaluations: Sequence[Retrieval]) -> list[LanguageTable]:
    """Experiments beside each other for every data set whose captions are in several languages, by their first pair."""
    tables = []
    several = [one for one in evaluations if one.languages]
    for dataset in dict.fromkeys(one.dataset for one in several):
        files = [one for one in several if one.dataset == dataset]
        found = files[0].languages
        pair = next(iter(next(iter(found.values()))["scores"]))
        rows = [
            (
                one.experiment,
                [_at_ten(language["scores"], pair) for language in one.languages.values()],
            )
            for one in files
            if list(one.languages) == list(found)
        ]
        chance = [_at_ten(language["chance"], pair) for language in found.values()]
        tables.append(LanguageTable(dataset, pair, list(found), rows, chance))
    return tables


def _at_ten(scores: Mapping[str, Any], pair: str) -> float | None:
    value = scores.get(pair, {}).get("R@10")
    return None if value is None else float(value)


def _beside_chance(
    pair: str, scores: Scores, chances: Mapping[str, Any]
) -> tuple[list[Measure], int, int]:
    """Measures of a pair, n and total."""
    own = chances.get(pair)
    chance: Mapping[str, Any] = own if isinstance(own, Mapping) else chances
    n, total = (int(scores.get(key) or 0) for key in COUNTS)
    return _measures(scores, chance, lower=("MedR", "MeanR")), n, total


def measures_of(scores: Scores, chance: Mapping[str, Any]) -> list[Measure]:
    """Scores where higher is better beside chance, counts left out."""
    return _measures(scores, chance, lower=())


def full_video_rows(evaluation: Retrieval) -> list[ProtocolScores]:
    """Full-video scores of every pair and protocol beside chance, recalls only."""
    rows = []
    for pair, protocols in evaluation.full_video.items():
        chances = protocols.get("chance", {})
        for name, scores in protocols.items():
            if name != "chance":
                recalls = {key: value for key, value in scores.items() if key.startswith("R@")}
                found = measures_of(recalls, chances.get(name, {}))
                rows.append(ProtocolScores(pair, found, scores["n"], scores["total"], name))
    return rows


def alignment_rows(evaluation: Alignment) -> list[VariantScores]:
    """IoD and IoU of every variant beside chance, the default first; then what has no variants, one a row."""
    scores, chance = evaluation.scores, evaluation.chance
    rows = []
    for suffix, variant in VARIANTS.items():
        names = (f"IoD{suffix}", f"IoU{suffix}")
        rows.append(
            VariantScores(
                variant, [_measure(name, scores, chance) for name in names if name in scores]
            )
        )
    return [row for row in rows if row.measures]


def other_measures(evaluation: Alignment) -> list[Measure]:
    """Frame accuracies and recall of an alignment beside chance."""
    named = {name: value for name, value in evaluation.scores.items() if not name.startswith("Io")}
    return measures_of(named, evaluation.chance)


def _measure(name: str, scores: Scores, chance: Mapping[str, Any]) -> Measure:
    return Measure(name, scores[name], chance.get(name), True)


def _measures(scores: Scores, chance: Mapping[str, Any], lower: Sequence[str]) -> list[Measure]:
    return [
        Measure(name, value, chance.get(name), name not in lower)
        for name, value in scores.items()
        if name not in COUNTS
    ]
