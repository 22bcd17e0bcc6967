"""The page docs/configuration.md, written from the typed model and the table of reruns.

`python -m mcn.config.reference` writes the page and the schema anew, and the table of recipes in docs/published.md; a
test fails where one of them drifts from the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from mcn.config.configuration import Configuration
from mcn.config.reruns import ASKED, STAGES, Leaf, leaves, remade
from mcn.files import canonical_json, write_text
from mcn.options import recipes
from mcn.options.features import allow_partial_rows
from mcn.options.training import ExperimentOptions

SCHEMA_PATH = Path("workflow/schemas/config.schema.yaml")
PAGE_PATH = Path("docs/configuration.md")
PUBLISHED_PATH = Path("docs/published.md")
PAGES = [name for name, stage in STAGES.items() if stage.section == ""]

HEAD = f"""# Configuration: every key

Generated from the typed model by `python -m mcn.config.reference`; do not edit it. `*` stands for a name of your own.

**Remakes** says which rules run again when the value changes, before what follows from them (models, scores). The
report, tables and study print the configuration, so every key but those marked `nothing` remakes them too; they
are left out of the column. `feature` is the rule of the feature's name, `decode` that of its decoding pass, `texts`
and `vocabulary` those of a feature of texts. `nothing`: a limit, cache, worker, device or interval, read when a job
runs and no reason to run one. `pages`: words that only {", ".join(PAGES)} print.

Code counts as well: a stage whose module, or any module that it imports, was edited runs again (comments, docstrings
and formatting do not count). {", ".join(ASKED)} may take weeks: for them the start of a run names the rule,
the number of shards and two commands, to make them anew or to accept them (`mcn accept NAME`).
"""


def write_schema(path: Path) -> None:
    """Write the JSON schema (draft 2020-12, as YAML) of the configuration."""
    schema = Configuration.model_json_schema()
    allow_partial_rows(schema["properties"]["features"])
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    write_text(path, yaml.safe_dump(schema, sort_keys=True, allow_unicode=True, width=120))


def page() -> str:
    """The whole page as Markdown."""
    tables: dict[str, list[str]] = {}
    for leaf in leaves():
        section = leaf.path.rpartition(".")[0] or "Top level"
        summary = (leaf.owner.__doc__ or "").partition("\n")[0]
        tables.setdefault(f"\n## {section}\n\n{summary}\n", []).append(
            "| " + " | ".join(_cells(leaf)) + " |"
        )
    columns = ["key", "type", "unit", "default", "meaning", "source", "remakes"]
    head = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    parts = ["\n".join([title, *head, *rows]) for title, rows in tables.items()]
    return HEAD + "\n".join(parts) + "\n"


def _cells(leaf: Leaf) -> Iterator[str]:
    path, role, info, _ = leaf
    extra: dict[str, Any] = (
        info.json_schema_extra if isinstance(info.json_schema_extra, dict) else {}
    )
    unit, source = str(extra.get("unit", "")), str(extra.get("source", ""))
    words = (info.description or "").removesuffix(f" ({source})" if source else "")
    words = words.removesuffix(f" [{unit}]" if unit else "")
    if not unit and (found := re.search(r" \[([^\]]+)\]", words)):
        unit, words = found[1], words.replace(found[0], "", 1)
    rules = [rule for rule in remade(path) if rule not in PAGES]
    yield f"`{path.rpartition('.')[2]}`"
    yield _plain(_type(info.annotation))
    yield _plain(unit)
    yield "required" if info.is_required() else f"`{_plain(_default(info))}`"
    yield _plain(words)
    yield _plain(source)
    yield {"runtime": "nothing", "label": "pages"}.get(role, ", ".join(rules))


def _type(annotation: Any) -> str:
    """A type as a person writes it."""
    if annotation is type(None):
        return "null"
    if getattr(annotation, "__metadata__", None):
        return _type(annotation.__origin__)
    arguments = getattr(annotation, "__args__", ())
    name = str(getattr(annotation, "__origin__", annotation))
    if "Literal" in name:
        return ", ".join(str(one) for one in arguments)
    if "Union" in name or (arguments and "|" in str(annotation) and "[" not in name):
        return " or ".join(_type(one) for one in arguments)
    plain = {str: "text", int: "integer", float: "number", bool: "true or false"}
    if annotation in plain:
        return plain[annotation]
    if arguments:
        kind = "list of " if "dict" not in name else "section of "
        return kind + ", ".join(dict.fromkeys(_type(one) for one in arguments if one is not ...))
    return str(getattr(annotation, "__name__", annotation))


def _default(info: FieldInfo) -> str:
    value = info.get_default(call_default_factory=True)
    dumped = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
    return canonical_json(dumped)


def _plain(text: str) -> str:
    """Text that a cell of a table can hold."""
    return " ".join(text.split()).replace("|", "\\|")


def with_recipes(text: str) -> str:
    """The text of docs/published.md with the table of recipes as it is now, which begins and ends the same way."""
    before, _, rest = text.partition("| topic | paper |")
    after = rest.partition("\n\n")[2]
    return f"{before}{recipes.table(ExperimentOptions().model_dump())}\n\n{after}"


if __name__ == "__main__":
    write_schema(SCHEMA_PATH)
    write_text(PAGE_PATH, page())
    write_text(PUBLISHED_PATH, with_recipes(PUBLISHED_PATH.read_text(encoding="utf-8")))
