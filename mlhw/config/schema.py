"""The JSON schema of a configuration, by which an editor completes its keys and marks what is wrong.

It takes whatever a YAML file may hold, also what validators make of it before pydantic looks: lists and
sections as texts (``etas: 0.01:1:log9``, ``data: iris``), ``seed: random``. It cannot tell which keys fit
together; the program does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from pydantic import BaseModel, BeforeValidator

from mlhw.config.model import leaves, section_of

DIALECT = "http://json-schema.org/draft-07/schema#"
# Bounds of a field whose value a validator reads first: pydantic leaves them as they stand.
_BOUNDS = {"ge": "minimum", "gt": "exclusiveMinimum", "le": "maximum", "lt": "exclusiveMaximum"}


def json_schema(model: type[BaseModel], title: str) -> dict[str, Any]:
    """The schema of ``model``, complete in itself."""
    whole = model.model_json_schema()
    found: dict[str, Any] = _inlined(whole, whole.get("$defs", {}))
    for leaf in leaves(model):
        holder = found
        for key in leaf.path[:-1]:
            holder = _section(holder["properties"][key])
        section = section_of(leaf.annotation)
        if hasattr(section, "from_text") or any(_read_first(leaf.annotation, leaf.metadata)):
            key = leaf.path[-1]
            holder["properties"][key] = _or_text(holder["properties"][key])
    return {"$schema": DIALECT, "title": title, **found}


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """A schema with definitions in place of references to them, and without pydantic's titles."""
    if isinstance(value, list):
        return [_inlined(item, definitions) for item in value]
    if not isinstance(value, dict):
        return value
    if "$ref" in value:
        value = {**definitions[value["$ref"].rpartition("/")[2]], **value}
    found = {}
    for key, item in value.items():
        if key == "properties":
            found[key] = {name: _inlined(each, definitions) for name, each in item.items()}
        elif key not in ("$ref", "$defs", "title"):
            found[_BOUNDS.get(key, key)] = _inlined(item, definitions)
    return found


def _section(schema: dict[str, Any]) -> dict[str, Any]:
    """The branch of a section's schema that holds its keys."""
    return next(s for s in (schema, *schema.get("anyOf", ())) if "properties" in s)


def _or_text(schema: dict[str, Any]) -> dict[str, Any]:
    """A schema that takes a text as well, and texts as the items of a list."""
    said = {key: schema[key] for key in ("description", "default") if key in schema}
    branches = schema.get("anyOf", [{k: v for k, v in schema.items() if k not in said}])
    found = [
        branch | {"items": {"anyOf": [branch["items"], {"type": "string"}]}}
        if branch.get("type") == "array"
        else branch
        for branch in branches
    ]
    text = {"type": "string"}
    return said | {"anyOf": found if text in found else [*found, text]}


def _read_first(annotation: Any, metadata: tuple[Any, ...] = ()) -> Iterator[bool]:
    """True for each validator that reads a value of this type before pydantic does."""
    yield from (isinstance(mark, BeforeValidator) for mark in metadata)
    yield from (
        isinstance(part, BeforeValidator) for part in getattr(annotation, "__metadata__", ())
    )
    for part in get_args(annotation):
        if not isinstance(part, str):
            yield from _read_first(part)
