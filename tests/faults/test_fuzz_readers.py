"""Files with damage in them: every reader takes them or refuses them in a line, and does not end in error."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.errors import MlhwError
from tests.conftest import ROOT
from tests.faults.drawn import CELLS, TABLES, damaged, drawing
from tests.faults.outside import nothing_outside
from tests.faults.tally import Tally

Note = Callable[[str], Tally]


@pytest.fixture(autouse=True)
def inside(tmp_path: Path) -> Iterator[None]:
    """Nothing is written elsewhere, but for what hypothesis keeps."""
    with nothing_outside(tmp_path, ROOT / ".hypothesis"):
        yield


def test_points_of_any_content_are_read_or_refused(tmp_path: Path, tally: Note) -> None:
    from mlhw.points.choice import Choice, choose
    from mlhw.points.files import Layout, read_table

    one = tally("fuzzing")
    arrays = io.BytesIO()
    np.savez(arrays, X=np.eye(3), y=np.array(["a", "b", "a"]))
    content = (
        TABLES.map(lambda text: text.encode())
        | st.binary(max_size=60)
        | damaged(arrays.getvalue())
        | damaged(b"0.5,1,a\n1,2,b\n3,4,a\n" * 3)
    )
    suffixes = st.sampled_from(
        [".csv", ".tsv", ".txt", ".arff", ".npz", ".npy", ".svm", ".data", ".gz", ""]
    )
    labels = st.none() | st.integers(-3, 3) | st.sampled_from(["label", "a", "y"])
    encodings = st.sampled_from([None, None, "latin-1", "utf-16", "utf-7", "cp037"])

    @given(content, suffixes, st.builds(Layout, labels, st.none() | st.booleans(), encodings))
    @drawing(500)
    def tried(data: bytes, suffix: str, layout: Layout) -> None:
        path = tmp_path / f"p{suffix}"
        path.write_bytes(data)
        try:
            table = read_table(str(path), layout)
            for encode in ("none", "one-hot"):
                choose(table, Choice(missing="drop", encode=encode))  # type: ignore[arg-type]
        except MlhwError as error:
            assert error.exit_code == 2
        path.unlink()
        one.note(f"{suffix} {layout} {data!r}", "survived")

    tried()


def test_lists_of_images_of_any_content_are_read_or_refused(tmp_path: Path, tally: Note) -> None:
    from mlhw.vision.images.csv_lists import list_csv
    from mlhw.vision.images.given import given_images

    one = tally("fuzzing")
    for name in ("a.png", "b.png"):
        (tmp_path / name).write_bytes(b"")
    cells = CELLS | st.sampled_from(
        ["file_name", "label", "split", "train", "val", "a.png", "b.png", "../a.png"]
    )
    rows = st.lists(st.lists(cells, min_size=1, max_size=4), max_size=6)
    text = rows.map(lambda found: "\n".join(",".join(row) for row in found).encode())

    @given(
        text
        | st.binary(max_size=60)
        | damaged(b"file_name,label,split\na.png,x,train\nb.png,y,val\n")
    )
    @drawing(150)
    def tried(data: bytes) -> None:
        path = tmp_path / "list.csv"
        path.write_bytes(data)
        for read in (list_csv, lambda path: list(given_images([f"@{path}"], lambda note: None))):
            try:
                read(path)
            except MlhwError as error:
                assert error.exit_code == 2
        one.note(repr(data), "survived")

    tried()


def pictures() -> list[bytes]:
    from PIL import Image

    found = []
    for form in ("png", "jpeg", "gif", "bmp", "tiff", "webp", "tga", "jpeg2000", "ppm"):
        file = io.BytesIO()
        Image.effect_noise((9, 7), 50).convert("RGB").save(file, form)
        found.append(file.getvalue())
    return found


def test_damaged_images_are_decoded_or_refused(tally: Note) -> None:
    from mlhw.vision.images.decode import UnreadableImageError, decode_whole, quiet_pillow

    one = tally("fuzzing")

    @given(st.sampled_from(pictures()).flatmap(damaged))
    @drawing(250)
    def tried(data: bytes) -> None:
        try:
            with quiet_pillow():
                decode_whole(data)
        except UnreadableImageError as error:
            assert str(error)
        one.note(repr(data), "survived")

    tried()


def test_damaged_archives_and_arrays_of_data_sets_are_read_or_refused(
    tmp_path: Path, tally: Note
) -> None:
    from mlhw.vision.images import archives

    one = tally("fuzzing")
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        member = tarfile.TarInfo("folder/data")
        member.size = 5
        tar.addfile(member, io.BytesIO(b"hello"))
    idx = b"\0\0\x08\x03\0\0\0\x01\0\0\0\x02\0\0\0\x02abcd"

    @given(damaged(packed.getvalue()), damaged(idx))
    @drawing(150)
    def tried(tar: bytes, values: bytes) -> None:
        (tmp_path / "a.tar.gz").write_bytes(tar)
        (tmp_path / "idx").write_bytes(values)
        target = tmp_path / "out" / "data"
        for read in (
            lambda: archives.extract(
                tmp_path / "a.tar.gz",
                {"folder/data": (target, "5d41402abc4b2a76b9719d911017c592")},
            ),
            lambda: archives.read_idx(tmp_path / "idx"),
        ):
            try:
                read()
            except MlhwError as error:
                assert error.exit_code == 2
        assert {path.name for path in tmp_path.rglob("*")} <= {"a.tar.gz", "idx", "out", "data"}
        assert not target.exists() or target.read_bytes() == b"hello"
        one.note(repr((tar, values)), "survived")

    tried()


def test_damaged_weights_and_models_are_read_or_refused(tmp_path: Path, tally: Note) -> None:
    import torch
    from safetensors.torch import save

    from mlhw.vision.networks.weight_files import read_tensors
    from mlhw.vision.training.checkpoints import read_best

    one = tally("fuzzing")
    tensors = {"a.weight": torch.eye(2), "b": torch.arange(3)}
    files = [save(tensors, {"mlhw_format": "1"})]
    for new in (True, False):
        file = io.BytesIO()
        torch.save({"state_dict": tensors}, file, _use_new_zipfile_serialization=new)
        files.append(file.getvalue())

    @given(st.sampled_from(files).flatmap(damaged) | st.binary(max_size=80))
    @drawing(200)
    def tried(data: bytes) -> None:
        path = tmp_path / "w.pt"
        path.write_bytes(data)
        for read in (read_tensors, lambda path: read_best(path, data)):
            try:
                read(path)
            except MlhwError as error:
                assert error.exit_code == 2
        one.note(repr(data), "survived")

    tried()


def test_damaged_checkpoints_are_loaded_or_refused(tmp_path: Path, tally: Note) -> None:
    import torch

    from mlhw.vision.training.checkpoints import LAST, MANIFEST, Checkpoints

    one = tally("fuzzing")
    folder = tmp_path / "checkpoints"
    Checkpoints(folder).save(lambda: {"format": 1, "w": torch.eye(2)}, 1, None)
    whole, manifest = (folder / LAST).read_bytes(), (folder / MANIFEST).read_bytes()

    @given(damaged(whole), damaged(manifest))
    @drawing(60)
    def tried(data: bytes, listed: bytes) -> None:
        (folder / LAST).write_bytes(data)
        (folder / MANIFEST).write_bytes(listed)
        try:
            Checkpoints(folder).load_last(lambda line: None)
            assert data == whole
        except MlhwError as error:
            assert error.exit_code == 2
        one.note(repr((data, listed)), "survived")

    tried()


def test_a_damaged_exported_program_is_refused_without_running_anything(
    tmp_path: Path, tally: Note
) -> None:
    from mlhw.vision.programs import refuse_other_code

    one = tally("fuzzing")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x/extra/mlhw.json", "{}")
        archive.writestr("x/models/model.json", '{"target": "torch.ops.aten.add.Tensor"}')

    @given(damaged(file.getvalue()))
    @drawing(60)
    def tried(data: bytes) -> None:
        # Any exception is made a line by its caller; what counts is that it ends.
        try:
            refuse_other_code(tmp_path / "m.pt2", data)
        except Exception as error:
            assert not isinstance(error, (MemoryError, RecursionError)), error
        one.note(repr(data), "survived")

    tried()
