"""Published feature files and pickles of clips become feature shards, and everything is accounted for."""

import csv
import json
import pickle
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.published.clips import import_clips
from mcn.published.feature_files import import_shard
from mcn.shards import FeatureStore, ShardReader
from mcn.shards.clips import mel_rows, pool

GENERATOR = np.random.default_rng(0)
ROOT = Path(__file__).parent.parent


def shard_list(path, videos):
    """A shard list of {id: path}."""
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["video_id", "path", "sha256"])
        writer.writerows([video_id, where, ""] for video_id, where in videos.items())
    return path


def features(length, width=2048, kind=np.float16):
    return GENERATOR.random((length, width)).astype(kind)


@pytest.fixture
def howto100m(tmp_path):
    """Feature files of five videos in the layouts that the released loaders read."""
    folder = tmp_path / "features"
    nested = folder / "hobbies" / "video_8" / "nested"
    nested.mkdir(parents=True)
    np.savez(folder / "plain_2d.npz", features=(plain := features(7)))
    np.save(nested / "nested_2d.npy", nested_values := features(3))
    np.savez(folder / "hobbies" / "beside_2d.npz", beside := features(4))
    np.savez(folder / "one_2d.npz", features=features(1)[0])
    np.savez(folder / "nan_2d.npz", features=np.full((2, 8), np.nan))
    (folder / "cut_2d.npz").write_bytes((folder / "plain_2d.npz").read_bytes()[:900])
    (folder / "text_2d.npz").write_text("not a file of numpy")
    np.save(folder / "objects_2d.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    np.savez(folder / "plain_spec.npz", spectrogram := features(40, 500) * -80)
    wanted = {
        "plain": plain,
        "nested": nested_values,
        "beside": beside,
        "spectrogram": spectrogram.T,
    }
    videos = {
        "plain": "videos/plain.mp4",
        "nested": "/data/hobbies/video_8/nested.mp4",
        "beside": "hobbies/beside.webm",
        **{name: f"videos/{name}.mp4" for name in ("one", "nan", "cut", "text", "objects", "lost")},
    }
    return folder, shard_list(tmp_path / "00000.csv", videos), wanted


def test_every_video_of_the_list_is_a_row_with_its_features_or_a_code(howto100m, tmp_path):
    folder, shard, wanted = howto100m
    import_shard(shard, folder, "howto100m", "resnet152", output := tmp_path / "2d.parquet")
    store = FeatureStore([output])
    codes = {name: store[name].error.partition(":")[0] for name in store}
    assert codes == {
        "plain": "",
        "nested": "",
        "beside": "",
        "one": "bad_shape",
        "nan": "bad_values",
        "cut": "unreadable",
        "text": "unreadable",
        "objects": "unreadable",
        "lost": "not_found",
    }
    for name in ("plain", "nested", "beside"):
        assert np.array_equal(store[name].values, wanted[name])
        assert (store[name].start_seconds, store[name].step_seconds) == (0, 1)


def test_log_mels_are_turned_and_silence_is_missing(howto100m, tmp_path):
    folder, shard, wanted = howto100m
    import_shard(shard, folder, "howto100m", "logmel", output := tmp_path / "spec.parquet")
    store = FeatureStore([output])
    assert np.array_equal(store["plain"].values, wanted["spectrogram"])
    assert store["plain"].step_seconds == 0.01
    assert (store["lost"].status, store["lost"].error[:8]) == ("missing", "no_audio")


@pytest.mark.parametrize(
    ("feature", "columns"),
    [("i3d", (0, 1024)), ("resnet152", (1024, 3072)), ("vggish", (3072, 3200))],
)
def test_columns_of_crosstask(tmp_path, feature, columns):
    values = features(9, 3200, np.float32)
    np.save(tmp_path / "VID.npy", values)
    np.save(tmp_path / "narrow.npy", values[:, :100])
    shard = shard_list(tmp_path / "list.csv", {"VID": "VID.mp4", "narrow": "narrow.mp4"})
    import_shard(shard, tmp_path, "crosstask", feature, output := tmp_path / "out.parquet")
    store = FeatureStore([output])
    assert np.array_equal(store["VID"].values, values[:, slice(*columns)].astype(np.float16))
    assert store["narrow"].error.startswith("bad_shape")
    assert ShardReader(output).recipe["published"]["columns"] == list(columns)


def test_an_unknown_layout_feature_or_folder_is_named(tmp_path):
    shard = shard_list(tmp_path / "list.csv", {"a": "a.mp4"})
    for layout, feature, source, words in (
        ("howto", "resnet152", tmp_path, "howto100m, crosstask, clips"),
        ("howto100m", "i3d", tmp_path, "resnet152, resnext101, logmel"),
        ("howto100m", "logmel", tmp_path / "none", "folder"),
    ):
        with pytest.raises(UserError, match=words):
            import_shard(shard, source, layout, feature, tmp_path / "out.parquet")


def youcook_clips():
    """Clips as youcook_val_audio.pkl holds them: numpy features, a tensor of sound, one caption."""
    return [
        {
            "id": name,
            "2d": features(1)[0].astype(np.float32),
            "3d": features(1)[0].astype(np.float32),
            "audio": torch.from_numpy(features(40, frames).astype(np.float32) * -80),
            "caption": caption,
        }
        for name, frames, caption in (
            ("xHr8X2Wpmno", 812, 'spread "margarine", then bake'),
            ("xHr8X2Wpmno", 300, "cut"),
            ("V53XmPeyjIU", 5300, "mix"),
        )
    ]


def test_clips_of_youcook2_are_videos_of_their_own(tmp_path):
    clips = youcook_clips()
    (tmp_path / "youcook_val_audio.pkl").write_bytes(pickle.dumps(clips, 2))
    accounting = import_clips(tmp_path / "youcook_val_audio.pkl", tmp_path / "out")
    assert (accounting["clips"], accounting["ids"], accounting["captions"]) == (3, 2, 3)
    with open(tmp_path / "out/captions.csv", newline="") as file:
        captions = list(csv.DictReader(file))
    assert [row["clip_id"] for row in captions] == ["xHr8X2Wpmno", "xHr8X2Wpmno.2", "V53XmPeyjIU"]
    assert captions[0]["caption"] == 'spread "margarine", then bake'
    stores = {
        name: FeatureStore([tmp_path / f"out/{name}.parquet"])
        for name in ("resnet152", "resnext101", "logmel")
    }
    for row, clip in zip(captions, clips, strict=True):
        times = float(row["start_seconds"]), float(row["end_seconds"])
        for name, key in (("resnet152", "2d"), ("resnext101", "3d")):
            sequence = stores[name][row["video_id"]]
            pooled = pool(sequence.values, *times, 1 / sequence.step_seconds)
            half = clip[key].astype(np.float16).astype(np.float64)
            assert np.allclose(pooled, half / np.linalg.norm(half), atol=1e-6)
        sound = mel_rows(stores["logmel"][row["video_id"]].values, *times, 5120)
        wanted = clip["audio"].numpy()[:, :5120].T.astype(np.float16)
        assert np.array_equal(sound, wanted)


def test_clips_of_msrvtt_keep_their_captions_and_count_what_they_lack(tmp_path):
    clips = [
        {
            "id": "video1",
            "2d": torch.zeros(4, 2048),
            "2d_pooled": features(1)[0],
            "3d": torch.zeros(6, 2048),
            "3d_pooled": torch.from_numpy(features(1)[0]),
            "audio": torch.zeros(40, 100, dtype=torch.float16),
            "caption": ["a man, cooking", "someone cooks"],
        },
        {"id": "video2", "2d_pooled": features(1)[0], "eval_caption": "a dog"},
    ]
    (tmp_path / "msrvtt_train.pkl").write_bytes(pickle.dumps(clips, 4))
    out = tmp_path / "out"
    assert (
        main(["import", "features", "clips", f"{tmp_path}/msrvtt_train.pkl", "--output", f"{out}"])
        == 0
    )
    accounting = json.loads((out / "accounting.json").read_text())
    assert accounting["captions"] == 3
    assert accounting["left_out_keys"] == {"2d": 1, "3d": 1}
    assert accounting["features"] == {
        "resnet152": {"ok": 2},
        "resnext101": {"not_found": 1, "ok": 1},
        "logmel": {"no_audio": 1, "ok": 1},
    }
    shard = shard_list(tmp_path / "00000.csv", {"video2": "x", "video1": "x", "video3": "x"})
    import_shard(shard, out, "clips", "logmel", tmp_path / "logmel.parquet")
    store = FeatureStore([tmp_path / "logmel.parquet"])
    assert {name: store[name].status for name in store} == {
        "video2": "missing",
        "video1": "ok",
        "video3": "failed",
    }


def test_clips_in_several_languages_have_a_caption_in_each(tmp_path):
    """Keys as the loaders of roudimit/c2kd read them: Multi-MSRVTT for testing and training, Multi-YouCook2."""
    clips = [
        {"id": "video1", "2d": features(7, 8), "caption_en": ["a dog", "a pet"]}
        | {"eval_caption_en": "a dog", "eval_caption_de": "ein Hund", "caption_de": ["ein Hund"]},
        {"id": "video2", "2d": features(3, 8), "caption": "mix it", "caption_cz": "smíchejte"},
        {"id": "video3", "2d": features(2, 8), "caption": "cut", "caption_en": "cut"}
        | {"caption_zh": ["切", "切开"]},
    ]
    (tmp_path / "multi.pkl").write_bytes(pickle.dumps(clips, 4))
    found = import_clips(tmp_path / "multi.pkl", tmp_path / "out")
    assert found["captions"] == 7
    assert found["left_out_keys"] == {"caption": 1, "caption_de": 1, "caption_en": 1}
    with open(tmp_path / "out/captions.csv", newline="", encoding="utf-8") as file:
        rows = [(row["clip_id"], row["language"], row["caption"]) for row in csv.DictReader(file)]
    assert rows == [
        ("video1", "de", "ein Hund"),
        ("video1", "en", "a dog"),
        ("video2", "cs", "smíchejte"),
        ("video2", "en", "mix it"),
        ("video3", "en", "cut"),
        ("video3", "zh", "切"),
        ("video3", "zh", "切开"),
    ]


def test_all_rows_of_clips_instead_of_the_maximum(tmp_path):
    """Keys as Everything at Once reads them: `2d_full` of YouCook2, `2d` beside `2d_pooled` of MSR-VTT."""
    full, other = features(4, 8), features(9, 8)
    sound = (GENERATOR.random((40, 300)) * -80).astype(np.float32)
    clips = [
        {
            "id": "a",
            "2d": full.max(0),
            "3d": other.max(0),
            "2d_full": full,
            "3d_full": other,
            "audio": sound,
            "caption": "cut it",
        },
        {
            "id": "b",
            "2d": full.max(0),
            "3d": other.max(0),
            "audio": sound.copy(),
            "caption": "no rows",
        },
        {
            "id": "c",
            "2d_pooled": full.max(0),
            "3d_pooled": other.max(0),
            "2d": full.copy(),
            "3d": other.copy(),
        },
    ]
    (tmp_path / "youcook_val.pkl").write_bytes(pickle.dumps(clips, 4))
    found = import_clips(tmp_path / "youcook_val.pkl", tmp_path / "out", "full")
    assert found["features"]["resnet152"] == {"not_found": 1, "ok": 2}
    left_out = {"2d": 2, "2d_pooled": 1, "3d": 2, "3d_pooled": 1, "audio": 1, "caption": 1}
    assert found["left_out_keys"] == left_out
    assert found["captions"] == 1
    store = FeatureStore([tmp_path / "out" / "resnext101.parquet"])
    for name in "ac":
        np.testing.assert_array_equal(store[name].values, other)
        assert store[name].step_seconds == pytest.approx(16 / 24)
    captions = list(csv.DictReader((tmp_path / "out" / "captions.csv").read_text().splitlines()))
    assert float(captions[0]["end_seconds"]) == 6.0  # nine rows of motion outlast the sound
    command = (
        f"import features clips {tmp_path}/youcook_val.pkl --rows pooled --output {tmp_path}/pooled"
    )
    main(command.split())
    pooled_rows = tmp_path / "pooled" / "resnext101.parquet"
    pooled = FeatureStore([pooled_rows])
    assert [len(pooled[name].values) for name in "abc"] == [1, 1, 1]


def test_the_pth_of_miech(tmp_path):
    values = {key: {f"video{n}": torch.rand(2048) for n in range(3)} for key in ("2d", "3d")}
    torch.save(values, tmp_path / "MSRVTT_JSFUSION_test.pth")
    accounting = import_clips(tmp_path / "MSRVTT_JSFUSION_test.pth", tmp_path / "out")
    assert accounting["features"]["logmel"] == {"no_audio": 3}
    store = FeatureStore([tmp_path / "out/resnext101.parquet"])
    assert np.array_equal(store["video2"].values[0], values["3d"]["video2"].numpy().astype("f2"))


@pytest.mark.parametrize(
    "content",
    [
        [{"caption": "no id"}],
        [{"id": "../x"}],
        [3],
        {"2d": {}},
        [{"id": "a/b"}],
        [{"id": "a", "caption": 3}],
    ],
)
def test_other_pickles_are_refused_and_leave_nothing(tmp_path, content):
    (tmp_path / "odd.pkl").write_bytes(pickle.dumps(content, 4))
    with pytest.raises(UserError, match=r"odd\.pkl"):
        import_clips(tmp_path / "odd.pkl", tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


@pytest.mark.slow
def test_many_videos_stream(tmp_path):
    clip = {"2d": features(1)[0], "3d": features(1)[0], "audio": features(40, 300)}
    with open(tmp_path / "many.pkl", "wb") as file:
        items = [
            {"id": f"v{n}", "caption": "x", **{key: np.copy(value) for key, value in clip.items()}}
            for n in range(1500)
        ]
        pickle.dump(items, file, 4)
    del items
    tracemalloc.start()
    import_clips(tmp_path / "many.pkl", tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (tmp_path / "many.pkl").stat().st_size > 45_000_000
    assert peak < 20_000_000


def test_features_of_crosstask_are_named_by_the_configuration() -> None:
    """A layout of a folder says which features it holds; those that nobody computes are read there alone."""
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["datasets"]["crosstask"] = {
        "manifest": "crosstask.csv",
        "tasks": "tasks.csv",
        "steps": "steps.csv",
        "published_features": {"directory": "crosstask_features", "layout": "crosstask"},
    }
    model = {"video": ["i3d", "resnet152"], "audio": "vggish"}
    values["experiments"]["zhukov"] = {"base": "mcn", "dataset": "crosstask", "model": model}
    settings = configure(values)
    assert settings.features_of("crosstask") == ["resnet152", "word2vec", "i3d", "vggish"]
    assert not {"i3d", "vggish"} & set(settings.features_of("demo_test"))
    scored = {name for model, name, _ in settings.evaluations() if model == "zhukov"}
    assert scored == {"crosstask"}
    assert not any(
        where == "crosstask" for model, where, _ in settings.evaluations() if model == "mcn"
    )
    assert settings.unscored() == [
        "mcn is not scored on crosstask, which does not have the features resnext101, logmel",
        "zhukov is not scored on demo_test, which does not have the features i3d, vggish",
    ]
    with pytest.raises(UserError, match="one directory with all features"):
        wrong = {"clips": "a.pkl", "layout": "crosstask"}
        configure(
            {**values, "datasets": {**values["datasets"], "b": {"published_features": wrong}}}
        )
