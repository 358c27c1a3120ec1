"""Options that do something else than run the experiment."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from mlhw.commands.arguments import Action, Arguments
from mlhw.commands.main import main
from mlhw.errors import UsageError
from mlhw.experiments.lr_sweep import experiment as lr_sweep


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[tuple[str, Arguments]]:
    """lr-sweep with two actions; what they were called with."""
    calls: list[tuple[str, Arguments]] = []

    def take(value: str, arguments: Arguments) -> int:
        if value == "bad":
            raise UsageError("bad: is no run")
        calls.append((value, arguments))
        return 7

    monkeypatch.setattr(
        lr_sweep,
        "ACTIONS",
        [
            Action("--take-this", "FILE", "Take it.", take),
            Action("--resume", "RUN", "Go on with RUN.", take),
        ],
        raising=False,
    )
    monkeypatch.chdir(tmp_path)
    return calls


def test_an_action_is_called_instead_of_the_run_and_gives_the_exit_code(
    seen: list[tuple[str, Arguments]], tmp_path: Path
) -> None:
    assert main(["lr-sweep", "--take-this", "x.py"]) == 7
    assert [value for value, _ in seen] == ["x.py"]
    assert list(tmp_path.iterdir()) == []


def test_an_action_gets_what_else_stood_on_the_command_line(
    seen: list[tuple[str, Arguments]],
) -> None:
    assert (
        main(["lr-sweep", "--resume", "R", "--max-iterations", "9", "--json", "-s", "seed=3"]) == 7
    )
    arguments = seen[0][1]
    assert arguments.options.json
    assert not arguments.print_config
    assert arguments.keys == {"--max-iterations": (("max_iterations",), 9)}
    config = arguments.config(lr_sweep.Config)
    assert (config.max_iterations, config.seed) == (9, 3)


def test_an_action_stands_in_the_help_and_not_in_the_configuration(
    seen: list[tuple[str, Arguments]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--help"]) == 0
    assert "--take-this FILE" in capsys.readouterr().out
    assert main(["lr-sweep", "--print-config"]) == 0
    assert "take" not in capsys.readouterr().out


def test_errors_of_an_action_are_plain_lines(
    seen: list[tuple[str, Arguments]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--resume", "bad", "--json"]) == 2
    output = capsys.readouterr()
    assert output.err == "error: bad: is no run\n"
    assert json.loads(output.out) == {"error": ["bad: is no run"]}


def test_two_actions_at_once_are_refused(
    seen: list[tuple[str, Arguments]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["lr-sweep", "--resume", "R", "--take-this", "x"]) == 2
    assert "--take-this and --resume: only one can be given" in capsys.readouterr().err
    assert seen == []
