"""Names of languages as files and streams give them: `en`, `eng`, `en-US`, `dut` and `nld` name two languages."""

from __future__ import annotations

import langcodes

_LONGEST_CODE = 3  # longer ones are reserved: they are words that happen to stand there


def base_language(tag: str | None) -> str:
    """The shortest code of a tag's language (ISO 639-1 where there is one); '' for none, `und` and what is no tag."""
    try:
        code = langcodes.Language.get(tag or "und").language or ""
    except langcodes.LanguageTagError:
        return ""
    return code if len(code) <= _LONGEST_CODE else ""
