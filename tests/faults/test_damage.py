"""Files that are read back, damaged in every way: refused, or said, or harmless; never taken for whole."""

from __future__ import annotations

import io
import random
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from PIL import Image

from mlhw.commands.main import main
from tests.conftest import smoke
from tests.faults.damage import damages, flipped, holding
from tests.faults.tally import Tally

PLAIN = ("--no-plots", "-q", "--no-check")

Tallies = Callable[[str], Tally]


@dataclass
class Ended:
    """How a command ended: its exit code, and what it said, without what differs from run to run."""

    code: int
    out: str
    err: str

    @property
    def traceback(self) -> bool:
        return "Traceback" in self.err or "internal error" in self.err

    def says(self, *names: str) -> bool:
        """Whether it named one of these beside a word that something is wrong with it."""
        lines = [
            line for line in self.err.splitlines() if line.startswith(("error: ", "warning: "))
        ]
        lines += [line for line in self.out.splitlines() if CHANGED.search(line)]
        return any(name in line for line in lines for name in names)


CHANGED = re.compile(
    r"changed since|damaged|is no record|is torn|is empty|cannot be read|changed  |missing"
)
# The run's own name and how long it took.
PASSING = re.compile(r"\d{8}-\d{6}-[a-z-]+\d*|[\d.]+ s\b")


def mlhw(*arguments: str | Path) -> Ended:
    """A command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main([str(word) for word in arguments])
    return Ended(code, PASSING.sub("*", out.getvalue()), err.getvalue())


def try_all(
    one: Tally, run: Path, name: str, commands: dict[str, Callable[[], Ended]], *also: str
) -> None:
    """Every damage of a file of a run before every command.

    It has to refuse, with exit code 2 and one line or more that name the file or the run; or say that the
    file has changed; or print what it prints of the whole one.
    """
    whole = {word: command() for word, command in commands.items()}
    path = run / name
    for what, data in damages(path.read_bytes(), name):
        if data == path.read_bytes():
            continue
        for word, command in commands.items():
            with holding(path, data):
                found = command()
            detail = f"exit {found.code}: {found.err[-300:]} {found.out[-200:]}"
            said = found.says(path.name, run.name, *also)
            if found.traceback:
                outcome = "traceback"
            elif found.code in (1, 2):
                outcome = "survived" if said else "silent"
            else:
                right = (found.code, found.out) == (whole[word].code, whole[word].out)
                outcome = "survived" if said or right else "silent"
            one.note(f"{word}: {name} {what}", outcome, detail)  # type: ignore[arg-type]


# ------------------------------------------------------------------------------------- runs


@dataclass
class Bench:
    """Runs to be damaged, and images."""

    folder: Path
    sweep: Path = field(init=False)
    tuned: Path = field(init=False)

    @property
    def images(self) -> list[Path]:
        return sorted((self.folder / "images").iterdir())


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    found = Bench(tmp_path_factory.mktemp("damage"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(found.folder)
        patch.setenv("XDG_CACHE_HOME", str(found.folder / "cache"))
        patch.delenv("MLHW_RUNS_DIR", raising=False)
        assert mlhw("lr-sweep", "--max-iterations", "12", "--etas", "0.5,0.1", *PLAIN).code == 0
        found.sweep = Path("runs/latest").resolve()
        assert mlhw("lr-sweep", "--max-iterations", "12", "--etas", "0.5,0.2", *PLAIN).code == 0
        assert mlhw("finetune", "-c", smoke("finetune"), "--features", "disk", *PLAIN).code == 0
        found.tuned = Path("runs/latest").resolve()
        (found.folder / "images").mkdir()
        for i in range(2):
            noise = random.Random(i).randbytes(3 * 64)
            Image.frombytes("RGB", (8, 8), noise).save(found.folder / "images" / f"{i}.png")
        yield found


def showing(run: Path, other: str) -> dict[str, Callable[[], Ended]]:
    """The commands that read a run's record, configuration, result and tables."""
    return {
        "show": lambda: mlhw("runs", "show", run),
        "show --json": lambda: mlhw("runs", "show", run, "--json"),
        "compare": lambda: mlhw("runs", "compare", run, other, "--no-plots"),
        "verify": lambda: mlhw("runs", "verify", run),
    }


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "result.json", "metrics.csv"])
def test_what_is_shown_and_compared_is_whole_or_said_to_be_changed(
    bench: Bench, tally: Tallies, name: str
) -> None:
    one = tally("damaged_files")
    try_all(one, bench.sweep, name, showing(bench.sweep, "lr-sweep"))
    verify = mlhw("runs", "verify", bench.sweep)
    assert (verify.code, "changed" in verify.out) == (0, False)


def test_every_table_of_a_run_is_checked(bench: Bench, tally: Tallies) -> None:
    one = tally("damaged_files")
    for path in sorted(bench.tuned.glob("*.csv")):
        data = path.read_bytes()
        with holding(path, flipped(data, 8 * len(data) - 12)):
            for word, command in showing(bench.tuned, "finetune").items():
                outcome = "survived" if command().says(path.name) else "silent"
                one.note(f"{word}: {path.name}", outcome)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["run.json", "config.yaml", "result.json", "metrics.csv"])
def test_a_run_is_repeated_only_by_its_own_configuration_and_damaged_numbers_are_named(
    bench: Bench, tally: Tallies, name: str
) -> None:
    again = bench.folder / "again"
    commands = {
        "rerun": lambda: mlhw("runs", "rerun", bench.sweep, "--no-plots", "--runs-dir", again)
    }
    if name == "config.yaml":
        config = ("-c", bench.sweep / name, "--runs-dir", again)
        commands["-c"] = lambda: mlhw("lr-sweep", *config, *PLAIN)
    try_all(tally("damaged_files"), bench.sweep, name, commands)
    shutil.rmtree(again, ignore_errors=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    ["run.json", "config.yaml", "checkpoints/best.safetensors", "checkpoints/manifest.json"],
)
def test_a_damaged_model_is_refused_and_damage_elsewhere_changes_no_answer(
    bench: Bench, tally: Tallies, name: str
) -> None:
    out = bench.folder / "exported.safetensors"
    commands = {
        "predict": lambda: mlhw("predict", bench.tuned, *bench.images, "--format", "csv", "-q"),
        "evaluate": lambda: mlhw("evaluate", bench.tuned, "--format", "csv", "-q"),
        "export": lambda: mlhw("export", bench.tuned, "--out", out, "--force"),
    }
    try_all(tally("damaged_files"), bench.tuned, name, commands, "checkpoints")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["safetensors", "onnx", "pt2"])
def test_a_damaged_export_is_refused(bench: Bench, tally: Tallies, form: str) -> None:
    if form == "onnx":
        for package in ("onnx", "onnxscript", "onnxruntime"):
            pytest.importorskip(package)
    file = bench.folder / f"model.{form}"
    assert mlhw("export", bench.tuned, "--out", file).code == 0
    words = ("predict", file, *bench.images, "--format", "csv", "-q")
    try_all(tally("damaged_files"), bench.folder, file.name, {"predict": lambda: mlhw(*words)})
