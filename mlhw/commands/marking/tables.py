"""The tables of a grading; their columns, and what stands in them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from mlhw.commands.marking.cells import safe_cell
from mlhw.commands.marking.marked import ClassGrades, Marked
from mlhw.grading.rubric import PARTS
from mlhw.result.recorder import Recorder
from mlhw.result.tables import Table
from mlhw.text.values import number_text
from mlhw.text.words import listing

REPORTED = 1000
"""Rows of the grades that the report shows."""

SHORT = 40
"""Students whose list fits a page."""

UNREPORTED = frozenset(("out_of", *PARTS, "deducted", "message", "feedback"))
"""Columns for which the report has no room; the file, which the report holds, has them."""

GRADES = {
    "student": "by folder, file or download's name; a quote before a name that a spreadsheet would run",
    "score": "points that count",
    "verdict": "correct, wrong, error or timeout",
    "codes": "mistakes that explain the numbers, and what else was noticed",
    "first_wrong_layer": "l of the wrong dE/dW^(l) nearest to the output",
    "seconds": "how long it took",
    "out_of": "points that there are",
    **dict.fromkeys(PARTS, "points of this part of the rubric; empty where it does not apply"),
    "deducted": "points taken off",
    "by_rubric": "the score before it was changed by hand; empty where it was not",
    "file": "what was judged",
    "message": "the verdict in words",
    "feedback": "the feedback's files",
}
MISTAKES = {"code": "mistake or trait", "students": "how many have it", "who": "their names"}
ALIKE = {
    "students": "how many have these wrong numbers",
    "last_bit": "whether they are equal to the last bit",
    "who": "their names",
    "codes": "the mistake",
    "wrong_entries": "how many entries are wrong",
    "entry": "one of them",
    "got": "what all of them have there",
    "expected": "what is right",
}
FAILED = {"student": "who", "verdict": "error or timeout", "reason": "why, with the line"}
SLOWEST = {"student": "who", "seconds": "how long it took", "verdict": "what became of it"}
REASONS = {
    "student": "who",
    "part": "of the rubric",
    "points": "reached",
    "out_of": "of how many",
    "reason": "why not all, or what is right",
}


def fill_tables(e: ClassGrades, recorder: Recorder) -> None:
    """Write every table; one without rows is left out, unless a grading before this one has left it."""
    made: dict[str, Any] = {
        "mistakes": (MISTAKES, [(code, len(who), _names(who)) for code, who in e.codes.items()]),
        "alike": (ALIKE, [*_alike(e)]),
        "failed": (FAILED, [_failed(one) for one in e.failed]),
        "slowest": (SLOWEST, [_slow(one) for one in e.slowest]),
        "reasons": (REASONS, [row for one in e.marked for row in _reasons(one)]),
    }
    grades: dict[str, Any] = {"grades": (GRADES, [_grade(one) for one in e.marked])}
    # The report shows tables in this order: below a long list of names nobody would find the others.
    made = grades | made if len(e.marked) <= SHORT else made | grades
    for name, (columns, rows) in made.items():
        left = recorder.folder is not None and (recorder.folder / f"{name}.csv").exists()
        if rows or left or name == "grades":
            table: Table = recorder.table(name, columns)
            table.extend(rows)
            table.reported = REPORTED if name in ("grades", "failed") else 50
            table.unreported = UNREPORTED if name == "grades" else frozenset()


def _grade(one: Marked) -> tuple[Any, ...]:
    graded, score = one.graded, one.score
    points = {part.name: round(part.points, 6) for part in score.parts}
    return (
        safe_cell(one.student),
        one.points,
        graded.verdict,
        " ".join(graded.codes),
        graded.first_wrong_layer,
        graded.seconds,
        score.of,
        *(points.get(words) for words in PARTS.values()),
        -sum(part.points for part in score.deducted) or None,
        None if one.override is None else score.points,
        safe_cell(one.submission.main),
        safe_cell(graded.message),
        f"feedback/{one.feedback}.html",
    )


def _reasons(one: Marked) -> Iterator[tuple[Any, ...]]:
    for part in (*one.score.parts, *one.score.deducted):
        yield (
            safe_cell(one.student),
            part.name,
            round(part.points, 6),
            part.of,
            safe_cell(part.reason),
        )
    if one.override is not None:
        reason = safe_cell(one.override.reason) or "changed by hand"
        yield safe_cell(one.student), "changed by hand", one.override.points, one.score.of, reason


def _alike(e: ClassGrades) -> Iterator[tuple[Any, ...]]:
    for cluster in e.clusters:
        name, _, _, got, expected = cluster.entry
        yield (
            len(cluster.students),
            "yes" if cluster.bitwise else "no",
            _names(cluster.students),
            " ".join(cluster.codes),
            cluster.entries,
            name,
            got,
            expected,
        )


def _failed(one: Marked) -> tuple[Any, ...]:
    return safe_cell(one.student), one.graded.verdict, safe_cell(one.graded.message)


def _slow(one: Marked) -> tuple[Any, ...]:
    return safe_cell(one.student), one.graded.seconds, one.graded.verdict


def _names(students: Any) -> str:
    return safe_cell(", ".join(students))


# ------------------------------------------------------------------------------------- sentences


def summary(e: ClassGrades) -> dict[str, Any]:
    """What scripts read; ``headlines`` are the numbers by which runs are listed and compared."""
    verdicts = {v: e.verdicts[v] for v in ("correct", "wrong", "error", "timeout")}
    return {
        "headlines": {
            "mean score": None if e.mean is None else round(e.mean, 4),
            "students": len(e.marked),
            **verdicts,
        },
        "out_of": e.out_of,
        "mean": e.mean,
        "median": e.median,
        "verdicts": verdicts,
        "mistakes": {code: len(who) for code, who in e.codes.items()},
        "alike": [
            {"students": list(c.students), "last_bit": c.bitwise, "codes": list(c.codes)}
            for c in e.clusters
        ],
        "changed_by_hand": sum(one.override is not None for one in e.marked),
        "not_graded_again": sum(one.kept for one in e.marked),
        "isolation": e.rung,
        "grades": [
            {
                "student": one.student,
                "score": one.points,
                "verdict": one.graded.verdict,
                "codes": one.graded.codes,
                "first_wrong_layer": one.graded.first_wrong_layer,
                "seconds": one.graded.seconds,
            }
            for one in e.marked
        ],
    }


def answers(e: ClassGrades) -> list[str]:
    """The class in a few lines."""
    counts = listing(
        [f"{e.verdicts[v]} {v}" for v in ("correct", "wrong", "error", "timeout") if e.verdicts[v]]
    )
    lines = [f"{len(e.marked)} of {len(e.found)} submissions are graded: {counts or 'none'}"]
    if e.mean is not None:
        lines.append(
            f"score out of {number_text(e.out_of)}: mean {e.mean:.3g}, median {number_text(e.median)}"
        )
    kept = sum(one.kept for one in e.marked)
    if kept:
        lines.append(f"{kept} have not changed and were not graded again")
    changed = sum(one.override is not None for one in e.marked)
    if changed:
        lines.append(f"{changed} scores were changed by hand (overrides.csv)")
    if e.mistakes:
        some = [f"{code} {len(who)}" for code, who in e.mistakes.items()]
        lines.append(f"mistakes: {', '.join(some[:8])}{' …' if len(some) > 8 else ''}")
    for cluster in e.clusters[:3]:
        same = "to the last bit" if cluster.bitwise else "to seven digits"
        who = ", ".join(cluster.students[:4]) + (" …" if len(cluster.students) > 4 else "")
        lines.append(f"the same wrong numbers {same}: {len(cluster.students)} students ({who})")
    lines.append(f"isolation: {e.rung}")
    return lines
