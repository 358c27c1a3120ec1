"""Every command in README and docs is run, in an empty folder with a small data file."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlhw.text import yaml12
from tests.acceptance.cifar import pack_part
from tests.conftest import ROOT, shared

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
POINTS = "length,width,label\n" + "".join(
    f"{1 + i % 7},{(i * 5) % 6 - 2 * (i % 3 > 0)},{'cat' if i % 3 else 'dog'}\n" for i in range(60)
)


# A derivation that forgets the sum over the units of the next layer, and the file it stands in.
FORGETFUL = """
import numpy as np

def backprop(weights, x, t):
    w1, w2, w3 = weights
    z2 = 1 / (1 + np.exp(-w1 @ x))
    z3 = 1 / (1 + np.exp(-w2 @ z2))
    d4 = w3 @ z3 - t
    d3 = z3 * (1 - z3) * (w3.T @ d4)
    d2 = z2 * (1 - z2) * w2[0] * d3[0]
    return [np.outer(d2, x), np.outer(d3, z2), np.outer(d4, z3)]
"""


FENCE = re.compile(r"^```(.*?)\n(.*?)^```$", re.S | re.M)


def blocks(page: Path, language: str) -> list[str]:
    return [text for kind, text in FENCE.findall(page.read_text()) if kind == language]


def scripts(language: str) -> list[object]:
    return [
        pytest.param(block, id=f"{page.stem}-{number}")
        for page in PAGES
        for number, block in enumerate(blocks(page, language), 1)
    ]


def shell(script: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script as a reader would, who has our configurations, points, rows and photographs."""
    (folder / "points.csv").write_text(POINTS)
    rows = np.random.default_rng(0).normal(size=(200, 4))
    rows[:, -1] = rows[:, :-1].sum(axis=1) + rows[:, -1] > 0
    for name, some in (("rows", rows), ("part1", rows[:120]), ("part2", rows[120:])):
        np.save(folder / f"{name}.npy", some)
    (folder / "configs").symlink_to(ROOT / "configs")
    rng = np.random.default_rng(0)
    pictures = [f"photos/train/{kind}/{i}.jpg" for kind in ("cat", "dog") for i in range(10)]
    for i, name in enumerate([*pictures, "new/1.jpg", "holiday.jpg"]):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 128, (16, 16, 3)) + (0 if i < 10 else 127)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / name)
    programs = Path(sys.executable).parent
    return subprocess.run(
        ["bash", "-ec", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=600,
    )


@pytest.mark.parametrize("script", scripts("sh"))
def test_documented_commands_work_as_they_stand(script: str, tmp_path: Path) -> None:
    found = shell(script, tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("script", scripts("sh gpu"))
def test_documented_commands_for_a_gpu_work_or_say_that_there_is_none(
    script: str, tmp_path: Path
) -> None:
    import torch

    found = shell(script, tmp_path)
    if torch.cuda.is_available():
        assert found.returncode == 0, found.stdout + found.stderr
    else:
        assert found.returncode == 2
        assert found.stderr.startswith("error: ")
        assert "cuda" in found.stderr
        assert len(found.stderr.splitlines()) == 1


@pytest.mark.parametrize("script", scripts("sh cifar"))
def test_documented_commands_on_cifar_10_work_as_they_stand(script: str, tmp_path: Path) -> None:
    # A fifth of the images: 5,000 for validation, as the configuration has it, and as many to train on.
    pack_part(tmp_path / "train.tar.xz", tmp_path / "part", ("0.jpg", "5.jpg"))
    weights = shared("data/weights/cifar100_resnet20_backbone.pth")
    (tmp_path / weights.name).symlink_to(weights)
    cifar = tmp_path / "data" / "cifar10"
    cifar.mkdir(parents=True)
    (cifar / "net.pth").symlink_to(weights)
    (tmp_path / "elsewhere").symlink_to(cifar)
    found = shell(script, tmp_path)
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("example", scripts("console"))
def test_what_a_page_shows_of_a_terminal_is_what_it_shows(example: str, tmp_path: Path) -> None:
    (tmp_path / "my_backprop.py").write_text(FORGETFUL)
    command, _, shown = example.removeprefix("$ ").partition("\n")
    found = shell(command, tmp_path)
    assert " ".join(shown.split()) in " ".join((found.stdout + found.stderr).split())


def test_no_block_of_commands_is_left_out() -> None:
    """Blocks without a language hold messages, or README's two commands that CI itself runs."""
    for page in PAGES:
        for block in blocks(page, ""):
            assert block.startswith("make run ") or "mlhw " not in block, block


def test_commands_in_the_text_have_the_options_that_they_name() -> None:
    known: dict[str, str] = {}
    named = 0
    for page in PAGES:
        text = FENCE.sub("", page.read_text())
        for words in re.findall(r"`mlhw ([a-z][^`]*)`", text):
            command, *rest = words.split()
            command = f"runs {rest[0]}" if command == "runs" and rest else command
            if command == "dice":  # the experiment that one page adds
                continue
            if command not in known:
                found = shell_help(command)
                assert found.returncode == 0, f"{page.name}: mlhw {words}"
                known[command] = found.stdout
            for option in (word.split("=")[0] for word in rest if word.startswith("-")):
                assert re.search(rf"(^|[ ,/]){option}\b", known[command], re.M), f"mlhw {words}"
                named += 1
    assert named


def shell_help(command: str) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).parent / "mlhw"
    return subprocess.run(
        [program, *command.split(), "--help"], capture_output=True, text=True, timeout=60
    )


def checkout(folder: Path) -> Path:
    """A copy of what is tracked, as it stands here."""
    tracked = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
        text=True,
    ).stdout.split("\0")
    for name in tracked:
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    return folder


def test_an_experiment_is_added_by_one_folder_one_configuration_and_one_test(
    tmp_path: Path,
) -> None:
    """The page's files, written into a copy of the checkout, are all it takes."""
    page = ROOT / "docs" / "adding-an-experiment.md"
    files = dict(
        re.findall(r"^\*\*`(.+?)`\*\*\n\n```\w+\n(.*?)^```$", page.read_text(), re.S | re.M)
    )
    assert {str(Path(name).parent) for name in files} == {
        "mlhw/experiments/perceptron",
        "configs",
        "tests/tampering",
    }
    assert sum(not name.startswith("mlhw/") for name in files) == 2
    clone = checkout(tmp_path / "clone")
    if (ROOT / ".mypy_cache").exists():  # what ``make lint`` has found out of unchanged files
        shutil.copytree(ROOT / ".mypy_cache", clone / ".mypy_cache")
    for name, text in files.items():
        assert not (clone / name).exists()
        (clone / name).parent.mkdir(exist_ok=True)
        (clone / name).write_text(text)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "mlhw").write_text(f'#!/bin/sh\nexec {sys.executable} -m mlhw "$@"\n')
    (programs / "mlhw").chmod(0o755)
    (script,) = blocks(page, "sh added")
    found = subprocess.run(
        [
            "bash",
            "-ec",
            f"{script}\nruff check\nruff format --check\nlint-imports --no-cache\nmypy\nmlhw --help\n",
        ],
        cwd=clone,
        env={
            **os.environ,
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(clone),
        },
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert found.returncode == 0, found.stdout + found.stderr
    assert "holds: the perceptron makes at most" in found.stdout
    assert re.search(r"perceptron  finished  1 +0 +0 ", found.stdout)
    assert re.search(r"\b[1-3][0-9] passed", found.stdout), found.stdout
    assert "Success: no issues found" in found.stdout
    assert "perceptron       How many mistakes does a perceptron make" in found.stdout


def test_the_github_workflow_does_what_its_page_says(tmp_path: Path) -> None:
    """Its own steps one after the other, as GitHub runs them: ``bash -e``, in a clone.

    The environment is the one at hand, so that ``make setup`` has nothing left to install.
    """
    (text,) = blocks(ROOT / "docs" / "ci.md", "yaml")
    workflow, _ = yaml12.parse(text, "ci.md")
    ((_, job),) = workflow["jobs"].items()
    clone = checkout(tmp_path / "clone")
    programs = clone / ".venv" / "bin"
    programs.mkdir(parents=True)
    for name in ("python", "mlhw"):
        (programs / name).symlink_to(Path(sys.executable).parent / name)
    (clone / ".venv" / ".installed").touch()
    commands = [step["run"] for step in job["steps"] if "run" in step]
    assert commands[0] == "make setup"
    for command in commands:
        found = subprocess.run(
            ["bash", "-e", "-c", command], cwd=clone, capture_output=True, text=True, timeout=600
        )
        assert found.returncode == 0, found.stdout + found.stderr
    (upload,) = [step for step in job["steps"] if "upload" in step.get("uses", "")]
    assert len(list((clone / upload["with"]["path"]).glob("2*/report.html"))) == 7
    assert (clone / "claims.xml").read_text().count("<testsuite ") == 6


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_python_on_a_page_runs(page: Path) -> None:
    for block in blocks(page, "python"):
        exec(compile(block, page.name, "exec", dont_inherit=True), {})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_pictures_of_a_page_exist(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text()):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def test_the_page_on_configuration_and_the_types_are_what_the_models_say() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    assert generate.PAGE.read_text() == generate.page(), "run: python docs/generate.py"
    assert generate.STUB.read_text() == generate.stub(), "run: python docs/generate.py"
    for path, text in generate.schemas().items():
        assert path.read_text() == text, "run: python docs/generate.py"
