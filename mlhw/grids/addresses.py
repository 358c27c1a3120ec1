"""What stands behind an engine's name: ``//10.0.0.1:6379,num_gpus=0.5``."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlhw.errors import ConfigError
from mlhw.text.values import as_number, is_digits
from mlhw.text.words import nearest


@dataclass(frozen=True)
class Settings:
    """The part without ``=``, empty where there is none, and the values by their keys."""

    place: str
    values: dict[str, Any]


def split(engine: str, argument: str | None, keys: Mapping[str, Callable[[str], Any]]) -> Settings:
    """Take ``argument`` apart; ``keys`` make values of texts, and raise ValueError with what is right.

    Raises ConfigError with a line for each part that is wrong.
    """
    place, values, errors = "", {}, []
    for number_, part in enumerate((argument or "").split(",")):
        key, sign, text = part.partition("=")
        if not sign and number_ == 0:
            place = part
        elif key not in keys:
            near = nearest(key, list(keys))
            hint = f"did you mean '{near}'?" if near else f"known: {', '.join(keys)}"
            errors.append(f"--engine {engine}: unknown '{key}', {hint}")
        else:
            try:
                values[key] = keys[key](text)
            except ValueError as error:
                errors.append(f"--engine {engine}: {key}={text}: {error}")
    if errors:
        raise ConfigError(*errors)
    return Settings(place, values)


def amount(text: str) -> float:
    """A number from 0 on."""
    try:
        value = as_number(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < math.inf:
        raise ValueError("must be a number from 0 on")
    return value


def count(text: str) -> int:
    """A whole number from 1 on."""
    if not (is_digits(text) and int(text[:9]) >= 1 and len(text) < 10):
        raise ValueError("must be a whole number from 1 on")
    return int(text)


def word(text: str) -> str:
    """A word that another program takes as it is: no blanks, no quotes."""
    if not text or not all(sign.isalnum() or sign in "-_.:@/[]" for sign in text):
        raise ValueError("must be a word")
    return text
