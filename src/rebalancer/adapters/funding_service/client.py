"""A typed client of the Funding Rate Service."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Self, TypeVar, Unpack
from urllib.parse import quote

from ...domain.names import read_symbol, read_venue
from ...errors import BadAnswerError, InputError, SourceUnavailableError, UnknownMarketError
from ...ports import Clock
from ..clock import SystemClock
from ..http import Breaker, JsonReader, Retry
from .answers import Comparison, ServiceOpportunity, ServiceRate, ServiceVenue, VenueRates, VenueSymbols
from .filters import Filters, OpportunityFilter, by_preference, read_venues
from .payloads import Payloads, best_opportunity, known_symbols, opportunities

URL = "http://localhost:8000/api/v1"
"""Where the service is by default."""
NAME = "funding rate service"
EIGHT_HOURS = timedelta(hours=8)
MOST = 100
"""The longest list of opportunities that the service gives; it has no pages."""

T = TypeVar("T")


class FundingServiceClient:
    """Asks the Funding Rate Service at `url`, over one kept connection pool. Close it with `aclose()`.

    The service states no intervals: its rates are per `rate_interval` (8 h), or per `rate_intervals[venue]`. Its row
    times have no zone: they are in `row_zone`, the zone of its database session (its other times are UTC). Ages that
    are negative or off by whole hours are the sign of a wrong one.

    `deadline` bounds a whole call, retries included. `headers` go with each request and stay out of errors. Plain http
    is for this machine only, unless `allow_http`; `trust_env` lets proxies of the environment count.

    Every method raises SourceUnavailableError (ask again later), SourceRefusedError (the question is wrong; unknown
    names are UnknownMarketError), BadAnswerError (nothing of the answer is believed), or InputError for a name or
    number that is none.
    """

    def __init__(
        self,
        url: str = URL,
        *,
        rate_interval: timedelta = EIGHT_HOURS,
        rate_intervals: Mapping[str, timedelta] | None = None,
        row_zone: tzinfo = UTC,
        headers: Mapping[str, str] | None = None,
        deadline: timedelta = timedelta(seconds=10),
        retry: Retry | None = None,
        breaker: Breaker | None = None,
        verify: ssl.SSLContext | None = None,
        allow_http: bool = False,
        trust_env: bool = False,
        clock: Clock | None = None,
    ) -> None:
        self.name = NAME
        self.clock = clock or SystemClock()
        self._read = Payloads(rate_interval, rate_intervals or {}, row_zone)
        self._reader = JsonReader(
            url,
            name=NAME,
            clock=self.clock,
            headers=headers,
            deadline=deadline,
            retry=retry,
            breaker=breaker,
            verify=verify,
            allow_http=allow_http,
            trust_env=trust_env,
        )

    async def compare_rates(self, symbol: str, dex1: str, dex2: str) -> Comparison:
        """The rates of `symbol` on two venues: long on `dex1`, short on `dex2`.

        The divergence is subtracted here, with its sign. The service's own is unsigned and hides a flip.
        """
        asked = read_symbol(symbol), read_venue(dex1), read_venue(dex2)
        params = dict(zip(("symbol", "dex1", "dex2"), asked, strict=True))
        return await self._get("/funding-rates/compare", params, lambda answer: self._read.comparison(answer, *asked))

    async def get_funding_rates(self, dex: str) -> VenueRates:
        """All rates of a venue. A row that is off is in `refused`; the others stand."""
        venue = read_venue(dex)
        return await self._get(f"/funding-rates/{venue}", {}, lambda answer: self._read.venue_rates(answer, venue))

    async def get_funding_rate(self, dex: str, symbol: str) -> ServiceRate:
        """One market's rate, with its open interest and volume where the service knows them."""
        venue, name = read_venue(dex), read_symbol(symbol)
        path = f"/funding-rates/{venue}/{quote(name, safe='')}"
        return await self._get(path, {}, lambda answer: self._read.rate(answer, venue, name))

    async def get_next_funding_time(self, dex: str, symbol: str) -> datetime | None:
        """When a market settles next, in UTC. None if the service does not know: it has none, or one that is past."""
        at = (await self.get_funding_rate(dex, symbol)).next_funding_at
        return at if at is not None and at > self.clock.now() else None

    async def get_dexes(self) -> tuple[ServiceVenue, ...]:
        """The venues that the service knows, with their fees, and whether they are active."""
        return await self._get("/dexes", {}, self._read.venues)

    async def get_symbols(self, dex: str) -> VenueSymbols:
        """A venue's symbols, with open interest and volume. A row that is off is in `refused`; the others stand."""
        venue = read_venue(dex)
        return await self._get(f"/dexes/{venue}/symbols", {}, lambda answer: self._read.symbols(answer, venue))

    async def get_opportunities(
        self, *, limit: int = 10, prioritize_dexes: str | Sequence[str] = (), **filters: Unpack[Filters]
    ) -> tuple[ServiceOpportunity, ...]:
        """Pairs that the service lists, by its own net profit; `filters` are those of `OpportunityFilter`.

        They are checked again here: what is unknown does not pass. Pairs with legs on `prioritize_dexes` (a list, or a
        text such as "lighter,grvt") come first. The service lists at most 100 pairs and hides those below
        `min_divergence`, 1 bp unless given. An empty list is believed only if the service has rates at the moment;
        otherwise it raises SourceUnavailableError.
        """
        if not 1 <= limit <= MOST:
            raise InputError(f"limit must be from 1 to {MOST}")
        preferred = read_venues(prioritize_dexes)
        wanted = OpportunityFilter.model_validate(filters)
        listed = await self._get("/opportunities", {**wanted.params(), "limit": str(MOST)}, opportunities)
        if not listed:
            await self._prove_readable(wanted.symbol)
        return tuple(by_preference([one for one in listed if wanted.admits(one)], preferred)[:limit])

    async def get_best_opportunity(self, **filters: Unpack[Filters]) -> ServiceOpportunity | None:
        """The pair with the largest net profit of the service's own reckoning, or None.

        It may be a pair that is held, and is none under 1 bp. `filters` are those of `OpportunityFilter`, and checked
        again here. None is believed only if the service has rates at the moment, as with `get_opportunities`.
        """
        wanted = OpportunityFilter.model_validate(filters)
        best = await self._get("/opportunities/best", wanted.params(), best_opportunity)
        if best is None:
            await self._prove_readable(wanted.symbol)
        elif not wanted.admits(best):  # a further one may be
            return next(iter(await self.get_opportunities(limit=1, **filters)), None)
        return best

    async def aclose(self) -> None:
        """Close the connections."""
        await self._reader.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def _prove_readable(self, symbol: str | None) -> None:
        """An empty list says nothing while the service can not read its rates: it answers so with its database down."""
        known = await self._get("/funding-rates", {}, known_symbols)
        if not known:
            raise SourceUnavailableError(self.name, "it has no rates at all, so that its empty list says nothing")
        if symbol is not None and symbol not in known:
            raise UnknownMarketError(self.name, f"it has no rates of {symbol}")

    async def _get(self, path: str, params: Mapping[str, str], read: Callable[[object], T]) -> T:
        """What `read` makes of the answer; whatever it refuses there is the service's fault."""
        answer = await self._reader.get(path, params)
        try:
            return read(answer)
        except InputError as error:
            raise BadAnswerError(self.name, f"it answered with something else than promised: {error}") from error
