"""Configuration: defaults < YAML file < ``--set key=value`` < named options, then one validation.

Every value remembers where it came from, so that an error names the place:
``configs/x.yaml:12: optim.lr: must be greater than 0 (got -0.1)``. All errors are reported at once.
"""

from __future__ import annotations

import os
import secrets
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from mlhw.config.files import read_file, shipped
from mlhw.errors import ConfigError
from mlhw.text import yaml12
from mlhw.text.yaml12 import Path

# ------------------------------------------------------------------------------------- models


class Section(BaseModel):
    """A group of keys. Unknown keys, NaN, infinities and booleans for numbers are errors.

    A section that can be given as one text (``data: iris``, ``--data iris``) has a static method
    ``from_text(text)`` that returns its keys.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


def draw_seed(value: Any) -> Any:
    """``random`` as a seed that is drawn, anything else as it is."""
    return secrets.randbits(32) if value == "random" else value


class ExperimentConfig(Section):
    """What every experiment's configuration has."""

    seed: Annotated[
        int,
        BeforeValidator(draw_seed),
        Field(
            ge=0, lt=2**63, description="seed of every random draw; 'random' draws one, recorded"
        ),
    ] = 0


@dataclass(frozen=True)
class Option:
    """Marks a field in ``Annotated[...]`` for the command line.

    ``name`` replaces the option's name made from the key (``optim.name`` is ``--optim``), ``metavar``
    what the help shows for the value. A non-scalar field gets an option only with this mark, and its
    validator has to take the text. A ``repeatable`` one may be given several times and
    gathers a list. ``values`` are what the shell's completion offers, or a function of what has been typed
    that gives them.
    """

    name: str | None = None
    metavar: str | None = None
    repeatable: bool = False
    values: tuple[str, ...] | Callable[[str], Sequence[str]] = ()


class NoOption:
    """Marks a key that no option sets by itself (``--set`` still does)."""


@dataclass(frozen=True)
class InputFile:
    """Marks a text field, or a list of texts, that holds paths: made absolute, from where written.

    ``prefixes``: the field holds a name, or one of these and a path (``folder:PATH``). ``or_name``: a
    word without a separator or a suffix is a name and stays as it is (``default``).
    """

    prefixes: tuple[str, ...] = ()
    or_name: bool = False

    def parts(self, value: str) -> tuple[str, str]:
        """``value`` as what stays as it is and the path, empty where there is none."""
        for prefix in self.prefixes:
            if value.startswith(prefix):
                return prefix, value[len(prefix) :]
        if self.prefixes or (
            self.or_name and not ("/" in value or os.sep in value or "." in value)
        ):
            return value, ""
        return "", value


Model = TypeVar("Model", bound=BaseModel)

# ------------------------------------------------------------------------------------- fields


@dataclass(frozen=True)
class Leaf:
    """One key of a model that is not a section: its path, its type and what marks it."""

    path: tuple[str, ...]
    annotation: Any
    metadata: tuple[Any, ...]
    description: str
    default: Any
    is_section: bool = False

    @property
    def key(self) -> str:
        return ".".join(self.path)

    def marked(self, kind: type) -> Any:
        """The mark of this kind in the field's ``Annotated`` type, or None."""
        return next((m for m in self.metadata if isinstance(m, kind) or m is kind), None)

    @property
    def types(self) -> tuple[type, ...]:
        """The plain types that the key takes, None left out: ``(int,)``, ``(str,)``, ``(list,)``."""
        return tuple(dict.fromkeys(_plain_types(self.annotation)))

    @property
    def has_option(self) -> bool:
        """Scalars have one unless marked otherwise; lists and sections where marked."""
        if self.marked(Option) is not None:
            return True
        return not self.is_section and self.scalar and self.marked(NoOption) is None

    @property
    def scalar(self) -> bool:
        return all(t in (int, float, bool, str) for t in self.types)


def _plain_types(annotation: Any) -> Iterator[type]:
    origin = get_origin(annotation)
    if origin is Annotated:
        yield from _plain_types(get_args(annotation)[0])
    elif origin in (Union, types.UnionType):
        for part in get_args(annotation):
            yield from _plain_types(part)
    elif origin is Literal:
        for choice in get_args(annotation):
            if choice is not None:
                yield type(choice)
    elif origin is not None:
        yield origin
    elif annotation is not type(None):
        yield annotation


def section_of(annotation: Any) -> type[BaseModel] | None:
    """The model of a key that is a section, else None."""
    for kind in _plain_types(annotation):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def leaves(model: type[BaseModel], prefix: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """Every key of ``model`` and of its sections, in order; a section comes before its keys."""
    for name, info in model.model_fields.items():
        section = section_of(info.annotation)
        yield Leaf(
            (*prefix, name),
            info.annotation,
            tuple(info.metadata),
            info.description or "",
            None if section else info.get_default(call_default_factory=True),
            is_section=section is not None,
        )
        if section is not None:
            yield from leaves(section, (*prefix, name))


def comma_list(value: Any) -> Any:
    """``a,b`` as given on the command line, to the list that a file would hold; a list as it is."""
    if isinstance(value, str):
        return (
            [yaml12.parse_scalar(part.strip()) for part in value.split(",")]
            if value.strip()
            else []
        )
    return value


# ------------------------------------------------------------------------------------- merging


@dataclass(frozen=True)
class Source:
    """Where a value was written, for errors, and the folder that a relative path there starts from.

    ``option`` is the path of the key that a named option sets.
    """

    label: str
    folder: str
    option: tuple[str, ...] | None = None


def merge(base: dict[str, Any], layer: Mapping[str, Any]) -> None:
    """Lay ``layer`` over ``base``: mappings are merged key by key, everything else replaces."""
    for key, value in layer.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            merge(base[key], value)
        else:
            base[key] = dict(value) if isinstance(value, Mapping) else value


class Layers:
    """Raw values gathered from file, ``--set`` and options, each with its source."""

    def __init__(self, model: type[BaseModel]) -> None:
        self.model = model
        self.values: dict[str, Any] = {}
        self.sources: dict[Path, Source] = {}
        self.errors: list[str] = []

    def add_file(self, path: str) -> None:
        if not path:
            raise ConfigError(
                "--config: is empty; give a file, or the name of one that comes with mlhw"
            )
        path = shipped(path) or path
        values, lines = read_file(path)
        folder = os.path.dirname(os.path.abspath(path))
        merge(self.values, values)
        for where, line in lines.items():
            if where:
                self.sources[where] = Source(f"{path}:{line}", folder)

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
        self._put(path, value, Source("--set", os.getcwd()))

    def add_option(self, option: str, path: tuple[str, ...], value: Any) -> None:
        self._put(path, value, Source(option, os.getcwd(), option=path))

    def expand_texts(self) -> None:
        """Sections given as one text, to their keys."""
        for leaf in leaves(self.model):
            if leaf.is_section:
                self._expand(leaf)

    def _expand(self, leaf: Leaf) -> None:
        holder, value = self.held(leaf.path)
        section = section_of(leaf.annotation)
        if isinstance(value, str) and hasattr(section, "from_text"):
            holder[leaf.path[-1]] = section.from_text(value)  # type: ignore[union-attr]

    def _put(self, path: tuple[str, ...], value: Any, source: Source) -> None:
        leaf = next((leaf for leaf in leaves(self.model) if leaf.path == path), None)
        section = section_of(leaf.annotation) if leaf else None
        if isinstance(value, str) and hasattr(section, "from_text"):
            # A text for a section replaces what it names and leaves the other keys as they were.
            value = section.from_text(value)  # type: ignore[union-attr]
            self.expand_texts()
        layer: dict[str, Any] = {path[-1]: value}
        for key in reversed(path[:-1]):
            layer = {key: layer}
        merge(self.values, layer)
        for known in [p for p in self.sources if p[: len(path)] == path]:
            del self.sources[known]
        self.sources[path] = source

    def held(self, path: tuple[str, ...]) -> tuple[Any, Any]:
        """The mapping that holds the last key of ``path``, and the key's value; None where there is none."""
        holder: Any = self.values
        for key in path[:-1]:
            holder = holder.get(key) if isinstance(holder, dict) else None
        return holder, holder.get(path[-1]) if isinstance(holder, dict) else None

    def source(self, path: Path) -> Source | None:
        """The nearest source on the way up from ``path``, else one that lies below it."""
        for length in range(len(path), 0, -1):
            if path[:length] in self.sources:
                return self.sources[path[:length]]
        below = (s for known, s in self.sources.items() if path and known[: len(path)] == path)
        return next(below, None)


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
        from mlhw.config.messages import error_lines

        errors += error_lines(layers, error.errors(include_url=False))
    else:
        if not errors:
            return config
    raise ConfigError(*dict.fromkeys(errors))


def _absolute_paths(layers: Layers) -> list[str]:
    """Make the paths that were given absolute; a line for each that cannot be one."""
    from mlhw.config.messages import placed

    errors = []
    for leaf in leaves(layers.model):
        mark = leaf.marked(InputFile)
        if mark is None:
            continue
        mark = mark() if isinstance(mark, type) else mark
        section, value = layers.held(leaf.path)
        source = layers.source(leaf.path)
        if source is None or not isinstance(value, (str, list)):
            continue
        items = value if isinstance(value, list) else [value]
        for number, item in enumerate(items):
            if isinstance(item, str) and (not item.strip() or "\0" in item):
                where: Path = (*leaf.path, number) if isinstance(value, list) else leaf.path
                wrong = (
                    "a path cannot hold a NUL character"
                    if "\0" in item
                    else "is empty; give a path"
                )
                errors.append(placed(layers, where, wrong))
        absolute = [
            _absolute(item, mark, source.folder) if isinstance(item, str) else item
            for item in items
        ]
        section[leaf.path[-1]] = absolute if isinstance(value, list) else absolute[0]
    return errors


def _absolute(value: str, mark: InputFile, folder: str) -> str:
    before, path = mark.parts(value)
    if not path:
        return value
    return before + os.path.normpath(os.path.join(folder, os.path.expanduser(path)))


def load(
    model: type[Model],
    file: str | None = None,
    sets: Sequence[str] = (),
    options: Mapping[str, tuple[tuple[str, ...], Any]] | None = None,
) -> Model:
    """One validated configuration from a YAML file, ``--set`` items and named options.

    ``options`` maps an option's name to the path of its key and its value.
    """
    layers = Layers(model)
    if file is not None:
        layers.add_file(file)
    for item in sets:
        layers.add_set(item)
    for name, (path, value) in (options or {}).items():
        layers.add_option(name, path, value)
    config = resolve(layers)
    assert isinstance(config, model)
    return config


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
    """The configuration as YAML that ``load`` reads back equal."""
    return yaml12.dump(config.model_dump(mode="python"))
