"""Digests of code, what a run reads from outside, and shards that say which code made them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from mcn.config import code as code_module
from mcn.config.code import code_digest, modules_of
from mcn.files import file_sha256
from mcn.shards import FEATURE_SCHEMA, RowStore, ShardReader, ShardWriter, feature_row
from mcn.shards.made_by import MadeBy, accept, note, read_record, writing_with
from mcn.sources import outside

OLD, NEW = "0" * 32, "1" * 32


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a few modules that stands in for ours."""
    root = tmp_path / "mcn"
    files = {
        "room/__init__.py": "from mcn.room.used import use\nfrom mcn.room.neighbour import other\n",
        "room/used.py": "def use():\n    return 1\n",
        "room/neighbour.py": "def other():\n    return 2\n",
        "stage.py": "from mcn.room import use\n\n\ndef run():\n    from mcn.late import x\n    return use() + x + 1\n",
        "late.py": 'PART = "mcn.named:Part"\nx = 1\n',
        "named.py": "from pathlib import Path\n\n\nclass Part:\n    file = 'data.yaml'\n",
        "data.yaml": "a: 1\n",
        "errors.py": "",
        "apart.py": "",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(code_module, "PACKAGE", root)

    def digest(**kwargs):
        code_module._read.cache_clear()
        code_digest.cache_clear()
        return code_digest(("mcn.stage",), **kwargs)

    yield root, digest
    code_module._read.cache_clear()
    code_digest.cache_clear()


def test_what_a_stage_imports_counts_late_named_and_through_a_room(package):
    assert modules_of(("mcn.stage",)) == ["mcn.late", "mcn.named", "mcn.room.used", "mcn.stage"]


@pytest.mark.parametrize("file", ["stage.py", "room/used.py", "late.py", "named.py", "data.yaml"])
def test_an_edit_of_what_computes_is_noticed(package, file):
    root, digest = package
    before = digest()
    (root / file).write_text((root / file).read_text().replace("1", "7").replace("Part", "Port"))
    assert digest() != before


@pytest.mark.parametrize("file", ["room/neighbour.py", "errors.py", "apart.py"])
def test_an_edit_of_anything_else_is_not(package, file):
    root, digest = package
    before = digest()
    (root / file).write_text("y = 3\n")
    assert digest() == before


def test_comments_docstrings_and_formatting_do_not_count(package):
    root, digest = package
    before = digest()
    (root / "room/used.py").write_text(
        '"""Words."""\n\n\ndef use():\n    """More."""\n    # why\n    return (1)\n'
    )
    assert digest() == before


def test_a_part_of_the_users_own_counts_with_what_lies_beside_it(tmp_path):
    (tmp_path / "own.py").write_text("from helper import f\nimport numpy\n")
    (tmp_path / "helper.py").write_text("def f(): return 1\n")

    def digest():
        code_module._read.cache_clear()
        code_digest.cache_clear()
        return code_digest(("own:Encoder",), tmp_path)

    before = digest()
    (tmp_path / "helper.py").write_text("def f(): return 2\n")
    assert digest() != before


def write(path, code):
    with writing_with(code), ShardWriter(path, FEATURE_SCHEMA, {"feature": "x"}) as shard:
        shard.write(feature_row(path.stem, np.ones((3, 2), np.float32), 0, 1))


def test_a_shard_says_which_code_made_it_and_can_be_accepted(tmp_path):
    write(tmp_path / "a.parquet", OLD)
    os.utime(tmp_path / "a.parquet", ns=(1, 12345678901))
    assert read_record(tmp_path / "a.parquet") == (OLD, OLD)
    row = ShardReader(tmp_path / "a.parquet").read(0)
    assert accept(tmp_path / "a.parquet", NEW)
    assert read_record(tmp_path / "a.parquet") == (OLD, NEW)
    assert (tmp_path / "a.parquet").stat().st_mtime_ns == 12345678901
    assert ShardReader(tmp_path / "a.parquet").read(0) == row
    noted = pq.read_metadata(tmp_path / "a.parquet").metadata[b"mcn_code"].decode()
    assert noted == f"made={OLD} accepted={NEW}"


def test_shards_of_other_code_are_read_together(tmp_path):
    write(tmp_path / "a.parquet", OLD)
    write(tmp_path / "b.parquet", NEW)
    assert len(RowStore([tmp_path / "a.parquet", tmp_path / "b.parquet"], "features")) == 2


def test_a_record_is_found_before_long_metadata_and_missing_in_older_shards(tmp_path, monkeypatch):
    write(tmp_path / "a.parquet", OLD)
    monkeypatch.setattr("mcn.shards.made_by.TAIL_BYTES", 16)
    assert read_record(tmp_path / "a.parquet") == (OLD, OLD)
    with ShardWriter(tmp_path / "b.parquet", FEATURE_SCHEMA, {}):
        pass
    assert read_record(tmp_path / "b.parquet") is None
    assert not accept(tmp_path / "b.parquet", NEW)


@pytest.fixture
def manifest(tmp_path, monkeypatch):
    """A manifest of two videos in two shards, and a function that forgets what was read."""
    monkeypatch.chdir(tmp_path)
    for name in ("a", "d"):
        Path(f"{name}.mp4").write_bytes(name.encode())
        Path(f"{name}.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nx\n")
    Path("m.csv").write_text("video_id,path,narration\na,a.mp4,a.srt\nd,d.mp4,d.srt\n")

    def look():
        outside._rows.cache_clear()
        outside.known_by.cache_clear()
        videos = [outside.videos_digest("m.csv", 2, shard) for shard in range(2)]
        texts = [outside.narration_digest("m.csv", 2, shard) for shard in range(2)]
        return videos, texts, outside.digest_of(["m.csv"])

    return look


def changed(before, after):
    """Shards whose videos, shards whose narration, and whether the manifest is another."""
    return (
        [i for i in range(2) if before[0][i] != after[0][i]],
        [i for i in range(2) if before[1][i] != after[1][i]],
        before[2] != after[2],
    )


def test_what_changes_outside_changes_its_own_shard(manifest):
    shard = outside.shard_of("a", 2)
    assert outside.shard_of("d", 2) != shard
    before = manifest()
    assert changed(before, manifest()) == ([], [], False)
    os.utime("a.srt", ns=(1, 1))
    assert changed(before, manifest()) == ([], [], False), "a touch is no change"
    shutil.copy2("a.mp4", "c.mp4")
    Path("c.mp4").replace("a.mp4")  # the same bytes and time, another file
    replaced = manifest()
    assert changed(before, replaced) == ([shard], [], False)
    times = Path("a.srt").stat()
    Path("a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\ny\n")
    os.utime("a.srt", ns=(times.st_atime_ns, times.st_mtime_ns))
    edited = manifest()
    assert changed(replaced, edited) == ([], [shard], False)
    Path("m.csv").write_text(Path("m.csv").read_text() + "g,g.mp4,\n")
    new = outside.shard_of("g", 2)
    assert changed(edited, manifest()) == ([new], [new], True)


def test_bytes_that_changed_behind_time_and_inode_are_found(manifest):
    Path("shards").mkdir()
    Path("shards/00000.csv").write_text("video_id,path,sha256\na,a.mp4,\nd,d.mp4,\n")
    outside.note_contents(Path("shards/00000.csv"))
    assert outside.changed_contents(Path("shards/00000.csv")) == []
    times = Path("a.mp4").stat()
    with open("a.mp4", "r+b") as file:
        file.write(b"b")
    os.utime("a.mp4", ns=(times.st_atime_ns, times.st_mtime_ns))
    outside.note_contents(Path("shards/00000.csv"))
    Path("d.mp4").unlink()
    found = outside.changed_contents(Path("shards/00000.csv"))
    assert [path.name for path, _ in found] == ["a.mp4", "d.mp4"]


def test_a_video_without_read_permission_fails_alone_and_not_its_shard(manifest, monkeypatch):
    Path("shards").mkdir()
    shard = Path("shards/00000.csv")
    shard.write_text("video_id,path,sha256\na,a.mp4,\nd,d.mp4,\n")

    def sha256_of_readable(path):
        if path.name == "d.mp4":
            raise PermissionError(13, "Permission denied")
        return file_sha256(path)

    with monkeypatch.context() as patched:
        patched.setattr(outside, "file_sha256", sha256_of_readable)
        outside.note_contents(shard)
        readable = outside._identity(Path("d.mp4"))
        patched.setattr(os, "access", lambda *_: False)
        assert outside._identity(Path("d.mp4")) != readable, "so that it is read when it may be"
    assert set(outside.noted_contents(shard)) == {"a"}
    outside.note_contents(shard)
    monkeypatch.setattr(outside, "file_sha256", sha256_of_readable)
    assert outside.changed_contents(shard) == [(Path("d.mp4"), "decoded once, unreadable now")]


def test_weights_keep_their_bytes_and_are_accepted_beside_them(tmp_path):
    weights = tmp_path / "x.safetensors"
    weights.write_bytes(b"w")
    assert read_record_or_none(weights) is None
    note(weights, MadeBy(OLD, OLD))
    assert accept(weights, NEW)
    assert read_record(weights) == (OLD, NEW)
    assert weights.read_bytes() == b"w"


def read_record_or_none(path):
    try:
        return read_record(path)
    except FileNotFoundError:
        return None


def test_what_the_workflow_makes_is_left_to_its_rule(manifest, tmp_path):
    Path("results").mkdir()
    shutil.move("m.csv", "results/m.csv")
    assert outside.videos_digest("results/m.csv", 1, 0) == ""
    assert outside.digest_of(["results/m.csv"]) == ""


@pytest.mark.parametrize(
    "words", [["--help"], ["extract", "word2vec", "--help"], ["vocabulary", "--help"]]
)
def test_no_torch_where_none_is_needed(words):
    program = (
        "import sys, contextlib\nfrom mcn.cli import main\n"
        f"with contextlib.suppress(SystemExit): main({words!r})\n"
        "import mcn.features.text, mcn.config.reruns, mcn.upkeep.code_changes\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
