"""An objective of the user's own: a file beside the configuration, trained, resumed, and blamed for its errors."""

import sys

import pytest

from mcn.config.configuration import configure
from mcn.errors import UserError
from mcn.networks.checkpoints import load_model
from mcn.options.training import ExperimentOptions
from mcn.training.step import Trainer
from tests.synthetic_shards import write_topic_shards
from tests.test_config import values  # noqa: F401 (a fixture)
from tests.test_training import Killed, lines, options, run, weights

LOSSES = '''
import torch
from torch import nn

from mcn.objectives import norm_softmax
from mcn.objectives.objective import Objective
from mcn.options.objectives import Needs, ObjectiveOptions


class MyOptions(ObjectiveOptions):
    temperature: float = 0.05

    @property
    def needs(self):
        return Needs(("video", "text"))


class MyObjective(Objective):
    """Video against text, through a head of its own."""

    Options = MyOptions

    def __init__(self, options, setting):
        super().__init__(options, setting)
        self.heads["text"] = nn.Linear(setting.width, setting.width)

    def losses(self, views, inputs):
        similarity = views["video"] @ self.heads["text"](views["text"]).t()
        return {"contrast": norm_softmax(similarity, self.options.temperature)}


class NoTerms(MyObjective):
    def losses(self, views, inputs):
        return {"contrast": views["video"]}


class Broken(MyObjective):
    def losses(self, views, inputs):
        return {"contrast": views["pictures"].mean()}


class NoOptions(Objective):
    pass
'''


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder that holds my_losses.py and a configuration, and is the working directory."""
    (tmp_path / "my_losses.py").write_text(LOSSES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "my_losses", raising=False)
    return tmp_path


def own(name="MyObjective", **more):
    chosen = options().model_dump()
    objective = {"kind": f"my_losses:{name}", "options": more}
    return ExperimentOptions.model_validate({**chosen, "objective": objective})


def test_it_trains_on_what_it_needs_and_resumes_bit_for_bit(beside, monkeypatch):
    data = write_topic_shards(beside / "data", videos=10, spoil=True)
    chosen = own(temperature=0.1)
    assert chosen.features.names == ("resnet152", "resnext101", "word2vec")
    undisturbed = run(data, beside / "undisturbed", chosen)
    original = Trainer.step

    def die(self, batch, number):
        if number == 6:
            raise Killed
        return original(self, batch, number)

    monkeypatch.setattr(Trainer, "step", die)
    with pytest.raises(Killed):
        run(data, beside, chosen)
    monkeypatch.setattr(Trainer, "step", original)
    resumed = run(data, beside, chosen)
    assert weights(resumed) == weights(undisturbed)
    assert lines(resumed) == lines(undisturbed)
    network, config = load_model(resumed)
    assert not network.has_audio
    assert config["options"]["objective"]["kind"] == "my_losses:MyObjective"
    assert len(config["inputs"]["objective"]) == 64
    assert weights(run(data, beside / "other", own(temperature=0.2))) != weights(resumed)


@pytest.mark.parametrize(
    ("objective", "words"),
    [
        ({"kind": "my_losses:MyObjectve"}, r"my_losses.py, which has no 'MyObjectve', did you mean 'MyObjective'"),
        ({"kind": "other_losses:MyObjective"}, r"other_losses.*wanted a class that extends mcn.objectives.objective"),
        ({"kind": "my_losses:NoOptions"}, r"my_losses.py: the class has Options None; wanted one that extends"),
        (
            {"kind": "my_losses:MyObjective", "options": {"temprature": 1}},
            r"temprature: unknown key, did you mean 'temperature'",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_problems_of_the_configuration(beside, values, objective, words):  # noqa: F811
    values["experiments"]["mine"] = {**values["experiments"]["mcn"], "objective": objective}
    with pytest.raises(UserError, match=words):
        configure(values)


def test_a_modality_that_it_needs_and_the_experiment_leaves_out(beside, values):  # noqa: F811
    mine = {"objective": {"kind": "my_losses:MyObjective"}, "model": {"text": None}}
    values["experiments"]["mine"] = {**values["experiments"]["mcn"], **mine}
    with pytest.raises(UserError, match="the objective my_losses:MyObjective needs text"):
        configure(values)


@pytest.mark.parametrize(
    ("name", "words"),
    [("Broken", r"my_losses.py, line \d+, which fails: KeyError: 'pictures'"), ("NoTerms", "not scalar tensors")],
)  # fmt: skip
def test_errors_while_it_trains_name_the_file_and_the_contract(beside, name, words):
    data = write_topic_shards(beside / "data", videos=10)
    with pytest.raises(UserError, match=words) as caught:
        run(data, beside, own(name))
    assert "extends mcn.objectives.objective.Objective" in caught.value.wanted
