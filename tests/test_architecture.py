"""The structure of the house, read from the syntax trees: folders, arrows between them, names."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.conftest import ROOT

PACKAGE = ROOT / "mlhw"
# What every experiment has at the same place; all other names mean one thing.
COMMON = {"Config", "Evidence", "answers", "formulas", "headlines", "run", "summary", "command"}
# What every program that runs in a sandbox defines.
COMMON |= {"prepare", "describe"}


def module_of(path: Path) -> str:
    """``mlhw/runs/html.py`` as ``mlhw.runs.html``, a package by its own name."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def trees() -> dict[str, ast.Module]:
    """Every module of the package and its syntax tree."""
    return {
        module_of(path): ast.parse(path.read_text(encoding="utf-8"))
        for path in sorted(PACKAGE.rglob("*.py"))
    }


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that a module imports, wherever the import stands: in functions and for types too."""
    known = trees()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("mlhw"):
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in known else node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("mlhw"))


@cache
def arrows() -> dict[str, set[str]]:
    """Each module, and the modules that it imports."""
    return {name: set(imported(tree)) - {name} for name, tree in trees().items()}


def children(package: str) -> dict[str, set[str]]:
    """Each module and folder directly in a package, and those of the others that it imports."""
    length = package.count(".") + 2
    graph: dict[str, set[str]] = defaultdict(set)
    for name, found in arrows().items():
        here = ".".join(name.split(".")[:length])
        if name.startswith(package + "."):
            below = {other for other in found if other.startswith(package + ".")}
            graph[here] |= {".".join(other.split(".")[:length]) for other in below} - {here}
    return graph


def depth(graph: dict[str, set[str]]) -> int:
    """The number of levels: nodes on the longest way along the arrows."""
    levels: dict[str, int] = {}
    for node in TopologicalSorter(graph).static_order():  # raises CycleError for a circle
        levels[node] = 1 + max((levels[other] for other in graph.get(node, ())), default=0)
    return max(levels.values(), default=0)


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {name: found - {"mlhw"} for name, found in arrows().items()}
    assert depth(graph) > 1


def test_folders_import_one_way_over_ten_levels_at_most() -> None:
    assert depth(children("mlhw")) <= 10


PACKAGES = [module_of(path) for path in sorted(PACKAGE.rglob("__init__.py"))]


@pytest.mark.parametrize("package", PACKAGES)
def test_what_lies_in_a_folder_imports_its_neighbours_one_way(package: str) -> None:
    depth(children(package))


def test_at_most_eight_modules_stand_directly_in_the_package() -> None:
    assert len(list(PACKAGE.glob("*.py"))) <= 8


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in [*PACKAGE.rglob("*.py"), *(ROOT / "tests").rglob("*.py")]
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}


def test_no_folder_or_module_has_a_name_that_says_nothing() -> None:
    words = {word for name in trees() for word in name.split(".")}
    assert words.isdisjoint({"utils", "util", "common", "helpers", "helper", "misc", "base"})


def test_experiments_import_neither_each_other_nor_what_runs_them() -> None:
    experiments = {path.parent.name for path in PACKAGE.glob("experiments/*/experiment.py")}
    for name, found in arrows().items():
        parts = name.split(".")
        if parts[1:2] != ["experiments"]:
            continue
        assert not [
            other for other in found if other.startswith(("mlhw.commands", "mlhw.runs", "mlhw.api"))
        ], name
        others = experiments - set(parts[2:3])
        assert not [o for o in found if set(o.split(".")[2:3]) & others], name


def test_every_experiment_has_the_same_modules_with_the_same_names() -> None:
    wanted = {
        "experiment": {"POSITION", "QUESTION", "Config", "run"},
        "claims": {"CLAIMS"},
        "report": {"FORMULAS", "COLUMNS", "answers", "headlines"},
        "figures": {"FIGURES"},
    }
    for path in PACKAGE.glob("experiments/*/experiment.py"):
        for module, names in wanted.items():
            tree = trees()[f"mlhw.experiments.{path.parent.name}.{module}"]
            assert names <= {*defined(tree), *imports_names(tree)}, (path.parent.name, module)


def test_nothing_outside_their_folders_knows_the_experiments() -> None:
    experiments = [path.parent.name for path in PACKAGE.glob("experiments/*/experiment.py")]
    spellings = [*experiments, *(name.replace("_", "-") for name in experiments)]
    for path in PACKAGE.rglob("*.py"):
        inside = path.is_relative_to(PACKAGE / "experiments") and path.parent.name in experiments
        if inside:
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in spellings:
                raise AssertionError(f"{path.relative_to(ROOT)}:{node.lineno}: {node.value!r}")


def defined(tree: ast.Module) -> set[str]:
    """The public classes, functions and constants that stand at the top of a module."""
    names: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names |= {target.id for target in node.targets if isinstance(target, ast.Name)}
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            names.add(node.target.id)
    return {name for name in names if not name.startswith("_")}


def imports_names(tree: ast.Module) -> set[str]:
    return {
        alias.asname or alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }


def test_a_class_or_function_name_means_one_thing_in_the_whole_package() -> None:
    homes = defaultdict(list)
    for name, tree in trees().items():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                homes[node.name].append(name)
    twice = {name: found for name, found in homes.items() if len(found) > 1 and name not in COMMON}
    assert twice == {}


@pytest.mark.parametrize("path", sorted((ROOT / "tests").rglob("test_*.py")), ids=lambda p: p.stem)
def test_tests_do_not_reach_into_privates(path: Path) -> None:
    """``module._name`` of a module of ours, or ``from mlhw… import _name``."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    modules = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("mlhw"):
            assert not [a.name for a in node.names if a.name.startswith("_")], node.lineno
            modules |= {alias.asname or alias.name for alias in node.names}
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Attribute)
            and node.attr.startswith("_")
            and not node.attr.startswith("__")
            and isinstance(node.value, ast.Name)
        ):
            assert node.value.id not in modules, f"{path.name}:{node.lineno}: {node.attr}"
