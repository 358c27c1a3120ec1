"""The runner of submissions: what it returns, what outlives what, and which rungs are to be had."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mlhw.errors import UsageError
from mlhw.grading.isolation import rungs
from mlhw.grading.isolation.job import Job, Limits
from mlhw.grading.isolation.runner import Runner
from tests.grading.cheated import QUESTIONS, inside, verdict
from tests.grading.handed_in import RIGHT

INSIDE = Path(rungs.__file__).parent / "sandbox"
OFFERED = [rung for rung in rungs.RUNGS if not rungs.why_no_rung(rung)]


def job(source: str = RIGHT, tag: object = None, **limits: float) -> Job:
    files = {"theirs.py": source.encode()}
    usual = Limits(**{"seconds": 20.0, **limits})  # type: ignore[arg-type]
    return Job(files, "theirs.py", QUESTIONS, len(QUESTIONS), limits=usual, tag=tag)


@pytest.fixture(scope="module")
def runner() -> Iterator[Runner]:
    with Runner(rungs.chosen_rung("auto"), jobs=2) as found:
        yield found


def test_a_right_file_comes_back_with_its_prints_times_and_rung(runner: Runner) -> None:
    source = "import sys\nprint('loading')\nprint('a warning', file=sys.stderr)\n" + RIGHT
    found = runner.run(job(source))
    assert verdict(found) == "correct"
    assert (found.stdout, found.stderr) == ("loading\n", "a warning\n")
    assert found.rung == OFFERED[0]
    assert found.loading >= 0
    assert found.seconds >= 0


SLOW_TO_FLUSH = """
import sys, time
class Slow:
    def write(self, text):
        self.kept = getattr(self, "kept", "") + text
    def flush(self, out=sys.stdout):
        time.sleep(0.5)
        out.write(self.kept)
        out.flush()
sys.stdout = Slow()
print("how far it came")
1 / 0
"""


def test_what_was_printed_before_an_error_is_kept(runner: Runner) -> None:
    found = runner.run(job(SLOW_TO_FLUSH))
    assert found.error == "ZeroDivisionError: division by zero (line 12)"
    assert found.stdout == "how far it came\n"


def test_what_is_printed_is_kept_up_to_a_limit(runner: Runner) -> None:
    found = runner.run(job("print('x' * 200_000)\n" + RIGHT))
    assert verdict(found) == "correct"
    assert found.stdout.startswith("xxx")
    assert found.stdout.endswith("\n…")
    assert len(found.stdout) == Limits.output + 2


def test_many_run_side_by_side_and_each_has_its_own_answer(runner: Runner) -> None:
    source = "import numpy as np\ndef backprop(*_): return [np.full(3, {})]"
    jobs = [job(source.format(number), tag=number) for number in range(12)]
    found = {}
    for one, replies in runner.run_all(jobs):
        numbers = replies.replies[0].numbers
        assert numbers is not None
        found[one.tag] = float(numbers[0][0])
    assert found == {number: float(number) for number in range(12)}


def test_a_file_has_its_own_helper_modules_and_no_others(runner: Runner) -> None:
    files = {"theirs.py": b"from parts.h import backprop", "parts/h.py": RIGHT.encode()}
    assert verdict(runner.run(Job(files, "theirs.py", QUESTIONS, 4))) == "correct"
    alone = runner.run(job("from parts.h import backprop"))
    assert alone.error == "ModuleNotFoundError: No module named 'parts' (line 1)"


@pytest.mark.parametrize("name", ["../up.py", "/etc/x.py", "a/../../b.py", "", "nul\0.py"])
def test_a_name_that_leaves_the_folder_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name inside a folder"):
        Job({"a.py": b"", name: b""}, "a.py", [], 0)
    with pytest.raises(ValueError, match="is none of the submission's files"):
        Job({"a.py": b""}, "b.py", [], 0)


def test_an_optional_call_may_fail_and_the_rest_goes_on(runner: Runner) -> None:
    source = "n = 0\ndef backprop(*_):\n    global n; n += 1\n    return [[n]] if n != 3 else 1 / 0"
    found = runner.run(Job({"a.py": source.encode()}, "a.py", QUESTIONS, 2))
    assert [reply.refused for reply in found.replies] == [
        None,
        None,
        "ZeroDivisionError: division by zero (line 4)",
        None,
    ]


def test_time_runs_out_while_loading_or_in_the_calls_and_what_was_answered_is_kept(
    runner: Runner,
) -> None:
    found = runner.run(job("while True: pass", import_seconds=0.2))
    assert (found.timeout, found.replies) == (True, [])
    source = (
        "n = 0\ndef backprop(*_):\n    global n; n += 1\n    while n > 2: pass\n    return [[n]]"
    )
    found = runner.run(job(source, seconds=0.5))
    assert (found.timeout, len(found.replies)) == (True, 2)


def test_the_programs_inside_know_nothing_of_ours() -> None:
    allowed = {*sys.stdlib_module_names, "numpy", "sandbox"}
    for path in INSIDE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_a_submission_finds_no_module_of_ours(runner: Runner) -> None:
    source = (
        "import sys\n"
        "print(sorted(n for n, m in sys.modules.items() if n.startswith('mlhw') and m))\n"
        "print(sorted(sys.modules))\n" + RIGHT
    )
    found = runner.run(job(source))
    assert found.stdout.startswith("[]\n")
    assert "'numpy'" in found.stdout


@pytest.mark.skipif("bubblewrap" not in OFFERED, reason="no bubblewrap here")
@pytest.mark.parametrize("nested", [False, True])
def test_bubblewrap_works_with_one_for_each_file_and_with_one_for_all(nested: bool) -> None:
    source = "import os\nprint(os.listdir('.'), os.listdir('/dev'))\nopen('left', 'w')\n" + RIGHT
    with Runner("bubblewrap", nested=nested) as one:
        for _ in range(2):
            found = one.run(job(source))
            assert verdict(found) == "correct"
            assert found.stdout.startswith("['theirs.py'] ")
            assert "'null'" in found.stdout


def test_a_class_that_is_broken_off_ends_what_runs() -> None:
    started = time.monotonic()
    with Runner(OFFERED[-1], jobs=2) as one:
        jobs = [job(), *(job("while True: pass", import_seconds=600) for _ in range(9))]
        for _, replies in one.run_all(jobs):
            assert verdict(replies) == "correct"
            break
    assert time.monotonic() - started < 300


# ------------------------------------------------------------------------------------- what is lost


@pytest.mark.parametrize("rung", OFFERED)
def test_a_warm_process_that_is_killed_costs_its_own_file_only(rung: str) -> None:
    before = inside()
    with Runner(rung) as one:
        assert verdict(one.run(job())) == "correct"
        for number in sorted(inside() - before):
            with contextlib.suppress(ProcessLookupError):  # bwrap's two end together
                os.kill(number, signal.SIGKILL)
        found = one.run(job())
        assert found.error is not None
        assert found.error.startswith("it could not be run: ")
        assert verdict(one.run(job())) == "correct"


JUDGE = """
import sys
from mlhw.grading.isolation.job import Job, Limits
from mlhw.grading.isolation.runner import Runner
source = '''
import os, signal, sys, time
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
if not os.fork():
    os.setsid()
print("here", flush=True)
while True: time.sleep(1)
'''
with Runner(sys.argv[1]) as runner:
    print(runner.folder, flush=True)
    runner.run(Job({"a.py": source.encode()}, "a.py", [], 0, limits=Limits(500, 500)))
"""


@pytest.mark.parametrize("rung", OFFERED)
def test_when_the_judge_is_killed_all_that_it_started_ends(rung: str) -> None:
    judge = subprocess.Popen(
        [sys.executable, "-c", JUDGE, rung], stdout=subprocess.PIPE, start_new_session=True
    )
    assert judge.stdout is not None
    folder = judge.stdout.readline().decode().strip()
    # The warm process, its keeper, the file's process and its child (and bwrap's).
    until(lambda: len(inside(judge.pid)) >= 4)
    os.kill(judge.pid, signal.SIGKILL)
    judge.wait()
    judge.stdout.close()
    until(lambda: not inside(judge.pid))
    subprocess.run(["rm", "-rf", folder], check=True)


def until(true: object) -> None:
    deadline = time.monotonic() + 60
    while not true():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


# ------------------------------------------------------------------------------------- which rung


@pytest.mark.parametrize("rung", rungs.RUNGS)
def test_a_rung_is_missing_for_a_reason_of_the_machine_and_not_of_ours(rung: str) -> None:
    reason = rungs.why_no_rung(rung)
    for ours in ("KeyError", "TypeError", "AttributeError", "NameError", "could still reach"):
        assert ours not in reason
    if rung == "limits":
        assert reason == ""


@pytest.fixture
def untried(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    known = dict.fromkeys(rungs.RUNGS, "")
    monkeypatch.setattr(rungs, "TRIED", known)
    return known


def test_auto_takes_the_strongest_that_works_and_a_name_takes_that_one(
    untried: dict[str, str],
) -> None:
    assert rungs.chosen_rung("auto") == "bubblewrap"
    untried.update(bubblewrap="not installed", namespaces="forbidden")
    assert rungs.chosen_rung("auto") == "landlock"
    assert rungs.chosen_rung("limits") == "limits"


def test_a_rung_that_is_not_to_be_had_is_refused_with_its_reason(
    untried: dict[str, str],
) -> None:
    untried.update(bubblewrap="the program bwrap is not installed")
    with pytest.raises(UsageError) as caught:
        rungs.chosen_rung("bubblewrap")
    assert str(caught.value) == (
        "--isolation bubblewrap: not on this machine: the program bwrap is not installed; "
        "namespaces is to be had"
    )
    untried.update(dict.fromkeys(rungs.RUNGS, "nothing works"))
    with pytest.raises(UsageError, match="no rung works on this machine: bubblewrap: nothing"):
        rungs.chosen_rung("auto")


def test_a_trial_sees_what_a_rung_does_not_keep(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rung that is promised more than it keeps is not offered."""
    monkeypatch.setattr(rungs, "TRIED", {})
    monkeypatch.setitem(rungs.KEPT, "limits", {"numbers of processes"})
    assert rungs.why_no_rung("limits") == "a trial could still reach: numbers of processes"


@pytest.mark.parametrize("rung", OFFERED)
def test_the_rung_is_said_in_words(rung: str) -> None:
    assert rungs.rung_in_words(rung).isascii()
    assert json.dumps(rungs.rung_in_words(rung))


def test_memory_and_processes_are_limited(runner: Runner) -> None:
    source = (
        "import numpy as np, os\n"
        "def backprop(*_):\n"
        "    n = 0\n"
        "    try:\n"
        "        while n < 100:\n"
        "            if not os.fork(): os.read(r, 1); os._exit(0)\n"
        "            n += 1\n"
        "    except OSError: pass\n"
        "    try: np.ones(1 << 28); big = 1\n"
        "    except MemoryError: big = 0\n"
        "    return [[n, big]]\n"
        "r, w = os.pipe()\n"
    )
    found = runner.run(job(source, processes=10, memory=1 << 29))
    numbers = found.replies[0].numbers
    assert numbers is not None
    assert np.ravel(numbers[0])[0] < 10
    assert np.ravel(numbers[0])[1] == 0
