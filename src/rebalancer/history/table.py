"""A funding history in memory: one series of rows a market, exact and in order of time."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from itertools import chain
from typing import TYPE_CHECKING

from ..domain.funding import FundingRate, RateKind
from ..domain.market import Quote
from ..domain.names import Market, read_symbol, read_venue
from ..domain.numbers import EIGHT_HOURS, divide_half_even, fraction
from ..domain.times import from_epoch
from ..errors import HistoryError, suggestion

if TYPE_CHECKING:
    from .check import Finding
    from .describe import HistoryDescription

SHOWN = 30
"""How many of a history's names an error lists."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a market: at `at` (epoch seconds) a rate of `value` grid steps over `interval` seconds.

    For a settled rate `at` is the payment and the interval ends there; otherwise it is when the rate was seen.
    """

    at: int
    value: int
    interval: int
    mark_price: Decimal | None = None
    open_interest_usd: Decimal | None = None
    volume_24h_usd: Decimal | None = None

    @property
    def per_8h(self) -> int:
        """The rate per 8 h in grid steps."""
        return divide_half_even(self.value * EIGHT_HOURS, self.interval)


@dataclass(frozen=True, slots=True)
class Series:
    """The rows of one market, in order of time, all of one kind."""

    market: Market
    kind: RateKind
    rows: tuple[Row, ...]
    _rates: dict[tuple[int, int], FundingRate] = field(default_factory=dict, init=False, repr=False, compare=False)

    def quote(self, row: Row, *, origin: str = "history") -> Quote:
        """A row as a quote: seen when it was, its next settlement an interval later if it was settled."""
        settled = self.kind is RateKind.SETTLED
        rate = self._rates.get((row.value, row.interval))
        if rate is None:
            interval = timedelta(seconds=row.interval)
            rate = FundingRate.model_construct(value=fraction(row.value), interval=interval)
            self._rates[row.value, row.interval] = rate
        return Quote.model_construct(  # every cell was validated when it was read
            venue=self.market.venue,
            symbol=self.market.symbol,
            rate=rate,
            observed_at=from_epoch(row.at),
            kind=self.kind,
            pays_every=rate.interval,
            next_funding_at=from_epoch(row.at + row.interval) if settled else None,
            mark_price=row.mark_price,
            open_interest_usd=row.open_interest_usd,
            volume_24h_usd=row.volume_24h_usd,
            origin=origin,
        )


@dataclass(frozen=True, slots=True)
class FundingHistory:
    """Funding rates of many markets over time. Read one with `FundingHistory.read`.

    `series` are sorted by symbol and venue. Rows are exact: a rate is on the grid of 1e-12, and only rates of one kind
    stand in one series.
    """

    series: tuple[Series, ...]

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, trust_units: bool = False) -> FundingHistory:
        """Read a CSV file (plain or gzip), or Parquet with the extra `replay`.

        Columns: `time_utc, venue, symbol, funding_rate, interval_hours`, and optionally `mark_price,
        open_interest_usd, volume_24h_usd, rate_kind` (`settled` where absent, `live_snapshot`, `indicative_hour_mean`).
        Raises HistoryError with the row for anything that is off: a missing column, a naive time, a rate beyond 100 %
        per 8 h, a duplicate, two kinds in one market, a market whose rates look like percent or rates per year
        (`history/units.py` says when; with `trust_units` they are taken as they are). Rows may come in any order.
        A gap is a missing row and stays one: `describe` and `check` report it.
        """
        from .read import read_history  # the readers build on this class

        return read_history(path, trust_units=trust_units)

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write a file that `read` makes an equal history of, by its suffix: `.parquet`, `.gz` (CSV), else plain CSV.

        The file is replaced as a whole once it is complete. Raises HistoryError if it can not be written.
        """
        from .write import write_history

        write_history(self, path)

    def describe(self) -> HistoryDescription:
        """What is in it: rows, rhythm, coverage and gaps of each market, and the divergence of each pair."""
        from .describe import describe

        return describe(self)

    def check(self) -> tuple[Finding, ...]:
        """What to know before trusting it, the gravest first: gaps, overlaps, odd rates, markets that end early."""
        from .check import check

        return check(self)

    @property
    def start(self) -> int:
        """The first row's time, in epoch seconds."""
        return min(series.rows[0].at for series in self.series)

    @property
    def end(self) -> int:
        """The last row's time, in epoch seconds."""
        return max(series.rows[-1].at for series in self.series)

    @property
    def symbols(self) -> tuple[str, ...]:
        """The symbols, sorted."""
        return tuple(sorted({series.market.symbol for series in self.series}))

    @property
    def venues(self) -> tuple[str, ...]:
        """The venues, sorted."""
        return tuple(sorted({series.market.venue for series in self.series}))

    @property
    def settled(self) -> bool:
        """Whether any rate was settled: only those pay."""
        return any(series.kind is RateKind.SETTLED for series in self.series)

    def __len__(self) -> int:
        return sum(len(series.rows) for series in self.series)

    def decisive(self) -> FundingHistory:
        """The series that decisions read: the settled ones, or all of a history without any."""
        if not self.settled:
            return self
        return FundingHistory(tuple(series for series in self.series if series.kind is RateKind.SETTLED))

    def select(
        self, *, symbols: Collection[str] | None = None, venues: Collection[str] | None = None
    ) -> FundingHistory:
        """The part on these symbols and venues, in any letter case (None: all).

        Raises HistoryError for a name that the history does not have, suggesting the nearest.
        """
        if isinstance(symbols, str) or isinstance(venues, str):
            raise HistoryError("give a list of symbols or venues, not one text")
        wanted_symbols = (
            _known([read_symbol(name) for name in symbols], self.symbols) if symbols is not None else self.symbols
        )
        wanted_venues = (
            _known([read_venue(name) for name in venues], self.venues) if venues is not None else self.venues
        )
        chosen = tuple(
            series
            for series in self.series
            if series.market.symbol in wanted_symbols and series.market.venue in wanted_venues
        )
        if not chosen:
            raise HistoryError("no market of the history is on both these symbols and these venues")
        return FundingHistory(chosen)

    @classmethod
    def of(cls, series: Iterable[Series]) -> FundingHistory:
        """A history of these series, sorted by symbol and venue; HistoryError if there are none."""
        ordered = sorted(series, key=lambda one: (one.market.symbol, one.market.venue))
        if not ordered:
            raise HistoryError("the history has no rows")
        return cls(tuple(ordered))

    def rows(self) -> list[tuple[Series, Row]]:
        """Every row with its series, in order of time; at one time in order of symbol and venue."""
        pairs = chain.from_iterable(((series, row) for row in series.rows) for series in self.series)
        return sorted(pairs, key=lambda pair: pair[1].at)


def _known(wanted: Collection[str], there: tuple[str, ...]) -> Collection[str]:
    for name in wanted:
        if name not in there:
            more = f" and {len(there) - SHOWN} more" if len(there) > SHOWN else ""
            listed = ", ".join(there[:SHOWN]) + more
            raise HistoryError(f"the history has no {name}{suggestion(name, there)}; it has {listed}")
    return wanted
