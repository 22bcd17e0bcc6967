"""Training: same seed same weights, exact resume, what is learned, what stops it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
import torch.nn.functional as F
import yaml

from mcn.errors import UserError
from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.retrieval.stage import early_scores
from mcn.features.runtime import resolve
from mcn.files import write_table
from mcn.layout import ModelShards
from mcn.networks.checkpoints import load_model
from mcn.objectives.mcn import MultimodalClusteringObjective
from mcn.options.clustering import ClusteringOptions
from mcn.options.evaluation import RetrievalOptions
from mcn.options.features import RuntimeOptions
from mcn.options.training import ExperimentOptions
from mcn.shards.lines import Narration, vocabulary_vectors
from mcn.sources.leaks import Leak, write_leaks
from mcn.training.data import TrainingSet
from mcn.training.step import Trainer, check_warmup, learning_rate
from mcn.training.train import TrainingJob, stop_on_signals, train
from tests.synthetic_shards import read_by, step_tables, write_topic_shards


def options(model=None, objective=None, **values):
    return ExperimentOptions(
        model={
            "embedding_width": 16,
            "davenet_widths": (4, 4, 8, 8),
            "reconstruction_width": 8,
            **(model or {}),
        },
        objective={
            "clusters": 4,
            "queue_steps": 3,
            "refit_every_steps": 2,
            "reset_centroids_each_epoch": False,
            "reconstruction_weight": 1.0,
            **(objective or {}),
        },
        training={
            "epochs": 5,
            "videos_per_batch": 4,
            "clips_per_video": 4,
            "min_clip_seconds": 2.0,
            "audio_frames": 64,
            "max_words": 4,
            "learning_rate": 3e-3,
            "warmup_steps": 2,
            "log_every_steps": 3,
            "checkpoint_every_steps": 5,  # inside an epoch and an interval
            **values,
        },
    )


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=10, spoil=True)


def run(data, folder, chosen, precision="auto", early=None):
    runtime = resolve(RuntimeOptions(device="cpu", precision=precision), 1)
    shards, places = read_by(data, chosen.training_features), (folder / "model", folder / "state")
    train(TrainingJob(chosen, shards, *places, runtime, early, steps=step_tables(data)))
    return folder / "model"


def weights(model):
    return (model / "model.safetensors").read_bytes()


def lines(model):
    """Lines of metrics.jsonl without what depends on the clock."""
    records = [json.loads(line) for line in (model / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in r.items() if not k.startswith("time/")} for r in records]


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp("undisturbed"), options())


def test_same_seed_same_weights(data, undisturbed, tmp_path):
    again = run(data, tmp_path, options(loader_workers=1))
    assert weights(again) == weights(undisturbed)
    assert lines(again) == lines(undisturbed)
    assert weights(run(data, tmp_path, options(seed=2))) != weights(undisturbed)


class Killed(Exception):
    pass


@pytest.mark.parametrize("step", [1, 5, 8, 9])
def test_resumed_run_equals_the_undisturbed_one(data, undisturbed, tmp_path, monkeypatch, step):
    """Killed before a step; 10 steps, checkpoints after 5 and 10, so also before the first."""
    original = Trainer.step

    def die(self, batch, number):
        if number == step:
            raise Killed
        return original(self, batch, number)

    monkeypatch.setattr(Trainer, "step", die)
    with pytest.raises(Killed):
        run(data, tmp_path, options())
    assert not (tmp_path / "model").exists()
    seen = []
    monkeypatch.setattr(
        Trainer, "step", lambda self, b, n: (seen.append(n), original(self, b, n))[1]
    )
    model = run(data, tmp_path, options())
    assert seen[0] == step // 5 * 5
    assert weights(model) == weights(undisturbed)
    assert lines(model) == lines(undisturbed)
    assert not (tmp_path / "state").exists()


def test_other_options_start_anew(data, tmp_path, monkeypatch, caplog):
    original = Trainer.step

    def die(self, batch, number):
        if number == 6:
            raise Killed
        return original(self, batch, number)

    monkeypatch.setattr(Trainer, "step", die)
    with pytest.raises(Killed):
        run(data, tmp_path, options())
    monkeypatch.setattr(Trainer, "step", original)
    model = run(data, tmp_path, options(learning_rate=1e-3))
    assert "belong to another run (training differ): starting anew" in caplog.text
    assert weights(model) == weights(run(data, tmp_path / "fresh", options(learning_rate=1e-3)))


def test_metrics(undisturbed):
    records = lines(undisturbed)
    steps = [(r["step"], "lr" in r) for r in records]
    assert steps == [
        (2, False), (3, True), (4, False), (6, True), (6, False),
        (8, False), (9, True), (10, True), (10, False),
    ]  # fmt: skip
    interval = records[1]
    assert interval["epoch"] == 2
    assert interval["loss/total"] == pytest.approx(
        sum(interval[f"loss/{term}"] for term in ("contrast", "cluster", "reconstruction")),
        rel=1e-5,
    )
    assert 1 <= interval["clusters/used"] <= 4
    assert 0.25 <= interval["clusters/largest_share"] <= 1
    assert interval["gradient_norm"] > 0
    assert list((undisturbed / "tensorboard").iterdir())


def test_model_stands_alone(undisturbed):
    network, config = load_model(undisturbed)
    assert network.embed_video(torch.zeros(2, 24)).shape == (2, 16)
    assert config["options"]["training"]["epochs"] == 5
    names = {"video": ["resnet152", "resnext101"], "audio": "logmel", "text": "word2vec"}
    assert config["features"] == names
    assert config["recipes"]["logmel"] == {"feature": "logmel", "version": 1}
    excluded = config["training_set"]["excluded"]
    assert excluded["logmel missing (no_audio)"] == ["spoiled0"]
    assert sum(map(len, excluded.values())) + config["training_set"]["videos"] == 15
    assert yaml.safe_load((undisturbed / "config.yaml").read_text()) == config


def test_learns_what_goes_together(data, tmp_path):
    """Loss falls, and a line is found by its words among clips of every topic far above chance."""
    schedule = {"epochs": 80, "warmup_steps": 10, "learning_rate": 0.01, "gradient_clip": 5.0}
    chosen = options({"embedding_width": 64}, videos_per_batch=10, **schedule)
    model = run(data, tmp_path, chosen)
    totals = [r["epoch_loss/total"] for r in lines(model) if "epoch_loss/total" in r]
    assert totals[-1] < 0.6 * totals[0]
    network, _ = load_model(model)
    training_set = TrainingSet(data, chosen.training)
    batch = training_set.batch(99, 0)
    vectors = torch.from_numpy(vocabulary_vectors(data.vocabulary)[0])
    with torch.no_grad():
        text = network.embed_text(F.embedding(batch.words, vectors))
        clips = network.embed_video(batch.video) + network.embed_audio(
            batch.audio.float().transpose(1, 2), batch.frames
        )
    topics = (batch.words[:, 0] - 1) // 2
    best = topics[(text @ clips.t()).argmax(dim=1)]
    chance = np.mean([(topics == topic).float().mean() for topic in topics])
    assert (best == topics).float().mean() > 5 * chance


def test_divergence_stops_before_it_reaches_the_weights(data, tmp_path, monkeypatch):
    original = MultimodalClusteringObjective.__call__
    calls = []

    def poisoned(self, *values):
        calls.append(1)
        terms = original(self, *values)
        return {
            name: term * (float("nan") if len(calls) == 7 else 1) for name, term in terms.items()
        }

    monkeypatch.setattr(MultimodalClusteringObjective, "__call__", poisoned)
    with pytest.raises(UserError, match="a diverged loss at step 6: total nan"):
        run(data, tmp_path, options())
    states = sorted((tmp_path / "state").glob("step-*.pt"))
    saved = torch.load(states[-1], weights_only=True)
    assert saved["step"] == 5
    assert all(torch.isfinite(row).all() for row in saved["trainer"]["network"].values())
    assert not (tmp_path / "model").exists()


def test_exploding_loss_stops(data, tmp_path):
    with pytest.raises(UserError, match=r"a finite loss of at most .* times the first"):
        run(data, tmp_path, options(learning_rate=30.0, loss_limit=1.5, warmup_steps=0))


def test_early_scores_change_nothing(data, undisturbed, tmp_path):
    def scores(network):
        assert not network.training
        torch.manual_seed(0)
        return {"t->v": {"R@10": float(torch.rand(1))}}

    model = run(data, tmp_path, options(early_every_epochs=2), early=scores)
    assert weights(model) == weights(undisturbed)
    scored = [r["epoch"] for r in lines(model) if "early/t->v/R@10" in r]
    assert scored == [2, 4, 5]


def start(data, folder, chosen):
    """A real process that trains in `folder`; returns when it has written a line of its log."""
    script = f"""
from pathlib import Path, PosixPath
from mcn.layout import ModelShards
from mcn.options.training import ExperimentOptions
from tests.test_training import run
options = ExperimentOptions.model_validate_json({chosen.model_dump_json()!r})
run({data!r}, Path({str(folder)!r}), options)
"""
    command = [sys.executable, "-c", script]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[1], stderr=subprocess.PIPE)
    metrics = folder / "state" / "metrics.jsonl"
    while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None:
        time.sleep(0.01)
    return process


def test_interrupt_leaves_a_checkpoint_and_the_next_run_goes_on(data, tmp_path):
    """A real process, stopped in mid-run; what it and its successor make equals one undisturbed run."""
    chosen = options(epochs=25, checkpoint_every_steps=10_000)
    process = start(data, tmp_path, chosen)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 130, process.stderr.read().decode()
    assert [p.name[:5] for p in (tmp_path / "state").glob("step-*.pt")] == ["step-"]
    assert not (tmp_path / "model").exists()
    resumed = run(data, tmp_path, chosen)
    whole = run(data, tmp_path / "whole", chosen)
    assert weights(resumed) == weights(whole)
    assert lines(resumed) == lines(whole)


def test_a_second_training_takes_over_and_never_writes_beside_the_first(data, tmp_path):
    """The orphan of a killed head and the next run: the first stops after its step, the second goes on from there."""
    chosen = options(epochs=50, checkpoint_every_steps=10_000)
    first = start(data, tmp_path, chosen)
    second = run(data, tmp_path, chosen)
    assert first.wait(60) == 143, first.stderr.read().decode()
    whole = run(data, tmp_path / "whole", chosen)
    assert weights(second) == weights(whole)
    assert lines(second) == lines(whole)


@pytest.mark.parametrize("damage", ["newest", "all", "log"])
def test_damaged_files_of_a_run_change_nothing_in_its_end(
    data, undisturbed, tmp_path, monkeypatch, damage
):
    original, chosen = Trainer.step, options(checkpoint_every_steps=3)

    def die(self, batch, number):
        if number == 8:
            raise Killed
        return original(self, batch, number)

    monkeypatch.setattr(Trainer, "step", die)
    with pytest.raises(Killed):
        run(data, tmp_path, chosen)
    monkeypatch.setattr(Trainer, "step", original)
    names = {"newest": "step-*6.pt", "all": "step-*", "log": "metrics.jsonl"}
    for path in (tmp_path / "state").glob(names[damage]):
        path.write_bytes(path.read_bytes()[:50] + bytes(path.stat().st_size))
    model = run(data, tmp_path, chosen)
    assert weights(model) == weights(undisturbed)
    assert lines(model) == lines(undisturbed)
    assert not (tmp_path / "state").exists()


def test_first_signal_asks_and_the_second_acts():
    with stop_on_signals() as stop:
        signal.raise_signal(signal.SIGTERM)
        assert stop.signal == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_unmasked_padding_is_the_released_behaviour(data, tmp_path):
    masked = run(data, tmp_path / "a", options(epochs=2, audio_frames=300))
    plain = run(
        data, tmp_path / "b", options({"mask_padding_audio": True}, epochs=2, audio_frames=300)
    )
    assert weights(masked) != weights(plain)


@pytest.mark.parametrize(
    ("model", "objective"),
    [
        ({"audio": None, "text": "word2vec"}, {"pairs": ["video_text"]}),
        ({}, {"variant": "paper"}),
        ({}, {"pairs": ["video_text"]}),
        ({}, {"cluster_reduction": "fused", "reset_centroids_each_epoch": True}),
        ({"normalize": True}, {"cluster_weight": 0, "reconstruction_weight": 0}),
        ({}, {"queue_steps": 0, "detach_reconstruction_target": True}),
    ],
)
def test_switches_train(data, tmp_path, model, objective):
    made = run(data, tmp_path, options(model, objective, epochs=2))
    assert np.isfinite(lines(made)[-1]["epoch_loss/total"])
    load_model(made)


def test_half_precision_trains_on_the_cpu(data, tmp_path):
    made = run(data, tmp_path, options(epochs=2), precision="bf16")
    assert np.isfinite(lines(made)[-1]["epoch_loss/total"])
    with pytest.raises(UserError, match="fp16 on a CPU"):
        run(data, tmp_path, options(), precision="fp16")


def test_too_few_clips_for_the_clusters(data, tmp_path):
    with pytest.raises(UserError, match="4 videos x 4 clips a step for 17 clusters"):
        run(data, tmp_path, options(objective={"clusters": 17}))


def test_schedule():
    rates = [learning_rate(step, 110, 2.0, 10) for step in range(110)]
    assert rates[:3] == pytest.approx([0, 0.2, 0.4])
    assert rates[10] == 2.0
    assert rates[60] == pytest.approx(1.0)
    assert rates[109] == pytest.approx(2 * 0.5 * (1 + np.cos(np.pi * 0.99)))
    with pytest.raises(ValueError, match="step 110 of 110"):
        learning_rate(110, 110, 2.0, 10)
    with pytest.raises(UserError, match="warmup_steps is 5000, and the whole run has 90 steps"):
        check_warmup(90, 5000)


def test_paper_variant_yields_to_what_is_given():
    chosen = ClusteringOptions(variant="paper", cluster_metric="cosine")
    assert (chosen.cluster_metric, chosen.cluster_reduction) == ("cosine", "sum")
    assert ClusteringOptions().cluster_reduction == "mean"
    assert ClusteringOptions.model_validate(chosen.model_dump()) == chosen
    assert ClusteringOptions(pairs=["audio_text"]).modalities == ("audio", "text")


def test_videos_that_are_scored_too_are_left_out(data, undisturbed, tmp_path):
    write_leaks(tmp_path / "leaks.csv", [Leak("video03", "demo_test", "film", "content")])
    runtime = resolve(RuntimeOptions(device="cpu"), 1)
    job = TrainingJob(
        options(),
        data,
        tmp_path / "model",
        tmp_path / "state",
        runtime,
        leaks=tmp_path / "leaks.csv",
    )
    train(job)
    config = yaml.safe_load((tmp_path / "model/config.yaml").read_text())
    excluded = config["training_set"]["excluded"]
    assert excluded["also in demo_test, which is scored"] == ["video03"]
    assert len(config["inputs"]["leaks"]) == 64
    assert weights(tmp_path / "model") != weights(undisturbed)


def test_early_scores_of_a_retrieval_set(data, undisturbed, tmp_path):
    """The final evaluation's code on the training videos, lines as captions."""
    narration = Narration(data.text["word2vec"])
    clips = [
        (f"{video}-{line}", video, lines.starts[line], lines.ends[line], f"w{tokens[0] - 1}")
        for video, lines in narration.items()
        if video.startswith("video")
        for line, tokens in enumerate(lines.tokens)
    ]
    names = ["clip_id", "video_id", "start_seconds", "end_seconds", "caption"]
    captions = tmp_path / "captions.parquet"
    write_table(captions, pa.table(dict(zip(names, zip(*clips, strict=True), strict=True))))
    chosen, tables = RetrievalOptions(audio_frames=64), {"captions": captions}

    def early(network):
        return early_scores(EvaluatedModel.of(network, data, tables, chosen))

    model = run(data, tmp_path, options(early_every_epochs=5), early=early)
    assert weights(model) == weights(undisturbed)
    last = lines(model)[-1]
    assert last["early/t->va/n"] == 80
    assert 0 <= last["early/t->v/R@10"] <= 100


def test_the_audio_network_may_start_from_a_checkpoint(data, undisturbed, tmp_path):
    """Frozen by a vanishing rate, it ends as the checkpoint it began from, here that of a trained model."""
    rows = load_model(undisturbed)[0].DAVEnet.state_dict()
    torch.save(rows, tmp_path / "audio.pth")
    chosen = options({"audio_weights": str(tmp_path / "audio.pth")}, learning_rate=1e-12)
    network, config = load_model(run(data, tmp_path, chosen))
    torch.testing.assert_close(network.DAVEnet.conv1.weight, rows["conv1.weight"])
    assert len(config["inputs"]["audio_weights"]) == 64
    wide = options({"audio_weights": str(tmp_path / "audio.pth"), "davenet_widths": (4, 4, 8, 16)})
    with pytest.raises(UserError, match=r"layer4.0.conv1.weight is 8x8x1x9, should be 16x8x1x9"):
        run(data, tmp_path / "wide", wide)


@pytest.mark.parametrize(
    ("model", "objective", "branches"),
    [
        ({"video": ["resnext101"]}, {}, ("resnext101", "logmel", "word2vec")),
        (
            {"video": ["resnext101", "other", "resnet152"]},
            {},
            ("resnext101", "other", "resnet152", "logmel", "word2vec"),
        ),
        ({"video": []}, {"pairs": ["audio_text"]}, ("logmel", "word2vec")),
        ({"audio": None}, {"kind": "fine_grained"}, ("resnet152", "resnext101", "word2vec")),
        ({"text": None}, {"kind": "avlnet"}, ("resnet152", "resnext101", "logmel")),
    ],
)
def test_any_features_train(data, tmp_path, model, objective, branches):
    """One, three and no video features, a modality left out: the model reads what is named, at its own width."""
    chosen = options(model, epochs=2)
    kept = objective if "kind" in objective else chosen.objective.model_dump() | objective
    chosen = ExperimentOptions.model_validate({**chosen.model_dump(), "objective": kept})
    stores = {**data.video, **data.audio, **data.text, "other": data.video["resnet152"]}
    modalities = chosen.training_features.by_modality.values()
    shards = [{name: stores[name] for name in names} for names in modalities]
    given = ModelShards(*shards, data.vocabulary if chosen.features.text else None)
    network, config = load_model(run(given, tmp_path, chosen))
    width = 12 * len([name for name in branches if name not in ("logmel", "word2vec")])
    assert network.settings["video_width"] == (width or None)
    assert (network.has_video, network.has_audio, network.has_text) == (
        bool(width),
        "logmel" in branches,
        "word2vec" in branches,
    )
    assert tuple(config["recipes"]) == branches
    if not network.has_video:
        with pytest.raises(UserError, match="a network without a branch for video"):
            network.embed_video(torch.zeros(2, 24))
