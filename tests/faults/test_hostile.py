"""Files and names made to do harm: nothing executes, nothing leaves its place, nothing speaks in our name."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from mlhw.text.words import printable
from tests.acceptance.chromium import allowing, browse, needs_chromium
from tests.conftest import Mlhw
from tests.faults.forks import Ended, Forks, forks
from tests.faults.tally import LONG, Tally

Note = Callable[[str], Tally]

# What somebody may call a class, a column or a file. Each would set window.hit if it became markup.
NAMES = [
    "<img src=x onerror=window.hit=1>",
    "</script><script>window.hit=2</script>",
    '"><svg onload=window.hit=3>',
    "javascript:window.hit=4",
    "{{ 7*7 }}${window.hit=5}",
    "\x1b]0;owned\x07\x1b[2J",
    "safe\u202egnp.exe",
    "\u2067isolate\u2066",
    "\x9b31m\x9d0;t\x07",
    "=cmd|'/c calc'!A1",
    "$\\frac$ %s \\x1b",
]
FILES = [name.replace("/", "∕") for name in NAMES]
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def server() -> Iterator[Forks]:
    with forks(
        "mlhw.experiments.lr_sweep.experiment", "mlhw.experiments.softmax_regions.experiment"
    ) as one:
        yield one


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, server: Forks) -> dict[str, tuple[Path, Ended]]:
    """A run of each command whose input is made of such names, and what was said."""
    folder = tmp_path_factory.mktemp("hostile") / "here"
    folder.mkdir()
    classes = NAMES[:2]
    rows = [[*map(str, np.arange(11) * (i + 1) % 7), classes[i % 2]] for i in range(12)]
    for name in FILES[:2]:
        with open(folder / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([[*NAMES, "label"], *rows])
    planes = ";".join(f"{np.cos(k):.3f},{np.sin(k):.3f}" for k in range(len(NAMES)))
    yaml = json.dumps({"names": NAMES, "biases": [0.0] * len(NAMES)})
    (folder / "names.yaml").write_text(yaml)
    (folder / f"{FILES[0]}.py").write_text(
        f"def backprop(weights, x, t):\n    raise ValueError({' '.join(NAMES)!r})\n"
    )
    commands = {
        "lr-sweep": ("--data", f"{FILES[0]}.csv", "--max-iterations", "3"),
        "softmax-regions": ("-c", "names.yaml", f"--weights={planes}"),
        "backprop-check": ("--implementation", f"{FILES[0]}.py"),
    }
    found = {}
    for command, words in commands.items():
        ended = server.run(folder, command, *words)
        assert ended.code in (0, 1, 3), ended
        (run,) = folder.glob(f"runs/2*-{command}*")
        found[command] = run, ended
    return found


# ------------------------------------------------------------------------------------- what is shown


def test_no_name_commands_the_terminal(
    runs: dict[str, tuple[Path, Ended]], server: Forks, tally: Note
) -> None:
    one = tally("hostile")
    folder = runs["lr-sweep"][0].parents[1]
    ends = {command: ended for command, (_, ended) in runs.items()}
    latest = str(runs["lr-sweep"][0])
    for words in (
        ("data", f"{FILES[1]}.csv"),
        ("data", f"{FILES[0]}.csv", "--label", NAMES[5]),
        ("runs", "list"),
        ("runs", "show", latest),
        ("runs", "show", NAMES[5]),
        ("runs", "compare", latest, str(runs["softmax-regions"][0]), "--no-plots"),
        ("open", latest, "--print"),
        ("lr-sweep", "-c", NAMES[6]),
        ("lr-sweep", f"--{NAMES[5]}"),
        (NAMES[7],),
        ("lr-sweep", "--set", f"{NAMES[5]}=1"),
        ("lr-sweep", "--data", f"x/{NAMES[8]}"),
        ("predict", NAMES[5], NAMES[6]),
    ):
        ends[" ".join(map(printable, words))] = server.run(folder, *words)
    for words, ended in ends.items():
        wrong = ended.unclean
        outcome = "traceback" if wrong else "survived"
        if found := UNSAFE.findall(ended.out + ended.err):
            outcome, wrong = "escaped", f"{found[:5]!r} in {(ended.out + ended.err)[:200]!r}"
        one.note(words, outcome, wrong)


def test_a_line_break_in_a_name_makes_no_line_of_its_own(
    runs: dict[str, tuple[Path, Ended]], server: Forks, tally: Note
) -> None:
    one = tally("hostile")
    run = runs["lr-sweep"][0]
    (run / "a\nerror: all is lost").write_text("")
    for words in (("runs", "show", str(run)), ("lr-sweep", "-c", "x\nerror: all is lost")):
        ended = server.run(run.parents[1], *words)
        lied = "\nerror: all is lost" in ended.out + ended.err
        one.note(words[0], "escaped" if lied else "survived", ended.err)
    (run / "a\nerror: all is lost").unlink()


def test_what_begins_like_a_formula_stays_the_data_that_it_is(
    runs: dict[str, tuple[Path, Ended]], server: Forks
) -> None:
    folder = runs["lr-sweep"][0].parents[1]
    found = json.loads(server.run(folder, "data", f"{FILES[1]}.csv", "--json").out)
    assert [column["name"] for column in found["columns"]] == [*NAMES, "label"]


LOOK = """
<script>
addEventListener("load", () => setTimeout(() => { document.title = JSON.stringify({
  hit: window.hit ?? null,
  strange: document.querySelectorAll(
    "img[src='x'], svg[onload], [onerror], a[href^='javascript'], iframe, object, embed, base").length,
  text: document.body.innerText.length,
  shown: document.body.innerText.includes("onerror=window.hit"),
}) }, 50));
</script>
"""


@pytest.mark.slow
@needs_chromium
@pytest.mark.parametrize("policy", [True, False], ids=["as written", "without its policy"])
@pytest.mark.parametrize("command", ["lr-sweep", "softmax-regions", "backprop-check"])
def test_in_a_browser_no_name_is_markup(
    runs: dict[str, tuple[Path, Ended]], command: str, policy: bool, tmp_path: Path, tally: Note
) -> None:
    page = tmp_path / "report.html"
    text = (runs[command][0] / "report.html").read_text()
    if not policy:  # escaping alone has to do
        text, count = re.subn(r"<meta[^>]*Content-Security-Policy[^>]*>", "", text)
        assert count == 1
    page.write_text(text)
    found = browse(page, tmp_path, LOOK, "--virtual-time-budget=2000")
    assert int(str(found["text"])) > 500
    assert found["shown"]
    fine = found["hit"] is None and not found["strange"]
    tally("hostile").note(f"{command} in a browser", "survived" if fine else "escaped", str(found))


@pytest.mark.slow
@needs_chromium
def test_the_look_would_see_it(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    body = f"<!doctype html><html><head><title>x</title><style></style></head><body>{NAMES[0]}"
    page.write_text(body)
    assert browse(page, tmp_path, LOOK, "--virtual-time-budget=2000")["hit"] == 1
    assert "sha256-" in allowing(LOOK, "script-src 'none'")


@pytest.mark.slow
def test_all_with_names_of_that_kind_makes_one_report_of_them(
    mlhw: Mlhw, tmp_path: Path, tally: Note
) -> None:
    for name in (FILES[0], "a\nb", "-q", FILES[5])[: 4 if LONG else 1]:
        (tmp_path / f"{name}.yaml").write_text("max_iterations: 3\n")
        (tmp_path / "all.yaml").write_text(
            json.dumps({"experiments": {"lr-sweep": f"{name}.yaml"}})
        )
        runs_dir = tmp_path / f"runs {name}"
        done = mlhw("all", "-c", "all.yaml", "--runs-dir", str(runs_dir))
        report = runs_dir.glob("2*-all*/report.html")
        fine = done.returncode in (0, 3) and not UNSAFE.search(done.stdout + done.stderr)
        fine &= "<img src=x" not in next(iter(report)).read_text()
        tally("hostile").note(f"all with {name!r}", "survived" if fine else "escaped", done.stderr)


# ------------------------------------------------------------------------------------- out of its place


def test_nothing_is_taken_from_outside_by_a_name_or_a_link(
    runs: dict[str, tuple[Path, Ended]], server: Forks, tally: Note
) -> None:
    one = tally("hostile")
    run = runs["lr-sweep"][0]
    folder = run.parents[1]
    outside = folder.parent / "secret.html"
    outside.write_text("secret")
    for words, place in (
        (("lr-sweep", "-c", "../configs/all", "--print-config"), None),
        (("lr-sweep", "-c", "smoke/../../pyproject", "--print-config"), None),
        (("open", str(run)), run / "report.html"),
        (("open", str(run), "--print"), run / "report.html"),
    ):
        if place is not None:
            kept = place.read_text()
            place.unlink()
            place.symlink_to(outside)
        ended = server.run(folder, *words)
        refused = ended.code == 2 and not ended.unclean
        one.note(" ".join(words), "survived" if refused else "escaped", ended.err)
        if place is not None:
            place.unlink()
            place.write_text(kept)
