"""Runs that are signalled inside places which throw away what a signal's handler raises, or at some time.

    python signalled.py FOLDER '[{"place": "sorting", "entry": 3, "then": "rows", "signum": 15}, …]'
    python signalled.py FOLDER '[{"words": ["sgd-sweep", "-q"], "after": 0.7, "signum": 15}, …]'

Libraries are imported once; each plan runs the whole program in a forked process, in FOLDER/0, FOLDER/1 ….
``place`` is entered again and again, and at its ``entry``-th time the process signals itself. ``then`` is
what the experiment does after it: write rows, compute in silence, return, or raise what C++ makes of a
Python exception. Or ``words`` are a command as it is, with no compiled code kept yet; the signal
comes ``after`` so many seconds (null: never), counted from when the handlers are up. A line of JSON a plan
tells the exit code, the seconds from signal to end, and those that it took in all.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import os
import signal
import sys
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Hit = Callable[[], None]

PATIENCE = 60.0  # seconds that a run goes on which has not noticed anything


def sorting(hit: Hit) -> None:
    """The comparison of C's qsort: ctypes throws its exceptions away."""

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_int), ctypes.POINTER(ctypes.c_int))
    def compare(a: Any, b: Any) -> int:
        hit()
        return int(a[0] - b[0])

    numbers = (ctypes.c_int * 100)(*range(100, 0, -1))
    ctypes.CDLL(None).qsort(numbers, 100, ctypes.sizeof(ctypes.c_int), compare)


def deleting(hit: Hit) -> None:
    class Deleted:
        def __del__(self) -> None:
            hit()

    for _ in range(20):
        Deleted()


def disposing_of_types(hit: Hit) -> None:
    """A class is cleared away by the garbage collector, which calls back."""
    for number in range(20):
        made = type(f"T{number}", (), {})
        kept = weakref.ref(made, lambda _: hit())
        del made
        gc.collect(0)
        del kept


def collecting(hit: Hit) -> None:
    """A callback of the garbage collector."""

    def callback(phase: str, _: Any) -> None:
        hit()

    gc.callbacks.append(callback)
    for _ in range(10):
        gc.collect(0)
    gc.callbacks.remove(callback)


def importing(hit: Hit) -> None:
    """The callback by which importlib forgets the lock of a module that it has imported."""
    for number in range(20):
        Path(f"empty{number}.py").touch()
    sys.path.insert(0, os.getcwd())
    with entered(hit, lambda code: code.co_name == "cb" and "importlib" in code.co_filename):
        for number in range(20):
            __import__(f"empty{number}")
    sys.path.pop(0)


def compiling(hit: Hit) -> None:
    """The callbacks of LLVM while numba compiles."""
    import numba

    def named(code: Any) -> bool:
        return bool(code.co_name.startswith("_raw_object_cache"))

    with entered(hit, named):
        for number in range(3):
            numba.njit(eval(f"lambda x: x + {number}"))(1)


def drawing(hit: Hit) -> None:
    """Any Python that is called while a figure is drawn, a part of it from C++."""
    from mlhw.result import plots

    figure = plots.new_figure()
    axes = figure.subplots()
    axes.plot([0, 1, 2], [0, 1, 0], marker="o")
    axes.fill_between([0, 1, 2], [0, 1, 0])
    axes.set_title("$x^2$")
    with entered(hit, lambda _: True):
        figure.savefig("figure.png")


def entering_from_c(hit: Hit) -> None:
    """Python that matplotlib's C++ calls: what a path holds, while Agg draws it."""
    from matplotlib.path import Path as Drawn

    kept = Drawn.vertices

    def vertices(self: Any) -> Any:
        caller = sys._getframe(1).f_code
        if "draw" in caller.co_name:
            hit()
        return kept.fget(self)  # type: ignore[attr-defined]

    Drawn.vertices = property(vertices, kept.fset)  # type: ignore
    drawing(lambda: None)


def cleaning_up(hit: Hit) -> None:
    """A clean-up of 120 ms that logs, is signalled again as by a closing terminal, and must be whole."""
    try:
        for _ in range(20):
            hit()
    finally:
        with open("clean.txt", "w", buffering=1) as file:
            until = time.monotonic() + 0.12
            while time.monotonic() < until:
                with contextlib.suppress(ValueError):
                    RECORDER.log("cleaning up")
                    raise ValueError
                os.kill(os.getpid(), signal.SIGHUP)
            file.write("whole\n")


def lingering(hit: Hit) -> None:
    """A clean-up of four seconds, in which a second signal comes."""
    try:
        for _ in range(20):
            hit()
    finally:
        time.sleep(0.1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(4)


RECORDER: Any = None
# The end of a pipe that a child closes once its handlers are up.
READY = -1

PLACES: dict[str, Callable[[Hit], None]] = {
    function.__name__: function
    for function in (
        sorting,
        deleting,
        disposing_of_types,
        collecting,
        importing,
        compiling,
        drawing,
        entering_from_c,
        cleaning_up,
        lingering,
    )
}


@contextlib.contextmanager
def entered(hit: Hit, chosen: Callable[[Any], bool]) -> Iterator[None]:
    """Call ``hit`` whenever a Python function is entered whose code is ``chosen``."""
    busy = False

    def profile(frame: Any, event: str, _: Any) -> None:
        nonlocal busy
        if event == "call" and not busy and chosen(frame.f_code):
            busy = True
            try:
                hit()
            finally:
                busy = False

    sys.setprofile(profile)
    try:
        yield
    finally:
        sys.setprofile(None)


def as_it_is(plan: dict[str, Any]) -> int:
    """A command, its compiled functions not there yet."""
    from mlhw.system import machine_code

    kept = Path("compiled").absolute()
    machine_code.folder = lambda: kept
    return program(plan["words"])


def program(words: list[str]) -> int:
    """The whole program; its exit code."""
    from mlhw.commands import main
    from mlhw.system import early

    sys.argv = ["mlhw", *words, "--no-plots", "--runs-dir", "runs"]
    early.install()
    os.close(READY)
    try:
        main.script()
    except SystemExit as end:
        return int(end.code or 0)
    raise AssertionError("script() returned")


def with_a_place(plan: dict[str, Any]) -> int:
    """The program with an experiment that signals itself in a place."""
    from mlhw.experiments.lr_sweep import experiment
    from mlhw.result.result import Result

    left = plan["entry"]

    def hit() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            Path("signalled").write_text(repr(time.monotonic()))
            os.kill(os.getpid(), plan["signum"])

    def run(config: Any, recorder: Any) -> Any:
        global RECORDER
        RECORDER = recorder
        recorder.begin(config)
        table = recorder.table("metrics", ["row", "text"])
        for row in range(5):
            table.append(row, "x" * 20)
        PLACES[plan["place"]](hit)
        Path("passed").touch()
        until = time.monotonic() + PATIENCE
        while plan["then"] in ("rows", "silence") and time.monotonic() < until:
            if plan["then"] == "rows":
                table.append(row := row + 1, "x" * 20)
            sum(range(1000))
        if plan["then"] == "raises":
            raise RuntimeError("Error evaluating objects: from C++")
        return Result("lr-sweep", {})

    experiment.run = run
    return program(["lr-sweep", "-q"])


def forked(plan: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run one plan in a process of its own; ``seconds`` None where no signal was sent."""
    global READY
    folder.mkdir(parents=True)
    ready, READY = os.pipe()
    child = os.fork()
    if not child:
        os.chdir(folder)
        for name, descriptor in (("out.txt", 1), ("err.txt", 2)):
            os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT), descriptor)
        code = 99
        try:
            code = as_it_is(plan) if "words" in plan else with_a_place(plan)
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(READY)
    os.read(ready, 1)  # before its handlers are up a process has Python's own
    os.close(ready)
    began = time.monotonic()
    sent = send_after(child, plan)
    status = os.waitpid(child, 0)[1]
    ended = time.monotonic()
    signalled = folder / "signalled"
    if signalled.exists():
        sent = float(signalled.read_text())
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": None if sent is None else ended - sent,
        "all": ended - began,
    }


def send_after(child: int, plan: dict[str, Any]) -> float | None:
    """Signal a process when it is time; the time, None if it has ended before or none was to be sent."""
    if plan.get("after") is None:
        return None
    until = time.monotonic() + plan["after"]
    while time.monotonic() < until:
        if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return None
        time.sleep(0.005)
    os.kill(child, plan["signum"])
    return time.monotonic()


if __name__ == "__main__":
    import matplotlib.figure  # noqa: F401
    import numba  # noqa: F401

    import mlhw.commands.run
    import mlhw.runs.execute

    PLANS = json.loads(sys.argv[2])
    if any("place" in plan for plan in PLANS):
        import mlhw.experiments.lr_sweep.experiment  # noqa: F401
    for number, plan in enumerate(PLANS):
        print(json.dumps(forked(plan, Path(sys.argv[1]) / str(number))), flush=True)
