"""What the fuzzing of test_fuzz.py draws from: words, values, tables, damaged bytes, messages."""

from __future__ import annotations

import json
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from mlhw.grading.conventions import COURSE
from mlhw.grading.implementations import Implementation
from mlhw.grading.isolation.answers import Answers, Garbled
from mlhw.grading.isolation.job import Job, Replies
from mlhw.grading.judgement import judge
from mlhw.grading.questions import plan
from mlhw.grading.reading import read_replies
from mlhw.grading.returned import AllReturned
from mlhw.maths.network import Network
from tests.faults.tally import LONG

# fmt: off
WORDS = st.sampled_from([
    "", "-", "~", "null", "true", "0", "-1", "1e400", ".nan", "-.inf", "1e-320", "0x10", "9" * 400, "a",
    "ä\u202e", "\x1b[2J", "x" * 300, "../..", "/", "latest", "a,b", "[1", "{", "é\udc80",
])
CELLS = st.sampled_from([
    "0", "1.5", "-2e3", "1e400", "nan", "inf", "", "?", "NA", "a", "=1+1", '"', '""', '"a"', "1,5", "1_0",
    "0x1", "\u0663", "\x00", "a b", "#", "@data", "@relation r", "@attribute a real", "@attribute b {}",
    "@attribute c {x,y}", "{0 1, 1 x}", "{-1 2}", "1:2", "2:1", "qid:1", "sep=;", "label", "class",
])
OPTIONS = [
    "--config", "-c", "--set", "--name", "--seed", "--resume", "--runs-dir", "--data", "--etas", "--json",
    "--help", "-q", "--verbose", "--no-check", "--w0", "--fit", "--layers", "--depth", "--draws", "--weights",
    "--implementation", "--model", "--junit", "--standardize", "--csv", "--activation", "--log-axis",
    "--classes", "--features", "--label", "--mlflow", "--nonsense",
]
OPERANDS = [
    "latest", "lr-sweep~1", "iris", "wine", "p.csv", "c.yaml", "smoke/all", "0", "-1", "1e400", "0.5,0.1",
    "etas=[", "etas=1", "a=b=c", "data.name=iris", "~", "\x1b[2J", "n\newline", "--", "-", "", " ", "é",
    "\udcff", "x" * 300, "/dev/null", "list", "show", "compare", "clean", "best.safetensors",
    "file:///etc/passwd", "http://127.0.0.1:1/x", "-1e-400", "null", "all",
]
# fmt: on

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=12)
    | WORDS
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=8) | WORDS, inner, max_size=4)
    ),
    max_leaves=10,
)
YAML = st.text(
    st.sampled_from("abce019.-+:,?!&*#|>'\"%@`[]{}\n\n \t~=\\\r\x00\ufeff\u2028é"), max_size=60
)
TABLES = st.builds(
    lambda rows, between, end: end.join(between.join(row) for row in rows),
    st.lists(st.lists(CELLS, max_size=5), max_size=7),
    st.sampled_from([",", ";", "\t", " ", "|"]),
    st.sampled_from(["\n", "\r\n", "\r"]),
)


def drawing(examples: int) -> settings:
    return settings(
        max_examples=examples * (30 if LONG else 1),
        derandomize=not LONG,
        suppress_health_check=list(HealthCheck),
    )


def damaged(whole: bytes) -> st.SearchStrategy[bytes]:
    """Bytes with some of them changed, left out, or put in."""
    places = st.integers(0, max(0, len(whole) - 1))

    def apply(changes: list[tuple[int, bytes, int]], length: int | None) -> bytes:
        data = bytearray(whole)
        for place, new, left_out in changes:
            data[place : place + left_out] = new
        return bytes(data[:length])

    change = st.tuples(places, st.binary(max_size=6), st.integers(0, 8))
    return st.builds(apply, st.lists(change, max_size=4), st.none() | places)


NUMBERS = st.integers(-3, 9) | st.floats() | st.sampled_from([10**400, "7", None, [], 1e999])
SHAPES = st.lists(st.lists(NUMBERS, max_size=3) | NUMBERS, max_size=3)
FORMS = st.recursive(
    NUMBERS | st.just({"other": "str"}),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(st.tuples(SCALARS, inner), max_size=3).map(lambda pairs: {"dict": pairs})
        | st.fixed_dictionaries({"form": inner, "shapes": SHAPES})
    ),
    max_leaves=8,
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "ready": st.booleans(),
        "form": FORMS | SCALARS,
        "shapes": SHAPES | st.none() | SCALARS,
        "phase": SCALARS,
        "seconds": NUMBERS,
        "note": SCALARS,
        "refused": SCALARS,
        "error": SCALARS | st.just("\ud800"),
        "done": st.booleans(),
    },
)
SENT = st.lists(
    MESSAGES.map(lambda message: json.dumps(message).encode() + b"\n")
    | st.sampled_from([b"[" * 100_000 + b"\n", b"{}\n", b"[]\n", b'{"ready": true}\n'])
    | st.binary(max_size=48),
    max_size=5,
).map(b"".join)


def heard(data: bytes) -> AllReturned:
    """What is made of ``data`` that a submission's process sends in pieces, read as gradients and judged."""
    asked = plan(Network((2, 1), (), "identity", "half_squared_error", False), 1, 0)
    job = Job({"a.py": b""}, "a.py", asked.calls(), 20, most=20)
    answers = Answers(job, found := Replies())
    try:
        for start in range(0, len(data), 40):
            answers.take(data[start : start + 40])
    except Garbled:
        found.error = "the process sent something that is no answer"
    replies = read_replies(asked, found, COURSE)
    judge(Implementation(Path("a.py"), "backprop", files={"a.py": b""}), asked, replies, 5.0)
    return replies
