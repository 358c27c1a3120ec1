"""What stands behind an engine's name: ``//10.0.0.1:6379,num_gpus=0.5``."""

from __future__ import annotations

import math
import os
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


# ------------------------------------------------------------------------------------- engine by engine


MOST_WORKERS = 1024
SLURM_KEYS: dict[str, Callable[[str], Any]] = {
    "partition": word,
    "account": word,
    "qos": word,
    "constraint": word,
    "time": count,
    "mem_gb": amount,
    "cpus": count,
    "gpus": count,
    "at_once": count,
}


def local_workers(argument: str | None) -> int | None:
    """How many are asked for; None for as many as there is room for. Raises ConfigError."""
    if argument is None:
        return None
    known = is_digits(argument) and len(argument) < 6
    if not known or not 1 <= int(argument) <= MOST_WORKERS:
        raise ConfigError(
            f"--engine local:{argument}: must be local, or local:N with 1 to {MOST_WORKERS:,} workers"
        )
    return int(argument)


def slurm_settings(argument: str | None) -> Settings:
    """What the jobs are asked for. Raises ConfigError."""
    settings = split("slurm", argument, SLURM_KEYS)
    if settings.place not in ("", "local"):
        raise ConfigError(
            f"--engine slurm:{settings.place}: must be slurm:local, or slurm:KEY=VALUE with "
            f"{', '.join(SLURM_KEYS)}"
        )
    return settings


def ray_settings(argument: str | None) -> Settings:
    """Where the cluster is, and what a point takes of it. Raises ConfigError."""
    settings = split("ray", argument, {"num_cpus": amount, "num_gpus": amount})
    host_and_port(ray_address(settings))
    return settings


def ray_address(settings: Settings) -> str:
    """Ray's own word for where the cluster is: an address, or ``auto``."""
    return settings.place.removeprefix("//") or os.environ.get("RAY_ADDRESS", "auto")


def host_and_port(address: str) -> tuple[str, int]:
    """The parts of an address; of ``auto`` none. Raises ConfigError."""
    if address == "auto":
        return "", 0
    host, _, port = address.rpartition(":")
    known = is_digits(port) and len(port) < 6
    if not host or not known or int(port) > 65535 or "/" in address:
        raise ConfigError(
            f"--engine ray://{address}: must be ray://HOST:PORT, such as ray://10.0.0.1:6379"
        )
    return host, int(port)


READERS: dict[str, Callable[[str | None], object]] = {
    "local": local_workers,
    "ray": ray_settings,
    "slurm": slurm_settings,
}
"""For each engine what reads the words behind its name, and raises ConfigError."""
