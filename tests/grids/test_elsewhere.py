"""Points on machines with other disks: data by digest, and folders that name the paths of home."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mlhw.errors import RunError
from mlhw.experiments.registry import experiment
from mlhw.grids import elsewhere, parcels
from mlhw.grids.elsewhere import work_elsewhere
from mlhw.grids.materials import Material, files_of, material, materials
from mlhw.grids.parcels import pack, unpack
from mlhw.grids.tasks import PointEnd, PointTask
from mlhw.grids.work import own_version, work
from mlhw.runs.history import run_at
from mlhw.runs.verification import verified
from mlhw.text import yaml12

POINTS = "x,y,label\n" + "".join(f"{i},{i * i % 7},{i % 2}\n" for i in range(40))


@pytest.fixture(autouse=True)
def other_scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(elsewhere, "scratch_root", lambda: tmp_path / "scratch")
    return tmp_path / "scratch"


def task(home: Path, data: Path, **more: object) -> PointTask:
    config = {"data": {"name": None, "file": str(data)}, "max_iterations": 3, "etas": [0.1]}
    return PointTask(
        3, 1, "lr-sweep", config, str(home / "points/0003"), "identity", own_version(),
        {"plots": False}, **more
    )  # type: ignore[arg-type]  # fmt: skip


def sent(content: dict[str, bytes]) -> Callable[[str], memoryview]:
    return lambda digest: memoryview(content[digest])


def test_what_a_configuration_names_is_found_with_its_content(tmp_path: Path) -> None:
    data = tmp_path / "points.csv"
    data.write_text(POINTS)
    model = experiment("lr-sweep").Config
    [found] = materials(model, {"data": {"file": str(data)}})
    assert (found.path, found.bytes, found.folder) == (str(data), len(POINTS), False)
    data.write_text(POINTS.replace("1", "2"))
    assert material(str(data)).sha256 != found.sha256
    assert materials(model, {"data": {"name": "iris"}}) == []
    assert materials(model, {"data": {"file": str(tmp_path / "not there.csv")}}) == []


def test_images_weights_and_implementations_are_materials(tmp_path: Path) -> None:
    (tmp_path / "photos/cat").mkdir(parents=True)
    (tmp_path / "photos/cat/1.jpg").write_bytes(b"1")
    (tmp_path / "w.pt").write_bytes(b"22")
    config = {"data": {"name": f"folder:{tmp_path}/photos"}, "weights": f"{tmp_path}/w.pt"}
    found = materials(experiment("finetune").Config, config)
    assert {(one.path, one.bytes, one.folder) for one in found} == {
        (f"{tmp_path}/photos", 1, True),
        (f"{tmp_path}/w.pt", 2, False),
    }
    (tmp_path / "list.csv").write_text("file,label\nphotos/cat/1.jpg,cat\n")
    listed = materials(
        experiment("finetune").Config, {"data": {"name": f"csv:{tmp_path}/list.csv"}}
    )
    assert str(tmp_path) in {one.path for one in listed}
    (tmp_path / "mine.py").write_text("")
    mine = {"implementation": [f"{tmp_path}/mine.py:backprop"]}
    [only] = materials(experiment("backprop-check").Config, mine)
    assert only.path == f"{tmp_path}/mine.py"


def test_a_point_elsewhere_comes_home_as_if_it_had_been_there(tmp_path: Path) -> None:
    home, space, there = tmp_path / "home", tmp_path / "space", tmp_path / "a: 'b'"
    there.mkdir()
    data = there / "points & more.csv"
    data.write_text(POINTS)
    wanted = material(str(data))
    data.unlink()
    space.mkdir()
    one = task(home, data)
    ended, parcel = work_elsewhere(
        one, [wanted], sent({wanted.sha256: POINTS.encode()}), work, space
    )
    assert ended.status == "finished", ended.reason
    assert parcel is not None
    unpack(memoryview(parcel.path.read_bytes()), parcel.sha256, tmp_path / "came")
    run = run_at(tmp_path / "came")
    assert run.status == "finished"
    assert verified(run).sound
    values, _ = yaml12.parse((tmp_path / "came/config.yaml").read_text(), "")
    assert values["data"]["file"] == str(data)
    for path in (tmp_path / "came").rglob("*"):
        assert not path.is_file() or b"scratch" not in path.read_bytes(), path
        assert not path.is_file() or str(space).encode() not in path.read_bytes(), path

    def new(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    # The next point finds them on the machine.
    again, _ = work_elsewhere(one, [wanted], sent({}), work, new("2"))
    assert again.status == "finished"
    # But not what somebody has changed there.
    [kept] = (tmp_path / "scratch/data").glob("*/*")
    kept.write_text("x")
    third, _ = work_elsewhere(one, [wanted], sent({wanted.sha256: POINTS.encode()}), work, new("3"))
    assert third.status == "finished"


def test_a_folder_is_sent_whole_and_other_bytes_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    (folder / "cat").mkdir(parents=True)
    (folder / "cat/1.jpg").write_bytes(b"one")
    (folder / "log.txt").write_text("a file of this name too")
    (folder / "cat/2.jpg").symlink_to("1.jpg")
    wanted = material(str(folder))
    parcel = pack(folder, tmp_path / "parcel", files_of(str(folder)))
    data = parcel.path.read_bytes()
    folder.rename(tmp_path / "gone")
    place = Path(elsewhere._had(wanted, sent({wanted.sha256: data})))
    assert {path.name: path.read_bytes() for path in place.rglob("*.*")} == {
        "1.jpg": b"one",
        "2.jpg": b"one",
        "log.txt": b"a file of this name too",
    }
    other = Material(str(folder), "0" * 64, wanted.bytes, folder=True)
    with pytest.raises(RunError, match="has not come here as it is at home"):
        elsewhere._had(other, sent({other.sha256: data}))
    assert not (tmp_path / "scratch/data" / other.sha256).exists()


def test_what_cannot_be_sent_is_one_line(tmp_path: Path) -> None:
    def send(_: str) -> memoryview:
        raise RunError("node: points.csv (3 GB) is not there; copy it there")

    wanted = Material(str(tmp_path / "points.csv"), "0" * 64, 3_000_000_000, folder=False)
    one = task(tmp_path, tmp_path / "points.csv")
    ended, parcel = work_elsewhere(one, [wanted], send, work, tmp_path)
    assert (ended.status, ended.exit_code, parcel) == ("failed", 2, None)
    assert ended.reason == "node: points.csv (3 GB) is not there; copy it there"


def test_a_folder_that_is_too_large_is_a_failed_point(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = tmp_path / "points.csv"
    data.write_text(POINTS)
    (tmp_path / "space").mkdir()
    packed = parcels.pack

    def run(there: PointTask) -> PointEnd:
        ended = work(there)
        (Path(there.folder) / "checkpoints").mkdir()
        (Path(there.folder) / "checkpoints/best.pt").write_bytes(bytes(3_000_000))
        return ended

    monkeypatch.setattr(parcels, "pack", lambda *given: packed(*given, most=2_000_000))
    ended, parcel = work_elsewhere(task(tmp_path, data), [], sent({}), run, tmp_path / "space")
    assert (ended.status, ended.exit_code) == ("failed", 1)
    assert "keep fewer checkpoints (--keep none)" in (ended.reason or "")
    assert parcel is not None
    unpack(memoryview(parcel.path.read_bytes()), parcel.sha256, tmp_path / "came")
    run_ = run_at(tmp_path / "came")
    assert (run_.status, run_.record["exit_code"]) == ("failed", 1)
    assert verified(run_).sound
    assert json.loads((tmp_path / "came/run.json").read_text())["reason"] == ended.reason
    assert not (tmp_path / "came/checkpoints").exists()
