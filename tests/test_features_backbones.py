"""Other networks in the places of ResNet-152 and ResNeXt-101, through their stages. Pretrained rows are drawn here."""

import numpy as np
import pytest
import timm
import torch
from pydantic import ValidationError
from torchvision.models import get_model

from mcn.errors import UserError
from mcn.options.encoders import TimmOptions, VideoNetworkOptions
from mcn.options.features import RuntimeOptions
from mcn.shards import FeatureStore, ShardReader
from tests.features_shards import extract_feature, pictures, write_frames

ON_CPU = RuntimeOptions(device="cpu", batch_size=2)


@pytest.fixture
def offline(monkeypatch):
    """Timm without its downloads: pretrained rows are drawn from a seed."""
    create = timm.create_model

    def drawn(name, pretrained, num_classes):
        torch.manual_seed(0)
        return create(name, pretrained=False, num_classes=num_classes)

    monkeypatch.setattr(timm, "create_model", drawn)


def test_a_network_of_timm_gives_its_pooled_vector(offline, tmp_path):
    frames = pictures(3, 64, 83)
    source = write_frames(tmp_path / "frames.parquet", {"a": frames})
    options = TimmOptions(weights="timm:mobilenetv3_small_050.lamb_in1k")
    extract_feature(source, options.weights, output := tmp_path / "o.parquet", options, ON_CPU)
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv3_small_050", False, 0).eval()
    pixels = torch.from_numpy(frames).permute(0, 3, 1, 2) / 255
    mean, std = torch.tensor(options.mean), torch.tensor(options.std)
    with torch.no_grad():
        wanted = network((pixels - mean.view(3, 1, 1)) / std.view(3, 1, 1))
    found = FeatureStore([output])["a"].values
    assert np.allclose(found, torch.nn.functional.normalize(wanted), atol=2e-3)
    weights = ShardReader(output).recipe["weights"]
    assert weights["source"] == "timm:mobilenetv3_small_050.lamb_in1k"
    assert len(weights["sha256"]) == 64


def test_other_pixel_statistics_and_sizes_are_named(offline, tmp_path):
    source = write_frames(tmp_path / "frames.parquet", {"a": pictures(1, 64, 83)})
    inception = TimmOptions(weights="timm:vit_tiny_patch16_224.augreg_in21k_ft_in1k")
    with pytest.raises(UserError, match=r"features\.tried\.mean: \[0\.5, 0\.5, 0\.5\]"):
        extract_feature(source, inception.weights, tmp_path / "o.parquet", inception, ON_CPU)
    half = inception.model_copy(update={"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)})
    with pytest.raises(UserError, match=r"pictures of 64 x 83[\s\S]*crop"):
        extract_feature(source, half.weights, tmp_path / "o.parquet", half, ON_CPU)
    assert not (tmp_path / "o.parquet").exists()


@pytest.mark.parametrize(("name", "width", "size"), [("r2plus1d_18", 512, 32), ("s3d", 1024, 64)])
def test_a_video_network_of_torchvision(tmp_path, name, width, size):
    torch.manual_seed(0)
    network = get_model(name, weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    clip = pictures(16, size, size)
    source = write_frames(tmp_path / "frames.parquet", {"a": clip})
    options = VideoNetworkOptions(
        network=name, weights=str(tmp_path / "weights.pth"), normalize=False
    )
    extract_feature(source, options.weights, output := tmp_path / "o.parquet", options, ON_CPU)

    kept = {}
    last = network.avgpool if name == "s3d" else network.layer4
    hook = (
        last.register_forward_pre_hook(lambda module, given: kept.update(maps=given[0]))
        if name == "s3d"
        else last.register_forward_hook(lambda module, given, made: kept.update(maps=made))
    )
    pixels = torch.from_numpy(clip).permute(3, 0, 1, 2)[None] / 255
    mean = torch.tensor([0.43216, 0.394666, 0.37645]).view(3, 1, 1, 1)
    std = torch.tensor([0.22803, 0.22145, 0.216989]).view(3, 1, 1, 1)
    with torch.no_grad():
        try:
            network((pixels - mean) / std)
        except RuntimeError:  # S3D's own pooling wants 224 pixels; its map is what is wanted
            assert name == "s3d"
    hook.remove()
    wanted = kept["maps"].mean(dim=(2, 3, 4))
    found = FeatureStore([output])["a"].values
    assert found.shape == (1, width)
    assert np.allclose(found, wanted, rtol=2e-3, atol=1e-3)
    assert ShardReader(output).recipe["network"] == name


def test_networks_without_weights_of_their_own_are_refused():
    with pytest.raises(ValidationError, match="no seeded weights"):
        VideoNetworkOptions(network="s3d")


def test_weights_of_another_network_are_named_row_by_row(tmp_path):
    torch.save(get_model("r3d_18", weights=None).state_dict(), tmp_path / "r3d.pth")
    source = write_frames(tmp_path / "frames.parquet", {"a": pictures(16, 32, 32)})
    options = VideoNetworkOptions(network="s3d", weights=str(tmp_path / "r3d.pth"))
    with pytest.raises(UserError, match=r"missing features\.0\.0\.0\.weight"):
        extract_feature(source, options.weights, tmp_path / "o.parquet", options, ON_CPU)
