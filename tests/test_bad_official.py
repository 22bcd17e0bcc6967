"""Official annotation files with every kind of damage: another release, half a download, other videos, other forms.

Each is a `UserError` that says got / wanted / do this, and leaves no account behind.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mcn.options.published import OfficialOptions
from mcn.sources.adapters import adapter_of, import_annotations
from tests.official_files import MAKERS
from tests.test_bad_published import PAGE, WHOLE, refused


def cut(name: str, share: float = 0.5) -> Callable[[Path], object]:
    def change(folder: Path) -> object:
        content = (folder / name).read_bytes()
        return (folder / name).write_bytes(content[: int(share * len(content))])

    return change


def instead(name: str, content: str | bytes) -> Callable[[Path], object]:
    def change(folder: Path) -> object:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        return (folder / name).write_bytes(
            content.encode() if isinstance(content, str) else content
        )

    return change


def other_annotations(folder: Path) -> None:
    for path in (folder / "annotations").iterdir():
        path.rename(path.with_name(path.name.replace("a_b-", "zzz-").replace("-123", "-999")))


def table(values: np.ndarray) -> Callable[[Path], object]:
    def change(folder: Path) -> None:
        (folder / "annotations/23521_a_b-cdefghi.csv").unlink()
        np.save(folder / "annotations/23521_a_b-cdefghi.npy", values)

    return change


def captions(name: str, content: str | bytes) -> Callable[[Path], object]:
    def change(folder: Path) -> object:
        (folder / "caption.json").unlink()
        return instead(name, content)(folder)

    return change


CAPTIONS = {"-97kyZVWVG0": {"start": [0.0, 1.0], "end": [1.0, 2.0], "text": ["a", "b"]}}
OTHERS = {"other_video": CAPTIONS["-97kyZVWVG0"]}
CUES = "1\n00:00:00,500 --> 00:00:01,500\ncrack_egg\n\n2\n00:00:02,000 -->"
TEST_CSV = "MSRVTT_JSFUSION_test.csv"
OFFICIAL: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "youcook2: web page": ("", instead("validation_youcook.csv", PAGE), "a web page"),
    "youcook2: half": ("", cut("validation_youcook.csv", 0.4), "line 2: 4 cells"),
    "youcook2: header alone": (
        "",
        instead("validation_youcook.csv", "end,start,task,text,video_id\n"),
        "not a single video",
    ),
    "youcook2: of MSR-VTT": (
        "",
        instead("validation_youcook.csv", "key,vid_key,video_id,sentence\n"),
        "no column start",
    ),
    "youcook2: half the JSON": ("validation", cut("youcookii_annotations_trainval.json"), "line 1"),
    "youcook2: test release": (
        "validation",
        instead(
            "youcookii_annotations_trainval.json", '{"database": {"a": {"subset": "testing"}}}'
        ),
        "not a single video",
    ),
    "youcook2: no database": (
        "validation",
        instead("youcookii_annotations_trainval.json", "{}"),
        "'database'",
    ),
    "msrvtt: no rows": (
        "",
        instead(TEST_CSV, "key,vid_key,video_id,sentence\n"),
        "not a single video",
    ),
    "msrvtt: half the JSON": ("train_9k", cut("MSRVTT_data.json"), "line 1"),
    "msrvtt: captions of others": (
        "train_9k",
        instead("MSRVTT_data.json", '{"sentences": [{"video_id": "x", "caption": "a"}]}'),
        "2 times: a clip without captions",
    ),
    "crosstask: of other videos": ("primary", other_annotations, "3 times: no usable times"),
    "crosstask: half": (
        "primary",
        instead("annotations/23521_a_b-cdefghi.csv", "3,40.5,55\n1,10"),
        "line 2: 2 cells",
    ),
    "crosstask: header": (
        "primary",
        instead("annotations/23521_a_b-cdefghi.csv", "step,start,end\n"),
        "step 'step'",
    ),
    "crosstask: of another task": (
        "primary",
        instead("annotations/16815_a_b-cdefghi.csv", "3,1,2\n"),
        "step '3'",
    ),
    "crosstask: web page": (
        "primary",
        instead("annotations/16815_a_b-cdefghi.csv", PAGE),
        "a web page",
    ),
    "crosstask: a step too many": ("primary", table(np.zeros((9, 4))), "shape (9, 4)"),
    "crosstask: turned": ("primary", table(np.ones((3, 9))), "shape (3, 9)"),
    "crosstask: letters": ("primary", table(np.full((9, 3), "a")), "of <U1"),
    "crosstask: NaN": ("primary", table(np.full((9, 3), np.nan)), "NaN"),
    "crosstask: related tasks": (
        "primary",
        lambda folder: (folder / "tasks_related.txt").replace(folder / "tasks_primary.txt"),
        "of another split",
    ),
    "crosstask: half the tasks": ("primary", cut("tasks_primary.txt", 0.6), "line"),
    "crosstask: columns swapped": (
        "primary",
        instead("videos.csv", "a_b-cdefghi,23521,x\n"),
        "not a single video",
    ),
    "crosstask: empty list": ("primary", instead("videos.csv", ""), "not a single video"),
    "crosstask: list without header": (
        "test",
        instead("cvpr19_test.csv", "a_b-cdefghi,23521,x/a\n"),
        "no column task",
    ),
    "mining_youtube: no background": (
        "",
        instead("weakYouTube_dict.txt", "add_oil\ncrack_egg\nfry_egg\n"),
        "background as class None of 3",
    ),
    "mining_youtube: background first": (
        "",
        instead("weakYouTube_dict.txt", "background\nadd_oil\ncrack_egg\nfry_egg\n"),
        "background as class 0 of 4",
    ),
    "mining_youtube: half the classes": (
        "",
        cut("weakYouTube_dict.txt"),
        "background as class None",
    ),
    "mining_youtube: one line of classes": (
        "",
        instead("weakYouTube_dict.txt", "add_oil\n"),
        "background as class None",
    ),
    "mining_youtube: labels of another video": (
        "",
        instead("groundTruth/-1okAudsnAc.txt", 30 * "fry_egg\n"),
        "1 runs of labels do not follow its 3 cues",
    ),
    "mining_youtube: numbers": (
        "",
        instead("groundTruth/-1okAudsnAc.txt", 30 * "3\n"),
        "label '3'",
    ),
    "mining_youtube: labels, web page": (
        "",
        instead("groundTruth/-1okAudsnAc.txt", PAGE),
        "a web page",
    ),
    "mining_youtube: half the cues": (
        "",
        instead("annotations/-1okAudsnAc.srt", CUES),
        "are no times",
    ),
    "mining_youtube: cues, web page": (
        "",
        instead("annotations/-1okAudsnAc.srt", PAGE),
        "not a single line",
    ),
    "mining_youtube: empty list": ("", instead("test/videos_test.txt", ""), "an empty file"),
    "mining_youtube: half the steps": ("", instead("step.json", '{"a": ["x"'), "line 1"),
    "mining_youtube: steps, numbers": (
        "",
        instead("step.json", '{"-1okAudsnAc": [1]}'),
        "another form",
    ),
    "mining_youtube: steps of others": (
        "",
        instead("step.json", '{"x": ["a"]}'),
        "steps of 1 videos, none of them",
    ),
    "howto100m: half": ("", cut("caption.json"), "line 1, character"),
    "howto100m: web page": ("", instead("caption.json", PAGE), "a web page"),
    "howto100m: of other videos": (
        "",
        instead("caption.json", json.dumps(OTHERS)),
        "captions of 0 of them",
    ),
    "howto100m: other keys": (
        "",
        instead("caption.json", json.dumps({"-97kyZVWVG0": {"begin": [], "end": [], "text": []}})),
        "'start'",
    ),
    "howto100m: lengths": (
        "",
        instead("caption.json", json.dumps({"-97kyZVWVG0": {"start": [0], "end": [], "text": []}})),
        "1, 0 and 0 values",
    ),
    "howto100m: one string": (
        "",
        instead(
            "caption.json", json.dumps({"-97kyZVWVG0": {"start": [0], "end": [1], "text": "a"}})
        ),
        "one string",
    ),
    "howto100m: another list": (
        "",
        instead("HowTo100M_v1.csv", "task,path\n1,x\n"),
        "no column video_id",
    ),
    "howto100m: no list": (
        "",
        instead("HowTo100M_v1.csv", "video_id,rank\n"),
        "not a single video",
    ),
    "howto100m: paths without header": (
        "videopaths_1166",
        instead("HowTo100M_1166_videopaths.txt", "a/b/-97kyZVWVG0\n"),
        "no column path",
    ),
    "howto100m: half the pickle": (
        "",
        captions("caption.pickle", pickle.dumps(CAPTIONS, 4)[:40]),
        "cannot be read as data",
    ),
    "howto100m: pickle of clips": (
        "",
        captions("caption.pickle", WHOLE),
        "its first item is a dict",
    ),
    "howto100m: pickle of others": (
        "",
        captions("caption.pickle", pickle.dumps(OTHERS)),
        "captions of 0 of them",
    ),
    "howto100m: CSVs of others": (
        "",
        captions("howto100m_captions/x.csv", "start,end,text\n0,1,a\n"),
        "captions of 0 of them",
    ),
    "howto100m: other columns": (
        "",
        captions("howto100m_captions/-97kyZVWVG0.csv", "from,to,text\n0,1,a\n"),
        "no usable line",
    ),
}


@pytest.mark.parametrize("case", OFFICIAL)
def test_annotations(tmp_path: Path, case: str) -> None:
    kind = case.partition(":")[0]
    split, change, got = OFFICIAL[case]
    folder = MAKERS[kind](tmp_path / "data")
    change(folder)
    options = {"kind": kind, "directory": str(folder), **({"split": split} if split else {})}
    adapter = adapter_of(OfficialOptions.model_validate(options))
    refused(lambda: import_annotations(adapter, tmp_path / "out"), got)
    assert not (tmp_path / "out" / "accounting.json").exists()


def test_a_list_that_ends_within_a_line_is_told_of(tmp_path: Path, caplog: Any) -> None:
    folder = MAKERS["msrvtt"](tmp_path / "data")
    cut(TEST_CSV, 0.6)(folder)
    options = OfficialOptions(kind="msrvtt", directory=str(folder))
    import_annotations(adapter_of(options), tmp_path / "out")
    assert "ends within a line" in caplog.text
    assert "clips: 1 found, 1000 published" in caplog.text
