"""Which statements of a file define something: imports, functions, classes, constants.

Part of the program that runs beside somebody's file: the standard library alone.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence

_ALWAYS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

# What a constant may be made of; a lambda's body is not looked at, it is not run.
_PLAIN = (
    ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.UnaryOp,
    ast.BinOp, ast.BoolOp, ast.Compare, ast.Subscript, ast.Slice, ast.IfExp, ast.JoinedStr,
    ast.FormattedValue, ast.Starred, ast.Lambda, ast.Call, ast.ListComp, ast.DictComp, ast.SetComp,
    ast.GeneratorExp, ast.NamedExpr,
)  # fmt: skip
_MODULES = {"np", "numpy", "math", "cmath", "functools", "collections", "typing", "enum"}
_BUILTIN = {
    "int", "float", "complex", "bool", "str", "list", "tuple", "dict", "set", "frozenset", "range",
    "len", "abs", "min", "max", "sum", "round", "zip", "enumerate", "sorted", "namedtuple", "partial",
    "TypeVar", "defaultdict", "OrderedDict", "deque",
}  # fmt: skip
# These read or write files, whatever module they are in.
_FILES = {
    "load",
    "loadtxt",
    "genfromtxt",
    "fromfile",
    "memmap",
    "save",
    "savetxt",
    "savez",
    "tofile",
}


def defining(statement: ast.stmt) -> ast.stmt | None:
    """The statement, or of a condition and a ``try`` what defines something; None where nothing does."""
    if isinstance(statement, _ALWAYS):
        return statement
    if isinstance(statement, (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Delete)):
        value = getattr(statement, "value", None)
        return statement if value is None or _is_constant(value) else None
    if isinstance(statement, ast.Expr):
        # A docstring, or settings such as np.seterr and np.random.seed.
        value = statement.value
        return statement if _is_constant(value) else None
    if isinstance(statement, ast.If) and _is_constant(statement.test) and not _is_main(statement):
        body, other = _all_defining(statement.body), _all_defining(statement.orelse)
        if not body and not other:
            return None
        kept = ast.If(statement.test, body or [ast.Pass()], other)
        return ast.fix_missing_locations(ast.copy_location(kept, statement))
    if isinstance(statement, ast.Try):
        return _tried(statement)
    return None


def _tried(statement: ast.Try) -> ast.stmt | None:
    body = _all_defining(statement.body)
    if not body:
        return None
    handlers = []
    for handler in statement.handlers:
        inner = _all_defining(handler.body) or [ast.Pass()]
        new = ast.ExceptHandler(handler.type, handler.name, inner)
        handlers.append(ast.copy_location(new, handler))
    other, final = _all_defining(statement.orelse), _all_defining(statement.finalbody)
    if not handlers and not final:
        final = [ast.Pass()]
    kept = ast.Try(body, handlers, other, final)
    return ast.fix_missing_locations(ast.copy_location(kept, statement))


def _all_defining(statements: Sequence[ast.stmt]) -> list[ast.stmt]:
    return [kept for s in statements if (kept := defining(s)) is not None]


def _is_main(statement: ast.If) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "__name__" for n in ast.walk(statement.test))


def _is_constant(value: ast.expr) -> bool:
    """Whether working it out is quick and does nothing else: numbers, arrays of NumPy's, lambdas."""
    if isinstance(value, ast.Lambda):
        return True
    if not isinstance(value, _PLAIN):
        return False
    if isinstance(value, ast.Call) and not _is_harmless(value.func):
        return False
    for child in ast.iter_child_nodes(value):
        inner = child.value if isinstance(child, ast.keyword) else child
        if isinstance(inner, ast.comprehension):
            if not all(map(_is_constant, (inner.iter, *inner.ifs))):
                return False
        elif isinstance(inner, ast.expr) and not _is_constant(inner):
            return False
    return True


def _is_harmless(function: ast.expr) -> bool:
    if isinstance(function, ast.Name):
        return function.id in _BUILTIN
    names = []
    while isinstance(function, ast.Attribute):
        names.append(function.attr)
        function = function.value
    root = function.id if isinstance(function, ast.Name) else ""
    return root in _MODULES and not _FILES & set(names)


def bound_names(statement: ast.stmt) -> set[str]:
    """The names that a statement would have bound at the top level."""
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names.update((a.asname or a.name).split(".")[0] for a in node.names)
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
    return names
