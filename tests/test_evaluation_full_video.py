"""Full-video retrieval: golden cases by hand, and a plain loop over all protocols."""

from __future__ import annotations

import numpy as np
import pytest

from mcn.evaluation import scores as products
from mcn.evaluation.annotations import Captions, Moment
from mcn.evaluation.embed import Embedded
from mcn.evaluation.retrieval import full_video
from mcn.evaluation.retrieval import metrics as retrieval
from mcn.evaluation.retrieval.full_video import FullVideoSet
from mcn.evaluation.retrieval.pairs import YOUTUBE_ID, ClipEmbeddings


def of_scores(scores: np.ndarray, query_video: list[int], clip_video: list[int]) -> FullVideoSet:
    """Captions whose dot products with the clips are `scores`."""
    videos = max(query_video + clip_video) + 1
    return FullVideoSet(
        scores,
        np.eye(scores.shape[1]),
        np.array(query_video),
        np.array(clip_video),
        videos,
        len(query_video),
        videos,
    )


# three videos of two clips; captions 0, 1 of video 0, 2 of video 1, 3 of video 2
HAND = of_scores(
    np.array(
        [
            [9.0, 1, 5, 4, 0, 2],  # best clips: video 0, 1, 1
            [1.0, 2, 8, 7, 6, 0],  # best clips: video 1, 1, 2; video 0 third
            [3.0, 0, 1, 2, 9, 8],  # best clips: video 2, 2, 0; video 1 third
            [0.0, 1, 2, 3, 4, 5],  # best clips: video 2
        ]
    ),
    [0, 0, 1, 2],
    [0, 0, 1, 1, 2, 2],
)


def test_by_hand() -> None:
    found = full_video.evaluate(HAND)
    # a caption's own video is met at clips 1, 4, 4, 1
    single = found["single_caption"]
    assert (single["R@1"], single["R@5"], single["n"], single["total"]) == (50, 100, 4, 4)
    assert single["MedR"] == 2.5
    # means of best scores: video 0 [5.5, 6.5, 4]; video 1 [3, 2, 9]; video 2 [1, 3, 5]: places 2, 3, 1
    whole = found["all_captions"]
    assert (whole["R@1"], whole["MedR"], whole["n"]) == (pytest.approx(100 / 3), 2, 3)
    # votes of best videos: video 0 has one of two (shared first place); video 1 none; video 2 one of one
    for name in ("vote_of_videos", "vote_of_clips", "caption_average"):
        assert found[name]["R@1"] == pytest.approx(100 / 3)
    # with all clips or videos named, every video has as many votes: the middle of three places
    assert found["vote_of_videos"]["R@5"] == found["vote_of_clips"]["R@5"] == 100
    assert found["caption_average"]["R@10"] == 100
    # named 1, 1, 0; then 0, 0, 1: own video half a place down, then below one and equal to one other; then first
    assert found["caption_average"]["MeanR"] == pytest.approx((1.5 + 2.5 + 1) / 3)


def plain(given: FullVideoSet) -> dict[str, dict[str, float]]:
    """Recalls at 1, 5, 10 by loops over captions and videos."""
    scores = given.queries @ given.gallery.T
    found: dict[str, dict[str, float]] = {}
    for k in (1, 5, 10):
        single = 0
        for query, video in enumerate(given.query_video):
            single += video in given.clip_video[np.argsort(-scores[query])[:k]]
        found.setdefault("single_caption", {})[f"R@{k}"] = 100 * single / given.total_captions
        hits = dict.fromkeys(
            ("all_captions", "vote_of_videos", "vote_of_clips", "caption_average"), 0
        )
        for video in range(given.videos):
            captions = np.flatnonzero(given.query_video == video)
            best = np.array(
                [
                    [scores[q, given.clip_video == other].max() for other in range(given.videos)]
                    for q in captions
                ]
            )
            votes = {
                "vote_of_videos": [np.argsort(-row)[:k] for row in best],
                "vote_of_clips": [given.clip_video[np.argsort(-scores[q])[:k]] for q in captions],
                "caption_average": [given.clip_video[np.argsort(-scores[q])[:1]] for q in captions],
            }
            hits["all_captions"] += video in np.argsort(-best.mean(axis=0))[:k]
            for name, named in votes.items():
                counts = np.bincount(np.concatenate(named), minlength=given.videos)
                others = np.delete(counts, video)
                place = (others > counts[video]).sum() + (others == counts[video]).sum() / 2
                hits[name] += bool(retrieval.hits(np.array([place]), k)[0]) and bool(
                    counts[video] or name == "caption_average"
                )
        for name, count in hits.items():
            found.setdefault(name, {})[f"R@{k}"] = 100 * count / given.total_videos
    return found


@pytest.mark.parametrize("elements", [1, 200, 1 << 24])
def test_against_plain_loops(elements: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "BLOCK_ELEMENTS", elements)
    generator = np.random.default_rng(3)
    clip_video = generator.permutation(np.arange(60) % 15)
    query_video = generator.permutation(np.append(np.arange(15), generator.integers(0, 15, 40)))
    centres = generator.standard_normal((15, 8))
    given = FullVideoSet(
        (centres[query_video] + 2 * generator.standard_normal((55, 8))).astype(np.float32),
        (centres[clip_video] + 2 * generator.standard_normal((60, 8))).astype(np.float32),
        query_video,
        clip_video,
        15,
        55,
        15,
    )
    found = full_video.evaluate(given)
    for name, recalls in plain(given).items():
        assert {k: found[name][k] for k in recalls} == pytest.approx(recalls), name


def test_what_cannot_be_found_is_a_mistake() -> None:
    """Video 3 has a caption but no clip in the gallery, video 4 a clip but no caption."""
    scores = np.array([[5.0, 1, 0], [0, 5, 1], [3, 2, 1]])
    given = FullVideoSet(scores, np.eye(3), np.array([0, 1, 3]), np.array([0, 1, 4]), 5, 4, 4)
    found = full_video.evaluate(given)
    for name, one in found.items():
        assert (one["R@1"], one["n"], one["total"]) == (50, 2, 4), name
    chance = full_video.chance(given)
    assert chance["single_caption"]["R@1"] == pytest.approx(100 / 3 / 2)
    assert chance["all_captions"]["R@1"] == pytest.approx(100 / 3 / 2)


def test_a_video_that_nobody_names_is_not_found() -> None:
    """The five best clips are all of video 1: it alone is named, though only three videos are there."""
    scores = np.array([[0.0, 9, 8, 7, 6, 5, 1]])
    given = FullVideoSet(scores, np.eye(7), np.array([0]), np.array([0, 1, 1, 1, 1, 1, 2]), 3, 1, 1)
    found = full_video.evaluate(given)
    assert found["vote_of_clips"]["R@5"] == 0
    assert found["vote_of_videos"]["R@5"] == 100


def test_where_it_applies() -> None:
    assert full_video.applies(np.array([0, 0, 1]))
    assert not full_video.applies(np.array([0, 1, 2]))
    assert not full_video.applies(np.array([0, 0]))


def test_votes_ordered_as_the_released_program_orders_them() -> None:
    """Of equal votes the video that sorts later is named first."""
    given = of_scores(
        np.array([[9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0], [9.0, 0, 0], [0, 9.0, 0], [0, 0, 9.0]]),
        [0, 0, 1, 1, 2, 2],
        [0, 1, 2],
    )
    # votes at k = 1: video 0 has (0, 1), so that 1 is named; video 1 has (2, 0); video 2 has (1, 2)
    assert full_video.evaluate(given, released_ties=True)["vote_of_videos"]["R@1"] == (
        pytest.approx(100 / 3)
    )
    assert full_video.evaluate(given)["vote_of_videos"]["R@1"] == 0


def test_clips_of_published_files_are_joined_by_the_first_letters_of_their_ids() -> None:
    ids = ["-1okAudsnAc_0", "-1okAudsnAc_1", "0123456789a_0"]
    captions = Captions(
        ids, [Moment(one, 0, 1) for one in ids], ["a", "b", "c"], np.arange(3), [""] * 3
    )
    found = Embedded(np.eye(3, dtype=np.float32), [""] * 3)
    for letters, videos in ((None, [0, 1, 2]), (YOUTUBE_ID, [0, 0, 1])):
        embeddings = ClipEmbeddings(captions, {"t": found, "v": found}, "mistake", None, letters)
        given = embeddings.full_video("t->v")
        assert given.clip_video.tolist() == given.query_video.tolist() == videos
        assert given.total_videos == len(set(videos))
