"""Videos that are trained on and scored on: found by id, by content and by the ids of published clips; left out."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from mcn.errors import UserError
from mcn.files import csv_text, stream_table, write_text
from mcn.layout import Dataset
from mcn.sources.annotation_tables import VIDEOS
from mcn.sources.leaks import Leak, counted, find_leaks, read_leaks, write_leaks
from mcn.sources.outside import CONTENTS


def dataset(
    root: Path, videos: dict[str, str | None], noted: dict[str, str] | None = None
) -> Dataset:
    """A data set of these videos, with the sha256 of a manifest or of decoding."""
    with stream_table(root / "videos.parquet", VIDEOS) as writer:
        rows = [{"video_id": name, "path": "x", "sha256": sha} for name, sha in videos.items()]
        writer.write_table(pa.Table.from_pylist(rows, VIDEOS))
    lines = [[name, "x", 1, 1, 1, sha] for name, sha in (noted or {}).items()]
    write_text(root / "contents/00000.csv", csv_text([CONTENTS, *lines]))
    return Dataset(root, 1)


@pytest.fixture
def sets(tmp_path: Path) -> tuple[Dataset, list[Dataset]]:
    training = dataset(
        tmp_path / "training",
        {"same": None, "renamed": None, "alone": "f" * 64, "abcdefghijk": None},
        {"renamed": "a" * 64, "same": "b" * 64},
    )
    test = dataset(
        tmp_path / "test", {"same": "b" * 64, "other": None, "plain": None}, {"other": "a" * 64}
    )
    clips = dataset(tmp_path / "clips", {"abcdefghijk_0": None, "abcdefghijk_1": None})
    return training, [test, clips]


def test_videos_are_found_by_id_and_by_content(sets: tuple[Dataset, list[Dataset]]) -> None:
    training, scored = sets
    assert find_leaks(training, scored) == [
        Leak("renamed", "test", "other", "content"),
        Leak("same", "test", "same", "id"),
    ]
    found = find_leaks(training, scored, ["clips"])
    assert [one for one in found if one.dataset == "clips"] == [
        Leak("abcdefghijk", "clips", "abcdefghijk_0", "id"),
        Leak("abcdefghijk", "clips", "abcdefghijk_1", "id"),
    ]
    assert counted(found) == {"test": 2, "clips": 1}
    assert len(find_leaks(training, [training])) == 4  # trained and scored on one set


def test_the_list_is_read_as_it_was_written(
    sets: tuple[Dataset, list[Dataset]], tmp_path: Path
) -> None:
    found = find_leaks(*sets)
    write_leaks(tmp_path / "leaks.csv", found)
    assert read_leaks(tmp_path / "leaks.csv") == found
    write_text(tmp_path / "other.csv", "a,b\n")
    with pytest.raises(UserError, match="wanted: the columns video_id,dataset,other_id,by"):
        read_leaks(tmp_path / "other.csv")
