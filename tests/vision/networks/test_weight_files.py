"""Files of weights: what strangers send, and what fits."""

from __future__ import annotations

import contextlib
import http.server
import io
import os
import pickle
import threading
import time
import zipfile
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from mlhw.errors import DataError
from mlhw.system import download
from mlhw.system.download import Checksum, fetch
from mlhw.vision.networks import weight_files as weights


def network() -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(4, 2))


def saved(content: Any, path: Path, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


def error_of(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        weights.read_tensors(path)
    assert len(caught.value.lines) == 1
    (line,) = caught.value.lines
    assert "\n" not in line
    assert line.startswith(f"{path}: ")
    return line


# --------------------------------------------------------------------------------- reading


@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_comes_back_as_torch_saved_it(tmp_path: Path, zipped: bool) -> None:
    state = network().state_dict()
    path = saved(state, tmp_path / "w.pth", _use_new_zipfile_serialization=zipped)
    read = weights.read_tensors(path)
    assert list(read) == list(state)
    assert all(torch.equal(read[name], state[name]) for name in state)


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth"])
def test_safetensors_are_known_by_their_content_not_their_name(tmp_path: Path, name: str) -> None:
    state = network().state_dict()
    save_file(state, tmp_path / name)
    read = weights.read_tensors(tmp_path / name)
    assert all(torch.equal(read[key], state[key]) for key in state)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: {"state_dict": s, "epoch": 3},
        lambda s: {"model": s, "args": {"lr": 0.1}},
        lambda s: {"model": {"state_dict": s}},
        lambda s: OrderedDict((f"module.{k}", v) for k, v in s.items()),
        lambda s: {f"_orig_mod.module.{k}": v for k, v in s.items()},
        lambda s: {"state_dict": {f"module._orig_mod.{k}": v for k, v in s.items()}},
        lambda s: {**{f"backbone.{k}": v for k, v in s.items()}, "head.weight": torch.ones(2)},
    ],
)
def test_nesting_and_the_prefixes_of_wrappers_are_taken_off(tmp_path: Path, wrap: Any) -> None:
    state = network().state_dict()
    assert list(weights.read_tensors(saved(wrap(state), tmp_path / "w.pth"))) == list(state)


class Hostile:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.marker, "code ran")


@pytest.mark.parametrize("how", ["pickle", "torch zip", "torch legacy", "nested"])
def test_a_hostile_pickle_does_not_run(tmp_path: Path, how: str) -> None:
    marker, path = tmp_path / "marker", tmp_path / "w.pth"
    bad = Hostile(marker)
    if how == "pickle":
        path.write_bytes(pickle.dumps(bad))
    elif how == "nested":
        saved({"state_dict": network().state_dict(), "extra": bad}, path)
    else:
        saved(bad, path, _use_new_zipfile_serialization=how == "torch zip")
    error_of(path)
    assert not marker.exists()
    pickle.loads(pickle.dumps(bad))  # it would have
    assert marker.exists()


def test_a_whole_saved_module_is_refused_with_the_remedy(tmp_path: Path) -> None:
    line = error_of(saved(network(), tmp_path / "w.pth"))
    assert "Python objects besides tensors" in line
    assert "state_dict()" in line


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning")
def test_a_torchscript_program_is_refused(tmp_path: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), tmp_path / "w.pt")  # type: ignore[no-untyped-call]
    assert "TorchScript" in error_of(tmp_path / "w.pt")


@pytest.mark.parametrize("format", ["zip", "legacy", "safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 1.0])
def test_a_file_that_was_cut_off_is_one_plain_line(
    tmp_path: Path, format: str, share: float
) -> None:
    state, whole = network().state_dict(), tmp_path / "whole"
    if format == "safetensors":
        save_file(state, whole)
    else:
        saved(state, whole, _use_new_zipfile_serialization=format == "zip")
    content = whole.read_bytes()
    cut = tmp_path / "cut"
    cut.write_bytes(content[: min(int(len(content) * share), len(content) - 1)])
    line = error_of(cut)
    assert "cut off" in line or "is empty" in line or "no file of weights" in line


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    format=st.sampled_from(["zip", "legacy", "safetensors"]),
    changes=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_a_damaged_file_gives_tensors_or_one_plain_line(
    tmp_path: Path, format: str, changes: list[tuple[int, int]]
) -> None:
    path = tmp_path / "w"
    if format == "safetensors":
        save_file(network().state_dict(), path)
    else:
        saved(network().state_dict(), path, _use_new_zipfile_serialization=format == "zip")
    content = bytearray(path.read_bytes())
    for at, value in changes:
        content[at % min(len(content), 3000)] = value
    path.write_bytes(content)
    try:
        tensors = weights.read_tensors(path)
    except DataError as error:
        assert len(error.lines) == 1
        assert str(error).startswith(str(path))
    else:
        assert all(isinstance(tensor, torch.Tensor) for tensor in tensors.values())


def zip_of_something() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        file.writestr("hello.txt", "hello")
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "empty"),
        (b"\n <!DOCTYPE html><html><title>404</title>", "web page"),
        (b"<HTML><body>Sign in", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "Git LFS"),
        (b"weights", "weights"),
        (bytes(range(256)) * 9, "weights"),
        (zip_of_something(), "weights"),
        (pickle.dumps([1, 2]), "weights"),
        (b"\x00" * 8 + b"{" + b"x" * 100, "safetensors"),
        (b"\xff" * 8 + b"{}", "safetensors"),
    ],
)
def test_what_is_no_weights_is_one_plain_line(tmp_path: Path, content: bytes, word: str) -> None:
    path = tmp_path / "w.pth"
    path.write_bytes(content)
    assert word in error_of(path)


@pytest.mark.parametrize(
    "content", [[torch.ones(2)], {"a": 1}, {"state_dict": 3}, {}, torch.ones(2)]
)
def test_a_file_without_a_state_dict_says_so(tmp_path: Path, content: Any) -> None:
    assert "state dict" in error_of(saved(content, tmp_path / "w.pth"))


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    assert "No such file" in error_of(tmp_path / "nowhere.pth")
    assert "directory" in error_of(tmp_path)


# --------------------------------------------------------------------------------- fitting


def test_the_head_may_differ_and_nothing_else() -> None:
    state = network().state_dict()
    other = {**state, "3.weight": torch.ones(7, 4), "3.bias": torch.ones(7)}
    target = network()
    with torch.no_grad():
        target[0].weight.zero_()
    weights.fill(target, other, source="w", head=("3",))
    assert torch.equal(target.state_dict()["0.weight"], state["0.weight"])
    with pytest.raises(DataError, match=r"of another shape 3\.weight"):
        weights.fill(network(), other, source="w")
    without_head = {name: value for name, value in state.items() if not name.startswith("3.")}
    weights.fill(network(), without_head, source="w", head=("3",))


def test_all_misfits_are_listed() -> None:
    state = dict(network().state_dict())
    state["0.weight"] = torch.zeros(4, 3, 5, 5)
    del state["1.running_mean"]
    state["surplus"] = torch.ones(1)
    with pytest.raises(DataError) as caught:
        weights.fill(network(), state, source="w.pth")
    (line,) = caught.value.lines
    assert line.startswith("w.pth: ")
    assert "missing 1.running_mean" in line
    assert "unexpected surplus" in line
    assert "0.weight (4, 3, 5, 5) for (4, 3, 3, 3)" in line


def test_the_batch_counter_that_old_files_lack_may_be_missing() -> None:
    state = {n: t for n, t in network().state_dict().items() if not n.endswith("tracked")}
    weights.fill(network(), state, source="w")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(value: float) -> None:
    state = network().state_dict()
    state["0.weight"][0, 0, 0, 0] = value
    with pytest.raises(DataError, match=r"NaN or infinite values in 0\.weight"):
        weights.fill(network(), state, source="w")


def test_the_digest_sees_every_value_name_and_buffer() -> None:
    first = weights.digest(network())
    assert weights.digest(network()) == first
    changed = network()
    changed[1].running_var[2] += 1e-6
    assert weights.digest(changed) != first
    renamed = nn.ModuleDict({"x": nn.Linear(2, 2)})
    assert weights.digest(renamed) != weights.digest(nn.ModuleDict({"y": renamed["x"]}))


# --------------------------------------------------------------------------------- downloading


class Server(http.server.BaseHTTPRequestHandler):
    content = b"x" * 100_000
    length = 100_000

    def do_GET(self) -> None:
        if self.path == "/gone":
            self.send_error(404)
            return
        if self.path in ("/slow-head", "/slow-body"):
            start = b"HTTP/1.0 200 OK\r\n" + b"\r\n" * (self.path == "/slow-body")
            self.drip(start + b"X-Filler: 1\r\n" * 10_000)
            return
        self.send_response(200)
        claimed = {"/cut": self.length + 50, "/vast": 10**15}.get(self.path, self.length)
        if self.path != "/unsaid":
            self.send_header("Content-Length", str(claimed))
        self.end_headers()
        self.wfile.write(self.content)

    def drip(self, content: bytes) -> None:
        """A byte now and then, as long as somebody listens."""
        with contextlib.suppress(OSError):
            for i in range(len(content)):
                self.wfile.write(content[i : i + 1])
                time.sleep(0.002)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def url(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in [n for n in os.environ if n.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_file_is_downloaded_whole_with_progress(tmp_path: Path, url: str) -> None:
    import hashlib

    digits = hashlib.sha256(Server.content).hexdigest()
    steps: list[tuple[float, float, str]] = []
    target = tmp_path / "deep" / "w.pth"
    fetch(url, target, Checksum("sha256", digits[:8]), progress=lambda *step: steps.append(step))
    assert target.read_bytes() == Server.content
    assert steps[-1] == (100_000, 100_000, "w.pth")
    assert os.listdir(target.parent) == ["w.pth"]


@pytest.mark.parametrize(
    ("path", "word"), [("/gone", "404"), ("/cut", "broke after 100,000 of"), ("/other", "sha256")]
)
def test_a_failed_download_leaves_nothing(tmp_path: Path, url: str, path: str, word: str) -> None:
    with pytest.raises(DataError, match=word):
        fetch(url + path, tmp_path / "w.pth", Checksum("sha256", "00000000"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("path", ["/w", "/unsaid"])
def test_a_server_that_sends_more_than_it_can_be_is_not_believed(
    tmp_path: Path, url: str, path: str
) -> None:
    with pytest.raises(DataError, match="the server sends more than 99 kB, which it cannot be"):
        fetch(url + path, tmp_path / "w.pth", None, most=99_000)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("path", "word"),
    [
        ("/slow-head", "the server has not answered within 0 s"),
        ("/slow-body", "too slow: [0-9]+ bytes in 0 s"),
    ],
)
def test_a_server_that_sends_a_byte_now_and_then_is_given_up(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, path: str, word: str
) -> None:
    monkeypatch.setattr(download, "_ANSWER_S", 0.3)
    monkeypatch.setattr(download, "_MINUTE_S", 0.3)
    began = time.monotonic()
    with pytest.raises(DataError, match=word):
        fetch(url + path, tmp_path / "w.pth", None)
    assert time.monotonic() - began < 10  # all of it would take minutes
    assert os.listdir(tmp_path) == []


def test_a_file_for_which_the_disk_has_no_room_is_not_fetched(tmp_path: Path, url: str) -> None:
    steps: list[object] = []
    line = r"w.pth: no space left on device \(needs 1e\+06 GB, .* free\)"
    with pytest.raises(DataError, match=line):
        fetch(
            f"{url}/vast",
            tmp_path / "w.pth",
            None,
            progress=lambda *step: steps.append(step),
            most=10**16,
        )
    assert steps == os.listdir(tmp_path) == []


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/w", "nonsense", "http://[/w"])
def test_a_server_that_cannot_be_reached_is_one_line(
    tmp_path: Path, address: str, url: str
) -> None:
    with pytest.raises(DataError, match="cannot be downloaded"):
        fetch(address, tmp_path / "w.pth", None)
