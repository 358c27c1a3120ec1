"""What a fault does to a training by Lightning, timm, Hugging Face's Trainer, and mlhw.

    python bench/peers_faults.py --peers OTHER/bin/python [NAME …]

The same faults, injected by the same code (``peers_training.py``), into four epochs of a small network.
OTHER is an environment with ``lightning timm transformers accelerate`` and torch of the same version. The
outcomes go to ``bench/results/peers_faults.json``, and from there into docs/reliability.md.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from peers_training import ARMED_AFTER, EPOCHS, STEPS
from timing import ROOT, record

COMMAND = "python bench/peers_faults.py --peers OTHER/bin/python"
NAMES = ("mlhw", "lightning", "timm", "hugging_face")
MOST_KILLS, FLIPS = 30, 60
SLOW_S = 0.25  # a step, where a SIGTERM is to find the training at work


@dataclass
class Job:
    """A training in ``folder``, and after ``Peer.run`` how it ended."""

    folder: Path
    fault: dict[str, Any] = field(default_factory=dict)
    resume: bool = False
    beside_next: bool = False
    code: int = 0
    found: dict[str, Any] = field(default_factory=dict)
    err: str = ""

    @property
    def whole(self) -> bool:
        return self.code == 0 and bool(self.found)


class Peer:
    """One of the four, with the Python that has it."""

    def __init__(self, name: str, python: str, place: Path, at_once: int) -> None:
        self.name, self.python, self.place, self.at_once = name, python, place, str(at_once)
        self.versions: dict[str, str] = {}
        self._ends = 0

    def folder(self, name: str, copy_of: Path | None = None) -> Path:
        path = self.place / self.name / name
        if copy_of is not None:
            shutil.copytree(copy_of, path, symlinks=True)
        return path

    def run(self, jobs: Sequence[Job]) -> None:
        """Run them one after the other, or beside each other where a job says so."""
        ends = []
        for _ in jobs:
            self._ends += 1
            ends.append(self.place / self.name / "ends" / f"{self._ends}.json")
        asked = [
            {
                "folder": str(job.folder),
                "fault": job.fault,
                "resume": job.resume,
                "beside_next": job.beside_next,
                "end": str(end),
            }
            for job, end in zip(jobs, ends, strict=True)
        ]
        done = subprocess.run(
            [self.python, str(ROOT / "bench" / "peers_training.py"), self.name, self.at_once],
            input=json.dumps(asked),
            env={**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        self.versions = json.loads(done.stdout.splitlines()[-1])
        for job, end in zip(jobs, ends, strict=True):
            job.code = int(end.with_suffix(".code").read_text())
            job.err = end.with_suffix(".err").read_text(errors="replace")
            job.found = json.loads(end.read_text()) if end.exists() else {}

    def newest(self, folder: Path) -> list[Path]:
        """The files of the newest checkpoint, the one that a resume takes."""
        if self.name == "hugging_face":
            places = sorted(folder.glob("checkpoint-*"), key=lambda p: int(p.name.split("-")[1]))
            return sorted(p for p in places[-1].iterdir() if p.is_file())
        name = {"lightning": "last.ckpt", "timm": "last.pth.tar"}.get(self.name)
        return [folder / name if name else folder / "latest" / "checkpoints" / "last.pt"]

    def names(self, folder: Path) -> set[str]:
        """What lies in the folder, seen from the run's own."""
        inside = (folder / "latest").resolve() if self.name == "mlhw" else folder
        return {str(path.relative_to(inside)) for path in inside.rglob("*") if path.is_file()}


def resumed(job: Job) -> str:
    """What became of the run that was to go on after a fault."""
    if not job.whole:
        # A run whose end is recorded has all that it was to have, and nothing to go on with.
        return "went on" if ": is finished; " in job.err else "error"
    return "went on" if job.found["began"] >= 1 else "began anew"


def measure(peer: Peer) -> dict[str, Any]:
    """Every fault, in three rounds: the training, what goes wrong in it, what goes on after that."""
    whole, count = Job(peer.folder("whole")), Job(peer.folder("count"), {"count": True})
    base, term = (
        Job(peer.folder("base"), {"kill": 1}),
        Job(peer.folder("term"), {"term": True, "slow": SLOW_S}),
    )
    peer.run([whole, count, base, term])
    assert whole.whole, whole.err
    assert count.whole, count.err
    assert base.code == -9, (base.code, base.err)
    size = max(path.stat().st_size for path in peer.newest(peer.folder("base")))
    changes = count.found["changes"]
    every = -(-changes // MOST_KILLS)
    kills = [Job(peer.folder(f"kill{n}"), {"kill": n}) for n in range(1, changes + 1, every)]
    at = sorted({0, 1, 1000, size // 4, size // 2, size * 3 // 4, size - 1})
    torn = [Job(peer.folder(f"torn{n}"), {"killed_at_byte": n}) for n in at]
    full = [Job(peer.folder(f"full{n}"), {"full_at_byte": n}) for n in at]
    peer.run([*kills, *torn, *full])
    clean = Job(peer.folder("clean", base.folder), resume=True)
    pair_folder = peer.folder("pair", base.folder)
    pair = [Job(pair_folder, {"slow": SLOW_S}, True, beside) for beside in (True, False)]
    again = {kind: [Job(j.folder, resume=True) for j in jobs] for kind, jobs in (
        ("kills", kills), ("torn", torn), ("full", full), ("term", [term]))}  # fmt: skip
    flips = flipped(peer, base.folder)
    peer.run([clean, *pair, *(job for jobs in again.values() for job in jobs), *flips])
    usual = peer.names(whole.folder)
    left = Counter(
        generic(name)
        for job in (*again["kills"], *again["torn"])
        for name in peer.names(job.folder) - usual
    )
    return {
        "versions": peer.versions,
        "bitwise": clean.found.get("digest") == whole.found["digest"],
        "resumes_at": clean.found.get("began"),
        "kills": outcomes(again["kills"]),
        "torn": outcomes(again["torn"]),
        "full": {**outcomes(again["full"]), "said": sum(job.code > 0 for job in full)},
        "term": {"code": term.code, **told(again["term"][0], whole)},
        "flips": flips_seen(flips, clean),
        "pair": sorted(of_two(job) for job in pair),
        "left": dict(left.most_common(8)),
    }


def of_two(job: Job) -> str:
    """What became of one of two that go on with one folder at the same time."""
    if job.whole:
        return "went on"
    return "broke" if "Traceback" in job.err else "refused"


def generic(name: str) -> str:
    """A file's name without the number of the process."""
    words = Path(name).name.split(".")
    return ".".join("PID" if word.isdigit() and len(word) > 1 else word for word in words)


def outcomes(jobs: Sequence[Job]) -> dict[str, Any]:
    counts = Counter(resumed(job) for job in jobs)
    wrong = [last_line(job) for job in jobs if resumed(job) == "error"]
    return {
        "injected": len(jobs),
        **{kind: counts[kind] for kind in ("went on", "began anew", "error")},
        "errors": dict(Counter(wrong).most_common(3)),
    }


def last_line(job: Job) -> str:
    lines = [line for line in job.err.splitlines() if line.strip() and not line.startswith(" ")]
    return lines[-1][:160].replace(str(job.folder), "FOLDER") if lines else f"exit code {job.code}"


def told(after: Job, whole: Job) -> dict[str, Any]:
    """What a SIGTERM in mid-epoch left, and whether the run that went on is the uninterrupted one."""
    needed = EPOCHS * STEPS - (ARMED_AFTER * STEPS + STEPS // 2)
    return {
        "after": resumed(after),
        "bitwise": after.found.get("digest") == whole.found["digest"],
        "steps_again": max(0, after.found.get("steps", 0) - needed),
    }


def flipped(peer: Peer, base: Path) -> list[Job]:
    """Resumes of the stopped run, each with one bit of its newest checkpoint flipped."""
    chosen = random.Random(14)
    files = [(path, path.stat().st_size) for path in peer.newest(base)]
    jobs = []
    for number in range(FLIPS):
        bit = chosen.randrange(8 * sum(size for _, size in files))
        path, bit = _at(files, bit)
        folder = peer.folder(f"flip{number}", base)
        place = folder / path.relative_to(base)
        content = bytearray(place.read_bytes())
        content[bit // 8] ^= 1 << bit % 8
        place.write_bytes(content)
        jobs.append(Job(folder, resume=True))
    return jobs


def _at(files: Sequence[tuple[Path, int]], bit: int) -> tuple[Path, int]:
    """The file in which a bit lies that is counted over all of them, and its number there."""
    (path, size), *others = files
    return (path, bit) if bit < 8 * size else _at(others, bit - 8 * size)


def flips_seen(flips: Sequence[Job], clean: Job) -> dict[str, int]:
    """What became of the runs: ``noticed``: refused; ``same``: no effect on the weights; ``other``: it ended
    well, with other weights. ``said`` counts those of ``same`` whose words name the damage: they went on from
    an older state.
    """
    same = [job.whole and job.found["digest"] == clean.found["digest"] for job in flips]
    noticed = sum(not job.whole for job in flips)
    return {
        "injected": len(flips),
        "noticed": noticed,
        "same": sum(same),
        "said": sum(
            equal and re.search("damaged|corrupt", job.err) is not None
            for equal, job in zip(same, flips, strict=True)
        ),
        "other": len(flips) - noticed - sum(same),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("names", nargs="*", choices=[*NAMES, []], help="all four if none")
    parser.add_argument("--peers", help="the Python that has the other three")
    parser.add_argument("--keep", type=Path, help="a folder for all runs, kept")
    parser.add_argument("-j", "--jobs", type=int, default=2, help="trainings at the same time")
    given = parser.parse_args()
    names = given.names or NAMES
    if not given.peers and list(names) != ["mlhw"]:
        parser.error("--peers is needed for any but mlhw")
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for name in names:
            python = sys.executable if name == "mlhw" else given.peers
            start = time.perf_counter()
            found[name] = measure(Peer(name, python, given.keep or Path(temporary), given.jobs))
            print(
                f"{name}: {time.perf_counter() - start:.0f} s", json.dumps(found[name]), flush=True
            )
            facts = {"command": COMMAND, "date": time.strftime("%Y-%m-%d")}
            record("peers_faults", {name: found[name], **facts})


if __name__ == "__main__":
    main()
