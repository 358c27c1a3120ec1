"""A node with another processor: the same headline numbers to 1e-9, though not to the last bit.

One machine plays two: libraries choose loops by what the processor can, and can be told that it can less.
"""

from __future__ import annotations

import csv
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__
from numpy._core._multiarray_umath import __cpu_features__ as can

from tests.conftest import Mlhw, mlhw_in

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        platform.machine().lower() not in ("x86_64", "amd64"), reason="plays an older x86-64"
    ),
]

OLDER = {
    "OPENBLAS_CORETYPE": "Prescott",
    "NPY_DISABLE_CPU_FEATURES": ",".join(name for name in __cpu_dispatch__ if can[name]),
    "NUMBA_CPU_NAME": "x86-64",
    "NUMBA_CPU_FEATURES": "",
    "ATEN_CPU_CAPABILITY": "default",
    "ONEDNN_MAX_CPU_ISA": "SSE41",
}
GRIDS = {
    "lr-sweep": ("--over", "etas=[0.5],[0.3],[0.1]", "--over", "standardize=true,false"),
    "vanishing": ("--over", "activation=sigmoid,tanh", "--over", "depth=10,153", "--draws", "2000"),
    "backprop-check": ("--over", "trials=5,20"),
    "softmax-regions": ("--over", "weights=[[2,1],[-1,2],[0,-1]],[[1,0],[0,1],[-1,-1]]"),
}
SEES = """
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__ as can
print(sum(can[name] for name in __cpu_dispatch__))
"""


@pytest.fixture
def here(tmp_path: Path) -> Mlhw:
    return mlhw_in(tmp_path)


def test_an_older_processor_is_played() -> None:
    done = subprocess.run([sys.executable, "-c", SEES], env=OLDER, capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("0", "")


@pytest.mark.parametrize("name", GRIDS)
def test_headline_numbers_agree_to_1e_9_on_another_processor(
    here: Mlhw, tmp_path: Path, name: str
) -> None:
    tables = []
    for variables in ({}, OLDER):
        done = here("grid", name, *GRIDS[name], "--no-plots", "-q", env=variables, fresh=True)
        assert done.returncode == 0, done.stderr
        with (tmp_path / "runs" / "latest" / "grid.csv").open(newline="") as file:
            tables.append(list(csv.DictReader(file)))
    ours, theirs = tables
    assert len(ours) == len(theirs) > 1
    numbers = 0
    for one, other in zip(ours, theirs, strict=True):
        for key, text in one.items():
            if text == other[key]:
                continue
            # An error against another way is rounding, and nothing but.
            least = 1e-9 if key.startswith("error") else 0.0
            near = pytest.approx(float(text), rel=1e-9, abs=least)
            assert float(other[key]) == near, (name, key)
            numbers += 1
    print(f"{numbers} numbers with other last digits")
