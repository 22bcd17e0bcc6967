"""Pictures of objects as one video shows them: its look (picture, hue, flip, tilt), in any size and angle.

A look stays for the whole video, as a real object does; another video draws another.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from mcn.demo.story import STORY, asset

ANGLE_STEP = 4  # degrees: sprites are kept by angle, so angles come in steps
SOURCE_SIZE = 192  # pixels: pictures are reduced to this once
PLANKS = {"plank": (196, 150, 96), "plank_dark": (146, 98, 60)}  # drawn here, RGB


@dataclass(frozen=True)
class Look:
    """How one object looks in one video; `hue` and `tilt` in degrees."""

    picture: str
    hue: int
    flip: bool
    tilt: int
    colour: float  # saturation, 1 is unchanged


class Sprites:
    """Sprites of one video by name: objects of the story with a look, tools as they are."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._looks = {name: _draw_look(name, rng) for name in STORY.items}
        self._sources: dict[str, Image.Image] = {}
        self._sprites: dict[tuple[str, int, int], Image.Image] = {}

    def get(self, name: str, size: float, angle: float = 0) -> Image.Image:
        """A size x size RGBA picture, turned anticlockwise by `angle` degrees."""
        size = max(4, round(size))
        angle = round(angle / ANGLE_STEP) * ANGLE_STEP % 360
        key = name, size, angle
        if key not in self._sprites:
            scaled = self._source(name).resize((size, size), Image.Resampling.BILINEAR)
            self._sprites[key] = (
                scaled.rotate(angle, Image.Resampling.BILINEAR) if angle else scaled
            )
        return self._sprites[key]

    def _source(self, name: str) -> Image.Image:
        if name not in self._sources:
            look = self._looks.get(name)
            self._sources[name] = _apply(look) if look else _reduced(name)
        return self._sources[name]


def paste(canvas: Image.Image, image: Image.Image, x: float, y: float) -> None:
    """Draw an RGBA image over `canvas`, its centre at pixel (x, y)."""
    canvas.paste(image, (round(x - image.width / 2), round(y - image.height / 2)), image)


def _draw_look(name: str, rng: np.random.Generator) -> Look:
    item = STORY.items[name]
    return Look(
        picture=item.pictures[rng.integers(len(item.pictures))],
        hue=item.hues[rng.integers(len(item.hues))],
        flip=bool(rng.random() < 0.5),
        tilt=int(rng.integers(-15, 16)),
        colour=float(rng.uniform(0.75, 1.2)),
    )


def _apply(look: Look) -> Image.Image:
    image = _reduced(look.picture)
    alpha = image.getchannel("A")
    hue, saturation, value = image.convert("RGB").convert("HSV").split()
    turned = hue.point([(v + round(look.hue * 256 / 360)) % 256 for v in range(256)])
    colours = Image.merge("HSV", (turned, saturation, value)).convert("RGB")
    colours = ImageEnhance.Color(colours).enhance(look.colour)
    colours.putalpha(alpha)
    if look.flip:
        colours = colours.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    return colours.rotate(look.tilt, Image.Resampling.BILINEAR)


@cache
def picture(name: str) -> Image.Image:
    """One object picture, 256 x 256 RGBA; `FileNotFoundError` for an unknown name."""
    data = asset(f"objects/{name}.webp").read_bytes()
    return Image.open(io.BytesIO(data)).convert("RGBA")


@cache
def _reduced(name: str) -> Image.Image:
    image = _plank(PLANKS[name]) if name in PLANKS else picture(name)
    return image.resize((SOURCE_SIZE, SOURCE_SIZE), Image.Resampling.BILINEAR)


def _plank(colour: tuple[int, int, int]) -> Image.Image:
    """A wooden board with its grain."""
    image = Image.new("RGBA", (256, 256))
    draw = ImageDraw.Draw(image)
    draw.rounded_rectangle((4, 78, 252, 178), 6, fill=colour, outline=_darker(colour, 50), width=4)
    x = np.arange(8, 248, 4)
    for row in range(92, 170, 13):
        y = row + 4 * np.sin(x / 31 + row) + 2 * np.sin(x / 11)
        draw.line(list(zip(x.tolist(), y.tolist(), strict=True)), fill=_darker(colour, 28), width=3)
    for knot in (70, 190):
        draw.ellipse((knot, 112, knot + 22, 126), outline=_darker(colour, 60), width=4)
    return image


def _darker(colour: tuple[int, int, int], by: int) -> tuple[int, int, int]:
    red, green, blue = (max(0, value - by) for value in colour)
    return red, green, blue
