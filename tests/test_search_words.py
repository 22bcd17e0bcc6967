"""Search by what is said: words, stems, phrases, beginnings, near spellings; brought up to date; safe for any query."""

from __future__ import annotations

import contextlib
import shutil
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mcn.content import require_sealed_sqlite
from mcn.errors import DamagedShard, UserError
from mcn.files import read_table, write_table
from mcn.search.terms import LONGEST_QUERY, check_query
from mcn.search.words import WordsIndex, parse
from mcn.search.words_file import build_words
from mcn.sources.annotation_tables import NARRATION

SAID = {
    "soup": [
        "Today we are making tomato soup.",
        "First, cut the onions into small pieces.",
        "Now stir the soup slowly,",
        "and do not let it burn.",
        "Serve it in a café with crème brûlée.",
    ],
    "bike": [
        "This bicycle chain is rusty.",
        "Brush off the rust and oil every link.",
        "We'll put the chain back on the wheel.",
    ],
    "中文": ["我们先把洋葱切成小块", "然后把汤慢慢搅拌"],
    "empty": [],
}


def table(path: Path, said: dict[str, list[str]], seconds: float = 4) -> Path:
    """Lines of `seconds` each, one after the other."""
    rows = [
        {
            "video_id": video,
            "start_seconds": i * seconds,
            "end_seconds": (i + 1) * seconds,
            "text": text,
        }
        for video, lines in said.items()
        for i, text in enumerate(lines)
    ]
    write_table(path, pa.Table.from_pylist(rows, NARRATION))
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> WordsIndex:
    folder = tmp_path_factory.mktemp("words")
    output = folder / "words.sqlite"
    build_words([table(folder / "00000.parquet", SAID)], output)
    return WordsIndex(output)


def found(index: WordsIndex, query: str) -> list[tuple[str, float]]:
    return [(hit.video_id, hit.start_seconds) for hit in index.search(query)]


@pytest.mark.parametrize(
    ("query", "wanted"),
    [
        ("stir the soup", ("soup", 8.0)),  # a word more than the line that says soup alone
        ("ONION", ("soup", 4.0)),  # case, plural
        ("cutting onions", ("soup", 4.0)),  # stems
        ('"brush off the rust"', ("bike", 4.0)),  # phrase
        ("bicy*", ("bike", 0.0)),  # beginning
        ("bycicle", ("bike", 0.0)),  # two letters changed places
        ("onoins", ("soup", 4.0)),
        ("slowley", ("soup", 8.0)),  # a letter too many
        ("cafe creme", ("soup", 16.0)),  # accents
        ("洋葱", ("中文", 0.0)),
        ("汤", ("中文", 4.0)),
        ("we'll put", ("bike", 8.0)),
    ],
)
def test_what_is_said_is_found_first(
    index: WordsIndex, query: str, wanted: tuple[str, float]
) -> None:
    assert found(index, query)[0] == wanted


@pytest.mark.parametrize(
    "query",
    [
        "",
        " ",
        "zebra",
        "heat",
        "over",
        "sour",
        "chair",
        '"rust the off"',
        "...",
        '""',
        "***",
        "\0",
        "xyz*",
        "ont",
        "葱洋",
        "😀",
    ],
)
def test_what_nobody_says_is_not_found(index: WordsIndex, query: str) -> None:
    assert found(index, query) == []


@pytest.mark.parametrize(
    "query",
    [
        *(
            '" OR "',
            'soup"',
            "soup AND",
            "NEAR(soup rust, 5)",
            "text: soup",
            "soup - rust",
            "(soup",
            "^soup",
            "{soup}",
        ),
        *(
            "soup\0rust",
            "soup; DROP TABLE lines",
            "'",
            "soup:*",
            "\ud800 soup",
            "soup\n\t",
            "%_soup",
            "soup + rust",
        ),
    ],
)
def test_any_text_is_a_safe_query(index: WordsIndex, query: str) -> None:
    hits = index.search(query)
    assert all(hit.score > 0 for hit in hits)
    assert len(index) == sum(map(len, SAID.values()))
    if "soup" in query and "OR" not in query:
        assert "soup" in {hit.video_id for hit in hits}


def test_a_query_that_cannot_be_asked_is_refused_in_words(index: WordsIndex) -> None:
    for query, said in {"soup " * 20_000: "at most 1000", " ": "empty", "\udcff": "UTF-8"}.items():
        with pytest.raises(UserError, match=said):
            check_query(query)
    longest = ("soup " * 1000)[:LONGEST_QUERY]
    check_query(longest)
    assert index.search(longest)


def test_lines_that_follow_each_other_are_one_moment(index: WordsIndex) -> None:
    first = index.search("stir burn")[0]
    assert (first.start_seconds, first.end_seconds) == (8.0, 16.0)
    assert first.text == "Now stir the soup slowly, and do not let it burn."
    assert index.search("stir burn", allowed={"bike"}) == []


def test_a_moment_says_what_part_of_the_query_it_holds(index: WordsIndex) -> None:
    assert index.search("stir burn")[0].share == 1
    assert index.search("stir zebras burn accordions")[0].share == 0.5


def test_function_words_count_in_phrases_and_alone() -> None:
    assert [term.text for term in parse("stir the soup")] == ["stir", "soup"]
    assert len(parse("to be or not to be")) == 4
    assert [term.text for term in parse("it is")] == ["it", "is"]
    assert [term.text for term in parse('"into the pan" of')] == ["into the pan"]


def test_a_near_spelling_counts_less_than_the_word_itself(index: WordsIndex) -> None:
    right, wrong = index.search("onions")[0], index.search("onoins")[0]
    assert wrong.score == pytest.approx(right.score / 2)


def test_shards_come_change_and_go(tmp_path: Path) -> None:
    parts = {"00000": {"a": ["a red apple"]}, "00001": {"b": ["a green pear"]}}
    shards = [table(tmp_path / f"{name}.parquet", said) for name, said in parts.items()]
    output = tmp_path / "words.sqlite"
    build_words(shards, output)
    assert found(WordsIndex(output), "apple pear") == [("a", 0.0), ("b", 0.0)]
    table(shards[0], {"a": ["a yellow lemon"], "c": ["an apple"]})
    shards.append(table(tmp_path / "00002.parquet", {"d": ["plums"]}))
    build_words(shards, output)
    grown = WordsIndex(output)
    assert found(grown, "apple") == [("c", 0.0)]
    assert found(grown, "red") == []
    assert found(grown, "plum") == [("d", 0.0)]
    build_words(shards[1:], output)
    assert found(WordsIndex(output), "lemon apple lenom") == []
    assert found(WordsIndex(output), "pear") == [("b", 0.0)]
    table(shards[-1], {"d": ["dates"]})  # gets the number of a line that is gone
    build_words(shards[1:], output)
    assert found(WordsIndex(output), "plum lemon apple yellow") == []
    assert found(WordsIndex(output), "date") == [("d", 0.0)]


def test_only_shards_that_changed_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shards = [
        table(tmp_path / f"0000{i}.parquet", {f"v{i}": [f"word number{i}"]}) for i in range(3)
    ]
    output = tmp_path / "words.sqlite"
    build_words(shards[:2], output)
    read: list[Path] = []

    def reading(path: Path, columns: list[str]) -> pa.Table:
        read.append(path)
        return read_table(path, columns)

    monkeypatch.setattr("mcn.search.words_file.read_table", reading)
    build_words(shards, output)
    assert read == [shards[2]]
    again = tmp_path / "again.sqlite"
    build_words(shards, again)
    both = [WordsIndex(path).search("word number1 number2") for path in (output, again)]
    assert both[0] == both[1]
    build_words(shards, tmp_path / "once more.sqlite")
    assert (tmp_path / "once more.sqlite").read_bytes() == again.read_bytes()


def test_a_damaged_or_missing_file_is_said(tmp_path: Path, index: WordsIndex) -> None:
    with pytest.raises(UserError, match="snakemake"):
        WordsIndex(tmp_path / "absent.sqlite")
    (tmp_path / "text.sqlite").write_text("no database at all" * 100)
    with pytest.raises(DamagedShard):
        WordsIndex(tmp_path / "text.sqlite")
    shutil.copy(index.path, tmp_path / "cut.sqlite")
    with open(tmp_path / "cut.sqlite", "r+b") as file:
        file.truncate(6000)
    with pytest.raises(DamagedShard):
        WordsIndex(tmp_path / "cut.sqlite").search("soup")
    build_words([table(tmp_path / "00000.parquet", SAID)], tmp_path / "text.sqlite")
    assert found(WordsIndex(tmp_path / "text.sqlite"), "rust")


def test_no_flipped_bit_says_other_words_or_passes_verify(tmp_path: Path) -> None:
    """Not a bit of the file changes unseen by its seal; what a line says is looked at whenever it answers."""
    output, broken = tmp_path / "words.sqlite", tmp_path / "broken.sqlite"
    build_words([table(tmp_path / "00000.parquet", SAID)], output)
    require_sealed_sqlite(output)
    data = output.read_bytes()
    said = {hit.text for hit in WordsIndex(output).search("soup")}
    lines = [place for place in range(len(data)) if data[place : place + 4] == b"soup"]
    random = np.random.default_rng(0)
    places = [*lines, *(place - 20 for place in lines), *random.integers(len(data), size=200)]
    for number, place in enumerate(places):
        changed = bytearray(data)
        changed[place] ^= 1 << number % 8
        broken.write_bytes(changed)
        with pytest.raises(ValueError, match="CRC-32"):
            require_sealed_sqlite(broken)
        with contextlib.suppress(DamagedShard):
            assert {hit.text for hit in WordsIndex(broken).search("soup")} <= said


def test_a_damaged_file_is_made_anew_and_not_brought_up_to_date(tmp_path: Path) -> None:
    shard, output = table(tmp_path / "00000.parquet", SAID), tmp_path / "words.sqlite"
    build_words([shard], output)
    good = output.read_bytes()
    for damaged in (good.replace(b"soup", b"soap"), good[:6000], good[:-4096] + bytes(4096)):
        output.write_bytes(damaged)
        build_words([shard], output)
        assert output.read_bytes() == good


def test_several_threads_may_ask(index: WordsIndex) -> None:
    answers: list[list] = []
    threads = [
        threading.Thread(target=lambda: answers.append(found(index, "bycicle rust")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 8
    assert all(one == answers[0] for one in answers)
