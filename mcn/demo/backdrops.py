"""Places: kitchens, workshops, garages, gardens and bedrooms, several of each.

A backdrop is larger than the frame by `MARGIN` on all sides, so that the camera can pan.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageFilter

MARGIN = 24  # pixels

# place -> colours of wall and floor, RGB; several of each
COLOURS = {
    "kitchen": (
        ((222, 212, 196), (150, 105, 70)),
        ((236, 236, 230), (190, 186, 180)),
        ((196, 216, 200), (170, 130, 92)),
    ),
    "workshop": (((122, 112, 98), (178, 134, 86)), ((150, 128, 96), (120, 92, 66))),
    "garage": (((96, 102, 112), (66, 66, 72)), ((128, 134, 146), (88, 88, 94))),
    "garden": (((166, 206, 236), (88, 132, 62)), ((190, 214, 222), (120, 152, 74))),
    "bedroom": (((206, 186, 214), (162, 128, 128)), ((186, 198, 226), (150, 124, 146))),
}

Pixels = np.ndarray  # (H, W, 3) float32


def backdrop(place: str, width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """A place as one camera sees it: RGB, (height + 2 MARGIN) x (width + 2 MARGIN)."""
    w, h = width + 2 * MARGIN, height + 2 * MARGIN
    horizon = int(h * rng.uniform(0.42, 0.58))
    wall, floor = COLOURS[place][rng.integers(len(COLOURS[place]))]
    pixels = np.empty((h, w, 3), np.float32)
    pixels[:horizon] = wall + rng.integers(-12, 13, 3)
    pixels[horizon:] = floor + rng.integers(-12, 13, 3)
    TEXTURES[place](pixels[:horizon], pixels[horizon:], rng)
    coarse = rng.standard_normal((h // 24 + 2, w // 24 + 2)).astype(np.float32)
    shade = Image.fromarray(coarse).resize((w, h), Image.Resampling.BICUBIC)
    pixels += 5 * np.asarray(shade)[..., None] + 4 * rng.standard_normal((h, w, 1), np.float32)
    y, x = np.mgrid[:h, :w]
    pixels *= 1 - 0.35 * (((x - w / 2) / w) ** 2 + ((y - h / 2) / h) ** 2)[..., None]
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    return image.filter(ImageFilter.GaussianBlur(0.8))


def _grid(pixels: Pixels) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.mgrid[: pixels.shape[0], : pixels.shape[1]]
    return y, x


def _kitchen(wall: Pixels, floor: Pixels, rng: np.random.Generator) -> None:
    """Tiles above a counter."""
    y, x = _grid(wall)
    tile = int(rng.integers(22, 52))
    wall -= 24 * (((x % tile) < 2) | ((y % tile) < 2))[..., None]
    _grain(floor, rng)
    floor[:5] -= 40


def _workshop(wall: Pixels, floor: Pixels, rng: np.random.Generator) -> None:
    """A board with holes above a bench."""
    y, x = _grid(wall)
    pitch = int(rng.integers(14, 22))
    wall -= 45 * (((x % pitch) < 4) & ((y % pitch) < 4))[..., None]
    _grain(floor, rng)
    floor[:, :: int(rng.integers(50, 90))] -= 50


def _garage(wall: Pixels, floor: Pixels, rng: np.random.Generator) -> None:
    """A rolling door and concrete."""
    y = _grid(wall)[0]
    wall += 16 * np.sin(2 * np.pi * y / rng.uniform(14, 24))[..., None]
    lane = int(rng.integers(0, max(1, floor.shape[1] - 30)))
    floor[:, lane : lane + 12] = (196, 170, 60)


def _garden(wall: Pixels, floor: Pixels, rng: np.random.Generator) -> None:
    """Sky, a hedge and grass."""
    y, x = _grid(wall)
    edge = wall.shape[0] * rng.uniform(0.55, 0.8) + 6 * np.sin(x / rng.uniform(8, 16))
    hedge = y > edge
    leaves = rng.uniform(0.7, 1.2, hedge.shape)[..., None]
    wall[hedge] = (np.array((52, 98, 48)) * leaves)[hedge]
    floor += 22 * rng.standard_normal((*floor.shape[:2], 1)).astype(np.float32)


def _bedroom(wall: Pixels, floor: Pixels, rng: np.random.Generator) -> None:
    """Striped paper above a blanket."""
    x = _grid(wall)[1]
    wall += 14 * np.sign(np.sin(2 * np.pi * x / rng.uniform(24, 50)))[..., None]
    y, x = _grid(floor)
    size = int(rng.integers(18, 34))
    floor += 15 * ((((x // size) + (y // size)) % 2) - 0.5)[..., None]


def _grain(pixels: Pixels, rng: np.random.Generator) -> None:
    y, x = _grid(pixels)
    pixels += (9 * np.sin(y / 3.0 + 4 * np.sin(x / rng.uniform(30, 80))))[..., None]


TEXTURES: dict[str, Callable[[Pixels, Pixels, np.random.Generator], None]] = {
    "kitchen": _kitchen,
    "workshop": _workshop,
    "garage": _garage,
    "garden": _garden,
    "bedroom": _bedroom,
}
