"""A bot as it is often written, and the engine without one of its defences. Every fault test has to fail with these.

It imports nothing but rebalancer, so that a test loads it by a fixture and a script by its path.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

from rebalancer import (
    Action,
    Capabilities,
    Clock,
    CombinedStrategy,
    Effect,
    Executor,
    FundingSource,
    Intent,
    IntentState,
    Known,
    LegState,
    MarketRequest,
    MarketSnapshot,
    Position,
    PositionStatus,
    Report,
    ReportState,
    Rule,
    Side,
    Switch,
    TickReport,
)
from rebalancer.adapters.stores import check as store_rules
from rebalancer.adapters.stores import memory as memory_store
from rebalancer.adapters.stores import sqlite as sqlite_store
from rebalancer.domain.batch import Batch, Lease
from rebalancer.domain.names import Market
from rebalancer.monitor import brake, closer, closing, desk, engine, evidence, exits, journal, keeper, leaving
from rebalancer.monitor.closing import Do
from rebalancer.monitor.evidence import Seen

TRIES = 3
"""How often it sends an order before it gives up for this tick."""
_log = logging.getLogger("naive")


class Rows:
    """What the careless bot keeps: a row for each position, in memory or as JSON files in a folder.

    A restart finds the rows again, and nothing else.
    """

    def __init__(self, folder: str | Path | None = None) -> None:
        self._folder = None if folder is None else Path(folder)
        self._rows: dict[UUID, Position] = {}

    def save(self, position: Position) -> None:
        """Write a row over what was there."""
        self._rows[position.id] = position
        if self._folder is not None:
            row = json.dumps(position.model_dump(mode="json"))
            (self._folder / f"{position.id}.json").write_text(row, encoding="utf-8")

    def all(self) -> tuple[Position, ...]:
        """Every row, of closed positions too. A row that can not be read is none."""
        if self._folder is not None:
            self._rows = {}
            for path in sorted(self._folder.glob("*.json")):
                try:
                    position = Position.model_validate(json.loads(path.read_text(encoding="utf-8")))
                except ValueError:
                    continue
                self._rows[position.id] = position
        return tuple(self._rows.values())


class _Order(Intent):
    """An order that is not reduce-only: "a close is just a trade the other way"."""

    @property
    def reduce_only(self) -> bool:
        return False


class NaiveMonitor:
    """What a careless bot does, behind what tests use of a `PositionMonitor`.

    A leg that can not be read is taken for gone, a zero for flat. If one leg is gone it closes the other one; if both
    are, the row is closed. It closes what was read or, failing that, what the row says, by an order that is not
    reduce-only, under a new id each time; an answer that says nothing, or a venue that does not know the order, is
    taken for a failure, and it sends again. That a position is leaving it keeps in memory. It has no lease, no guard
    and no durable switch; `store` and what else a monitor is given are left alone. One error ends the tick. Without
    rates it gets out, to be safe.
    """

    def __init__(
        self,
        *,
        strategy: Rule,
        source: FundingSource,
        executor: Executor,
        clock: Clock,
        rows: Rows | None = None,
        **_: object,
    ) -> None:
        self._strategy = strategy if isinstance(strategy, CombinedStrategy) else CombinedStrategy(strategy)
        self._source = source
        self._executor = executor
        self._clock = clock
        self.rows = rows or Rows()
        self._leaving: set[UUID] = set()
        self._stopped = False

    async def adopt(self, position: Position, legs: Mapping[Market, LegState] | None = None) -> Position:
        """Take over a position with what is seen of its legs now."""
        read = {**(legs or {}), **await self._executor.read_legs(_markets((position,)))}
        seen = dict(zip(("long", "short"), (read[market] for market in _markets((position,))), strict=True))
        tokens = {
            f"{leg}_quantity": abs(state.quantity)
            for leg, state in seen.items()
            if isinstance(state, Known) and state.quantity
        }
        taken = position.model_copy(update=tokens)
        self.rows.save(taken)
        return taken

    async def check_all_positions(self) -> TickReport:
        """Look at each position, one after the other."""
        now, before = self._clock.now(), await self.get_open_positions()
        begun: list[UUID] = []
        if not self._stopped:
            try:
                await self._tick(before, begun)
            except Exception:  # "the bot has to go on"
                _log.exception("the tick failed")
        left = {position.id for position in await self.get_open_positions()}
        return TickReport(
            as_of=now,
            active=True,
            switch=Switch.KILL if self._stopped else Switch.RUN,
            begun=tuple(begun),
            ended=tuple(position.id for position in before if position.id not in left),
            closing=tuple(key for key in self._leaving if key in left),
        )

    async def get_open_positions(self) -> tuple[Position, ...]:
        """The rows that are not closed."""
        return tuple(position for position in self.rows.all() if position.status is not PositionStatus.CLOSED)

    async def close(self, position_id: UUID, reason: str = "CLOSED_BY_HAND") -> Position:
        """Have a position leave now."""
        position = next(row for row in self.rows.all() if row.id == position_id)
        self._leaving.add(position_id)
        await self._leave(position, await self._legs(position), reason)
        return next(row for row in self.rows.all() if row.id == position_id)

    async def kill(self) -> None:
        """No tick does anything any more, until the next start."""
        self._stopped = True

    pause = kill

    async def flatten(self) -> None:
        """Everything leaves."""
        self._leaving |= {position.id for position in await self.get_open_positions()}

    async def resume(self) -> None:
        """As before."""
        self._stopped = False

    async def aclose(self) -> None:
        """Nothing."""

    async def _tick(self, positions: Collection[Position], begun: list[UUID]) -> None:
        snapshot = await self._snapshot(positions)
        for position in positions:
            legs = await self._legs(position)
            gone = [leg for leg, tokens in legs.items() if not tokens]
            if position.id not in self._leaving and (gone or self._wants_out(position, snapshot)):
                self._leaving.add(position.id)
                begun.append(position.id)
            if position.id in self._leaving:
                await self._leave(position, legs, "LEG_GONE" if gone else "EXIT")

    async def _snapshot(self, positions: Collection[Position]) -> MarketSnapshot | None:
        request = MarketRequest(markets=_markets(positions), needs=self._strategy.needs)
        try:
            answer = await self._source.snapshot(request)
            return answer.model_copy(update={"as_of": self._clock.now()})
        except Exception:
            _log.exception("no rates")
            return None

    def _wants_out(self, position: Position, snapshot: MarketSnapshot | None) -> bool:
        return snapshot is None or self._strategy.decide(position, snapshot).action is not Action.HOLD

    async def _legs(self, position: Position) -> dict[Side, Decimal]:
        """What is held of each leg; what could not be read is not there."""
        markets = _markets((position,))
        try:
            read = await self._executor.read_legs(markets)
        except Exception:
            read = {}
        states = (read.get(market) for market in markets)
        return {
            leg: state.quantity if isinstance(state, Known) else Decimal(0)
            for leg, state in zip(Side, states, strict=True)
        }

    async def _leave(self, position: Position, legs: Mapping[Side, Decimal], reason: str) -> None:
        done = [await self._close_leg(position, leg) for leg, tokens in legs.items() if tokens]
        if all(done):
            fields = {"status": PositionStatus.CLOSED, "close_reason": reason}
            self.rows.save(position.model_copy(update=fields))
            self._leaving.discard(position.id)

    async def _close_leg(self, position: Position, leg: Side) -> bool:
        """Send until somebody says that it is filled."""
        for _ in range(TRIES):
            order = self._order(position, leg, self._clock.now())
            try:
                report = await self._executor.send(order)
                if report.state not in (ReportState.FILLED, ReportState.PARTIAL):
                    report = await self._executor.find(order)
            except Exception:
                continue
            if report.state is ReportState.FILLED:
                return True
        return False

    def _order(self, position: Position, leg: Side, now: datetime) -> Intent:
        market = position.pair.long if leg is Side.LONG else position.pair.short
        return _Order(
            position_id=position.id,
            version=position.version,
            effect=Effect.CLOSE,
            leg=leg,
            attempt=1 + uuid4().int % 10**12,
            venue=market.venue,
            symbol=market.symbol,
            state=IntentState.SENT,
            quantity=position.long_quantity if leg is Side.LONG else position.short_quantity,
            planned_at=now,
            sent_at=now,
        )


def _markets(positions: Iterable[Position]) -> tuple[Market, ...]:
    return tuple(market for position in positions for market in (position.pair.long, position.pair.short))


# The engine without one of its defences

Old = Any
"""What a weakness replaces: a function, a method, a property or a value."""


class Weakness(NamedTuple):
    """A defence that is not there: `parts` are what it consists of, each replaced by what `weaker` makes of it."""

    parts: tuple[tuple[Any, str, Callable[[Old], Any]], ...]


_YES: Any = True


def _always(value: object) -> Callable[[Old], Any]:
    """A method that always returns the same."""
    return lambda _old: lambda *_args, **_named: value


def _property(value: object) -> Callable[[Old], Any]:
    return lambda _old: property(lambda _self: value)


def _seen_as(what: Seen, instead: Seen) -> Callable[[Old], Any]:
    """A look at a leg that takes one thing for another."""

    def weaker(old: Old) -> Any:
        def seen(self: Any, read: Any, market: Any, leg: Any, intents: Any, can: Any) -> Seen:
            shown: Seen = old(self, read, market, leg, intents, can)
            return instead if shown is what else shown

        return seen

    return weaker


def _never_unproved(old: Old) -> Any:
    """For which instant a leg is flat that was not read at all: now."""
    return lambda self, can: old(self, can) or self.ended.wall


def _any_zero_is_flat(old: Old) -> Any:
    def seen(self: Any, read: Any, market: Any, leg: Any, intents: Any, can: Any) -> Seen:
        shown: Seen = old(self, read, market, leg, intents, can)
        return Seen.FLAT if shown is Seen.ZERO and any(one.sent_at for one in intents) else shown

    return seen


def _venue_time_is_believed(old: Old) -> Any:
    def true_at(self: Any, can: Capabilities) -> datetime | None:
        at: datetime | None = old(self, can)
        return self.state.as_of if isinstance(self.state, Known) and self.state.as_of else at

    return true_at


def _an_answer_is_of_now(old: Old) -> Any:
    def true_at(self: Any, can: Capabilities) -> datetime | None:
        undated = isinstance(self.state, Known) and self.state.as_of is None
        at: datetime | None = self.ended.wall if undated else old(self, can)
        return at

    return true_at


def _settled_at_once(old: Old) -> Any:
    """A leg that is flat ends its order, whatever that still does."""

    def of_sent(case: Any, asked: Any, now: datetime) -> Any:
        if case.seen is Seen.FLAT:
            return closing.Step(Do.SETTLE, flat_at=case.read.true_at(case.can))
        return old(case, asked, now)

    return of_sent


def _a_hint_is_evidence(old: Old) -> Any:
    """Whatever the answer to an order is, it was accepted, so it is filled."""

    async def send(self: Any, intent: Intent) -> Report:
        report = await old(self, intent)
        said = report.state is ReportState.UNKNOWN and "status 202" in (report.why or "")
        return Report(state=ReportState.FILLED, filled=intent.quantity) if said else report

    return send


def _unknown_has_failed(old: Old) -> Any:
    """An order of which nothing is known was not there: the next one has another key."""

    def learnt(intent: Intent, report: Report, at: datetime) -> Intent | None:
        if report.state in (ReportState.ABSENT, ReportState.UNKNOWN):
            report = Report.rejected("nobody knows it")
            if intent.filled is not None:
                return intent.then(IntentState.PARTIAL, touched_at=at)
        after: Intent | None = old(intent, report, at)
        return after

    return learnt


def _resent_at_once(_: Old) -> Any:
    return lambda case, report: case.seen is Seen.HELD


def _silence_is_absence(old: Old) -> Any:
    """A venue that does not say what became of an order does not know it."""
    return lambda case, report: old(case, Report.absent())


def _half_read_will_do(old: Old) -> Any:
    def hindered(case: Any, now: datetime) -> Any:
        return old(replace(case, may_start=True, unread_too=True), now)

    return hindered


def _whoever_is_read(_: Old) -> Any:
    return lambda looked, *, unread_too: None


def _ignoring(*reasons: str) -> Callable[[Old], Any]:
    """A check of the store that lets some faults pass."""

    def weaker(old: Old) -> Any:
        def refused(*args: Any, **named: Any) -> str | None:
            why: str | None = old(*args, **named)
            return None if why is not None and any(reason in why for reason in reasons) else why

        return refused

    return weaker


_MORE_THAN_LEFT = (store_rules, "refused_intent", _ignoring("no more than what is left"))


def _all_that_is_there(_: Old) -> Any:
    return lambda case: case.left if case.read.quantity is None else abs(case.read.quantity)


def _what_is_recorded(_: Old) -> Any:
    return lambda case: case.left


def _covers(_: Old) -> Any:
    """Without the look at what is left of the leg, before an order is sent again."""
    return lambda case, *, once: True


def _sent_then_stored(_: Old) -> Any:
    """An order is sent, and then written down."""

    async def send(self: Any, case: Any, step: Any) -> Any:
        now = self._desk.now()
        first = {"quantity": step.quantity, "sent_at": now.wall, "deadline": now.wall + self._limits.order_deadline}
        sent = case.last.then(IntentState.SENT, touched_at=now.wall, **(first if step.do is Do.SEND else {}))
        report = await self._desk.send(sent)
        await self._keeper.commit(Batch(intents=(sent,)))
        self._evidence.touch(sent.market, now)
        case = case.after(sent, evidence.Touch(now.wall, now.steady))
        case, _ = await self._learn(case, closing.Asked(report))
        return case, closing.Asked(report if report.state.terminal else None, sent=True)

    return send


def _switch_of_the_tick(old: Old) -> Any:
    """The switch is looked at where a tick begins, and not again before an order."""

    async def take(self: Any, *given: Any) -> Any:
        class Deaf:
            async def switch(self) -> Switch:
                return Switch.RUN

            def check(self) -> None:
                """Nothing."""

        brake, self._brake = self._brake, Deaf()
        try:
            return await old(self, *given)
        finally:
            self._brake = brake

    return take


def _any_end_is_proof(_: Old) -> Any:
    """A leg is closed if its last order has ended, however."""

    def proved(change: Any, leg: Side) -> bool:
        closes = change.of(Effect.CLOSE, leg)
        return bool(closes) and closes[-1].state.terminal

    return proved


def _a_fill_is_all(_: Old) -> Any:
    """A leg is closed if something of it was filled."""

    def proved(change: Any, leg: Side) -> bool:
        closes = change.of(Effect.CLOSE, leg)
        ended = bool(closes) and closes[-1].state.terminal
        return ended and (closes[-1].flat_at is not None or any(one.filled is not None for one in closes))

    return proved


def _every_approval_counts(_: Old) -> Any:
    return lambda intent, now, life: intent.approved_at is not None


def _one_approval_for_all_sends(_: Old) -> Any:
    def approved(intent: Any, now: datetime, life: timedelta) -> bool:
        return intent.approved_at is not None and now - intent.approved_at <= life

    return approved


def _approved_for_ever(_: Old) -> Any:
    """What a person once let go stays let go."""
    return lambda self, position_id, action, now: self._approved.get(position_id) is not None


def _switching_is_closing(old: Old) -> Any:
    def hindrance(self: Any, looked: Any, decision: Any, switch: Switch) -> str | None:
        return None if decision.action is Action.SWITCH else old(self, looked, decision, switch)

    return hindrance


def _unread_without_reduce_only(old: Old) -> Any:
    def hindered(case: Any, now: datetime) -> Any:
        if case.seen is Seen.UNREAD and case.unread_too:
            return None
        return old(case, now)

    return hindered


def _everybody_leads(_: Old) -> Any:
    """A lease for whoever asks."""

    def elected(row: Any, holder: str, ttl: timedelta, now: datetime) -> Any:
        return Lease(holder=holder, epoch=1, until=now + ttl)

    return elected


def _no_deadline(_: Old) -> Any:
    async def within(_deadline: timedelta, work: Callable[[], Any]) -> Any:
        from rebalancer._within import Outcome

        try:
            return Outcome(value=await work())
        except Exception as error:
            return Outcome(error=error)

    return within


_FENCE = tuple((module, "check_lease", _always(None)) for module in (memory_store, sqlite_store))
_ELECTION = tuple((module, "elected", _everybody_leads) for module in (memory_store, sqlite_store))
_NO_SETTLE = ((evidence.Evidence, "seen", _any_zero_is_flat),)
_REVISIONS = ("somebody else has changed", "what was sent can not be changed", "can not be", "can not be taken back")

WEAKNESSES: Mapping[str, Weakness] = {
    "unknown is not flat": Weakness(
        (
            (evidence.Evidence, "seen", _seen_as(Seen.UNREAD, Seen.FLAT)),
            (evidence.LegRead, "true_at", _never_unproved),
        )
    ),
    "a zero counts only after settle": Weakness(_NO_SETTLE),
    "an unexplained zero needs another one": Weakness(((evidence.Evidence, "_confirmed", _always(value=True)),)),
    "a time from the future is not believed": Weakness(((evidence.LegRead, "true_at", _venue_time_is_believed),)),
    "a read without a time is as old as its lag": Weakness(((evidence.LegRead, "true_at", _an_answer_is_of_now),)),
    "both clocks must agree": Weakness(((evidence.Touch, "before", _always(value=True)),)),
    "the wrong side is not flat": Weakness(((evidence.Evidence, "seen", _seen_as(Seen.WRONG_SIDE, Seen.FLAT)),)),
    "the wrong side is not traded": Weakness(
        (
            (evidence.Evidence, "seen", _seen_as(Seen.WRONG_SIDE, Seen.HELD)),
            (leaving, "unable", _whoever_is_read),
        )
    ),
    "an order that lives is cancelled first": Weakness(((closing, "_of_sent", _settled_at_once),)),
    "an answer to placing is a hint": Weakness(((desk.Desk, "send", _a_hint_is_evidence),)),
    "only the whole leg is proof": Weakness(
        (
            (closer, "proved", _a_fill_is_all),
            (store_rules, "refused_position", _always(None)),
            (store_rules, "refused_intent", _always(None)),
        )
    ),
    "an end is no proof": Weakness(
        (
            (closer, "proved", _any_end_is_proof),
            (store_rules, "refused_position", _always(None)),
        )
    ),
    "an unknown order keeps its key": Weakness(((closer, "learnt", _unknown_has_failed),)),
    "not found is no evidence": Weakness(((closing, "_may_resend", _resent_at_once),)),
    "who can say is asked before a resend": Weakness(((closing, "_may_resend", _silence_is_absence),)),
    "a resend must fit what is left": Weakness(((closing, "_fits", _covers),)),
    "closes are reduce-only": Weakness(((Intent, "reduce_only", _property(value=False)),)),
    "a close begins with every leg read": Weakness(
        (
            (leaving, "unable", _whoever_is_read),
            (closing, "_hindered", _half_read_will_do),
        )
    ),
    "an unread leg is traded only reduce-only": Weakness(((closing, "_hindered", _unread_without_reduce_only),)),
    "surplus is not traded": Weakness(((closing, "_quantity", _all_that_is_there), _MORE_THAN_LEFT)),
    "no more than was just read": Weakness(((closing, "_quantity", _what_is_recorded),)),
    "less what was filled already": Weakness(
        (
            (closing.ClosingLeg, "left", lambda _old: property(lambda case: case.recorded)),
            (closing, "_read_since", _always(_YES)),
            _MORE_THAN_LEFT,
        )
    ),
    "another attempt is for what was read since": Weakness(((closing, "_read_since", _always(_YES)),)),
    "stored as sent before it is sent": Weakness(((closer.Closer, "_send", _sent_then_stored),)),
    "planned to sent is a compare-and-set": Weakness(((store_rules, "refused_intent", _ignoring(*_REVISIONS)),)),
    "one lease": Weakness((*_ELECTION, *_FENCE)),
    "a lease that passed on writes nothing": Weakness(_FENCE),
    "the lease is looked at after the commit": Weakness(((keeper.Keeper, "check_for", _always(None)),)),
    "the switch is looked at before each send": Weakness(((closer.Closer, "_take", _switch_of_the_tick),)),
    "the kill file is looked at after the commit": Weakness(((brake.Brake, "check", _always(None)),)),
    "the switch is part of the commit": Weakness(((store_rules, "stopped", _always(None)),)),
    "pause begins nothing": Weakness(
        (
            (leaving, "_FORBIDS", lambda _old: {}),
            (store_rules, "stopped", _always(None)),
        )
    ),
    "a mass exit waits": Weakness(((exits.Exits, "_mass", _always(value=False)),)),
    "a position rests after an action": Weakness(((exits.Exits, "rested", _always(value=True)),)),
    "so many closes a minute": Weakness(((exits.Exits, "_free", _always(10**6)),)),
    "an approval of an exit lapses": Weakness(((journal.Journal, "approved", _approved_for_ever),)),
    "a weak venue is supervised": Weakness(((Capabilities, "may_close", _property(value=True)),)),
    "an approval of an order lapses": Weakness(
        ((closing, "approved", _every_approval_counts), (closer, "approved", _every_approval_counts))
    ),
    "an approval is for one send": Weakness(
        ((closing, "approved", _one_approval_for_all_sends), (closer, "approved", _one_approval_for_all_sends))
    ),
    "a switch is no close": Weakness(((leaving.Leaving, "_hindrance", _switching_is_closing),)),
    "a market has one owner": Weakness(((store_rules, "claims", _always(())),)),
    "a call has a deadline": Weakness(((desk, "within", _no_deadline),)),
    "what was begun is finished by whoever comes": Weakness(((engine, "_CLOSING", lambda _old: ()),)),
}
"""Every defence, by what it says. Removed, its layers in the store are removed as well."""


@contextmanager
def without(*defences: str) -> Iterator[None]:
    """Everything in this process without some defences, until it ends."""
    with ExitStack() as stack:
        for defence in defences:
            for owner, name, weaker in WEAKNESSES[defence].parts:
                old = owner.__dict__[name]
                setattr(owner, name, weaker(old))
                stack.callback(setattr, owner, name, old)
        yield
