"""Published data sets: the contract of an adapter, which reads official files.

How to add a data set
---------------------
An adapter is a class beneath `Adapter`. It names the official files that it needs (`splits`) and the inputs that it
makes (`makes`), and its method `read` writes these inputs into the folder of the account. An adapter of this package
is a file of this folder and a row of provenance.yaml; an adapter of your own is a file beside the configuration, which
names it: `official: {kind: "my_adapter:MyAdapter", directory: ...}`.

Conventions
-----------
- Official files keep their official names. A split is one published selection of videos and clips; the first split of
  an adapter is its default.
- `accounting.json` has `counts` (the number found, and the published number, null where none is known), `left_out`
  (reason -> number of rows) and `absent_videos`. `left_out.csv` has every row that was left out (file, line, item,
  reason), `absent.csv` has every video without a file (video_id, expected).
- A count that differs from the published one is a warning in the log, never an error; an import without a single video
  is an error, with what was left out and why.
- A video without a file stays in the manifest, with the path where its file was expected. Paths in manifest.csv are
  relative to the manifest.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.resources
import itertools
import logging
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar

import pyarrow as pa
import yaml

from mcn.errors import UserError
from mcn.files import write_json
from mcn.options.base import nearest
from mcn.options.published import OfficialOptions
from mcn.sources.official_text import SUFFIXES, csv_file, find_videos, write_csv

log = logging.getLogger(__name__)

# Files that are made beside the inputs of every data set.
ACCOUNTS = ("accounting.json", "left_out.csv", "absent.csv")
Alternatives = tuple[str, ...]


def csv_inputs(*keys: str) -> dict[str, str]:
    """The usual `makes` of an adapter: the input `key` of a data set is the file `key`.csv."""
    return {key: f"{key}.csv" for key in keys}


@dataclass(frozen=True)
class Split:
    """The official files that one selection is read from, by their names below the data set's folder.

    needs: for each file or folder that must be there, its possible names, the preferred one first. helps: names of
    files and folders that are read only where they are there.
    """

    needs: tuple[Alternatives, ...]
    helps: Alternatives = ()


class Adapter(ABC):
    """The contract of a data set: class attributes that describe it, and `read`.

    makes: which inputs `read` writes, as keys of a data set of the configuration -> file name; all of them have the
    columns of `mcn.sources.annotation_tables`. splits: name -> official files. captions: names of captions files among
    which `official.captions` chooses, empty where there is no choice. title, home_page: for messages about missing
    files, where provenance.yaml has no row of the data set.
    """

    title: ClassVar[str] = ""
    home_page: ClassVar[str] = ""
    makes: ClassVar[Mapping[str, str]]
    splits: ClassVar[Mapping[str, Split]]
    captions: ClassVar[Alternatives] = ()

    def __init__(self, options: OfficialOptions) -> None:
        self.kind, self.folder = options.kind, Path(options.directory)
        self.split = options.split or next(iter(self.splits))
        self.chosen_captions = options.captions

    @abstractmethod
    def read(self, account: Account) -> None:
        """Write every file of `makes` into `account.output`, and account for what was found and left out.

        Errors: `UserError` for an official file in the wrong format, with its name and line.
        """

    @property
    def benchmark(self) -> str:
        """The kind, where this is its first split, which the published tables are about; '' for other splits."""
        return self.kind if self.split == next(iter(self.splits)) else ""

    @property
    def selection(self) -> Split:
        """The official files of the chosen split and captions."""
        split = self.splits[self.split]
        if not self.chosen_captions:
            return split
        chosen = [(name,) for name in self.chosen_captions]
        needs = (chosen if one == self.captions else [one] for one in split.needs)
        return Split(tuple(itertools.chain(*needs)), split.helps)

    def refusals(self) -> list[str]:
        """One line for each option that this data set does not have."""
        found = []
        if self.split not in self.splits:
            known = ", ".join(self.splits)
            found.append(f"split {self.split!r} of {self.kind}; known: {known}")
        if self.chosen_captions and not self.captions:
            found.append(f"captions is for howto100m, {self.kind} has its own")
        for name in self.chosen_captions if self.captions else ():
            if name not in self.captions:
                found.append(f"captions {name!r}{nearest(name, self.captions)}")
        return found

    def find(self, names: Iterable[str]) -> list[Path]:
        """The files and folders of these names that are there, in the order of the names."""
        return [self.folder / name for name in names if (self.folder / name).exists()]

    def file(self, need: int) -> Path:
        """The file or folder of a need of the split: the first of its alternatives that is there."""
        return self.find(self.selection.needs[need])[0]

    def files(self) -> list[Path]:
        """The official files and folders that are there and that the import reads."""
        needed = [path for names in self.selection.needs for path in self.find(names)[:1]]
        return list(dict.fromkeys([*needed, *self.find(self.selection.helps)]))

    def missing_files(self) -> list[str]:
        """One line for every official file that is needed and not there: its name, and where to get it."""
        source = self.provenance
        lines = []
        for names in self.selection.needs:
            if not self.find(names):
                wanted = " or ".join(str(self.folder / name) for name in names)
                page = source["files"].get(Path(names[0]).name, {}).get("page", source["home_page"])
                lines.append(f"{source['name']}: no {wanted}; get it from {page}")
        return lines

    def require_files(self) -> None:
        """Raise `UserError` naming every official file that is missing, and where to get it."""
        absent = self.missing_files()
        if absent:
            raise UserError(
                "\n  ".join([f"{len(absent)} official file(s) missing", *absent]),
                f"the official files of {self.provenance['name']} in {self.folder}",
                "put them there under these names (docs/datasets.md shows the tree), or correct "
                "`official.directory`",
            )

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Name, home page and pages of the official files."""
        own = {"name": self.title or self.kind, "home_page": self.home_page, "files": {}}
        return provenance().get(self.kind, own)


@functools.cache
def provenance() -> dict[str, Any]:
    """Adapter, home page, licence and official files of every data set that this package reads: provenance.yaml."""
    text = importlib.resources.files("mcn.sources").joinpath("provenance.yaml").read_text("utf-8")
    value: dict[str, Any] = yaml.safe_load(text)
    return value


class Account(contextlib.AbstractContextManager["Account"]):
    """The account of one import; its three files appear in the folder `output` when the import ends well."""

    def __init__(self, adapter: Adapter, output: Path) -> None:
        self.adapter, self.output = adapter, output
        self._counts: dict[str, dict[str, Any]] = {}
        self._reasons: Counter[str] = Counter()
        self._absent, self._videos = 0, 0
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
                "kind": self.adapter.kind,
                "split": self.adapter.split,
                "files": [str(path) for path in self.adapter.files()],
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
        """Note a count beside the published one (None where none is known)."""
        entry: dict[str, Any] = {"found": counted, "published": published}
        self._counts[name] = {**entry, "note": note} if note else entry
        if published not in (None, counted):
            log.warning("%s: %d found, %d published", name, counted, published)

    def require_videos(self) -> None:
        """Raise `UserError` with what was left out, and why, where the manifest has not a single video."""
        if self._videos:
            return
        files = ", ".join(str(path) for path in self.adapter.files())
        reasons = [f"{times} times: {reason}" for reason, times in self._reasons.most_common()]
        raise UserError(
            "\n  ".join([f"not a single video of {self.adapter.kind} in {files}", *reasons]),
            f"lists and annotations of one release, for the split {self.adapter.split}",
            "check that these files belong together and were downloaded whole",
        )

    def leave_out(self, path: Path, line: int | None, item: str, reason: str) -> None:
        """Note a row that is not used, and why; `line` is None for the file as a whole."""
        self._left_out.writerow([path, "" if line is None else line, item, reason])
        self._reasons[reason] += 1

    def write(self, name: str, schema: pa.Schema, rows: Iterable[Sequence[Any]]) -> None:
        """Write one input, a CSV with the columns of `schema`."""
        write_csv(self.output / name, schema.names, rows)

    def write_manifest(self, videos: Iterable[tuple[str, str, str]]) -> None:
        """Write manifest.csv from triples: video id, split, and where below the folder `videos` the file is expected.

        Where it is expected is a path without suffix, or empty for the id itself.
        """
        folder = self.adapter.folder / "videos"
        files = find_videos(folder)
        base = os.path.relpath(folder.resolve(), self.output.resolve())
        with csv_file(self.output / "manifest.csv", ("video_id", "path", "split")) as writer:
            for video_id, split, expected in videos:
                self._videos += 1
                path = files.get(video_id)
                if path is None:
                    path = f"{expected or video_id}{SUFFIXES[0]}"
                    self._absences.writerow([video_id, folder / path])
                    self._absent += 1
                writer.writerow([video_id, f"{base}/{path}", split])
