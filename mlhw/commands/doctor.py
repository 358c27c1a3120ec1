"""``mlhw doctor``: what mlhw finds on this machine, and what is wrong with it."""

from __future__ import annotations

import importlib
import json
import os
import platform
import sys
import webbrowser
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import typer

from mlhw.commands.help import Command, examples
from mlhw.commands.options import Json, RunsDir
from mlhw.commands.run import PLAIN
from mlhw.errors import FAILED, FINISHED, ConfigError
from mlhw.system import provenance
from mlhw.system.caches import Cache, caches
from mlhw.system.screen import table_width
from mlhw.text.words import pairs, printable, quantity, text_table

app = typer.Typer(**PLAIN)

NEEDED = ("numpy", "scipy", "sklearn", "numba", "matplotlib", "PIL")
"""Modules that experiments import; torch and torchvision have ways of their own."""
EXTRAS = {
    "timm": "timm",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "onnx": "export",
    "onnxruntime": "export",
    "captum": "explain",
}
"""Distributions that some options need, each with the extra that installs it."""


def command() -> Any:
    """The Typer command."""
    return typer.main.get_command(app)


@app.command(
    "doctor",
    cls=Command,
    epilog=examples(
        ("mlhw doctor", "when something does not work"),
        ("mlhw doctor --json > machine.json", "to send along with a question"),
    ),
)
def doctor_command(runs_dir: RunsDir = "runs", as_object: Json = False) -> int:
    """What mlhw finds here: Python, torch and its build, the device, caches and their sizes, the browser.

    Exit codes: 0 all experiments can run; 1 something that they need is missing or broken.
    """
    found = findings(Path(runs_dir))
    print(
        json.dumps(found, indent=2, ensure_ascii=False)
        if as_object
        else printable("\n".join(findings_lines(found)))
    )
    return FAILED if found["problems"] else FINISHED


def findings(runs_dir: Path) -> dict[str, Any]:
    """All that is found, as JSON values; ``problems`` are sentences, none where all is well."""
    torch = _torch()
    problems = [torch["error"]] if torch["error"] else []
    loads: dict[str, Callable[[], object]] = {
        name: partial(importlib.import_module, name) for name in NEEDED
    }
    loads["torchvision"] = _load_torchvision
    problems += [line for name, load in loads.items() if (line := _trouble(name, load))]
    count, closed = _runs(runs_dir)
    problems += [closed] if closed else []
    return {
        "mlhw": provenance.environment()["versions"]["mlhw"],
        "python": {
            "version": platform.python_version(),
            "executable": sys.executable,
            "platform": platform.platform(),
        },
        "torch": torch,
        "cpus": provenance.usable_cpus(),
        "extras": {name: provenance.package_version(name) for name in EXTRAS},
        "caches": [_as_object(cache) for cache in caches()],
        "runs": {"path": str(runs_dir), "count": count},
        "browser": _browser(),
        "problems": problems,
    }


def _torch() -> dict[str, Any]:
    """torch's version, what it was built for, and the devices that it sees."""
    facts: dict[str, Any] = dict.fromkeys(("version", "build", "device", "gpus", "error"))
    try:
        import torch
    except (ImportError, OSError) as error:
        return facts | {"error": f"torch cannot be imported: {' '.join(str(error).split())}"}
    cuda, rocm = torch.version.cuda, getattr(torch.version, "hip", None)
    build = f"CUDA {cuda}" if cuda else f"ROCm {rocm}" if rocm else "CPU"
    gpus = [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())]
    from mlhw.vision.training.device import find_device

    device = str(find_device("auto"))
    return facts | {"version": torch.__version__, "build": build, "device": device, "gpus": gpus}


def _trouble(name: str, load: Callable[[], object]) -> str | None:
    """Why a module cannot be imported; None if it can."""
    try:
        load()
    except Exception as error:
        return f"{name} cannot be imported: {' '.join(str(error).split())}"
    return None


def _load_torchvision() -> None:
    from mlhw.vision.networks.torchvision_import import torchvision

    torchvision()


def _browser() -> str | None:
    """The browser that ``mlhw open`` would use."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return None
    return str(getattr(found, "name", type(found).__name__))


def _runs(runs_dir: Path) -> tuple[int, str | None]:
    """How many runs there are, and why there can be no more; None where there can."""
    from mlhw.runs.history import all_runs

    place = next(p for p in (runs_dir.absolute(), *runs_dir.absolute().parents) if p.exists())
    try:
        count = len(all_runs(runs_dir))
    except ConfigError:
        count = 0
    if place.is_dir() and os.access(place, os.W_OK):
        return count, None
    return count, f"the runs folder {runs_dir} cannot be written; choose another with --runs-dir"


def _as_object(cache: Cache) -> dict[str, Any]:
    return {
        "name": cache.name,
        "holds": cache.holds,
        "path": str(cache.path),
        "files": len(cache.sizes),
        "bytes": sum(cache.sizes),
        "clear": cache.clear if cache.sizes else None,
    }


def findings_lines(found: dict[str, Any]) -> list[str]:
    """The findings for the screen."""
    python, torch = found["python"], found["torch"]
    gpus = ", ".join(torch["gpus"] or ()) or "no GPU"
    missing = sorted({EXTRAS[name] for name, version in found["extras"].items() if not version})
    rows = [
        ["mlhw", found["mlhw"] or "not installed"],
        ["Python", f"{python['version']} ({python['executable']})"],
        ["platform", f"{python['platform']}, {quantity(found['cpus'], 'CPU')}"],
        [
            "torch",
            f"{torch['version']}, built for {torch['build']}" if torch["version"] else "none",
        ],
        ["device", f"{torch['device'] or 'none'} ({gpus})"],
        ["extras", ", ".join(f"{n} {v}" for n, v in found["extras"].items() if v) or "none"],
        ["runs", f"{found['runs']['count']:,} in {found['runs']['path']}"],
        ["browser", found["browser"] or "none: mlhw open --print gives a report's path"],
    ]
    if missing:
        rows.insert(
            6, ["not there", f"{', '.join(missing)}: pip install 'mlhw[{','.join(missing)}]'"]
        )
    width = table_width()
    lines = [*pairs(rows, width=width), "", "caches"]
    kept = [[c["name"], _size(c["bytes"]), c["holds"], c["path"]] for c in found["caches"]]
    lines += text_table(
        ["  name", "size", "holds", "folder"], [["  " + r[0], *r[1:]] for r in kept], width=width
    )
    full = [cache["clear"] for cache in found["caches"] if cache["clear"]]
    lines += ["", "All of it can be had again. To clear:" if full else "All of them are empty."]
    lines += [f"  {line}" for line in full]
    if found["runs"]["count"]:
        lines.append("  mlhw runs clean --keep 20    # all but the 20 newest runs")
    lines += ["", *(f"problem: {line}" for line in found["problems"])]
    return lines if found["problems"] else [*lines, "No problem found."]


def _size(count: int) -> str:
    """``13.2 MB``; units of 1000."""
    size, unit = float(count), "B"
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            break
        size /= 1000
    return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
