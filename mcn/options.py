"""Options given as text, and what is wrong with them in words: key, got, wanted, the nearest known name."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError

from mcn.errors import UserError, several


def parse_options(model: type[BaseModel], text: str) -> Any:
    """Options of one stage from JSON or YAML text, or from a file named `@path`; `UserError` with every problem."""
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        return model.model_validate(yaml.safe_load(text) or {})
    except yaml.YAMLError as error:
        raise UserError(
            f"options that do not parse: {error}", "JSON or YAML", "mend them"
        ) from None
    except ValidationError as error:
        raise several(explain(error, model), "valid options", "see --help of this verb") from None


def explain(error: ValidationError, model: type[BaseModel]) -> list[str]:
    """One line a problem of a validation error: key, what was got, what is wanted."""
    lines = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            siblings = _fields_at(model, problem["loc"][:-1])
            lines.append(f"{key}: unknown key{nearest(str(problem['loc'][-1]), siblings)}")
        elif problem["type"] == "missing":
            lines.append(f"{key}: missing")
        else:
            lines.append(f"{key}: got {problem['input']!r}; {problem['msg']}")
    return lines


def nearest(name: str, known: Any) -> str:
    """`, did you mean ...?`, or the known names where none is near."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Keys that the section at `location` accepts."""
    schema = model.model_json_schema()
    node = schema
    for part in location:
        node = _resolve(schema, node)
        entries = list(node.get("patternProperties", {}).values())  # of a dictionary of sections
        node = node.get("properties", {}).get(str(part)) or (entries[0] if entries else {})
    return list(_resolve(schema, node).get("properties", {}))


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node
