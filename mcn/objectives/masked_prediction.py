"""Masked prediction in the manner of wav2vec 2.0 (Baevski et al. 2020, equations 1 to 4).

    L_m = mean over masked rows t of  -log( e^(cos(p_t, q_t) / k) / sum_{q in Q_t} e^(cos(p_t, q) / k) )
    L   = L_m + a L_d,    L_d = 1/(G V) sum_g sum_v pbar_gv log pbar_gv          (quantised targets alone)

- z: latents of rows. Spans of `mask_rows` rows are replaced by a learned vector before the transformer gives contexts;
  p is a linear map of the context. Q_t: the target of row t and those of up to `distractors` other masked rows of the
  same clip. A clip needs an unmasked row, and two masked ones: one shorter than a span and a row takes no part.
- Targets: a linear map of the unmasked latents, or quantised: of every codebook g the entry v whose logit plus Gumbel
  noise, over the temperature u, is largest (forwards the entry itself, backwards its softmax), entries of all codebooks
  side by side, and a linear map. u = max(2 x 0.999995^step, 0.5), as published. pbar: mean over all rows that are there
  of the softmax of the logits without noise and temperature.
- Spans start at a drawn share of the rows; at least one does. Sizes are cut to sequences of features (10 rows of a
  second each, where speech has 1,500 of 20 ms): `mask_share`, `mask_rows`, blocks and heads are ours. Positions are
  sinusoidal where the paper has a convolution; its L2 penalty on the latents and its dropout are left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.networks.embedding import EmbeddingNetwork
from mcn.objectives.objective import Setting, StepInputs
from mcn.objectives.sequences import SequenceObjective, without_any
from mcn.options.pretexts import MaskedPredictionOptions

HOTTEST, COOLEST, COOLING = 2.0, 0.5, 0.999995  # of the Gumbel softmax, wav2vec 2.0
# In what is drawn: a masked row has a number above 0, the rank of it as a distractor
NO_MASK, MASKED = -1.0, 0.0


def draw_masks(
    there: np.ndarray, share: float, span: int, generator: np.random.Generator
) -> np.ndarray:
    """Which rows are masked, (N, F) bool: spans of `span` rows, never all rows of a clip, and two at least or none."""
    masked = np.zeros(there.shape, bool)
    for row, length in zip(masked, there.sum(axis=1).tolist(), strict=True):
        if length <= span or length < 3:
            continue
        spans = min(max(1, round(share * length)), length - span + 1)
        starts = generator.choice(length - span + 1, spans, replace=False)
        for start in starts.tolist():
            row[start : start + span] = True
        if row.sum() == length:
            row[generator.integers(length)] = False
        if row.sum() < 2:
            row[(starts[0] + 1) % length] = True
    return masked


def contrast_of_masked(
    predicted: Tensor, targets: Tensor, ranks: Tensor, distractors: int, temperature: float = 0.1
) -> Tensor:
    """Mean cross-entropy of every masked row's own target among those of other masked rows of its clip.

    predicted, targets (N, F, w); ranks (N, F): drawn numbers above 0 of masked rows, others are not masked. The
    distractors of a row are the `distractors` other masked rows with the smallest ranks. Without a masked row: ().
    """
    masked = ranks > MASKED
    cosines = F.normalize(predicted, dim=-1) @ F.normalize(targets, dim=-1).transpose(1, 2)
    own = torch.eye(masked.shape[1], dtype=torch.bool, device=masked.device)
    others = masked.unsqueeze(1) & ~own
    order = torch.where(others, ranks.unsqueeze(1), torch.inf).argsort(dim=2).argsort(dim=2)
    kept = (others & (order < distractors)) | own
    logits = (cosines / temperature).masked_fill(~kept, -torch.inf)
    place = torch.arange(masked.shape[1], device=masked.device).expand(len(masked), -1)
    return F.cross_entropy(logits[masked], place[masked])


class Codebooks(nn.Module):
    """A product quantiser: (n, width_in) latents -> (n, width_out) of the chosen entries."""

    def __init__(self, width_in: int, width_out: int, books: int, codes: int) -> None:
        super().__init__()
        self.books, self.codes = books, codes
        self.logits = nn.Linear(width_in, books * codes)
        self.entries = nn.Parameter(torch.randn(books, codes, width_out // books))

    def forward(self, latents: Tensor, noise: Tensor, temperature: float) -> tuple[Tensor, Tensor]:
        """noise (n, G, V) of a Gumbel distribution -> chosen entries (n, width_out), logits (n, G, V)."""
        logits = self.logits(latents).view(-1, self.books, self.codes)
        soft = ((logits + noise) / temperature).softmax(dim=-1)
        hard = F.one_hot(soft.argmax(dim=-1), self.codes).to(soft)
        chosen = hard + soft - soft.detach()
        return torch.einsum("ngv,gvw->ngw", chosen, self.entries).flatten(1), logits


def diversity(logits: Tensor) -> Tensor:
    """(n, G, V) logits -> the mean over G V of pbar log pbar: smallest where all entries are used alike."""
    shares = logits.softmax(dim=-1).mean(dim=0)
    return torch.special.xlogy(shares, shares).mean()


class MaskedPredictionObjective(SequenceObjective):
    """Masked rows told apart, and all entries of the codebooks used."""

    options: MaskedPredictionOptions

    def __init__(self, options: MaskedPredictionOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        width, projection = setting.width, options.projection_width
        self.heads["mask"] = nn.Embedding(1, width)
        self.heads["prediction"] = nn.Linear(width, projection)
        self.heads["target"] = nn.Linear(projection if options.quantised else width, projection)
        if options.quantised:
            sizes = options.codebooks, options.codes
            self.heads["codebooks"] = Codebooks(width, projection, *sizes)

    def draw(self, there: np.ndarray, generator: np.random.Generator) -> np.ndarray:
        """(N, F): ranks of masked rows, and `NO_MASK`."""
        masked = draw_masks(there, self.options.mask_share, self.options.mask_rows, generator)
        ranks = 1 + generator.permuted(np.tile(np.arange(there.shape[1]), (len(there), 1)), axis=1)
        return np.where(masked, ranks, NO_MASK).astype(np.float32)

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """latents, contexts: (N, F, d), the contexts with masked rows."""
        assert inputs.drawn is not None
        sequences, there = self.sequences(network), self.there(inputs)
        latents = sequences.latents(self.rows(inputs))
        masked = (inputs.drawn > MASKED).unsqueeze(-1)
        hidden = self.heads["mask"](masked.new_zeros(1, dtype=torch.long)).to(latents.dtype)
        seen = torch.where(masked, hidden, latents)
        return {"latents": latents, "contexts": sequences.contexts(seen, there)}

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        options, ranks = self.options, inputs.drawn
        assert ranks is not None
        if not (ranks > MASKED).any():
            return {"contrast": without_any(views)}
        latents, terms = views["latents"], {}
        targets = latents
        if options.quantised:
            targets, logits = self._quantised(latents)
            terms["diversity"] = options.diversity_weight * diversity(logits[self.there(inputs)])
        predicted, targets = (
            self.heads["prediction"](views["contexts"]),
            self.heads["target"](targets),
        )
        contrast = contrast_of_masked(
            predicted, targets, ranks, options.distractors, options.temperature
        )
        return {"contrast": contrast, **terms}

    def _quantised(self, latents: Tensor) -> tuple[Tensor, Tensor]:
        """Entries of the codebooks (N, F, w) and logits (N, F, G, V); the noise is that of the step."""
        options, step = self.options, self.steps - 1
        shape = (*latents.shape[:2], options.codebooks, options.codes)
        generator = np.random.default_rng([self.setting.seed, step, 4])
        noise = torch.from_numpy(generator.gumbel(size=shape).astype(np.float32)).to(latents)
        temperature = max(HOTTEST * COOLING**step, COOLEST)
        entries, logits = self.heads["codebooks"](
            latents.flatten(0, 1), noise.flatten(0, 1), temperature
        )
        return entries.unflatten(0, latents.shape[:2]), logits.unflatten(0, latents.shape[:2])
