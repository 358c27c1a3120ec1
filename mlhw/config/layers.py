"""Values gathered layer upon layer, each with the place where it was written."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from mlhw.config.files import read_file, shipped
from mlhw.config.model import Leaf, leaves, section_of
from mlhw.errors import ConfigError
from mlhw.text import yaml12
from mlhw.text.yaml12 import KeyPath


@dataclass(frozen=True)
class Origin:
    """Where a value was written, for errors, and the folder that a relative path there starts from.

    ``option`` is the path of the key that a named option sets. ``typed``: on the command line, not in a
    file.
    """

    label: str
    folder: str
    option: tuple[str, ...] | None = None
    typed: bool = False


def merge(base: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Lay ``layer`` over ``base``: mappings are merged key by key, everything else replaces."""
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value


class Layers:
    """Raw values gathered from files, ``--set`` and options, each with its source."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.values: dict[str, Any] = {}
        self.sources: dict[KeyPath, Origin] = {}
        self.errors: list[str] = []

    def add_file(self, path: str) -> None:
        if not path:
            raise ConfigError(
                "--config: is empty; give a file, or the name of one that comes with mlhw"
            )
        path = shipped(path) or path
        values, lines = read_file(path)
        folder = os.path.dirname(os.path.abspath(path))
        sources = {
            where: Origin(f"{path}:{line}", folder) for where, line in lines.items() if where
        }
        # A section that is written as a text, here or in a file before, has keys like any other.
        self.expand_texts()
        layer = Layers(self.model)
        layer.values, layer.sources = values, sources
        layer.expand_texts()
        for where in [where for where in layer.sources if not layer.holds_keys(where)]:
            self._forget(where)
        merge(self.values, layer.values)
        self.sources |= layer.sources

    def add_set(self, item: str) -> None:
        """``key.sub=value``; the value is YAML."""
        key, equals, text = item.partition("=")
        path = tuple(key.strip().split("."))
        if not equals or not all(path):
            self.errors.append(f"--set {item}: must be KEY=VALUE")
            return
        try:
            value = yaml12.parse_value(text, f"--set {key}")
        except ConfigError as error:
            self.errors.extend(error.lines)
            return
        self._put(path, value, Origin("--set", os.getcwd(), typed=True))

    def add_option(self, option: str, path: tuple[str, ...], value: Any) -> None:
        self._put(path, value, Origin(option, os.getcwd(), option=path, typed=True))

    def expand_texts(self) -> None:
        """Sections given as one text, to their keys."""
        for leaf in leaves(self.model):
            if leaf.is_section:
                self._expand(leaf)

    def _expand(self, leaf: Leaf) -> None:
        holder, value = self.held(leaf.path)
        section = section_of(leaf.annotation)
        if isinstance(value, str) and hasattr(section, "from_text"):
            keys = section.from_text(value)  # type: ignore[union-attr]
            holder[leaf.path[-1]] = keys
            source = self.sources.get(leaf.path)
            if source is not None:
                self.sources |= {(*leaf.path, key): source for key in keys}

    def holds_keys(self, path: KeyPath) -> bool:
        """Whether the value at ``path`` is a mapping."""
        value: Any = self.values
        for key in path:
            value = value[key]
        return isinstance(value, dict)

    def _forget(self, path: KeyPath) -> None:
        """Forget where the value at ``path``, and all below it, was written: another takes its place."""
        for known in [p for p in self.sources if p[: len(path)] == path]:
            del self.sources[known]

    def _put(self, path: tuple[str, ...], value: Any, source: Origin) -> None:
        leaf = next((leaf for leaf in leaves(self.model) if leaf.path == path), None)
        section = section_of(leaf.annotation) if leaf else None
        if isinstance(value, str) and hasattr(section, "from_text"):
            # A text for a section replaces what it names and leaves the other keys as they were.
            value = section.from_text(value)  # type: ignore[union-attr]
            self.expand_texts()
            replaced: list[KeyPath] = [(*path, key) for key in value]
        elif isinstance(value, Mapping) and section is not None:
            # Laid over what is there, key by key; the other keys stay where they were written.
            replaced = [(*path, key) for key in value]
        else:
            replaced = [path]
        layer: dict[str, Any] = {path[-1]: value}
        for key in reversed(path[:-1]):
            layer = {key: layer}
        merge(self.values, layer)
        for where in replaced:
            self._forget(where)
        self.sources |= dict.fromkeys((path, *replaced), source)

    def held(self, path: tuple[str, ...]) -> tuple[Any, Any]:
        """The mapping that holds the last key of ``path``, and the key's value; None where there is none."""
        holder: Any = self.values
        for key in path[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        return holder, holder.get(path[-1]) if isinstance(holder, dict) else None

    def source(self, path: KeyPath) -> Origin | None:
        """The nearest source on the way up from ``path``, else one that lies below it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        below = (s for known, s in self.sources.items() if path and known[: len(path)] == path)
        return next(below, None)
