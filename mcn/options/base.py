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
    schema = model.model_json_schema()
    lines = []
    for problem in error.errors():
        parts, _ = _walk(schema, problem["loc"])
        key = ".".join(parts)
        if problem["type"] == "extra_forbidden":
            _, section = _walk(schema, problem["loc"][:-1])
            siblings = section.get("properties", {})
            lines.append(f"{key}: unknown key{nearest(str(problem['loc'][-1]), siblings)}")
        elif problem["type"] == "missing":
            lines.append(f"{key}: missing")
        elif problem["type"] == "union_tag_invalid":
            tag, known = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
            known = [name.strip("' ") for name in known.split(",")]
            lines.append(f"{key}.kind: got {tag!r}{nearest(tag, known)}")
        else:
            lines.append(f"{key}: got {problem['input']!r}; {problem['msg']}")
    return lines


def nearest(name: str, known: Any) -> str:
    """`, did you mean ...?`, or the known names where none is near."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _walk(schema: dict[str, Any], location: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """The parts of a location as they are written in a file, and the section that it leads to.

    Where a section is one of several kinds, the location names the kind, which no file has as a key.
    """
    parts, node = [], _resolve(schema, schema)
    for part in location:
        if "oneOf" in node:
            kinds = [_resolve(schema, kind) for kind in node["oneOf"]]
            node = next((one for one in kinds if _kind(one) == part), {})
            continue
        parts.append(str(part))
        entries = list(node.get("patternProperties", {}).values())  # of a dictionary of sections
        node = node.get("properties", {}).get(str(part)) or (entries[0] if entries else {})
        node = _resolve(schema, node)
    return parts, node


def _kind(section: dict[str, Any]) -> Any:
    return section.get("properties", {}).get("kind", {}).get("const")


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", []):
        if "$ref" in option:
            node = option
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node
