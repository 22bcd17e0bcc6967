"""Pickles of numpy, torch and pandas data, read without running anything that a file asks for.

Conventions
-----------
- A pickle is a program; `find_class` decides what it may call. Here it may make numpy arrays, torch tensors, pandas
  tables and plain containers, by the exact names in `ALLOWED`; anything else is refused, by name, before it runs.
- A tensor's storage inside a pickle is itself a pickled file; it is read by `torch.load(weights_only=True)`.
- `restricted_load` gives the whole object. `stream` gives a list's items, or a dictionary's (key, value) pairs, one at
  a time, and forgets each, so that a file of any length needs the memory of an item (or of 1,000 pairs).
"""

from __future__ import annotations

import io
import pickle
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from mcn.errors import UserError

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
    *((module, name) for module in ("builtins", "__builtin__") for name in ("slice", "set")),
    *(
        (module, name)
        for module in ("builtins", "__builtin__")
        for name in ("bytearray", "complex")
    ),
}
ALLOWED: frozenset[tuple[str, str]] = frozenset(_NUMPY | _TORCH | _PANDAS | _PLAIN)
# Classes that newer pandas keeps elsewhere under the same meaning
_MOVED = {
    ("pandas.core.indexes.numeric", "Int64Index"): ("pandas.core.indexes.base", "Index"),
    ("pandas.core.indexes.numeric", "Float64Index"): ("pandas.core.indexes.base", "Index"),
}
SMALL_BYTES = (
    4096  # strings up to this length stay in memory for later references: keys, type names, dtypes
)


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


# What unpickling a cut, refused or odd file raises
_RAISED = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
)


def restricted_load(path: Path | str) -> Any:
    """The object in a pickle. A file that cannot be read, or that would import anything else: `UserError`."""
    with _opened(path) as file:
        try:
            return RestrictedUnpickler(file).load()
        except _RAISED as error:
            raise _unreadable(path, error) from error


def stream(path: Path | str, sink: Callable[[Any], None]) -> int:
    """Give `sink` each item of a pickled list, or each (key, value) of a dictionary; returns how many there were.

    Errors: as `restricted_load`; also where the pickle is neither, or an item refers to data of an earlier one. What
    `sink` raises passes unchanged.
    """
    with _opened(path) as file:
        unpickler = _Streaming(file, sink)
        try:
            unpickler.load()
        except _RAISED as error:
            if unpickler.in_sink:
                raise
            raise _unreadable(path, error) from error
    return unpickler.count


def _opened(path: Path | str) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "a pickle", "correct the path") from None


def _unreadable(path: Path | str, error: BaseException) -> UserError:
    return UserError(
        f"{path}, which cannot be read as data ({error or type(error).__name__})",
        "a whole pickle of numpy, torch or pandas data",
        "check that this is the right file and that it was downloaded whole; a file that would import anything else "
        "is refused, because a pickle can run any program",
    )


class _Mark:
    """Stands in the unpickler's stack or memo for a value that is no longer there."""

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning


_GIVEN = _Mark("an item that the sink has had")
_FORGOTTEN = _Mark("data of an earlier item")


class _Streaming(pickle._Unpickler):
    """Python's own unpickler in Python, whose outermost list or dictionary is never filled.

    Items gather on the stack, above a mark, until 1,000 of them are appended at once: `metastack` is then
    [[outermost]]. A single last item has no mark: the stack is [outermost, item]. A dictionary that is an item is given
    to the sink as soon as it is filled. The memo keeps only what later items may share (`_is_shared`).
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(pickle._Unpickler.dispatch)

    def __init__(self, file: BinaryIO, sink: Callable[[Any], None]) -> None:
        super().__init__(file, encoding="latin1")
        self.sink, self.count, self.in_sink = sink, 0, False
        self.looked_at = 0  # memo entries before this one
        self.gave_dictionary = False

    def find_class(self, module: str, name: str) -> Any:
        return resolve(module, name)

    def load(self) -> None:
        outermost = super().load()
        if not isinstance(outermost, list | dict):
            kind = type(outermost).__name__
            raise pickle.UnpicklingError(f"it holds a {kind}, neither a list nor a dictionary")

    def _gathers(self, kind: type) -> bool:
        """Whether the values above the last mark go into the outermost container, which is a `kind`."""
        depth = len(self.metastack)
        return depth == 1 and len(self.metastack[0]) == 1 and type(self.metastack[0][0]) is kind

    def _single(self, kind: type, values: int) -> bool:
        """Whether the stack is the outermost container, a `kind`, and `values` more, without a mark."""
        return not self.metastack and len(self.stack) == 1 + values and type(self.stack[0]) is kind

    def _give(self, item: Any) -> None:
        self.count += 1
        self.in_sink = True
        self.sink(item)
        self.in_sink = False
        for index in range(self.looked_at, len(self.memo)):
            if not _is_shared(self.memo[index]):
                self.memo[index] = _FORGOTTEN
        self.looked_at = len(self.memo)

    def load_setitem(self) -> None:
        if self._single(dict, 2):
            value, key = self.stack.pop(), self.stack.pop()
            self._give((key, value))
        else:
            super().load_setitem()

    def load_setitems(self) -> None:
        if self._gathers(dict):
            pairs = self.pop_mark()
            for key, value in zip(pairs[::2], pairs[1::2], strict=True):
                self._give((key, value))
            return
        super().load_setitems()
        if self._gathers(list) or self._single(list, 1):
            item, self.stack[-1] = self.stack[-1], _GIVEN
            self.gave_dictionary = True
            self._give(item)

    def load_append(self) -> None:
        if self._single(list, 1):
            self._give_rest([self.stack.pop()])
        else:
            super().load_append()

    def load_appends(self) -> None:
        if self._gathers(list):
            self._give_rest(self.pop_mark())
        else:
            super().load_appends()

    def _give_rest(self, items: list[Any]) -> None:
        """Give the items that are no dictionaries; the dictionaries have been given."""
        rest = [item for item in items if item is not _GIVEN]
        if rest and self.gave_dictionary:
            raise pickle.UnpicklingError("a list whose items are not plain dictionaries")
        for item in rest:
            self._give(item)

    def _load_referred(self, original: Callable[..., None]) -> None:
        original(self)
        if self.stack[-1] is _FORGOTTEN:
            raise pickle.UnpicklingError(f"an item refers to {_FORGOTTEN.meaning}")

    def load_get(self) -> None:
        self._load_referred(pickle._Unpickler.load_get)

    def load_binget(self) -> None:
        self._load_referred(pickle._Unpickler.load_binget)

    def load_long_binget(self) -> None:
        self._load_referred(pickle._Unpickler.load_long_binget)

    dispatch[pickle.SETITEM[0]] = load_setitem
    dispatch[pickle.SETITEMS[0]] = load_setitems
    dispatch[pickle.APPEND[0]] = load_append
    dispatch[pickle.APPENDS[0]] = load_appends
    dispatch[pickle.GET[0]] = load_get
    dispatch[pickle.BINGET[0]] = load_binget
    dispatch[pickle.LONG_BINGET[0]] = load_long_binget


def _is_shared(value: Any) -> bool:
    """Whether a later item may refer to `value`: names, small constants, types and functions, never data."""
    if isinstance(value, str | bytes):
        return len(value) <= SMALL_BYTES
    if isinstance(value, tuple):
        return all(_is_shared(part) for part in value)
    plain = (int, float, bool, type(None), type, np.dtype)
    functions = (types.FunctionType, types.BuiltinFunctionType)
    return isinstance(value, (*plain, *functions))
