"""Support-set captioning: contrast, and captions written from a mixture of videos (Patrick et al. 2021).

    L = max_margin(V T^T)  -  w mean_i mean_q log p(word_iq | words before it, c_i)
    c_i = sum_j a_ij v_j,   a_ij = softmax_j(t_i . v_j / u) over: own video (identity), all (full), all but own (cross);
    hybrid: the average of identity and full

- The support set is the batch. Margin, w, u and the sizes of the decoder are not verified. Contrast is the hinge over
  all pairs, each weighing alike.
- Decoder: one GRU layer that starts from a linear map of c_i, reads the word before, and scores the known words by
  their given vectors and the end of the caption by a learned one. The paper's is a transformer over word pieces.
- Clips without pictures or words take no part, nor are they support.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.networks import EmbeddingNetwork
from mcn.objectives.max_margin import max_margin_ranking
from mcn.objectives.objective import Objective, Setting, StepInputs, embed_clips, without_same_video
from mcn.options.clip_parts import SupportSetOptions

IGNORED = -100  # target that no loss is taken of


def support_weights(similarity: Tensor, attention: str, temperature: float) -> Tensor:
    """(B, B) similarities of text i and video j -> (B, B) weights whose rows sum to 1; `cross` needs two videos."""
    identity = torch.eye(len(similarity), dtype=similarity.dtype, device=similarity.device)
    if attention == "identity":
        return identity
    logits = similarity / temperature
    if attention == "cross":
        logits = logits.masked_fill(identity.bool(), -torch.inf)
    weights = logits.softmax(dim=1)
    return (weights + identity) / 2 if attention == "hybrid" else weights


class CaptionDecoder(nn.Module):
    """Negative log-likelihood of captions given a vector each; vocabulary (V + 1, word_width), row 0 padding."""

    vocabulary: Tensor

    def __init__(self, width: int, hidden: int, vocabulary: Tensor) -> None:
        super().__init__()
        word_width = vocabulary.shape[1]
        self.register_buffer("vocabulary", vocabulary, persistent=False)
        self.start = nn.Linear(width, hidden)
        self.first = nn.Parameter(torch.zeros(word_width))  # what is read before the first word
        self.end = nn.Parameter(torch.zeros(word_width))  # takes the place of padding as an answer
        self.recurrent = nn.GRU(word_width, hidden, batch_first=True)
        self.answer = nn.Linear(hidden, word_width)

    def forward(self, given: Tensor, words: Tensor) -> Tensor:
        """(B, width), (B, W) token ids, 0 pads -> scalar: mean over all words and the ends of captions."""
        before = F.embedding(words, self.vocabulary)
        before = torch.cat([self.first.expand(len(words), 1, -1), before], dim=1)
        states, _ = self.recurrent(before, self.start(given).tanh().unsqueeze(0))
        answers = torch.cat([self.end.unsqueeze(0), self.vocabulary[1:]])
        logits = self.answer(states) @ answers.t()
        return F.cross_entropy(logits.flatten(0, 1), targets_of(words).flatten())


def targets_of(words: Tensor) -> Tensor:
    """(B, W) ids -> (B, W + 1): the words, then 0 as the end once, then nothing."""
    ended = F.pad(words, (0, 1))
    after_end = F.pad((ended == 0).cumsum(dim=1)[:, :-1], (1, 0)) > 0
    return ended.masked_fill(after_end, IGNORED)


class SupportSetObjective(Objective):
    """Hinge and caption terms."""

    def __init__(self, options: SupportSetOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        if options.attention == "cross" and setting.clips < 2:
            raise UserError(
                "one clip a step", "two, for captions from other videos", "raise clips_per_video"
            )
        if options.attention != "none" and options.caption_weight:
            self.heads["decoder"] = CaptionDecoder(
                setting.width, options.decoder_width, setting.vocabulary
            )

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        return embed_clips(network, inputs, ("video", "text"))

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        options, rows = self.options, inputs.rows_with("video", "text")
        take = slice(None) if rows is None else rows
        video, text, words = views["video"][take], views["text"][take], inputs.word_ids[take]
        if not len(video):
            return {"contrast": (views["video"].sum() + views["text"].sum()) * 0}
        similarity = video @ text.t()
        masked = similarity
        if options.same_video == "masked":
            masked = without_same_video(similarity, inputs.videos[take])
        terms = {"contrast": max_margin_ranking(masked, margin=options.margin)}
        if "decoder" in self.heads and (len(video) > 1 or options.attention != "cross"):
            weights = support_weights(
                similarity.t(), options.attention, options.attention_temperature
            )
            terms["caption"] = options.caption_weight * self.heads["decoder"](
                weights @ video, words
            )
        return terms
