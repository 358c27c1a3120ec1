"""A SLURM cluster on this machine: munge, a controller and two nodes, of the user who starts them.

Needs what Debian calls ``slurm-wlm`` and ``munge``; all of it is in one folder and on free ports.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mlhw.system.provenance import usable_cpus
from tests.grids.cluster import Reaper, processes

DAEMONS = ("munged", "slurmctld", "slurmd")
NODES = ("127.0.0.1", "127.0.0.2")
"""Names that can be reached, as those of a cluster can."""
READY_S = 60
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_CONF = """\
ClusterName=mlhw
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
AuthInfo=socket={folder}/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/controller.pid
SlurmdPidFile={folder}/%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
ReturnToService=2
SlurmdTimeout=20
KillWait=5
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SchedulerParameters=sched_interval=2
{nodes}
PartitionName=short Nodes=ALL Default=YES MaxTime=60 State=UP
"""


def jobs_in(folder: Path | None) -> list[int]:
    """The processes that work on a point of this grid, by submitit's name for them."""
    mark = f"{folder}/.slurm/jobs"
    return [
        p
        for p, (_, line) in processes().items()
        if "submitit.core._submit" in line and mark in line
    ]


def is_installed() -> bool:
    """Whether the daemons are here."""
    return all(shutil.which(name, path=_PATH) for name in DAEMONS)


class BatchSystem:
    """Two nodes, ``NODES``; ``environment`` is what its commands need."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        conf = folder / "slurm.conf"
        self.environment = {"SLURM_CONF": str(conf), "PATH": _PATH}
        ports = _free_ports(1 + len(NODES))
        conf.write_text(
            _CONF.format(
                host=socket.gethostname().partition(".")[0],
                ports=ports,
                user=pwd.getpwuid(os.getuid()).pw_name,
                folder=folder,
                nodes="\n".join(
                    f"NodeName={node} NodeHostname={socket.gethostname().partition('.')[0]} "
                    f"NodeAddr={node} Port={port} CPUs={usable_cpus()} RealMemory=2000"
                    for node, port in zip(NODES, ports[1:], strict=True)
                ),
            )
        )
        (folder / "state").mkdir()
        self._daemons: dict[str, subprocess.Popen[bytes]] = {}
        self._reaper = Reaper()

    def start(self, node: str) -> None:
        """Start the daemon of a node, and wait until the controller sees it."""
        self._run(node, "slurmd", "-D", "-N", node)
        self._until(lambda: self._is_up(node), node)

    def kill(self, node: str) -> None:
        """SIGKILL for all processes of a node, its jobs' too."""
        self._daemons[node].kill()
        self._daemons.pop(node).wait()
        jobs = [pid for pid in self.jobs() if _variable(pid, "SLURMD_NODENAME") == node]
        for pid in [*{_parent_daemon(pid) for pid in jobs}, *jobs]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def jobs(self) -> list[int]:
        """The processes of its jobs."""
        conf = self.environment["SLURM_CONF"]
        return [
            pid
            for pid in processes()
            if _variable(pid, "SLURM_JOB_ID") and _variable(pid, "SLURM_CONF") == conf
        ]

    def said(self, *command: str) -> str:
        """What one of its commands prints."""
        done = subprocess.run(
            command, capture_output=True, text=True, env={**os.environ, **self.environment}
        )
        return done.stdout

    def _is_up(self, node: str) -> bool:
        """Whether the controller hears of a node; a star is one that does not answer."""
        state = self.said("sinfo", "-h", "-n", node, "-o", "%t").strip()
        return state.rstrip("*") in {"idle", "mix", "alloc", "comp"} and "*" not in state

    def _run(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            daemon = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=self.folder,
                env={**os.environ, **self.environment},
            )
        self._reaper.watch(daemon.pid)
        self._daemons[name] = daemon

    def _until(self, holds: Any, name: str) -> None:
        until = time.monotonic() + READY_S
        while not holds():
            if self._daemons[name].poll() is not None or time.monotonic() > until:
                raise AssertionError((self.folder / f"{name}.log").read_text())
            time.sleep(0.1)

    def __enter__(self) -> BatchSystem:
        try:
            key, munge = self.folder / "munge.key", self.folder / "munge"
            key.write_bytes(secrets.token_bytes(128))
            key.chmod(0o600)
            files = [f"--{name}-file={munge}.{name}" for name in ("key", "pid", "log", "seed")]
            self._run("munged", "munged", "--foreground", "--force", f"--socket={munge}", *files)
            self._until(munge.exists, "munged")
            self._run("slurmctld", "slurmctld", "-D")
            self._until(lambda: "UP" in self.said("scontrol", "ping"), "slurmctld")
            for node in NODES:
                self.start(node)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: Any) -> None:
        left = self.jobs()
        for pid in [*{_parent_daemon(pid) for pid in left}, *left]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reaper.close()
        for daemon in self._daemons.values():
            daemon.wait()


def batch_system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BatchSystem]:
    """For a fixture: a cluster, where its daemons are installed."""
    if not is_installed():
        pytest.skip("SLURM is not installed (slurm-wlm, munge)")
    with BatchSystem(tmp_path_factory.mktemp("slurm")) as system:
        yield system


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _variable(pid: int, name: str) -> str | None:
    """A variable of a process's environment as it began."""
    with contextlib.suppress(OSError):
        for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
            key, _, value = entry.decode(errors="replace").partition("=")
            if key == name:
                return value
    return None


def _parent_daemon(pid: int) -> int:
    """The ``slurmstepd`` that a job's process comes from; the process itself where there is none."""
    above = pid
    with contextlib.suppress(OSError, IndexError):
        while above > 1:
            if Path(f"/proc/{above}/comm").read_text().startswith("slurmstepd"):
                return above
            above = int(Path(f"/proc/{above}/stat").read_text().rpartition(")")[2].split()[1])
    return pid
