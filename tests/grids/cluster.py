"""A Ray cluster on this machine, as small as it gets, that is gone with whoever started it."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

# It refuses to keep objects in less.
STORE_BYTES = 80 * 1024 * 1024
READY_S = 120

# Ends every process of the sessions whose numbers it has read, when nobody can write any more.
REAPER = """
import os, signal, sys
sessions = {int(line) for line in sys.stdin}
for _ in range(100):
    alive = False
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            fields = open(f"/proc/{name}/stat").read().rpartition(")")[2].split()
            if int(fields[3]) in sessions and fields[0] != "Z":
                os.kill(int(name), signal.SIGKILL)
                alive = True
        except OSError:
            pass
    if not alive:
        break
"""


class Reaper:
    """A process that ends every session that it was told of when this process is gone, or has closed it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", REAPER], stdin=subprocess.PIPE, start_new_session=True
        )

    def watch(self, session: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{session}\n".encode())
        self._process.stdin.flush()

    def close(self) -> None:
        """Return when all of them are gone."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def processes() -> dict[int, tuple[int, str]]:
    """Session and command line of every process."""
    found = {}
    for name in filter(str.isdecimal, os.listdir("/proc")):
        try:
            stat = Path("/proc", name, "stat").read_text()
            line = Path("/proc", name, "cmdline").read_bytes().decode(errors="replace")
            found[int(name)] = (int(stat.rpartition(")")[2].split()[3]), line)
        except OSError:
            continue
    return found


class Cluster:
    """Nodes by name, each a session of processes; ``a`` is the head and should not be killed.

    Only who knows its token is let in. ``hidden``: a folder that node ``b`` does not see, where this process
    may make mounts; else None.
    """

    def __init__(self, folder: Path, cpus: int = 2) -> None:
        self.folder, self.cpus = folder, cpus
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_worker_niceness": "0",
        }
        self.hidden: Path | None = folder / "hidden"
        self.hidden.mkdir()
        if subprocess.run(["unshare", "--mount", "true"], capture_output=True).returncode:
            self.hidden = None
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        self._reaper = Reaper()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, name: str) -> None:
        """Start a node, and wait until it belongs to the cluster.

        Ray gives up after half a minute, which a busy machine may need.
        """
        if not self._started(name) and not self._started(name) and not self._started(name):
            raise AssertionError((self.folder / f"{name}.log").read_text())

    def _started(self, name: str) -> bool:
        log = self.folder / f"{name}.log"
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        command += (
            [
                "--head",
                f"--port={self.port}",
                "--include-dashboard=false",
                f"--temp-dir={self.folder}/r",
            ]
            if name == "a"
            else [f"--address={self.address}"]
        )
        command += [f"--num-cpus={self.cpus}", "--num-gpus=0", "--disable-usage-stats"]
        command += ["--node-ip-address=127.0.0.1", f"--object-store-memory={STORE_BYTES}"]
        if name == "b" and self.hidden is not None:
            hide = f'mount -t tmpfs none "{self.hidden}" && exec "$@"'
            command = ["unshare", "--mount", "sh", "-c", hide, "sh", *command]
        with log.open("wb") as file:
            node = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
                env={**os.environ, **self.environment},
            )
        self._reaper.watch(node.pid)
        self.nodes[name] = node
        until = time.monotonic() + READY_S
        while b"Ray runtime started" not in log.read_bytes():
            if node.poll() is not None or time.monotonic() > until:
                self.kill(name)
                return False
            time.sleep(0.1)
        return True

    def kill(self, name: str) -> None:
        """SIGKILL for all processes of a node."""
        node = self.nodes.pop(name)
        for pid, (session, _) in processes().items():
            if session == node.pid:
                os.kill(pid, signal.SIGKILL)
        node.wait()

    def pids(self, title: str) -> list[int]:
        """The processes of the cluster whose title begins so: ``ray::attempt`` are workers at work."""
        mine = {node.pid for node in self.nodes.values()}
        return [
            pid for pid, (session, line) in processes().items()
            if session in mine and line.startswith(title)
        ]  # fmt: skip

    def __enter__(self) -> Cluster:
        try:
            self.start("a")
            self.start("b")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        self._reaper.close()
        for node in self.nodes.values():
            node.wait()
