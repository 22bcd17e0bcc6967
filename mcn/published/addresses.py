"""What `mcn fetch` can get: addresses and digests of addresses.yaml, joined with what provenance.yaml says of a name.

Conventions
-----------
- A name is an entry of `mcn/published/provenance.yaml` (weights, released features and models) or of
  `mcn/sources/provenance.yaml` (annotations of data sets). Weights go into `weights`, the rest into `data/NAME`, where
  the overlays in `config/` look for them.
- A registry of one's own (`mcn fetch --registry FILE`, a mirror for example) has the form of addresses.yaml:
  NAME: {FILE: {address, sha256, size, unpack}}; a name in it replaces the published one.
"""

from __future__ import annotations

import importlib.resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, RootModel, TypeAdapter, ValidationError, model_validator

from mcn.errors import UserError
from mcn.options.base import Options, nearest, read_values

WEIGHTS = ("resnet152", "resnext101", "davenet", "word2vec", "glove", "mcn", "avlnet", "miech")


class FileSource(Options):
    """One file: where it is, and what is known of its bytes before it is fetched."""

    address: str | None = Field(None, pattern=r"^https?://", description="what a program can fetch")
    page: str | None = Field(None, description="where a person finds it, if a program cannot")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    sha256_begins: str | None = Field(None, pattern=r"^[0-9a-f]{8,63}$")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    size: int | None = Field(None, ge=1, description="[bytes]")
    unpack: bool = False
    origin: str = Field("", alias="from", description="where the address was read")

    @model_validator(mode="after")
    def _is_somewhere(self) -> FileSource:
        if not (self.address or self.page):
            raise ValueError("neither address nor page")
        return self

    @property
    def digests(self) -> dict[str, str]:
        """Algorithm -> what the hexadecimal digest begins with, of those that are published."""
        known = {"sha256": self.sha256 or self.sha256_begins, "md5": self.md5}
        return {name: digest for name, digest in known.items() if digest}


class Entry(Options):
    """All files of a name, and what provenance.yaml says of it."""

    name: str
    files: dict[str, FileSource]
    title: str = ""
    home_page: str = ""
    licence: str = "not stated"
    use: str = ""
    official: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """Where the files go unless one says otherwise."""
        return Path("weights") if self.name in WEIGHTS else Path("data", self.name)


class _Registry(RootModel[dict[str, dict[str, FileSource]]]):
    pass


def read_entries(own: Path | None = None) -> dict[str, Entry]:
    """Every name that can be fetched. own: a further registry. Errors: `UserError` for one that is not of the form."""
    described: dict[str, Any] = {}
    for room in ("published", "sources"):
        described |= read_values(_resource(room, "provenance.yaml"))
    sources = _parsed(read_values(_resource("published", "addresses.yaml")), "addresses.yaml")
    if own is not None:
        try:
            text = own.read_text(encoding="utf-8")
        except OSError as error:
            cure = "give the path of a registry (its form: mcn/published/addresses.yaml)"
            raise UserError(f"{own}: {error.strerror}", "a YAML file", cure) from error
        sources |= _parsed(read_values(text), str(own))
    return {name: _entry(name, files, described.get(name, {})) for name, files in sources.items()}


def _resource(room: str, name: str) -> str:
    return importlib.resources.files(f"mcn.{room}").joinpath(name).read_text("utf-8")


def _parsed(values: Any, where: str) -> dict[str, dict[str, FileSource]]:
    try:
        return TypeAdapter(_Registry).validate_python(values).root
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()
        )
        wanted = "NAME: {FILE: {address, sha256, size, unpack}}"
        raise UserError(f"{where}: {problems}", wanted, "mend that file") from None


def _entry(name: str, files: dict[str, FileSource], known: dict[str, Any]) -> Entry:
    hosts = [urlsplit(one.address or one.page or "").netloc for one in files.values()]
    return Entry(
        name=name,
        files=files,
        title=known.get("name", ""),
        home_page=known.get("home_page", hosts[0] if hosts else ""),
        licence=known.get("licence", "not stated"),
        use=known.get("use", ""),
        official=tuple(known.get("files", ())) if "adapter" in known else (),
    )


def entry_of(entries: dict[str, Entry], name: str) -> Entry:
    """The entry of a name. Errors: `UserError` with the nearest name."""
    if name not in entries:
        cure = "mcn fetch without a name lists them; a model of the hub is hf:OWNER/NAME@REVISION"
        got = f"{name!r}{nearest(name, entries)}"
        raise UserError(got, "a name of the registry", cure)
    return entries[name]
