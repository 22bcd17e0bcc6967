"""Under every kind of objective two runs agree bit for bit, one of them killed and resumed inside an epoch."""

import pytest

from mcn.training.step import Trainer
from tests.objective_runs import every_kind, options
from tests.synthetic_shards import write_topic_shards
from tests.test_training import Killed, lines, run, weights


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_topic_shards(tmp_path_factory.mktemp("data"), videos=9, spoil=True)


@every_kind
def test_resumed_run_equals_the_undisturbed_one(data, tmp_path, monkeypatch, name):
    """Killed inside an epoch, one step after a checkpoint; the second of two equal runs is the resumed one."""
    undisturbed = run(data, tmp_path / "undisturbed", options(name))
    original = Trainer.step

    def die(self, batch, number):
        if number == 6:
            raise Killed
        return original(self, batch, number)

    monkeypatch.setattr(Trainer, "step", die)
    with pytest.raises(Killed):
        run(data, tmp_path, options(name))
    monkeypatch.setattr(Trainer, "step", original)
    resumed = run(data, tmp_path, options(name, loader_workers=1))
    assert weights(resumed) == weights(undisturbed)
    assert lines(resumed) == lines(undisturbed)
