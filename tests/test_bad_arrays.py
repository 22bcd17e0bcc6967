"""Damaged and oversized arrays, pickles, word vectors and weights: an error that names the file; no memory is taken."""

from __future__ import annotations

import contextlib
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from mcn.errors import UserError, VideoError
from mcn.features.vectors import load_vectors
from mcn.networks.checkpoints import read_state_dict
from mcn.published.feature_files import LAYOUTS, read_matrix
from mcn.sources.arrays import LARGEST_ARRAY, load_array
from mcn.sources.unpickle import stream

STREAM = LAYOUTS["howto100m"]["resnet152"]
MATRIX = np.arange(12, dtype=np.float32).reshape(3, 4)


def npy(shape: str = "(3, 4)", kind: str = "<f4", content: bytes = MATRIX.tobytes()) -> bytes:
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}}}".encode()
    head += b" " * (-(len(head) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head + content


def npz(content: bytes, method: int = zipfile.ZIP_DEFLATED, name: str = "features.npy") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(name, content)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_arrays_are_those_of_numpy(tmp_path: Path, name: str) -> None:
    for values in (MATRIX, np.asfortranarray(MATRIX), np.zeros((0, 4)), np.array(3)):
        saving = np.save if name == "a.npy" else np.savez_compressed
        saving(tmp_path / name, values)
        found = load_array(tmp_path / name)
        assert found.dtype == values.dtype
        np.testing.assert_array_equal(found, values)


ARRAYS = {
    "huge shape": npy(f"({2**40}, 2048)"),
    "one row too many": npy("(4, 4)"),
    "negative": npy("(-3, -4)"),
    "no tuple": npy("12"),
    "broken header": npy("(3,"),
    "unknown type": npy(kind="<q9"),
    "objects": npy(kind="|O"),
    "no width": npy(kind="|S0"),
    "version": b"\x93NUMPY\x09\x00" + npy()[8:],
    "cut": npy()[:-1],
    "text": b"1 2 3",
    "nothing": b"",
    "pickle": pickle.dumps(MATRIX),
    "npz: huge shape": npz(npy(f"({2**40}, 2048)")),
    "npz: unknown method": npz(npy()).replace(b"\x14\x00\x00\x00\x08\x00", b"\x14\x00\x00\x00\x63\x00"),
    "npz: broken stream": npz(npy())[:60] + b"\xff\xff\xff" + npz(npy())[63:],
    "npz: nothing": npz(b"", name="a.npy"),
    "npz: encrypted": npz(npy()).replace(b"PK\x01\x02\x14\x03\x14\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01"),
}  # fmt: skip


@pytest.mark.parametrize("case", ARRAYS)
def test_damaged_arrays_cost_one_video(tmp_path: Path, case: str) -> None:
    path = tmp_path / f"v_2d.{'npz' if case.startswith('npz') else 'npy'}"
    path.write_bytes(ARRAYS[case])
    with pytest.raises(VideoError, match="unreadable") as caught:
        read_matrix(path, STREAM)
    assert str(path) in caught.value.message


def test_a_bomb_of_zeros_is_refused_by_its_size(tmp_path: Path) -> None:
    rows = LARGEST_ARRAY // (4 * 2048) + 1
    head = npy(f"({rows}, 2048)", content=b"")
    content = npz(head)
    plain, total = struct.pack("<I", len(head)), struct.pack("<I", len(head) + rows * 8192 - 1)
    path = tmp_path / "v_2d.npz"
    path.write_bytes(content.replace(plain, total))
    with pytest.raises(VideoError, match="the most that is read"):
        read_matrix(path, STREAM)


def _reduce(name: str, argument: bytes) -> bytes:
    """A pickle that calls a name of builtins or numpy with an argument, in a list."""
    module, function = name.rsplit(".", 1)
    return b"\x80\x04]" + f"c{module}\n{function}\n".encode() + argument + b"\x85Ra."


PICKLES = {
    "long bytes": b"\x80\x04]\x8e" + struct.pack("<Q", 2**42) + b"a.",
    "long frame": b"\x80\x04\x95" + struct.pack("<Q", 2**42) + b"].",
    "bytearray": _reduce("builtins.bytearray", b"\x8a\x06" + (2**42).to_bytes(6, "little")),
    "array": _reduce("numpy.ndarray", b"\x8a\x06" + (2**42).to_bytes(6, "little")),
    "memo": b"\x80\x04]r" + struct.pack("<I", 2**32 - 1) + b"K\x01ah\x07a.",
    "deep": b"\x80\x04" + 100_000 * b"(" + 100_000 * b"t" + b".",
    "stack": b"\x80\x04" + 100 * b"0" + b".",
    "number": b"\x80\x04]I" + 10_000 * b"9" + b"\na.",
    "cut": pickle.dumps([MATRIX])[:-20],
}


@pytest.mark.parametrize("case", PICKLES)
def test_damaged_pickles_are_named(tmp_path: Path, case: str) -> None:
    path = tmp_path / "a.pickle"
    path.write_bytes(PICKLES[case])
    with pytest.raises(UserError) as caught:
        stream(path, lambda item: None)
    assert str(path) in caught.value.got


VECTORS = {
    "a.bin": b"9999999999 300\nstir " + bytes(1200),
    "b.bin": b"1 9999999999\nstir " + bytes(1200),
    "c.txt": b"9999999999 300\nstir 1 2 3\n",
    "d.bin": b"\xff\xfe\x00",
    "e.txt": b"stir 1 2 3\nchop 1 2\n",
    "f.bin.gz": b"\x1f\x8b\x08\x00nonsense",
    "g.kv": PICKLES["long bytes"],
    "h.txt": b"stir " + 100_000 * b"{",
    "i.bin": b"3 4\nstir " + bytes(16),
}


@pytest.mark.parametrize("name", VECTORS)
def test_damaged_word_vectors_are_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(VECTORS[name])
    with pytest.raises(UserError) as caught:
        load_vectors(path, tmp_path / "cache")
    assert str(path) in caught.value.got


def test_damaged_weights_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save({"a": torch.zeros(100)}, path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 37):
        damaged = bytearray(whole)
        damaged[place] ^= 0x55
        path.write_bytes(damaged)
        with contextlib.suppress(UserError):  # no other error, whatever is damaged
            read_state_dict(path)
