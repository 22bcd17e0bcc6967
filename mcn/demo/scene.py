"""The frames of one video: shots with a panning camera, clutter, changing light, things in front.

Conventions
-----------
- Frames are RGB images of the plan's size; nothing is drawn outside `frames`.
- Every shot has its own camera place, object place and size, clutter and, at times, something that hides a part.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import sin

import numpy as np
from PIL import Image

from mcn.demo.actions import PAINTS, Frame, draw_step
from mcn.demo.backdrops import MARGIN, backdrop
from mcn.demo.plan import Shot, VideoPlan
from mcn.demo.sprites import Sprites
from mcn.demo.story import TASKS, UNSEEN_TASKS

NEW_PLACE_SHARE = 0.3  # shots that see another corner of the place
HIDDEN_SHARE = 0.3  # step shots in which something passes in front
IDLE_KINDS = (
    "wave",
    "still",
    "show",
)  # background shots: a waving hand, nothing, an object of the task lying about
CLUTTER = (
    "toolbox",
    "jar",
    "candle",
    "soap",
    "salt",
    "paper",
    "gear",
    "tea",
    "apple",
    "bread",
    "fuel",
    "palette",
    "thread",
    "plug",
    "battery",
    "key",
)


@dataclass(frozen=True)
class Thing:
    """Something that lies about, or (speed in pixels/s) passes in front."""

    name: str
    x: float
    y: float
    size: float
    speed: float = 0


@dataclass(frozen=True)
class Setting:
    """One shot's camera and things."""

    x: float
    y: float
    size: float
    pan: tuple[float, float]  # where the camera starts, 0..2 MARGIN
    drift: tuple[float, float]  # pixels/s
    clutter: tuple[Thing, ...]
    front: Thing | None
    light: tuple[float, float, float]
    paint: tuple[int, int, int]
    idle: str
    shown: str


def frames(plan: VideoPlan, rng: np.random.Generator) -> Iterator[Image.Image]:
    """All frames of a video in order."""
    sprites = Sprites(rng)
    place = backdrop(plan.place, plan.width, plan.height, rng)
    for shot in plan.shots:
        if rng.random() < NEW_PLACE_SHARE:
            place = backdrop(plan.place, plan.width, plan.height, rng)
        setting = _setting(plan, shot, rng)
        lit = place.point(_light_table(setting.light))
        count = round((shot.end - shot.start) * plan.rate)
        for index in range(count):
            yield _frame(plan, shot, setting, sprites, lit, index / plan.rate, index / count)


def _setting(plan: VideoPlan, shot: Shot, rng: np.random.Generator) -> Setting:
    objects = sorted(
        {name for step in _task_steps(plan) for name in (step.item, step.target) if name}
    )
    short = min(plan.width, plan.height)
    hidden = shot.step is not None and rng.random() < HIDDEN_SHARE
    return Setting(
        x=plan.width / 2 + short * rng.uniform(-0.08, 0.08),
        y=plan.height / 2 + short * rng.uniform(-0.02, 0.08),
        size=short * rng.uniform(0.4, 0.54),
        pan=(rng.uniform(0, 2 * MARGIN), rng.uniform(0, 2 * MARGIN)),
        drift=(rng.uniform(-4, 4), rng.uniform(-2, 2)),
        clutter=tuple(_lying(plan, objects, rng) for _ in range(rng.integers(1, 4))),
        front=_passing(plan, rng) if hidden else None,
        light=tuple((rng.uniform(0.85, 1.12) * rng.uniform(0.97, 1.03, 3)).tolist()),
        paint=PAINTS[rng.integers(len(PAINTS))],
        idle=IDLE_KINDS[rng.integers(len(IDLE_KINDS))],
        shown=objects[rng.integers(len(objects))],
    )


def _task_steps(plan: VideoPlan) -> tuple:
    return {**TASKS, **UNSEEN_TASKS}[plan.task].steps


def _lying(plan: VideoPlan, objects: list[str], rng: np.random.Generator) -> Thing:
    names = objects if rng.random() < 0.3 else CLUTTER
    side = rng.choice([rng.uniform(0.03, 0.2), rng.uniform(0.8, 0.97)])
    y = rng.uniform(0.7, 0.95)
    return Thing(
        str(names[rng.integers(len(names))]),
        side * plan.width,
        y * plan.height,
        rng.uniform(34, 56),
    )


def _passing(plan: VideoPlan, rng: np.random.Generator) -> Thing:
    y, size = plan.height * rng.uniform(0.6, 0.85), rng.uniform(60, 90)
    start = plan.width * rng.uniform(0.2, 0.7)
    return Thing(str(rng.choice(("hand", *CLUTTER))), start, y, size, rng.uniform(-25, 25))


def _light_table(light: tuple[float, float, float]) -> list[int]:
    return [min(255, round(gain * value)) for gain in light for value in range(256)]


def _frame(
    plan: VideoPlan,
    shot: Shot,
    setting: Setting,
    sprites: Sprites,
    place: Image.Image,
    time: float,
    progress: float,
) -> Image.Image:
    pan_x = _within(setting.pan[0] + setting.drift[0] * time + 1.2 * sin(3.1 * time))
    pan_y = _within(setting.pan[1] + setting.drift[1] * time + sin(2.3 * time))
    canvas = place.crop((pan_x, pan_y, pan_x + plan.width, pan_y + plan.height))
    shift_x, shift_y = 0.5 * (MARGIN - pan_x), 0.5 * (MARGIN - pan_y)
    for thing in setting.clutter:
        _put(canvas, sprites, thing, shift_x, shift_y, time)
    x, y = setting.x + 0.5 * shift_x, setting.y + 0.5 * shift_y
    if shot.step is not None:
        draw_step(
            Frame(canvas, sprites, shot.step, time, progress, x, y, setting.size, setting.paint)
        )
    else:
        _draw_idle(canvas, sprites, setting, x, y, time)
    if setting.front is not None:
        _put(canvas, sprites, setting.front, shift_x, shift_y, time)
    return canvas


def _within(pan: float) -> int:
    return round(min(2 * MARGIN, max(0, pan)))


def _put(
    canvas: Image.Image, sprites: Sprites, thing: Thing, dx: float, dy: float, time: float
) -> None:
    image = sprites.get(thing.name, thing.size)
    left = thing.x + dx + thing.speed * time - image.width / 2
    canvas.paste(image, (round(left), round(thing.y + dy - image.height / 2)), image)


def _draw_idle(
    canvas: Image.Image, sprites: Sprites, setting: Setting, x: float, y: float, time: float
) -> None:
    if setting.idle == "wave":
        image = sprites.get("hand", setting.size * 0.9, 20 * sin(6 * time))
    elif setting.idle == "show":
        image = sprites.get(setting.shown, setting.size * 0.8)
    else:
        return
    canvas.paste(image, (round(x - image.width / 2), round(y - image.height / 2)), image)
