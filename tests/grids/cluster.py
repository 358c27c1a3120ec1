"""A Ray cluster of several nodes on this machine, as small as it gets, which is gone with its block."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

# It refuses to keep objects in less.
STORE_BYTES = 80 * 1024 * 1024


class Cluster:
    """Nodes by name; the first is the head. Each is a process group of its own."""

    def __init__(self, folder: Path, cpus: int, environment: dict[str, str] | None = None) -> None:
        self.folder = folder
        self.cpus = cpus
        self.environment = {
            **os.environ,
            "RAY_USAGE_STATS_ENABLED": "0",
            "RAY_DISABLE_IMPORT_WARNING": "1",
            **(environment or {}),
        }
        self.nodes: dict[str, subprocess.Popen[bytes]] = {}
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self, name: str, *, resources: str = "{}") -> None:
        """Start a node, and wait until it belongs to the cluster."""
        head = not self.nodes
        place = (
            ["--head", f"--port={self.port}", "--include-dashboard=false", f"--temp-dir={self.folder}"]
            if head
            else [f"--address={self.address}"]
        )
        self.nodes[name] = subprocess.Popen(
            [
                *(sys.executable, "-m", "ray.scripts.scripts", "start", "--block"),
                *place,
                f"--num-cpus={self.cpus}",
                "--num-gpus=0",
                "--node-ip-address=127.0.0.1",
                f"--object-store-memory={STORE_BYTES}",
                "--disable-usage-stats",
            ],
            stdin=subprocess.DEVNULL,
            stdout=open(self.folder / f"{name}.out", "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=self.environment,
        )
