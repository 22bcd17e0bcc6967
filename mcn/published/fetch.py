"""`mcn fetch`: published weights, released models, annotations and models of the hub, by name.

Conventions
-----------
- A name is one of the registry (`mcn.published.addresses`), `NAME/FILE` for one of its files, or `hf:OWNER/NAME` of the
  Hugging Face hub, pinned by `@REVISION`; such a model goes into the hub's cache (HF_HOME), where encoders find it.
- Whatever cannot be got is told at the end; the other names are fetched all the same.
- HF_HUB_OFFLINE and the hub's own settings (HF_HOME, HF_ENDPOINT, HF_TOKEN) mean what they mean to its library.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mcn.errors import UserError, several
from mcn.features.hub import hub_error, hub_folder
from mcn.media.server import Wanted
from mcn.options.base import nearest
from mcn.published.addresses import Entry, FileSource, entry_of, read_entries
from mcn.published.download import Fetched, download
from mcn.published.unpack import unpack

HUB = "hf:"


def fetch(names: Sequence[str], to: Path | None = None, registry: Path | None = None) -> None:
    """Fetch what the names mean, and print where it is. to: folder; None: where the overlays look for it.

    Errors: `UserError` with everything that could not be got.
    """
    entries = read_entries(registry)
    problems = []
    for name in names:
        try:
            if name.startswith(HUB):
                fetch_hub_model(name, to)
            else:
                _fetch_entry(entries, name, to)
        except UserError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        lines = [f"{one.got}; wanted: {one.wanted}; do this: {one.do}" for one in problems]
        raise several(lines, "all that was asked for", "see each; what was fetched stays")


def _fetch_entry(entries: dict[str, Entry], name: str, to: Path | None) -> None:
    whole, _, file = name.partition("/")
    entry = entry_of(entries, whole)
    if file and file not in entry.files:
        cure = f"mcn fetch {whole} gets all of its files"
        raise UserError(f"{name!r}{nearest(file, entry.files)}", f"a file of {whole}", cure)
    chosen = {file: entry.files[file]} if file else entry.files
    folder = to or entry.folder
    print(f"{whole}: {entry.title or 'from a registry of your own'}\n  licence: {entry.licence}")
    problems = []
    for target, source in chosen.items():
        try:
            _fetch_file(entry, source, folder / target)
        except UserError as error:
            problems.append(error)
    if problems:
        raise problems[0] if len(problems) == 1 else _joined(problems)
    if entry.use:
        print(f"  use: {entry.use}")


def _fetch_file(entry: Entry, source: FileSource, target: Path) -> None:
    page = source.page or entry.home_page
    if source.address is None:
        cure = f"open {page}, put the file into {target.parent}, and give its path where it is used"
        raise UserError(f"{target.name}, which has no address for programs", "an address", cure)
    found = download(Wanted(source.address, page, source.size, source.digests), target)
    print(f"  {target}: {_words(found)}")
    if source.unpack:
        for one in unpack(target, entry.official):
            print(f"  {one}: from {target.name}")


def _words(found: Fetched) -> str:
    seen = "as published or noted before" if found.known else "seen first and noted"
    return f"{found.size:,} bytes{'' if found.new else ', there already'}, sha256 {found.sha256}, {seen}"


def fetch_hub_model(name: str, to: Path | None = None) -> Path:
    """A model of the hub, `hf:OWNER/NAME[@REVISION]`; its folder. Errors: `UserError`."""
    model, _, revision = name.removeprefix(HUB).partition("@")
    if model.count("/") != 1 or not all(model.split("/")):
        raise UserError(repr(name), "hf:OWNER/NAME@REVISION", "correct it")
    if to is not None:  # a plain folder does not say its revision; the cache's is named by it
        revision = _commit(model, revision)
    folder = hub_folder(model, revision or None, to=to)
    print(f"{model}: {folder}\n  pin it with revision: {revision if to else folder.name}")
    return folder


def _commit(model: str, revision: str) -> str:
    """The commit that a revision of a model of the hub means now."""
    import huggingface_hub

    try:
        return str(huggingface_hub.HfApi().model_info(model, revision=revision or None).sha)
    except Exception as error:  # whatever the library or the connection raises
        raise hub_error(model, error) from error


def list_names(registry: Path | None = None) -> None:
    """Print every name with its files, sizes where they are published, and licence."""
    for entry in read_entries(registry).values():
        print(f"{entry.name}: {entry.title} [{entry.licence}]")
        for file, source in entry.files.items():
            size = f"{source.size:,} bytes" if source.size else "size not published"
            where = size if source.address else f"by hand from {source.page}"
            print(f"  {file} -> {entry.folder}: {where}")


def _joined(problems: Sequence[UserError]) -> UserError:
    return several(
        [f"{one.got}; wanted: {one.wanted}" for one in problems],
        "all files of the name",
        problems[0].do,
    )
