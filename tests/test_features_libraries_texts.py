"""Text encoders of libraries beside the library's own one-item pipeline, to 1e-5: sentence-transformers, transformers,
model2vec, gensim, and the embedded sentence encoder with its trained weights. `pytest -s` prints the differences."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mcn.features.registry import make_text_encoder
from mcn.features.runtime import resolve
from mcn.features.vectors import load_vectors
from mcn.options.features import RuntimeOptions, parse_row
from tests import library_models as models

TEXTS = ["cut the onion", "pan", "a b c d e f g", "the pan cut"]
TOLERANCE = 1e-5
TABLE: dict[tuple[str, str], float] = {}


@pytest.fixture(scope="module", autouse=True)
def table() -> Iterator[None]:
    yield
    for (library, kind), difference in sorted(TABLE.items()):
        print(f"\n{library:22} {kind:28} {difference:.1e}", end="")


def encoded(weights: str, texts: Sequence[str] = TEXTS, **values: Any) -> np.ndarray:
    """What the encoder `sentence` makes of texts, in one batch."""
    row: Any = parse_row("said", json.dumps({"encoder": "sentence", "weights": weights, **values}))
    encoder = make_text_encoder(row, resolve(RuntimeOptions(device="cpu"), 1))
    return encoder.encode(list(texts))


def agree(library: str, kind: str, ours: np.ndarray, theirs: Sequence[np.ndarray]) -> None:
    wanted = np.stack(theirs)
    TABLE[library, kind] = float(np.abs(ours - wanted).max())
    assert ours.shape == wanted.shape
    assert np.abs(wanted - wanted[:1]).max() > 1e-3  # texts differ
    assert TABLE[library, kind] <= TOLERANCE


@pytest.mark.parametrize("kind", ["bert", "static"])
def test_sentence_transformers(kind: str, tmp_path: Path) -> None:
    sentences = pytest.importorskip("sentence_transformers")
    folder = str(models.save_sentences(tmp_path / kind, kind))
    model = sentences.SentenceTransformer(folder, device="cpu")
    one = [model.encode([text], normalize_embeddings=True)[0] for text in TEXTS]
    agree("sentence-transformers", kind, encoded(folder), one)
    assert encoded(folder, [" ".join(["pan"] * 50)]).any()


def test_a_plain_model_of_transformers_is_the_mean_of_its_tokens(tmp_path: Path) -> None:
    """A folder as `save_pretrained` writes it, without modules.json; the mean leaves out what fills a batch up."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    models.save_sentences(tmp_path, "bert")
    folder = str(tmp_path / "bert")
    model = transformers.AutoModel.from_pretrained(folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    with torch.inference_mode():
        one = [
            model(**tokenizer([text], return_tensors="pt")).last_hidden_state[0].mean(0).numpy()
            for text in TEXTS
        ]
    agree("transformers", "BERT, mean of tokens", encoded(folder, normalize=False), one)


@pytest.mark.parametrize("normalize", [False, True])
def test_model2vec(normalize: bool, tmp_path: Path) -> None:
    model2vec = importlib.import_module("model2vec")
    tokenizer = models.tokenizer()._tokenizer
    tokenizer.post_processor = None  # it adds no special tokens
    vectors = np.random.default_rng(0).normal(size=(tokenizer.get_vocab_size(), 16))
    model = model2vec.StaticModel(vectors.astype(np.float32), tokenizer, normalize=normalize)
    model.save_pretrained(tmp_path / "static")
    again = model2vec.StaticModel.from_pretrained(tmp_path / "static")
    one = [again.encode([text])[0] for text in TEXTS]
    ours = encoded(str(tmp_path / "static"), normalize=normalize)
    agree("model2vec", "normalised" if normalize else "as saved", ours, one)


@pytest.mark.parametrize("name", ["vectors.bin", "vectors.txt", "vectors.kv"])
def test_gensim(name: str, tmp_path: Path) -> None:
    """Vectors that gensim trains, in each of its formats; text loses digits beyond float32's."""
    from gensim.models import KeyedVectors, Word2Vec

    words = [["cut", "the", "onion"], ["heat", "the", "pan"]] * 20
    trained = Word2Vec(words, vector_size=12, min_count=1, seed=1, workers=1, epochs=2).wv
    path = tmp_path / name
    if name.endswith(".kv"):
        trained.save(str(path))
        own = KeyedVectors.load(str(path))
    else:
        trained.save_word2vec_format(str(path), binary=name.endswith(".bin"))
        own = KeyedVectors.load_word2vec_format(str(path), binary=name.endswith(".bin"))
    found, _ = load_vectors(path, tmp_path / "cache")
    known = sorted(trained.key_to_index)
    agree("gensim", name, np.stack([found[word] for word in known]), [own[word] for word in known])


def test_the_embedded_sentence_encoder_with_its_trained_weights() -> None:
    from mcn.features.embedded import locate

    sentences = pytest.importorskip("sentence_transformers")
    model = sentences.SentenceTransformer(str(locate("embedded:minilm").folder), device="cpu")
    texts = [*TEXTS, "someone pours the batter into a hot pan and waits until it is golden"]
    one = [model.encode([text], normalize_embeddings=True)[0] for text in texts]
    agree(
        "sentence-transformers", "MiniLM, trained weights", encoded("embedded:minilm", texts), one
    )
