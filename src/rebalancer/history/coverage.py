"""What time the rows of a market stand for: gaps where no row pays, overlaps where two do, and changes of interval.

A settled rate (and an hourly mean) stands for the `interval` that ends at its time, so a missing row leaves a gap, and
a row whose interval is longer than the time since the row before overlaps it: both rows pay for the same time, as when
a venue goes back from hourly to 8 h in the middle of such an interval. A rate that was seen live is known, to a replay,
for two of its intervals from then on; such rows have gaps and no overlaps.

Nothing is filled, cut or moved: a replay pays each row its own rate at its own time, and a market whose last row is
older than two of its intervals is unknown.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple

from ..domain.funding import RateKind
from .table import Row, Series
from .view import MAX_INTERVALS


class Between(NamedTuple):
    """A span between two rows that follow one another, in epoch seconds: of a gap, or of an overlap."""

    start: int
    end: int

    @property
    def length(self) -> int:
        """In seconds."""
        return self.end - self.start


def stands_for(series: Series, row: Row) -> tuple[int, int]:
    """From when to when a row's rate holds, in epoch seconds: until its time, or, if it was seen live, from then on."""
    if series.kind is RateKind.FORMING:
        return row.at, row.at + MAX_INTERVALS * row.interval
    return row.at - row.interval, row.at


def gaps(series: Series) -> Iterator[Between]:
    """The spans between the first row and the last that none stands for."""
    spans = sorted(stands_for(series, row) for row in series.rows)
    reached = spans[0][1]
    for start, end in spans:
        if start > reached:
            yield Between(reached, start)
        reached = max(reached, end)


def overlaps(series: Series) -> Iterator[Between]:
    """The spans for which a row pays although the one before did already; none of rates that were seen live."""
    if series.kind is RateKind.FORMING:
        return
    for before, after in pairwise(series.rows):
        start = after.at - after.interval
        if start < before.at:
            yield Between(start, before.at)


def changes(series: Series) -> Iterator[tuple[Row, Row]]:
    """The rows that follow one another with different intervals."""
    return ((before, after) for before, after in pairwise(series.rows) if before.interval != after.interval)
