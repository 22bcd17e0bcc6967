"""Narration files that lie beside a video: `film.srt`, or `film.en.srt` with a language, for `film.mp4`.

Conventions
-----------
- Suffixes are those of `mcn.sources.narration`. What stands between the stem and the suffix must be a language,
  and may go on (`film.en.sdh.srt`); `forced` files, which translate a few foreign words, are passed over, and so are
  files that name another language than the wanted one.
- Nothing lies beside a video that a manifest names by its address.
- Order: the wanted language, then without a language, then others by name; of these `.srt`, `.vtt`, `.json`, `.csv`.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from mcn.media.address import Address, Place
from mcn.sources.languages import base_language
from mcn.sources.narration import READERS

_TAGS = 2  # parts between stem and suffix


def narration_beside(video: Place, language: str | None = None) -> list[Path]:
    """The narration files beside a video that may be of `language` (None: any), best first."""
    if isinstance(video, Address):
        return []
    try:
        named = _by_stem(video.parent, video.parent.stat().st_mtime_ns)
    except OSError:
        return []
    wanted = base_language(language)
    found = []
    for name in named.get(video.stem, ()):
        path = video.parent / name
        tags, spoken = tags_of(path, video), language_in_name(path, video)
        if (tags and not spoken) or "forced" in tags or (wanted and spoken not in ("", wanted)):
            continue
        order = spoken != wanted, spoken != "", list(READERS).index(path.suffix.lower()), name
        found.append((order, path))
    return [path for _, path in sorted(found)]


def tags_of(narration: Path, video: Place) -> list[str]:
    """What stands between the stem of a video and the suffix of a narration file of that name, in lower case."""
    stem = Path(video.name).stem
    beside = narration.name.startswith(f"{stem}.")
    return narration.stem[len(stem) :].lower().split(".")[1:] if beside else []


def language_in_name(narration: Path, video: Place) -> str:
    """The language that the name of a narration file says, '' where it says none."""
    tags = tags_of(narration, video)
    return base_language(tags[0]) if tags else ""


@functools.lru_cache(maxsize=64)
def _by_stem(folder: Path, modified: int) -> Mapping[str, list[str]]:
    """Stem of a video -> names of the narration files in a folder that may be its own. modified: of the folder."""
    found = defaultdict(list)
    for path in folder.iterdir():
        if path.suffix.lower() not in READERS:
            continue
        stem = path.stem
        for _ in range(_TAGS + 1):
            found[stem].append(path.name)
            stem, dot, _ = stem.rpartition(".")
            if not dot:
                break
    return found
