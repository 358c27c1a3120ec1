"""Somebody's file becomes a module: run whole, or its definitions alone.

CodePart of the program that runs beside somebody's file: the standard library alone.
"""

from __future__ import annotations
import __future__

import _thread
import ast
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from types import FrameType, ModuleType
from typing import Any, Literal, NamedTuple

from mlhw.grading.adapters.definitions import bound_names, defining
from mlhw.grading.adapters.failures import INPUT, Waiting, in_one_line, named, theirs
from mlhw.grading.adapters.sources import CodePart, source_of

How = Literal["auto", "whole", "definitions"]
Send = Callable[[dict[str, Any]], None]


class StillImporting(Exception):
    """A file was not loaded in its time; the text says where it was."""


class Loaded(NamedTuple):
    """A module, and the names that were not made because the file was not run whole, each with its place."""

    module: ModuleType
    skipped: dict[str, str]


def load(path: str, how: How, seconds: float, send: Send) -> Loaded:
    """Run the file, as ``how`` says; for ``auto`` from what fails on its definitions alone.

    A file that is still running after ``seconds`` is interrupted. In a loop or a function of its own it
    is taken to train something, and treated like one that fails; elsewhere it is StillImporting.
    """
    module = ModuleType("implementation")
    module.__file__ = path
    module.__dict__["get_ipython"] = module.__dict__["display"] = lambda *_, **__: None
    sys.modules["implementation"] = module
    run = _Run(module, path, how, seconds, send)
    with Watch(seconds, run.interrupted_at) as watch:
        finder = OwnModules(os.path.dirname(path), lambda other, where: run.other(other, where))
        sys.meta_path[:] = [finder, *sys.meta_path, finder.last]
        run.all(watch)
    return Loaded(module, run.skipped)


def _future(parts: list[CodePart]) -> int:
    """What ``from __future__ import …`` asks of the compiler: statements are compiled one by one."""
    found = 0
    for part in parts:
        for statement in part.tree.body:
            if isinstance(statement, ast.ImportFrom) and statement.module == "__future__":
                for alias in statement.names:
                    feature = getattr(__future__, alias.name, None)
                    found |= feature.compiler_flag if feature else 0
    return found


class _Run:
    """Statement after statement of one file; from the first that fails on definitions only."""

    def __init__(self, module: ModuleType, path: str, how: How, seconds: float, send: Send) -> None:
        self.module, self.path, self.how = module, path, how
        self.seconds, self.send = seconds, send
        self.folder = os.path.dirname(path)
        self.main = path
        self.definitions_only = how == "definitions"
        self.skipped: dict[str, str] = {}
        self.now: ast.stmt = ast.Pass()
        self.name = path

    def all(self, watch: Watch) -> None:
        """Run the whole file."""
        self.watch = watch
        source = source_of(self.path)
        for note in source.notes:
            self.send({"note": note})
        flags = _future(source.parts)
        for part in source.parts:
            for statement in part.tree.body:
                self.now, self.name = statement, part.name
                self._statement(statement, flags, watch)

    def other(self, module: ModuleType, path: str) -> None:
        """Run another file of the submission, which this one imports, in the same way."""
        run = _Run(module, path, self.how, self.seconds, self.send)
        run.folder, run.main = self.folder, self.main
        run.all(self.watch)

    def _statement(self, statement: ast.stmt, flags: int, watch: Watch) -> None:
        wanted = defining(statement) if self.definitions_only else statement
        if wanted is None:
            self._skip(statement)
            return
        try:
            self._run(wanted, flags)
        except Waiting:
            where = watch.where
            if self.how == "whole" or not watch.training:
                raise StillImporting(f"still importing after {self.seconds:g} s, {where}") from None
            self._fall_back(statement, f"still running after {self.seconds:g} s, {where}")
            words = f"still importing after {2 * self.seconds:g} s"
            self.send({"phase": words, "seconds": self.seconds + 1})
            watch.again()
        except StillImporting:
            raise
        except BaseException as error:
            # Without what it imports nothing of the rest would do.
            if self.how == "whole" or isinstance(wanted, (ast.Import, ast.ImportFrom)):
                raise
            if self.definitions_only:
                self._skip(statement)
            else:
                self._fall_back(statement, in_one_line(error, self.folder, self.main))

    def _run(self, statement: ast.stmt, flags: int) -> None:
        tree = ast.Module([statement], [])
        code = compile(tree, self.name, "exec", flags=flags, dont_inherit=True)
        exec(code, self.module.__dict__)

    def _skip(self, statement: ast.stmt) -> None:
        place = named(self.name, statement.lineno, self.folder, self.main)
        for bound in bound_names(statement):
            self.skipped.setdefault(bound, place)

    def _fall_back(self, statement: ast.stmt, why: str) -> None:
        self._skip(statement)
        if not self.definitions_only:
            rest = "of the rest its definitions alone are taken"
            file = "the file" if self.path == self.main else os.path.relpath(self.path, self.folder)
            self.send({"note": f"running {file} failed: {why}; {rest}"})
        self.definitions_only = True

    def interrupted_at(self, frame: FrameType) -> tuple[str, bool]:
        """Where the file is, and whether in a loop or a function of its own."""
        own = [f for f in _outwards(frame) if theirs(f.f_code.co_filename, self.folder)]
        if not own:
            return named(self.name, self.now.lineno, self.folder, self.main), False
        where = named(own[0].f_code.co_filename, own[0].f_lineno, self.folder, self.main)
        line = own[-1].f_lineno
        loops = [n for n in ast.walk(self.now) if isinstance(n, (ast.For, ast.While))]
        in_loop = any(n.lineno <= line <= (n.end_lineno or line) for n in loops)
        return where, in_loop or len(own) > 1


def _outwards(frame: FrameType | None) -> Iterator[FrameType]:
    while frame is not None:
        yield frame
        frame = frame.f_back


class Watch:
    """Interrupts the main thread with ``Waiting`` when it has taken too long, again until it is heard.

    A signal does it: one that sleeps or reads is interrupted too. ``look`` says of the main thread's frame
    where it is and whether it trains.
    """

    def __init__(self, seconds: float, look: Callable[[FrameType], tuple[str, bool]]) -> None:
        self._look, self._seconds = look, seconds
        self.where, self.training = "", False
        self._ended = False

    def __enter__(self) -> Watch:
        signal.signal(signal.SIGUSR1, self._raise)
        self.again()
        _thread.start_new_thread(self._wait, (threading.main_thread().ident,))
        return self

    def again(self) -> None:
        """Give what follows a time of its own."""
        self._deadline = time.monotonic() + self._seconds

    def __exit__(self, *_: object) -> None:
        self._ended = True
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)

    def _wait(self, main: int | None) -> None:
        assert main is not None
        while not self._ended:
            time.sleep(min(0.2, max(0.02, self._deadline - time.monotonic())))
            if time.monotonic() >= self._deadline and not self._ended:
                signal.pthread_kill(main, signal.SIGUSR1)

    def _raise(self, _: int, frame: FrameType | None) -> None:
        if self._ended or frame is None or time.monotonic() < self._deadline:
            return
        self.where, self.training = self._look(frame)
        raise Waiting


# ------------------------------------------------------------------------------------- its other files


class OwnModules(MetaPathFinder, Loader):
    """Finds the submission's other modules, and has ``run(module, path)`` run them.

    Below its packages it stands in front of Python's own finders; for the rest ``last`` stands behind them,
    so that a neighbour called random.py does not stand in for Python's.
    """

    def __init__(
        self, folder: str, run: Callable[[ModuleType, str], None], last: bool = False
    ) -> None:
        self._folder, self._run, self._last = folder, run, last
        if not last:
            self.last = OwnModules(folder, run, last=True)

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        where = list(path or []) or ([self._folder] if self._last else [])
        if not where or not all(str(w).startswith(self._folder) for w in where):
            return None
        spec = PathFinder.find_spec(fullname, where)
        if spec is not None and isinstance(spec.loader, SourceFileLoader):
            spec.loader = self
        return spec

    def create_module(self, spec: ModuleSpec) -> None:
        return None

    def exec_module(self, module: ModuleType) -> None:
        assert module.__spec__ is not None
        self._run(module, str(module.__spec__.origin))


# ------------------------------------------------------------------------------------- surroundings


def surround(path: str) -> None:
    """What a file finds around it: nobody to ask, none of mlhw, a folder that it may write in."""
    import builtins
    import tempfile

    folder = os.path.dirname(path)
    sys.argv = [path]
    # What is checked is their derivation, not ours.
    sys.modules["mlhw"] = None  # type: ignore[assignment]
    tempfile.tempdir = os.getcwd()

    def ask(*_: Any) -> str:
        raise EOFError(INPUT)

    builtins.input = ask
    homes = tuple({os.path.realpath(folder), os.path.realpath(os.getcwd())})
    sys.addaudithook(lambda event, given: _guard(event, given, homes))


_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def _guard(event: str, given: tuple[Any, ...], homes: tuple[str, ...]) -> None:
    """Refuse writing elsewhere, in words; what keeps somebody from it who means to is the isolation."""
    if event != "open" or not isinstance(given[0], (str, bytes)):
        return
    mode, flags = given[1], given[2]
    writes = isinstance(mode, str) and bool(set(mode) & set("wax+"))
    if not writes and not (mode is None and isinstance(flags, int) and flags & _WRITING):
        return
    path = os.path.realpath(os.fsdecode(given[0]))
    if not path.startswith((*(f"{home}{os.sep}" for home in homes), "/dev/", "/proc/")):
        raise PermissionError(f"a file may be written in its own folder only: {path}")
