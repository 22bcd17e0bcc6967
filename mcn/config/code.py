"""Digests of code: what a stage's numbers are computed by, so that an edit of it is noticed.

Conventions
-----------
- The digest of a part covers its module and every module of the package that it imports, transitively: also imports
  inside functions, and modules that are named by a string such as "mcn.sources.crosstask". Comments, docstrings and
  formatting do not count. Nothing is imported to find out: modules are parsed.
- `from mcn.room import name` follows the name through the room's `__init__` to the module that defines it, so that an
  edit of a neighbour in the same room counts for nothing.
- `GROUND` does not count: how a file is renamed or fetched, an option parsed or an error worded changes no number.
  Registries, which name all parts of a kind (`mcn.features.registry`, and the classes below `mcn.options`), are not
  followed: the caller adds the part that the configuration chose. What the caller names itself always counts.
- A file of data beside a module, such as `published.yaml`, counts for the module that names it.
- A user's own part, `module:Class` in a file beside the configuration, counts with the files beside it that it imports.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
GROUND = frozenset(
    {
        "mcn",
        "mcn.cli",
        "mcn.content",
        "mcn.errors",
        "mcn.features.registry",
        "mcn.files",
        "mcn.layout",
        "mcn.lifetime",
        "mcn.options.base",
        "mcn.options.own_parts",
        "mcn.shards.made_by",
        "mcn.shards.origin",
        "mcn.media.address",
        "mcn.media.download",
        "mcn.media.remote",
        "mcn.media.s3",
        "mcn.media.server",
    }
)
REGISTRIES = ("mcn.features.registry", "mcn.options")  # and what lies below
_NAMED = re.compile(r"mcn(\.\w+)+")
_DATA = re.compile(r"[\w./-]+\.(ya?ml|html|css|js|json|csv|txt|rst)")


@functools.cache
def code_digest(parts: tuple[str, ...], folder: Path | None = None) -> str:
    """128-bit digest, in hexadecimal, of the code of `parts`: modules, or `module:Class`.

    folder: where a module that is not of the package is looked for. A part that is not found counts by its name.
    """
    digest = hashlib.sha256()
    for module in modules_of(parts, folder):
        digest.update(f"{module}\0{_read(_file(module, folder)).digest}\n".encode())
    for part in sorted(parts):
        digest.update(f"{part}\n".encode())
    return digest.hexdigest()[:32]


def modules_of(parts: Iterable[str], folder: Path | None = None) -> list[str]:
    """Names of the modules that the digest of `parts` covers, sorted."""
    wanted_parts = {part.partition(":")[0] for part in parts}
    waiting = list(wanted_parts)
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        path = _file(module, folder)
        if module in found or (module in GROUND and module not in wanted_parts) or path is None:
            continue
        found.add(module)
        source = _read(path)
        for wanted, name in source.imports:
            waiting += _defined_in(wanted, name)
        if not f"{module}.".startswith(tuple(f"{one}." for one in REGISTRIES)):
            waiting += source.named
    return sorted(found)


def _defined_in(module: str, name: str) -> Iterator[str]:
    """The modules that an import of `name` from `module` is about."""
    path = _file(module, None)
    if name and _file(f"{module}.{name}", None):
        yield f"{module}.{name}"
    elif name and path is not None and path.name == "__init__.py":
        sources = [one for one in _read(path).imports if one[1] == name]
        for source in sources:
            yield from _defined_in(*source)
        if not sources:
            yield module
    else:
        yield module


def _file(module: str, folder: Path | None) -> Path | None:
    """The source of a module of the package, or of one that lies in `folder`; None for any other."""
    head, *rest = module.split(".")
    base = PACKAGE if head == "mcn" else folder / head if folder else None
    if base is None:
        return None
    path = base.joinpath(*rest)
    candidates = path.with_suffix(".py") if path != PACKAGE else path, path / "__init__.py"
    return next((one for one in candidates if one.is_file()), None)


class _Source:
    """What a digest needs of one file: what it imports and the digest of its statements.

    imports: pairs (module, name or ''). named: modules of the package that strings name.
    """

    def __init__(self, path: Path) -> None:
        text = path.read_bytes()
        self._folder = path.parent
        self.imports: list[tuple[str, str]] = []
        self.named: list[str] = []
        self._words: list[str] = []
        try:
            self._visit(ast.parse(text))
        except SyntaxError:  # whoever imports it will be told
            self._words = [text.decode(errors="replace")]
        self.digest = hashlib.sha256("\n".join(self._words).encode()).hexdigest()
        self._words.clear()

    def _visit(self, node: ast.AST) -> None:
        """Note the imports below a node, and write it down without places and docstrings."""
        self._note_imports(node)
        self._words.append(type(node).__name__)
        for name in node._fields:
            value = getattr(node, name, None)
            if isinstance(value, ast.AST):
                self._visit(value)
            elif isinstance(value, list):
                self._words.append(f"[{name}")
                for one in value[1:] if name == "body" and _documented(node) else value:
                    if isinstance(one, ast.AST):
                        self._visit(one)
                    else:
                        self._words.append(repr(one))
                self._words.append("]")
            else:
                self._words.append(repr(value))

    def _note_imports(self, node: ast.AST) -> None:
        """Pairs (module, name) that a statement imports or a string names."""
        if isinstance(node, ast.Import):
            self.imports += ((alias.name, "") for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            self.imports += ((node.module, alias.name) for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            module = node.value.partition(":")[0]
            if _NAMED.fullmatch(module):
                self.named.append(module)
            elif _DATA.fullmatch(node.value) and (self._folder / node.value).is_file():
                content = (self._folder / node.value).read_bytes()
                self._words.append(hashlib.sha256(content).hexdigest())


@functools.cache
def _read(path: Path) -> _Source:
    return _Source(path)


def _documented(node: ast.AST) -> bool:
    """Whether the first statement of a body is a docstring, or any other text that nothing reads."""
    body = getattr(node, "body", None)
    first = body[0] if isinstance(body, list) and body else None
    return isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
