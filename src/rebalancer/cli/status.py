"""How the positions of a store are, without being their monitor."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from ..adapters.clock import SystemClock
from ..adapters.stores import SqliteStore, mode_of
from ..domain.batch import LedgerKind, StoredDecision, StoreMode
from ..domain.explain import span
from ..domain.intents import Effect, Intent, IntentState, OrderSide, Side
from ..domain.lifecycle import Switch
from ..domain.model import Value
from ..domain.names import Line, ReasonCode, Symbol, Venue
from ..domain.numbers import UNKNOWN, Exact, OptionalPositive, total
from ..domain.position import Position, PositionStatus
from ..domain.times import Instant, Moment, seconds
from ..domain.verdict import Action
from ..monitor.exits import MASS_EXIT
from ..monitor.limits import MonitorLimits
from .common import answers, clear_errors
from .fit import fitting
from .quotes import bps
from .store import StoreFile, short

REFRESH = 2.0
"""Seconds between two looks with --watch."""
RECENT = timedelta(hours=2)
"""How long before its last check the last decision of a position was kept at most: that is done every hour."""
APPROVAL_LIFE = MonitorLimits().approval_life


class LastDecision(Value):
    """What was decided last of a position. `held` is why nothing was done about it."""

    id: UUID
    as_of: Instant
    action: Action
    reason: ReasonCode | None
    held: Line | None
    approved_at: Moment | None


class PositionNow(Value):
    """A position that is not closed. Its funding and fees are what is known of them so far."""

    position: Position
    age_seconds: int
    funding_usd: Exact
    fees_usd: Exact
    decision: LastDecision | None


class OrderNow(Value):
    """An order that has not ended. One that was sent and is past its deadline is `unknown`."""

    key: str
    position_id: UUID
    effect: Effect
    leg: Side
    venue: Venue
    symbol: Symbol
    side: OrderSide
    attempt: int
    state: IntentState
    unknown: bool
    quantity: OptionalPositive = UNKNOWN
    filled: OptionalPositive = UNKNOWN
    planned_at: Moment
    sent_at: Moment | None
    approved_at: Moment | None


class WaitingNow(Value):
    """An exit that waits for a person: `rebalancer approve` takes its `approve`."""

    approve: UUID
    position_id: UUID
    symbol: Symbol
    long_dex: Venue
    short_dex: Venue
    reason: ReasonCode | None
    as_of: Instant


class Status(Value):
    """Everything that `rebalancer status --json` prints."""

    as_of: Instant
    store: str
    mode: StoreMode
    switch: Switch
    positions: tuple[PositionNow, ...]
    orders: tuple[OrderNow, ...]
    waiting: tuple[WaitingNow, ...]


def status(
    *,
    store: StoreFile,
    json: Annotated[bool, typer.Option("--json", help="Print JSON: one line for each look.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Look again every two seconds, until Ctrl-C.")] = False,
) -> None:
    """Show the positions of a store, their orders, what waits for approval, and the switch."""
    with clear_errors():
        to = answers()

        async def once() -> Status:
            async with SqliteStore(store, mode=mode_of(store)) as opened:
                return await look(opened, store)

        async def again() -> None:
            async with SqliteStore(store, mode=mode_of(store)) as opened:
                if json or not to.is_terminal:
                    while True:
                        _print(to, await look(opened, store), json=json)
                        await SystemClock().sleep(REFRESH)
                with Live(console=to, auto_refresh=False, vertical_overflow="visible") as live:
                    while True:
                        live.update(Group(*parts(to, await look(opened, store))), refresh=True)
                        await SystemClock().sleep(REFRESH)

        if not watch:
            _print(to, asyncio.run(once()), json=json)
            return
        try:
            asyncio.run(again())
        except KeyboardInterrupt:
            return


def _print(to: Console, found: Status, *, json: bool) -> None:
    if json:
        typer.echo(found.model_dump_json())
        return
    for part in parts(to, found):
        to.print(part, soft_wrap=isinstance(part, Text))


async def look(store: SqliteStore, path: Path) -> Status:
    """What a store has at this moment."""
    now = SystemClock().now()
    switch, living = await store.switch(), await store.live()
    orders, last = await store.intents(), await last_decisions(store, living)
    held = [one for one in living if (kept := last.get(one.id)) is not None and _waits(one, kept, now)]
    return Status(
        as_of=now,
        store=str(path.absolute()),
        mode=store.mode,
        switch=switch,
        positions=tuple([await _position(store, one, last.get(one.id), now) for one in living]),
        orders=tuple(_order(one, now) for one in orders),
        waiting=tuple(
            WaitingNow(
                approve=last[one.id].id,
                position_id=one.id,
                symbol=one.symbol,
                long_dex=one.long_dex,
                short_dex=one.short_dex,
                reason=last[one.id].record.reason,
                as_of=last[one.id].record.as_of,
            )
            for one in held
        ),
    )


async def last_decisions(store: SqliteStore, living: Sequence[Position]) -> dict[UUID, StoredDecision]:
    """The last decision that was kept of each of these positions, by its id."""
    times = [one.last_check for one in living if one.last_check is not None]
    if not times:
        return {}
    since = min(*times, SystemClock().now()) - RECENT
    return {one.record.position_id: one for one in await store.decisions(since)}


async def _position(store: SqliteStore, position: Position, last: StoredDecision | None, now: datetime) -> PositionNow:
    booked: list[Decimal] = []
    if position.status is not PositionStatus.OPEN:  # what its closes cost is added to it when it is closed
        booked = [one.amount_usd.copy_negate() for one in await store.ledger(position.id) if one.kind is LedgerKind.FEE]
    return PositionNow(
        position=position,
        age_seconds=max(0, seconds(now - position.opened_at)),
        funding_usd=position.funding_collected_usd,
        fees_usd=total(position.fees_paid_usd, *booked),
        decision=None
        if last is None
        else LastDecision(
            id=last.id,
            as_of=last.record.as_of,
            action=last.record.action,
            reason=last.record.reason,
            held=last.held,
            approved_at=last.approved_at,
        ),
    )


def _order(intent: Intent, now: datetime) -> OrderNow:
    late = intent.state is IntentState.SENT and intent.deadline is not None and now >= intent.deadline
    fields = {name: getattr(intent, name) for name in OrderNow.model_fields if name != "unknown"}
    return OrderNow(**fields, unknown=late)


def _waits(position: Position, last: StoredDecision, now: datetime) -> bool:
    """Whether a mass exit holds the position until a person says so."""
    approved = last.approved_at is not None and now - last.approved_at <= APPROVAL_LIFE
    return position.status is PositionStatus.OPEN and last.held == MASS_EXIT and not approved


# As text


def parts(console: Console, found: Status) -> list[RenderableType]:
    """The status for a terminal."""
    title = Text(f"{found.mode}", style="bold")
    title.append(f"  switch: {found.switch}", style="not bold" if found.switch is Switch.RUN else "bold red")
    title.append(f"  {found.as_of:%Y-%m-%d %H:%M:%S} UTC", style="not bold")
    shown: list[RenderableType] = [title, Text(f"store {found.store}", style="dim")]
    if not found.positions:
        return [*shown, Text("There are no open positions.")]
    shown.append(as_table(console, [one.position for one in found.positions], found.as_of, found.positions))
    shown += [
        Text(f"{short(one.position.id)} attention: {one.position.attention}", style="yellow")
        for one in found.positions
        if one.position.attention is not None
    ]
    for one in found.positions:
        last = one.decision
        if last is not None and last.action is not Action.HOLD and one.position.status is PositionStatus.OPEN:
            held = "" if last.held is None else f", held: {last.held}"
            shown.append(
                Text(f"{short(one.position.id)} {last.action} {last.reason} (decision {short(last.id)}){held}")
            )
    for order in found.orders:
        shown.append(Text(_order_line(order), style="yellow" if order.unknown else ""))
    for waiting in found.waiting:
        pair = f"{waiting.symbol} long {waiting.long_dex} / short {waiting.short_dex}"
        line = f"{short(waiting.position_id)} waits for approval: rebalancer approve {short(waiting.approve)} ({pair})"
        shown.append(Text(line, style="bold"))
    return shown


def _order_line(order: OrderNow) -> str:
    state = "unknown" if order.unknown else str(order.state)
    amount = "" if order.quantity is None else f" {order.quantity:f}"
    done = "" if order.filled is None else f", {order.filled:f} filled"
    return (
        f"{short(order.position_id)} order {short(order.key)}: {order.effect} {order.leg} leg, {order.side}{amount} "
        f"{order.symbol} on {order.venue}, attempt {order.attempt}: {state}{done}"
    )


def as_table(
    console: Console, held: Sequence[Position], now: datetime, more: Sequence[PositionNow] = ()
) -> RenderableType:
    """Positions, closed ones too; `more` is what else is known of each."""

    def make(between: str) -> Table:
        rows = Table(box=SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
        for heading in ("id", "long/short", "status"):
            rows.add_column(heading)
        for heading in ("age", "USD", f"entry{between}bp", "funding", "fees", "checked"):
            rows.add_column(heading, justify="right")
        for place, one in enumerate(held):
            fees = more[place].fees_usd if more else one.fees_paid_usd
            rows.add_row(
                short(one.id),
                f"{one.symbol}{between}{one.long_dex}/{one.short_dex}",
                state(one, between),
                _ago(one.opened_at, now),
                f"{one.size_usd:,.0f}",
                bps(one.entry_steps),
                f"{one.funding_collected_usd:,.2f}",
                f"{fees:,.2f}",
                "never" if one.last_check is None else _ago(one.last_check, now),
            )
        return rows

    return fitting(console, make)


def state(position: Position, between: str) -> Text:
    """Its status, which is broken where names are."""
    text = position.status.replace("_", f"_{between.strip(' ')}")
    return Text(text, style="" if position.status is PositionStatus.OPEN else "yellow")


def _ago(then: datetime, now: datetime) -> str:
    """The age in its largest unit: `47 s`, `3 h`, `12 d`."""
    age = max(0, seconds(now - then))
    if age >= 2 * 86_400:
        return f"{age // 86_400} d"
    return span(age if age < 120 else age // 60 * 60 if age < 7200 else age // 3600 * 3600)
