"""The page docs/commands.md, written from the parsers of the command line.

`python -m mcn.commands.reference` writes the page anew; a test fails where it drifts.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from mcn.cli import build_parser
from mcn.files import write_text

PAGE_PATH = Path("docs/commands.md")

HEAD = """# Command line

Generated from the parsers by `python -m mcn.commands.reference`; do not edit it. `mcn VERB --help` says the same, and
lists the keys that `--options` takes.

Exit status: 0 done, 1 the data or the configuration is at fault (got / wanted / do this on standard error), 2 wrong
usage, 130 interrupted.
"""


def page() -> str:
    """The whole page as Markdown: a section for each verb."""
    return HEAD + "".join(_section(parser) for parser in _verbs(build_parser()))


def _verbs(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    """Every parser below `parser` that runs something, in order."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for below in action.choices.values():
                yield from _verbs(below)
            return
    yield parser


def _section(parser: argparse.ArgumentParser) -> str:
    actions = [one for one in parser._actions if not isinstance(one, argparse._HelpAction)]
    rows = [f"| {_names(one)} | {_default(one)} | {_words(one)} |" for one in actions]
    table = ["| argument | default | meaning |", "|---|---|---|", *rows] if rows else []
    return "\n".join([f"\n## {parser.prog}\n", f"{parser.description or ''}\n", *table]) + "\n"


def _names(action: argparse.Action) -> str:
    value = action.metavar or action.dest.upper()
    value = " ".join(value) if isinstance(value, tuple) else value
    if not action.option_strings:
        return f"`{action.metavar or action.dest}`"
    takes = "" if action.nargs == 0 else f" {value}"
    return ", ".join(f"`{name}{takes}`" for name in action.option_strings)


def _default(action: argparse.Action) -> str:
    # Python before 3.13 calls a positional argument required that may be left out (`*`).
    if action.required and action.nargs != "*":
        return "required"
    missing = action.default is None or action.default in (False, [], "", argparse.SUPPRESS)
    return "" if missing else f"`{action.default}`"


def _words(action: argparse.Action) -> str:
    words = (action.help or "").replace("|", "\\|").replace("%%", "%")
    if action.choices:
        named = ", ".join(map(str, action.choices))
        words = f"{words} ({named})" if words else named
    return words


if __name__ == "__main__":
    write_text(PAGE_PATH, page())
