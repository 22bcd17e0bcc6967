"""Damage of every sort, to shards of every kind: found when read and by `verify`, which names the file and the cure."""

from __future__ import annotations

import multiprocessing
import os
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from mcn import files
from mcn.config.configuration import configure
from mcn.errors import DamagedShard, UserError
from mcn.evaluation.basis import basis, model_config
from mcn.files import atomic_path, scratch_folder, write_table, write_text
from mcn.layout import Dataset
from mcn.networks import MultimodalClusteringNetwork
from mcn.networks.checkpoints import read_state_dict, save_model
from mcn.networks.rows import save_rows
from mcn.options.search import SearchOptions
from mcn.search.limits import seen_limit
from mcn.search.words_file import build_words
from mcn.shards import (
    AUDIO_SCHEMA,
    FEATURE_SCHEMA,
    FRAME_SCHEMA,
    TEXT_SCHEMA,
    FeatureStore,
    RowStore,
    ShardReader,
    ShardWriter,
    feature_row,
)
from mcn.shards.origin import list_digest
from mcn.sources.partition import list_text, shard_lists
from mcn.upkeep.verify import Problem, cure, verify

SCHEMAS = {"features": FEATURE_SCHEMA, "frames": FRAME_SCHEMA, "audio": AUDIO_SCHEMA, "text": TEXT_SCHEMA}  # fmt: skip
CONFIG: dict[str, Any] = {
    "datasets": {"set": {"manifest": "m.csv"}},
    "features": {"word2vec": {"vectors": "v.bin"}},
}
SETTINGS = configure(CONFIG)
FEATURES = tuple(SETTINGS.used_features())
DECODED = ("frames_1fps", "frames_24fps", "audio_16khz")
KINDS = {
    name: "text" if row.kind == "text" else "features" for name, row in SETTINGS.features.items()
}
KINDS |= {name: "audio" if name == "audio_16khz" else "frames" for name in DECODED}
STREAMS = [f"features/{name}" for name in FEATURES] + [f"decoded/{name}" for name in DECODED]
IDS = (("a", "b"), ("c", "d"))


def row(kind: str, video_id: str) -> dict[str, Any]:
    """A row with content that compression would not hide."""
    random = np.random.default_rng(sum(video_id.encode()))
    blob = random.bytes(300)
    head = {"video_id": video_id, "status": "ok", "error": ""}
    time_ = {"start_seconds": 0.0, "step_seconds": 0.5}
    return {
        "features": lambda: feature_row(video_id, random.random((15, 10)), 0.0, 0.5),
        "frames": lambda: {**head, **time_, "length": 1, "height": 10, "width": 10, "video": blob},
        "audio": lambda: {**head, "start_seconds": 0.0, "sample_rate": 16000, "length": 75, "samples": blob},
        "text": lambda: {**head, "starts": [0.0], "ends": [1.0], "texts": ["onion" * 30],
                         "languages": ["en"], "tokens": [list(range(40))]},
    }[kind]()  # fmt: skip


def write(path: Path, kind: str, ids: tuple[str, ...], version: int = 1) -> Path:
    with ShardWriter(path, SCHEMAS[kind], {"version": version, "stage": path.parent.name}) as shard:
        for video_id in ids:
            shard.write(row(kind, video_id))
    return path


def content(path: Path, kind: str) -> tuple[Any, ...]:
    """All that a reader gets to see."""
    reader = ShardReader(path, kind)
    return reader.recipe, list(reader)


def content_or_damage(path: Path, kind: str) -> tuple[Any, ...] | str:
    """What a reader gets to see, or the file that it says is damaged."""
    try:
        return content(path, kind)
    except DamagedShard as error:
        return error.path


def rows_or_damage(path: Path, kind: str) -> dict[str, Any] | str:
    """The same by video, as training reads it."""
    try:
        return dict(RowStore([path], kind))
    except DamagedShard as error:
        return error.path


@pytest.fixture
def dataset(tmp_path: Path) -> Dataset:
    """A data set of two shards in every stream, all of it intact."""
    return make_dataset(tmp_path / "set")


def make_dataset(root: Path) -> Dataset:
    data = Dataset(root, len(IDS))
    for shard, ids in enumerate(IDS):
        data.shard_list(shard).parent.mkdir(parents=True, exist_ok=True)
        pd.DataFrame({"video_id": ids, "path": "x.mp4"}).to_csv(data.shard_list(shard), index=False)
        for stream in STREAMS:
            write(data.paths(stream)[shard], KINDS[Path(stream).name], ids)
    return data


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda raw: raw[: len(raw) * 2 // 3],
    "cut by a byte": lambda raw: raw[:-1],
    "zeroed": lambda raw: raw[:200] + bytes(100) + raw[300:],
    "all zeros": lambda raw: bytes(len(raw)),
    "empty": lambda raw: b"",
    "half-written": lambda raw: raw[: len(raw) // 2] + bytes(len(raw) - len(raw) // 2),
    "not parquet": lambda raw: b"an error page of a web server\n" * 20,
}


@pytest.mark.parametrize("stream", STREAMS)
@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_when_read_and_by_verify(
    dataset: Dataset, stream: str, damage: str
) -> None:
    path = dataset.paths(stream)[1]
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    with pytest.raises(DamagedShard, match=r"00001\.parquet") as caught:
        content(path, KINDS[Path(stream).name])
    assert f"rm {path}" in caught.value.do
    problems = verify([dataset], SETTINGS)
    assert [problem.path for problem in problems] == [path]
    assert cure(problems).startswith(f"rm -f {shlex.quote(str(path))}\n")


def test_the_cure_makes_files_before_those_that_are_made_of_them() -> None:
    files = [
        "small/features/logmel/00000.parquet",
        "small/features/davenet/00000.parquet",
        "small/ledger.parquet",
        "small/vocabulary.parquet",
        "index/mcn/small/00000.parquet",
        "small/features/logmel/00001.parquet",
        "small/videos.parquet",
        "models/mcn/model.safetensors",
        "small/decoded/audio_16khz/00000.parquet",
        "weights/davenet.safetensors",
        "small/shards/00000.csv",
        "small/captions.parquet",
    ]
    lines = cure([Problem(Path("results") / file, "") for file in files]).splitlines()
    made = [line.partition(" -- ")[2].replace("results/", "").split() for line in lines[1:-1]]
    assert made == [
        ["small/videos.parquet", "small/captions.parquet"],
        ["small/shards/00000.csv"],
        ["small/vocabulary.parquet"],
        ["small/decoded/audio_16khz/00000.parquet"],
        ["weights/davenet.safetensors"],
        ["small/features/logmel/00000.parquet", "small/features/logmel/00001.parquet"],
        ["small/features/davenet/00000.parquet"],
        ["models/mcn/model.safetensors"],
        ["small/ledger.parquet", "index/mcn/small/00000.parquet"],
    ]
    assert lines[0].split()[:2] == ["rm", "-f"]
    assert {*lines[0].split()[2:]} == {f"results/{file}" for file in files}
    assert lines[-1] == "snakemake --cores N"


def test_an_intact_data_set_has_no_problems(dataset: Dataset) -> None:
    assert verify([dataset], SETTINGS) == []


@pytest.mark.parametrize("kind", SCHEMAS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
@example(place=0.5409238922940001, bit=1)  # a row group of frames that reads as empty
def test_any_flipped_bit_is_found_or_changes_nothing(
    tmp_path: Path, kind: str, place: float, bit: int
) -> None:
    path = write(tmp_path / f"{kind}.parquet", kind, IDS[0])
    expected = content(path, kind)
    raw = bytearray(path.read_bytes())
    raw[int(place * len(raw))] ^= 1 << bit
    path.write_bytes(raw)
    assert content_or_damage(path, kind) in (expected, str(path))


@pytest.mark.parametrize("kind", SCHEMAS)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(start=st.floats(0, 0.999), length=st.integers(1, 400), end=st.booleans())
def test_any_cut_or_zeroed_stretch_is_found_or_changes_nothing(
    tmp_path: Path, kind: str, start: float, length: int, end: bool
) -> None:
    path = write(tmp_path / f"{kind}.parquet", kind, IDS[0])
    expected, raw = content(path, kind), path.read_bytes()
    first = int(start * len(raw))
    gap = b"" if end else bytes(min(length, len(raw) - first))
    path.write_bytes(raw[:first] + gap + (b"" if end else raw[first + len(gap) :]))
    assert content_or_damage(path, kind) in (expected, str(path))


# Bytes of a shard of frames whose second bit makes a count wrong, which no checksum of a page covers: of the columns'
# values, of the rows of a row group, of the rows of the file.
MISCOUNTED = (5, 41, 1880, 2348)


@pytest.mark.parametrize("place", MISCOUNTED)
@pytest.mark.parametrize("bit", range(8))
def test_a_miscounted_shard_is_never_read_as_other_rows(
    tmp_path: Path, place: int, bit: int
) -> None:
    """Row by row and column by column: what is read is the whole, or the file is named as damaged."""
    path = write(tmp_path / "frames.parquet", "frames", IDS[0])
    whole = rows_or_damage(path, "frames")
    raw = bytearray(path.read_bytes())
    raw[place] ^= 1 << bit
    path.write_bytes(raw)
    assert rows_or_damage(path, "frames") in (whole, str(path))


def test_shards_of_another_recipe_place_or_kind_are_found(dataset: Dataset) -> None:
    """Intact files in the wrong place: each is named, and no other."""
    other_recipe = write(dataset.features("logmel")[1], "features", IDS[1], version=2)
    foreign = write(dataset.features("davenet")[0], "features", ("x", "y"))
    swapped = write(dataset.features("resnet152")[1], "features", IDS[1][::-1])
    other_kind = write(dataset.features("resnext101")[0], "audio", IDS[0])
    lost = dataset.features("word2vec")[0]
    lost.unlink()
    found = {problem.path: problem.reason for problem in verify([dataset], SETTINGS)}
    assert set(found) == {other_recipe, foreign, swapped, other_kind, lost}
    assert "another recipe" in found[other_recipe]
    assert "absent ['a', 'b'], extra ['x', 'y']" in found[foreign]
    assert "not the videos of" in found[swapped]
    assert "a shard of audio, wanted one of features" in found[other_kind]
    assert found[lost] == "missing"


def exchange(one: Path, other: Path) -> None:
    """Each gets the other's name."""
    aside = one.with_name("aside")
    one.rename(aside)
    other.rename(one)
    aside.rename(other)


EXCHANGED = {
    "features": ("set/features/resnet152/00000", "set/features/resnext101/00000"),
    "numbers": ("set/features/logmel/00000", "set/features/logmel/00001"),
    "data sets": ("set/features/logmel/00000", "other/features/logmel/00000"),
    "decoded streams": ("set/decoded/frames_1fps/00001", "set/decoded/frames_24fps/00001"),
}


@pytest.mark.parametrize("names", EXCHANGED.values(), ids=EXCHANGED)
def test_exchanged_shards_are_found_when_read_and_by_verify(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    """The recipes are made equal, as those of two data sets or shards of one feature are."""
    data, _ = make_dataset(tmp_path / "set"), make_dataset(tmp_path / "other")
    one, other = (tmp_path / f"{name}.parquet" for name in names)
    for path in (one, other):
        kind = KINDS[path.parent.name]
        with ShardWriter(path, SCHEMAS[kind], {"version": 1}) as shard:
            for video_id in IDS[int(path.stem)]:
                shard.write(row(kind, video_id))
    exchange(one, other)
    kind = KINDS[one.parent.name]
    with pytest.raises(DamagedShard, match=r"it is shard \d of .* wanted shard \d of") as caught:
        RowStore([one], kind)
    assert f"rm {one}" in caught.value.do
    found = {
        problem.path for problem in verify([data], SETTINGS) if "it is shard" in problem.reason
    }
    assert found == {path for path in (one, other) if path.is_relative_to(data.root)}


def test_a_shard_of_other_videos_than_its_list_is_not_read(dataset: Dataset) -> None:
    path, shard_list = dataset.features("logmel")[1], dataset.shard_list(1)
    with ShardWriter(path, FEATURE_SCHEMA, {}, inputs=list_digest(shard_list)) as shard:
        for video_id in IDS[1]:
            shard.write(row("features", video_id))
    assert set(RowStore([path], "features")) == set(IDS[1])
    pd.DataFrame({"video_id": IDS[1], "path": "moved.mp4"}).to_csv(shard_list, index=False)
    assert set(RowStore([path], "features")) == set(IDS[1]), "a video may be moved"
    pd.DataFrame({"video_id": ["c", "new"], "path": "x.mp4"}).to_csv(shard_list, index=False)
    with pytest.raises(UserError, match="made of other videos than") as caught:
        RowStore([path], "features")
    assert f"rm {path}" in caught.value.do


def test_shards_of_an_earlier_version_are_read_and_counted(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr("mcn.shards.shard.place_of", lambda path: None)
        path = write(dataset.features("logmel")[1], "features", IDS[1])
    assert ShardReader(path).origin is None
    assert verify([dataset], SETTINGS) == []
    assert f"1 shards in {path.parent} are of an earlier version" in caplog.text


def test_damaged_lists_and_narration_are_found(dataset: Dataset) -> None:
    rows = [
        {"video_id": video_id, "path": f"{video_id}.mp4", "sha256": ""} for video_id in "abcdefgh"
    ]
    write_table(dataset.table("videos"), pa.Table.from_pylist(rows))
    for shard, listed in enumerate(shard_lists(dataset.table("videos"), 2)):
        dataset.shard_list(shard).write_text(list_text(listed))
        for stream in STREAMS:
            kind = KINDS[Path(stream).name]
            write(dataset.paths(stream)[shard], kind, tuple(listed["video_id"].to_pylist()))
    narration = dataset.root / "narration/00000.parquet"
    write_table(narration, pa.table({"video_id": ["a"] * 100}))
    assert verify([dataset], SETTINGS) == []
    flipped = bytearray(narration.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    narration.write_bytes(flipped)
    path = dataset.shard_list(0)
    path.write_text(path.read_text().replace(".mp4", ".mp3", 1))
    assert [problem.path for problem in verify([dataset], SETTINGS)] == [path, narration]
    path.unlink()
    assert [problem.path for problem in verify([dataset], SETTINGS)] == [path, narration]


def test_damage_of_what_answers_is_found_by_verify(dataset: Dataset) -> None:
    lines, words = dataset.root / "speech/00000.parquet", dataset.root / "words.sqlite"
    said = {"video_id": ["a"], "start_seconds": [0.0], "end_seconds": [1.0], "text": ["soup"]}
    write_table(lines, pa.table(said))
    build_words([lines], words)
    assert words not in [problem.path for problem in verify([dataset], SETTINGS)]
    flipped = bytearray(words.read_bytes())
    flipped[len(flipped) // 2] ^= 1
    words.write_bytes(flipped)
    write_text(dataset.paths("meaning")[0], "no shard")
    found = verify([dataset], SETTINGS)
    assert {words, dataset.paths("meaning")[0]} <= {problem.path for problem in found}
    *_, last, everything = cure(found).splitlines()
    assert str(words) in last
    assert everything == "snakemake --cores N"


@pytest.mark.parametrize("damaged", [b"", b"\0" * 99, b"[]", b"{}", b"null", b"kind: fro", b"a: {"])
def test_a_damaged_folder_of_a_model_is_named_by_who_asks_it(
    tmp_path: Path, damaged: bytes
) -> None:
    """By the quick way of a query too, which loads no network."""
    config = "kind: frozen\nbasis: x\noptions: {pairing: conse, center: true}\n"
    write_text(tmp_path / "config.yaml", config)
    (tmp_path / "model.safetensors").write_bytes(damaged)
    limit = seen_limit(tmp_path, SearchOptions())
    assert limit is not None
    with pytest.raises(UserError, match=r"model\.safetensors: "):
        limit(np.ones(4))
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"model\.safetensors: "):
        limit(np.ones(4))
    (tmp_path / "config.yaml").write_bytes(damaged)
    if damaged != b"kind: fro":
        for ask in (basis, model_config):
            with pytest.raises(UserError, match=r"config\.yaml: "):
                ask(tmp_path)


def test_any_flipped_bit_of_seeded_weights_is_found_or_changes_nothing(dataset: Dataset) -> None:
    path = dataset.root.parent / "weights/resnet152.safetensors"
    generator = torch.Generator().manual_seed(0)
    rows = {f"row{n}": torch.randn(4, 5, generator=generator) for n in range(3)}
    save_rows(path, rows, {"seed": 0, "network": "resnet152"})
    raw, found = path.read_bytes(), 0
    assert verify([dataset], SETTINGS) == []
    for place in np.random.default_rng(0).choice(8 * len(raw), 400, replace=False):
        damaged = bytearray(raw)
        damaged[place // 8] ^= 1 << (place % 8)
        path.write_bytes(damaged)
        try:
            read = read_state_dict(path)
        except UserError:
            found += 1
        else:
            assert all(torch.equal(read[name], values) for name, values in rows.items())
    assert found > 300
    path.write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))
    with pytest.raises(DamagedShard, match="not the weights that were written"):
        read_state_dict(path)
    assert [problem.path for problem in verify([dataset], SETTINGS)] == [path]


def test_damaged_models_scores_and_logs_are_found(dataset: Dataset) -> None:
    settings = configure({**CONFIG, "experiments": {"mcn": {"dataset": "set"}}})
    model = dataset.root.parent / "models/mcn"
    network = MultimodalClusteringNetwork(
        video_width=4, word_width=None, embedding_width=4, davenet_widths=None
    )
    save_model(model, network, {})
    (model / "metrics.jsonl").write_text('{"step": 1}\n')
    scores = dataset.root.parent / "evaluation/mcn/set.retrieval.json"
    write_text(scores, "{}")
    assert verify([dataset], settings) == []
    weights = model / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    (model / "metrics.jsonl").write_bytes(bytes(10))
    scores.write_bytes(b'{"scores":')
    found = [problem.path for problem in verify([dataset], settings)]
    assert found == [weights, model / "metrics.jsonl", scores]


def test_two_recipes_of_one_feature_are_never_read_together(dataset: Dataset) -> None:
    path = write(dataset.features("logmel")[1], "features", IDS[1], version=2)
    with pytest.raises(UserError, match="differ in recipe") as caught:
        FeatureStore(dataset.features("logmel"))
    assert f"rm {path}" in caught.value.do


def test_a_damaged_table_is_found(dataset: Dataset) -> None:
    table = dataset.table("captions")
    pd.DataFrame({"video_id": ["a"] * 100}).to_parquet(table)
    assert verify([dataset], SETTINGS) == []
    table.write_bytes(table.read_bytes()[:-9])
    assert [problem.path for problem in verify([dataset], SETTINGS)] == [table]


def write_slowly(path: Path, start: Any, version: int) -> None:
    """One of two writers: both are in the middle of the file at the same time."""
    with ShardWriter(path, FEATURE_SCHEMA, {"version": version}) as shard:
        shard.write(row("features", "a"))
        start.wait()
        shard.write(row("features", "b"))


def test_two_writers_of_one_shard_end_in_one_good_shard(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    path, start = tmp_path / "00000.parquet", context.Barrier(2)
    writers = [
        context.Process(target=write_slowly, args=(path, start, version)) for version in (1, 2)
    ]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    reader = ShardReader(path, "features")
    assert reader.video_ids == ["a", "b"]
    assert reader.recipe["version"] in (1, 2)
    assert [p.name for p in tmp_path.iterdir()] == ["00000.parquet"]


def dead_process() -> int:
    """The number of a process that has ended."""
    child = subprocess.Popen(["true"])
    child.wait()
    return child.pid


def test_what_dead_writers_left_is_removed_and_what_live_ones_have_stays(tmp_path: Path) -> None:
    host = files._HOST
    dead, live = dead_process(), os.getppid()
    names = {
        "dead": f".s.parquet.{host}.{dead}.0a0a0a0a.part",
        "live": f".s.parquet.{host}.{live}.0a0a0a0a.part",
        "elsewhere": f".s.parquet.another-host.{dead}.0a0a0a0a.part",
        "long ago elsewhere": f".s.parquet.another-host.{dead}.0b0b0b0b.part",
        "of another target": f".other.parquet.{host}.{dead}.0a0a0a0a.part",
    }
    for name in names.values():
        (tmp_path / name).write_text("half")
    old = time.time() - files.STALE_SECONDS - 60
    os.utime(tmp_path / names["long ago elsewhere"], (old, old))
    with atomic_path(tmp_path / "s.parquet") as temporary:
        temporary.write_text("whole")
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"s.parquet", names["live"], names["elsewhere"], names["of another target"]}


def test_scratch_folders_of_dead_processes_are_removed(tmp_path: Path) -> None:
    abandoned = tmp_path / f".mcn-decode.{files._HOST}.{dead_process()}.0a0a0a0a.part"
    (abandoned / "deep").mkdir(parents=True)
    (abandoned / "deep/frames").write_text("many")
    with scratch_folder("mcn-decode", tmp_path) as folder:
        (folder / "frames").write_text("few")
        assert [path.name for path in tmp_path.iterdir()] == [folder.name]
    assert list(tmp_path.iterdir()) == []


def test_files_have_the_permissions_of_the_umask(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "s") as temporary:
        temporary.write_text("private")
        temporary.chmod(0o600)
    (tmp_path / "plain").write_text("plain")
    assert (tmp_path / "s").stat().st_mode == (tmp_path / "plain").stat().st_mode
