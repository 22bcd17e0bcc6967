"""docs/reading_shards.md: its code, run as it stands on shards of the tests, gives what the package itself reads."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcn.shards import FeatureStore, ShardReader
from tests.synthetic_shards import write_topic_shards

PAGE = Path(__file__).parent.parent / "docs/reading_shards.md"
FEATURES = Path("results/demo_train/features")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The folder, and the names that the blocks of the page have defined, one after the other."""
    folder = tmp_path_factory.mktemp("reading")
    write_topic_shards(folder / FEATURES, spoil=True)
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for code in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S):
            exec(compile(code, PAGE.name, "exec"), names)
    return folder / FEATURES, names


def store(folder: Path, shards: int) -> FeatureStore:
    return FeatureStore([folder / f"resnet152/{number:05d}.parquet" for number in range(shards)])


def test_pandas_reads_the_matrices_and_their_times(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, names = ran
    wanted = store(folder, 1)
    assert set(names["matrices"]) == {one for one in wanted if wanted.status[one] == "ok"}
    for video_id, values in names["matrices"].items():
        np.testing.assert_array_equal(values, wanted[video_id].values)
    first = wanted[names["first"].video_id]
    assert len(names["times"]) == len(first.values)
    assert names["times"][1] == first.start_seconds + first.step_seconds
    assert names["means"].shape == (len(names["matrices"]), first.values.shape[1])


def test_duckdb_counts_videos_and_unfolds_lines(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, names = ran
    wanted = store(folder, 2)
    found = names["seconds"]
    assert dict(zip(found.status, found.videos, strict=True)) == Counter(wanted.status.values())
    lengths = [len(one.values) * one.step_seconds for one in wanted.values() if one.status == "ok"]
    assert found[found.status == "ok"].seconds.item() == pytest.approx(sum(lengths))
    assert Counter(names["lines"].text) == Counter(said(folder))


def test_polars_finds_the_longest_videos_and_counts_words(
    ran: tuple[Path, dict[str, Any]],
) -> None:
    folder, names = ran
    lengths = {
        one.video_id: len(one.values) * one.step_seconds
        for one in store(folder, 2).values()
        if one.status == "ok"
    }
    assert dict(names["longest"].iter_rows()) == dict(
        sorted(lengths.items(), key=lambda one: (-one[1], one[0]))[:5]
    )
    counts = Counter(word for text in said(folder) for word in text.split(" "))
    assert dict(names["words"].iter_rows()) == counts


def test_the_header_says_how_the_shard_was_made(ran: tuple[Path, dict[str, Any]]) -> None:
    assert ran[1]["header"]["kind"] == "features"
    assert ran[1]["header"]["recipe"] == {"feature": "resnet152", "version": 1}


def said(folder: Path) -> list[str]:
    """Every line of narration."""
    shards = sorted((folder / "word2vec").glob("*.parquet"))
    return [text for shard in shards for row in ShardReader(shard) for text in row["texts"] or ()]
