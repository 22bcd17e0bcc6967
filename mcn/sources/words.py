"""Words of texts in any language, as vectors of words are looked up.

Conventions
-----------
- A word is a run of letters, digits, underscores and apostrophes, case kept: `[\\w']+` of the released loader (MCN
  youtube_dataloader.py, `_tokenize_text`), of which every text without the characters below keeps each word.
- Letters with marks are one letter however they are coded (NFC), and marks belong to the word that they stand in, as
  in Hindi. The released pattern cuts a word at each mark.
- Scripts without blanks between words (Chinese, Japanese, Thai, Lao, Burmese, Khmer) are cut into the longest words
  that are known, from left to right, and into single characters where none is. `known` is what has a vector.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Container

# Thai to Lao, Burmese, Khmer, kana, Han, and their extensions
UNSPACED = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
LONGEST_WORD = 12  # characters of a word of a script without blanks
_PUBLISHED = re.compile(r"[\w']+")
_JOINING = "_'\u200c\u200d"  # and the two characters that join or part letters of Indic scripts and Persian


def tokenize(text: str, known: Container[str] = ()) -> list[str]:
    """The words of a text in order; known: those that scripts without blanks are cut into."""
    if text.isascii():
        return _PUBLISHED.findall(text)
    text = unicodedata.normalize("NFC", text)
    words = "".join(one if _belongs(one) else " " for one in text).split(" ")
    found: list[str] = []
    for word in filter(None, words):
        found += _segments(word, known) if UNSPACED.search(word) else [word]
    return found


def text_units(text: str, unit: str, known: Container[str] = ()) -> list[str]:
    """What of a text has a vector of its own: its words (`unit` word), or all of it with white space joined (text).

    Nothing of an empty text.
    """
    if unit == "word":
        return tokenize(text, known)
    whole = " ".join(text.split())
    return [whole] if whole else []


def _belongs(character: str) -> bool:
    """Whether a character is part of a word."""
    if character.isalnum() or character in _JOINING:
        return True
    return unicodedata.category(character).startswith("M")


def _segments(run: str, known: Container[str]) -> list[str]:
    """The words of a run of characters without blanks."""
    words, place = [], 0
    while place < len(run):
        lengths = range(min(LONGEST_WORD, len(run) - place), 1, -1)
        length = next((n for n in lengths if run[place : place + n] in known), 0)
        end = place + length if length else _end_of_one(run, place)
        words.append(run[place:end])
        place = end
    return words


def _end_of_one(run: str, place: int) -> int:
    """Where a character with its marks ends, or a run of letters of another script."""
    spaced = not UNSPACED.match(run[place])
    end = place + 1
    while end < len(run):
        marks = unicodedata.category(run[end]).startswith("M")
        if not marks and not (spaced and not UNSPACED.match(run[end])):
            break
        end += 1
    return end
