"""Small submissions of every kind: each gives what its first lines expect.

The first line of a file names its network, the second what is to come out; where that offers two, the first.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhw.grading.asking import Asking
from mlhw.grading.conventions import Conventions
from mlhw.grading.grade import grade
from mlhw.grading.implementations import Implementation
from mlhw.grading.judgement import Grade
from mlhw.grading.questions import plan
from mlhw.maths.network import Network
from tests.grading.handed_in import runner

CASES = Path(__file__).with_name("cases")


def network(
    layers: tuple[int, ...],
    output: str = "identity",
    hidden: str = "logistic",
    loss: str = "half_squared_error",
    bias: bool = False,
) -> Network:
    return Network(layers, (hidden,) * (len(layers) - 2), output, loss, bias)


NETWORKS = {
    "course": (network((3, 2, 2, 1)), 1),
    "logout": (network((3, 2, 2, 1), "logistic"), 1),
    "relu": (network((3, 2, 2, 1), hidden="relu"), 1),
    "out3": (network((3, 2, 2, 3)), 1),
    "square": (network((3, 3, 3, 3)), 1),
    "batch": (network((3, 2, 2, 1)), 4),
    "bias": (network((3, 2, 2, 2), bias=True), 4),
    "soft": (network((3, 4, 4, 3), "softmax", loss="cross_entropy", bias=True), 4),
    "bce": (network((3, 4, 4, 2), "logistic", loss="binary_cross_entropy", bias=True), 4),
    "logoutb": (network((3, 4, 4, 2), "logistic", bias=True), 4),
}

ALONE = "of the rest its definitions alone are taken"
# Verdict, codes, and words of the message.
EXPECTED: dict[str, tuple[str, list[str], str]] = {
    "abs_output_error": ("wrong", ["wrong_error"], "is |z - t|"),
    "accumulates_over_calls": ("wrong", ["accumulated"], "earlier calls are not cleared"),
    "average_delta_first": ("wrong", ["product_of_means"], "the mean of delta times the mean of z"),
    "awk_column_vectors": (
        "error",
        [],
        "--samples columns it would be right: x is (n,), not (n, 1)",
    ),
    "awk_dict_dW": ("correct", [], "right in all 20 draws"),
    "awk_flat_vector": ("correct", [], "the vector is read row by row"),
    "awk_float16": ("wrong", ["low_precision"], "low precision (float16)"),
    "awk_input": ("correct", [], "input() is not possible: nobody is there to answer (line 3)"),
    "awk_loss_and_grads": ("correct", [], "the number beside the gradients, its loss"),
    "awk_map_object": ("correct", [], "right in all 20 draws"),
    "awk_matplotlib_show": ("correct", [], "right in all 20 draws"),
    "awk_method_of_class": ("wrong", ["layer_missing"], "nothing is derived there yet"),
    "awk_missing_module_unused": ("error", [], "seaborn_not_here is not installed here (line 3)"),
    "awk_nondeterministic": ("wrong", ["not_deterministic"], "other numbers the second time"),
    "awk_np_matrix": ("correct", [], "right in all 20 draws"),
    "awk_object_array": ("correct", [], "right in all 20 draws"),
    "awk_other_argument_names": ("correct", [], "right in all 20 draws"),
    "awk_python2_print": ("error", [], "this is Python 2, here runs Python 3."),
    "awk_reads_data_at_import": (
        "correct",
        [],
        "train.csv not found; there are no data beside it (line 4)",
    ),
    "awk_seterr_raise": ("correct", [], "right in all 20 draws"),
    "awk_slow_import_4s": ("correct", [], "right in all 20 draws"),
    "awk_slow_import_7s": ("timeout", [], "still importing after 0.5 s, line 4"),
    "awk_sys_exit_at_end": ("correct", [], f"SystemExit: 0 (line 27); {ALONE}"),
    "awk_threads": ("correct", [], "right in all 20 draws"),
    "awk_warnings_error": ("correct", [], "right in all 20 draws"),
    "awk_writes_file": ("correct", [], "right in all 20 draws"),
    "awk_writes_to_tmp_abs": ("correct", [], f"(line 3); {ALONE}"),
    "awk_wrong_in_one_trial": ("wrong", ["some_draws"], "wrong in 1 of 20 draws"),
    "bce_extra_slope": ("wrong", ["extra_derivative"], "h' of the output is there"),
    "bias_column_first": (
        "wrong",
        ["bias_column"],
        "column of the biases comes first, asked is last",
    ),
    "bias_missing_column": ("wrong", ["bias_column"], "the column of the biases is missing"),
    "bias_right": ("correct", [], "right in all 20 draws"),
    "bias_separate_lists": ("correct", [], "right in all 20 draws"),
    "bias_sum_without_axis": (
        "wrong",
        ["bias_sum"],
        "summed over the units too (a sum without axis)",
    ),
    "bias_summed_not_averaged": (
        "wrong",
        ["bias_sum"],
        "summed over the batch, that by the weights",
    ),
    "bias_times_z": ("wrong", ["bias_column"], "the gradient by the biases is multiplied by z"),
    "bias_zero": ("wrong", ["bias_ignored"], "every wrong entry is 0"),
    "ce_diag_jacobian": ("wrong", ["softmax_jacobian"], "there is the diagonal alone"),
    "ce_extra_slope": ("wrong", ["extra_derivative"], "h' of the output is there"),
    "ce_sign": ("wrong", ["sign"], "delta^(4) has the wrong sign"),
    "factor_3": ("wrong", ["factor"], "delta^(4) is 3 times what it should be"),
    "first_layer_zero": ("wrong", ["layer_missing"], "dE/dW^(1) is 0: nothing is derived there"),
    "l2_left_in": ("wrong", ["weight_decay"], "have 0.01 W added"),
    "last_layer_skipped": ("wrong", ["layer_missing"], "dE/dW^(3) is missing"),
    "learning_rate_in_gradient": (
        "wrong",
        ["factor"],
        "is -0.1 times what it should be (the update",
    ),
    "mean_over_outputs": ("wrong", ["factor"], "2/K for K = 3 outputs"),
    "mse_logistic_missing_slope": ("wrong", ["missing_derivative"], "h' of layer 4 is missing"),
    "numerical_gradient_passes": (
        "correct",
        ["single_input_only", "finite_differences"],
        "as finite differences have: derived, or tried out?",
    ),
    "only_last_sample": ("wrong", ["last_sample_only"], "only the last sample of the batch counts"),
    "rashid_error_without_slope": (
        "wrong",
        ["missing_derivative"],
        "the error of layer 4 without its h'",
    ),
    "relu_slope_is_z": ("wrong", ["slope_formula"], "h' of layer 3 is worked out as z itself"),
    "relu_slope_missing": ("wrong", ["missing_derivative"], "h' of layer 3 is missing"),
    "reversed_order": ("wrong", ["order_reversed"], "the gradients come in reversed order"),
    "reversed_order_square": ("wrong", ["order_reversed"], "the gradients come in reversed order"),
    "right": ("correct", [], "right in all 20 draws"),
    "sigmoid_on_output": ("wrong", ["activation"], "the output is logistic, asked is identity"),
    "slope_formula_of_output_fed_a": (
        "wrong",
        ["slope_formula"],
        "by the output z, and is fed with a",
    ),
    "squared_output_error": ("wrong", ["wrong_error"], "is (z - t)^2, not z - t"),
    "update_while_propagating_0.1": (
        "wrong",
        ["updated_before_delta"],
        "(learning rate 0.1) before",
    ),
}


def judged(name: str, **how: object) -> Grade:
    path = CASES / f"{name}.py"
    asked, inputs = NETWORKS[path.read_text().split("\n")[0].removeprefix("# config: ")]
    asking = Asking(**{"import_limit": 60.0, "time_limit": 60.0, **how})  # type: ignore[arg-type]
    return grade(Implementation(path, "backprop"), plan(asked, inputs, 0), asking, runner())


@pytest.mark.parametrize("name", sorted(path.stem for path in CASES.glob("*.py")))
def test_a_submission_gives_what_its_first_lines_expect(name: str) -> None:
    verdict, codes, words = EXPECTED[name]
    short = {"import_limit": 0.5} if name == "awk_slow_import_7s" else {}
    found = judged(name, **short)
    assert (found.verdict, found.diagnosis) == (verdict, codes), found.message
    assert words in found.message


def test_run_whole_what_fails_in_a_file_is_its_error() -> None:
    found = judged("awk_reads_data_at_import", loading="whole")
    assert found.verdict == "error"
    assert found.message.startswith(
        "FileNotFoundError: train.csv not found; there are no data beside it"
    )
    assert judged("awk_sys_exit_at_end", loading="whole").message.startswith(
        "SystemExit: 0 (line 27)"
    )
    assert judged("awk_input", loading="whole").message.startswith(
        "EOFError: input() is not possible"
    )
    before = written()
    blocked = judged("awk_writes_to_tmp_abs", loading="whole")
    assert blocked.message.startswith("PermissionError: ")
    assert written() == before


def written() -> float | None:
    path = Path("/tmp/_written_by_submission")
    return path.stat().st_mtime if path.exists() else None


def test_in_columns_a_function_for_column_vectors_is_right() -> None:
    found = judged("awk_column_vectors", conventions=Conventions(samples="columns"))
    assert (found.verdict, found.diagnosis) == ("correct", ["single_input_only"])
    assert "a batch is summed, not averaged" in found.message
