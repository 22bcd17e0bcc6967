"""Our model files and the published ones, on small files in the true formats."""

import logging
import pickle

import pytest
import torch
import torch.nn.functional as F
import yaml

from mcn.errors import UserError
from mcn.files import file_sha256
from mcn.networks import MultimodalClusteringNetwork, ResDavenet
from mcn.networks.checkpoints import (
    load_davenet,
    load_model,
    load_published,
    load_resnext101,
    load_rows,
    read_state_dict,
    save_model,
)

WIDTHS = (3, 4, 5, 6)
UNITS = {"GU_video": (10, 7), "GU_audio": (6, 6), "GU_text_captions": (7, 7)}


def linear_rows(name, width_in, width_out):
    return {
        f"{name}.weight": torch.randn(width_out, width_in),
        f"{name}.bias": torch.randn(width_out),
    }


def gated_rows(name, width_in, width_out):
    return linear_rows(f"{name}.fc", width_in, width_out) | linear_rows(
        f"{name}.cg.fc", width_out, width_out
    )


def audio_rows():
    return {f"DAVEnet.{name}": row for name, row in ResDavenet(WIDTHS).state_dict().items()}


def mcn_rows(reconstruction=True, text=True):
    """Rows named as the released MCN and AVLnet models name theirs, at small sizes."""
    torch.manual_seed(0)
    rows = audio_rows() | linear_rows("DAVEnet_projection", 6, 7)
    for unit, (width_in, width_out) in UNITS.items():
        if text or unit != "GU_text_captions":
            rows |= gated_rows(unit, width_in, width_out)
    if text:
        rows |= linear_rows("text_pooling_caption.fc", 5, 7)
    if reconstruction:
        for head, width in {"recon_v": 10, "recon_a": 6, "recon_t": 7}.items():
            rows |= linear_rows(f"{head}.0", 7, 4) | linear_rows(f"{head}.2", 4, width)
    return rows


def miech_rows():
    """Rows named as the released HowTo100M model names its own, unused batch norms included."""
    torch.manual_seed(0)
    rows = linear_rows("text_pooling.fc", 5, 7)
    for unit, width_in in {"GU_text": 7, "GU_video": 10}.items():
        rows |= gated_rows(unit, width_in, 7)
        norm = torch.nn.BatchNorm1d(7).state_dict()
        rows |= {f"{unit}.cg.batch_norm.{name}": row for name, row in norm.items()}
    return rows


def saved(tmp_path, state, name="e16.pth", **options):
    torch.save(state, tmp_path / name, **options)
    return tmp_path / name


def gate(rows, unit, x):
    y = F.linear(x, rows[f"{unit}.fc.weight"], rows[f"{unit}.fc.bias"])
    return F.glu(
        torch.cat([y, F.linear(y, rows[f"{unit}.cg.fc.weight"], rows[f"{unit}.cg.fc.bias"])], dim=1)
    )


@pytest.mark.parametrize("reconstruction", [True, False])
@torch.no_grad()
def test_mcn_checkpoint(tmp_path, reconstruction):
    rows = mcn_rows(reconstruction)
    network = load_published(saved(tmp_path, rows))
    assert not network.training
    state = network.state_dict()
    assert set(state) == set(rows)  # every row has its place, under its own name
    assert all(torch.equal(state[name], row) for name, row in rows.items())
    assert network.settings == {
        "video_width": 10,
        "word_width": 5,
        "embedding_width": 7,
        "davenet_widths": [3, 4, 5, 6],
        "audio_width": 6,
        "reconstruction_width": 4 if reconstruction else None,
        "reconstruction_target": "input",
        "mask_padding_words": False,
        "normalize": False,
    }
    video, words, audio = torch.randn(2, 10), torch.randn(2, 3, 5), torch.randn(2, 40, 33)
    torch.testing.assert_close(network.embed_video(video), gate(rows, "GU_video", video))
    pooled = F.linear(words, *[rows[f"text_pooling_caption.fc.{f}"] for f in ("weight", "bias")])
    text = gate(rows, "GU_text_captions", pooled.relu().amax(1))
    torch.testing.assert_close(network.embed_text(words), text)
    assert network.embed_audio(audio, torch.tensor([33, 16])).shape == (2, 7)


@torch.no_grad()
def test_miech_checkpoint(tmp_path, caplog):
    rows = miech_rows()
    with caplog.at_level(logging.INFO):
        network = load_published(saved(tmp_path, rows, "howto100m_pt_model.pth"))
    assert "GU_text.cg.batch_norm.weight" in caplog.text
    video, words = torch.randn(2, 10), torch.randn(2, 3, 5)
    expected = F.normalize(gate(rows, "GU_video", video), dim=1)
    torch.testing.assert_close(network.embed_video(video), expected)
    pooled = F.linear(words, rows["text_pooling.fc.weight"], rows["text_pooling.fc.bias"])
    expected = F.normalize(gate(rows, "GU_text", pooled.relu().amax(1)), dim=1)
    torch.testing.assert_close(network.embed_text(words), expected)
    with pytest.raises(UserError, match="without a branch for audio"):
        network.embed_audio(torch.zeros(1, 40, 16))


def test_avlnet_without_text(tmp_path):
    network = load_published(saved(tmp_path, mcn_rows(reconstruction=False, text=False)))
    assert network.embed_video(torch.randn(1, 10)).shape == (1, 7)
    with pytest.raises(UserError, match="without a branch for text"):
        network.embed_text(torch.zeros(1, 1, 5))


def test_wrapped_prefixed_half_and_old_files(tmp_path):
    rows = mcn_rows()
    old = {
        f"module.{name}": row.half() if row.is_floating_point() else row
        for name, row in rows.items()
        if not name.endswith("num_batches_tracked")
    }
    for state in ({"net": old, "optimizer": {"lr": 1e-4}}, {"state_dict": old}, old):
        path = saved(tmp_path, state, _use_new_zipfile_serialization=False)
        state = load_published(path).state_dict()
        assert state["GU_video.fc.weight"].dtype == torch.float32
        assert torch.equal(state["GU_video.fc.weight"], rows["GU_video.fc.weight"].half().float())
        assert state["DAVEnet.bn1.num_batches_tracked"].item() == 0


def test_clustering_heads_are_left_out_and_named(tmp_path, caplog):
    rows = (
        mcn_rows()
        | linear_rows("projection_head.0", 7, 2)
        | {"classification.weight": torch.ones(3, 2)}
    )
    with caplog.at_level(logging.INFO):
        load_published(saved(tmp_path, rows))
    assert "classification.weight, projection_head.0.bias, projection_head.0.weight" in caplog.text


def test_every_difference_is_reported(tmp_path):
    rows = mcn_rows()
    rows["nat_DAVEnet.conv1.weight"] = torch.zeros(1)
    del rows["GU_audio.cg.fc.bias"], rows["recon_t.2.weight"]
    rows["GU_text_captions.fc.weight"] = torch.zeros(7, 8)
    with pytest.raises(UserError) as caught:
        load_published(saved(tmp_path, rows))
    for line in (
        "e16.pth: 4 problem(s)",
        "unexpected nat_DAVEnet.conv1.weight 1",
        "missing GU_audio.cg.fc.bias 6",
        "missing recon_t.2.weight 7x4",
        "GU_text_captions.fc.weight is 7x8, should be 7x7",
    ):
        assert line in caught.value.got


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"weight": torch.ones(2)}, "has no GU_video.fc.weight; it begins with weight"),
        ({"GU_video.fc.weight": torch.ones(2)}, "not a matrix"),
        ({"epoch": 3}, r"no state dict \(not tensors: epoch"),
        ([torch.ones(2)], "no state dict"),
        (mcn_rows() | {"GU_audio_text.fc_text.weight": torch.ones(2, 2)}, "missing GU_audio_text"),
    ],
)
def test_other_files_are_refused(tmp_path, state, message):
    with pytest.raises(UserError, match=message):
        load_published(saved(tmp_path, state))


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def test_files_that_would_run_code_run_nothing(tmp_path):
    canary = tmp_path / "canary"
    path = saved(tmp_path, {"weight": Malicious(str(canary))})
    with pytest.raises(UserError, match="holds more than tensors"):
        read_state_dict(path)
    (tmp_path / "plain.pth").write_bytes(pickle.dumps(Malicious(str(canary)), protocol=2))
    with pytest.raises(UserError, match="holds more than tensors"):
        read_state_dict(tmp_path / "plain.pth")
    assert not canary.exists()


@pytest.mark.parametrize("name", ["e16.pth", "model.safetensors"])
@pytest.mark.parametrize("content", [b"", b"<html>Sign in to Google Drive</html>", None])
def test_absent_and_damaged_files(tmp_path, name, content):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=name):
        read_state_dict(tmp_path / name)


def test_truncated_file(tmp_path):
    path = saved(tmp_path, mcn_rows())
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(UserError, match=r"e16.pth, which"):
        load_published(path)


def test_davenet_alone_or_inside_a_model(tmp_path):
    inside = mcn_rows()
    bare = {n.removeprefix("DAVEnet."): r for n, r in inside.items() if n.startswith("DAVEnet.")}
    for state in (inside, bare, {"state_dict": {f"module.{n}": r for n, r in bare.items()}}):
        network = load_davenet(saved(tmp_path, state))
        assert network.widths == WIDTHS
        assert not network.training
        assert all(torch.equal(row, bare[name]) for name, row in network.state_dict().items())
    with pytest.raises(UserError, match="has no layer1"):
        load_davenet(saved(tmp_path, miech_rows()))


def test_resnext_reports_what_is_missing(tmp_path):
    path = saved(tmp_path, {"state_dict": {"module.fc.bias": torch.ones(400)}})
    with pytest.raises(UserError, match=r"missing bn1.bias 64"):
        load_resnext101(path)


def small_model(**options):
    torch.manual_seed(1)
    return MultimodalClusteringNetwork(10, 5, 7, WIDTHS, reconstruction_width=4, **options).eval()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"normalize": True, "mask_padding_words": True, "reconstruction_target": "common"},
    ],
)
@torch.no_grad()
def test_our_format_keeps_model_and_configuration(tmp_path, options):
    model = small_model(**options)
    save_model(tmp_path / "a", model.train(), {"experiment": "demo", "sizes": [1, 2]})
    loaded, config = load_model(tmp_path / "a")
    assert config["experiment"] == "demo"
    assert config["network"] == model.settings
    assert config["weights_sha256"] == file_sha256(tmp_path / "a" / "model.safetensors")
    assert not loaded.training
    batch = torch.randn(2, 10), torch.randn(2, 40, 33), torch.randn(2, 3, 5)
    for ours, theirs in zip(loaded(*batch)[:3], model.eval()(*batch)[:3], strict=True):
        assert torch.equal(ours, theirs)
    save_model(tmp_path / "b", loaded, config)  # what was loaded can be saved again, byte for byte
    for name in ("model.safetensors", "config.yaml"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert sorted(p.name for p in (tmp_path / "a").iterdir()) == [
        "config.yaml",
        "model.safetensors",
    ]


def test_published_becomes_ours(tmp_path):
    network = load_published(saved(tmp_path, miech_rows()))
    save_model(tmp_path / "imported", network, {})
    video = torch.randn(2, 10)
    assert torch.equal(
        load_model(tmp_path / "imported")[0].embed_video(video), network.embed_video(video)
    )


def test_damage_to_our_format_is_told(tmp_path):
    with pytest.raises(UserError, match=r"config.yaml, which does not exist"):
        load_model(tmp_path)
    save_model(tmp_path, small_model(), {})
    weights, config = tmp_path / "model.safetensors", tmp_path / "config.yaml"
    good = weights.read_bytes()
    weights.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))  # one flipped bit
    with pytest.raises(UserError, match="sha256"):
        load_model(tmp_path)
    weights.write_bytes(good)
    described = yaml.safe_load(config.read_text())
    described["network"]["video_width"] = 11
    config.write_text(yaml.safe_dump(described))
    with pytest.raises(UserError, match=r"GU_video.fc.weight is 7x10, should be 7x11"):
        load_model(tmp_path)
    config.write_text("network: {heads: 3}")
    with pytest.raises(UserError, match="not a model's configuration"):
        load_model(tmp_path)
    config.write_text("[")
    with pytest.raises(UserError, match="not a model's configuration"):
        load_model(tmp_path)


def test_a_failed_write_leaves_the_old_model(tmp_path, monkeypatch):
    save_model(tmp_path, small_model(), {"step": 1})
    before = {p.name: p.read_bytes() for p in tmp_path.iterdir()}

    def fail(rows, path):
        path.write_bytes(b"half")
        raise OSError("no space left")

    monkeypatch.setattr("mcn.networks.checkpoints.save_file", fail)
    with pytest.raises(OSError, match="no space"):
        save_model(tmp_path, small_model(), {"step": 2})
    assert {p.name: p.read_bytes() for p in tmp_path.iterdir()} == before


def test_networks_that_are_made_without_numbers_hold_those_of_the_file(tmp_path):
    """On the meta device nothing is drawn; rows are cast, counters that old files lack are zeros, as when copied."""
    made = ResDavenet((4, 4, 8, 8))
    rows = {name: row.half() for name, row in made.state_dict().items() if row.dim()}
    torch.save(rows, tmp_path / "old.pth")
    copied = ResDavenet((4, 4, 8, 8))
    load_rows(copied, rows, "old.pth")
    loaded = load_davenet(tmp_path / "old.pth")
    assert not any(row.is_meta for row in (*loaded.parameters(), *loaded.buffers()))
    for (name, one), (other_name, other) in zip(
        copied.state_dict().items(), loaded.state_dict().items(), strict=True
    ):
        assert name == other_name
        assert one.dtype == other.dtype
        assert torch.equal(one, other), name
    trained = [row.requires_grad for row in copied.parameters()]
    assert [row.requires_grad for row in loaded.parameters()] == trained
