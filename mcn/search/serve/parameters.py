"""What a request may hold, read into values; anything else is a `UserError` that names the parameter."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import AsyncIterator, Mapping

from PIL import Image, ImageOps
from starlette.datastructures import QueryParams

from mcn.errors import UserError
from mcn.search.answers import SOURCES, Filters
from mcn.search.serve.library import Library
from mcn.search.serve.replies import TooLarge

MAXIMUM_QUERY = 1000  # characters of a text that is looked for
MAXIMUM_LIMIT = 200  # answers
MAXIMUM_PICTURE_BYTES = 10 * 2**20
MAXIMUM_PICTURE_PIXELS = 50_000_000
PICTURE_FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP")
_PICTURE_SIDE = 1024  # pixels: no encoder sees more


def query_text(query: QueryParams, name: str = "q") -> str:
    """The text to look for, without spaces around it."""
    text = query.get(name, "").strip()
    if not text:
        raise UserError(
            f"no text in {name}", "what to look for", f"add {name}=WORDS to the address"
        )
    if len(text) > MAXIMUM_QUERY:
        got = f"a text of {len(text)} characters in {name}"
        raise UserError(got, f"at most {MAXIMUM_QUERY}", "ask in fewer words")
    return text


def integer(query: QueryParams, name: str, default: int, least: int, most: int) -> int:
    """A whole number between two others, which count as allowed."""
    text = query.get(name)
    if text is None or text == "":
        return default
    try:
        value = int(text)
    except ValueError:
        value = least - 1
    if not least <= value <= most:
        wanted = f"a whole number from {least} to {most}"
        raise UserError(f"{name}={text[:50]!r}", wanted, f"change {name}, or leave it out")
    return value


def number(query: QueryParams, name: str, default: float | None = None) -> float:
    """A number that is not negative, such as seconds. default: None where it must be given."""
    text = query.get(name)
    if text is None or text == "":
        if default is None:
            raise UserError(f"no {name}", "a number of seconds", f"add {name}=SECONDS")
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        wanted = "a number, 0 or larger"
        raise UserError(f"{name}={text[:50]!r}", wanted, f"change {name}, or leave it out")
    return value


def flag(query: QueryParams, name: str) -> bool:
    """1 or true, 0 or false or left out."""
    text = query.get(name, "").lower()
    if text not in ("", "0", "1", "true", "false"):
        raise UserError(f"{name}={text[:50]!r}", "1 or 0", f"change {name}, or leave it out")
    return text in ("1", "true")


def limit(query: QueryParams) -> int:
    """How many answers are wanted."""
    return integer(query, "limit", 10, 1, MAXIMUM_LIMIT)


def chosen_sources(query: QueryParams) -> list[str] | None:
    """`sources=words,seen` -> those two; None where all are wanted."""
    text = query.get("sources", "")
    chosen = [part for part in text.split(",") if part]
    for part in chosen:
        if part not in SOURCES:
            wanted = ", ".join(SOURCES)
            raise UserError(f"the source {part[:50]!r}", wanted, "change sources, or leave it out")
    return chosen or None


def filters(query: QueryParams, library: Library) -> Filters:
    """Which videos may answer: `video` (any number of times), `folder`, `min_length`, `max_length`, dates of files."""
    videos = query.getlist("video")
    return Filters(
        video_ids=frozenset(videos) if videos else None,
        folder=library.place(query.get("folder", "")),
        min_length=number(query, "min_length", 0),
        max_length=number(query, "max_length", math.inf),
        newer_than=number(query, "newer_than", 0),
        older_than=number(query, "older_than", math.inf),
    )


async def picture(headers: Mapping[str, str], body: AsyncIterator[bytes]) -> bytes:
    """The bytes of a request, no more of them than a picture may have."""
    content = bytearray()
    async for part in body:
        content += part
        if len(content) > MAXIMUM_PICTURE_BYTES:
            got = f"a picture of {headers.get('content-length', 'too many')} bytes"
            wanted = f"at most {MAXIMUM_PICTURE_BYTES}"
            raise TooLarge(got, wanted, "send a smaller copy of it")
    return bytes(content)


def decoded_picture(content: bytes) -> Image.Image:
    """An RGB picture from the bytes of a file, upright and no larger than encoders look at."""
    wanted = f"a picture: {', '.join(PICTURE_FORMATS)}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            opened = Image.open(io.BytesIO(content), formats=PICTURE_FORMATS)
            if opened.width * opened.height > MAXIMUM_PICTURE_PIXELS:
                raise Image.DecompressionBombError
            opened.draft("RGB", (_PICTURE_SIDE, _PICTURE_SIDE))
            upright = ImageOps.exif_transpose(opened).convert("RGB")
    except Image.DecompressionBombError:
        most = f"at most {MAXIMUM_PICTURE_PIXELS}"
        raise TooLarge("a picture of too many pixels", most, "send a smaller copy of it") from None
    except Exception as error:  # a decoder of pictures can raise anything
        got = f"{len(content)} bytes that are no picture ({type(error).__name__})"
        raise UserError(got, wanted, "send the file itself as the body of the request") from None
    upright.thumbnail((_PICTURE_SIDE, _PICTURE_SIDE))
    return upright
