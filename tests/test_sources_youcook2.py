"""YouCook2: the CSV of the validation clips and the JSON of all annotations."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from mcn.errors import UserError
from mcn.options.published import OfficialOptions
from mcn.sources.adapters import adapter_of, import_annotations
from mcn.sources.annotation_tables import prepare_captions
from mcn.sources.videos import prepare_videos
from tests.official_files import write, youcook2
from tests.test_sources_official import imported, rows


def test_validation_clips_are_numbered_in_time_and_keep_their_captions(tmp_path):
    output = imported(tmp_path, "youcook2")
    assert [tuple(row.values()) for row in rows(output / "captions.csv")] == [
        ("-AwyG1JcMp8_00", "-AwyG1JcMp8", "41.0", "90.0", "mix it", "en"),
        ("-AwyG1JcMp8_01", "-AwyG1JcMp8", "90.0", "120.0", 'add salt, pepper and "oil"', "en"),
        ("xHr8X2Wpmno_00", "xHr8X2Wpmno", "12.0", "30.0", "mix it", "en"),
    ]
    assert rows(output / "left_out.csv")[0]["line"] == "6"


def test_counts_stand_beside_the_published_ones(tmp_path, caplog):
    account = json.loads((imported(tmp_path, "youcook2") / "accounting.json").read_text())
    assert account["counts"]["clips"] == {"found": 3, "published": 3350}
    assert account["counts"]["videos"] == {"found": 2, "published": 436}
    assert account["counts"]["distinct captions"] == {"found": 2, "published": 3273}
    assert "clips: 3 found, 3350 published" in caplog.text


@pytest.mark.parametrize(
    ("split", "clips"),
    [
        ("training", ["trainvideo__00", "trainvideo__01"]),
        (
            "validation",
            ["-AwyG1JcMp8_00", "-AwyG1JcMp8_01", "xHr8X2Wpmno_00", "third_video_00"],
        ),
    ],
)
def test_subsets_of_the_json_give_the_same_clips_the_same_ids(tmp_path, split, clips):
    output = imported(tmp_path, "youcook2", split)
    assert [row["clip_id"] for row in rows(output / "captions.csv")] == clips


def test_the_common_tables_accept_what_is_imported(tmp_path):
    output = imported(tmp_path, "youcook2", "validation")
    videos = tmp_path / "videos.parquet"
    prepare_videos(output / "manifest.csv", videos, tmp_path / "n.parquet", "ledger")
    prepare_captions(output / "captions.csv", videos, tmp_path / "captions.parquet")
    table = pd.read_parquet(tmp_path / "captions.parquet")
    assert list(table.caption)[-1] == "café au lait"


@pytest.mark.parametrize(
    ("row", "message"),
    [("120,soon,113,stir,abc", "line 2: start 'soon'"), ("1,0,113,stir,../x", "line 2: video id")],
)
def test_a_cell_of_another_form_is_named_with_its_line(tmp_path, row, message):
    write(tmp_path / "validation_youcook.csv", f"end,start,task,text,video_id\n{row}\n")
    with pytest.raises(UserError, match=message):
        import_annotations(
            adapter_of(OfficialOptions(kind="youcook2", directory=str(tmp_path))), tmp_path
        )
    assert not (tmp_path / "captions.csv").exists()


def test_json_of_another_form_is_named(tmp_path):
    youcook2(tmp_path)
    write(tmp_path / "youcookii_annotations_trainval.json", '{"database": {"a": {}}}')
    options = OfficialOptions(kind="youcook2", directory=str(tmp_path), split="training")
    with pytest.raises(UserError, match=r"trainval\.json: KeyError: 'subset'"):
        import_annotations(adapter_of(options), tmp_path / "output")
