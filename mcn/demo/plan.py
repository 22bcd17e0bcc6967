"""The plan of one video: what is shown and said when, by whom, where, at which size and rate.

Conventions
-----------
- A video is a row of shots without gaps; a shot shows one step, or is background (intro, fillers, outro). Times are
  seconds, whole frames. Background takes the share that is drawn from `BACKGROUND`.
- Sentences belong to a shot and are spread over it, from `shot.start + lag` on, or when the one before is over; an
  empty one is a pause.
- In another language the same is drawn and told with that language's story: the shots are the same.
- Everything is drawn from `numpy.random.default_rng([*seed, stream])`, whose seed names the video (in the demo seed,
  split and index): plans do not depend on one another.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import NamedTuple

import numpy as np

from mcn.demo.speech import VOICES
from mcn.demo.story import STORIES, STORY, Name, Step, Story, Task

SPLITS = ("train", "test")
BACKGROUND = {"train": (0.34, 0.42), "test": (0.46, 0.495)}  # share of a video
STEPS_SHOWN = {"train": 4, "test": 6}  # at most, of a task's steps
LAG_SECONDS = (-0.6, 0.9)  # speech against picture
SYNONYM_SHARE = 0.2
SILENT_SHARE = 0.35  # fillers in which the narrator says nothing at first
SIZES = ((320, 240), (320, 240), (320, 240), (320, 240), (426, 240), (240, 320))
RATES = (12, 12, 12, 15, 15, 15, 15, 24, 25, 30)  # frames a second
SOUND_RATES = (16_000, 16_000, 44_100)  # Hz
PLAN, RENDER = 1, 2  # streams of random numbers; 0 is that of `lengths`


@dataclass(frozen=True)
class Shot:
    """`step` is None in background shots; `number` is the step's place in its task's list."""

    start: float
    end: float
    step: Step | None
    number: int | None
    sentences: tuple[str, ...]
    lag: float


class Picture(NamedTuple):
    """Width and height in pixels, frames a second."""

    width: int
    height: int
    rate: int


@dataclass(frozen=True)
class VideoPlan:
    """Everything that the renderer needs; objects: those of the task's list, in order of their names; language: what
    is spoken; others: the same video, told in other languages.
    """

    video_id: str
    split: str
    task: str
    place: str
    objects: tuple[str, ...]
    shots: tuple[Shot, ...]
    width: int
    height: int
    rate: int
    sound_rate: int
    voice: str
    words_a_minute: int
    pitch: int
    seed: tuple[int, ...]
    language: str = "en"
    others: tuple[VideoPlan, ...] = ()

    def told_in(self, language: str) -> VideoPlan:
        """The plan of the same video in a language."""
        return next(one for one in (self, *self.others) if one.language == language)

    @property
    def seconds(self) -> float:
        return self.shots[-1].end

    @property
    def steps(self) -> list[Shot]:
        """The shots that show a step."""
        return [shot for shot in self.shots if shot.step is not None]


def task_of(split: str, index: int) -> tuple[str, Task]:
    """The task of a video: training goes round the tasks; held-out videos alternate unseen and seen ones."""
    if split == "test" and index % 2 == 0:
        tasks, index = STORY.unseen_tasks, index // 2
    else:
        tasks, index = STORY.tasks, index // 2 if split == "test" else index
    name = list(tasks)[index % len(tasks)]
    return name, tasks[name]


def lengths(mean_seconds: float, videos: int, split: str, seed: int) -> list[float]:
    """Lengths of a split's videos in seconds, within 10 % of their mean, which is `mean_seconds`."""
    rng = np.random.default_rng([seed, SPLITS.index(split)])
    offsets = rng.permutation(np.linspace(-0.1, 0.1, videos) if videos > 1 else np.zeros(1))
    return [float(mean_seconds * (1 + offset)) for offset in offsets]


def plan_video(
    split: str, index: int, seconds: float, seed: int, languages: Sequence[str] = ("en",)
) -> VideoPlan:
    """Draw one video of the demo, of about `seconds` (to the frame); the languages take turns at being spoken."""
    numbers = (seed, SPLITS.index(split), index)
    told = [
        plan_of(
            f"{split}{index:04d}", split, *task_of(split, index), seconds, numbers, language=one
        )
        for one in languages
    ]
    spoken = told.pop(index % len(told))
    return replace(spoken, others=tuple(told))


def plan_of(
    video_id: str,
    split: str,
    name: str,
    task: Task,
    seconds: float,
    seed: tuple[int, ...],
    picture: Picture | None = None,
    language: str = "en",
) -> VideoPlan:
    """Draw one video of a task. split: how it is cut, of `SPLITS`. picture: its size and rate, drawn where None."""
    rng = np.random.default_rng([*seed, PLAN])
    rate = int(rng.choice(RATES))
    width, height = SIZES[rng.integers(len(SIZES))]
    if picture is not None:
        width, height, rate = picture
    objects = {name for step in task.steps for name in (step.item, step.target) if name}
    return VideoPlan(
        video_id=video_id,
        split=split,
        task=name,
        place=task.place,
        objects=tuple(sorted(objects)),
        shots=_shots(split, _Talk(name, rng, STORIES[language]), task, seconds, rate, rng),
        width=width,
        height=height,
        rate=rate,
        sound_rate=int(rng.choice(SOUND_RATES)),
        voice=str(rng.choice(VOICES)),
        words_a_minute=int(rng.integers(170, 200)),
        pitch=int(rng.integers(35, 65)),
        seed=(*seed, RENDER),
        language=language,
    )


def _shots(
    split: str, talk: _Talk, task: Task, seconds: float, rate: int, rng: np.random.Generator
) -> tuple[Shot, ...]:
    shown = min(STEPS_SHOWN[split], len(task.steps))
    numbers = sorted(rng.choice(len(task.steps), shown, replace=False).tolist())
    share = rng.uniform(*BACKGROUND[split])
    step_seconds = _parts((1 - share) * seconds, rng.uniform(0.85, 1.2, shown))
    kinds = _gaps(shown, rng)
    gap_seconds = _parts(share * seconds, _gap_weights(kinds, rng))
    shots: list[Shot] = []
    time = 0.0
    for position, kind in enumerate(kinds):
        if kind != "cut":
            shot = _background(kind, talk, time, time + gap_seconds[position], rate)
            shots.append(shot)
            time = shot.end
        if position < shown:
            number = numbers[position]
            step, end = task.steps[number], _on_frame(time + step_seconds[position], rate)
            lag = float(rng.uniform(*LAG_SECONDS))
            shots.append(Shot(time, end, step, number, (talk.step(step),), lag))
            time = end
    return tuple(shots)


# gap before a step, or the last -> range of its relative length; `cut` is no gap at all
GAP_WEIGHTS = {"intro": (1.2, 2.0), "filler": (0.6, 1.8), "cut": (0, 0), "outro": (0.8, 1.4)}
LONG_GAP = 4  # one gap is so many times longer: steps do not come evenly spaced
FILLER_SECONDS = 3.5  # a gap has another sentence every so often


def _gaps(steps: int, rng: np.random.Generator) -> list[str]:
    inner = rng.permutation(["filler"] * (steps // 2) + ["cut"] * (steps - 1 - steps // 2))
    return ["intro", *inner.tolist(), "outro"]


def _gap_weights(kinds: list[str], rng: np.random.Generator) -> np.ndarray:
    weights = np.array([rng.uniform(*GAP_WEIGHTS[kind]) for kind in kinds])
    weights[rng.choice(np.flatnonzero(weights))] *= LONG_GAP
    return weights


def _parts(total: float, weights: np.ndarray) -> list[float]:
    return (total * weights / weights.sum()).tolist()


def _on_frame(seconds: float, rate: int) -> float:
    return float(Fraction(round(seconds * rate), rate))


def _background(kind: str, talk: _Talk, start: float, end: float, rate: int) -> Shot:
    first = {"intro": talk.intro, "filler": talk.filler_or_nothing, "outro": talk.outro}[kind]
    more = int((end - start) / FILLER_SECONDS)
    sentences = (first(), *(talk.filler() for _ in range(more)))
    return Shot(start, _on_frame(end, rate), None, None, sentences, 0.2)


class _Talk:
    """What the narrator of one video says."""

    def __init__(self, task: str, rng: np.random.Generator, story: Story) -> None:
        self.task, self.rng, self.story = story.task_names.get(task, task), rng, story

    def intro(self) -> str:
        return str(self.rng.choice(self.story.intros)).format(task=self.task)

    def outro(self) -> str:
        return str(self.rng.choice(self.story.outros))

    def filler(self) -> str:
        return str(self.rng.choice(self.story.fillers))

    def filler_or_nothing(self) -> str:
        return "" if self.rng.random() < SILENT_SHARE else self.filler()

    def step(self, step: Step) -> str:
        sentence = str(self.rng.choice(self.story.actions[step.action].spoken))
        spoken = sentence.format(item=self.name(step.item), target=self.name(step.target))
        return f"{self.rng.choice(self.story.leads)} {spoken}"

    def name(self, item: str | None) -> Name:
        """An object's usual name, now and then another."""
        if item is None:
            return ""
        common, *others = self.story.items[item].names
        if not others or self.rng.random() >= SYNONYM_SHARE:
            return common
        return others[int(self.rng.choice(len(others)))]
