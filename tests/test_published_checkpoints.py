"""Published checkpoints become model folders that are loaded, scored and pinned like our own."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.files import file_sha256
from mcn.networks.checkpoints import load_model, load_published, widths_of_checkpoint
from mcn.published.import_checkpoint import import_checkpoint
from mcn.shards import FEATURE_SCHEMA, ShardWriter, feature_row
from mcn.upkeep.widths import width_problems
from tests.test_checkpoints import mcn_rows, miech_rows, saved

ROOT = Path(__file__).parent.parent
KINDS = {
    "MCN": (lambda: mcn_rows(), "logmel"),
    "MCN or AVLnet-Text-Tri": (lambda: mcn_rows(reconstruction=False), "logmel"),
    "AVLnet": (lambda: mcn_rows(reconstruction=False, text=False), "logmel"),
    "HowTo100M (Miech et al.)": (lambda: miech_rows(), None),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_imported_model_is_the_published_one(tmp_path, kind):
    rows, audio = KINDS[kind]
    source = saved(tmp_path, rows())
    config = import_checkpoint(source, tmp_path / "model")
    model, written = load_model(tmp_path / "model")
    assert config["imported"]["kind"] == kind
    assert written["imported"]["sha256"] == file_sha256(source)
    assert written["features"]["audio"] == audio
    assert (tmp_path / "model/metrics.jsonl").read_bytes() == b""
    published = load_published(source)
    video = torch.randn(4, 10)
    with torch.no_grad():
        assert torch.equal(model.embed_video(video), published.embed_video(video))
        if model.has_text:
            words = torch.randn(4, 6, 5)
            assert torch.equal(model.embed_text(words), published.embed_text(words))
        if model.has_audio:
            mels = -80 * torch.rand(4, 40, 320)
            assert torch.equal(model.embed_audio(mels), published.embed_audio(mels))


def test_importing_twice_gives_the_same_bytes(tmp_path):
    source = saved(tmp_path, mcn_rows())
    for name in ("one", "two"):
        import_checkpoint(source, tmp_path / name)
    for file in ("model.safetensors", "config.yaml"):
        assert (tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes()


def test_another_digest_stops_before_anything_is_written(tmp_path):
    source = saved(tmp_path, mcn_rows())
    with pytest.raises(UserError, match="checkpoint_sha256"):
        import_checkpoint(source, tmp_path / "model", "0" * 64)
    assert not (tmp_path / "model").exists()
    import_checkpoint(source, tmp_path / "model", file_sha256(source))


def test_the_command_names_every_row_that_does_not_fit(tmp_path, capsys):
    rows = mcn_rows()
    del rows["GU_video.cg.fc.bias"]
    rows["GU_audio.fc.weight"] = torch.zeros(2, 2)
    rows["something.else"] = torch.zeros(1)
    source = saved(tmp_path, rows)
    assert main(["import", "checkpoint", str(source), "--output", str(tmp_path / "model")]) == 1
    message = capsys.readouterr().err
    for name in ("GU_video.cg.fc.bias", "GU_audio.fc.weight", "something.else"):
        assert name in message
    assert not (tmp_path / "model").exists()


def test_the_configuration_is_readable(tmp_path):
    import_checkpoint(saved(tmp_path, miech_rows()), tmp_path / "model")
    config = yaml.safe_load((tmp_path / "model/config.yaml").read_text())
    assert config["network"]["normalize"] is True
    assert config["network"]["video_width"] == 10


@pytest.mark.parametrize(
    ("widths", "words", "said"),
    [
        ((6, 4), "good", []),
        ((6, 3), "good", [r"x\.model\.video: numbers of resnet152 6 \+ resnext101 3; .* wants 10"]),
        ((6, None), "good", []),  # not known before it is made
        ((6, 4), "wide", [r"x\.model\.text: numbers of word2vec 7; .* wants 5"]),
        ((6, 4), "none", []),
    ],
)
def test_features_of_another_width_are_named_before_any_job(tmp_path, widths, words, said):
    """Of shards that are there, and of word vectors by their file."""
    files = {"good": "1 5\ncut 1 2 3 4 5\n", "wide": "cut 1 2 3 4 5 6 7\n"}
    if words in files:
        (tmp_path / "words.txt").write_text(files[words])
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["features"]["word2vec"]["vectors"] = str(tmp_path / "words.txt")
    checkpoint = str(saved(tmp_path, mcn_rows()))
    values["experiments"] = {"x": {"checkpoint": checkpoint}}
    for name, width in zip(("resnet152", "resnext101"), widths, strict=True):
        if width:
            shard = tmp_path / f"results/demo_test/features/{name}/00000.parquet"
            with ShardWriter(shard, FEATURE_SCHEMA, {"feature": name}) as writer:
                writer.write(feature_row("a", np.ones((2, width), np.float16), 0.5, 1.0))
    found = width_problems(configure(values), tmp_path / "results")
    assert len(found) == len(said)
    for line, pattern in zip(found, said, strict=True):
        assert re.search(pattern, line), line


def test_a_checkpoint_that_cannot_be_looked_into_is_left_to_its_job(tmp_path):
    (tmp_path / "odd.pth").write_bytes(b"no checkpoint")
    old = tmp_path / "old.pth"
    torch.save(mcn_rows(), old, _use_new_zipfile_serialization=False)
    assert widths_of_checkpoint(tmp_path / "odd.pth") == (None, None)
    assert widths_of_checkpoint(old) == (None, None)
    assert widths_of_checkpoint(saved(tmp_path, miech_rows())) == (10, 5)
