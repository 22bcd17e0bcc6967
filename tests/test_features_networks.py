"""The real ResNet-152 and 3D ResNeXt-101 through their stages, against the plain formulation."""

import numpy as np
import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file

from mcn.errors import UserError
from mcn.features.weights import load_network
from mcn.networks import resnext101_3d
from mcn.options.encoders import TimmOptions, VideoNetworkOptions
from mcn.options.features import RuntimeOptions
from mcn.shards import ShardReader, feature_sequence
from tests.features_shards import extract_feature, pictures, write_frames

ON_CPU = RuntimeOptions(device="cpu", batch_size=2)


def settle(network: torch.nn.Module, items: torch.Tensor) -> torch.nn.Module:
    """Batch norms with the statistics of `items`, so that the input matters, and with weights of their own."""
    generator = torch.Generator().manual_seed(1)
    for module in network.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.bias.data.normal_(0, 0.3, generator=generator)
            module.weight.data.uniform_(0.4, 0.9, generator=generator)
            module.momentum = 1.0
    with torch.no_grad():
        network.train()(items)
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def resnet152():
    torch.manual_seed(0)
    return settle(torchvision.models.resnet152(weights=None), torch.randn(2, 3, 64, 83))


@pytest.fixture(scope="module")
def resnet152_file(resnet152, tmp_path_factory):
    path = (
        tmp_path_factory.mktemp("weights") / "resnet152-394f9c45.pth"
    )  # torchvision's names, with fc
    torch.save(resnet152.state_dict(), path)
    return path


def test_appearance_equals_torchvision(resnet152, resnet152_file, tmp_path):
    """Published: all layers but pooling and classifier, averaged over the whole picture, L2-normalised."""
    frames = pictures(3, 64, 83)
    source = write_frames(tmp_path / "frames.parquet", {"a": frames[:2], "one_frame": frames[2:]})
    output = tmp_path / "out.parquet"
    extract_feature(source, resnet152_file, output, TimmOptions(), ON_CPU, threads=1)
    found = [feature_sequence(row).values for row in ShardReader(output)]
    assert [values.shape for values in found] == [(2, 2048), (1, 2048)]

    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    trunk = torch.nn.Sequential(*list(resnet152.children())[:-2])
    maps = trunk((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    expected = torch.nn.functional.normalize(maps.mean(dim=(2, 3)), dim=1)
    np.testing.assert_allclose(np.concatenate(found), expected, rtol=1.5e-3, atol=2e-5)

    recipe = ShardReader(output).recipe
    assert recipe["weights"]["source"] == resnet152_file.name
    assert len(recipe["weights"]["sha256"]) == 64
    assert recipe["precision"] == "fp32"
    assert recipe["decoded"] == {"stream": "test"}


def test_motion_equals_the_published_preprocessing(tmp_path):
    torch.manual_seed(0)
    network = settle(resnext101_3d(), 70 * torch.randn(2, 3, 16, 32, 32))
    weights = tmp_path / "resnext-101-kinetics.pth"
    rows = {f"module.{name}": row for name, row in network.state_dict().items()}
    rows["module.fc.weight"], rows["module.fc.bias"] = torch.zeros(400, 2048), torch.zeros(400)
    torch.save({"state_dict": rows, "epoch": 1, "arch": "resnext-101"}, weights)
    frames = pictures(19, 32, 32)
    source = write_frames(tmp_path / "frames.parquet", {"a": frames[:18], "one_frame": frames[18:]})
    output = tmp_path / "out.parquet"
    extract_feature(source, weights, output, VideoNetworkOptions(), ON_CPU, threads=1)
    a, one = (feature_sequence(row) for row in ShardReader(output))
    assert a.step_seconds == 16 * 0.25
    assert (a.values.shape, one.values.shape) == ((2, 2048), (1, 2048))

    filled = np.zeros((32, 32, 32, 3), np.float32)  # filled up first, then the mean is subtracted
    filled[:18] = frames[:18]
    chunks = (filled - np.array([110.6, 103.2, 96.3], np.float32)).reshape(2, 16, 32, 32, 3)
    expected = network(torch.from_numpy(chunks.transpose(0, 4, 1, 2, 3)))
    expected = torch.nn.functional.normalize(expected, dim=1)
    np.testing.assert_allclose(a.values, expected, rtol=1.5e-3, atol=2e-5)
    assert np.linalg.norm(one.values.astype(np.float32)) == pytest.approx(1, abs=1e-3)


def test_sha256_pin(resnet152_file):
    with pytest.raises(UserError, match="sha256"):
        load_network("resnet152", resnet152_file, "0" * 64)


def test_wrong_weights_are_reported_row_by_row(tmp_path):
    rows = timm.create_model("resnet18", num_classes=0).state_dict()
    save_file(rows, tmp_path / "resnet18.safetensors")
    with pytest.raises(UserError, match=r"(?s)resnet18\.safetensors.*should be 64x64x1x1"):
        load_network("resnet152", tmp_path / "resnet18.safetensors")


@pytest.mark.parametrize(
    ("name", "weights", "words"),
    [
        ("resnet152", "seeded", "seed-weights resnet152"),
        ("resnet152", "nowhere.pth", "does not exist"),
        ("resnet152", "timm:no_such_network", "a model that timm can fetch"),
        ("resnext101", "timm:resnet152.tv_in1k", "for encoders of pictures"),
    ],
)
def test_unusable_weights_say_what_to_do(name, weights, words):
    with pytest.raises(UserError, match=words):
        load_network(name, weights)


def test_timm_model_is_hashed_by_its_rows(monkeypatch):
    create = timm.create_model

    def without_download(name, pretrained, num_classes):
        assert (name, pretrained) == ("resnet152.tv_in1k", True)
        torch.manual_seed(3)
        return create("resnet152", num_classes=num_classes)

    monkeypatch.setattr("timm.create_model", without_download)
    first = load_network("resnet152", "timm:resnet152.tv_in1k").recipe
    assert load_network("resnet152", "timm:resnet152.tv_in1k", first["sha256"]).recipe == first
    assert first["source"] == "timm:resnet152.tv_in1k"
