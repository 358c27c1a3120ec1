"""The cheating submissions, the world that they attack, and what came of it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlhw.grading.isolation.job import Job, Limits, Replies
from tests.grading.handed_in import RIGHT

FOLDER = Path(__file__).parent / "cheats"
CHEATS = sorted(path.stem for path in FOLDER.glob("*.py"))
OURS = Path(__file__).parents[2]

_right: dict[str, Any] = {}
exec(RIGHT, _right)


@dataclass(frozen=True)
class Cheat:
    """A file with what its first lines say."""

    name: str
    source: str

    @property
    def verdicts(self) -> set[str]:
        return self._listed("verdict")

    @property
    def open_on(self) -> set[str]:
        return self._listed("open on")

    def _listed(self, key: str) -> set[str]:
        found = re.search(rf"^# {key}: (.+)$", self.source, re.M)
        return set(found.group(1).split(", ")) if found else set()


def cheat(name: str) -> Cheat:
    return Cheat(name, (FOLDER / f"{name}.py").read_text(encoding="utf-8"))


class World:
    """A class's folder, run folders and a port: what no submission should read, change or reach.

    The folders are open to all users, as those of most people are.
    """

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(dir="/tmp"))
        self.root.chmod(0o755)
        self.port = socket.socket()
        self.port.bind(("127.0.0.1", 0))
        self.port.listen()
        self.port.setblocking(False)
        self.build()

    def build(self) -> None:
        for name, text in (("class/anna.py", RIGHT), ("runs/one/result.json", "{}")):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)

    @property
    def hidden(self) -> list[Path]:
        return [self.root / "class", self.root / "runs"]

    def module(self) -> str:
        folder = str(self.root / "class")
        names = {
            "CLASS": folder,
            "CLASSMATE": f"{folder}/anna.py",
            "RUNS": str(self.root / "runs" / "one"),
            "OURS": str(OURS),
            "JUDGE": os.getpid(),
            "PORT": self.port.getsockname()[1],
        }
        lines = [f"{name} = {value!r}" for name, value in names.items()]
        lines += ["def got_in(what):", "    print('GOT IN:', what)"]
        return "\n".join(lines) + "\n"

    def state(self) -> dict[str, tuple[int, bytes]]:
        found = {}
        for path in sorted(self.root.rglob("*")):
            content = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(self.root))] = (path.lstat().st_mode, content)
        return found

    def connections(self) -> int:
        try:
            self.port.accept()[0].close()
        except BlockingIOError:
            return 0
        return 1

    def close(self) -> None:
        self.port.close()
        # On the two weakest rungs the C library may have been reached.
        for folder in ("/tmp", "/var/tmp", "/dev/shm"):
            for path in Path(folder).glob("mlhw-cheat-*"):
                path.unlink()
        shutil.rmtree(self.root)


def questions() -> list[list[np.ndarray]]:
    rng = np.random.default_rng(5)
    shapes = [(2, 3), (2, 2), (1, 2), (3,), (1,)]
    return [[rng.normal(size=shape) for shape in shapes] for _ in range(4)]


QUESTIONS = questions()
USUAL = Limits(seconds=20.0, memory=1 << 28, processes=24, disk=24 << 20)
SHORT = replace(USUAL, seconds=0.3, import_seconds=0.5)


def handed_in(source: str, world: World, limits: Limits = USUAL) -> Job:
    files = {"theirs.py": source, "honest.py": RIGHT, "world.py": world.module()}
    contents = {name: text.encode() for name, text in files.items()}
    return Job(contents, "theirs.py", QUESTIONS, len(QUESTIONS), limits=limits, most=10_000)


def verdict(replies: Replies) -> str:
    if replies.timeout:
        return "timeout"
    if replies.error or len(replies.replies) < len(QUESTIONS):
        return "error"
    for (*weights, x, t), reply in zip(QUESTIONS, replies.replies, strict=True):
        right = _right["backprop"](weights, x, t)
        got = reply.numbers or []
        if [g.shape for g in got] != [r.shape for r in right]:
            return "wrong"
        if not all(np.allclose(g, r, rtol=1e-6) for g, r in zip(got, right, strict=True)):
            return "wrong"
    return "correct"


def inside(judge: int | None = None) -> set[int]:
    """The processes of all sandboxes of a judge, this process if not said, orphans too."""
    found = set()
    end = b"\0%d\0" % (judge or os.getpid())
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            words = Path(f"/proc/{name}/cmdline").read_bytes()
            dead = b") Z" in Path(f"/proc/{name}/stat").read_bytes()
        except OSError:
            continue
        if b"sandbox.zygote" in words and words.endswith(end) and not dead:
            found.add(int(name))
    return found
