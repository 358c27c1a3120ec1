"""``mlhw doctor``: what is here, how much room the caches take, and what is wrong."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import webbrowser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from mlhw.commands.main import main
from mlhw.system import checked, machine_code
from mlhw.system.caches import caches
from mlhw.system.files import cache_folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with 1,234,567 bytes of features and nothing else."""
    monkeypatch.chdir(tmp_path)
    for name in ("XDG_CACHE_HOME", "TORCH_HOME", "HF_HOME", "MPLCONFIGDIR"):
        monkeypatch.setenv(name, str(tmp_path / "my caches" / name))
    for name in ("MLHW_RUNS_DIR", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    cache_folder("features").mkdir(parents=True)
    (cache_folder("features") / "a.npy").write_bytes(bytes(1_234_567))
    return tmp_path


def doctor(capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    assert main(["doctor", "--json"]) == code
    return json.loads(capsys.readouterr().out)


def test_python_torch_device_and_caches_are_told(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = doctor(capsys)
    assert found["problems"] == []
    assert found["python"]["version"] == sys.version.split()[0]
    assert found["torch"]["version"] == torch.__version__
    assert found["torch"]["build"] == (
        f"CUDA {torch.version.cuda}" if torch.version.cuda else "CPU"
    )
    assert (found["torch"]["device"] == "cpu") == (not torch.cuda.is_available())
    sizes = {cache["name"]: (cache["files"], cache["bytes"]) for cache in found["caches"]}
    assert sizes["features"] == (1, 1_234_567)
    assert sizes["images"] == (0, 0)
    assert main(["doctor"]) == 0
    text = capsys.readouterr().out
    assert "1.2 MB" in text
    assert re.search(rf"^torch +{re.escape(torch.__version__)}, built for", text, re.M)
    assert text.endswith("No problem found.\n")


def test_what_it_says_clears_a_cache_clears_it(home: Path) -> None:
    (features,) = [cache for cache in caches() if cache.sizes]
    assert str(home) in features.clear
    subprocess.run(shlex.split(features.clear), check=True)
    assert not any(cache.sizes for cache in caches())


def test_the_compiled_loops_are_counted_where_they_are_kept(home: Path) -> None:
    checked.remember(machine_code.folder() / "loop", bytes(10))
    assert {cache.name: sum(cache.sizes) for cache in caches()}["compiled"] == 42


def test_what_is_missing_or_closed_is_a_problem_and_exit_1(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    (home / "closed").write_text("")
    monkeypatch.setenv("MLHW_RUNS_DIR", str(home / "closed" / "runs"))
    problems = doctor(capsys, 1)["problems"]
    assert len(problems) == 2
    assert problems[0].startswith("numba cannot be imported: ")
    assert "closed/runs cannot be written; choose another with --runs-dir" in problems[1]
    assert main(["doctor"]) == 1
    assert "problem: numba cannot be imported" in capsys.readouterr().out


def test_the_browser_is_named_or_its_absence(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webbrowser, "get", lambda: SimpleNamespace(name="firefox"))
    assert doctor(capsys)["browser"] == "firefox"

    def none() -> None:
        raise webbrowser.Error("could not locate runnable browser")

    monkeypatch.setattr(webbrowser, "get", none)
    assert doctor(capsys)["browser"] is None
    assert main(["doctor"]) == 0
    assert "none: mlhw open --print gives a report's path" in capsys.readouterr().out
