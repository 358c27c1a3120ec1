"""Somebody's file runs in a process of its own: no accident in it and nothing it does reaches us."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from tests.grading.handed_in import RIGHT, changed, graded

# ------------------------------------------------------------------------------------- accidents

AT_WORK = "    W1, W2, W3 = weights"
ACCIDENTS: dict[str, tuple[str, str]] = {
    "1 / 0": ("error", "ZeroDivisionError: division by zero (line 11)"),
    "return None": (
        "error",
        "nothing (None) is returned; needed is a list of 3 gradients",
    ),
    "return ['a', 'b', 'c']": (
        "error",
        "a list of 3 is returned, in it a str; needed is a list of 3",
    ),
    "return {'g': 1}": (
        "error",
        "a dict with the keys g is returned; taken are 'gradients', or dW1 ... dW3",
    ),
    "return [x]": (
        "error",
        "an array of the shape (3,) is returned; needed is a list of 3 gradients",
    ),
    "return [x, x, x]": ("error", "dE/dW^(1) must have the shape (2, 3); got (3,)"),
    "return [np.ones((2, 3)), np.ones((2, 2)), np.ones((1, 2)) * np.nan]": ("wrong", "NaN"),
    "return [np.zeros(10**6)] * 3": ("error", "dE/dW^(1) must have the shape (2, 3)"),
    "return [np.array([[1j] * 3] * 2)] * 3": (
        "error",
        "in it a complex128; needed is a list of 3 gradients",
    ),
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
    assert time.monotonic() - started < 30  # Python's own start included


def test_a_print_flood_that_ends_is_no_mistake(tmp_path: Path) -> None:
    text = changed((AT_WORK, f"    print('x' * 5_000_000)\n{AT_WORK}"))
    assert graded(tmp_path, text, limit=60).verdict == "correct"


def test_an_error_while_importing_and_a_syntax_error_name_the_line(tmp_path: Path) -> None:
    found = graded(tmp_path, "import nothing_like_this\n" + RIGHT)
    assert found.verdict == "error"
    assert found.message == (
        "ModuleNotFoundError: No module named 'nothing_like_this'; nothing_like_this is not installed here "
        "(line 1)"
    )
    found = graded(tmp_path, "def backprop(:\n")
    assert found.message.startswith("SyntaxError: ")
    assert found.message.endswith("(line 1)")


def test_a_loop_in_a_batch_only_leaves_the_verdict_on_single_inputs(tmp_path: Path) -> None:
    loop = f"    while np.ndim(x) == 2: pass\n{AT_WORK}"
    found = graded(tmp_path, changed((AT_WORK, loop)), limit=1.5)
    assert found.verdict == "correct"
    assert found.batch.startswith("not taken")


# ------------------------------------------------------------------------------------- the process


FORK = "if not os.path.exists('pid') and not os.fork():\n"
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
    note = (
        "        open('pid~', 'w').write(str(os.getpid()))\n"
        "        os.rename('pid~', 'pid')\n        time.sleep(600)\n"
    )
    fork = f"    import os, time\n    {ESCAPES[escape].format(note=note)}"
    fork += "    while not os.path.exists('pid'): pass\n    print(open('pid').read(), flush=True)\n"
    if not ends:
        fork += "    time.sleep(600)\n"
    found = graded(tmp_path, changed((AT_WORK, fork + AT_WORK)), limit=2)
    assert found.verdict == ("correct" if ends else "timeout")
    child = int(found.stdout.split()[0])
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
    assert time.monotonic() - started < 30


def _status(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return "(zombie)"


def test_the_environment_and_the_folder_are_not_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLHW_SECRET", "x")
    text = (
        "import os\n"
        "def backprop(*_):\n"
        "    raise OSError(f'{sorted(os.environ)} {os.getcwd()} {os.listdir()}')\n"
    )
    found = graded(tmp_path, text)
    assert found.message.startswith("OSError: ['HOME', 'MPLBACKEND', 'OMP_NUM_THREADS', 'TMPDIR'] ")
    assert str(tmp_path) not in found.message
    assert os.getcwd() not in found.message.split()
    assert "['theirs.py']" in found.message


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
