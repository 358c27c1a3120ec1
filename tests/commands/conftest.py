"""What the tests of commands share."""

from __future__ import annotations

import pytest

from tests.commands.graded_class import Graded


@pytest.fixture(scope="session")
def done(tmp_path_factory: pytest.TempPathFactory) -> Graded:
    return Graded(tmp_path_factory.mktemp("class"))
