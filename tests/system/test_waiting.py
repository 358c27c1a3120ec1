"""Threads that wait sleep soon, unless the environment says otherwise; said before torch is imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = (
    "import sys, os; import mlhw.vision.config; "
    "print(os.environ.get('GOMP_SPINCOUNT'), 'torch' in sys.modules)"
)


def said(**given: str) -> list[str]:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    done = subprocess.run(
        [sys.executable, "-c", CODE], env=environment | given, capture_output=True, text=True
    )
    return done.stdout.split()


def test_set_before_torch_and_only_where_nothing_was_said() -> None:
    assert said() == ["1000", "False"]
    assert said(GOMP_SPINCOUNT="7")[0] == "7"
    assert said(OMP_WAIT_POLICY="active")[0] == "None"


def test_the_library_takes_it() -> None:
    names = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    environment = {key: value for key, value in os.environ.items() if key not in names}
    done = subprocess.run(
        [sys.executable, "-c", "import mlhw.vision.config, torch"],
        env=environment | {"OMP_DISPLAY_ENV": "verbose"},
        capture_output=True,
        text=True,
    )
    # The library tells what it has read when it is loaded.
    if "GOMP_" not in done.stderr:
        pytest.skip("this torch comes with another OpenMP")
    assert "GOMP_SPINCOUNT = '1000'" in done.stderr
