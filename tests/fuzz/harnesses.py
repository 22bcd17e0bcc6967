"""What is fuzzed: for every input its corpus and what may come of it.

A harness reads bytes as its input would be read. It may return, or raise what the input promises: `VideoError` for what
belongs to one video, `UserError` for a file that a person chose. Anything else is a find, as is what takes too long.
"""

from __future__ import annotations

import io
import math
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import yaml

from mcn.config.configuration import configure
from mcn.errors import UserError, VideoError
from mcn.features.vectors import load_vectors
from mcn.media.isolation import Worker
from mcn.networks.checkpoints import read_state_dict
from mcn.search.terms import parse
from mcn.shards import FEATURE_SCHEMA, ShardReader, ShardWriter, feature_row
from mcn.sources.arrays import load_array
from mcn.sources.manifest import read_manifest
from mcn.sources.narration import read_narration
from mcn.sources.unpickle import stream
from tests import test_bad_arrays, test_bad_text
from tests.fuzz.decoding import decode
from tests.media_cases import CASES, make_case

ROOT = Path(__file__).parents[2]
Corpus = dict[str, bytes]


@dataclass(frozen=True)
class Harness:
    """corpus: file name -> its bytes. read: reads a file of such a name; see above for what it may raise."""

    corpus: Callable[[Path], Corpus]
    read: Callable[[Path], None]


class _Media:
    """Decodes in a child, which may die; that is a find."""

    worker: Worker | None = None

    def read(self, path: Path) -> None:
        self.worker = self.worker or Worker(1024)
        try:
            usable = self.worker.run(decode, path, seconds=60)
        except VideoError as error:
            raise AssertionError(str(error)) from error
        if not usable:
            raise VideoError("unreadable", "neither picture nor sound")


MEDIA = (
    "fragmented.mp4",
    "mkv.h264.aac.mkv",
    "avi.mpeg4.mp3.avi",
    "flv.h264.aac.flv",
    "wmv.wmv2.wma2.wmv",
    "mpg.mpeg2.mp2.mpg",
    "joined.ts",
    "animation.gif",
    "mp3.mp3",
    "flac.flac",
)


def _media(folder: Path) -> Corpus:
    return {name: make_case(CASES[name], folder).read_bytes() for name in MEDIA}


def _narration(folder: Path) -> Corpus:
    return {
        "automatic.vtt": test_bad_text.AUTOMATIC.encode(),
        "a.srt": "\ufeff1\n100:00:00,000 --> 100:00:01,000\n<i>sauté</i>\n\n2\n".encode(),
        "wide.srt": "1\n00:00:01,000 --> 00:00:02,000\nstir\n".encode("utf-16"),
        "columns.json": b'{"start": [0, 1], "end": [1, 2], "text": [null, "a\\ud83d\\ude00"]}',
        "lines.json": b'[{"start": 0, "end": 1.5, "text": "stir"}]',
        "a.csv": b'start,end,text\n0,1,"chop, stir"\n1,2,a, b\n',
    }


def _read_narration(path: Path) -> None:
    for line in read_narration(path):
        assert math.isfinite(line.end_seconds)
        assert 0 <= line.start_seconds <= line.end_seconds
        assert line.text.encode().strip()


def _manifest(folder: Path) -> Corpus:
    rows = [{"video_id": "a", "path": "a.mp4", "narration": "a.srt"}]
    table = folder / "m.parquet"
    pd.DataFrame(rows).to_parquet(table)
    return {
        "m.csv": b'\xef\xbb\xbfvideo_id,path,narration\na,"a,\r.mp4",\nb,\xe9.mp4,b.srt\r\n',
        "tabs.csv": b"video_id\tpath\na\tb.mp4\n",
        "m.parquet": table.read_bytes(),
    }


def _read_manifest(path: Path) -> None:
    read_manifest(path, check_files=False)


def _configuration(folder: Path) -> Corpus:
    return {
        "config.yaml": (ROOT / "config.yaml").read_bytes(),
        "workflow.yaml": (ROOT / "tests/workflow.yaml").read_bytes(),
    }


def _configure(path: Path) -> None:
    try:
        values = yaml.safe_load(path.read_bytes())
    except (yaml.YAMLError, ValueError, RecursionError):
        return  # Snakemake's own error
    if isinstance(values, dict):
        configure(values)


def _shard(folder: Path) -> Corpus:
    path = folder / "shard.parquet"
    values = np.arange(12, dtype=np.float32).reshape(4, 3)
    with ShardWriter(path, FEATURE_SCHEMA, {"decoded": {}}) as writer:
        for video in ("a", "b"):
            writer.write(feature_row(video, values, 0, 1))
    return {path.name: path.read_bytes()}


def _read_shard(path: Path) -> None:
    for row in ShardReader(path, "features"):
        assert row["features"] is None or len(row["features"]) == 24


def _arrays(folder: Path) -> Corpus:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, features=np.ones((3, 4), np.float32))
    cases = {f"{i}.npy": data for i, data in enumerate(test_bad_arrays.ARRAYS.values())}
    return {"a.npz": buffer.getvalue(), "a.npy": test_bad_arrays.npy(), **cases}


def _read_array(path: Path) -> None:
    try:
        load_array(path)
    except (ValueError, OSError) as error:
        raise VideoError("unreadable", str(error)) from error


def _pickles(folder: Path) -> Corpus:
    items = [{"id": "a", "2d": np.ones(4, np.float32), "audio": torch.ones(2, 3)}]
    whole = {f"{protocol}.pickle": pickle.dumps(items, protocol) for protocol in (0, 2, 4)}
    known = {f"known{i}.pickle": one for i, one in enumerate(test_bad_arrays.PICKLES.values())}
    return whole | known


def _read_pickle(path: Path) -> None:
    stream(path, lambda item: None)


def _vectors(folder: Path) -> Corpus:
    text = b"2 3\nstir 1 2 3\nchop 4 5 6\n"
    binary = b"2 3\n" + b"".join(w + b" " + bytes(12) + b"\n" for w in (b"stir", b"chop"))
    return {"a.txt": text, "glove.txt": text[4:], "a.bin": binary, **test_bad_arrays.VECTORS}


def _read_vectors(path: Path) -> None:
    load_vectors(path, path.parent / "cache")


def _checkpoints(folder: Path) -> Corpus:
    path = folder / "a.pth"
    torch.save({"state_dict": {"a": torch.ones(3, 4), "b": torch.ones(2, dtype=torch.int64)}}, path)
    legacy = folder / "b.pth"
    torch.save({"a": torch.ones(3)}, legacy, _use_new_zipfile_serialization=False)
    return {one.name: one.read_bytes() for one in (path, legacy)}


def _read_checkpoint(path: Path) -> None:
    read_state_dict(path)


def _queries(folder: Path) -> Corpus:
    texts = [
        "stir the pot",
        '"bring to a boil" -salt',
        "title:soup OR (a AND b)",
        "\ud83d\ude00 é \0 {A}",
    ]
    return {f"{i}.txt": text.encode("utf-8", "surrogatepass") for i, text in enumerate(texts)}


def _query(path: Path) -> None:
    parse(path.read_bytes().decode("utf-8", "surrogateescape"))


HARNESSES: dict[str, Harness] = {
    "media": Harness(_media, _Media().read),
    "narration": Harness(_narration, _read_narration),
    "manifest": Harness(_manifest, _read_manifest),
    "configuration": Harness(_configuration, _configure),
    "shard": Harness(_shard, _read_shard),
    "array": Harness(_arrays, _read_array),
    "pickle": Harness(_pickles, _read_pickle),
    "vectors": Harness(_vectors, _read_vectors),
    "checkpoint": Harness(_checkpoints, _read_checkpoint),
    "query": Harness(_queries, _query),
}


def accepts(name: str, path: Path) -> bool:
    """Read a file with a harness; whether it is usable. What no input may raise passes through."""
    try:
        HARNESSES[name].read(path)
    except (VideoError, UserError):
        return False
    return True
