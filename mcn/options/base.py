"""The base class of every section of the configuration, and how its text becomes options or an error in words.

Conventions
-----------
- A field is declared with `field`: its default, what it means, its unit and its source. A field that changes no number
  says so by its `role`: `runtime` (limits, caches, workers, devices, intervals: nothing is remade for it) or `label`
  (words that only the report and the tables print). Every other field is part of the recipe of the stages that read it.
- `recipe` leaves those fields out. A job gets the recipe on its command line and the other values from the settings
  file that the head of the run wrote (`supplied`), so that a changed limit starts no job again.
- A problem is told with its key, what was got, what is wanted, and the nearest known name.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.fields import FieldInfo

from mcn.errors import UserError, several

Role = Literal["recipe", "label", "runtime"]
Model = TypeVar("Model", bound=BaseModel)


class Options(BaseModel):
    """Base of every section: unknown keys are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True)


# a language by the shortest of its codes (mcn.sources.languages)
LanguageCode = Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}$")]


def field(
    default: Any = ...,
    description: str = "",
    unit: str = "",
    source: str = "",
    role: Role = "recipe",
    **limits: Any,
) -> Any:
    """A field with its unit and source, in the description and (for the documentation) apart; `...`: it is required."""
    words = description + (f" [{unit}]" if unit else "") + (f" ({source})" if source else "")
    extra: dict[str, Any] = {"unit": unit, "source": source}
    if role != "recipe":
        extra["role"] = role
    return Field(default, description=words, json_schema_extra=extra, **limits)


def role_of(info: FieldInfo) -> Role:
    """What a field changes: numbers (`recipe`), printed words (`label`) or nothing that is written (`runtime`)."""
    extra = info.json_schema_extra
    role: Any = extra.get("role", "recipe") if isinstance(extra, dict) else "recipe"
    return role


def recipe(value: Any, labels: bool = False) -> Any:
    """The JSON values of options without the fields that change no number. labels: keep those that are printed."""
    if isinstance(value, BaseModel):
        left_out = {"runtime"} if labels else {"runtime", "label"}
        return {
            name: recipe(getattr(value, name), labels)
            for name, info in type(value).model_fields.items()
            if role_of(info) not in left_out
        }
    if isinstance(value, Mapping):
        return {key: recipe(one, labels) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [recipe(one, labels) for one in value]
    return value


def marked(value: Any) -> Any:
    """The JSON values of the fields that `recipe` leaves out, in their sections: what a settings file may supply."""
    if isinstance(value, BaseModel):
        found = {}
        for name, info in type(value).model_fields.items():
            one = getattr(value, name)
            if role_of(info) != "recipe":
                found[name] = one.model_dump(mode="json") if isinstance(one, BaseModel) else one
            elif below := marked(one):
                found[name] = below
        return found
    if isinstance(value, Mapping):
        return {key: below for key, one in value.items() if (below := marked(one))}
    return {}


def parse_options(model: type[Model], text: str) -> Model:
    """Options of one stage from JSON or YAML text, or from a file named `@path`; `UserError` with every problem."""
    return parsed(model, read_values(text))


def parsed(
    model: type[Model],
    values: Any,
    cure: str = "see --help of this verb",
    moved: Mapping[str, str] | None = None,
) -> Model:
    """Options of plain values; `UserError` with every problem. moved: old key -> where it is now."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise several(explain(error, model, moved or {}), "valid options", cure) from None


def read_values(text: str) -> Any:
    """The values of JSON or YAML text, or of a file named `@path`."""
    if text.startswith("@"):
        text = Path(text[1:]).read_text(encoding="utf-8")
    try:
        return yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        got = f"options that do not parse: {error}"
        raise UserError(got, "JSON or YAML", "mend them") from None


def supplied(models: Sequence[type[BaseModel]], settings: str) -> Any:
    """What `FILE#SECTION.KEY` of a settings file supplies to options: the values of fields that change no number.

    models: classes that the section may be of; the first that it fits counts.
    """
    name, _, keys = settings.partition("#")
    try:
        value = json.loads(Path(name).read_text(encoding="utf-8"))
        for key in keys.split(".") if keys else ():
            value = value[key]
        fits = [one for one in models[:-1] if _fits(one, value)]
        return marked((fits or [models[-1]])[0].model_validate(value))
    except (OSError, ValueError, KeyError, TypeError) as error:
        got = f"no settings {settings}: {type(error).__name__}: {error}"
        cure = "start the run again with snakemake, or leave --settings out"
        raise UserError(got, "the file that the start of a run writes", cure) from error


def _fits(model: type[BaseModel], value: Any) -> bool:
    try:
        model.model_validate(value)
    except ValidationError:
        return False
    return True


def laid_over(below: Any, above: Any) -> Any:
    """Dictionaries merged key by key, everything else replaced."""
    if not (isinstance(below, dict) and isinstance(above, dict)):
        return above
    merged = {
        key: laid_over(below[key], value) if key in below else value for key, value in above.items()
    }
    return {**below, **merged}


def explain(error: ValidationError, model: type[BaseModel], moved: Mapping[str, str]) -> list[str]:
    """One line a problem of a validation error: key, what was got, what is wanted. moved: old key -> new key."""
    schema = model.model_json_schema()
    return list(dict.fromkeys(_explain_one(problem, schema, moved) for problem in error.errors()))


def _explain_one(problem: Any, schema: dict[str, Any], moved: Mapping[str, str]) -> str:
    parts, _ = _walk(schema, problem["loc"])
    key = ".".join(parts)
    if key in moved:
        return f"{key}: is now {moved[key]}"
    if problem["type"] == "extra_forbidden":
        _, section = _walk(schema, problem["loc"][:-1])
        siblings = section.get("properties", {})
        return f"{key}: unknown key{nearest(str(problem['loc'][-1]), siblings)}"
    if problem["type"] == "missing":
        return f"{key}: missing"
    if problem["type"] == "union_tag_invalid":
        tag, known = problem["ctx"]["tag"], problem["ctx"]["expected_tags"]
        known = [name.strip("' ") for name in known.split(",")]
        named = "encoder" if "encoder" in problem["ctx"]["discriminator"] else "kind"
        if not tag:
            return f"{key}.{named}: missing; known: {', '.join(known)}"
        return f"{key}.{named}: got {tag!r}{nearest(tag, known)}"
    return f"{key}: got {problem['input']!r}; {problem['msg'].removeprefix('Value error, ')}"


def nearest(name: str, known: Any) -> str:
    """`, did you mean ...?`, or the known names where none is near."""
    near = difflib.get_close_matches(name, list(known), 1, cutoff=0.5)
    return f", did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _walk(schema: dict[str, Any], location: tuple[int | str, ...]) -> tuple[list[str], Any]:
    """The parts of a location as they are written in a file, and the section that it leads to.

    Where a section is one of several kinds, the location names the kind, which no file has as a key.
    """
    parts: list[str] = []
    node = _resolve(schema, schema)
    for part in location:
        if "oneOf" in node:
            kinds = [(one, _resolve(schema, one)) for one in node["oneOf"]]
            node = next((whole for one, whole in kinds if part in _names(one, whole)), kinds[-1][1])
            continue
        parts.append(str(part))
        entries = [
            *node.get("patternProperties", {}).values(),  # of a dictionary of sections
            *(
                [node["additionalProperties"]]
                if isinstance(node.get("additionalProperties"), dict)
                else []
            ),
        ]
        known = {} if entries else node.get("properties", {})
        node = _resolve(schema, known.get(str(part)) or (entries[0] if entries else {}))
    return parts, node


def _names(reference: dict[str, Any], section: dict[str, Any]) -> set[Any]:
    """What a validation error may call one of several kinds of a section: its kind, its encoder or its class."""
    properties = section.get("properties", {})
    constants = {properties.get(key, {}).get("const") for key in ("kind", "encoder")}
    return {*constants, reference.get("$ref", "").rsplit("/", 1)[-1]} - {None}


def _resolve(schema: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    for option in node.get("anyOf", []):
        if "$ref" in option or "oneOf" in option:
            node = option
    if "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[-1]]
    return node
