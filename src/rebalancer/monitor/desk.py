"""The executor, asked with a deadline: whatever it does instead of answering is unknown."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta

from .._within import LateError, within
from ..domain.intents import Intent
from ..domain.legs import Known, Unknown
from ..domain.names import Market, as_line
from ..domain.orders import Capabilities, Report
from ..domain.times import SECOND
from ..ports import Clock, Executor
from .evidence import LegRead, Reads, When, unread

_NONE = Capabilities()
_MOST_PAID = 10**9
"""Dollars: no order costs that much."""


class Desk:
    """Asks an executor, one call for each venue or order, none longer than `deadline`. Raises nothing of its own.

    One venue that is slow or broken costs only itself.
    """

    def __init__(self, executor: Executor, *, clock: Clock, deadline: timedelta) -> None:
        self._executor = executor
        self._clock = clock
        self._deadline = deadline

    def now(self) -> When:
        """This instant."""
        return When(self._clock.now(), self._clock.monotonic())

    def capabilities(self, venue: str) -> Capabilities:
        """What a venue can do; nothing if the executor does not say."""
        try:
            found = self._executor.capabilities(venue)
        except KeyboardInterrupt:
            raise
        except BaseException:  # a host's executor may raise anything, even SystemExit
            return _NONE
        return found if isinstance(found, Capabilities) else _NONE

    async def read(self, markets: Iterable[Market]) -> Reads:
        """Every market's leg, one call for each venue and all venues at once."""
        by_venue: dict[str, list[Market]] = {}
        for market in sorted(set(markets)):
            by_venue.setdefault(market.venue, []).append(market)
        read = await asyncio.gather(*(self._read(wanted) for wanted in by_venue.values()))
        return {market: leg for legs in read for market, leg in legs.items()}

    async def _read(self, markets: list[Market]) -> dict[Market, LegRead]:
        """The legs of one venue."""
        began = self.now()
        outcome = await within(self._deadline, lambda: self._executor.read_legs(markets))
        ended = self.now()
        answer = outcome.value
        if not isinstance(answer, Mapping):
            why = f"it returned a {type(answer).__name__}" if outcome.error is None else self._failed(outcome.error)
            return dict.fromkeys(markets, unread(f"the legs were not read: {why}", began, ended))
        legs = {}
        for market in markets:
            state = answer.get(market)
            if isinstance(state, Known | Unknown):
                legs[market] = LegRead(state, began, ended)
            else:
                legs[market] = unread("the answer does not have the leg", began, ended)
        return legs

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


def _believable(report: Report) -> Report:
    """The report, without a fee that nobody can have paid: what the order did counts all the same."""
    fee = report.fee_usd
    return report if fee is None or fee.copy_abs() < _MOST_PAID else report.model_copy(update={"fee_usd": None})
