"""Multilingual NCE against sums written out in float64; texts of clips by language; two processes equal one."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import multiprocessing

from mcn.distributed import ALONE
from mcn.errors import UserError
from mcn.objectives.multilingual_nce import MultilingualNceObjective
from mcn.objectives.objective import make_objective
from mcn.options.base import parsed
from mcn.options.contrast import MultilingualNceOptions
from mcn.options.training import TrainingOptions
from mcn.shards import TEXT_SCHEMA, ShardReader, ShardWriter
from mcn.shards.lines import Narration
from mcn.training.data import TrainingSet
from tests.objective_inputs import inputs, setting, vectors
from tests.objective_runs import OBJECTIVE_SETTINGS, options
from tests.synthetic_shards import write_topic_shards
from tests.test_processes import train, work
from tests.test_training import lines, run

LANGUAGES = ("en", "de", "es")
COUNT, VIDEOS = 6, 3
NAME = "multilingual_nce"


def loop_nce(left, right, has, videos=None, temperature=0.05):
    """Both cross-entropies over the rows that `has` names, sums written out; videos: same ones are no negatives."""
    rows = [row for row in range(COUNT) if has(row)]
    total = 0.0
    for a, b in ((left, right), (right, left)):
        for i in rows:
            others = [j for j in rows if videos is None or j == i or videos[j] != videos[i]]
            scores = {j: math.exp(float(a[i] @ b[j]) / temperature) for j in others}
            total -= math.log(scores[i] / sum(scores.values())) / len(rows)
    return total


def made(same_video="negative", **weights):
    chosen = {"kind": NAME, "languages": LANGUAGES, "pairs": ["video_text", "video_audio"]}
    given = {**chosen, "same_video": same_video, **weights}
    return make_objective(parsed(MultilingualNceOptions, given), setting(VIDEOS, COUNT // VIDEOS))


def batch():
    """Views of clips and second clips, and a batch: Spanish of half the clips, sound of all but one, two in English."""
    names = ["video", "audio", *(f"text {code}" for code in LANGUAGES)]
    views = {name: vectors(COUNT, 5, seed=n, unit=True) for n, name in enumerate(names)}
    views |= {
        f"second {name}": vectors(COUNT, 5, seed=9 + n, unit=True) for n, name in enumerate(names)
    }
    translated = torch.tensor([[1, 1, 0], [1, 1, 0], [1, 1, 1], [1, 1, 1], [1, 1, 1], [1, 0, 0]])
    other = torch.tensor([[1, 1, 0], [0, 1, 0], [1, 1, 1], [1, 1, 1], [1, 1, 0], [1, 1, 1]])
    second = inputs(COUNT, COUNT // VIDEOS, translated=other.bool())
    absent = {"audio": [4]}
    return views, inputs(
        COUNT, COUNT // VIDEOS, absent=absent, translated=translated.bool(), second=second
    )


@pytest.mark.parametrize("same_video", ["negative", "masked"])
def test_terms_are_those_of_the_formula(same_video):
    views, given = batch()
    weights = {"inter_modal_weight": 0.5, "cross_lingual_weight": 2.0, "intra_modal_weight": 3.0}
    found = made(same_video, **weights).losses(views, given)
    videos = given.videos.tolist() if same_video == "masked" else None
    here, there = given.translated.tolist(), given.second.translated.tolist()

    def nce(left, right, has):
        return loop_nce(views[left], views[right], has, videos)

    texts = list(enumerate(LANGUAGES))
    inter = sum(nce("video", f"text {code}", lambda i, n=n: here[i][n]) for n, code in texts) / 3
    inter += nce("video", "audio", lambda i: i != 4)
    pairs = list(itertools.combinations(texts, 2))
    cross = sum(
        nce(f"text {a}", f"text {b}", lambda i, n=n, m=m: here[i][n] and here[i][m])
        for (n, a), (m, b) in pairs
    ) / len(pairs)
    intra = nce("video", "second video", lambda i: True)
    intra += nce("audio", "second audio", lambda i: i != 4)
    intra += (
        sum(
            nce(f"text {code}", f"second text {code}", lambda i, n=n: here[i][n] and there[i][n])
            for n, code in texts
        )
        / 3
    )
    expected = {"inter_modal": 0.5 * inter, "cross_lingual": 2 * cross, "intra_modal": 3 * intra}
    assert {name: float(term) for name, term in found.items()} == pytest.approx(expected, rel=1e-12)


def test_languages_that_no_clip_has_count_nowhere():
    views, given = batch()
    gone = given.translated.clone()
    gone[:, 2] = False
    found = made(intra_modal_weight=0).losses(views, inputs(COUNT, 2, translated=gone))
    here = gone.tolist()
    expected = loop_nce(views["text en"], views["text de"], lambda i: here[i][0] and here[i][1])
    assert float(found["cross_lingual"]) == pytest.approx(expected, rel=1e-12)
    none = inputs(COUNT, 2, translated=torch.zeros_like(gone))
    for view in views.values():
        view.requires_grad_()
    found = made(intra_modal_weight=0).losses(views, none)
    assert found["cross_lingual"].item() == 0
    found["cross_lingual"].backward()
    assert not views["text de"].grad.any()


def test_weights_of_zero_cost_nothing():
    views, given = batch()
    assert set(made(intra_modal_weight=0).losses(views, given)) == {"inter_modal", "cross_lingual"}
    assert made(intra_modal_weight=0).options.needs.second == "none"
    for wrong, words in (
        ({"languages": ["en", "en"]}, "one twice"),
        ({"pairs": ["video_audio"]}, "none with text"),
        ({"languages": ["en"], "inter_modal_weight": 0, "intra_modal_weight": 0}, "one language"),
    ):
        with pytest.raises(UserError, match=words):
            parsed(MultilingualNceOptions, {"kind": NAME, **wrong})


@pytest.fixture(scope="module")
def bilingual(tmp_path_factory):
    """Topic shards in which every second video is also told in German, with other words, a second later."""
    data = write_topic_shards(tmp_path_factory.mktemp("data"), videos=9)
    for path in data.text["word2vec"]:
        reader = ShardReader(path)
        rows = [reader.read(number) for number in range(len(reader.video_ids))]
        reader.close()
        with ShardWriter(path, TEXT_SCHEMA, {}) as writer:
            for number, row in enumerate(rows):
                writer.write(told_twice(row) if number % 2 == 0 else row)
    return data


def told_twice(row):
    german = {
        "starts": [start + 1 for start in row["starts"]],
        "ends": [end + 1 for end in row["ends"]],
        "texts": row["texts"],
        "languages": ["de"] * len(row["starts"]),
        "tokens": [[token % 7 + 1 for token in line] for line in row["tokens"]],
    }
    return {**row, **{name: [*german[name], *row[name]] for name in german}}


def test_a_clip_has_what_is_said_in_each_language_while_it_lasts(bilingual):
    chosen = options(NAME, max_words=50)
    data = TrainingSet(bilingual, chosen.training, chosen.objective.needs)
    batch = data.batch(0, 0)
    assert batch.translations.shape == (16, 2, 50)
    told = (batch.translations != 0).any(dim=-1)
    assert told[:, 0].all()
    assert 0 < told[:, 1].sum() < 16
    narration = Narration(bilingual.text["word2vec"])
    clip = data._video(data.videos[0]).clip(0, chosen.training)
    story = narration[data.videos[0]]
    for number, language in enumerate(("en", "de")):
        expected = [
            token
            for start, end, tokens, spoken in zip(*story, strict=True)
            if spoken == language and start < clip.end and clip.start < end
            for token in tokens
        ]
        found = data._video(data.videos[0]).words(clip.start, clip.end, language, 50)
        assert found == expected[:50], number
    assert isinstance(chosen.training, TrainingOptions)


def test_it_trains_on_two_languages(bilingual, tmp_path):
    schedule = {"epochs": 24, "learning_rate": 0.01, "checkpoint_every_steps": 1000}
    model = run(
        bilingual, tmp_path, options(NAME, gradient_clip=5.0, videos_per_batch=9, **schedule)
    )
    losses = [
        one["epoch_loss/cross_lingual"] for one in lines(model) if "epoch_loss/cross_lingual" in one
    ]
    assert sum(losses[-3:]) < 0.9 * sum(losses[1:4])


@pytest.mark.slow
def test_two_processes_equal_one_in_two_languages(bilingual, tmp_path):
    results = tmp_path / "together"
    results.mkdir()
    multiprocessing.spawn(work, (2, bilingual, [NAME], results / "meeting", results), nprocs=2)
    losses, gradients, _ = train(bilingual, NAME, ALONE)
    assert OBJECTIVE_SETTINGS[NAME]["languages"] == ["en", "de"]
    for rank in range(2):
        found_losses, found_gradients, _ = torch.load(results / f"{rank}.pt", weights_only=True)[
            NAME
        ]
        for ours, theirs in zip(losses, found_losses, strict=True):
            assert ours["cross_lingual"] > 0
            assert ours == pytest.approx(theirs, rel=5e-4, abs=1e-5)
        for one, other in zip(gradients, found_gradients, strict=True):
            assert torch.allclose(one, other, rtol=1e-3, atol=1e-5 + 1e-4 * float(one.abs().max()))


def test_the_objective_is_the_one_of_its_kind():
    assert isinstance(made(), MultilingualNceObjective)
