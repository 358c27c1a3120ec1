"""Runs of the program by the hundreds: each in a process forked from one that has everything imported.

The processes are watched: what they cost, how they end, and which files they make, change or remove
outside their own folder; a temporary folder that is gone when they end is their own too.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT
from tests.faults.outside import lasting, touched

SECONDS, MEGABYTES = 2.0, 500
"""What an input that is refused may take of the processor and of memory."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: ``code`` (negative: killed by that signal), texts, costs, strange files."""

    code: int
    out: str
    err: str
    cpu: float
    megabytes: float
    outside: list[str]

    @property
    def unclean(self) -> str:
        """What is wrong with any end whatever: a code that is not documented, a traceback, a file outside."""
        if self.code not in (0, 1, 2, 3):
            return f"exit code {self.code}: {self.err[-300:]}"
        if "Traceback" in self.err or "internal error" in self.err:
            return self.err[-600:]
        return f"touched {self.outside[:3]}" if self.outside else ""


class Forks:
    """Runs commands of the program, one after the other, in folders of their own."""

    def __init__(self, modules: Sequence[str]) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", __spec__.name, *modules],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(
        self, folder: Path, *arguments: str, stdin: str = os.devnull, seconds: float = 60
    ) -> Ended:
        """``mlhw ARGUMENTS`` in ``folder``; killed after so many seconds of the processor."""
        request = {"folder": str(folder), "argv": arguments, "stdin": stdin, "seconds": seconds}
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()
        return Ended(**json.loads(self._server.stdout.readline()))

    def close(self) -> None:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(timeout=30)
        self._server.stdout.close()


@contextmanager
def forks(*modules: str) -> Iterator[Forks]:
    """A server with these modules of the program imported beside the command line's."""
    server = Forks(modules)
    try:
        yield server
    finally:
        server.close()


# ------------------------------------------------------------------------------------- the server


def _watch(folder: str, told: int) -> None:
    """Report files outside ``folder`` that are made, changed or removed, and programs that are started."""
    places = (os.path.realpath(folder), "/dev/", "/proc/self/")

    def hook(event: str, args: tuple[Any, ...]) -> None:
        for line in touched(event, args, folder, places):
            os.write(told, line.encode("utf-8", "replace") + b"\n")

    sys.addaudithook(hook)


def _child(request: dict[str, Any], told: int) -> None:
    import resource

    folder = request["folder"]
    os.chdir(folder)
    for descriptor, name, flags in (
        (0, request["stdin"], os.O_RDONLY),
        (1, f"{folder}.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, f"{folder}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(name, flags, 0o600), descriptor)
    seconds = int(request["seconds"]) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.alarm(20 * seconds)
    for name in ("HOME", "XDG_CACHE_HOME", "MPLCONFIGDIR", "TMPDIR"):
        os.environ[name] = folder
    os.environ["BROWSER"] = "true"
    _watch(folder, told)
    from mlhw.commands.main import script

    sys.argv = ["mlhw", *request["argv"]]
    script()


def _run(request: dict[str, Any]) -> dict[str, Any]:
    reading, told = os.pipe()
    pid = os.fork()
    if not pid:
        code = 70  # of no documented end
        try:
            os.close(reading)
            _child(request, told)
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 70
        except BaseException:
            import traceback

            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    os.close(told)
    with os.fdopen(reading, "rb") as file:
        outside = file.read().decode(errors="replace").splitlines()
    _, status, usage = os.wait4(pid, 0)
    texts = [
        Path(f"{request['folder']}{end}").read_bytes().decode(errors="replace")
        for end in (".out", ".err")
    ]
    return {
        "code": os.waitstatus_to_exitcode(status),
        "out": texts[0],
        "err": texts[1],
        "cpu": usage.ru_utime + usage.ru_stime,
        "megabytes": usage.ru_maxrss / 1024,
        "outside": lasting(outside),
    }


def _serve(modules: Sequence[str]) -> None:
    import importlib

    for name in ("mlhw.commands.main", "mlhw.commands.run", "mlhw.commands.data", *modules):
        importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(_run(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1:])
