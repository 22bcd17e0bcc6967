"""What a training run can be told: network sizes, objective, schedule. Defaults are the published values.

Conventions
-----------
- Every field carries its unit and its source, as `mcn.options.objectives` describes; `MCN README` is the released
  training command.
- A field with `role="runtime"` changes when something is written down or read ahead, never a number; devices and
  threads are arguments of `mcn.training.train.train`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import model_validator

from mcn.options.base import LanguageCode, Options, field
from mcn.options.clustering import ClusteringOptions
from mcn.options.evaluation import OwnEvaluation
from mcn.options.model import ModelFeatures, ModelOptions
from mcn.options.objective_kinds import AnyObjective
from mcn.options.objectives import Needs
from mcn.options.recipes import RecipeName
from mcn.options.row import FeatureOptions
from mcn.options.tasks import TASKS

HELD_OUT = "held out"  # why a video that could be trained on is not


class TrainingOptions(Options):
    """Batches, schedule, numerics and book-keeping."""

    seed: int = field(1, "seed of weights, sampling and clustering", "", "MCN --seed", ge=0)
    epochs: int = field(30, "passes over the videos", "epochs", "MCN README", ge=1)
    videos_per_batch: int = field(
        128, "videos in a step; an incomplete last batch is dropped", "videos", "MCN README", ge=1
    )
    clips_per_video: int = field(
        32, "clips drawn of each video", "clips", "MCN README --n_pair", ge=1
    )
    sampling: Literal["with_replacement", "distinct", "moments"] = field(
        "with_replacement",
        "with_replacement: a line may be drawn twice and is then a negative of itself; "
        "distinct: no line is drawn twice before every line was drawn once; moments: a window of min_clip_seconds is "
        "drawn, and the clip is that of the line which is said at its beginning, or else at its end, or else the "
        "window, without words",
        "",
        "MCN youtube_dataloader.py:100; moments: Everything at Once howto_dataset.py",
    )
    sound_shift_seconds: float = field(
        0.0,
        "how much later than its pictures the sound of a clip around a line begins, which then lasts min_clip_seconds, "
        "so that it does not say what the text says; 0: the sound of the clip",
        "s",
        "4: Everything at Once howto_dataset.py, flag_text_audio_misaligned",
        ge=0,
    )
    small_sets: Literal["shrink", "repeat", "refuse"] = field(
        "shrink",
        "fewer videos than videos_per_batch: shrink the batch, repeat videos in it, or stop",
    )
    empty_clips: Literal["redraw", "mask", "keep"] = field(
        "redraw",
        "clips without a known word, a feature row or an audio frame: redraw another clip (counted); mask: keep those "
        "with two modalities, also of videos without sound, and leave out of the loss what a clip lacks (counted); "
        "keep: train on zero vectors (counted)",
        "",
        "keep: MCN youtube_dataloader.py",
    )
    leave_out_evaluated: bool = field(
        False,
        "leave out videos that stand in a scored data set too, by id or content (results/DATASET/leaks.csv)",
        strict=True,
    )
    held_out_share: float = field(
        0.0,
        "share of the videos that could be trained on which are left out, chosen by the digests of their ids: on their "
        "narration a head on a frozen pair is compared with the pair, and only one that is better answers searches",
        "of the videos",
        "ours",
        ge=0,
        lt=1,
    )
    window: Literal["joined", "widened"] = field(
        "joined",
        "a clip around a narration line: lines are joined until min_clip_seconds; widened: the line alone, with as "
        "much time on both sides, in whole seconds",
        "",
        "joined: HowTo100M, AVLnet, MCN youtube_dataloader.py; widened: MIL-NCE, MCN youtube_mil_dataloader.py",
    )
    early_sound: Literal["kept", "lost"] = field(
        "kept",
        "sound of a clip that starts before 12.5 ms, whose first log-mel column would be negative: kept from column 0, "
        "or lost",
        "",
        "lost: MCN youtube_dataloader.py:140",
    )
    min_clip_seconds: float = field(
        10.0,
        "narration lines are joined until a clip is this long",
        "s",
        "MCN README --min_time",
        ge=0,
    )
    max_words: int = field(
        20, "words of a clip; further ones are cut", "words", "MCN args.py", ge=1
    )
    languages: tuple[LanguageCode, ...] = field(
        (),
        "languages of the narration lines that are trained on, such as [en, de]; []: all. Lines are joined to clips "
        "with others of their own language alone",
    )
    audio_frames: int = field(
        1000,
        "log-mel frames of a clip, 10 ms each; longer cut, shorter padded",
        "frames",
        "MCN README --howto_audio_frames",
        ge=16,
    )
    start_from: str | None = field(
        None,
        "model that the weights start from: a folder (results/models/NAME), or a published checkpoint of MCN, AVLnet "
        "or HowTo100M; null: drawn from the seed",
        "",
        "MCN, AVLnet --pretrain_path",
    )
    start_state: Literal["weights", "all"] = field(
        "weights",
        "weights: the optimiser and the clustering are fresh; all: Adam's moments, centroids and queue go on, of a "
        "model trained with keep_state, or Adam's of a published amp_checkpoint.pt",
        "",
        "all: MCN train_tri_kmeans.py --apex_level=1",
    )
    keep_state: bool = field(
        False,
        "keep the state of the optimiser and the clustering beside the model, for `start_state: all` (about twice the "
        "model's size)",
        strict=True,
    )
    keep_epochs: int | None = field(
        None,
        "keep the model after every so many epochs, as NAME_e1, NAME_e2, ...; `snakemake sweep` scores them; null: the "
        "last one alone",
        "epochs",
        "1: MCN, AVLnet and HowTo100M write e1.pth, e2.pth, ...",
        ge=1,
    )
    learning_rate: float = field(1e-4, "highest learning rate of Adam", "", "MCN README --lr", gt=0)
    schedule: Literal["cosine", "epochs", "constant"] = field(
        "cosine",
        "of the learning rate after the warm-up: half a cosine to 0 at the last step; times epoch_decay after every "
        "epoch; or constant",
        "",
        "cosine: MCN train_tri_kmeans.py; epochs: HowTo100M, AVLnet train.py --lr_decay",
    )
    epoch_decay: float = field(
        0.9,
        "factor of the learning rate after each epoch, under `schedule: epochs`",
        "times",
        "HowTo100M, AVLnet args.py",
        gt=0,
        le=1,
    )
    schedule_start_step: int = field(
        0,
        "where the schedule begins, the count that a resumed released run goes on with",
        "steps",
        "MCN train_tri_kmeans.py:228",
        ge=0,
    )
    betas: tuple[float, float] = field((0.9, 0.999), "decay of Adam's moments", "", "MCN")
    weight_decay: float = field(0.0, "L2 penalty in Adam", "", "MCN", ge=0)
    warmup_steps: int = field(
        5000, "linear rise from 0, before the schedule", "steps", "MCN --warmup_steps", ge=0
    )
    batch_norm: Literal["shared", "per_process", "frozen"] = field(
        "shared",
        "statistics of batch norms where several processes share a step: over all of them, so that they equal one "
        "process, or over each one's videos, as under DataParallel; frozen: those of the model that the run starts "
        "from",
        "",
        "per_process: MCN, AVLnet train.py (DataParallel on 2 or 4 GPUs); frozen: Everything at Once, "
        "use_eval_mode_always",
    )
    gradient_clip: float | None = field(
        None, "largest norm of the gradient; null: no clipping", "", "MCN: none", gt=0
    )
    loss_limit: float = field(
        100.0,
        "training stops where the loss is this many times that of the first step",
        "times",
        gt=1,
    )
    log_every_steps: int = field(
        10, "a line of metrics every so many steps", "steps", role="runtime", ge=1
    )
    checkpoint_every_steps: int = field(
        500, "a checkpoint every so many steps", "steps", role="runtime", ge=1
    )
    early_every_epochs: int = field(
        1,
        "zero-shot scores every so many epochs, where an early evaluation set is configured",
        "epochs",
        ge=1,
    )
    loader_workers: int = field(
        0,
        "processes that read clips ahead; 0: a thread does",
        "processes",
        "74 in MCN README",
        role="runtime",
        ge=0,
    )
    read_ahead: int = field(4, "batches kept ready", "batches", role="runtime", ge=1)

    @model_validator(mode="after")
    def _moments_may_lack_words(self) -> TrainingOptions:
        if self.sampling == "moments" and self.empty_clips == "redraw":
            cure = "set empty_clips to mask or keep"
            raise ValueError(
                f"sampling: moments gives clips without words, which are not drawn again; {cure}"
            )
        return self


class ExperimentOptions(Options):
    """One model to train."""

    recipe: RecipeName | None = field(
        None,
        "sets every switch of the table of docs/published.md at once; one that is given beside it wins. null: defaults",
        role="runtime",
    )
    model: ModelOptions = ModelOptions()
    objective: AnyObjective = ClusteringOptions()
    training: TrainingOptions = TrainingOptions()

    @property
    def needs(self) -> Needs:
        """What the objective needs, and what a head on a frozen pair does."""
        needs = self.objective.needs
        if self.model.residual_on is None:
            return needs
        rows = tuple(name for name in needs.modalities if name != "text")
        return needs._replace(rows=rows, network="ResidualPair")

    @property
    def features(self) -> ModelFeatures:
        """What the trained network reads: audio and text only where the objective trains them."""
        model, needs = self.model, self.objective.needs
        trained, one_alone = needs.modalities, needs.fits_text
        return ModelFeatures(
            model.video if "video" in trained or not one_alone else (),
            model.audio if "audio" in trained else None,
            model.text if "text" in trained or one_alone else None,
        )

    @property
    def training_features(self) -> ModelFeatures:
        """What training reads: `features`, and the narration that clips are taken around."""
        lines = self.objective.needs.windows == "lines"
        return self.features._replace(text=self.model.text) if lines else self.features

    def feature_problems(self, rows: Mapping[str, FeatureOptions]) -> list[str]:
        """What is wrong with the features of `model`, a line each. rows: every feature that there is, by name."""
        named = self.model.features.by_modality
        problems = self.model.features.problems({name: row.kind for name, row in rows.items()})
        needs, kind = self.objective.needs, self.objective.kind
        lacking = [name for name in needs.modalities if not named[name]]
        for modality in lacking:
            cure = f"name {modality} features, or choose an objective without {modality}"
            problems.append(
                f"model.{modality}: none, and the objective {kind} needs {modality}; {cure}"
            )
        if needs.fits_text:
            (modality,) = needs.modalities
            if len(named[modality]) > 1:
                found = ", ".join(named[modality])
                problems.append(
                    f"model.{modality}: {found}; {kind} learns from the rows of one feature; name one"
                )
        if needs.windows == "lines" and not self.model.text and "text" not in lacking:
            cure = "name a text feature"
            problems.append(
                f"model.text: none, and {kind} takes clips around narration lines; {cure}"
            )
        return problems

    def measurable(self, task: str, own: OwnEvaluation | None = None) -> bool:
        """Whether what is trained has the modalities of an evaluation of `TASKS`, or of one of the user's own."""
        named = {modality for modality, names in self.features.by_modality.items() if names}
        needs = self.objective.needs
        modalities = named & {*needs.modalities, *(["text"] if needs.fits_text else [])}
        if own or task != "retrieval":  # which ranks joined modalities too
            modalities -= set(needs.only_joined)
        return modalities >= set(own.modalities) if own else TASKS[task].suits(modalities)
