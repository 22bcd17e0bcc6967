"""How a configuration is put together before it is checked: sections set to null, experiments that inherit.

Conventions
-----------
- A data set or experiment that an overlay sets to null is left out.
- An experiment's values are laid over those of its `base`, and of its base's base; dictionaries are merged key by
  key, everything else is replaced. A section of another `kind` replaces the one below it, whose keys it does not know.
- An experiment that is an epoch of another one (`epoch_of`) inherits its values likewise.
- An experiment's values are laid over the switches of its `recipe` (`mcn.options.recipes`), own and inherited ones
  alike.
- `seeds: [1, 2]` makes of an experiment X the experiments X_seed1 and X_seed2, which differ in `training.seed` alone.
  Seeds are inherited from a base like everything else.
"""

from __future__ import annotations

from typing import Any

from mcn.options.base import nearest
from mcn.options.objectives import DEFAULT_KIND
from mcn.options.recipes import RECIPES, switches


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
        inherited = {name: _inherited(name, experiments) for name in experiments}
        whole = {name: _with_recipe(name, entry) for name, entry in inherited.items()}
        composed["experiments"] = {}
        for key, entry in whole.items():
            made = _seeded(key, entry)
            twice = sorted(set(made) & set(composed["experiments"]))
            if twice:
                raise ValueError(f"{key}.seeds: there is already an experiment {twice[0]!r}")
            composed["experiments"] |= made
    return composed


def _with_recipe(name: str, values: Any) -> Any:
    """An experiment laid over the switches of its recipe. An unknown recipe: ValueError."""
    recipe = values.get("recipe") if isinstance(values, dict) else None
    if recipe is None:
        return values
    if recipe not in RECIPES:
        raise ValueError(f"{name}.recipe: got {recipe!r}{nearest(str(recipe), RECIPES)}")
    objective = values.get("objective") or {}
    kind = objective.get("kind", DEFAULT_KIND) if isinstance(objective, dict) else ""
    return _laid_over(switches(recipe, kind), values)


def _seeded(name: str, values: Any) -> dict[str, Any]:
    """An experiment, or one for each of its seeds. Seeds that are no list of distinct integers: ValueError."""
    seeds = values.get("seeds") if isinstance(values, dict) else None
    if seeds is None:
        return {name: values}
    if not isinstance(seeds, list) or not all(type(seed) is int for seed in seeds):
        raise ValueError(f"{name}.seeds: got {seeds!r}; a list of integers is wanted")
    if not seeds or len(set(seeds)) != len(seeds):
        raise ValueError(f"{name}.seeds: got {seeds!r}; each seed once, at least one")
    rest = {key: value for key, value in values.items() if key != "seeds"}
    return {f"{name}_seed{seed}": _laid_over(rest, {"training": {"seed": seed}}) for seed in seeds}


def _inherited(name: str, experiments: dict[str, Any], above: tuple[str, ...] = ()) -> Any:
    """The values of an experiment laid over those of its `base`, and of its base's base."""
    values = experiments[name]
    given = values if isinstance(values, dict) else {}
    key = "base" if given.get("base") is not None else "epoch_of"
    base = given.get(key)
    if base is None:
        return values
    if base not in experiments or base in (name, *above):
        raise ValueError(f"{name}.{key}: no other experiment {base!r}{nearest(base, experiments)}")
    return _laid_over(_inherited(base, experiments, (name, *above)), values)


def _laid_over(below: Any, above: Any) -> Any:
    """Dictionaries merged key by key, everything else replaced, as is a section of another kind."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    if "kind" in above and above["kind"] != below.get("kind", DEFAULT_KIND):
        return above
    merged = {
        key: _laid_over(below[key], value) if key in below else value
        for key, value in above.items()
    }
    return {**below, **merged}
