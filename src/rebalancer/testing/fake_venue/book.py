"""A venue's own state: positions, marks and orders, each with its past. It does what it is told, and logs it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, localcontext
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar

from ...domain.intents import OrderSide
from ...domain.numbers import plain
from ...rules.asking import ENGINE_CONTEXT
from .habits import Habits, Ids, OrderRequest
from .log import TruthLog

_P = ParamSpec("_P")
_R = TypeVar("_R")
_T = TypeVar("_T")
_ZERO = Decimal(0)
_BPS = Decimal("0.0001")
KEPT = timedelta(minutes=10)
"""How far back a read that lags can look."""


def exactly(method: Callable[Concatenate[_T, _P], _R]) -> Callable[Concatenate[_T, _P], _R]:
    """A method that computes in a decimal context of its own, whatever the caller's is."""

    @wraps(method)
    def computed(self: _T, /, *args: _P.args, **named: _P.kwargs) -> _R:
        with localcontext(ENGINE_CONTEXT):
            return method(self, *args, **named)

    return computed


class Past(Generic[_T]):
    """A value and what it was before."""

    def __init__(self, at: datetime, first: _T) -> None:
        self._times = [at]
        self._values = [first]

    @property
    def last(self) -> _T:
        """What it is now."""
        return self._values[-1]

    def set(self, at: datetime, value: _T) -> None:
        """Have it be `value` from `at` on."""
        self._times.append(at)
        self._values.append(value)
        if self._times[0] < at - 2 * KEPT:
            first = max(0, bisect_right(self._times, at - KEPT) - 1)
            del self._times[:first], self._values[:first]

    def at(self, at: datetime) -> _T:
        """What it was at `at`; the first that is known if that was later."""
        return self._values[max(0, bisect_right(self._times, at) - 1)]

    def since(self, at: datetime) -> bool:
        """Whether there was one at all by `at`."""
        return self._times[0] <= at


@dataclass(frozen=True, slots=True)
class Holding:
    """What is held on a market, positive if long, at which average price, and what funding it got."""

    mark: Decimal
    quantity: Decimal = _ZERO
    entry: Decimal | None = None
    funding: Decimal = _ZERO

    def traded(self, by: Decimal, price: Decimal) -> Holding:
        """What is held after `by` was bought, or sold if negative, at `price`."""
        after = self.quantity + by
        if after == 0:
            return replace(self, quantity=_ZERO, entry=None)
        if self.entry is None or self.quantity * after < 0:
            return replace(self, quantity=after, entry=price)
        grown = self.quantity * by > 0
        entry = (self.quantity * self.entry + by * price) / after if grown else self.entry
        return replace(self, quantity=after, entry=entry)


@dataclass(slots=True)
class Order:
    """An order that came in. `state` is `live, filled, partial, cancelled` or `rejected`."""

    number: str
    request: OrderRequest
    state: str
    why: str | None = None
    filled: Decimal = _ZERO
    paid: Decimal = _ZERO
    fee: Decimal = _ZERO
    past: Past[dict[str, Any]] = field(init=False)

    @property
    def live(self) -> bool:
        """Whether it may still fill."""
        return self.state == "live"

    def shown(self) -> dict[str, Any]:
        """What a client is shown of it."""
        row = {"order": self.number, "id": self.request.id, "state": self.state, "why": self.why}
        if self.filled:
            row |= {"filled": plain(self.filled), "price": plain(self.paid / self.filled), "fee": plain(self.fee)}
        return row


class Book:
    """The state of one venue. Every change is at an instant, never before an earlier one, and goes into the log."""

    def __init__(self, venue: str, habits: Habits, log: TruthLog) -> None:
        self.venue = venue
        self._habits = habits
        self._log = log
        self._markets: dict[str, Past[Holding]] = {}
        self._orders: dict[str, list[Order]] = {}
        self._count = 0

    def _write(self, fact: str, symbol: str, at: datetime, **more: object) -> None:
        self._log.write(fact, at=at, venue=self.venue, symbol=symbol, **more)

    @exactly
    def price(self, symbol: str, mark: Decimal, *, at: datetime) -> None:
        """Have the mark price be this; the first price opens the market."""
        if symbol in self._markets:
            self._markets[symbol].set(at, replace(self._markets[symbol].last, mark=mark))
        else:
            self._markets[symbol] = Past(at, Holding(mark))
        self._write("price", symbol, at, price=mark)

    @exactly
    def change(self, symbol: str, by: Decimal, *, at: datetime, price: Decimal | None, why: str) -> None:
        """Change a position from outside, at `price` or the mark."""
        past = self._markets[symbol]
        held = past.last.traded(by, past.last.mark if price is None else price)
        past.set(at, held)
        self._write("changed", symbol, at, quantity=by, position=held.quantity, why=why)

    def close(self, symbol: str, *, at: datetime, why: str) -> None:
        """Close all that is held, from outside."""
        held = self._markets[symbol].last.quantity
        if held:
            self.change(symbol, held.copy_negate(), at=at, price=None, why=why)

    @exactly
    def fund(self, symbol: str, amount: Decimal, *, at: datetime) -> None:
        """Pay funding to what is held."""
        held = self._markets[symbol].last
        self._markets[symbol].set(at, replace(held, funding=held.funding + amount))

    def held(self, symbol: str, at: datetime) -> Holding | None:
        """What was held at `at`; None where there is no such market."""
        past = self._markets.get(symbol)
        return None if past is None else past.at(at)

    def order(self, name: str, at: datetime) -> dict[str, Any] | None:
        """What was to be seen at `at` of the latest order under a client id; None if there was none."""
        seen = [order for order in self._orders.get(name, ()) if order.past.since(at)]
        return seen[-1].past.at(at) if seen else None

    def live(self, name: str) -> Order | None:
        """The latest order under a client id that may still fill."""
        return next((order for order in reversed(self._orders.get(name, [])) if order.live), None)

    def arrive(self, request: OrderRequest, *, at: datetime, reject: str | None) -> Order | None:
        """Take in an order, or reject it. None if it is turned away, because its id is known."""
        same = self._orders.get(request.id, [])
        if (same and self._habits.ids is Ids.FOREVER) or (self.live(request.id) and self._habits.ids is Ids.OPEN):
            self._write("refused", request.symbol, at, id=request.id, why="the id is known")
            return None
        why = reject or self._forbids(request)
        self._count += 1
        order = Order(f"{self.venue}-{self._count}", request, "live" if why is None else "rejected", why)
        order.past = Past(at, order.shown())
        self._orders.setdefault(request.id, []).append(order)
        self._write(
            "accepted" if why is None else "rejected",
            request.symbol,
            at,
            **request.model_dump(mode="json", exclude={"symbol"}),
            order=order.number,
            **({} if why is None else {"why": why}),
        )
        return order

    def _forbids(self, request: OrderRequest) -> str | None:
        """Why an order can not be taken in."""
        if request.symbol not in self._markets:
            return "there is no such market"
        if self._limit(request) == 0:
            return "reduce only: there is nothing to reduce"
        return None

    def _limit(self, request: OrderRequest) -> Decimal | None:
        """The most that it may fill; None if all of it."""
        if not (request.reduce_only and self._habits.reduce_only):
            return None
        held = self._markets[request.symbol].last.quantity
        reduces = held < 0 if request.side is OrderSide.BUY else held > 0
        return held.copy_abs() if reduces else _ZERO

    @exactly
    def fill(self, order: Order, share: Decimal, *, at: datetime) -> None:
        """Fill a share of an order, as far as it is live and may: nothing more than is left of it."""
        if not order.live:
            return
        request, past = order.request, self._markets[order.request.symbol]
        limit = self._limit(request)
        quantity = min(request.quantity * share, request.quantity - order.filled)
        quantity = quantity if limit is None else min(quantity, limit)
        if quantity > 0:
            sign = 1 if request.side is OrderSide.BUY else -1
            price = past.last.mark * (1 + sign * self._habits.slippage_bps * _BPS)
            fee = quantity * price * self._habits.fee_bps * _BPS
            held = past.last.traded(sign * quantity, price)
            past.set(at, held)
            order.filled += quantity
            order.paid += quantity * price
            order.fee += fee
            done = order.filled == request.quantity
            order.state = "filled" if done else order.state
            order.past.set(at, order.shown())
            bought = {"quantity": quantity, "price": price, "fee": fee, "position": held.quantity}
            self._write("filled", request.symbol, at, id=request.id, order=order.number, **bought)

    @exactly
    def end(self, order: Order, *, at: datetime, why: str) -> None:
        """End an order that may still fill."""
        if order.live:
            order.state, order.why = ("partial" if order.filled else "cancelled"), why
            order.past.set(at, order.shown())
            request = order.request
            self._write("ended", request.symbol, at, id=request.id, order=order.number, filled=order.filled, why=why)
