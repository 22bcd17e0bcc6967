"""Languages: their names as files, streams and manifests give them, and which language a text is in.

Conventions
-----------
- A language is the shortest code of its name (ISO 639-1 where there is one): `en`, `eng` and `en-US` are `en`, `dut`
  and `nld` are `nl`. '' stands for a language that is not known.
- Detection is that of py3langid, whose probabilities are calibrated over lengths of text: what is less than
  `SURE` is not known. A narration is looked at as a whole.
- Single sentences are too short to be told apart from 140 languages. The languages of a list of sentences are therefore
  those that `SHARE` of it is in for sure, and each sentence is in one of these.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import langcodes

SURE = 0.5  # probability
SHARE = 0.1  # of the sentences that are sure
LOOKED_AT = 4000  # characters of a text
_LONGEST_CODE = 3  # longer ones are reserved: they are words that happen to stand there
_NO_LANGUAGE = "zxx"


def base_language(tag: str | None) -> str:
    """The shortest code of a tag's language (ISO 639-1 where there is one); '' for none, `und` and what is no tag."""
    try:
        code = langcodes.Language.get(tag or "und").language or ""
    except langcodes.LanguageTagError:
        return ""
    return code if len(code) <= _LONGEST_CODE else ""


def language_of(lines: Iterable[str]) -> str:
    """The language of a text, line by line; '' where it cannot be told."""
    text = ""
    for line in lines:
        text += f"{line} "
        if len(text) > LOOKED_AT:
            break
    return _detected(_identifier(), text[:LOOKED_AT])


def languages_of(sentences: Sequence[str]) -> list[str]:
    """The language of every sentence of a list, out of those that the list is in."""
    if not sentences:
        return []
    whole = _identifier()
    sure = Counter(filter(None, (_detected(whole, text) for text in sentences)))
    among = sorted(code for code, count in sure.items() if count >= SHARE * sure.total())
    if len(among) < 2:
        return [among[0] if among else language_of(sentences)] * len(sentences)
    few = _identifier(tuple(among))
    return [_detected(few, text) for text in sentences]


def _detected(identifier: Any, text: str) -> str:
    if not text.strip():
        return ""
    code, probability = identifier.classify(text)
    return base_language(code) if probability >= SURE and code != _NO_LANGUAGE else ""


@functools.lru_cache(maxsize=8)
def _identifier(among: tuple[str, ...] = ()) -> Any:
    """The library's model, restricted to some languages where there are any."""
    # takes a second, not for every command
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(among) or None)
    return identifier
