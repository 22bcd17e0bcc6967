"""Frame-word similarity with attention: OUR READING of Wang & Karout 2021 (arXiv 2112.12182).

What is verified of the paper: similarity is computed between fine units, attention lowers the weight of noisy pairs in
the loss. Formula and numbers are ours. With unit vectors v_p of the parts of a clip and w_q of the words of a text:

    s_pq = v_p . w_q;   a_pq = softmax_p(s_pq / u),   b_pq = softmax_q(s_pq / u)
    S    = 1/2 [ mean_q sum_p a_pq s_pq  +  mean_p sum_q b_pq s_pq ]
    L    = - 1/sum_i c_i  sum_i c_i [ log softmax_j(S_ij / t)_i + log softmax_j(S_ji / t)_i ]

c_i = mean over the words of the true pair i of max_p a_pq, without gradient: a text whose words fit no part in
particular (c near 1 / parts) weighs less than one whose words pick their parts. Parts and words that are padding take
no part. Cost: clips^2 x parts x words.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from mcn.networks import EmbeddingNetwork, UnitNetwork
from mcn.networks.fusion import present
from mcn.objectives.objective import Objective, StepInputs, at_least_float32, without_same_video
from mcn.options.clip_parts import FineGrainedOptions


def unit_similarity(
    parts: Tensor, parts_there: Tensor, words: Tensor, words_there: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    """Unit vectors (N, P, d), (M, Q, d) with bool (N, P), (M, Q) -> S (N, M), sharpness of a (N, M).

    Every clip needs a part and every text a word.
    """
    s = torch.einsum("npd,mqd->nmpq", parts, words)
    there = parts_there[:, None, :, None] & words_there[None, :, None, :]
    over_parts = attention(s, there, temperature, dim=2)
    over_words = attention(s, there, temperature, dim=3)
    part_share = (parts_there / parts_there.sum(dim=1, keepdim=True)).to(s)
    word_share = (words_there / words_there.sum(dim=1, keepdim=True)).to(s)
    of_words = torch.einsum("nmpq,nmpq,mq->nm", over_parts, s, word_share)
    of_parts = torch.einsum("nmpq,nmpq,np->nm", over_words, s, part_share)
    sharpness = torch.einsum("nmq,mq->nm", over_parts.detach().amax(dim=2), word_share)
    return (of_words + of_parts) / 2, sharpness


def attention(s: Tensor, there: Tensor, temperature: float, dim: int) -> Tensor:
    """Softmax over the units that are there; 0 where none is."""
    logits = (s / temperature).masked_fill(~there, torch.finfo(s.dtype).min)
    return logits.softmax(dim=dim) * there


def weighted_nce(similarity: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """(N, N) similarities, (N,) weights of the true pairs -> scalar, both directions summed."""
    logits = at_least_float32(similarity) / temperature
    target = torch.arange(len(logits), device=logits.device)
    each = F.cross_entropy(logits, target, reduction="none")
    each = each + F.cross_entropy(logits.t(), target, reduction="none")
    return (each * weights).sum() / weights.sum()


class FineGrainedObjective(Objective):
    """Video against text by their units."""

    options: FineGrainedOptions

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """parts (N, P, d); words (N, W, d)."""
        assert isinstance(network, UnitNetwork)
        assert inputs.units is not None
        return {
            "parts": network.video_units(inputs.units),
            "words": network.word_units(inputs.words),
        }

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        options = self.options
        assert inputs.units is not None
        parts, words = views["parts"], views["words"]
        parts_there, words_there = present(inputs.units), present(inputs.words)
        # a clip without a part or word has nothing to attend to, whatever the policy
        rows = (parts_there.any(dim=1) & words_there.any(dim=1)).nonzero().squeeze(1)
        if not len(rows):
            return {"contrast": (parts.sum() + words.sum()) * 0}
        similarity, sharpness = unit_similarity(
            parts[rows],
            parts_there[rows],
            words[rows],
            words_there[rows],
            options.attention_temperature,
        )
        if options.same_video == "masked":
            similarity = without_same_video(similarity, inputs.videos[rows])
        weights = sharpness.diagonal()
        weights = weights if options.weigh_pairs else torch.ones_like(weights)
        return {"contrast": weighted_nce(similarity, weights, options.temperature)}
