"""Names that are not UTF-8, in every place where a name can stand: used, or refused in one line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mlhw.config.layers import Layers
from mlhw.config.load import resolve
from mlhw.errors import ConfigError, DataError
from mlhw.experiments.registry import experiment
from mlhw.result.recorder import Recorder
from mlhw.runs.history import all_runs
from mlhw.text import yaml12
from mlhw.vision.images.own_files import Reading, list_files
from tests.conftest import PROGRAM, smoke
from tests.faults.tally import LONG, Outcome, Tally

pytestmark = pytest.mark.skipif(
    sys.platform in ("darwin", "win32"), reason="names of files there are Unicode"
)

# One byte that no UTF-8 has; a sequence cut short; what a file system of Windows' has; all of them.
BYTES = [b"r\xff", *([b"\xe2\x82", b"caf\xe9", b"\xff\xfe\x80"] if LONG else [])]
FAST = ["-q", "--no-plots", "--etas", "0.5,0.1", "--max-iterations", "40"]
DOCUMENTED = (0, 1, 2, 3)


def points() -> str:
    rng = np.random.default_rng(2)
    rows = [f"{x:.3f},{y:.3f},{int(x + y > 0)}" for x, y in rng.normal(size=(40, 2))]
    return "\n".join(["a,b,t", *rows]) + "\n"


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(PROGRAM), *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", **env},
        capture_output=True,
        stdin=subprocess.DEVNULL,
        timeout=300,
    )


def outcome(done: subprocess.CompletedProcess[bytes], runs: Path) -> tuple[Outcome, str]:
    """A documented exit code, text on the screen, and no run that is said to be still going on."""
    said = done.stderr + done.stdout
    detail = f"exit {done.returncode}: {said[-600:].decode(errors='backslashreplace')}"
    if b"Traceback" in said or b"UnicodeEncodeError" in said or b"internal error" in said:
        return "traceback", detail
    going = [one.name for one in all_runs(runs) if one.status in ("running", "crashed", "damaged")]
    lines = len(done.stderr.splitlines())
    if done.returncode not in DOCUMENTED or going or (done.returncode == 2 and lines != 1):
        return "lost", f"{detail} {going}"
    try:
        said.decode()
        for path in runs.rglob("*"):
            if path.suffix in (".txt", ".csv", ".json", ".yaml", ".html", ".svg"):
                path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        return "lost", f"{error}: {detail}"
    return "survived", detail


@pytest.mark.slow
@pytest.mark.parametrize("raw", BYTES)
def test_a_command_takes_any_name_or_refuses_it_in_a_line(
    raw: bytes, tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    bad, one = os.fsdecode(raw), tally("names")
    (tmp_path / f"{bad}.csv").write_text(points())
    (tmp_path / f"{bad}.yaml").write_text("etas: [0.5, 0.1]\nmax_iterations: 40\n")
    shutil.copytree(images(tmp_path / "plain"), tmp_path / f"img{bad}")
    runs = tmp_path / bad

    def note(*arguments: str, code: int, **env: str) -> None:
        done = run(tmp_path, *arguments, MLHW_RUNS_DIR=bad, **env)
        found, detail = outcome(done, runs)
        if found == "survived" and done.returncode != code:
            found = "lost"
        one.note(f"mlhw {' '.join(arguments)!r}", found, detail)

    note("lr-sweep", *FAST, "--data", f"{bad}.csv", "--runs-dir", bad, code=0)
    (made,) = all_runs(runs)
    config = yaml12.parse((made.folder / "config.yaml").read_text(), "config.yaml")[0]
    assert config["data"]["file"] == str(tmp_path / f"{bad}.csv")
    assert json.loads((made.folder / "run.json").read_text())["status"] == "finished"
    shown = repr(bad)[1:-1]
    assert shown in (made.folder / "report.html").read_text()
    note("runs", "list", code=0)
    note("lr-sweep", "-c", f"no{bad}.yaml", code=2)
    note("lr-sweep", "--etas", bad, code=2)
    note("finetune", "-c", smoke("finetune"), "--data", f"folder:img{bad}", "-q", code=0)
    if not LONG:
        return
    note("runs", "rerun", "lr-sweep", "--no-plots", code=0)
    note("predict", "finetune", f"img{bad}", "--json", code=0)
    for arguments, code in every(bad):
        note(*arguments, code=code)
    elsewhere = {name: str(tmp_path / f"{name}{bad}") for name in ("HOME", "XDG_CACHE_HOME")}
    (tmp_path / f"tmp{bad}").mkdir()
    note(
        "sgd-sweep",
        *("-c", smoke("sgd-sweep"), "-q"),
        code=0,
        TMPDIR=str(tmp_path / f"tmp{bad}"),
        **elsewhere,
    )
    note("runs", "clean", "--keep", "0", code=0)
    assert not all_runs(runs)


def every(bad: str) -> list[tuple[list[str], int]]:
    """The other places, each command with the exit code that it has to have."""
    data = f"{bad}.csv"
    return [
        (["lr-sweep", "-c", f"{bad}.yaml", "-q"], 0),
        (["lr-sweep", "--data", data, "--print-config"], 0),
        (["lr-sweep", "--data", f"no{data}"], 2),
        (["lr-sweep", "--data", data, "--features", bad], 2),
        (["lr-sweep", "--name", bad], 2),
        (["lr-sweep", "--set", f"{bad}={bad}"], 2),
        (["lr-sweep", "--log-axis", bad], 2),
        (["lr-sweep", f"--{bad}"], 2),
        ([bad], 2),
        (["softmax-regions", "--fit", data, "-q", "--json"], 0),
        (["data", data], 0),
        (["data", data, "--json"], 0),
        (["data", data, "--label", bad], 2),
        (["init", "lr-sweep", f"new{bad}.yaml"], 0),
        (["schema", bad], 2),
        (["doctor"], 0),
        (["open", "--print"], 0),
        (["runs", "list", "--json"], 0),
        (["runs", "show", "latest"], 0),
        (["runs", "show", bad], 2),
        (["runs", "compare", "lr-sweep~1", "lr-sweep", "--md"], 0),
        (["runs", "export", "latest", f"{bad}.zip"], 0),
        (["runs", "list", "--runs-dir", f"no{bad}"], 0),
        (["all", "-q", "--no-plots", "--junit", f"{bad}.xml", "--set", "experiments={lr-sweep: null}"], 0),
        (["all", "-q", "--set", "experiments={lr-sweep: null}", "-c", f"no{bad}"], 2),
        (["backprop-check", "--write-template", f"{bad}.py"], 0),
        (["backprop-check", "--implementation", f"{bad}.py", "-c", smoke("backprop-check"), "-q"], 3),
        (["finetune", "--resume", bad], 2),
        (["finetune", "--resume", f"{bad}/latest"], 2),
        (["finetune", "--weights", bad], 2),
        (["finetune", "-c", smoke("finetune"), "--data", f"folder:img{bad}", "--dry-run"], 0),
        (["predict", "finetune", f"no{bad}.png"], 2),
        (["predict", "finetune", f"@{bad}.list"], 2),
        (["evaluate", "finetune", "--data", f"folder:img{bad}", "--out", f"{bad}/judged"], 0),
        (["export", "finetune", "--to", f"{bad}.onnx"], 2),
    ]  # fmt: skip


def images(folder: Path) -> Path:
    """Two classes of eight small pictures."""
    from PIL import Image

    rng = np.random.default_rng(3)
    for number, name in enumerate(("cat", "dog")):
        (folder / name).mkdir(parents=True)
        for i in range(8):
            pixels = rng.integers(0, 90, (8, 8, 3)) + 160 * number
            Image.fromarray(pixels.astype(np.uint8)).save(folder / name / f"{i}.png")
    return folder


def test_classes_with_such_names_are_refused_and_images_are_read(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    one = tally("names")
    folder = images(tmp_path / "images")
    (folder / "dog" / "1.png").rename(folder / "dog" / os.fsdecode(b"\xff.png"))
    found = list_files("folder", folder, Reading(), Recorder())
    names = {Path(sample.name).name for part in found.splits.values() for sample in part}
    one.note("the name of an image", "survived" if r"\xff.png" in names else "lost", str(names))
    (folder / "dog").rename(folder / os.fsdecode(b"dog\xff"))
    with pytest.raises(DataError, match=r"dog.*its name is not UTF-8") as error:
        list_files("folder", folder, Reading(), Recorder())
    one.note("the name of a class", "survived", str(error.value))


def test_a_text_that_is_not_utf8_is_an_error_of_its_key() -> None:
    layers = Layers(experiment("lr-sweep").Config)
    layers.add_option("--etas", ("etas",), os.fsdecode(b"0.5,\xff"))
    with pytest.raises(ConfigError, match=re.escape("--etas: is no text in UTF-8")):
        resolve(layers)
