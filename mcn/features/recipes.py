"""Recipes: what is written into a shard of all that changes its numbers."""

from __future__ import annotations

from importlib.metadata import version


def library_versions(*names: str) -> dict[str, str]:
    """Installed versions of the libraries that compute the numbers."""
    return {name: version(name) for name in names}
