"""``mlhw init`` and ``mlhw schema``: configurations that say what they hold, and what may stand in them."""

from __future__ import annotations

import json
import resource
import shlex
import signal
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from mlhw.commands.configurable import ALL, configuration_of
from mlhw.commands.main import main
from mlhw.config.files import shipped_schema
from mlhw.config.load import load_config
from mlhw.config.model import leaves
from mlhw.experiments.registry import EXPERIMENTS
from mlhw.text import yaml12
from tests.conftest import ROOT

NAMES = [*EXPERIMENTS, ALL]
MODELINE = "# yaml-language-server: $schema="
SHIPPED = sorted((ROOT / "configs").rglob("*.yaml"))


def schema_of(name: str) -> Any:
    path = shipped_schema(name)
    assert path is not None
    return json.loads(path.read_text())


def valid(name: str, text: str) -> bool:
    """Whether the schema takes a configuration written in YAML."""
    value, _ = yaml12.parse(text, "x.yaml")
    return bool(jsonschema.Draft7Validator(schema_of(name)).is_valid(value))


@pytest.mark.parametrize("name", NAMES)
def test_init_writes_every_key_at_its_default_with_what_it_means(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", name]) == 0
    text = (tmp_path / f"{name}.yaml").read_text()
    model = configuration_of(name)
    assert load_config(model, f"{name}.yaml") == model()
    assert max(map(len, text.splitlines()[1:])) <= 100  # the first has the path of the schema
    comments = " ".join(" ".join(line.partition("#")[2] for line in text.splitlines()).split())
    for leaf in leaves(model):
        assert " ".join(leaf.description.split()) in comments, leaf.key
    assert valid(name, text)
    head = text.splitlines()[0]
    assert head.startswith(MODELINE)
    assert Path(head.removeprefix(f"{MODELINE}file://")) == shipped_schema(name)


def test_init_writes_over_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text("max_iterations: 7\n")
    assert main(["init", "lr-sweep", "mine.yaml"]) == 2
    assert capsys.readouterr().err == (
        "error: mine.yaml: is there already and stays as it is; give another name\n"
    )
    assert (tmp_path / "mine.yaml").read_text() == "max_iterations: 7\n"
    assert main(["init", "lr-sweep", "no/such.yaml"]) == 2
    assert "no/such.yaml: cannot be written: no such file" in capsys.readouterr().err
    assert main(["init", "lr-swep"]) == 2
    assert "did you mean 'lr-sweep'?" in capsys.readouterr().err
    assert main(["init", "lr-sweep", "-"]) == 0
    assert "max_iterations: 500" in capsys.readouterr().out
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.yaml"]


def test_a_key_that_is_null_in_a_shipped_file_is_read(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["all", "-c", str(ROOT / "configs" / "all.yaml"), "--print-config"]) == 0
    assert "seed: null" in capsys.readouterr().out


# ---------------------------------------------------------------- schemas


@pytest.mark.parametrize("name", NAMES)
def test_the_schemas_that_come_with_mlhw_are_those_of_the_models(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shipped_schema(name)
    assert path == ROOT / "configs" / "schemas" / f"{name}.json"
    assert main(["schema", name]) == 0
    assert path.read_text() == capsys.readouterr().out, "run: python docs/generate.py"
    jsonschema.Draft7Validator.check_schema(schema_of(name))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(ROOT / "configs")))
def test_a_shipped_configuration_names_its_schema_and_keeps_to_it(path: Path) -> None:
    """A relative path: in a clone and in a wheel the two folders lie alike."""
    head, text = path.read_text().partition("\n")[0], path.read_text()
    assert head.startswith(MODELINE)
    schema = (path.parent / head.removeprefix(MODELINE)).resolve()
    assert schema == shipped_schema(schema.stem)
    assert path.stem.startswith(schema.stem)
    jsonschema.validate(yaml12.parse(text, str(path))[0], json.loads(schema.read_text()))


@pytest.mark.parametrize(
    ("name", "text", "is_valid"),
    [
        ("lr-sweep", "etas: [0.5, 0.1]", True),
        ("lr-sweep", "etas: 0.01:1:log9", True),
        ("lr-sweep", "etas: {a: 1}", False),
        ("lr-sweep", "data: iris", True),
        ("lr-sweep", "data: {name: iris, classes: [1, 2]}", True),
        ("lr-sweep", "data: {nam: iris}", False),
        ("lr-sweep", "seed: random", True),
        ("lr-sweep", "seed: -1", False),
        ("lr-sweep", "max_iterations: 1e3", True),
        ("lr-sweep", "max_iterations: 1.5", False),
        ("lr-sweep", "max_iters: 3", False),
        ("lr-sweep", "log_axis: bothh", False),
        ("finetune", "optim: {lr: 0.01, backbone_lr: auto}", True),
        ("finetune", "optim: {lr: fast}", False),
        ("finetune", "head: {hidden: [64, 32]}", True),
        ("finetune", "data: digits", True),
        ("softmax-regions", "weights: [[1, 0], [0, 1], [2, 3]]", True),
        ("softmax-regions", "fit: iris", True),
        ("all", "experiments: {lr-sweep: null}", True),
        ("all", "experiments: lr-sweep", False),
    ],
)
def test_a_schema_takes_what_the_program_takes_and_nothing_that_is_plainly_wrong(
    name: str, text: str, is_valid: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert valid(name, text) == is_valid
    (tmp_path / "x.yaml").write_text(text)
    assert main([name, "-c", str(tmp_path / "x.yaml"), "--print-config"]) == (0 if is_valid else 2)


@pytest.mark.parametrize(
    "name", ["my conf.yaml", "u\u2028etas: [9]", "r\x1b[31mred\rgone.yaml", "x\ny"]
)
def test_init_writes_a_file_that_runs_whatever_its_name(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["init", "lr-sweep", name]) == 0
    assert f"-c {shlex.quote(name)}" in capsys.readouterr().err or not name.isprintable()
    model = configuration_of("lr-sweep")
    assert load_config(model, name) == model()


def test_init_leaves_no_torn_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (512, limit[1]))
    try:
        assert main(["init", "lr-sweep", str(tmp_path / "x.yaml")]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert "file too large" in capsys.readouterr().err.lower()
    assert list(tmp_path.iterdir()) == []
