"""Synchronisation and correspondence against loops: which sounds are true, elsewhere, moved, or not there."""

import math

import pytest
import torch

from mcn.errors import UserError
from mcn.objectives.correspondence import CorrespondenceObjective
from mcn.objectives.synchronisation import SynchronisationObjective, distances, false_rows
from mcn.options.pretexts import CorrespondenceOptions, SynchronisationOptions
from tests.objective_inputs import inputs, setting, vectors

VIDEOS, CLIPS = 3, 2


def batch(count=VIDEOS * CLIPS):
    names = ("video", "audio", "moved")
    return {name: vectors(count, 5, seed=i, unit=True) for i, name in enumerate(names)}


def apart(views, x, i, y, j):
    return (views[x][i] - views[y][j]).norm().item()


def synchronisation(epochs=2, **options):
    chosen = SynchronisationOptions(kind="synchronisation", easy_epochs=1, **options)
    objective = SynchronisationObjective(chosen, setting(VIDEOS, CLIPS))
    for _ in range(epochs):
        objective.start_epoch()
    return objective


def step(absent=None, room=None):
    absent_after = {"audio": room} if room else {}
    second = inputs(VIDEOS * CLIPS, CLIPS, absent_after)
    return inputs(VIDEOS * CLIPS, CLIPS, absent, second=second)


def test_synchronisation_is_the_formula():
    views = batch()
    terms = synchronisation().losses(views, step())
    rows = range(6)
    short = lambda d: max(0.99 - d, 0) ** 2  # noqa: E731
    aligned = sum(apart(views, "video", i, "audio", i) ** 2 for i in rows) / 6
    easy = sum(short(apart(views, "video", i, "audio", (i - CLIPS) % 6)) for i in rows) / 6
    hard = sum(short(apart(views, "video", i, "moved", i)) for i in rows) / 6
    expected = {"aligned": aligned / 2, "easy": 0.75 * easy / 2, "hard": 0.25 * hard / 2}
    assert {name: term.item() for name, term in terms.items()} == pytest.approx(expected)


def test_hard_negatives_come_after_the_easy_epochs():
    first = synchronisation(epochs=1).losses(batch(), step())
    assert first["hard"].item() == 0
    later = synchronisation(margin=3.0).losses(batch(), step())
    assert later["hard"].item() > 0


def test_sound_that_is_not_there_takes_no_part():
    views = {name: view.requires_grad_() for name, view in batch().items()}
    terms = synchronisation(margin=3.0).losses(views, step({"audio": [1]}, room=[4]))
    sum(terms.values()).backward()
    assert views["audio"].grad[1].abs().sum() == 0
    assert views["video"].grad[1].abs().sum() == 0
    assert views["moved"].grad[4].abs().sum() == 0
    assert (views["moved"].grad[[0, 2, 3, 5]].abs().sum(dim=1) > 0).all()
    assert false_rows(step({"audio": [1]})).tolist() == [0, 2, 4, 5]  # clip 3 would hear clip 1


def test_one_video_has_no_sound_of_elsewhere():
    views = batch(2)
    alone = inputs(2, 2, second=inputs(2, 2))
    assert synchronisation(margin=3.0).losses(views, alone)["easy"].item() == 0
    with pytest.raises(UserError, match="one video a step"):
        CorrespondenceObjective(CorrespondenceOptions(kind="correspondence"), setting(1, 4))


def test_distances_of_equal_points_have_a_gradient():
    left = vectors(3, 4).requires_grad_()
    right = left.detach().clone()
    right[0] += 1
    found = distances(left, right)
    assert found.tolist() == pytest.approx([2, 0, 0])
    found.sum().backward()
    assert torch.isfinite(left.grad).all()
    assert torch.autograd.gradcheck(distances, (left, vectors(3, 4, seed=5)))


@pytest.mark.parametrize("form", ["distance", "fusion"])
def test_correspondence_is_the_cross_entropy_of_true_and_false_pairs(form):
    torch.manual_seed(0)
    options = CorrespondenceOptions(kind="correspondence", form=form, hidden_width=4)
    objective = CorrespondenceObjective(options, setting(VIDEOS, CLIPS))
    objective.heads.double()
    views = batch()
    answer = objective.heads["answer"]
    losses = []
    for i in range(6):
        for j, truth in ((i, 1), ((i - CLIPS) % 6, 0)):
            v, a = views["video"][i], views["audio"][j]
            logits = answer((v - a).norm().view(1) if form == "distance" else torch.cat([v, a]))
            losses.append(-math.log(logits.softmax(0)[truth].item()))
    loss = objective.losses(views, inputs(6, CLIPS))["correspondence"]
    assert loss.item() == pytest.approx(sum(losses) / 12)


def test_correspondence_starts_with_near_meaning_true():
    objective = CorrespondenceObjective(
        CorrespondenceOptions(kind="correspondence"), setting(VIDEOS, CLIPS)
    )
    near, far = objective.heads["answer"](torch.tensor([[0.1], [1.9]])).argmax(dim=1).tolist()
    assert (near, far) == (1, 0)


def test_clips_without_sound_do_not_correspond():
    objective = CorrespondenceObjective(
        CorrespondenceOptions(kind="correspondence"), setting(VIDEOS, CLIPS)
    )
    objective.heads.double()
    views = {name: view.requires_grad_() for name, view in batch().items()}
    objective.losses(views, inputs(6, CLIPS, {"audio": [1]}))["correspondence"].backward()
    assert views["audio"].grad[1].abs().sum() == 0
    assert views["video"].grad[1].abs().sum() == 0
    nothing = inputs(6, CLIPS, {"audio": list(range(6))})
    assert objective.losses(batch(), nothing)["correspondence"].item() == 0
