"""Supervised grouping: the equation in loops, masked margin softmax without groups, and which step a clip shows."""

import math

import pyarrow as pa
import pytest
import torch

from mcn.errors import UserError
from mcn.files import write_table
from mcn.objectives import masked_margin_softmax
from mcn.objectives.objective import make_objective
from mcn.objectives.supervised import grouped_margin_softmax
from mcn.options.contrast import SupervisedOptions
from mcn.training.data import TrainingSet
from mcn.training.steps import NO_STEP, ShownStep, StepTables, step_of
from tests import objective_inputs
from tests.objective_runs import options
from tests.synthetic_shards import step_tables, write_topic_shards
from tests.test_training import run


def by_loops(s, groups, m):
    """The docstring's equation, item by item, in both directions."""
    n, total = len(s), 0.0
    for scores in (s, [list(column) for column in zip(*s, strict=True)]):
        for i in range(n):
            positives = {j for j in range(n) if j == i or groups[j] == groups[i] >= 0}
            below = sum(math.exp(scores[i][j] - m * (j in positives)) for j in range(n))
            terms = [math.log(math.exp(scores[i][p] - m) / below) for p in positives]
            total -= sum(terms) / len(positives) / n
    return total


@pytest.mark.parametrize("groups", [[0, 0, 1, -1, 1], [-1] * 5, [3] * 5])
@pytest.mark.parametrize("margin", [0.001, 0.4])
def test_is_the_equation(groups, margin):
    s = objective_inputs.vectors(5, 5, seed=3)
    found = grouped_margin_softmax(s, torch.tensor(groups), margin).item()
    assert found == pytest.approx(by_loops(s.tolist(), groups, margin), rel=1e-12)


def test_without_two_of_a_group_it_is_the_masked_margin_softmax():
    s = objective_inputs.vectors(6, 6)
    for groups in (torch.arange(6), torch.full((6,), NO_STEP)):
        assert grouped_margin_softmax(s, groups).item() == pytest.approx(
            masked_margin_softmax(s).item(), rel=1e-12
        )


def test_all_pairs_count_and_clips_that_lack_a_modality_do_not():
    views, groups = objective_inputs.views(4), torch.tensor([0, 1, 0, -1])
    chosen = SupervisedOptions(kind="supervised")
    objective = make_objective(chosen, objective_inputs.setting(4))
    batch = objective_inputs.inputs(4, absent={"audio": [2]}, groups=groups)
    kept = torch.tensor([0, 1, 3])
    wanted = grouped_margin_softmax(views["video"] @ views["text"].t(), groups)
    for left, right in (("audio", "text"), ("video", "audio")):
        s = views[left][kept] @ views[right][kept].t()
        wanted = wanted + grouped_margin_softmax(s, groups[kept])
    assert objective.losses(views, batch)["contrast"].item() == pytest.approx(wanted.item())


def test_a_clip_shows_the_step_that_fills_half_of_it():
    shown = [ShownStep(4, 0.0, 2.0), ShownStep(7, 2.0, 6.0), ShownStep(4, 8.0, 9.0)]
    assert step_of(shown, 0.0, 3.0) == 4
    assert step_of(shown, 1.0, 6.0) == 7
    assert step_of(shown, 5.0, 8.0) == NO_STEP, "a third of it"
    assert step_of([], 0.0, 3.0) == NO_STEP
    assert step_of([ShownStep(1, 0, 1), ShownStep(1, 2, 3)], 0.0, 3.0) == 1, "both parts count"


def test_one_step_of_two_tasks_is_one(tmp_path):
    tables = StepTables(tmp_path / "tasks.parquet", tmp_path / "steps.parquet")
    tasks = {"task": ["a", "a", "b"], "step": [0, 1, 0], "text": ["stir", "pour", "stir"]}
    steps = {"video_id": ["x", "y"], "task": ["a", "b"], "step": [0, 0]}
    times = {"start_seconds": [0.0, 1.0], "end_seconds": [2.0, 3.0]}
    write_table(tables.tasks, pa.table(tasks))
    write_table(tables.steps, pa.table({**steps, **times}))
    assert tables.read() == {"x": [ShownStep(1, 0.0, 2.0)], "y": [ShownStep(1, 1.0, 3.0)]}
    write_table(tables.steps, pa.table({**steps, **times, "step": [0, 5]}))
    with pytest.raises(UserError, match="step 5 of task 'b'"):
        tables.read()


def test_a_set_without_steps_is_refused(tmp_path):
    data = write_topic_shards(tmp_path, videos=4)
    (tmp_path / "steps.parquet").unlink()
    with pytest.raises(UserError, match="no annotated steps"):
        run(data, tmp_path, options("supervised"))


def test_a_batch_holds_the_step_of_every_clip(tmp_path):
    """Lines of the small set are as long as a clip, and token 2t + 1 or 2t + 2 says topic t."""
    data = write_topic_shards(tmp_path, videos=6)
    chosen = options("supervised")
    told = {"steps": step_tables(data).read()}
    batch = TrainingSet(data, chosen.training, chosen.objective.needs, **told).batch(0, 0)
    assert torch.equal(batch.steps, (batch.words[:, 0] - 1) // 2)
    assert (
        TrainingSet(data, chosen.training, options("mcn").objective.needs).batch(0, 0).steps is None
    )
