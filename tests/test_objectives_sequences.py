"""Objectives on the rows of one feature against formulations in loops and float64, their draws, and the map of texts.

Formulas: van den Oord et al. 2018 (equations 2 to 4), Baevski et al. 2020 (equations 2 to 4), Misra et al. 2016 and
Fernando et al. 2017 (cross-entropies of their questions), written out one question after the other.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.evaluation.annotations import Moment
from mcn.evaluation.retrieval.stage import evaluate
from mcn.networks import SequenceNetwork
from mcn.networks.checkpoints import load_model
from mcn.objectives.cpc import info_nce
from mcn.objectives.masked_prediction import (
    Codebooks,
    MaskedPredictionObjective,
    contrast_of_masked,
    diversity,
    draw_masks,
)
from mcn.objectives.objective import Setting, StepInputs, make_objective
from mcn.objectives.odd_one_out import OddOneOutObjective, draw_questions
from mcn.objectives.sequences import SequenceObjective
from mcn.objectives.shuffle_and_learn import ShuffleAndLearnObjective, draw_places
from mcn.options.evaluation import RetrievalOptions
from mcn.options.objectives import Needs
from mcn.options.pretexts import PretextOptions
from mcn.options.training import ExperimentOptions
from mcn.shards.lines import vocabulary_vectors
from mcn.training.data import TrainingSet
from tests.evaluation_set import evaluated, make_set
from tests.objective_inputs import vectors
from tests.objective_runs import ALONE, options
from tests.synthetic_shards import write_topic_shards
from tests.test_frozen import with_conse
from tests.test_training import run

WIDTH, ROW_WIDTH = 6, 5
LENGTHS = (7, 4, 9, 2)  # rows of each clip; 9 is the longest


def rows_of(lengths: tuple[int, ...] = LENGTHS, seed: int = 0) -> Tensor:
    """(N, F, ROW_WIDTH) float64, zero rows behind the last of each clip."""
    rows = vectors(len(lengths), max(lengths), ROW_WIDTH, seed=seed)
    for row, length in zip(rows, lengths, strict=True):
        row[length:] = 0
    return rows


def inputs_of(rows: Tensor) -> StepInputs:
    empty = torch.zeros(len(rows), 1, dtype=torch.float64)
    return StepInputs(
        rows, empty, empty.unsqueeze(1), torch.ones(len(rows), 1, dtype=torch.long), 1
    )


def network_of(context: str) -> SequenceNetwork:
    torch.manual_seed(3)
    return SequenceNetwork("video", ROW_WIDTH, 4, WIDTH, context, layers=1, heads=2).double()


def objective_of(kind: str, **switches: Any) -> SequenceObjective:
    chosen = ExperimentOptions.model_validate({"objective": {"kind": kind, **switches}})
    setting = Setting(len(LENGTHS), 1, WIDTH, torch.zeros(1, 1))
    torch.manual_seed(4)
    made = make_objective(chosen.objective, setting)
    assert isinstance(made, SequenceObjective)
    made.heads.double()
    return made


def log_share(true: float, others: list[float]) -> float:
    """-log of the share of e^true among all."""
    return math.log(sum(math.exp(one - true) for one in [true, *others]))


@pytest.mark.parametrize("negatives", ["clips", "times", "both"])
@pytest.mark.parametrize("ahead", [1, 3])
def test_cpc_is_its_formula(negatives: str, ahead: int) -> None:
    predicted, latents = vectors(4, 9, WIDTH, seed=1), vectors(4, 9, WIDTH, seed=2)
    there = torch.arange(9) < torch.tensor(LENGTHS).unsqueeze(1)
    losses = []
    for i, length in enumerate(LENGTHS):
        for t in range(length - ahead):
            scores = {
                (j, s): float(predicted[i, t] @ latents[j, s])
                for j, rows in enumerate(LENGTHS)
                for s in range(rows)
            }
            true = i, t + ahead
            clips = {(j, t + ahead) for j, rows in enumerate(LENGTHS) if t + ahead < rows}
            times = {(i, s) for s in range(length)}
            kept = {"clips": clips, "times": times, "both": clips | times}[negatives] - {true}
            losses.append(log_share(scores[true], [scores[one] for one in kept]))
    found = info_nce(predicted, latents, there, ahead, negatives)
    assert float(found) == pytest.approx(sum(losses) / len(losses), abs=1e-12)


def test_cpc_averages_over_the_steps_ahead_that_a_clip_has() -> None:
    rows, objective, network = rows_of(), objective_of("cpc", predicted_rows=12), network_of("gru")
    terms = objective(network, inputs_of(rows))
    latents = network.latents(rows)
    contexts = network.contexts(latents, (rows != 0).any(-1))
    wanted = []
    for ahead in range(1, 9):  # the longest clip has 9 rows
        predicted = contexts @ objective.heads[f"ahead_{ahead}"].weight.t()
        there = torch.arange(9) < torch.tensor(LENGTHS).unsqueeze(1)
        wanted.append(info_nce(predicted, latents, there, ahead))
    assert terms["prediction"].item() == pytest.approx(torch.stack(wanted).mean().item(), abs=1e-12)


def test_a_context_of_cpc_knows_nothing_of_later_rows() -> None:
    network, rows = network_of("gru"), rows_of((6,))
    there = torch.ones(1, 6, dtype=torch.bool)
    before = network.contexts(network.latents(rows), there)
    rows[0, 4:] = 1
    after = network.contexts(network.latents(rows), there)
    assert torch.equal(before[:, :4], after[:, :4])
    assert not torch.equal(before[:, 4:], after[:, 4:])


@pytest.mark.parametrize("distractors", [2, 100])
def test_masked_prediction_is_its_formula(distractors: int) -> None:
    predicted, targets = vectors(3, 8, WIDTH, seed=1), vectors(3, 8, WIDTH, seed=2)
    masked = {0: [1, 2, 5, 6], 1: [0, 3], 2: []}
    ranks = torch.full((3, 8), -1.0)
    order = np.random.default_rng(0)
    for clip, places in masked.items():
        for place, rank in zip(places, 1 + order.permutation(len(places)), strict=True):
            ranks[clip, place] = float(rank)
    losses = []
    for clip, places in masked.items():
        for t in places:
            others = sorted((o for o in places if o != t), key=lambda o: float(ranks[clip, o]))
            cosine = {
                o: float(
                    predicted[clip, t]
                    @ targets[clip, o]
                    / (predicted[clip, t].norm() * targets[clip, o].norm())
                )
                / 0.1
                for o in places
            }
            losses.append(log_share(cosine[t], [cosine[o] for o in others[:distractors]]))
    found = contrast_of_masked(predicted, targets, ranks, distractors)
    assert float(found) == pytest.approx(sum(losses) / len(losses), abs=1e-10)


def test_codebooks_give_their_entries_forwards_and_soft_choices_backwards() -> None:
    torch.manual_seed(0)
    books = Codebooks(WIDTH, 4, 2, 3).double()
    latents, noise = vectors(5, WIDTH, seed=1), vectors(5, 2, 3, seed=2)
    found, logits = books(latents, noise, 0.7)
    for n in range(5):
        scores = books.logits.weight @ latents[n] + books.logits.bias
        best = [(scores.view(2, 3)[g] + noise[n, g]).argmax() for g in range(2)]
        chosen = torch.cat([books.entries[g, v] for g, v in enumerate(best)])
        torch.testing.assert_close(found[n], chosen)
    slope = vectors(5, 4, seed=3)
    (found * slope).sum().backward()
    gradient = books.logits.weight.grad
    books.logits.weight.grad = None
    soft = ((books.logits(latents).view(5, 2, 3) + noise) / 0.7).softmax(-1)
    mixed = torch.einsum("ngv,gvw->ngw", soft, books.entries.detach()).flatten(1)
    (mixed * slope).sum().backward()
    torch.testing.assert_close(gradient, books.logits.weight.grad)
    shares = [[logits.softmax(-1)[:, g, v].mean().item() for v in range(3)] for g in range(2)]
    wanted = sum(p * math.log(p) for one in shares for p in one) / 6
    assert float(diversity(logits)) == pytest.approx(wanted, abs=1e-12)
    assert float(diversity(torch.zeros(4, 2, 3))) == pytest.approx(-math.log(3) / 3)


def test_masks_are_spans_that_leave_something_to_see() -> None:
    there = np.arange(12) < np.array([[12], [5], [4], [3], [2], [0]])
    for seed in range(50):
        masked = draw_masks(there, 0.2, 3, np.random.default_rng(seed))
        assert not (masked & ~there).any()
        counts = masked.sum(axis=1).tolist()
        assert counts[3:] == [0, 0, 0], "no longer than a span: no part"
        assert all(2 <= n < length for n, length in zip(counts[:3], (12, 5, 4), strict=True))
    single = draw_masks(there, 0.01, 1, np.random.default_rng(0))
    assert single.sum(axis=1).tolist() == [2, 2, 2, 2, 0, 0]


def test_masked_rows_are_hidden_from_the_contexts_and_seen_by_the_targets() -> None:
    objective, network = objective_of("masked_prediction", layers=1), network_of("transformer")
    assert isinstance(objective, MaskedPredictionObjective)
    rows = rows_of((9, 7))
    drawn = torch.full((2, 9), -1.0)
    drawn[0, 2:5], drawn[1, [1, 3]] = torch.tensor([1.0, 3.0, 2.0]), torch.tensor([1.0, 2.0])
    made = []
    for change in (0.0, 9.0):
        changed = rows.clone()
        changed[0, 3] += change
        given = StepInputs(**{**vars(inputs_of(changed)), "drawn": drawn})
        made.append(objective.embed(network, given))
    assert torch.equal(made[0]["contexts"], made[1]["contexts"])
    assert not torch.equal(made[0]["latents"], made[1]["latents"])


def test_shuffle_and_learn_is_its_formula() -> None:
    objective, network = objective_of("shuffle_and_learn", tuples=2), network_of("none")
    assert isinstance(objective, ShuffleAndLearnObjective)
    rows = rows_of()
    places = draw_places((rows != 0).any(-1).numpy(), 2, np.random.default_rng([1, 0, 3]))
    latents, losses = network.latents(rows), []
    for clip, length in enumerate(LENGTHS):
        if length < 5:
            assert (places[clip] == -1).all()
            continue
        for a, b, c, d, e in places[clip]:
            assert 0 <= a < b < c < d < e < length
            for triple, answer in (((b, c, d), 1), ((b, a, d), 0), ((b, e, d), 0)):
                joined = torch.cat([latents[clip, one] for one in triple])
                scores = objective.heads["answer"](joined).tolist()
                losses.append(log_share(scores[answer], [scores[1 - answer]]))
    assert len(losses) == 2 * 2 * 3
    found = objective(network, inputs_of(rows))["order"]
    assert float(found) == pytest.approx(sum(losses) / len(losses), abs=1e-12)


def test_odd_one_out_is_its_formula() -> None:
    objective = objective_of("odd_one_out", sequences=3, rows=4)
    assert isinstance(objective, OddOneOutObjective)
    network, rows = network_of("gru"), rows_of()
    drawn = draw_questions((rows != 0).any(-1).numpy(), 3, 4, np.random.default_rng([1, 0, 3]))
    latents, losses = network.latents(rows), []
    assert network.recurrent is not None
    for clip, length in enumerate(LENGTHS):
        if length < 4:
            assert (drawn[clip] == -1).all()
            continue
        last, odd = [], []
        for number, (*places, is_odd) in enumerate(drawn[clip].tolist()):
            in_order = places == sorted(places)
            assert in_order != bool(is_odd)
            assert len(set(places)) == 4
            assert max(places) < length
            odd += [number] * is_odd
            states = network.recurrent(latents[clip, places].unsqueeze(0))[0]
            last.append(states[0, -1])
        assert len(odd) == 1
        scores = objective.heads["answer"](torch.cat(last)).tolist()
        losses.append(log_share(scores[odd[0]], scores[: odd[0]] + scores[odd[0] + 1 :]))
    found = objective(network, inputs_of(rows))["odd"]
    assert float(found) == pytest.approx(sum(losses) / len(losses), abs=1e-12)


def test_odd_sequences_are_found_where_rows_drift() -> None:
    """Rows that move in one direction with time: the answer is learned, and is chance before."""
    objective = objective_of("odd_one_out", sequences=3, rows=4)
    network = network_of("gru")
    drift = torch.arange(9.0, dtype=torch.float64).unsqueeze(1) * vectors(ROW_WIDTH, seed=9)
    optimizer = torch.optim.Adam([*network.parameters(), *objective.heads.parameters()], lr=0.01)
    losses = []
    for step in range(100):
        rows = drift + 0.3 * vectors(16, 9, ROW_WIDTH, seed=step)
        loss = objective(network, inputs_of(rows))["total"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss))
    assert losses[0] == pytest.approx(math.log(3), abs=0.2)
    assert np.mean(losses[-10:]) < 0.6 * math.log(3)


@pytest.mark.parametrize("kind", ALONE)
def test_draws_follow_from_seed_and_step(kind: str) -> None:
    """Equal steps draw equally, also after a state was loaded; the next step draws something else."""
    network = network_of({"cpc": "gru", "odd_one_out": "gru"}.get(kind, "none"))
    if kind == "masked_prediction":
        network = network_of("transformer")
    rows = rows_of((9, 8, 9, 7))
    first, again = objective_of(kind), objective_of(kind)
    made = [float(first(network, inputs_of(rows))["total"].detach()) for _ in range(3)]
    again(network, inputs_of(rows))
    state = again.state_dict()
    resumed = objective_of(kind)
    resumed.load_state_dict(state)
    found = [float(resumed(network, inputs_of(rows))["total"].detach()) for _ in range(2)]
    assert found == made[1:]
    assert (len(set(made)) > 1) == (kind != "cpc"), "CPC draws nothing"


@pytest.mark.parametrize("kind", ALONE)
def test_clips_that_are_too_short_cost_nothing(kind: str) -> None:
    network = network_of("transformer" if kind == "masked_prediction" else "gru")
    objective = objective_of(kind)
    terms = objective(network, inputs_of(rows_of((1, 1))))
    assert float(terms["total"]) == 0
    terms["total"].backward()
    assert all(not one.grad.any() for one in network.parameters() if one.grad is not None)


@pytest.mark.parametrize("context", ["none", "gru", "transformer"])
def test_padding_changes_no_embedding(context: str) -> None:
    network = network_of(context).eval()
    network.centre.copy_(vectors(WIDTH, seed=5))
    rows = rows_of()
    found = network.embed_video(rows)
    for clip, length, vector in zip(rows, LENGTHS, found, strict=True):
        alone = network.embed_frames(0, clip[:length]).mean(dim=0)
        torch.testing.assert_close(vector, alone / alone.norm(), atol=1e-12, rtol=0)


def test_texts_are_mapped_by_a_ridge_regression(tmp_path: Any) -> None:
    """The same map from the stacked system [T; sqrt(n r) I] M = [V; 0], solved by least squares."""
    data = write_topic_shards(tmp_path / "data", videos=9)
    chosen = options("cpc", epochs=2)
    network, _ = load_model(run(data, tmp_path, chosen))
    assert isinstance(network, SequenceNetwork)
    shards = type(data)({"resnet152": data.video["resnet152"]}, {}, data.text, data.vocabulary)
    given = TrainingSet(shards, chosen.training, Needs(("video", "text"), rows=("video",)))
    known = torch.from_numpy(vocabulary_vectors(data.vocabulary)[0]).double()
    texts, clips = [], []
    for step in range(given.steps_per_epoch):
        batch = given.batch(2, step)
        for rows, words in zip(batch.video, batch.words, strict=True):
            kept = rows[(rows != 0).any(-1)].float()
            contexts = network.embed_frames(0, kept) + network.centre
            clips.append(contexts.mean(dim=0).double().detach())
            said = known[words].sum(dim=0)
            texts.append(said / said.norm())
    seen, said = torch.stack(clips), torch.stack(texts)
    seen = seen - seen.mean(dim=0)
    seen, said = seen / seen.norm(dim=1, keepdim=True), said - said.mean(dim=0)
    root = math.sqrt(0.01 * len(said)) * torch.eye(said.shape[1], dtype=torch.float64)
    system = torch.cat([said, root]), torch.cat([seen, torch.zeros(len(root), seen.shape[1])])
    wanted = torch.linalg.lstsq(*system).solution
    torch.testing.assert_close(network.text_map.double(), wanted, atol=1e-4, rtol=1e-4)


def with_pretext(objective: dict[str, Any], **model: Any) -> dict[str, Any]:
    values = with_conse()
    values["experiments"]["alone"] = {"base": "mcn", "model": model, "objective": objective}
    return values


def test_a_configuration_names_one_feature() -> None:
    with pytest.raises(UserError, match=r"alone\.model\.video: resnet152, resnext101; cpc learns"):
        configure(with_pretext({"kind": "cpc"}))
    settings = configure(with_pretext({"kind": "cpc"}, video=["resnet152"]))
    alone = settings.experiments["alone"]
    assert isinstance(alone.objective, PretextOptions)
    assert alone.features == (("resnet152",), None, "word2vec")
    scored = [task for name, _, task in settings.evaluations() if name == "alone"]
    assert "retrieval" in scored
    silent = with_pretext({"kind": "cpc", "modality": "audio"}, audio="davenet")
    heard = configure(silent).experiments["alone"]
    assert heard.features == ((), "davenet", "word2vec")
    wrong = {"kind": "masked_prediction", "quantised": True, "projection_width": 9}
    with pytest.raises(UserError, match="projection_width 9 is no multiple of 2 codebooks"):
        configure(with_pretext(wrong, video=["resnet152"]))


@pytest.mark.parametrize("modality", ["video", "audio"])
def test_evaluations_take_such_a_network_as_any_model(tmp_path: Any, modality: str) -> None:
    """Clips are the mean contexts of their rows; a feature of another width is refused."""
    small = make_set(tmp_path)
    width = 6 if modality == "video" else 8
    torch.manual_seed(0)
    network = SequenceNetwork(modality, width, 5, WIDTH, "gru")
    network.text_map.copy_(torch.randn(5, WIDTH))
    given = evaluated(small, RetrievalOptions(), network, video=["resnet152"])
    scores = evaluate(given)
    pair = {"video": "t->v", "audio": "t->a"}[modality]
    assert scores["scores"][pair]["n"] > 0
    clip = Moment("soup", 3.0, 6.5)
    name = "resnet152" if modality == "video" else "davenet"
    store = given.stores[name]["soup"]
    first, last = (int(t / store.step_seconds) for t in (3.0, 6.5))
    rows = torch.from_numpy(store.values[first : last + 1].astype("f4"))[None]
    found = given.embed_video([clip]) if modality == "video" else given.embed_audio([clip], 5120)
    with torch.inference_mode():
        wanted = network.embed_rows(rows)[0].numpy()
    np.testing.assert_allclose(found.vectors[0], wanted, atol=1e-5)
    other = SequenceNetwork(modality, width + 1, 5, WIDTH, "gru")
    with pytest.raises(UserError, match=f"of width {width}"):
        evaluate(evaluated(small, RetrievalOptions(), other, video=["resnet152"]))
