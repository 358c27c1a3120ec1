"""A warm process: Python and NumPy, started once, in which each submission is a fork."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STARTUP = 60.0
"""Seconds that Python and NumPy may take to load."""

CLEARING = 8.0
"""Seconds that the process may take to end a submission and what it started."""

CODE = Path(__file__).parent
_START = "import sys; sys.path.insert(0, sys.argv[1]); from sandbox.zygote import serve; serve()"


class Broken(Exception):
    """The warm process is gone, or a submission could not be started in it; why."""


class Warm:
    """One warm process. ``close`` ends it, with whatever runs in it; so does the end of this process.

    ``wrapper`` stands before the command (bubblewrap's), ``code`` is where it sees our programs, ``kept``
    are descriptors that it gets under their numbers.
    """

    def __init__(
        self,
        config: dict[str, Any],
        wrapper: Sequence[str] = (),
        code: str = str(CODE),
        kept: Sequence[int] = (),
    ) -> None:
        self._socket, theirs = socket.socketpair()
        self._words = b""
        command = [*wrapper, sys.executable, "-I", "-B", "-c", _START, code, str(theirs.fileno())]
        command.append(str(os.getpid()))  # for whoever looks at a list of processes
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                # One thread: faster for small arrays, and the memory limit is not spent on buffers.
                env={"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                cwd="/",
                pass_fds=[theirs.fileno(), *kept],
                start_new_session=True,
            )
        except BaseException:
            self._socket.close()
            raise
        finally:
            theirs.close()
        with contextlib.suppress(OSError):  # it has ended already: seen when it is waited for
            self._socket.sendall(json.dumps(config).encode() + b"\n")
        self._started = False

    def wait_until_started(self) -> None:
        """Raises Broken with what it said on stderr."""
        if not self._started and self.heard(STARTUP) is None:
            raise Broken(self._last_words())
        self._started = True

    def begin(self, job: dict[str, Any], descriptors: Sequence[int]) -> None:
        """Fork for one submission; ``descriptors`` are what ``sandbox.keeper.Handed`` names."""
        line = json.dumps({"job": job}).encode() + b"\n"
        try:
            socket.send_fds(self._socket, [line], list(descriptors))
        except OSError:
            raise Broken(self._last_words()) from None

    def stop(self) -> None:
        """Ask for the end of the submission and of all that it started."""
        with contextlib.suppress(OSError):
            self._socket.sendall(b"{}\n")

    def fileno(self) -> int:
        return self._socket.fileno()

    def heard(self, seconds: float) -> dict[str, Any] | None:
        """The next message, None if none came in time or the process is gone."""
        deadline = time.monotonic() + seconds
        while b"\n" not in self._words:
            left = max(0.0, deadline - time.monotonic())
            ready = _readable(self._socket.fileno(), left)
            try:
                data = self._socket.recv(1 << 12) if ready else b""
            except OSError:
                data = b""
            if not data:
                return None
            self._words += data
        line, _, self._words = self._words.partition(b"\n")
        message = json.loads(line)
        return message if isinstance(message, dict) else None

    def _last_words(self) -> str:
        """What it said before it ended, in a line; it is closed."""
        assert self._process.stderr is not None
        said = self._process.stderr.fileno()
        self._socket.close()
        words = os.read(said, 1 << 16) if _readable(said, 1.0) else b""
        lines = words.decode(errors="replace").splitlines()
        self.close()
        return lines[-1].strip()[:300] if lines else "its process ended"

    def cut(self) -> None:
        """Let it and what runs in it see the end; whoever waits for an answer sees it too."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it: it sees the end of its socket; one that does not is killed."""
        self._socket.close()
        try:
            self._process.wait(CLEARING)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        if self._process.stderr is not None:
            self._process.stderr.close()


def _readable(number: int, seconds: float) -> bool:
    """Whether something comes in time; ``select.select`` knows no descriptors above 1023."""
    with selectors.DefaultSelector() as selector:
        selector.register(number, selectors.EVENT_READ)
        return bool(selector.select(seconds))
