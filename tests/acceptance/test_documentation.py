"""Every command in README and docs is run, in an empty folder with a small data file."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
POINTS = "length,width,label\n" + "".join(
    f"{1 + i % 7},{(i * 5) % 6 - 2 * (i % 3 > 0)},{'cat' if i % 3 else 'dog'}\n" for i in range(60)
)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.S | re.M)


COMMANDS = [
    pytest.param(line, id=f"{page.stem}: {line[:60]}")
    for page in PAGES
    for block in blocks(page, "sh")
    for line in [" && ".join(block.strip().splitlines())]
]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_documented_command_works_as_it_stands(line: str, tmp_path: Path) -> None:
    (tmp_path / "points.csv").write_text(POINTS)
    programs = Path(sys.executable).parent
    found = subprocess.run(
        line,
        shell=True,
        executable="/bin/bash",
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_on_a_page_runs(page: Path) -> None:
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec", dont_inherit=True), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_of_a_page_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
