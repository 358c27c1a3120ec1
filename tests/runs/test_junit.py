"""``mlhw all --junit FILE``: whatever FILE is, it is still that afterwards."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from xml.etree import ElementTree

import pytest

from mlhw.commands.main import main
from mlhw.errors import ConfigError
from mlhw.result.claims import Claim
from mlhw.result.result import Part
from mlhw.runs.junit import junit_xml
from mlhw.system.files import check_writable, write_to
from tests.conftest import Mlhw


def test_a_pipe_is_written_through(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    check_writable("--junit", str(pipe))
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()), daemon=True)
    reader.start()
    write_to(str(pipe), b"<x/>")
    reader.join(timeout=30)
    assert read == [b"<x/>"]
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("there", [True, False])
def test_a_link_stays_and_its_file_is_written(tmp_path: Path, there: bool) -> None:
    file, link = tmp_path / "file.xml", tmp_path / "link.xml"
    link.symlink_to(file.name)
    if there:
        file.write_text("before")
    check_writable("--junit", str(link))
    write_to(str(link), b"<x/>")
    assert link.is_symlink()
    assert file.read_bytes() == b"<x/>"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.xml", "link.xml"]


def test_stdouts_own_file_gets_it_in_its_place(mlhw: Mlhw, tmp_path: Path) -> None:
    (tmp_path / "l.yaml").write_text("data: {name: iris}\n")
    (tmp_path / "all.yaml").write_text("experiments: {lr-sweep: l.yaml}\n")
    (tmp_path / "out").symlink_to("/dev/stdout")  # a stray os.replace would cost the link alone
    found = mlhw("all", "-q", "-c", "all.yaml", "--junit", "out")
    assert found.returncode == 2
    first, rest = found.stdout.split("<?xml", 1)
    assert first.startswith("1. lr-sweep: failed")
    document, last = rest.split("</testsuites>\n")
    assert ElementTree.fromstring(f"<?xml{document}</testsuites>").get("name") == "mlhw"
    assert "report: " in last
    assert (tmp_path / "out").is_symlink()


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        (".", "it is a folder"),
        ("", "the name of a file is missing"),
        ("none/x.xml", "no such file or directory"),
        ("/proc/x.xml", "no such file or directory"),
        ("x" * 300, "file name too long"),
    ],
)
def test_a_file_that_cannot_be_written_is_found_before_any_experiment_runs(
    name: str,
    reason: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["all", "--junit", name]) == 2
    err = capsys.readouterr().err
    assert err == f"error: --junit {name}: cannot be written: {reason}\n"
    assert list(tmp_path.iterdir()) == []


def test_each_claim_names_its_place_in_the_report() -> None:
    claims = [
        Claim("below/2L", "a", "holds", 1, 1),
        Claim("b", "b", "fails", 1, 2),
        Claim("c", "c", "not applicable", None, None, note="why"),
    ]
    found = {"status": "finished", "run": "runs/1-x", "claims": [c.as_dict() for c in claims]}
    root = ElementTree.fromstring(junit_xml([Part("x", 0, found, 1.0)]))
    said = [case.findtext("system-out") or "" for case in root.iter("testcase")]
    places = [f"runs/1-x/report.html#claim-{name}" for name in ("below-2L", "b", "c")]
    assert [line.splitlines()[-1] for line in said] == [f"report: {place}" for place in places]
    assert [case.find("failure") is not None for case in root.iter("testcase")] == [
        False,
        True,
        False,
    ]
    # After an error that came before there was a folder, there is no report.
    root = ElementTree.fromstring(junit_xml([Part("x", 0, found | {"run": None}, 1.0)]))
    assert "report" not in ElementTree.tostring(root, encoding="unicode")


def test_nothing_is_left_of_asking(tmp_path: Path) -> None:
    check_writable("--junit", str(tmp_path / "x.xml"))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(ConfigError):
        check_writable("--junit", str(tmp_path))
