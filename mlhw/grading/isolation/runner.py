"""Runs submissions, several at a time, each confined; ``run`` may be called from several threads."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mlhw.grading.isolation import bubblewrap
from mlhw.grading.isolation.job import Job, Limits, Replies
from mlhw.grading.isolation.listen import Ends, drain, hear
from mlhw.grading.isolation.places import visible, ways_to_us
from mlhw.grading.isolation.sandbox import kernel, namespaces, seccomp
from mlhw.grading.isolation.sandbox.limits import tasks_of
from mlhw.grading.isolation.users import next_user
from mlhw.grading.isolation.warm import CLEARING, Broken, Warm

if TYPE_CHECKING:
    from types import TracebackType

PLAIN = Path(__file__).parent / "sandbox" / "plain.py"


class Runner:
    """A pool of ``jobs`` warm processes on one rung (a name of ``rungs.RUNGS``; see ``rungs.chosen_rung``).

    ``program`` is the source of what loads and calls a submission (``sandbox/plain.py`` says what it
    defines); it is run once in each warm process. ``hidden`` are folders that no submission may see even
    where they lie among the libraries. Use it in a ``with``: its end ends all processes. ``nested``: with
    bubblewrap, whether submissions share one, in namespaces of their own; None finds out whether they can.
    """

    def __init__(
        self,
        rung: str,
        jobs: int = 1,
        *,
        program: str | None = None,
        hidden: Iterable[Path] = (),
        nested: bool | None = None,
    ) -> None:
        self.rung = rung
        self.jobs = jobs
        self._program = PLAIN.read_text(encoding="utf-8") if program is None else program
        self._visible = visible(hidden)
        self._free: queue.SimpleQueue[_Slot] = queue.SimpleQueue()
        self._slots: list[_Slot] = []
        self._nested = bool(nested) and rung == "bubblewrap"
        self._asked_nested = nested

    def __enter__(self) -> Runner:
        self.folder = tempfile.mkdtemp(prefix="mlhw-grading-", dir=_temporary())
        if os.geteuid() == 0:
            os.chmod(self.folder, 0o711)  # another user may walk through, but not look around
        os.mkdir(os.path.join(self.folder, "stage"))
        self._dumpable(False)
        if self.rung == "bubblewrap" and self._asked_nested is None:
            self._nested = _nests(self)
        for _ in range(self.jobs):
            slot = _Slot(self)
            self._slots.append(slot)
            self._free.put(slot)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()
        for slot in self._slots:
            slot.close()
        self._dumpable(True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        """End the submissions that run at the moment: whoever waits for one gets an error at once."""
        for slot in self._slots:
            slot.cut()

    def run(self, job: Job) -> Replies:
        """Run one submission. Never raises for what it does; waits while all processes are at work."""
        slot = self._free.get()
        try:
            return slot.run(job)
        finally:
            self._free.put(slot)

    def run_all(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Replies]]:
        """Run many, and yield each with its replies when it has ended: not in their order."""
        with ThreadPoolExecutor(self.jobs) as pool:
            running: dict[Future[Replies], Job] = {}
            waiting = iter(jobs)
            try:
                while True:
                    # Taken as they are needed: 3,000 submissions are not all held in memory.
                    while len(running) < 2 * self.jobs and (job := next(waiting, None)) is not None:
                        running[pool.submit(self.run, job)] = job
                    if not running:
                        return
                    for ended in wait(running, return_when=FIRST_COMPLETED).done:
                        yield running.pop(ended), ended.result()
            finally:
                for future in running:
                    future.cancel()
                if running:
                    self.stop()

    @property
    def once(self) -> bool:
        """Whether a warm process serves one submission only."""
        return self.rung == "bubblewrap" and not self._nested

    def start(self) -> Warm:
        """A new warm process."""
        config = {
            "rung": "namespaces" if self._nested else self.rung,
            "once": self.once,
            "proc": None,
            "program": self._program,
            "seccomp": seccomp.usable(),
            "dropped": ways_to_us(),
            "stage": os.path.join(self.folder, "stage"),
            **vars(self._visible),
        }
        if self.rung != "bubblewrap":
            return Warm(config)
        around = bubblewrap.wrapper(self._visible, Limits.disk)
        if not self._nested:
            return Warm(config, around, bubblewrap.CODE)
        # There is no /proc inside; through this one the warm process, not a submission, numbers users.
        config["proc"] = proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY)
        try:
            return Warm(config, around, bubblewrap.CODE, [proc])
        finally:
            os.close(proc)

    def told(self, job: Job) -> tuple[dict[str, Any], str | None]:
        """What the warm process is told of a job, and the folder that was made for it, if any."""
        limits = job.limits
        uid = next_user()
        folder = None
        if self.rung not in ("bubblewrap", "namespaces"):
            folder = tempfile.mkdtemp(dir=self.folder)
            if uid is not None:
                os.chown(folder, uid, uid)
        told = {
            "uid": uid,
            "folder": namespaces.BOX if folder is None else folder,
            "in_use": self._in_use(),
            "seconds": limits.seconds + limits.import_seconds,
            **{name: getattr(limits, name) for name in ("memory", "processes", "disk", "file")},
        }
        return told, folder

    def _in_use(self) -> int:
        """Processes that count against the user already: none, where the user is the submission's own."""
        if os.geteuid() == 0:
            return 0
        if self.rung in ("bubblewrap", "namespaces") and _kernel() >= (5, 14):
            return 0  # since then they are counted by user namespace
        return tasks_of(os.getuid())

    def _dumpable(self, yes: bool) -> None:
        """Whether others of our user may look into this process, which knows the answers.

        Nobody on the first two rungs can, and on the others root's rights are needed for root's.
        """
        if kernel.LINUX and os.geteuid() != 0:
            kernel.prctl(kernel.PR_SET_DUMPABLE, int(yes))


class _Slot:
    """A place in the pool, with a warm process of its own that is started anew when it is lost."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._warm: Warm | None = runner.start()
        self._working: Warm | None = None

    def cut(self) -> None:
        working = self._working
        if working is not None:
            working.cut()

    def close(self) -> None:
        if self._warm is not None:
            self._warm.close()
        self._warm = None

    def run(self, job: Job) -> Replies:
        replies = Replies(rung=self._runner.rung)
        warm, self._warm = self._warm or self._runner.start(), None
        self._working = warm
        told, folder = self._runner.told(job)
        try:
            self._run_in(warm, told, folder, job, replies)
        except Broken as error:
            warm.close()
            replies.error = f"it could not be run: {error}"
        except BaseException:
            warm.close()
            raise
        finally:
            self._working = None
            if folder is not None:
                _remove(folder)
        return replies

    def _run_in(
        self, warm: Warm, told: dict[str, Any], folder: str | None, job: Job, replies: Replies
    ) -> None:
        warm.wait_until_started()
        with _request(job) as request, _pipes() as (theirs, (channel, stdout, stderr)):
            ends = Ends(channel, stdout, stderr, folder)
            warm.begin(told, [request.fileno(), *theirs])
            for number in theirs:
                os.close(number)
            theirs.clear()
            once = self._runner.once
            if once:
                self._warm = self._runner.start()  # it gets ready while this one works
            try:
                ended = hear(job, warm, ends, replies)
                if ended is None and not once:
                    warm.stop()
                    if warm.heard(CLEARING) is None:
                        raise Broken("the process that watches over it was killed")
            finally:
                if once:
                    warm.close()
            drain(ends, job, replies)
        if not once:
            self._warm = warm


_nesting: list[bool] = []


def _nests(runner: Runner) -> bool:
    """Whether each submission can have namespaces of its own within one bubblewrap.

    It is as strong as a bubblewrap for each, which is taken otherwise, and five times as fast. Some systems
    allow namespaces to the program bwrap alone. Found out once.
    """
    if not _nesting:
        runner._nested = True
        slot = _Slot(runner)
        try:
            source = b"def backprop(*weights): return []"
            job = Job({"a.py": source}, "a.py", [], 0, limits=Limits(20, 20))
            _nesting.append(slot.run(job).error is None)
        finally:
            slot.close()
    return _nesting[0]


@contextlib.contextmanager
def _pipes() -> Iterator[tuple[list[int], list[int]]]:
    """Three pipes: their writing ends, and the reading ends; what is still in the lists is closed."""
    theirs: list[int] = []
    ours: list[int] = []
    try:
        for _ in range(3):
            reading, writing = os.pipe()
            ours.append(reading)
            theirs.append(writing)
        yield theirs, ours
    finally:
        for number in [*theirs, *ours]:
            os.close(number)


@contextlib.contextmanager
def _request(job: Job) -> Iterator[IO[bytes]]:
    """The job as the program in the sandbox reads it: a line of JSON, the files, the arrays."""
    import numpy as np

    asked = {
        "files": [(name, len(content)) for name, content in job.files.items()],
        "main": job.main,
        "options": dict(job.options),
        "calls": [[np.shape(array) for array in call] for call in job.calls],
        "required": job.required,
        "most": job.most,
    }
    with tempfile.TemporaryFile() as file:
        file.write(json.dumps(asked).encode() + b"\n")
        for content in job.files.values():
            file.write(content)
        for call in job.calls:
            for array in call:
                file.write(np.asarray(array, dtype=np.float64).tobytes())
        file.seek(0)
        yield file


def _remove(folder: str) -> None:
    """Also what its owner has locked, and folders in folders deeper than Python's calls may go."""
    with contextlib.suppress(RecursionError):
        shutil.rmtree(folder, ignore_errors=True)
    if os.path.lexists(folder):
        for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
            subprocess.run([*command, "--", folder], stderr=subprocess.DEVNULL, check=False)


def _temporary() -> str | None:
    """A folder for temporary files to which another user can walk, where we are root."""
    usual = tempfile.gettempdir()
    if os.geteuid() != 0:
        return usual
    for folder in (usual, "/tmp", "/var/tmp"):
        path = Path(folder).resolve()
        if all(p.stat().st_mode & stat.S_IXOTH for p in (path, *path.parents) if p.exists()):
            return folder
    return usual


def _kernel() -> tuple[int, int]:
    with contextlib.suppress(ValueError):
        first, second = os.uname().release.split(".")[:2]
        return int(first), int(second)
    return 0, 0
