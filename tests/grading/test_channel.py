"""Any bytes on the channel are numbers, or a verdict for that file and nobody else's."""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlhw.grading.isolation.answers import Answers, Garbled
from mlhw.grading.isolation.job import Job, Replies

MOST = 50


def taken(pieces: list[bytes]) -> Replies | None:
    """What was understood; None where it was garbled. Anything else that is raised is a mistake."""
    job = Job({"a.py": b""}, "a.py", [[], [], []], 3, most=MOST)
    answers = Answers(job, Replies())
    try:
        for piece in pieces:
            answers.take(piece)
    except Garbled:
        return None
    json.dumps([answers.replies.error, answers.replies.notes, answers.replies.phase])
    for text in [answers.replies.error or "", *answers.replies.notes, answers.replies.phase]:
        text.encode()
        assert len(text) <= 6000
    assert len(answers.replies.replies) <= 3
    return answers.replies


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=True)
    | st.text(max_size=5)
    | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["a", "shapes"]), inner, max_size=2)
    ),
    max_leaves=12,
)
keys = st.sampled_from(
    ["shapes", "form", "error", "done", "ready", "loaded", "note", "phase", "seconds", "refused"]
)
messages = st.dictionaries(keys, values, max_size=4).map(
    lambda message: json.dumps(message).encode() + b"\n"
)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.binary(max_size=60) | messages, max_size=6))
def test_whatever_comes_is_understood_or_garbled(pieces: list[bytes]) -> None:
    taken(pieces)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 200), max_size=8).map(sorted))
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(cuts: list[int]) -> None:
    array = np.arange(6.0).reshape(2, 3)
    line = json.dumps({"form": [1], "shapes": [[2, 3], [0]]}).encode() + b"\n"
    words = b'{"ready": true}\n' + line + array.tobytes() + b'{"refused": "no"}\n{"done": true}\n'
    edges = [0, *cuts, len(words)]
    found = taken([words[a:b] for a, b in itertools.pairwise(edges)])
    assert found is not None
    first, second = found.replies
    assert first.numbers is not None
    np.testing.assert_array_equal(first.numbers[0], array)
    assert first.numbers[1].shape == (0,)
    assert (first.form, second.refused) == ([1], "no")


@pytest.mark.parametrize(
    "line",
    [
        b"[" * 60_000,
        b'{"shapes": [[Infinity]]}',
        b'{"shapes": [[-1]]}',
        b'{"shapes": [[true]]}',
        b'{"shapes": [[1e2]]}',
        b'{"shapes": [["7"]]}',
        b'{"shapes": [[51]]}',
        b'{"shapes": [[8, 8]]}',
        b'{"shapes": [[1, 1, 1, 1, 1, 1, 1, 1, 1]]}',
        b'{"shapes": [[' + b"9" * 5000 + b"]]}",
        b'{"shapes": {}}',
        b'{"phase": "", "seconds": "1"}',
        b'{"phase": "", "seconds": 1' + b"0" * 400 + b"}",
        b"[1, 2]",
        b'{"form": 3}',
        b"\xff\xfe",
        b"null",
        b"x" * 300_000,
    ],
)
def test_what_is_no_answer_is_garbled(line: bytes) -> None:
    assert taken([line + b"\n"]) is None


def test_more_answers_than_questions_and_more_bytes_than_answers_are_garbled() -> None:
    one = b'{"form": 1, "shapes": null}\n'
    assert taken([one * 3]) is not None
    assert taken([one * 4]) is None
    note = b'{"note": "' + b"x" * 60_000 + b'"}\n'
    assert taken([note] * 90) is None


def test_only_so_many_notes_are_kept_and_each_is_bounded() -> None:
    found = taken([b'{"note": "' + b"x" * 5000 + b'"}\n'] * 100)
    assert found is not None
    assert [len(note) for note in found.notes] == [600] * 20
