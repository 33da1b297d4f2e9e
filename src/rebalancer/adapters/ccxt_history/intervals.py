"""Over what time each settlement of a market was paid. ccxt does not say, so it is seen from the settlements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

from ...domain.times import seconds
from ...domain.venues import VenueFacts
from ...history.table import Row

HOUR = 3600
LATE = 120
"""Venues stamp a settlement some moments after the full hour; up to so many seconds it is taken for the hour."""


def on_the_hour(at: int) -> int:
    """The full hour that a settlement belongs to, in epoch seconds; the time itself if it is near to none."""
    off = (at + LATE) % HOUR - LATE
    return at - off if abs(off) <= LATE else at


def rows_of(rates: Mapping[int, int], facts: VenueFacts | None) -> list[Row]:
    """The settlements (epoch seconds: grid steps) as rows, each over the interval that ends with it.

    Where the venue's `facts` give one interval for all its perpetuals, it is that one. Else it is the time since the
    settlement before, unless that is longer than it was before *and* is after: then a settlement is missing, the
    interval is the next spacing, and a gap is left. So a change of rhythm is seen, and a missing row is not taken for
    one. The first settlement is left out, since nothing says over what time it was paid.
    """
    times = sorted(rates)
    fixed = _fixed(facts)
    if fixed:
        return [Row(at, rates[at], fixed) for at in times]
    spacings = [after - before for before, after in pairwise(times)]
    rows: list[Row] = []
    for place, spacing in enumerate(spacings):
        around = _around(spacings, place, rows)
        interval = around[-1] if around and spacing > max(around) else spacing
        rows.append(Row(times[place + 1], rates[times[place + 1]], interval))
    return rows


def _around(spacings: Sequence[int], place: int, rows: Sequence[Row]) -> list[int]:
    """The interval of the row before and the spacing after, as far as there are any."""
    before = [rows[-1].interval] if rows else []
    return [*before, *spacings[place + 1 : place + 2]]


def _fixed(facts: VenueFacts | None) -> int:
    """The seconds between payments where the venue pays all alike; 0 where that is not said."""
    return 0 if facts is None or facts.varies else seconds(facts.pays_every)
