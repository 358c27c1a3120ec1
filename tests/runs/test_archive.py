"""Runs as one zip file: whole, the same bytes again, never over an existing file, nothing from outside."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.errors import ConfigError, RunError
from mlhw.runs.archive import pack, with_parts
from mlhw.runs.history import Run, find

RECORD = {"experiment": "lr-sweep", "status": "finished"}


def made(runs_dir: Path, name: str, **record: object) -> Run:
    folder = runs_dir / name
    (folder / "plots").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps(RECORD | record))
    (folder / "report.html").write_text(f"<h1>{name}")
    (folder / "plots" / "nll.png").write_bytes(bytes(range(256)) * 50)
    return find(name, runs_dir)


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    made(tmp_path / "runs", "20261126-101500-lr-sweep")
    made(tmp_path / "runs", "20261126-101600-sgd-sweep", experiment="sgd-sweep")
    return tmp_path / "runs"


def test_every_file_of_the_runs_is_in_the_archive_under_the_runs_name(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "both.zip"
    words = ["runs", "export", "lr-sweep", "sgd-sweep", str(target), "--runs-dir", str(runs)]
    assert main(words) == 0
    assert "; 6 files, " in capsys.readouterr().out
    with zipfile.ZipFile(target) as archive:
        assert archive.testzip() is None
        names = archive.namelist()
        for name in names:
            assert archive.read(name) == (runs / name).read_bytes()
    assert names == sorted(
        str(path.relative_to(runs)) for path in runs.rglob("*") if path.is_file()
    )


def test_the_same_runs_make_the_same_bytes_in_whatever_order_they_are_named(
    runs: Path, tmp_path: Path
) -> None:
    both = [find("lr-sweep", runs), find("sgd-sweep", runs)]
    pack(both, tmp_path / "a.zip")
    (runs / both[0].name / "report.html").touch()
    pack(both[::-1], tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_links_and_hidden_files_stay_out(runs: Path, tmp_path: Path) -> None:
    run = find("lr-sweep", runs)
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("no")
    (run.folder / "key").symlink_to(tmp_path / "secret" / "key")
    (run.folder / "secret").symlink_to(tmp_path / "secret")
    (run.folder / ".report.html.123.tmp").write_text("half")
    (run.folder / ".cache").mkdir()
    (run.folder / ".cache" / "x").write_text("x")
    assert pack([run], tmp_path / "a.zip") == 3
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        for entry in archive.infolist():
            assert entry.filename.startswith(f"{run.name}/")
            assert ".." not in entry.filename
            assert entry.external_attr >> 16 == 0o100644


def test_an_existing_file_is_not_written_over(
    runs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "a.zip"
    target.write_text("mine")
    assert main(["runs", "export", "latest", str(target), "--runs-dir", str(runs)]) == 2
    assert capsys.readouterr().err == (
        f"error: {target}: is there already and stays as it is; give another name\n"
    )
    assert target.read_text() == "mine"
    target.unlink()
    target.symlink_to(tmp_path / "nowhere")  # a link that leads to nothing is a file too
    with pytest.raises(ConfigError, match="is there already"):
        pack([find("latest", runs)], target)


def test_a_file_in_no_folder_is_said(runs: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such folder"):
        pack([find("latest", runs)], tmp_path / "no" / "a.zip")
    assert list(tmp_path.iterdir()) == [runs]


def test_a_run_of_all_brings_the_runs_that_it_is_made_of(runs: Path) -> None:
    whole = made(runs, "20261126-101700-all", experiment="all")
    summary = {"runs": [{"run": "elsewhere/20261126-101500-lr-sweep"}, {"run": "runs/gone"}]}
    (whole.folder / "result.json").write_text(json.dumps({"summary": summary}))
    asked = [find("all", runs), find("lr-sweep", runs), find("all", runs)]
    assert [run.name for run in with_parts(asked)] == [whole.name, "20261126-101500-lr-sweep"]


def test_two_folders_of_one_name_and_a_run_that_goes_on_are_refused(
    runs: Path, tmp_path: Path
) -> None:
    other = made(tmp_path / "other", "20261126-101500-lr-sweep")
    with pytest.raises(ConfigError, match="have one name"):
        with_parts([find("lr-sweep", runs), other])
    running = made(runs, "20261126-101800-finetune", status="running", host="another machine")
    with pytest.raises(ConfigError, match="still runs"):
        with_parts([running])


def test_a_folder_that_cannot_be_written_is_said_and_leaves_nothing(
    runs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = find("latest", runs)
    real = Path.open

    def torn(path: Path, *words: object, **more: object) -> object:
        if path.name == "nll.png":
            raise OSError(5, "Input/output error", str(path))
        return real(path, *words, **more)  # type: ignore[call-overload]

    monkeypatch.setattr(Path, "open", torn)
    with pytest.raises(RunError, match=r"nll\.png: input/output error"):
        pack([run], tmp_path / "a.zip")
    assert list(tmp_path.iterdir()) == [runs]


def test_names_that_cannot_be_unpacked_everywhere_are_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for number, (name, words) in enumerate(
        ((b"bad\xff", "is not UTF-8"), (rb"back\slash", "holds a backslash"))
    ):
        folder = Path("runs") / f"2026010{number + 1}-000000-lr-sweep"
        folder.mkdir(parents=True)
        (folder / "run.json").write_text('{"status": "finished", "experiment": "lr-sweep"}')
        (folder / os.fsdecode(name)).write_text("x")
        assert main(["runs", "export", folder.name, "x.zip"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert words in line
        assert line.endswith("rename it")
        assert not Path("x.zip").exists()


def test_a_forgotten_file_is_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "export", "latest"]) == 2
    line = capsys.readouterr().err
    assert (
        "the last word names the file to write, such as: mlhw runs export latest mine.zip" in line
    )
