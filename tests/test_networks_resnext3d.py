"""The 3D ResNeXt against an independent forward pass, its published names, and the forms its checkpoint comes in."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from mcn.networks import ResNeXt3D, resnext101_3d


def trained_statistics(network):
    """Random batch-norm statistics, so that a mistake in a batch norm shows."""
    generator = torch.Generator().manual_seed(1)
    for name, row in network.state_dict().items():
        if name.endswith("running_var") or (row.dim() == 1 and name.endswith("weight")):
            row.copy_(torch.rand(row.shape, generator=generator) + 0.5)
        elif row.dim() == 1:
            row.copy_(torch.randn(row.shape, generator=generator) * 0.1)
    return network.eval()


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return trained_statistics(ResNeXt3D((1, 2, 1, 1)))


def reference(rows, frames, blocks):
    """The forward pass from the description alone, in float64; grouped convolutions group by group."""
    rows = {name: row.double() for name, row in rows.items()}

    def norm(x, name):
        mean, variance = rows[f"{name}.running_mean"], rows[f"{name}.running_var"]
        scale = rows[f"{name}.weight"] / (variance + 1e-5).sqrt()
        shape = (1, -1, 1, 1, 1)
        return x * scale.view(shape) + (rows[f"{name}.bias"] - mean * scale).view(shape)

    def grouped(x, weight, stride):
        parts = zip(x.chunk(32, 1), weight.chunk(32, 0), strict=True)
        return torch.cat([F.conv3d(p, w, stride=stride, padding=1) for p, w in parts], 1)

    x = F.conv3d(frames.double(), rows["conv1.weight"], stride=(1, 2, 2), padding=3)
    x = F.max_pool3d(norm(x, "bn1").clamp(min=0), 3, 2, 1)
    for stage, count in enumerate(blocks, 1):
        for index in range(count):
            name = f"layer{stage}.{index}"
            stride = 2 if stage > 1 and index == 0 else 1
            y = norm(F.conv3d(x, rows[f"{name}.conv1.weight"]), f"{name}.bn1").clamp(min=0)
            y = norm(grouped(y, rows[f"{name}.conv2.weight"], stride), f"{name}.bn2").clamp(min=0)
            y = norm(F.conv3d(y, rows[f"{name}.conv3.weight"]), f"{name}.bn3")
            if index == 0:
                shortcut = F.conv3d(x, rows[f"{name}.downsample.0.weight"], stride=stride)
                x = norm(shortcut, f"{name}.downsample.1")
            x = (x + y).clamp(min=0)
    return x.flatten(2).mean(2)


@torch.no_grad()
def test_forward_is_that_of_the_description(small):
    frames = torch.randn(2, 3, 9, 40, 36)
    expected = reference(small.state_dict(), frames, (1, 2, 1, 1))
    ours = small.double()(frames.double())
    small.float()
    assert ours.shape == (2, 2048)
    torch.testing.assert_close(ours, expected, rtol=1e-10, atol=1e-12)


@torch.no_grad()
def test_published_network_maps_sixteen_frames_to_2048():
    network = resnext101_3d().eval()
    assert network.width == 2048
    features = network(torch.zeros(1, 3, 16, 112, 112))
    assert features.shape == (1, 2048)
    assert torch.isfinite(features).all()


def test_parameter_count_and_names():
    with torch.device("meta"):
        network = resnext101_3d()
    rows = network.state_dict()
    assert sum(p.numel() for p in network.parameters()) == 47_521_216
    assert rows["conv1.weight"].shape == (64, 3, 7, 7, 7)
    assert rows["layer1.0.conv1.weight"].shape == (128, 64, 1, 1, 1)
    assert rows["layer1.0.conv2.weight"].shape == (128, 4, 3, 3, 3)
    assert rows["layer1.0.conv3.weight"].shape == (256, 128, 1, 1, 1)
    assert rows["layer3.22.conv2.weight"].shape == (512, 16, 3, 3, 3)
    assert rows["layer4.0.downsample.0.weight"].shape == (2048, 1024, 1, 1, 1)
    assert rows["layer4.2.bn3.running_var"].shape == (2048,)
    downsampled = {name.split(".downsample")[0] for name in rows if "downsample" in name}
    assert downsampled == {f"layer{stage}.0" for stage in (1, 2, 3, 4)}
    assert not [name for name in rows if name.endswith("bias") and "conv" in name]
    # (stem 2 + 33 blocks of 3 + 4 downsamplings) convolutions and batch norms, one row and five rows each
    assert len(rows) == (1 + 33 * 3 + 4) * 6


def test_initialisation_is_he_over_fan_out():
    torch.manual_seed(0)
    network = ResNeXt3D((1, 1, 1, 1))
    weight = network.layer2[0].conv2.weight  # 256 channels out in 32 groups, 27 taps
    assert np.isclose(weight.std().item(), np.sqrt(2 / (256 * 27)), rtol=0.02)
    assert (network.bn1.weight == 1).all()


def test_published_forms_load(small):
    rows = dict(small.state_dict())
    classified = {**rows, "fc.weight": torch.zeros(400, 2048), "fc.bias": torch.zeros(400)}
    prefixed = {f"module.{name}": row for name, row in classified.items()}
    old = {n: row for n, row in prefixed.items() if not n.endswith("num_batches_tracked")}
    for state in (rows, classified, prefixed, {"state_dict": old, "epoch": 3, "arch": "resnext"}):
        network = ResNeXt3D((1, 2, 1, 1))
        network.load_state_dict(state)
        for name, row in network.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                assert torch.equal(row, rows[name]), name


def test_other_differences_are_named(small):
    rows = dict(small.state_dict())
    rows["fc2.weight"] = rows.pop("layer1.0.conv2.weight")
    with pytest.raises(RuntimeError, match=r"layer1.0.conv2.weight[\s\S]*fc2.weight"):
        ResNeXt3D((1, 2, 1, 1)).load_state_dict(rows)
