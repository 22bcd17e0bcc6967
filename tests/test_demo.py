"""The rendered demo: same bytes for a seed, consistent annotations, playable files, learnable words."""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections import Counter
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from gensim.models import KeyedVectors
from pydantic import ValidationError

from mcn.demo.actions import DRAWINGS, Frame, draw_step
from mcn.demo.captions import captions, step_names
from mcn.demo.dataset import make, make_set, plans
from mcn.demo.plan import VideoPlan
from mcn.demo.sounds import LEVEL, SOUNDS, action_sound
from mcn.demo.speech import SAMPLE_RATE, VOICES
from mcn.demo.sprites import PLANKS, Sprites, picture
from mcn.demo.story import STORY, Story, asset
from mcn.demo.tasks import drawn_tasks
from mcn.errors import UserError
from mcn.options.demo import DemoOptions, RenderedOptions
from mcn.sources.annotation_tables import prepare_captions, prepare_steps
from mcn.sources.manifest import read_manifest
from mcn.sources.narration import read_narration
from mcn.sources.videos import prepare_videos

SMALL = DemoOptions(training_videos=1, held_out_videos=1, training_seconds=14, held_out_seconds=20)

needs_speech = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="the extra `demo` is not installed"
)


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("demo")
    make(folder, SMALL.model_copy(update={"workers": 2}))
    return folder


@pytest.fixture(scope="module")
def planned() -> dict[str, list[VideoPlan]]:
    return plans(DemoOptions())


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


@functools.cache
def vocabulary() -> frozenset[str]:
    """The words that have a vector."""
    vectors = KeyedVectors.load_word2vec_format(str(asset("glove_demo.bin")), binary=True)
    return frozenset(vectors.key_to_index)


def words(texts) -> set[str]:
    return {word for text in texts for word in text.split()}


# --- rendered files ---------------------------------------------------------------------------------------------


@needs_speech
def test_the_bytes_follow_from_the_seed_alone(small, tmp_path):
    make(tmp_path, SMALL.model_copy(update={"workers": 1}))
    assert hashes(tmp_path) == hashes(small)


@needs_speech
def test_a_second_run_replaces_the_first(small, tmp_path):
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos/old.mp4").touch()
    make(tmp_path, SMALL)
    assert hashes(tmp_path) == hashes(small)


@needs_speech
def test_videos_play(small):
    durations = {p.video_id: p.seconds for split in plans(SMALL).values() for p in split}
    assert {path.stem for path in (small / "videos").iterdir()} == set(durations)
    for video_id, seconds in durations.items():
        with av.open(str(small / f"videos/{video_id}.mp4")) as container:
            video, sound = container.streams.video[0], container.streams.audio[0]
            assert (video.codec_context.name, sound.codec_context.name) == ("h264", "aac")
            for stream in (video, sound):
                assert float(stream.duration * stream.time_base) == pytest.approx(seconds, abs=0.1)
            pictures = [f.to_ndarray(format="gray") for f in container.decode(video=0)]
            container.seek(0)
            samples = np.concatenate([f.to_ndarray()[0] for f in container.decode(audio=0)])
        assert len(pictures) == round(seconds * video.average_rate)
        assert np.mean([picture.std() for picture in pictures]) > 20
        # action sounds at `LEVEL`, speech above them
        assert 0.02 < np.sqrt(np.mean(samples**2)) < 0.2


@needs_speech
def test_the_pipeline_reads_it(small, tmp_path):
    for split in ("train", "test"):
        assert len(read_manifest(small / f"{split}.csv")) == 1
    videos = tmp_path / "videos.parquet"
    prepare_videos(small / "test.csv", videos, tmp_path / "narration.parquet")
    prepare_captions(small / "captions.csv", videos, tmp_path / "captions.parquet")
    tables = tmp_path / "tasks.parquet", tmp_path / "steps.parquet"
    prepare_steps(small / "tasks.csv", small / "steps.csv", videos, *tables)
    assert len(pd.read_parquet(tables[1])) == len(pd.read_csv(small / "captions.csv"))
    assert set(pd.read_csv(small / "training_steps.csv").video_id) == {"train0000"}
    about = (small / "DEMO.md").read_text()
    assert "Synthetic" in about
    assert "Permission is hereby granted" in about


@needs_speech
def test_narration_is_as_automatic_captions_are(small):
    lines = read_narration(small / "narration/test0000.srt")
    seconds = plans(SMALL)["test"][0].seconds
    for line, after in zip(lines, [*lines[1:], None], strict=True):
        assert 1 <= len(line.text.split()) <= 8
        assert line.text == line.text.lower()
        assert line.start_seconds < line.end_seconds <= seconds
        assert after is None or line.end_seconds <= after.start_seconds
    spoken = words(line.text for line in lines)
    assert len(spoken) > 15
    assert len(spoken - vocabulary()) <= 2


@needs_speech
def test_voices_have_no_breath():
    """Breath is other noise in every run (see `mcn.demo.speech`)."""
    import espeakng_loader

    for voice in VOICES:
        described = Path(espeakng_loader.get_data_path()) / "voices/!v" / voice
        assert "breath" not in described.read_text()


@needs_speech
def test_a_failure_leaves_nothing(tmp_path, monkeypatch):
    def broken(*_):
        raise RuntimeError("full disk")

    monkeypatch.setattr("mcn.demo.dataset._annotate", broken)
    with pytest.raises(RuntimeError, match="full disk"):
        make(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_without_speech_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install -e '.\[demo\]'"):
        make(tmp_path, SMALL)


def die(*_) -> None:
    os._exit(3)


def fail(plan, *_) -> None:
    raise OSError(f"no room for {plan.video_id}")


@needs_speech
@pytest.mark.parametrize(
    ("render", "error", "words"),
    [(die, UserError, "process that rendered a video died"), (fail, OSError, "no room for t")],
)
def test_a_failing_process_is_an_error(tmp_path, monkeypatch, render, error, words):
    monkeypatch.setattr("mcn.demo.dataset.render", render)
    with pytest.raises(error, match=words):
        make(tmp_path, SMALL)
    assert list(tmp_path.iterdir()) == []


def test_a_story_with_an_unknown_object_is_refused():
    values = STORY.model_dump()
    values["tasks"]["bake a cake"]["steps"] = [["add", "egg", "bath"]]
    with pytest.raises(ValidationError, match=r"bake a cake: .*\[add, egg, bath\]"):
        Story.model_validate(values)


# --- plans and annotations --------------------------------------------------------------------------------------


def test_sizes_are_as_asked(planned):
    train, test = planned["train"], planned["test"]
    assert (len(train), len(test)) == (36, 18)
    assert sum(plan.seconds for plan in train) == pytest.approx(36 * 19.5, rel=0.01)
    assert sum(plan.seconds for plan in test) == pytest.approx(18 * 27, rel=0.01)
    assert {plan.task for plan in train} == set(STORY.tasks)
    assert {plan.task for plan in test} > set(STORY.unseen_tasks)
    assert len({plan.rate for plan in train}) > 2
    assert len({(plan.width, plan.height) for plan in train}) == 3


def test_shots_fill_the_video_and_steps_come_in_order(planned):
    for plan in [*planned["train"], *planned["test"]]:
        assert plan.shots[0].start == 0
        for shot, after in zip(plan.shots, plan.shots[1:], strict=False):
            assert shot.start < shot.end == after.start
        numbers = [shot.number for shot in plan.steps]
        assert numbers == sorted(set(numbers))
        assert [shot.step for shot in plan.steps] == [
            STORY.all_tasks[plan.task].steps[n] for n in numbers
        ]
        assert all(1.8 <= shot.end - shot.start <= 4.5 for shot in plan.steps)


def test_a_third_to_a_half_is_background(planned):
    for plan in [*planned["train"], *planned["test"]]:
        shown = sum(shot.end - shot.start for shot in plan.steps)
        assert 0.3 <= 1 - shown / plan.seconds <= 0.5


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("videos", [18, 60])
def test_captions_are_unique_known_words_and_not_what_is_said(seed, videos):
    test = plans(DemoOptions(seed=seed, held_out_videos=videos))["test"]
    rows = captions(test, seed)
    texts = [row.caption for row in rows]
    assert len(set(texts)) == len(texts) == sum(len(plan.steps) for plan in test)
    assert len({row.clip_id for row in rows}) == len(rows)
    assert words(texts) <= vocabulary()
    spoken = {text for plan in test for shot in plan.shots for text in shot.sentences}
    for text in texts:
        assert not any(text in sentence for sentence in spoken)


def test_held_out_captions_use_words_of_training(planned):
    training = words(
        text for plan in planned["train"] for shot in plan.shots for text in shot.sentences
    )
    caption_words = [word for row in captions(planned["test"], 0) for word in row.caption.split()]
    assert np.mean([word in training for word in caption_words]) > 0.85


def test_unseen_tasks_are_made_of_known_parts():
    seen = {step for task in STORY.tasks.values() for step in task.steps}
    steps = [step for task in STORY.unseen_tasks.values() for step in task.steps]
    assert not STORY.tasks.keys() & STORY.unseen_tasks.keys()
    assert {step.action for step in steps} <= {step.action for step in seen}
    assert {step.item for step in steps} <= {step.item for step in seen}
    assert {s.target for s in steps if s.target} <= {n for s in seen for n in (s.item, s.target)}
    assert np.mean([step in seen for step in steps]) < 0.2
    shared = [step for task in STORY.tasks.values() for step in task.steps]
    assert len({step.action for step in shared}) < len(shared) / 3


def test_every_step_can_be_shown_said_heard_and_written():
    assert set(STORY.actions) == set(DRAWINGS)
    assert {action.sound for action in STORY.actions.values()} == set(SOUNDS)
    for task in STORY.all_tasks.values():
        for step in task.steps:
            wanted = "{target}" in STORY.actions[step.action].spoken[0]
            assert wanted == (step.target is not None)
    names = {name for item in STORY.items.values() for name in item.pictures} - PLANKS.keys()
    for name in names | set(STORY.clutter) | {action.tool for action in STORY.actions.values()}:
        assert picture(name).size == (256, 256)
    assert words(name.text for name in step_names(STORY.all_tasks)) <= vocabulary()
    assert words(STORY.misheard.values()) <= vocabulary()


def test_every_drawing_shows_its_object():
    from PIL import Image

    sprites = Sprites(np.random.default_rng(0))
    shown = {step.action: step for task in STORY.all_tasks.values() for step in task.steps}
    for action, step in shown.items():
        canvas = Image.new("RGB", (320, 240), (128, 128, 128))
        draw_step(Frame(canvas, sprites, step, 1.1, 0.5, 160, 125, 110, (200, 40, 40)))
        drawn = (np.asarray(canvas) != 128).any(axis=-1)
        assert drawn[:, 40:280].mean() > 0.15, action  # inside the central square


def test_actions_sound_different():
    spectra = []
    for kind in SOUNDS:
        wave = action_sound(kind, 2.0, np.random.default_rng(0))
        assert len(wave) == 2 * SAMPLE_RATE
        assert np.sqrt(np.mean(wave**2)) == pytest.approx(LEVEL, rel=1e-3)
        power = np.abs(np.fft.rfft(wave)) ** 2
        bands = np.array([part.sum() for part in np.array_split(power, 40)]) ** 0.25
        spectra.append(bands / np.linalg.norm(bands))
    similarity = np.array(spectra) @ np.array(spectra).T - np.eye(len(spectra))
    assert similarity.max() < 0.995


def test_options_refuse_what_they_do_not_know():
    with pytest.raises(ValidationError):
        DemoOptions.model_validate({"video": 3})
    with pytest.raises(ValidationError):
        DemoOptions(held_out_videos=0)
    assert all(field.description for field in DemoOptions.model_fields.values())


def test_assets_are_in_the_package():
    assert len(vocabulary()) == 10_023
    assert "MIT" in asset("LICENSES.md").read_text()


# --- further sets -----------------------------------------------------------------------------------------------


RENDERED = {"videos": 4, "tasks": [(0, 1), (3, 5)], "seconds": 14, "picture": (64, 64, 2)}


def test_drawn_tasks_do_not_depend_on_their_number():
    many = drawn_tasks(60, 0)
    assert list(drawn_tasks(7, 0).items()) == list(many.items())[:7]
    assert drawn_tasks(7, 1).keys() != drawn_tasks(7, 0).keys()
    steps = [step for task in many.values() for step in task.steps]
    used = Counter(step.action for step in steps)
    assert used.keys() == STORY.actions.keys()
    assert max(used.values()) - min(used.values()) <= 3, "every action as often as any other"
    assert {step.item for step in list(steps)[:60]} == STORY.items.keys()
    for task in many.values():
        assert len(set(task.steps)) == len(task.steps)
        assert all(
            ("{target}" in STORY.actions[s.action].spoken[0]) == bool(s.target) for s in task.steps
        )


@needs_speech
def test_a_set_takes_turns_at_its_ranges_of_tasks(tmp_path):
    folder = tmp_path / "turns"
    make_set(folder, RenderedOptions(**RENDERED), workers=2)
    names = list(drawn_tasks(5, 0))
    rows = pd.read_csv(folder / "manifest.csv")
    assert rows.video_id.tolist() == ["turns0000", "turns0001", "turns0002", "turns0003"]
    assert rows.title.tolist() == [f"how to {names[i]}" for i in (0, 3, 0, 4)]
    steps, tasks = pd.read_csv(folder / "steps.csv"), pd.read_csv(folder / "tasks.csv")
    assert set(tasks.task) == {names[i] for i in (0, 3, 4)}
    assert steps.groupby("video_id").size().tolist() == [4] * 4
    assert set(steps[["task", "step"]].itertuples(index=False)) <= set(
        tasks[["task", "step"]].itertuples(index=False)
    )
    with av.open(str(folder / "videos/turns0000.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height, stream.average_rate) == (64, 64, 2)
    prepare_videos(folder / "manifest.csv", tmp_path / "v.parquet", tmp_path / "n.parquet", "error")
    prepare_captions(folder / "captions.csv", tmp_path / "v.parquet", tmp_path / "c.parquet")


def test_captions_are_used_again_when_all_are_used_up(planned):
    plan = planned["test"][0]
    twice = captions([plan] * 40, 0)
    assert len({one.caption for one in twice}) < len(twice) == 40 * len(plan.steps)
    alone = captions([plan], 0)
    assert twice[: len(alone)] == alone


@pytest.mark.parametrize("tasks", [[], [(3, 3)], [(-1, 2)]])
def test_a_set_without_a_task_is_refused(tasks):
    with pytest.raises(ValidationError):
        RenderedOptions(**{**RENDERED, "tasks": tasks})
