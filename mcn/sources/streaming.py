"""An unpickler that gives a list's items, or a dictionary's pairs, one at a time, and forgets each.

A file of any length needs the memory of one item where items are dictionaries, otherwise of 1,000 items or pairs, the
size of a pickle's batches. Python's own unpickler in Python (`pickle._Unpickler`) does the work; what is overridden are
the operations that fill the outermost container, and those that refer to earlier values.
"""

from __future__ import annotations

import pickle
import types
from collections.abc import Callable
from typing import Any, BinaryIO, ClassVar

import numpy as np

# Strings up to this length stay in memory for later references: keys, type names, dtypes
SMALL_BYTES = 1024
_PythonUnpickler: Any = pickle._Unpickler


class _Mark:
    """Stands in the unpickler's stack or memo for a value that is no longer there."""

    def __init__(self, meaning: str) -> None:
        self.meaning = meaning


_GIVEN = _Mark("an item that the sink has had")
_FORGOTTEN = _Mark("data of an earlier item")


class StreamingUnpickler(_PythonUnpickler):
    """Python's own unpickler in Python, whose outermost list or dictionary is never filled.

    Items gather on the stack, above a mark, until 1,000 of them are appended at once: `metastack` is then
    [[outermost]]. A single last item has no mark: the stack is [outermost, item]. A dictionary that is an item is given
    to the sink as soon as it is filled. The memo keeps only what later items may share (`_is_shared`).
    """

    dispatch: ClassVar[dict[int, Callable[..., None]]] = dict(_PythonUnpickler.dispatch)

    def __init__(
        self,
        file: BinaryIO,
        resolve: Callable[[str, str], Any],
        sink: Callable[[Any], None],
    ) -> None:
        super().__init__(file, encoding="latin1")  # numpy arrays pickled by Python 2
        self.resolve = resolve
        self.sink, self.count, self.in_sink = sink, 0, False
        self.looked_at = 0  # memo entries before this one
        self.gave_dictionary = False

    def find_class(self, module: str, name: str) -> Any:
        return self.resolve(module, name)

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
        self._load_referred(_PythonUnpickler.load_get)

    def load_binget(self) -> None:
        self._load_referred(_PythonUnpickler.load_binget)

    def load_long_binget(self) -> None:
        self._load_referred(_PythonUnpickler.load_long_binget)

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
