"""Archives of published files: unpacked beside themselves, whole or not at all.

Conventions
-----------
- Of an archive of a data set the official files and folders that provenance.yaml names are put into the data set's
  folder, wherever they lie in the archive; the rest is left in it. Any other archive becomes a folder of its own name
  without the suffix.
- A member that would be written outside the folder, a link that leads there, and a device are refused.
- What is there already stays as it is.
"""

from __future__ import annotations

import os
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from mcn.errors import UserError
from mcn.files import scratch_folder

SUFFIXES = (".tar.gz", ".tgz", ".tar", ".zip")


def unpack(archive: Path, official: Sequence[str] = ()) -> list[Path]:
    """What was put beside `archive`. official: names of files and folders that are wanted of it, none: all.

    Errors: `UserError` for an archive that is damaged, or that holds no wanted name.
    """
    suffix = next((one for one in SUFFIXES if archive.name.endswith(one)), "")
    folder = archive.with_name(archive.name.removesuffix(suffix))
    if not official and folder.exists():
        return []
    with scratch_folder(folder.name, folder.parent) as scratch:
        _extract(archive, scratch)
        if not official:
            found = [(_only_folder(scratch), folder)]
        else:
            found = [(one, archive.parent / one.name) for one in _named(scratch, official)]
            if not found:
                got = f"{archive}, in which lies none of {', '.join(official)}"
                raise UserError(got, "the data set's official files", "unpack it by hand")
        made = [target for _, target in found if not target.exists()]
        for source, target in found:
            if not target.exists():
                source.rename(target)
    return made


def _extract(archive: Path, scratch: Path) -> None:
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as file:
                _refuse_outside(file.namelist(), archive)
                file.extractall(scratch)
        else:
            with tarfile.open(archive) as file:
                _refuse_outside(_names(file), archive)
                # before Python 3.11.4 there is no filter; what it refuses has been refused above
                safe: Any = {"filter": "data"} if hasattr(tarfile, "data_filter") else {}
                file.extractall(scratch, **safe)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, OSError) as error:
        cure = f"move it away (mv {archive} {archive}.old), and fetch it again"
        raise UserError(f"{archive}: {error}", "an intact archive", cure) from error


def _names(file: tarfile.TarFile) -> list[str]:
    """Every path that an archive names: of its members, and of what their links lead to, from the archive's folder."""
    names = []
    for member in file.getmembers():
        if not (member.isfile() or member.isdir() or member.islnk() or member.issym()):
            raise tarfile.TarError(f"{member.name} is a device or a pipe")
        names.append(member.name)
        if member.islnk() or member.issym():
            names.append(member.linkname)
    return names


def _refuse_outside(names: Sequence[str], archive: Path) -> None:
    """Of an archive with a member that would lie outside its folder nothing is wanted."""
    for name in names:
        if name.startswith(("/", "\\")) or ".." in Path(name).parts:
            raise UserError(f"{archive}: a member {name!r}", "members inside it", "do not use it")


def _only_folder(scratch: Path) -> Path:
    """The folder that holds all of an archive, where there is one; otherwise the scratch folder's content."""
    inside = list(scratch.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        return inside[0]
    whole = scratch / "whole"
    whole.mkdir()
    for one in inside:
        shutil.move(one, whole / one.name)
    return whole


def _named(scratch: Path, official: Sequence[str]) -> list[Path]:
    """Of each wanted name the one that lies least deep, then first in order."""
    found: dict[str, Path] = {}
    for folder, folders, files in os.walk(scratch):
        folders.sort()
        for name in sorted({*folders, *files} & set(official)):
            path = Path(folder, name)
            if name not in found or len(path.parts) < len(found[name].parts):
                found[name] = path
    return list(found.values())
