"""Pages and formulas that are made once on a machine: what is kept is believed only as it was written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlhw.runs import formulas, pages
from mlhw.runs.gallery import GALLERY
from mlhw.system import checked

FORMULA = r"\nabla E(w) = \frac{1}{n} X^T (\sigma(Xw) - t)"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(pages, "template", pages.template.__wrapped__)
    return tmp_path / "mlhw"


def code_of(name: str) -> bytes:
    return bytes(pages.template(name).root_render_func.__code__.co_code)


def test_a_page_is_compiled_once_and_again_where_what_is_kept_is_damaged(cache: Path) -> None:
    made = code_of(GALLERY)
    kept = {path: path.read_bytes() for path in (cache / "pages").iterdir()}
    assert kept
    assert code_of(GALLERY) == made
    assert {path: path.read_bytes() for path in (cache / "pages").iterdir()} == kept
    for path, content in kept.items():
        path.write_bytes(content[:-9] + b"\x00" * 9)
    assert code_of(GALLERY) == made
    assert {path: path.read_bytes() for path in kept} == kept, "it is written anew"


def test_what_is_kept_of_a_page_is_what_is_used(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code_of(GALLERY)
    monkeypatch.setattr("jinja2.Environment.compile", lambda *_: pytest.fail("compiled again"))
    code_of(GALLERY)


def test_mathml_is_made_once_and_never_believed_to_be_more_than_mathematics(cache: Path) -> None:
    made = formulas.mathml(FORMULA)
    (path,) = (cache / "formulas").glob("*.mathml")
    for told, used in (
        ("<math><mi>x</mi></math>", True),
        ("<math><mi>x</mi></math><script>alert(1)</script>", False),
        ('<math onclick="alert(1)"><mi>x</mi></math>', False),
        ('<math href="javascript:alert(1)"><mi>x</mi></math>', False),
        ("<mglyph", False),
    ):
        checked.remember(path, told.encode())
        assert formulas.mathml(FORMULA) == (told if used else made)
    path.write_bytes(b"no digest")
    assert formulas.mathml(FORMULA) == made


def test_long_words_before_what_is_not_kept_take_no_time(cache: Path) -> None:
    formula = rf"\text{{{'a' * 300}}} + \color{{red}}{{x}}"
    assert "a" * 300 in formulas.mathml(formula)
    assert not list((cache / "formulas").glob("*.mathml")), "mathcolor is none of the attributes"


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no users here")
def test_what_others_may_write_is_not_believed(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = cache / "some"
    checked.remember(path, b"code")
    assert checked.recall(path) == b"code"
    path.chmod(0o620)
    assert checked.recall(path) is None
    path.chmod(0o600)
    monkeypatch.setattr(os, "geteuid", lambda: path.stat().st_uid + 1)
    assert checked.recall(path) is None


def test_a_formula_with_a_number_of_one_run_is_not_kept(cache: Path) -> None:
    assert "0.1234" in formulas.mathml("w = 0.1234")
    assert not (cache / "formulas").exists()


@pytest.mark.parametrize("of_several", [False, True])
def test_garbage_is_looked_for_again_once_a_command_is_there(of_several: bool) -> None:
    code = (
        "import gc, sys; sys.argv[0] = 'mlhw'; from mlhw.commands import main\n"
        "from mlhw.runs import together; together.take_part = lambda *_: 0\n"
        f"before = gc.isenabled(); main.main({['finetune'] if of_several else ['schema', 'lr-sweep']})\n"
        "print(before, gc.isenabled(), file=sys.stderr)"
    )
    ranks = {"RANK": "1", "LOCAL_RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        env=os.environ | (ranks | {"MASTER_PORT": "29500"} if of_several else {}),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr == "False True\n"
