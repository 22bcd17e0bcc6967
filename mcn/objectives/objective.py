"""What every objective is to the training step: called with network and batch, it returns named loss terms.

Conventions
-----------
- `embed` runs the network on what the objective needs, under the step's precision, every row for itself; `losses`
  turns the vectors of all rows, those of other processes too, into weighted scalars in float32. A call does both
  and adds `total`.
- `heads` are networks that only the objective needs; they are trained with the network and left behind with it.
- Nothing random is drawn in a step, and everything that changes from step to step is in `state_dict`: a resumed run
  equals an undisturbed one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from mcn.distributed import ALONE, Processes
from mcn.networks import MultimodalClusteringNetwork
from mcn.objectives.clustering import ClusterHealth
from mcn.objectives.similarity import at_least_float32
from mcn.objectives.step_inputs import StepInputs
from mcn.options.objectives import ObjectiveOptions


class Setting(NamedTuple):
    """Where an objective works: shape of every batch, embedding width, word vectors (V + 1, word_width) by id."""

    videos: int
    clips_per_video: int
    width: int
    vocabulary: Tensor
    seed: int = 1
    device: torch.device | str = "cpu"

    @property
    def clips(self) -> int:
        """Clips of a step."""
        return self.videos * self.clips_per_video


class Objective:
    """Base of all objectives: embeds the modalities that the options need; heads and epochs are its state.

    health: of the last clustering, where there is one.
    """

    options: Any  # a subclass says which
    health: ClusterHealth | None = None

    def __init__(self, options: ObjectiveOptions, setting: Setting) -> None:
        self.options, self.setting = options, setting
        self.modalities: tuple[str, ...] = options.needs.modalities
        self.heads = nn.ModuleDict()
        self.epochs_begun = 0

    def __call__(
        self,
        network: MultimodalClusteringNetwork,
        inputs: StepInputs,
        processes: Processes = ALONE,
    ) -> dict[str, Tensor]:
        """Scalars: `total` and each weighted term, of the whole step; `processes` embed their shares of it."""
        shape = len(inputs.video) // inputs.clips_per_video, inputs.clips_per_video
        views = self.embed(network, inputs.share(processes.rows(*shape)))
        views = processes.gather(views, *shape)
        with torch.autocast(inputs.video.device.type, enabled=False):
            wide = {name: at_least_float32(view) for name, view in views.items()}
            terms = self.losses(wide, inputs)
            return {"total": torch.stack(list(terms.values())).sum(), **terms}

    def embed(self, network: MultimodalClusteringNetwork, inputs: StepInputs) -> dict[str, Tensor]:
        """What `losses` takes, by name; here the (N, d) embeddings of the needed modalities."""
        return embed_clips(network, inputs, self.modalities)

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        """Weighted scalars by name."""
        raise NotImplementedError

    def start_epoch(self) -> None:
        """Called before the first step of every epoch."""
        self.epochs_begun += 1

    def state_dict(self) -> dict[str, Any]:
        """Everything that an exact resume needs: tensors and plain values."""
        return {"heads": self.heads.state_dict(), "epochs_begun": self.epochs_begun}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Restore what `state_dict` gave, under the same options."""
        self.heads.load_state_dict(state["heads"])
        self.epochs_begun = int(state["epochs_begun"])


def embed_clips(
    network: MultimodalClusteringNetwork, inputs: StepInputs, modalities: tuple[str, ...]
) -> dict[str, Tensor]:
    """(N, d) embeddings of the modalities, each from what `inputs` holds of the clips as wholes."""
    embedded = {}
    if "video" in modalities:
        embedded["video"] = network.embed_video(inputs.video)
    if "audio" in modalities:
        embedded["audio"] = network.embed_audio(inputs.audio, inputs.frames)
    if "text" in modalities:
        embedded["text"] = network.embed_text(inputs.words)
    return embedded
