"""softmax-regions as a function: its claims on random planes, and its probes against oracles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
from hypothesis import example, given, settings
from hypothesis import strategies as st

import mlhw
from mlhw.commands.main import main
from mlhw.errors import ConfigError
from mlhw.result.result import Result

Planes = list[tuple[float, float, float]]

integers = st.lists(st.tuples(*[st.integers(-3, 3)] * 3), min_size=2, max_size=7)
numbers = st.floats(-1e6, 1e6).map(lambda x: 0.0 if abs(x) < 1e-100 else x)
floats = st.lists(st.tuples(numbers, numbers, numbers), min_size=2, max_size=6)
# All that the configuration allows, tiny and huge beside ordinary.
any_size = st.integers(-3, 3) | st.builds(
    lambda digits, power: digits * 10.0**power,
    st.floats(1, 9) | st.floats(-9, -1),
    st.integers(-100, 99),
)


def run(planes: Any, **keys: Any) -> Result:
    planes = np.asarray(planes, float)
    return mlhw.run(
        "softmax-regions", weights=planes[:, :2].tolist(), biases=planes[:, 2].tolist(), **keys
    )


def verdicts(result: Result) -> dict[str, str]:
    return {claim.id: claim.verdict for claim in result.claims}


def paths(result: Result) -> dict[str, np.ndarray]:
    """The rows of ``probes`` without the path, by path."""
    rows: dict[str, list[Any]] = {}
    for path, *numbers in result.tables["probes"].rows:
        rows.setdefault(path, []).append(numbers)
    return {path: np.array(numbers) for path, numbers in rows.items()}


@settings(max_examples=60, deadline=None)
@given(integers)
def test_no_claim_fails_on_planes_of_small_integers_with_all_their_degeneracies(
    planes: Planes,
) -> None:
    assert "fails" not in verdicts(run(planes)).values()


@settings(max_examples=60, deadline=None)
@given(floats)
def test_no_claim_fails_on_planes_with_weights_up_to_a_million(planes: Planes) -> None:
    try:
        result = run(planes)
    except ConfigError as error:
        assert "beyond 1e+100" in str(error) or "shorter than 1e-100" in str(error)
        return
    failing = [claim for claim in result.claims if claim.verdict == "fails"]
    assert not failing


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(any_size, any_size, any_size), min_size=2, max_size=6),
    st.none() | st.tuples(st.integers(-99, 99), st.integers(-99, 99)),
)
@example([(0, 0, 0), (0, 2.49e-95, 1), (1, 1, 0)], (0, 0))
@example([(-1e-20, 0, 0), (1, 1, 0), (-1, -1, 0), (3, 1, 0), (-1, -3, 0)], (0, 0))
def test_on_the_grid_every_class_leads_in_its_region_whatever_the_sizes_of_the_weights(
    planes: Planes, powers: tuple[int, int] | None
) -> None:
    window = None
    if powers is not None:
        half, high = (4 * 10.0**power for power in powers)
        window = [-half, half, -high, high]
    try:
        # Along a boundary that goes far out, gaps may leave float64; the grid is what counts here.
        with np.errstate(over="ignore", invalid="ignore"):
            result = run(planes, window=window)
    except ConfigError as error:
        assert "beyond 1e+100" in str(error) or "shorter than 1e-100" in str(error)
        return
    assert verdicts(result)["grid-argmax"] == "holds"


COURSE = [(3, 1, 1), (1, 3, 2), (-3, 1.5, 2)]
FIVE = [*COURSE, (0, 1.5, 2), (0.5, 1.5, -3)]


def test_the_course_example_gives_a_third_at_3_22_and_minus_4_11() -> None:
    result = run(COURSE)
    (vertex,) = result.summary["vertices"]
    assert vertex["classes"] == [1, 2, 3]
    np.testing.assert_array_equal(vertex["x"], [3 / 22, -4 / 11])
    np.testing.assert_allclose(vertex["p"], 1 / 3, rtol=1e-15)
    assert set(verdicts(result).values()) == {"holds"}
    assert "(3/22, -4/11)" in result.answers[0]
    assert "every activation 23/22" in result.answers[0]


@pytest.mark.parametrize("planes", [COURSE, FIVE])
def test_probes_are_what_scipys_softmax_gives_at_their_coordinates(planes: Planes) -> None:
    W = np.array(planes, float)
    for path, rows in paths(run(planes)).items():
        r, x, p = rows[:, 0], rows[:, 1:3], rows[:, 3:]
        a = x @ W[:, :2].T + W[:, 2]
        error = 1e-12 * np.maximum(1, np.abs(a).max(axis=1, keepdims=True))
        assert (np.abs(p - scipy.special.softmax(a, axis=1)) <= error).all(), path
        assert len(r) >= 60
        np.testing.assert_allclose(np.diff(np.log(r)), np.log(r[1] / r[0]), rtol=1e-9)
        np.testing.assert_allclose(np.linalg.norm(x - x[0], axis=1), r - r[0], atol=1e-9, rtol=1e-9)


def test_probes_run_from_a_thousandth_to_a_thousand_times_half_the_figures_side() -> None:
    result = run(COURSE, window=[-2, 2, -3, 1])
    assert result.summary["scale"] == 2.0
    for rows in paths(result).values():
        np.testing.assert_allclose(rows[[0, -1], 0], [2e-3, 2e3], rtol=1e-12)


def test_along_a_segment_the_probes_end_in_its_other_vertex() -> None:
    result = run(FIVE)
    corner = {n + 1: vertex["x"] for n, vertex in enumerate(result.summary["vertices"])}
    ends = set()
    for boundary in result.summary["boundaries"]:
        if boundary["kind"] == "segment":
            i, j = boundary["classes"]
            first, second = (
                next(n for n, x in corner.items() if x == boundary[key]) for key in ("x", "end")
            )
            rows = paths(result)
            for start, end in ((first, second), (second, first)):
                last = rows[f"boundary {i}-{j} from {start}"][-1]
                np.testing.assert_allclose(last[1:3], corner[end], atol=1e-12)
                ends.add((start, end))
    assert len(ends) == 6


def test_equal_classes_stay_equal_to_the_last_bit_on_every_ray() -> None:
    for rows in paths(run([*COURSE, COURSE[1]])).values():
        np.testing.assert_array_equal(rows[:, 4], rows[:, 6])


def test_two_classes_are_equal_along_one_line_and_have_no_vertex() -> None:
    result = run([(1, 0, 0), (-1, 0, 3)])
    assert result.summary["vertices"] == []
    (line,) = result.summary["boundaries"]
    assert (line["kind"], line["classes"], line["x"]) == ("line", [1, 2], [1.5, 0.0])
    assert sorted(paths(result)) == ["middle 1", "middle 2"]
    claim = next(claim for claim in result.claims if claim.id == "common-point")
    assert (claim.verdict, claim.measured) == ("holds", 0.5)


def test_in_a_strip_the_claim_is_not_applicable_and_gives_the_limit_of_p() -> None:
    result = run([(-1, 0, 0), (0, 0, 1), (1, 0, 0)])
    limit = float(scipy.special.softmax([0.0, 1.0, 0.0])[1])
    for claim in result.claims:
        if claim.id in ("middle-largest", "middle-rate"):
            assert claim.verdict == "not applicable"
    strip = result.summary["middles"][1]
    assert strip["limit"] == pytest.approx(limit, abs=1e-15)
    assert strip["rate"] == 0
    assert paths(result)["middle 2"][-1, 4] == pytest.approx(limit, abs=1e-15)
    assert any("all boundaries are parallel" in line for line in result.answers)
    assert any("cannot grow" in line and "0.576" in line for line in result.answers)


def test_a_rival_with_equal_weights_keeps_p_from_1_and_the_limit_is_given() -> None:
    result = run([(1, 0, 0), (1, 0, -2), (-1, 0, 0)])
    assert result.summary["regions"][1] == {
        "class": 2,
        "empty": True,
        "bounded": True,
        "equal_to": [],
        "touches": None,
    }
    claim = next(claim for claim in result.claims if claim.id == "middle-largest")
    assert claim.verdict == "not applicable"
    assert claim.measured["class 1"] == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-15)


def test_a_rival_that_is_far_behind_but_falls_back_slowest_sets_the_rate() -> None:
    """Class 4 is nowhere the largest, and only beyond 1e5 of the figure is it the runner-up."""
    result = run([(3, 0, 0), (-3, 3, 0), (-3, -3, 0), (2, 0, -1e6)])
    assert result.summary["regions"][3]["empty"]
    claim = next(claim for claim in result.claims if claim.id == "middle-rate")
    assert claim.verdict == "holds"
    assert claim.measured["class 1"] == pytest.approx(1.0, rel=1e-6)


def test_classes_that_meet_only_in_decimals_are_pointed_out() -> None:
    # 0.1 · 3 is not 0.3 in binary: four planes through one point on paper.
    planes = [(1, 0, 0.3), (-1, 0, 0.3), (0, 1, 3 * 0.1), (0, -1, 3 * 0.1)]
    result = run(planes)
    assert len(result.summary["vertices"]) == 2
    assert any("all but one point" in line for line in result.answers)


# ------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--weights", "1,0;0,1"], "error: 3 biases for 2 rows of weights; one each is needed"),
        (["--weights", "1,0"], "error: --weights: must have at least 2 items"),
        (["--weights", ";".join(["1,0"] * 101)], "error: --weights: must have at most 100 items"),
        (
            ["--weights", "1,0;0", "--biases", "0,0"],
            "error: --weights[1]: must have at least 2 items",
        ),
        (["--weights", "[[1,0", "--biases", "0,0"], "error: --weights: "),
        (["--biases", "1,2,.nan"], "error: --biases[2]: must be finite (got nan)"),
        (["--biases", "1,2,1e300"], "error: --biases[2]: must be 0 or 1e-100 to 1e+100 in size"),
        (["--names", "a,b"], "error: --names: 2 names for 3 rows of weights"),
        (["--names", "a,b,a"], "error: --names: two classes are called 'a'"),
        (["--window", "0,1,2"], "error: --window: must be x1 min, x1 max, x2 min, x2 max (got 3"),
        (["--window", "1,0,0,1"], "error: --window: each minimum must be below its maximum"),
        (["--features", "0,1"], "error: --features: features needs a data set: --fit"),
        (["--fit", "irs"], "error: --fit: unknown data set 'irs', did you mean 'iris'?"),
        (["--fit", "iris", "--features", "0,7"], "error: iris: fit.features: no feature '7'"),
        (
            ["--fit", "iris", "--features", "0,1", "--biases", "0,0,0"],
            "error: --fit: takes the classes from the data; leave out biases",
        ),
        (
            ["--weights", "0,0;1,0;1,1e-90", "--biases", "0,0,1e50"],
            "error: weights: the boundary of classes 1 and 2 begins or ends beyond 1e+100",
        ),
    ],
)
def test_bad_input_ends_with_2_in_one_plain_line_that_names_the_place(
    options: list[str], line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["softmax-regions", *options, "--runs-dir", str(tmp_path / "runs")]) == 2
    (printed,) = capsys.readouterr().err.splitlines()
    assert line in printed
    assert not (tmp_path / "runs").exists()


# ------------------------------------------------------------------------------------- figures


@pytest.mark.parametrize(
    "planes",
    [
        COURSE,
        FIVE,
        [(1, 0, 0), (-1, 0, 3)],
        [(1, 2, 3)] * 3,
        [(1, 2, 3), (1, 2, 5)],
        [(-1, 0, 0), (0, 0, 1), (1, 0, 0)],
        [(1e6, 1e6, 1e6), (-1e6, 1, 2), (3, -1e6, -1e6)],
        [(np.cos(t), np.sin(t), 0.01 * k) for k, t in enumerate(np.arange(12))],
    ],
    ids=["course", "five", "two", "equal", "one above", "strip", "million", "many"],
)
def test_every_figure_can_be_drawn_and_labels_its_axes(planes: Planes) -> None:
    result = run(planes)
    names = [plot.name for plot in result.plots]
    assert names[0] == "regions"
    assert set(names) >= {"probabilities", "max-p"}
    for figure in result.figures.values():
        figure.canvas.draw()
        assert any(axes.get_xlabel() for axes in figure.axes)
        assert any(axes.get_ylabel() for axes in figure.axes)


def test_names_with_dollar_signs_are_drawn_as_they_are() -> None:
    result = run(COURSE, names=["$a_", "b$", "<c>"])
    figure = result.figures["regions"]
    figure.canvas.draw()
    assert any("\\$a_" in text.get_text() for text in figure.axes[0].texts)
