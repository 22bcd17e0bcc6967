"""Model folders as models of mteb: a small local task of the library's own classes through `mteb.evaluate`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import mteb
import numpy as np
import pytest
from datasets import Audio, Dataset, Value, Video
from mteb.abstasks.retrieval import AbsTaskRetrieval
from mteb.abstasks.retrieval_dataset_loaders import RetrievalSplitData
from mteb.abstasks.task_metadata import TaskMetadata

from mcn.cli import main
from mcn.errors import UserError
from mcn.search.scoreboard import ScoreboardModel, run_tasks, undecoded
from tests import library_models as models
from tests.media_files import make

transformers = pytest.importorskip("transformers")

VIDEOS = ("plain.mp4", "mpeg4.avi", "vp9.webm", "text.mp4")  # the last is no video
QUERIES = ("cut the onion", "the pan", "a b c")
TOLD = '{"kind": "frozen", "model": {"video": ["seen"], "text": "said"}}'


class Kitchen(AbsTaskRetrieval):
    """Three queries, four files; query i wants file i."""

    metadata = TaskMetadata(
        name="Kitchen",
        description="A few small files.",
        dataset={"path": "none", "revision": "1"},
        reference="https://example.org",
        type="Any2AnyRetrieval",
        category="t2v",
        modalities=["text", "video"],
        eval_splits=["test"],
        eval_langs=["eng-Latn"],
        main_score="ndcg_at_10",
        date=("2024-01-01", "2024-01-02"),
        domains=["Web"],
        task_subtypes=[],
        license="cc-by-4.0",
        annotations_creators="derived",
        dialect=[],
        sample_creation="found",
        bibtex_citation="",
    )

    def load_data(self, **_: Any) -> None:
        files = [make(name).read_bytes() for name in VIDEOS]
        corpus = Dataset.from_dict({"id": list(VIDEOS), "video": files})
        queries = Dataset.from_dict({"id": list("xyz"), "text": list(QUERIES)})
        wanted = dict(zip("xyz", VIDEOS, strict=False))
        self.dataset = {
            "default": {
                "test": RetrievalSplitData(
                    corpus=corpus.cast_column("video", Video()),
                    queries=queries,
                    relevant_docs={query: {video: 1} for query, video in wanted.items()},
                    top_ranked=None,
                )
            }
        }
        self.data_loaded = True


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A frozen pair of a small CLIP with random weights."""
    root = tmp_path_factory.mktemp("pair")
    models.save_transformers(root / "pair", "clip")
    rows = {
        "seen": {"encoder": "transformers_picture", "model": str(root / "pair")},
        "said": {"encoder": "transformers_text", "model": str(root / "pair")},
    }
    words = ["freeze", "--options", TOLD, "--rows", json.dumps(rows)]
    assert main([*words, "--runtime", "{device: cpu}", "--output", str(root / "model")]) == 0
    (root / "model/settings.json").write_text(json.dumps({"features": rows}))
    return root / "model"


def test_a_task_of_the_library_scores_a_model(
    model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """NDCG at 10 of one right file is 1 / log2(1 + rank); the broken file has similarity 0 to everything."""
    wrapped = ScoreboardModel(model)
    assert wrapped.mteb_model_meta.name == "mcn/model"
    assert wrapped.mteb_model_meta.modalities == ["text", "video", "image"]
    found = mteb.evaluate(wrapped, [Kitchen()], cache=None, show_progress_bar=False)
    loaded = wrapped.model
    seen = loaded.encode_files([make(name) for name in VIDEOS])
    cosines = loaded.encode_text(QUERIES) @ seen.T
    assert not seen[3].any()
    assert "text.mp4: video: " in caplog.text
    ranks = [1 + int((row > row[i]).sum()) for i, row in enumerate(cosines)]
    wanted = np.mean([1 / np.log2(1 + rank) for rank in ranks])
    (result,) = found.task_results
    assert result.get_score() == pytest.approx(wanted, abs=1e-4)
    whole = loaded.encode_video(make("plain.mp4"), 0, 100).vectors
    assert np.allclose(np.linalg.norm(seen[:3], axis=1), 1, atol=1e-5)
    assert float(whole.mean(axis=0) @ seen[0]) > 0.9


def test_similarities_are_cosines(model: Path) -> None:
    wrapped, generator = ScoreboardModel(model), np.random.default_rng(0)
    left, right = generator.standard_normal((2, 4, 5))
    unit = [one / np.linalg.norm(one, axis=1, keepdims=True) for one in (left, right)]
    np.testing.assert_allclose(wrapped.similarity(left, right), unit[0] @ unit[1].T, atol=1e-6)
    pairs = wrapped.similarity_pairwise(left, right)
    np.testing.assert_allclose(pairs, (unit[0] * unit[1]).sum(axis=1), atol=1e-6)


def test_what_cannot_be_run_is_said(model: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no benchmark 'MVEB_text'"):
        run_tasks(model, [], ["MVEB_text"], tmp_path)
    with pytest.raises(UserError, match="did you mean 'YouCook2T2VARetrieval'"):
        run_tasks(model, ["YouCook2T2VARetrival"], [], tmp_path)
    assert main(["scoreboard", str(model), "--output", str(tmp_path)]) == 1
    rows = Dataset.from_dict({"video": ["a"]}).cast_column("video", Value("string"))
    with pytest.raises(UserError, match=r"wanted: one of datasets\.Video"):
        undecoded(rows, "video")
    sound = Dataset.from_dict({"audio": [b""]}).cast_column("audio", Audio())
    assert undecoded(sound, "audio").features["audio"].decode is False


def test_the_benchmark_that_the_documentation_names_is_there() -> None:
    names = [task.metadata.name for task in mteb.get_benchmark("MVEB(text, video)").tasks]
    assert "MSVDV2TRetrieval" in names
    assert "YouCook2T2VARetrieval" in [
        task.metadata.name for task in mteb.get_benchmark("MVEB").tasks
    ]
