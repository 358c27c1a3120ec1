"""Runs read back: order, status, names, comparisons, cleaning up."""

from __future__ import annotations

import contextlib
import csv
import fcntl
import io
import json
import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mlhw.commands.main import main
from mlhw.errors import ConfigError
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.runs.compare import as_csv, as_markdown, compare, differences
from mlhw.runs.history import Run, all_runs, find
from mlhw.runs.overlay import overlay
from tests.conftest import smoke


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLHW_RUNS_DIR", raising=False)


def made(name: str, **record: Any) -> Run:
    """A run folder with this record."""
    folder = Path("runs") / name
    folder.mkdir(parents=True)
    full = {"experiment": "lr-sweep", "status": "finished", "host": socket.gethostname(), **record}
    (folder / "run.json").write_text(json.dumps(full))
    (folder / "log.txt").write_text("")
    return Run(folder, full)


def test_runs_are_listed_newest_first_also_within_one_second() -> None:
    names = [
        "20261124-115632-lr-sweep",
        "20261124-115632-lr-sweep-2",
        "20261124-115632-lr-sweep-10",
        "20261124-115633-lr-sweep-mine",
    ]
    for name in names:
        made(name)
    (Path("runs") / "no-run").mkdir()
    (Path("runs") / "latest").symlink_to(names[0])
    assert [run.name for run in all_runs(Path("runs"))] == names[::-1]


def test_a_run_whose_process_is_gone_has_crashed_and_is_never_rewritten() -> None:
    run = made("20261124-115632-lr-sweep", status="running", pid=2**22 + 1)
    before = (run.folder / "run.json").read_bytes()
    assert run.status == "crashed"
    assert (run.folder / "run.json").read_bytes() == before


def test_a_run_whose_log_is_locked_is_running_whatever_its_pid_says() -> None:
    run = made("20261124-115632-lr-sweep", status="running", pid=2**22 + 1)
    with open(run.folder / "log.txt", "ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert run.status == "running"


def test_a_reused_pid_does_not_make_a_dead_run_alive() -> None:
    assert made("20261124-115632-lr-sweep", status="running", pid=os.getpid()).status == "crashed"


def test_a_run_of_another_machine_is_what_it_says() -> None:
    run = made("20261124-115632-lr-sweep", status="running", pid=1, host="elsewhere")
    assert run.status == "running"


def test_a_run_is_found_by_path_name_beginning_and_latest() -> None:
    made("20261124-115632-lr-sweep")
    newest = made("20261125-000000-sgd-sweep")
    (Path("runs") / "latest").symlink_to(newest.name)
    runs = Path("runs")
    for name in ("runs/20261125-000000-sgd-sweep", newest.name, "20261125", "latest"):
        assert find(name, runs).name == newest.name
    for name, sentence in [
        ("2026", "is the beginning of 2 runs"),
        ("20261125-000000-sgd-swee_", "did you mean '20261125-000000-sgd-sweep'?"),
        ("xyz", "no run 'xyz' in runs"),
        ("", "no run ''"),
    ]:
        with pytest.raises(ConfigError) as caught:
            find(name, runs)
        assert sentence in caught.value.lines[0]


@pytest.mark.parametrize("text", ["", "[1]", "{", "\x00", '{"status": 3}'])
def test_records_that_cannot_be_read_cost_no_listing(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = Path("runs") / "20261124-115632-lr-sweep"
    folder.mkdir(parents=True)
    (folder / "run.json").write_text(text)
    made("20261124-115700-lr-sweep")
    assert main(["runs", "list"]) == 0
    assert "20261124-115700-lr-sweep" in capsys.readouterr().out


# ---------------------------------------------------------------- through real runs


@pytest.fixture
def two(capsys: pytest.CaptureFixture[str]) -> list[Run]:
    """Two short runs that differ in their rates."""
    for etas in ("0.5,0.1", "0.5,0.05"):
        quick = ["lr-sweep", "--max-iterations", "12", "--no-plots", "-q"]
        assert main([*quick, "--etas", etas]) == 0
    capsys.readouterr()
    return all_runs(Path("runs"))[::-1]


def test_a_comparison_shows_only_what_differs_in_the_configuration(two: list[Run]) -> None:
    found = compare(two)
    assert found.configuration == [("etas", [[0.5, 0.1], [0.5, 0.05]])]
    numbers = dict(found.numbers)
    assert numbers["NLL at eta 0.1"][1] is None
    assert numbers["NLL at eta 0.5"][0] == numbers["NLL at eta 0.5"][1]
    table = list(csv.reader(io.StringIO(as_csv(found))))
    assert table[0] == ["section", "key", two[0].name, two[1].name]
    row = next(row for row in table if row[1] == "NLL at eta 0.5")
    assert float(row[2]) == numbers["NLL at eta 0.5"][0]
    assert as_markdown(found).splitlines()[1] == "| --- | --- | --- |"


def test_compare_prints_writes_a_figure_and_gives_json(
    two: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    names = [run.name for run in two]
    assert main(["runs", "compare", *names]) == 0
    assert "etas" in capsys.readouterr().out
    assert (Path("runs") / "compare" / "compare.png").exists()
    assert main(["runs", "compare", *names, "--json", "--no-plots"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["configuration"]["etas"][names[0]] == [0.5, 0.1]
    assert main(["runs", "compare", names[0]]) == 2
    assert main(["runs", "compare", *names, "--json", "--csv"]) == 2


def test_a_rerun_is_identical_and_a_changed_number_is_named(
    two: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "rerun", two[0].name, "--no-plots"]) == 0
    assert "identical: every number" in capsys.readouterr().out
    metrics = two[0].folder / "metrics.csv"
    lines = metrics.read_text().splitlines()
    eta, iteration, nll, *rest = lines[3].split(",")
    lines[3] = ",".join([eta, iteration, repr(float(nll) * (1 + 1e-9)), *rest])
    metrics.write_text("\n".join(lines) + "\n")
    assert main(["runs", "rerun", two[0].name, "--no-plots"]) == 3
    out = capsys.readouterr().out
    assert "metrics.csv: 1 values differ, by at most 1e-09 relative; first line 4, nll:" in out


def test_times_are_no_difference_and_missing_rows_are(two: list[Run]) -> None:
    for run, seconds in zip(two, ("1.0", "2.0"), strict=True):
        (run.folder / "metrics.csv").write_text(f"epoch,seconds\n0,{seconds}\n")
    assert not [line for line in differences(*two) if line.startswith("metrics")]
    with open(two[1].folder / "metrics.csv", "a") as file:
        file.write("1,2.0\n")
    assert "metrics.csv: 1 rows became 2" in differences(*two)


def test_clean_keeps_the_newest_and_says_what_would_go(
    two: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "clean", "--keep", "1", "--dry-run"]) == 0
    assert capsys.readouterr().out == f"would delete {two[0].folder}\n"
    assert len(all_runs(Path("runs"))) == 2
    assert main(["runs", "clean", "--keep", "1"]) == 0
    assert [run.name for run in all_runs(Path("runs"))] == [two[1].name]
    assert main(["runs", "clean", "--keep", "0"]) == 0
    assert [path.name for path in Path("runs").iterdir()] == []
    assert main(["runs", "clean", "--keep", "-1"]) == 2


def test_show_has_the_answers_of_one_run(
    two: list[Run], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["runs", "show", "latest"]) == 0
    out = capsys.readouterr().out
    assert any(line.split() == ["status", "finished"] for line in out.splitlines())
    assert "holds: no rate below 2/L ever rises" in out
    assert "metrics.csv" in out
    assert main(["runs", "show", two[0].name, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["experiment"] == "lr-sweep"


def test_an_experiments_name_is_its_newest_run_and_a_tilde_counts_back() -> None:
    names = ["20261124-100000-lr-sweep", "20261124-110000-sgd-sweep", "20261124-120000-lr-sweep"]
    for name in names:
        made(name, experiment=name[16:])
    (Path("runs") / "latest").symlink_to(names[2])
    runs = Path("runs")
    assert find("lr-sweep", runs).name == names[2]
    assert find("lr-sweep~1", runs).name == names[0]
    assert find("latest~1", runs).name == names[1]
    assert find("latest~0", runs).name == names[2]
    (runs / "latest").unlink()
    (runs / "latest").symlink_to(names[1])
    assert find("latest", runs).name == find("latest~0", runs).name == names[1]
    assert find("latest~1", runs).name == names[0]
    (runs / "latest").unlink()
    assert find("latest", runs).name == names[2]
    for wrong in ("lr-sweep~2", "finetune", "latest~3"):
        with pytest.raises(ConfigError, match=f"no run '{wrong}' in runs: it has"):
            find(wrong, runs)
    with pytest.raises(ConfigError, match="no run 'latest~x'"):
        find("latest~x", runs)
    with pytest.raises(ConfigError, match="no run 'latest~\u0661'"):
        find("latest~\u0661", runs)


def test_runs_alone_prints_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs"]) == 0
    bare = capsys.readouterr().out
    assert main(["runs", "--help"]) == 0
    assert capsys.readouterr().out == bare
    for command in ("list", "show", "compare", "rerun", "clean"):
        assert f"  {command} " in bare
    assert "..." not in bare.split("Commands:")[1]


def run_both_sweeps(etas: str) -> None:
    """``mlhw all`` with two short experiments."""
    Path("l.yaml").write_text(f"etas: {etas}\nmax_iterations: 20\n")
    Path("s.yaml").write_text("epochs: 5\n")
    Path("all.yaml").write_text("experiments: {lr-sweep: l.yaml, sgd-sweep: s.yaml}\n")
    assert main(["all", "-c", "all.yaml", "--no-plots", "-q"]) == 0


def test_the_run_of_all_is_listed_and_repeated_run_by_run(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_both_sweeps(etas="[0.5, 0.1]")
    capsys.readouterr()
    assert main(["runs", "list"]) == 0
    assert "experiments finished 2 of 2" in capsys.readouterr().out
    assert main(["runs", "rerun", "all", "--no-plots"]) == 0
    assert capsys.readouterr().out.count("identical: every number of ") == 2


def test_two_runs_of_all_are_compared_experiment_by_experiment(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run_both_sweeps(etas="[0.5, 0.1]")
    run_both_sweeps(etas="[0.5, 0.2]")
    capsys.readouterr()
    assert main(["runs", "compare", "all~1", "all", "--json"]) == 0
    out, err = capsys.readouterr()
    found = json.loads(out)
    names = found["runs"]
    assert found["configuration"] == {
        "lr-sweep: etas": {names[0]: [0.5, 0.1], names[1]: [0.5, 0.2]}
    }
    assert None not in found["numbers"]["sgd-sweep: lowest NLL"].values()
    assert found["numbers"]["lr-sweep: NLL at eta 0.2"][names[0]] is None
    for name in ("lr-sweep", "sgd-sweep"):
        assert (Path("runs") / "compare" / f"compare-{name}.png").stat().st_size > 10_000
        assert f"compare-{name}.png" in err

    # One of the runs is deleted: the rest is still compared, but cannot be repeated.
    shutil.rmtree(find("sgd-sweep", Path("runs")).folder)
    assert main(["runs", "compare", "all~1", "all", "--json", "--no-plots"]) == 0
    numbers = json.loads(capsys.readouterr().out)["numbers"]
    assert numbers["sgd-sweep: lowest NLL"][names[1]] is None
    assert main(["runs", "rerun", "all", "--no-plots"]) == 2
    assert "-sgd-sweep: the run is not there to be repeated" in capsys.readouterr().err


def test_every_experiment_has_a_headline_number(capsys: pytest.CaptureFixture[str]) -> None:
    for name in EXPERIMENTS:
        assert main([name, "-c", smoke(name), "--no-plots", "-q"]) == 0
    capsys.readouterr()
    assert main(["runs", "list", "--json"]) == 0
    entries = json.loads(capsys.readouterr().out)
    assert len(entries) == len(EXPERIMENTS)
    for entry in entries:
        assert entry["headlines"], entry["experiment"]
        assert all(value is not None for value in entry["headlines"].values())


def with_table(run: Run, name: str, text: str) -> Run:
    (run.folder / f"{name}.csv").write_text(text)
    return run


def test_a_curve_of_each_rate_stands_over_the_other_runs() -> None:
    first = with_table(
        made("20261124-100000-lr-sweep"),
        "metrics",
        "eta,iteration,nll\n0.5,0,3\n0.1,0,2\n0.5,1,oops\n0.5,2,1\n",
    )
    second = with_table(
        made("20261124-100001-sgd-sweep", experiment="sgd-sweep"),
        "metrics",
        "eta,repeat,epoch,nll\n0.5,0,0,4\n0.5,1,0,9\n",
    )
    plot = overlay([first, second])
    figure = plot.draw()
    panels = {axes.get_title(): axes for axes in figure.axes}
    assert list(panels) == ["η = 0.5", "η = 0.1"]
    first_line, second_line = panels["η = 0.5"].lines
    assert (list(first_line.get_xdata()), list(first_line.get_ydata())) == ([0, 2], [3, 1])
    assert list(second_line.get_ydata()) == [4]
    assert first_line.get_linewidth() > second_line.get_linewidth()
    assert panels["η = 0.5"].get_xlabel() == "iteration or epoch"


def test_runs_without_curves_have_a_bar_for_each_number() -> None:
    runs = []
    for i, count in enumerate((1, 3)):
        run = made(f"20261124-10000{i}-softmax-regions", experiment="softmax-regions")
        summary = {"vertices": [0] * count, "boundaries": [0], "regions": [{"empty": True}]}
        (run.folder / "result.json").write_text(json.dumps({"summary": summary, "claims": []}))
        runs.append(Run(run.folder, run.record))
    figure = overlay(runs).draw()
    vertices, _, empty = figure.axes
    assert vertices.get_xlabel() == "vertices"
    assert [bar.get_width() for bar in vertices.patches] == [1, 3]
    assert [label.get_text() for label in empty.get_yticklabels()] == [run.name for run in runs]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just("\x1b[31m"),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=8,
)
KINDS = st.sampled_from(["lr-sweep", "finetune", "vanishing", "all", "\x1b[2J"])
CLAIMS = st.lists(
    JSON
    | st.fixed_dictionaries(
        {"id": JSON, "statement": JSON, "verdict": st.sampled_from(["holds", "fails", "x"])},
        optional={"measured": JSON, "expected": JSON, "tolerance": JSON, "note": JSON},
    ),
    max_size=3,
)
RECORDS = JSON | st.fixed_dictionaries(
    {"experiment": KINDS | JSON, "status": st.sampled_from(["finished", "running"]) | JSON},
    optional=dict.fromkeys(("host", "pid", "command", "started", "seconds", "reason"), JSON),
)
RESULTS = JSON | st.fixed_dictionaries(
    {"summary": JSON | st.fixed_dictionaries({"runs": JSON}), "claims": CLAIMS | JSON}
)


@given(records=st.tuples(RECORDS, RECORDS), results=st.tuples(RESULTS, RESULTS))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_a_run_folder_holds_it_ends_no_command_and_commands_no_terminal(
    records: tuple[Any, Any], results: tuple[Any, Any]
) -> None:
    shutil.rmtree("runs", ignore_errors=True)
    names = ["20261124-115632-lr-sweep", "20261124-115633-\x1b[31m-lr-sweep"]
    for name, record, result in zip(names, records, results, strict=True):
        folder = Path("runs") / name
        folder.mkdir(parents=True)
        (folder / "run.json").write_text(json.dumps(record))
        (folder / "result.json").write_text(json.dumps(result))
        (folder / "config.yaml").write_text("etas: [\n")
        (folder / "metrics.csv").write_text("eta,iteration,nll\n0.5,x,1\n")
        (folder / "log.txt").write_text("")
    for arguments in (
        ["list"],
        ["list", "--json"],
        ["show", names[0]],
        ["show", names[1], "--json"],
        ["compare", *names, "--no-plots"],
        ["compare", *names, "--no-plots", "--json"],
        ["rerun", names[1], "--no-plots"],
        ["clean", "--keep", "1", "--dry-run"],
    ):
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            code = main(["runs", *arguments])
        assert code in (0, 2), (arguments, err.getvalue())
        assert "\x1b" not in out.getvalue() + err.getvalue(), arguments
        if "--json" in arguments:
            json.loads(out.getvalue())
