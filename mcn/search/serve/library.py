"""The videos of a folder of answers, as the page names them: by id, with the name and the folder that people know.

Conventions: folders are relative to the one that holds all videos, '' for that one itself; the page never sees a whole
path. What is no Unicode in the name of a file is shown as a question mark.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

from mcn.errors import UserError
from mcn.media.address import Address
from mcn.search.answers import Answers, Video
from mcn.search.serve.replies import NotFound

MAXIMUM_FOLDERS = 2000  # that the page offers to choose from


class Library:
    """The videos of one folder of answers."""

    def __init__(self, answers: Answers) -> None:
        self._videos = answers.videos
        parents = {_parent(video) for video in self._videos.values()}
        self._root = os.path.commonpath(parents) if parents else ""

    def video(self, video_id: str) -> Video:
        """The video of an id. Errors: `NotFound`."""
        video = self._videos.get(video_id)
        if video is None:
            raise NotFound(
                f"the video {video_id[:200]!r}",
                "the id of a video that is listed",
                "see /api/videos",
            )
        return video

    def facts(self, video: Video) -> dict[str, Any]:
        """What the page shows of a video."""
        return {
            "video_id": video.video_id,
            "name": _shown(video.path.name),
            "folder": self._folder(video),
            "length_seconds": video.length_seconds,
            "status": video.status,
            "error": video.error,
            "streams": list(video.streams),
        }

    def listed(self, contains: str, status: str) -> Iterator[Video]:
        """Videos whose id or name contains a text, whatever its case, and whose status is this one ('': any)."""
        wanted = contains.casefold()
        for video in self._videos.values():
            named = f"{video.video_id}\n{self._folder(video)}/{video.path.name}".casefold()
            if wanted in named and status in ("", video.status):
                yield video

    @cached_property
    def statuses(self) -> dict[str, int]:
        """How many videos have each status of the ledger."""
        return dict(Counter(video.status for video in self._videos.values()))

    @cached_property
    def folders(self) -> list[str]:
        """Folders of videos, in order, the first `MAXIMUM_FOLDERS` of them."""
        found = {self._folder(video) for video in self._videos.values()} - {""}
        return sorted(found)[:MAXIMUM_FOLDERS]

    def place(self, folder: str) -> str:
        """The whole path of a folder that the page names, spelled as those of videos. Errors: `UserError`."""
        if not folder:
            return ""
        place = Path(self._root, folder)
        if "\0" in folder or ".." in Path(folder).parts or not place.is_relative_to(self._root):
            wanted = "a folder of videos"
            raise UserError(f"the folder {folder[:200]!r}", wanted, "see folders of /api/about")
        return str(place)

    def _folder(self, video: Video) -> str:
        folder = _parent(video)[len(self._root) :].lstrip(os.sep)
        return _shown(folder.replace(os.sep, "/"))


def _parent(video: Video) -> str:
    if isinstance(video.path, Address):
        return str(video.path.folder)
    return os.path.dirname(video.path)  # noqa: PTH120 - pathlib takes ten times as long, for each of a million


def _shown(name: str) -> str:
    return name.encode("utf-8", "replace").decode()
