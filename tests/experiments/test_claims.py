"""Every claim can fail: tampered data or a tampered formula turns it and the exit code."""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import tempfile
from types import ModuleType
from typing import Any

import pytest

from mlhw.commands.main import main
from mlhw.experiments.registry import EXPERIMENTS, experiment, module_name

ALL = [(name, id) for name in EXPERIMENTS for id in experiment(name).claims.ids]


def tampering(name: str) -> ModuleType:
    return importlib.import_module(f"tests.tampering.{module_name(name)}")


def verdicts(name: str, options: tuple[str, ...]) -> tuple[int, dict[str, Any]]:
    """Exit code and verdict by claim of a run with these options."""
    shown = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(shown):
        code = main([name, *options, "--runs-dir", folder, "--no-plots", "--json"])
    found = json.loads(shown.getvalue())
    assert "error" not in found, found["error"]
    return code, {claim["id"]: claim["verdict"] for claim in found["claims"]}


untouched = functools.cache(verdicts)
"""One run for all claims that need the same options."""


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_claim_has_a_tampering_that_makes_it_fail(name: str) -> None:
    assert set(tampering(name).TAMPERINGS) == set(experiment(name).claims.ids)


@pytest.mark.parametrize(("name", "id"), ALL, ids=[f"{name}:{id}" for name, id in ALL])
def test_a_claim_holds_untouched_and_fails_when_tampered_with(
    name: str, id: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tampering(name)
    options = tuple(getattr(module, "COMMANDS", {}).get(id, module.COMMAND))
    code, before = untouched(name, options)
    assert (code, before[id]) == (0, "holds")
    module.TAMPERINGS[id](monkeypatch)
    code, after = verdicts(name, options)
    assert (code, after[id]) == (3, "fails")
