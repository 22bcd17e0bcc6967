"""Videos at addresses, brought into the cache of the run so that the page can play them.

Conventions
-----------
- The browser never learns an address: what it plays comes from the cache (`mcn.media.remote`), in ranges like a file.
- A video is fetched by a child process, a few at a time, by one job whoever asks. Who asks waits `PATIENCE_SECONDS` for
  it and is then told how far it is (`NotHere`).
- Whether the server still has the same video is asked every `CHECKED_SECONDS`; a failure is remembered so long too.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from mcn.errors import VideoError
from mcn.media.address import Address, Place
from mcn.media.remote import Downloads
from mcn.search.serve.making import Children

AT_ONCE = 2
CHECKED_SECONDS = 60.0
PATIENCE_SECONDS = 5.0
_MEMORY_MB = 1000


class NotHere(Exception):
    """A video that is on its way. progress: share of it that has come, 0 where its length is not known."""

    def __init__(self, progress: float) -> None:
        self.progress = progress
        super().__init__(f"{progress:.0%}")


class Fetching:
    """The files of videos, wherever they lie."""

    def __init__(self, downloads: Downloads) -> None:
        self._downloads = downloads
        self._children = Children(AT_ONCE, _MEMORY_MB)
        self._jobs: dict[Address, asyncio.Task[Path]] = {}
        self._checked: dict[Address, tuple[float, Path | VideoError]] = {}

    def close(self) -> None:
        """End the child processes; what has come is kept."""
        self._children.close()

    async def file(self, place: Place) -> Path:
        """A file to read now. Errors: `NotHere`, `VideoError` where it cannot be had."""
        if isinstance(place, Path):
            return place
        when, found = self._checked.get(place, (0.0, None))
        if time.monotonic() - when < CHECKED_SECONDS:
            if isinstance(found, VideoError):
                raise found
            if found is not None and await asyncio.to_thread(found.exists):
                return found
        job = self._jobs.get(place)
        if job is None:
            job = self._jobs[place] = asyncio.create_task(self._fetch(place))
        await asyncio.wait({job}, timeout=PATIENCE_SECONDS)
        if not job.done():
            raise NotHere(await asyncio.to_thread(self._downloads.progress, place))
        return job.result()

    async def _fetch(self, address: Address) -> Path:
        options = self._downloads.options
        seconds = options.time_limit_seconds + options.stall_seconds
        try:
            path = await self._children.run(fetch, self._downloads, address, seconds=seconds)
            self._checked[address] = time.monotonic(), path
            return path
        except VideoError as error:
            self._checked[address] = time.monotonic(), error
            raise
        finally:
            del self._jobs[address]


def fetch(downloads: Downloads, address: Address) -> Path:
    """Bring a video into the cache, in a child process."""
    with downloads.at_hand(address) as path:
        return path
