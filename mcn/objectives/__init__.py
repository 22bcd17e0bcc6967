"""Objectives: one loss a file, its equation and its source in the docstring.

Conventions
-----------
- Every loss returns a differentiable scalar and treats the items of a batch alike: permuting them changes nothing.
- float16 and bfloat16 inputs are reduced in float32; float32 and float64 stay what they are.
- Similarities are dot products as given; nothing is normalised here.
"""

from mcn.objectives.max_margin import max_margin_ranking
from mcn.objectives.mcn import centroid_contrast, masked_margin_softmax, reconstruction
from mcn.objectives.mil_nce import mil_nce
from mcn.objectives.norm_softmax import norm_softmax

__all__ = [
    "centroid_contrast",
    "masked_margin_softmax",
    "max_margin_ranking",
    "mil_nce",
    "norm_softmax",
    "reconstruction",
]
