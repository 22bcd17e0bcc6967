"""What library models refuse, each with its cure; shards and their recipes; models of a hub's cache by name."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.features.registry import (
    derive_reads,
    make_extractor,
    make_text_encoder,
    missing_libraries,
)
from mcn.features.runtime import resolve
from mcn.options.features import RuntimeOptions, parse_row
from mcn.shards import ShardReader, feature_sequence
from tests import library_models as models
from tests.features_shards import pictures, write_audio, write_frames

transformers = pytest.importorskip("transformers")

ON_CPU = RuntimeOptions(device="cpu")
PICTURE, VIDEO = "transformers_picture", "transformers_video"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("models")
    for kind in ("clip", "dinov2", "siglip", "videomae", "wav2vec2", "clap", "siglip2"):
        models.save_transformers(root / kind, kind)
    return root


def row_of(encoder: str, model: Any, **values: Any) -> Any:
    return parse_row("tried", json.dumps({"encoder": encoder, "model": str(model), **values}))


def opened(row: Any) -> Any:
    return make_extractor("tried", row, "", ON_CPU, 1)


def test_a_name_that_a_library_does_not_know_is_told_its_nearest() -> None:
    with pytest.raises(UserError, match="did you mean 'resnet50'"):
        derive_reads(row_of("timm_picture", "resnet500"))
    with pytest.raises(UserError, match="did you mean 'mvit_v2_s'"):
        derive_reads(row_of("torchvision_video", "mvit_v3_s"))
    with pytest.raises(UserError, match="did you mean 'KINETICS400_V1'"):
        derive_reads(row_of("torchvision_video", "s3d", weights="KINETIC400_V1"))
    with pytest.raises(UserError, match="no folder here"):
        opened(row_of(PICTURE, "/nowhere/model"))
    pytest.importorskip("open_clip")
    with pytest.raises(UserError, match="did you mean 'ViT-B-32'"):
        derive_reads(row_of("open_clip_picture", "ViT-B-33"))
    with pytest.raises(UserError, match="did you mean 'laion2b_s34b_b79k'"):
        derive_reads(row_of("open_clip_picture", "ViT-B-32", pretrained="laion2b_s34b_b80k"))


@pytest.mark.parametrize(
    ("encoder", "kind", "values", "words"),
    [
        (PICTURE, "wav2vec2", {}, "a processor that AutoImageProcessor"),
        (PICTURE, "dinov2", {"pooling": "projected"}, "no image tower with a joint space"),
        (PICTURE, "siglip", {"pooling": "cls"}, "has no class token"),
        (PICTURE, "clip", {"layer": 1}, "layer 1 of .* with pooling projected"),
        (PICTURE, "dinov2", {"layer": 1, "pooling": "pooler"}, "layer 1 of .* with pooling pooler"),
        (VIDEO, "videomae", {"pooling": "pooler"}, "no pooled output of its own"),
        (VIDEO, "clip", {}, "names no number of frames"),
        ("transformers_audio", "clip", {}, "a processor that AutoFeatureExtractor"),
        ("transformers_audio", "wav2vec2", {}, "names no window"),
        ("transformers_audio", "clap", {"window_seconds": 2}, "at most 1, which"),
        ("transformers_audio", "clap", {"step_seconds": 2}, "at most the window of 1 s"),
        ("transformers_audio", "clap", {"reads": {"sample_rate": 48000}}, "16000 Hz, for which"),
    ],
)
def test_what_a_model_has_not_is_an_error_with_its_cure(
    encoder: str, kind: str, values: Any, words: str, folder: Path
) -> None:
    with pytest.raises(UserError, match=words) as error:
        opened(row_of(encoder, folder / kind, **values))
    assert str(folder / kind) in str(error.value)
    assert error.value.do


def test_what_does_not_follow_from_a_processor_has_to_be_given(folder: Path) -> None:
    with pytest.raises(UserError, match="names no frame rate"):
        derive_reads(row_of(VIDEO, folder / "videomae"))
    with pytest.raises(UserError, match="names no size"):
        derive_reads(row_of(PICTURE, folder / "siglip2"))
    row = row_of("transformers_audio", folder / "wav2vec2")
    with pytest.raises(UserError, match=r"give features\.NAME\.window_seconds"):
        derive_reads(row)


def test_a_model_of_no_texts_has_no_text_tower(folder: Path, tmp_path: Path) -> None:
    """Both before any job, where the row is read, and when it is opened."""
    models.tokenizer().save_pretrained(tmp_path / "dinov2")
    (tmp_path / "clip").mkdir()
    for kind in ("dinov2", "clip"):
        for file in (folder / kind).iterdir():
            if "token" not in file.name:
                (tmp_path / kind / file.name).write_bytes(file.read_bytes())
    wanted = {"dinov2": "no text tower with a joint space", "clip": "no files of a tokenizer"}
    for kind, words in wanted.items():
        row = row_of("transformers_text", tmp_path / kind)
        with pytest.raises(UserError, match=words):
            derive_reads(row)
        with pytest.raises(UserError, match=words):
            make_text_encoder(row, resolve(ON_CPU))
    row = row_of(PICTURE, folder / "dinov2", pooling="projected")
    with pytest.raises(UserError, match="no image tower with a joint space"):
        derive_reads(row)


def test_weights_that_lack_rows_or_are_damaged_are_refused(folder: Path, tmp_path: Path) -> None:
    for file in (folder / "dinov2").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    weights = tmp_path / "model.safetensors"
    rows = load_file(weights)
    lacking = {name: row for name, row in rows.items() if "layer.1" not in name}
    save_file(lacking, weights, {"format": "pt"})
    with pytest.raises(UserError, match=r"whose file has no .*layer\.1"):
        opened(row_of(PICTURE, tmp_path))
    weights.write_bytes((folder / "dinov2/model.safetensors").read_bytes()[:1000])
    with pytest.raises(UserError, match="a model that AutoModel of transformers opens"):
        opened(row_of(PICTURE, tmp_path))


def test_weights_are_pinned_by_the_sha256_of_their_tensors(folder: Path) -> None:
    digest = opened(row_of(PICTURE, folder / "clip")).recipe["weights"]["sha256"]
    opened(row_of(PICTURE, folder / "clip", weights_sha256=digest))
    with pytest.raises(UserError, match=f"whose tensors have sha256 {digest}"):
        opened(row_of(PICTURE, folder / "clip", weights_sha256="0" * 64))


def test_options_that_contradict_each_other_are_told_with_their_key() -> None:
    with pytest.raises(UserError, match="sound between them would be left out"):
        row_of("transformers_audio", "someone/model", window_seconds=1, step_seconds=2)
    with pytest.raises(UserError, match="this encoder reads frames"):
        row_of(PICTURE, "someone/model", reads={"sample_rate": 16000})


def test_a_library_that_is_missing_is_told_with_the_command(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = row_of(PICTURE, folder / "clip")
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(UserError, match="no transformers") as error:
        opened(row)
    assert 'pip install "mcn[encoders]"' in error.value.do
    monkeypatch.setattr("mcn.features.registry.find_spec", lambda _: None)
    rows = {"seen": row, "other": parse_row("resnet152", "{}")}
    assert missing_libraries(rows, rows) == [
        'features.seen: no transformers; pip install "mcn[encoders]", or transformers'
    ]


def test_a_configuration_collects_what_cannot_be_derived(folder: Path) -> None:
    import yaml

    root = Path(__file__).parent.parent
    values: dict[str, Any] = yaml.safe_load((root / "config.yaml").read_text())
    values["features"] |= {
        "one": {"encoder": VIDEO, "model": str(folder / "videomae")},
        "two": {"encoder": "timm_picture", "model": "resnet500"},
    }
    with pytest.raises(UserError) as error:
        configure(values)
    assert "features.one: " in error.value.got
    assert "features.two: timm model 'resnet500', did you mean" in error.value.got


def test_a_shard_says_all_that_its_numbers_come_from(folder: Path, tmp_path: Path) -> None:
    """Two frames in the last clip: it is filled up with its last frame; a failed video passes through."""
    frames = pictures(6, 36, 50)
    source = write_frames(tmp_path / "frames.parquet", {"a": frames, "bad": None})
    row = {"encoder": VIDEO, "model": str(folder / "videomae"), "normalize": True}
    output = tmp_path / "out.parquet"
    told = ["--options", json.dumps(row), "--runtime", "{device: cpu}", "--threads", "2"]
    assert main(["extract", "moving", str(source), str(output), *told]) == 0
    reader = ShardReader(output, "features")
    found, bad = list(reader)
    values = feature_sequence(found).values
    assert values.shape == (2, 24)
    assert found["step_seconds"] == 1.0  # four frames of 0.25 s
    assert bad["status"] == "failed"
    whole = np.concatenate([frames, frames[-1:], frames[-1:]]).reshape(2, 4, 36, 50, 3)
    wanted = opened(row_of(VIDEO, folder / "videomae", normalize=True)).encode(whole)
    np.testing.assert_allclose(values, wanted, atol=1e-3)
    recipe = reader.recipe
    assert recipe["pooling"] == "mean"
    assert recipe["weights"]["source"] == "videomae"
    assert len(recipe["weights"]["sha256"]) == 64
    assert recipe["processor"]["size"] == {"shortest_edge": 36}
    assert recipe["frames"] == 4
    assert recipe["precision"] == "fp32"
    assert set(recipe["libraries"]) >= {"transformers", "torch", "torchvision"}
    again = tmp_path / "again.parquet"
    assert main(["extract", "moving", str(source), str(again), *told]) == 0
    assert again.read_bytes() == output.read_bytes()


def test_sound_becomes_a_shard(folder: Path, tmp_path: Path) -> None:
    source = write_audio(tmp_path / "sound.parquet", {"a": models.sound(1.3), "mute": None})
    row = {"encoder": "transformers_audio", "model": str(folder / "clap"), "step_seconds": 0.5}
    output = tmp_path / "out.parquet"
    told = ["--options", json.dumps(row), "--runtime", "{device: cpu}", "--threads", "1"]
    assert main(["extract", "heard", str(source), str(output), *told]) == 0
    found, mute = ShardReader(output, "features")
    assert feature_sequence(found).values.shape == (3, 16)
    assert (found["start_seconds"], found["step_seconds"]) == (0.5, 0.5)
    assert mute["status"] == "missing"


def test_a_row_has_a_precision_of_its_own(folder: Path) -> None:
    frames = pictures(2, 36, 50)[:, None]
    exact, coarse = (
        opened(row_of(PICTURE, folder / "clip", precision=precision))
        for precision in ("runtime", "bf16")
    )
    assert (exact.recipe["precision"], coarse.recipe["precision"]) == ("fp32", "bf16")
    one, other = exact.encode(frames), coarse.encode(frames)
    assert 1e-5 < np.abs(one - other).max() < 0.1 * np.abs(one).max()
    with pytest.raises(UserError, match="fp16 on a CPU"):
        opened(row_of(PICTURE, folder / "clip", precision="fp16"))


COMMIT = "0123456789abcdef0123456789abcdef01234567"
SCRIPT = """
import json, sys
from mcn.features.registry import derive_reads, make_extractor, make_text_encoder
from mcn.features.runtime import resolve
from mcn.options.features import RuntimeOptions, parse_row
at = RuntimeOptions(device="cpu")
for text in sys.argv[1:]:
    row = derive_reads(parse_row("tried", text))
    if row.kind == "text":
        print(json.dumps(make_text_encoder(row, resolve(at)).recipe["weights"]))
    else:
        print(json.dumps(make_extractor("tried", row, "", at, 1).recipe["weights"]))
"""


@pytest.mark.slow  # seconds, twice: a process that imports all libraries
def test_models_of_a_hub_are_opened_by_name_and_pinned(folder: Path, tmp_path: Path) -> None:
    """The hub's cache is laid out as its library does it; there is no connection. One process for all libraries."""
    pytest.importorskip("open_clip")
    models.save_timm(tmp_path / "vit", "test_vit")
    models.save_open_clip(tmp_path / "pair")
    sources = {"clip": folder / "clip", "vit": tmp_path / "vit", "pair": tmp_path / "pair"}
    for name, source in sources.items():
        repository = tmp_path / "home/hub" / f"models--someone--{name}"
        snapshot = repository / "snapshots" / COMMIT
        snapshot.mkdir(parents=True)
        for file in source.iterdir():
            (snapshot / file.name).write_bytes(file.read_bytes())
        (repository / "refs").mkdir()
        (repository / "refs/main").write_text(COMMIT)
    rows = [
        {"encoder": "transformers_picture", "model": "someone/clip"},
        {"encoder": "transformers_text", "model": "someone/clip", "revision": COMMIT},
        {"encoder": "timm_picture", "model": "someone/vit"},
        {"encoder": "open_clip_picture", "model": "someone/pair", "revision": COMMIT},
        {"encoder": "open_clip_text", "model": "someone/pair"},
    ]
    environment = {
        **os.environ,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": str(Path(__file__).parent.parent),
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(json.dumps, rows)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert [one["source"] for one in found] == [row["model"] for row in rows]
    assert [one["revision"] for one in found] == [COMMIT] * 5
    assert found[0]["sha256"] == found[1]["sha256"]
    absent = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps({"encoder": PICTURE, "model": "someone/else"})],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert "mcn fetch hf:someone/else" in absent.stderr
