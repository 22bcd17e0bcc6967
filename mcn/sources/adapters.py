"""Adapters of published data sets, by name or by the import path of the user's own, and the import that all share.

Conventions: `mcn.sources.official` says what an adapter is.
"""

from __future__ import annotations

import importlib
import logging
from pathlib import Path

from mcn.errors import UserError
from mcn.options.base import nearest
from mcn.options.own_parts import contract_words, load_part, part_errors, part_file
from mcn.options.published import OfficialOptions
from mcn.sources.official import Account, Adapter, provenance
from mcn.sources.official_text import ends_within_a_line

log = logging.getLogger(__name__)


def built_in(kind: str) -> type[Adapter]:
    """The adapter of this package for a kind; `UserError` with the nearest known kind where there is none."""
    if kind not in provenance():
        wanted = "a data set that this package reads, or module:Class of an adapter of your own"
        raise UserError(f"{kind!r}{nearest(kind, provenance())}", wanted, "correct official.kind")
    module, _, name = provenance()[kind]["adapter"].partition(":")
    adapter: type[Adapter] = getattr(importlib.import_module(module), name)
    return adapter


def adapter_of(options: OfficialOptions) -> Adapter:
    """The adapter that options name, bound to them; `UserError` where there is none or it breaks the contract."""
    if ":" not in options.kind:
        return built_in(options.kind)(options)
    adapter: type[Adapter] = load_part(options.kind, Adapter)
    contract = f"{contract_words(Adapter)}, with makes, splits and read"
    lacking = [name for name in ("makes", "splits") if not getattr(adapter, name, None)]
    lacking += sorted(adapter.__abstractmethods__)
    if lacking:
        got = f"{part_file(options.kind) or options.kind}: {adapter.__name__} without {', '.join(lacking)}"
        raise UserError(got, contract, "mend that file")
    with part_errors(options.kind, contract):
        return adapter(options)


def import_annotations(adapter: Adapter, output: Path) -> None:
    """Official files -> the common inputs of a data set and their account, in the folder `output`.

    Errors: `UserError` for options that the data set does not have, for missing files (with where to get them), for a
    file in the wrong format (with its line), and for an input that the adapter did not write.
    """
    refused = adapter.refusals()
    if refused:
        raise UserError("; ".join(refused), "options of this data set", "correct them")
    adapter.require_files()
    for path in adapter.files():
        if path.suffix in (".csv", ".txt") and ends_within_a_line(path):
            log.warning("%s ends within a line: was it downloaded whole?", path)
    output.mkdir(parents=True, exist_ok=True)
    with Account(adapter, output) as account:
        with part_errors(f"{type(adapter).__module__}:", contract_words(Adapter)):
            adapter.read(account)
        account.require_videos()
        absent = [name for name in adapter.makes.values() if not (output / name).exists()]
        if absent:
            got = f"{type(adapter).__module__}: read of {adapter.kind} did not write {', '.join(absent)}"
            raise UserError(got, "every file of `makes`", "correct the adapter")
    log.info("made %s in %s", ", ".join(adapter.makes.values()), output)
