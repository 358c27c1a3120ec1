"""Whole numbers as people write them: ``1e3`` is one where one is due, ``1.5`` is not."""

from __future__ import annotations

from typing import Any

from pydantic_core import core_schema


def whole_number(value: Any) -> Any:
    """A float without a fraction as the whole number that it is (``1e3``); any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def with_whole_floats(schema: Any) -> Any:
    """A schema of pydantic's whose whole numbers may be written as floats, unless a float is due as well."""
    if isinstance(schema, (list, tuple)):
        return type(schema)(map(with_whole_floats, schema))
    if not isinstance(schema, dict):
        return schema
    if schema.get("type") == "int":
        return core_schema.no_info_before_validator_function(whole_number, schema)
    is_done = schema.get("type") == "function-before" and (
        schema["function"]["function"] is whole_number
    )
    if is_done or any(_kind_of(choice) == "float" for choice in schema.get("choices", ())):
        return schema
    return {
        key: value if key in ("default", "metadata") else with_whole_floats(value)
        for key, value in schema.items()
    }


def _kind_of(choice: Any) -> Any:
    """The type of a union's branch, which may stand before a label."""
    choice = choice[0] if isinstance(choice, tuple) else choice
    return choice.get("type") if isinstance(choice, dict) else None
