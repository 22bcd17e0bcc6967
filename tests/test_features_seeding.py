"""Seeded weights, with the small network where the large ones are not the thing tested."""

import numpy as np
import pytest
import timm
import torch
from safetensors import safe_open

from mcn.errors import UserError
from mcn.features import seeding
from mcn.features.calibration import frame_items, mel_items
from mcn.features.seeding import OPEN_FRACTION, calibrate, draw, make_seeded_weights
from mcn.networks import ResDavenet, ResNeXt3D
from mcn.options.encoders import DavenetOptions, LogMelOptions, TimmOptions
from mcn.options.features import RuntimeOptions
from mcn.shards import FEATURE_SCHEMA, FeatureStore, ShardReader, ShardWriter, feature_row
from tests.features_shards import extract_feature, pictures, write_frames

WIDTHS = (8, 8, 16, 32)


def write_mels(path, lengths):
    random = np.random.default_rng(0)
    with ShardWriter(path, FEATURE_SCHEMA, {"feature": "logmel"}) as shard:
        for index, length in enumerate(lengths):
            values = random.uniform(-80, 0, (length, 40))
            shard.write(feature_row(f"v{index}", values, 0.0, 0.01))
    return path


def test_file_repeats_itself_and_follows_the_seed(tmp_path, monkeypatch):
    monkeypatch.setattr(seeding, "ResDavenet", lambda: ResDavenet(WIDTHS))
    shard = write_mels(tmp_path / "logmel.parquet", [300, 500, 90])
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        make_seeded_weights(
            "davenet", DavenetOptions(), [shard], tmp_path / f"{name}.safetensors", seed
        )
    one, same, other = (
        (tmp_path / f"{n}.safetensors").read_bytes() for n in ("one", "same", "other")
    )
    assert one == same != other
    with safe_open(tmp_path / "one.safetensors", "pt") as file:
        assert '"seed":0' in file.metadata()["mcn"]
        ResDavenet(WIDTHS).load_state_dict({name: file.get_tensor(name) for name in file.keys()})  # noqa: SIM118


def test_unknown_network_and_empty_shards_are_refused(tmp_path):
    empty = write_frames(tmp_path / "frames.parquet", {"a": None})
    with pytest.raises(UserError, match="whose encoder is logmel"):
        make_seeded_weights("mels", LogMelOptions(), [empty], tmp_path / "w.safetensors")
    with pytest.raises(UserError, match="no usable video"):
        make_seeded_weights("resnet152", TimmOptions(), [empty], tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("network", "shape"),
    [
        (timm.create_model("resnet50", num_classes=0), (6, 3, 64, 64)),
        (ResNeXt3D((1, 1, 1, 2)), (4, 3, 8, 48, 48)),
        (ResDavenet(WIDTHS), (4, 40, 320)),
    ],
    ids=["2d", "3d", "audio"],
)
def test_batch_norms_standardise_and_outputs_are_sparse(network, shape):
    """On the calibration items every inner batch norm gives its own bias and weight as mean and deviation."""
    generator = torch.Generator().manual_seed(0)
    items = torch.randn(shape, generator=generator)
    moments, outputs = [], []
    with torch.no_grad():
        draw(network, generator)
        calibrate(network, items)
        norm = network.get_submodule("layer2.0.bn1")
        norm.register_forward_hook(lambda m, _, out: moments.append((m, out.clone())))
        seeding._blocks(network)[-1].register_forward_hook(lambda _, __, out: outputs.append(out))
        network(items)
    (module, values), channels = moments[0], values_of(moments[0][1])
    assert not module.training
    torch.testing.assert_close(channels.mean(dim=1), module.bias, atol=0.05, rtol=0)
    torch.testing.assert_close(channels.std(dim=1), module.weight, atol=0.15, rtol=0)
    opened = (outputs[0] > 0).float().mean().item()
    assert opened == pytest.approx(OPEN_FRACTION, abs=0.05)
    assert values.shape[0] == shape[0]


def test_branches_are_small_and_thresholds_vary():
    network = timm.create_model("resnet50", num_classes=0)
    with torch.no_grad():
        draw(network, torch.Generator().manual_seed(0))
    norms = dict(network.named_modules())
    inner = torch.cat([norm.bias for name, norm in norms.items() if name.endswith(("bn1", "bn2"))])
    assert inner.mean().item() == pytest.approx(-1, abs=0.05)
    assert inner.std().item() == pytest.approx(1, abs=0.05)
    ends = [norm.weight for name, norm in norms.items() if name.endswith("bn3")]
    assert len(ends) == 16
    torch.testing.assert_close(torch.cat(ends), torch.full((15104,), 0.1))
    grey = network.conv1.weight.sum(dim=1)
    assert grey[::2].abs().max() < 1e-5 < 1e-3 < grey[1::2].abs().mean()


def values_of(maps: torch.Tensor) -> torch.Tensor:
    return maps.transpose(0, 1).flatten(1)


@pytest.mark.slow
def test_seeded_resnet152_tells_scenes_apart(tmp_path):
    """A scene is found again after the camera has moved, although all scenes are of one kind."""
    scenes = {}
    for number in range(5):
        frame = pictures(1, 400, 544, number)[0, 40:, 60:]  # two by two of its colours
        scenes[f"v{number}"] = np.stack(
            [frame[:128, :176], frame[6:134, 9:185]]
        )  # the camera moves
    shard = write_frames(tmp_path / "frames.parquet", scenes)
    weights, output = tmp_path / "w.safetensors", tmp_path / "out.parquet"
    make_seeded_weights("resnet152", TimmOptions(), [shard], weights, seed=0)
    extract_feature(shard, weights, output, TimmOptions(), RuntimeOptions(device="cpu"), threads=1)
    store = FeatureStore([output])
    vectors = np.stack([store[name].values for name in scenes]).astype(np.float32)  # (5, 2, 2048)
    assert (vectors[:, 0] @ vectors[:, 0].T)[~np.eye(5, dtype=bool)].mean() < 0.9
    vectors -= vectors.mean(axis=(0, 1))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    likeness = vectors[:, 0] @ vectors[:, 1].T  # before against after the camera moved
    np.testing.assert_array_equal(likeness.argmax(axis=1), np.arange(5))
    assert np.diag(likeness).mean() > 0.2 > likeness[~np.eye(5, dtype=bool)].mean()
    assert '"seed":0' in ShardReader(output).recipe["weights"]["seeded"]


def test_calibration_items_are_spread_over_videos_of_the_commonest_size(tmp_path):
    many, other = pictures(10, 16, 24), pictures(4, 24, 16)
    videos = {"a": many, "b": many[:3], "odd": other, "c": many[:1]}
    shard = write_frames(tmp_path / "frames.parquet", videos)
    items, recipe = frame_items([shard], frames_per_item=2, wanted=6)
    assert items.shape == (4, 2, 16, 24, 3)  # two of a, one each of b and c
    assert recipe == {"stream": "test"}
    np.testing.assert_array_equal(items[0], many[2:4])
    assert items[3, 1].max() == 0  # c has one frame: filled up with black
    mels, _ = mel_items([write_mels(tmp_path / "mel.parquet", [30, 500, 600])], 200, 4)
    assert mels.shape == (4, 40, 200)
