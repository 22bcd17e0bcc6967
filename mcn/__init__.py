"""Multimodal Clustering Networks: a joint video-audio-text space learned from narrated videos.

Chen et al., "Multimodal Clustering Networks for Self-supervised Learning from Unlabeled Videos", ICCV 2021.
"""

import os

# Spinning OpenMP threads lose more than half of the processor as soon as a decoder thread runs beside them;
# the variable is read once, when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
