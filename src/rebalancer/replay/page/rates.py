"""The rates of a market as the strategy saw them, drawn small: means over buckets of ticks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ...domain.numbers import BPS
from ...history.table import Series
from ...history.view import MAX_INTERVALS

CENTS = BPS // 100
"""Drawings are to a hundredth of a basis point."""
WIDTHS = (1, 2, 3, 4, 6, 8, 12, 24, 48, 72, 168, 336, 720, 2160, 8760)
"""Ticks that a bucket may have."""
POINTS = 2_200
"""Buckets of one market at most."""
ALL_POINTS = 220_000
"""Buckets of all markets at most."""


class Clock(NamedTuple):
    """The ticks of a replay: `first` and `every` in seconds, and how many."""

    first: int
    every: int
    ticks: int

    def tick(self, at: int) -> int:
        """The place of the first tick at or after `at`; 0 for what was before the first one."""
        return max(0, -((self.first - at) // self.every))


def width(ticks: int, markets: int) -> int:
    """How many ticks a bucket has, so that the drawing stays small."""
    points = max(1, min(POINTS, ALL_POINTS // max(1, markets)))
    return next((one for one in WIDTHS if one * points >= ticks), -(-ticks // points))


def means(series: Series, clock: Clock, *, every: int) -> list[int | None]:
    """By bucket of `every` ticks the mean rate per 8 h in hundredths of a basis point; None where none was known.

    A rate is seen from its time until the next one, or until it is older than two of its intervals.
    """
    count = -(-clock.ticks // every)
    sums, seen = [0] * count, [0] * count
    rows = series.rows
    for place, row in enumerate(rows):
        start = clock.tick(row.at)
        stale = (row.at + MAX_INTERVALS * row.interval - clock.first) // clock.every + 1
        end = min(stale, clock.tick(rows[place + 1].at) if place + 1 < len(rows) else clock.ticks, clock.ticks)
        rate = row.per_8h if start < end else 0
        while start < end:
            bucket = start // every
            here = min(end, (bucket + 1) * every) - start
            sums[bucket] += rate * here
            seen[bucket] += here
            start += here
    return [None if not n else round(total / (n * CENTS)) for total, n in zip(sums, seen, strict=True)]


def packed(values: Sequence[int | None]) -> str:
    """The values as text: `x` is unknown, and nothing between two commas is the same once more."""
    said, parts = object(), []
    for value in values:
        parts.append("" if value == said else "x" if value is None else str(value))
        said = value
    return ",".join(parts)
