"""The localization stage on small shards: against a plain recomputation, and every policy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from mcn.errors import UserError
from mcn.evaluation.annotations import read_steps
from mcn.evaluation.localization import metrics as localization
from mcn.evaluation.model import evaluating
from mcn.evaluation.seconds import second_features
from mcn.evaluation.stage import run_evaluation
from mcn.files import read_table, write_table
from mcn.options.evaluation import LocalizationOptions
from mcn.report.evaluations import Localization, read_evaluation
from mcn.shards import FeatureStore
from mcn.shards.clips import mel_slice
from tests.evaluation_set import (
    GOOD,
    EvaluationSet,
    evaluated,
    make_model,
    make_set,
    without_audio,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


def run_localization(small: EvaluationSet, **options: Any) -> dict[str, Any]:
    given = evaluated(small, LocalizationOptions(**options))
    return run_evaluation("localization", given, small.path("evaluation/demo.localization.json"))


def test_the_protocol_of_the_authors_of_the_data_set(small: EvaluationSet) -> None:
    """Of six videos of one task, two lost, four are drawn for training: the mean is near the whole recall."""
    result = run_localization(small, training_draws=400, training_videos=4)
    found = result["zhukov"]
    assert found["videos"] == 2
    assert found["recall"] == pytest.approx(result["scores"]["recall_pooled"], abs=5)
    assert "zhukov" not in run_localization(small)


def test_localization_is_what_a_plain_loop_gives(small: EvaluationSet) -> None:
    result = run_localization(small, chance_draws=500)
    model = make_model()
    given = evaluated(small, LocalizationOptions(), model)
    texts, videos = read_steps(small.path("tasks.parquet"), small.path("steps.parquet"))
    stores = {name: FeatureStore(paths) for name, paths in small.shards.items()}
    steps = given.embed_text(texts["make"]).vectors
    recalls = []
    for video in videos:
        found = second_features(given, video.video_id)
        if video.video_id not in GOOD or isinstance(found, str):
            recalls.append(0.0)
            continue
        scores = np.zeros((20, 3))
        for t in range(20):
            begin = min(max(0, t - 4), 12)
            mel, valid = mel_slice(stores["logmel"][video.video_id].values, begin, begin + 8, 1024)
            with evaluating(model):
                visual = model.embed_video(torch.from_numpy(found[0][t : t + 1]))
                audio = model.embed_audio(torch.from_numpy(mel)[None], torch.tensor([valid]))
            scores[t] = ((visual + audio).numpy() @ steps.T)[0]
        truth = video.truth(0.0, 20, 3)
        recalls.append(localization.recall(truth, localization.decode_steps(scores)))
    assert result["scores"]["recall"] == pytest.approx(100 * np.mean(recalls))
    assert (result["n"], result["total"]) == (4, 6)
    assert result["tasks"]["make"]["recall"] == result["scores"]["recall"]
    assert result["modes"]["v"]["scores"]["n"] == 5
    assert result["scores"]["recall (v)"] == result["modes"]["v"]["scores"]["recall"]
    assert result["missing"] == {"audio: no_audio": 1, "video: truncated": 1}
    assert 0 < result["chance"]["recall"] < 60


def test_a_video_is_as_long_as_it_was_annotated(small: EvaluationSet) -> None:
    """The features are stretched over the annotated seconds, as MCN cvpr19_dataloader.py does."""
    model = make_model()
    given = evaluated(small, LocalizationOptions(), model)
    stretched = second_features(given, "toast", 22)
    assert not isinstance(stretched, str)
    features = stretched[0]
    rows = FeatureStore(small.shards["resnet152"])["toast"].values.astype(np.float32)
    wanted = [
        rows[second * 20 // 22 : -(-(second + 1) * 20 // 22)].max(axis=0) for second in range(22)
    ]
    np.testing.assert_allclose(
        features[:, : rows.shape[1]],
        wanted / np.linalg.norm(wanted, axis=1, keepdims=True),
        atol=1e-6,
    )
    table = read_table(small.path("steps.parquet"))
    lengths = {"toast": 22.0, "kettle": 40.0}
    column = pa.array([lengths.get(video) for video in table["video_id"].to_pylist()], pa.float64())
    place = table.schema.get_field_index("video_seconds")
    write_table(small.path("annotated.parquet"), table.set_column(place, "video_seconds", column))
    tables = {"tasks": small.path("tasks.parquet"), "steps": small.path("annotated.parquet")}
    tables["vocabulary"] = small.path("vocabulary.parquet")
    options = LocalizationOptions(score_mode="v", missing_modality="drop", timelines=9)
    found = run_evaluation(
        "localization",
        evaluated(small, options, model, tables=tables),
        small.path("evaluation/annotated.localization.json"),
    )
    seconds = {one["video_id"]: one["seconds"] for one in found["timelines"]}
    assert seconds == {"toast": 22, "soup": 20, "cake": 20, "mute": 20}
    assert found["missing"]["video: other_length"] == 1  # kettle's annotation is of another video


def test_timelines_show_what_was_scored(small: EvaluationSet) -> None:
    result = run_localization(small, score_mode="v", missing_modality="drop")
    assert (result["n"], result["total"]) == (5, 5)
    shown = [localization.recall(*matrices(line)) for line in result["timelines"]]
    assert len(shown) == 5
    assert 100 * np.mean(shown) == pytest.approx(result["scores"]["recall"])


def matrices(line: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Truth and prediction (seconds, steps) of a timeline."""
    truth, predicted = np.zeros((2, line["seconds"], len(line["steps"])))
    for step, start, end in line["truth"]:
        truth[int(np.floor(start)) : int(np.ceil(end)), step] = 1
    for step, second in line["predicted"]:
        predicted[int(second), step] = 1
    return truth, predicted


def test_localization_policies(small: EvaluationSet) -> None:
    alone = run_localization(small, missing_modality="video_only")
    assert (alone["n"], alone["total"]) == (5, 6)
    assert alone["modes"]["a"]["scores"]["n"] == 4
    dropped = run_localization(small, missing_modality="drop")
    assert (dropped["n"], dropped["total"]) == (4, 4)


def test_shorter_than_its_steps_and_after_its_end(small: EvaluationSet, tmp_path: Path) -> None:
    tasks = read_table(small.path("tasks.parquet"))
    long = [{"task": "long", "step": n, "text": "stir"} for n in range(21)]
    write_table(
        tmp_path / "tasks.parquet", tasks.from_pylist([*tasks.to_pylist(), *long], tasks.schema)
    )
    steps = read_table(small.path("steps.parquet"))
    segment = {
        "video_id": "soup",
        "task": "long",
        "step": 2,
        "start_seconds": 1.0,
        "end_seconds": 2.0,
    }
    late = {
        **segment,
        "video_id": "cake",
        "task": "make",
        "step": 0,
        "start_seconds": 25.0,
        "end_seconds": 26.0,
    }
    write_table(tmp_path / "steps.parquet", steps.from_pylist([segment, late], steps.schema))
    tables = {name: tmp_path / f"{name}.parquet" for name in ("tasks", "steps")}
    given = evaluated(small, LocalizationOptions(), tables=tables)
    result = run_evaluation("localization", given, tmp_path / "x.localization.json")
    assert result["missing"] == {"step: after_the_last_second": 1, "video: shorter_than_steps": 1}
    assert (result["scores"]["recall"], result["n"], result["total"]) == (0.0, 1, 2)
    assert result["scores"]["mean_average_precision"] is None


def test_cooking_and_other_tasks(small: EvaluationSet, tmp_path: Path) -> None:
    whole = run_localization(small)
    assert whole["splits"] == {}
    listed = tmp_path / "cook.txt"
    listed.write_text("make\n\n")
    for named in (["make"], str(listed)):
        splits = run_localization(small, cooking_tasks=named)["splits"]
        assert splits["cooking"]["scores"]["recall"] == whole["scores"]["recall"]
        assert splits["cooking"]["scores"]["total"] == 6
        assert splits["other"]["scores"]["recall"] is None
    with pytest.raises(UserError, match="no task 'bake'"):
        run_localization(small, cooking_tasks=["bake"])
    with pytest.raises(UserError, match="No such file"):
        run_localization(small, cooking_tasks="nowhere.txt")


def test_report_reads_the_file(small: EvaluationSet) -> None:
    run_localization(small)
    read = read_evaluation(small.path("evaluation/demo.localization.json"))
    assert isinstance(read, Localization)
    drawn = [line.hits / line.annotated for line in read.timelines]
    assert 100 * sum(drawn) / read.total == pytest.approx(read.scores["recall"])


def test_a_model_without_audio(small: EvaluationSet, tmp_path: Path) -> None:
    deaf = without_audio(small, tmp_path)
    result = run_localization(deaf)
    assert (result["n"], list(result["modes"])) == (5, ["v"])
    same = run_localization(deaf, score_mode="v")
    assert {**result, "provenance": 0} == {**same, "provenance": 0}
