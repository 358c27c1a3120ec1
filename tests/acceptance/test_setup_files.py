"""The files that set up an editor, a commit, a CI and a notebook elsewhere: each says what works here."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mlhw.text import yaml12
from tests.conftest import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())


def parsed(name: str) -> Any:
    value, _ = yaml12.parse((ROOT / name).read_text(encoding="utf-8"), name)
    return value


def recipe(target: str) -> list[str]:
    """What make would run for a target whose environment is set up."""
    found = subprocess.run(
        ["make", "-n", "-o", ".venv/.installed", "-o", ".venv/.developing", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stderr
    return [line for line in found.stdout.splitlines() if not line.startswith("make")]


def test_every_step_of_the_workflow_is_a_target_of_make() -> None:
    workflow = parsed(".github/workflows/tests.yml")
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == ["make run", "make test", "make site"]
    for command in commands:
        assert recipe(command.removeprefix("make "))
    for step in steps:
        assert ("run" in step) != ("uses" in step)
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "actions/checkout@v4"))
    assert [s["with"]["path"] for s in steps if "upload" in s.get("uses", "")] == [
        "runs",
        "build/site",
    ]


def test_the_workflow_tries_every_python_that_the_package_names() -> None:
    named = [
        found[1]
        for line in PROJECT["project"]["classifiers"]
        if (found := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    ]
    matrix = parsed(".github/workflows/tests.yml")["jobs"]["tests"]["strategy"]["matrix"]["python"]
    assert named == matrix
    lowest = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert named[0] == lowest
    assert f"{sys.version_info.major}.{sys.version_info.minor}" in named


def test_a_commit_is_checked_by_what_make_lint_runs() -> None:
    (repository,) = parsed(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    entries = [hook["entry"] for hook in repository["hooks"]]
    assert entries == recipe("lint")
    assert {hook["language"] for hook in repository["hooks"]} == {"system"}
    # The quick ones are run as a commit runs them; all of them are part of ``make test``.
    for entry in entries[:2]:
        program, *words = entry.split()
        command = [str(Path(sys.executable).parent / Path(program).name), *words]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert found.returncode == 0, found.stdout


def test_the_container_for_development_sets_up_what_make_test_needs() -> None:
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["image"].endswith(f":{sys.version_info.major}.11")
    assert container["postCreateCommand"] == "make develop"
    subprocess.run(["make", "-n", "develop"], cwd=ROOT, check=True, capture_output=True)
    settings = container["customizations"]["vscode"]["settings"]
    assert settings["python.defaultInterpreterPath"] == ".venv/bin/python"


def test_binder_installs_the_package_and_what_the_tour_imports() -> None:
    lines = (ROOT / ".binder" / "requirements.txt").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["uv"]
    script = ROOT / ".binder" / "postBuild"
    assert os.access(script, os.X_OK)
    subprocess.run(["sh", "-n", script], check=True)
    words = script.read_text().splitlines()[-1].split()
    assert words[:3] == ["uv", "pip", "install"]
    assert words[-2:] == [".", "pandas"]
    for option, value in (("-c", "requirements.lock"), ("--torch-backend", "cpu")):
        assert words[words.index(option) + 1] == value
    version = (ROOT / ".binder" / "runtime.txt").read_text().strip()
    assert version == f"python-{PROJECT['project']['requires-python'].removeprefix('>=')}"
    tour = json.loads((ROOT / "docs" / "tour.ipynb").read_text())
    code = "".join("".join(c["source"]) + "\n" for c in tour["cells"] if c["cell_type"] == "code")
    assert set(re.findall(r"^(?:import|from) (\w+)", code, re.M)) == {"mlhw"}
    assert "to_pandas" in code


def test_every_tool_of_an_extra_is_in_the_lock() -> None:
    locked = {
        re.sub(r"[-_.]+", "-", line.partition("==")[0].lower())
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if "==" in line
    }
    extras = PROJECT["project"]["optional-dependencies"]
    for extra, needed in extras.items():
        for requirement in needed:
            name = re.split(r"[\[<>=]", requirement)[0]
            assert re.sub(r"[-_.]+", "-", name.lower()) in locked, requirement
            if extra not in ("dev", "audit"):
                assert requirement in extras["dev"], "what a test needs, make test installs"


def test_no_page_or_file_names_the_host_of_an_index() -> None:
    """An index moves, and its addresses are for the tools that know them."""
    listed = subprocess.run(
        [
            "git",
            "ls-files",
            "-z",
            "*.md",
            "*.y*ml",
            "*.toml",
            "*.lock",
            "*.json",
            ".binder",
            "Makefile",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
    )
    names = listed.stdout.decode().split("\0")
    texts = {name: (ROOT / name).read_text() for name in names if name}
    hosts = (
        r"download\.pytorch|pypi\.(org|python)|pythonhosted|anaconda\.org|mcr\.microsoft|ghcr\.io"
    )
    assert {name for name, text in texts.items() if re.search(hosts, text)} == set()
    assert len(texts) > 30


@pytest.mark.parametrize("name", [".github/workflows/tests.yml", ".devcontainer/devcontainer.json"])
def test_what_runs_elsewhere_takes_pytorch_without_cuda(name: str) -> None:
    assert "PIP_EXTRA_INDEX_URL" in (ROOT / name).read_text()


def test_the_page_on_installing_gives_commands_that_the_tools_know() -> None:
    """What needs a network is not run here; its targets, extras and files are looked up."""
    page = (ROOT / "docs" / "installing.md").read_text()
    script = "\n".join(re.findall(r"^```sh checkout\n(.*?)^```$", page, re.S | re.M))
    targets = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"`make (\w+)`|^make (\w+)", page, re.M)):
        assert re.search(rf"^{''.join(target)}:", targets, re.M), target
    for extra in re.findall(r"'\.\[([\w,]+)\]'", page):
        assert set(extra.split(",")) <= set(PROJECT["project"]["optional-dependencies"])
    installed = [
        line for line in script.splitlines() if re.search(r"\b(pip|pipx|tool) install", line)
    ]
    assert len(installed) == 4
    assert sum("--torch-backend cpu" in line for line in installed) == 2
    assert page.count("--extra-index-url ADDRESS") == 2  # for the two that do not know it
    for line in installed:
        assert line.endswith(" .")
    names = re.findall(r"Python (3\.\d+), (3\.\d+) or (3\.\d+)", page)
    classifiers = PROJECT["project"]["classifiers"]
    assert {f"Programming Language :: Python :: {v}" for v in names[0]} <= set(classifiers)
