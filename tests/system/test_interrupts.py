"""Ctrl-C, SIGTERM and SIGHUP at any moment: within half a second, rows kept, the status true."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from mlhw.errors import Interrupted
from mlhw.system.interrupts import Interrupts
from tests.conftest import PROGRAM


def test_a_signal_inside_hold_waits_for_the_end_of_the_block() -> None:
    done = []
    before = signal.getsignal(signal.SIGINT)  # in the background a shell has it ignored
    with Interrupts() as interrupts:
        with pytest.raises(Interrupted) as caught, interrupts.hold():  # noqa: PT012
            with interrupts.hold():
                os.kill(os.getpid(), signal.SIGTERM)
                done.append("inner")
            done.append("outer")
        interrupts.acknowledge()
        assert done == ["inner", "outer"]
        assert caught.value.exit_code == 143
    assert signal.getsignal(signal.SIGINT) is before


def test_released_lets_through_what_has_been_waiting() -> None:
    done = []
    with Interrupts() as interrupts, interrupts.hold():
        os.kill(os.getpid(), signal.SIGTERM)
        done.append("held")
        with pytest.raises(Interrupted), interrupts.released():
            done.append("not reached")
        interrupts.acknowledge()
    assert done == ["held"]


def test_no_decoder_and_no_reader_of_weights_takes_a_signal_for_a_damaged_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    import torch
    from PIL import Image

    from mlhw.vision.images import decode as images
    from mlhw.vision.networks import weight_files as weights
    from mlhw.vision.training.checkpoints import Checkpoints

    picture = io.BytesIO()
    Image.new("RGB", (2, 2)).save(picture, "png")
    torch.save({"w": torch.zeros(1)}, tmp_path / "w.pt")
    checkpoints = Checkpoints(tmp_path / "checkpoints")
    checkpoints.save(lambda: {"format": 1}, 1, None)

    torch.save({}, tmp_path / "w.pt")

    def signalled(*_: object, **__: object) -> None:
        raise Interrupted(signal.SIGTERM)

    monkeypatch.setattr(Image, "open", signalled)
    monkeypatch.setattr(torch, "load", signalled)
    for read in (
        lambda: images.decode_whole(picture.getvalue()),
        lambda: weights.read_tensors(tmp_path / "w.pt"),
        lambda: checkpoints.load_last(print),
    ):
        with pytest.raises(Interrupted):
            read()


def start(
    tmp_path: Path, *arguments: str, stdin: int = subprocess.DEVNULL
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [PROGRAM, *arguments],
        cwd=tmp_path,
        env={**os.environ, "MLHW_RUNS_DIR": "runs"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        stdin=stdin,
    )


def wait_for_rows(tmp_path: Path, count: int) -> Path:
    """The run folder, once its metrics hold ``count`` rows."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for file in tmp_path.glob("runs/2*/metrics.csv"):
            if file.read_bytes().count(b"\n") > count:
                return file.parent
        time.sleep(0.02)
    raise AssertionError("the run wrote no rows")


LONG = {
    # Many small blocks, one compiled loop after another.
    "sgd-sweep": ["--epochs", "1000000", "--no-plots", "-q"],
    "lr-sweep": ["--max-iterations", "10000000", "--tolerance", "0", "--no-plots", "-q"],
}


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("name", LONG)
def test_a_long_run_stops_at_once_keeps_its_rows_and_says_how_it_ended(
    tmp_path: Path, name: str, signum: signal.Signals
) -> None:
    process = start(tmp_path, name, *LONG[name])
    folder = wait_for_rows(tmp_path, 200)
    process.send_signal(signum)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 128 + signum
    assert b"Traceback" not in err
    assert b"finished rows are kept in" in err
    record = json.loads((folder / "run.json").read_text())
    assert (record["status"], record["exit_code"]) == ("interrupted", 128 + signum)
    with open(folder / "metrics.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert len({len(row) for row in rows}) == 1, "a torn row"
    assert len(rows) > 200
    assert out == b""


def test_a_terminal_that_is_closed_says_so_more_than_once(tmp_path: Path) -> None:
    process = start(tmp_path, "lr-sweep", *LONG["lr-sweep"])
    folder = wait_for_rows(tmp_path, 200)
    for _ in range(5):
        process.send_signal(signal.SIGHUP)
    process.communicate(timeout=30)
    assert process.returncode == 129
    assert json.loads((folder / "run.json").read_text())["status"] == "interrupted"


def test_under_nohup_a_closed_terminal_stops_nothing(tmp_path: Path) -> None:
    run = "lr-sweep -q --no-plots --no-check --max-iterations 100000 --tolerance 0 --etas 0.1"
    script = f"trap '' HUP; exec '{PROGRAM}' {run}"
    process = subprocess.Popen(
        ["sh", "-c", script],
        cwd=tmp_path,
        env={**os.environ, "MLHW_RUNS_DIR": "runs"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    folder = wait_for_rows(tmp_path, 200)
    process.send_signal(signal.SIGHUP)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, b"")
    assert json.loads((folder / "run.json").read_text())["status"] == "finished"


def test_a_signal_while_the_data_is_still_read_leaves_no_folder(tmp_path: Path) -> None:
    process = start(tmp_path, "lr-sweep", "--data", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(
        b"0 0 0\n" * 100_000
    )  # more than a pipe holds: waits until it is being read
    process.stdin.flush()
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.wait(timeout=30)
    _, err = process.communicate()
    assert process.returncode == 130
    assert err == b"error: interrupted by Ctrl-C\n"
    assert not (tmp_path / "runs").exists()


def test_on_a_terminal_a_bar_is_shown_and_nothing_of_it_reaches_the_log(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [PROGRAM, "lr-sweep", "--max-iterations", "20000", "--tolerance", "0", "--no-plots"],
        cwd=tmp_path,
        env={**os.environ, "MLHW_RUNS_DIR": "runs", "TERM": "xterm"},
        stdout=subprocess.DEVNULL,
        stderr=theirs,
        stdin=subprocess.DEVNULL,
    )
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert process.wait(timeout=60) == 0
    assert "━".encode() in shown
    assert b"\x1b[" in shown
    (log,) = tmp_path.glob("runs/2*/log.txt")
    assert "\x1b" not in log.read_text()
    assert "eta 0.5: 20000 iterations" in log.read_text()


def test_a_swallowed_signal_comes_again_with_the_next_line_row_or_report_of_progress(
    tmp_path: Path,
) -> None:
    from mlhw.system.screen import Screen

    screen = Screen(quiet=True)
    with pytest.raises(Interrupted) as caught, Interrupts() as interrupts:  # noqa: PT012
        with contextlib.suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(60)
        for call in (
            lambda: screen.log("a line"),
            lambda: screen.progress(1, 2, "work"),
            lambda: screen.warn("a warning"),
        ):
            with pytest.raises(Interrupted):
                call()
        try:
            with interrupts.hold():
                pass
        except Interrupted:
            # It is on its way: a clean-up is not torn.
            try:
                raise KeyError
            except KeyError:
                screen.log("cleaning up")
                with interrupts.hold():
                    pass
    # At the latest when the work is left, however that ends.
    assert caught.value.exit_code == 129


def test_what_an_interrupted_library_raises_is_not_the_reason() -> None:
    with pytest.raises(Interrupted) as caught, Interrupts():  # noqa: PT012
        with contextlib.suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(60)
        raise RuntimeError("Error evaluating objects")
    assert caught.value.exit_code == 143


def test_a_wakeup_descriptor_and_a_hook_of_others_are_put_back() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    before = signal.set_wakeup_fd(write)
    hook = sys.unraisablehook
    try:
        with Interrupts():
            assert signal.set_wakeup_fd(-1) not in (write, -1)
        assert signal.set_wakeup_fd(before) == write
        assert sys.unraisablehook is hook
    finally:
        signal.set_wakeup_fd(before)
        os.close(read)
        os.close(write)


def test_outside_the_main_thread_nothing_is_handled_and_nothing_is_raised() -> None:
    before = signal.getsignal(signal.SIGTERM)
    seen = []

    def work() -> None:
        with Interrupts() as interrupts, interrupts.hold(), interrupts.released():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_work_within_work_takes_the_signals_and_its_end_is_the_end_of_all() -> None:
    with Interrupts(), Interrupts() as inner:
        inner.ended(3)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(0.01)


def test_work_does_not_begin_within_work_that_has_swallowed_a_signal() -> None:
    with pytest.raises(Interrupted) as caught, Interrupts():  # noqa: PT012
        with contextlib.suppress(Interrupted):
            os.kill(os.getpid(), signal.SIGHUP)
            time.sleep(60)
        with Interrupts():
            pytest.fail("begun")
    assert caught.value.exit_code == 129
