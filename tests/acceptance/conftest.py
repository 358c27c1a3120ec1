"""The program called in the test's own process, where starting it anew would only take time."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from mlhw.commands.main import main
from tests.conftest import Mlhw


@pytest.fixture
def mlhw_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Mlhw:
    """As ``mlhw``, with a cache folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLHW_RUNS_DIR", str(tmp_path / "runs"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        words = [str(argument) for argument in arguments]
        code = main(words)
        out, err = capsys.readouterr()
        return subprocess.CompletedProcess(words, code, out, err)

    return run
