"""Runs that go on, and caches that are read again, after damage: the same numbers, or a refusal."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mlhw.runs import formulas, pages
from mlhw.vision.images.datasets import load_images
from mlhw.vision.images.file_images import Survey, survey
from tests.conftest import mlhw_in
from tests.faults.damage import FLIPS, damages, flipped, holding
from tests.faults.tally import LONG, Tally
from tests.faults.test_damage import PLAIN, Ended, mlhw
from tests.faults.test_kills import FINETUNE, draw_images
from tests.vision.training.small_runs import metrics, stops_at_step
from tests.vision.training.test_features import Bench as FeatureBench

Tallies = Callable[[str], Tally]

# In the third of four epochs, of two steps each: there is a state before the last, and a best model.
STEP = 5


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """An interrupted run of seconds, with all that it needs to go on."""
    folder = tmp_path_factory.mktemp("stopped")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.delenv("MLHW_RUNS_DIR", raising=False)
        with pytest.MonkeyPatch.context() as signalled:
            stops_at_step(signalled, STEP)
            draw_images(folder / "images")
            assert mlhw(*FINETUNE, "--epochs", "4").code == 130
        run = Path("runs/latest").resolve()
        assert (run / "checkpoints" / "prev.pt").exists()
        assert (run / "checkpoints" / "best.safetensors").exists()
        yield run


@pytest.fixture(scope="module")
def whole(stopped: Path) -> dict[str, Any]:
    """What the run finds when nothing is damaged."""
    run = stopped.with_name("whole")
    shutil.copytree(stopped, run)
    assert mlhw("finetune", "--resume", run, *PLAIN).code == 0
    return numbers(run)


def numbers(run: Path) -> dict[str, Any]:
    return {
        "best": (run / "checkpoints" / "best.safetensors").read_bytes(),
        "predictions": (run / "predictions.csv").read_bytes(),
        "metrics": metrics(run),
    }


# The kinds of damage that take CI's time; all of them in the long form.
SHORT = ("cut to 0", "garbage", "bit")


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "run.json",
        "config.yaml",
        "metrics.csv",
        "checkpoints/last.pt",
        "checkpoints/prev.pt",
        "checkpoints/best.safetensors",
        "checkpoints/manifest.json",
    ],
)
def test_a_run_goes_on_to_the_same_bytes_or_is_refused(
    stopped: Path, whole: dict[str, Any], tally: Tallies, name: str
) -> None:
    one = tally("damaged_files")
    harmless = name in ("metrics.csv", "checkpoints/prev.pt")  # each costs a whole run
    flips = FLIPS if LONG else 1
    for what, data in damages((stopped / name).read_bytes(), f"resume {name}", flips):
        if not LONG and not what.startswith(SHORT[-1:] if harmless else SHORT):
            continue
        run = stopped.with_name("again")
        shutil.copytree(stopped, run)
        (run / name).write_bytes(data)
        found = mlhw("finetune", "--resume", run, *PLAIN)
        one.note(f"resume: {name} {what}", *judged(found, run, whole))
        shutil.rmtree(run)


def judged(found: Ended, run: Path, whole: dict[str, Any]) -> tuple[Any, str]:
    detail = f"exit {found.code}: {found.err[-400:]}"
    if found.traceback:
        return "traceback", detail
    if found.code == 2:
        return ("survived" if found.says(run.name) else "silent"), detail
    if found.code != 0:
        return "lost", detail
    return ("survived" if numbers(run) == whole else "silent"), detail


@pytest.mark.slow
def test_after_a_refusal_a_whole_copy_that_is_put_back_lets_the_run_go_on(
    stopped: Path, whole: dict[str, Any]
) -> None:
    run = stopped.with_name("mended")
    shutil.copytree(stopped, run)
    best = run / "checkpoints" / "best.safetensors"
    with holding(best, flipped(best.read_bytes(), 8000)):
        found = mlhw("finetune", "--resume", run, *PLAIN)
        assert found.code == 2
        assert "put a whole copy there" in found.err
    assert mlhw("finetune", "--resume", run, *PLAIN).code == 0
    assert numbers(run) == whole


# ------------------------------------------------------------------------------------- caches


def test_stored_features_that_are_damaged_are_dropped_and_computed_anew(
    tmp_path: Path, tally: Tallies
) -> None:
    one = tally("damaged_caches")
    splits = load_images("digits", val=0.1, test=0.8)
    first = FeatureBench(splits, tmp_path)
    expected = np.array(first.store.features(first.loader))
    (path,) = tmp_path.glob("*.npy")
    kept = path.read_bytes()
    for what, data in damages(kept, "features"):
        path.write_bytes(data)
        again = FeatureBench(splits, tmp_path)
        right = np.array_equal(again.store.features(again.loader), expected)
        said = len(again.warnings) == 1 and str(path) in again.warnings[0]
        ok = right and said and again.computed and path.read_bytes() == kept
        one.note(f"features {what}", "survived" if ok else "silent", str(again.warnings))


def test_what_is_known_of_images_is_read_again_when_it_is_damaged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tallies
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for i in range(4):
        Image.new("RGB", (8, 8), (i, 0, 0)).save(tmp_path / f"{i}.png")
    (tmp_path / "4.png").write_bytes(b"no image")
    paths = [tmp_path / f"{i}.png" for i in range(5)]
    said: list[str] = []

    def surveyed() -> Survey:
        said.clear()
        return survey(
            paths,
            resident=False,
            most_unreadable=1,
            progress=lambda *_: None,
            say=said.append,
        )

    def known(found: Survey) -> list[Any]:
        prints = found.prints
        assert prints.files is not None
        arrays = (prints.pixels, prints.thumbnails, prints.files, found.sizes)
        return [*(a.tobytes() for a in arrays), found.shape, found.odd, found.unreadable]

    expected = known(surveyed())
    (path,) = (tmp_path / "cache").rglob("*.npz")
    kept = path.read_bytes()
    assert known(surveyed()) == expected
    assert not said
    one = tally("damaged_caches")
    for what, data in damages(kept, "images"):
        path.write_bytes(data)
        right = known(surveyed()) == expected
        ok = right and len(said) == 1 and str(path) in said[0]
        one.note(f"images {what}", "survived" if ok else "silent", str(said))


def test_kept_pages_and_formulas_that_are_damaged_are_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tally: Tallies
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one = tally("damaged_caches")

    def page() -> bytes:
        made = pages.template.__wrapped__("assignment.html")
        return bytes(made.root_render_func.__code__.co_code)

    makers: dict[str, Callable[[], object]] = {
        "pages": page,
        "mathml": lambda: formulas.mathml(r"\nabla E(w)"),
        "formulas": lambda: formulas.drawing_of(r"\nabla E(w)"),
    }
    places = {"pages": "pages/*", "mathml": "formulas/*.mathml", "formulas": "formulas/*.json"}
    for name, make in makers.items():
        expected = make()
        for path in sorted((tmp_path / "mlhw").glob(places[name])):
            kept = path.read_bytes()
            for what, data in damages(kept, name):
                path.write_bytes(data)
                ok = make() == expected and path.read_bytes() == kept
                one.note(f"{name} {what}", "survived" if ok else "silent", str(path))


# ------------------------------------------------------------------------------------- the command


@pytest.mark.slow
def test_the_installed_command_says_the_same(stopped: Path, tally: Tallies) -> None:
    one = tally("damaged_files")
    command = mlhw_in(stopped.parents[1])
    run = stopped.with_name("handled")
    shutil.copytree(stopped, run)
    Image.new("RGB", (8, 8)).save(run.parent / "a.png")
    best = run / "checkpoints" / "best.safetensors"
    predict = ["predict", run, run.parent / "a.png"]
    cases = [
        (best, 8 * best.stat().st_size - 2, predict, 2, f"error: {best}: is damaged"),
        (run / "config.yaml", 3, ["finetune", "--resume", run], 2, "has changed since its run"),
        (run / "metrics.csv", 99, ["runs", "verify", run], 1, "  changed  metrics.csv"),
        (run / "run.json", 9, ["runs", "show", run], 2, "its run.json is torn"),
    ]
    for path, bit, words, code, line in cases:
        with holding(path, flipped(path.read_bytes(), bit)):
            found = command(*map(str, words))
        ok = found.returncode == code and line in found.stderr + found.stdout
        outcome: Any = "survived" if ok else "silent"
        one.note(f"{words}", outcome, found.stderr + found.stdout)
