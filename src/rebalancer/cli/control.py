"""The commands by which a person acts: close, approve, and the switch; and explain, to know why."""

from __future__ import annotations

from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from ..adapters.clock import SystemClock
from ..adapters.stores import SqliteStore
from ..domain.batch import StoredDecision, StoreMode
from ..domain.decision import RebalanceDecision
from ..domain.lifecycle import Switch
from ..domain.model import Value
from ..domain.names import ReasonCode
from ..domain.position import Position, PositionStatus
from ..domain.times import EPOCH
from ..domain.verdict import Action
from ..errors import InputError
from .common import PluginNames, clear_errors, speaking_of
from .market import SourceName, SourceOptions, Url
from .status import last_decisions
from .store import StoreFile, Wait, a_hand, in_turn, short, the_one, the_position, with_store
from .trading import ExecutorName, ExecutorOptions, Trading

RECENT = timedelta(days=7)
"""How old a decision may be that is looked for first by the beginning of its id."""
_SAYS = {
    Switch.RUN: "run: everything as usual. While a monitor's kill file is there, it kills again",
    Switch.PAUSE: "pause: no exit begins; what was begun is finished",
    Switch.FLATTEN: "flatten: every position is closed, from the next tick on",
    Switch.KILL: "kill: nothing is sent any more, until `rebalancer resume`",
}


class _Reason(Value):
    reason: ReasonCode


def close(
    position: Annotated[str, typer.Argument(metavar="ID", help="A position's id, or the beginning of it.")],
    *,
    store: StoreFile,
    executor: ExecutorName = None,
    executor_option: ExecutorOptions = None,
    source: SourceName = "service",
    url: Url = None,
    option: SourceOptions = None,
    plugin: PluginNames = None,
    reason: Annotated[
        str, typer.Option("--reason", metavar="CODE", help="What is recorded as the reason.")
    ] = "CLOSED_BY_HAND",
    wait: Wait = 90,
) -> None:
    """Close a position now. Without an executor it is planned, and the monitor of the store sends the orders."""
    with clear_errors():
        with speaking_of("--reason", field="reason"):
            code = _Reason(reason=reason).reason
        trading = Trading(executor, executor_option, source, url, option, plugin)

        async def used(opened: SqliteStore) -> tuple[Position, Position]:
            before = await the_position(opened, position)
            async with AsyncExitStack() as stack:
                hands = None
                if executor is not None and opened.mode is not StoreMode.DRY:
                    hands = await trading.executor_of(stack, opened, store)
                monitor = await stack.enter_async_context(a_hand(opened, hands))
                return before, await in_turn(lambda: monitor.close(before.id, code), wait=wait)

        before, after = with_store(store, used)
        typer.echo(f"{short(after.id)} {after.pair}: {_became(before, after, planned=executor is None)}")


def _became(before: Position, after: Position, *, planned: bool) -> str:
    """What came of closing, and what is still to come."""
    if after.status is PositionStatus.CLOSED:
        already = "already " if before.status is PositionStatus.CLOSED else ""
        return f"{already}closed ({after.close_reason})"
    if before.status is not PositionStatus.OPEN:
        return f"{after.status} already; the monitor of this store goes on with it"
    if planned:
        return (
            f"{after.status}; nothing was sent yet: the monitor of this store sends the orders in its next pass, "
            "as soon as one runs"
        )
    return f"{after.status}; the monitor of this store finishes it"


def approve(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A held exit's or an order's name, or its beginning.")],
    *,
    store: StoreFile,
    wait: Wait = 90,
) -> None:
    """Let go what waits for a person: an exit that is held back, or an order on a supervised venue."""
    with clear_errors():

        async def used(opened: SqliteStore) -> str:
            if opened.mode is StoreMode.DRY:
                raise InputError("this is a dry run: nothing is ever sent, so nothing waits for approval")
            known = await _approvable(opened)
            chosen = the_one(name, known, what="exit or order that waits")
            async with a_hand(opened) as monitor:
                await in_turn(lambda: monitor.approve(chosen), wait=wait)
            return f"{short(chosen)} {known[chosen]}: approved for an hour, while the same action is still wanted"

        typer.echo(with_store(store, used))


async def _approvable(store: SqliteStore) -> dict[str, str]:
    """What a person may let go, by its name: orders that are not finished, and the last exit held of each position."""
    living = await store.live()
    pairs = {one.id: str(one.pair) for one in living}
    unfinished = [one for one in await store.intents() if one.position_id in pairs]
    known = {one.key: f"{one.effect} of the {one.leg} leg, {one.market}" for one in unfinished}
    for key, last in (await last_decisions(store, living)).items():
        if last.held is not None and last.record.action is Action.CLOSE and key in pairs:
            known[str(last.id)] = f"{last.record.action} {pairs[key]}"
    return known


def explain(
    decision: Annotated[str, typer.Argument(metavar="DECISION", help="A decision's id, or the beginning of it.")],
    *,
    store: StoreFile,
) -> None:
    """Explain a decision that was kept, and say what was done about it."""
    with clear_errors():
        found = with_store(store, lambda opened: _decision(opened, decision))
        typer.echo(f"{RebalanceDecision(found.record).explain()}\n{_done_about(found)}\n  decision {found.id}")


async def _decision(store: SqliteStore, name: str) -> StoredDecision:
    try:
        stored = await store.decision(UUID(name))
    except ValueError:
        stored = None
    if stored is not None:
        return stored
    for since in (SystemClock().now() - RECENT, EPOCH):
        kept = {str(one.id): one for one in reversed(await store.decisions(since))}
        if any(key.startswith(name.lower()) for key in kept):
            break
    known = {
        key: f"{one.record.action} {one.record.symbol} at {one.record.as_of:%Y-%m-%d %H:%M:%S} UTC"
        for key, one in kept.items()
    }
    return kept[the_one(name, known, what="decision")]


def _done_about(found: StoredDecision) -> str:
    if found.record.action is Action.HOLD:
        return "  nothing was to be done"
    done = "  it was acted on" if found.held is None else f"  held: {found.held}"
    if found.approved_at is not None:
        done += f"\n  approved at {found.approved_at:%Y-%m-%d %H:%M:%S} UTC"
    return done


def kill(*, store: StoreFile) -> None:
    """Stop everything at once: nothing is sent any more, not even a second leg. It survives restarts."""
    _set(store, Switch.KILL)


def pause(*, store: StoreFile) -> None:
    """Begin no exit any more. What was begun is finished."""
    _set(store, Switch.PAUSE)


def resume(*, store: StoreFile) -> None:
    """Everything as usual again, after kill, pause or flatten."""
    _set(store, Switch.RUN)


def flatten(*, store: StoreFile) -> None:
    """Close every position, from the monitor's next tick on."""
    _set(store, Switch.FLATTEN)


def _set(path: StoreFile, switch: Switch) -> None:
    with clear_errors():
        with_store(path, lambda opened: opened.set_switch(switch))
        typer.echo(_SAYS[switch])
