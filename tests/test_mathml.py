"""Formulas typeset for the report."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest

from mlhw import mathml, provenance, report
from mlhw.config import ExperimentConfig
from mlhw.result import Result


def shown(text: str) -> str:
    """The characters that a browser shows, in order."""
    return "".join(ET.fromstring(mathml.typeset(text)).itertext())


def test_a_formula_keeps_every_sign_and_index() -> None:
    assert shown("dE/dw_12^(3) = delta_1^(4) z_2^(3)") == "∂E∂w12(3)=δ1(4)z2(3)"
    assert shown("h'(a_1^(2)) sum_k w_k1^(2) delta_k^(3) = -1.5e-3") == (
        "h′(a1(2))∑kwk1(2)δk(3)=−1.5e-3"
    )


def test_indices_and_layers_are_set_as_such() -> None:
    tree = ET.fromstring(mathml.typeset("dE/dw_12^(3) - t"))
    fraction = tree.find("mrow/mfrac")
    assert fraction is not None
    index = fraction.find("mrow[2]/msubsup")
    assert index is not None
    assert ["".join(part.itertext()) for part in index] == ["w", "12", "(3)"]
    assert tree.find("mrow/mfrac/mrow[2]/msubsup/mrow/mn") is not None


@pytest.mark.parametrize("text", ["<script>", "a & b", "w_1^2", "${x}"])
def test_what_is_no_formula_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no formula"):
        mathml.typeset(text)


def page(result: Result) -> str:
    return report.page(
        result,
        question="?",
        command="",
        config=ExperimentConfig(),
        run="r",
        pictures={},
        environment=provenance.environment(),
    )


def test_the_report_shows_the_formulas_of_a_result() -> None:
    with_one = page(Result("x", {}, formulas=["delta_1^(4) = a_1^(4) - t"]))
    assert mathml.typeset("delta_1^(4) = a_1^(4) - t") in with_one
    assert "<math" not in page(Result("x", {}))
