"""Whether the rates of a market are fractions of notional per interval: percent and rates per year are refused.

A rate alone says little: real markets print 4 % an hour, once. So a market is judged by its *usual size*: the median of
|rate| per 8 h over its rows that are not 0. Of a thousand real markets on a dozen venues, from the largest to coins
that nobody trades, in 2025 and 2026, the usual sizes are 0.2 to 44 bp; those of BTC and ETH are below 2 bp, and the
median of them over a venue's markets is at most 4 bp. Percent in the place of fractions make all of them 100 times as
large, rates per year 1,095 times. So a market is refused

- alone, if its usual size is at least 1 % per 8 h over 30 rows or more (of BTC and ETH 3), or 5 % over 3 or more;
- over 30 rows or more where its usual size is at least 50 bp, and it is BTC or ETH, or that is 30 times the median of
  the usual sizes of its symbol elsewhere, or 50 bp is reached by the median of 5 or more usual sizes of its venue, or
  of the whole file.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache

from ..domain.names import Market
from ..domain.numbers import BPS, FRACTION_PLACES, divide_half_even, from_grid, plain
from .table import Series

LARGE = 50 * BPS
"""A rate per 8 h, of either sign, that is usual nowhere but in small coins, in grid steps."""
ALONE = 100 * BPS
MANY = 30
"""So many rows are no single spell."""
EXTREME = 500 * BPS
FEW = 3
"""Below so many rows there is no usual size."""
MAJORS = ("BTC", "ETH")
TIMES = 30
MARKETS = 5
"""So many markets show what is usual on a venue."""


def strange_units(series: Sequence[Series], large: Mapping[Market, int]) -> Iterator[tuple[Market, str]]:
    """The markets whose rates are no fractions per interval, and why; `large` says how many rates reach `LARGE`."""
    by_market = {one.market: one for one in series}

    @cache
    def usual(market: Market) -> int:
        return usual_size(by_market[market])

    @cache
    def mostly_large(venue: str | None) -> bool:
        """Whether the median of the usual sizes of a venue's markets, or of all, reaches LARGE."""
        there = [usual(market) for market in by_market if venue in (None, market.venue)]
        return sum(size > 0 for size in there) >= MARKETS and median(filter(None, there)) >= LARGE

    for market in large:
        if not _reaches(by_market[market], large[market]):
            continue
        others = [other for other in by_market if other.symbol == market.symbol and other != market]
        elsewhere = [usual(other) for other in others if usual(other)]
        many, major = len(by_market[market].rows) >= MANY, market.symbol in MAJORS
        if usual(market) >= (ALONE if many or major else EXTREME) or (many and major):
            yield market, _refusal(market, usual(market), "which no market's are for long")
        elif not many:
            continue
        elif elsewhere and usual(market) >= TIMES * median(elsewhere):
            yield market, _refusal(market, usual(market), f"{usual(market) // median(elsewhere)} times those elsewhere")
        elif mostly_large(market.venue):
            yield market, _refusal(market, usual(market), f"and so are those of most markets on {market.venue}")
        elif mostly_large(None):
            yield market, _refusal(market, usual(market), "and so are those of most markets here")


def _reaches(series: Series, large: int) -> bool:
    """Whether the usual size reaches LARGE, of a series with so many rates that do."""
    rows = sum(row.value != 0 for row in series.rows)
    return rows >= FEW and large >= rows - rows // 2


def usual_size(series: Series) -> int:
    """The median of |rate| per 8 h over the rows that are not 0, in grid steps; 0 if there are fewer than 3."""
    sizes = [abs(row.per_8h) for row in series.rows if row.value]
    return median(sizes) if len(sizes) >= FEW else 0


def median(sizes: Iterable[int]) -> int:
    """The upper median of at least one size."""
    ordered = sorted(sizes)
    return ordered[len(ordered) // 2]


def _refusal(market: Market, usual: int, why: str) -> str:
    percent = plain(from_grid(divide_half_even(usual, 10 ** (FRACTION_PLACES - 6)), 4))
    return (
        f"funding_rate: half of the rates of {market} are {percent} % per 8 h or more, {why}: is it a percent? divide "
        "by 100; a rate per year? divide by the intervals of a year; is it right? trust_units=True, --trust-units"
    )
