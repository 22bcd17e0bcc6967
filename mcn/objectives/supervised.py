"""Supervised grouping: the clips that show the same annotated step are positives of each other (Khosla et al. 2020, the
form with the sum outside the logarithm, across modalities), in the form of MCN's masked margin softmax.

    L = sum over pairs of modalities of
        -1/B sum_i 1/|P(i)| sum_{p in P(i)} log( e^(s_ip - m) / sum_j e^(s_ij - m [j in P(i)]) )
        and the same over the columns

for dot products s = X Y^T. P(i) holds i and all clips of i's step, of other videos too; a clip without a step has
itself alone. Where no step comes twice this is the masked margin softmax. It is no method to compare with: it reads
what the others have to find, and so bounds what grouping can bring.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from mcn.objectives.objective import Objective, StepInputs, square
from mcn.options.contrast import SupervisedOptions


def grouped_margin_softmax(similarity: Tensor, groups: Tensor, margin: float = 0.001) -> Tensor:
    """(B, B) similarities, groups (B,) of the items, negative for an item alone -> scalar."""
    scores = square(similarity)
    positives = same_group(groups).to(scores)
    logits = scores - margin * positives
    targets = positives / positives.sum(dim=1, keepdim=True)  # P is symmetric: of the columns too
    rows, columns = logits.log_softmax(dim=1), logits.t().log_softmax(dim=1)
    return -(targets * (rows + columns)).sum() / len(logits)


def same_group(groups: Tensor) -> Tensor:
    """(B,) -> (B, B) bool, the diagonal among them; negative groups are those of one item."""
    same = (groups.unsqueeze(0) == groups.unsqueeze(1)) & (groups >= 0).unsqueeze(0)
    return same | torch.eye(len(groups), dtype=torch.bool, device=groups.device)


class SupervisedObjective(Objective):
    """Masked margin softmax over pairs of modalities whose positives are true."""

    options: SupervisedOptions

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        assert inputs.groups is not None, "the batch holds the steps that it was asked for"
        terms = []
        for pair in self.options.pairs:
            left, right = (views[name] for name in pair.split("_"))
            groups, rows = inputs.groups, inputs.rows_with(*pair.split("_"))
            if rows is not None:
                left, right, groups = left[rows], right[rows], groups[rows]
            similarity = left @ right.t()
            if not len(groups):
                terms.append(similarity.sum())
                continue
            terms.append(grouped_margin_softmax(similarity, groups, self.options.margin))
        return {"contrast": torch.stack(terms).sum()}
