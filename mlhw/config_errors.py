"""What pydantic finds wrong with a configuration, as plain lines: the place, the key, what would be right.

``configs/x.yaml:12: optim.lr: must be greater than 0 (got -0.1)``
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from mlhw.config import Layers, section_of
from mlhw.suggestions import nearest
from mlhw.yaml12 import Path


def error_line(layers: Layers, error: Any) -> str:
    """One plain line for one of pydantic's errors: where, which key, what is wrong."""
    path: Path = tuple(error["loc"])
    kind = error["type"]
    if kind == "extra_forbidden":
        key = str(path[-1])
        known = _known_keys(layers.model, path[:-1])
        near = nearest(key, known)
        if near:
            sentence = f"unknown key '{key}', did you mean '{near}'?"
        else:
            sentence = f"unknown key '{key}' (known: {', '.join(known)})"
        path = path[:-1]
        source = layers.source((*path, key))
    else:
        # pydantic appends the branch of a union to the path; such a part is no key of ours.
        while path and not _exists(layers.values, path) and kind != "missing":
            path = path[:-1]
        source = layers.source(path)
        sentence = _problem(error)
    if source is not None and source.option is not None:
        # A named option says which key it sets; only what lies deeper is added.
        place = source.label + _dotted(path[len(source.option) :])
    elif source is not None:
        key = _dotted(path).lstrip(".")
        between = " " if source.label == "--set" else ": "
        place = source.label + (between + key if key else "")
    else:
        place = _dotted(path).lstrip(".")
    if place:
        sentence = f"{place}: {sentence}"
    # A value with a line break in it must not break the line.
    return " ".join(sentence.splitlines())


def _dotted(path: Path) -> str:
    """``.optim.lr`` or ``.etas[2]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


def _exists(values: Any, path: Path) -> bool:
    for key in path:
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _known_keys(model: type[BaseModel], path: Path) -> list[str]:
    for key in path:
        section = section_of(model.model_fields[str(key)].annotation)
        if section is None:
            return []
        model = section
    return list(model.model_fields)


_WHAT: dict[str, str] = {
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list",
    "dict_type": "keys and values",
    "model_type": "keys and values",
    "model_attributes_type": "keys and values",
    "finite_number": "finite",
}
_BOUNDS: dict[str, tuple[str, str]] = {
    "greater_than": ("greater than {}", "gt"),
    "greater_than_equal": ("at least {}", "ge"),
    "less_than": ("less than {}", "lt"),
    "less_than_equal": ("at most {}", "le"),
}


def _problem(error: Any) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    got = f" (got {_short(value)})"
    if kind in _WHAT:
        return f"must be {_WHAT[kind]}{got}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words.format(f'{context[key]:g}')}{got}"
    if kind == "literal_error":
        choices = context["expected"].replace("'", "").replace(" or ", ", ").split(", ")
        near = nearest(str(value), choices)
        hint = f", did you mean '{near}'?" if near else ""
        return f"must be one of {', '.join(choices)}{got}{hint}"
    if kind == "missing":
        return "is missing"
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length", context.get("max_length"))
        return f"must have at {'least' if kind == 'too_short' else 'most'} {bound} items{got}"
    if kind == "value_error":
        return str(context["error"])
    return f"{str(error['msg']).lower()}{got}"


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) and not value.strip() else str(value)
    text = text.replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
