"""Mining YouTube: classes, frames and cues to segments, transcripts and steps; the tables of ordered alignment."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from mcn.errors import UserError
from mcn.options.published import OfficialOptions
from mcn.sources.adapters import adapter_of, import_annotations
from mcn.sources.annotation_tables import prepare_alignment
from mcn.sources.mining_youtube import read_classes
from mcn.sources.videos import prepare_videos
from tests import media_files
from tests.official_files import MINING_LABELS, mining_youtube, write
from tests.test_sources_official import imported, rows

FRAMES, CUES = "-1okAudsnAc", "cues_only__"


def of(rows_of_all, video_id):
    return [tuple(row.values())[1:] for row in rows_of_all if row["video_id"] == video_id]


def again(tmp_path, folder, split=""):
    options = OfficialOptions(kind="mining_youtube", directory=str(folder), split=split)
    import_annotations(adapter_of(options), tmp_path / "output")
    return tmp_path / "output"


def test_background_is_the_last_class(tmp_path):
    output = imported(tmp_path, "mining_youtube")
    assert [tuple(row.values()) for row in rows(output / "classes.csv")] == [
        ("0", "add oil", "0"),
        ("1", "crack egg", "0"),
        ("2", "fry egg", "0"),
        ("3", "background", "1"),
    ]


def test_labels_become_seconds_at_the_rate_that_fits_the_cues(tmp_path):
    output = imported(
        tmp_path, "mining_youtube"
    )  # 20 frames a second; the last label ends behind the last cue
    segments = of(rows(output / "segments.csv"), FRAMES)
    assert [(int(c), float(s), float(e)) for c, s, e in segments] == [
        (3, 0.0, 0.5),
        (1, 0.5, pytest.approx(1.5)),
        (3, pytest.approx(1.5), 2.0),
        (0, 2.0, 2.5),
        (1, 2.5, 3.0),
        (3, 3.0, 3.25),
    ]
    counts = json.loads((output / "accounting.json").read_text())["counts"]
    note = "1 at 20.00 frames/s; boundaries within 0.00 s of their cues"
    assert counts["label files"] == {"found": 1, "published": None, "note": note}


def test_labels_that_stop_early_are_followed_by_the_cues_behind_them(tmp_path):
    folder = mining_youtube(tmp_path / "data")
    labels = (folder / f"groundTruth/{FRAMES}.txt").read_text().splitlines()[:50]
    write(folder / f"groundTruth/{FRAMES}.txt", "\n".join(labels))
    output = again(tmp_path, folder)
    segments = of(rows(output / "segments.csv"), FRAMES)
    assert [(int(c), float(s), float(e)) for c, s, e in segments[-2:]] == [
        (0, 2.0, 2.5),
        (1, 2.5, 3.0),
    ]
    counts = json.loads((output / "accounting.json").read_text())["counts"]
    assert counts["label files that stop before their cues"]["found"] == 1


def test_labels_that_do_not_fit_their_cues_are_refused_with_the_figures(tmp_path):
    folder = mining_youtube(tmp_path / "data")
    write(folder / f"groundTruth/{FRAMES}.txt", "background\n" * 10 + "fry_egg\n" * 20)
    with pytest.raises(
        UserError, match="1 runs of labels do not follow its 3 cues, 3 of them with"
    ):
        again(tmp_path, folder)


def test_without_cues_labels_last_as_long_as_the_video_at_its_rate(tmp_path):
    from mcn.media.probe import probe

    folder = mining_youtube(tmp_path / "data")
    (folder / f"annotations/{FRAMES}.srt").unlink()
    media = media_files.make("plain.mp4")
    (folder / f"videos/{FRAMES}.mp4").write_bytes(media.read_bytes())
    facts = probe(media)
    frames = round(facts.seconds * facts.video.frames_per_second)
    write(folder / f"groundTruth/{FRAMES}.txt", "add_oil\n" * 10 + "background\n" * (frames - 10))
    segments = of(rows(again(tmp_path, folder) / "segments.csv"), FRAMES)
    assert float(segments[0][2]) == pytest.approx(10 / facts.video.frames_per_second)
    write(folder / f"groundTruth/{FRAMES}.txt", "add_oil\n" * (3 * frames))
    reasons = [row["reason"] for row in rows(again(tmp_path, folder) / "left_out.csv")]
    assert any("and there are no cues" in reason for reason in reasons)


def test_frames_with_neither_cues_nor_video_are_left_out(tmp_path):
    folder = mining_youtube(tmp_path / "data")
    (folder / f"annotations/{FRAMES}.srt").unlink()
    reason = "neither cues nor a readable video"
    with pytest.raises(UserError, match=f"not a single video.*\n.*{reason}"):
        again(tmp_path, folder, "validation")
    output = again(tmp_path, folder, "test")
    assert any(reason in row["reason"] for row in rows(output / "left_out.csv"))
    assert FRAMES not in {row["video_id"] for row in rows(output / "manifest.csv")}


def test_cues_alone_give_segments_with_background_between(tmp_path):
    output = imported(tmp_path, "mining_youtube")
    assert of(rows(output / "segments.csv"), CUES) == [
        ("3", "0.0", "1.0"),
        ("2", "1.0", "2.0"),
        ("3", "2.0", "6.0"),
        ("0", "6.0", "7.0"),
    ]
    reasons = {row["item"]: row["reason"] for row in rows(output / "left_out.csv")}
    assert reasons == {"nothing_at_": "a video without labels", "tilting_pan": "a cue of no class"}


def test_a_transcript_has_one_item_a_segment(tmp_path):
    output = imported(tmp_path, "mining_youtube")
    transcripts, segments = rows(output / "transcripts.csv"), rows(output / "segments.csv")
    for video_id in (FRAMES, CUES):
        items = of(transcripts, video_id)
        assert [int(position) for position, _ in items] == list(range(len(items)))
        assert [c for _, c in items] == [c for c, _, _ in of(segments, video_id)]


def test_each_video_is_a_task_of_its_distinct_steps(tmp_path):
    output = imported(tmp_path, "mining_youtube")
    tasks = [tuple(row.values()) for row in rows(output / "tasks.csv")]
    assert tasks[:2] == [(FRAMES, "0", "crack egg"), (FRAMES, "1", "add oil")]
    steps = [(task, step) for task, step, *_ in of(rows(output / "steps.csv"), FRAMES)]
    assert steps == [(FRAMES, "0"), (FRAMES, "0"), (FRAMES, "1")]


def test_released_step_texts_are_found_in_the_truth_or_the_cues(tmp_path):
    folder = mining_youtube(tmp_path / "data")
    steps = {FRAMES: ["add oil", "crack eggs", "eat it", "background"]}
    write(folder / "vid2step.json", json.dumps(steps))
    output = again(tmp_path, folder)
    assert [row["text"] for row in rows(output / "tasks.csv") if row["task"] == FRAMES] == [
        "add oil",
        "crack eggs",
        "eat it",
    ]
    found = [row[1:4] for row in of(rows(output / "steps.csv"), FRAMES)]
    assert found == [("0", "2.0", "2.5"), ("1", "0.5", "1.5"), ("1", "2.5", "3.0")]
    counts = json.loads((output / "accounting.json").read_text())["counts"]
    assert counts["steps without a time"]["found"] == 1


def test_the_other_class_list_has_another_order(tmp_path):
    folder = mining_youtube(tmp_path / "data")
    (folder / "weakYouTube_dict.txt").unlink()
    output = again(tmp_path, folder)
    assert next(row["text"] for row in rows(output / "classes.csv")) == "fry egg"
    assert of(rows(output / "transcripts.csv"), FRAMES)[1] == ("1", "2")
    counts = json.loads((output / "accounting.json").read_text())["counts"]
    assert counts["classes"]["note"] == "in the order of mapping_without_meta.txt"


def test_counts_and_transcripts_are_compared(tmp_path):
    folder = mining_youtube(tmp_path / "data")
    write(folder / f"transcripts/{FRAMES}.txt", "add_oil\ncrack_egg\n")
    counts = json.loads((again(tmp_path, folder) / "accounting.json").read_text())["counts"]
    assert (counts["videos"]["found"], counts["videos"]["published"]) == (2, 250)
    assert (counts["classes"]["found"], counts["classes"]["published"]) == (4, 513)
    assert counts["official transcripts in another order"]["found"] == 1


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["0 add_oil", "2 background"], "line 2: '2 background'"),
        (["0 background", "1 add_oil"], "background as class 0 of 2"),
        (["0 add_oil", "1 add_oil"], "line 2: '1 add_oil'"),
        (["add_oil", "background"], "line 1: 'add_oil'"),
    ],
)
def test_a_class_list_of_another_form_is_named_with_its_line(tmp_path, lines, message):
    path = write(tmp_path / "mapping_without_meta.txt", "\n".join(lines))
    with pytest.raises(UserError, match=message):
        read_classes(path)


def test_a_frame_with_an_unknown_label_is_an_error_with_its_line(tmp_path):
    folder = mining_youtube(tmp_path / "data")
    write(folder / f"groundTruth/{FRAMES}.txt", f"{MINING_LABELS[0]}\ncrack_eggs\n")
    with pytest.raises(UserError, match="line 2: label 'crack_eggs'"):
        again(tmp_path, folder)


def prepared(tmp_path, output):
    videos = tmp_path / "videos.parquet"
    prepare_videos(output / "manifest.csv", videos, tmp_path / "n.parquet", "ledger")
    inputs = [output / f"{name}.csv" for name in ("classes", "transcripts", "segments")]
    outputs = [tmp_path / f"{path.stem}.parquet" for path in inputs]
    prepare_alignment(*inputs, videos, *outputs)
    return [pd.read_parquet(path) for path in outputs]


def test_the_common_tables_accept_what_is_imported(tmp_path):
    classes, transcripts, segments = prepared(tmp_path, imported(tmp_path, "mining_youtube"))
    assert list(classes.background) == [False, False, False, True]
    assert len(transcripts) == len(segments) == 10


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("classes", "3,background", "4,background", "class ids other than"),
        ("transcripts", f"{FRAMES},0,3", f"{FRAMES},7,3", "positions of its transcript"),
        ("transcripts", f"{CUES},1,2", f"{CUES},1,9", "unknown class_id 9"),
        ("segments", f"{CUES},2,1.0,2.0", f"{CUES},2,1.0,2.5", "before the one before it has"),
        ("segments", f"{CUES},2,1.0,2.0", "stranger,2,1.0,2.0", "unknown video_id 'stranger'"),
        ("segments", f"{CUES},2,1.0,2.0", f"{CUES},2,2.0,2.0", "an annotation from 2.0 to 2.0 s"),
    ],
)
def test_tables_that_do_not_agree_are_refused(tmp_path, file, old, new, message):
    output = imported(tmp_path, "mining_youtube")
    text = (output / f"{file}.csv").read_text()
    assert old in text
    (output / f"{file}.csv").write_text(text.replace(old, new))
    with pytest.raises(UserError) as caught:
        prepared(tmp_path, output)
    assert message in caught.value.got
    assert not (tmp_path / "classes.parquet").exists()


def test_background_other_than_0_and_1_is_refused(tmp_path):
    output = imported(tmp_path, "mining_youtube")
    text = (output / "classes.csv").read_text()
    (output / "classes.csv").write_text(text.replace("background,1", "background,yes"))
    with pytest.raises(UserError, match=r"classes\.csv"):
        prepared(tmp_path, output)
