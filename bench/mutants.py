"""Mutants of the mathematics: one operator, constant, comparison, sign or argument turned over in each.

The operators are cosmic-ray's, which rewrite a syntax tree and know of no test runner, without those of
bits; one more of our own swaps two neighbouring arguments of a call. Annotations, decorators and the
models of the configuration are left out: they hold no mathematics.
"""

from __future__ import annotations

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

SWAP = "SwapArguments"
# What cosmic-ray offers beside these turns over no mathematics: decorators, exceptions, names.
_KINDS = re.compile(
    r"core/(NumberReplacer|AddNot|ZeroIterationForLoop|Replace(AndWithOr|OrWithAnd|TrueWithFalse|"
    r"FalseWithTrue|BreakWithContinue|ContinueWithBreak|(Binary|Unary|Comparison)Operator_\w+))$"
)
_BITS = re.compile(r"Bit|Shift|Invert")
# `is` for `==` and the like change no number or everything.
_IDENTITY = re.compile(r"ComparisonOperator_(Is|IsNot)_|ComparisonOperator_\w+_(Is|IsNot)$")


@dataclass(frozen=True)
class Place:
    """Where something can be turned over: ``variants`` are (operator, occurrence) of one kind there.

    ``lines`` are those of the innermost statement that holds it, first and last.
    """

    module: str
    start: tuple[int, int]
    kind: str
    lines: tuple[int, int]
    variants: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Mutant:
    """One change of one module."""

    module: str
    operator: str
    occurrence: int
    line: int
    lines: tuple[int, int]

    @property
    def name(self) -> str:
        return f"{self.module}:{self.line} {self.operator.removeprefix('core/')} {self.occurrence}"


def places(root: Path, module: str) -> list[Place]:
    """Everything in a module that can be turned over, in the order of the file."""
    from cosmic_ray.ast import ast_nodes, get_ast
    from cosmic_ray.plugins import get_operator, operator_names

    source = (root / module).read_text(encoding="utf-8")
    tree = ast.parse(source)
    nodes = list(ast_nodes(get_ast(source)))
    left_out = list(_left_out(tree))
    statements = [
        (node.lineno, node.end_lineno or node.lineno)
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt)
    ]
    found: dict[tuple[tuple[int, int], str], list[tuple[str, int]]] = defaultdict(list)
    for name in sorted(operator_names()):
        if not _KINDS.match(name) or _BITS.search(name) or _IDENTITY.search(name):
            continue
        operator = get_operator(name)()
        positions = [p for node in nodes for p in operator.mutation_positions(node)]
        for occurrence, (start, _) in enumerate(positions):
            kind = re.split(r"[/_]", name)[1]
            found[tuple(start), kind].append((name, occurrence))
    for occurrence, (first, _) in enumerate(_swaps(tree)):
        start = (first.lineno, first.col_offset)
        found[start, SWAP].append((SWAP, occurrence))
    return [
        Place(module, start, kind, _innermost(statements, start[0]), tuple(variants))
        for (start, kind), variants in sorted(found.items())
        if not any(low <= start < high for low, high in left_out)
    ]


def _left_out(tree: ast.Module) -> Iterator[tuple[tuple[int, int], tuple[int, int]]]:
    """Where nothing is turned over, as pairs of (line, column)."""
    for node in ast.walk(tree):
        parts: list[Any] = []
        if isinstance(node, ast.arg | ast.AnnAssign):
            parts.append(node.annotation)
        if isinstance(node, ast.FunctionDef):
            parts += [node.returns, *node.decorator_list]
        if isinstance(node, ast.ClassDef):
            parts += [*node.decorator_list, *([node] if node.name.endswith("Config") else [])]
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            parts += [node] if node.targets[0].id in ("POSITION", "RESUMABLE", "QUESTION") else []
        for part in filter(None, parts):
            yield (part.lineno, part.col_offset), (part.end_lineno, part.end_col_offset)


def _innermost(statements: Sequence[tuple[int, int]], line: int) -> tuple[int, int]:
    around = [(first, last) for first, last in statements if first <= line <= last]
    first, last = min(around, key=lambda span: span[1] - span[0])
    return first, last


def _swaps(tree: ast.Module) -> list[tuple[ast.expr, ast.expr]]:
    """Neighbouring arguments of calls that differ."""
    return [
        (first, second)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        for first, second in zip(node.args, node.args[1:], strict=False)
        if not isinstance(first, ast.Starred)
        and not isinstance(second, ast.Starred)
        and ast.dump(first) != ast.dump(second)
    ]


def mutated(source: str, mutant: Mutant) -> str:
    """The module's text with the change."""
    if mutant.operator == SWAP:
        first, second = _swaps(ast.parse(source))[mutant.occurrence]
        lines = source.encode().splitlines(keepends=True)
        starts = np.cumsum([0, *map(len, lines)])
        text = source.encode()
        a, b, c, d = (
            int(starts[line - 1]) + column
            for line, column in (
                (first.lineno, first.col_offset),
                (first.end_lineno or 0, first.end_col_offset or 0),
                (second.lineno, second.col_offset),
                (second.end_lineno or 0, second.end_col_offset or 0),
            )
        )
        return (text[:a] + text[c:d] + text[b:c] + text[a:b] + text[d:]).decode()
    from cosmic_ray.mutating import mutate_code
    from cosmic_ray.plugins import get_operator

    changed = mutate_code(source, get_operator(mutant.operator)(), mutant.occurrence)
    if changed is None or changed == source:
        raise ValueError(f"{mutant.name} changes nothing")
    return str(changed)


def sample(root: Path, modules: Sequence[str], count: int, seed: int) -> list[Mutant]:
    """``count`` mutants, spread over the modules by the number of places, at each at most one.

    A place is drawn before what happens to it, so that a + with its five replacements weighs no more
    than a number with two.
    """
    rng = np.random.default_rng(seed)
    by_module = {module: places(root, module) for module in modules}
    total = sum(map(len, by_module.values()))
    drawn = []
    for module, found in by_module.items():
        share = count * len(found) / total
        # The fraction decides by chance, so that small modules have their turn.
        number = min(len(found), int(share) + int(rng.random() < share % 1))
        for i in sorted(rng.choice(len(found), number, replace=False).tolist()):
            place = found[i]
            source = (root / module).read_text(encoding="utf-8")
            for variant in rng.permutation(len(place.variants)).tolist():
                operator, occurrence = place.variants[variant]
                mutant = Mutant(module, operator, occurrence, place.start[0], place.lines)
                if _is_another_program(source, mutated(source, mutant)):
                    drawn.append(mutant)
                    break
    return drawn


def _is_another_program(before: str, after: str) -> bool:
    """Whether it can be compiled and does not say the same (a star before arguments is no product)."""
    try:
        return ast.dump(ast.parse(before)) != ast.dump(ast.parse(after))
    except SyntaxError:
        return False
