"""Published files that hold a whole set of clips: the pickles of AVLnet and MCN, and Miech's MSRVTT .pth.

Conventions
-----------
- A pickle is a list of dictionaries: `id`, `2d` and `3d` or `2d_pooled` and `3d_pooled` (2048 numbers, the maximum over
  the clip), `2d_full` and `3d_full` or `2d` and `3d` beside the pooled ones (all rows of the clip), `audio` (40, T) dB
  or absent, and the text: `eval_caption`, or `caption`, a string or a list of them. Values are numpy arrays or torch
  tensors (youcook_*_audio.pkl, msrvtt_*.pkl, lsmdc_*.pkl).
- Pickles in several languages (Rouditchenko et al., ICASSP 2023: Multi-MSRVTT, Multi-YouCook2) have a text for each,
  `eval_caption_de` or `caption_de`; `cz`, as Multi-YouCook2 names it, is Czech. A plain `caption` beside them is the
  English text, and is left out where that is there under its language too.
- A .pth is {'2d': {id: (T, 2048)}, '3d': {id: (T, 2048)}}, without text or sound (antoine77340/howto100m).
- Every clip becomes a video of its own, and the one row of a pooled feature covers the whole video. A second clip of
  the same id is named `id.2`, and so on, in the order of the file. Pooled rows are kept as they are, since
  `mcn.shards.clips.pool` of one row is what the released loaders do with them. What is not asked for, pooled or full
  rows (`rows`), is left out and counted. A clip without full rows (11 of
  YouCook2's) has neither sound nor text either, as the released loader leaves it out.
- A clip lasts as long as its log-mel and two frames more, so that all of its columns are read, or as its full rows if
  they last longer; a clip without sound lasts 1 s.
- What a feature's first usable clip has is its width; another width is bad_shape, as are log-mels of other than 40
  bands. A file without a clip, or without a single usable row of any feature, is an error that names its keys.
- The files written are manifest.csv, captions.csv (clips with text), one feature file for each of resnet152, resnext101
  and logmel, and accounting.json. Memory holds one clip.
"""

from __future__ import annotations

import contextlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from mcn.errors import UserError, VideoError
from mcn.features.registry import library_versions
from mcn.files import file_sha256, write_json
from mcn.published.feature_files import CLIPS, VERSION, failed_row, log_mel_rows, matrix_row
from mcn.shards import FEATURE_SCHEMA, ShardWriter
from mcn.sources.annotation_tables import CAPTIONS
from mcn.sources.arrays import bounded_memory
from mcn.sources.first_bytes import what_it_is
from mcn.sources.languages import base_language
from mcn.sources.manifest import SAFE_ID
from mcn.sources.official_text import csv_file
from mcn.sources.unpickle import first_line, stream

log = logging.getLogger(__name__)

# feature -> keys of a clip that may hold it, the first one that it has
KEYS = {
    rows: {
        "resnet152": (f"2d_{rows}", "2d"),
        "resnext101": (f"3d_{rows}", "3d"),
        "logmel": ("audio",),
    }
    for rows in ("pooled", "full")
}
TEXT_KEYS = ("eval_caption", "caption")
IN_LANGUAGE = re.compile(r"(?:eval_)?caption_([a-z]{2,3})")
LANGUAGES = {"cz": "cs"}  # codes of pickles that are those of countries
MEL_STEP = 0.01  # s
EXTRA_FRAMES = 2  # columns that `mcn.shards.clips.mel_column` is short of the time it is given
SILENT_SECONDS = 1.0
ROW_SECONDS = {"2d": 1.0, "3d": 16 / 24}  # a row of an unpooled feature

COLUMNS = {"manifest": ("video_id", "path", "title"), "captions": CAPTIONS.names}


def import_clips(source: Path, output: Path, rows: str = "pooled") -> dict[str, Any]:
    """Write the files named above to the folder `output`; returns the accounting. rows: a key of `KEYS`.

    Errors: `UserError` for a file that is no such list, and for a clip without a usable id.
    """
    try:
        digest = file_sha256(source)
    except OSError as error:
        wanted = "a pickle of clips, or a .pth of Miech et al."
        raise UserError(f"{source}: {error.strerror}", wanted, "correct the path") from None
    output.mkdir(parents=True, exist_ok=True)
    recipe = {
        "version": VERSION,
        "published": {"layout": CLIPS, "source": source.name, "sha256": digest},
        "libraries": library_versions("numpy"),
    }
    with contextlib.ExitStack() as stack:
        tables = {
            name: stack.enter_context(csv_file(output / f"{name}.csv", columns))
            for name, columns in COLUMNS.items()
        }
        writers = {
            feature: stack.enter_context(
                ShardWriter(
                    output / f"{feature}.parquet", FEATURE_SCHEMA, {**recipe, "feature": feature}
                )
            )
            for feature in KEYS[rows]
        }
        progress = stack.enter_context(
            tqdm(desc=f"import {source.name}", unit="clip", disable=None)
        )
        importer = _Importer(source, tables, writers, progress, KEYS[rows])
        if source.suffix in (".pth", ".pt"):
            _each_of_pth(source, importer.take)
        else:
            stream(source, importer.take)
        importer.require_rows()
    accounting = importer.accounting()
    write_json(output / "accounting.json", accounting)
    log.info("%s: %s", source, accounting)
    return accounting


class _Importer:
    """Takes one clip after the other and writes its rows."""

    def __init__(
        self,
        source: Path,
        tables: Any,
        writers: Any,
        progress: Any,
        keys: Mapping[str, tuple[str, ...]],
    ) -> None:
        self.source, self.tables, self.writers, self.progress = source, tables, writers, progress
        self.keys = keys
        self.seen: Counter[str] = Counter()
        self.outcomes: dict[str, Counter[str]] = {feature: Counter() for feature in keys}
        self.types: dict[str, Counter[str]] = {feature: Counter() for feature in keys}
        self.left_out: Counter[str] = Counter()
        self.widths: dict[str, int] = {}
        self.captions = 0

    def take(self, clip: Any) -> None:
        """Write one clip: a dictionary of the keys above."""
        if not isinstance(clip, dict) or "id" not in clip:
            raise self._not_clips(f"item {self.seen.total() + 1} is {_brief(clip)}")
        name = str(clip["id"])
        self.seen[name] += 1
        video_id = name if self.seen[name] == 1 else f"{name}.{self.seen[name]}"
        if not SAFE_ID.fullmatch(video_id):
            raise self._not_clips(f"item {self.seen.total()} has the id {name!r}")
        named = {
            feature: next((key for key in keys if self._holds(clip, key)), None)
            for feature, keys in self.keys.items()
        }
        whole = self.keys is not KEYS["full"] or None not in (
            named["resnet152"],
            named["resnext101"],
        )
        if not whole:
            named = dict.fromkeys(named)
        seconds = self._seconds(clip, named)
        used = {"id"}
        for feature, key in named.items():
            self._write(feature, video_id, clip, key, seconds)
            used |= {key} if key else set()
        self.tables["manifest"].writerow([video_id, f"{name}.published", name])
        if whole:
            used |= self._write_captions(video_id, clip, seconds)
        self.left_out.update(str(key) for key in clip.keys() - used)
        self.progress.update()

    def _holds(self, clip: dict[str, Any], key: str) -> bool:
        value = clip.get(key)
        if value is None:
            return False
        return self.keys is not KEYS["full"] or key == "audio" or np.ndim(value) != 1

    def _seconds(self, clip: dict[str, Any], named: Mapping[str, str | None]) -> float:
        audio = clip.get("audio")
        frames = 0 if audio is None or np.ndim(audio) != 2 else np.shape(audio)[1]
        seconds = round((frames + EXTRA_FRAMES) * MEL_STEP, 2) if frames else SILENT_SECONDS
        for feature, key in named.items():
            if feature != "logmel" and key and np.ndim(clip[key]) == 2:
                seconds = max(seconds, np.shape(clip[key])[0] * ROW_SECONDS[key[:2]])
        return seconds

    def _write(
        self, feature: str, video_id: str, clip: dict[str, Any], key: str | None, seconds: float
    ) -> None:
        try:
            if key is None:
                raise VideoError("not_found", f"no {' or '.join(self.keys[feature])} in the clip")
            values = np.asarray(clip[key])
            self.types[feature][str(values.dtype)] += 1
            if feature == "logmel":
                row = matrix_row(video_id, log_mel_rows(values, key), MEL_STEP)
            elif values.ndim == 1:
                row = matrix_row(video_id, values[np.newaxis], seconds)
            else:
                row = matrix_row(video_id, values, ROW_SECONDS[key[:2]])
            usual = self.widths.setdefault(feature, row["width"])
            if row["width"] != usual:
                wanted = f"{usual} as in the clips before it"
                raise VideoError("bad_shape", f"{key} of width {row['width']}, wanted {wanted}")
        except VideoError as error:
            row = failed_row(video_id, feature, error)
        self.outcomes[feature][row["error"].partition(":")[0] or "ok"] += 1
        self.writers[feature].write(row)

    def _write_captions(self, video_id: str, clip: dict[str, Any], seconds: float) -> set[str]:
        """One row a caption; returns the keys that held them."""
        used = _texts_of(clip)
        for key, language in used.items():
            value = clip[key]
            texts = [value] if isinstance(value, str) else list(np.atleast_1d(value))
            if not all(isinstance(text, str) for text in texts):
                raise self._not_clips(f"item {self.seen.total()} has the {key} {value!r}")
            for text in texts:
                row = [video_id, video_id, 0.0, seconds, text, language]
                self.tables["captions"].writerow(row)
            self.captions += len(texts)
        return set(used)

    def require_rows(self) -> None:
        """Raise `UserError` where there is no clip, or no clip has a usable row of any feature."""
        if any(found["ok"] for found in self.outcomes.values()):
            return
        if not self.seen:
            raise self._not_clips("not a single clip")
        counts = "; ".join(f"{name} {dict(found)}" for name, found in self.outcomes.items())
        others = f"; other keys: {', '.join(map(str, self.left_out))}" if self.left_out else ""
        keys = ", ".join(" or ".join(names) for names in self.keys.values())
        raise UserError(
            f"{self.source}: no usable feature in {self.seen.total()} clips ({counts}{others})",
            f"clips with some of {keys}",
            "give a file that has these features; `rows: full` reads all rows of clips, `rows: pooled` their maximum",
        )

    def accounting(self) -> dict[str, Any]:
        """Counts of clips, captions, each feature's outcomes and number types, and of keys that were left out."""
        return {
            "source": self.source.name,
            "clips": self.seen.total(),
            "ids": len(self.seen),
            "captions": self.captions,
            "features": {name: _sorted(found) for name, found in self.outcomes.items()},
            "number_types": {name: _sorted(found) for name, found in self.types.items()},
            "left_out_keys": _sorted(self.left_out),
        }

    def _not_clips(self, problem: str) -> UserError:
        wanted = "a list of clips, each a dictionary with an id that is safe as a name"
        return UserError(f"{self.source}: {problem}", wanted, "give a pickle of AVLnet or MCN")


def _texts_of(clip: Mapping[str, Any]) -> dict[str, str]:
    """Key -> language of the texts of a clip, one key a language; '' where the file does not say it."""
    there = {str(key) for key, value in clip.items() if value is not None}
    spoken: dict[str, str] = {}
    for key in sorted(there, reverse=True):  # `eval_caption_de` before `caption_de`
        if found := IN_LANGUAGE.fullmatch(key):
            spoken.setdefault(LANGUAGES.get(found[1], base_language(found[1])), key)
    plain = next((key for key in TEXT_KEYS if key in there), None)
    if plain and "en" not in spoken:
        spoken["en" if spoken else ""] = plain
    return {key: language for language, key in sorted(spoken.items())}


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))


def _each_of_pth(source: Path, sink: Callable[[Any], None]) -> None:
    """The videos of {'2d': {id: tensor}, '3d': {id: tensor}} as clips; `UserError` for another content."""
    import torch

    try:
        with bounded_memory(source):
            loaded = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises many kinds
        kind = what_it_is(source)
        known = kind and kind != "a PyTorch file"
        reason = f"it is {kind}" if known else first_line(error).partition(". ")[0]
        cure = "check that it was downloaded whole"
        raise UserError(f"{source}, which cannot be read ({reason})", "a .pth", cure) from error
    found = loaded if isinstance(loaded, dict) else {}
    streams = {key: found[key] for key in ("2d", "3d") if isinstance(found.get(key), dict)}
    if len(streams) < 2:
        wanted = "{'2d': {id: tensor}, '3d': {id: tensor}}"
        raise UserError(f"{source}: {_brief(loaded)}", wanted, "give MSRVTT_JSFUSION_test.pth")
    for name in sorted(streams["2d"].keys() | streams["3d"].keys()):
        sink({"id": name, **{key: values.get(name) for key, values in streams.items()}})


def _brief(value: Any) -> str:
    keys = f" with {', '.join(map(str, list(value)[:8]))}" if isinstance(value, dict) else ""
    return f"a {type(value).__name__}{keys}"
