"""The tour, executed cell by cell."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import ROOT


@pytest.mark.filterwarnings("ignore")
def test_every_cell_of_the_tour_runs_and_shows_what_it_says(tmp_path: Path) -> None:
    nbformat = pytest.importorskip("nbformat", reason="needs the development tools")
    nbclient = pytest.importorskip("nbclient", reason="needs the development tools")
    notebook = nbformat.read(ROOT / "docs" / "tour.ipynb", as_version=4)
    nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": tmp_path}}
    ).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    texts = "".join(output.get("text", "") for output in outputs)
    assert "holds           no rate below 2/L ever rises" in texts
    assert "etas: rate 2 must be greater than 0 (got -1)" in texts
    (shown,) = [o["data"]["text/html"] for o in outputs if "<h4>" in str(o.get("data"))]
    assert "no rate below 2/L ever rises" in shown
    assert "✓ holds" in shown
    pictures = [o for o in outputs if "image/png" in o.get("data", {})]
    assert len(pictures) == 2
    assert list(tmp_path.iterdir()) == []
