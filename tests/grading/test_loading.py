"""A file is loaded as it was written: whole, or its definitions alone; what is wrong with it is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlhw.grading.adapters.sources import without_magics
from mlhw.grading.asking import Asking
from mlhw.grading.grade import grade
from mlhw.grading.implementations import Implementation, find_implementations
from mlhw.grading.judgement import Grade
from mlhw.grading.questions import plan
from tests.grading.handed_in import COURSE, RIGHT, changed, graded, runner

AT_WORK = "    W1, W2, W3 = weights"


def together(files: dict[str, str | bytes], main: str = "theirs.py", **how: Any) -> Grade:
    """The grade of several files of one student."""
    contents = {n: c if isinstance(c, bytes) else c.encode() for n, c in files.items()}
    one = Implementation(Path(main), "backprop", files=contents, main=main)
    asking = Asking(**{"import_limit": 60.0, **how})
    return grade(one, plan(COURSE, 1, 0), asking, runner())


# ------------------------------------------------------------------------------------- definitions

DEFINING = """
'''A derivation.'''
from __future__ import annotations
import sys
try:
    import not_here_at_all as fast
except ImportError:
    fast = None
print('run')
RATE, ONE = 0.1, np.ones(1) if False else 1
half = lambda a: a / 2
twice: float = 2 * ONE
if sys.version_info > (3, 0):
    def plain(a: Unknown): return a * half(twice)
else:
    plain = None
with open('weights.npy', 'wb') as file:
    file.write(b'x')
for epoch in range(10**12):
    pass
""" + RIGHT.replace("    return 1 / (1", "    return plain(1) / (1")


def test_definitions_alone_are_taken_without_running_anything_else(tmp_path: Path) -> None:
    found = graded(tmp_path, DEFINING, loading="definitions")
    assert found.verdict == "correct", found.message
    assert found.message.startswith("right in all 20 draws")
    assert (found.stdout, found.notes) == ("", [])


@pytest.mark.parametrize(
    ("training", "where"),
    [
        ("while True:\n    pass", "line 23"),
        ("def train():\n    while True:\n        pass\ntrain()", "line 24"),
        (
            "import time\nwhile True:\n    try:\n        time.sleep(9)\n    except Exception:\n        pass",
            "",
        ),
    ],
)
def test_training_at_import_is_left_out_when_it_takes_too_long(
    training: str, where: str, tmp_path: Path
) -> None:
    text = f"{RIGHT}\nLOSSES = []\n{training}\nprint('end')\n"
    found = graded(tmp_path, text, import_limit=0.5)
    assert found.verdict == "correct", found.message
    assert f"running the file failed: still running after 0.5 s, {where}" in found.message
    assert "of the rest its definitions alone are taken" in found.message
    assert found.stdout == ""


def test_run_whole_a_file_that_trains_is_a_timeout_that_says_where(tmp_path: Path) -> None:
    text = f"{RIGHT}\nwhile True:\n    pass\n"
    found = graded(tmp_path, text, import_limit=0.5, loading="whole")
    assert (found.verdict, found.message) == ("timeout", "still importing after 0.5 s, line 22")
    # One that hears nothing, here since Python does not get to listen, is killed.
    text = "sum(range(10**15))\n"
    found = graded(tmp_path, text, import_limit=0.5)
    assert found.verdict == "timeout"
    assert found.message == "still importing after 0.5 s"


def test_what_is_missing_because_it_was_not_run_is_named_with_its_line(tmp_path: Path) -> None:
    text = f"data = load('train.csv')\n{changed((AT_WORK, f'    data.mean(){chr(10)}{AT_WORK}'))}"
    found = graded(tmp_path, text)
    assert found.verdict == "error"
    assert (
        "NameError: name 'data' is not defined; it is made in line 1, which is not run"
        in found.message
    )
    assert (
        "running the file failed: NameError: name 'load' is not defined (line 1)" in found.message
    )
    found = graded(tmp_path, "backprop = make('x')\n")
    assert "no function backprop: it is made in line 1, which is not run" in found.message


def test_a_timeout_of_the_answers_says_in_which_line(tmp_path: Path) -> None:
    text = changed((AT_WORK, f"    if x[0] > 0: \n        while True: pass\n{AT_WORK}"))
    found = graded(tmp_path, text, limit=0.5)
    assert found.verdict == "timeout"
    assert found.message.startswith("no answer within 0.5 s (after ")
    assert found.message.endswith(" draws, at line 12)")


# ------------------------------------------------------------------------------------- what is named

PYTHON_2 = {
    "print 'loss', 3": "SyntaxError",
    "try:\n    pass\nexcept ValueError, e:\n    pass": "SyntaxError",
    "raise ValueError, 'x'": "SyntaxError",
    "x = 0777": "SyntaxError",
    "if 1 <> 2: pass": "SyntaxError",
    "import cPickle": "ModuleNotFoundError",
}


def test_python_2_is_named(tmp_path: Path) -> None:
    for line, kind in PYTHON_2.items():
        found = graded(tmp_path, f"{line}\n{RIGHT}")
        assert (found.verdict, found.message.partition(":")[0]) == ("error", kind), line
        assert "; this is Python 2, here runs Python 3." in found.message, line
    for word, here in {"xrange(3)": "range", "{}.iteritems()": "", "raw_input()": "input"}.items():
        found = graded(tmp_path, changed((AT_WORK, f"    {word}\n{AT_WORK}")))
        assert "this is Python 2" in found.message, word
        assert here in found.message
    syntax = graded(tmp_path, f"def f(:\n{RIGHT}")
    assert "Python 2" not in syntax.message


def test_names_that_numpy_has_no_more_are_named(tmp_path: Path) -> None:
    for name, instead in {"float": "float", "Inf": "np.inf", "product": "np.prod"}.items():
        found = graded(tmp_path, changed((AT_WORK, f"    np.{name}\n{AT_WORK}")))
        assert found.message.startswith(f"AttributeError: np.{name} is gone from NumPy ("), name
        assert found.message.endswith(f" is here); write {instead} (line 11)")


def test_an_error_in_a_helper_module_keeps_its_file_and_line() -> None:
    main = RIGHT.replace(
        "import numpy as np", "import numpy as np\nfrom mine.slopes import dh2 as dh"
    )
    main = main.replace("def dh(a)", "def unused(a)")
    helper = (
        "import numpy as np\ndef dh2(a):\n    z = 1 / (1 + np.exp(-a))\n    return z * (1 - z)\n"
    )
    files = {"theirs.py": main, "mine/__init__.py": "", "mine/slopes.py": helper}
    assert together({**files}).verdict == "correct"
    found = together({**files, "mine/slopes.py": helper.replace("(1 - z)", "(1 - y)")})
    assert found.message.startswith("NameError: name 'y' is not defined")
    assert found.message.endswith("(mine/slopes.py, line 4)")
    found = together({**files, "mine/slopes.py": "data = open('x')\n" + helper})
    assert found.verdict == "correct"
    assert "running mine/slopes.py failed: FileNotFoundError: [Errno 2]" in found.message
    assert "(mine/slopes.py, line 1)" in found.message
    found = together({**files, "mine/slopes.py": helper + "def f(:\n"})
    assert found.message.startswith("SyntaxError: invalid syntax (mine/slopes.py, line 5)")


def test_a_file_given_by_itself_has_its_own_modules_and_nobody_elses(tmp_path: Path) -> None:
    (tmp_path / "anna.py").write_text("from slopes import *\nimport random\n")
    (tmp_path / "slopes.py").write_text("import inner\n")
    (tmp_path / "inner.py").write_text(RIGHT)
    (tmp_path / "bert.py").write_text(RIGHT)
    (one,) = find_implementations([f"{tmp_path}/anna.py"])
    assert set(one.contents()) == {"anna.py", "slopes.py", "inner.py"}
    of_class = find_implementations([str(tmp_path)])
    assert all(list(one.contents()) == [one.path.name] for one in of_class)


def test_text_in_another_encoding_is_read(tmp_path: Path) -> None:
    text = RIGHT.replace("def h(a):", "def h(a):  # für Größe")
    found = together({"theirs.py": text.encode("cp1252")})
    assert (found.verdict, found.notes) == (
        "correct",
        ["the file is no UTF-8 and is read as cp1252"],
    )
    assert together({"theirs.py": text.encode("utf-16")}).verdict == "correct"
    assert together({"theirs.py": b"\xef\xbb\xbf" + text.encode()}).notes == []
    declared = "# -*- coding: latin-1 -*-\n" + text
    assert together({"theirs.py": declared.encode("latin-1")}).notes == []


# ------------------------------------------------------------------------------------- plots, classes

PLOTTING = """
import matplotlib
matplotlib.use('TkAgg')
import matplotlib.pyplot as plt, seaborn as sns
from mpl_toolkits.mplot3d import Axes3D
from pylab import *
from IPython.display import display as shown
from google.colab import drive
drive.mount('/content/drive')
plt.rcParams['figure.figsize'] = (4, 3)
fig, ax = plt.subplots()
fig, (a, b) = plt.subplots(1, 2)
line, = ax.plot([1, 2], label='x')
counts, edges, bars = plt.hist([1, 2])
with plt.style.context('ggplot'):
    plt.title('loss'); plt.legend(); plt.show()
for spine in a.spines.values():
    spine.set_visible(False)
assert exp(0) == 1
assert not hasattr(plt, "__file__")
"""


def test_plots_and_a_notebooks_displays_do_nothing_and_cost_nothing(tmp_path: Path) -> None:
    found = graded(tmp_path, PLOTTING + RIGHT)
    assert (found.verdict, found.notes) == ("correct", [])


CLASS = """
import numpy as np
class Solution:
    def backprop(self, weights, x, t):
        z = [x]
        for W in weights[:-1]:
            z.append(1 / (1 + np.exp(-W @ z[-1])))
        d, found = weights[-1] @ z[-1] - t, []
        for W, before in zip(weights[::-1], z[::-1]):
            found.insert(0, np.outer(d, before))
            d = (W.T @ d) * before * (1 - before)
        return found
"""


def test_a_method_of_a_class_is_called_or_explained(tmp_path: Path) -> None:
    assert graded(tmp_path, CLASS).verdict == "correct"
    static = CLASS.replace("    def backprop(self, ", "    @staticmethod\n    def backprop(")
    assert graded(tmp_path, static).verdict == "correct"
    needing = CLASS.replace("Solution:", "Solution:\n    def __init__(self, sizes, rate): ...")
    found = graded(tmp_path, needing)
    assert found.verdict == "error"
    assert (
        "backprop is a method of the class Solution, which is made with (sizes, rate): "
        in found.message
    )
    assert find_implementations([f"{tmp_path}/theirs.py:Solution.backprop"])[0].missing is None


def test_a_function_of_another_name_is_offered(tmp_path: Path) -> None:
    text = RIGHT.replace("def backprop", "def back_prop")
    assert "no function backprop; did you mean back_prop?" in graded(tmp_path, text).message
    text = RIGHT.replace("def backprop", "def gradient")
    assert "no function backprop; there are h, dh, gradient" in graded(tmp_path, text).message
    assert "no function backprop; it defines none" in graded(tmp_path, "x = 1\n").message


# ------------------------------------------------------------------------------------- notebooks


def notebook(*cells: str) -> bytes:
    made = [{"cell_type": "markdown", "source": ["# Homework"]}]
    made += [{"cell_type": "code", "source": cell.splitlines(keepends=True)} for cell in cells]
    return json.dumps({"nbformat": 4, "cells": made}).encode()


def test_a_notebooks_code_cells_are_run_without_their_magics() -> None:
    first = "%matplotlib inline\n!pip install seaborn\nimport numpy as np\nfiles = !ls\nnp.dot?\n"
    cells = (
        first,
        "%%bash\nrm -rf data",
        "%%time\n" + RIGHT,
        "this is no Python",
        "display(files)",
    )
    found = together({"theirs.ipynb": notebook(*cells)}, "theirs.ipynb")
    assert found.verdict == "correct"
    assert found.notes == ["cell 5 is left out: invalid syntax (line 1)"]
    failing = changed((AT_WORK, f"    1 / 0\n{AT_WORK}"))
    found = together({"theirs.ipynb": notebook("x = 1", failing)}, "theirs.ipynb")
    assert found.message == "ZeroDivisionError: division by zero (cell 3, line 11)"
    found = together({"theirs.ipynb": b"{}"}, "theirs.ipynb")
    assert found.message.startswith("SyntaxError: theirs.ipynb is no notebook: it has no cells")
    traced = RIGHT + "def unused(torch):\n    return torch.autograd\n"
    found = together({"theirs.ipynb": notebook(traced)}, "theirs.ipynb")
    assert "automatic_differentiation" in found.diagnosis
    old = {"worksheets": [{"cells": [{"cell_type": "code", "input": RIGHT}]}]}
    assert together({"a.ipynb": json.dumps(old).encode()}, "a.ipynb").verdict == "correct"


def test_only_a_cell_that_is_no_python_is_searched_for_magics() -> None:
    python = "x = (7\n% 3)"
    assert without_magics(python) == python
    assert without_magics("if x:\n    %time f()\n") == "if x:\n    pass\n"
    assert without_magics("%%html\n<b>") == ""
