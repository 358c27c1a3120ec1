"""What is typed does something or is refused; what stands in a file may do nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlhw.commands.main import main
from mlhw.config.load import as_yaml, from_keywords, load_config
from mlhw.config.model import leaves
from mlhw.errors import ConfigError
from mlhw.vision.config import Config
from mlhw.vision.idle_keys import idle_keys
from tests.conftest import Mlhw

FROZEN = ["--unfreeze-at", "null"]

IDLE = [
    (["--backbone-lr", "1e-4", *FROZEN], "--backbone-lr", "the backbone stays frozen"),
    (["--find-lr", *FROZEN], "--find-lr", "the backbone stays frozen"),
    (["--layer-decay", "0.5", *FROZEN], "--layer-decay", "unfreeze_at is null"),
    (["--unfreeze-stages", "2", *FROZEN], "--unfreeze-stages", "the backbone stays frozen"),
    (["--batch-norm", "train", *FROZEN], "--batch-norm", "the backbone stays frozen"),
    (
        ["--unfreeze-at", "5", "--epochs", "5"],
        "--unfreeze-at",
        "there are 5 epochs, counted from 0",
    ),
    (["--momentum", "0.5"], "--momentum", "adamw has none; it is sgd's (--optim sgd)"),
    (["--momentum", "0.9"], "--momentum", "adamw has none"),
    (["--nesterov"], "--nesterov", "adamw has no momentum"),
    (["--optim", "sgd", "--momentum", "0", "--nesterov"], "--nesterov", "optim.momentum is 0"),
    (["--features", "disk", "--unfreeze-at", "0"], "--features", "no epoch has a frozen backbone"),
    (["--views", "2"], "--views", "the images are not changed"),
    (["--views", "2", "--augment", "flip", "--features", "off"], "--views", "features is off"),
    (
        ["--views", "2", "--augment", "flip", "--unfreeze-at", "0"],
        "--views",
        "no epoch has a frozen",
    ),
    (["--download"], "--download", "digits is not fetched from anywhere"),
    (["--on-error", "skip"], "--on-error", "digits has no files of images"),
    (["--resident"], "--resident", "digits is in memory in any case"),
    (["--fold", "1"], "--fold", "there are no folds"),
    (["--folds", "3", "--val", "9"], "--val", "validation is one of 3 folds"),
    (["--image-root", "."], "--image-root", "digits is no list of images"),
    (["--group", "x"], "--group", "digits is no list of images"),
    (["--max-skipped", "0.1"], "--max-skipped", "no image is skipped"),
]


def options_and_sets(words: list[str]) -> tuple[dict[str, str | bool], list[str]]:
    """Words of a command line by option, and the same as items of ``--set``."""
    keys = {leaf.option: leaf.key for leaf in leaves(Config) if leaf.has_option}
    given: dict[str, str | bool] = {}
    for word, after in zip(words, [*words[1:], "--"], strict=True):
        if word.startswith("--"):
            given[word] = True if after.startswith("--") else after
    return given, [f"{keys[o]}={str(v).lower()}" for o, v in given.items()]


@pytest.mark.parametrize(("words", "option", "reason"), IDLE)
def test_an_option_that_would_do_nothing_is_refused_with_the_reason(
    words: list[str], option: str, reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["finetune", "--print-config", *words]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {option}: would do nothing: ")
    assert reason in line


def test_so_is_a_picture_where_nothing_is_drawn(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["finetune", "--explain", "2", "--no-plots", "--print-config"]) == 2
    line = "error: --explain: would do nothing: nothing is drawn (--no-plots)\n"
    assert capsys.readouterr().err == line
    assert main(["finetune", "--explain", "2", "--print-config"]) == 0


@pytest.mark.parametrize(("words", "option", "reason"), IDLE)
def test_so_is_what_is_set_and_a_file_may_hold_it(
    words: list[str], option: str, reason: str, tmp_path: Path
) -> None:
    given, sets = options_and_sets(words)
    with pytest.raises(ConfigError, match="would do nothing"):
        load_config(Config, None, sets)
    file = tmp_path / "saved.yaml"
    lines = [f"{item.replace('=', ': ')}\n" for item in sets]
    text = "".join(line for line in lines if "." not in line.partition(":")[0])
    for section in ("optim", "data"):
        inner = [line for line in lines if line.startswith(f"{section}.")]
        text += f"{section}:\n" if inner else ""
        text += "".join(f"  {line.removeprefix(section + '.')}" for line in inner)
    file.write_text(text)
    config = load_config(Config, str(file))
    assert option in given
    assert [why for _, why in idle_keys(config) if reason.partition(" (")[0] in why]


@pytest.mark.parametrize(
    "words",
    [
        ["--backbone-lr", "null", *FROZEN],
        ["--no-nesterov"],
        ["--features", "off", "--unfreeze-at", "0"],
        ["--views", "0"],
        ["--backbone-lr", "1e-4"],
        ["--optim", "sgd", "--momentum", "0.5", "--nesterov"],
        ["--data", "cifar10", "--download"],
        ["--data", "folder:photos", "--on-error", "skip", "--resident"],
        ["--set", "optim={lr: 0.1}", *FROZEN],
    ],
    ids=" ".join,
)
def test_what_does_something_or_asks_for_nothing_is_taken(words: list[str]) -> None:
    assert main(["finetune", "--print-config", *words]) == 0


def test_a_saved_configuration_runs_again_with_other_options(mlhw: Mlhw, tmp_path: Path) -> None:
    keys = {"optim": {"name": "sgd", "nesterov": True}, "views": 3, "augment": "flip"}
    saved = from_keywords(Config, keys | {"unfreeze_stages": 2})
    (tmp_path / "saved.yaml").write_text(as_yaml(saved))
    words = ["--optim", "adamw", "--augment", "none", *FROZEN, "--set", "optim={lr: 0.1}"]
    done = mlhw("finetune", "-c", "saved.yaml", "--print-config", *words)
    assert done.returncode == 0, done.stderr
    assert "views: 3" in done.stdout
    refused = mlhw("finetune", "-c", "saved.yaml", "--print-config", *words, "--views", "2")
    assert refused.stderr == (
        "error: --views: would do nothing: the images are not changed (augment is none)\n"
    )


def test_options_are_called_as_timm_calls_them(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--wd", "0.05", "-b", "128", "-j4", "--print-config"]
    assert main(["finetune", *words]) == 0
    out = capsys.readouterr().out
    assert "weight_decay: 0.05" in out
    assert "batch_size: 128" in out
    assert "workers: 4" in out
    assert main(["finetune", "-b", "few"]) == 2
    assert "--batch-size: must be a whole number (got few)" in capsys.readouterr().err
