"""Paths behind a prefix, and fields that hold a name or a path."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import pytest

from mlhw.config.load import load_config as load
from mlhw.config.model import ExperimentConfig, InputFile
from mlhw.errors import ConfigError


class Model(ExperimentConfig):
    data: Annotated[str, InputFile(prefixes=("folder:", "csv:"))] = "digits"
    weights: Annotated[str, InputFile(or_name=True)] = "default"
    file: Annotated[str, InputFile] = ""


def test_a_path_behind_a_prefix_is_relative_to_the_file_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "conf").mkdir()
    file = tmp_path / "conf" / "a.yaml"
    file.write_text("data: folder:../images\nweights: w/net.pth\nfile: points\n")
    config = load(Model, str(file))
    assert config.data == f"folder:{tmp_path}{os.sep}images"
    assert config.weights == str(tmp_path / "conf" / "w" / "net.pth")
    assert config.file == str(tmp_path / "conf" / "points")


def test_names_stay_names_and_options_are_relative_to_the_working_directory() -> None:
    config = load(Model, sets=["data=mnist", "weights=IMAGENET1K_V1"])
    assert (config.data, config.weights) == ("mnist", "IMAGENET1K_V1")
    config = load(Model, sets=["data='csv:labels.csv'", "weights=net.pth"])
    assert config.data == "csv:" + os.path.abspath("labels.csv")
    assert config.weights == os.path.abspath("net.pth")


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ("LR-sweep", ", did you mean 'lr-sweep'?"),
        ("lr_sweep", ", did you mean 'lr-sweep'?"),
        ("smoke/lr-swep", ", did you mean 'smoke/lr-sweep'?"),
        ("smoke/lr-sweep.yaml", ", did you mean 'smoke/lr-sweep'?"),
        ("smoke", " (these come with mlhw: smoke/all, "),
        ("smoke/", " (these come with mlhw: smoke/all, "),
        ("mine.yml", ", did you mean 'mine.yaml'?"),
        ("nothing-like-it", "no such file"),
    ],
)
def test_a_configuration_that_is_not_there_is_looked_for_among_those_that_come_with_mlhw(
    typed: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text("seed: 1\n")
    with pytest.raises(ConfigError, match=f"^{typed}: no such file") as caught:
        load(ExperimentConfig, typed)
    assert words in str(caught.value)
