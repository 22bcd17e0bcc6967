"""Pickles of numpy, torch and pandas data, read without running anything that a file asks for.

Conventions
-----------
- A pickle is a program; `find_class` decides what it may call. Here it may make numpy arrays, torch tensors, pandas
  tables and plain containers, by the exact names in `ALLOWED`; anything else is refused, by name, before it runs.
- Memory is bounded by the file's size (`mcn.sources.arrays`).
- A tensor's storage inside a pickle is itself a pickled file; it is read by `torch.load(weights_only=True)`.
- `stream` gives the items of a list, or the (key, value) pairs of a dictionary, one at a time
  (`mcn.sources.streaming`). `RestrictedUnpickler` makes a whole object.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from mcn.errors import UserError
from mcn.sources.arrays import bounded_memory
from mcn.sources.first_bytes import what_it_is
from mcn.sources.streaming import StreamingUnpickler

_NUMPY = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    *((f"numpy.{core}.multiarray", "_reconstruct") for core in ("core", "_core")),
    *((f"numpy.{core}.multiarray", "scalar") for core in ("core", "_core")),
    *((f"numpy.{core}.numeric", "_frombuffer") for core in ("core", "_core")),
}
_TORCH = {
    ("torch._utils", "_rebuild_tensor"),
    ("torch._utils", "_rebuild_tensor_v2"),
    ("torch.storage", "_load_from_bytes"),  # replaced, see `_load_storage`
    ("torch", "Size"),
    ("torch", "device"),
    ("torch.serialization", "_get_layout"),
}
_PANDAS = {
    *(("pandas", name) for name in ("DataFrame", "Series", "Index", "RangeIndex", "StringDtype")),
    *(("pandas.arrays", name) for name in ("ArrowStringArray", "StringArray")),
    ("pandas.core.frame", "DataFrame"),
    ("pandas.core.series", "Series"),
    *(("pandas.core.internals.managers", name) for name in ("BlockManager", "SingleBlockManager")),
    ("pandas._libs.internals", "_unpickle_block"),
    ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.base", "_new_Index"),
    ("pandas.core.indexes.range", "RangeIndex"),
    *(("pandas.core.indexes.numeric", name) for name in ("Int64Index", "Float64Index")),
    *(("pyarrow.lib", name) for name in ("_restore_array", "py_buffer", "type_for_alias")),
}
_PLAIN = {
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),  # bytes in pickles of protocol 2 and below
    *(("builtins", name) for name in ("slice", "set", "bytearray", "complex")),
    *(("__builtin__", name) for name in ("slice", "set", "bytearray", "complex")),
}
ALLOWED: frozenset[tuple[str, str]] = frozenset(_NUMPY | _TORCH | _PANDAS | _PLAIN)
# Classes that newer pandas keeps elsewhere under the same meaning
_MOVED = {
    ("pandas.core.indexes.numeric", "Int64Index"): ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.numeric", "Float64Index"): ("pandas.core.indexes.base", "Index"),
}


def resolve(module: str, name: str, extra: frozenset[tuple[str, str]] = frozenset()) -> Any:
    """The object that a pickle names, where the name is allowed; `pickle.UnpicklingError` where it is not."""
    if (module, name) not in ALLOWED and (module, name) not in extra:
        raise pickle.UnpicklingError(f"it would import {module}.{name}")
    if (module, name) == ("torch.storage", "_load_from_bytes"):
        return _load_storage
    module, name = _MOVED.get((module, name), (module, name))
    return pickle.Unpickler.find_class(_NO_FILE, module, name)


_NO_FILE = pickle.Unpickler(io.BytesIO())


def _load_storage(content: bytes) -> Any:
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


class RestrictedUnpickler(pickle.Unpickler):
    """`pickle.Unpickler` that makes only what `ALLOWED`, or `extra`, names."""

    extra: frozenset[tuple[str, str]] = frozenset()

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="latin1")  # numpy arrays pickled by Python 2

    def find_class(self, module: str, name: str) -> Any:
        return resolve(module, name, self.extra)


def stream(path: Path | str, sink: Callable[[Any], None]) -> int:
    """Give `sink` each item of a pickled list, or each (key, value) of a dictionary; returns how many there were.

    Errors: `UserError` for a file that cannot be read, that would import anything else, that is neither a list nor a
    dictionary, or whose items refer to data of earlier ones. What `sink` raises passes unchanged.
    """
    with _opened(path) as file, bounded_memory(path):
        unpickler = StreamingUnpickler(file, resolve, sink)
        try:
            unpickler.load()
        except Exception as error:  # a cut, refused or damaged file raises many kinds
            if unpickler.in_sink:
                raise
            raise _unreadable(path, error) from error
    return unpickler.count


def _opened(path: Path | str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "a pickle", "correct the path") from None


def first_line(error: BaseException) -> str:
    """What an error says in its first line; its kind where it says nothing."""
    return next(iter(str(error).splitlines()), "") or type(error).__name__


def _unreadable(path: Path | str, error: BaseException) -> UserError:
    kind = what_it_is(path)
    if kind and kind != "a pickle":
        cure = (
            "give the pickle itself: check the path, and that it was downloaded whole and unpacked"
        )
        return UserError(f"{path}, which is {kind}", "a pickle", cure)
    return UserError(
        f"{path}, which cannot be read as data ({first_line(error)})",
        "a whole pickle of numpy, torch or pandas data",
        "check that this is the right file and that it was downloaded whole; a file that would import anything else "
        "is refused, because a pickle can run any program",
    )
