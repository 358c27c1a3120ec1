"""The ways in which something returned can be read as gradients, the likeliest first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from mlhw.grading.conventions import Conventions
from mlhw.grading.isolation.job import Reply
from mlhw.grading.vectors import split_vector
from mlhw.maths.network import Network

if TYPE_CHECKING:
    import numpy as np

LOSS = "the number beside the gradients, its loss, is not looked at"
GARBLED = "the process sent something that is no answer"
NO_BIASES = "gradients by biases are not looked at: this network has none"


class Unclear(Exception):
    """What was returned is clear in no way; the text says what it is and what is needed."""


@dataclass(frozen=True)
class Interpretation:
    """One reading: gradients by weights, by biases where these are apart, deltas if any, and ``notes``."""

    weights: list[np.ndarray]
    biases: list[np.ndarray] | None = None
    deltas: list[np.ndarray] | None = None
    notes: tuple[str, ...] = ()
    sent: bool = True


def ways_of(reply: Reply, network: Network, conventions: Conventions) -> dict[str, Interpretation]:
    """Every way to read what was returned, by a name that is the same for each call.

    Raises Unclear where there is none.
    """
    node = _tree(reply)
    _check_form(node, conventions)
    ways = dict(_Reader(network, conventions).ways(node))
    if reply.numbers is None:
        ways = {name: replace(way, sent=False) for name, way in ways.items()}
    return ways


# ------------------------------------------------------------------------------------- the tree

Node = Any
"""An array, a list of nodes, a dict of nodes by name, None, or the name of another type (``Other``)."""


class Other(str):
    """The name of a type that is nothing to read."""


def _tree(reply: Reply) -> Node:
    import numpy as np

    said = reply.form
    if not isinstance(said, dict) or not isinstance(said.get("shapes"), list):
        raise Unclear(GARBLED)
    arrays: list[np.ndarray] = reply.numbers or []
    if reply.numbers is None:
        try:
            arrays = [np.broadcast_to(np.float64(np.nan), shape) for shape in said["shapes"]]
        except (ValueError, TypeError, OverflowError, MemoryError):
            raise Unclear("too many numbers returned") from None

    def grown(form: Any) -> Node:
        if form is None:
            return None
        if isinstance(form, int) and not isinstance(form, bool) and 0 <= form < len(arrays):
            return arrays[form]
        if isinstance(form, list):
            return [grown(item) for item in form]
        if isinstance(form, dict) and isinstance(form.get("dict"), list):
            return {str(key): grown(item) for key, item in form["dict"]}
        if isinstance(form, dict) and "other" in form:
            return Other(str(form["other"])[:40])
        raise Unclear(GARBLED)

    try:
        return grown(said.get("form"))
    except (ValueError, TypeError, RecursionError):
        raise Unclear(GARBLED) from None


def _is_leaf(node: Node) -> bool:
    return hasattr(node, "shape")


def _is_scalar(node: Node) -> bool:
    return _is_leaf(node) and node.ndim == 0


def _is_single(node: Node) -> bool:
    return _is_leaf(node) and node.size == 1


def _leaves(node: Node, count: int | None = None) -> bool:
    """Whether a node is a list of arrays, so many if ``count`` is given."""
    return isinstance(node, list) and all(map(_is_leaf, node)) and count in (None, len(node))


def _kind(node: Node) -> str:
    """What a node is, in words."""
    if node is None:
        return "nothing (None)"
    if isinstance(node, Other):
        return f"{'an' if node[0] in 'aeiou' else 'a'} {node}"
    if isinstance(node, dict):
        return f"a dict with the keys {', '.join(list(node)[:6]) or '(none)'}"
    if _is_leaf(node):
        return "a number" if node.ndim == 0 else f"an array of the shape {node.shape}"
    return f"a list of {len(node)}"


def _check_form(node: Node, conventions: Conventions) -> None:
    """Raise Unclear where a form is asked for and this is another."""
    first = node[0] if isinstance(node, list) and node else None
    if conventions.returns == "list":
        fits = isinstance(node, list) and not _is_scalar(first)
    elif conventions.returns == "flat":
        fits = _is_leaf(node) and node.size == max(node.shape, default=0)
    elif conventions.returns == "dict":
        fits = isinstance(node, dict)
    elif conventions.returns == "loss-and-grads":
        fits = isinstance(node, list) and len(node) > 1 and _is_single(first)
    else:
        return
    if not fits:
        asked = {
            "list": "a list of arrays",
            "flat": "one vector of all gradients",
            "dict": "a dict dW1, dW2, ...",
            "loss-and-grads": "(loss, gradients)",
        }
        raise Unclear(f"{_kind(node)} is returned, asked is {asked[conventions.returns]}")


# ------------------------------------------------------------------------------------- its readings

_NUMBERED = re.compile(
    r"^(?:grads?|gradients?|nabla|delta|del|d|de|dl|dj|ded|dld|djd|dlossd)?d?"
    r"(w|weights?|theta|b|bias(?:es)?)(\d+)(?:grads?|gradients?)?$"
)
_UNNUMBERED = re.compile(
    r"^(?:grads?|gradients?|nabla|delta|del|d|de|dl|dj|ded|dld|djd|dlossd)?d?"
    r"(w|ws|weights?|thetas?|b|bs|bias(?:es)?)(?:grads?|gradients?)?$"
)
_HOLDERS = ("gradients", "grads", "gradient", "grad")


class _Reader:
    def __init__(self, network: Network, conventions: Conventions) -> None:
        self.network, self.conventions = network, conventions
        self.count = network.depth - 1

    def ways(self, node: Node) -> Iterator[tuple[str, Interpretation]]:
        if isinstance(node, dict):
            yield from self._of_dict(node)
        elif _is_leaf(node):
            yield from self._of_array(node)
        elif isinstance(node, list):
            yield from self._of_list(node)
        else:
            raise Unclear(f"{_kind(node)} is returned; needed is {self._needed()}")

    def _needed(self) -> str:
        return f"a list of {self.count} gradients, one for each weight matrix"

    def _of_list(self, node: list[Node]) -> Iterator[tuple[str, Interpretation]]:
        if not node:
            raise Unclear(f"an empty list is returned; needed is {self._needed()}")
        if _leaves(node, self.count) and not self._with_loss(node):
            yield "list", Interpretation(node)
            return
        pairs = list(self._of_pairs(node))
        if pairs:
            yield from pairs
            return
        kept = [part for part in node if part is not None and not _is_scalar(part)]
        if 1 <= len(kept) < len(node):
            inner = kept[0] if len(kept) == 1 else kept
            for name, way in self.ways(inner):
                yield f"loss, {name}", replace(way, notes=(LOSS, *way.notes))
            return
        if len(node) == 1:
            yield from self.ways(node[0])
            return
        if _leaves(node):
            yield "list", Interpretation(node)
            return
        first = next((part for part in node if not _is_leaf(part)), None)
        raise Unclear(
            f"{_kind(node)} is returned, in it {_kind(first)}; needed is {self._needed()}"
        )

    def _with_loss(self, node: list[Node]) -> bool:
        """Whether one of these is a number that can be no gradient."""
        sizes = [rows * columns for rows, columns in self.network.shapes]
        return any(_is_scalar(n) and size > 1 for n, size in zip(node, sizes, strict=True))

    def _of_pairs(self, node: list[Node]) -> Iterator[tuple[str, Interpretation]]:
        """Weights and biases apart: two lists, pairs, or one list of both."""
        count = self.count
        if len(node) == 2 and all(_leaves(part, count) or self._is_dict(part) for part in node):
            lists = [part if isinstance(part, list) else list(part.values()) for part in node]
            yield from self._apart("two lists", *lists)
        if len(node) == count and all(self._is_pair(part) for part in node):
            rows = [list(p.values()) if isinstance(p, dict) else p for p in node]
            yield from self._apart("pairs", [r[0] for r in rows], [r[1] for r in rows])
        if len(node) == 2 * count and _leaves(node):
            yield from self._apart("in turn", node[::2], node[1::2])
            yield from self._apart("one after the other", node[:count], node[count:])

    def _is_dict(self, node: Node) -> bool:
        return isinstance(node, dict) and _leaves(list(node.values()), self.count)

    def _is_pair(self, node: Node) -> bool:
        return _leaves(list(node.values()) if isinstance(node, dict) else node, 2)

    def _apart(
        self, name: str, one: Sequence[Node], other: Sequence[Node]
    ) -> Iterator[tuple[str, Interpretation]]:
        """Which of two lists is that of the biases shows in their sizes; both ways where it does not."""
        rows = [shape[0] for shape in self.network.shapes]
        for order, weights, biases in (("", one, other), (" turned", other, one)):
            if [b.size for b in biases] != rows or any(
                b.size != max(b.shape, default=1) for b in biases
            ):
                continue
            if self.network.bias:
                yield name + order, Interpretation(list(weights), list(biases))
            else:
                yield name + order, Interpretation(list(weights), notes=(NO_BIASES,))

    def _of_array(self, node: Any) -> Iterator[tuple[str, Interpretation]]:
        sizes = [rows * columns for rows, columns in self.network.shapes]
        if self.count == 1 and node.size == sizes[0]:
            yield "array", Interpretation([node])
        elif node.ndim > 2 and len(node) == self.count:
            yield "stacked", Interpretation(list(node))
        elif node.ndim and node.size == max(node.shape):
            vector = node.reshape(-1)
            for name, weights, biases in split_vector(vector, self.network, self.conventions):
                notes = (f"the vector is read {name}",)
                yield f"vector, {name}", Interpretation(weights, biases, notes=notes)
            total = sum(sizes)
            if node.size not in (total, total - sum(rows for rows, _ in self.network.shapes)):
                raise Unclear(
                    f"{_kind(node)} is returned; needed is {self._needed()} (or one vector of {total})"
                )
        else:
            raise Unclear(
                f"{_kind(node)} is returned; needed is {self._needed()}, or one vector of {sum(sizes)}"
            )

    def _of_dict(self, node: dict[str, Node]) -> Iterator[tuple[str, Interpretation]]:
        for key in _HOLDERS:
            if key in node:
                deltas = node.get("deltas")
                if deltas is not None and not _leaves(deltas):
                    raise Unclear(f"deltas must be a list of arrays, not {_kind(deltas)}")
                for name, way in self.ways(node[key]):
                    yield name, replace(way, deltas=deltas if deltas is not None else way.deltas)
                return
        weights: dict[int, Node] = {}
        biases: dict[int, Node] = {}
        lists: dict[str, Node] = {}
        for key, value in node.items():
            bare = re.sub(r"[^a-z0-9]", "", key.lower())
            if (numbered := _NUMBERED.match(bare)) and _is_leaf(value):
                kind = biases if numbered[1].startswith("b") else weights
                kind[int(numbered[2])] = value
            elif unnumbered := _UNNUMBERED.match(bare):
                lists["b" if unnumbered[1].startswith("b") else "w"] = value
        if weights:
            yield from self._numbered(weights, biases)
        elif "w" in lists and isinstance(lists["w"], (list, dict)):
            yield from self.ways([lists["w"], lists["b"]] if "b" in lists else lists["w"])
        elif node and all(re.fullmatch(r"\D*\d+", key) for key in node) and len(node) == self.count:
            by_number = sorted(node, key=lambda key: int(re.sub(r"\D", "", key)))
            yield from self.ways([node[key] for key in by_number])
        else:
            names = f"dW1 ... dW{self.count}" + (
                f", db1 ... db{self.count}" if self.network.bias else ""
            )
            raise Unclear(f"{_kind(node)} is returned; taken are 'gradients', or {names}")

    def _numbered(
        self, weights: dict[int, Node], biases: dict[int, Node]
    ) -> Iterator[tuple[str, Interpretation]]:
        W = [weights[number] for number in sorted(weights)]
        b = [biases[number] for number in sorted(biases)]
        rows = [shape[0] for shape in self.network.shapes]
        if len(W) == len(b) == self.count and self.network.bias and [n.size for n in b] == rows:
            yield "dict", Interpretation(W, b)
        else:
            notes = (NO_BIASES,) if b and not self.network.bias else ()
            yield "dict", Interpretation(W, notes=notes)
