"""Checkpoints: what survives a kill, damage, and another run's leftovers."""

import threading

import pytest
import torch

from mcn.training import state as run_state
from mcn.training.state import RunState, random_state, restore_random_state


def state_at(step):
    return {"step": step, "rows": torch.full((3,), float(step)), "none": None}


def test_newest_comes_back_and_two_are_kept(tmp_path):
    state = RunState(tmp_path / "run", {"seed": 1})
    assert state.latest() is None
    for step in (4, 8, 12):
        state.save(step, state_at(step))
    assert RunState(tmp_path / "run", {"seed": 1}).latest()["step"] == 12
    assert sorted(path.name for path in (tmp_path / "run").iterdir()) == [
        "step-000000008.json",
        "step-000000008.pt",
        "step-000000012.json",
        "step-000000012.pt",
    ]


@pytest.mark.parametrize("damage", ["truncate", "flip", "remove"])
def test_damaged_newest_gives_way_to_the_one_before(tmp_path, damage, caplog):
    state = RunState(tmp_path, {})
    state.save(4, state_at(4))
    state.save(8, state_at(8))
    newest = tmp_path / "step-000000008.pt"
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 1
    if damage == "remove":
        newest.unlink()
    else:
        newest.write_bytes(bytes(data) if damage == "flip" else bytes(data[:100]))
    assert state.latest()["step"] == 4
    assert "step-000000008.pt cannot be used" in caplog.text
    assert "set aside" in caplog.text


@pytest.mark.parametrize("killed_in", ["torch.save", "write_json", "_remove_older"])
def test_kill_while_saving_leaves_a_good_checkpoint(tmp_path, monkeypatch, killed_in):
    state = RunState(tmp_path, {})
    state.save(4, state_at(4))

    def die(*_):
        raise KeyboardInterrupt

    where = {
        "torch.save": (torch, "save"),
        "write_json": (run_state, "write_json"),
        "_remove_older": (RunState, "_remove_older"),
    }
    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(*where[killed_in], die)
        state.save(8, state_at(8))
    expected = 8 if killed_in == "_remove_older" else 4
    assert RunState(tmp_path, {}).latest()["step"] == expected
    state.save(12, state_at(12))
    assert len(list(tmp_path.glob("step-*.pt"))) == 2


def test_another_runs_checkpoints_are_removed(tmp_path, caplog):
    RunState(tmp_path, {"seed": 1, "width": 8}).save(4, state_at(4))
    (tmp_path / "metrics.jsonl").write_text("{}\n")
    assert RunState(tmp_path, {"seed": 2, "width": 8}).latest() is None
    assert "another run (seed differ)" in caplog.text
    assert not list(tmp_path.iterdir())


NOTES = {
    "zeros": bytes(200),
    "empty": b"",
    "cut": b'{"identity": {"format": 2}, "st',
    "of another form": b'[{"file": 8}]',
    "no identity": b'{"identity": null, "step": 8, "sha256": ""}',
}


@pytest.mark.parametrize("note", NOTES.values(), ids=NOTES)
def test_a_damaged_note_gives_way_to_the_one_before(tmp_path, note, caplog):
    state = RunState(tmp_path, {})
    state.save(4, state_at(4))
    state.save(8, state_at(8))
    (tmp_path / "step-000000008.json").write_bytes(note)
    assert state.latest()["step"] == 4
    assert "step-000000008.json cannot be used" in caplog.text
    assert (tmp_path / "step-000000008.json.damaged").read_bytes() == note


def test_nothing_whole_starts_anew(tmp_path, caplog):
    state = RunState(tmp_path, {})
    state.save(4, state_at(4))
    (tmp_path / "step-000000004.pt").write_bytes(bytes(1000))
    (tmp_path / "metrics.jsonl").write_bytes(bytes(1000))
    assert state.latest() is None
    assert "set aside" in caplog.text
    assert {path.suffix for path in tmp_path.iterdir()} == {".damaged"}


FIRST, SECOND = '{"step": 1, "epoch": 1, "loss": 3.0}\n', '{"step": 2, "epoch": 1, "loss": 2.0}\n'
LOGS = {
    "intact": (FIRST, False),
    "a step too far": (FIRST + SECOND, False),
    "a torn line too far": (FIRST + SECOND[:9], False),
    "lost": (None, False),
    "empty": ("", True),
    "torn": (FIRST[:9], True),
    "padded": (FIRST[:9] + 100 * "\0", True),
    "of zeros": ("\0" * 100, True),
    "of another run": (SECOND, True),
}


@pytest.mark.parametrize(("content", "aside"), LOGS.values(), ids=LOGS)
def test_a_log_goes_on_with_the_lines_that_the_checkpoint_knows(tmp_path, content, aside, caplog):
    path = tmp_path / "metrics.jsonl"
    if content is not None:
        path.write_text(content)
    log = run_state.TrainingLog(tmp_path, FIRST, 1)
    log.write(2, 1, {"loss": 2.0})
    log.close()
    assert path.read_text() == FIRST + SECOND == log.text
    assert ("set aside" in caplog.text) == aside == path.with_name("metrics.jsonl.damaged").exists()


def test_checkpoint_that_runs_code_is_refused(tmp_path, caplog):
    """A pickle whose loading would call something is not loaded, even with its digest in the index."""
    state = RunState(tmp_path, {})
    state.save(4, {"step": 4, "call": Calls()})
    assert state.latest() is None
    assert not Calls.called
    assert "cannot be used" in caplog.text


class Calls:
    called = False

    def __reduce__(self):
        return setattr, (Calls, "called", True)


def test_random_state_comes_back():
    before = random_state()
    expected = torch.rand(3)
    restore_random_state(before)
    assert torch.equal(torch.rand(3), expected)


def test_a_checkpoint_is_written_beside_training(tmp_path, monkeypatch):
    """It holds what the state was when it was saved, whatever training does to it while the thread writes."""
    state, may_write = RunState(tmp_path, {}), threading.Event()
    original = torch.save
    monkeypatch.setattr(torch, "save", lambda *given: (may_write.wait(60), original(*given)))
    saved = {"nested": [{"rows": torch.zeros(3)}, (1, torch.ones(2))], "sums": {"loss": 1.0}}
    state.save(4, saved, waits=False)
    assert not list(tmp_path.glob("*.pt"))
    saved["nested"][0]["rows"] += 7
    saved["nested"][1][1].zero_()
    saved["sums"]["loss"] = 2.0
    may_write.set()
    state.finish()
    found = RunState(tmp_path, {}).latest()
    assert found["nested"][0]["rows"].tolist() == [0, 0, 0]
    assert found["nested"][1][1].tolist() == [1, 1]
    assert found["sums"] == {"loss": 1.0}


def test_what_goes_wrong_beside_training_is_told(tmp_path, monkeypatch):
    state = RunState(tmp_path, {})

    def fail(*given):
        raise OSError("gone")

    monkeypatch.setattr(torch, "save", fail)
    state.save(4, state_at(4), waits=False)
    with pytest.raises(OSError, match="gone"):
        state.save(8, state_at(8), waits=False)
