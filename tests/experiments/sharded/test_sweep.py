"""lr-sweep on rows in shards: the numbers of one in memory, the same bits in every way to hold the rows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import mlhw
from mlhw import Result
from mlhw.errors import MlhwError
from mlhw.experiments.sharded import newton, passes, team
from mlhw.experiments.sharded.processes import check_processes
from mlhw.maths import row_blocks

N = 5000


def drawn(n: int = N, d: int = 3) -> np.ndarray:
    """Rows of two overlapping classes, the class last."""
    rng = np.random.default_rng(7)
    X = rng.normal(size=(n, d)) * [1.0, 3.0, 0.5] + [0.0, 5.0, -1.0]
    t = X @ [1.0, -0.5, 2.0] + 4.0 + rng.logistic(size=n) > 0
    return np.column_stack([X, t])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same rows as one file, as three, and as Parquet where that can be written."""
    place = tmp_path_factory.mktemp("rows")
    table = drawn()
    np.save(place / "one.npy", table)
    for i, part in enumerate(np.split(table, [11, 3000])):
        np.save(place / f"part{i}.npy", part)
    (place / "parts.list").write_text("part0.npy\npart1.npy\npart2.npy\n")
    return place


KEYS: dict[str, Any] = {"etas": [0.3, 0.05, 0.01], "max_iterations": 40}


def sweep(file: str | Path, **more: Any) -> Result:
    return mlhw.lr_sweep(**{"data": {"file": str(file)}, "shards": 16, **KEYS, **more})


def metrics(result: Result) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in result.tables["metrics"].rows]


@pytest.fixture(scope="module")
def sharded(folder: Path) -> Result:
    return sweep(folder / "one.npy")


def close(a: Any, b: Any, tolerance: float = 1e-10) -> bool:
    return bool(np.allclose(np.array(a, float), np.array(b, float), rtol=tolerance, atol=1e-13))


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"standardize": True},
        {"data": {"name": "iris", "classes": [0, 1]}},
        {"data": {"name": "gaussians"}, "etas": [1e300, 3.0, 0.1]},
    ],
    ids=["as read", "standardized", "separable", "diverging"],
)
def test_the_numbers_are_those_of_a_run_in_memory(folder: Path, more: dict[str, Any]) -> None:
    in_shards = sweep(folder / "one.npy", **more)
    in_memory = sweep(folder / "one.npy", **{**more, "shards": None})
    ours, theirs = in_shards.summary, in_memory.summary
    for key in ("monotone_eta", "critical_eta", "local_eta_at_start"):
        assert ours[key] == theirs[key] or close(ours[key], theirs[key]), key
    for key in ("classes", "points", "features", "no_optimum"):
        assert ours[key] == theirs[key]
    if theirs["optimum"]:
        for key in ("nll", "w"):
            assert close(ours["optimum"][key], theirs["optimum"][key]), key
    else:
        for key in ("kind", "infimum", "separated_rows", "boundary_rows"):
            assert ours["separation"][key] == theirs["separation"][key]
    for one, other in zip(ours["runs"], theirs["runs"], strict=True):
        assert one["iterations"] == other["iterations"]
        assert one["stopped"] == other["stopped"]
    if more.get("etas") is None:
        assert close(metrics(in_shards), metrics(in_memory))
    verdicts = {claim.id: claim.verdict for claim in in_memory.claims}
    verdicts |= {} if more.get("standardize") else {"columns-as-asked": "not applicable"}
    assert {claim.id: claim.verdict for claim in in_shards.claims} == verdicts


def test_figures_show_some_of_many_points_and_say_so(tmp_path: Path) -> None:
    np.save(tmp_path / "plane.npy", np.ascontiguousarray(drawn()[:, [0, 2, 3]]))
    found = sweep(tmp_path / "plane.npy")
    figures = {plot.name: plot for plot in found.plots}
    assert {"path", "separators"} <= set(figures)
    for plot in found.plots:
        plot.draw()
    assert "2,000 of 5,000 points" in figures["separators"].caption
    assert "(2000 of 5000 points)" in figures["path"].caption


@pytest.mark.parametrize("file", ["parts.list", "part*.npy"])
@pytest.mark.parametrize("memory", [0, 512])
def test_files_and_memory_change_no_bit(
    folder: Path, sharded: Result, file: str, memory: int
) -> None:
    again = sweep(folder / file, shard_memory=memory)
    assert metrics(again) == metrics(sharded)
    assert again.tables["limits"].rows == sharded.tables["limits"].rows
    assert again.summary["optimum"]["w"].tolist() == sharded.summary["optimum"]["w"].tolist()


def test_parquet_changes_no_bit(tmp_path: Path, sharded: Result) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = drawn()
    names = ["x1", "x2", "x3", "label"]
    columns = {name: table[:, i] for i, name in enumerate(names)}
    parquet.write_table(pyarrow.table(columns), tmp_path / "rows.parquet", row_group_size=999)
    again = sweep(tmp_path / "rows.parquet")
    assert metrics(again) == metrics(sharded)


def test_threads_change_no_bit_and_other_shards_do(
    folder: Path, sharded: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    # With small blocks each shard has several of them.
    monkeypatch.setattr(team, "block_rows", lambda columns: 64)
    found = []
    for cpus in (1, 3):
        monkeypatch.setattr("mlhw.experiments.sharded.processes.usable_cpus", lambda n=cpus: n)
        found.append(metrics(sweep(folder / "one.npy")))
    assert found[0] == found[1]
    assert metrics(sweep(folder / "one.npy", shards=4)) != found[0]


def test_compiled_loops_give_the_same_numbers(
    folder: Path, sharded: Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_blocks, "WORTH_COMPILING", 1)
    assert close(metrics(sweep(folder / "one.npy")), metrics(sharded))


def test_more_shards_than_rows_are_no_trouble(tmp_path: Path) -> None:
    np.save(tmp_path / "few.npy", drawn(9))
    found = sweep(tmp_path / "few.npy", shards=64, etas=[0.1])
    assert found.summary["points"] == 9


def test_columns_of_one_value_are_left_out_as_in_memory(tmp_path: Path) -> None:
    table = drawn(200)
    wide = np.column_stack([np.ones(200), table[:, :3], np.full(200, 7.0), table[:, 3]])
    np.save(tmp_path / "wide.npy", wide)
    for standardize, features in ((False, ["x2", "x3", "x4", "x5"]), (True, ["x2", "x3", "x4"])):
        found = sweep(tmp_path / "wide.npy", standardize=standardize)
        assert found.summary["features"] == features
        assert found.summary["optimum"] is not None


def test_a_column_far_from_zero_has_its_optimum(tmp_path: Path) -> None:
    table = drawn(400)
    table[:, 0] = np.round(table[:, 0] * 1024) / 1024  # so that the sum is exact
    np.save(tmp_path / "near.npy", table)
    table[:, 0] += 2.0**30
    np.save(tmp_path / "far.npy", table)
    near, far = (sweep(tmp_path / name) for name in ("near.npy", "far.npy"))
    assert close(far.summary["optimum"]["nll"], near.summary["optimum"]["nll"], 1e-9)
    assert far.summary["optimum"]["gradient"] < 1e-12
    assert not [claim for claim in far.claims if claim.verdict == "fails"]


def test_points_between_separable_classes_are_left_undecided_and_the_reason_is_given(
    tmp_path: Path,
) -> None:
    x = np.array([[-1.0, 0], [0, 0], [0, 1], [1, 1]])
    np.save(tmp_path / "quasi.npy", x)
    found = sweep(tmp_path / "quasi.npy", shards=2, etas=[0.1])
    assert found.summary["optimum"] is None
    assert found.summary["separation"] is None
    assert "takes all rows at once" in found.summary["no_optimum"]
    assert not [claim for claim in found.claims if claim.verdict == "fails"]


# ------------------------------------------------------------------------------------- bad input


def refused(file: str | Path, **more: Any) -> str:
    with pytest.raises(MlhwError) as error:
        sweep(file, **more)
    assert error.value.exit_code == 2
    (line,) = error.value.lines
    return line


def test_rows_that_cannot_be_used_are_refused_in_a_line(folder: Path, tmp_path: Path) -> None:
    table = drawn(300)
    table[211, 1] = np.nan
    np.save(tmp_path / "a.npy", drawn(100))
    np.save(tmp_path / "b.npy", table)
    line = refused(tmp_path / "?.npy")
    assert line.startswith(f"{tmp_path}/b.npy: row 211: x2 is missing")
    table[211, 1], table[5, 3] = 0.0, 2.0
    np.save(tmp_path / "b.npy", table)
    assert "more than two classes" in refused(tmp_path / "b.npy")
    np.save(tmp_path / "b.npy", table[table[:, 3] == 1])
    assert "only one class" in refused(tmp_path / "b.npy")
    (tmp_path / "c.csv").write_text("x,label\n1,0\n2,1\n")
    (tmp_path / "both.list").write_text("a.npy\nc.csv\n")
    assert f"{tmp_path}/c.csv: is neither NPY nor Parquet" in refused(tmp_path / "both.list")
    one = folder / "one.npy"
    assert "used as they stand" in refused(one, data={"file": str(one), "missing": "drop"})
    assert "no column '9'" in refused(one, data={"file": str(one), "label": 9})
    assert "4 weights needed" in refused(one, w0=[0.0])
    assert "no feature 'x9'" in refused(one, data={"file": str(one), "features": ["x9"]})


@pytest.mark.parametrize(("shards", "processes"), [(16, 3), (16, 32), (4, 8), (1, 2), (16, 6)])
def test_processes_that_cannot_share_the_shards_are_refused(shards: int, processes: int) -> None:
    with pytest.raises(MlhwError, match=f"{processes}") as error:
        check_processes(shards, processes)
    assert error.value.exit_code == 2
    for fitting in (1, 2, 4):
        check_processes(4, fitting)


def test_several_files_without_shards_are_refused_with_the_remedy(folder: Path) -> None:
    assert "--shards 16" in refused(folder / "part*.npy", shards=None)
    with pytest.raises(MlhwError, match="lr-sweep"):
        mlhw.sgd_sweep(data={"file": str(folder / "part*.npy")})


# ------------------------------------------------------------------------------------- claims


def broken(monkeypatch: pytest.MonkeyPatch, one: passes.RowPass, place: int, factor: float) -> None:
    """Let a pass find something else in one of its places."""

    def work(block: passes.Block, numbers: passes.Numbers) -> Any:
        found = list(one.work(block, numbers))
        found[place] = found[place] * factor
        return tuple(found)

    monkeypatch.setitem(passes.PASSES, one.work.__name__, passes.RowPass(one.ways, work))


@pytest.mark.parametrize(
    ("one", "place", "factor", "claim"),
    [
        (passes.slopes, 0, 1 + 1e-9, "as-the-formula"),
        (passes.slopes, 1, 1 + 1e-7, "as-the-formula"),
        (passes.curvature, 0, 1 + 1e-7, "limits-are-curvatures"),
        (passes.gram, 0, 1 + 1e-7, "limits-are-curvatures"),
        (passes.newton, 0, 1 + 1e-7, "optimum-is-lowest"),
    ],
    ids=["loss", "gradient", "curvature", "gram", "loss at the optimum"],
)
def test_a_claim_fails_where_a_pass_is_wrong(
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    one: passes.RowPass,
    place: int,
    factor: float,
    claim: str,
) -> None:
    broken(monkeypatch, one, place, factor)
    verdicts = {c.id: c.verdict for c in sweep(folder / "one.npy").claims}
    assert verdicts[claim] == "fails"


def test_a_claim_fails_where_newton_stops_early(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(newton, "ARRIVED", np.inf)
    monkeypatch.setattr(newton, "GRADIENT_TOLERANCE", 1e-5)
    verdicts = {c.id: c.verdict for c in sweep(folder / "one.npy").claims}
    assert verdicts["optimum-is-lowest"] == "fails"
