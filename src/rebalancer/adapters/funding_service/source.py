"""The Funding Rate Service as a source: one question for all positions, whatever their number."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ParamSpec, Self, TypeVar

from ...domain.market import Quote
from ...domain.missing import OPEN_INTEREST, OPPORTUNITIES, RATE, VOLUME, Missing
from ...domain.names import Market, as_line
from ...domain.needs import Needs
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...domain.times import SECOND
from ...domain.venues import VENUES, VenueTable
from ...errors import InputError, SourceError, SourceUnavailableError
from ...ports import FundingSource
from .answers import ServiceRate, ServiceSymbol, ServiceVenue, VenueRates, VenueSymbols
from .client import URL, FundingServiceClient
from .filters import read_venues

P = ParamSpec("P")
T = TypeVar("T")

DEADLINE = timedelta(seconds=8)
"""What a snapshot may take; two sources of a FallbackSource fit into the usual deadline of a tick."""


class FundingServiceSource(FundingSource):
    """Quotes from a FundingServiceClient: a request or two for each venue, and one for the list of venues.

    Candidates follow from the quotes of all active venues, or of `venues` alone; the service's ranked lists are not
    asked, since they carry no age, are capped and rank by another figure. How often a venue pays is from `table`; a
    venue that it does not know pays at the interval of its rate. Open interest and volume that the service refreshed
    more than `figures_age` ago are unknown. `at_once` requests are under way at a time: more cost it more than they
    save, unless it is far away. What has not come by `deadline` is missing; the rest is given.
    """

    def __init__(
        self,
        client: FundingServiceClient,
        *,
        venues: Sequence[str] | None = None,
        table: VenueTable = VENUES,
        figures_age: timedelta = timedelta(hours=1),
        at_once: int = 3,
        deadline: timedelta = DEADLINE,
    ) -> None:
        if at_once < 1:
            raise InputError("at_once must be at least 1")
        if min(deadline, figures_age) <= timedelta(0):
            raise InputError("deadline and figures_age must be above 0")
        if venues is not None and not venues:
            raise InputError("give at least one venue, or None for all")
        self._deadline = deadline
        self.client = client
        self._at_once = at_once
        self._venues = None if venues is None else frozenset(read_venues(venues))
        self._table = table
        self._figures_age = figures_age

    @classmethod
    def connect(
        cls, url: str = URL, *, venues: Sequence[str] | None = None, deadline: timedelta = DEADLINE, **options: Any
    ) -> Self:
        """A source on a client of its own; `options` are the client's, and `deadline` is of the whole snapshot."""
        return cls(FundingServiceClient(url, deadline=deadline, **options), venues=venues, deadline=deadline)

    @property
    def name(self) -> str:
        """What the source is called in errors and as the origin of its quotes."""
        return self.client.name

    @property
    def supplies(self) -> Needs:
        """All but mark prices and past observations, which the service does not have."""
        return Needs(opportunities=True, all_symbols=True, schedule=True, open_interest=True, volume=True)

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """The rates of the markets that `request` names, as the service has them now. Held venues are asked first."""
        gate = asyncio.Semaphore(self._at_once)
        reads: dict[str, asyncio.Task[_Read]] = {}

        def begin(venues: Iterable[str]) -> None:
            for venue in sorted(set(venues) - reads.keys()):
                reads[venue] = asyncio.create_task(self._read(venue, request.needs, gate))

        until = asyncio.get_running_loop().time() + self._deadline / SECOND
        try:
            begin(market.venue for market in request.markets)
            listed = await self._listed(request, until)
            begin(self._candidates(request, listed))
            if reads:
                await asyncio.wait(reads.values(), timeout=until - asyncio.get_running_loop().time())
        finally:
            late = [task for task in reads.values() if task.cancel()]
            await asyncio.gather(*late, return_exceptions=True)
        return self._answer(request, listed, [self._outcome(venue, task) for venue, task in reads.items()])

    def _answer(self, request: MarketRequest, listed: _Listed, reads: Sequence[_Read]) -> MarketSnapshot:
        failures = [read.rates for read in reads if isinstance(read.rates, SourceError)]
        if isinstance(listed, SourceError) and not reads:
            raise listed
        if failures and len(failures) == len(reads):
            raise failures[0]
        candidates = self._candidates(request, listed)
        answer = _Answer(request, self.name, self._table, self.client.clock.now(), self._figures_age)
        if isinstance(listed, SourceError):
            answer.miss(OPPORTUNITIES, why=f"which venues are active is unknown: {listed}")
        elif request.symbols != ():
            known = {one.venue for one in listed}
            for venue in sorted(({*(self._venues or ())} | {*(request.venues or ())}) - known):
                answer.miss(OPPORTUNITIES, why=f"the service does not know the venue {venue}")
        for read in reads:
            answer.take(read, candidates=read.venue in candidates)
        return answer.snapshot()

    async def aclose(self) -> None:
        """Close the client."""
        await self.client.aclose()

    async def _listed(self, request: MarketRequest, until: float) -> _Listed:
        """The venues of the service, where candidates are wanted."""
        if request.symbols == ():
            return ()
        try:
            async with asyncio.timeout_at(until):
                return await _or_error(self.client.get_dexes)
        except TimeoutError:
            return self._late()

    @staticmethod
    def _active(listed: Sequence[ServiceVenue]) -> frozenset[str]:
        """The venues that somebody refreshes."""
        return frozenset(one.venue for one in listed if one.active)

    def _candidates(self, request: MarketRequest, listed: _Listed) -> frozenset[str]:
        """The active venues that are allowed; none while it is unknown which are active."""
        if isinstance(listed, SourceError):
            return frozenset()
        active = self._active(listed)
        allowed = (active if names is None else active & frozenset(names) for names in (self._venues, request.venues))
        return frozenset.intersection(*allowed)

    def _outcome(self, venue: str, task: asyncio.Task[_Read]) -> _Read:
        return _Read(venue, self._late()) if task.cancelled() else task.result()

    def _late(self) -> SourceError:
        return SourceUnavailableError(self.name, f"no answer within {self._deadline / SECOND:g} s")

    async def _read(self, venue: str, needs: Needs, gate: asyncio.Semaphore) -> _Read:
        """A venue's rates, and its figures where they are needed: two requests at most."""
        async with gate:
            rates = await _or_error(self.client.get_funding_rates, venue)
        if not (needs.open_interest or needs.volume):
            return _Read(venue, rates)
        async with gate:
            return _Read(venue, rates, await _or_error(self.client.get_symbols, venue))


async def _or_error(ask: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T | SourceError:
    """An answer, or why there is none: one venue's failure is not the others'."""
    try:
        return await ask(*args, **kwargs)
    except SourceError as error:
        return error


_Listed = Sequence[ServiceVenue] | SourceError


@dataclass(frozen=True, slots=True)
class _Read:
    """What came of asking about one venue."""

    venue: str
    rates: VenueRates | SourceError
    figures: VenueSymbols | SourceError | None = None


class _Answer:
    """A snapshot in the making."""

    def __init__(
        self, request: MarketRequest, origin: str, table: VenueTable, as_of: datetime, figures_age: timedelta
    ) -> None:
        self._request = request
        self._origin = origin
        self._table = table
        self._as_of = as_of
        self._figures_age = figures_age
        self._quotes: dict[Market, Quote] = {}
        self._missing: list[Missing] = []

    def miss(self, field: str, *, why: str, venue: str | None = None, symbol: str | None = None) -> None:
        """Say what could not be had."""
        self._missing.append(Missing(field=field, venue=venue, symbol=symbol, why=as_line(why)))

    def take(self, read: _Read, *, candidates: bool) -> None:
        """Take in a venue: its held markets, and with `candidates` the others that are wanted."""
        if isinstance(read.rates, SourceError):
            self.miss(RATE, venue=read.venue, why=str(read.rates))
            if candidates:
                self.miss(OPPORTUNITIES, why=f"{read.venue} could not be read")
            return
        for row in read.rates.refused:
            self._missing.append(row)
            if candidates:
                self.miss(OPPORTUNITIES, symbol=row.symbol, why=f"a row of {read.venue} was refused")
        if candidates and not read.rates.rates and not read.rates.refused:
            self.miss(OPPORTUNITIES, why=f"the service has no rates of {read.venue}")
        figures = self._figures(read)
        for rate in read.rates.rates:
            market = Market(read.venue, rate.symbol)
            if market in self._request.held or (candidates and self._request.wants_candidate(market)):
                self._quotes[market] = self._quote(rate, figures.get(rate.symbol))

    def _figures(self, read: _Read) -> dict[str, ServiceSymbol]:
        """The figures of a venue's symbols that count."""
        if isinstance(read.figures, VenueSymbols):
            for row in read.figures.refused:
                self._miss_figures(row.why, read.venue, row.symbol)
            fresh = {one.symbol: one for one in read.figures.symbols if self._is_fresh(one)}
            for one in read.figures.symbols:
                if one.symbol not in fresh and Market(read.venue, one.symbol) in self._request.held:
                    self._miss_figures("the service did not refresh it lately", read.venue, one.symbol)
            return fresh
        if read.figures is not None:
            self._miss_figures(str(read.figures), read.venue)
        return {}

    def _is_fresh(self, figures: ServiceSymbol) -> bool:
        """Whether figures are neither too old nor as far in the future, which is another zone."""
        return abs(self._as_of - figures.observed_at) <= self._figures_age

    def _miss_figures(self, why: str, venue: str, symbol: str | None = None) -> None:
        for field in (OPEN_INTEREST, VOLUME):
            self.miss(field, venue=venue, symbol=symbol, why=why)

    def _quote(self, rate: ServiceRate, figures: ServiceSymbol | None) -> Quote:
        facts = self._table.of(Market(rate.venue, rate.symbol))
        return Quote.model_construct(  # every value was validated when it was read
            venue=rate.venue,
            symbol=rate.symbol,
            rate=rate.rate,
            observed_at=rate.observed_at,
            pays_every=rate.rate.interval if facts is None else facts.pays_every,
            next_funding_at=rate.next_funding_at,
            open_interest_usd=None if figures is None else figures.open_interest_usd,
            volume_24h_usd=None if figures is None else figures.volume_24h_usd,
            origin=self._origin,
        )

    def snapshot(self) -> MarketSnapshot:
        """The snapshot; a held market without a quote and without a reason yet gets one."""
        said = {(gap.venue, gap.symbol) for gap in self._missing if gap.field == RATE}
        for market in self._request.markets:
            if market not in self._quotes and said.isdisjoint((market, (market.venue, None))):
                self.miss(RATE, venue=market.venue, symbol=market.symbol, why="the service has no rate of it")
        return MarketSnapshot(as_of=self._as_of, quotes=tuple(self._quotes.values()), missing=tuple(self._missing))
