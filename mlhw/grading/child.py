"""The program that runs somebody's file: started alone, knows no expected value, returns numbers.

It is run as ``python -I -B child.py FD LIFELINE`` with an empty environment. On stdin come one line of
JSON and the arrays as raw float64; on FD go messages, each one line of JSON and, for a result, its arrays.
On Linux the file runs in a process below this one, which stays to clear away what the file started.
Whoever started it holds the other end of the pipe LIFELINE; when that end is closed, all of it ends.
Nothing of mlhw is imported, so that it starts fast and holds nothing that would be worth reading.
"""

from __future__ import annotations

import _thread
import contextlib
import json
import math
import os
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any


def answer_calls() -> None:
    # One thread: faster for small arrays, and the memory limit is not spent on idle buffers.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    import numpy as np

    os.environ.clear()
    channel = int(sys.argv[1])
    request = json.loads(sys.stdin.buffer.readline())
    calls = [
        [np.frombuffer(sys.stdin.buffer.read(8 * math.prod(s))).reshape(s).copy() for s in shapes]
        for shapes in request["calls"]
    ]
    _limit(request["memory"], request["seconds"])
    silence = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(silence, stream)
    _send(channel, {"ready": True})
    try:
        function = _load(request["path"], request["function"])
        for number, (*weights, x, t) in enumerate(calls):
            target: Any = t
            if request["labels"]:
                target = t.astype(int) if t.ndim else int(t)
            try:
                message, data = _result(function(weights, x, target), request["most"])
            except Exception as error:
                if number < request["required"]:
                    raise
                # A function for one input need not take a batch.
                message, data = {"refused": _say(error)}, b""
            _send(channel, message, data)
    except BaseException as error:
        _send(channel, {"error": _say(error), "line": _line(error, request["path"])})
    _send(channel, {"done": True})


# ------------------------------------------------------------------------------------- clearing away

_SET_CHILD_SUBREAPER = 36  # prctl(2)


def watched() -> None:
    """Fork, and return in the new process only, which then runs the file.

    The calling process waits for it, kills whatever the file has started, and ends with the same exit
    code or signal. It is a subreaper: a process below it whose parent ends becomes its child, even
    one with a session of its own, so it finds them all. SIGTERM makes it kill them at once.
    """
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # whoever started us may have ignored it
    signals = {signal.SIGTERM, signal.SIGCHLD}
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    worker = os.fork()
    if not worker:
        os.close(int(sys.argv[2]))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        return
    os.close(int(sys.argv[1]))
    end_with_starter(lambda: os.kill(os.getpid(), signal.SIGTERM))
    while signal.sigwait(signals) == signal.SIGCHLD:
        if os.waitid(os.P_PID, worker, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            break
    os.kill(worker, signal.SIGKILL)  # nothing to one that has ended
    code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
    while children := _children():
        for child in children:
            with contextlib.suppress(OSError):
                os.kill(child, signal.SIGKILL)
        os.waitpid(-1, 0)
    if code < 0:
        _limit_core()
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        os.kill(os.getpid(), -code)
    os._exit(code)


def end_with_starter(end: Callable[[], None]) -> None:
    """Call ``end``, in a thread, when whoever started this process has ended."""

    def watch() -> None:
        while os.read(int(sys.argv[2]), 1):
            pass
        end()

    _thread.start_new_thread(watch, ())


def _children() -> list[int]:
    found = []
    for name in filter(str.isdecimal, os.listdir("/proc")):
        with contextlib.suppress(OSError), open(f"/proc/{name}/stat", "rb") as file:
            # The name of a program, in brackets, may hold anything.
            if int(file.read().rpartition(b")")[2].split()[1]) == os.getpid():
                found.append(int(name))
    return found


def _limit_core() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


# ------------------------------------------------------------------------------------- the file


def _load(path: str, name: str) -> Any:
    from importlib.machinery import SourceFileLoader
    from importlib.util import module_from_spec, spec_from_loader

    # At the end, so that a neighbour called random.py does not stand in for Python's.
    sys.path.append(os.path.dirname(path))
    sys.argv = [path]
    # What is checked is their derivation, not ours.
    sys.modules["mlhw"] = None  # type: ignore[assignment]
    loader = SourceFileLoader("implementation", path)
    spec = spec_from_loader("implementation", loader)
    assert spec is not None
    module = module_from_spec(spec)
    sys.modules["implementation"] = module
    loader.exec_module(module)
    function = getattr(module, name, None)
    if not callable(function):
        raise TypeError(
            f"{name} is no function" if hasattr(module, name) else f"no function {name}"
        )
    return function


def _result(returned: Any, most: int) -> tuple[dict[str, Any], bytes]:
    """What a function returned as a message and its numbers; TypeError for what is no answer."""
    gradients, deltas = returned, None
    if isinstance(returned, dict):
        if "gradients" not in returned:
            keys = ", ".join(map(str, list(returned)[:5]))
            raise TypeError(f"the dict needs the key 'gradients' (it has: {keys})")
        gradients, deltas = returned["gradients"], returned.get("deltas")
    arrays = _arrays(gradients, "gradients")
    more = [] if deltas is None else _arrays(deltas, "deltas")
    message: dict[str, Any] = {
        "gradients": [array.shape for array in arrays],
        "deltas": None if deltas is None else [array.shape for array in more],
    }
    # Shapes that cannot be right are judged without the numbers.
    message["sent"] = sum(array.size for array in [*arrays, *more]) <= most
    return message, b"".join(a.tobytes() for a in [*arrays, *more]) if message["sent"] else b""


def _arrays(values: Any, what: str) -> list[Any]:
    import numpy as np

    if not isinstance(values, (list, tuple)):
        raise TypeError(f"{what} must be a list of arrays, not {type(values).__name__}")
    found = []
    for number, value in enumerate(values, start=1):
        if hasattr(value, "detach"):  # a torch tensor
            value = value.detach().cpu().numpy()
        try:
            array = np.asarray(value)
        except Exception as error:
            raise TypeError(f"{what}[{number - 1}] is no array: {error}") from None
        if array.dtype.kind not in "fiub":
            name = type(value).__name__ if array.dtype.kind == "O" else array.dtype.name
            raise TypeError(f"{what}[{number - 1}] must hold numbers, not {name}")
        found.append(np.ascontiguousarray(array, dtype=np.float64))
    return found


def _limit(memory: int, seconds: float) -> None:
    """Limit memory, beyond what is in use now, and the size of files; allow no core dump.

    An alarm ends the process a minute after its time, should nobody else do so.
    """
    import resource

    used = 0
    if os.path.exists("/proc/self/statm"):
        with open("/proc/self/statm") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
    limits = {
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_FSIZE: 16 << 20,
        resource.RLIMIT_AS: used + memory,
    }
    for kind, limit in limits.items():
        try:
            resource.setrlimit(kind, (limit, limit))
        except (ValueError, OSError):  # some systems have no such limit
            continue
    signal.alarm(int(seconds) + 60)


def _send(channel: int, message: dict[str, Any], data: bytes = b"") -> None:
    left = memoryview(json.dumps(message).encode() + b"\n" + data)
    while left:
        left = left[os.write(channel, left) :]


def _say(error: BaseException) -> str:
    """``ZeroDivisionError: division by zero``, one line, whatever its ``__str__`` does."""
    try:
        # A syntax error's own text repeats the place.
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        text = " ".join(text[:2000].split())[:500]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def _line(error: BaseException, path: str) -> int | None:
    """The last line of the file that the error came through."""
    if isinstance(error, SyntaxError) and error.filename == path:
        return error.lineno
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == path]
    return lines[-1] if lines else None


if __name__ == "__main__":
    if sys.platform == "linux":
        watched()
    else:
        end_with_starter(lambda: os.killpg(0, signal.SIGKILL))
    answer_calls()
