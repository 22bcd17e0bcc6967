"""Features by configuration alone: other rates, other texts, an encoder of one's own; and what is wrong with rows."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pytest
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.evaluation.text_vectors import TextVectors
from mcn.features.own import own_problems
from mcn.features.registry import ENCODERS
from mcn.features.runtime import resolve
from mcn.features.text import make_vocabulary
from mcn.files import read_table, write_table
from mcn.layout import Dataset
from mcn.options.features import OWN, OWN_TEXT, AnyFeature, RuntimeOptions, parse_row
from mcn.shards import ShardReader, feature_sequence
from mcn.upkeep.costs import stages
from tests.features_shards import pictures, write_frames
from tests.small_run import SmallRun

ROOT = Path(__file__).parent.parent
OWN_ENCODER = """
from mcn.features.registry import Encoder


class MeanColour(Encoder):
    kind = "frame"

    def __call__(self, batch):
        return batch.mean(axis=(1, 2, 3)) / self.scale

    def __init__(self, options, device):
        self.scale = options["scale"]
        self.recipe = {"meaning": "mean colour"}


class Wrong(Encoder):
    kind = "audio"
"""
ROWS: dict[str, Any] = {
    "small_net": {
        "encoder": "timm",
        "network": "resnet18",
        "reads": {"frames_per_second": 2, "short_side": 48, "crop": 32},
        "label": "R18",
    },
    "lower_words": {"encoder": "word2vec", "vectors": "v.bin", "case": "lower"},
    "colour": {
        "encoder": "own_encoders:MeanColour",
        "kind": "frame",
        "reads": {"frames_per_second": 1, "short_side": 224},
        "options": {"scale": 255},
    },
}


@pytest.fixture
def values() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    return loaded


def with_rows(values: dict[str, Any], **rows: Any) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    changed["features"] |= rows
    return changed


def test_every_encoder_has_options_and_a_function_and_every_options_class_an_encoder() -> None:
    union, _ = get_args(AnyFeature)
    tags = {get_args(one)[1].tag for one in get_args(union)}
    assert tags - {OWN, OWN_TEXT} == set(ENCODERS)


def test_an_added_row_has_a_stream_of_its_own_and_leaves_the_others_alone(values: Any) -> None:
    before = configure(values)
    settings = configure(with_rows(values, **ROWS))
    assert settings.used_features() == before.used_features()
    assert settings.decode_passes()["frames"] == before.decode_passes()["frames"]
    values["experiments"]["mcn"]["model"]["video"] = ["resnet152", "resnext101", "small_net"]
    used = configure(with_rows(values, **ROWS))
    assert used.features_of("demo_test") == [*before.used_features(), "small_net"]
    passes = {
        name: [one.stream for one in streams] for name, streams in used.decode_passes().items()
    }
    assert passes == {
        "frames": ["frames_1fps", "frames_24fps"],
        "audio": ["audio_16khz"],
        "frames_1fps_292px_crop260": ["frames_1fps_292px_crop260"],  # efficientnet_lite2's
        "frames_2fps_48px_crop32": ["frames_2fps_48px_crop32"],
    }
    named = {stage.name: stage.folders for stage in stages(used)}
    assert named["decode_frames_2fps_48px_crop32"] == ("decoded/frames_2fps_48px_crop32",)
    assert named["small_net"] == ("features/small_net",)


def test_unused_features_leave_the_shared_pass(values: Any) -> None:
    values["experiments"]["mcn"]["model"]["video"] = ["resnet152"]
    passes = configure(values).decode_passes()
    assert [one.stream for one in passes["frames"]] == ["frames_1fps"]
    assert [one.stream for one in passes["frames_24fps"]] == ["frames_24fps"]


def test_a_second_text_feature_has_a_vocabulary_of_its_own() -> None:
    dataset = Dataset(Path("set"), 1)
    assert dataset.vocabulary("word2vec") == Path("set/vocabulary.parquet")
    assert dataset.vocabulary("lower_words") == Path("set/vocabulary/lower_words.parquet")


def test_vectors_are_missing_only_where_an_experiment_reads_them(values: Any) -> None:
    values["features"]["word2vec"]["vectors"] = None
    with pytest.raises(UserError, match=r"features\.word2vec\.vectors: missing; experiments\.mcn"):
        configure(values)
    del values["experiments"]
    assert "word2vec" not in configure(values).used_features()


def test_a_row_set_to_null_goes_away(values: Any) -> None:
    assert "davenet" not in configure(with_rows(values, davenet=None)).features


def test_problems_of_rows_are_named_all_at_once(values: Any) -> None:
    frames = {"frames_per_second": 1, "short_side": 32}
    rows = {
        "a": {"encoder": "tim"},
        "b": {"encoder": "timm", "reads": {"sample_rate": 16000}},
        "c": {"encoder": "timm", "reads": {"frames_per_second": 0, "short_side": 0}},
        "d": {"encoder": "logmel", "reads": {"sample_rate": 0}},
        "e": {"weights": "seeded"},
        "f": {"encoder": "m:E", "kind": "audio", "reads": frames},
        "g": {"encoder": "timm", "network": "vit_tiny_patch16_224"},
        "seed": 0,
    }
    broken = with_rows(values, **rows)
    broken["decode"] = {"appearance": frames, "sample_rate": 8000}
    with pytest.raises(UserError) as caught:
        configure(broken)
    for part in (
        "features.a.encoder: got 'tim', did you mean 'timm'?",
        "features.b.reads: got {'sample_rate': 16000}; this encoder reads frames",
        "features.c.reads.frames_per_second: got 0",
        "features.c.reads.short_side: got 0",
        "features.d.reads.sample_rate: got 0",
        "features.e.encoder: missing; known: timm",
        "a feature of kind audio reads sound {sample_rate} or another feature {feature}",
        "vit_tiny_patch16_224 has no seeded weights",
        "features.seed: is now seeding.seed",
        "decode.appearance: is now features.resnet152.reads",
        "decode.sample_rate: is now features.logmel.reads.sample_rate",
    ):
        assert part in caught.value.got


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ({"x": {"encoder": "davenet", "reads": {"feature": "logmol"}}}, "did you mean 'logmel'?"),
        ({"x": {"encoder": "davenet", "reads": {"feature": "word2vec"}}}, "is a text feature"),
        (
            {
                "x": {"encoder": "davenet", "reads": {"feature": "y"}},
                "y": {"encoder": "davenet", "reads": {"feature": "x"}},
            },
            "a circle, x reads y reads x",
        ),
        ({"LogMel": {"encoder": "logmel"}}, "'logmel' and 'LogMel' have one folder"),
        ({"a/b": {"encoder": "logmel"}}, "'a/b'"),
        ({"x": {"encoder": "timm", "decode_pass": "other"}}, "reads the same frames in the pass"),
        ({"x": {"encoder": "timm", "decode_pass": "audio"}}, "is the name of a stream"),
    ],
)
def test_rows_that_do_not_go_together_are_named(values: Any, rows: Any, words: str) -> None:
    with pytest.raises(UserError) as caught:
        configure(with_rows(values, **rows))
    assert words in caught.value.got


def test_an_encoder_of_ones_own_makes_a_shard(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_encoders.py").write_text(OWN_ENCODER)
    frames = pictures(5, 16, 24)
    source = write_frames(tmp_path / "frames.parquet", {"a": frames, "b": None})
    row = yaml.safe_dump(ROWS["colour"])
    arguments = ["extract", "colour", str(source), "out.parquet", "--options", row]
    assert main([*arguments, "--runtime", '{"device": "cpu"}']) == 0
    reader = ShardReader(tmp_path / "out.parquet", "features")
    a, b = (feature_sequence(one) for one in reader)
    np.testing.assert_allclose(a.values, frames.mean(axis=(1, 2)) / 255, rtol=2e-3)
    assert b.status == "failed"
    assert reader.recipe["meaning"] == "mean colour"
    assert len(reader.recipe["file_sha256"]) == 64


def test_own_encoders_that_break_the_contract_are_named(tmp_path: Path) -> None:
    (tmp_path / "own_encoders.py").write_text(OWN_ENCODER)
    rows = {
        name: parse_row(name, yaml.safe_dump({**ROWS["colour"], "encoder": encoder}))
        for name, encoder in {
            "right": "own_encoders:MeanColour",
            "typo": "own_encoders:MeanColor",
            "gone": "no_such_file:MeanColour",
            "wrong": "own_encoders:Wrong",
        }.items()
    }
    problems = own_problems(rows, tmp_path)
    assert len(problems) == 3
    text = "\n".join(problems)
    assert "did you mean 'MeanColour'?" in text
    assert "no_such_file" in text
    assert "its kind is 'audio', features.wrong.kind is 'frame'; it has no __call__" in text


OWN_TEXTS = """
from mcn.features.registry import Encoder


class Letters(Encoder):
    kind = "text"

    def __call__(self, texts):
        return [[text.count(letter) for letter in self.letters] for text in texts]

    def __init__(self, options, device):
        super().__init__(options, device)
        self.letters = options["letters"]


class Short(Encoder):
    kind = "text"

    def __call__(self, texts):
        return [[0.0]] * (len(texts) - 1)
"""


def test_an_own_encoder_of_texts_makes_the_vectors_of_whole_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own_texts.py").write_text(OWN_TEXTS)
    row = {"kind": "text", "encoder": "own_texts:Letters", "options": {"letters": "abc"}}
    letters = parse_row("letters", yaml.safe_dump(row))
    assert own_problems({"letters": letters}, tmp_path) == []
    narration = pa.Table.from_pylist(
        [{"video_id": "v", "start_seconds": 0.0, "end_seconds": 1.0, "text": "a cab"}]
    )
    write_table(tmp_path / "narration.parquet", narration)
    make_vocabulary([tmp_path / "narration.parquet"], "", tmp_path / "words.parquet", letters)
    table = read_table(tmp_path / "words.parquet")
    assert table["token"].to_pylist() == ["a cab"]
    assert np.frombuffer(table["vector"][0].as_py(), "<f4").tolist() == [2, 1, 1]
    queries = TextVectors("letters", letters, resolve(RuntimeOptions(device="cpu")))
    assert queries.means(["a cab"])[0] == pytest.approx(np.array([2, 1, 1]) / 6**0.5)
    assert queries.recipe["encoder"] == "own_texts:Letters"
    short = parse_row("short", yaml.safe_dump({"kind": "text", "encoder": "own_texts:Short"}))
    with pytest.raises(UserError, match=r"own_texts\.py"):
        make_vocabulary([tmp_path / "narration.parquet"], "", tmp_path / "other.parquet", short)
    wrong = parse_row("wrong", yaml.safe_dump({**ROWS["colour"], "encoder": "own_texts:Letters"}))
    assert "its kind is 'text'" in own_problems({"wrong": wrong}, tmp_path)[0]


def test_the_workflow_plans_added_rows(tmp_path: Path) -> None:
    """Rules, decoding and targets of added rows; the rows that were there are planned as without them."""
    run = SmallRun(tmp_path / "run")
    (run.folder / "own_encoders.py").write_text(OWN_ENCODER)
    rows = {**ROWS, "lower_words": {**ROWS["lower_words"], "vectors": "v.bin"}}
    (run.folder / "v.bin").write_bytes(b"")
    without = run.planned()
    run.configure({"features": rows})
    assert run.planned() == without
    targets = ["small_net_shards", "lower_words_shards", "colour_shards"]
    planned = run.planned(*targets)
    wanted = {"small_net", "decode_frames_2fps_48px_crop32", "seed_weights", "lower_words"}
    assert {*wanted, "vocabulary_lower_words", "colour", "decode_frames_1fps"} <= set(planned)
    assert not {"resnet152", "decode_frames", "train"} & set(planned)
    own = run.folder / "own_encoders.py"
    own.write_text(own.read_text().replace("class MeanColour(", "class MeanColours("))
    assert "did you mean 'MeanColours'?" in run.run("--dry-run", fails=True)
