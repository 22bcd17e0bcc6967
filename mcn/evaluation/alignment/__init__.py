"""Alignment of a video with its ordered transcript: the exact programme, IoD and IoU, and the stage."""

from mcn.evaluation.alignment.programme import align

__all__ = ["align"]
