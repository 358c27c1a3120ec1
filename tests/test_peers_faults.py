"""``bench/peers_faults.py`` tells what went on from what began anew, broke, or went wrong in silence."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.conftest import ROOT


@pytest.fixture(scope="module")
def peers() -> Iterator[ModuleType]:
    sys.path.insert(0, str(ROOT / "bench"))
    import peers_faults

    yield peers_faults
    sys.path.remove(str(ROOT / "bench"))


def job(peers: ModuleType, code: int = 0, err: str = "", **found: Any) -> Any:
    return peers.Job(Path("run"), code=code, err=err, found=found)


def test_a_resume_goes_on_or_begins_anew_or_cannot(peers: ModuleType) -> None:
    jobs = [
        job(peers, began=2),
        job(peers, began=0),
        job(peers, 1, "Traceback\n  File x\nOSError: run/last.pt: no\n"),
        job(peers, 2, "error: refused"),
    ]
    assert [peers.resumed(one) for one in jobs] == ["went on", "began anew", "error", "error"]
    assert peers.outcomes(jobs) == {
        "injected": 4,
        "went on": 1,
        "began anew": 1,
        "error": 2,
        "errors": {"OSError: FOLDER/last.pt: no": 1, "error: refused": 1},
    }
    assert [peers.of_two(one) for one in jobs[1:]] == ["went on", "broke", "refused"]


def test_a_flipped_bit_is_noticed_or_has_no_effect_or_other_weights(peers: ModuleType) -> None:
    clean = job(peers, began=2, digest="a")
    flips = [job(peers, 1), job(peers, digest="a"), job(peers, digest="b"), job(peers, digest="b")]
    assert peers.flips_seen([job(peers, err="warning: last.pt is damaged", digest="a")], clean)[
        "said"
    ]
    seen = peers.flips_seen(flips, clean)
    assert seen == {"injected": 4, "noticed": 1, "same": 1, "said": 0, "other": 2}


def test_a_bit_is_counted_over_all_files(peers: ModuleType) -> None:
    files = [(Path("a"), 2), (Path("b"), 3)]
    found = [peers._at(files, bit) for bit in (0, 15, 16, 39)]
    assert found == [(Path("a"), 0), (Path("a"), 15), (Path("b"), 0), (Path("b"), 23)]


def test_a_temporary_file_is_counted_whatever_its_process(peers: ModuleType) -> None:
    assert peers.generic("checkpoints/.last.pt.4711.tmp") == ".last.pt.PID.tmp"
    assert peers.generic("checkpoint-24.pth.tar") == "checkpoint-24.pth.tar"
