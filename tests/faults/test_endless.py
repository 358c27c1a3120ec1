"""Inputs without end, or wide beyond use, are refused within two seconds and 500 MB, naming the limit."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.faults.forks import MEGABYTES, SECONDS, Ended, Forks, forks
from tests.faults.tally import Tally

PLAIN = "no plain file"
VISION = ("mlhw.vision.saved", "mlhw.vision.training.session", "mlhw.vision.predict")


def sparse(size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.touch()
        os.truncate(path, size)

    return make


def beginning(start: bytes, size: int) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(start)
        os.truncate(path, size)

    return make


def text(content: str | bytes) -> Callable[[Path], None]:
    def make(path: Path) -> None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())

    return make


def wide(columns: int) -> bytes:
    return (b",".join([b"1.5"] * columns) + b",0\n") * 4


def large_npz(path: Path) -> None:
    """A gigabyte and more of zeros, packed."""
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"shape": (1 << 20, 200), "fortran_order": False, "descr": "<f8"}
    )
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive,
        archive.open("X.npy", "w") as member,
    ):
        member.write(header.getvalue())
        for _ in range(16):
            member.write(bytes(1 << 20))


# What is made, the command that reads it, and what its line says.
MADE: dict[str, tuple[Callable[[Path], None], tuple[str, ...], str]] = {
    "fifo": (os.mkfifo, ("data", "fifo"), PLAIN),
    "fifo.yaml": (os.mkfifo, ("lr-sweep", "-c", "fifo.yaml"), PLAIN),
    "fifo.py": (os.mkfifo, ("backprop-check", "--implementation", "fifo.py"), PLAIN),
    "long.yaml": (
        text("# " + "x" * (1 << 21)),
        ("vanishing", "-c", "long.yaml"),
        "1,048,576 bytes",
    ),
    "hole.yaml": (sparse(1 << 40), ("all", "-c", "hole.yaml"), "1,048,576 bytes"),
    "keys.yaml": (
        text("".join(f"k{i}: 1\n" for i in range(80_000))),
        ("lr-sweep", "-c", "keys.yaml"),
        "at most 20,000 keys",
    ),
    "unknown.yaml": (
        text("".join(f"learning_rate_{i}: 1\n" for i in range(9_000))),
        ("lr-sweep", "-c", "unknown.yaml"),
        "8,900 more",
    ),
    "list.yaml": (
        text(f"etas: [{'0.1, ' * 100_000}]"),
        ("lr-sweep", "-c", "list.yaml"),
        "at most 20,000 keys",
    ),
    "deep.yaml": (text("a: " + "[" * 50_000), ("lr-sweep", "-c", "deep.yaml"), "50 deep"),
    "aliases.yaml": (
        text(
            "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [{f'*a{i - 1}, ' * 9}]\n" for i in range(1, 30))
        ),
        ("lr-sweep", "-c", "aliases.yaml"),
        "at most 20,000 keys",
    ),
    "hole.csv": (sparse(1 << 40), ("data", "hole.csv"), "4,194,304 characters"),
    "line.csv": (text(b"1," * 50_000_000), ("data", "line.csv"), "4,194,304 characters"),
    "wide.csv": (text(wide(100_000)), ("lr-sweep", "--data", "wide.csv"), "50,000 columns"),
    "wider.csv": (text(wide(1_000_000)), ("data", "wider.csv"), "50,000 columns"),
    "header.csv": (
        text(",".join(f"f{i}" for i in range(100_000)) + "\n"),
        ("data", "header.csv"),
        "50,000 columns",
    ),
    "wide.arff": (
        text("@relation r\n" + "".join(f"@attribute a{i} real\n" for i in range(60_000))),
        ("data", "wide.arff"),
        "50,000 columns",
    ),
    "wide.svm": (text("1 1:1 900000:1\n0 1:2\n"), ("data", "wide.svm"), "at most 50,000"),
    "wide.npz": (
        lambda path: np.savez(path, X=np.zeros((2, 60_000), "i1"), y=[0, 1]),
        ("data", "wide.npz"),
        "at most 50,000",
    ),
    "large.npz": (large_npz, ("data", "large.npz"), "100,000,000 numbers"),
    "bomb.npy.gz": (
        lambda path: path.write_bytes(
            gzip.compress(b"\x93NUMPY", 1) + gzip.compress(bytes(1 << 24), 1) * 20
        ),
        ("data", "bomb.npy.gz"),
        "268,435,456 bytes",
    ),
    "hole.py": (
        sparse(1 << 40),
        ("backprop-check", "--implementation", "hole.py"),
        "1,048,576 bytes",
    ),
}
DEVICES: dict[tuple[str, ...], str] = {
    ("lr-sweep", "--config", "/dev/zero"): PLAIN,
    ("sgd-sweep", "--data", "/dev/zero"): PLAIN,
    ("softmax-regions", "--fit", "/dev/zero"): PLAIN,
    ("data", "/dev/urandom"): PLAIN,
    ("backprop-check", "--implementation", "/dev/zero"): PLAIN,
    ("all", "-c", "/dev/zero"): PLAIN,
    ("predict", "latest", "@/dev/zero"): PLAIN,
}
# These read more of the program before they look at a file, so nothing but their memory is judged.
OF_VISION: dict[str, tuple[Callable[[Path], None], tuple[str, ...], str]] = {
    "hole.safetensors": (
        sparse(3 << 30),
        ("predict", "hole.safetensors", "hole.safetensors"),
        "no model",
    ),
    "hole.onnx": (
        sparse(3 << 30),
        ("predict", "hole.onnx", "hole.onnx"),
        "no model",
    ),
    "hole.pt2": (sparse(3 << 30), ("predict", "hole.pt2", "hole.pt2"), "no model"),
    "long.onnx": (
        beginning(b"\x08", 1 << 40),
        ("predict", "long.onnx", "long.onnx"),
        "larger than 8,589,934,592 bytes",
    ),
    "list.csv": (
        sparse(1 << 40),
        ("finetune", "--data", "csv:list.csv"),
        "1,048,576 characters",
    ),
    "fifo.csv": (os.mkfifo, ("finetune", "--data", "csv:fifo.csv"), PLAIN),
}


@pytest.fixture(scope="module")
def light() -> Iterator[Forks]:
    with forks() as server:
        yield server


def judged(tally: Tally, fault: str, ended: Ended, said: str, *, quickly: bool = True) -> None:
    """Count a refusal; anything else as what it is."""
    wrong = ended.unclean
    if not wrong and ended.code != 2:
        wrong = f"exit code {ended.code}"
    if not wrong and (said not in ended.err or len(ended.err.splitlines()) > 110):
        wrong = f"said {ended.err[-300:]}"
    if not wrong and (ended.megabytes > MEGABYTES or (quickly and ended.cpu > SECONDS)):
        wrong = f"{ended.cpu:.1f} s, {ended.megabytes:.0f} MB"
    tally.note(fault, "lost" if wrong else "survived", wrong)


def test_what_has_no_end_and_what_is_too_wide_is_refused_at_once_with_the_limit(
    tmp_path: Path, light: Forks, tally: Callable[[str], Tally]
) -> None:
    one = tally("endless")
    folder = tmp_path / "here"
    folder.mkdir()
    for name, (make, words, said) in MADE.items():
        make(folder / name)
        judged(one, name, light.run(folder, *words), said)
        (folder / name).unlink()
    for words, said in DEVICES.items():
        judged(one, " ".join(words), light.run(folder, *words), said)
    stream = light.run(folder, "data", "-", stdin="/dev/zero")
    judged(one, "data - </dev/zero", stream, "268,435,456 bytes")
    assert list(folder.glob("runs/*")) == []


@pytest.mark.slow
def test_of_models_weights_and_lists_of_images_nothing_endless_is_read(
    tmp_path: Path, tally: Callable[[str], Tally]
) -> None:
    one = tally("endless")
    folder = tmp_path / "here"
    folder.mkdir()
    with forks(*VISION) as server:
        for name, (make, words, said) in OF_VISION.items():
            make(folder / name)
            judged(one, name, server.run(folder, *words), said, quickly=False)
            (folder / name).unlink()


def test_lists_and_pipes_of_image_names_are_bounded(tmp_path: Path) -> None:
    from mlhw.errors import ConfigError
    from mlhw.vision.images.given import given_images

    sparse(1 << 40)(tmp_path / "hole.txt")
    with pytest.raises(ConfigError, match="larger than 67,108,864 bytes"):
        given_images([f"@{tmp_path / 'hole.txt'}"], print)
    for source in ("/dev/zero", str(tmp_path / "hole.txt")):
        descriptor = os.open(source, os.O_RDONLY)
        with pytest.raises(ConfigError, match="no path in 1,048,576 bytes"):
            list(given_images(["-"], print, descriptor))
        os.close(descriptor)


def test_weights_without_end_are_refused_unread(tmp_path: Path) -> None:
    from mlhw.errors import DataError
    from mlhw.vision.networks.weight_files import read_tensors

    for make, said in (
        (sparse(1 << 40), "larger than 8,589,934,592 bytes"),
        (sparse(3 << 30), "no file of weights"),
        (os.mkfifo, PLAIN),
    ):
        make(tmp_path / "w.pt")
        with pytest.raises(DataError, match=said):
            read_tensors(tmp_path / "w.pt")
        (tmp_path / "w.pt").unlink()


def test_an_image_file_is_looked_at_before_it_is_read_whole(tmp_path: Path) -> None:
    import tracemalloc

    from mlhw.vision.images.decode import UnreadableImageError, read

    for size, said in ((900 << 20, "is not an image"), (1 << 40, "larger than 1 GiB")):
        sparse(size)(tmp_path / "hole.jpg")
        tracemalloc.start()
        with pytest.raises(UnreadableImageError, match=said):
            read(tmp_path / "hole.jpg")
        assert tracemalloc.get_traced_memory()[1] < 10 << 20
        tracemalloc.stop()
    os.mkfifo(tmp_path / "fifo.jpg")
    with pytest.raises(UnreadableImageError, match="plain file"):
        read(tmp_path / "fifo.jpg")
