"""The wheel: built, unpacked into an empty environment outside the checkout, and run there."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python of a new environment that holds mlhw from its wheel.

    The dependencies are found where they are already installed: a folder named in a ``.pth`` file has
    its own ``.pth`` files passed over, so the checkout's editable install is not seen.
    """
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        # By way of the source distribution, which so is seen to have everything too.
        [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    (wheel,) = folder.glob("*.whl")
    assert list(folder.glob("*.tar.gz"))
    venv.create(folder / "env", with_pip=False)
    (site,) = (folder / "env").glob("lib/python*/site-packages")
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return folder / "env" / "bin" / "python"


def run(python: Path, cwd: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [python, *arguments], cwd=cwd, capture_output=True, text=True, stdin=subprocess.DEVNULL
    )


def test_the_package_comes_from_the_wheel(environment: Path, tmp_path: Path) -> None:
    found = run(environment, tmp_path, "-c", "import mlhw; print(mlhw.__file__)")
    assert Path(found.stdout.strip()).is_relative_to(environment.parents[1])


def test_it_runs_outside_the_checkout_with_the_configurations_it_brings(
    environment: Path, tmp_path: Path
) -> None:
    found = run(environment, tmp_path, "-m", "mlhw", "lr-sweep", "-c", "smoke/lr-sweep", "--json")
    assert found.returncode == 0, found.stderr
    printed = json.loads(found.stdout)
    assert len(printed["summary"]["runs"]) == 3
    assert (tmp_path / printed["run"] / "report.html").exists()
    record = json.loads((tmp_path / printed["run"] / "run.json").read_text())
    assert record["git"] == {"commit": None, "dirty": None}


def test_everything_that_the_package_needs_is_inside(environment: Path) -> None:
    package = next((environment.parents[1] / "lib").glob("python*/site-packages/mlhw"))
    for path in (ROOT / "configs").rglob("*.yaml"):
        assert (package / "configs" / path.relative_to(ROOT / "configs")).exists()
        schema = path.read_text().partition("\n")[0].partition("=")[2]
        assert (package / "configs" / path.relative_to(ROOT / "configs").parent / schema).exists()
    templates = ROOT / "mlhw" / "runs" / "templates"
    assert list(templates.iterdir())
    for path in [*(ROOT / "mlhw").rglob("*.py"), *templates.iterdir()]:
        assert (package / path.relative_to(ROOT / "mlhw")).exists()
    assert (package / "py.typed").exists()
    assert (package / "__init__.pyi").exists()
