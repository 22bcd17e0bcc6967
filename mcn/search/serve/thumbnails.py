"""Small JPEG pictures of moments."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from mcn.files import atomic_path
from mcn.media.frames import frame_at

SHORT_SIDE = 180  # pixels
LONG_SIDE = 320  # pixels: wider pictures (21:9, panoramas) are made smaller
QUALITY = 75


def write_thumbnail(path: Path, seconds: float, output: Path) -> None:
    """The picture shown at `seconds`, as JPEG. Errors: those of `frame_at`."""
    picture = Image.fromarray(frame_at(path, seconds, SHORT_SIDE))
    picture.thumbnail((LONG_SIDE, LONG_SIDE))
    with atomic_path(output) as temporary:
        picture.save(temporary, "JPEG", quality=QUALITY, optimize=True)
