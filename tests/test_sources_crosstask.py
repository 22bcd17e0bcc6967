"""CrossTask: task lists, pairs of task and video, times of steps."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mcn.errors import UserError
from mcn.options.published import OfficialOptions
from mcn.sources.adapters import adapter_of, import_annotations
from mcn.sources.annotation_tables import prepare_steps
from mcn.sources.crosstask import read_tasks
from mcn.sources.videos import prepare_videos
from tests.official_files import crosstask, write
from tests.test_sources_official import imported, rows


def steps(output):
    return [tuple(row.values())[:-1] for row in rows(output / "steps.csv")]


def test_steps_count_from_0_and_a_video_serves_two_tasks(tmp_path):
    output = imported(tmp_path, "crosstask")
    assert steps(output) == [
        ("a_b-cdefghi", "23521", "0", "10.25", "20.0"),
        ("a_b-cdefghi", "23521", "2", "40.5", "55.0"),
        ("a_b-cdefghi", "16815", "1", "60.0", "61.0"),
    ]
    assert [row["video_id"] for row in rows(output / "manifest.csv")] == ["a_b-cdefghi"]
    assert [tuple(row.values()) for row in rows(output / "tasks.csv")][2:4] == [
        ("23521", "2", "stir mixture"),
        ("16815", "0", "season steak"),
    ]


def test_what_is_left_out_is_named(tmp_path):
    left_out = rows(imported(tmp_path, "crosstask") / "left_out.csv")
    assert [(row["item"], row["line"], row["reason"]) for row in left_out] == [
        ("step 1", "3", "a step that ends before it begins"),
        ("16815_notannotate", "4", "no usable times of its steps"),
    ]


def test_the_number_of_primary_tasks_is_checked(tmp_path):
    account = json.loads((imported(tmp_path, "crosstask") / "accounting.json").read_text())
    assert account["counts"]["tasks"] == {"found": 2, "published": 18}


def test_splits_of_the_primary_videos(tmp_path):
    manifest = rows(imported(tmp_path, "crosstask", "primary") / "manifest.csv")
    assert {row["video_id"]: row["split"] for row in manifest} == {
        "a_b-cdefghi": "test",
        "-1234567890": "validation",
    }


def test_the_validation_list_may_be_left_out(tmp_path):
    output = imported(tmp_path, "crosstask", "without_validation")
    assert {row["video_id"] for row in rows(output / "manifest.csv")} == {"a_b-cdefghi"}
    counts = json.loads((output / "accounting.json").read_text())["counts"]
    assert counts["videos of tasks with times"]["found"] == 2


def test_related_tasks_have_the_times_of_their_constraints(tmp_path):
    output = imported(tmp_path, "crosstask", "related")
    assert steps(output) == [
        ("tea_video__", "105222", "0", "2.0", "5.0"),
        ("tea_video__", "105222", "1", "4.0", "9.0"),
    ]


def test_tables_of_seconds_are_read_where_there_is_no_csv(tmp_path):
    folder = crosstask(tmp_path / "data")
    (folder / "annotations/16815_a_b-cdefghi.csv").unlink()
    table = np.zeros((9, 2), np.uint8)
    table[0:2, 1], table[7:9, 0], table[4, 1] = 1, 1, 1
    np.save(folder / "annotations/16815_a_b-cdefghi.npy", table)
    import_annotations(
        adapter_of(OfficialOptions(kind="crosstask", directory=str(folder))), tmp_path / "out"
    )
    assert [row[2:] for row in steps(tmp_path / "out") if row[1] == "16815"] == [
        ("1", "0.0", "2.0"),
        ("1", "4.0", "5.0"),
        ("0", "7.0", "9.0"),
    ]
    lengths = {row["task"]: row["video_seconds"] for row in rows(tmp_path / "out" / "steps.csv")}
    assert lengths == {"23521": "", "16815": "9"}


def test_the_common_tables_accept_ids_that_look_like_numbers(tmp_path):
    output = imported(tmp_path, "crosstask", "primary")
    videos = tmp_path / "videos.parquet"
    prepare_videos(output / "manifest.csv", videos, tmp_path / "n.parquet", "ledger")
    tables = tmp_path / "tasks.parquet", tmp_path / "steps.parquet"
    prepare_steps(output / "tasks.csv", output / "steps.csv", videos, *tables)
    assert set(pd.read_parquet(tables[1]).task) == {"23521", "16815"}
    text = (
        (output / "steps.csv").read_text().replace("20.0,", "20.0,31").replace("55.0,", "55.0,32")
    )
    write(output / "steps.csv", text)
    with pytest.raises(
        UserError, match="task 23521: video_seconds 31, 32, wanted one whole number"
    ):
        prepare_steps(output / "tasks.csv", output / "steps.csv", videos, *tables)


@pytest.mark.parametrize("step", ["0", "4", "two"])
def test_a_step_outside_its_task_is_an_error_with_its_line(tmp_path, step):
    folder = crosstask(tmp_path / "data")
    write(folder / "annotations/23521_a_b-cdefghi.csv", f"1,1,2\n{step},3,4\n")
    with pytest.raises(UserError, match=f"cdefghi.csv, line 2: step '{step}'"):
        import_annotations(
            adapter_of(OfficialOptions(kind="crosstask", directory=str(folder))), tmp_path / "out"
        )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\nA\nhttp://a\n2\nstir\n", "line 5: 1 steps after the number '2'"),
        ("1\nA\nhttp://a\n2\nstir,\n", "line 5: 2 steps after the number '2'"),
        ("1\nA\n\nhttp://a\n1\n", "line 5: 4 lines that are not blank"),
        ("1\nA\nu\n1\nstir\n\n1\nB\nu\n1\nmix\n", "line 7: task 1 again"),
    ],
)
def test_task_lists_of_another_form_are_named_with_the_line(tmp_path, text, message):
    path = write(tmp_path / "tasks_primary.txt", text)
    with pytest.raises(UserError) as caught:
        read_tasks(path)
    assert caught.value.got == f"{path}, {message}"
