"""Word vectors trained on narration: sentences, both algorithms, equal bytes, and what cannot be trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from mcn.cli import main
from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.features.train_vectors import train_vectors
from mcn.features.vectors import load_vectors
from mcn.files import write_table
from mcn.options.encoders import TextOptions
from mcn.options.features import parse_row
from mcn.sources.annotation_tables import NARRATION

TOPICS = (("Onion", "knife", "chop", "board"), ("wheel", "bolt", "wrench", "car"))


@pytest.fixture(scope="module")
def narration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty talks about one topic each, in English and in made-up German, of lines of two words out of order."""
    path = tmp_path_factory.mktemp("narration") / "00000.parquet"
    rng = np.random.default_rng(0)
    rows = []
    for number in range(40):
        topic = TOPICS[number % 2]
        for language, ending in (("en", ""), ("de", "ß")):
            for line in rng.permutation(12).tolist():
                words = " ".join(f"{one}{ending}" for one in rng.choice(topic, 2))
                rows.append((f"v{number}", float(line), line + 1.0, words, language))
    write_table(
        path, pa.Table.from_pylist([dict(zip(NARRATION.names, r, strict=True)) for r in rows])
    )
    return path


def options(**train: object) -> TextOptions:
    given = {"dataset": "talks", "width": 8, "epochs": 20, **train}
    row = {"vectors": "results/weights/own.bin", "case": "lower", "train": given}
    found = parse_row("word2vec", str(row).replace("'", '"'))
    assert isinstance(found, TextOptions)
    return found


@pytest.mark.parametrize("algorithm", ["skip_gram", "cbow"])
def test_words_of_one_topic_lie_together(narration: Path, tmp_path: Path, algorithm: str) -> None:
    made = [tmp_path / name for name in ("one.bin", "two.bin")]
    for path in made:
        train_vectors([narration], path, options(algorithm=algorithm))
    assert made[0].read_bytes() == made[1].read_bytes()
    vectors, _ = load_vectors(made[0], tmp_path / "cache")
    assert sorted(vectors.key_to_index) == sorted(
        f"{word.lower()}{end}" for topic in TOPICS for word in topic for end in ("", "ß")
    )
    near = np.mean([vectors.similarity("onion", word) for word in ("knife", "chop", "board")])
    far = np.mean([vectors.similarity("onion", word) for word in ("wheel", "bolt", "car")])
    # English and German of a video are no neighbours of each other: they are sentences of their own
    foreign = np.mean([vectors.similarity("onion", word) for word in ("knifeß", "chopß")])
    assert near > max(far, foreign) + 0.2


def test_the_verb_writes_what_the_row_says(narration: Path, tmp_path: Path) -> None:
    train_vectors([narration], tmp_path / "by_hand.bin", options())
    words = ["train-vectors", "word2vec", narration, "--output", tmp_path / "by_verb.bin"]
    row = options().model_dump_json()
    assert main([*map(str, words), "--options", row]) in (0, None)
    assert (tmp_path / "by_verb.bin").read_bytes() == (tmp_path / "by_hand.bin").read_bytes()


def test_too_little_narration_is_an_error(narration: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no word that is said 100000 times in talks"):
        train_vectors([narration], tmp_path / "none.bin", options(min_count=100_000))
    assert not (tmp_path / "none.bin").exists()


def test_mistakes_are_named_before_the_run() -> None:
    values = {
        "datasets": {"talks": {"manifest": "m.csv"}},
        "features": {"own": {"kind": "text", "encoder": "word2vec", "vectors": "own.bin"}},
        "experiments": {"one": {"dataset": "talks", "model": {"text": "own"}}},
    }
    values["features"]["own"]["train"] = {"dataset": "talks"}
    with pytest.raises(UserError, match=r"path results/weights/NAME\.bin"):
        configure(values)
    values["features"]["own"] |= {
        "vectors": "results/weights/own.bin",
        "train": {"dataset": "talk"},
    }
    with pytest.raises(UserError, match=r"own\.train\.dataset: no data set 'talk', did you mean"):
        configure(values)
