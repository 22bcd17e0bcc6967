"""The videos and sound files of a folder, found by their content, and the manifest of them.

Conventions
-----------
- Folders are searched recursively, links followed, each real file and folder once: of several names of one file the
  first that is no link, in the order of the names, counts. Names that begin with `.` are passed over, and folders
  that the caller excludes; with a warning, folders that cannot be read or whose names are not UTF-8.
- Tables hold text: a file whose name is not UTF-8 is known by a name with `\\xNN` for such bytes, under which it is not
  found. It is a failed video then, with a warning.
- A file is taken where FFmpeg opens it and a picture or sound comes out, whatever it is called, and where its suffix is
  one of videos or sound (`SUFFIXES`), so that a broken video is told of rather than passed over, and so is a link that
  leads nowhere or in a circle, a pipe, or a device. Still pictures and texts are not taken.
- Ids come from the path below the folder, so that they stay when other files come and go: a plain name that is safe is
  the id; of everything else unsafe characters become `_`, and 8 digits of a hash of the path are added.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from mcn.errors import UserError, VideoError
from mcn.files import csv_text
from mcn.media.address import Address, Place
from mcn.media.files import open_media
from mcn.media.isolation import Worker
from mcn.media.probe import probe, spot_check
from mcn.sources.manifest import SAFE_ID, SEPARATOR, ManifestRow

log = logging.getLogger(__name__)

_SUFFIXES = (
    ".3g2 .3gp .aac .ac3 .aif .aiff .amr .ape .asf .au .avi .caf .dts .dv .f4v .flac .flv .h264 .hevc .ivf .m2ts .m2v "
    ".m4a .m4v .mj2 .mka .mkv .mov .mp2 .mp3 .mp4 .mpeg .mpg .mts .mxf .nut .oga .ogg .ogv .opus .qt .rm .rmvb .swf "
    ".tak .ts .tta .vob .w64 .wav .webm .wma .wmv .wtv .wv .y4m"
)
SUFFIXES = frozenset(_SUFFIXES.split())
_STILL = ("gif", "apng", "mjpeg")  # formats of still pictures too
_HASHED_END = re.compile(r".*-[0-9a-f]{8}")
_LOOKED_AT = 4096  # bytes: a file that begins with so much text is one
_SECONDS = 60.0  # for a look at one file
_MEMORY_MB = 1024
UNREADABLE = -1


@dataclass(frozen=True)
class FoundFile:
    """A file below a folder: where it is, its path below the folder, and what it is known by (size, time).

    The size is `UNREADABLE` of one that is not there or may not be read, so that it is looked at again when it may.
    """

    path: Path
    below: str
    known: tuple[int, int]


def walk(folder: Path, excluded: Collection[Path] = ()) -> list[FoundFile]:
    """Every regular file below a folder, each once, in the order of their paths.

    Errors: `UserError` where there is no such folder, or it cannot be read. What cannot be read below it
    is passed over, with a warning.
    """
    if not folder.is_dir():
        got = f"no folder {folder}" if not folder.exists() else f"{folder} is no folder"
        raise UserError(got, "a folder of videos, or a manifest", "correct the path")
    try:
        next(os.scandir(folder), None)
    except OSError as error:
        cure = "make it readable (chmod u+rx), or choose another"
        raise UserError(
            f"{folder} cannot be read: {error.strerror}", "a folder to read", cure
        ) from error
    left_out = {path.resolve() for path in excluded}
    found: dict[Path, tuple[bool, str, Path]] = {}
    for path, below in _files(folder, left_out):
        real = _real(path)
        ranked = (path.is_symlink() or real.parent != path.parent.resolve(), below, path)
        if real not in found or ranked < found[real]:
            found[real] = ranked
    files = sorted((below, path) for _, below, path in found.values())
    return [FoundFile(path, below, size_and_time(path)) for below, path in files]


def _files(folder: Path, left_out: Collection[Path]) -> Iterator[tuple[Path, str]]:
    seen = set(left_out)
    waiting = [folder]
    while waiting:
        place = waiting.pop(0)
        if place.resolve() in seen:
            continue
        seen.add(place.resolve())
        try:
            entries = sorted(place.iterdir())
        except OSError as error:
            log.warning("%s cannot be read, and is passed over: %s", place, error.strerror)
            continue
        for entry in entries:
            if entry.name.startswith("."):
                continue
            is_folder = entry.is_dir()
            if not _is_utf8(entry.name):
                entry = _written(entry)
                ending = "it is passed over" if is_folder else "it is not found"
                log.warning("%s: its name is not UTF-8, so %s: rename it", entry, ending)
                if is_folder:
                    continue
            if is_folder:
                waiting.append(entry)
            elif entry.is_file() or entry.suffix.lower() in SUFFIXES:
                yield entry, entry.relative_to(folder).as_posix()


def _is_utf8(name: str) -> bool:
    """Whether a name can stand in tables, which hold text alone; bytes of other encodings are surrogates here."""
    return not any("\ud800" <= one <= "\udfff" for one in name)


def _written(path: Path) -> Path:
    """A path as it stands in tables, with `\\xNN` for bytes that are not UTF-8."""
    return Path(os.fsencode(path).decode(errors="backslashreplace"))


def _real(path: Path) -> Path:
    """Where a path leads; itself where its links lead in a circle."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.absolute()


def size_and_time(path: Path) -> tuple[int, int]:
    """What a file is known by (`FoundFile.known`)."""
    try:
        stat = path.stat()
    except OSError:
        return UNREADABLE, 0
    return stat.st_size if os.access(path, os.R_OK) else UNREADABLE, stat.st_mtime_ns


def choose(files: Collection[FoundFile]) -> Iterator[tuple[FoundFile, bool]]:
    """Each file, and whether it is taken."""
    with Worker(_MEMORY_MB) as worker:
        for file in files:
            yield file, _is_taken(file, worker)


def _is_taken(file: FoundFile, worker: Worker) -> bool:
    if file.path.suffix.lower() in SUFFIXES:
        return True
    if file.known[0] == 0 or _is_text(file.path):
        return False
    try:
        return worker.run(has_content, file.path, seconds=_SECONDS)
    except VideoError:
        return False


def _is_text(path: Path) -> bool:
    """Whether a file begins with text, by its first bytes."""
    try:
        with open(path, "rb") as file:
            start = file.read(_LOOKED_AT)
    except OSError:
        return True  # nothing can be read of it either
    return b"\0" not in start and _decodes(start)


def _decodes(start: bytes) -> bool:
    try:
        start.decode()
    except UnicodeDecodeError as error:
        return error.start >= len(start) - 4  # in the midst of a character
    return True


def has_content(path: Path) -> bool:
    """Whether a picture or sound comes out of a file. Errors: those of `open_media`."""
    with open_media(path) as container:
        still = any(name in container.format.name.split(",") for name in _STILL)
        if still and not container.duration:
            return False
    if probe(path).video is None:
        spot_check(path, "audio")
    return True


def video_id_of(below: str) -> str:
    """The id of a file from its path below the folder."""
    if SAFE_ID.fullmatch(below) and not _HASHED_END.fullmatch(below):
        return below
    digest = hashlib.sha256(below.encode(errors="surrogateescape")).hexdigest()[:8]
    safe = re.sub(r"[^A-Za-z0-9_.\-]+", "_", below).lstrip(".")
    return f"{safe[-100:].lstrip('.')}-{digest}"


def row_of(file: FoundFile) -> ManifestRow:
    """The row of a file in a manifest."""
    return ManifestRow(video_id_of(file.below), file.path)


def manifest_text(rows: Collection[ManifestRow]) -> str:
    """A manifest as CSV, every path absolute, addresses as they are, in the order of the ids."""
    lines = [["video_id", "path", "narration", "sha256", "title", "language"]]
    for row in sorted(rows, key=lambda one: one.video_id):
        narration = SEPARATOR.join(str(path.absolute()) for path in row.narration)
        texts = narration, row.sha256 or "", row.title or "", SEPARATOR.join(row.language)
        lines.append([row.video_id, _absolute(row.path), *texts])
    return csv_text(lines)


def _absolute(place: Place) -> str:
    return place.url if isinstance(place, Address) else str(place.absolute())
