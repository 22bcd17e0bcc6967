"""Published checkpoints become model folders that are loaded, scored and pinned like our own."""

import pytest
import torch
import yaml

from mcn.cli import main
from mcn.errors import UserError
from mcn.files import file_sha256
from mcn.networks.checkpoints import load_model, load_published
from mcn.published.import_checkpoint import import_checkpoint
from tests.test_checkpoints import mcn_rows, miech_rows, saved

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
