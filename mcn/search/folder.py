"""What lies in a folder of answers: its videos, what became of each, and what is said in them.

Conventions
-----------
- `results/settings.json` is the configuration of the run, written by its start. It is read as plain JSON, since the
  classes of the configuration would take longer to load than a query takes.
- The status of a video is that of the ledger over the features of pictures and sound: `ok` where one of them is. Where
  there are none it is that of its speech, and a file without what they need (sound alone) is `ok` where its speech is.
  A video that the ledger does not know yet is `waiting`.
- Transcripts are those of `speech/` where it was made, else the narration of the manifest.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mcn.errors import UserError
from mcn.files import read_table
from mcn.media.address import Place, place_of

if TYPE_CHECKING:
    from mcn.media.remote import Downloads

KINDS = {"frame": ("video",), "clip": ("video",), "audio": ("audio",), "speech": ("video", "audio")}


@dataclass(frozen=True)
class Video:
    """A video of the folder. status: the ledger's; error: code and words, '' where it is ok; streams: video, audio."""

    video_id: str
    path: Place
    length_seconds: float | None
    status: str
    error: str
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """A line of a transcript, in seconds from the start of the video."""

    start_seconds: float
    end_seconds: float
    text: str


@dataclass(frozen=True)
class Folder:
    """A folder with `results/`, and one of its data sets."""

    root: Path
    settings: Mapping[str, Any]
    dataset: str

    @classmethod
    def open(cls, root: Path, dataset: str | None = None) -> Folder:
        """dataset: default: the first one that is searchable, or has an index. Errors: `UserError` without any."""
        path = root / "results" / "settings.json"
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
            _require_sections(settings)
            names = list(settings["datasets"])
        except FileNotFoundError:
            raise UserError(
                f"{root}: nothing has been indexed there (no {path})",
                "the folder that `mcn run` wrote",
                f"mcn run FOLDER_OF_VIDEOS --output {root}",
            ) from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            cure = "run `mcn run` again"
            raise UserError(f"{path}: {error!r}", "the settings of a run", cure) from error
        if dataset is not None and dataset not in names:
            raise UserError(f"no data set {dataset!r}", f"one of {', '.join(names)}", "name one")
        indexed = [
            one
            for one in names
            if settings["datasets"][one].get("searchable")
            or any((root / "results" / "index").glob(f"*/{one}/index.json"))
        ]
        if dataset is None and not indexed:
            cure = "set `searchable: true` for a data set and run snakemake, or use `mcn run`"
            raise UserError(f"{root}: no data set with an index", "one", cure)
        return cls(root, settings, dataset or indexed[0])

    @property
    def results(self) -> Path:
        return self.root / "results"

    @property
    def options(self) -> Mapping[str, Any]:
        """The section of the data set in the configuration."""
        section: Mapping[str, Any] = self.settings["datasets"][self.dataset]
        return section

    @cached_property
    def videos(self) -> dict[str, Video]:
        """Every video by id, in the manifest's order."""
        path = self.results / self.dataset / "videos.parquet"
        if not path.exists():
            raise UserError(f"no {path}", "a run that has begun", "run `mcn run` again")
        accounts = self._accounts()
        found = {}
        for row in read_table(path, ["video_id", "path"]).to_pylist():
            status, error, streams = self._verdict(accounts.get(row["video_id"], []))
            file = place_of(row["path"], self.root)
            found[row["video_id"]] = Video(row["video_id"], file, None, status, error, streams)
        return found

    def _verdict(self, rows: list[dict[str, str]]) -> tuple[str, str, tuple[str, ...]]:
        """Status, error and streams of a video from its rows of the ledger."""
        features = [row for row in rows if self.kind_of(row["stream"]) != "speech"]
        speech = [row for row in rows if self.kind_of(row["stream"]) == "speech"]
        status, error = _worst(features or speech)
        there = self._streams(features or speech, "ok")
        if status == "missing" and any(row["status"] == "ok" for row in speech):
            status, error = "ok", ""
            there = self._streams(speech, "ok") - self._streams(features, "missing")
        return status, error, tuple(one for one in ("video", "audio") if one in there)

    def _streams(self, rows: list[dict[str, str]], status: str) -> set[str]:
        """The streams of a file that the rows of one status are about."""
        kinds = [self.kind_of(row["stream"]) for row in rows if row["status"] == status]
        return {stream for kind in kinds for stream in KINDS[kind]}

    def kind_of(self, feature: str) -> str:
        """The kind of a stream of the ledger: frame, clip, audio, text of features, or speech."""
        if feature == "speech":
            return feature
        return str(self.settings["features"].get(feature, {}).get("kind", "text"))

    def _accounts(self) -> dict[str, list[dict[str, str]]]:
        """Video id -> its rows of the ledger: of features of pictures and sound, and of speech."""
        path = self.results / self.dataset / "ledger.parquet"
        rows = read_table(path).to_pylist() if path.exists() else []
        found: dict[str, list[dict[str, str]]] = {}
        for row in rows:
            if self.kind_of(row["stream"]) in KINDS:
                found.setdefault(row["video_id"], []).append(row)
        return found

    @cached_property
    def lines(self) -> dict[str, list[Line]]:
        """Video id -> what is said in it, in order; of several languages, in that which stands first."""
        place = self.results / self.dataset
        paths = sorted((place / "speech").glob("[0-9]*.parquet")) or [place / "narration.parquet"]
        found: dict[str, list[Line]] = {}
        shown: dict[str, str | None] = {}
        columns = ["video_id", "start_seconds", "end_seconds", "text", "language"]
        for path in paths:
            for row in read_table(path, columns).to_pylist() if path.exists() else []:
                language = row.get("language")
                if shown.setdefault(row["video_id"], language) != language:
                    continue
                line = Line(row["start_seconds"], row["end_seconds"], row["text"])
                found.setdefault(row["video_id"], []).append(line)
        return {
            one: sorted(lines, key=lambda line: line.start_seconds) for one, lines in found.items()
        }


def _require_sections(settings: Any) -> None:
    """ValueError for what no run wrote, as after damage; the options themselves are not looked at."""
    for name in ("datasets", "features", "experiments"):
        section = settings.get(name, {})
        rows = section.values() if isinstance(section, dict) else [None]
        if not all(isinstance(row, dict) for row in rows):
            raise ValueError(f"the section {name} is not whole")
    for name, experiment in settings.get("experiments", {}).items():
        if not isinstance(experiment.get("model", {}), dict):
            raise ValueError(f"experiments.{name} is not whole")
    if not isinstance(settings.get("search", {}), dict):
        raise ValueError("the section search is not whole")


def _worst(rows: list[dict[str, str]]) -> tuple[str, str]:
    """Status and error of rows: ok where one is, else the first that failed."""
    if not rows:
        return "waiting", ""
    if any(row["status"] == "ok" for row in rows):
        return "ok", ""
    worst = next((row for row in rows if row["status"] == "failed"), rows[0])
    return worst["status"], f"{worst['code']}: {worst['error']}".removesuffix(": ")


def downloads_of(root: Path) -> Downloads:
    """The cache of videos at addresses that the runs of a folder keep; that of the defaults where no run says."""
    from mcn.media.remote import Downloads
    from mcn.options.downloads import DownloadOptions

    try:
        settings = json.loads((root / "results" / "settings.json").read_text(encoding="utf-8"))
        return Downloads(DownloadOptions.model_validate(settings["downloads"]), root)
    except (OSError, ValueError, KeyError, TypeError):
        return Downloads(root=root)
