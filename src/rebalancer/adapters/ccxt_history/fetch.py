"""Settlements of the past from exchanges of ccxt, window by window."""

from __future__ import annotations

import asyncio
from asyncio import TaskGroup
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from ...domain.funding import RateKind
from ...domain.names import Market, read_symbol, read_venue
from ...domain.numbers import FRACTION_PLACES, read_number, to_grid
from ...domain.times import SECOND, epoch_seconds, from_epoch, read_instant
from ...domain.venues import VENUES, VenueTable
from ...errors import BadAnswerError, InputError, SourceRefusedError, SourceUnavailableError, UnknownMarketError
from ...history.table import FundingHistory, Series
from ...ports import Clock
from ..ccxt_source.failure import Failure
from ..ccxt_source.perpetuals import Perpetual, perpetuals
from ..ccxt_source.source import _ccxt, _maker
from ..ccxt_source.venue import Exchange
from ..clock import SystemClock
from .intervals import LATE, on_the_hour, rows_of
from .journal import Journal, Page

NAME = "ccxt"
MOST = 100
"""Settlements in one answer: every venue gives as many, and one of so many may be cut off."""
HOUR = 3600
BEFORE = 86_400
"""Seconds before `since` that are asked for as well, for the interval of the first settlement."""
TRIES = 5
LAST = {"okx": "after"}
"""What a venue calls the end of a window where ccxt does not translate `until`."""

Told = Callable[[Market, datetime, int], None]


class Fetched(NamedTuple):
    """A history as far as it could be had; `missing` says, by market, why another one, or a part, is not in it."""

    history: FundingHistory | None
    missing: Mapping[Market, Failure]

    @property
    def unfinished(self) -> bool:
        """Whether a venue could not answer now: asked again, it may give more."""
        return any(failure.error is SourceUnavailableError for failure in self.missing.values())


async def fetch_history(
    venues: Sequence[str],
    symbols: Sequence[str],
    *,
    since: datetime,
    until: datetime | None = None,
    exchanges: Mapping[str, Exchange] | None = None,
    prefer: Mapping[str, Sequence[str]] | None = None,
    table: VenueTable = VENUES,
    clock: Clock | None = None,
    deadline: timedelta = timedelta(seconds=30),
    journal: Journal | None = None,
    progress: Told | None = None,
) -> Fetched:
    """What the venues settled from `since` to `until` (now), by ccxt's `fetch_funding_rate_history`.

    `exchanges` are the host's own, as for `CcxtSource`; the others are made here, with ccxt's own rate limit, and
    closed. Venues are asked at once, the markets of one in turn, each answer within `deadline` and, where a venue can
    not answer now, up to five times. A window of time that comes back full is asked again in halves, so that no
    settlement is cut off. With a `journal`, pages that it has are not asked for again. `progress` hears the market,
    how far it is, and its settlements so far.

    Rates are the venues' own fractions; an interval is what `rows_of` sees, never a guess. A venue that accrues
    continuously, or of which ccxt has no past rates, is refused, market by market. Raises InputError for names and
    times that make no sense, and MissingExtraError without ccxt.
    """
    clock = clock or SystemClock()
    start, end = read_instant(since), read_instant(until or clock.now())
    if not start < end:
        raise InputError("since must be before until, and before now")
    asked = list(dict.fromkeys(read_venue(venue) for venue in venues))
    wanted = list(dict.fromkeys(read_symbol(symbol) for symbol in symbols))
    if not asked or not wanted:
        raise InputError("give at least one venue and one symbol")
    given = {read_venue(venue): exchange for venue, exchange in (exchanges or {}).items()}
    ccxt = _ccxt()
    makers = {venue: _maker(ccxt, venue) for venue in asked if venue not in given}
    found = _Found(table, epoch_seconds(start), epoch_seconds(end), progress, journal)
    async with TaskGroup() as group:
        for venue in asked:
            one = _Venue(venue, found, clock, deadline / SECOND, tuple((prefer or {}).get(venue, ())))
            group.create_task(one.fetch(wanted, given.get(venue), makers.get(venue)))
    return found.fetched()


class _Found:
    """What is known so far: the settlements of each market, and how far each is asked for."""

    def __init__(self, table: VenueTable, start: int, end: int, progress: Told | None, journal: Journal | None) -> None:
        self.table = table
        self.start, self.end = start, end
        self.rates: dict[Market, dict[int, int]] = {}
        self.reached: dict[Market, int] = {}
        self.missing: dict[Market, Failure] = {}
        self._progress = progress
        self._journal = journal
        for page in journal.pages if journal is not None else ():
            self._take(page)

    def add(self, page: Page) -> None:
        """Take in a page, and keep it."""
        self._take(page)
        if self._journal is not None:
            self._journal.add(page)
        if self._progress is not None:
            self._progress(page.market, from_epoch(min(page.until, self.end)), len(self.rates[page.market]))

    def _take(self, page: Page) -> None:
        self.rates.setdefault(page.market, {}).update(page.rates)
        self.reached[page.market] = page.until

    def fetched(self) -> Fetched:
        """The history, and what is not in it."""
        series = []
        for market, rates in sorted(self.rates.items()):
            rows = tuple(row for row in rows_of(rates, self.table.of(market)) if self.start <= row.at <= self.end)
            if rows:
                series.append(Series(market, RateKind.SETTLED, rows))
            else:
                self.missing.setdefault(market, Failure("it has no settlement of that time", UnknownMarketError))
        return Fetched(FundingHistory.of(series) if series else None, dict(self.missing))


class _Venue:
    """One venue, asked for one market after another."""

    def __init__(self, name: str, found: _Found, clock: Clock, deadline: float, prefer: Sequence[str]) -> None:
        self._name = name
        self._found = found
        self._clock = clock
        self._deadline = deadline
        self._prefer = prefer
        self._exchange: Any = None

    async def fetch(
        self, symbols: Sequence[str], exchange: Exchange | None, make: Callable[[], Exchange] | None
    ) -> None:
        """All symbols; what fails is noted, and costs no other venue anything."""
        self._exchange = exchange or (_lean(make()) if make else None)
        try:
            listed = await self._listed()
            for symbol in symbols:
                market = Market(self._name, symbol)
                failure = listed if isinstance(listed, Failure) else await self._market(market, listed.get(symbol))
                if failure is not None:
                    self._found.missing[market] = failure
        finally:
            if exchange is None and self._exchange is not None:
                await self._exchange.close()

    async def _listed(self) -> dict[str, Perpetual] | Failure:
        if not self._exchange.has.get("fetchFundingRateHistory"):
            return Failure("ccxt has no past funding rates of this venue", SourceRefusedError)
        markets = await self._patiently(self._exchange.load_markets)
        return markets if isinstance(markets, Failure) else perpetuals(markets.values(), self._prefer)

    async def _market(self, market: Market, perpetual: Perpetual | None) -> Failure | None:
        """Every window of a market, the first of them before the start."""
        facts = self._found.table.of(market)
        if facts is not None and not facts.pays_every:
            return Failure("it accrues continuously: there are no settlements to fetch", SourceRefusedError)
        if perpetual is None:
            return Failure("ccxt lists no active linear perpetual of it in dollars", UnknownMarketError)
        at = self._found.reached.get(market, self._found.start - BEFORE)
        window = MOST * HOUR
        while at < self._found.end:
            until = min(at + window, self._found.end + LATE)
            page = await self._patiently(lambda at=at, until=until: self._page(perpetual, at, until))  # type: ignore[misc]
            if isinstance(page, Failure):
                return page
            if len(page) >= MOST:
                if window <= HOUR:
                    return Failure("it settles more often than its answers can hold", BadAnswerError)
                window //= 2
                continue
            self._found.add(Page(market, until, page))
            at = until
        return None

    async def _page(self, perpetual: Perpetual, at: int, until: int) -> dict[int, int]:
        """The settlements of the seconds after `at` and up to `until`, by time on the hour."""
        start, last = (at + 1) * 1000, until * 1000 + 999
        more = {LAST[self._name]: last + 1} if self._name in LAST else {}
        rows = await self._exchange.fetch_funding_rate_history(perpetual.id, start, MOST, {"until": last, **more})
        return {
            on_the_hour(moment): to_grid(read_number(row["fundingRate"]), FRACTION_PLACES)
            for row in rows
            if at < (moment := int(row["timestamp"]) // 1000) <= until
        }

    async def _patiently(self, ask: Callable[[], Any]) -> Any:
        """The answer, asked for again, later and later, while the venue can not give one now; else the failure."""
        failure = None
        for attempt in range(TRIES):
            if attempt:
                await self._clock.sleep(2**attempt)
            try:
                async with asyncio.timeout(self._deadline):
                    return await ask()
            except Exception as error:  # ccxt raises what it likes on what a venue sends
                failure = Failure.of(error)
            if failure.error is not SourceUnavailableError:
                break
        return failure


def _lean(exchange: Any) -> Exchange:
    """The exchange, loading no markets but linear ones where it can choose: the others can be many."""
    options = exchange.options.get("fetchMarkets")
    if isinstance(options, dict) and "linear" in options.get("types", ()):
        options["types"] = ["linear"]
    made: Exchange = exchange
    return made
