"""Rankings of several sources are joined by reciprocal rank, moments that are near each other once."""

import pytest

from mcn.search.fusion import Hit, distinct, fuse


def hit(video, start, score=1.0, text=""):
    return Hit(video, start, start + 4, score, text)


def test_a_moment_that_two_sources_found_comes_before_those_of_one():
    words = [hit("a", 10), hit("b", 0)]
    seen = [hit("c", 0), hit("d", 0), hit("b", 3)]
    first, *rest = fuse({"words": [words], "seen": [seen]})
    assert first.best == words[1], "the place is that of the hit of the higher rank, 2 against 3"
    assert first.score == pytest.approx(1 / 62 + 1 / 63)
    assert set(first.hits) == {"words", "seen"}
    assert [one.best.video_id for one in rest] == ["a", "c", "d"], (
        "equal ranks in the order of sources"
    )


def test_near_hits_are_the_best_of_them_and_do_not_grow_along_a_chain():
    kept = distinct([hit("a", 10), hit("a", 13), hit("a", 15.9), hit("a", 16), hit("b", 13)])
    assert [(one.video_id, one.start_seconds) for one in kept] == [("a", 10), ("a", 16), ("b", 13)]


def test_two_models_that_see_are_one_source():
    one, other = hit("a", 0)._replace(basis="one"), hit("b", 0)._replace(basis="other")
    first, second = fuse({"seen": [[one, hit("b", 0)], [other, hit("a", 0)]]})
    assert {first.best.basis, second.best.basis} == {"one", "other"}, "each rests on its own model"
    assert first.score == second.score == pytest.approx(1 / 61)
    assert fuse({"words": [[]], "seen": []}) == []


def test_a_hit_that_holds_a_part_of_the_query_stands_behind_one_that_fits_the_whole() -> None:
    part = Hit("a", 0, 1, 9.0, share=0.25)
    first, second = fuse({"words": [[part]], "seen": [[Hit("b", 0, 1, 0.3)]]})
    assert (first.best.video_id, second.best.video_id) == ("b", "a")
    assert second.score == pytest.approx(0.25 / 61)
