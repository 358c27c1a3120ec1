"""How long an installation takes, and how large it is: the wheel into a new environment, then one run.

    python bench/install.py NAME [--tool pip|uv|pipx|uv-tool] [--python python3.12] [-- OPTIONS of the tool]

What was measured is kept in ``bench/results/install.json`` under NAME. The time is that of this machine, its
network and its caches; ``--cold`` leaves the tool's cache aside. An installation that ends with an error, or
a program that does not run, is an error here too.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from timing import ROOT, record

RUN = ["lr-sweep", "--no-plots", "-q", "--json"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("name")
    parser.add_argument("--tool", choices=["pip", "uv", "pipx", "uv-tool"], default="pip")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--wheel", type=Path, help="a wheel that is built already")
    parser.add_argument("--cold", action="store_true", help="without the tool's cache")
    parser.add_argument("--folder", help="where the environment is made; deleted afterwards")
    # argparse takes what begins with a dash for an option of this program, even behind "--".
    words = sys.argv[1:]
    end = words.index("--") if "--" in words else len(words)
    given = parser.parse_args(words[:end])
    given.options = words[end + 1 :]
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        wheel = given.wheel or build(Path(folder))
        environment = {**os.environ, **homes(Path(folder))}
        if given.cold:
            cache = f"{folder}/cache"
            environment |= {"PIP_CACHE_DIR": cache, "UV_CACHE_DIR": cache}
        python, commands = recipe(given, Path(folder), str(wheel))
        started = time.perf_counter()
        for command in commands:
            subprocess.run(command, check=True, env=environment)
        seconds = time.perf_counter() - started
        size = sum(path.stat().st_size for path in packages(Path(folder)))
        versions = output([python, "-m", "mlhw", "--version"], folder)
        started = time.perf_counter()
        output([python, "-m", "mlhw", *RUN], folder)
        first = time.perf_counter() - started
    found = {
        "tool": given.tool,
        "options": " ".join(given.options),
        "seconds": round(seconds),
        "megabytes": round(size / 1e6),
        "versions": versions,
        "first_run_s": round(first, 1),
    }
    print(found)
    record("install", {"command": "python bench/install.py NAME -- OPTIONS", given.name: found})


def build(folder: Path) -> Path:
    command = [sys.executable, "-m", "build", "-w", "--no-isolation", "--outdir", str(folder)]
    subprocess.run(command, check=True, cwd=ROOT, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def homes(folder: Path) -> dict[str, str]:
    """Where the tools for programs put them: into the folder, not into the user's home."""
    return {
        "PIPX_HOME": f"{folder}/tools",
        "PIPX_BIN_DIR": f"{folder}/bin",
        "UV_TOOL_DIR": f"{folder}/tools",
        "UV_TOOL_BIN_DIR": f"{folder}/bin",
    }


def recipe(given: argparse.Namespace, folder: Path, wheel: str) -> tuple[str, list[list[str]]]:
    """The Python that the program then has, and the commands that install it."""
    tool, options = given.tool, given.options
    if tool == "pip":
        python = f"{folder}/env/bin/python"
        return python, [
            [given.python, "-m", "venv", f"{folder}/env"],
            [python, "-m", "pip", "install", "-q", *options, wheel],
        ]
    if tool == "uv":
        python = f"{folder}/env/bin/python"
        return python, [
            ["uv", "venv", "-q", "--python", given.python, f"{folder}/env"],
            ["uv", "pip", "install", "-q", "--python", python, *options, wheel],
        ]
    if tool == "pipx":
        words = ["pipx", "install", "--python", given.python, *options, wheel]
        return f"{folder}/tools/venvs/mlhw/bin/python", [words]
    words = ["uv", "tool", "install", "-q", "--python", given.python, *options, wheel]
    return f"{folder}/tools/mlhw/bin/python", [words]


def packages(folder: Path) -> list[Path]:
    """Every file of the environment, links aside."""
    return [
        path
        for place in ("env", "tools")
        for path in (folder / place).rglob("*")
        if path.is_file() and not path.is_symlink()
    ]


def output(command: list[str], folder: str) -> str:
    """What a command prints, in an empty folder. Raises CalledProcessError."""
    return subprocess.run(
        command, check=True, cwd=folder, capture_output=True, text=True
    ).stdout.strip()


if __name__ == "__main__":
    main()
