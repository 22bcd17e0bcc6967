"""Inputs of clips and seconds, and their way through a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mcn.errors import UserError
from mcn.evaluation.annotations import Moment, read_captions, read_steps
from mcn.evaluation.inputs import audio_batch
from mcn.evaluation.model import evaluating, features_of
from mcn.evaluation.seconds import second_features, second_windows
from mcn.files import read_table, write_table
from mcn.networks import ResDavenet
from mcn.options.evaluation import RetrievalOptions
from mcn.shards import FeatureStore
from mcn.shards.clips import mel_slice
from tests.evaluation_set import (
    BROKEN,
    SILENT,
    EvaluationSet,
    evaluated,
    make_model,
    make_set,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


def test_padding_beyond_reach_changes_nothing(small: EvaluationSet) -> None:
    model, store = make_model(), FeatureStore(small.shards["logmel"])
    clips = [Moment("toast", 1.0, 1.0 + length) for length in (0.2, 9.0, 3.3, 0.75)]
    options = RetrievalOptions(batch_size=3)
    ours = evaluated(small, options, model).embed_audio(clips, 5120)
    for clip, vector in zip(clips, ours.vectors, strict=True):
        mel, valid = mel_slice(store["toast"].values, clip.start, clip.end, 5120)
        with evaluating(model):
            full = model.embed_audio(torch.from_numpy(mel)[None], torch.tensor([valid]))[0].numpy()
            short = model.embed_audio(
                torch.from_numpy(mel[None, :, : valid // 16 * 16 + 16]), torch.tensor([valid])
            )
        assert vector == pytest.approx(full, rel=1e-4, abs=1e-5)
        assert (
            np.abs(short[0].numpy() - full).max() > 1e-3
        )  # the padding matters where it is in reach
    padded, columns = audio_batch([store["toast"].values[:100]], 5120, model.DAVEnet)
    assert (padded.shape[2], columns.tolist()) == (528, [100])
    assert audio_batch([store["toast"].values[:100]], 160, model.DAVEnet)[0].shape[2] == 160


def test_frozen_audio_is_the_mean_of_davenet_rows(small: EvaluationSet) -> None:
    model, store = make_model(frozen=True), FeatureStore(small.shards["davenet"])
    given = evaluated(small, RetrievalOptions(), model)
    found = given.embed_audio([Moment("toast", 1.6, 3.2), Moment(SILENT, 0, 1)], 1000)
    rows = store["toast"].values[10:21].astype(np.float32)
    with evaluating(model):
        expected = model.embed_audio(torch.from_numpy(rows.mean(axis=0))[None])[0].numpy()
    assert found.vectors[0] == pytest.approx(expected, abs=1e-5)
    assert found.reasons == ["", "audio: no_audio"]


def test_windows_outside_the_features_are_named(small: EvaluationSet) -> None:
    given = evaluated(small, RetrievalOptions(), make_model())
    found = given.embed_audio([Moment("toast", 30, 35), Moment("toast", 18, 35)], 512)
    assert found.reasons == ["audio: empty_window", ""]
    assert not found.vectors[0].any()


def test_seconds_are_adaptively_pooled(small: EvaluationSet) -> None:
    stores = {name: FeatureStore(paths) for name, paths in small.shards.items()}
    given = evaluated(small, RetrievalOptions())
    found = second_features(given, "soup")
    assert not isinstance(found, str)
    features, start = found
    assert (features.shape, start) == ((20, 12), 0.0)
    motion = stores["resnext101"]["soup"].values.astype(np.float32)
    row = motion[4:6].max(axis=0)  # second 3: rows floor(3 * 1.5) .. ceil(4 * 1.5), 6 left out
    assert features[3, 6:] == pytest.approx(row / np.linalg.norm(row), abs=1e-6)
    assert second_features(given, BROKEN) == "video: truncated"


def test_sound_windows_stay_in_the_video() -> None:
    windows = second_windows("a", 0.0, 20, 8.0)
    spans = [(window.start, window.end) for window in windows]
    assert spans[:6] == [(0, 8)] * 5 + [(1, 9)]
    assert spans[-4:] == [(12, 20)] * 4
    assert {(w.start, w.end) for w in second_windows("a", 2.0, 5, 8.0)} == {(2, 7)}


@pytest.mark.parametrize("stages", [4, 6])
def test_reach_of_the_audio_network(stages: int) -> None:
    torch.manual_seed(0)
    network = ResDavenet((8,) * stages).double().eval()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.bias, 5)  # so that no ReLU hides what reaches it
    column = 20
    edge = column * network.ratio + network.reach
    log_mel = torch.randn(1, 40, edge + 400, dtype=torch.float64)
    with torch.inference_mode():
        whole = network(log_mel)[0, :, column]
        log_mel[..., edge + 1 :] = 0
        assert (network(log_mel)[0, :, column] == whole).all()
        log_mel[..., edge] = 10
        assert (network(log_mel)[0, :, column] != whole).any()


def test_wrong_annotations_are_named(small: EvaluationSet, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no file"):
        read_captions(tmp_path / "captions.parquet")
    steps = read_table(small.path("steps.parquet"))
    wrong = [{**steps.to_pylist()[0], "step": 3}]
    write_table(tmp_path / "steps.parquet", steps.from_pylist(wrong, steps.schema))
    with pytest.raises(UserError, match="step 3 of task make in video kettle"):
        read_steps(small.path("tasks.parquet"), tmp_path / "steps.parquet")
    tasks = read_table(small.path("tasks.parquet"))
    gap = [row for row in tasks.to_pylist() if row["step"] != 1]
    write_table(tmp_path / "tasks.parquet", tasks.from_pylist(gap, tasks.schema))
    with pytest.raises(UserError, match="task make has step 2 after 1 steps"):
        read_steps(tmp_path / "tasks.parquet", small.path("steps.parquet"))


def test_what_a_model_reads_is_in_its_folder() -> None:
    named = {"video": ["dino"], "audio": "logmel", "text": "glove"}
    assert features_of({"features": named}, make_model()) == (("dino",), "logmel", "glove")
    assert features_of({"features": named}, make_model(audio=False)).audio is None
    recipes = {"resnet152": {}, "davenet": {}}
    older = features_of({"features": recipes, "audio_feature": "davenet"}, make_model(frozen=True))
    assert older == (("resnet152", "resnext101"), "davenet", "word2vec")
