"""MSR-VTT: one caption a clip for the test, several for training, ends that may be open."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from mcn.errors import UserError
from mcn.evaluation.annotations import read_captions
from mcn.options.published import OfficialOptions
from mcn.sources.adapters import adapter_of, import_annotations
from mcn.sources.annotation_tables import prepare_captions
from mcn.sources.videos import prepare_videos
from tests.official_files import msrvtt, write
from tests.test_sources_official import imported, rows


def tables(tmp_path, output):
    """The captions table that the common inputs become."""
    videos = tmp_path / "videos.parquet"
    prepare_videos(output / "manifest.csv", videos, tmp_path / "narration.parquet", "ledger")
    prepare_captions(output / "captions.csv", videos, tmp_path / "captions.parquet")
    return tmp_path / "captions.parquet"


def test_a_test_clip_is_the_whole_of_its_file(tmp_path):
    captions = rows(imported(tmp_path, "msrvtt") / "captions.csv")
    assert [(row["clip_id"], row["start_seconds"], row["end_seconds"]) for row in captions] == [
        ("video9770", "0.0", "11.75"),  # 22.25 - 10.5: the JSON has times in the source video
        ("video9771", "0.0", ""),
    ]
    assert captions[1]["caption"] == 'a man, smiling, says "hi"'


def test_the_test_csv_alone_leaves_every_end_open(tmp_path):
    folder = msrvtt(tmp_path / "data")
    (folder / "MSRVTT_data.json").unlink()
    import_annotations(
        adapter_of(OfficialOptions(kind="msrvtt", directory=str(folder))), tmp_path / "output"
    )
    path = tables(tmp_path, tmp_path / "output")
    assert pd.read_parquet(path).end_seconds.isna().all()
    assert [clip.end for clip in read_captions(path).clips] == [np.inf, np.inf]


@pytest.mark.parametrize(
    ("split", "published", "reasons"),
    [
        ("train_7k", 7010, {"an empty caption": 1, "a clip without captions": 1}),
        ("train_9k", 9000, {"an empty caption": 1}),
    ],
)
def test_training_clips_keep_all_their_captions(tmp_path, split, published, reasons):
    output = imported(tmp_path, "msrvtt", split)
    captions = read_captions(tables(tmp_path, output))
    assert captions.clip_ids == ["video0", "video1"]
    assert captions.texts == ["a car is shown", "a car is driven, fast", "a woman cooks"]
    assert list(captions.clip_of) == [0, 0, 1]
    account = json.loads((output / "accounting.json").read_text())
    assert account["counts"]["clips"] == {"found": 2, "published": published}
    assert account["left_out"] == reasons


def test_one_clip_id_for_two_moments_is_an_error(tmp_path):
    path = write(tmp_path / "m.csv", "video_id,path\na,a.mp4\n")
    prepare_videos(path, tmp_path / "v.parquet", tmp_path / "n.parquet", "ledger")
    write(
        tmp_path / "c.csv",
        "clip_id,video_id,start_seconds,end_seconds,caption\n"
        "x,a,0,,stir\nx,a,0,,stir well\ny,a,0,,fry\ny,a,0,3,fry\nz,a,4,3,\n",
    )
    with pytest.raises(UserError) as caught:
        prepare_captions(tmp_path / "c.csv", tmp_path / "v.parquet", tmp_path / "c.parquet")
    assert "clip_id 'y' names two different moments" in caught.value.got
    assert "'x'" not in caught.value.got
    assert "4.0 to 3.0 s" in caught.value.got
    assert "clip z: no caption" in caught.value.got


def test_json_of_another_form_is_named(tmp_path):
    folder = msrvtt(tmp_path / "data")
    write(folder / "MSRVTT_data.json", '{"videos": [{"video_id": "video0"}], "sentences": []}')
    options = OfficialOptions(kind="msrvtt", directory=str(folder), split="train_9k")
    with pytest.raises(UserError, match=r"MSRVTT_data\.json: KeyError: 'end time'"):
        import_annotations(adapter_of(options), tmp_path / "output")
