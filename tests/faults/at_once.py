"""Many calls at the same moment: forks of one process that has imported everything before.

``ends(JOBS)`` starts ``python -m tests.faults.at_once``, which reads the jobs and prints how each ended.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from mlhw.errors import MlhwError
from mlhw.system.download import Checksum, fetch

ROOT = Path(__file__).parents[2]

# What Python tells its audit hooks about before anything leaves the machine.
NETWORK = (
    "socket.connect",
    "socket.getaddrinfo",
    "socket.gethostbyaddr",
    "socket.gethostbyname",
    "socket.getnameinfo",
    "socket.sendmsg",
    "socket.sendto",
)


@dataclass(frozen=True)
class Job:
    """``mlhw ARGV``, or with ``fetch`` the download of (URL, target, sha256).

    ``killed_at`` is a file's name and a number: SIGKILL just before the file is so often renamed to it.
    """

    argv: Sequence[str] = ()
    fetch: tuple[str, str, str] | None = None
    killed_at: tuple[str, int] | None = None


@dataclass(frozen=True)
class End:
    """How a job ended: ``code`` as in subprocess, what it printed, what it asked the network for."""

    code: int
    out: str
    err: str
    network: list[str] = field(default_factory=list)


def ends(
    jobs: Sequence[Job],
    folder: Path,
    *,
    env: dict[str, str] | None = None,
    before: Sequence[str] = (),
    then: Sequence[Job] = (),
) -> list[End]:
    """Start all jobs in ``folder`` at the same moment; ``before`` are words of a command around them.

    ``then`` are started together once the others have ended; their ends come last.
    """
    words = [*before, sys.executable, "-P", "-m", "tests.faults.at_once"]
    done = subprocess.run(
        words,
        cwd=folder,
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
            "OMP_NUM_THREADS": "1",
            "MLHW_RUNS_DIR": str(folder / "runs"),
            **(env or {}),
        },
        input=json.dumps([[asdict(job) for job in each] for each in (jobs, then)]),
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stderr
    return [End(**one) for one in json.loads(done.stdout)]


def _main() -> None:
    groups = [[Job(**values) for values in group] for group in json.load(sys.stdin)]
    if any(job.argv for job in (*groups[0], *groups[1])):
        _import_all()
    print(json.dumps([asdict(end) for jobs in groups for end in _together(jobs)]))


def _together(jobs: Sequence[Job]) -> list[End]:
    with tempfile.TemporaryDirectory() as folder:
        waiting, start = os.pipe()
        pids = []
        for number, job in enumerate(jobs):
            pid = os.fork()
            if pid == 0:
                os.close(start)
                _child(job, Path(folder) / str(number), waiting)
            pids.append(pid)
        os.close(start)  # end-of-file for all of them
        codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        return [_end(code, Path(folder) / str(i)) for i, code in enumerate(codes)]


def _import_all() -> None:
    """What the commands import when they are called; nothing is computed that would start a thread."""
    import sklearn.datasets  # noqa: F401

    import mlhw.runs.execute
    import mlhw.vision.training.session  # noqa: F401
    from mlhw.experiments.registry import EXPERIMENTS, experiment

    for name in EXPERIMENTS:
        _ = experiment(name).Config


def _child(job: Job, files: Path, waiting: int) -> None:
    code = 99
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        for descriptor, kind in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{files}.{kind}", os.O_WRONLY | os.O_CREAT), descriptor)
        asked = os.open(f"{files}.network", os.O_WRONLY | os.O_CREAT)
        left = job.killed_at[1] if job.killed_at else 0

        def seen(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal left
            if event in NETWORK:
                os.write(asked, f"{event} {arguments[1:]}\n".encode())
            elif event == "os.rename" and job.killed_at:
                left -= os.path.basename(os.fsdecode(arguments[1])) == job.killed_at[0]
                if left <= 0:
                    os.kill(os.getpid(), signal.SIGKILL)

        os.read(waiting, 1)
        sys.addaudithook(seen)
        code = _call(job)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 99
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _call(job: Job) -> int:
    if job.fetch is not None:
        url, target, digits = job.fetch
        try:
            fetch(url, Path(target), Checksum("sha256", digits))
        except MlhwError as error:
            print(*error.lines, sep="\n", file=sys.stderr)
            return error.exit_code
        return 0
    from mlhw.commands.main import script

    sys.argv = ["mlhw", *job.argv]
    script()
    return 0


def _end(code: int, files: Path) -> End:
    out, err, network = (
        Path(f"{files}.{kind}").read_text(errors="replace") for kind in ("out", "err", "network")
    )
    return End(code, out, err, network.splitlines())


if __name__ == "__main__":
    _main()
