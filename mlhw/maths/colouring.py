"""Colours for the countries of a map, so that neighbours differ."""

from __future__ import annotations

from collections.abc import Iterable


def colouring(count: int, neighbours: Iterable[tuple[int, int]], colours: int) -> list[int]:
    """A colour, 0 … ``colours`` − 1, for each of ``count`` countries; pairs of ``neighbours`` differ.

    Brélaz's DSATUR (Communications of the ACM 22, 1979): next comes the country with the fewest colours
    left, of these the one with the most neighbours, and takes of those left the one used least so far.
    Up to ``colours`` countries have a colour each, in their order. The regions of a plane need few:
    where DSATUR needs more than there are, which no map is known to force beyond six, the colour that
    fewest neighbours have is taken.
    """
    if count <= colours:
        return list(range(count))
    beside: list[set[int]] = [set() for _ in range(count)]
    for i, j in neighbours:
        beside[i].add(j)
        beside[j].add(i)
    found: dict[int, int] = {}
    while len(found) < count:
        country = max(
            (k for k in range(count) if k not in found),
            key=lambda k: (len({found[j] for j in beside[k] if j in found}), len(beside[k]), -k),
        )
        near = [found[j] for j in beside[country] if j in found]
        used = list(found.values())
        found[country] = min(range(colours), key=lambda c: (near.count(c), used.count(c), c))
    return [found[k] for k in range(count)]
