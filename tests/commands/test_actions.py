"""Options that do something else than run the experiment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mlhw.commands.main import main
from mlhw.errors import UsageError
from mlhw.experiments.actions import Action, Done
from mlhw.experiments.lr_sweep import experiment as lr_sweep
from mlhw.result.recorder import Recorder


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Any]]:
    """lr-sweep with two actions; what they were called with."""
    calls: list[tuple[str, Any]] = []

    def take(value: str, config: Any, recorder: Recorder) -> Done:
        if value == "bad":
            raise UsageError("bad: is no file")
        recorder.log("looking")
        recorder.warn("it is late")
        calls.append((value, config))
        return Done(f"took {value}", {"took": value})

    monkeypatch.setattr(
        lr_sweep,
        "ACTIONS",
        [
            Action("--take-this", "FILE", "Take it.", take),
            Action("--take-that", "[FILE]", "Take that.", take, may_be_alone=True),
        ],
        raising=False,
    )
    monkeypatch.chdir(tmp_path)
    return calls


def test_an_action_is_called_instead_of_the_run_and_says_what_it_did(
    seen: list[tuple[str, Any]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--take-this", "x.py"]) == 0
    assert capsys.readouterr().out == "took x.py\n"
    assert [value for value, _ in seen] == ["x.py"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "value"),
    [
        (["--take-that"], ""),
        (["--take-that", "--seed", "3"], ""),
        (["--take-that", "x.py"], "x.py"),
        (["--take-that=x.py"], "x.py"),
    ],
)
def test_an_action_may_stand_alone(
    seen: list[tuple[str, Any]], words: list[str], value: str
) -> None:
    assert main(["lr-sweep", *words]) == 0
    assert [given for given, _ in seen] == [value]


def test_what_an_action_says_while_it_works_is_on_the_screen(
    seen: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--take-this", "x.py"]) == 0
    assert capsys.readouterr().err == "looking\nwarning: it is late\n"
    assert main(["lr-sweep", "--take-this", "x.py", "--quiet"]) == 0
    assert capsys.readouterr().err == "warning: it is late\n"


def test_with_json_an_action_prints_one_object(
    seen: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--take-this", "x.py", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"took": "x.py"}


def test_an_action_gets_the_configuration_of_the_whole_command_line(
    seen: list[tuple[str, Any]],
) -> None:
    assert main(["lr-sweep", "--take-that", "R", "--max-iterations", "9", "-s", "seed=3"]) == 0
    config = seen[0][1]
    assert isinstance(config, lr_sweep.Config)
    assert (config.max_iterations, config.seed) == (9, 3)


def test_an_action_stands_in_the_help_and_not_in_the_configuration(
    seen: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--help"]) == 0
    assert "--take-this FILE" in capsys.readouterr().out
    assert main(["lr-sweep", "--print-config"]) == 0
    assert "take" not in capsys.readouterr().out


def test_errors_of_an_action_are_plain_lines(
    seen: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--take-that", "bad", "--json"]) == 2
    output = capsys.readouterr()
    assert output.err == "error: bad: is no file\n"
    assert json.loads(output.out) == {"error": ["bad: is no file"]}


def test_two_actions_at_once_are_refused(
    seen: list[tuple[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--take-that", "R", "--take-this", "x"]) == 2
    assert "--take-this and --take-that: only one can be given" in capsys.readouterr().err
    assert seen == []


def test_only_an_experiment_that_says_so_can_be_resumed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["lr-sweep", "--resume", "R"]) == 2
    assert "no such option: --resume" in capsys.readouterr().err
    monkeypatch.setattr(lr_sweep, "RESUMABLE", True, raising=False)
    assert main(["lr-sweep", "--resume", "R", "--max-iterations", "9"]) == 2
    assert "leave --max-iterations out" in capsys.readouterr().err
    assert main(["lr-sweep", "--resume", "R"]) == 2
    assert "no run 'R' in runs" in capsys.readouterr().err
