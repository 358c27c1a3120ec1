"""A run as one entry of a list: ``mlhw runs list --json``."""

from __future__ import annotations

from typing import Any

from mlhw.result.claims import VERDICTS
from mlhw.runs.history import Run
from mlhw.text.values import to_json


def entry_of(run: Run) -> dict[str, Any]:
    """JSON values: ``run`` is its folder, ``name`` that folder's name; ``claims`` counts the verdicts."""
    found: list[str] = [claim.verdict for claim in run.claims]
    held, failed, idle = (found.count(verdict) for verdict in VERDICTS)
    return {
        "run": str(run.folder),
        "name": run.name,
        "experiment": run.experiment,
        "status": run.status,
        "reason": run.text("reason") or run.damage or None,
        "exit_code": run.record.get("exit_code"),
        "claims": {
            "holds": held,
            "fails": failed,
            "not_applicable": idle,
            "judged": held + failed,
        },
        "started": run.text("started") or None,
        "seconds": run.seconds,
        "headlines": to_json(run.headlines()),
    }
