"""Help: the terminal's whole width, options in groups, examples that work, mathematics as it is written."""

from __future__ import annotations

import importlib
import re
import shlex
from collections.abc import Callable
from typing import Any

import pytest
import typer

from mlhw.commands.configurable import ALL, configuration_of
from mlhw.commands.main import TOOLS, build_app, main
from mlhw.commands.options import as_typed, key_value, with_values
from mlhw.commands.run import command_of
from mlhw.config.layers import Layers
from mlhw.config.load import resolve
from mlhw.config.model import leaves
from mlhw.experiments.registry import EXPERIMENTS, experiment

COMMANDS = [*([name] for name in (*EXPERIMENTS, *TOOLS)), *(["runs", w] for w in ("list", "show"))]
COMMANDS += [["runs", word] for word in ("compare", "rerun", "export", "clean")]
WORDS = [" ".join(words) for words in COMMANDS]

Help = Callable[..., str]


@pytest.fixture
def help_of(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Help:
    def show(words: str, columns: int = 80) -> str:
        monkeypatch.setenv("COLUMNS", str(columns))
        assert main([*words.split(), "--help"]) == 0
        return capsys.readouterr().out

    return show


def headings(text: str) -> list[str]:
    return re.findall(r"^(\w[\w ]*):$", text, re.M)


@pytest.mark.parametrize("words", ["", *WORDS])
def test_help_fits_the_terminal_and_breaks_no_word(help_of: Help, words: str) -> None:
    narrow, wide = help_of(words, 80), help_of(words, 300)
    assert max(map(len, narrow.splitlines())) <= 80
    assert len(wide.splitlines()) <= len(narrow.splitlines())
    # The same words in the same order, however they are laid out.
    assert narrow.split() == wide.split()


def test_a_wide_terminal_is_used(help_of: Help) -> None:
    long = [line for line in help_of("finetune", 300).splitlines() if len(line) > 120]
    assert any(
        "full rate of the backbone" in line and line.endswith("[default: auto]") for line in long
    )


@pytest.mark.parametrize("words", ["", *WORDS])
def test_no_type_of_python_and_no_bracket_of_the_parser_shows(help_of: Help, words: str) -> None:
    text = help_of(words)
    assert not re.search(
        r"<[a-z|\[\] ]+>|\bstr\b|list\[|int range|\{[A-Z]|x>=|Optional|None\b", text
    )


@pytest.mark.parametrize("name", [*EXPERIMENTS, ALL])
def test_options_stand_in_groups_the_output_last(help_of: Help, name: str) -> None:
    text = help_of(name)
    groups = headings(text)
    assert groups[-3:] == ["Configuration", "Output", "Examples"]
    assert "Options" not in groups
    output = text.partition("\nOutput:\n")[2].partition("\nExamples:\n")[0]
    assert all(option in output for option in ("--json", "--no-plots", "--no-progress", "--help"))


def test_data_and_training_have_groups_of_their_own(help_of: Help) -> None:
    for name, option in (("lr-sweep", "--max-iterations"), ("finetune", "--epochs")):
        data, _, rest = help_of(name).partition("\nTraining:\n")
        assert "\nData:\n" in data
        assert "--data " in data.partition("\nData:\n")[2]
        assert option in rest.partition("\n\n")[0]


@pytest.mark.parametrize("name", [*EXPERIMENTS, ALL])
def test_what_a_key_means_is_told_as_it_is_written(help_of: Help, name: str) -> None:
    """``t`` stays t and ``z`` stays z: no first letter is made a capital."""
    text = " ".join(help_of(name, 400).split())
    for leaf in leaves(configuration_of(name)):
        if leaf.has_option:
            assert f" {' '.join(leaf.description.split())}" in text, leaf.key


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_default_is_shown_as_one_would_type_it(name: str) -> None:
    """What the help shows, given to the option, is the default again."""
    model = configuration_of(name)
    usual, typed = resolve(Layers(model)), 0
    for leaf in leaves(model):
        shown = as_typed(leaf) if leaf.has_option else ""
        assert not re.search(r"\[|None|True|False|\.0\b|e-0", shown), leaf.key
        if shown not in ("", "none") and not shown.startswith("--"):
            layers = Layers(model)
            layers.add_option(leaf.option, leaf.path, key_value(leaf, shown))
            assert resolve(layers) == usual, leaf.key
            typed += 1
    assert typed


def test_a_default_stays_on_one_line(help_of: Help) -> None:
    for name in EXPERIMENTS:
        assert not re.search(r"default:$", help_of(name, 80), re.M)


def test_help_is_a_command_too(capsys: pytest.CaptureFixture[str]) -> None:
    for words in ([], ["lr-sweep"], ["runs"], ["runs", "list"]):
        assert main([*words, "--help"]) == 0
        asked = capsys.readouterr().out
        places = [0, 1] if words[:1] == ["runs"] else [0]
        for place in places:  # mlhw runs help list is the same as mlhw help runs list
            assert main([*words[:place], "help", *words[place:]]) == 0
            assert capsys.readouterr().out == asked
    assert main(["help", "lr-swep"]) == 2
    assert capsys.readouterr().err == (
        "error: no such command 'lr-swep', did you mean 'lr-sweep'?\n"
    )


def examples_of(words: list[str], text: str) -> list[str]:
    lines = text.partition("\nExamples:\n")[2].splitlines()
    return [re.split(r"\s{2,}", line.strip())[0] for line in lines if "mlhw" in line]


def parsed(line: str) -> Any:
    """The context of a command line: its words parsed by the command that it names, and nothing run."""
    words = shlex.split(line, comments=True)
    words = words[words.index("mlhw") + 1 :]
    for stop in ("|", ">"):
        words = words[: words.index(stop)] if stop in words else words
    name, *rest = words
    if name in EXPERIMENTS:
        command = command_of(experiment(name), without=("junit",))
        rest = with_values(rest, [a.option for a in experiment(name).actions if a.may_be_alone])
    else:
        command = importlib.import_module(TOOLS[name][0]).command()
    if name == "runs":
        command, rest = command.commands[rest[0]], rest[1:]
    return command.make_context(name, [*rest])


@pytest.mark.parametrize("words", COMMANDS, ids=WORDS)
def test_help_shows_two_or_three_examples_that_the_command_takes(
    help_of: Help, words: list[str]
) -> None:
    if words == ["runs"]:
        return
    lines = examples_of(words, help_of(" ".join(words), 200))
    assert 2 <= len(lines) <= 3
    for line in lines:
        # A quoted substitution is a command line too.
        inner = re.search(r"\$\((mlhw [^)]*)\)", line)
        context = parsed(inner[1] if inner else line)
        assert not isinstance(context, typer.TyperException)
        assert context.info_name in (words[0], "init")
        assert not context.args


def test_an_experiment_without_examples_of_its_own_has_the_usual_ones(
    monkeypatch: pytest.MonkeyPatch, help_of: Help
) -> None:
    module = experiment("lr-sweep").part("experiment")
    monkeypatch.delattr(module, "EXAMPLES")
    assert examples_of([], help_of("lr-sweep", 200)) == [
        "mlhw lr-sweep",
        "mlhw init lr-sweep my.yaml",
        "mlhw lr-sweep -c my.yaml --name mine",
    ]


def test_an_example_with_an_option_that_there_is_not_would_be_found() -> None:
    with pytest.raises(typer.TyperException, match="No such option"):
        parsed("mlhw lr-sweep --rates 0.1")


def test_every_command_of_the_list_can_be_made() -> None:
    listed = typer.main.get_command(build_app()).commands  # type: ignore[attr-defined]
    assert list(listed) == [*EXPERIMENTS, *TOOLS]
    for module, line in TOOLS.values():
        assert line.endswith(".")
        assert importlib.import_module(module).command().get_params
