"""What a configuration is made of: sections of keys, and marks that say how a key is given.

A configuration is a pydantic model; ``leaves`` walks over its keys.
"""

from __future__ import annotations

import os
import secrets
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, GetCoreSchemaHandler
from pydantic_core import CoreSchema

from mlhw.config.whole_numbers import with_whole_floats
from mlhw.text import yaml12

# ------------------------------------------------------------------------------------- models


class Section(BaseModel):
    """A group of keys. Unknown keys, NaN, infinities and booleans for numbers are errors.

    Where a whole number is due, ``1e3`` is one. A section that can be given as one text (``data: iris``,
    ``--data iris``) has a static method ``from_text(text)`` that returns its keys.

    ``GROUP`` is the heading in the help above the options of the keys that this class declares, where it
    is empty that of the section around it; ``GROUPS`` are headings of single keys.
    """

    GROUP: ClassVar[str] = ""
    GROUPS: ClassVar[Mapping[str, str]] = {}

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)

    only_drawn: ClassVar[tuple[str, ...]] = ()
    """Keys that change figures and pages alone."""

    only_kept: ClassVar[tuple[str, ...]] = ()
    """Keys that say which files stay, and change no number."""

    of_machine: ClassVar[tuple[str, ...]] = ()
    """Keys about the machine whose ``auto`` a grid resolves once, for all its points."""

    def idle(self) -> Iterator[tuple[str, str]]:
        """The keys that do nothing beside the others, each with the reason; refused where typed."""
        return iter(())

    @classmethod
    def __get_pydantic_core_schema__(
        cls, source: type[BaseModel], handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        schema: CoreSchema = with_whole_floats(handler(source))
        return schema


def draw_seed(value: Any) -> Any:
    """Draw a seed for ``random``; return any other value as it is."""
    return secrets.randbits(32) if value == "random" else value


class ExperimentConfig(Section):
    """What every experiment's configuration has."""

    GROUP: ClassVar[str] = "Experiment"
    GROUPS: ClassVar[Mapping[str, str]] = {"seed": "Configuration"}

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
    what the help shows for the value, ``aliases`` are other spellings of the option. A non-scalar field
    gets an option only with this mark, and its validator has to take the text. A ``repeatable`` one may be
    given several times and gathers a list. ``values`` are what the shell's completion offers, or a function
    of what has been typed that gives them. ``flag`` are the words for false and true of a key that has other
    values too: ``--bias`` alone is the second, ``--no-bias`` the first. A ``positional`` one is typed without
    an option, and goes by its ``metavar``.
    """

    name: str | None = None
    metavar: str | None = None
    repeatable: bool = False
    values: tuple[str, ...] | Callable[[str], Sequence[str]] = ()
    aliases: tuple[str, ...] = ()
    flag: tuple[str, str] | None = None
    positional: bool = False


@dataclass(frozen=True)
class Synonyms:
    """Marks a key that others call by another name, for the errors that say what was meant.

    ``names`` are what the key is called elsewhere, ``values`` what some of its values are called there,
    each with the word for it here. Neither is taken; the error points to the right one.
    """

    names: tuple[str, ...] = ()
    values: tuple[tuple[str, str], ...] = ()


class NoOption:
    """Marks a key that no option sets by itself (``--set`` still does)."""


@dataclass(frozen=True)
class InputFile:
    """Marks a text field, or a list or mapping of texts, that holds paths: made absolute, from where written.

    ``prefixes``: the field holds a name, or one of these and a path (``folder:PATH``). ``or_name``: a
    word without a separator or a suffix is a name and stays as it is (``default``). ``or_shipped``: what
    is no file there may be the name of a configuration that comes with mlhw (``smoke/lr-sweep``).
    ``or_stdin``: ``-`` is the standard input. What has ``://`` is a web address, and no path of a folder.
    """

    prefixes: tuple[str, ...] = ()
    or_name: bool = False
    or_shipped: bool = False
    or_stdin: bool = False

    def parts(self, value: str) -> tuple[str, str]:
        """``value`` in two parts: what stays as it is, and the path behind it, empty if there is none."""
        for prefix in self.prefixes:
            if value.startswith(prefix):
                return prefix, value[len(prefix) :]
        if "://" in value or (self.or_stdin and value == "-"):
            return value, ""
        if self.prefixes or (
            self.or_name and not ("/" in value or os.sep in value or "." in value)
        ):
            return value, ""
        return "", value


Model = TypeVar("Model", bound=BaseModel)

# ------------------------------------------------------------------------------------- fields


@dataclass(frozen=True)
class Leaf:
    """One key of a model: its path, its type, what marks it, and the heading of its option in the help."""

    path: tuple[str, ...]
    annotation: Any
    metadata: tuple[Any, ...]
    description: str
    default: Any
    is_section: bool = False
    group: str = ""

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
    def nullable(self) -> bool:
        """Whether null is one of its values."""
        return _takes_none(self.annotation)

    @property
    def has_option(self) -> bool:
        """Scalars have one unless marked otherwise; lists and sections where marked."""
        if self.marked(Option) is not None:
            return True
        return not self.is_section and self.scalar and self.marked(NoOption) is None

    @property
    def option(self) -> str:
        """The named option of the key: ``--max-iterations``; ``optim.name`` is ``--optim``."""
        mark = self.marked(Option)
        if mark is not None and mark.positional:
            return str(mark.metavar)
        if mark is not None and mark.name:
            return str(mark.name)
        is_name = self.path[-1] == "name" and len(self.path) > 1
        return "--" + self.path[-2 if is_name else -1].replace("_", "-")

    @property
    def spellings(self) -> tuple[str, ...]:
        """The option and its aliases."""
        mark = self.marked(Option)
        return (self.option, *(mark.aliases if mark is not None else ()))

    @property
    def scalar(self) -> bool:
        return all(t in (int, float, bool, str) for t in self.types)


def _takes_none(annotation: Any) -> bool:
    origin, parts = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _takes_none(parts[0])
    if origin in (Union, types.UnionType):
        return any(map(_takes_none, parts))
    return annotation in (None, type(None)) or (origin is Literal and None in parts)


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


@cache
def leaves(model: type[BaseModel]) -> tuple[Leaf, ...]:
    """Every key of ``model`` and of its sections, in order; a section comes before its keys."""
    return tuple(_leaves(model, (), ""))


def _leaves(model: type[BaseModel], prefix: tuple[str, ...], around: str) -> Iterator[Leaf]:
    for name, info in model.model_fields.items():
        section = section_of(info.annotation)
        group = _group(model, name) or around
        yield Leaf(
            (*prefix, name),
            info.annotation,
            tuple(info.metadata),
            info.description or "",
            None if section else info.get_default(call_default_factory=True),
            is_section=section is not None,
            group=getattr(section, "GROUP", "") or group,
        )
        if section is not None:
            yield from _leaves(section, (*prefix, name), group)


def _group(model: type[BaseModel], key: str) -> str:
    """The heading of a key: what a class says of it, else that of the class that declares it."""
    homes = [home for home in model.__mro__ if issubclass(home, Section)]
    said = (home.GROUPS[key] for home in homes if key in home.GROUPS)
    declared = (home.GROUP for home in reversed(homes) if key in home.__annotations__)
    return next(said, next(declared, ""))


def key_synonyms(model: type[BaseModel], section: Sequence[Any]) -> dict[str, str]:
    """What keys that could stand in ``section`` of ``model`` are called elsewhere, each with the right key.

    That is their declared synonyms, and the options' names of keys that stand in other sections, which
    are given in full: ``lr`` is ``optim.lr``.
    """
    found: dict[str, str] = {}
    for leaf in leaves(model):
        here = leaf.path[:-1] == tuple(section)
        mark = leaf.marked(Synonyms)
        names = list(mark.names) if mark is not None else []
        if leaf.has_option and not here:
            names.append(leaf.option)
        key = leaf.path[-1] if here else leaf.key
        if leaf.path == tuple(section):  # whose own option means its name: data.data is data.name
            key += ".name"
        found |= dict.fromkeys(names, key)
    return found


def option_synonyms(model: type[BaseModel]) -> dict[str, str]:
    """The keys in full and what else they are called, each with its option: ``optim.lr`` is ``--lr``.

    A key without an option has that of its section, where there is one: ``data.name`` is ``--data``.
    """
    options = {leaf.path: leaf.option for leaf in leaves(model) if leaf.has_option}
    found: dict[str, str] = {}
    for leaf in leaves(model):
        option = options.get(leaf.path) or options.get(leaf.path[:-1])
        if option is not None:
            mark = leaf.marked(Synonyms)
            names = mark.names if mark is not None else ()
            found |= dict.fromkeys((leaf.key, leaf.key.replace(".", "-"), *names), option)
    return found


def comma_list(value: Any, *, read: Callable[[str], Any] = yaml12.parse_scalar) -> Any:
    """``a,b`` as given on the command line, to the list that a file would hold; a list as it is.

    ``read`` makes a value of each item's text, without the blanks around it.
    """
    if not isinstance(value, str):
        return value
    return [read(part.strip()) for part in value.split(",")] if value.strip() else []
