"""An environment that holds only what `pip install` of the project with some of its extras would bring.

`environment(folder, extras)` gives environment variables for a child process in which every other installed package,
such as the test tools, cannot be imported. A command that needs a package which its page does not tell people to
install then fails here as it would for them.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import sys
import tomllib
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parent.parent
BLOCK = '''"""Hides packages from this process: those that are not installed where the command is said to work."""
import importlib.machinery
import pkgutil

HIDDEN = frozenset({hidden!r})
find_spec, iter_modules = importlib.machinery.PathFinder.find_spec, pkgutil.iter_modules


def find(name, path=None, target=None):
    return None if name.partition(".")[0] in HIDDEN else find_spec(name, path, target)


def iterate(path=None, prefix=""):
    return (module for module in iter_modules(path, prefix) if module.name not in HIDDEN)


importlib.machinery.PathFinder.find_spec, pkgutil.iter_modules = find, iterate
'''


def environment(folder: Path, extras: Iterable[str] = ()) -> dict[str, str]:
    """Variables of a child process that sees the project with these extras; `folder` is made and written into."""
    folder.mkdir(parents=True, exist_ok=True)
    allowed = installed_with(extras)
    names = importlib.metadata.packages_distributions()
    hidden = {
        name for name, owners in names.items() if not allowed & {_normal(owner) for owner in owners}
    }
    (folder / "sitecustomize.py").write_text(BLOCK.format(hidden=sorted(hidden)))
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    path = os.pathsep.join((str(folder), str(ROOT)))
    return {**os.environ, "PATH": programs, "PYTHONPATH": path, "NO_COLOR": "1"}


def installed_with(extras: Iterable[str]) -> set[str]:
    """Normalised names of the project's dependencies and of theirs, as far as they are installed here."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    waiting = [Requirement(line) for line in project["dependencies"]]
    for extra in extras:
        waiting += [Requirement(line) for line in project["optional-dependencies"][extra]]
    found, seen = {"mcn", "pip"}, set()
    while waiting:
        wanted = waiting.pop()
        key = (_normal(wanted.name), frozenset(wanted.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            lines = importlib.metadata.requires(wanted.name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        found.add(key[0])
        for need in map(Requirement, lines):
            if not need.marker or any(need.marker.evaluate({"extra": e}) for e in ("", *key[1])):
                waiting.append(need)
    return found


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
