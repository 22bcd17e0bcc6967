"""What the child of the harness of media does; in a file of its own, since a child with little memory imports it."""

from __future__ import annotations

import contextlib
from pathlib import Path

from mcn.errors import VideoError
from mcn.media.audio import mono_samples
from mcn.media.frames import rgb_frames
from mcn.media.remarks import Remarks
from mcn.options.decode import FrameOptions

TINY = FrameOptions(frames_per_second=1, short_side=16)


def decode(path: Path) -> bool:
    """Decode picture and sound; whether either is usable."""
    usable = 0
    with contextlib.suppress(VideoError):
        usable += len(list(rgb_frames(path, [TINY], remarks=Remarks())))
    with contextlib.suppress(VideoError):
        usable += len(list(mono_samples(path, 8000, remarks=Remarks())))
    return usable > 0
