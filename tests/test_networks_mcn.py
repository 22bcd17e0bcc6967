"""The clustering network: branches against numpy loops, published names and counts, pooling, reconstruction heads."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mcn.errors import UserError
from mcn.networks import Embeddings, MultimodalClusteringNetwork
from mcn.networks.mcn import WordPooling, pool_audio

WIDTHS = (4, 4, 6, 8)


def make(**options):
    torch.manual_seed(0)
    sizes = {"video_width": 10, "word_width": 5, "embedding_width": 7, "reconstruction_width": 3}
    options = {"davenet_widths": WIDTHS, **sizes, **options}
    return MultimodalClusteringNetwork(**options).double().eval()


def batch(size=3, frames=48, words=4):
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(shape, generator=generator, dtype=torch.float64)  # noqa: E731
    return draw(size, 10).abs(), draw(size, 40, frames), draw(size, words, 5)


def linear(rows, name, x):
    return rows[f"{name}.weight"] @ x + rows[f"{name}.bias"]


def gated(rows, name, x):
    y = linear(rows, f"{name}.fc", x)
    return y / (1 + np.exp(-linear(rows, f"{name}.cg.fc", y)))


def rows_of(network):
    return {name: row.numpy() for name, row in network.state_dict().items()}


@torch.no_grad()
def test_branches_are_those_of_the_description():
    network = make()
    video, audio, text = batch()
    rows, columns = rows_of(network), network.DAVEnet(audio).numpy()
    embedded = network(video, audio, text)
    for i in range(len(video)):
        words = [np.maximum(linear(rows, "text_pooling_caption.fc", w), 0) for w in text[i].numpy()]
        pooled_text, pooled_audio = np.max(words, axis=0), columns[i].mean(axis=1)
        expected = {
            "video": gated(rows, "GU_video", video[i].numpy()),
            "audio": linear(rows, "DAVEnet_projection", gated(rows, "GU_audio", pooled_audio)),
            "text": gated(rows, "GU_text_captions", pooled_text),
        }
        for modality, vector in expected.items():
            np.testing.assert_allclose(getattr(embedded, modality)[i], vector, rtol=1e-9)
        np.testing.assert_allclose(embedded.inputs["audio"][i], pooled_audio, rtol=1e-9)
        np.testing.assert_allclose(embedded.inputs["text"][i], pooled_text, rtol=1e-9)
    assert torch.equal(embedded.inputs["video"], video)


@torch.no_grad()
def test_forward_is_the_three_branches():
    network = make(normalize=True)
    video, audio, text = batch()
    frames = torch.tensor([48, 17, 3])
    embedded = network(video, audio, text, frames)
    assert torch.equal(embedded.video, network.embed_video(video))
    assert torch.equal(embedded.audio, network.embed_audio(audio, frames))
    assert torch.equal(embedded.text, network.embed_text(text))
    for values in embedded[:3]:
        torch.testing.assert_close(values.norm(dim=1), torch.ones(3, dtype=torch.float64))


def test_published_names():
    names = {name for name, _ in make().named_parameters() if not name.startswith("DAVEnet.")}
    modules = ["DAVEnet_projection", "text_pooling_caption.fc"]
    for unit in ("GU_video", "GU_audio", "GU_text_captions"):
        modules += [f"{unit}.fc", f"{unit}.cg.fc"]
    for head in "vat":
        modules += [f"recon_{head}.0", f"recon_{head}.2"]
    assert names == {f"{module}.{field}" for module in modules for field in ("weight", "bias")}


@pytest.mark.parametrize(
    ("embedding_width", "reconstruction_width", "millions"),
    [(6144, None, 193.35), (6144, 1024, 223.78), (4096, None, 119.33)],
)
def test_published_parameter_counts(embedding_width, reconstruction_width, millions):
    with torch.device("meta"):
        network = MultimodalClusteringNetwork(
            4096, 300, embedding_width, reconstruction_width=reconstruction_width
        )
    assert round(sum(p.numel() for p in network.parameters()) / 1e6, 2) == millions


def test_padding_words_take_part_as_published_and_can_be_masked():
    torch.manual_seed(0)
    words = torch.randn(2, 3, 5)
    words[1] = 0  # a caption without a word in the vocabulary
    padded = torch.cat([words, torch.zeros(2, 4, 5)], dim=1)
    published, masked = WordPooling(5, 64), WordPooling(5, 64, mask_padding=True)
    masked.load_state_dict(published.state_dict())
    assert not torch.equal(published(padded)[0], published(words)[0])
    torch.testing.assert_close(published(padded)[1], published.fc.bias.relu())
    torch.testing.assert_close(masked(padded)[0], published(words)[0])
    assert torch.equal(masked(padded)[1], torch.zeros(64))
    masked(padded).sum().backward()
    assert torch.isfinite(masked.fc.weight.grad).all()


@torch.no_grad()
def test_word_order_does_not_matter():
    network = make()
    text = batch()[2]
    torch.testing.assert_close(network.embed_text(text), network.embed_text(text.flip(1)))


@settings(max_examples=60, deadline=None)
@given(length=st.integers(1, 400), frames=st.lists(st.integers(0, 500), min_size=1, max_size=4))
def test_valid_columns_are_pooled_as_released(length, frames):
    steps = -(-length // 16)
    columns = torch.randn(len(frames), 3, steps, dtype=torch.float64)
    pooled = pool_audio(columns, length, torch.tensor(frames))
    for i, valid in enumerate(frames):
        first = max(1, int(valid / round(length / steps)))
        expected = columns[i].numpy()[:, :first].mean(axis=1)
        np.testing.assert_allclose(pooled[i].numpy(), expected, atol=1e-12)


def test_without_frames_padding_is_pooled_too():
    columns = torch.randn(2, 3, 63)
    torch.testing.assert_close(pool_audio(columns, 1000, None), columns.mean(2))
    whole = pool_audio(columns, 1008, torch.tensor([1008, 1008]))
    torch.testing.assert_close(whole, columns.mean(2))
    half = (columns.half() + 1) * 3000  # a sum over columns would not fit float16
    assert torch.isfinite(pool_audio(half, 1008, torch.tensor([1008, 900]))).all()


@torch.no_grad()
def test_frames_mean_the_same_in_both_modes():
    network = make()
    audio, frames = batch()[1], torch.tensor([48, 20, 1])
    for module in network.modules():  # only the pooling is in question, not the batch norms
        module.training = isinstance(module, MultimodalClusteringNetwork)
    assert torch.equal(
        network.embed_audio(audio, frames), network.eval().embed_audio(audio, frames)
    )


@torch.no_grad()
def test_frozen_audio_takes_pooled_vectors():
    network = make(davenet_widths=None, audio_width=9)
    rows, pooled = rows_of(network), torch.randn(3, 9, dtype=torch.float64)
    assert not [name for name in rows if name.startswith("DAVEnet.")]
    ours = network.embed_audio(pooled, torch.tensor([1, 2, 3]))
    for i in range(3):
        gate = gated(rows, "GU_audio", pooled[i].numpy())
        np.testing.assert_allclose(ours[i], linear(rows, "DAVEnet_projection", gate), rtol=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("target", ["input", "common"])
def test_reconstruction_heads(target):
    network = make(reconstruction_target=target)
    embedded = network(*batch())
    rebuilt = network.reconstruct(embedded)
    rows = rows_of(network)
    assert {m: v.shape for m, v in rebuilt.items()} == {
        m: v.shape for m, v in embedded.inputs.items()
    }
    for modality, head in {"video": "recon_v", "audio": "recon_a", "text": "recon_t"}.items():
        source = getattr(embedded, modality)
        if target == "common":
            assert torch.equal(embedded.inputs[modality], source)
        for i, embedding in enumerate(source.numpy()):
            expected = linear(
                rows, f"{head}.2", np.maximum(linear(rows, f"{head}.0", embedding), 0)
            )
            expected = np.maximum(expected, 0) if target == "input" else expected
            np.testing.assert_allclose(rebuilt[modality][i], expected, rtol=1e-9, atol=1e-12)


def test_all_trainable_parameters_learn():
    network = make().train()
    embedded = network(*batch())
    losses = [values.square().sum() for values in embedded[:3]]
    losses += [values.sum() for values in network.reconstruct(embedded).values()]
    sum(losses).backward()
    assert [n for n, p in network.named_parameters() if p.requires_grad and p.grad is None] == []


def test_missing_branches_say_so():
    network = make(davenet_widths=None, audio_width=None, word_width=None)
    with pytest.raises(UserError, match="without a branch for audio"):
        network.embed_audio(torch.zeros(1, 40, 16))
    with pytest.raises(UserError, match="without a branch for text"):
        network.embed_text(torch.zeros(1, 2, 5))
    embedded = Embeddings(*[torch.zeros(1, 7)] * 3, inputs={})
    with pytest.raises(ValueError, match="without reconstruction heads"):
        make(reconstruction_width=None).reconstruct(embedded)
    with pytest.raises(ValueError, match="input or common"):
        make(reconstruction_target="inputs")


def test_embeddings_may_be_of_unit_length_at_test_alone():
    torch.manual_seed(0)
    network = MultimodalClusteringNetwork(6, 3, 5, (2, 2, 2, 2), None, None, normalize="at_test")
    video = torch.randn(4, 6)
    assert not torch.allclose(network.train().embed_video(video).norm(dim=1), torch.ones(4))
    torch.testing.assert_close(network.eval().embed_video(video).norm(dim=1), torch.ones(4))
    assert network.settings["normalize"] == "at_test"
