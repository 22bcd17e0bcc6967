"""Search for inputs that break a promise: hypothesis changes the files of the corpus.

    python -m tests.fuzz.search MINUTES [HARNESS...]

Every harness gets its share of the time. A find is shrunk, printed and kept in `tests/fuzz/found`, where the default
run reads it again; mend the code, and leave the file.
"""

from __future__ import annotations

import hashlib
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz.harnesses import HARNESSES, Corpus, accepts

FOUND = Path(__file__).parent / "found"
LONGEST_SECONDS = 60.0  # an input of some kilobytes that takes longer is a find
WORDS = [
    *(b"\0", b"\n", b"\r\n", b'"', b"{", b"[", b"-", b"-->", b"\xff", b"\xed\xa0\x80"),
    *(b"9" * 30, b"null", b"NaN", b"1e999"),
]
Edit = tuple[str, float, float, int]


@dataclass
class Count:
    """What a search did: executions, and those of usable inputs."""

    executions: int = 0
    usable: int = 0


def edited(data: bytes, edits: list[Edit]) -> bytes:
    """The bytes after some edits: (kind, place and length as shares, value)."""
    for kind, place, length, value in edits:
        start = int(place * len(data))
        end = min(len(data), start + 1 + int(length**4 * len(data)))
        middle, after = _changed(kind, data[start:end], value), data[end:]
        data = data[:start] + middle + (b"" if kind == "cut" else after)
    return data


def _changed(kind: str, part: bytes, value: int) -> bytes:
    word = WORDS[value % len(WORDS)]
    if kind == "flip":
        return bytes([part[0] ^ (value % 255 + 1)]) + part[1:] if part else b""
    return {
        "drop": b"",
        "cut": b"",
        "zero": bytes(len(part)),
        "twice": part + part,
        "word": word + part[1:],
        "insert": word + part,
    }[kind]


KINDS = st.sampled_from(["flip", "drop", "cut", "zero", "twice", "word", "insert"])
SHARE = st.floats(0, 1, exclude_max=True)
EDITS = st.lists(st.tuples(KINDS, SHARE, SHARE, st.integers(0, 1 << 16)), min_size=1, max_size=6)


def search(
    name: str, corpus: Corpus, folder: Path, examples: int, fixed: bool, count: Count
) -> None:
    """Run a harness on changed files of its corpus; what no input may raise passes through, shrunk.

    fixed: draw the same cases every time. count: what is done is added.
    """
    phases = [Phase.generate] if fixed else [Phase.generate, Phase.shrink]

    @settings(
        max_examples=examples,
        derandomize=fixed,
        deadline=None,
        database=None,
        phases=phases,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.sampled_from(sorted(corpus)), EDITS)
    def run(file: str, edits: list[Edit]) -> None:
        path = folder / file
        path.write_bytes(edited(corpus[file], edits))
        began = time.monotonic()
        count.executions += 1
        try:
            count.usable += accepts(name, path)
        except BaseException:
            keep(name, path)
            raise
        if time.monotonic() - began > LONGEST_SECONDS:
            keep(name, path)
            raise AssertionError(f"{path.name} took {time.monotonic() - began:.1f} s")

    run()


_last: dict[str, Path] = {}


def keep(name: str, path: Path) -> None:
    """Keep a find for the default run; the smallest of a search replaces those before it."""
    data = path.read_bytes()
    FOUND.mkdir(exist_ok=True)
    kept = FOUND / f"{name}.{hashlib.sha256(data).hexdigest()[:8]}{path.suffix}"
    if name in _last:
        _last[name].unlink(missing_ok=True)
    kept.write_bytes(data)
    _last[name] = kept


def until(end: float, name: str, report: Callable[[str], None]) -> int:
    """Search until a time; the number of finds, after each of which the search goes on."""
    finds, total = 0, Count()
    with tempfile.TemporaryDirectory(prefix=f"mcn-fuzz-{name}-") as folder:
        corpus = HARNESSES[name].corpus(Path(folder))
        while time.monotonic() < end:
            try:
                search(name, corpus, Path(folder), 25, False, total)
            except Exception as error:
                finds += 1
                _last.pop(name, None)
                report(f"{name}: {type(error).__name__}: {str(error)[:300]}")
    report(f"{name}: {total.executions} executions, {total.usable} usable inputs, {finds} finds")
    return finds


def main() -> int:
    """Fuzz for some minutes; status 1 where anything was found."""
    minutes = float(sys.argv[1])
    names = sys.argv[2:] or list(HARNESSES)
    finds = 0
    for place, name in enumerate(names):
        left = minutes * 60 * (1 - place / len(names))
        share = left / (len(names) - place)
        finds += until(time.monotonic() + share, name, lambda line: print(line, flush=True))
    return int(finds > 0)


if __name__ == "__main__":
    sys.exit(main())
