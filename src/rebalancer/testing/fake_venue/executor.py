"""An executor on fake venues, as a careful one on real venues would be: it reports evidence, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from ...domain.intents import Intent
from ...domain.legs import Known, LegState, Unknown
from ...domain.names import Market
from ...domain.needs import Needs
from ...domain.orders import Capabilities, Report, ReportState
from ...domain.times import read_moment
from ...errors import InputError
from ...ports import Executor
from .habits import Call, Habits, Ids, OrderRequest, Reply, Tag

_STATES = {
    "filled": ReportState.FILLED,
    "partial": ReportState.PARTIAL,
    "cancelled": ReportState.REJECTED,
    "rejected": ReportState.REJECTED,
    "live": ReportState.LIVE,
}


class VenueLink(Protocol):
    """What a client can do on a venue, in this process or another one."""

    @property
    def name(self) -> str:
        """The venue."""

    @property
    def habits(self) -> Habits:
        """How it usually behaves."""

    async def place(self, request: OrderRequest) -> Reply:
        """Place an order."""

    async def find(self, name: str) -> Reply:
        """Query an order by its client id."""

    async def cancel(self, name: str) -> Reply:
        """Cancel an order by its client id."""

    async def positions(self, symbols: list[str]) -> Reply:
        """Read positions."""


class FakeExecutor(Executor):
    """An executor on one or several fake venues.

    Its capabilities are true of what the venues usually do, unless `capabilities` says otherwise, by venue: an engine
    can so be shown what it must not be told. `settle` covers what is drawn by chance, not what a test plans.
    """

    def __init__(self, *venues: VenueLink, capabilities: Mapping[str, Capabilities] | None = None) -> None:
        self._venues = {venue.name: venue for venue in venues}
        if len(self._venues) != len(venues):
            raise InputError("a venue is there twice")
        self._claimed = dict(capabilities or {})

    @property
    def supplies(self) -> Needs:
        """The legs."""
        return Needs(rates=False, legs=True)

    def capabilities(self, venue: str) -> Capabilities:
        """What was claimed of the venue, else what is true; nothing of a venue that it does not have."""
        if venue in self._claimed or venue not in self._venues:
            return self._claimed.get(venue, Capabilities())
        habits = self._venues[venue].habits
        own_retries = any(chance.fate.again is not None for chance in habits.chances if chance.call is Call.PLACE)
        return Capabilities(
            reduce_only=habits.reduce_only,
            dedupes_ids=habits.ids is Ids.FOREVER,
            finds_ids=True,
            sends_once=not own_retries,
            reads_legs=True,
            read_lag=habits.longest_lag,
            settle=habits.settle,
        )

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        """What the venues show, each asked once; what they do not show in a row with a quantity is Unknown."""
        wanted = sorted(set(markets))
        by_venue = {venue: [one.symbol for one in wanted if one.venue == venue] for venue, _ in wanted}
        read = await asyncio.gather(*(self._positions(venue, symbols) for venue, symbols in by_venue.items()))
        rows = dict(zip(by_venue, read, strict=True))
        return {market: _leg(rows[market.venue], market.symbol) for market in wanted}

    async def _positions(self, venue: str, symbols: list[str]) -> object:
        """The rows of a venue, or the text of why there are none."""
        if venue not in self._venues:
            return "there is no such venue"
        try:
            status, body = await self._venues[venue].positions(symbols)
        except OSError as error:  # a timeout is one too
            return _said(error)
        return body if status == 200 and isinstance(body, list) else f"no list of positions, with status {status}"

    async def send(self, intent: Intent) -> Report:
        """Place the order. Only an update that says how the order ended is believed."""
        if intent.quantity is None:
            raise InputError("an intent without a quantity can not be sent")
        tag = Tag(position=str(intent.position_id), leg=intent.leg, effect=intent.effect)
        report = await self._asked(
            intent,
            OrderRequest(
                id=intent.key,
                symbol=intent.symbol,
                side=intent.side,
                quantity=intent.quantity,
                reduce_only=intent.reduce_only,
                tag=tag,
            ),
        )
        return report if report.state.terminal else Report.unknown(report.why or "sent, and not known to have ended")

    async def find(self, intent: Intent) -> Report:
        """Query the order by its client id."""
        return await self._asked(intent, Call.FIND)

    async def cancel(self, intent: Intent) -> Report:
        """Cancel the order by its client id."""
        return await self._asked(intent, Call.CANCEL)

    async def _asked(self, intent: Intent, what: OrderRequest | Call) -> Report:
        venue = self._venues.get(intent.venue)
        if venue is None:
            return Report.unknown("there is no such venue")
        try:
            if isinstance(what, OrderRequest):
                reply = await venue.place(what)
            else:
                reply = await (venue.find if what is Call.FIND else venue.cancel)(intent.key)
        except OSError as error:  # a timeout is one too
            return Report.unknown(_said(error))
        return _report(reply)


def _report(reply: Reply) -> Report:
    """What an answer proves of an order."""
    status, row = reply
    if status == 404:
        return Report.absent()
    if status != 200 or not isinstance(row, dict) or row.get("state") not in _STATES:
        return Report.unknown(f"no order in the answer, with status {status}")
    fields: dict[str, Any] = {"price": row.get("price"), "fee_usd": row.get("fee"), "filled": row.get("filled")}
    return Report(state=_STATES[row["state"]], order_id=row["order"], why=row["why"], **fields)


def _leg(rows: object, symbol: str) -> LegState:
    """What the rows prove of a market."""
    if not isinstance(rows, list):
        return Unknown(str(rows))
    row = next((row for row in rows if isinstance(row, dict) and row.get("symbol") == symbol), None)
    if row is None or row.get("quantity") is None:
        return Unknown("the answer does not have it" if row is None else "its quantity is null")
    as_of = row.get("as_of")
    return Known(
        row["quantity"],
        as_of=None if as_of is None else read_moment(as_of),
        entry_price=row["entry_price"],
        mark_price=row["mark_price"],
        funding_accrued=row["funding"],
    )


def _said(error: OSError) -> str:
    return "no answer in time" if isinstance(error, TimeoutError) else "the connection was lost"
