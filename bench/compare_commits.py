"""Do two commits give the same bytes? The six short runs of each, file by file.

    python bench/compare_commits.py HEAD~1 HEAD
    python bench/compare_commits.py HEAD~1 HEAD lr-sweep sgd-sweep

Each commit is checked out into the same temporary folder, one after the other, and runs every
experiment's short configuration there; every table, ``result.json`` and ``config.yaml`` is compared.
Columns that say how fast a run was are masked. Exit code 0: all files are equal; 1: some differ.
"""

from __future__ import annotations

import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
EXPERIMENTS = sorted({path.stem for path in (ROOT / "configs" / "smoke").glob("*.yaml")} - {"all"})
TIMING = ("images_per_s", "seconds")


def files_of(commit: str, experiments: list[str], folder: Path) -> dict[str, bytes]:
    """The files of the short runs of ``commit``, checked out into ``folder``, by experiment and name."""
    checkout = folder / "mlhw"
    subprocess.run(
        ["git", "worktree", "add", "--detach", "-f", checkout, commit], cwd=ROOT, check=True
    )
    try:
        found = {}
        for name in experiments:
            found.update(run(name, checkout, folder))
        return found
    finally:
        subprocess.run(["git", "worktree", "remove", "--force", checkout], cwd=ROOT, check=True)


def run(name: str, checkout: Path, folder: Path) -> dict[str, bytes]:
    """One short run; its files' contents under ``NAME/FILE``."""
    with tempfile.TemporaryDirectory(dir=folder) as runs:
        words = [name, "-c", f"configs/smoke/{name}.yaml", "--runs-dir", runs, "--no-plots", "-q"]
        done = subprocess.run(
            [sys.executable, "-m", "mlhw", *words],
            cwd=checkout,
            env={**os.environ, "PYTHONPATH": str(checkout), "OMP_WAIT_POLICY": "passive"},
            stdout=subprocess.DEVNULL,
        )
        (latest,) = (path for path in Path(runs).iterdir() if not path.is_symlink())
        found = {f"{name}/exit code": str(done.returncode).encode()}
        for path in sorted(latest.iterdir()):
            if path.suffix == ".csv" or path.name in ("result.json", "config.yaml"):
                found[f"{name}/{path.name}"] = masked(path)
        return found


def masked(path: Path) -> bytes:
    """The bytes of a file; of a table without the columns that say how fast the run was."""
    data = path.read_bytes()
    header = data.split(b"\n", 1)[0].decode().split(",")
    if path.suffix != ".csv" or not set(TIMING).intersection(header):
        return data
    with open(path, encoding="utf-8", newline="") as file:
        rows = [{k: v for k, v in row.items() if k not in TIMING} for row in csv.DictReader(file)]
    return repr(rows).encode()


def main(before: str, after: str, *experiments: str) -> int:
    chosen = list(experiments or EXPERIMENTS)
    with tempfile.TemporaryDirectory() as folder:
        old, new = (files_of(commit, chosen, Path(folder)) for commit in (before, after))
    differing = 0
    for name in dict.fromkeys([*old, *new]):
        a, b = old.get(name), new.get(name)
        same = a == b
        differing += not same
        size = f"{len(b)} bytes" if b is not None else "missing"
        print(f"{'equal' if same else 'DIFFERS':8} {name} ({size})")
    print(
        f"{len(new)} files of {len(chosen)} experiments, {differing} differ: {before} and {after}"
    )
    return 1 if differing else 0


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
