"""Step localization: the ordered-steps programme, recall and average precision, and the stage."""

from mcn.evaluation.localization.metrics import decode_steps, recall

__all__ = ["decode_steps", "recall"]
