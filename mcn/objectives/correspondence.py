"""AVC: does a sound belong to a video? (Arandjelovic & Zisserman 2017, 2018)

    L = mean over true pairs (v_i, a_i) and false ones (v_i, a_e(i)) of the cross-entropy of two answers

- distance (Objects that Sound): the answers are a linear map of |v - a|, v and a of unit length. fusion (Look, Listen
  and Learn): of a hidden layer over v and a side by side; `hidden_width` is recalled.
- a_e(i): sound of another video of the batch, the clip of the same place in the video before it; as many false pairs
  as true ones.
- Clips that lack sound or pictures take no part, nor does sound that is not there.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.errors import UserError
from mcn.objectives.objective import Objective, Setting, StepInputs
from mcn.objectives.synchronisation import distances, elsewhere, false_rows, true_rows
from mcn.options.pretexts import CorrespondenceOptions


def distance_answer() -> nn.Linear:
    """(R, 1) distances -> (R, 2) logits; starts as `true below 1`: the other way round it would pull pairs apart."""
    answer = nn.Linear(1, 2)
    with torch.no_grad():
        answer.weight.copy_(torch.tensor([[1.0], [-1.0]]))
        answer.bias.copy_(torch.tensor([-1.0, 1.0]))
    return answer


class CorrespondenceObjective(Objective):
    """Two answers to every pair of video and sound. One video a step: `UserError`."""

    def __init__(self, options: CorrespondenceOptions, setting: Setting) -> None:
        super().__init__(options, setting)
        if setting.videos < 2:
            raise UserError("one video a step", "two", "raise training.videos_per_batch")
        self.by_distance = options.form == "distance"
        if self.by_distance:
            self.heads["answer"] = distance_answer()
        else:
            self.heads["answer"] = nn.Sequential(
                nn.Linear(2 * setting.width, options.hidden_width),
                nn.ReLU(),
                nn.Linear(options.hidden_width, 2),
            )

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        video, audio = views["video"], views["audio"]
        true, false = true_rows(inputs), false_rows(inputs)
        if not len(true):
            return {"correspondence": (video.sum() + audio.sum()) * 0}
        away = elsewhere(audio, inputs.clips_per_video)
        logits = torch.cat(
            [self._answers(video[true], audio[true]), self._answers(video[false], away[false])]
        )
        target = (torch.arange(len(logits), device=logits.device) < len(true)).long()
        return {"correspondence": F.cross_entropy(logits, target)}

    def _answers(self, video: Tensor, audio: Tensor) -> Tensor:
        """(R, d), (R, d) -> (R, 2) logits: false, true."""
        if self.by_distance:
            return self.heads["answer"](distances(video, audio).unsqueeze(1))
        return self.heads["answer"](torch.cat([video, audio], dim=1))
