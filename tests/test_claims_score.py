"""``bench/claims.py`` tells apart mutants that a claim catches, that crash, that nothing reaches or moves."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

BENCH = ROOT / "bench"


def script(text: str, *words: str) -> Any:
    """What a script beside the benchmarks prints, as JSON; a process of its own, since it forks."""
    found = subprocess.run(
        [sys.executable, "-c", text, *words], cwd=BENCH, capture_output=True, text=True, timeout=900
    )
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    return json.loads(found.stdout.splitlines()[-1])


# A line of a module, the kind of change, and what must come of it in lr-sweep's first configuration.
KNOWN = [
    ("mlhw/maths/descent.py", "W = W - rate * slope", "ReplaceBinaryOperator_Sub_Add", "caught"),
    ("mlhw/maths/descent.py", "W = W - rate * slope", "ReplaceBinaryOperator_Mul_Div", "caught"),
    ("mlhw/maths/logistic.py", "return loss / n, slope / n", "Div_Mul", "caught"),
    (
        "mlhw/experiments/sweeps/problem.py",
        "logistic.nll_and_gradient(",
        "SwapArguments",
        "crashed",
    ),
    ("mlhw/maths/logistic.py", "_BLOCK = 1 << 20", "NumberReplacer", "equivalent"),
    ("mlhw/maths/softmax.py", "return np.asarray(shifted -", "Sub_Add", "unreached"),
]

JUDGE = """
import json, sys, claims, mutants
found = []
for module, line, operator in json.loads(sys.argv[1]):
    text = (claims.ROOT / module).read_text()
    number = 1 + text[: text.index(line)].count("\\n")
    found.append(
        next(
            mutants.Mutant(module, name, occurrence, number, place.lines)
            for place in mutants.places(claims.ROOT, module)
            for name, occurrence in place.variants
            if place.start[0] == number and name.endswith(operator)
        )
    )
print(json.dumps([e["outcome"] for e in claims.judge(found, lambda line: None, numbers=[0])]))
"""


@pytest.mark.slow
def test_known_mutants_end_as_they_must() -> None:
    wanted = [outcome for *_, outcome in KNOWN]
    assert script(JUDGE, json.dumps([[*known[:3]] for known in KNOWN])) == wanted


@pytest.mark.slow
def test_of_twenty_mutants_few_survive(tmp_path: Path) -> None:
    out = tmp_path / "claims.json"
    words = [sys.executable, "claims.py", "--count", "20", "--out", str(out)]
    found = subprocess.run(words, cwd=BENCH, capture_output=True, text=True, timeout=1800)
    assert found.returncode == 0, found.stdout[-2000:] + found.stderr[-2000:]
    outcomes = Counter(entry["outcome"] for entry in json.loads(out.read_text())["mutants"])
    assert set(outcomes) <= {"caught", "crashed", "survived", "equivalent", "unreached"}
    assert outcomes["caught"] >= 4
    # Every change of the code draws another twenty: of so few a score of nine in ten may leave two.
    assert outcomes["survived"] <= 2
    assert "| all |" in out.with_suffix(".md").read_text()


def test_a_number_has_moved_only_beyond_rounding() -> None:
    rows = [
        ({"a": 1.0}, {"a": 1.0 + 1e-12}),
        ({"a": 1.0}, {"a": 1.0 + 1e-6}),
        ({"a": float("nan")}, {"a": float("nan")}),
        ({"a": 1.0}, {"a": float("nan")}),
        ({"a": "x"}, {"a": "y"}),
        ({"a": 1.0}, {"b": 1.0}),
        ({"summary.worst.autograd.network": "a"}, {"summary.worst.autograd.network": "b"}),
    ]
    text = "import json, sys, claims; print(json.dumps([claims.moved(*r) for r in json.loads(sys.argv[1])]))"
    found = script(text, json.dumps(rows))
    assert found == [None, "a", None, "a", "a", found[5], None]
    assert found[5] in ("a", "b")


def test_every_mutant_of_a_sample_is_another_program_and_drawn_again_by_its_seed() -> None:
    text = (
        "import ast, json, claims, mutants\n"
        "modules = claims.GROUPS['sweeps']\n"
        "one, two = (mutants.sample(claims.ROOT, modules, 30, 5) for _ in range(2))\n"
        "assert one == two and len(one) > 20\n"
        "for m in one:\n"
        "    before = (claims.ROOT / m.module).read_text()\n"
        "    after = mutants.mutated(before, m)\n"
        "    assert ast.dump(ast.parse(before)) != ast.dump(ast.parse(after))\n"
        "    assert len(before.splitlines()) - len(after.splitlines()) in range(-2, 20)\n"
        "print(json.dumps(len({m.name for m in one})))\n"
    )
    assert script(text) > 20
