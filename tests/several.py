"""Several processes of the program at once, as torchrun starts them, forked from one that has it imported."""

from __future__ import annotations

import importlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import ROOT


@dataclass(frozen=True)
class Together:
    """How processes ended: exit codes (negative: killed by that signal) and texts, in the order of ranks."""

    codes: list[int]
    out: list[str]
    err: list[str]


class Several:
    """Starts ``mlhw ARGUMENTS`` in so many processes at once."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, "-m", __spec__.name],
            cwd=ROOT,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._folder = Path()
        self.pids: list[int] = []

    def start(self, folder: Path, world: int, *arguments: str, function: str = "") -> list[int]:
        """The processes' ids; they work in ``folder``. With one there are no variables of torchrun.

        ``function``, ``module:name``, is called with the arguments instead.
        """
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        request = {"folder": str(folder), "world": world, "argv": arguments, "port": port}
        self._folder = folder
        self._ask(request | {"function": function})
        self.pids = self._answer()
        return self.pids

    def ended(self) -> Together:
        """Wait for what was started."""
        codes, self.pids = self._answer(), []
        texts = [
            [(self._folder / f"{rank}.{end}").read_text() for rank in range(len(codes))]
            for end in ("out", "err")
        ]
        return Together(codes, *texts)

    def run(self, folder: Path, world: int, *arguments: str, function: str = "") -> Together:
        self.start(folder, world, *arguments, function=function)
        return self.ended()

    def close(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.close()
        self._server.wait(timeout=60)
        self._server.stdout.close()

    def _ask(self, request: dict[str, Any]) -> None:
        assert self._server.stdin is not None
        self._server.stdin.write(json.dumps(request) + "\n")
        self._server.stdin.flush()

    def _answer(self) -> list[int]:
        assert self._server.stdout is not None
        found: list[int] = json.loads(self._server.stdout.readline())
        return found


@contextmanager
def several() -> Iterator[Several]:
    server = Several()
    try:
        yield server
    finally:
        server.close()


# ------------------------------------------------------------------------------------- the server


def _child(request: dict[str, Any], rank: int) -> None:
    folder = request["folder"]
    os.chdir(folder)
    for descriptor, name, flags in (
        (0, os.devnull, os.O_RDONLY),
        (1, f"{rank}.out", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
        (2, f"{rank}.err", os.O_WRONLY | os.O_CREAT | os.O_TRUNC),
    ):
        os.dup2(os.open(name, flags, 0o600), descriptor)
    signal.alarm(300)
    if request["world"] > 1:
        os.environ |= {
            "RANK": str(rank),
            "WORLD_SIZE": str(request["world"]),
            "LOCAL_RANK": str(rank),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(request["port"]),
        }
    if request["function"]:
        module, _, name = request["function"].partition(":")
        getattr(importlib.import_module(module), name)(*request["argv"])
        return
    from mlhw.commands.main import script

    sys.argv = ["mlhw", *request["argv"]]
    script()


def _fork(request: dict[str, Any], rank: int) -> int:
    pid = os.fork()
    if pid:
        return pid
    code = 70  # of no documented end
    try:
        _child(request, rank)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else code
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve(modules: Sequence[str]) -> None:
    for name in modules:
        importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        pids = [_fork(request, rank) for rank in range(request["world"])]
        print(json.dumps(pids), flush=True)
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        print(json.dumps(codes), flush=True)


if __name__ == "__main__":
    _serve(
        (
            "mlhw.commands.main",
            "mlhw.commands.run",
            "mlhw.experiments.finetune.experiment",
            "mlhw.experiments.finetune.figures",
            "mlhw.vision.training.session",
            "torch.distributed",
        )
    )
