"""Configuration: layers, sources of errors, suggestions, round trips."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BeforeValidator, Field

from mlhw.config import files as config_files
from mlhw.config.layers import Layers, merge
from mlhw.config.load import as_yaml, from_keywords, load_config, resolve
from mlhw.config.model import ExperimentConfig, InputFile, Section, comma_list, leaves
from mlhw.errors import ConfigError
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.text import yaml12
from tests.conftest import ROOT


def rows_of(value: Any) -> Any:
    return [row.split(",") for row in value.split(";")] if isinstance(value, str) else value


class Optim(Section):
    lr: Annotated[float, Field(gt=0)] = 0.1
    name: str = "sgd"


class Config(ExperimentConfig):
    max_iterations: Annotated[int, Field(ge=1)] = 500
    flag: bool = False
    size: Annotated[int, Field(ge=1)] | Literal["auto"] = "auto"
    some: Annotated[list[int | float | str] | None, BeforeValidator(comma_list)] = None
    rows: Annotated[list[list[float]], BeforeValidator(rows_of)] = []
    file: Annotated[str | None, InputFile()] = None
    files: Annotated[list[str], InputFile()] = []
    optim: Optim = Optim()


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    return str(path)


def errors(**arguments: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(Config, **arguments)
    return list(caught.value.lines)


def test_defaults_yield_to_the_file_the_file_to_set_and_set_to_options(tmp_path: Path) -> None:
    file = written(tmp_path, "seed: 1\nmax_iterations: 1\noptim: {lr: 1, name: a}\n")
    sets = ["max_iterations=2", "optim.lr=2"]
    options = {"--lr": (("optim", "lr"), 3)}
    found = load_config(Config, file, sets, options)
    assert (found.seed, found.max_iterations, found.flag) == (1, 2, False)
    assert (found.optim.lr, found.optim.name) == (3, "a")


def test_an_error_names_file_line_key_and_value(tmp_path: Path) -> None:
    file = written(tmp_path, "seed: 3\n\noptim:\n  name: x\n  lr: -0.1\n")
    assert errors(files=file) == [f"{file}:5: optim.lr: must be greater than 0 (got -0.1)"]


def test_all_errors_come_at_once_each_in_one_line(tmp_path: Path) -> None:
    file = written(tmp_path, "max_iters: 3\nflag: 1\noptim: {lr: on}\nseed: -1\n")
    assert sorted(errors(files=file, sets=["optim.nam=x"])) == sorted(
        [
            f"{file}:1: unknown key 'max_iters', did you mean 'max_iterations'?",
            f"{file}:2: flag: must be true or false (got 1)",
            f"{file}:3: optim.lr: must be a number (got on)",
            f"{file}:4: seed: must be at least 0 (got -1)",
            "--set optim: unknown key 'nam', did you mean 'name'?",
        ]
    )


@pytest.mark.parametrize(
    ("item", "line"),
    [
        ("max_iterations=1.5", "--set max_iterations: must be a whole number (got 1.5)"),
        ("max_iterations=true", "--set max_iterations: must be a whole number (got true)"),
        ("optim.lr=true", "--set optim.lr: must be a number (got true)"),
        ("optim.lr=.nan", "--set optim.lr: must be finite (got nan)"),
        ("optim.lr=.inf", "--set optim.lr: must be finite (got inf)"),
        ("optim.lr='1'", '--set optim.lr: must be a number (got the text "1")'),
        ("optim=3", "--set optim: must be keys and values (got 3)"),
        ("optim.lr.deep=3", "--set optim.lr: must be a number"),
        ("optim.name=[1]", "--set optim.name: must be text"),
        ("seed=99999999999999999999", "--set seed: must be less than"),
        (f"seed={'9' * 5000}", "--set seed: must be a whole number (got inf); numbers beyond 1.8e"),
        ("size=x", "--set size: must be a whole number or auto (got x)"),
        ("size=0", "--set size: must be at least 1 (got 0)"),
        ("some=[1, true]", "--set some[1]: must be a number or text (got true)"),
        ("some=[[]]", "--set some[0]: must be a number or text (got [])"),
        ("file=''", "--set file: is empty; give a path"),
        ('file="a\\0b"', "--set file: a path cannot hold a NUL character"),
        ('files=[a, ""]', "--set files[1]: is empty; give a path"),
        ("nonsense", "--set nonsense: must be KEY=VALUE"),
        ("=3", "--set =3: must be KEY=VALUE"),
        ("optim.lr=[1", "--set optim.lr:1: not valid YAML"),
        (
            "zzz=1",
            "--set: unknown key 'zzz' (known: seed, max_iterations, flag, size, some, rows, ",
        ),
    ],
)
def test_what_is_wrong_with_a_set_is_said_in_one_line(item: str, line: str) -> None:
    found = errors(sets=[item])
    assert len(found) == 1
    assert found[0].startswith(line)


def test_an_error_of_an_option_names_the_option() -> None:
    options = {"--max-iterations": (("max_iterations",), 0)}
    assert errors(options=options) == ["--max-iterations: must be at least 1 (got 0)"]


def test_an_item_of_a_list_given_as_a_text_is_named_by_its_place() -> None:
    options = {"--rows": (("rows",), "a,b;c,d")}
    assert errors(options=options) == [
        f"--rows[{i}][{j}]: must be a number (got {text})"
        for i, j, text in ((0, 0, "a"), (0, 1, "b"), (1, 0, "c"), (1, 1, "d"))
    ]
    assert errors(options={"--some": (("some",), "1,true")}) == [
        "--some[1]: must be a number or text (got true)"
    ]


# ---------------------------------------------------------------- several files


def test_several_files_are_laid_over_each_other_in_their_order(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("max_iterations: 7\nrows: [[1, 2], [3, 4]]\noptim: {lr: 2, name: a}\n")
    second.write_text("seed: 3\nrows: [[5]]\noptim: {name: b}\n")
    found = load_config(Config, [str(first), str(second)], ["seed=4"])
    assert (found.max_iterations, found.seed, found.rows) == (7, 4, [[5.0]])
    assert (found.optim.lr, found.optim.name) == (2, "b")
    again = load_config(Config, [str(second), str(first)])
    assert (again.seed, again.rows, again.optim.name) == (3, [[1, 2], [3, 4]], "a")
    assert load_config(Config, []) == load_config(Config) == Config()


def test_an_error_names_the_file_of_several_that_it_stands_in(tmp_path: Path) -> None:
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("max_iterations: 0\nrows: [[1], [x]]\nsize: 0\nzzz: 1\noptim: {lr: -1}\n")
    second.write_text("\nsize: 3\nrows:\n- [y]\noptim:\n  nam: x\n")
    assert sorted(errors(files=[str(first), str(second)])) == sorted(
        [
            f"{first}:1: max_iterations: must be at least 1 (got 0)",
            f"{second}:4: rows[0][0]: must be a number (got y)",
            f"{first}:4: unknown key 'zzz' (known: {', '.join(Config.model_fields)})",
            f"{first}:5: optim.lr: must be greater than 0 (got -1)",
            f"{second}:6: optim: unknown key 'nam', did you mean 'name'?",
        ]
    )
    assert "missing.yaml: no such file" in errors(files=[str(first), "missing.yaml"])[0]


def test_each_of_several_files_has_paths_of_its_own_folder(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = tmp_path / "a" / "x.yaml", tmp_path / "b" / "y.yaml"
    sweep = experiment("lr-sweep").Config
    for text in ("data: p.csv\n", "data: {file: p.csv}\n"):
        first.write_text(text)
        second.write_text("data: {classes: [0, 1]}\n")
        found = load_config(sweep, [str(first), str(second)])
        assert found.data.file == str(tmp_path / "a" / "p.csv")
        assert found.data.classes == [0, 1]
    second.write_text("data: q.csv\n")
    first.write_text("data: {file: p.csv, classes: [0, [1]]}\n")
    assert errors_of(sweep, [str(first), str(second)])[0].startswith(f"{first}:1: data.classes[1]")
    first.write_text("data: {name: iris, classes: [0, 1]}\n")
    found = load_config(sweep, [str(first), str(second)])
    assert (found.data.name, found.data.file) == (None, str(tmp_path / "b" / "q.csv"))
    assert found.data.classes == [0, 1]


def errors_of(model: Any, files: list[str]) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_config(model, files)
    return list(caught.value.lines)


def test_a_configuration_file_without_a_name_is_said_in_words() -> None:
    assert errors(files="") == [
        "--config: is empty; give a file, or the name of one that comes with mlhw"
    ]
    assert errors(files="a\0b.yaml") == ["a\0b.yaml: a path cannot hold a NUL character"]


def test_pythons_own_values_are_taken_at_any_depth(tmp_path: Path) -> None:
    keywords = {
        "max_iterations": np.int64(3),
        "some": (np.float32(0.5), "a"),
        "rows": np.eye(2),
        "file": tmp_path / "x.csv",
        "files": [tmp_path / "a", "/b"],
        "optim": {"lr": np.float64(2), "name": "b"},
    }
    found = from_keywords(Config, keywords)
    assert (found.max_iterations, found.some, found.rows) == (3, [0.5, "a"], [[1, 0], [0, 1]])
    assert (found.file, found.files) == (str(tmp_path / "x.csv"), [str(tmp_path / "a"), "/b"])
    assert (found.optim.lr, found.optim.name) == (2, "b")


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    written(tmp_path, "")
    assert "no such file, did you mean" in errors(files=str(tmp_path / "y.yaml"))[0]
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "broken.yaml").symlink_to(tmp_path / "nosuch.yaml")
    for name in ("loop.yaml", "broken.yaml"):
        link = str(tmp_path / name)
        assert errors(files=link) == [f"{link}: is a link that leads nowhere"]
    assert "is a directory" in errors(files=str(tmp_path))[0]
    (tmp_path / "b.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a UTF-8 text file" in errors(files=str(tmp_path / "b.yaml"))[0]
    list_file = written(tmp_path, "- 1\n- 2\n")
    assert errors(files=list_file) == [f"{list_file}:1: must be keys and values, not a list"]


def test_paths_start_from_where_they_are_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sub").mkdir()
    file = written(tmp_path, "file: sub/../p.csv\n")
    monkeypatch.chdir(tmp_path / "sub")
    assert load_config(Config, file).file == str(tmp_path / "p.csv")
    assert load_config(Config, sets=["file=p.csv"]).file == str(tmp_path / "sub" / "p.csv")
    options = {"--file": (("file",), "/abs/p.csv")}
    assert load_config(Config, file, options=options).file == "/abs/p.csv"


def test_a_random_seed_is_drawn_and_recorded() -> None:
    seeds = {load_config(Config, sets=["seed=random"]).seed for _ in range(3)}
    assert len(seeds) > 1
    assert all(isinstance(seed, int) for seed in seeds)


# ---------------------------------------------------------------- every experiment's own model

NAMES = list(EXPERIMENTS)


@pytest.mark.parametrize("name", NAMES)
def test_the_commented_file_holds_every_key_at_its_default(name: str) -> None:
    model = experiment(name).Config
    file = ROOT / "configs" / f"{name}.yaml"
    raw, _ = config_files.read_file(str(file))
    assert load_config(model, str(file)) == model()
    keys = {leaf.path for leaf in leaves(model)}
    held = {path for path in _paths(raw) if path in keys}
    assert held == keys, "keys that the file leaves out"


def _paths(value: Any, prefix: tuple[str, ...] = ()) -> set[tuple[str, ...]]:
    if not isinstance(value, dict):
        return set()
    found = {(*prefix, key) for key in value}
    return found.union(*(_paths(item, (*prefix, key)) for key, item in value.items()))


@pytest.mark.parametrize("name", NAMES)
def test_the_printed_configuration_is_read_back_equal(name: str, tmp_path: Path) -> None:
    config = experiment(name).Config()
    path = written(tmp_path, as_yaml(config))
    assert load_config(experiment(name).Config, path) == config


@pytest.mark.parametrize("name", NAMES)
def test_every_key_misspelt_by_one_letter_is_named_with_the_right_one(name: str) -> None:
    model = experiment(name).Config
    keys = {leaf.path[-1] for leaf in leaves(model)}
    for leaf in leaves(model):
        key = leaf.path[-1]
        misspelt = key[:-1] + next(c for c in "xqz" if c != key[-1]) if len(key) > 2 else key + "x"
        with pytest.raises(ConfigError) as caught:
            load_config(model, sets=[".".join([*leaf.path[:-1], misspelt]) + "=1"])
        assert f"unknown key '{misspelt}'" in caught.value.lines[0]
        if len(key) > 3 and key[:-1] not in keys:  # foldx is as near to fold as to folds
            assert f"did you mean '{key}'?" in caught.value.lines[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_number_may_be_written_as_a_float_without_a_fraction(name: str) -> None:
    model = experiment(name).Config
    whole = [leaf for leaf in leaves(model) if int in leaf.types and float not in leaf.types]
    assert whole
    for leaf in whole:
        key = leaf.key
        default = leaf.default if isinstance(leaf.default, int) else 12
        as_int, as_float = (
            _lines_or_value(model, f"{key}={text}") for text in (str(default), f"{default}.0")
        )
        assert type(as_int) is type(as_float)
        assert as_int == as_float
        assert "must be a whole number" in str(_lines_or_value(model, f"{key}=1.5"))


def _lines_or_value(model: Any, item: str) -> Any:
    """The key's value, or what is wrong with it."""
    try:
        found = load_config(model, sets=[item])
    except ConfigError as error:
        return [line.replace(".0", "") for line in error.lines]
    for key in item.partition("=")[0].split("."):
        found = getattr(found, key)
    return found


@pytest.mark.parametrize("text", ["1e1", "10.0", "+1E+1"])
def test_whole_floats_are_whole_in_files_lists_and_options(text: str, tmp_path: Path) -> None:
    assert load_config(Config, written(tmp_path, f"max_iterations: {text}\n")).max_iterations == 10
    options = {"--max-iterations": (("max_iterations",), yaml12.parse_scalar(text))}
    assert load_config(Config, options=options).max_iterations == 10
    assert load_config(Config, sets=[f"size={text}"]).size == 10
    layers = experiment("backprop-check").Config
    found = load_config(layers, options={"--layers": (("layers",), f"3,{text},1")})
    assert found.layers == [3, 10, 1]
    assert all(isinstance(size, int) for size in found.layers)


def test_where_a_float_is_due_it_stays_one() -> None:
    found = load_config(Config, sets=["optim.lr=1e1", "some=[1e1, 2]"])
    assert (found.optim.lr, found.some) == (10.0, [10.0, 2])
    assert [type(value) for value in found.some or ()] == [float, int]


@pytest.mark.parametrize("name", NAMES)
def test_every_key_is_described_and_no_two_share_an_option(name: str) -> None:
    found = [leaf for leaf in leaves(experiment(name).Config) if leaf.has_option]
    options = [leaf.option for leaf in found]
    assert len(set(options)) == len(options)
    for leaf in leaves(experiment(name).Config):
        assert leaf.description or leaf.is_section, leaf.key


junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(string.printable, max_size=8),
    st.lists(st.integers() | st.text(max_size=3), max_size=3),
    st.dictionaries(st.text(string.ascii_lowercase, max_size=4), st.integers(), max_size=2),
)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_value_for_any_key_is_taken_or_refused_in_plain_lines(
    name: str, data: st.DataObject
) -> None:
    model = experiment(name).Config
    leaf = data.draw(st.sampled_from(list(leaves(model))))
    values: dict[str, Any] = {leaf.path[-1]: data.draw(junk)}
    for key in reversed(leaf.path[:-1]):
        values = {key: values}
    layers = Layers(model)
    merge(layers.values, values)
    try:
        config = resolve(layers)
    except ConfigError as error:
        assert error.lines
        assert all("\n" not in line and "Value error" not in line for line in error.lines)
    else:
        text = as_yaml(config)
        assert yaml12.parse(text, "x")[0] == config.model_dump(mode="python")


def test_paths_in_a_list_are_absolute_from_where_they_were_written(tmp_path: Path) -> None:
    class Files(ExperimentConfig):
        files: Annotated[list[str], InputFile()] = []

    (tmp_path / "x.yaml").write_text("files: [a.py, ../b.py:name, /c.py]\n")
    config = load_config(Files, str(tmp_path / "x.yaml"))
    assert config.files == [f"{tmp_path}/a.py", f"{tmp_path.parent}/b.py:name", "/c.py"]
    config = load_config(Files, options={"--files": (("files",), ["d.py"])})
    assert config.files == [str(Path.cwd() / "d.py")]
