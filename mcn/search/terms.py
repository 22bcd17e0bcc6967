"""Words of texts and of queries: in lower case, without accents, and one by one in scripts without spaces.

Conventions
-----------
- A query is words, "phrases in quotes" and beginnings*. English function words (the, of, how) count in phrases, and
  where there is nothing else.
- A query of more than `LONGEST_QUERY` characters is refused, whatever it is asked of: words, meaning or pictures.
- What FTS5 is handed is always a quoted string, so that no character of a query means anything to it.
"""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

from mcn.errors import UserError
from mcn.sources.words import UNSPACED

_TERM = re.compile(r'"([^"]*)"|([\w\'’]+\*?)')
_WORD = re.compile(r"\w+")
_FUNCTION_WORDS = frozenset(
    _WORD.findall(
        "a about after again all also am an and any are as at be because been before but by can could did do "
        "does doing done down for from had has have he her here him his how i if in into is it its just me "
        "more most my no not now of off on one only or our out over own please she should so some such than "
        "that the their them then there these they this those through to too under until up us very was we "
        "were what when where which while who why will with would you your"
    )
)


LONGEST_QUERY = 1000  # characters
_SHORTEST = 5  # letters of a word that may be a misspelling


def check_query(query: str) -> None:
    """`UserError` for a query that is empty, too long, or not made of characters (bytes that are not UTF-8)."""
    if not query.strip():
        raise UserError("an empty query", "words", "say what to look for")
    if len(query) > LONGEST_QUERY:
        got = f"a query of {len(query)} characters"
        raise UserError(got, f"at most {LONGEST_QUERY}", "ask for less at once")
    if any("\ud800" <= one <= "\udfff" for one in query):
        raise UserError("a query that is not UTF-8", "words in UTF-8", "type it again")


class Term(NamedTuple):
    """A part of a query. kind: word, phrase or beginning; text: in lower case."""

    kind: str
    text: str


def parse(query: str) -> list[Term]:
    """The terms of a query, each once: phrases, beginnings and words, function words only where nothing else is."""
    clean = query.encode("utf-8", "ignore").decode().replace("\0", " ")
    terms = []
    for phrase, word in _TERM.findall(clean):
        text = (phrase or word).rstrip("*")
        if _WORD.search(text):
            kind = "phrase" if phrase else "beginning" if word.endswith("*") else "word"
            terms.append(Term(kind, text.casefold()))
    content = [one for one in terms if one.kind != "word" or one.text not in _FUNCTION_WORDS]
    return list(dict.fromkeys(content or terms))


def is_misspelling(word: str, said: str, distance: int) -> bool:
    """Whether `word` may be `said` with a slip: letters that changed places, one too many or one lacking.

    Of 7 letters on, one may also be another, and of 9 on two; of less than 5, nothing is one, since too many other
    words lie near. distance: of optimal string alignment.
    """
    if len(word) < _SHORTEST or distance > 2:
        return False
    if sorted(word) == sorted(said) or len(word) >= 9:
        return True
    return distance == 1 and (len(word) >= 7 or len(word) != len(said))


def quoted(text: str) -> str:
    """A string of FTS5, which is a phrase where it holds several words."""
    return '"' + spaced(text).replace('"', '""') + '"'


def spaced(text: str) -> str:
    return UNSPACED.sub(r" \g<0> ", text)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without accents."""
    plain = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    return _WORD.findall(UNSPACED.sub(" ", plain.casefold()))
