"""ResDAVEnet against an independent forward pass, its published names and its lengths."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.networks import ResDavenet

WIDTHS = (4, 6, 6, 10)


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    network = ResDavenet(WIDTHS)
    for name, row in network.state_dict().items():
        if name.endswith(("running_var", "bn1.weight", "bn2.weight")):
            row.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            row.normal_()
    return network.eval().double()


def reference(rows, log_mel):
    """The forward pass as one-dimensional convolutions, from the description alone."""

    def norm(x, name):
        mean, variance = rows[f"{name}.running_mean"], rows[f"{name}.running_var"]
        unit = (x - mean[:, None]) / (variance[:, None] + 1e-5).sqrt()
        return unit * rows[f"{name}.weight"][:, None] + rows[f"{name}.bias"][:, None]

    x = torch.einsum("cm,bmt->bct", rows["conv1.weight"][:, 0, :, 0], log_mel)
    x = norm(x, "bn1").clamp(min=0)
    for stage in (1, 2, 3, 4):
        for index in (0, 1):
            name = f"layer{stage}.{index}"
            stride = 2 - index
            y = F.conv1d(x, rows[f"{name}.conv1.weight"][:, :, 0], stride=stride, padding=4)
            y = F.conv1d(
                norm(y, f"{name}.bn1").clamp(min=0),
                rows[f"{name}.conv2.weight"][:, :, 0],
                padding=4,
            )
            if index == 0:
                shortcut = rows[f"{name}.downsample.0.weight"][:, :, 0, 0]
                x = norm(
                    torch.einsum("oc,bct->bot", shortcut, x[:, :, ::2]), f"{name}.downsample.1"
                )
            x = (x + norm(y, f"{name}.bn2")).clamp(min=0)
    return x


@torch.no_grad()
def test_forward_is_that_of_the_description(small):
    log_mel = torch.randn(3, 40, 77, dtype=torch.float64)
    expected = reference(small.state_dict(), log_mel)
    torch.testing.assert_close(small(log_mel), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("frames", "columns"), [(800, 50), (1000, 63), (1024, 64), (5120, 320)])
@torch.no_grad()
def test_published_lengths(small, frames, columns):
    assert small(torch.zeros(1, 40, frames, dtype=torch.float64)).shape == (1, 10, columns)


@settings(max_examples=25, deadline=None)
@given(frames=st.integers(1, 300))
@torch.no_grad()
def test_length_is_a_sixteenth_rounded_up(small, frames):
    columns = small(torch.zeros(1, 40, frames, dtype=torch.float64)).shape[2]
    assert columns == -(-frames // small.ratio)


@torch.no_grad()
def test_items_do_not_see_each_other(small):
    log_mel = torch.randn(4, 40, 50, dtype=torch.float64)
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(small(log_mel)[order], small(log_mel[order]))


def test_published_names_shapes_and_count():
    with torch.device("meta"):
        network = ResDavenet()
    rows = network.state_dict()
    names = {"conv1.weight"}
    norms = ["batchnorm1", "bn1"]
    for stage in (1, 2, 3, 4):
        for index in (0, 1):
            names |= {f"layer{stage}.{index}.conv{i}.weight" for i in (1, 2)}
            norms += [f"layer{stage}.{index}.bn{i}" for i in (1, 2)]
        names.add(f"layer{stage}.0.downsample.0.weight")
        norms.append(f"layer{stage}.0.downsample.1")
    fields = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
    assert set(rows) == names | {f"{norm}.{field}" for norm in norms for field in fields}
    assert rows["conv1.weight"].shape == (128, 1, 40, 1)
    assert rows["layer1.0.conv1.weight"].shape == (128, 128, 1, 9)
    assert rows["layer4.0.downsample.0.weight"].shape == (1024, 512, 1, 1)
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == 44.67
    assert (network.width, network.ratio) == (1024, 16)


def test_initialisation_is_he_over_fan_out():
    torch.manual_seed(0)
    weight = ResDavenet((32, 32, 64, 64)).layer3[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (9 * 64)) ** 0.5, rel=0.02)


def test_every_trainable_parameter_gets_a_gradient():
    network = ResDavenet(WIDTHS)
    network(torch.randn(2, 40, 40)).square().mean().backward()
    idle = [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []  # else distributed training would wait for ever


@pytest.mark.parametrize("shape", [(40, 100), (1, 39, 100), (1, 40, 0), (1, 1, 40, 100)])
def test_other_shapes_are_refused(small, shape):
    with pytest.raises(ValueError, match=r"log-mel must be \(B, 40, T"):
        small(torch.zeros(shape, dtype=torch.float64))


def test_four_or_six_stages():
    with pytest.raises(ValueError, match="four or six stages"):
        ResDavenet((8, 8))
