"""Text-to-video retrieval and every other pair of modalities: metrics, protocols and the stage."""

from mcn.evaluation.retrieval.metrics import evaluate

__all__ = ["evaluate"]
