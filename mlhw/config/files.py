"""Configuration files: found, read, their lines remembered."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

from mlhw.errors import ConfigError, reason_of
from mlhw.text import yaml12
from mlhw.text.plain_files import read_plain
from mlhw.text.words import hint, near_file, nearest, not_there


def shipped(name: str) -> str | None:
    """The configuration of this name that comes with mlhw: ``smoke/lr-sweep``, ``finetune-cifar10``.

    None where ``name`` is a file, has a suffix, or is none of them. They are in the package where it
    was installed from a wheel, else beside it in the checkout.
    """
    if os.path.splitext(name)[1] or os.path.exists(name) or ".." in Path(name).parts:
        return None
    for folder in _homes():
        path = folder / f"{name}.yaml"
        if path.is_file() and folder in path.parents:
            return str(path)
    return None


def shipped_names() -> list[str]:
    """The names of all configurations that come with mlhw."""
    found = [(folder, path) for folder in _homes() for path in folder.rglob("*.yaml")]
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for folder, path in found)


def shipped_name(path: str) -> str | None:
    """The name under which the file at ``path`` comes with mlhw; None for any other file."""
    names = (name for name in shipped_names() if shipped(name) == path)
    return next(names, None)


def shipped_schema(name: str) -> Path | None:
    """The JSON schema of a command's configuration that comes with mlhw; None where there is none."""
    found = (folder / "schemas" / f"{name}.json" for folder in _homes())
    return next((path for path in found if path.is_file()), None)


def shipped_adapter(name: str) -> Path | None:
    """The adapter for submissions of this name that comes with mlhw; None where there is none."""
    found = (folder / "adapters" / f"{name}.py" for folder in _homes())
    return next((path for path in found if path.is_file()), None)


def near_configs(typed: str) -> list[str]:
    """The YAML files, and the folders, whose paths begin with ``typed``; for the shell's completion."""
    folder, name = os.path.split(typed)
    try:
        entries = sorted(os.scandir(folder or "."), key=lambda entry: entry.name)
    except OSError:
        return []
    found = [e for e in entries if e.name.startswith(name) and (name or e.name[0] != ".")]
    paths = [os.path.join(folder, e.name) + "/" * e.is_dir() for e in found]
    return [path for path in paths if path.endswith((".yaml", ".yml", "/"))]


def _near(typed: str) -> str:
    """What was most likely meant by a file that is not there: one that is, or one that comes with mlhw."""
    stem, suffix = os.path.splitext(typed)
    names = shipped_names()
    below = [name for name in names if name.startswith(f"{typed.rstrip('/')}/")]
    if below:
        return f" (these come with mlhw: {', '.join(below)})"
    ours = hint(nearest(stem if suffix in (".yaml", ".yml") else typed, names))
    return (near_file(typed) or ours) if suffix else (ours or near_file(typed))


def _homes() -> list[Path]:
    """Where configurations come with mlhw: one folder, in a wheel or in a checkout."""
    package = Path(__file__).parents[1]
    return [f for f in (package / "configs", package.parent / "configs") if f.is_dir()]


def read_file(path: str) -> tuple[dict[str, Any], dict[yaml12.KeyPath, int]]:
    """The mapping in a YAML file and the lines of its keys.

    Raises ConfigError if the file is missing, unreadable, too large, not UTF-8, not YAML or no mapping.
    """
    try:
        text = read_plain(path, yaml12.MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a UTF-8 text file (byte {error.start})") from None
    except ValueError:
        raise ConfigError(f"{path}: a path cannot hold a NUL character") from None
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ELOOP):
            raise ConfigError(f"{path}: {not_there(path, _near)}") from None
        raise ConfigError(f"{path}: cannot be read: {reason_of(error)}") from None
    value, lines = yaml12.parse(text, path)
    if value is None:
        return {}, lines
    if not isinstance(value, dict):
        raise ConfigError(f"{path}:{lines[()]}: must be keys and values, not {_kind(value)}")
    return value, lines


def _kind(value: Any) -> str:
    names: dict[type, str] = {list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), "a number")
