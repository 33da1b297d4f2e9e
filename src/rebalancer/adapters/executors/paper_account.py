"""What a paper account holds and has done: values that are saved as JSON, and the arithmetic of a fill."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, localcontext
from functools import cached_property, wraps
from typing import Annotated, Literal, ParamSpec, TypeVar

from pydantic import Field

from ...domain.intents import Intent, Key, OrderSide
from ...domain.market import Quote
from ...domain.model import Value
from ...domain.names import Market, Symbol, Venue
from ...domain.numbers import FRACTION_PLACES, UNKNOWN, Exact, OptionalExact, OptionalPositive
from ...domain.orders import Report, ReportState
from ...domain.times import Instant
from ...rules.asking import ENGINE_CONTEXT

_P = ParamSpec("_P")
_R = TypeVar("_R")
_BPS = Decimal("0.0001")
_STEP = Decimal(f"1E-{FRACTION_PLACES}")
_FINEST = Decimal("1E-8")


def exactly(function: Callable[_P, _R]) -> Callable[_P, _R]:
    """A function that computes in a decimal context of its own, whatever the caller's is."""

    @wraps(function)
    def computed(*args: _P.args, **named: _P.kwargs) -> _R:
        with localcontext(ENGINE_CONTEXT):
            return function(*args, **named)

    return computed


def dollars(amount: Decimal) -> Decimal:
    """`amount` to a millionth of a cent."""
    return amount.quantize(_FINEST)


class PaperLeg(Value):
    """What is held on a market, in tokens, positive if it is long.

    `funding_usd` is what it was paid since it was opened, None once a payment was not seen; all payments until
    `funded_until` are in it (None: it begins when the market is first seen). `quote` is what was last seen of it.
    """

    venue: Venue
    symbol: Symbol
    quantity: Exact
    entry_price: OptionalPositive = UNKNOWN
    funding_usd: OptionalExact = UNKNOWN
    funded_until: Instant | None = None
    quote: Quote | None = None

    @cached_property
    def market(self) -> Market:
        """The market."""
        return Market(self.venue, self.symbol)


class PaperOrder(Value):
    """An order that has ended, under the key of its intent. No other order ever has that key."""

    key: Key
    venue: Venue
    symbol: Symbol
    side: OrderSide
    quantity: OptionalPositive = UNKNOWN
    reduce_only: bool
    report: Report

    @classmethod
    def of(cls, intent: Intent, report: Report) -> PaperOrder:
        """The order of an intent, and what became of it."""
        return cls(
            key=intent.key,
            venue=intent.venue,
            symbol=intent.symbol,
            side=intent.side,
            quantity=intent.quantity,
            reduce_only=intent.reduce_only,
            report=report,
        )

    def is_of(self, intent: Intent) -> bool:
        """Whether it is the order that the intent describes, not only one with its key."""
        return self == type(self).of(intent, self.report)


class PaperAccount(Value):
    """Everything that a paper account knows: its legs and every order that it ever had."""

    version: Literal[1] = 1
    legs: tuple[PaperLeg, ...] = ()
    orders: tuple[PaperOrder, ...] = ()

    @cached_property
    def by_market(self) -> dict[Market, PaperLeg]:
        """The legs by their market."""
        return {leg.market: leg for leg in self.legs}

    @cached_property
    def by_key(self) -> dict[str, PaperOrder]:
        """The orders by their key."""
        return {order.key: order for order in self.orders}

    def after(self, *legs: PaperLeg, order: PaperOrder | None = None) -> PaperAccount:
        """The account with these legs instead of what they were, and one order more."""
        changed = self.by_market | {leg.market: leg for leg in legs}
        orders = self.orders if order is None else (*self.orders, order)
        return PaperAccount(legs=tuple(changed.values()), orders=orders)


class Terms(Value):
    """What trading costs: `fee` in grid steps of notional (negative: a rebate), and how far from the mark it fills."""

    fee: int
    slippage_bps: Annotated[Exact, Field(ge=0, lt=10_000)]


@exactly
def filled(leg: PaperLeg, intent: Intent, *, mark: Decimal, terms: Terms) -> tuple[PaperLeg, Report]:
    """The leg after an intent's order has filled at once, as far as it may, and what is to be said of it."""
    sign = 1 if intent.side is OrderSide.BUY else -1
    wanted = Decimal(intent.quantity or 0)
    reducible = leg.quantity.copy_abs() if leg.quantity * sign < 0 else Decimal(0)
    quantity = min(wanted, reducible) if intent.reduce_only else wanted
    if quantity == 0:
        return leg, Report.rejected("reduce only: there is nothing to reduce")
    price = mark * (1 + sign * terms.slippage_bps * _BPS)
    after = leg.quantity + sign * quantity
    opened = leg.quantity == 0 or leg.quantity * after < 0
    grown = not opened and leg.quantity * sign > 0
    entry = price if opened else leg.entry_price
    if grown and leg.entry_price is not None:
        entry = (leg.quantity * leg.entry_price + sign * quantity * price) / after
    changed = leg.model_copy(
        update={
            "quantity": after,
            "entry_price": None if after == 0 else entry,
            "funding_usd": Decimal(0) if opened else leg.funding_usd,
        }
    )
    report = Report(
        state=ReportState.FILLED if quantity == wanted else ReportState.PARTIAL,
        filled=quantity,
        price=price,
        fee_usd=dollars(quantity * price * terms.fee * _STEP),
        order_id=f"paper-{intent.key[:16]}",
    )
    return changed, report
