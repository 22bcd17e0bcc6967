"""How each action looks: one drawing function an action.

Conventions
-----------
- A drawing function has the name of its action. It gets a `Frame` and draws the object and the tool into its canvas.
- Sizes are pixels, angles are degrees, anticlockwise.
- Objects are drawn near the middle, so that a central square crop still shows object and tool.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import cos, pi, sin

from PIL import Image, ImageDraw

from mcn.demo.sprites import Sprites, paste
from mcn.demo.story import STORY, Step

LIQUIDS = {"milk": (246, 246, 250), "honey": (226, 160, 40)}
PAINTS = ((200, 46, 56), (40, 110, 200), (60, 160, 80), (240, 236, 226))


@dataclass
class Frame:
    """One frame of one step: `time` seconds into the shot, `progress` from 0 to 1 of it, the object at pixel (x, y)."""

    canvas: Image.Image
    sprites: Sprites
    step: Step
    time: float
    progress: float
    x: float
    y: float
    size: float
    paint: tuple[int, int, int]

    def put(
        self, name: str, dx: float = 0, dy: float = 0, scale: float = 1, angle: float = 0
    ) -> None:
        """Draw a picture, its centre at (dx, dy) object sizes from the object's place."""
        self.paste(self.sprites.get(name, self.size * scale, angle), dx, dy)

    def paste(self, image: Image.Image, dx: float, dy: float) -> None:
        """Draw an RGBA image, its centre at (dx, dy) object sizes from the object's place."""
        paste(self.canvas, image, *self.point(dx, dy))

    def wave(self, hertz: float) -> float:
        """A sine of so many oscillations a second at the time of the frame."""
        return sin(2 * pi * hertz * self.time)

    @property
    def tool(self) -> str:
        return STORY.actions[self.step.action].tool

    @property
    def draw(self) -> ImageDraw.ImageDraw:
        return ImageDraw.Draw(self.canvas)

    def point(self, dx: float, dy: float) -> tuple[float, float]:
        """Pixel at (dx, dy) object sizes from the object's place."""
        return self.x + dx * self.size, self.y + dy * self.size


def draw_step(frame: Frame) -> None:
    """Draw one frame of the frame's step."""
    DRAWINGS[frame.step.action](frame)


def chop(f: Frame) -> None:
    f.draw.rounded_rectangle((*f.point(-0.9, 0.2), *f.point(0.9, 0.62)), 8, fill=(205, 170, 122))
    pieces = 1 + int(f.progress * 5)
    whole = f.sprites.get(f.step.item, f.size * 1.15)
    width = whole.width / pieces
    for piece in range(pieces):
        part = whole.crop((round(piece * width), 0, round((piece + 1) * width), whole.height))
        spread = (piece - (pieces - 1) / 2) * 0.08
        f.paste(part, ((piece + 0.5) * width - whole.width / 2) / f.size + spread, 0)
    f.put(f.tool, 0.7 * (f.progress - 0.4), -0.5 - 0.22 * abs(f.wave(1.5)), 1.0, 40)


def stir(f: Frame) -> None:
    f.put(f.step.item, 0, 0.1, 1.5)
    f.put(f.tool, 0.25 * cos(2 * pi * f.time), -0.35 + 0.1 * f.wave(1), 1.0, 30 + 18 * f.wave(1))


def pour(f: Frame) -> None:
    f.put(f.step.target or "", 0, 0.3, 1.35)
    colour = LIQUIDS[f.step.item]
    for strand in range(4):
        bend = 2 * sin(15 * f.time + strand)
        top, bottom = f.point(0.16, -0.4), f.point(0.04, 0.22)
        f.draw.line(
            (top[0] + 3 * strand, top[1], bottom[0] + 3 * strand + bend, bottom[1]), colour, 4
        )
    f.put(f.step.item, 0.55, -0.55, 1.0, 60 + 20 * f.progress)


def add(f: Frame) -> None:
    f.put(f.step.target or "", 0, 0.3, 1.35)
    fall = min(1, (f.time % 1.5) / 1.0) ** 2
    f.put(f.step.item, 0, -0.65 + 0.7 * fall, 0.8)
    f.put(f.tool, 0.12, -0.95 + 0.08 * f.wave(0.7), 0.65, 170)


def cook(f: Frame) -> None:
    for flame in (-0.5, 0, 0.5):
        f.put(f.tool, flame, 0.62 + 0.05 * f.wave(3 + flame), 0.7)
    f.put(f.step.item, 0, -0.02 + 0.02 * f.wave(6), 1.25)
    for puff in range(3):
        rise = (f.time * 0.7 + puff / 3) % 1
        x, y = f.point(-0.3 + 0.3 * puff + 0.05 * f.wave(1), -0.55 - 0.5 * rise)
        radius = 5 + 7 * rise
        f.draw.ellipse((x - radius, y - radius, x + radius, y + radius), (226, 226, 226))


def measure(f: Frame) -> None:
    f.put(f.step.item, 0, 0.1, 1.35)
    f.put(f.tool, 0.7 * (f.progress - 0.5), -0.15, 1.2, 45)


def saw(f: Frame) -> None:
    f.put(f.step.item, 0, 0.15, 1.4)
    f.put(f.tool, 0.15 + 0.3 * f.wave(1.2), -0.3 + 0.3 * f.progress, 1.1, 30)
    for grain in range(6):
        fall = (f.time * 1.3 + grain / 6) % 1
        x, y = f.point(-0.25 + 0.09 * grain, 0.25 + 0.5 * fall)
        f.draw.rectangle((x, y, x + 2, y + 2), (222, 184, 128))


def hammer(f: Frame) -> None:
    f.put(f.step.item, 0, 0.2, 1.4)
    raised = abs(f.wave(0.83))
    f.put(f.tool, 0.35, -0.35 - 0.2 * raised, 1.1, 20 - 60 * raised)
    if raised < 0.25:
        x, y = f.point(0, -0.15)
        for ray in range(8):
            dx, dy = 16 * cos(ray * pi / 4), 16 * sin(ray * pi / 4)
            f.draw.line((x + dx / 2, y + dy / 2, x + dx, y + dy), (255, 232, 120), 3)


def screw(f: Frame) -> None:
    f.put(f.step.item, 0, 0.15, 1.45)
    _put_squeezed(f, 45, 0.55 + 0.45 * abs(f.wave(1.4)), 0.1, -0.5 + 0.12 * f.progress)


def _put_squeezed(f: Frame, angle: float, width: float, dx: float, dy: float) -> None:
    """Draw the tool narrower than it is: it turns about its axis, or closes."""
    tool = f.sprites.get(f.tool, f.size * 1.1, angle)
    f.paste(tool.resize((max(4, round(tool.width * width)), tool.height)), dx, dy)


def tighten(f: Frame) -> None:
    f.put(f.step.target or "", -0.1, 0.15, 1.5)
    f.put(f.step.item, -0.1, 0.05, 0.75)
    f.put(f.tool, 0.35, -0.15, 1.1, 40 * f.wave(0.8))


def paint(f: Frame) -> None:
    f.put(f.step.item, 0, 0.1, 1.45)
    image = f.sprites.get(f.step.item, f.size * 1.45)
    mask = image.getchannel("A").point([v * 170 // 255 for v in range(256)])
    mask = mask.crop((0, 0, max(1, round(image.width * f.progress)), image.height))
    left, top = f.x - image.width / 2, f.y + 0.1 * f.size - image.height / 2
    f.canvas.paste(f.paint, (round(left), round(top)), mask)
    f.put(f.tool, 0.3 + 1.2 * (f.progress - 0.5), -0.3 + 0.35 * f.wave(0.8), 1.0)


def wash(f: Frame) -> None:
    f.put(f.step.item, 0, 0.1, 1.4)
    for bubble in range(9):
        x, y = f.point(0.5 * sin(2.4 * bubble), 0.1 + 0.45 * cos(1.7 * bubble + f.time))
        radius = 5 + bubble % 3 * 3
        f.draw.ellipse(
            (x - radius, y - radius, x + radius, y + radius), (236, 244, 255), (180, 200, 230)
        )
    f.put(f.tool, 0.28 * cos(4.4 * pi * f.time), 0.25 * f.wave(2.2), 0.75)


def water(f: Frame) -> None:
    f.put(f.step.item, 0, 0.2, 1.4)
    for drop in range(8):
        fall = (f.time * 1.4 + drop * 0.37) % 1
        f.put(f.tool, -0.6 + 0.17 * drop, -1.0 + 1.2 * fall, 0.26)


def cut(f: Frame) -> None:
    f.put(f.step.item, -0.12, 0.12, 1.4)
    _put_squeezed(f, 55, 0.55 + 0.45 * abs(f.wave(1.1)), 0.5 - 0.35 * f.progress, -0.15)


def sew(f: Frame) -> None:
    f.put(f.step.item, 0, 0.1, 1.5)
    stitches = int(12 * f.progress)
    for stitch in range(stitches):
        x, y = f.point(-0.42 + 0.07 * stitch, 0.12)
        f.draw.line((x, y - 4, x + 4, y + 4), (30, 60, 190), 3)
    f.put(f.tool, -0.2 + 0.85 * f.progress, -0.25 + 0.22 * f.wave(1.6), 1.0)


def lift(f: Frame) -> None:
    up = 0.25 - 0.5 * f.progress
    f.put(f.step.item, 0, up, 1.4)
    f.put(f.tool, -0.55, up + 0.4, 0.65)
    f.put(f.tool, 0.55, up + 0.4, 0.65)


DRAWINGS: dict[str, Callable[[Frame], None]] = {
    drawing.__name__: drawing
    for drawing in (
        *(chop, stir, pour, add, cook, measure, saw, hammer),
        *(screw, tighten, paint, wash, water, cut, sew, lift),
    )
}
