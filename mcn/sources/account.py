"""The account of an import: what was found beside what is published, what was left out and why, which files are absent.

Conventions
-----------
- accounting.json: `counts` (found, published or null where no published number is known), `left_out` (reason ->
  rows), `absent_videos`. left_out.csv has every row that was left out (file, line, item, reason), absent.csv every
  video without a file (video_id, expected).
- A count that differs from the published one is a warning.
- A video without a file stays in the manifest with the path where it was expected. Paths in manifest.csv are relative
  to it.
"""

from __future__ import annotations

import contextlib
import csv
import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from mcn.files import atomic_path, write_json
from mcn.options.official import OfficialOptions
from mcn.sources.reading import SUFFIXES, find_videos

log = logging.getLogger(__name__)


@contextlib.contextmanager
def csv_file(path: Path, columns: Sequence[str]) -> Iterator[Any]:
    """A CSV that is written row by row, atomically."""
    with atomic_path(path) as temporary, open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer


def write_csv(path: Path, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """A whole CSV, atomically."""
    with csv_file(path, columns) as writer:
        writer.writerows(rows)


class Account(contextlib.AbstractContextManager["Account"]):
    """The account of one import, written into `output` when it ends well."""

    def __init__(self, options: OfficialOptions, output: Path) -> None:
        self.options, self.output = options, output
        self._counts: dict[str, dict[str, Any]] = {}
        self._reasons: Counter[str] = Counter()
        self._absent = 0
        self._files = contextlib.ExitStack()

    def __enter__(self) -> Account:
        self._left_out = self._open("left_out.csv", ("file", "line", "item", "reason"))
        self._absences = self._open("absent.csv", ("video_id", "expected"))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._files.__exit__(kind, error, trace) or error is not None:
            return
        write_json(
            self.output / "accounting.json",
            {
                "kind": self.options.kind,
                "split": self.options.split_name,
                "files": [str(path) for path in self.options.files()],
                "counts": self._counts,
                "left_out": dict(sorted(self._reasons.items())),
                "absent_videos": self._absent,
            },
        )
        for name, count in self._counts.items():
            log.info("%s: %s", name, count["found"])
        for reason, times in sorted(self._reasons.items()):
            log.warning("left out %d: %s", times, reason)
        if self._absent:
            log.warning("%d videos have no file, see %s", self._absent, self.output / "absent.csv")

    def _open(self, name: str, columns: Sequence[str]) -> Any:
        return self._files.enter_context(csv_file(self.output / name, columns))

    def count(self, name: str, counted: int, published: int | None = None, note: str = "") -> None:
        """A count beside the published one (None: none is known)."""
        entry: dict[str, Any] = {"found": counted, "published": published}
        self._counts[name] = {**entry, "note": note} if note else entry
        if published not in (None, counted):
            log.warning("%s: %d found, %d published", name, counted, published)

    def leave_out(self, path: Path, line: int | None, item: str, reason: str) -> None:
        """A row that is not used, and why; `line` None: the file as a whole."""
        self._left_out.writerow([path, "" if line is None else line, item, reason])
        self._reasons[reason] += 1

    def write_manifest(self, videos: Iterable[tuple[str, str, str]]) -> None:
        """manifest.csv from (video id, split, where below `videos` the file is expected).

        Where it is expected is a path without suffix, or empty for the id itself.
        """
        folder = self.options.folder / "videos"
        files = find_videos(folder)
        base = os.path.relpath(folder.resolve(), self.output.resolve())
        with csv_file(self.output / "manifest.csv", ("video_id", "path", "split")) as writer:
            for video_id, split, expected in videos:
                path = files.get(video_id)
                if path is None:
                    path = f"{expected or video_id}{SUFFIXES[0]}"
                    self._absences.writerow([video_id, folder / path])
                    self._absent += 1
                writer.writerow([video_id, f"{base}/{path}", split])
