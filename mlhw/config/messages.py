"""What pydantic finds wrong with a configuration, as plain lines: the place, the key, what would be right.

``configs/x.yaml:12: optim.lr: must be greater than 0 (got -0.1)``
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel

from mlhw.config.layers import Layers, Origin
from mlhw.config.model import Synonyms, key_synonyms, leaves, section_of
from mlhw.text.words import hint, nearest
from mlhw.text.yaml12 import KeyPath, parse_scalar

_MOST_LINES = 100  # of a file that is no configuration, more say nothing new


def error_lines(layers: Layers, errors: Sequence[Any]) -> list[str]:
    """Plain lines for pydantic's errors: where, which key, what is wrong; one for each value."""
    by_place: dict[KeyPath, list[Any]] = {}
    for error in errors:
        by_place.setdefault(_place(layers, error), []).append(error)
    shown = list(by_place.items())[:_MOST_LINES]
    more = len(by_place) - len(shown)
    return [
        *(_line(layers, path, of_value) for path, of_value in shown),
        *([f"… and {more:,} more errors of this kind"] if more else []),
    ]


def _place(layers: Layers, error: Any) -> KeyPath:
    path: KeyPath = tuple(error["loc"])
    # pydantic appends the branch of a union to the path; such a part is no key of ours.
    return path if error["type"] in ("extra_forbidden", "missing") else _known(layers.values, path)


def _line(layers: Layers, path: KeyPath, errors: Sequence[Any]) -> str:
    if errors[0]["type"] != "extra_forbidden":
        return placed(layers, path, _problem(errors, _value_synonyms(layers.model, path)))
    key = str(path[-1])
    known = _known_keys(layers.model, path[:-1])
    meant = nearest(key, known, key_synonyms(layers.model, path[:-1]))
    near = hint(meant if meant != key else None)
    sentence = f"unknown key '{key}'" + (near or f" (known: {', '.join(known)})")
    return placed(layers, path[:-1], sentence, layers.source(path))


def placed(layers: Layers, path: KeyPath, sentence: str, source: Origin | None = None) -> str:
    """``sentence`` with the place where the value of ``path`` was written (or ``source``) before it."""
    source = source or layers.source(path)
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


def _dotted(path: KeyPath) -> str:
    """``.optim.lr`` or ``.etas[2]``."""
    return "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)


def _known(values: Any, path: KeyPath) -> KeyPath:
    """``path`` without the parts behind the last one that is a key or an item of the given values."""
    for length, key in enumerate(path):
        if isinstance(values, str):  # a list written as a text: its items are numbered all the same
            if not isinstance(key, int):
                return path[:length]
            continue
        try:
            values = values[key]
        except (KeyError, IndexError, TypeError):
            return path[:length]
    return path


def _known_keys(model: type[BaseModel], path: KeyPath) -> list[str]:
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
}
_BOUNDS: dict[str, tuple[str, str]] = {
    "greater_than": ("greater than {}", "gt"),
    "greater_than_equal": ("at least {}", "ge"),
    "less_than": ("less than {}", "lt"),
    "less_than_equal": ("at most {}", "le"),
}


def _value_synonyms(model: type[BaseModel], path: KeyPath) -> dict[str, str]:
    """What values of this key are called elsewhere, each with the word for it here."""
    keys = tuple(key for key in path if isinstance(key, str))
    marks = (leaf.marked(Synonyms) for leaf in leaves(model) if leaf.path == keys)
    return next((dict(mark.values) for mark in marks if mark is not None), {})


def _problem(errors: Sequence[Any], synonyms: dict[str, str]) -> str:
    """What is wrong with one value.

    pydantic gives an error for each branch of a union; the branch that takes the value's type knows best.
    """
    of_types = [e for e in errors if e["type"] in _WHAT or e["type"] == "literal_error"]
    if len(errors) == 1 or len(of_types) < len(errors):
        return _sentence(next((e for e in errors if e not in of_types), errors[0]), synonyms)
    words = list(dict.fromkeys(w for e in of_types for w in _choices(e) or [_WHAT[e["type"]]]))
    if "a number" in words and "a whole number" in words:
        words.remove("a whole number")
    wanted = f"{', '.join(words[:-1])} or {words[-1]}" if len(words) > 1 else words[0]
    return f"must be {wanted}{_got(errors[0]['input'])}"


def _choices(error: Any) -> list[str]:
    """The words of a ``Literal``."""
    if error["type"] != "literal_error":
        return []
    words: str = error["ctx"]["expected"]
    return words.replace("'", "").replace(" or ", ", ").split(", ")


def _sentence(error: Any, synonyms: dict[str, str]) -> str:
    kind, value, context = error["type"], error["input"], error.get("ctx", {})
    got = _got(value)
    if kind in _WHAT:
        return f"must be {_WHAT[kind]}{got}"
    if kind == "finite_number":
        return f"must be finite{got}"
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"must be {words.format(f'{context[key]:g}')}{got}"
    if kind == "literal_error":
        choices = _choices(error)
        near = nearest(str(value), choices, synonyms)
        return f"must be one of {', '.join(choices)}{got}{hint(near)}"
    if kind == "missing":
        return "is missing"
    if kind in ("too_short", "too_long"):
        bound = context.get("min_length", context.get("max_length"))
        return f"must have at {'least' if kind == 'too_short' else 'most'} {bound} items{got}"
    if kind == "value_error":
        return str(context["error"])
    return f"{str(error['msg']).lower()}{got}"


def _got(value: Any) -> str:
    if isinstance(value, float) and math.isinf(value):
        return f" (got {value}); numbers beyond 1.8e308 are read as infinite"
    if isinstance(value, str) and value.strip() and not isinstance(parse_scalar(value), str):
        return f' (got the text "{_short(value)}")'
    return f" (got {_short(value)})"


def _short(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value) if isinstance(value, str) and not value.strip() else str(value)
    text = text.replace("\n", " ")
    return text if len(text) <= 60 else text[:57] + "..."
