"""Runs of mlhw in children forked after the imports, killed before their N-th file event.

A child costs its run alone, no start of Python and no imports. Run as a script, this module is the process
that forks; ``Forks`` starts it and asks it for runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# What changes a file system, as Python's audit hooks tell it; os.replace is os.rename too.
CHANGES = {
    "os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.symlink", "os.link", "os.truncate", "os.utime",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC


@dataclass(frozen=True)
class Forked:
    """How a child ended: its exit code, or minus the signal's number; what it printed; its file events.

    An event is its name, its path, and for a file that was opened how long that became. There are none of
    a child that was killed.
    """

    code: int
    out: str
    err: str
    events: list[tuple[str, str, int]] = field(default_factory=list)
    seconds: float = 0.0


class Forks:
    """The process that forks, until the block ends."""

    def __enter__(self) -> Forks:
        # numba and torch start no threads, which would be gone in the children.
        env = {**os.environ, "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __spec__.name],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=env,
            text=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        with self._process:
            assert self._process.stdin is not None
            self._process.stdin.close()

    def run(
        self,
        root: Path,
        *arguments: str,
        at: int | None = None,
        size: int | None = None,
        after: float | None = None,
        plain: bool = False,
    ) -> Forked:
        """``mlhw ARGUMENTS`` in the folder ``root``, with its caches in ``root/cache``.

        Args:
            at: SIGKILL before this file event, from 0; events elsewhere than in ``root`` are not counted.
            size: not there, but where a file then grows beyond so many bytes.
            after: SIGKILL after so many seconds.
            plain: files are written in place instead of beside and renamed: the fault that must be found.
        """
        asked = {"root": str(root), "arguments": arguments, "at": at, "size": size, "after": after}
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(asked | {"plain": plain}) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        return Forked(**answer)


# ------------------------------------------------------------------------------------- in that process


def serve() -> None:
    """Fork a child for each line of stdin, and answer on stdout how it ended."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing else gets into the answers
    warm_up()
    for line in sys.stdin:
        answers.write(json.dumps(answer(json.loads(line))) + "\n")
        answers.flush()


def warm_up() -> None:
    """All that a run imports, compiles, draws and looks up once."""
    import torch

    from mlhw.commands.main import main

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder, open(os.devnull, "w") as nowhere:
        os.environ["XDG_CACHE_HOME"] = folder
        for path in Path("configs", "smoke").glob("*.yaml"):
            if path.stem != "all":
                with contextlib.redirect_stdout(nowhere):
                    main([path.stem, "-c", str(path), "--runs-dir", folder, "-q", "--no-plots"])


def answer(asked: dict[str, Any]) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        streams = [Path(place, name) for name in ("out", "err", "events")]
        began = time.monotonic()
        child = os.fork()
        if not child:
            try:
                in_child(asked, streams)
            finally:
                os._exit(99)
        if asked["after"] is not None and not _has_ended_within(child, asked["after"]):
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        seconds = time.monotonic() - began
        events = json.loads(streams[2].read_text()) if streams[2].exists() else []
        return {
            "code": os.waitstatus_to_exitcode(status),
            "out": streams[0].read_text(errors="replace"),
            "err": streams[1].read_text(errors="replace"),
            "events": events,
            "seconds": seconds,
        }


def _has_ended_within(child: int, seconds: float) -> bool:
    """Wait so long for a child; one that has ended can still be waited for."""
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() > end:
            return False
        time.sleep(0.002)
    return True


def in_child(asked: dict[str, Any], streams: Sequence[Path]) -> None:
    from mlhw.commands.main import main

    for number, path in zip((1, 2), streams, strict=False):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    root = asked["root"]
    os.chdir(root)
    os.environ |= {"XDG_CACHE_HOME": f"{root}/cache", "MLHW_RUNS_DIR": f"{root}/runs"}
    if asked["plain"]:
        write_plainly()
    events = Events(root, asked["at"], asked["size"])
    sys.addaudithook(events)
    try:
        code = main(asked["arguments"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    events.over = True
    sys.stdout.flush()
    sys.stderr.flush()
    streams[2].write_text(json.dumps(events.told()))
    os._exit(code)


class Events:
    """An audit hook that counts the file events below a folder, and ends the process at one of them."""

    def __init__(self, root: str, at: int | None, size: int | None) -> None:
        self.root, self.at, self.size = root, at, size
        self.seen: list[list[Any]] = []
        self.over = False

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.over or not self.counts(event, arguments):
            return
        path = os.fspath(arguments[1] if event == "os.symlink" else arguments[0])
        path = os.path.join(os.getcwd(), os.fsdecode(path))
        if not path.startswith(self.root):
            return
        if len(self.seen) == self.at:
            self.end()
        if event == "os.rename":
            self.settle(path)
        self.seen.append([event, path, 0])

    def counts(self, event: str, arguments: tuple[Any, ...]) -> bool:
        if event == "open":
            path, _, flags = arguments
            return isinstance(path, (str, bytes)) and bool(flags & WRITING)
        return event in CHANGES and isinstance(arguments[0], (str, bytes, os.PathLike))

    def end(self) -> None:
        if self.size is None:
            os.kill(os.getpid(), signal.SIGKILL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.size or 0, resource.RLIM_INFINITY))
        self.at = None

    def settle(self, path: str) -> None:
        """Note how long the file is that was opened under this name."""
        for entry in reversed(self.seen):
            if entry[:2] == ["open", path]:
                with contextlib.suppress(OSError):
                    entry[2] = os.stat(path).st_size
                return

    def told(self) -> list[list[Any]]:
        for event, path, size in self.seen:
            if event == "open" and not size:
                self.settle(path)
        return self.seen


def write_plainly() -> None:
    """Put a plain open in the place of the whole-file write, wherever that has been imported."""
    from mlhw.system import files

    @contextlib.contextmanager
    def plain(path: Path, **_: Any) -> Any:
        with open(path, "wb") as file:
            yield file

    whole = files.whole
    for module in list(sys.modules.values()):
        if getattr(module, "whole", None) is whole:
            module.whole = plain  # type: ignore[attr-defined]


if __name__ == "__main__":
    serve()
