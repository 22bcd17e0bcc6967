"""Search: the moment that a brute-force score puts first is first, once a stretch, silent videos included."""

import numpy as np
import pytest
import torch

from mcn.errors import UserError
from mcn.layout import Dataset
from mcn.networks.checkpoints import load_model
from mcn.options.encoders import TextOptions
from mcn.options.evaluation import RetrievalOptions
from mcn.search.query import format_answers, search
from mcn.shards import FeatureStore
from mcn.shards.clips import pool
from tests.evaluation_set import BROKEN, SILENT, WORD_WIDTH, WORDS, make_set


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A data set laid out as a run's, and word vectors in word2vec text format."""
    root = tmp_path_factory.mktemp("set")
    small = make_set(root / "features")
    (root / "shards").mkdir()
    for shard in range(2):
        (root / "shards" / f"{shard:05d}.csv").write_text("video_id,path,sha256\n")
    vectors = np.random.default_rng(1).standard_normal((len(WORDS), WORD_WIDTH))
    lines = [f"{word} {' '.join(map(str, row))}" for word, row in zip(WORDS, vectors, strict=True)]
    (root / "words.txt").write_text(f"{len(WORDS)} {WORD_WIDTH}\n" + "\n".join(lines) + "\n")
    text = TextOptions(vectors=str(root / "words.txt"), cache=str(root / "cache"))
    return small.path("model"), Dataset.at(root), text, dict(zip(WORDS, vectors, strict=True))


def test_the_best_window_of_a_silent_video_is_that_of_a_brute_force_search(found):
    model_directory, dataset, text, vectors = found
    model, _ = load_model(model_directory)
    answers = search(model_directory, dataset, "pour water", text, RetrievalOptions(), limit=50)
    words = torch.tensor(np.array([vectors["pour"], vectors["water"]]), dtype=torch.float32)
    padded = torch.cat([words, torch.zeros(18, WORD_WIDTH)])[None]
    streams = [FeatureStore(dataset.features(name)) for name in ("resnet152", "resnext101")]
    answer = next(a for a in answers if a.moment.video_id == SILENT)
    with torch.inference_mode():
        asked = model.embed_text(padded)[0]
        scores = {}
        for start in np.arange(0, 18, 2.0):
            parts = [
                pool(s[SILENT].values, start, start + 4, 1 / s[SILENT].step_seconds)
                for s in streams
            ]
            seen = model.embed_video(torch.tensor(np.concatenate(parts))[None].float())[0]
            scores[start] = float(asked @ seen)
    best = max(scores, key=scores.get)
    assert (answer.moment.start, answer.moment.end) == (best, best + 4)
    assert answer.score == pytest.approx(scores[best], rel=1e-4)


def test_answers_are_ordered_do_not_overlap_and_leave_failed_videos_out(found):
    model_directory, dataset, text, _ = found
    answers = search(model_directory, dataset, "stir Tea", text, RetrievalOptions(), limit=50)
    assert [a.score for a in answers] == sorted((a.score for a in answers), reverse=True)
    assert BROKEN not in {a.moment.video_id for a in answers}
    for first in answers:
        for second in answers:
            if first is not second and first.moment.video_id == second.moment.video_id:
                assert (
                    first.moment.end <= second.moment.start
                    or second.moment.end <= first.moment.start
                )
    assert len(format_answers(answers).splitlines()) == len(answers) + 1


def test_a_query_without_a_known_word_is_an_error(found):
    model_directory, dataset, text, _ = found
    with pytest.raises(UserError, match="no word of 'zebra'"):
        search(model_directory, dataset, "zebra", text, RetrievalOptions())
