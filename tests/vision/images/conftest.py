"""Every test of images has a cache folder of its own; drawn animals as a data set."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.vision.images.drawn import class_folders


@pytest.fixture(autouse=True)
def cache(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder))
    return folder


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    return class_folders(tmp_path / "animals", {"cat": 10, "dog": 14})
