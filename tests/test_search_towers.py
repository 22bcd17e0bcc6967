"""Towers as ONNX: a file for each way into the space, whose vectors are those of PyTorch, for batches of any size."""

import json

import numpy as np
import pytest
import torch

from mcn.cli import main
from mcn.features.runtime import resolve
from mcn.features.sentences import SentenceEncoder
from mcn.files import write_text
from mcn.networks.checkpoints import load_model, save_model
from mcn.networks.frozen import FrozenPair
from mcn.networks.mcn import MultimodalClusteringNetwork
from mcn.networks.residual import ResidualPair
from mcn.options.encoders import SentenceOptions
from mcn.options.features import RuntimeOptions
from tests.library_models import save_sentences

onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

CONSE = {
    "pairing": "conse",
    "width": 7,
    "classes": 12,
    "temperature": 1.5,
    "top": 5,
    "center": True,
}


def networks():
    torch.manual_seed(0)
    pair = FrozenPair([CONSE], 6)
    head = ResidualPair(8, pictures=[CONSE], word_width=6)
    sound = MultimodalClusteringNetwork(9, 6, 8, davenet_widths=[4, 4, 4, 5])
    for network in (pair, head, sound):
        with torch.no_grad():
            for row in [*network.parameters(), *network.buffers()]:
                if row.is_floating_point():
                    row.copy_((torch.rand_like(row) - (0.5 if row.dim() > 1 else 0)) / 2)
    return {"pair": pair, "head": head, "sound": sound}


READS = {
    "pair": {"video": ["look"], "audio": None, "text": "said"},
    "head": {"video": ["look"], "audio": None, "text": "said"},
    "sound": {"video": ["a", "b"], "audio": "logmel", "text": "said"},
}


@pytest.mark.parametrize(
    "kind", [pytest.param(one, marks=pytest.mark.slow) if one == "sound" else one for one in READS]
)
def test_towers_give_the_vectors_of_pytorch(kind, tmp_path, capsys):
    save_model(tmp_path / kind, networks()[kind].eval(), {"features": READS[kind], "recipes": {}})
    out = tmp_path / "onnx"
    assert main(["export", "onnx", str(tmp_path / kind), str(out)]) == 0
    network, _ = load_model(tmp_path / kind)
    described = json.loads((out / "towers.json").read_text())
    assert {f"{one}.onnx" for one in described} | {"towers.json"} == {p.name for p in out.iterdir()}
    assert f"{len(described)} files" in capsys.readouterr().out
    calls = {
        "video": network.embed_video,
        "video_look": lambda rows: network.embed_frames(0, rows),
        "audio": network.embed_audio,
        "text": network.embed_text,
    }
    assert "text" in described
    rng = np.random.default_rng(1)
    for name, tower in described.items():
        session = onnxruntime.InferenceSession(out / f"{name}.onnx")
        for sizes in (
            {"batch": 1, "words": 2, "frames": 96},
            {"batch": 11, "words": 20, "frames": 48},
        ):
            inputs = {}
            for one, shape in tower["inputs"].items():
                size = [sizes.get(part, part) for part in shape]
                valid = rng.integers(16, sizes["frames"] + 1, size)
                inputs[one] = valid if one == "valid" else rng.random(size).astype(np.float32)
            (found,) = session.run(["vectors"], inputs)
            with torch.inference_mode():
                wanted = calls[name](*(torch.from_numpy(one) for one in inputs.values())).numpy()
            assert found.shape == wanted.shape
            np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert main(["export", "onnx", str(tmp_path / kind), str(out)]) == 1
    assert "is not empty" in capsys.readouterr().err


@pytest.mark.slow
def test_the_network_of_a_picture_feature_is_exported_too(tmp_path):
    import timm

    folder = tmp_path / "results" / "models" / "pair"
    network = timm.create_model("test_efficientnet", pretrained=False).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    settings = {**CONSE, "width": network.num_features}
    reads = {"video": ["look"], "audio": None, "text": "said"}
    save_model(folder, FrozenPair([settings], 6), {"features": reads, "recipes": {}})
    row = {
        "encoder": "timm",
        "network": "test_efficientnet",
        "weights": str(tmp_path / "weights.pth"),
        "kind": "frame",
        "reads": {"frames_per_second": 1, "short_side": 64, "crop": 64},
    }
    write_text(tmp_path / "results" / "settings.json", json.dumps({"features": {"look": row}}))
    assert main(["export", "onnx", str(folder), str(tmp_path / "onnx"), "--encoders"]) == 0
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "encoder_look.onnx")
    pixels = torch.randn(5, 3, 64, 64)
    network.reset_classifier(0)
    with torch.inference_mode():
        wanted = network(pixels).numpy()
    (found,) = session.run(["vectors"], {"pixels": pixels.numpy()})
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@pytest.mark.parametrize("kind", ["transformer", "static"])
def test_a_sentence_encoder_is_exported_with_its_tokenizer(kind, tmp_path, caplog):
    pytest.importorskip("sentence_transformers")
    from tokenizers import Tokenizer

    weights = save_sentences(tmp_path / "sentences", kind)
    options = SentenceOptions(weights=str(weights))
    encoder = SentenceEncoder(options, resolve(RuntimeOptions(device="cpu"), 1))
    folder = tmp_path / "results" / "models" / "pair"
    reads = {"video": [], "audio": None, "text": "said"}
    pair = FrozenPair([], encoder.width, sound_width=encoder.width)
    save_model(folder, pair, {"features": {**reads, "audio": "heard"}, "recipes": {}})
    row = {"kind": "text", **options.model_dump(mode="json", include={"encoder", "weights"})}
    write_text(tmp_path / "results" / "settings.json", json.dumps({"features": {"said": row}}))
    out = tmp_path / "onnx"
    assert main(["export", "onnx", str(folder), str(out), "--encoders"]) == 0
    if kind == "static":
        assert "said is not written: it is no transformer" in caplog.text
        assert not (out / "encoder_said.onnx").exists()
        return
    described = json.loads((out / "towers.json").read_text())["encoder_said"]
    assert described["inputs"] == {"tokens": ["batch", "tokens"], "mask": ["batch", "tokens"]}
    tokenizer = Tokenizer.from_file(str(out / described["tokenizer"]))
    tokenizer.no_truncation()
    session = onnxruntime.InferenceSession(out / "encoder_said.onnx")
    for texts in (["stir the soup"], ["chop", "a cat on the mat", "the the the the", "of and to"]):
        tokenizer.enable_padding()
        rows = tokenizer.encode_batch(texts)
        inputs = {
            "tokens": np.array([one.ids for one in rows]),
            "mask": np.array([one.attention_mask for one in rows]),
        }
        (found,) = session.run(["vectors"], inputs)
        np.testing.assert_allclose(found, encoder.encode(texts), atol=1e-4)
