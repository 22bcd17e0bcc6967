"""Answers as text, as JSON and as clips."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcn.errors import UserError, VideoError
from mcn.search.answers import Answer, Answers
from mcn.sources.languages import language_of

if TYPE_CHECKING:
    from mcn.media.remote import Downloads

log = logging.getLogger(__name__)

MOST_SAID = 100  # characters of what is said, of an answer in a line


def as_json(answers: Answers, found: Sequence[Answer]) -> str:
    """The object that `GET /api/search` of `mcn serve` answers with: `results`, best first; `path`: file or address."""
    results = [{**values_of(one), "path": str(answers.videos[one.video_id].path)} for one in found]
    text = json.dumps({"results": results}, ensure_ascii=False, indent=2)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def values_of(answer: Answer) -> dict[str, Any]:
    """An answer as values of JSON, without the place of its video, which the page never sees."""
    return {
        "video_id": answer.video_id,
        "start_seconds": round(answer.start_seconds, 3),
        "end_seconds": round(answer.end_seconds, 3),
        "score": round(answer.score, 6),
        "sources": list(answer.sources),
        "said": answer.said,
        "why": list(answer.why),
        "weak": answer.weak,
    }


def as_text(answers: Answers, found: Sequence[Answer], query: str, asked: Sequence[str]) -> str:
    """A line for each answer (moment, what found it, file), what is said below it; then what the answers rest on.

    asked: the sources that were asked; what other sources rest on is left out.
    """
    others = tuple(f"{one}{end}" for one in answers.sources if one not in asked for end in ":,")
    basis = "\n".join(f"  {one}" for one in answers.basis if not one.startswith(others))
    if not found:
        anyway = " (--weak shows the nearest moments anyway)" if _has_vectors(asked) else ""
        return f"Nothing fits {query!r}. Asked were: {', '.join(asked)}{anyway}.\n{basis}"
    lines = []
    for answer in found:
        span = f"{clock(answer.start_seconds)}-{clock(answer.end_seconds)}"
        path = answers.videos[answer.video_id].path
        sources = "+".join(answer.sources) + (" (weak)" if answer.weak else "")
        lines.append(f"{span}  {sources:<18}  {printable(str(path))}")
        if answer.said:
            words = " ".join(answer.said.split())
            cut = words if len(words) <= MOST_SAID else f"{words[:MOST_SAID]}..."
            lines.append(f'{"":13}"{printable(cut)}"')
    return "\n".join([*lines, "", "These answers rest on:", basis])


def unknown_language(answers: Answers, query: str, asked: Sequence[str]) -> str:
    """A warning where a query is in a language that an encoder asked does not know, '' where it is not."""
    few = {one.text: one.knows for one in answers.vectors if one.knows and one.name in asked}
    language = language_of([query]) if few else ""
    without = [
        f"{text} ({', '.join(knows)})" for text, knows in few.items() if language not in knows
    ]
    if not language or not without:
        return ""
    return (
        f"The query seems to be in {language}, which {', '.join(without)} does not know: what it finds by meaning and "
        "by what is seen is chance. Words that were said are found in any language."
    )


def _has_vectors(asked: Sequence[str]) -> bool:
    """Whether a source has a nearest moment, however far it is."""
    return not {"meaning", "seen", "heard"}.isdisjoint(asked)


def clock(seconds: float) -> str:
    """minutes:seconds, with hours where there are any."""
    whole = int(seconds)
    text = f"{whole // 60 % 60:02d}:{whole % 60:02d}"
    return f"{whole // 3600}:{text}" if whole >= 3600 else text


def printable(text: str) -> str:
    """Text without characters that would move the cursor of a terminal."""
    return "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)


def cut_clips(answers: Answers, found: Sequence[Answer], folder: Path, downloads: Downloads) -> int:
    """Cut the moments out as NN_video_seconds.mp4; one that cannot be cut is named, and the next one follows.

    Returns how many were written. Errors: `UserError` for a folder that cannot be made.
    """
    from mcn.media.cutting import cut

    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        got = f"{folder} cannot be made: {error.strerror}"
        raise UserError(got, "a folder for the clips", "choose another: --clip") from None
    count = 0
    for number, answer in enumerate(found, start=1):
        name = f"{number:02d}_{answer.video_id}_{answer.start_seconds:.1f}.mp4"
        path = answers.videos[answer.video_id].path
        try:
            with downloads.at_hand(path) as file:
                cut(file, answer.start_seconds, answer.end_seconds, folder / name)
            count += 1
        except VideoError as error:
            log.warning("no clip of %s: %s", answer.video_id, error)
    return count
