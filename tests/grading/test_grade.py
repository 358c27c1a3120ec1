"""Somebody's file: which mistake it makes, and that nothing it does reaches us."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.errors import DataError
from mlhw.grading.grade import Verdict, draw, grade
from mlhw.grading.implementations import Implementation, find
from mlhw.grading.process import call_in_process
from mlhw.maths import mistakes
from mlhw.maths.network import Network, backprop
from mlhw.maths.random_networks import random_network

COURSE = Network((3, 2, 2, 1), ("logistic", "logistic"), "identity", "half_squared_error", False)

RIGHT = """
import numpy as np

def h(a):
    return 1 / (1 + np.exp(-a))

def dh(a):
    return h(a) * (1 - h(a))

def backprop(weights, x, t):
    W1, W2, W3 = weights
    a2 = W1 @ x
    z2 = h(a2)
    a3 = W2 @ z2
    z3 = h(a3)
    a4 = W3 @ z3
    d4 = a4 - t
    d3 = dh(a3) * (W3.T @ d4)
    d2 = dh(a2) * (W2.T @ d3)
    return [np.outer(d2, x), np.outer(d3, z2), np.outer(d4, z3)]
"""

BATCHED = """
import numpy as np

def backprop(weights, x, t):
    X, T = np.atleast_2d(x), np.atleast_2d(t)
    z = [X]
    for W in weights[:-1]:
        z.append(1 / (1 + np.exp(-z[-1] @ W.T)))
    delta = z[-1] @ weights[-1].T - T
    gradients, deltas = [], []
    for l in range(len(weights) - 1, -1, -1):
        deltas.insert(0, delta)
        gradients.insert(0, delta.T @ z[l] / len(X))
        delta = (delta @ weights[l]) * z[l] * (1 - z[l])
    return {"gradients": gradients, "deltas": deltas}
"""


def changed(*replacements: tuple[str, str]) -> str:
    text = RIGHT
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    return text


def graded(
    folder: Path, text: str, network: Network = COURSE, inputs: int = 1, limit: float = 5.0
) -> Verdict:
    path = folder / "theirs.py"
    path.write_text(text)
    return grade(Implementation(path, "backprop"), network, inputs, 0, limit)


# ------------------------------------------------------------------------------------- mistakes

D3, D2 = "dh(a3) * ", "dh(a2) * "
ALL_TRANSPOSED = [
    ("np.outer(d2, x)", "np.outer(x, d2)"),
    ("np.outer(d3, z2)", "np.outer(z2, d3)"),
    ("np.outer(d4, z3)", "np.outer(z3, d4)"),
]
MISTAKES: dict[str, tuple[list[str], str, list[tuple[str, str]]]] = {
    "all transposed": (["transposed"], "dE/dW^(1) is transposed", ALL_TRANSPOSED),
    "one transposed": (["transposed"], "dE/dW^(2) is transposed", ALL_TRANSPOSED[1:2]),
    "a vector turned": (["transposed"], "dE/dW^(3) is transposed", ALL_TRANSPOSED[2:]),
    "no transpose of W": (["transposed"], "W^(2) where its transpose", [("W2.T", "W2")]),
    "sign": (["sign"], "delta^(4) has the wrong sign", [("a4 - t", "t - a4")]),
    "sign of one": (
        ["sign"],
        "dE/dW^(2) has the wrong sign",
        [("np.outer(d3, z2)", "-np.outer(d3, z2)")],
    ),
    "factor 2": (["factor"], "delta^(4) is 2 times too large", [("a4 - t", "2 * (a4 - t)")]),
    "factor half": (["factor"], "delta^(4) is half as large", [("a4 - t", "(a4 - t) / 2")]),
    "sign and factor": (["sign", "factor"], "wrong sign and is 2", [("a4 - t", "2 * (t - a4)")]),
    "no h'": (["missing_derivative"], "h' of layer 3 is missing", [(D3, "")]),
    "no h' at all": (["missing_derivative"], "layer 3 is missing and h' of", [(D3, ""), (D2, "")]),
    "h' at z": (["derivative_at_z"], "taken at z^(2)", [(D2, "dh(z2) * ")]),
    "h' at z twice": (["derivative_at_z"], "z^(3)", [(D2, "dh(z2) * "), (D3, "dh(z3) * ")]),
    "h' elsewhere": (["derivative_at_z", "wrong_layer"], "taken at a^(3)", [(D2, "dh(a3) * ")]),
    "z elsewhere": (
        ["wrong_layer"],
        "z^(3) instead of z^(2)",
        [("np.outer(d3, z2)", "np.outer(d3, z3)")],
    ),
    "delta elsewhere": (
        ["wrong_layer"],
        "delta^(2) instead",
        [("np.outer(d3, z2)", "np.outer(d2, z2)")],
    ),
    "one term": (["missing_sum"], "only the term k = 1", [("W2.T @ d3", "W2[0] * d3[0]")]),
    "other term": (["missing_sum"], "only the term k = 2", [("W2.T @ d3", "W2[1] * d3[1]")]),
    "own term": (["missing_sum"], "only the term k = j", [("W2.T @ d3", "np.diag(W2) * d3")]),
    "two mistakes": (
        ["sign", "missing_sum"],
        "delta^(4) has the wrong sign and delta^(2) has only",
        [("a4 - t", "t - a4"), ("W2.T @ d3", "W2[0] * d3[0]")],
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_classic_mistake_is_named(name: str, tmp_path: Path) -> None:
    codes, words, replacements = MISTAKES[name]
    found = graded(tmp_path, changed(*replacements))
    assert (found.verdict, found.diagnosis) == ("wrong", codes)
    assert words in found.message
    assert found.message.isascii()
    assert found.wrong


def test_a_known_mistake_is_named_beside_one_that_is_not(tmp_path: Path) -> None:
    text = changed(
        ("np.outer(d4, z3)", "-np.outer(d4, z3)"), ("np.outer(d2, x)", "1.1 * np.outer(d2, x)")
    )
    found = graded(tmp_path, text)
    assert found.diagnosis == ["sign"]
    assert found.message.endswith(
        "likely: dE/dW^(3) has the wrong sign; dE/dW^(1): no classic mistake explains it"
    )


def test_every_code_is_covered_by_a_mistake_here() -> None:
    named = {code for codes, _, _ in MISTAKES.values() for code in codes}
    assert named | {"batch_mean"} == set(mistakes.CODES)


def test_a_right_file_is_correct_and_may_refuse_a_batch(tmp_path: Path) -> None:
    found = graded(tmp_path, RIGHT)
    assert (found.verdict, found.diagnosis, found.wrong) == ("correct", [], [])
    assert found.max_relative_error is not None
    assert found.max_relative_error < 1e-12
    assert found.batch.startswith("not taken: ValueError")


def test_a_file_that_takes_batches_and_gives_deltas_is_correct(tmp_path: Path) -> None:
    found = graded(tmp_path, BATCHED)
    assert (found.verdict, found.batch) == ("correct", "right")
    assert graded(tmp_path, BATCHED, inputs=4).verdict == "correct"


@pytest.mark.parametrize("inputs", [1, 4])
def test_a_sum_over_the_batch_for_a_mean_is_named(inputs: int, tmp_path: Path) -> None:
    found = graded(tmp_path, BATCHED.replace(" / len(X)", ""), inputs=inputs)
    assert (found.verdict, found.diagnosis) == ("wrong", ["batch_mean"])
    assert "summed over the batch" in found.message


def test_a_sum_over_the_batch_is_named_beside_another_mistake(tmp_path: Path) -> None:
    text = BATCHED.replace(" / len(X)", "").replace("weights[-1].T - T", "weights[-1].T * 0 - T")
    assert "batch_mean" not in graded(tmp_path, text).diagnosis
    text = BATCHED.replace(" / len(X)", "").replace(
        "z[-1] @ weights[-1].T - T", "T - z[-1] @ weights[-1].T"
    )
    found = graded(tmp_path, text)
    assert found.diagnosis == ["sign", "batch_mean"]


def test_wrong_deltas_beside_right_gradients_are_wrong(tmp_path: Path) -> None:
    text = BATCHED.replace("deltas.insert(0, delta)", "deltas.insert(0, -delta)")
    found = graded(tmp_path, text)
    assert found.verdict == "wrong"
    assert {entry.quantity for entry in found.wrong} >= {"delta_1^(4)", "delta_2^(3)"}
    assert all(entry.column is None for entry in found.wrong)
    assert "delta^(4) (delta_1)" in found.message


def test_the_wrong_entries_are_named_with_both_values(tmp_path: Path) -> None:
    text = changed(("np.outer(d3, z2)", "np.outer(d3, z2) + np.array([[0, 1], [0, 0]])"))
    found = graded(tmp_path, text)
    (entry,) = found.wrong
    assert (entry.quantity, entry.row, entry.column) == ("dE/dw_12^(2)", 1, 2)
    assert entry.got == pytest.approx(entry.expected + 1)
    assert found.diagnosis == []
    assert "no classic mistake explains it" in found.message


def test_a_derivation_in_single_precision_is_correct(tmp_path: Path) -> None:
    cast = "weights, x, t = [W.astype('f4') for W in weights], x.astype('f4'), t.astype('f4')"
    text = changed(("W1, W2, W3 = weights", f"{cast}\n    W1, W2, W3 = weights"))
    assert graded(tmp_path, text).verdict == "correct"


def test_lists_and_torch_tensors_are_taken_as_arrays(tmp_path: Path) -> None:
    text = changed(("return [", "g = [")) + "    return tuple(a.tolist() for a in g)\n"
    assert graded(tmp_path, text).verdict == "correct"
    text = (
        changed(("return [", "import torch\n    g = ["))
        + "    return [torch.tensor(a) for a in g]\n"
    )
    assert graded(tmp_path, text, limit=60).verdict == "correct"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32))
def test_any_single_mistake_in_any_network_is_explained_by_its_own_code(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = random_network(rng, 5)
    draws = draw(network, int(rng.choice([1, 3])), 6, rng)
    mistaken = mistakes.Mistaken(network, draws.weights, draws.X, draws.T)
    layer = int(rng.integers(1, network.depth))
    known = list(mistakes.candidates(network, layer))
    made = known[rng.integers(len(known))]
    got = [mistaken.gradient(n, (made,))[0] for n in range(1, network.depth)]
    right = [mistaken.gradient(n, ())[0] for n in range(1, network.depth)]
    same = all(mistakes.equal(g, r, 1e-6) for g, r in zip(got, right, strict=True))
    explanation = mistakes.explain(mistaken, got, None, 1e-6)
    assert explanation.unexplained == []
    if not same:
        assert set(made.codes) <= set(explanation.codes)


def test_the_search_without_mistakes_is_plain_back_propagation() -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        network = random_network(rng, 6)
        draws = draw(network, 2, 3, rng)
        mistaken = mistakes.Mistaken(network, draws.weights, draws.X, draws.T)
        right = backprop(network, draws.weights, draws.X, draws.T)
        for a, b in zip(mistakes.right_gradients(mistaken), right, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-300)


def test_draws_have_nothing_zero_and_nothing_symmetric() -> None:
    draws = draw(COURSE, 1, 20, np.random.default_rng(0))
    for array in (*draws.weights, draws.X):
        assert np.abs(array).min() > 0.1
        assert len(np.unique(np.abs(array))) == array.size


# ------------------------------------------------------------------------------------- accidents

AT_WORK = "    W1, W2, W3 = weights"
ACCIDENTS: dict[str, tuple[str, str]] = {
    "1 / 0": ("error", "ZeroDivisionError: division by zero (line 11)"),
    "return None": ("error", "TypeError: gradients must be a list of arrays, not NoneType"),
    "return ['a', 'b', 'c']": ("error", "TypeError: gradients[0] must hold numbers, not str32"),
    "return {'g': 1}": ("error", "TypeError: the dict needs the key 'gradients' (it has: g)"),
    "return [x]": ("error", "3 gradients are needed, one for each weight matrix; got 1"),
    "return [x, x, x]": ("error", "dE/dW^(1) must have the shape (2, 3); got (3,)"),
    "return [np.ones((2, 3)), np.ones((2, 2)), np.ones((1, 2)) * np.nan]": ("wrong", "NaN"),
    "return [np.zeros(10**6)] * 3": ("error", "dE/dW^(1) must have the shape (2, 3)"),
    "return [np.array([[1j] * 3] * 2)] * 3": ("error", "must hold numbers, not complex128"),
    "import os; os.kill(os.getpid(), 9)": ("error", "the process was killed by SIGKILL"),
    "import os; os._exit(0)": ("error", "the process ended itself (exit code 0)"),
    "import sys; sys.exit(3)": ("error", "SystemExit: 3"),
    "np.ones(10**10)": ("error", "MemoryError: "),
    "raise KeyboardInterrupt": ("error", "KeyboardInterrupt"),
    "backprop(weights, x, t)": ("error", "RecursionError: "),
    "import ctypes; ctypes.string_at(0)": ("error", "the process was killed by SIGSEGV"),
}


@pytest.mark.parametrize("line", ACCIDENTS)
def test_an_accident_gives_a_clear_verdict(line: str, tmp_path: Path) -> None:
    verdict, message = ACCIDENTS[line]
    found = graded(tmp_path, changed((AT_WORK, f"    {line}\n{AT_WORK}")))
    assert found.verdict == verdict
    assert message in found.message


@pytest.mark.parametrize(
    "line", ["while True: pass", "while True: print('x' * 10000)", "import time; time.sleep(99)"]
)
def test_what_never_ends_is_a_timeout_and_costs_no_more_than_its_limit(
    line: str, tmp_path: Path
) -> None:
    started = time.monotonic()
    found = graded(tmp_path, changed((AT_WORK, f"    {line}\n{AT_WORK}")), limit=0.5)
    assert found.verdict == "timeout"
    assert "no answer within 0.5 s" in found.message
    assert time.monotonic() - started < 10  # Python's own start included


def test_a_print_flood_that_ends_is_no_mistake(tmp_path: Path) -> None:
    text = changed((AT_WORK, f"    print('x' * 5_000_000)\n{AT_WORK}"))
    assert graded(tmp_path, text).verdict == "correct"


def test_an_error_while_importing_and_a_syntax_error_name_the_line(tmp_path: Path) -> None:
    found = graded(tmp_path, "import nothing_like_this\n" + RIGHT)
    assert found.verdict == "error"
    assert found.message == "ModuleNotFoundError: No module named 'nothing_like_this' (line 1)"
    found = graded(tmp_path, "def backprop(:\n")
    assert found.message.startswith("SyntaxError: ")
    assert found.message.endswith("(line 1)")


def test_a_loop_in_a_batch_only_leaves_the_verdict_on_single_inputs(tmp_path: Path) -> None:
    loop = f"    while np.ndim(x) == 2: pass\n{AT_WORK}"
    found = graded(tmp_path, changed((AT_WORK, loop)), limit=1.5)
    assert found.verdict == "correct"
    assert found.batch.startswith("not taken")


# ------------------------------------------------------------------------------------- the process


def calls() -> list[list[np.ndarray]]:
    return [[np.ones((2, 3)), np.ones((2, 2)), np.ones((1, 2)), np.ones(3), np.ones(1)]]


FORK = "if not os.path.exists({path!r}) and not os.fork():\n"
ESCAPES = {
    "child": FORK + "{note}",
    "session": FORK + "        os.setsid()\n{note}",
    "daemon": FORK + "        os.setsid()\n        if os.fork(): os._exit(0)\n{note}",
}


@pytest.mark.parametrize(
    "escape",
    [
        pytest.param(
            name,
            marks=[]
            if name == "child"
            else pytest.mark.skipif(sys.platform != "linux", reason="needs a subreaper"),
        )
        for name in ESCAPES
    ],
)
@pytest.mark.parametrize("ends", [True, False])
def test_children_of_the_process_are_killed_with_it(
    escape: str, ends: bool, tmp_path: Path
) -> None:
    note = tmp_path / "pid"
    write = (
        f"        open({str(note)!r} + '~', 'w').write(str(os.getpid()))\n"
        f"        os.rename({str(note)!r} + '~', {str(note)!r})\n        time.sleep(600)\n"
    )
    fork = f"    import os, time\n    {ESCAPES[escape].format(path=str(note), note=write)}"
    fork += f"    while not os.path.exists({str(note)!r}): pass\n"
    if not ends:
        fork += "    time.sleep(600)\n"
    found = graded(tmp_path, changed((AT_WORK, fork + AT_WORK)), limit=2)
    assert found.verdict == ("correct" if ends else "timeout")
    child = int(note.read_text())
    for _ in range(100):
        if not Path(f"/proc/{child}").exists() or "(zombie)" in _status(child):
            return
        time.sleep(0.05)
    pytest.fail(f"process {child} is still there: {_status(child)}")


def test_a_file_that_closes_the_channel_and_goes_on_is_a_timeout(tmp_path: Path) -> None:
    text = changed(
        (AT_WORK, f"    import os; os.closerange(3, 99)\n    while True: pass\n{AT_WORK}")
    )
    started = time.monotonic()
    assert graded(tmp_path, text, limit=0.5).verdict == "timeout"
    assert time.monotonic() - started < 10


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "(zombie)"


def test_the_environment_is_empty_and_the_folder_is_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLHW_SECRET", "x")
    path = tmp_path / "theirs.py"
    path.write_text(
        "import os\n"
        "def backprop(*_):\n"
        "    raise OSError(f'{sorted(os.environ)} {os.getcwd()} {os.listdir()}')\n"
    )
    found = call_in_process(path, "backprop", calls(), required=1, time_limit=5)
    assert found.error is not None
    assert found.error.startswith("OSError: [] ")
    assert str(tmp_path) not in found.error
    assert os.getcwd() not in found.error.split()
    assert "[]" in found.error.removeprefix("OSError: []")


@pytest.mark.parametrize(
    "junk",
    [
        "junk\\n",
        '{"done": true}\\n',
        '{"gradients": [[1e9]], "deltas": null, "sent": true}\\n',
        '{"gradients": [[-3]], "deltas": null, "sent": true}\\n',
        "[1, 2]\\n",
        '{"error": 3}\\n',
        "x" * 100,
    ],
)
def test_a_file_that_writes_into_the_channel_itself_gains_nothing(
    junk: str, tmp_path: Path
) -> None:
    attack = f"""    import os
    for channel in range(3, 30):
        try:
            os.write(channel, b'{junk}')
        except OSError:
            pass
"""
    found = graded(tmp_path, changed((AT_WORK, attack + AT_WORK)), limit=3)
    assert found.verdict == "error"


def test_our_own_back_propagation_cannot_be_handed_in(tmp_path: Path) -> None:
    found = graded(tmp_path, "from mlhw.maths.network import backprop\n")
    assert found.verdict == "error"
    assert found.message.startswith("ModuleNotFoundError: No module named 'mlhw")


def test_endless_writing_into_the_channel_is_cut_off(tmp_path: Path) -> None:
    attack = f"""    import os
    while True:
        for channel in range(3, 30):
            try:
                os.write(channel, b'x' * 60000)
            except OSError:
                pass
{AT_WORK}"""
    found = graded(tmp_path, changed((AT_WORK, attack)), limit=30)
    assert found.verdict == "error"
    assert found.seconds < 20


def test_inputs_changed_in_place_change_nothing_of_ours(tmp_path: Path) -> None:
    text = (
        changed(
            ("    return [", "    g = ["),
        )
        + "    for W in weights:\n        W[:] = 0\n    x[:] = 0\n    return g\n"
    )
    assert graded(tmp_path, text).verdict == "correct"


# ------------------------------------------------------------------------------------- files


def test_files_folders_and_functions_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("def backprop(w, x, t): ...\ndef other(w, x, t): ...\n")
    (tmp_path / "b.py").write_text("from a import *\n")
    (tmp_path / "c.py").write_text("def back_prop(w, x, t): ...\n")
    (tmp_path / ".d.py").write_text("")
    (tmp_path / "notes.txt").write_text("")
    found = find([str(tmp_path)])
    assert [(i.path.name, i.missing is None) for i in found] == [
        ("a.py", True),
        ("b.py", True),
        ("c.py", False),
    ]
    assert "did you mean 'c.py:back_prop'?" in str(found[2].missing)
    (one,) = find([f"{tmp_path}/a.py:other"])
    assert (one.function, one.name) == ("other", "a.py:other")


def test_what_is_missing_is_named_all_at_once(tmp_path: Path) -> None:
    (tmp_path / "backprop_ann.py").write_text("x = 1\n")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as caught:
        find([f"{tmp_path}/backprop_anne.py", f"{tmp_path}/backprop_ann.py", f"{tmp_path}/empty"])
    missing, function, empty = caught.value.lines
    assert missing.endswith("no such file, did you mean 'backprop_ann.py'?")
    assert function.endswith("no function backprop in this file")
    assert empty.endswith("no .py files in this folder")


@pytest.mark.parametrize(
    "text",
    [
        "backprop = lambda w, x, t: None",
        "from helpers import gradient as backprop",
        "if True:\n    def backprop(w, x, t): ...",
        "globals()['back' + 'prop'] = print",
        "def make():\n    global backprop\n    backprop = print\nmake()",
    ],
)
def test_a_function_may_come_into_being_in_any_way(text: str, tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(text)
    assert len(find([str(tmp_path / "a.py")])) == 1
