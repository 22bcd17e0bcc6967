"""The frames of one video: shots with a panning camera, clutter, changing light, things in front.

Conventions
-----------
- Frames are RGB images of the plan's size; nothing is drawn outside `frames`.
- Every shot has a camera, an object with its place and size, and clutter of its own; in some shots something passes in
  front and hides a part.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import sin

import numpy as np
from PIL import Image

from mcn.demo.actions import PAINTS, Frame, draw_step
from mcn.demo.backdrops import MARGIN, backdrop
from mcn.demo.plan import Shot, VideoPlan
from mcn.demo.sprites import Sprites, paste
from mcn.demo.story import STORY, Step

NEW_PLACE_SHARE = 0.3  # shots that see another corner of the place
HIDDEN_SHARE = 0.3  # step shots in which something passes in front
# what background shots show: a waving hand, nothing, an object of the task that lies about
IDLE_KINDS = ("wave", "still", "show")


@dataclass(frozen=True)
class Thing:
    """Something that lies about, or passes in front of the camera at `speed` pixels a second."""

    name: str
    x: float
    y: float
    size: float
    speed: float = 0


@dataclass(frozen=True)
class Setting:
    """The camera and the things of one shot; places and sizes in pixels."""

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
    """All frames of a video in order: RGB images of the plan's width and height."""
    sprites = Sprites(rng)
    place = backdrop(plan.place, plan.width, plan.height, rng)
    for shot in plan.shots:
        if rng.random() < NEW_PLACE_SHARE:
            place = backdrop(plan.place, plan.width, plan.height, rng)
        setting = _setting(plan, shot, rng)
        lit = place.point(_light_table(setting.light))
        scene = _Scene(shot.step, setting, sprites, lit)
        count = round((shot.end - shot.start) * plan.rate)
        for index in range(count):
            yield scene.frame(index / plan.rate, index / count)


def _setting(plan: VideoPlan, shot: Shot, rng: np.random.Generator) -> Setting:
    objects = plan.objects
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


def _lying(plan: VideoPlan, objects: Sequence[str], rng: np.random.Generator) -> Thing:
    names: Sequence[str] = objects if rng.random() < 0.3 else STORY.clutter
    side = rng.choice([rng.uniform(0.03, 0.2), rng.uniform(0.8, 0.97)])
    y = rng.uniform(0.7, 0.95)
    name = str(names[int(rng.integers(len(names)))])
    return Thing(name, side * plan.width, y * plan.height, rng.uniform(34, 56))


def _passing(plan: VideoPlan, rng: np.random.Generator) -> Thing:
    y, size = plan.height * rng.uniform(0.6, 0.85), rng.uniform(60, 90)
    start = plan.width * rng.uniform(0.2, 0.7)
    return Thing(str(rng.choice(("hand", *STORY.clutter))), start, y, size, rng.uniform(-25, 25))


def _light_table(light: tuple[float, float, float]) -> list[int]:
    return [min(255, round(gain * value)) for gain in light for value in range(256)]


@dataclass(frozen=True)
class _Scene:
    """One shot, ready to be drawn at any time; `step` is None in background shots, `place` is the lit backdrop."""

    step: Step | None
    setting: Setting
    sprites: Sprites
    place: Image.Image

    def frame(self, time: float, progress: float) -> Image.Image:
        """The picture `time` seconds into the shot, `progress` (0 to 1) of it."""
        setting = self.setting
        pan_x = _within(setting.pan[0] + setting.drift[0] * time + 1.2 * sin(3.1 * time))
        pan_y = _within(setting.pan[1] + setting.drift[1] * time + sin(2.3 * time))
        width, height = (side - 2 * MARGIN for side in self.place.size)
        canvas = self.place.crop((pan_x, pan_y, pan_x + width, pan_y + height))
        shift = 0.5 * (MARGIN - pan_x), 0.5 * (MARGIN - pan_y)
        for thing in setting.clutter:
            self._put(canvas, thing, shift, time)
        x, y = setting.x + 0.5 * shift[0], setting.y + 0.5 * shift[1]
        size, paint = setting.size, setting.paint
        if self.step is not None:
            draw_step(Frame(canvas, self.sprites, self.step, time, progress, x, y, size, paint))
        elif setting.idle == "wave":
            paste(canvas, self.sprites.get("hand", size * 0.9, 20 * sin(6 * time)), x, y)
        elif setting.idle == "show":
            paste(canvas, self.sprites.get(setting.shown, size * 0.8), x, y)
        if setting.front is not None:
            self._put(canvas, setting.front, shift, time)
        return canvas

    def _put(
        self, canvas: Image.Image, thing: Thing, shift: tuple[float, float], time: float
    ) -> None:
        image = self.sprites.get(thing.name, thing.size)
        paste(canvas, image, thing.x + shift[0] + thing.speed * time, thing.y + shift[1])


def _within(pan: float) -> int:
    return round(min(2 * MARGIN, max(0, pan)))
