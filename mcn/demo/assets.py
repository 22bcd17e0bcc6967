"""The files that come with the demo: object pictures, word vectors, licences.

Pictures are 256 x 256 RGBA WebP, named by what they show; the vectors are in word2vec's binary format.
"""

from __future__ import annotations

import io
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

from PIL import Image


def asset(name: str) -> Traversable:
    """A file of `mcn/demo/assets`."""
    return files("mcn.demo").joinpath("assets", *name.split("/"))


@cache
def picture(name: str) -> Image.Image:
    """One object picture, 256 x 256 RGBA; `FileNotFoundError` for an unknown name."""
    data = asset(f"objects/{name}.webp").read_bytes()
    return Image.open(io.BytesIO(data)).convert("RGBA")


@cache
def vocabulary() -> frozenset[str]:
    """The words that have a vector."""
    data = asset("glove_demo.bin").read_bytes()
    header, _, rows = data.partition(b"\n")
    count, width = map(int, header.split())
    words, position = [], 0
    for _ in range(count):
        end = rows.index(b" ", position)
        words.append(rows[position:end].strip().decode())
        position = end + 1 + 4 * width  # float32 values follow the word
    return frozenset(words)
