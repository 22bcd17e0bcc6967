"""A small evaluation set on disk: shards, annotations, a vocabulary and an untrained network, all seeded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch

from mcn.evaluation.embed import EvaluatedModel
from mcn.evaluation.model import features_of
from mcn.files import write_table
from mcn.layout import ModelShards
from mcn.networks import MultimodalClusteringNetwork
from mcn.networks.checkpoints import load_model, save_model
from mcn.options.evaluation import EvaluationOptions
from mcn.shards import FEATURE_SCHEMA, ShardWriter, empty_row, feature_row
from mcn.sources.annotation_tables import CAPTIONS, STEPS, TASKS

SECONDS, WIDTH, WORD_WIDTH = 20, 6, 5
WORDS = ["pour", "water", "cut", "the", "bread", "stir", "Tea", "it's"]
GOOD, SILENT, BROKEN = ("kettle", "toast", "soup", "cake"), "mute", "gone"
TASK_STEPS = ["pour water", "cut the bread", "stir Tea"]


@dataclass(frozen=True)
class EvaluationSet:
    """Paths of everything a stage needs."""

    root: Path
    shards: dict[str, list[Path]]

    def path(self, name: str) -> Path:
        return self.root / name


def make_model(frozen: bool = False, audio: bool = True) -> MultimodalClusteringNetwork:
    """A tiny network with batch norms that are not the identity."""
    torch.manual_seed(0)
    model = MultimodalClusteringNetwork(
        2 * WIDTH,
        WORD_WIDTH,
        16,
        davenet_widths=None if frozen or not audio else (4, 4, 6, 8),
        audio_width=8 if audio else None,
        reconstruction_width=None,
    )
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.normal_(module.bias, 0, 0.5)
    return model.eval()


def make_set(root: Path) -> EvaluationSet:
    """Six videos in two shards a feature: four whole, one without sound, one without pictures."""
    generator = np.random.default_rng(0)
    layout = {
        "resnet152": (1.0, SECONDS, WIDTH),
        "resnext101": (16 / 24, 30, WIDTH),
        "logmel": (0.01, 100 * SECONDS + 1, 40),
        "davenet": (0.16, 125, 8),
    }
    shards: dict[str, list[Path]] = {}
    for name, (step, length, width) in layout.items():
        for number, videos in enumerate(((*GOOD[:2], SILENT), (*GOOD[2:], BROKEN))):
            path = root / name / f"{number:05d}.parquet"
            shards.setdefault(name, []).append(path)
            with ShardWriter(path, FEATURE_SCHEMA, {"feature": name}) as shard:
                for video in videos:
                    values = generator.random((length, width)) * (-80 if name == "logmel" else 1)
                    shard.write(_row(name, video, values, step))
    _annotate(root, generator)
    save_model(root / "model", make_model(), {})
    return EvaluationSet(root, shards)


def evaluated(
    small: EvaluationSet,
    options: EvaluationOptions,
    model: MultimodalClusteringNetwork | None = None,
    video: Sequence[str] = ("resnet152", "resnext101"),
    **about: Any,
) -> EvaluatedModel:
    """The set's model, or one at hand, with the set's features and all tables of its folder."""
    config: dict[str, Any] = {}
    if model is None:
        model, config = load_model(small.path("model"))
    heard = "davenet" if model.DAVEnet is None else "logmel"
    named = {"video": list(video), "audio": heard, "text": "word2vec"}
    reads = features_of({"features": named}, model)
    missing = [small.root / "no.parquet"]
    visual = {name: small.shards.get(name, missing) for name in reads.video}
    sound = {reads.audio: small.shards.get(reads.audio, missing)} if reads.audio else {}
    text: dict[str, list[Path]] = {reads.text: []} if reads.text else {}
    shards = ModelShards(visual, sound, text, small.path("vocabulary.parquet") if text else None)
    tables = {path.stem: path for path in small.root.glob("*.parquet")}
    about = {"experiment": "experiment", "dataset": "demo", "tables": tables, **about}
    found = EvaluatedModel.of(model, shards, about.pop("tables"), options, config=config, **about)
    return found


def without_audio(small: EvaluationSet, root: Path) -> EvaluationSet:
    """The same set at `root`, visual features only, with a network that has no audio branch."""
    save_model(root / "model", make_model(audio=False), {})
    for name in ("captions", "tasks", "steps", "vocabulary"):
        (root / f"{name}.parquet").write_bytes(small.path(f"{name}.parquet").read_bytes())
    return EvaluationSet(root, {n: p for n, p in small.shards.items() if n.startswith("res")})


def _row(name: str, video: str, values: np.ndarray, step: float) -> dict[str, object]:
    audible = name in ("logmel", "davenet")
    if audible and video in (SILENT, BROKEN):
        return empty_row(FEATURE_SCHEMA, video, "missing", "no_audio: no such stream")
    if not audible and video == BROKEN:
        return empty_row(FEATURE_SCHEMA, video, "failed", "truncated: ends early")
    return feature_row(video, values, 0.0, step)


def _annotate(root: Path, generator: np.random.Generator) -> None:
    captions = [
        (f"{video}-{n}", video, 6.0 * n, 6.0 * n + 5, " ".join(generator.choice(WORDS, 3)), "en")
        for video in (*GOOD, SILENT, BROKEN)
        for n in range(3)
    ]
    captions[1] = (*captions[1][:4], "nothing known", "en")
    _write(root / "captions.parquet", CAPTIONS, captions)
    _write(root / "tasks.parquet", TASKS, [("make", n, text) for n, text in enumerate(TASK_STEPS)])
    steps = [
        (video, "make", n, 5.0 * n + 0.4, 5.0 * n + 3.2, None)
        for video in (*GOOD, SILENT, BROKEN)
        for n in range(3)
    ]
    _write(root / "steps.parquet", STEPS, steps)
    rows = [(word, generator.standard_normal(WORD_WIDTH).astype("<f4").tobytes()) for word in WORDS]
    vocabulary = pa.schema([("token", pa.string()), ("vector", pa.large_binary())])
    _write(root / "vocabulary.parquet", vocabulary, rows)


def _write(path: Path, schema: pa.Schema, rows: list[tuple]) -> None:  # type: ignore[type-arg]
    records = [dict(zip(schema.names, row, strict=True)) for row in rows]
    write_table(path, pa.Table.from_pylist(records, schema=schema))
