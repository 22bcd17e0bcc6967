"""Multilingual NCE: clips and what is said in them in several languages (Huang et al., NAACL 2021, arXiv 2103.08849).

    inter  = 1/|L| sum_l NCE(V, X_l)                  pictures against the text of each language l
    cross  = 1/|P| sum_{l < m} NCE(X_l, X_m)          texts of two languages, P: all pairs of them
    intra  = NCE(V, V') + 1/|L| sum_l NCE(X_l, X'_l)  two clips of one video, in one modality
    L      = w_inter inter + w_cross cross + w_intra intra
    NCE(A, B) = -1/n sum_i log( e^(a_i.b_i / t) / sum_j e^(a_i.b_j / t) )  +  the same over the columns

- The published names of the terms (intra-modal, inter-modal, conditional cross-lingual) and what they align (a video
  and its captions or transcripts in two languages) are verified; no formula was at hand. Our reading: symmetric NCE of
  cosines at 0.05, as in `norm_softmax`; every language of a step instead of English and one other; the second view of a
  modality is another clip of the video; the cross-lingual term does not see the video, where the published one is
  conditioned on it through a transformer that this network has not.
- X_l of a clip are the first `max_words` words of the lines in l that are said while it lasts, in order of time. A clip
  without such words is no row of the terms of l; L and P are the languages, and pairs of them, that any clip of the
  step has.
- With sound among the `pairs`, `inter` is the sum over them, and `intra` has a term for sound.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from mcn.networks import EmbeddingNetwork
from mcn.objectives.norm_softmax import norm_softmax
from mcn.objectives.objective import Objective, Setting, StepInputs, embed_clips, similarity_loss
from mcn.options.contrast import MultilingualNceOptions

SECOND = "second "
TEXT = "text "


class MultilingualNceObjective(Objective):
    """Three weighted terms; a term of weight 0 is not computed."""

    options: MultilingualNceOptions

    def __init__(self, options: MultilingualNceOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.whole = tuple(name for name in self.modalities if name != "text")

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """(N, d): `video`, `audio`, `text LANGUAGE`, and `second X` of the other clips of the videos."""
        views = self._of_clips(network, inputs)
        if inputs.second is not None:
            others = self._of_clips(network, inputs.second)
            views |= {SECOND + name: view for name, view in others.items()}
        return views

    def _of_clips(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        assert inputs.translations is not None, (
            "the batch holds the languages that it was asked for"
        )
        views = embed_clips(network, inputs, self.whole)
        for number, language in enumerate(self.options.languages):
            views[TEXT + language] = network.embed_text(inputs.translations[:, number])
        return views

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        options, texts = self.options, [TEXT + language for language in self.options.languages]

        def nce(left: str, right: str) -> tuple[Tensor, bool]:
            """The loss of two views, and whether any clip has both."""
            rows = (self._has(left, inputs) & self._has(right, inputs)).nonzero().squeeze(1)
            masked, videos = options.same_video == "masked", inputs.videos
            return similarity_loss(
                views[left], views[right], rows, videos, masked, self._loss
            ), bool(len(rows))

        terms = {}
        if options.inter_modal_weight:
            pairs = [pair.split("_") for pair in options.pairs]
            found = [
                _mean(nce, [(left, text) for text in texts])
                if right == "text"
                else nce(left, right)[0]
                for left, right in pairs
            ]
            terms["inter_modal"] = options.inter_modal_weight * torch.stack(found).sum()
        if options.cross_lingual_weight and len(texts) > 1:
            crossed = _mean(nce, list(itertools.combinations(texts, 2)))
            terms["cross_lingual"] = options.cross_lingual_weight * crossed
        if options.intra_modal_weight:
            found = [nce(name, SECOND + name)[0] for name in self.whole]
            found.append(_mean(nce, [(text, SECOND + text) for text in texts]))
            terms["intra_modal"] = options.intra_modal_weight * torch.stack(found).sum()
        return terms

    def _loss(self, similarity: Tensor) -> Tensor:
        return norm_softmax(similarity, self.options.temperature)

    def _has(self, view: str, inputs: StepInputs) -> Tensor:
        """(N,) bool: the clips that have a view."""
        name = view.removeprefix(SECOND)
        of = inputs.second if view.startswith(SECOND) else inputs
        assert of is not None
        assert of.translated is not None
        if name.startswith(TEXT):
            return of.translated[:, self.options.languages.index(name.removeprefix(TEXT))]
        every = torch.ones_like(of.translated[:, 0])
        return (of.present or {}).get(name, every)


def _mean(nce: Callable[[str, str], tuple[Tensor, bool]], pairs: list[tuple[str, str]]) -> Tensor:
    """The mean over the pairs of views that any clip has both of; 0 with gradient 0 where there is none."""
    found = [nce(*pair) for pair in pairs]
    there = [loss for loss, any_clip in found if any_clip]
    return torch.stack(there or [loss for loss, _ in found]).mean()
