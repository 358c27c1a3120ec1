"""A finished grid whose files were changed by hand, and words that a grid refuses before it writes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Mlhw, mlhw_in

GRID = ("grid", "lr-sweep", "--over", "max_iterations=2,3,4", "--set", "etas=[0.5]", "--no-plots")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    done = mlhw_in(folder)(*GRID, "-q")
    assert done.returncode == 0, done.stderr
    return (folder / "runs" / "latest").resolve()


@pytest.fixture
def grid(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "grid"))


@pytest.fixture
def mlhw(tmp_path: Path) -> Mlhw:
    return mlhw_in(tmp_path)


def with_text(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    changed = re.sub(old, new, text)
    assert changed != text
    path.write_text(changed)


CHANGES: dict[str, Callable[[Path], None]] = {
    "a number": lambda p: with_text(p / "result.json", r'("nll": )[-\d.e]+', r"\g<1>0.0001"),
    "no number": lambda p: with_text(p / "result.json", r'("nll": )[-\d.e]+', r'\g<1>"=cmd()"'),
    "an exit code": lambda p: with_text(p / "run.json", r'("exit_code": )0', r"\g<1>77"),
    "a table": lambda p: with_text(p / "metrics.csv", r"0\.5,", "0.4,"),
    "the table is gone": lambda p: (p / "metrics.csv").unlink(),
    "the configuration is gone": lambda p: (p / "config.yaml").unlink(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_point_that_was_changed_is_run_again(
    whole: Path, grid: Path, mlhw: Mlhw, change: str
) -> None:
    CHANGES[change](grid / "points" / "0002")
    done = mlhw("grid", "--resume", str(grid), "--no-plots", "-q")
    assert done.returncode == 0
    assert (
        "point 2 was finished with other data or keys, or changed since; run again" in done.stderr
    )
    assert (grid / "grid.csv").read_bytes() == (whole / "grid.csv").read_bytes()
    assert mlhw("runs", "verify", str(grid)).returncode == 0


def test_points_that_were_not_changed_are_not_run_again(grid: Path, mlhw: Mlhw) -> None:
    (grid / "points" / "0001" / "report.html").write_text("read and noted upon")
    done = mlhw("grid", "--resume", str(grid), "--no-plots")
    assert "3 finished before, 0 to run" in done.stderr
    assert "warning" not in done.stderr


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"\xff\xfe\0a,b\n", "cannot be read; begun anew"), (None, "1 row cannot be read; left out")],
)
def test_attempts_that_cannot_be_read_are_named(
    grid: Path, mlhw: Mlhw, content: bytes | None, words: str
) -> None:
    path = grid / "attempts.csv"
    if content is None:
        with_text(path, r"\n1,1,", "\n1,x,")
    else:
        path.write_bytes(content)
    done = mlhw("grid", "--resume", str(grid), "--no-plots", "-q")
    assert done.returncode == 0
    assert f"warning: {path}: {words}" in done.stderr
    assert len(path.read_text().splitlines()) == (3 if content is None else 1)


@pytest.mark.parametrize(
    ("by", "words"),
    [
        ("lowest NLL:foo", "must be KEY, KEY:min or KEY:max"),
        (":min", "must be KEY, KEY:min or KEY:max"),
    ],
)
def test_a_direction_that_is_none_is_refused_before_the_first_point(
    mlhw: Mlhw, tmp_path: Path, by: str, words: str
) -> None:
    done = mlhw(*GRID, "--by", by)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert words in done.stderr
    assert not (tmp_path / "runs").exists()


def test_a_number_that_ranks_and_is_not_there_is_said_at_the_first_point(mlhw: Mlhw) -> None:
    done = mlhw(*GRID, "--by", "last NLL:max")
    assert done.returncode == 1
    warned = done.stderr.index("no point has a headline number of this name (known: lowest NLL")
    assert warned < done.stderr.rindex(" of 3, max_iterations")


def test_a_finished_grid_keeps_its_record_where_it_cannot_be_ranked_so(
    grid: Path, mlhw: Mlhw
) -> None:
    before = {name: (grid / name).read_bytes() for name in ("run.json", "config.yaml", "grid.csv")}
    done = mlhw("grid", "--resume", str(grid), "--by", "nope:max")
    assert done.returncode == 2
    assert "--by nope: no point has a headline number of this name" in done.stderr
    assert before == {name: (grid / name).read_bytes() for name in before}


@pytest.mark.parametrize(
    "words",
    [
        ("--engine", "local:0"),
        ("--engine", "local:"),
        ("--engine", "slurm:foo=1"),
        ("--engine", "ray://here:port"),
        ("--engine", "ray:num_cpus=１"),
        ("--name", "../x"),
    ],
)
def test_a_dry_run_refuses_what_a_run_refuses(mlhw: Mlhw, words: tuple[str, str]) -> None:
    run, dry = mlhw(*GRID, *words), mlhw(*GRID, *words, "--dry-run")
    assert run.returncode == 2
    assert (dry.returncode, dry.stderr) == (2, run.stderr)


def test_null_is_a_value_of_a_list_that_takes_it(mlhw: Mlhw) -> None:
    done = mlhw("grid", "lr-sweep", "--over", "w0=null,[1,2,3]", "--dry-run", "--json")
    assert done.returncode == 0, done.stderr
    assert [point["w0"] for point in json.loads(done.stdout)["points"]] == ["null", "[1, 2, 3]"]
    assert mlhw("grid", "lr-sweep", "--over", "etas=null,[1]", "--dry-run").returncode == 2


def test_a_key_without_values_is_named(mlhw: Mlhw) -> None:
    done = mlhw("grid", "lr-sweep", "--over", "max_iterations=")
    assert done.returncode == 2
    assert "max_iterations has no values; give some: max_iterations=VALUE,VALUE" in done.stderr


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("run.json", "(it has no run.json); start anew: mlhw grid -c {}/config.yaml"),
        ("config.yaml", "{}/config.yaml: is gone, and says what the run is; put it back"),
    ],
)
def test_a_grid_without_a_record_or_configuration_says_what_to_do(
    grid: Path, mlhw: Mlhw, name: str, words: str
) -> None:
    (grid / name).unlink()
    done = mlhw("grid", "--resume", str(grid))
    assert done.returncode == 2
    assert words.format(grid) in done.stderr
    assert done.stderr.count("\n") == 1
