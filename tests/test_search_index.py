"""The index of a data set: every window of every video with the embedding that the model gives it, part by part."""

import itertools
import json

import numpy as np
import pytest
import torch

from mcn.cli import main
from mcn.errors import UserError
from mcn.files import read_table
from mcn.layout import Dataset
from mcn.networks.checkpoints import load_model
from mcn.options.search import SearchOptions
from mcn.search.catalogue import join, read_catalogue
from mcn.search.index import windows_of
from mcn.search.vectors import VectorIndex, load_faiss
from mcn.shards import FeatureStore
from mcn.shards.clips import pool
from tests.evaluation_set import BROKEN, SECONDS, SILENT, make_set

FIXED = SearchOptions(scene_change=None)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A data set laid out as a run's, with its index in two parts."""
    root = tmp_path_factory.mktemp("set")
    small = make_set(root / "features")
    for shard in ("00001", "00000"):
        part = str(root / "index" / f"{shard}.parquet")
        words = ["--shard", shard, "--options", FIXED.model_dump_json()]
        assert main(["index", str(small.path("model")), str(root), part, *words]) == 0
    join(root / "index", 2, SearchOptions())
    return root, small


def parts(root):
    return sorted((root / "index").glob("*.parquet"))


def test_a_window_has_the_embedding_of_its_pooled_features(made):
    root, small = made
    index = VectorIndex(parts(root), "seen")
    model, _ = load_model(small.path("model"))
    streams = [FeatureStore(small.shards[name]) for name in ("resnet152", "resnext101")]
    rows = index.of_video(SILENT)
    assert index.starts[rows].tolist() == list(np.arange(0, SECONDS - 3, 2.0))
    assert index.ends[rows].tolist() == list(np.arange(4, SECONDS + 1, 2.0))
    for row in rows:
        pooled = [
            pool(s[SILENT].values, index.starts[row], index.ends[row], 1 / s[SILENT].step_seconds)
            for s in streams
        ]
        with torch.inference_mode():
            seen = model.embed_video(torch.tensor(np.concatenate(pooled))[None].float())[0].numpy()
        wanted = seen / np.linalg.norm(seen)
        assert index.vectors(np.array([row]))[0] == pytest.approx(wanted, abs=2e-3)


def test_what_has_no_sound_or_no_picture_is_named(made):
    root, _ = made
    seen, heard = (VectorIndex(parts(root), source) for source in ("seen", "heard"))
    assert seen.errors == {BROKEN: "video: truncated"}
    assert heard.errors == {BROKEN: "audio: no_audio", SILENT: "audio: no_audio"}
    assert len(seen) == 5 * 9
    assert len(heard) == 4 * 9


def test_the_catalogue_counts_the_windows_and_is_of_one_version(made):
    root, _ = made
    found = read_catalogue(root / "index")
    assert found["parts"] == 2
    assert found["sources"]["seen"]["windows"] == 45
    assert found["sources"]["heard"]["videos"] == 4
    assert not found["sources"]["seen"]["approximate"]
    other = root / "other"
    other.mkdir()
    (other / "index.json").write_text(json.dumps({**found, "version": 0}))
    with pytest.raises(UserError, match="of version 0"):
        read_catalogue(other)
    with pytest.raises(UserError, match="no index"):
        read_catalogue(root / "nowhere")


def test_above_a_number_of_windows_the_index_is_approximate(made, tmp_path):
    root, _ = made
    for path in parts(root):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    join(tmp_path, 2, SearchOptions(exact_windows=40))
    found = read_catalogue(tmp_path)["sources"]
    assert found["seen"]["approximate"]
    assert found["seen"]["recall_at_10"] >= 0.95
    assert not found["heard"]["approximate"]


def test_a_video_shorter_than_a_window_is_one_and_the_last_one_ends_with_the_video(made):
    _, small = made
    store = FeatureStore(small.shards["resnet152"])
    long, uneven = SearchOptions(window_seconds=30), SearchOptions(window_seconds=5, step_seconds=4)
    assert [one[1:] for one in windows_of(store, SILENT, long, False)] == [(0, 20)]
    spans = [one[1:] for one in windows_of(store, SILENT, uneven, False)]
    assert spans == [(0, 5), (4, 9), (8, 13), (12, 17), (15, 20)]
    assert windows_of(store, BROKEN, long, False) == []
    assert windows_of(store, BROKEN, long, True) == []


def test_windows_of_pictures_follow_the_scenes(made, tmp_path):
    root, small = made
    options = SearchOptions(scene_change=1e9, longest_seconds=7)
    part, store = tmp_path / "00000.parquet", FeatureStore(small.shards["resnet152"])
    shard = next(n for n in (0, 1) if SILENT in VectorIndex([parts(root)[n]], "seen").video_ids)
    words = ["--shard", str(shard), "--options", options.model_dump_json()]
    assert main(["index", str(small.path("model")), str(root), str(part), *words]) == 0
    index = VectorIndex([part], "seen")
    rows = index.of_video(SILENT)
    spans = list(zip(index.starts[rows].tolist(), index.ends[rows].tolist(), strict=True))
    assert spans == [one[1:] for one in windows_of(store, SILENT, options, True)]
    assert (spans[0][0], spans[-1][1]) == (0, SECONDS)
    assert all(one[1] == other[0] for one, other in itertools.pairwise(spans))
    assert all(2 <= end - start <= 7 for start, end in spans)
    model, _ = load_model(small.path("model"))
    streams = [FeatureStore(small.shards[name]) for name in ("resnet152", "resnext101")]
    start, end = spans[1]
    assert streams[0][SILENT].step_seconds == 1
    pooled = [pool(s[SILENT].values, start, end - 0.5, 1 / s[SILENT].step_seconds) for s in streams]
    with torch.inference_mode():
        seen = model.embed_video(torch.tensor(np.concatenate(pooled))[None].float())[0].numpy()
    wanted = seen / np.linalg.norm(seen)
    assert index.vectors(rows[1:2])[0] == pytest.approx(wanted, abs=2e-3), (
        "not the next scene's row"
    )


def test_a_part_reads_its_own_shard_alone(tmp_path):
    only = Dataset(tmp_path, 8).only(3)
    assert only.features("x") == [tmp_path / "features/x/00003.parquet"]


def test_an_index_is_exported_for_other_programs(made, tmp_path):
    root, _ = made
    index = str(root / "index")
    assert main(["export", "index", index, str(tmp_path / "all.parquet")]) == 0
    table = read_table(tmp_path / "all.parquet")
    assert table.num_rows == 45 + 36
    assert set(table["source"].to_pylist()) == {"seen", "heard"}
    assert main(["export", "index", index, str(tmp_path / "a.npy"), "--to", "npy"]) == 1, "which?"
    assert main(["export", "index", index, str(tmp_path)]) == 1, "a folder is no file"
    for form in ("npy", "faiss"):
        output = str(tmp_path / f"a.{form}")
        assert main(["export", "index", index, output, "--to", form, "--source", "heard"]) == 0
    matrix = np.load(tmp_path / "a.npy")
    heard = VectorIndex(parts(root), "heard")
    np.testing.assert_array_equal(matrix, heard.vectors(np.arange(len(heard))))
    exported = load_faiss().read_index(str(tmp_path / "a.faiss"))
    assert exported.search(matrix[7:8], 1)[1].tolist() == [[7]]
    beside = read_table(tmp_path / "a.parquet").to_pylist()
    assert beside[7]["start_seconds"] == heard.starts[7]
