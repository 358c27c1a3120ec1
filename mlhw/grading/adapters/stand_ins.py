"""Modules that draw nothing: plots and notebooks' displays have no part in a derivation.

Part of the program that runs beside somebody's file: the standard library alone.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

STOOD_IN = ("matplotlib", "mpl_toolkits", "pylab", "seaborn", "plotly", "IPython", "google.colab")
"""Loading matplotlib takes a second, and with an empty home as long again for its fonts."""

# What ``from pylab import *`` brings beside NumPy's names.
_DRAWING = (
    "axes", "axis", "bar", "barh", "boxplot", "cla", "clf", "close", "cm", "colorbar", "contour",
    "contourf", "draw", "errorbar", "figure", "gca", "gcf", "grid", "hist", "imshow", "legend",
    "loglog", "pause", "pcolormesh", "plot", "plt", "savefig", "scatter", "semilogx", "semilogy",
    "show", "style", "subplot", "subplots", "subplots_adjust", "text", "tight_layout", "title",
    "xlabel", "xlim", "xticks", "ylabel", "ylim", "yticks",
)  # fmt: skip


class StandIn(ModuleType):
    """Has every attribute, may be called, indexed and entered, and does nothing."""

    __path__: list[str] = []

    def __init__(self, name: str, *_: Any, **__: Any) -> None:
        super().__init__(str(name))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        found = StandIn(f"{self.__name__}.{name}")
        self.__dict__[name] = found
        return found

    def __call__(self, *given: Any, **named: Any) -> Any:
        kind = self.__name__.rpartition(".")[2]
        if kind == "subplots":
            return StandIn("figure"), _axes(*given, **named)
        if kind in ("plot", "hist", "subplot_mosaic"):
            # line, = plot(…); counts, edges, bars = hist(…)
            return tuple(StandIn(kind) for _ in range({"plot": 1, "hist": 3}.get(kind, 2)))
        if kind in ("axis", "xlim", "ylim"):
            return (0.0, 1.0) * (2 if kind == "axis" else 1)
        return StandIn("drawn")

    def __getitem__(self, key: Any) -> Any:
        return StandIn("item")

    def __setitem__(self, key: Any, value: Any) -> None:
        pass

    def __iter__(self) -> Any:
        return iter(())

    def __len__(self) -> int:
        return 0

    def __bool__(self) -> bool:
        return True

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __mro_entries__(self, bases: Any) -> tuple[type, ...]:
        return ()


def _axes(nrows: int = 1, ncols: int = 1, *_: Any, squeeze: bool = True, **__: Any) -> Any:
    import numpy as np

    found = np.empty((nrows, ncols), dtype=object)
    for at in np.ndindex(nrows, ncols):
        found[at] = StandIn("axes")
    if not squeeze:
        return found
    return found[0, 0] if found.size == 1 else found.squeeze()


class StandInFinder(MetaPathFinder, Loader):
    """Finds a stand-in for each of ``names`` and whatever is below it."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._names = names

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        if any(f"{fullname}.".startswith(f"{name}.") for name in self._names):
            return ModuleSpec(fullname, self, is_package=True)
        return None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return StandIn(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        if module.__name__.rpartition(".")[2] not in ("pylab", "pyplot"):
            return
        names = {name: getattr(module, name) for name in _DRAWING}
        if module.__name__.endswith("pylab"):
            import numpy as np

            numbers = {name: getattr(np, name) for name in np.__all__}
            names = {**numbers, "np": np, "numpy": np, **names}
        module.__dict__.update(names, __all__=list(names))


def install_stand_ins() -> None:
    sys.meta_path.insert(0, StandInFinder(STOOD_IN))
    # Google's own packages, where there are any, are found first.
    sys.meta_path.append(StandInFinder(("google",)))
