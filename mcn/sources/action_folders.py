"""Folders of action videos, one folder a class (UCF-101, HMDB-51), as a data set.

Conventions
-----------
- `ClassName/video.avi`, any of `SUFFIXES`, deeper folders not searched. A class is the name of its folder.
- The text of a class: words split at capitals and underscores, in lower case; misspelt words of the published names are
  set right (`RESPELT`), as MCN gen_loader.py does.
- The id of a video is its file name without suffix, with `_` for every character that is not safe in a name. A name
  that was changed in this way, or that several files have (HMDB has one video in several classes), is followed by `_`
  and eight digits of a hash of `class/file`.
- Three CSV files are written: manifest.csv (video_id,path; paths are relative to the manifest), actions.csv
  (class,text) and labels.csv (video_id,class). Every file of a class folder is in them, or is counted as no video.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mcn.errors import UserError
from mcn.sources.annotation_tables import ACTIONS, LABELS
from mcn.sources.official_text import write_csv

log = logging.getLogger(__name__)

SUFFIXES = (".avi", ".mp4", ".mkv", ".webm", ".mov", ".m4v", ".mpg")
RESPELT = {"claping": "clapping"}
LONGEST_ID = 119  # with `_` and eight digits behind it is as long as an id may be
_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


def class_words(name: str) -> str:
    """Words of a class name.

    >>> class_words("ApplyEyeMakeup"), class_words("brush_hair"), class_words("TaiChi")
    ('apply eye makeup', 'brush hair', 'tai chi')
    """
    words = [word.lower() for word in _WORD.findall(name)]
    return " ".join(RESPELT.get(word, word) for word in words)


def video_ids(files: Sequence[tuple[str, str]]) -> list[str]:
    """Ids of (class, file name) pairs, in their order."""
    safe = [re.sub(r"[^A-Za-z0-9_.\-]", "_", Path(name).stem).lstrip(".-") for _, name in files]
    times = Counter(safe)
    found = []
    for (action, name), stem in zip(files, safe, strict=True):
        changed = stem != Path(name).stem or times[stem] > 1 or not 0 < len(stem) <= LONGEST_ID
        digits = hashlib.sha256(f"{action}/{name}".encode()).hexdigest()[:8]
        found.append(f"{stem[:LONGEST_ID] or 'video'}_{digits}" if changed else stem)
    return found


def import_action_folders(folder: Path, output: Path) -> None:
    """Write manifest.csv, actions.csv and labels.csv of a folder of class folders below `output`.

    Errors: `UserError` where there is no class folder with a video.
    """
    files: list[tuple[str, str]] = []
    other = 0
    classes = (
        sorted(one.name for one in folder.iterdir() if one.is_dir()) if folder.is_dir() else []
    )
    for action in classes:
        names = sorted(one.name for one in (folder / action).iterdir() if one.is_file())
        videos = [name for name in names if Path(name).suffix.lower() in SUFFIXES]
        files += [(action, name) for name in videos]
        other += len(names) - len(videos)
    if not files:
        wanted = f"folders of classes with videos ({', '.join(SUFFIXES)}) in them"
        raise UserError(
            f"no class folder with a video in {folder}", wanted, "name the folder above"
        )
    used = sorted({action for action, _ in files})
    ids = video_ids(files)
    paths = [os.path.relpath(folder / action / name, output) for action, name in files]
    labels = [(one, action) for one, (action, _) in zip(ids, files, strict=True)]
    texts = [(one, class_words(one)) for one in used]
    write_csv(output / "manifest.csv", ("video_id", "path"), zip(ids, paths, strict=True))
    write_csv(output / "actions.csv", ACTIONS.names, texts)
    write_csv(output / "labels.csv", LABELS.names, labels)
    log.info("%d videos of %d classes; %d files are no videos", len(files), len(used), other)
