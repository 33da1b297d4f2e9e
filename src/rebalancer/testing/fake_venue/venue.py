"""A perpetual venue that behaves as it is told, on any clock."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import TYPE_CHECKING, Any

from ...domain.names import read_symbol, read_venue
from ...domain.numbers import Number, plain, read_number
from ...domain.times import SECOND, write_instant
from ...errors import InputError
from ...ports import Clock
from .book import Book, Order
from .fates import Fates
from .habits import Answer, Call, Fate, Habits, OrderRequest, Reply, Stamps
from .log import TruthLog
from .truth import Fact

if TYPE_CHECKING:
    from .executor import FakeExecutor

NOW = timedelta(0)
_WHOLE = Decimal(1)
_PAGE = "<!DOCTYPE html><html><body><h1>Just a moment...</h1></body></html>"


class FakeVenue:
    """A perpetual venue for tests, with a state of its own and a log of what really happened.

    `prices` are its markets with their marks. What it usually does is in `habits`; `plan` has the next calls go
    otherwise. Whatever is due happens when it is next looked at, at the time at which it was due, in order: so nothing
    waits for a caller, and an order that came in is filled even if its sender is gone. All chance comes from `seed`:
    the same calls at the same times have the same fate.

    `place, find, cancel` and `positions` are what a client can do; the rest is for the test. Times are the clock's.
    """

    def __init__(
        self,
        name: str = "lighter",
        *,
        prices: Mapping[str, Number],
        clock: Clock,
        habits: Habits | None = None,
        seed: int = 0,
        log: TruthLog | None = None,
    ) -> None:
        self.name = read_venue(name)
        self.habits = habits or Habits()
        self._log = log or TruthLog()
        self._clock = clock
        self._book = Book(self.name, self.habits, self._log)
        self._fates = Fates(f"{seed}|{self.name}", self.habits.chances)
        self._due: list[tuple[datetime, int, Callable[[datetime], None]]] = []
        self._ordinal = count()
        self._latest = clock.now()
        for symbol, price in prices.items():
            self.price(symbol, price)

    # What a client can do

    async def place(self, request: OrderRequest) -> Reply:
        """Place an order at the market price. Raises TimeoutError or ConnectionError if so fated."""
        fate, now = self._fates.next(Call.PLACE, request.symbol), self.catch_up()
        came: list[Order | None] = []
        if fate.done:
            self._at(now + fate.arrives, lambda at: came.append(self._arrive(request, fate, at)))
            if fate.again is not None:
                self._at(now + fate.arrives + fate.again, lambda at: void(self._arrive(request, fate, at)))
            self.catch_up()
        if fate.arrives and fate.answer in (Answer.TRUE, Answer.HINT):
            await self._clock.sleep(fate.arrives / SECOND)
            self.catch_up()
        return await self._answered(fate, _receipt(came[0]) if came else Reply(202, {}))

    async def find(self, name: str) -> Reply:
        """What is to be seen of the order with that client id."""
        fate, now = self._fates.next(Call.FIND), self.catch_up()
        lag = self.habits.find_lag if fate.lag is None else fate.lag
        row = self._book.order(name, now - lag)
        return await self._answered(fate, Reply(404, {}) if row is None else Reply(200, row))

    async def cancel(self, name: str) -> Reply:
        """Cancel what is left of the order with that client id."""
        fate, now = self._fates.next(Call.CANCEL), self.catch_up()
        order = self._book.live(name)
        if fate.done and order is not None:
            self._at(now + fate.after, lambda at: self._end(order, fate, at))
        now = self.catch_up()
        row = self._book.order(name, now)
        return await self._answered(fate, Reply(404, {}) if row is None else Reply(200, row))

    async def positions(self, symbols: Sequence[str]) -> Reply:
        """What is held of each symbol, zero too. A symbol that is not traded here has no row."""
        fate, now = self._fates.next(Call.READ), self.catch_up()
        rows = [row for symbol in symbols if (row := self._row(symbol, fate, now)) is not None]
        blank = [{"symbol": symbol, "quantity": None} for symbol in symbols]
        return await self._answered(fate, Reply(200, rows), null=blank)

    # What a test can do

    def executor(self, **capabilities: Any) -> FakeExecutor:
        """An executor on this venue. Its capabilities are true of the habits, but for those given here."""
        from .executor import FakeExecutor

        true = FakeExecutor(self).capabilities(self.name)
        return FakeExecutor(self, capabilities={self.name: true.model_copy(update=capabilities)})

    def plan(self, call: Call | str, fate: Fate, *, symbol: str | None = None, times: int | None = 1) -> None:
        """Have the next calls go this way: `times` of them, or with None all until `unplan`. The first plan counts.

        With a `symbol`, only orders for it, and only its row of a read.
        """
        self._fates.plan(Call(call), fate, symbol=None if symbol is None else read_symbol(symbol), times=times)

    def unplan(self) -> None:
        """Forget what was planned; what is under way already goes on."""
        self._fates.clear()

    def price(self, symbol: str, price: Number, *, after: timedelta = NOW) -> None:
        """Set the mark price, or open a market at it. Several with growing `after` are a path."""
        name, mark = read_symbol(symbol), read_number(price)
        if mark <= 0:
            raise InputError("a price is above 0")
        self._later(after, lambda at: self._book.price(name, mark, at=at))

    def hold(self, symbol: str, quantity: Number, *, entry_price: Number | None = None) -> None:
        """Begin with a position: the quantity is positive if it is long."""
        by, price = read_number(quantity), None if entry_price is None else read_number(entry_price)
        name = self._known(symbol)
        self._later(NOW, lambda at: self._book.change(name, by, at=at, price=price, why="held before"))

    def change(self, symbol: str, by: Number, *, after: timedelta = NOW, why: str = "traded by somebody else") -> None:
        """Have somebody else trade on the account: bought if positive."""
        quantity, name = read_number(by), self._known(symbol)
        self._later(after, lambda at: self._book.change(name, quantity, at=at, price=None, why=why))

    def close(self, symbol: str, *, after: timedelta = NOW, why: str = "closed by somebody else") -> None:
        """Have somebody else close what is held by then."""
        name = self._known(symbol)
        self._later(after, lambda at: self._book.close(name, at=at, why=why))

    def liquidate(self, symbol: str, *, after: timedelta = NOW) -> None:
        """Liquidate what is held by then."""
        self.close(symbol, after=after, why="liquidated")

    def fund(self, symbol: str, amount: Number, *, after: timedelta = NOW) -> None:
        """Pay funding to the position, or take it if negative."""
        dollars, name = read_number(amount), self._known(symbol)
        self._later(after, lambda at: self._book.fund(name, dollars, at=at))

    @property
    def facts(self) -> list[Fact]:
        """All that has happened until now, also on venues with the same log; `truth` judges it."""
        self.catch_up()
        return self._log.facts

    def catch_up(self) -> datetime:
        """Let everything that is due happen, and say what time it is; a clock that goes back is not followed."""
        self._latest = max(self._latest, self._clock.now())
        while self._due and self._due[0][0] <= self._latest:
            at, _, act = heapq.heappop(self._due)
            act(at)
        return self._latest

    # What happens

    def _at(self, due: datetime, act: Callable[[datetime], None]) -> None:
        heapq.heappush(self._due, (due, next(self._ordinal), act))

    def _later(self, after: timedelta, act: Callable[[datetime], None]) -> None:
        self._at(self.catch_up() + after, act)
        self.catch_up()

    def _known(self, symbol: str) -> str:
        name = read_symbol(symbol)
        if self._book.held(name, self._latest) is None:
            raise InputError("there is no such market: give it a price first")
        return name

    def _arrive(self, request: OrderRequest, fate: Fate, at: datetime) -> Order | None:
        order = self._book.arrive(request, at=at, reject=fate.reject)
        if order is not None and order.live:
            if fate.after:
                self._at(at + fate.after, lambda due: self._fill(order, fate, due))
            else:
                self._fill(order, fate, at)
        return order

    def _fill(self, order: Order, fate: Fate, at: datetime) -> None:
        self._book.fill(order, fate.share, at=at)
        if not fate.rests:
            self._book.end(order, at=at, why="the rest found nobody to trade with")

    def _end(self, order: Order, fate: Fate, at: datetime) -> None:
        if fate.loses:
            self._book.fill(order, _WHOLE, at=at)
        self._book.end(order, at=at, why="cancelled")

    def _row(self, symbol: str, fate: Fate, now: datetime) -> dict[str, Any] | None:
        """A market's row of a read."""
        own = self._fates.planned(Call.READ, symbol) or fate
        lag = self.habits.read_lag if own.lag is None else own.lag
        held = self._book.held(symbol, now - lag)
        if held is None or own.answer is Answer.EMPTY:
            return None
        if own.answer is not Answer.TRUE:
            return {"symbol": symbol, "quantity": None}
        row: dict[str, Any] = {"symbol": symbol, "quantity": plain(held.quantity), "mark_price": plain(held.mark)}
        row |= {"entry_price": None if held.entry is None else plain(held.entry), "funding": plain(held.funding)}
        if self.habits.stamps is not Stamps.NONE:
            row["as_of"] = write_instant(now if self.habits.stamps is Stamps.NOW else now - lag)
        return row

    async def _answered(self, fate: Fate, true: Reply, *, null: object = None) -> Reply:
        """What the client sees, when it sees it."""
        if fate.answer is Answer.TIMEOUT:
            await self._clock.sleep(self.habits.patience / SECOND)
            raise TimeoutError("no answer")
        await self._clock.sleep(self.habits.latency / SECOND)
        if fate.answer is Answer.RESET:
            raise ConnectionResetError("the connection was cut")
        seen = {
            Answer.TRUE: true,
            Answer.HINT: Reply(202, {}),
            Answer.UNAVAILABLE: Reply(503, "Service Unavailable"),
            Answer.HTML: Reply(200, _PAGE),
            Answer.EMPTY: Reply(200, []),
            Answer.NULL: Reply(200, null),
        }
        return seen[fate.answer]


def _receipt(order: Order | None) -> Reply:
    """The answer to an order that came in; None is one that was turned away."""
    return Reply(409, {"why": "the id is known"}) if order is None else Reply(200, order.past.last)


def void(_: object) -> None:
    """Nothing, of whatever was done."""
