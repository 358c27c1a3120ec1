"""SIGKILL before every file event, in the middle of every write, and whenever it comes."""

from __future__ import annotations

import csv
import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from mlhw.commands.main import main
from mlhw.experiments.registry import experiment
from mlhw.runs.history import Run, all_runs
from tests.conftest import ROOT
from tests.faults.killing import Forked, Forks
from tests.faults.tally import LONG, Outcome, Tally

pytestmark = pytest.mark.slow

QUIET = ("--no-plots", "-q", "--no-check")
# The smallest run that has a best model, a last and a previous state, stored features, a rate that is
# looked for, and images of its own.
FINETUNE = (
    *("finetune", "--data", "folder:images", "--model", "cifar_resnet20", "--weights", "none"),
    *("--image-size", "8", "--val", "0.3", "--test", "0.3", "--epochs", "2", "--unfreeze-at", "1"),
    *("--lr", "0.01", "--batch-size", "16", "--threads", "1", "--precision", "fp32"),
    *("--layout", "channels-last", *QUIET),
)
ANEW = "nothing was saved yet: the run starts from the beginning"
OTHERS = ("lr-sweep", "sgd-sweep", "softmax-regions", "vanishing", "backprop-check")


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    with Forks() as found:
        yield found


@dataclass(frozen=True)
class Bench:
    """A run that nothing befell, in ``root``, and copies of what it began with."""

    forks: Forks
    root: Path
    start: Path
    command: tuple[str, ...]
    ended: Forked

    @property
    def run(self) -> Run:
        (found,) = all_runs(self.root / "runs")
        return found

    def again(self, folder: Path, number: int = 0) -> Path:
        """A new folder where the same run can be started."""
        root = folder / str(number)
        shutil.copytree(self.start, root)
        return root


Make = Callable[..., Bench]


@pytest.fixture(scope="module")
def bench(forks: Forks, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A run of a command; each is made once."""
    made: dict[tuple[tuple[str, ...], bool], Bench] = {}

    def make(*command: str, plain: bool = False) -> Bench:
        if (command, plain) not in made:
            start, root = (tmp_path_factory.mktemp(name) for name in ("start", "root"))
            for folder in (start, root):
                draw_images(folder / "images")
            ended = forks.run(root, *command, plain=plain)
            assert ended.code == 0, ended.err
            made[command, plain] = Bench(forks, root, start, command, ended)
        return made[command, plain]

    return make


def draw_images(folder: Path) -> None:
    """45 images of noise, each with more of its class's colour."""
    from PIL import Image

    rng = np.random.default_rng(0)
    for number in range(45):
        pixels = rng.integers(0, 90, (8, 8, 3), dtype=np.uint8)
        pixels[:, :, number % 3] += 100
        place = folder / ("red", "green", "blue")[number % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number}.png")


# ------------------------------------------------------------------------------------- what survived


def after_a_kill(bench: Bench, root: Path) -> tuple[Outcome, str]:
    """Go on with a fine-tuning that was killed, and compare it with the one that was not."""
    runs = all_runs(root / "runs")
    if len(runs) > 1 or any(run.status not in ("crashed", "finished") for run in runs):
        return "lost", f"the record lies: {[run.status for run in runs]}"
    if not runs:
        ended = bench.forks.run(root, *bench.command)
    elif runs[0].status == "crashed":
        saved = list(root.rglob("last.pt")) + list(root.rglob("prev.pt"))
        ended = bench.forks.run(root, "finetune", "--resume", "latest", *QUIET)
        log = (runs[0].folder / "log.txt").read_text()
        if not saved and not ended.code and ANEW not in log:
            return "silent", "it began anew without a word"
    else:
        main(["runs", "clean", "--runs-dir", str(root / "runs")])
        ended = Forked(0, "", "")
    if "Traceback" in ended.err:
        return "traceback", ended.err[-300:]
    if ended.code:
        return "lost", f"exit code {ended.code}: {ended.err[-300:]}"
    (run,) = all_runs(root / "runs")
    if run.status != "finished":
        return "lost", f"status {run.status}"
    if runs and runs[0].folder != run.folder:
        return "lost", "it went on in another folder"
    differing = [name for name in compared(bench) if content(run, name) != content(bench.run, name)]
    if differing:
        return "silent", f"differ: {', '.join(differing)}"
    return nothing_left(root)


def nothing_left(root: Path) -> tuple[Outcome, str]:
    left = [*root.rglob(".*"), *root.rglob("prev.pt")]  # a run that has finished needs neither
    names = ", ".join(str(path.relative_to(root)) for path in left)
    return ("lost", f"left behind: {names}") if left else ("survived", "")


def compared(bench: Bench) -> list[str]:
    """The files of the run that nothing befell, but for pages, logs and states, which tell times."""
    folder = bench.run.folder
    names = [str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()]
    assert any(name.endswith("best.safetensors") for name in names)
    return [name for name in names if name.endswith((".csv", ".safetensors", "result.json"))]


def content(run: Run, name: str) -> bytes | list[list[str]]:
    """The bytes of a file; of a table that tells times, the other columns."""
    path = run.folder / name
    if not path.is_file():
        return b"missing"
    if not name.endswith(("metrics.csv", "repeats.csv")):
        return path.read_bytes()
    with open(path, newline="") as file:
        rows = list(csv.DictReader(file))
    times = experiment("finetune").timing
    return [[value for column, value in row.items() if column not in times] for row in rows]


def noted(one: Tally, bench: Bench, root: Path, fault: str, ended: Forked) -> None:
    """Count one kill, unless the run had ended before."""
    if ended.code < 0:
        one.note(fault, *after_a_kill(bench, root))
    else:
        assert ended.code == 0, ended.err
    shutil.rmtree(root)


# ------------------------------------------------------------------------------------- the faults


def test_killed_before_any_file_event_it_ends_the_same(
    bench: Make, tally: Callable[[str], Tally], tmp_path: Path
) -> None:
    whole, one = bench(*FINETUNE), tally("kills")
    for at in range(0, len(whole.ended.events), 1 if LONG else 3):
        root = whole.again(tmp_path, at)
        ended = whole.forks.run(root, *FINETUNE, at=at)
        assert ended.code == -signal.SIGKILL
        noted(one, whole, root, f"finetune, before event {at} {whole.ended.events[at][:2]}", ended)


def test_killed_again_while_it_goes_on_it_ends_the_same(
    bench: Make, tally: Callable[[str], Tally], tmp_path: Path
) -> None:
    whole, one = bench(*FINETUNE), tally("kills")
    begun = [event for event, _, _ in whole.ended.events].index("os.symlink")  # of runs/latest
    for at in range(begun, len(whole.ended.events), 5 if LONG else 40):
        for second in range(1, 50, 7 if LONG else 30):
            root = whole.again(tmp_path, 100 * at + second)
            whole.forks.run(root, *FINETUNE, at=at)
            resume = ("finetune", "--resume", "latest", *QUIET)
            ended = whole.forks.run(root, *resume, at=second)
            fault = f"finetune, before event {at}, resumed and killed before event {second}"
            if ended.code == 2:
                assert "is finished" in ended.err
                continue
            noted(one, whole, root, fault, ended)


def test_one_of_several_runs_in_one_goes_on_too(
    bench: Make, tally: Callable[[str], Tally], tmp_path: Path
) -> None:
    whole, one = bench(*FINETUNE, "--repeats", "2"), tally("kills")
    # In the short form the first of them is before a part has begun.
    for at in range(2 if LONG else 18, len(whole.ended.events), 4 if LONG else 43):
        root = whole.again(tmp_path, at)
        ended = whole.forks.run(root, *whole.command, at=at)
        noted(one, whole, root, f"--repeats 2, before event {at}", ended)


def writes(bench: Bench) -> Iterator[tuple[int, str, int]]:
    """The number, the name and the length of each file that is written."""
    for at, (event, path, size) in enumerate(bench.ended.events):
        if event == "open" and size:
            yield at, os.path.relpath(path, bench.root), size


def test_killed_in_the_middle_of_any_write_it_ends_the_same(
    bench: Make, tally: Callable[[str], Tally], tmp_path: Path
) -> None:
    whole, one, numbers = bench(*FINETUNE), tally("half_writes"), count()
    for turn, (at, name, size) in enumerate(writes(whole)):
        lengths = sorted({0, 1, size // 2, size - 1})
        for length in lengths if LONG else lengths[turn % 4 : turn % 4 + turn % 2]:
            root = whole.again(tmp_path, next(numbers))
            ended = whole.forks.run(root, *FINETUNE, at=at, size=length)
            assert ended.code in (-signal.SIGXFSZ, 0)
            noted(one, whole, root, f"finetune, {name} after {length} of {size} bytes", ended)


def test_without_whole_file_writes_the_bench_is_red(bench: Make, tmp_path: Path) -> None:
    """What the tests here are worth: they find a run that writes its record in place."""
    plain = bench(*FINETUNE, plain=True)
    at, _, size = [found for found in writes(plain) if found[1].endswith("run.json")][-1]
    root = plain.again(tmp_path)
    ended = plain.forks.run(root, *FINETUNE, at=at, size=size // 2, plain=True)
    assert ended.code == -signal.SIGXFSZ
    assert after_a_kill(plain, root)[0] == "lost"


def test_killed_whenever_it_ends_the_same(
    bench: Make, tally: Callable[[str], Tally], tmp_path: Path
) -> None:
    whole, one = bench(*FINETUNE), tally("random_kills")
    for number in range(120 if LONG else 3):
        seconds = random.uniform(0.1, 1.3 * whole.ended.seconds)
        root = whole.again(tmp_path, number)
        ended = whole.forks.run(root, *FINETUNE, after=seconds)
        if ended.code == 0:
            # It was faster than the one before: one that ended is killed too late to be harmed.
            one.note(f"finetune, after {seconds:.3f} s, at its end", *nothing_left(root))
        noted(one, whole, root, f"finetune, after {seconds:.3f} s", ended)


@pytest.mark.parametrize("name", OTHERS)
def test_a_killed_command_keeps_its_first_rows_and_is_cleaned_up(
    bench: Make, tally: Callable[[str], Tally], tmp_path: Path, name: str
) -> None:
    smoke = ROOT / "configs" / "smoke" / f"{name}.yaml"
    whole, one = bench(name, "-c", str(smoke), *QUIET), tally("kills")
    events = whole.ended.events
    for at in range(0 if LONG else 2, len(events), 1 if LONG else 13):
        root = whole.again(tmp_path, at)
        assert whole.forks.run(root, *whole.command, at=at).code == -signal.SIGKILL
        one.note(
            f"{name}, before event {at} {events[at][:2]}", *kept_and_cleaned(whole, root, name)
        )
        shutil.rmtree(root)


def kept_and_cleaned(whole: Bench, root: Path, name: str) -> tuple[Outcome, str]:
    runs = all_runs(root / "runs")
    for run in runs:
        # All is there once the record says so.
        if run.status not in ("crashed", "finished"):
            return "lost", f"status {run.status}"
        for table in run.tables:
            rows, all_rows = (one.table(table) for one in (run, whole.run))
            if run.status == "finished" and len(rows) < len(all_rows):
                return "lost", f"{table}.csv has {len(rows)} of {len(all_rows)} rows"
            times = experiment(name).timing
            for row, known in zip(rows, all_rows, strict=False):
                if any(row[key] != known[key] for key in known if key not in times):
                    return "silent", f"{table}.csv has other rows"
    main(["runs", "clean", "--keep", "0", "--runs-dir", str(root / "runs")])
    left = os.listdir(root / "runs") if (root / "runs").exists() else []
    return ("lost", f"left behind: {left}") if left else ("survived", "")
