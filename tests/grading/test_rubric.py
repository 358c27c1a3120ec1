"""Points: one mistake counts once, what is not derived counts nothing, and no total is left."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhw.config.load import load_config
from mlhw.errors import ConfigError
from mlhw.grading.alike import alike
from mlhw.grading.by_hand import Worked, worked
from mlhw.grading.graded import Graded, LayerErrors, graded_of
from mlhw.grading.meanings import MEANINGS
from mlhw.grading.questions import plan
from mlhw.grading.rubric import Rubric, RubricPoints, Score, scored
from mlhw.grading.traits import TRAITS
from mlhw.maths.mistakes.kinds import CODES
from mlhw.maths.network import Network
from tests.conftest import ROOT
from tests.grading.handed_in import BATCHED, COURSE, RIGHT, changed, graded

BIASED = Network((3, 2, 2), ("logistic",), "identity", "half_squared_error", True)
SIGN = changed(("a4 - t", "t - a4"))
NO_SLOPE = changed(("d3 = dh(a3) *", "d3 ="))
ZEROS = "def backprop(weights, x, t):\n    return [0 * W for W in weights]\n"


def points(score: Score) -> dict[str, float]:
    return {part.name: round(part.points, 3) for part in score.parts}


@pytest.fixture(scope="module")
def grades(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Graded]:
    texts = {
        "right": BATCHED,
        "single": RIGHT,
        "sign": SIGN,
        "sign too": SIGN.replace("d4", "delta"),
        "slope": NO_SLOPE,
        "zeros": ZEROS,
        "summed": BATCHED.replace("/ len(X)", ""),
        "raises": "def backprop(w, x, t):\n    return 1 / 0\n",
    }
    folder = tmp_path_factory.mktemp("handed-in")
    return {name: graded_of(graded(folder, text), COURSE, 1) for name, text in texts.items()}


def test_points_by_what_is_right(grades: dict[str, Graded]) -> None:
    found = {name: points(scored(one, Rubric(), COURSE)) for name, one in grades.items()}
    full = {"output layer": 3, "hidden layers": 5, "batches": 1, "other sizes": 1}
    assert found["right"] == full
    assert found["single"] == full | {"batches": 0}
    assert found["sign"] == full | {"output layer": 1.5, "batches": 0}, "the mistake counts once"
    assert found["slope"] == full | {"hidden layers": 3.75, "batches": 0}
    assert found["summed"] == full | {"batches": 0.5}
    assert set(found["zeros"].values()) == {0}
    assert set(found["raises"].values()) == {0}


def test_every_part_says_why(grades: dict[str, Graded]) -> None:
    reasons = {
        name: {part.name: part.reason for part in scored(one, Rubric(), COURSE).parts}
        for name, one in grades.items()
    }
    assert "(sign)" in reasons["sign"]["output layer"]
    assert "counts once" in reasons["sign"]["hidden layers"]
    assert "(missing_derivative)" in reasons["slope"]["hidden layers"]
    assert "nothing is derived" in reasons["zeros"]["output layer"]
    assert "batches are not taken" in reasons["single"]["batches"]
    assert "(batch_mean)" in reasons["summed"]["batches"]
    assert "ZeroDivisionError" in reasons["raises"]["other sizes"]


def test_a_rubric_of_ones_own(grades: dict[str, Graded]) -> None:
    strict = Rubric(named=0, carried_forward=0, out_of=None, deduct={"sign": 1})
    score = scored(grades["sign"], strict, COURSE)
    assert (score.points, score.of) == (0, 10), "never below 0"
    halves = Rubric(round_to=0.5, out_of=7)
    assert scored(grades["slope"], halves, COURSE).points % 0.5 == 0
    assert scored(grades["right"], halves, COURSE).points == 7
    nothing = Rubric(points=RubricPoints(**dict.fromkeys(RubricPoints.model_fields, 0)))
    assert scored(grades["right"], nothing, COURSE).points == 0


def test_biases_have_their_points() -> None:
    layers = [LayerErrors(0, 2), LayerErrors(0, 0)]
    wrong = Graded("wrong", "", ["bias_sum"], layers, "right", "right", wrong_entries=2)
    score = scored(wrong, Rubric(), BIASED)
    assert score.of == pytest.approx(10)
    by_name = {part.name: part for part in score.parts}
    assert by_name["biases"].points == pytest.approx(0.75 * by_name["biases"].of)
    assert by_name["hidden layers"].full
    unnamed = Graded("wrong", "", [], layers, "right", "right", wrong_entries=2)
    assert scored(unnamed, Rubric(), BIASED).points < score.points


def test_wrong_rubrics_are_one_line_with_their_place(tmp_path: Path) -> None:
    for text, words in {
        "points:\n  output: 3\n": "points.yaml:2: ",
        "points:\n  biases: -1\n": "biases",
        "named: 2\n": "points.yaml:1: named",
        "out_of: .nan\n": "out_of",
    }.items():
        (tmp_path / "points.yaml").write_text(text)
        with pytest.raises(ConfigError, match=words):
            load_config(Rubric, str(tmp_path / "points.yaml"))
    assert Rubric(deduct={"sgn": 1}).unknown() == ["sgn"]


def test_a_grade_comes_back_from_json(grades: dict[str, Graded]) -> None:
    odd = Graded("wrong", "", [], [LayerErrors(1)], entries=[["q", 1, 1, float("inf"), 0.5]])
    for one in (*grades.values(), odd):
        assert Graded.from_dict(json.loads(json.dumps(one.as_dict(), allow_nan=False))) == one


def test_an_entry_worked_through_by_hand_gives_both_values(grades: dict[str, Graded]) -> None:
    asked = plan(COURSE, 1, 0)
    for name in ("sign", "slope", "summed"):
        found = worked(grades[name], asked)
        first = next(e for e in grades[name].entries if e[0] == found.name)
        assert found.got == first[3]
        assert found.expected == pytest.approx(first[4], rel=1e-12)
        check_the_last_line(found)
    example = worked(grades["right"], asked)
    assert example.got is None
    check_the_last_line(example)


def check_the_last_line(found: Worked) -> None:
    """``(0.5 · (−0.25) + …) / 5 = −0.025`` says so when it is worked out."""
    line = found.steps[-1][1].replace("·", "*").replace("−", "-")
    left, _, right = line.rpartition("=")
    assert eval(left) == pytest.approx(float(right.strip(" ()")), rel=1e-4)
    assert float(right.strip(" ()")) == pytest.approx(found.expected, rel=1e-5)


def test_identical_wrong_numbers_make_a_cluster(grades: dict[str, Graded]) -> None:
    (cluster,) = alike(grades)
    assert set(cluster.students) == {"sign", "sign too"}
    assert cluster.bitwise
    assert cluster.codes == ("sign",)
    entries = [[*e[:3], e[3] * (1 + 1e-12), e[4]] for e in grades["sign"].entries]
    nearly = Graded(**{**vars(grades["sign"]), "entries": entries})
    (loose,) = alike({"a": grades["sign"], "b": nearly, "c": grades["slope"]})
    assert loose.students == ("a", "b")
    assert not loose.bitwise


def test_every_code_has_a_meaning_and_stands_in_the_documentation() -> None:
    assert {*MEANINGS} == {*CODES, *TRAITS}
    text = (ROOT / "docs" / "backprop-check.md").read_text(encoding="utf-8")
    assert [code for code in MEANINGS if f"| `{code}` |" not in text] == []
