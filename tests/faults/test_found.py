"""What the bench has found once, each by itself: cheap, and red where it comes back."""

from __future__ import annotations

import gc
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mlhw.config.files import shipped
from mlhw.config.load import load_config
from mlhw.errors import ConfigError, DataError
from mlhw.experiments.registry import experiment
from mlhw.maths.line_nll import lowest_with_line
from mlhw.points.files import Layout, read_table
from mlhw.result.plots import Plot, new_figure, plain, save
from mlhw.text.words import TableLine, one_line
from mlhw.vision.images.archives import extract
from tests.faults.drawn import heard


def test_a_list_where_an_activation_should_be_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("hidden: [[]]\n")
    with pytest.raises(ConfigError, match="hidden: must be of logistic"):
        load_config(experiment("backprop-check").Config, str(tmp_path / "c.yaml"))


def test_utf_16_without_its_mark_is_a_line(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes(b"\0\0")
    with pytest.raises(
        DataError, match=r"p\.csv: not UTF-16 text .* say --encoding utf-16-le or -be"
    ):
        read_table(str(tmp_path / "p.csv"), Layout(encoding="utf-16"))


def test_a_first_line_of_an_empty_cell_between_blanks_is_no_row(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text('""\n0 1 a\n1 0 b\n')
    assert len(read_table(str(tmp_path / "p.txt"))) == 2


@pytest.mark.parametrize("line", ["@attribute b {}", '@attribute b {"x}'])
def test_an_attribute_without_values_is_a_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "p.arff").write_text(f"@relation r\n@attribute a real\n{line}\n@data\n1,x\n")
    with pytest.raises(DataError, match=r"p\.arff:3: '@attribute b .*' names no values"):
        read_table(str(tmp_path / "p.arff"))


def test_an_archive_with_a_damaged_member_is_closed_again(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("p.csv", "0,1,a\n1,0,b\n")
    data = bytearray((tmp_path / "p.zip").read_bytes())
    data[30] = ord("q")  # another name than in the list of members
    (tmp_path / "p.zip").write_bytes(data)
    with pytest.raises(DataError, match=r"p\.zip: .*damaged"):
        read_table(str(tmp_path / "p.zip"))
    gc.collect()  # a file that is still open is a warning here, and that an error


def test_three_bytes_of_an_archive_are_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"\x1f\x8b\x08")
    with pytest.raises(DataError, match="damaged or cut off"):
        extract(tmp_path / "a.tar.gz", {"x": (tmp_path / "x", "")})


@pytest.mark.parametrize(
    "sent",
    [
        b"[" * 100_000 + b"\n",
        b'{"form": 0, "shapes": [[1e999]]}\n',
        b'{"phase": "x", "seconds": "x"}\n',
    ],
)
def test_nonsense_in_the_graders_channel_is_no_answer(sent: bytes) -> None:
    found = heard(sent)
    assert found.error == "the process sent something that is no answer"


def test_half_a_character_in_a_message_can_be_written_down() -> None:
    sent = json.dumps({"error": "\ud800"}).encode() + b"\n"
    assert heard(sent).error == "\\ud800"


def test_a_control_character_in_a_name_leaves_the_figure_whole(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    def drawn() -> object:
        figure = new_figure()
        figure.add_subplot().set_title(plain("a\x1b[2J\x07 $ b"))
        return figure

    printed = save(Plot("p", "", "", "", drawn), tmp_path)  # type: ignore[arg-type]
    ElementTree.fromstring(printed.svg)


def test_lines_as_steep_as_can_be_have_a_lowest_nll_and_others_the_same_as_before() -> None:
    X = np.array([[0.0, 1.0, 1.0], [1.0, 0.5, 1.0], [2.0, -1.0, 1.0], [0.5, -2.0, 1.0]])
    t = np.array([1.0, 0.0, 1.0, 0.0])
    slope, intercept = np.array([1e308, -1e300, 0.3]), np.array([0.0, 1e308, 0.1])
    found = lowest_with_line(X, t, slope, intercept)
    assert np.isfinite(found).all()
    assert (found <= np.log(2) + 1e-5).all()
    # A vertical line through 0 from both sides of infinity.
    other = lowest_with_line(X, t, -slope[:1], intercept[:1])
    assert found[0] == pytest.approx(other[0], rel=1e-12)


def test_a_shipped_configuration_is_named_inside_its_folder_only() -> None:
    assert shipped("smoke/all")
    assert shipped("../configs/all") is None
    assert shipped("smoke/../all") is None


def test_a_line_stays_one() -> None:
    assert one_line("a\nerror: b\x1b\u202e") == "a\\nerror: b\\x1b\\u202e"


def test_a_row_of_answers_commands_no_terminal() -> None:
    row = TableLine.of("boundary of a\x1b[2J\n and b", ("a\x1b[2J",), ("boundary",))
    assert row == "boundary of a\\x1b[2J\\n and b"
    assert row.cells == ("a\\x1b[2J",)
