"""Support-set captioning: mixtures by hand, captions against a loop, targets of short and full captions."""

import math

import pytest
import torch

from mcn.errors import UserError
from mcn.objectives import max_margin_ranking
from mcn.objectives.support_set import (
    IGNORED,
    CaptionDecoder,
    SupportSetObjective,
    support_weights,
    targets_of,
)
from mcn.options.clip_parts import SupportSetOptions
from tests.objective_inputs import inputs, setting, vectors


def test_who_supports_whom():
    similarity = torch.tensor([[0.0, math.log(3.0)], [1.0, 1.0]])
    full = support_weights(similarity, "full", 1.0)
    torch.testing.assert_close(full, torch.tensor([[0.25, 0.75], [0.5, 0.5]]))
    assert support_weights(similarity, "identity", 1.0).tolist() == [[1, 0], [0, 1]]
    assert support_weights(similarity, "cross", 1.0).tolist() == [[0, 1], [1, 0]]
    hybrid = support_weights(similarity, "hybrid", 1.0)
    torch.testing.assert_close(hybrid, (full + torch.eye(2)) / 2)
    sharp = support_weights(similarity, "full", 1e-3)
    torch.testing.assert_close(sharp[0], torch.tensor([0.0, 1.0]))


@pytest.mark.parametrize("attention", ["identity", "full", "cross", "hybrid"])
def test_weights_sum_to_one_and_follow_the_order_of_clips(attention):
    similarity, order = vectors(5, 5), torch.tensor([3, 1, 4, 0, 2])
    weights = support_weights(similarity, attention, 0.3)
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(5, dtype=torch.float64))
    mixed = support_weights(similarity[order][:, order], attention, 0.3)
    torch.testing.assert_close(mixed, weights[order][:, order])
    if attention != "identity":
        similarity.requires_grad_()
        assert torch.autograd.gradcheck(lambda s: support_weights(s, attention, 0.3), similarity)


def test_targets():
    words = torch.tensor([[4, 2, 0], [1, 3, 5], [0, 0, 0]])
    assert targets_of(words).tolist() == [
        [4, 2, 0, IGNORED],
        [1, 3, 5, 0],
        [0, IGNORED, IGNORED, IGNORED],
    ]


def test_captions_are_scored_word_by_word():
    torch.manual_seed(0)
    vocabulary = setting(1).vocabulary
    decoder = CaptionDecoder(5, 4, vocabulary).double()
    with torch.no_grad():
        decoder.first.normal_()
        decoder.end.normal_()
    given, words = vectors(2, 5), torch.tensor([[4, 2, 0], [1, 3, 5]])
    losses = []
    for vector, caption in zip(given, ([4, 2, 0], [1, 3, 5, 0]), strict=True):
        state = torch.tanh(decoder.start.weight @ vector + decoder.start.bias).view(1, 1, -1)
        read = decoder.first
        for answer in caption:
            output, state = decoder.recurrent(read.view(1, 1, -1), state)
            sent = decoder.answer(output[0, 0])
            scores = [decoder.end @ sent, *(vocabulary[word] @ sent for word in range(1, 7))]
            losses.append(-(scores[answer] - torch.stack(scores).exp().sum().log()).item())
            read = vocabulary[answer]
    assert decoder(given, words).item() == pytest.approx(sum(losses) / len(losses))


def make(attention="cross", clips=4, **options):
    chosen = SupportSetOptions(kind="support_set", attention=attention, decoder_width=4, **options)
    torch.manual_seed(1)
    objective = SupportSetObjective(chosen, setting(clips))
    objective.heads.double()
    return objective


def batch(count=4):
    ids = torch.tensor([[1, 2], [3, 0], [4, 5], [6, 1]])[:count]
    embedded = {"video": vectors(count, 5, unit=True), "text": vectors(count, 5, seed=1, unit=True)}
    return embedded, ids


def test_terms():
    embedded, ids = batch()
    similarity = embedded["video"] @ embedded["text"].t()
    terms = make(caption_weight=2.0).losses(embedded, inputs(4, word_ids=ids))
    assert terms["contrast"].item() == pytest.approx(
        max_margin_ranking(similarity, margin=0.2).item()
    )
    mixture = support_weights(similarity.t(), "cross", 0.1) @ embedded["video"]
    decoder = make().heads["decoder"]
    assert terms["caption"].item() == pytest.approx(2 * decoder(mixture, ids).item())
    assert set(make("none").losses(embedded, inputs(4, word_ids=ids))) == {"contrast"}
    left = inputs(4, absent={"text": [0, 1, 2]}, word_ids=ids)
    assert set(make().losses(embedded, left)) == {"contrast"}  # nobody left to support it
    assert set(make("full").losses(embedded, left)) == {"contrast", "caption"}


def test_an_own_video_is_not_its_own_support():
    """Under `cross` a caption does not depend on its video but through similarities, under `identity` it does."""
    embedded, ids = batch()
    other = {**embedded, "video": embedded["video"].clone()}
    other["video"][0] = -other["video"][0]
    decoder = make().heads["decoder"]

    def captions(attention, views):
        weights = support_weights(embedded["text"] @ embedded["video"].t(), attention, 0.1)
        return decoder((weights @ views["video"])[:1], ids[:1]).item()

    assert captions("cross", embedded) == captions("cross", other)
    assert captions("identity", embedded) != captions("identity", other)


def test_one_clip_has_no_other_videos():
    with pytest.raises(UserError, match="one clip a step"):
        make(clips=1)
