"""Thumbnails: small JPEG pictures of moments, as data URIs, so that the page needs no other file.

A picture that cannot be made never stops the report: its place says why.
"""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from mcn.files import read_table
from mcn.media.address import Place, place_of
from mcn.media.frames import frame_at
from mcn.media.remote import Downloads

log = logging.getLogger(__name__)

SHORT_SIDE = 120  # pixels
LONG_SIDE = 214  # pixels: wider pictures (21:9, panoramas) are made smaller
QUALITY = 70


@dataclass(frozen=True)
class Picture:
    """A data URI with its size in pixels, or the reason why there is none."""

    uri: str = ""
    width: int = 0
    height: int = 0
    problem: str = ""


class Thumbnails:
    """Pictures by data set, video and second; each is decoded once. `videos`: data set -> videos.parquet."""

    def __init__(self, videos: Mapping[str, Path], downloads: Downloads | None = None) -> None:
        self._tables, self._downloads = dict(videos), downloads or Downloads()
        self._paths: dict[str, dict[str, str]] = {}
        self._made: dict[tuple[str, str, float], Picture] = {}

    def at(self, dataset: str, video_id: str, seconds: float) -> Picture:
        """The picture shown at `seconds`."""
        key = dataset, video_id, round(seconds, 2)
        if key not in self._made:
            self._made[key] = self._make(dataset, video_id, seconds)
        return self._made[key]

    def _make(self, dataset: str, video_id: str, seconds: float) -> Picture:
        path = self._path(dataset, video_id)
        if path is None:
            return Picture(problem="not in the manifest")
        try:
            with self._downloads.at_hand(path) as file:
                return encode(Image.fromarray(frame_at(file, seconds, SHORT_SIDE)))
        except (
            Exception
        ) as error:  # a decoder can raise anything, and a picture is no reason to lose a report
            log.warning("no picture of %s at %.1f s: %s", video_id, seconds, error)
            return Picture(problem=f"{type(error).__name__}: {error}")

    def _path(self, dataset: str, video_id: str) -> Place | None:
        if dataset not in self._tables:
            return None
        if dataset not in self._paths:
            table = read_table(self._tables[dataset], ["video_id", "path"]).to_pydict()
            self._paths[dataset] = dict(zip(table["video_id"], table["path"], strict=True))
        path = self._paths[dataset].get(video_id)
        return None if path is None else place_of(path)


def encode(image: Image.Image) -> Picture:
    """A JPEG data URI of an RGB picture, made smaller where it is longer than `LONG_SIDE`."""
    image.thumbnail((LONG_SIDE, LONG_SIDE))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, optimize=True)
    data = base64.b64encode(buffer.getvalue()).decode()
    return Picture(f"data:image/jpeg;base64,{data}", image.width, image.height)
