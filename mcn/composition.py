"""How a configuration is put together before it is checked: sections set to null, experiments that inherit.

Conventions
-----------
- A data set or experiment that an overlay sets to null is left out.
- An experiment's values are laid over those of its `base`, and of its base's base; dictionaries are merged key by
  key, everything else is replaced.
"""

from __future__ import annotations

from typing import Any

from mcn.options import nearest


def compose(values: Any) -> Any:
    """The configuration without what is null, every experiment with its base's values. An unknown base: ValueError."""
    if not isinstance(values, dict):
        return values
    composed = dict(values)
    for section in ("datasets", "experiments"):
        entries = values.get(section)
        if isinstance(entries, dict):
            kept = {name: entry for name, entry in entries.items() if entry is not None}
            composed[section] = kept
    experiments = composed.get("experiments")
    if isinstance(experiments, dict):
        composed["experiments"] = {name: _inherited(name, experiments) for name in experiments}
    return composed


def _inherited(name: str, experiments: dict[str, Any], above: tuple[str, ...] = ()) -> Any:
    """The values of an experiment laid over those of its `base`, and of its base's base."""
    values = experiments[name]
    base = values.get("base") if isinstance(values, dict) else None
    if base is None:
        return values
    if base not in experiments or base in (name, *above):
        raise ValueError(f"{name}.base: no other experiment {base!r}{nearest(base, experiments)}")
    return _laid_over(_inherited(base, experiments, (name, *above)), values)


def _laid_over(below: Any, above: Any) -> Any:
    """Dictionaries merged key by key, everything else replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = {
        key: _laid_over(below[key], value) if key in below else value
        for key, value in above.items()
    }
    return {**below, **merged}
