"""The cooking and the other tasks of a step set, where the configuration tells them apart."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from mcn.errors import UserError, several


def cooking_split(named: list[str] | str | None, tasks: Collection[str]) -> dict[str, set[str]]:
    """`cooking` and `other` tasks of a set; empty without a list.

    named: names, or a text file with one a line (`LocalizationOptions.cooking_tasks`). Errors: `UserError` for a file
    that cannot be read, and for names that are no task of the set.
    """
    if named is None:
        return {}
    names = _read(Path(named)) if isinstance(named, str) else named
    unknown = [f"no task {name!r}" for name in names if name not in tasks]
    if unknown:
        wanted = f"tasks of the set: {', '.join(sorted(tasks))}"
        raise several(unknown, wanted, "correct localization.cooking_tasks")
    return {"cooking": set(names), "other": set(tasks) - set(names)}


def _read(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        wanted = "a text file with a task a line"
        raise UserError(f"{path}: {error}", wanted, "correct localization.cooking_tasks") from None
    return [line.strip() for line in lines if line.strip()]
