"""Whatever stands in a configuration, a command line or a file, the end is a documented one.

``make test`` draws a seeded minute's worth; ``make faults`` draws anew, for ten minutes.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlhw.config.load import load_config
from mlhw.config.model import leaves
from mlhw.errors import MlhwError
from mlhw.experiments.registry import EXPERIMENTS, experiment
from mlhw.text import yaml12
from tests.conftest import ROOT, smoke
from tests.faults.drawn import (
    OPERANDS,
    OPTIONS,
    SENT,
    VALUES,
    YAML,
    damaged,
    drawing,
    heard,
)
from tests.faults.forks import Forks, forks
from tests.faults.outside import nothing_outside
from tests.faults.tally import LONG, Tally

Note = Callable[[str], Tally]


@pytest.fixture(autouse=True)
def inside(tmp_path: Path) -> Iterator[None]:
    """Nothing is written elsewhere, but for what hypothesis keeps."""
    with nothing_outside(tmp_path, ROOT / ".hypothesis"):
        yield


# ------------------------------------------------------------------------------------- configurations


def keys_of(name: str) -> list[tuple[str, ...]]:
    return [leaf.path for leaf in leaves(experiment(name).Config)]


STRUCTURES = st.sampled_from(list(EXPERIMENTS)).flatmap(
    lambda name: st.tuples(
        st.just(name),
        st.dictionaries(
            st.sampled_from([".".join(path) for path in keys_of(name)]), VALUES, max_size=4
        ),
    )
)


def configured(name: str, path: Path) -> None:
    """Load what is there; MlhwError alone is an answer."""
    try:
        load_config(experiment(name).Config, str(path))
    except MlhwError as error:
        assert error.exit_code == 2
        assert all(line and "\n" not in line for line in error.lines)


def test_any_structure_under_the_known_keys_is_a_configuration_or_a_line(
    tmp_path: Path, tally: Note
) -> None:
    one = tally("fuzzing")

    @given(STRUCTURES)
    @drawing(250)
    def tried(drawn: tuple[str, dict[str, Any]]) -> None:
        name, values = drawn
        nested: dict[str, Any] = {}
        for key, value in values.items():
            *above, last = key.split(".")
            holder = nested
            for word in above:
                found = holder.setdefault(word, {})
                holder = found if isinstance(found, dict) else {}
            holder[last] = value
        (tmp_path / "c.yaml").write_text(yaml12.dump(nested), "utf-8", "surrogateescape")
        configured(name, tmp_path / "c.yaml")
        one.note(f"{name}: {values}", "survived")

    tried()


def test_any_text_is_a_configuration_or_a_line(tmp_path: Path, tally: Note) -> None:
    one = tally("fuzzing")
    texts = YAML.map(lambda text: text.encode()) | st.binary(max_size=40)
    for name in EXPERIMENTS:
        texts |= damaged(Path(smoke(name)).read_bytes())

    @given(st.sampled_from(list(EXPERIMENTS)), texts)
    @drawing(300)
    def tried(name: str, content: bytes) -> None:
        (tmp_path / "c.yaml").write_bytes(content)
        configured(name, tmp_path / "c.yaml")
        one.note(f"{name}: {content!r}", "survived")

    tried()


# ------------------------------------------------------------------------------------- the command line

QUICK = (
    "data",
    "runs",
    "init",
    "schema",
    "open",
    "lr-sweep",
    "softmax-regions",
    "vanishing",
    "help",
)


@pytest.fixture(scope="module")
def server() -> Iterator[Forks]:
    with forks() as one:
        yield one


def test_any_words_end_as_documented_and_touch_nothing_outside(
    tmp_path: Path, server: Forks, tally: Note
) -> None:
    one = tally("fuzzing")
    folder = tmp_path / "here"
    folder.mkdir()
    (folder / "p.csv").write_text("0,1,a\n1,0,b\n1,1,a\n0,0,b\n")
    (folder / "c.yaml").write_text("seed: 1\n")

    @given(
        st.sampled_from(QUICK),
        st.lists(st.sampled_from(OPTIONS) | st.sampled_from(OPERANDS), max_size=5),
    )
    @drawing(50)
    def tried(command: str, words: list[str]) -> None:
        words = [word for word in words if not word.startswith("../")]
        if command in EXPERIMENTS:
            words += ["--no-plots", "--set", "seed=0"]
            words += {"lr-sweep": ["--max-iterations", "2"], "vanishing": ["--draws", "2"]}.get(
                command, []
            )
        ended = server.run(folder, command, *words)
        assert not ended.unclean, (command, words)
        assert "\x1b" not in ended.err + ended.out
        if ended.code == 2:
            assert ended.err.startswith(("error: ", "warning: ")), (command, words, ended.err)
        if "--json" in words and "--help" not in words and ended.out.strip():
            json.loads(ended.out)
        one.note(f"{command} {words}", "survived")

    tried()


# ------------------------------------------------------------------------------------- the grader's channel


def test_whatever_comes_through_the_graders_channel_is_an_answer_or_none(tally: Note) -> None:
    one = tally("fuzzing")

    @given(SENT)
    @drawing(400)
    def tried(data: bytes) -> None:
        found = heard(data)
        for reply in found.replies:
            assert all(isinstance(size, int) for shape in reply.shapes for size in shape)
        for text in (found.error, *(reply.refused for reply in found.replies)):
            (text or "").encode()
        one.note(repr(data), "survived")

    tried()


# ------------------------------------------------------------------------------------- by coverage


@pytest.mark.slow
@pytest.mark.skipif(
    not (LONG and importlib.util.find_spec("atheris")), reason="needs atheris, and make faults"
)
@pytest.mark.parametrize("target", ["yaml", "points", "channel"])
def test_inputs_that_reach_new_lines_end_as_documented(
    tmp_path: Path, target: str, tally: Note
) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "tests.faults.guided",
            target,
            "-max_total_time=60",
            "-rss_limit_mb=2000",
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    tally("fuzzing").note(
        f"atheris {target}", "traceback" if done.returncode else "survived", done.stderr[-800:]
    )
