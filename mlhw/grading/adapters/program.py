"""The program that runs beside somebody's file: it loads the file, calls it, and takes apart what returns.

NumPy and the standard library alone; ``standalone.source()`` is its text with all that it imports from here.
"""

from __future__ import annotations

import difflib
import inspect
import os
import sys
import threading
import time
from collections.abc import Callable
from types import ModuleType
from typing import Any

from mlhw.grading.adapters.failures import ADAPTER, in_one_line, named, theirs
from mlhw.grading.adapters.forms import Dismantled
from mlhw.grading.adapters.loading import Loaded, StillImporting, load, surround
from mlhw.grading.adapters.stand_ins import install_stand_ins

Send = Callable[[dict[str, Any]], None]
Answer = Callable[[list[Any]], tuple[Any, list[Any] | None]]

NEVER = 1e6
_path = [""]


def load_and_call(path: str, options: dict[str, Any], send: Send) -> Answer:
    """Load the file at ``path`` and return what answers one call: arrays in, form and arrays out.

    Parameters
    ----------
    options
        ``function``; ``loading`` and ``import_seconds``; ``call_seconds``; ``layouts``: the arguments of
        each call, the last for all that follow, an index or a list of such for each argument;
        ``labels``: None, or the index of the targets that are to be integers; ``adapter``: None, or its
        ``name`` and ``text``; ``most``: so many numbers at most are returned.
    send
        Takes ``{"note": sentence}`` and ``{"phase": words, "seconds": s}``: what is going on from now on, for
        that long.
    """
    _path[0] = path
    limit = options["import_seconds"]
    send({"phase": f"still importing after {limit:g} s", "seconds": limit + 1})
    install_stand_ins()
    surround(path)
    try:
        loaded = load(path, options["loading"], options["import_seconds"], send)
    except StillImporting as waiting:
        send({"phase": str(waiting), "seconds": 0.0})
        time.sleep(NEVER)
    send({"phase": "", "seconds": options["call_seconds"]})
    _tell_the_line(path, options["call_seconds"], send)
    function = _function(loaded, options, path)
    layouts, number = options["layouts"], -1

    def answer(arrays: list[Any]) -> tuple[Any, list[Any] | None]:
        nonlocal number
        number += 1
        arguments = _arguments(arrays, layouts[min(number, len(layouts) - 1)], options["labels"])
        try:
            returned = Dismantled(function(*arguments))
        except NameError as error:
            place = loaded.skipped.get(error.name or "")
            if place is None:
                raise
            raise NameError(
                f"{error}; it is made in {place}, which is not run", name=error.name
            ).with_traceback(error.__traceback__) from None
        sent = sum(array.size for array in returned.arrays) <= options["most"]
        shapes = [list(array.shape) for array in returned.arrays]
        return {"form": returned.form, "shapes": shapes}, returned.arrays if sent else None

    return answer


def failure_of(error: BaseException) -> dict[str, str]:
    """One line, as ``error``, for what ``load_and_call`` or an answer raised."""
    return {"error": in_one_line(error, os.path.dirname(_path[0]), _path[0])}


def _arguments(arrays: list[Any], layout: list[Any], labels: int | None) -> list[Any]:
    given: list[Any] = list(arrays)
    if labels is not None:
        target = given[labels]
        given[labels] = target.astype(int) if target.ndim else int(target)
    return [[given[i] for i in item] if isinstance(item, list) else given[item] for item in layout]


# ------------------------------------------------------------------------------------- what is called


def _function(loaded: Loaded, options: dict[str, Any], path: str) -> Callable[..., Any]:
    if options["adapter"] is not None:
        return _adapted(loaded.module, options["adapter"])
    name: str = options["function"]
    owner: Any = loaded.module
    *outer, last = name.split(".")
    for part in outer:
        owner = getattr(owner, part, None)
    if isinstance(owner, type) and last in dir(owner):
        return _method(owner, last)
    found = getattr(owner, last, None)
    if callable(found):
        return found  # type: ignore[no-any-return]
    if found is not None:
        raise TypeError(f"{name} is no function")
    owners = [c for c in _own_classes(loaded.module) if last in vars(c)]
    if len(owners) == 1 and not outer:
        return _method(owners[0], last)
    raise TypeError(f"no function {name}{_instead(loaded, name, path)}")


def _own_classes(module: ModuleType) -> list[type]:
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == "implementation"
    ]


def _method(owner: type, name: str) -> Callable[..., Any]:
    """The method of an instance; TypeError where none can be made without knowing more."""
    if isinstance(inspect.getattr_static(owner, name), (staticmethod, classmethod)):
        return getattr(owner, name)  # type: ignore[no-any-return]
    try:
        needed = [
            p.name
            for p in inspect.signature(owner).parameters.values()
            if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        ]
    except (TypeError, ValueError):
        needed = []
    if needed:
        raise TypeError(
            f"{name} is a method of the class {owner.__name__}, which is made with "
            f"({', '.join(needed)}): write an adapter, or take a preset (--adapter)"
        )
    return getattr(owner(), name)  # type: ignore[no-any-return]


def _instead(loaded: Loaded, name: str, path: str) -> str:
    if name in loaded.skipped:
        return f": it is made in {loaded.skipped[name]}, which is not run"
    names = [
        n
        for n, value in vars(loaded.module).items()
        if inspect.isfunction(value) and theirs(value.__code__.co_filename, os.path.dirname(path))
    ]
    near = difflib.get_close_matches(name, names, 1)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; there are {', '.join(names[:6])}" if names else "; it defines none"


def _adapted(module: ModuleType, adapter: dict[str, str]) -> Callable[..., Any]:
    place = ModuleType("adapter")
    sys.modules["adapter"] = place
    label = f"{ADAPTER}{adapter['name']}"
    exec(compile(adapter["text"], label, "exec", dont_inherit=True), place.__dict__)
    adapt = getattr(place, "adapt", None)
    if not callable(adapt):
        raise TypeError(f"the {label} has no function adapt(module, weights, x, t)")

    def call(weights: Any, x: Any, t: Any) -> Any:
        return adapt(module, weights, x, t)

    return call


def _tell_the_line(path: str, seconds: float, send: Send) -> None:
    """Shortly before the time is up, say where the file is."""
    folder, main = os.path.dirname(path), threading.main_thread().ident
    started = time.monotonic()

    def look() -> None:
        time.sleep(0.9 * seconds)
        frame = sys._current_frames().get(main or 0)
        while frame is not None and not theirs(frame.f_code.co_filename, folder):
            frame = frame.f_back
        if frame is not None:
            where = named(frame.f_code.co_filename, frame.f_lineno, folder, path)
            left = max(0.0, seconds - (time.monotonic() - started))
            send({"phase": where, "seconds": left})

    threading.Thread(target=look, daemon=True).start()
