"""Passages of what is said: how lines are joined, and queries in other words."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.features.embedded import package_folder
from mcn.files import write_table
from mcn.options.encoders import SentenceOptions
from mcn.options.features import RuntimeOptions
from mcn.search import passages as module
from mcn.search.passages import (
    LEAST_SECONDS,
    LONGEST_SECONDS,
    PassageEncoder,
    index_passages,
    passages,
)
from mcn.search.vectors import VectorIndex
from mcn.sources.annotation_tables import NARRATION
from mcn.sources.narration import Line

CPU = RuntimeOptions(device="cpu")
SAID = {
    "bike": ["First we take the corrosion off the chain.", "A wire brush does it best."],
    "soup": ["Warm the broth in a pot.", "Do not let it boil over."],
    "garden": ["These seeds need a lot of sun.", "Water the seedlings every morning."],
}


def lines(*seconds: tuple[float, float]) -> list[Line]:
    return [Line(start, end, f"line{number}") for number, (start, end) in enumerate(seconds)]


def spans(found: list[Line]) -> list[tuple[float, float]]:
    return [line[:2] for line in found]


def test_passages_overlap_and_hold_every_line() -> None:
    said = lines(*((3.0 * i, 3.0 * i + 3) for i in range(20)))
    found = passages(said)
    assert all(LEAST_SECONDS <= end - start <= LONGEST_SECONDS for start, end in spans(found))
    assert {word for one in found for word in one.text.split()} == {line.text for line in said}
    assert all(
        after.start_seconds < before.end_seconds for before, after in itertools.pairwise(found)
    )
    assert found[0].text == "line0 line1 line2 line3"


def test_a_pause_ends_a_passage_and_long_lines_stay_alone() -> None:
    assert spans(passages(lines((0, 2), (2, 4), (12, 14)))) == [(0, 4), (12, 14)]
    assert spans(passages(lines((0, 25), (25, 27)))) == [(0, 25), (25, 27)]
    assert spans(passages(lines((0, 4), (4, 22)))) == [(0, 4), (4, 22)]
    assert passages([]) == []
    assert spans(passages(lines((0, 1)))) == [(0, 1)]
    same = lines((1, 1), (1, 1), (1, 1))
    assert {word for one in passages(same) for word in one.text.split()} == {
        "line0",
        "line1",
        "line2",
    }


def test_a_feature_that_embeds_no_texts_is_refused() -> None:
    with pytest.raises(UserError, match=r"search\.meaning: logmel is no feature of texts"):
        configure(
            {
                "datasets": {"a": {"manifest": "m.csv"}},
                "features": {},
                "search": {"meaning": "logmel"},
            }
        )
    with pytest.raises(
        UserError, match=r"search\.meaning: no feature 'minilmm', did you mean 'minilm'"
    ):
        configure(
            {
                "datasets": {"a": {"manifest": "m.csv"}},
                "features": {},
                "search": {"meaning": "minilmm"},
            }
        )


def test_a_query_finds_what_was_said_in_other_words(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    try:
        package_folder("minilm")
    except UserError as error:
        pytest.skip(str(error))
    (tmp_path / "00000.csv").write_text(
        "video_id,path,sha256\nbike,b,\ngarden,g,\nsilent,s,\nsoup,s,\n"
    )
    rows = [
        {"video_id": video, "start_seconds": 3.0 * i, "end_seconds": 3.0 * i + 3, "text": text}
        for video, texts in SAID.items()
        for i, text in enumerate(texts)
    ]
    write_table(tmp_path / "lines.parquet", pa.Table.from_pylist(rows, NARRATION))
    part, row = tmp_path / "00000.parquet", SentenceOptions()
    paths = tmp_path / "00000.csv", tmp_path / "lines.parquet", part
    index_passages(*paths, "minilm", row, CPU)
    made = part.read_bytes()
    index_passages(*paths, "minilm", row, CPU)
    assert part.read_bytes() == made
    index = VectorIndex([part], "meaning")
    assert index.errors == {"silent": "nothing is said"}
    encoder = PassageEncoder("minilm", row, CPU)
    queries = {
        "get rid of rust": "bike",
        "heat up some soup": "soup",
        "how to grow plants": "garden",
    }
    vectors = encoder.embed_text(list(queries))
    assert vectors.dtype == np.float32
    first = [index.video_ids[index.videos[found.rows[0]]] for found in index.search(vectors, 1)]
    assert first == list(queries.values())
    assert not encoder.embed_text([" "]).any()
    silent = nothing_said(tmp_path / "silent")
    both = VectorIndex([silent, part], "meaning")
    assert both.recipe == index.recipe
    (hit,) = both.search(vectors[:1], 1)
    assert both.video_ids[both.videos[hit.rows[0]]] == "bike"


def nothing_said(folder: Path) -> Path:
    """The part of a shard in which nothing is said."""
    folder.mkdir()
    (folder / "00001.csv").write_text("video_id,path,sha256\nmute,m,\n")
    write_table(folder / "lines.parquet", pa.Table.from_pylist([], NARRATION))
    part = folder / "00001.parquet"
    shard = folder / "00001.csv", folder / "lines.parquet", part
    index_passages(*shard, "minilm", SentenceOptions(), CPU)
    return part


def test_no_encoder_is_loaded_where_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PassageEncoder", None)
    index = VectorIndex([nothing_said(tmp_path / "silent")], "meaning")
    assert (len(index), index.errors) == (0, {"mute": "nothing is said"})
    assert index.search(np.ones((1, 384)), 3)[0].rows.tolist() == []
