"""The run folder: exclusive names, whole files, exact tables."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.errors import UsageError
from mlhw.result.claims import Claims, check
from mlhw.result.tables import Table, csv_text
from mlhw.runs import new_folder as runs
from mlhw.system.files import write_whole
from mlhw.text.values import to_json
from tests.conftest import ROOT


def test_runs_of_the_same_second_get_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "strftime", lambda _: "20261124-115632-")
    names = [runs.create_folder(tmp_path, "lr-sweep", None).name for _ in range(3)]
    stem = "20261124-115632-lr-sweep"
    assert names == [stem, f"{stem}-2", f"{stem}-3"]
    assert runs.create_folder(tmp_path, "lr-sweep", "mine").name == f"{stem}-mine"


def test_the_folders_name_is_the_local_time(tmp_path: Path) -> None:
    assert re.fullmatch(r"\d{8}-\d{6}-x", runs.create_folder(tmp_path, "x", None).name)


def test_a_runs_folder_that_cannot_be_made_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "sub", Path("/proc/none")):
        with pytest.raises(UsageError, match=r"cannot be written: .*; choose another"):
            runs.create_folder(place, "x", None)


def test_ten_runs_started_at_once_get_ten_folders(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mlhw.runs import new_folder; import time;"
        "time.strftime = lambda _: '20261124-115632-'; sys.stdin.read();"
        "print(new_folder.create_folder(Path(sys.argv[1]), 'lr-sweep', None).name)"
    )
    waiting = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(tmp_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        for _ in range(10)
    ]
    for process in waiting:
        assert process.stdin is not None
        process.stdin.close()
        process.stdin = None
    names = {process.communicate(timeout=60)[0].strip() for process in waiting}
    assert len(names) == 10
    assert {path.name for path in tmp_path.iterdir()} == names


def test_a_write_that_fails_leaves_the_old_file_whole_and_nothing_beside_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "result.json"
    write_whole(path, "old")
    for step in ("fsync", "replace"):
        with monkeypatch.context() as broken:

            def fail(*_: object) -> None:
                raise OSError(28, "No space left on device")

            broken.setattr(os, step, fail)
            with pytest.raises(OSError, match="No space"):
                write_whole(path, "new")
        assert path.read_text() == "old"
        assert [p.name for p in tmp_path.iterdir()] == ["result.json"]
    write_whole(path, b"new")
    assert path.read_text() == "new"


def test_whole_files_obey_the_umask_like_any_other(tmp_path: Path) -> None:
    write_whole(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_latest_follows_the_newest_and_does_not_mind_a_real_file(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        runs.point_latest(tmp_path / name)
        assert os.readlink(tmp_path / "latest") == name
    (tmp_path / "latest").unlink()
    (tmp_path / "latest").mkdir()
    (tmp_path / "latest" / "file").write_text("")
    runs.point_latest(tmp_path / "one")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["latest", "one", "two"]


@given(st.lists(st.tuples(st.floats(allow_nan=False), st.integers(), st.text()), max_size=5))
def test_numbers_and_texts_in_a_table_are_read_back_to_the_bit(
    rows: list[tuple[float, int, str]],
) -> None:
    table = Table("t", ["x", "n", "s"])
    table.extend(rows)
    text = csv_text(table)
    found = list(csv.reader(io.StringIO(text, newline="")))
    assert found[0] == ["x", "n", "s"]
    # A bare carriage return would end the row for many readers; it becomes a blank.
    expected = [(x, n, s.replace("\r", " ")) for x, n, s in rows]
    assert [(float(x), int(n), s) for x, n, s in found[1:]] == expected


def test_a_table_refuses_rows_of_the_wrong_length_and_reads_none_as_nan() -> None:
    table = Table("t", ["a", "b"])
    with pytest.raises(ValueError, match="1 values for 2 columns"):
        table.append(1)
    table.append(1, None)
    table.append(2, 0.5)
    assert table.column("a").tolist() == [1, 2]
    assert str(table.column("b").tolist()) == "[nan, 0.5]"


def test_json_holds_no_nan_and_plain_values_only() -> None:
    import numpy as np

    value = {"a": np.float64(1.5), "b": np.array([1, 2]), "c": float("nan"), 3: (np.int64(1),)}
    assert to_json(value) == {"a": 1.5, "b": [1, 2], "c": None, "3": [1]}
    json.dumps(to_json({"x": np.bool_(True), "y": np.inf}), allow_nan=False)


def test_two_claims_of_one_name_are_refused() -> None:
    claims: Claims[int] = Claims()
    claims.claim("a", "A")(lambda e: check(e > 0, measured=e, expected=1))
    again = claims.claim("a", "B")
    with pytest.raises(ValueError, match="two claims are called 'a'"):
        again(lambda e: check(e > 0, measured=e, expected=1))
