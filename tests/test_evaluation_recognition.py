"""Zero-shot recognition: metrics by hand, folders to tables, the stage against a plain loop."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch

from mcn.cli import main
from mcn.errors import UserError
from mcn.evaluation.annotations import read_vocabulary
from mcn.evaluation.recognition import stage as recognition
from mcn.evaluation.retrieval import metrics as retrieval
from mcn.evaluation.stage import run_evaluation
from mcn.files import write_table
from mcn.options.evaluation import RecognitionOptions
from mcn.shards import FeatureStore
from mcn.sources.action_folders import class_words, import_action_folders, video_ids
from mcn.sources.annotation_tables import ACTIONS, LABELS, prepare_actions
from mcn.sources.manifest import read_manifest
from mcn.sources.words import tokenize
from tests.evaluation_set import (
    BROKEN,
    GOOD,
    SILENT,
    EvaluationSet,
    evaluated,
    make_model,
    make_set,
)


def test_metrics_by_hand() -> None:
    scores = np.array(
        [
            [9.0, 1, 2, 3, 4, 5, 6],  # class 0 first
            [9.0, 1, 2, 3, 4, 5, 6],  # class 2: rank 5, no hit
            [9.0, 1, 2, 3, 4, 5, 6],  # class 3: rank 4, among the first five
            [5.0, 5, 0, 0, 0, 0, 0],  # class 1 shares the first place: top-5 only
        ]
    )
    found = recognition.accuracies(scores, np.array([0, 2, 3, 1]), total=5)
    assert found == {"top-1": 20.0, "top-5": 60.0, "n": 4, "total": 5}
    assert recognition.chance(7, 4, 5)["top-5"] == pytest.approx(100 * 5 / 7 * 4 / 5)
    assert recognition.chance(3, 4, 4)["top-5"] == 100
    ranks = retrieval.ranks(scores, np.array([0, 2, 3, 1]))
    classes = recognition.by_class(ranks, np.array([0, 2, 3, 1]), np.array([0, 0, 1, 2, 3]), 7)
    assert classes[0] == {"top-1": 50.0, "n": 1, "total": 2}
    assert sorted(classes) == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="wanted 0 to 6"):
        recognition.accuracies(scores, np.array([0, 2, 3, 7]))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ApplyEyeMakeup", "apply eye makeup"),
        ("CleanAndJerk", "clean and jerk"),
        ("YoYo", "yo yo"),
        ("brush_hair", "brush hair"),
        ("claping", "clapping"),
        ("Sword_2Exercise", "sword 2 exercise"),
        ("DIYShelf", "diy shelf"),
    ],
)
def test_words_of_class_names(name: str, words: str) -> None:
    assert class_words(name) == words


def test_ids_are_safe_and_unique() -> None:
    files = [("a", "one.avi"), ("b", "one.avi"), ("a", "two (HD)#1.avi"), ("a", "v_g01_c01.avi")]
    found = video_ids([*files, ("a", f"{'x' * 130}.avi"), ("a", ".avi")])
    assert found[3] == "v_g01_c01"
    assert found[0].startswith("one_")
    assert found[2].startswith("two__HD__1_")
    assert len(set(found)) == 6
    assert max(map(len, found)) == 128


def make_folders(root: Path) -> Path:
    for name in ("BrushHair/v1.avi", "BrushHair/notes.txt", "claping/v1.mp4", "claping/v2.avi"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    (root / "empty").mkdir()
    return root


def test_folders_become_a_data_set(tmp_path: Path) -> None:
    folder, output = make_folders(tmp_path / "videos"), tmp_path / "actions"
    assert main(["import", "actions", str(folder), "--output", str(output)]) == 0
    rows = read_manifest(output / "manifest.csv")
    assert [row.path.resolve().name for row in rows] == ["v1.avi", "v1.mp4", "v2.avi"]
    assert [row.video_id for row in rows][2] == "v2"
    videos = tmp_path / "videos.parquet"
    pd.DataFrame({"video_id": [row.video_id for row in rows]}).to_parquet(videos)
    tables = tmp_path / "actions.parquet", tmp_path / "labels.parquet"
    lists = [str(output / "actions.csv"), str(output / "labels.csv"), "--videos", str(videos)]
    made = ["--actions", str(tables[0]), "--labels", str(tables[1])]
    assert main(["prepare", "actions", *lists, *made]) == 0
    actions, labels = (pd.read_parquet(table) for table in tables)
    assert dict(zip(actions["class"], actions.text, strict=True)) == {
        "BrushHair": "brush hair",
        "claping": "clapping",
    }
    assert labels["class"].tolist() == ["BrushHair", "claping", "claping"]
    assert labels.video_id.tolist() == [row.video_id for row in rows]
    with pytest.raises(UserError, match="no class folder with a video"):
        import_action_folders(folder / "empty", output)


def test_every_bad_row_is_named(tmp_path: Path) -> None:
    videos = tmp_path / "videos.parquet"
    pd.DataFrame({"video_id": ["v1", "v2"]}).to_parquet(videos)
    with open(tmp_path / "actions.csv", "w", newline="") as file:
        csv.writer(file).writerows([("class", "text"), ("a", "a b"), ("a", "c"), ("d", "")])
    with open(tmp_path / "labels.csv", "w", newline="") as file:
        csv.writer(file).writerows(
            [("video_id", "class"), ("v1", "a"), ("v1", "a"), ("v2", "e"), ("v3", "a")]
        )
    tables = tmp_path / "actions.parquet", tmp_path / "labels.parquet"
    with pytest.raises(UserError) as caught:
        prepare_actions(tmp_path / "actions.csv", tmp_path / "labels.csv", videos, *tables)
    for words in (
        "actions.csv, line 3: class 'a' again",
        "actions.csv, line 4: no text",
        "line 3: video v1 again",
        "line 4: unknown class 'e'",
        "line 5: unknown video_id 'v3'",
    ):
        assert words in str(caught.value)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    small = make_set(tmp_path_factory.mktemp("set"))
    texts = {"Pour": "pour water", "Cut": "cut the bread", "Stir": "stir"}
    columns = [list(texts), list(texts.values())]
    write_table(small.path("actions.parquet"), pa.Table.from_arrays(columns, schema=ACTIONS))
    videos = [*GOOD, SILENT, BROKEN]
    classes = ["Pour", "Cut", "Stir", "Pour", "Cut", "Stir"]
    write_table(
        small.path("labels.parquet"), pa.Table.from_arrays([videos, classes], schema=LABELS)
    )
    return small


def run_recognition(small: EvaluationSet, **options: Any) -> dict[str, Any]:
    given = evaluated(small, RecognitionOptions(**options))
    return run_evaluation("recognition", given, small.path("evaluation/demo.recognition.json"))


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_the_stage_is_what_a_plain_loop_gives(small: EvaluationSet, pooling: str) -> None:
    result = run_recognition(small, pooling=pooling)
    model, vocabulary = make_model(), read_vocabulary(small.path("vocabulary.parquet"))
    right = 0
    for video, label in zip([*GOOD, SILENT], [0, 1, 2, 0, 1], strict=True):
        parts = []
        for name in ("resnet152", "resnext101"):
            values = FeatureStore(small.shards[name])[video].values.astype(np.float64)
            pooled = getattr(values, pooling)(axis=0)
            parts.append(pooled / np.linalg.norm(pooled))
        with torch.inference_mode():
            vector = model.embed_video(torch.tensor(np.concatenate(parts)[None]).float())[0]
            scores = []
            for text in ("pour water", "cut the bread", "stir"):
                words = np.zeros((1, 20, vocabulary.vectors.shape[1]), np.float32)
                for place, token in enumerate(tokenize(text)):
                    words[0, place] = vocabulary.vectors[vocabulary.rows[token]]
                scores.append(float(model.embed_text(torch.from_numpy(words))[0] @ vector))
        right += int(np.argmax(scores)) == label
    assert result["scores"]["top-1"] == pytest.approx(100 * right / 6)
    assert (result["n"], result["total"]) == (5, 6)
    assert result["scores"]["top-5"] == pytest.approx(100 * 5 / 6)
    assert result["classes"]["Stir"]["total"] == 2
    assert result["missing"] == {"video: truncated": 1}
    assert run_recognition(small, missing_modality="drop")["total"] == 5
