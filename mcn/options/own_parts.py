"""Parts of the user's own, named in a configuration by import path: encoders, objectives, evaluations, adapters.

Conventions
-----------
- A reference is `module:name`, as `my_module:MyEncoder`; the module may have dots. It is looked for in the folder of
  the configuration first (`my_module.py` there), then among the installed packages.
- Whatever goes wrong is a `UserError` that names the file and the contract that the part has to keep.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from mcn.errors import UserError
from mcn.options.base import nearest


def load_part(reference: str, contract: type | str, folder: Path | None = None) -> Any:
    """The class or function that `reference` names.

    contract: the base class that a class must have, or words that say what the part must be, which is then any
    callable. folder: of the configuration; default: the working directory.

    Errors: `UserError` for a reference that is no `module:name`, a module that is not there or fails when it is
    imported, a name that the module lacks, and a part that is not what the contract says.
    """
    module_name, _, name = reference.partition(":")
    if not module_name or not name.isidentifier():
        raise UserError(f"the reference {reference!r}", "module:name", "correct it")
    path = part_file(reference, folder)
    words = contract if isinstance(contract, str) else contract_words(contract)
    with part_errors(reference, words, folder, "cannot be imported"):
        module = _import(module_name, path, (folder or Path.cwd()).resolve())
    if not hasattr(module, name):
        public = [one for one in vars(module) if not one.startswith("_")]
        got = f"{module.__file__}, which has no {name!r}{nearest(name, public)}"
        raise UserError(got, words, f"correct {reference!r}, or define it there")
    part = getattr(module, name)
    fits = callable(part) if isinstance(contract, str) else _extends(part, contract)
    if not fits:
        raise UserError(f"{module.__file__}: {name}, which is {part!r}", words, "mend that file")
    return part


def part_file(reference: str, folder: Path | None = None) -> Path | None:
    """The file of a module beside the configuration; None where it has to be an installed one."""
    module = Path(*reference.partition(":")[0].split("."))
    base = (folder or Path.cwd()).resolve()
    candidates = base / module.with_suffix(".py"), base / module / "__init__.py"
    return next((path for path in candidates if path.is_file()), None)


def contract_words(contract: type) -> str:
    """What a class has to be, in words: its base class and where that is described."""
    return f"a class that extends {contract.__module__}.{contract.__qualname__}"


@contextlib.contextmanager
def part_errors(
    reference: str, contract: str, folder: Path | None = None, what: str = "fails"
) -> Iterator[None]:
    """Whatever a part raises becomes a `UserError` that names its file, line and contract; `UserError` passes."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        file = part_file(reference, folder) or reference
        own = [
            one for one in traceback.extract_tb(error.__traceback__) if one.filename == str(file)
        ]
        line = f", line {own[-1].lineno}" if own else ""
        got = f"{file}{line}, which {what}: {type(error).__name__}: {error}"
        raise UserError(got, contract, "mend that file") from error


def _import(name: str, path: Path | None, folder: Path) -> ModuleType:
    """A module by name; that of `path` where there is a file beside the configuration."""
    if path is None:
        return importlib.import_module(name)
    loaded = sys.modules.get(name)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # for what the module imports from beside it
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        sys.modules.pop(name, None)
        raise
    return module


def _extends(part: Any, contract: type) -> bool:
    return isinstance(part, type) and issubclass(part, contract)
