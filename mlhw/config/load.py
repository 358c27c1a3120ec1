"""One validated configuration: defaults < YAML files in their order < ``--set key=value`` < named options.

Every value remembers where it came from, so that an error names the place:
``configs/x.yaml:12: optim.lr: must be greater than 0 (got -0.1)``. All errors are reported at once.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any

import pydantic
from pydantic import BaseModel

from mlhw.config.files import shipped
from mlhw.config.layers import Layers
from mlhw.config.messages import error_lines, placed
from mlhw.config.model import InputFile, Model, leaves
from mlhw.errors import ConfigError
from mlhw.text import yaml12
from mlhw.text.yaml12 import KeyPath


def resolve(layers: Layers) -> Any:
    """Validate what was gathered and return an instance of the layers' model.

    Raises
    ------
    ConfigError
        With one line for each error.
    """
    errors = list(layers.errors)
    layers.expand_texts()
    errors += _absolute_paths(layers)
    try:
        config = layers.model.model_validate(layers.values)
    except pydantic.ValidationError as error:
        errors += error_lines(layers, error.errors(include_url=False))
    except UnicodeEncodeError:
        # pydantic looks for a number or a word in the bytes of a text, and this one has none.
        errors += [placed(layers, path, "is no text in UTF-8") for path in _no_texts(layers.values)]
    else:
        if not errors:
            return config
    raise ConfigError(*dict.fromkeys(errors))


def _no_texts(value: Any, path: KeyPath = ()) -> list[KeyPath]:
    """Where there are texts with bytes of the command line that are not UTF-8."""
    if isinstance(value, dict):
        return [found for key in value for found in _no_texts(value[key], (*path, key))]
    if isinstance(value, (list, tuple)):
        return [found for i, item in enumerate(value) for found in _no_texts(item, (*path, i))]
    return [path] if isinstance(value, str) and _NO_TEXT.search(value) else []


_NO_TEXT = re.compile("[\ud800-\udfff]")


def _absolute_paths(layers: Layers) -> list[str]:
    """Make the paths that were given absolute; a line for each that cannot be one."""
    errors = []
    for leaf in leaves(layers.model):
        mark = leaf.marked(InputFile)
        if mark is None:
            continue
        mark = mark() if isinstance(mark, type) else mark
        section, value = layers.held(leaf.path)
        items = _items(value)
        for key, item in items.items():
            where: KeyPath = leaf.path if key is None else (*leaf.path, key)
            source = layers.source(where)
            if source is None or not isinstance(item, str):
                continue
            if not item.strip() or "\0" in item:
                wrong = "is empty; give a path"
                wrong = "a path cannot hold a NUL character" if "\0" in item else wrong
                errors.append(placed(layers, where, wrong))
            elif item in mark.prefixes:
                errors.append(placed(layers, where, f"is empty behind '{item}'; give {item}PATH"))
            items[key] = absolute_path(item, mark, source.folder)
        if isinstance(value, list):
            section[leaf.path[-1]] = list(items.values())
        elif isinstance(value, dict):
            section[leaf.path[-1]] = items
        elif isinstance(value, str):
            section[leaf.path[-1]] = items[None]
    return errors


def _items(value: Any) -> dict[Any, Any]:
    """The items of a list or mapping by number or key; a value by itself under None."""
    if isinstance(value, dict):
        return dict(value)
    return dict(enumerate(value)) if isinstance(value, list) else {None: value}


def absolute_path(value: str, mark: InputFile, folder: str) -> str:
    """A path that is written in ``folder``, absolute; what ``mark`` takes for a name as it is."""
    before, path = mark.parts(value)
    if not path:
        return value
    absolute = os.path.normpath(os.path.join(folder, os.path.expanduser(path)))
    if mark.or_shipped and not os.path.isfile(absolute):
        absolute = shipped(value) or absolute
    return before + absolute


def load_config(
    model: type[Model],
    files: str | Sequence[str] | None = None,
    sets: Sequence[str] = (),
    options: Mapping[str, tuple[tuple[str, ...], Any]] | None = None,
) -> Model:
    """One validated configuration from YAML files, ``--set`` items and named options.

    Of several files the later wins, key by key. ``options`` maps an option's name to the path of its key
    and its value. What is typed, as an option or by ``--set``, has to do something (``model.idle``).
    """
    layers = Layers(model)
    for file in (files,) if isinstance(files, str) else files or ():
        layers.add_file(file)
    for item in sets:
        layers.add_set(item)
    for name, (path, value) in (options or {}).items():
        layers.add_option(name, path, value)
    config = resolve(layers)
    assert isinstance(config, model)
    if lines := _idle(layers, config):
        raise ConfigError(*lines)
    return config


def _idle(layers: Layers, config: Any) -> list[str]:
    """A line for each key that was typed, not read from a file, and would do nothing."""
    lines = []
    for key, reason in config.idle():
        path = tuple(key.split("."))
        holder, _ = layers.held(path)
        source = layers.source(path)
        given = isinstance(holder, dict) and path[-1] in holder
        if given and source is not None and source.typed:
            lines.append(placed(layers, path, f"would do nothing: {reason}"))
    return lines


def from_keywords(model: type[Model], keywords: Mapping[str, Any]) -> Model:
    """A configuration from Python keyword arguments named like the keys."""
    layers = Layers(model)
    for key, value in keywords.items():
        layers.add_option(key, (key,), _plain(value))
    config = resolve(layers)
    assert isinstance(config, model)
    return config


def _plain(value: Any) -> Any:
    """What a YAML file would hold for a value of Python's: arrays and tuples as lists, paths as texts."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if hasattr(value, "tolist"):  # an array, or a scalar of NumPy's
        value = value.tolist()
    return [_plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def as_yaml(config: BaseModel) -> str:
    """The configuration as YAML that ``load_config`` reads back equal."""
    return yaml12.dump(config.model_dump(mode="python"))
