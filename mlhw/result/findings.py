"""What a run found beside its answers, as the lines that a person reads: observations, then claims.

An observation shows its numbers, as they are what the run was for. Of claims most hold, and one line says
so; one that fails shows its numbers, one that is not applicable the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mlhw.result.claims import Claim, claim_lines
from mlhw.result.observations import Observation, observation_lines


def finding_lines(
    claims: Sequence[Claim], observations: Iterable[Observation], *, verbose: bool = False
) -> list[str]:
    """Observations and claims below their headings, a blank line before each heading.

    ``verbose``: every claim with its id and its numbers.
    """
    lines: list[str] = []
    if seen := [line for each in observations for line in observation_lines(each)]:
        lines += ["", "observations", *seen]
    if claims:
        more = "" if verbose else " (--verbose and the report have the numbers of those that hold)"
        lines += ["", f"claims{more}"]
        lines += [line for claim in claims for line in claim_lines(claim, verbose=verbose)]
    return lines
