"""Wrong words on a command line: what was meant is named, by one rule for all, or nothing is."""

from __future__ import annotations

import pytest

from mlhw.commands.main import main
from mlhw.config.model import Synonyms, leaves
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.text.words import nearest


def line_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """The one line of an error of usage."""
    assert main(arguments) == 2
    found = capsys.readouterr()
    assert found.out == ""
    (line,) = found.err.splitlines()
    return line.removeprefix("error: ")


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["--lr", "0.5"], "no such option: --lr, did you mean --etas?"),
        (["--learning-rate=0.5"], "no such option: --learning-rate, did you mean --etas?"),
        (["--learning_rates", "1"], "no such option: --learning_rates, did you mean --etas?"),
        (["--learningrate", "1"], "no such option: --learningrate, did you mean --etas?"),
        (["-lr", "0.5"], "no such option: -lr, did you mean --etas?"),
        (["--max_iterations", "3"], "no such option: --max_iterations, did you mean --max-iter"),
        (["--data.name", "iris"], "no such option: --data.name, did you mean --data?"),
        (["--hlp"], "no such option: --hlp, did you mean --help?"),
        (["--open"], "no such option: --open"),
        (["--zzz"], "no such option: --zzz"),
        (["-z"], "no such option: -z"),
        (["--set", "lr=1"], "--set: unknown key 'lr', did you mean 'etas'?"),
        (["--set", "learning_rate=1"], "--set: unknown key 'learning_rate', did you mean 'etas'?"),
        (["--set", "learning-rates=1"], "--set: unknown key 'learning-rates', did you mean 'etas'"),
    ],
)
def test_a_sweeps_rates_are_found_by_their_other_names_and_nothing_else_is_guessed(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    for name in ("lr-sweep", "sgd-sweep"):
        if name == "sgd-sweep" and "--max_iterations" in arguments:
            continue
        found = line_of(capsys, name, *arguments)
        assert found.startswith(line)
        assert ("did you mean" in found) == ("did you mean" in line)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["finetune", "--set", "lr=1"], "unknown key 'lr', did you mean 'optim.lr'?"),
        (["finetune", "--set", "hidden=64"], "unknown key 'hidden', did you mean 'head.hidden'?"),
        (["finetune", "--optim-lr", "1"], "no such option: --optim-lr, did you mean --lr?"),
        (["finetune", "--optim.lr=1"], "no such option: --optim.lr, did you mean --lr?"),
        (["backprop-check", "--output", "sigmoid"], "did you mean 'logistic'?"),
        (["backprop-check", "--hidden", "tanh,sigmoid"], "did you mean 'logistic'?"),
        (["backprop-check", "--loss", "mse"], "did you mean 'half_squared_error'?"),
        (["lr_sweep"], "no such command 'lr_sweep', did you mean 'lr-sweep'?"),
        (["runs", "lst"], "no such command 'lst', did you mean 'list'?"),
        (
            ["runs", "xyzzy"],
            "no such command 'xyzzy' (commands: list, show, compare, rerun, export, verify, clean)",
        ),
        (["runs", "list", "--jsn"], "no such option: --jsn, did you mean --json?"),
        (["--verson"], "no such option: --verson, did you mean --version?"),
    ],
)
def test_keys_options_values_and_commands_are_suggested_by_the_same_rule(
    capsys: pytest.CaptureFixture[str], arguments: list[str], line: str
) -> None:
    assert line in line_of(capsys, *arguments)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_other_name_of_a_key_leads_to_it(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    model = experiment(name).Config
    keys = {leaf.key for leaf in leaves(model)}
    for leaf in leaves(model):
        mark = leaf.marked(Synonyms)
        for word in mark.names if mark is not None else ():
            assert word not in keys
            assert f"did you mean '{leaf.key}'?" in line_of(capsys, name, "--set", f"{word}=1")
            option = "--" + word.replace("_", "-")
            assert line_of(capsys, name, option, "1").endswith(f"did you mean {leaf.option}?")


def test_the_dashes_before_options_make_no_two_of_them_alike() -> None:
    assert nearest("--open", ["--json", "--name"]) is None
    assert nearest("--JSN", ["--json"]) == "--json"
    assert nearest("lr", ["etas"], {"lr": "etas"}) == "etas"
    assert nearest("etas", ["etas"], {"etas": "other"}) == "etas"


# ---------------------------------------------------------------- lists with blanks


@pytest.mark.parametrize(
    ("words", "before", "close", "quoted"),
    [
        (["--etas", "0.5,", "0.3"], "0.3", "0.5,0.3", "'0.5, 0.3'"),
        (["--etas", "0.5", ",0.3"], ",0.3", "0.5,0.3", "'0.5, 0.3'"),
        (["--etas=0.5,", "0.3,", "0.1"], "0.3,", "0.5,0.3,0.1", "'0.5, 0.3, 0.1'"),
        (["--etas", "0.5", "0.3"], "0.3", "0.5,0.3", "'0.5, 0.3'"),
        (["--etas", "[0.5,", "0.3]"], "0.3]", "0.5,0.3", "'0.5, 0.3'"),
        (["-q", "--w0", "0,", "-1,", "0"], "-1,", "0,-1,0", "'0, -1, 0'"),
        (["-s", "etas=[0.5,", "0.3]"], "0.3]", "'etas=[0.5,0.3]'", "'etas=[0.5, 0.3]'"),
    ],
)
def test_a_list_that_a_blank_splits_is_named_with_two_ways_to_write_it(
    capsys: pytest.CaptureFixture[str], words: list[str], before: str, close: str, quoted: str
) -> None:
    option = next(word for word in words if word != "-q").partition("=")[0]
    found = line_of(capsys, "lr-sweep", *words, "--print-config")
    assert found == (
        f"{option}: the blank before {before} ends the list; write {option} {close} or {option} {quoted}"
    )
    for way in (close, quoted):
        assert main(["lr-sweep", option, way.strip("'"), "--print-config"]) == 0
    capsys.readouterr()


def test_a_stray_word_that_belongs_to_no_list_is_only_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for words in (["extra"], ["--max-iterations", "3", "extra"], ["--json", "extra"]):
        assert main(["lr-sweep", *words]) == 2
        assert "got unexpected extra argument" in capsys.readouterr().err
