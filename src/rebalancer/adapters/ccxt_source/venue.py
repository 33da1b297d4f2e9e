"""One venue behind ccxt: what it is asked, each call bounded and apart from the others."""

from __future__ import annotations

import asyncio
from asyncio import CancelledError, Semaphore, Task, TaskGroup
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NamedTuple, Protocol, TypeVar

from ...domain.market import Quote
from ...domain.missing import OPPORTUNITIES, RATE, Missing
from ...domain.names import Market, as_line
from ...domain.request import MarketRequest
from ...domain.times import SECOND
from ...domain.venues import VenueTable
from ...errors import BadAnswerError, SourceUnavailableError
from ...ports import Clock
from .dialects import ANY, DIALECTS, Call
from .failure import Failure
from .perpetuals import Perpetual, perpetuals
from .reading import Answers, Reader, Row

T = TypeVar("T")

AT_ONCE = 8
"""How many calls run side by side at a venue that is asked market by market."""
RELOAD = timedelta(hours=1)
"""After which time the markets of an exchange that was made here are loaded again."""


class Exchange(Protocol):
    """An exchange of `ccxt.async_support`; its other methods are called by name, as far as `has` lists them."""

    has: Any

    async def load_markets(self, reload: bool = False) -> Any: ...  # noqa: FBT001, FBT002  # as ccxt has it

    async def close(self) -> None: ...


class VenueAnswer(NamedTuple):
    """What a venue gave: quotes, what is missing, and why if it gave nothing at all."""

    quotes: tuple[Quote, ...] = ()
    missing: tuple[Missing, ...] = ()
    failure: Failure | None = None


def candidates(request: MarketRequest, venue: str) -> bool:
    """Whether candidates on the venue are wanted."""
    return request.symbols != () and (request.venues is None or venue in request.venues)


class CcxtVenue:
    """An exchange of ccxt, made when it is first asked and closed here; or, with `make` None, the host's."""

    def __init__(
        self,
        name: str,
        exchange: Exchange | None,
        *,
        make: Callable[[], Exchange] | None,
        prefer: Sequence[str],
        clock: Clock,
    ) -> None:
        self.name = name
        self._dialect = DIALECTS.get(name, ANY)
        self._exchange = exchange
        self._make = make
        self._prefer = tuple(prefer)
        self._clock = clock
        self._loading: Task[None] | None = None
        self._loaded_at: float | None = None
        self._markets: Any = None
        self._perpetuals: dict[str, Perpetual] = {}

    async def answer(self, request: MarketRequest, table: VenueTable, *, until: float, origin: str) -> VenueAnswer:
        """What the venue says of the markets that `request` wants, had before `until` on the loop's clock."""
        held = [market.symbol for market in dict.fromkeys(request.markets) if market.venue == self.name]
        failure = await self._attempt(self._load_markets, until)
        if isinstance(failure, Failure):
            return self._nothing(request, self._gaps(held, failure.why), failure)
        wanted = self._wanted(request, held)
        strange = (symbol for symbol in held if symbol not in wanted)
        missing = list(self._gaps(strange, "ccxt lists no active linear perpetual of it in dollars"))
        if not wanted:
            return VenueAnswer(missing=tuple(missing))
        answers = await self._answers(self._dialect.calls(request.needs), list(wanted.values()), until)
        quotes: list[Quote] = []
        lacking: list[Missing] = []
        for symbol, perpetual in wanted.items():
            market = Market(self.name, symbol)
            reader = Reader(market, perpetual, self._dialect, table.of(market), answers)
            quote, gaps = reader.quote(request.needs, origin=origin)
            quotes += [quote] if quote else []
            missing += gaps
            if quote is None and request.wants_candidate(market):
                lacking += (
                    Missing(field=OPPORTUNITIES, why=as_line(f"{self.name}: {gap.why}"), symbol=symbol) for gap in gaps
                )
        rates = answers[self._dialect.rate.call]
        failures = [rate for rate in rates.values() if isinstance(rate, Failure)]
        if len(failures) == len(rates):
            unread = Failure("its answer has none of its markets", BadAnswerError)
            return self._nothing(request, missing, next(iter(failures), unread))
        return VenueAnswer(tuple(quotes), (*missing, *lacking))

    def _nothing(self, request: MarketRequest, missing: Iterable[Missing], failure: Failure) -> VenueAnswer:
        """A venue that gave no rate at all: a list of candidates lacks all of its own."""
        lacking = Missing(field=OPPORTUNITIES, why=f"{self.name}: {failure.why}")
        return VenueAnswer(missing=(*missing, *[lacking] * candidates(request, self.name)), failure=failure)

    async def opened(self, until: float) -> Exchange | Failure:
        """The exchange with its markets loaded, if they are before `until` on the loop's clock."""
        failure = await self._attempt(self._load_markets, until)
        if isinstance(failure, Failure):
            return failure
        return self._exchange or Failure("the source was closed", SourceUnavailableError)

    async def aclose(self) -> None:
        """Close the exchange if it was made here."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.gather(self._loading, return_exceptions=True)
        if self._make is not None and self._exchange is not None:
            exchange, self._exchange, self._loaded_at = self._exchange, None, None
            await exchange.close()

    def _wanted(self, request: MarketRequest, held: Iterable[str]) -> dict[str, Perpetual]:
        """The perpetuals to ask for, held ones first: where time runs out, it does for the candidates."""
        symbols = dict.fromkeys((*held, *self._perpetuals))
        return {
            symbol: self._perpetuals[symbol]
            for symbol in symbols
            if symbol in self._perpetuals and request.wants(Market(self.name, symbol))
        }

    def _gaps(self, symbols: Iterable[str], why: str) -> tuple[Missing, ...]:
        return tuple(Missing(field=RATE, why=why, venue=self.name, symbol=symbol) for symbol in symbols)

    async def _load_markets(self) -> None:
        """Have the list of markets: at most `RELOAD` old, and of the host's exchange the one that the host has.

        Loading goes on when the time for this snapshot is over: else a slow venue would begin anew for ever.
        """
        own, at = self._make is not None, self._loaded_at
        if own and at is not None and self._clock.monotonic() - at < RELOAD / SECOND:
            return
        if self._loading is None:
            self._loading = asyncio.create_task(self._load())
            self._loading.add_done_callback(lambda task: task.cancelled() or task.exception())
        await asyncio.shield(self._loading)

    async def _load(self) -> None:
        try:
            if self._exchange is None and self._make is not None:
                self._exchange = self._make()
            exchange: Any = self._exchange
            markets = await exchange.load_markets(self._make is not None and self._loaded_at is not None)
            if markets is not self._markets:
                self._markets, self._perpetuals = markets, perpetuals(markets.values(), self._prefer)
            self._loaded_at = self._clock.monotonic()
        finally:
            self._loading = None

    async def _answers(self, calls: Iterable[Call], wanted: Sequence[Perpetual], until: float) -> Answers:
        async with TaskGroup() as group:
            tasks = {call: group.create_task(self._ask(call, wanted, until)) for call in calls}
        return {call: task.result() for call, task in tasks.items()}

    async def _ask(self, call: Call, wanted: Sequence[Perpetual], until: float) -> Mapping[str, Row | Failure]:
        """The rows by ccxt's symbol: by one call for all where there is one, else by one for each."""
        exchange: Any = self._exchange
        symbols = [perpetual.id for perpetual in wanted]
        if exchange is None:
            return dict.fromkeys(symbols, Failure("the source was closed", SourceUnavailableError))
        gate = Semaphore(AT_ONCE)

        async def for_all() -> dict[str, Row]:
            rows = await getattr(exchange, f"{call.method}s")(symbols)
            return {symbol: Row(rows[symbol], self._clock.now()) for symbol in symbols if symbol in rows}

        async def for_one(symbol: str) -> Row:
            return Row(await getattr(exchange, call.method)(symbol), self._clock.now())

        async def in_turn(symbol: str) -> Row | Failure:
            async with gate:
                return await self._attempt(lambda: for_one(symbol), until)

        if exchange.has.get(f"fetch{call}s") is True:
            rows = await self._attempt(for_all, until)
            return dict.fromkeys(symbols, rows) if isinstance(rows, Failure) else rows
        if not exchange.has.get(f"fetch{call}"):
            return {}
        async with TaskGroup() as group:
            tasks = {symbol: group.create_task(in_turn(symbol)) for symbol in symbols}
        return {symbol: task.result() for symbol, task in tasks.items()}

    @staticmethod
    async def _attempt(ask: Callable[[], Awaitable[T]], until: float) -> T | Failure:
        """What is answered before `until`, or why nothing is."""
        try:
            async with asyncio.timeout_at(until):
                return await ask()
        except CancelledError as cancelled:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            return Failure.of(cancelled)  # somebody cancelled the call of the exchange, not this task
        except Exception as error:  # ccxt raises what it likes on what a venue sends: a venue must not cost the others
            return Failure.of(error)
