"""The driver's side of its liaison with a Ray cluster: a process, requests, and what it says."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

LIAISON = (sys.executable, "-P", "-m", "mlhw.grids.engines.cluster.liaison")
CONNECT_S = 60.0


class Gone(Exception):
    """The liaison has ended, or does not answer, or cannot do what it was asked for; says why."""


class Connection:
    """A liaison, from its start to its end."""

    def __init__(self) -> None:
        self._heard: deque[dict[str, Any]] = deque()
        self._rest = b""
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        self._answers, theirs = os.pipe()
        try:
            self._process = subprocess.Popen(
                (*LIAISON, str(theirs)),
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=self._errors,
                pass_fds=(theirs,),
                start_new_session=True,
                env={
                    **os.environ,
                    "RAY_USAGE_STATS_ENABLED": "0",
                    "RAY_BACKEND_LOG_LEVEL": "fatal",
                },
            )
        finally:
            os.close(theirs)
        self.ended = False

    def say(self, **request: Any) -> None:
        """Send a request that has no answer, or whose answer is heard of later."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # its end is heard of next
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()

    def ask(
        self,
        answer: str,
        seconds: float,
        take_in: Callable[[Mapping[str, Any]], None],
        **request: Any,
    ) -> Any:
        """The answer to a request, by its key; ``take_in`` gets what else is said. Raises Gone."""
        self.say(**request)
        until = time.monotonic() + seconds
        while (said := self.hear(until)) is not None:
            if answer in said:
                return said[answer]
            if said.get("failed") == request["do"]:
                raise Gone(_reason(said))
            take_in(said)
        if self.ended:
            raise Gone(self._last_words())
        raise Gone(f"no answer in {seconds:.0f} s")

    def hear(self, until: float) -> dict[str, Any] | None:
        """What is said next, or None if nothing is until then, or the liaison has ended."""
        while not self._heard and not self.ended:
            with selectors.DefaultSelector() as selector:
                selector.register(self._answers, selectors.EVENT_READ)
                if not selector.select(max(0.0, until - time.monotonic())):
                    return None
            piece = os.read(self._answers, 1 << 20)
            self.ended = not piece
            *lines, self._rest = (self._rest + piece).split(b"\n")
            self._heard.extend(json.loads(line) for line in lines)
        return self._heard.popleft() if self._heard else None

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        os.close(self._answers)
        self._errors.close()
        self.ended = True

    def _last_words(self) -> str:
        """The last line that it has left on stderr."""
        self._errors.seek(max(0, self._errors.seek(0, os.SEEK_END) - 4096))
        lines = self._errors.read().decode(errors="replace").split("\n")
        said = next((line.strip() for line in reversed(lines) if line.strip()), "no word")
        return f"the connection ended: {said}"


def _reason(said: Mapping[str, Any]) -> str:
    """What Ray's refusal to connect means, in words that help."""
    if said["kind"] == "ConnectionError":
        return "no Ray cluster runs on this machine; ray start --head starts one"
    return str(said["error"])
