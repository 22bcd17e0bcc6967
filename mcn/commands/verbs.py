"""How a verb is added to the command line: its summary, `--options`, `--runtime`, `--downloads` and `--threads`.

Conventions: a verb's summary is the first line of its function's docstring; `--options` takes JSON or YAML text, or
`@FILE`; the keys of its options model are listed by `--help`. `--settings` supplies, from the file that the head of a
run writes, what changes no number. Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from pydantic import BaseModel

if TYPE_CHECKING:
    from mcn.media.remote import Downloads

DOWNLOADS = "mcn.options.downloads:DownloadOptions"
Verbs: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"


def add_verb(
    verbs: Verbs,
    name: str,
    run: Callable[[Namespace], int | None],
    model: str | None = None,
    runtime: bool = False,
    downloads: bool = False,
) -> ArgumentParser:
    """Add a verb that calls `run` and exits with what it returns (None: 0).

    model: "module:Class" of the options model that `--options` is parsed into; runtime: add `--runtime`, `--threads`.
    downloads: add `--downloads`, for verbs that open videos.
    """
    summary = (run.__doc__ or name).partition("\n")[0]
    parser = verbs.add_parser(
        name,
        help=summary,
        description=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_describe(model) if model and {"-h", "--help"} & set(sys.argv) else None,
    )
    parser.set_defaults(run=run, options_model=model)
    if model:
        parser.add_argument(
            "--options", default="{}", metavar="JSON", help="settings, as listed below"
        )
        parser.add_argument(
            "--settings",
            metavar="FILE#SECTION",
            help="file of all settings of a run: supplies limits, caches, devices and labels that --options leaves out",
        )
    if runtime:
        parser.add_argument(
            "--runtime",
            default="{}",
            metavar="JSON",
            help="device (auto, cpu, cuda, cuda:N), precision",
        )
        parser.add_argument(
            "--threads", type=int, default=0, help="processor threads, 0: all (default)"
        )
    if downloads:
        parser.add_argument(
            "--downloads",
            default="{}",
            metavar="JSON",
            help="cache of videos at addresses: folder, size_gb, ... (docs/configuration.md)",
        )
    return parser


def add_path(verb: ArgumentParser, name: str, words: str) -> None:
    """Add a file or folder that must be given: by its place, or by its name where that has dashes."""
    if name.startswith("--"):
        verb.add_argument(name, type=Path, required=True, help=words)
    else:
        verb.add_argument(name, type=Path, help=words)


def supply_settings(arguments: Namespace) -> None:
    """Lay `--options`, `--runtime` and `--downloads` over what changes no number of the file of `--settings`."""
    if not getattr(arguments, "settings", None):
        return
    from mcn.files import canonical_json
    from mcn.options.base import laid_over, read_values, supplied

    file = arguments.settings.partition("#")[0]
    wanted = [("options", arguments.options_model, arguments.settings)]
    if "runtime" in arguments:
        wanted.append(("runtime", "mcn.options.features:RuntimeOptions", f"{file}#runtime"))
    if "downloads" in arguments:
        wanted.append(("downloads", DOWNLOADS, f"{file}#downloads"))
    for name, model, section in wanted:
        below = supplied(_load(model), section)
        values = laid_over(below, read_values(getattr(arguments, name)))
        setattr(arguments, name, canonical_json(values))


@contextlib.contextmanager
def noting_code(arguments: Namespace) -> Iterator[None]:
    """Where a verb makes shards (`stage` is set), they note the digest of the code that makes them."""
    stage = getattr(arguments, "stage", "")
    if not stage:
        yield
        return
    from mcn.config.code import code_digest
    from mcn.config.jobs import encoder_parts
    from mcn.config.reruns import STAGES
    from mcn.options.features import parse_row
    from mcn.shards.made_by import MadeBy, note, writing_with
    from mcn.sources.outside import note_contents

    parts = STAGES[stage].code
    if stage in ("feature", "seed_weights"):
        parts += encoder_parts(parse_row(arguments.feature, arguments.options))
    code = code_digest(parts, getattr(arguments, "beside", None) or Path.cwd())
    with writing_with(code):
        yield
    if stage in ("decode", "transcribe"):
        note_contents(arguments.shard, downloads_of(arguments))
    if stage == "seed_weights":
        note(arguments.output, MadeBy(code, code))


def downloads_of(arguments: Namespace) -> Downloads:
    """The cache of videos at addresses that a verb is told."""
    from mcn.media.remote import Downloads
    from mcn.options.base import parse_options
    from mcn.options.downloads import DownloadOptions

    return Downloads(parse_options(DownloadOptions, arguments.downloads))


def add_group(verbs: Verbs, name: str, summary: str, metavar: str = "KIND") -> Verbs:
    """Add a verb that is followed by a kind (`mcn prepare videos`); returns what kinds are added to."""
    group = verbs.add_parser(name, help=summary, description=summary)
    return group.add_subparsers(dest="kind", required=True, metavar=metavar)


def _describe(models: str) -> str:
    """Keys, defaults and units of an options model, or of several: `module:Class,Class`."""
    lines = ["keys of --options (default): meaning"]
    for model in _load(models):
        if "," in models:
            lines.append(f"{(model.__doc__ or '').partition(chr(10))[0]}")
        for key, field in model.model_fields.items():
            given = field.get_default(call_default_factory=True)
            default = "required" if field.is_required() else repr(given)
            lines.append(f"  {key} ({default}): {field.description or ''}")
    return "\n".join(lines)


def _load(models: str) -> list[type[BaseModel]]:
    """The options models "module:Class,Class"."""
    module, _, names = models.partition(":")
    return [getattr(importlib.import_module(module), name) for name in names.split(",")]
