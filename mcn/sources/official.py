"""The import of a published data set: official files in, the common inputs of a data set out.

Conventions
-----------
- Official files keep their official names (`mcn.sources.catalogue`); where to get each stands in provenance.yaml.
- The module `mcn.sources.{kind}` has `read(options, account)`, which writes the files that `Kind.makes` names into
  `account.output`; the account of it is made for every kind alike.
"""

from __future__ import annotations

import functools
import importlib
import importlib.resources
import logging
from pathlib import Path
from typing import Any

import yaml

from mcn.errors import UserError
from mcn.options.official import OfficialOptions
from mcn.sources.account import Account
from mcn.sources.catalogue import KINDS, Alternatives, found

log = logging.getLogger(__name__)


@functools.cache
def provenance() -> dict[str, Any]:
    """Home page, licence and official files of every kind: provenance.yaml."""
    text = importlib.resources.files("mcn.sources").joinpath("provenance.yaml").read_text("utf-8")
    value: dict[str, Any] = yaml.safe_load(text)
    return value


def missing_files(options: OfficialOptions) -> list[str]:
    """One line for every official file that the import needs and does not find: its name and where to get it."""
    return [
        _missing(options, alternatives)
        for alternatives in options.selection.needs
        if not found(options.folder, alternatives)
    ]


def _missing(options: OfficialOptions, alternatives: Alternatives) -> str:
    source = provenance()[options.kind]
    wanted = " or ".join(str(options.folder / name) for name in alternatives)
    known = source["files"].get(Path(alternatives[0]).name, {})
    return f"{source['name']}: no {wanted}; get it from {known.get('page', source['home_page'])}"


def require_files(options: OfficialOptions) -> None:
    """`UserError` naming every official file that is missing and where to get it."""
    absent = missing_files(options)
    if absent:
        raise UserError(
            "\n  ".join([f"{len(absent)} official file(s) missing", *absent]),
            f"the official files of {provenance()[options.kind]['name']} in {options.folder}",
            "put them there under these names (docs/datasets.md shows the tree), or correct "
            "`official.directory`",
        )


def import_annotations(options: OfficialOptions, output: Path) -> None:
    """Official files -> the common inputs of a data set and their account, below `output`.

    Errors: `UserError` naming missing files with where to get them, or a file in the wrong format with its line.
    """
    require_files(options)
    output.mkdir(parents=True, exist_ok=True)
    adapter = importlib.import_module(f"mcn.sources.{options.kind}")
    with Account(options, output) as account:
        adapter.read(options, account)
    log.info("made %s in %s", ", ".join(KINDS[options.kind].makes.values()), output)
