"""The numbers at the head of the report."""

from __future__ import annotations

from dataclasses import dataclass

from mcn.report.accounts import Account
from mcn.report.evaluations import Localization, Retrieval
from mcn.report.measures import Measure, measures_of, retrieval_rows

LEADING_PAIRS = ("t->va", "t->v")  # the pair that is quoted


@dataclass(frozen=True)
class Fact:
    """A headline number."""

    label: str
    value: str
    note: str


def headlines(
    retrievals: list[Retrieval], localizations: list[Localization], accounts: list[Account]
) -> list[Fact]:
    """The first evaluation of each kind and the accounts, in one number each."""
    facts = []
    for evaluation in retrievals[:1]:
        rows = {row.pair: row for row in retrieval_rows(evaluation)}
        row = next((rows[pair] for pair in (*LEADING_PAIRS, *rows) if pair in rows), None)
        recalls = {measure.name: measure for measure in row.measures} if row else {}
        if row and "R@10" in recalls:
            where = (
                f"{evaluation.experiment} on {evaluation.dataset}, {row.n} of {row.total} queries"
            )
            facts.append(_fact(f"R@10, {row.words}", recalls["R@10"], where))
    for entry in localizations[:1]:
        measures = {measure.name: measure for measure in measures_of(entry.scores, entry.chance)}
        if "recall" in measures:
            where = f"{entry.experiment} on {entry.dataset}, {entry.n} of {entry.total} videos"
            facts.append(_fact("step recall", measures["recall"], where))
    if accounts:
        whole, videos = (sum(getattr(a, name) for a in accounts) for name in ("whole", "videos"))
        names = ", ".join(account.dataset for account in accounts)
        facts.append(Fact("videos ok in every stream", f"{whole} of {videos}", names))
    return facts


def _fact(label: str, measure: Measure, where: str) -> Fact:
    value = "–" if measure.value is None else f"{measure.value:.1f} %"
    chance = "chance unknown" if measure.chance is None else f"chance {measure.chance:.1f} %"
    times = "" if measure.times_chance is None else f" ({measure.times_chance:.1f} × chance)"
    return Fact(label, value, f"{chance}{times}; {where}")
