"""YAML as people mean it: ``1e-3`` is a number, ``on`` is a word, a key stands once.

PyYAML follows YAML 1.1, which reads ``1e-3`` as text, ``on``/``no`` as booleans, ``012`` as ten and
``12:30`` as 750, and silently keeps the last of two equal keys. This loader resolves scalars by the
core schema of YAML 1.2.2 (section 10.3.2), refuses duplicate keys and aliases that would expand
without end, builds nothing but dicts, lists and scalars, and remembers the line of every key.
"""

from __future__ import annotations

import math
import re
from typing import Any

import yaml

from mlhw.errors import ConfigError

KeyPath = tuple[str | int, ...]
"""Where a value stands: ``("optim", "lr")`` or ``("etas", 2)``."""

MAX_BYTES = 1 << 20
MAX_NODES = 20_000  # keys and values; so many take a second to read
MAX_DEPTH = 50

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
# The tags that PyYAML gives to plain scalars by itself; any other was written out by somebody.
_IMPLICIT = {"null", "bool", "int", "float", "str", "timestamp", "merge", "value"}
_WORDS: dict[str, Any] = {
    "": None,
    "~": None,
    "null": None,
    "Null": None,
    "NULL": None,
    "true": True,
    "True": True,
    "TRUE": True,
    "false": False,
    "False": False,
    "FALSE": False,
}


def parse_scalar(text: str) -> Any:
    """A plain scalar by YAML 1.2's core schema: null, bool, int, float or else the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        if text.startswith(("0o", "0x")):
            return int(text, 0)
        # Python refuses int() beyond 4,300 digits; such a text is no number anybody means.
        return int(text) if len(text) <= 400 else float(text)
    if _FLOAT.fullmatch(text):
        lowered = text.lower()
        if lowered.endswith("inf"):
            return -math.inf if lowered.startswith("-") else math.inf
        return math.nan if lowered.endswith("nan") else float(text)
    return text


def parse_value(text: str, where: str) -> Any:
    """One YAML value as given on a command line: ``0.1``, ``[1, 2]``, ``{name: iris}``."""
    return parse(text, where)[0]


def parse(text: str, where: str) -> tuple[Any, dict[KeyPath, int]]:
    """Parse one YAML document.

    Returns the value and, for the path of each key and list item, its line (from 1). ``where`` names
    the text in errors.

    Raises
    ------
    ConfigError
        Not YAML, a duplicate key, a tag, a cyclic or exploding alias, or too large.
    """
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where}: longer than {MAX_BYTES:,} characters")
    try:
        root = _Composer(text, where).get_single_node()
    except yaml.YAMLError as error:
        raise ConfigError(_sentence(error, where)) from None
    except RecursionError:
        raise ConfigError(f"{where}: nested too deeply") from None
    lines: dict[KeyPath, int] = {}
    if root is None:
        return None, lines
    return _Builder(where, lines).build(root, ()), lines


def _sentence(error: yaml.YAMLError, where: str) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or str(error).splitlines()[0]
    if mark is None:
        return f"{where}: not valid YAML: {problem}"
    return f"{where}:{mark.line + 1}: not valid YAML: {problem} (column {mark.column + 1})"


def _too_many(where: str, line: int) -> ConfigError:
    return ConfigError(
        f"{where}:{line}: too many or too deeply nested values (at most {MAX_NODES:,} keys and values, "
        f"{MAX_DEPTH} deep)"
    )


class _Composer(yaml.SafeLoader):
    """Nodes of a text, counted as they are made: a text of the largest size can be of half a million."""

    def __init__(self, text: str, where: str) -> None:
        super().__init__(text)
        self.where, self.nodes, self.depth = where, 0, 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH + 1:
            event = self.peek_event()  # type: ignore[no-untyped-call]
            raise _too_many(self.where, event.start_mark.line + 1)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


class _Builder:
    """Plain values from YAML nodes, counting as it goes."""

    def __init__(self, where: str, lines: dict[KeyPath, int]) -> None:
        self.where = where
        self.lines = lines
        self.nodes = 0

    def build(self, node: yaml.Node, path: KeyPath) -> Any:
        line = node.start_mark.line + 1
        self.lines.setdefault(path, line)
        self.nodes += 1
        # An alias is the same node again, so a "billion laughs" file shows here, and a cyclic one
        # as depth.
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise _too_many(self.where, line)
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, line)
        if node.tag not in ("tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
            raise ConfigError(f"{self.where}:{line}: the tag {node.tag} is not allowed")
        if isinstance(node, yaml.SequenceNode):
            return [self.build(item, (*path, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key_line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError(f"{self.where}:{key_line}: a key must be a plain word")
            key = key_node.value
            if key in mapping:
                first = self.lines[(*path, key)]
                raise ConfigError(
                    f"{self.where}:{key_line}: the key '{key}' stands twice (first on line {first})"
                )
            self.lines[(*path, key)] = key_line
            mapping[key] = self.build(value_node, (*path, key))
        return mapping

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Any:
        if node.style is None and node.tag.removeprefix("tag:yaml.org,2002:") in _IMPLICIT:
            return parse_scalar(node.value)
        if node.tag == "tag:yaml.org,2002:str":
            return node.value
        raise ConfigError(f"{self.where}:{line}: the tag {node.tag} is not allowed")


class _Dumper(yaml.SafeDumper):
    """Writes what ``parse`` reads back equal: short lists in one line, floats by ``repr``."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _represent_float(dumper: yaml.SafeDumper, value: float) -> yaml.ScalarNode:
    if value - value != 0:
        text = ".nan" if value != value else (".inf" if value > 0 else "-.inf")
    else:
        text = repr(value)
        if "." not in text:  # 1e-05 is text to YAML 1.1 readers, 1.0e-05 a number to all
            text = text.replace("e", ".0e")
    return dumper.represent_scalar("tag:yaml.org,2002:float", text)


def _represent_list(dumper: yaml.SafeDumper, value: list[Any]) -> yaml.SequenceNode:
    nested = any(isinstance(item, (dict, list)) for item in value)
    flow = not nested or all(isinstance(item, list) for item in value)
    return dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=flow)


def _represent_str(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if parse_scalar(value) is value or parse_scalar(value) == value else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(float, _represent_float)
_Dumper.add_representer(list, _represent_list)
_Dumper.add_representer(str, _represent_str)


def dump(value: Any, width: float = 100) -> str:
    """``value`` as YAML in block style, keys in their order; longer texts are folded."""
    return yaml.dump(
        value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=width,
        default_flow_style=False,
    )


def inline(value: Any) -> str:
    """``value`` as YAML in one line: ``[0.5, 0.1]``; the lines of a nested one are joined by "; "."""
    return dump({"value": value}, math.inf).removeprefix("value:").strip().replace("\n", "; ")
