"""Single-term mutations of a program that shares nothing with ours: each is refused, and named."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mlhw.grading.implementations import Implementation
from mlhw.maths.mistakes.kinds import CODES
from tests.grading.mutations import changes, drawn_network, function_of, program
from tests.grading.named import answers, named

# No seed that the search was developed with.
SEED, COUNT = 20261126, 120


def test_mutations_are_named_rightly_and_none_is_accepted(tmp_path: Path) -> None:
    theirs = Implementation(tmp_path / "theirs.py", "backprop")
    cases = list(named(SEED, COUNT, theirs))
    counts = Counter(case.naming for case in cases)
    wrong = [(c.mutation.name, c.grade.diagnosis, c.network) for c in cases if c.naming in BAD]
    assert not wrong
    effective = COUNT - counts["same"]
    assert effective > 0.9 * COUNT
    assert counts["named"] + counts["class"] >= 0.9 * effective, counts


BAD = ("misnamed", "accepted")


def test_the_generator_makes_every_kind_of_mistake() -> None:
    import numpy as np

    rng = np.random.default_rng(0)
    made = set()
    for _ in range(60):
        network, samples = drawn_network(rng)
        made |= {code for _, code, _, _ in changes(network, samples, rng)}
    assert made == set(CODES)


def test_the_program_without_a_mutation_is_right() -> None:
    import numpy as np

    from mlhw.grading.judgement import judge
    from mlhw.grading.questions import plan
    from mlhw.grading.returned import AllReturned

    rng = np.random.default_rng(1)
    for seed in range(20):
        network, samples = drawn_network(rng)
        asked = plan(network, samples, seed)
        replies = answers(function_of(program(network)), asked)
        graded = judge(
            Implementation(Path("right.py"), "backprop"), asked, AllReturned(replies), 5.0
        )
        assert (graded.verdict, graded.diagnosis) == ("correct", []), graded.message
        assert graded.general == "right"
