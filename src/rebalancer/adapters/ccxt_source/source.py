"""A source of funding rates: the exchanges of ccxt."""

from __future__ import annotations

import asyncio
import re
from asyncio import TaskGroup
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from inspect import iscoroutinefunction
from types import ModuleType
from typing import Any

from ...domain.market import Quote
from ...domain.missing import OPPORTUNITIES, RATE, Missing
from ...domain.names import Market, read_venue
from ...domain.needs import Needs
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...domain.times import SECOND
from ...domain.venues import VENUES, VenueTable
from ...errors import InputError, MissingExtraError, SourceError, SourceUnavailableError
from ...ports import Clock, FundingSource
from ..clock import SystemClock
from .dialects import DIALECTS
from .failure import Failure
from .venue import CcxtVenue, Exchange, candidates

OLDEST = (4, 5, 78)


class CcxtSource(FundingSource):
    """Funding rates, payment times, open interest, volume and mark prices from exchanges of ccxt.

    `venues` are made here by ccxt's names, without credentials, when they are first asked, and closed here.
    `exchanges` are the host's own, of `ccxt.async_support`, by venue; the host closes them. `prefer` gives, by venue,
    the quote currencies to take first where a symbol has several perpetuals (else USDT, USDC, USD). `deadline`
    bounds what a snapshot waits for any venue; `table` says what venues do not say themselves, and a fact about one
    market there is preferred to what its venue says.

    Raises InputError for a venue that ccxt does not have, and MissingExtraError without ccxt 4.5.78 or newer.
    """

    def __init__(
        self,
        *venues: str,
        exchanges: Mapping[str, Exchange] | None = None,
        prefer: Mapping[str, Sequence[str]] | None = None,
        clock: Clock | None = None,
        deadline: timedelta = timedelta(seconds=8),
        table: VenueTable = VENUES,
        name: str = "ccxt",
    ) -> None:
        if deadline <= timedelta(0):
            raise InputError("deadline must be above 0")
        if any(isinstance(quotes, str) for quotes in (prefer or {}).values()):
            raise InputError("prefer gives a list of quote currencies for a venue, such as {'grvt': ['USDC']}")
        ccxt = _ccxt()
        own = [read_venue(venue) for venue in venues]
        given = {read_venue(venue): exchange for venue, exchange in (exchanges or {}).items()}
        first = {read_venue(venue): tuple(quotes) for venue, quotes in (prefer or {}).items()}
        if len({*own, *given}) < len(own) + len(given):
            raise InputError("a venue is given twice")
        if not own and not given:
            raise InputError("give at least one venue")
        if not all(iscoroutinefunction(exchange.load_markets) for exchange in given.values()):
            raise InputError("exchanges must be of ccxt.async_support")
        self._name = name
        self._clock = clock or SystemClock()
        self._deadline = deadline
        self._table = table
        self._prefer = first
        self._venues = {
            venue: CcxtVenue(venue, given.get(venue), make=make, prefer=first.get(venue, ()), clock=self._clock)
            for venue, make in ({venue: _maker(ccxt, venue) for venue in own} | dict.fromkeys(given)).items()
        }

    @property
    def name(self) -> str:
        """What it is called in errors and as the `origin` of its quotes."""
        return self._name

    @property
    def supplies(self) -> Needs:
        """All that some venue gives. What one venue lacks is missing, market by market."""
        return Needs(
            opportunities=True, all_symbols=True, schedule=True, open_interest=True, volume=True, mark_price=True
        )

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What the venues give before the deadline, all asked at once. Raises SourceError if none gave anything."""
        until = asyncio.get_running_loop().time() + self._deadline / SECOND
        async with TaskGroup() as group:
            tasks = {
                name: group.create_task(venue.answer(request, self._table, until=until, origin=self._name))
                for name, venue in self._venues.items()
                if _concerned(request, name)
            }
        answers = {name: task.result() for name, task in tasks.items()}
        if answers and all(answer.failure for answer in answers.values()):
            raise _nothing(self._name, {name: answer.failure for name, answer in answers.items() if answer.failure})
        return MarketSnapshot(
            as_of=self._clock.now(),
            quotes=tuple(quote for answer in answers.values() for quote in answer.quotes),
            missing=(*self._foreign(request), *(gap for answer in answers.values() for gap in answer.missing)),
        )

    async def settlements(self, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:
        """What venues settled since then, market by market, as far as ccxt and the deadline allow.

        Intervals are those that a `fetch_history` sees. A venue without past rates, or that accrues continuously, has
        none. A market of which not all could be had in time is left out. Raises SourceError if there is nothing at all
        because venues did not answer.
        """
        from ..ccxt_history.settlements import settled_since  # it is built on this package

        until = asyncio.get_running_loop().time() + self._deadline / SECOND
        asked = [name for name in dict.fromkeys(market.venue for market in markets) if name in self._venues]
        answers = await asyncio.gather(*(self._venues[name].opened(until) for name in asked))
        opened = dict(zip(asked, answers, strict=True))
        failures = {name: one for name, one in opened.items() if isinstance(one, Failure)}
        if failures and len(failures) == len(asked):
            raise _nothing(self._name, failures)
        return await settled_since(
            since,
            markets,
            {name: one for name, one in opened.items() if not isinstance(one, Failure)},
            name=self._name,
            clock=self._clock,
            deadline=max(until - asyncio.get_running_loop().time(), 0) * SECOND,
            table=self._table,
            prefer=self._prefer,
        )

    async def aclose(self) -> None:
        """Close the exchanges that were made here. May be called twice."""
        await asyncio.gather(*(venue.aclose() for venue in self._venues.values()))

    def _foreign(self, request: MarketRequest) -> tuple[Missing, ...]:
        """What is wanted on venues that the source does not have: held markets, and candidates."""
        rates = (
            Missing(field=RATE, why="this source does not have the venue", venue=market.venue, symbol=market.symbol)
            for market in dict.fromkeys(request.markets)
            if market.venue not in self._venues
        )
        candidates = (
            Missing(field=OPPORTUNITIES, why=f"this source does not have {venue}")
            for venue in dict.fromkeys(request.venues or ())
            if request.symbols != () and venue not in self._venues
        )
        return (*rates, *candidates)


def _concerned(request: MarketRequest, venue: str) -> bool:
    return candidates(request, venue) or any(market.venue == venue for market in request.markets)


def _nothing(source: str, failures: Mapping[str, Failure]) -> SourceError:
    """The error for venues that all failed: that it may be asked again, if that is so for one of them."""
    kinds = [failure.error for failure in failures.values()]
    kind = SourceUnavailableError if SourceUnavailableError in kinds else kinds[0]
    return kind(source, "; ".join(f"{name}: {failure.why}" for name, failure in failures.items()))


def _ccxt() -> ModuleType:
    """The asynchronous half of ccxt, new enough."""
    try:
        import ccxt.async_support as ccxt  # type: ignore[import-untyped]  # ships no types
    except ImportError as absent:
        raise MissingExtraError("CcxtSource", extra="ccxt") from absent
    version = str(ccxt.__version__)
    if tuple(int(part) for part in re.findall(r"[0-9]+", version)[:3]) < OLDEST:
        raise MissingExtraError("CcxtSource (ccxt 4.5.78 or newer: older ones misread GRVT)", extra="ccxt")
    module: ModuleType = ccxt
    return module


def _maker(ccxt: ModuleType, venue: str) -> Callable[[], Exchange]:
    """What makes an exchange that loads its markets and nothing else."""
    if venue not in ccxt.exchanges:
        raise InputError("ccxt has no exchange of this name: give one of ccxt.exchanges")
    known = DIALECTS.get(venue)
    config: dict[str, Any] = {"has": {"fetchCurrencies": False}, "options": dict(known.options)} if known else {}
    return partial(getattr(ccxt, venue), config)
