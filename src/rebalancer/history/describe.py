"""What is in a history: its markets, their rhythm and gaps, and the divergences of its pairs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import timedelta
from itertools import combinations, compress
from typing import Any, NamedTuple

from ..domain.funding import RateKind, divergence
from ..domain.model import Value
from ..domain.names import Symbol, Venue
from ..domain.numbers import UNKNOWN, OptionalExact, Rate, Ratio, fraction, ratio
from ..domain.times import Duration, DurationOrZero, Instant, from_epoch
from . import statistics
from .coverage import changes, gaps, overlaps, stands_for
from .table import FundingHistory, Series

HOUR = 3600


class IntervalCount(Value):
    """How many rows of a market have an interval."""

    interval: Duration
    rows: int


class IntervalChange(Value):
    """A market's rows have another interval from the row at `at` on: `after` instead of `before`."""

    at: Instant
    before: Duration
    after: Duration


class MarketDescription(Value):
    """One market, from its `first` row to its `last`.

    `intervals` are those of its rows, the most frequent first, with their `changes` in order of time. `coverage` is the
    share of the time from the first row to the last that the rows' intervals cover; what they leave are `gaps`, the
    longest of `longest_gap`, `gap_time` in all. `overlaps` are rows that pay for a time for which the row before paid
    already. `at_mode` is the share of rows at exactly the rate per 8 h that is most frequent, `mode`; `zero` that of
    rows at 0. Rates are fractions per 8 h.
    """

    symbol: Symbol
    venue: Venue
    kind: RateKind
    rows: int
    first: Instant
    last: Instant
    intervals: tuple[IntervalCount, ...]
    changes: tuple[IntervalChange, ...]
    coverage: Ratio
    gaps: int
    longest_gap: DurationOrZero
    gap_time: DurationOrZero
    overlaps: int
    mode: Rate
    at_mode: Ratio
    zero: Ratio
    smallest: Rate
    median: Rate
    largest: Rate


class PairDescription(Value):
    """Two markets of a symbol: the divergence of `short_dex` - `long_dex`, per 8 h, over the full hours.

    At each full hour a market has the rate of the row that stands for the time up to it. `overlap_hours` are those at
    which both have one, and the figures are over these: `mean`, standard `deviation`, `mean_size` (of the absolute
    value), the shares `positive` and `negative`, and the `largest` of either sign, first seen at `largest_at`.
    `half_life_hours` is how long a deviation from the mean takes to halve, by the AR(1) estimate of
    `history/statistics.py` on hours that follow one another; a market that pays every 8 h stays the same for 8 hours
    there, so that figures below its interval mean little. None where it can not be estimated, or nothing overlaps. The
    reversed pair has the same figures with the other sign.
    """

    symbol: Symbol
    long_dex: Venue
    short_dex: Venue
    overlap_hours: int
    mean: OptionalExact = UNKNOWN
    deviation: OptionalExact = UNKNOWN
    mean_size: OptionalExact = UNKNOWN
    positive: OptionalExact = UNKNOWN
    negative: OptionalExact = UNKNOWN
    largest: OptionalExact = UNKNOWN
    largest_at: Instant | None = None
    half_life_hours: OptionalExact = UNKNOWN


class HistoryDescription(Value):
    """A history from `start` to `end`: its `markets` by symbol and venue, and the `pairs` of each symbol's venues.

    `kinds` are those of its rates. Only rates of one kind make a pair.
    """

    rows: int
    start: Instant
    end: Instant
    symbols: tuple[Symbol, ...]
    venues: tuple[Venue, ...]
    kinds: tuple[RateKind, ...]
    markets: tuple[MarketDescription, ...]
    pairs: tuple[PairDescription, ...]


def describe(history: FundingHistory) -> HistoryDescription:
    """The description of a history; two seconds for a year of a hundred markets."""
    return HistoryDescription(
        rows=len(history),
        start=from_epoch(history.start),
        end=from_epoch(history.end),
        symbols=history.symbols,
        venues=history.venues,
        kinds=tuple(sorted({series.kind for series in history.series})),
        markets=tuple(_market(series) for series in history.series),
        pairs=tuple(pair for symbol in history.symbols for pair in _pairs(history, symbol)),
    )


def _market(series: Series) -> MarketDescription:
    first, last = series.rows[0], series.rows[-1]
    rates = [row.per_8h for row in series.rows]
    missing = [gap.length for gap in gaps(series)]
    mode, often = statistics.most_common(rates)
    intervals = Counter(row.interval for row in series.rows)
    span = last.at - first.at
    return MarketDescription(
        symbol=series.market.symbol,
        venue=series.market.venue,
        kind=series.kind,
        rows=len(rates),
        first=from_epoch(first.at),
        last=from_epoch(last.at),
        intervals=tuple(
            IntervalCount(interval=timedelta(seconds=length), rows=rows)
            for length, rows in sorted(intervals.items(), key=lambda item: (-item[1], item[0]))
        ),
        changes=tuple(
            IntervalChange(
                at=from_epoch(after.at),
                before=timedelta(seconds=before.interval),
                after=timedelta(seconds=after.interval),
            )
            for before, after in changes(series)
        ),
        coverage=ratio(statistics.share(span - sum(missing), span)) if span else 1,
        gaps=len(missing),
        longest_gap=timedelta(seconds=max(missing, default=0)),
        gap_time=timedelta(seconds=sum(missing)),
        overlaps=sum(1 for _ in overlaps(series)),
        mode=fraction(mode),
        at_mode=ratio(statistics.share(often, len(rates))),
        zero=ratio(statistics.share(rates.count(0), len(rates))),
        smallest=fraction(min(rates)),
        median=fraction(statistics.middle(rates)),
        largest=fraction(max(rates)),
    )


class _Hours(NamedTuple):
    """A market's rate per 8 h at each full hour from `first` on (in hours since 1970); 0 where not `known`."""

    first: int
    rates: list[int]
    known: bytearray

    @classmethod
    def of(cls, series: Series) -> _Hours:
        """The hours of a series: where several rows stand for an hour, the rate of the last."""
        spans = [stands_for(series, row) for row in series.rows]
        first = min(start for start, _ in spans) // HOUR
        number = max(end for _, end in spans) // HOUR + 1 - first
        rates, known = [0] * number, bytearray(number)
        live = series.kind is RateKind.FORMING  # only a live rate stands for the second at which it starts
        for row, (start, end) in zip(series.rows, spans, strict=True):
            here, there = (start - live) // HOUR + 1 - first, end // HOUR + 1 - first
            if there == here + 1:
                rates[here], known[here] = row.per_8h, 1
            elif there > here:
                rates[here:there] = [row.per_8h] * (there - here)
                known[here:there] = b"\1" * (there - here)
        return cls(first, rates, known)


def _pairs(history: FundingHistory, symbol: str) -> Iterator[PairDescription]:
    hours = [(series, _Hours.of(series)) for series in history.series if series.market.symbol == symbol]
    for (long, long_hours), (short, short_hours) in combinations(hours, 2):
        if long.kind is short.kind:
            yield _pair(long, short, long_hours, short_hours)


def _pair(long: Series, short: Series, long_hours: _Hours, short_hours: _Hours) -> PairDescription:
    names: dict[str, Any] = {
        "symbol": long.market.symbol,
        "long_dex": long.market.venue,
        "short_dex": short.market.venue,
    }
    first = max(long_hours.first, short_hours.first)
    end = min(hours.first + len(hours.rates) for hours in (long_hours, short_hours))
    parts = [slice(first - hours.first, max(first, end) - hours.first) for hours in (long_hours, short_hours)]
    rates = list(map(divergence, long_hours.rates[parts[0]], short_hours.rates[parts[1]]))
    known = _both(long_hours.known[parts[0]], short_hours.known[parts[1]])
    values = list(compress(rates, known))
    if not values:
        return PairDescription(**names, overlap_hours=0)
    following = _both(known[:-1], known[1:])
    half_life = statistics.half_life(list(compress(rates, following)), list(compress(rates[1:], following)))
    positive, negative = statistics.signs(values)
    largest = max(values, key=abs)
    at = next(place for place, there in enumerate(known) if there and rates[place] == largest)
    return PairDescription(
        **names,
        overlap_hours=len(values),
        mean=fraction(statistics.mean(values)),
        deviation=fraction(statistics.deviation(values)),
        mean_size=fraction(statistics.mean(list(map(abs, values)))),
        positive=ratio(statistics.share(positive, len(values))),
        negative=ratio(statistics.share(negative, len(values))),
        largest=fraction(largest),
        largest_at=from_epoch((first + at) * HOUR),
        half_life_hours=None if half_life is None else ratio(half_life),
    )


def _both(one: Sequence[int], other: Sequence[int]) -> bytes:
    """Where both of two masks of equal length are set."""
    return (int.from_bytes(one) & int.from_bytes(other)).to_bytes(len(one))
