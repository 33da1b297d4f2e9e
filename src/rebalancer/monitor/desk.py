"""The executor, asked with a deadline: whatever it does instead of answering is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from .._within import LateError, within
from ..domain.intents import Intent
from ..domain.legs import Known, LegState, Unknown
from ..domain.names import Market, as_line, made
from ..domain.numbers import from_grid, to_grid
from ..domain.orders import Capabilities, Report
from ..domain.times import SECOND
from ..ports import Clock, Executor
from .evidence import LegRead, Reads, When, unread

_NONE = Capabilities()
_MOST_PAID = 10**9
"""Dollars: no order costs that much."""
_FEE_PLACES = 8
"""Decimal places of a dollar to which a fee is rounded: the digits of a division add up to more than can be kept."""


class Desk:
    """Asks an executor, one call for each venue or order, none longer than `deadline`. Raises nothing of its own.

    One venue that is slow or broken costs only itself.
    """

    def __init__(self, executor: Executor, *, clock: Clock, deadline: timedelta) -> None:
        self._executor = executor
        self._clock = clock
        self._deadline = deadline
        self._strictest: dict[str, Capabilities] = {}

    def now(self) -> When:
        """This instant."""
        return When(self._clock.now(), self._clock.monotonic())

    def capabilities(self, venue: str) -> Capabilities:
        """What a venue can do.

        While the executor does not say, nothing that it may do, and the longest times that it ever said: what was
        proved before the executor failed is not proved sooner after it.
        """
        found = self._said(venue)
        return self._strictest.get(venue, _NONE) if found is None else found

    def _said(self, venue: str) -> Capabilities | None:
        """What the executor says that a venue can do; None if it does not."""
        try:
            found = self._executor.capabilities(venue)
        except KeyboardInterrupt:
            raise
        except BaseException:  # a host's executor may raise anything, even SystemExit
            return None
        if not isinstance(found, Capabilities):
            return None
        before = self._strictest.get(venue, _NONE)
        if venue not in self._strictest or not _covers(before, found):
            self._strictest[venue] = Capabilities(
                finds_ids=before.finds_ids or found.finds_ids,  # then an order that it does not find is waited for
                read_lag=max(before.read_lag, found.read_lag),
                settle=max(before.settle, found.settle),
            )
        return found

    async def read(self, markets: Iterable[Market]) -> Reads:
        """Every market's leg, one call for each venue and all venues at once."""
        by_venue: dict[str, list[Market]] = {}
        for market in dict.fromkeys(markets):
            by_venue.setdefault(market.venue, []).append(market)
        read = await asyncio.gather(*(self._read(venue, tuple(wanted)) for venue, wanted in by_venue.items()))
        return {market: leg for legs in read for market, leg in legs.items()}

    async def _read(self, venue: str, markets: tuple[Market, ...]) -> dict[Market, LegRead]:
        """The legs of one venue: each of them, whatever the executor does."""
        began = self.now()
        if self._said(venue) is None and venue not in self._strictest:
            why = "the executor does not say what the venue can do: a read would prove nothing"
            return dict.fromkeys(markets, unread(why, began, began))
        outcome = await within(self._deadline, lambda: self._answer(markets))
        ended = self.now()
        answer = outcome.value
        if not isinstance(answer, dict):
            why = f"it returned a {type(answer).__name__}" if outcome.error is None else self._failed(outcome.error)
            return dict.fromkeys(markets, unread(f"the legs were not read: {why}", began, ended))
        legs = {}
        for market in markets:
            state = answer.get(market)
            if isinstance(state, LegState) and _is_sound(state):
                legs[market] = made(LegRead, (state, began, ended))
            else:
                legs[market] = unread("the answer does not have the leg, or not as one", began, ended)
        return legs

    async def _answer(self, markets: tuple[Market, ...]) -> object:
        """What the executor reads, as a dict if it is any mapping: one of its own may fail when it is looked into."""
        answer: object = await self._executor.read_legs(markets)
        return dict(answer) if isinstance(answer, Mapping) and type(answer) is not dict else answer

    async def send(self, intent: Intent) -> Report:
        """What is known of the order of an intent after sending it."""
        return await self._asked(lambda: self._executor.send(intent))

    async def find(self, intent: Intent) -> Report:
        """What is known of the order of an intent."""
        return await self._asked(lambda: self._executor.find(intent))

    async def cancel(self, intent: Intent) -> Report:
        """What is known of the order of an intent after cancelling what is left of it."""
        return await self._asked(lambda: self._executor.cancel(intent))

    async def _asked(self, call: Callable[[], Awaitable[Report]]) -> Report:
        outcome = await within(self._deadline, call)
        if isinstance(outcome.value, Report):
            return _believable(outcome.value)
        if outcome.error is None:
            return Report.unknown(f"the executor returned a {type(outcome.value).__name__}, not a Report")
        return Report.unknown(self._failed(outcome.error))

    def _failed(self, error: BaseException) -> str:
        if isinstance(error, LateError):
            return f"no answer within {self._deadline / SECOND:g} s"
        return as_line(f"it raised {type(error).__name__}")


def _is_sound(state: LegState) -> bool:
    """Whether a leg's state is what it says: one that was made without being validated may be anything."""
    try:
        return _says(state) if isinstance(state, Unknown) else _knows(state)
    except Exception:  # it has not even the fields
        return False


def _says(state: Unknown) -> bool:
    return isinstance(state.reason, str) and as_line(state.reason) == state.reason


def _knows(state: Known) -> bool:
    at, numbers = state.as_of, (state.entry_price, state.mark_price, state.liquidation_price, state.funding_accrued)
    if not (isinstance(state.quantity, Decimal) and state.quantity.is_finite()):
        return False
    if at is not None and (not isinstance(at, datetime) or at.tzinfo is None):
        return False
    return not [one for one in numbers if one is not None and not (isinstance(one, Decimal) and one.is_finite())]


def _believable(report: Report) -> Report:
    """The report with its fee rounded, and without one that nobody can have paid: what the order did counts anyway."""
    fee = report.fee_usd
    if fee is None:
        return report
    paid = from_grid(to_grid(fee, _FEE_PLACES), _FEE_PLACES) if fee.copy_abs() < _MOST_PAID else None
    return report if paid == fee else report.model_copy(update={"fee_usd": paid})


def _covers(strictest: Capabilities, found: Capabilities) -> bool:
    """Whether what was kept of a venue is at least as strict as what is said now."""
    longest = strictest.settle >= found.settle and strictest.read_lag >= found.read_lag
    return longest and strictest.finds_ids >= found.finds_ids
