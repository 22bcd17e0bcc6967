"""The answers of a folder, opened again when `mcn run` has changed it.

Conventions: who asks looks after `CHECK_SECONDS` whether the files of the folder are still the same. What cannot be
opened, since a run is in the midst of its work, leaves the old answers in place; the next change is tried again.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Hashable
from pathlib import Path

from mcn.errors import UserError
from mcn.search.answers import Answers
from mcn.search.serve.library import Library

log = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
_FILES = ("settings.json", "*/*", "*/speech/*", "index/*/*/index.json")  # below results/


class Opened:
    """What `open_answers` gives, and gives anew where `stamp` does. Errors: those of `open_answers`, at first."""

    def __init__(
        self, open_answers: Callable[[], Answers], stamp: Callable[[], Hashable] = lambda: None
    ) -> None:
        self._open, self._stamp = open_answers, stamp
        self._seen = stamp()
        self._next = time.monotonic() + CHECK_SECONDS
        self.answers = open_answers()
        self.library = Library(self.answers)

    async def refresh(self) -> None:
        """Open the folder again if it has changed; others meanwhile get the old answers."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + CHECK_SECONDS
            await asyncio.to_thread(self._open_changed)

    def _open_changed(self) -> None:
        stamp = self._stamp()
        if stamp == self._seen:
            return
        self._seen = stamp
        try:
            answers = self._open()
        except (UserError, OSError) as error:
            log.warning(
                "the folder has changed, and its old answers stay until it opens: %s", error
            )
            return
        self.answers, self.library = answers, Library(answers)
        log.info("the folder has changed: %d videos now", len(answers.videos))


def stamp_of(directory: Path) -> Hashable:
    """Names, times and sizes of the files that answers are read from."""
    found = set()
    for pattern in _FILES:
        for path in (directory / "results").glob(pattern):
            try:
                stat = path.stat()
            except OSError:
                continue
            if path.is_file() and not path.name.startswith("."):
                found.add((str(path), stat.st_mtime_ns, stat.st_size))
    return frozenset(found)
