"""Heads that `mcn run` trains: when, with which sizes, by which verdict they answer, and what is said of them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.evaluation.basis import VERDICT_VERSION, basis, read_verdict, verdict_in_words
from mcn.evaluation.retrieval.verdict import clips_of, judge, verdict
from mcn.features.runtime import resolve
from mcn.files import write_json, write_text
from mcn.layout import Dataset, ModelShards
from mcn.networks.checkpoints import load_model, save_model
from mcn.options.features import RuntimeOptions
from mcn.options.search import SearchOptions
from mcn.options.training import HELD_OUT, ExperimentOptions
from mcn.search import encoders
from mcn.search.catalogue import join
from mcn.search.folder import Folder
from mcn.search.heads import (
    HEAD_CLIPS,
    HEAD_VIDEOS,
    Narrated,
    about_training,
    head_of,
    sizes_of,
    with_sizes,
)
from mcn.search.opening import open_sources
from mcn.search.planning import make_plan
from mcn.search.vectors import write_part
from mcn.shards.lines import Lines
from mcn.training.data import held_out_of
from mcn.training.train import TrainingJob, train
from tests import synthetic_shards
from tests.test_networks_residual import pair_of
from tests.test_search_answers import folder, windows

FEATURES = {"video": ["resnet152"], "audio": None, "text": "word2vec"}
ENOUGH = Narrated(HEAD_CLIPS, HEAD_VIDEOS)


@pytest.fixture
def embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The embedded set is there, and nothing in the cache of a hub."""
    monkeypatch.setattr(encoders, "cached_pairs", list)
    monkeypatch.setattr(encoders, "can_embed", lambda: True)


def test_sizes_follow_the_data_and_change_when_it_has_doubled() -> None:
    assert sizes_of(Narrated(200, 20)) == (4, 8, 20, 8, 8)
    assert sizes_of(Narrated(255, 31)) == sizes_of(Narrated(200, 20))
    assert sizes_of(Narrated(10_000, 500)) == (64, 4, 160, 64, 64)
    large = sizes_of(Narrated(2_000_000, 100_000))
    steps = 65_536 // large.videos_per_batch
    assert large.videos_per_batch * large.clips_per_video == 256
    assert (large.epochs * steps, large.clusters) == (2048 // 2048 * steps * large.epochs, 256)
    assert large.epochs * steps <= 2000 or large.epochs == 1
    assert sizes_of(Narrated()) == sizes_of(Narrated(2, 2))


def test_a_head_is_planned_once_enough_clips_were_counted(embedded: None) -> None:
    names = {
        key: set(make_plan("x", 30, 0, [], "auto", "", *known).configuration["experiments"])
        for key, known in {
            "unknown": (None,),
            "few": (Narrated(HEAD_CLIPS - 1, 500),),
            "of few videos": (Narrated(5000, HEAD_VIDEOS - 1),),
            "enough": (ENOUGH,),
            "refused": (ENOUGH, False),
        }.items()
    }
    assert names.pop("enough") == {"conse", "conse_head"}
    assert set(map(frozenset, names.values())) == {frozenset({"conse"})}
    plan = make_plan("x", 30, 0, [], "auto", "", ENOUGH)
    settings = configure(plan.configuration)
    assert (plan.trained, settings.judged()) == (("conse_head",), ["conse_head"])
    head = settings.experiments["conse_head"]
    assert (head.model.residual_on, head.training.epochs) == ("conse", 20)
    assert ("conse_head", "videos") in settings.indexes()


def test_sizes_that_a_user_gives_stay_and_others_are_filled_in(
    embedded: None, tmp_path: Path
) -> None:
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(
        "experiments:\n"
        "  pair: {kind: frozen, model: {video: [efficientnet_lite2], text: minilm}}\n"
        "  own: {dataset: videos, model: {video: [efficientnet_lite2], audio: null, text: minilm, residual_on: pair},\n"
        "        objective: {kind: norm_softmax, pairs: [video_text]}, training: {epochs: 3}}\n"
    )
    assert set(make_plan("x", 9, 0, [overlay]).configuration["experiments"]) == {"pair"}
    plan = make_plan("x", 9, 0, [overlay], "auto", "", Narrated(64, 8))
    assert plan.trained == ("own",), "no head of ours where the user names experiments"
    training = plan.configuration["experiments"]["own"]["training"]
    assert (training["epochs"], training["videos_per_batch"]) == (3, 2)
    assert with_sizes({"objective": {"kind": "mcn"}}, ENOUGH)["objective"]["clusters"] == 8
    given = {"objective": {"clusters": 5}}
    assert with_sizes(given, ENOUGH)["objective"] == {"clusters": 5}
    assert with_sizes({"objective": {"kind": "nt_xent"}}, ENOUGH)["objective"] == {
        "kind": "nt_xent"
    }


def test_a_head_reads_what_its_pair_reads() -> None:
    pair = {"kind": "frozen", "model": {"video": ["siglip2"], "text": "siglip2_text"}}
    model = head_of("siglip2", pair, "videos", ENOUGH)["model"]
    assert model == {
        "video": ["siglip2"],
        "text": "siglip2_text",
        "audio": None,
        "residual_on": "siglip2",
    }


def test_held_out_videos_are_the_same_whatever_else_there_is() -> None:
    names = [f"v{number}" for number in range(50)]
    chosen = held_out_of(names, 0.2)
    assert len(chosen) == 10
    assert held_out_of(names[::-1], 0.2) == chosen
    assert len(set(held_out_of([*names, "new"], 0.2)) & set(chosen)) >= 9
    assert held_out_of(names, 0.0) == held_out_of(names[:2], 0.2) == []


def test_the_verdict_is_paired_over_videos() -> None:
    videos = [f"v{number // 3}" for number in range(12)]
    first, fifth = np.zeros(12), np.full(12, 4.0)
    mixed = np.where(np.arange(12) % 3 == 0, 4.0, 0.0)
    better = verdict(videos, mixed, fifth)
    assert (better["head_answers"], better["clips"], better["videos"]) == (True, 12, 4)
    assert better["difference"]["value"] == pytest.approx((1 - 1 / 5) * 2 / 3)
    assert (better["head"]["R@1"], better["pair"]["R@1"]) == (pytest.approx(200 / 3), 0)
    assert "better than the frozen pair on 12 held-out clips of 4 videos" in verdict_in_words(
        better
    )
    worse = verdict(videos, fifth, first)
    assert not worse["head_answers"]
    assert "worse than the frozen pair" in verdict_in_words(worse)
    lone = np.where(np.array(videos) == "v0", 0.0, 4.0)
    doubtful = verdict(videos, lone, fifth)
    assert doubtful["difference"]["value"] > 0, "one video of four alone is better"
    assert not doubtful["head_answers"]
    assert "no better than" in verdict_in_words(doubtful)
    for few in (verdict(["a"], first[:1], fifth[:1]), verdict([], first[:0], first[:0])):
        assert not few["head_answers"]
        assert "too few held-out clips" in verdict_in_words(few)


def test_held_out_videos_are_cut_into_clips_that_follow_each_other() -> None:
    starts = [0.0, 4.0, 8.0, 12.0, 0.0]
    lines = Lines(starts, [one + 4 for one in starts], [[1], [2], [], [3], [4]], [*"eeee", "d"])
    found = list(clips_of("v", {"v": lines}, 10))
    assert [one.moment[1:] for one in found] == [(0, 12), (12, 16), (0, 4)]
    assert [one.tokens for one in found] == [[1, 2], [3], [4]]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`pair`, `head` and the data set `own` of one shard, in which pictures and words go together."""
    root = tmp_path_factory.mktemp("heads")
    data = synthetic_shards.write_topic_shards(root / "made", videos=40, shards=1)
    for name, (path, *_) in {**data.video, **data.text}.items():
        place = root / "own" / "features" / name / "00000.parquet"
        place.parent.mkdir(parents=True)
        shutil.copy(path, place)
    shutil.copy(str(data.vocabulary), root / "own" / "vocabulary.parquet")
    pair = pair_of("conse", synthetic_shards.WIDTH, synthetic_shards.WORD_WIDTH)
    save_model(root / "pair", pair, {"features": FEATURES})
    train_head(root, "head", learning_rate=3e-2)
    return root


def train_head(root: Path, name: str, **training: float) -> None:
    options = {
        "model": {**FEATURES, "residual_on": "pair", "residual_width": 32},
        "objective": {"kind": "norm_softmax", "pairs": ["video_text"]},
        "training": {
            "held_out_share": 0.25,
            "epochs": 12,
            "videos_per_batch": 8,
            "clips_per_video": 4,
            "min_clip_seconds": 3.0,
            "warmup_steps": 1,
            **training,
        },
    }
    experiment = ExperimentOptions.model_validate(options)
    shards = Dataset(root / "own", 1).model_shards(*experiment.training_features)
    job = TrainingJob(
        experiment,
        ModelShards(shards.video, {}, shards.text, shards.vocabulary),
        root / name,
        root / "state",
        resolve(RuntimeOptions(device="cpu"), 1),
        pair=root / "pair",
    )
    train(job)


def test_a_head_that_learned_is_better_on_videos_that_it_never_saw(trained: Path) -> None:
    config = load_model(trained / "head")[1]
    held_out = config["training_set"]["excluded"][HELD_OUT]
    assert len(held_out) == round(0.25 * (len(held_out) + config["training_set"]["videos"]))
    words = f"a head trained here on {config['training_set']['clips']} clips of "
    assert basis(trained / "head").startswith(words)
    output = trained / "verdict.json"
    found = judge(trained / "head", trained / "pair", Dataset(trained / "own", 1), output)
    assert found["head_answers"], found
    assert found["videos"] == len(held_out)
    assert found["head"]["mrr"] > found["pair"]["mrr"]
    written = output.read_bytes()
    judge(trained / "head", trained / "pair", Dataset(trained / "own", 1), output)
    assert output.read_bytes() == written
    read = read_verdict(output)
    assert read
    assert read["difference"] == found["difference"]


def test_a_head_that_learned_nothing_leaves_the_pair_in_place(trained: Path) -> None:
    train_head(trained, "idle", learning_rate=1e-9, epochs=1)
    dataset = Dataset(trained / "own", 1)
    found = judge(trained / "idle", trained / "pair", dataset, trained / "idle.json")
    assert not found["head_answers"]
    assert abs(found["difference"]["value"]) < 1e-3


def with_head(root: Path, found: dict | None) -> Path:
    """A folder of answers with a head beside the experiment that is there, and its verdict."""
    results = folder(root, "real.pth") / "results"
    settings = json.loads((results / "settings.json").read_text())
    model, training = {"residual_on": "small"}, {"held_out_share": 0.2}
    settings["experiments"]["head"] = {"model": model, "training": training}
    (results / "settings.json").write_text(json.dumps(settings))
    write_part(results / "index/head/mine/00000.parquet", {"seen": windows()}, {})
    join(results / "index/head/mine", 1, SearchOptions())
    trained_on = {"videos": 4, "clips": 1234}
    config = {"features": {"video": ["look"]}, "recipes": {}, "training_set": trained_on}
    write_text(results / "models/head/config.yaml", yaml.safe_dump(config))
    if found is not None:
        write_json(results / "verdicts/head.json", {"version": VERDICT_VERSION, **found})
    return root


def sentences(root: Path) -> tuple[list[str], list[str]]:
    _, vectors, said = open_sources(Folder.open(root))
    return [one.basis for one in vectors], said


def test_the_better_one_of_head_and_pair_answers_and_the_other_is_said(tmp_path: Path) -> None:
    videos, first, fifth = ["a", "a", "b", "c"], np.zeros(4), np.full(4, 4.0)
    (answering,), said = sentences(with_head(tmp_path / "won", verdict(videos, first, fifth)))
    assert answering.startswith(
        "a head trained here on 1,234 clips of 4 videos, reading look; better"
    )
    assert "small is not asked: head answers in its place" in said
    (answering,), said = sentences(with_head(tmp_path / "lost", verdict(videos, fifth, first)))
    assert "trained here on 4" not in answering
    (beaten,) = [one for one in said if one.startswith("head is not asked: ")]
    assert "worse than the frozen pair on 4 held-out clips of 3 videos" in beaten
    root = with_head(tmp_path / "new", None)
    assert "head is not asked: it has not been judged yet" in sentences(root)[1]
    write_json(root / "results/verdicts/head.json", {"version": VERDICT_VERSION + 1})
    assert "head is not asked: it has not been judged yet" in sentences(root)[1]
    (root / "results/verdicts/head.json").write_text("{")
    with pytest.raises(UserError, match=r"head\.json"):
        sentences(root)


def test_what_is_said_of_training(tmp_path: Path) -> None:
    root = folder(tmp_path, "real.pth")
    assert Narrated.of(root, "mine") == (1, 1)
    assert Narrated.of(tmp_path / "none", "mine") == (0, 0)
    words = "Nothing was trained here: 1 narrated clip of 1 video are there, and 200 or more in 20 videos"
    assert about_training(root, "mine", (), True).startswith(
        words.replace(" are there", " is there")
    )
    assert "as was wished" in about_training(root, "mine", (), False)
    found = verdict([*"aabc"], np.zeros(4), np.full(4, 4.0))
    write_json(root / "results/verdicts/head.json", {"version": VERDICT_VERSION, **found})
    said = about_training(root, "mine", ("head", "other"), True)
    assert "head: it answers; better than the frozen pair on 4 held-out clips" in said
    assert "other: results/logs/train says how it went" in said
