"""How a verb is added to the command line: its summary, `--options`, `--runtime` and `--threads`.

Conventions: a verb's summary is the first line of its function's docstring; `--options` takes JSON or YAML text, or
`@FILE`, and the keys of its options model are listed by `--help`. Nothing heavy is imported before a verb runs.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from typing import TypeAlias

from pydantic import BaseModel

Verbs: TypeAlias = "argparse._SubParsersAction[ArgumentParser]"


def add_verb(
    verbs: Verbs,
    name: str,
    run: Callable[[Namespace], int | None],
    model: str | None = None,
    runtime: bool = False,
) -> ArgumentParser:
    """Add a verb that calls `run` and exits with what it returns (None: 0).

    model: "module:Class" of the options model that `--options` is parsed into; runtime: add `--runtime`, `--threads`.
    """
    summary = (run.__doc__ or name).partition("\n")[0]
    parser = verbs.add_parser(
        name,
        help=summary,
        description=summary,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=_describe(model) if model and {"-h", "--help"} & set(sys.argv) else None,
    )
    parser.set_defaults(run=run)
    if model:
        parser.add_argument("--options", default="{}", metavar="JSON", help="settings, see below")
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
    return parser


def add_group(verbs: Verbs, name: str, summary: str, metavar: str = "KIND") -> Verbs:
    """Add a verb that is followed by a kind (`mcn prepare videos`); returns what kinds are added to."""
    group = verbs.add_parser(name, help=summary, description=summary)
    return group.add_subparsers(dest="kind", required=True, metavar=metavar)


def _describe(models: str) -> str:
    """Keys, defaults and units of an options model, or of several: `module:Class,Class`."""
    module, _, names = models.partition(":")
    lines = ["keys of --options (default): meaning"]
    for name in names.split(","):
        fields: type[BaseModel] = getattr(importlib.import_module(module), name)
        if "," in names:
            lines.append(f"{(fields.__doc__ or name).partition(chr(10))[0]}")
        for key, field in fields.model_fields.items():
            given = field.get_default(call_default_factory=True)
            default = "required" if field.is_required() else repr(given)
            lines.append(f"  {key} ({default}): {field.description or ''}")
    return "\n".join(lines)
