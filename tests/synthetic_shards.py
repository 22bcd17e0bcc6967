"""Small shards in which every narration line has one of a few topics, seen, heard and said."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from mcn.files import write_table
from mcn.layout import ModelShards
from mcn.options.model import ModelFeatures
from mcn.shards import FEATURE_SCHEMA, TEXT_SCHEMA, ShardWriter, empty_row, feature_row
from mcn.training.steps import StepTables

WIDTH = 12  # of each visual feature
TOPICS = 24
WORDS = 2 * TOPICS  # topic t is said with words 2t + 1 and 2t + 2
WORD_WIDTH = 8
LINE_SECONDS = 2.0
LINES = 8


def write_topic_shards(
    folder: Path,
    videos: int = 10,
    shards: int = 2,
    seed: int = 0,
    spoil: bool = False,
    audio: str = "logmel",
) -> ModelShards:
    """Shards of four features and a vocabulary; `spoil` adds videos that cannot be trained on.

    audio: the feature that the log-mels are written as; `davenet` makes them pass for vectors of a network.
    """
    rng = np.random.default_rng(seed)
    looks = rng.random((TOPICS, 2, WIDTH)) ** 3
    sounds = -80 * rng.random((TOPICS, 40)) ** 0.5
    names = ("resnet152", "resnext101", audio, "word2vec")
    stores = {name: [folder / name / f"{i:05d}.parquet" for i in range(shards)] for name in names}
    rows: dict[str, list[list[dict]]] = {name: [[] for _ in range(shards)] for name in names}
    for number in range(videos):
        made = _video(f"video{number:02d}", looks, sounds, rng)
        for name in names:
            rows[name][number % shards].append(made["audio" if name == audio else name])
    if spoil:
        for name, spoiled in _spoiled(looks, sounds, rng).items():
            rows[audio if name == "audio" else name][0] += spoiled
    for name in names:
        schema = TEXT_SCHEMA if name == "word2vec" else FEATURE_SCHEMA
        for path, content in zip(stores[name], rows[name], strict=True):
            with ShardWriter(path, schema, {"feature": name, "version": 1}) as shard:
                for row in content:
                    shard.write(row)
    vectors = rng.standard_normal((WORDS, WORD_WIDTH)).astype("<f4")
    table = {"token": [f"w{i}" for i in range(WORDS)], "vector": [v.tobytes() for v in vectors]}
    schema = pa.schema([("token", pa.string()), ("vector", pa.large_binary())])
    write_table(folder / "vocabulary.parquet", pa.table(table, schema=schema))
    _write_steps(folder, rows["word2vec"])
    return ModelShards(
        {name: stores[name] for name in names[:2]},
        {audio: stores[audio]},
        {"word2vec": stores["word2vec"]},
        folder / "vocabulary.parquet",
    )


def step_tables(data: ModelShards) -> StepTables:
    """Which topic every video shows when, as annotated steps of one task."""
    shards = next(shards for shards in (*data.video.values(), *data.audio.values()) if shards)
    folder = shards[0].parent.parent
    return StepTables(folder / "tasks.parquet", folder / "steps.parquet")


def _write_steps(folder: Path, narration: list[list[dict]]) -> None:
    named = [{"task": "all", "step": t, "text": f"topic {t:02d}"} for t in range(TOPICS)]
    shown = [
        {
            "video_id": row["video_id"],
            "task": "all",
            "step": (tokens[0] - 1) // 2,
            "start_seconds": start,
            "end_seconds": end,
        }
        for shard in narration
        for row in shard
        for start, end, tokens in zip(row["starts"], row["ends"], row["tokens"], strict=True)
        if tokens
    ]
    write_table(folder / "tasks.parquet", pa.Table.from_pylist(named))
    write_table(folder / "steps.parquet", pa.Table.from_pylist(shown))


def read_by(shards: ModelShards, features: ModelFeatures) -> ModelShards:
    """The shards of the features that a model or its training reads."""
    named, audio = set(features.names), {features.audio}
    return ModelShards(
        {name: paths for name, paths in shards.video.items() if name in named},
        {name: paths for name, paths in shards.audio.items() if audio != {None}},
        {name: paths for name, paths in shards.text.items() if name in named},
        shards.vocabulary if features.text else None,
    )


def _video(video_id: str, looks: np.ndarray, sounds: np.ndarray, rng: np.random.Generator) -> dict:
    topics = rng.permutation(TOPICS)[:LINES]
    seconds = LINES * LINE_SECONDS
    starts = [LINE_SECONDS * line for line in range(LINES)]

    def seen(stream: int, rate: float) -> np.ndarray:
        times = np.arange(int(seconds * rate)) / rate
        mean = looks[topics[(times / LINE_SECONDS).astype(int)], stream]
        return mean + 0.05 * rng.random(mean.shape)

    frames = np.arange(int(seconds * 100)) / 100
    mel = sounds[topics[(frames / LINE_SECONDS).astype(int)]] - rng.random((len(frames), 40))
    tokens = [[int(2 * t + 1), int(2 * t + 2)][: 1 + line % 2] for line, t in enumerate(topics)]
    return {
        "resnet152": feature_row(video_id, seen(0, 1.0), 0.0, 1.0),
        "resnext101": feature_row(video_id, seen(1, 1.5), 0.0, 16 / 24),
        "audio": feature_row(video_id, mel, 0.0, 0.01),
        "word2vec": text_row(video_id, starts, [s + LINE_SECONDS for s in starts], tokens),
    }


def text_row(video_id: str, starts: list, ends: list, tokens: list) -> dict:
    """A narration row whose texts are made up."""
    head = {"video_id": video_id, "status": "ok", "error": ""}
    texts = [" ".join(f"w{token - 1}" for token in line) for line in tokens]
    spoken = {"texts": texts, "languages": ["en"] * len(texts), "tokens": tokens}
    return {**head, "starts": starts, "ends": ends, **spoken}


def _spoiled(looks: np.ndarray, sounds: np.ndarray, rng: np.random.Generator) -> dict:
    """Videos without sound, with a failed stream, without a known word, spoken after their end, and half a row."""
    made = [_video(f"spoiled{number}", looks, sounds, rng) for number in range(5)]
    made[0]["audio"] = empty_row(FEATURE_SCHEMA, "spoiled0", "missing", "no_audio: none")
    made[1]["resnext101"] = empty_row(FEATURE_SCHEMA, "spoiled1", "failed", "timeout: 60 s")
    made[2]["word2vec"] = text_row("spoiled2", [0.0, 2.0], [2.0, 4.0], [[], []])
    made[3]["word2vec"] = text_row("spoiled3", [90.0], [95.0], [[3]])
    rows = {name: [video[name] for video in made] for name in made[0]}
    rows["resnet152"].pop()  # spoiled4 has no row here
    return rows
