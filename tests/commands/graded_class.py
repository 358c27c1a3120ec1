"""A class that is graded once for all tests that look at it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from mlhw.commands.main import main
from mlhw.commands.marking.cells import plain_cell
from tests.grading.handed_in import BATCHED, changed

SIGN = changed(("a4 - t", "t - a4"))
NO_SLOPE = changed(("d3 = dh(a3) *", "d3 ="))
HANGS = "def backprop(w, x, t):\n    while True: pass\n"
CLASS = {
    "anna_11_assignsubmission_file_/backprop.py": BATCHED,
    "ben.py": NO_SLOPE,
    "<b>carl/hw.py": SIGN,
    "=1+1.py": SIGN,
    "dora.py": "def backprop(w, x, t):\n    raise ValueError('<script>alert(1)</script> =1')\n",
}


def hand_in(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def by_student(run: Path) -> dict[str, dict[str, str]]:
    return {plain_cell(row["student"]): row for row in rows(run / "grades.csv")}


class Graded:
    """A class that is graded once for all tests that look at it."""

    def __init__(self, folder: Path) -> None:
        self.handed_in = hand_in(folder / "handed-in", CLASS)
        self.junit = folder / "claims.xml"
        self.runs = folder / "runs"
        arguments = ["grade", str(self.handed_in), "-q", "--jobs", "2", "--junit", str(self.junit)]
        self.code = main([*arguments, "--runs-dir", str(self.runs)])
        self.run = (self.runs / "latest").resolve()
        self.result: dict[str, Any] = json.loads((self.run / "result.json").read_text())
