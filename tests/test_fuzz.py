"""The corpus of every harness, what was found, and a few changed inputs that are the same in every run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.harnesses import HARNESSES, accepts
from tests.fuzz.search import FOUND, Count, edited, search

EXAMPLES = {"media": 5, "configuration": 10, "checkpoint": 25}


@pytest.mark.parametrize("name", HARNESSES)
def test_corpus_and_changed_inputs(name: str, tmp_path: Path) -> None:
    corpus = HARNESSES[name].corpus(tmp_path)
    for file, data in corpus.items():
        (tmp_path / file).write_bytes(data)
        accepts(name, tmp_path / file)
    count = Count()
    search(name, corpus, tmp_path, EXAMPLES.get(name, 40), True, count)
    assert count.executions >= EXAMPLES.get(name, 40) // 2


def test_what_was_found_stays_mended(tmp_path: Path) -> None:
    for found in sorted(FOUND.glob("*")):  # named HARNESS.DIGEST.SUFFIX
        copy = tmp_path / found.name
        copy.write_bytes(found.read_bytes())
        accepts(found.name.partition(".")[0], copy)


def test_edits_change_what_they_say() -> None:
    assert edited(b"abcd", [("drop", 0.5, 0.0, 1)]) == b"abd"
    assert edited(b"abcd", [("cut", 0.5, 0.0, 0)]) == b"ab"
    assert edited(b"abcd", [("zero", 0.0, 0.99, 1)]) == b"\0\0\0\0"
    assert edited(b"ab", [("flip", 0.0, 0.0, 0)]) == b"`b"
