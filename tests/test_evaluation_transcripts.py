"""Transcripts from both kinds of annotation, and the true item of every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mcn.errors import UserError
from mcn.evaluation.alignment.transcripts import OTHER, Transcript, _of_steps, read_transcripts
from mcn.evaluation.annotations import AnnotatedVideo
from mcn.files import write_table

NOT = np.nan
TEXTS = {"make": ["pour", "cut"]}


def of_steps(segments: list[tuple[int, float, float]], items: Any) -> Transcript:
    return _of_steps(AnnotatedVideo("one", "make", segments), TEXTS, items)


def test_background_stands_in_the_gaps() -> None:
    found = of_steps([(1, 5.0, 7.0), (0, 0.5, 2.0), (1, 2.5, 4.0)], "gaps")
    # half a second before the first and between the first two is no gap; one second before the third is
    assert found.classes.tolist() == [0, 1, 2, 1, 2]
    assert found.until(7.9).classes.tolist() == [0, 1, 2, 1]
    assert found.until(8.0).classes.tolist() == [0, 1, 2, 1, 2]
    frames = found.until(9.0).frames(0.0, 9, 0.5)
    # seconds 0 to 0.5 and 2 to 2.5 belong to nothing
    assert frames.tolist() == [-1, 0, 0, 0, -1, 1, 1, 1, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4]


@pytest.mark.parametrize(
    ("items", "classes"), [("always", [2, 0, 2, 1, 2]), ("none", [0, 1]), ("gaps", [0, 1, 2])]
)
def test_background_policies(items: str, classes: list[int]) -> None:
    found = of_steps([(0, 0.0, 2.0), (1, 2.0, 3.0)], items)
    assert found.classes.tolist() == classes
    frames = found.frames(0.0, 4, 1.0)
    named = {"always": [1, 1, 3, 4], "none": [0, 0, 1, -1], "gaps": [0, 0, 1, 2]}
    assert frames.tolist() == named[items]


def test_frames_start_with_the_features_and_reach_the_last_annotation() -> None:
    found = Transcript("one", "", np.array([0, 1]), np.array([[0.0, 2.0], [3.0, 5.0]]))
    assert found.frames(1.0, 2, 0.5).tolist() == [0, 0, -1, -1, 1, 1, 1, 1]


def test_of_overlapping_items_the_later_begun_has_the_frame() -> None:
    nested = Transcript("one", "", np.array([0, 1]), np.array([[0.0, 5.0], [1.0, 2.0]]))
    assert nested.frames(0.0, 5, 1.0).tolist() == [0, 1, 0, 0, 0]


def test_a_step_inside_another_leaves_no_gap_behind_it() -> None:
    found = of_steps([(0, 0.0, 10.0), (1, 2.0, 3.0), (1, 9.0, 12.0)], "gaps")
    assert found.classes.tolist() == [0, 1, 1, 2]


def test_a_frame_belongs_to_what_lies_at_its_middle() -> None:
    found = Transcript("one", "", np.array([0]), np.array([[0.4, 1.4]]))
    assert found.frames(0.0, 2, 1.0).tolist() == [0, -1]


CLASSES = [(0, "pour", False), (1, "cut", False), (2, "background", True)]


def tables(
    folder: Path,
    transcripts: list[tuple[str, int, int]],
    segments: list[tuple[str, int, float, float]],
    classes: list[tuple[int, str, bool]] = CLASSES,
) -> tuple[Path, Path, Path]:
    """The three tables with these rows."""
    columns: dict[str, tuple[list[str], list[tuple]]] = {
        "classes": (["class_id", "text", "background"], classes),
        "transcripts": (["video_id", "position", "class_id"], transcripts),
        "segments": (["video_id", "class_id", "start_seconds", "end_seconds"], segments),
    }
    for name, (names, rows) in columns.items():
        records = [dict(zip(names, row, strict=True)) for row in rows]
        write_table(folder / f"{name}.parquet", pa.Table.from_pylist(records))
    return tuple(folder / f"{name}.parquet" for name in columns)  # type: ignore[return-value]


def test_transcript_tables(tmp_path: Path) -> None:
    order = [2, 1, 2, 0, 1]
    lists, videos = read_transcripts(
        *tables(
            tmp_path,
            [("one", n, c) for n, c in reversed(list(enumerate(order)))] + [("two", 0, 0)],
            [
                ("one", 1, 4.0, 5.0),
                ("one", 1, 1.0, 2.0),
                ("one", 0, 3.0, 4.0),
                ("one", 2, 0.0, 1.0),
                ("two", 1, 0.0, 1.0),
            ],
        )
    )
    assert lists[""].texts == ["pour", "cut", "background"]
    assert lists[""].background == {2}
    one, two = videos
    assert one.classes.tolist() == order
    expected = [[NOT, NOT], [1, 2], [NOT, NOT], [3, 4], [4, 5]]
    np.testing.assert_array_equal(one.spans, expected)
    assert one.frames(0.0, 6, 1.0).tolist() == [0, 1, 2, 3, 4, -1]
    assert one.until(5.0) is one
    assert (one.problem, two.problem) == ("", OTHER)


def test_tables_that_disagree(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="class ids other than 0 to 1"):
        read_transcripts(*tables(tmp_path, [("one", 0, 0)], [("one", 0, 0.0, 1.0)], CLASSES[1:]))
    with pytest.raises(UserError, match="class 3 in video one"):
        read_transcripts(*tables(tmp_path, [("one", 0, 3)], [("one", 0, 0.0, 1.0)]))
    with pytest.raises(UserError, match="no file"):
        read_transcripts(tmp_path / "none", tmp_path / "none", tmp_path / "none")
