"""Queries with right answers against the videos of a data set: at which rank a model puts the first right one.

    python benchmarks/queries.py results/models/conse results/mine queries.tsv

`queries.tsv`: a query, a tab, ids of the right videos with commas between, a line each. A video scores as its best
window, by the dot product of the vectors that search compares. Beside the counts stand those that a random order of the
videos is expected to come to.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import numpy as np
import yaml

from mcn.evaluation.embed import EvaluatedModel
from mcn.layout import Dataset
from mcn.options.evaluation import EvaluationOptions
from mcn.options.search import SearchOptions
from mcn.search.index import embed_windows, windows_of
from mcn.search.query_encoder import load_query_encoder

FIRST = (1, 5)


def main() -> None:
    """Print the rank of every query, and how many are first and among the first five."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("queries", type=Path)
    parser.add_argument("--config", type=Path, help="configuration with the rows of its features")
    arguments = parser.parse_args()
    settings = yaml.safe_load(arguments.config.read_text()) if arguments.config else None
    given = EvaluatedModel.load(
        arguments.model, Dataset.at(arguments.dataset), (), EvaluationOptions(), "cpu"
    )
    store = given.stores[given.inputs.video[0]]
    videos = sorted(video_id for video_id in store if store[video_id].values is not None)
    lines = arguments.queries.read_text(encoding="utf-8").splitlines()
    asked = [line.split("\t") for line in lines if line.strip()]
    wanted = [{videos.index(one) for one in right.split(",")} for _, right in asked]
    texts = load_query_encoder(arguments.model, settings).embed_text([one for one, _ in asked])
    scores = np.zeros((len(asked), len(videos)))
    for number, video_id in enumerate(videos):
        moments = windows_of(store, video_id, SearchOptions(), True)
        windows = embed_windows(given, moments, True, SearchOptions())
        scores[:, number] = (texts @ windows.vectors[windows.present].T).max(axis=1)
    ranks = [rank(row, right) for row, right in zip(scores, wanted, strict=True)]
    for (query, _), found in zip(asked, ranks, strict=True):
        print(f"{found:5d}  {query}")
    print(f"{len(asked)} queries, {len(videos)} videos")
    for k in FIRST:
        chance = sum(1 - absent(len(videos), len(right), k) for right in wanted)
        print(f"among the first {k}: {sum(one <= k for one in ranks)}; a random order {chance:.1f}")


def rank(scores: np.ndarray, right: set[int]) -> int:
    """1-based rank of the best right video; equal scores of others count against it."""
    best = max(scores[one] for one in right)
    return 1 + sum(1 for one, score in enumerate(scores) if one not in right and score >= best)


def absent(videos: int, right: int, k: int) -> float:
    """Probability that none of `right` videos is among the first k of a random order."""
    return math.comb(videos - right, k) / math.comb(videos, k)


if __name__ == "__main__":
    main()
