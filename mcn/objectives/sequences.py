"""What objectives on the sequences of one feature share: rows, and what is drawn for a step.

Conventions
-----------
- Rows of clips are (N, F, D), zero rows pad; `there` (N, F) tells which are rows. Clips too short take no part.
- What an objective draws for a step (masks, places, orders) follows from the seed and the number of the step, which is
  part of its state: a resumed run draws what an undisturbed one would have drawn. It is drawn for the whole step
  before processes share it.
- The encoder of the feature is never trained: what these objectives learn is a network over its rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mcn.distributed import ALONE, Processes
from mcn.networks import EmbeddingNetwork, SequenceNetwork
from mcn.networks.sequences import there_of
from mcn.objectives.objective import Objective, Setting, StepInputs
from mcn.options.pretexts import PretextOptions

PURPOSE = 3  # tells these draws from those of clips and weights


class SequenceObjective(Objective):
    """Base of the objectives on the rows of one feature; `steps`: steps begun."""

    options: PretextOptions

    def __init__(self, options: PretextOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        self.steps = 0

    def __call__(
        self,
        network: EmbeddingNetwork,
        inputs: StepInputs,
        processes: Processes = ALONE,
    ) -> dict[str, Tensor]:
        generator = np.random.default_rng([self.setting.seed, self.steps, PURPOSE])
        drawn = self.draw(self.there(inputs).cpu().numpy(), generator)
        if drawn is not None:
            inputs = replace(inputs, drawn=torch.from_numpy(drawn).to(inputs.video.device))
        self.steps += 1
        return super().__call__(network, inputs, processes)

    def draw(self, there: np.ndarray, generator: np.random.Generator) -> np.ndarray | None:
        """What the step needs of chance, (N, ...) for the rows that are there (N, F); None where it needs nothing."""
        return None

    def rows(self, inputs: StepInputs) -> Tensor:
        """(N, F, D) rows of the feature."""
        return inputs.video if self.options.modality == "video" else inputs.audio

    def there(self, inputs: StepInputs) -> Tensor:
        """(N, F) bool: which are rows."""
        return there_of(self.rows(inputs))

    def sequences(self, network: EmbeddingNetwork) -> SequenceNetwork:
        """The network, which the options have asked for."""
        assert isinstance(network, SequenceNetwork)
        return network

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "steps": self.steps}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        super().load_state_dict(state)
        self.steps = int(state["steps"])


def without_any(views: Mapping[str, Tensor]) -> Tensor:
    """A loss of 0 with gradient 0, where no clip is long enough."""
    return torch.stack([view.sum() for view in views.values()]).sum() * 0
