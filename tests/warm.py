"""The installed command started many times over from one process that has loaded the libraries already.

Most of a short run's time goes into importing torch, scikit-learn and the like. Run as a program, this
file imports them once, none of mlhw, and forks for each command that it is sent; the child has the folder,
the environment, the streams and the end of a process of its own, and runs the installed script. What such
a start cannot show, a test shows with ``fresh=True``: variables that are read while libraries load, and
runs that have to agree whatever the process (hashes and addresses are shared by all children).
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

PROGRAM = Path(sys.executable).parent / "mlhw"
# Variables that none of the libraries below reads while it loads.
OURS = {"MLHW_RUNS_DIR", "XDG_CACHE_HOME", "PYTEST_CURRENT_TEST", "GITHUB_ACTIONS", "COLUMNS"}
OURS |= {"_MLHW_COMPLETE", "COMP_WORDS", "COMP_CWORD"}
# Of other people alone: what of mlhw a command loads it loads itself, and torchvision in a way of its own.
LIBRARIES = ("torch", "torch._dynamo", "sklearn.datasets", "matplotlib.pyplot")


class WarmStarts:
    """Starts the command from a process that waits with its libraries loaded."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        self._channel = ours
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._variables = _of_libraries(os.environ)

    def knows(self, env: Mapping[str, str]) -> bool:
        """Whether the libraries were loaded under these variables."""
        return _of_libraries(env) == self._variables

    def run(
        self, arguments: list[str], cwd: Path, env: dict[str, str], timeout: float
    ) -> subprocess.CompletedProcess[str]:
        """As ``subprocess.run`` of the command, its output captured as text."""
        out, err = os.pipe(), os.pipe()
        request = {"arguments": arguments, "cwd": str(cwd), "env": env}
        # The length first: a channel of bytes may part a message.
        message = json.dumps(request).encode()
        socket.send_fds(self._channel, [len(message).to_bytes(8)], [out[1], err[1]])
        self._channel.sendall(message)
        os.close(out[1])
        os.close(err[1])
        pid = int(self._answer())
        try:
            shown = _read_both(out[0], err[0], time.monotonic() + timeout)
        except TimeoutError:
            os.kill(pid, signal.SIGKILL)
            self._answer()
            raise subprocess.TimeoutExpired(arguments, timeout) from None
        finally:
            os.close(out[0])
            os.close(err[0])
        code = int(self._answer())
        return subprocess.CompletedProcess(arguments, code, *shown)

    def close(self) -> None:
        self._channel.close()
        self._process.communicate(timeout=60)

    def _answer(self) -> bytes:
        found = self._channel.recv(16)
        assert found, self._process.communicate()[1].decode()
        self._channel.sendall(b"+")  # the next answer only now, so that none is two
        return found


def _of_libraries(env: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if name not in OURS}


def _read_both(out: int, err: int, deadline: float) -> tuple[str, str]:
    """What is written to two pipes until nobody has their other ends any more."""
    parts: dict[int, list[bytes]] = {out: [], err: []}
    with selectors.DefaultSelector() as selector:
        for end in parts:
            selector.register(end, selectors.EVENT_READ)
        while selector.get_map():
            ready = selector.select(deadline - time.monotonic())
            if not ready:
                raise TimeoutError
            for key, _ in ready:
                piece = os.read(key.fd, 1 << 16)
                parts[key.fd].append(piece)
                if not piece:
                    selector.unregister(key.fd)
    first, second = (b"".join(parts[end]).decode().replace("\r\n", "\n") for end in (out, err))
    return first, second


def wait_for_commands(channel: socket.socket) -> None:
    """Fork for each command; returns in the children alone, ready to run the script."""
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    gc.freeze()  # or each child's search for garbage would go through all of it, and copy it
    while True:
        header, fds, _, _ = socket.recv_fds(channel, 8, 2)
        if not header:
            os._exit(0)
        message, length = b"", int.from_bytes(header)
        while len(message) < length:
            message += channel.recv(length - len(message))
        request = json.loads(message)
        pid = os.fork()
        if not pid:
            channel.close()
            become(request, fds)
            return
        for end in fds:
            os.close(end)
        tell(channel, pid)
        tell(channel, os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))


def tell(channel: socket.socket, number: int) -> None:
    channel.sendall(str(number).encode())
    channel.recv(1)


def become(request: dict[str, object], fds: list[int]) -> None:
    """What a new process of the command would find."""
    for target, end in enumerate(fds, 1):
        os.dup2(end, target)
        os.close(end)
    os.environ.clear()
    os.environ.update(request["env"])  # type: ignore[call-overload]
    os.chdir(str(request["cwd"]))
    sys.argv = request["arguments"]  # type: ignore[assignment]
    sys.path[0] = str(PROGRAM.parent)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()  # each process draws its own; random does so by itself


def end(code: object) -> NoReturn:
    """As the interpreter ends, but for taking the libraries down piece by piece, which takes seconds."""
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    status = int(code or 0)
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None and not stream.closed:
                stream.flush()
        except OSError:
            status = 120
    os._exit(status)


if __name__ == "__main__":
    # The folder of this file holds modules of tests.
    sys.path[0] = str(PROGRAM.parent)
    wait_for_commands(socket.socket(fileno=int(sys.argv[1])))
    code: object = 0
    try:
        runpy.run_path(str(PROGRAM), run_name="__main__")
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    end(code)
