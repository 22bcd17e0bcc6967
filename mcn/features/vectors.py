"""Word vectors from the files that people have, converted once, then mapped from disk.

Conventions
-----------
- Formats: word2vec binary (`.bin`, `.bin.gz`), word2vec text and GloVe text, which has no header (any other name,
  also `.gz`), gensim's own (`.kv`, `.wordvectors`, with the `.npy` files beside it). The width comes from the file.
- A converted copy lies in `cache`/SHA256 of the source: gensim's own format, whose matrix is read by memory mapping
  (13 times faster to open and a tenth of the memory of word2vec's binary format). A source with another content gets
  another copy; two processes may convert at once.
- A header that announces more than the file can hold is refused before memory is taken (see `mcn.sources.arrays`).
- gensim's own format is a pickle; it is read by an unpickler that makes nothing but gensim vectors and plain data.
- Source: gensim KeyedVectors; `brian7685/Multimodal-Clustering-Network` reads GoogleNews-vectors-negative300.bin.
"""

from __future__ import annotations

import gzip
import logging
import mmap
import os
import shutil
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mcn.errors import UserError
from mcn.files import file_sha256
from mcn.media.lines import LONGEST_LINE, require_lines
from mcn.sources.arrays import bounded_memory
from mcn.sources.first_bytes import what_it_is
from mcn.sources.unpickle import RestrictedUnpickler, first_line

if TYPE_CHECKING:
    from gensim.models import KeyedVectors

log = logging.getLogger(__name__)

NATIVE_SUFFIXES = (".kv", ".wordvectors")
CONVERTED = "vectors.kv"
LONGEST_WORD = 10_000  # bytes
_CHECKED = 100_000  # vectors that are looked at together


def load_vectors(path: Path | str, cache: Path | str) -> tuple[KeyedVectors, str]:
    """The vectors of a file, memory-mapped, and the file's sha256; the first call converts into `cache`.

    Errors: `UserError` where the file does not exist or is in none of the formats.
    """
    source = Path(path)
    try:
        digest = file_sha256(source)
    except OSError as error:
        raise UserError(
            f"{source}: {error.strerror}", "a file of word vectors", "correct word2vec.vectors"
        ) from None
    if source.suffix in NATIVE_SUFFIXES:
        return _load_native(source), digest
    converted = Path(cache) / digest / CONVERTED
    if not converted.exists():
        _convert(source, converted.parent)
    return _load_native(converted), digest


def _convert(source: Path, target: Path) -> None:
    """Write `source` in gensim's format into the directory `target`, which appears whole or not at all."""
    log.info("converting %s to %s, once", source, target)
    vectors = _usable(_read(source), source)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.part")
    temporary.mkdir()
    try:
        # every array in a file of its own, so that it can be mapped
        vectors.save(str(temporary / CONVERTED), sep_limit=0)
        temporary.rename(target)
    except OSError:
        if not (target / CONVERTED).exists():  # no other process was faster
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _read(source: Path) -> KeyedVectors:
    """The vectors of a word2vec or GloVe file, in memory."""
    from gensim.models import KeyedVectors

    binary = ".bin" in source.suffixes
    try:
        header = _announced(source)
        if header:
            _require_fits(source, *header, bytes_a_number=4 if binary else 2)
        if header and binary and source.suffix != ".gz":
            _require_words(source, *header)
        elif source.suffix != ".gz":
            require_lines(source)
        with bounded_memory(source):
            return KeyedVectors.load_word2vec_format(
                str(source), binary=binary, no_header=not (binary or header)
            )
    except Exception as error:  # a damaged file raises many kinds
        raise _unreadable(source, error) from error


def _announced(source: Path) -> tuple[int, int] | None:
    """word2vec's first line, `count width`; None for GloVe, which begins with a word and its numbers."""
    with gzip.open(source) if source.suffix == ".gz" else open(source, "rb") as file:
        fields = file.readline(LONGEST_LINE).split()
    found = len(fields) == 2 and all(field.isdigit() for field in fields)
    return (int(fields[0]), int(fields[1])) if found else None


def width_of_file(source: Path) -> int | None:
    """Numbers of a vector by the first line of a word2vec or GloVe file; None of other files."""
    if source.suffix in NATIVE_SUFFIXES:
        return None
    try:
        header = _announced(source)
        if header:
            return header[1]
        with gzip.open(source) if source.suffix == ".gz" else open(source, "rb") as file:
            return len(file.readline(LONGEST_LINE).split()) - 1 or None
    except OSError:
        return None


def _require_fits(source: Path, count: int, width: int, bytes_a_number: int) -> None:
    """Refuse a header that announces more numbers than the file has room for, before memory is taken for them."""
    size, needed = source.stat().st_size, count * width * bytes_a_number
    if needed > size and source.suffix != ".gz":
        raise ValueError(f"announces {count} vectors of {width}, {size} bytes cannot hold them")


def _require_words(source: Path, count: int, width: int) -> None:
    """Refuse a binary file in which a word does not end, which gensim would look for in all that follows."""
    with open(source, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        place = data.find(b"\n") + 1
        for number in range(count):
            blank = data.find(b" ", place, place + LONGEST_WORD)
            if blank < 0:
                raise ValueError(f"vector {number} of {count}, at byte {place}, has no word")
            place = blank + 1 + 4 * width


def _usable(vectors: KeyedVectors, source: Path) -> KeyedVectors:
    """The vectors; `UserError` where there is none, or one holds NaN or infinity."""
    if not vectors.vectors.size:
        raise _unreadable(source, ValueError(f"{vectors.vectors.shape[0]} words"))
    for first in range(0, len(vectors), _CHECKED):
        odd = ~np.isfinite(vectors.vectors[first : first + _CHECKED]).all(axis=1)
        if odd.any():
            word = vectors.index_to_key[first + int(np.flatnonzero(odd)[0])]
            raise _unreadable(source, ValueError(f"NaN or infinity in the vector of {word!r}"))
    return vectors


def _load_native(path: Path) -> KeyedVectors:
    """Gensim's own format, arrays mapped."""
    from gensim.models import KeyedVectors

    try:
        with open(path, "rb") as file, bounded_memory(path):
            vectors = _VectorsUnpickler(file).load()
        if not isinstance(vectors, KeyedVectors):
            raise ValueError(f"holds {type(vectors).__name__}")
        compressed, subname = KeyedVectors._adapt_by_suffix(str(path))
        vectors._load_specials(str(path), "r", compressed, subname)
    except Exception as error:  # a damaged file raises many kinds
        raise _unreadable(path, error) from error
    return vectors


class _VectorsUnpickler(RestrictedUnpickler):
    """Makes gensim vectors beside the data that every pickle may hold."""

    extra = frozenset({("gensim.models.keyedvectors", "KeyedVectors")})


def _unreadable(path: Path, error: BaseException) -> UserError:
    kind = what_it_is(path)
    usual = {".gz": "a gzip archive, not unpacked"} | dict.fromkeys(NATIVE_SUFFIXES, "a pickle")
    told = kind and kind != usual.get(path.suffix)
    reason = f"it is {kind}" if told else first_line(error)
    return UserError(
        f"{path}, which cannot be read as word vectors ({reason})",
        "word2vec .bin, word2vec or GloVe text (also .gz), or gensim's .kv of KeyedVectors",
        "check the file's name and that it was downloaded whole",
    )
