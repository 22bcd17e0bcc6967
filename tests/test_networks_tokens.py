"""Networks of units and tokens: padding, order, one unit as a whole, fused sides, and their files."""

import pytest
import torch

from mcn.networks import FusionNetwork, UnitNetwork
from mcn.networks.checkpoints import load_model, save_model

SIZES = {
    "video_width": 10,
    "word_width": 5,
    "embedding_width": 8,
    "davenet_widths": (4, 4, 6, 8),
    "reconstruction_width": None,
    "normalize": True,
}
FUSION = {
    "visual_units": 3,
    "audio_columns_per_token": 2,
    "fusion_width": 12,
    "fusion_heads": 3,
    "fusion_mlp_ratio": 1.0,
    "fusion_layers": 2,
}


def units(**settings):
    torch.manual_seed(0)
    return UnitNetwork(visual_units=3, **{**SIZES, **settings}).eval()


def fusion(**settings):
    torch.manual_seed(0)
    return FusionNetwork(**FUSION, **{**SIZES, **settings}).eval()


both = pytest.mark.parametrize("make", [units, fusion])


def padded(rows, to):
    return torch.nn.functional.pad(rows, (0, 0, 0, to - rows.shape[1]))


@both
@torch.no_grad()
def test_padding_and_order_change_nothing(make):
    network = make()
    parts, words = torch.rand(2, 3, 10), torch.randn(2, 4, 5)
    video, text = network.embed_video(parts), network.embed_text(words)
    assert video.shape == text.shape == (2, 8)
    torch.testing.assert_close(video.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(network.embed_video(parts.flip(1)), video)
    torch.testing.assert_close(network.embed_text(words.flip(1)), text)
    torch.testing.assert_close(network.embed_video(padded(parts, 5)), video)
    torch.testing.assert_close(network.embed_text(padded(words, 9)), text)
    torch.testing.assert_close(network.embed_video(parts[:, 0]), network.embed_video(parts[:, :1]))
    assert torch.isfinite(network.embed_text(torch.zeros(1, 4, 5))).all()


@torch.no_grad()
def test_sound_beyond_the_valid_frames_is_not_heard_by_tokens():
    network = fusion()
    sound = torch.randn(1, 40, 640)
    tokens = network.audio_tokens(sound, torch.tensor([128]))
    assert tokens.values.shape == (1, 20, 12)
    assert tokens.there.sum() == 4  # 8 columns of 16 frames, two a token
    masked = network.embed_audio(sound, torch.tensor([128]))
    assert not torch.allclose(masked, network.embed_audio(sound))
    frozen = fusion(davenet_widths=None, audio_width=6)
    assert frozen.audio_tokens(torch.rand(2, 6)).values.shape == (2, 1, 12)


@torch.no_grad()
def test_sides_are_fused_by_attention():
    network = fusion()
    video, text = (
        network.video_tokens(torch.rand(2, 3, 10)),
        network.word_tokens(torch.randn(2, 4, 5)),
    )
    alone = network.fuse({"video": video}) + network.fuse({"text": text})
    joined = network.fuse({"video": video, "text": text})
    assert not torch.allclose(joined, alone / 2, atol=1e-3)  # each attends to the other
    for block in network.blocks:
        block.self_attn.out_proj.weight.zero_()
    alone = network.fuse({"video": video}) + network.fuse({"text": text})
    joined = network.fuse({"video": video, "text": text})
    torch.testing.assert_close(joined, alone / 2)  # without attention there is nothing to see


@torch.no_grad()
def test_unit_similarities_are_cosines_whose_mean_is_that_of_the_whole():
    network = units()
    parts, words = torch.rand(1, 3, 10), torch.randn(1, 4, 5)
    each = (network.video_units(parts)[0] @ network.word_units(words)[0].t()).mean()
    whole = network.embed_video(parts) @ network.embed_text(words).t()
    lengths = (
        network.video_units(parts)[0].mean(0).norm() * network.word_units(words)[0].mean(0).norm()
    )
    torch.testing.assert_close(whole[0, 0] * lengths, each)


@both
def test_saved_and_loaded(make, tmp_path):
    network = make()
    save_model(tmp_path, network, {"options": {}})
    loaded, config = load_model(tmp_path)
    assert type(loaded) is type(network)
    assert config["network_class"] == type(network).__name__
    assert loaded.visual_units == 3
    parts = torch.rand(2, 3, 10)
    torch.testing.assert_close(loaded.embed_video(parts), network.embed_video(parts))


@pytest.mark.parametrize(
    "lacking", [{"word_width": None}, {"davenet_widths": None, "audio_width": None}]
)
def test_every_parameter_is_used(lacking):
    network = fusion(**lacking).train()
    sides = [network.embed_video(torch.rand(2, 3, 10))]
    if network.has_text:
        sides.append(network.embed_text(torch.randn(2, 4, 5)))
    if network.has_audio:
        sides.append(network.embed_audio(torch.randn(2, 40, 64)))
    (torch.stack(sides) * torch.rand(8)).sum().backward()
    unused = {n for n, p in network.named_parameters() if p.grad is None}
    assert unused <= {"DAVEnet.batchnorm1.weight", "DAVEnet.batchnorm1.bias"}  # as published
