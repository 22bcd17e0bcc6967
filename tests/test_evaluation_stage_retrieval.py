"""The retrieval stage on small shards: against a plain recomputation, and every policy for what is missing."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mcn.errors import UserError
from mcn.evaluation.annotations import read_captions, read_vocabulary
from mcn.evaluation.retrieval import metrics as retrieval
from mcn.evaluation.retrieval.pairs import PAIRS, ClipEmbeddings
from mcn.evaluation.retrieval.stage import early_scores
from mcn.evaluation.stage import run_evaluation
from mcn.files import read_table, write_table
from mcn.networks.checkpoints import save_model
from mcn.options.evaluation import RetrievalOptions
from mcn.report.evaluations import Retrieval, read_evaluation
from mcn.shards import FeatureStore
from mcn.shards.clips import mel_slice, pool
from mcn.sources.words import tokenize
from tests.evaluation_set import (
    GOOD,
    EvaluationSet,
    evaluated,
    make_model,
    make_set,
    without_audio,
)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> EvaluationSet:
    return make_set(tmp_path_factory.mktemp("set"))


def run_retrieval(small: EvaluationSet, **options: Any) -> dict[str, Any]:
    output = small.path("evaluation/demo.retrieval.json")
    chosen = RetrievalOptions(**{"audio_frames": 1024, **options})
    result = run_evaluation("retrieval", evaluated(small, chosen), output)
    assert json.loads(output.read_text()) == json.loads(json.dumps(result))
    return result


def plain_embeddings(small: EvaluationSet) -> dict[str, np.ndarray]:
    """The 12 whole clips, one at a time, audio padded in full, by the functions that define the clip features."""
    model, captions = make_model(), read_captions(small.path("captions.parquet"))
    vocabulary = read_vocabulary(small.path("vocabulary.parquet"))
    stores = {name: FeatureStore(paths) for name, paths in small.shards.items()}
    rows: dict[str, list[np.ndarray]] = {"t": [], "v": [], "a": []}
    for (video, start, end), text in zip(captions.clips, captions.texts, strict=True):
        if video not in GOOD:
            continue
        words = np.zeros((20, vocabulary.vectors.shape[1]), np.float32)
        for n, token in enumerate(t for t in tokenize(text) if t in vocabulary.rows):
            words[n] = vocabulary.vectors[vocabulary.rows[token]]
        visual = [
            pool(stores[name][video].values, start, end, rate)
            for name, rate in (("resnet152", 1.0), ("resnext101", 1.5))
        ]
        mel, valid = mel_slice(stores["logmel"][video].values, start, end, 1024)
        with torch.inference_mode():
            one = model(
                torch.from_numpy(np.concatenate(visual))[None],
                torch.from_numpy(mel)[None],
                torch.from_numpy(words)[None],
                torch.tensor([valid]),
            )
        for letter, vector in zip("tva", (one.text, one.video, one.audio), strict=True):
            rows[letter].append(vector[0].numpy())
    return {letter: np.stack(found) for letter, found in rows.items()}


def test_retrieval_is_what_a_plain_loop_gives(small: EvaluationSet) -> None:
    result, plain = run_retrieval(small), plain_embeddings(small)
    assert list(result["scores"]) == list(PAIRS)
    scores = plain["t"] @ (plain["v"] + plain["a"]).T
    known = [query for query in range(12) if query != 1]  # caption 1 has no known word
    expected = retrieval.evaluate(scores[known], known, total=18)
    assert result["scores"]["t->va"] == pytest.approx(expected)
    backwards = retrieval.evaluate(plain["v"] @ plain["a"].T, total=18)
    assert result["scores"]["v->a"] == pytest.approx(backwards)
    captions = read_captions(small.path("captions.parquet"))
    assert len(result["examples"]) == 11
    for query in result["examples"]:
        row = scores[captions.clip_ids.index(query["clip_id"])]
        assert [clip["score"] for clip in query["top"]] == pytest.approx(
            np.sort(row)[::-1][:5], rel=1e-4
        )
        best = [captions.clip_ids[number] for number in np.argsort(-row)[:5]]
        assert [clip["clip_id"] for clip in query["top"]] == best


def test_retrieval_counts(small: EvaluationSet) -> None:
    result = run_retrieval(small)
    counts = {pair: (found["n"], found["total"]) for pair, found in result["scores"].items()}
    # 18 clips: 12 whole, 3 without sound, 3 without anything; one of the whole ones has no known word
    assert counts["t->va"] == counts["a->t"] == (11, 18)
    assert counts["t->v"] == counts["v->t"] == (14, 18)
    assert counts["v->a"] == (12, 18)
    assert result["missing"] == {
        "audio: no_audio": 6,
        "text: no_known_word": 1,
        "video: truncated": 3,
    }
    assert result["chance"]["R@10"] == pytest.approx(100 * 10 / 12 * 11 / 18)
    assert result["chance"]["t->v"]["R@1"] == pytest.approx(100 / 15 * 14 / 18)
    low, high = result["intervals"]["t->va"]["R@10"]
    assert low <= result["scores"]["t->va"]["R@10"] <= high


def test_retrieval_policies(small: EvaluationSet) -> None:
    dropped = run_retrieval(small, missing_modality="drop")["scores"]
    assert (dropped["t->va"]["n"], dropped["t->va"]["total"]) == (11, 11)
    alone = run_retrieval(small, missing_modality="video_only")["scores"]
    assert (alone["t->va"]["n"], alone["t->va"]["total"]) == (14, 18)
    assert (alone["t->a"]["n"], alone["t->a"]["total"]) == (11, 18)


def test_queries_that_a_published_file_lacks_are_mistakes(small: EvaluationSet) -> None:
    usual, published = run_retrieval(small), run_retrieval(small, published_total=100)
    for pair, scores in published["scores"].items():
        whole = usual["scores"][pair]
        assert (scores["n"], scores["total"]) == (whole["n"], 100)
        for recall in ("R@1", "R@5", "R@10"):
            assert scores[recall] == pytest.approx(whole[recall] * whole["total"] / 100)
    with pytest.raises(UserError, match="published_total 3"):
        run_retrieval(small, published_total=3)


def test_examples_are_drawn_not_picked(small: EvaluationSet) -> None:
    first, again = run_retrieval(small, examples=5), run_retrieval(small, examples=5)
    other = run_retrieval(small, examples=5, seed=1)
    names = [[query["clip_id"] for query in run["examples"]] for run in (first, again, other)]
    assert names[0] == names[1] != names[2]
    for query in first["examples"]:
        order = [clip["score"] for clip in query["top"]]
        assert order == sorted(order, reverse=True)
        right = [clip["clip_id"] for clip in query["top"] if clip["correct"]]
        assert right == ([query["clip_id"]] if query["rank"] <= 5 else [])


def test_several_captions_of_one_clip(small: EvaluationSet, tmp_path: Path) -> None:
    table = read_table(small.path("captions.parquet"))
    rows = [row for row in table.to_pylist() if row["video_id"] in GOOD]
    doubled = [*rows, *({**row, "caption": f"stir {row['caption']}"} for row in rows)]
    path = tmp_path / "captions.parquet"
    write_table(path, table.from_pylist(doubled, schema=table.schema))
    captions = read_captions(path)
    assert (len(captions.clips), len(captions.texts)) == (12, 24)
    options = RetrievalOptions(audio_frames=512)
    scores = early_scores(evaluated(small, options, make_model(), tables={"captions": path}))
    assert (scores["t->va"]["n"], scores["t->va"]["total"]) == (23, 24)
    moved = [*rows, {**rows[0], "end_seconds": 9.0}]
    write_table(path, table.from_pylist(moved, schema=table.schema))
    with pytest.raises(UserError, match="two different moments"):
        read_captions(path)


def test_a_clip_ranks_its_best_caption(small: EvaluationSet, tmp_path: Path) -> None:
    """The first clip gets a second caption: as gallery the better one counts, as queries both do."""
    table = read_table(small.path("captions.parquet"))
    rows = [row for row in table.to_pylist() if row["video_id"] in GOOD]
    rows[1]["caption"] = "pour the Tea"
    second = {**rows[0], "caption": "stir"}
    path = tmp_path / "captions.parquet"
    write_table(path, table.from_pylist([*rows, second], schema=table.schema))
    tables = {"captions": path}
    embeddings = ClipEmbeddings.of(evaluated(small, RetrievalOptions(), tables=tables))
    scores = embeddings.side("v").vectors @ embeddings.side("t").vectors.T
    best = scores[0, [0, 12]].max()
    expected = (scores[0, 1:12] > best).sum() + (scores[0, 1:12] == best).sum() / 2
    backwards, forwards = embeddings.rank("v->t"), embeddings.rank("t->v")
    assert backwards.ranks[0] == expected
    assert (backwards.total, forwards.total) == (12, 13)
    assert forwards.ranks[12] == (scores[1:, 12] > scores[0, 12]).sum()
    assert backwards.released(of_positions=False) is None
    assert forwards.released(of_positions=False) is not None


def test_a_clip_without_an_end_lasts_until_the_last_row(
    small: EvaluationSet, tmp_path: Path
) -> None:
    table = read_table(small.path("captions.parquet"))
    first = table.to_pylist()[:1]
    found = []
    for end in (None, 20.01, 500.0):
        path = tmp_path / f"{end}.parquet"
        rows = [{**row, "start_seconds": 0.0, "end_seconds": end} for row in first]
        write_table(path, table.from_pylist(rows, schema=table.schema))
        given = evaluated(small, RetrievalOptions(audio_frames=5120), tables={"captions": path})
        embeddings = ClipEmbeddings.of(given)
        found.append([embeddings.modalities[letter].vectors for letter in "va"])
    for whole, until, beyond in zip(*found, strict=True):
        assert (whole == beyond).all()
        assert whole == pytest.approx(until, abs=0.2)
    clips = EvaluationSet(tmp_path, small.shards)
    write_table(tmp_path / "captions.parquet", read_table(tmp_path / "None.parquet"))
    for name in ("vocabulary.parquet",):
        (tmp_path / name).write_bytes(small.path(name).read_bytes())
    save_model(tmp_path / "model", make_model(), {})
    example = run_retrieval(clips)["examples"][0]
    assert example["end_seconds"] is None
    read = read_evaluation(tmp_path / "evaluation/demo.retrieval.json")
    assert isinstance(read, Retrieval)
    assert read.examples[0].middle == 0


def test_full_video_and_released_scores_stand_beside(small: EvaluationSet) -> None:
    result, plain = run_retrieval(small), plain_embeddings(small)
    assert (result["captions"], result["clips"], result["several_captions"]) == (18, 18, "best")
    assert list(result["full_video"]) == ["t->va", "t->v", "t->a"]
    found = result["full_video"]["t->va"]
    scores = plain["t"] @ (plain["v"] + plain["a"]).T
    best = scores.reshape(4, 3, 4, 3).max(axis=3)  # query video, caption, video
    means = np.stack([best[0, [0, 2]].mean(axis=0), *best[1:].mean(axis=1)])
    expected = retrieval.evaluate(means, total=6)
    assert found["all_captions"] == pytest.approx(expected)
    assert (found["single_caption"]["n"], found["single_caption"]["total"]) == (11, 18)
    assert found["chance"]["all_captions"]["R@1"] == pytest.approx(100 / 4 * 4 / 6)
    released = result["released_convention"]["t->va"]
    assert released["R@1"] == result["scores"]["t->va"]["R@1"]  # no ties here
    dropped = run_retrieval(small, missing_modality="drop")["full_video"]["t->va"]
    assert (dropped["all_captions"]["total"], dropped["single_caption"]["total"]) == (4, 11)


def test_early_scores_are_those_of_the_stage_and_leave_the_mode(small: EvaluationSet) -> None:
    model = make_model().train()
    scores = early_scores(evaluated(small, RetrievalOptions(audio_frames=1024), model))
    assert model.training
    assert scores["t->va"] == run_retrieval(small)["scores"]["t->va"]


def test_report_reads_the_file(small: EvaluationSet) -> None:
    run_retrieval(small)
    read = read_evaluation(small.path("evaluation/demo.retrieval.json"))
    assert isinstance(read, Retrieval)
    assert len(read.examples) == 11


def test_a_model_without_audio(
    small: EvaluationSet, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    deaf = without_audio(small, tmp_path)
    with caplog.at_level(logging.WARNING):
        result = run_retrieval(deaf)
    assert list(result["scores"]) == ["t->v", "v->t"]
    assert set(result["left_out"]) == set(PAIRS) - {"t->v", "v->t"}
    assert "1 without text: no_known_word (policy: mistake)" in caplog.text


def test_mistakes_are_named(small: EvaluationSet) -> None:
    lacking = EvaluationSet(small.root, {"resnet152": small.shards["resnet152"]})
    with pytest.raises(UserError, match="no shards of resnext101, logmel"):
        run_retrieval(lacking)
    half = EvaluationSet(small.root, {n: p[:1] for n, p in small.shards.items()})
    with pytest.raises(UserError, match="resnet152: no row of video cake"):
        run_retrieval(half)
    with pytest.raises(UserError, match="visual features of width 6"):
        ClipEmbeddings.of(evaluated(small, RetrievalOptions(), video=["resnet152"]))
