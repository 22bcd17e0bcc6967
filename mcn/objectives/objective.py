"""What every objective is to the training step: called with network and batch, it returns named loss terms.

An objective of one's own is a class that extends `Objective`, in a file beside the configuration (or in the package):

    class MyOptions(ObjectiveOptions):      # mcn.options.objectives
        temperature: float = 0.05           # what `objective.options` may hold
        @property
        def needs(self): return Needs(("video", "text"))

    class MyObjective(Objective):
        Options = MyOptions
        def losses(self, views, inputs):    # modality -> (N, d) embeddings -> weighted scalars by name
            return {"contrast": ...}

    objective: {kind: "my_losses:MyObjective", options: {temperature: 0.1}}

Conventions
-----------
- `embed` runs the network on what the objective needs, under the step's precision, every row for itself; `losses`
  turns the vectors of all rows, those of other processes too, into weighted scalars in float32. A call does both
  and adds `total`.
- `heads` are networks that only the objective needs; they are trained with the network and left behind with it.
- Clips that lack a modality of a pair are no rows and columns of its similarity matrix. Under `same_video: masked` two
  clips of one video have similarity -infinity: they are no negatives, and no gradient flows. The diagonal stays. A
  term without a pair (no clip has both modalities) is 0 with gradient 0.
- Nothing random is drawn in a step, and everything that changes from step to step is in `state_dict`: a resumed run
  equals an undisturbed one.
"""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mcn.distributed import ALONE, Processes
from mcn.networks import EmbeddingNetwork
from mcn.options.objectives import CONTRACT, ContrastOptions, ObjectiveOptions
from mcn.options.own_parts import load_part, part_errors


class ClusterHealth(NamedTuple):
    """used: clusters with at least one member. largest_share: fraction of the points in the largest cluster.

    drift: movement of all centroids relative to their size, |new - old| / |old| (Frobenius); None without a previous.
    """

    used: int
    largest_share: float
    drift: float | None


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


@dataclass(frozen=True)
class StepInputs:
    """video (N, D); audio (N, 40, T) dB or (N, A); words (N, W, word_width); word_ids (N, W).

    Modalities of `Needs.rows` are rows instead, (N, F, D) or (N, F, A), zero rows pad. frames: (N,) valid log-mel
    frames, None where padding is not masked. present: modality -> (N,) bool. candidates (N, C, W, word_width) with
    `candidates_there` (N, C) bool; units (N, U, D); second: another clip for every clip.
    groups (N,) int64: the annotated step that a clip shows, -1 for none. drawn (N, ...): what the objective itself drew
    for the step. translations (N, L, W, word_width): what is said in each of the languages; translated (N, L) bool:
    whether it has a known word. held: the clips of this process, where `video` and `audio` hold those alone. A loss
    sees such inputs, unless `Needs.whole_streams`, and takes from them what is small.
    """

    video: Tensor
    audio: Tensor
    words: Tensor
    word_ids: Tensor
    clips_per_video: int
    frames: Tensor | None = None
    present: Mapping[str, Tensor] | None = None
    candidates: Tensor | None = None
    candidates_there: Tensor | None = None
    units: Tensor | None = None
    second: StepInputs | None = None
    groups: Tensor | None = None
    drawn: Tensor | None = None
    translations: Tensor | None = None
    translated: Tensor | None = None
    held: slice | None = None

    @property
    def clips(self) -> int:
        """N, those of other processes among them."""
        return len(self.word_ids)

    @property
    def videos(self) -> Tensor:
        """(N,) int64: which of the batch's videos a clip is from."""
        return torch.arange(self.clips, device=self.video.device) // self.clips_per_video

    def share(self, rows: slice) -> StepInputs:
        """The same of some rows: whole videos."""
        if rows == slice(0, self.clips):
            return self
        held = ("video", "audio") if self.held else ()
        assert self.held in (None, rows)
        parts: dict[str, Any] = {}
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                parts[name] = value if name in held else value[rows]
            elif isinstance(value, StepInputs):
                parts[name] = value.share(rows)
        present = {name: row[rows] for name, row in (self.present or {}).items()}
        return replace(self, **parts, present=present, held=None)

    def rows_with(self, *modalities: str) -> Tensor | None:
        """(R,) indices of the clips that have all of them; None where that is every clip."""
        masks = [mask for name, mask in (self.present or {}).items() if name in modalities]
        return torch.stack(masks).all(dim=0).nonzero().squeeze(1) if masks else None


class Objective:
    """Base of all objectives: embeds the modalities that the options need; heads and epochs are its state.

    Options: class of the options; only an objective that is named by `module:Class` has to give it.
    health: of the last clustering, where there is one.
    """

    Options: ClassVar[type[ObjectiveOptions]]
    options: Any  # a subclass says which
    health: ClusterHealth | None = None

    def __init__(self, options: ObjectiveOptions, setting: Setting) -> None:
        self.options, self.setting = options, setting
        self.modalities: tuple[str, ...] = options.needs.modalities
        self.heads = nn.ModuleDict()
        self.epochs_begun = 0

    def __call__(
        self,
        network: EmbeddingNetwork,
        inputs: StepInputs,
        processes: Processes = ALONE,
    ) -> dict[str, Tensor]:
        """Scalars: `total` and each weighted term, of the whole step; `processes` embed their shares of it."""
        with self._blamed():
            return self._terms(network, inputs, processes)

    def _terms(
        self, network: EmbeddingNetwork, inputs: StepInputs, processes: Processes
    ) -> dict[str, Tensor]:
        shape = inputs.clips // inputs.clips_per_video, inputs.clips_per_video
        views = self.embed(network, inputs.share(processes.rows(*shape)))
        views = processes.gather(views, *shape)
        with torch.autocast(inputs.video.device.type, enabled=False):
            wide = {name: at_least_float32(view) for name, view in views.items()}
            terms = self.losses(wide, inputs)
            if not terms or any(
                not isinstance(term, Tensor) or term.dim() for term in terms.values()
            ):
                raise ValueError(f"losses gave {terms!r}, not scalar tensors by name")
            return {"total": torch.stack(list(terms.values())).sum(), **terms}

    def _blamed(self) -> contextlib.AbstractContextManager[None]:
        """Errors in a class that is not of this package name its file and the contract."""
        cls = type(self)
        if cls.__module__.startswith("mcn."):
            return contextlib.nullcontext()
        return part_errors(f"{cls.__module__}:{cls.__qualname__}", CONTRACT)

    def embed(self, network: EmbeddingNetwork, inputs: StepInputs) -> dict[str, Tensor]:
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
    network: EmbeddingNetwork, inputs: StepInputs, modalities: tuple[str, ...]
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


def make_objective(options: ObjectiveOptions, setting: Setting) -> Objective:
    """The objective of some options, its heads on the setting's device."""
    module, _, name = options.part.partition(":")
    if module.startswith("mcn."):
        objective = getattr(importlib.import_module(module), name)(options.resolved, setting)
    else:
        cls: type[Objective] = load_part(options.part, Objective)
        with part_errors(options.part, CONTRACT):
            objective = cls(options.resolved, setting)
    objective.heads.to(setting.device)
    return objective


def at_least_float32(values: Tensor) -> Tensor:
    """`values` in float32 if they are of lower precision, else as they are."""
    return values if values.dtype in (torch.float32, torch.float64) else values.float()


def square(similarity: Tensor) -> Tensor:
    """`similarity` in at least float32; anything but (B, B) with B >= 1: ValueError."""
    if similarity.dim() != 2 or similarity.shape[0] != similarity.shape[1] or not len(similarity):
        raise ValueError(f"similarity must be (B, B) with B >= 1, got {tuple(similarity.shape)}")
    return at_least_float32(similarity)


def both_directions(logits: Tensor) -> Tensor:
    """Cross-entropy of the diagonal over the rows plus the same over the columns; (B, B) -> scalar."""
    target = torch.arange(len(logits), device=logits.device)
    return F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)


def without_same_video(similarity: Tensor, videos: Tensor) -> Tensor:
    """(R, R, ...) similarities with -infinity for two clips of one video; videos (R,): where each clip is from."""
    same = videos.unsqueeze(0) == videos.unsqueeze(1)
    same = same & ~torch.eye(len(videos), dtype=torch.bool, device=videos.device)
    return similarity.masked_fill(same.view(*same.shape, *[1] * (similarity.dim() - 2)), -torch.inf)


def similarity_loss(
    left: Tensor,
    right: Tensor,
    rows: Tensor | None,
    videos: Tensor,
    masked: bool,
    loss: Callable[[Tensor], Tensor],
) -> Tensor:
    """`loss` of the (R, R) dot products of (N, d) and (N, d); rows (R,): clips that count, None: all N."""
    if rows is not None:
        if not len(rows):
            return (left.sum() + right.sum()) * 0
        left, right, videos = left[rows], right[rows], videos[rows]
    similarity = left @ right.t()
    return loss(without_same_video(similarity, videos) if masked else similarity)


def pair_loss(
    views: Mapping[str, Tensor],
    pair: str,
    inputs: StepInputs,
    masked: bool,
    loss: Callable[[Tensor], Tensor],
) -> Tensor:
    """`similarity_loss` of the two modalities that `pair` names, joined by `_`."""
    left, right = pair.split("_")
    rows = inputs.rows_with(left, right)
    return similarity_loss(views[left], views[right], rows, inputs.videos, masked, loss)


class PairObjective(Objective):
    """Sum over pairs of modalities of one loss of their (R, R) similarities: `loss` of a subclass."""

    def __init__(self, options: ContrastOptions, setting: Setting, pairs: tuple[str, ...]) -> None:
        super().__init__(options, setting)
        self.masked, self.pairs = options.same_video == "masked", pairs

    def loss(self, similarity: Tensor) -> Tensor:
        """(R, R) -> scalar."""
        raise NotImplementedError

    def losses(self, views: Mapping[str, Tensor], inputs: StepInputs) -> dict[str, Tensor]:
        terms = [pair_loss(views, pair, inputs, self.masked, self.loss) for pair in self.pairs]
        return {"contrast": torch.stack(terms).sum()}
