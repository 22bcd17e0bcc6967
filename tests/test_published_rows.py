"""Each row of the paper's tables has the numbers of its own released command: config/paper.yaml, config/finetune.yaml.

What is wanted is written down here a second time, from the commands of the README files and configurations: MCN README,
HowTo100M README, AVLnet training.md and README, Everything at Once configs/.
"""

from __future__ import annotations

from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from mcn.config.configuration import Configuration, configure
from mcn.options.base import laid_over

ROOT = Path(__file__).parent.parent


def overlay(*names: str) -> Configuration:
    read = [yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", *names)]
    values: dict[str, Any] = reduce(laid_over, read)
    for section in ("datasets", "experiments"):  # null leaves out
        values[section] = {name: one for name, one in values[section].items() if one is not None}
    return configure(values)


def found(settings: Configuration, name: str, keys: dict[str, Any]) -> dict[str, Any]:
    """The values of dotted keys of an experiment."""
    return {key: reduce(getattr, key.split("."), settings.experiments[name]) for key in keys}


# epochs, videos, clips of each, width, rate, seconds, 10 ms of sound, warm-up steps, schedule
KEYS = (
    "training.epochs",
    "training.videos_per_batch",
    "training.clips_per_video",
    "model.embedding_width",
    "training.learning_rate",
    "training.min_clip_seconds",
    "training.audio_frames",
    "training.warmup_steps",
    "training.schedule",
)
ROWS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "mcn_howto100m": (
        (30, 128, 32, 6144, 1e-4, 10, 1000, 5000, "cosine"),
        {"objective.kind": "mcn", "objective.clusters": 256, "objective.queue_steps": 20},
    ),
    "miech_howto100m": (
        (15, 32, 64, 4096, 1e-4, 5, 1000, 0, "epochs"),
        {"objective.kind": "max_margin", "objective.margin": 0.1, "training.epoch_decay": 0.9},
    ),
    "mil_nce_howto100m": (
        (30, 128, 32, 4096, 1e-4, 5, 1000, 5000, "cosine"),
        {"model.normalize": "at_test", "training.window": "widened", "objective.candidates": 4},
    ),
    "avlnet_howto100m": (
        (30, 128, 32, 4096, 1e-3, 10, 1000, 0, "epochs"),
        {"objective.text": "none", "objective.windows": "random", "training.epoch_decay": 0.9},
    ),
    "avlnet_text_howto100m": (
        (15, 256, 32, 6144, 2.5e-4, 8, 800, 0, "epochs"),
        {"objective.text": "tri"},
    ),
    "avlnet_fused_howto100m": (
        (15, 64, 32, 4096, 1e-4, 10, 1000, 0, "epochs"),
        {"objective.text": "fused", "objective.variant": "released"},
    ),
    "eao_howto100m": (
        (15, 224, 10, 6144, 5e-5, 8, 768, 0, "epochs"),
        {
            "objective.variant": "released",
            "objective.visual_tokens": 12,
            "objective.fusion_width": 4096,
            "objective.fusion_heads": 64,
            "objective.fusion_layers": 1,
            "objective.temperature": 0.05,
            "training.sampling": "moments",
            "training.sound_shift_seconds": 4,
            "model.davenet_widths": (128, 256, 512, 1024, 2048, 4096),
        },
    ),
}


@pytest.fixture(scope="module")
def paper() -> Configuration:
    return overlay("config/paper.yaml")


@pytest.mark.parametrize("name", ROWS)
def test_rows_follow_their_released_commands(paper: Configuration, name: str) -> None:
    numbers, others = ROWS[name]
    wanted = dict(zip(KEYS, numbers, strict=True)) | others
    assert found(paper, name, wanted) == wanted


def test_every_row_that_is_trained_stands_in_this_table(paper: Configuration) -> None:
    assert {name for name, one in paper.experiments.items() if not one.checkpoint} == set(ROWS)


# epochs, clips, width, rate, schedule, 10 ms of sound, where it starts
TUNED = {
    "avlnet_youcook2": (5, 256, 4096, 1e-4, "constant", 5120, "weights/AVLnet_release.pth"),
    "avlnet_msrvtt": (5, 256, 4096, 1e-4, "constant", 3072, "weights/AVLnet_release.pth"),
    "avlnet_scratch_youcook2": (15, 64, 4096, 1e-4, "constant", 5120, None),
    "avlnet_scratch_msrvtt": (15, 64, 2048, 1e-4, "constant", 3072, None),
    "avlnet_text_youcook2": (3, 256, 6144, 1e-4, "epochs", 5120, "weights/AVLnet_Text_Tri_release.pth"),
    "avlnet_text_msrvtt": (15, 256, 6144, 1e-4, "constant", 3072, "weights/AVLnet_Text_Tri_release.pth"),
    "avlnet_fused_youcook2": (5, 256, 4096, 1e-5, "constant", 5120, "weights/AVLnet_Text_Fused_release.pth"),
    "avlnet_fused_msrvtt": (5, 256, 4096, 1e-5, "constant", 3072, "weights/AVLnet_Text_Fused_release.pth"),
    "miech_youcook2": (50, 256, 6144, 1e-4, "constant", 5120, "weights/howto100m_pt_model.pth"),
    "miech_msrvtt": (50, 256, 6144, 1e-4, "constant", 5120, "weights/howto100m_pt_model.pth"),
    "eao_youcook2": (25, 256, 6144, 5e-5, "epochs", 4608, "weights/everything_at_once_tva/latest_model.pth"),
    "eao_msrvtt": (25, 128, 6144, 5e-5, "epochs", 3072, "weights/everything_at_once_tva/latest_model.pth"),
}  # fmt: skip
TUNED_KEYS = (
    "training.epochs",
    "training.videos_per_batch",
    "model.embedding_width",
    "training.learning_rate",
    "training.schedule",
    "training.audio_frames",
    "training.start_from",
)


@pytest.mark.parametrize("name", TUNED)
def test_fine_tuning_follows_the_released_commands(name: str) -> None:
    wanted = dict(zip(TUNED_KEYS, TUNED[name], strict=True))
    settings = overlay("config/finetune.yaml")
    assert found(settings, name, wanted) == wanted
    assert settings.experiments[name].training.clips_per_video == 1
    assert set(settings.experiments) == set(TUNED)


def test_the_second_stage_follows_train_avlnet() -> None:
    settings = overlay("config/second_stage.yaml")
    (name,) = [
        one
        for one, options in settings.experiments.items()
        if options.training.start_from and not options.checkpoint
    ]
    wanted = {"training.epochs": 10, "objective.cluster_reduction": "fused"}
    assert found(settings, name, wanted) == wanted
    official = settings.datasets[str(settings.experiments[name].dataset)].official
    assert official is not None
    assert official.split == "videopaths_336"
