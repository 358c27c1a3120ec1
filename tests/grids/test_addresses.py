"""What stands behind an engine's name."""

from __future__ import annotations

from typing import Any

import pytest

from mlhw.errors import ConfigError
from mlhw.grids.addresses import count, number, split, word
from mlhw.grids.engines import ray, slurm
from mlhw.grids.tasks import Site

KEYS = {"time": count, "mem_gb": number, "partition": word}


def test_a_place_and_values() -> None:
    assert split("x", None, KEYS).values == {}
    found = split("x", "local,time=5,mem_gb=0.5,partition=a-b", KEYS)
    assert (found.place, found.values) == ("local", {"time": 5, "mem_gb": 0.5, "partition": "a-b"})
    assert split("x", "time=5", KEYS).place == ""


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(ConfigError) as error:
        split("x", "local,tim=5,time=0,mem_gb=nan,partition=a b,partition=$(x)", KEYS)
    assert error.value.lines == (
        "--engine x: unknown 'tim', did you mean 'time'?",
        "--engine x: time=0: must be a whole number from 1 on",
        "--engine x: mem_gb=nan: must be a number from 0 on",
        "--engine x: partition=a b: must be a word",
        "--engine x: partition=$(x): must be a word",
    )


@pytest.mark.parametrize(
    ("engine", "line"),
    [
        (ray, "--engine ray: Ray is not installed; pip install 'mlhw[ray]'"),
        (slurm, "--engine slurm: submitit is not installed; pip install 'mlhw[slurm]'"),
    ],
)
def test_what_is_not_installed_is_told_with_the_command_that_does(
    engine: Any, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda _: None)
    with pytest.raises(ConfigError) as error:
        engine.open_engine(None, Site(1, "cpu", 1, "1"))
    assert error.value.lines == (line,)


def test_a_card_by_its_number_is_not_what_a_worker_sees() -> None:
    pytest.importorskip("ray", reason="Ray is not installed (mlhw[ray])")
    with pytest.raises(ConfigError, match="not cuda:1, but cuda"):
        ray.open_engine(None, Site(1, "cuda:1", 1, "1"))
