"""What a run showed stands beside its claims, everywhere where these stand, and turns no exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

import mlhw
from mlhw.commands.main import main
from mlhw.result.observations import Observation, Observations, seen
from mlhw.result.result import Part
from mlhw.runs.history import Run, find
from mlhw.runs.junit import junit_xml

# The example of the README: two of three rates oscillate, so that the theorems compare nothing.
COMMAND = ["lr-sweep", "--etas", "0.5,0.3,0.1", "--no-plots", "-q", "--runs-dir"]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> tuple[Run, str]:
    assert main([*COMMAND, str(tmp_path / "runs")]) == 0
    return find("latest", tmp_path / "runs"), capsys.readouterr().out


def found(result: mlhw.Result) -> dict[str, Observation]:
    return {observation.id: observation for observation in result.observations}


def test_rates_that_oscillate_show_their_order_although_no_theorem_compares_them() -> None:
    result = mlhw.lr_sweep(etas=[0.5, 0.3, 0.1])
    verdicts = {claim.id: claim.verdict for claim in result.claims}
    assert verdicts["larger-is-faster"] == verdicts["smaller-is-higher"] == "not applicable"
    observed = found(result)
    assert observed["smaller-ended-higher"].observed
    levels = observed["smaller-ended-higher"].measured
    assert levels["eta 0.5"] < levels["eta 0.3"] < levels["eta 0.1"]
    # Both oscillate, and the larger one comes to the common level later.
    arrivals = observed["larger-was-faster"].measured
    assert not observed["larger-was-faster"].observed
    assert arrivals["eta 0.3"] < arrivals["eta 0.5"] < arrivals["eta 0.1"]
    rises = {f"eta {r['eta']:g}": r["increases"] for r in result.summary["runs"]}
    assert observed["none-rose"].measured == pytest.approx(rises, abs=2)
    assert not observed["none-rose"].observed


def test_steady_rates_show_what_theory_says() -> None:
    observed = found(mlhw.lr_sweep(etas=[0.1, 0.05, 0.01]))
    assert observed["larger-was-faster"].observed
    assert observed["smaller-ended-higher"].observed
    assert observed["none-rose"].observed
    assert not observed["all-settled"].observed


def test_one_rate_shows_no_order() -> None:
    assert set(found(mlhw.lr_sweep(etas=[0.1]))) == {"none-rose", "all-settled"}
    assert set(found(mlhw.sgd_sweep(etas=[0.1], epochs=3))) == {"stochastic-ahead"}


def test_stochastic_descent_shows_how_often_it_was_ahead() -> None:
    result = mlhw.sgd_sweep(epochs=20)
    row = found(result)["stochastic-ahead"]
    assert not row.observed
    won = [r["faster"] for r in result.summary["against_gd"] if r["eta"] == 0.05]
    assert row.measured["eta 0.05"] == f"{won.count('sgd')} of {len(won)}"


def test_they_stand_in_the_terminal_the_file_the_report_and_runs_show(
    run: tuple[Run, str], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, printed = run
    stored = json.loads((folder.folder / "result.json").read_text())["observations"]
    assert {"id", "statement", "observed", "measured", "note"} == set(stored[0])
    assert [entry["id"] for entry in stored] == [seen.id for seen in folder.observations]
    page = (folder.folder / "report.html").read_text()
    assert main(["runs", "show", str(folder.folder)]) == 0
    shown = capsys.readouterr().out
    for entry in stored:
        word = "observed" if entry["observed"] else "not observed"
        assert f"  {word}: {entry['statement']}" in printed
        assert f"  {word}: {entry['statement']}" in shown
        assert entry["statement"] in page


def test_runs_compare_shows_which_are_not_the_same(
    run: tuple[Run, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--etas", "0.1,0.05", *COMMAND[3:], str(tmp_path / "runs")]) == 0
    capsys.readouterr()
    words = ["runs", "compare", "lr-sweep~1", "lr-sweep", "--json", "--no-plots", "--runs-dir"]
    assert main([*words, str(tmp_path / "runs")]) == 0
    compared = json.loads(capsys.readouterr().out)["observations"]
    assert set(compared["none-rose"].values()) == {"observed", "not observed"}
    assert "all-settled" not in compared


def test_no_observation_is_a_test_case(run: tuple[Run, str]) -> None:
    """A failing one is no failure, and a passing one proves nothing: JUnit has the claims alone."""
    part = Part("lr-sweep", 0, {**run[0].result, "status": "finished"}, 1.0)
    assert part.observations
    root = ElementTree.fromstring(junit_xml([part]))
    assert int(root[0].attrib["tests"]) == len(part.claims)


@pytest.mark.parametrize(
    "entry", [None, [], {}, {"id": "a", "statement": "b", "observed": "yes"}, {"id": 1}]
)
def test_what_is_no_observation_is_left_out(entry: Any) -> None:
    assert Observation.from_dict(entry) is None


def test_an_observation_comes_back_from_json_as_it_was() -> None:
    observation = Observation("a", "A.", True, {"eta 0.1": 3.5}, "in passing")
    assert Observation.from_dict(json.loads(json.dumps(observation.as_dict()))) == observation


def test_two_observations_of_one_name_are_refused() -> None:
    observations: Observations[int] = Observations()
    observations.observation("a", "A")(lambda e: seen(e > 0, measured=e))
    with pytest.raises(ValueError, match="two observations are called 'a'"):
        observations.observation("a", "B")(lambda e: None)
    assert observations.ids == ["a"]
    assert observations.look(1) == [Observation("a", "A", True, 1)]


def test_where_the_digits_shown_are_equal_neither_descent_is_faster() -> None:
    """A batch of all points is gradient descent: rounding alone would tell the two apart."""
    result = mlhw.sgd_sweep(etas=[0.1], epochs=10, batch_size=200)
    assert {row["faster"] for row in result.summary["against_gd"]} == {"equal"}
    rows = [line.split() for line in result.answers if line.endswith("  equally fast")]
    assert len(rows) == 2
    assert all(row[2] == row[3] for row in rows)
    assert not [claim for claim in result.claims if claim.verdict == "fails"]
