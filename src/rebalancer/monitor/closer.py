"""Drives closes to their end: every step is stored before it is taken, and only evidence ends one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from ..domain.batch import Batch, LedgerEntry, LedgerKind
from ..domain.intents import Effect, Intent, IntentState, Side
from ..domain.lifecycle import Step as Change
from ..domain.lifecycle import Switch, changed, closing_legs, market_of, proved, recorded
from ..domain.names import as_line
from ..domain.numbers import total
from ..domain.orders import Report
from ..domain.position import Position, PositionStatus
from ..domain.tick import AlarmKind
from ..errors import Stopped, StoreError
from .brake import Brake
from .closing import Asked, ClosingLeg, Do, Step, approved, learnt, next_step
from .desk import Desk
from .evidence import Evidence, LegRead, Reads, Seen, Touch, unread
from .keeper import Keeper
from .limits import MonitorLimits
from .notice import Notice, where

_log = logging.getLogger("rebalancer.monitor")
CALLS_AT_ONCE = 8
"""Orders of one venue that are sent, found or cancelled at the same time."""
_SENDS = (Do.PLAN, Do.SEND, Do.RESEND, Do.CANCEL)
"""What a killed monitor does not do."""


@dataclass(slots=True)
class Progress:
    """What came of one pass over a position that is being closed."""

    position: Position
    notices: list[Notice] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)
    again_at: datetime | None = None

    def wait(self, until: datetime | None) -> None:
        """Another look is worth it by then."""
        if until is not None:
            self.again_at = until if self.again_at is None else min(self.again_at, until)


def plan(decided_on: Position, leg: Side, *, attempt: int, at: datetime) -> Intent:
    """An intent to close a leg, decided on this version of the position."""
    market = market_of(decided_on, leg)
    return Intent(
        position_id=decided_on.id,
        version=decided_on.version,
        effect=Effect.CLOSE,
        leg=leg,
        attempt=attempt,
        venue=market.venue,
        symbol=market.symbol,
        planned_at=at,
    )


class Closer:
    """Finishes the closes that were begun, those of an earlier process too: it asks what is stored, and nothing else.

    `unread_reasons` are the close reasons for which a leg is closed even though it can not be read.
    """

    def __init__(
        self,
        desk: Desk,
        keeper: Keeper,
        brake: Brake,
        evidence: Evidence,
        *,
        limits: MonitorLimits,
        unread_reasons: Collection[str],
    ) -> None:
        self._desk = desk
        self._keeper = keeper
        self._brake = brake
        self._evidence = evidence
        self._limits = limits
        self._unread_reasons = frozenset(unread_reasons)

    async def advance_all(self, positions: Collection[Position], reads: Reads) -> list[Progress]:
        """Take every step towards the end of these closes that can be taken now, of all of them at once."""
        lanes = _Lanes()
        return await asyncio.gather(*(self._advance(position, reads, lanes) for position in positions))

    async def _advance(self, position: Position, reads: Reads, lanes: _Lanes) -> Progress:
        progress = Progress(position)
        try:
            intents = await self._keeper.ask(lambda: self._keeper.store.intents(position.id))
            switch = await self._brake.switch()
            cases = self._cases(position, intents, reads)
            after = await asyncio.gather(*(self._leg(case, progress, switch, lanes) for case in cases))
            done = {intent.key: intent for intent in intents}
            done.update({intent.key: intent for case in after for intent in case.closes})
            await self._conclude(progress, tuple(done.values()))
        except StoreError as error:
            progress.failures.append(as_line(error))
        except Exception as error:  # a defect of one position, or of what was read of it, must not stop the others
            progress.defects.append(where(error))
        if progress.position.status is PositionStatus.HALF_CLOSED:
            why = "one leg is closed and the other is not yet"
            progress.notices.append(Notice(AlarmKind.HALF_CLOSED, str(position.pair), why, position.id))
        return progress

    def _cases(self, position: Position, intents: Sequence[Intent], reads: Reads) -> list[ClosingLeg]:
        """The legs that are not proved closed yet, as they are seen now."""
        legs = closing_legs(position)
        finishes = position.status is PositionStatus.HALF_CLOSED or len(legs) == 1
        unread_too = finishes or position.close_reason in self._unread_reasons
        change = Change(None, position, tuple(intents))
        seen = {leg: self._seen(position, leg, change, reads) for leg in legs}
        goes_on = unread_too or any(_did_something(intent) for intent in intents if intent.effect is Effect.CLOSE)
        may_start = goes_on or all(one is not Seen.UNREAD for _, one in seen.values())
        waiting = set() if goes_on else {leg for leg in legs if self._waits(change.of(Effect.CLOSE, leg)[-1])}
        return [
            ClosingLeg(
                leg=leg,
                recorded=recorded(position, leg) or Decimal(0),
                closes=change.of(Effect.CLOSE, leg),
                read=read,
                seen=shown,
                touch=self._evidence.last_touch(market_of(position, leg), change.of(Effect.CLOSE, leg)),
                can=self._desk.capabilities(market_of(position, leg).venue),
                may_start=may_start,
                unread_too=unread_too,
                surplus=position.attention is not None,  # what else is amiss lets no close begin
                approval_life=self._limits.approval_life,
                another_waits=bool(waiting - {leg}),
            )
            for leg, (read, shown) in seen.items()
            if not proved(change, leg)
        ]

    def _waits(self, intent: Intent) -> bool:
        """Whether an order waits for a person."""
        if intent.state.terminal or self._desk.capabilities(intent.venue).may_close:
            return False
        return not approved(intent, self._desk.now().wall, self._limits.approval_life)

    def _seen(self, position: Position, leg: Side, change: Change, reads: Reads) -> tuple[LegRead, Seen]:
        market = market_of(position, leg)
        now = self._desk.now()
        read = reads.get(market) or unread("it was not read in this pass", now, now)
        can = self._desk.capabilities(market.venue)
        return read, self._evidence.seen(read, market, leg, change.of(Effect.CLOSE, leg), can)

    async def _leg(self, case: ClosingLeg, progress: Progress, switch: Switch, lanes: _Lanes) -> ClosingLeg:
        """Take the steps of one leg, until it is proved closed or has to wait."""
        asked = Asked()
        try:
            while True:
                if proved(Change(None, progress.position, tuple(case.closes)), case.leg):
                    return case
                step = next_step(case, asked, self._desk.now().wall)
                if step.do is Do.WAIT or (step.do in _SENDS and switch is Switch.KILL):
                    self._note(step, case, progress)
                    return case
                async with lanes.of(case.last.venue):
                    case, asked = await self._take(step, case, asked, progress.position)
        except Stopped:
            return case
        except StoreError as error:
            progress.failures.append(as_line(f"{case.last.market}: {error}"))
            return case
        except Exception as error:  # nor does one leg stop the other
            progress.defects.append(f"{case.last.market}: {where(error)}")
            return case

    def _note(self, step: Step, case: ClosingLeg, progress: Progress) -> None:
        progress.wait(step.again_at)
        if step.alarm is not None and step.why is not None:
            approve = case.last.key if step.alarm is AlarmKind.NEEDS_APPROVAL else None
            about = f"{progress.position.pair}, {case.leg} leg"
            progress.notices.append(Notice(step.alarm, about, step.why, progress.position.id, approve))

    async def _take(self, step: Step, case: ClosingLeg, asked: Asked, position: Position) -> tuple[ClosingLeg, Asked]:
        """Take a step: store it, do it, store what came of it."""
        if step.do in _SENDS and await self._brake.switch() is Switch.KILL:  # it may have come since this pass began
            raise Stopped("the kill switch is on: nothing is sent")
        last, now = case.last, self._desk.now()
        if step.do is Do.PLAN:
            following = plan(position, case.leg, attempt=last.attempt + 1, at=now.wall)
            await self._keeper.commit(Batch(intents=(following,)))
            return case.after(following), Asked()
        if step.do is Do.VOID:
            return await self._stored(case, last.then(IntentState.VOID, flat_at=step.flat_at)), asked
        if step.do is Do.SETTLE:
            return await self._stored(case, last.then(IntentState.FILLED, flat_at=step.flat_at)), asked
        if step.do is Do.FIND:
            return await self._learn(case, replace(asked, report=await self._desk.find(last)))
        if step.do is Do.CANCEL:
            return await self._cancel(case, asked)
        return await self._send(case, step)

    async def _send(self, case: ClosingLeg, step: Step) -> tuple[ClosingLeg, Asked]:
        """Send an order, or one of which nothing is known again: stored as sent before it is."""
        await self._keeper.hold_for(self._limits.call_deadline * 1.5)  # it is written first, which takes time too
        now = self._desk.now()
        first = {"quantity": step.quantity, "sent_at": now.wall, "deadline": now.wall + self._limits.order_deadline}
        sent = case.last.then(IntentState.SENT, touched_at=now.wall, **(first if step.do is Do.SEND else {}))
        await self._keeper.commit(Batch(intents=(sent,)))
        self._evidence.touch(sent.market, now)
        case = case.after(sent, Touch(now.wall, now.steady))
        self._keeper.check_for(self._limits.call_deadline)
        self._brake.check()
        report = await self._desk.send(sent)
        how = "sent" if step.do is Do.SEND else "sent again"
        _log.info("%s: %s to %s %s", sent.market, how, sent.side, sent.quantity, extra={"order": _shown(sent, report)})
        ended = report.state.terminal
        case, _ = await self._learn(case, Asked(report))
        return case, Asked(report if ended else None, sent=True)  # what sending did not show is asked for next

    async def _cancel(self, case: ClosingLeg, asked: Asked) -> tuple[ClosingLeg, Asked]:
        """Cancel what is left of an order that rests."""
        now = self._desk.now()
        told = case.last.then(IntentState.SENT, touched_at=now.wall)
        await self._keeper.commit(Batch(intents=(told,)))
        self._evidence.touch(told.market, now)
        case = case.after(told, Touch(now.wall, now.steady))
        return await self._learn(case, replace(asked, report=await self._desk.cancel(told), cancelled=True))

    async def _learn(self, case: ClosingLeg, asked: Asked) -> tuple[ClosingLeg, Asked]:
        """Store what a report shows."""
        now = self._desk.now()
        after = None if asked.report is None else learnt(case.last, asked.report, now.wall)
        if after is None:
            return case, asked
        self._evidence.touch(after.market, now)
        return (await self._stored(case, after)).after(after, Touch(now.wall, now.steady)), asked

    async def _stored(self, case: ClosingLeg, after: Intent) -> ClosingLeg:
        """Write an intent, and what it cost if it has ended."""
        await self._keeper.commit(Batch(intents=(after,), ledger=fees(after)))
        return case.after(after)

    async def _conclude(self, progress: Progress, intents: tuple[Intent, ...]) -> None:
        """Write what the legs prove of the position."""
        position, now = progress.position, self._desk.now().wall
        change, legs = Change(position, position, intents), closing_legs(position)
        done = [leg for leg in legs if proved(change, leg)]
        if len(done) == len(legs) and all(intent.state.terminal for intent in intents):
            status = PositionStatus.CLOSED
        elif len(legs) == 2 and len(done) == 1 and position.status is PositionStatus.PENDING_CLOSE:
            status = PositionStatus.HALF_CLOSED
        else:
            return
        ends = status is PositionStatus.CLOSED
        paid = (one.fee_usd for one in intents if one.fee_usd is not None)
        after = changed(
            position,
            status=status,
            fees_paid_usd=total(position.fees_paid_usd, *paid) if ends else position.fees_paid_usd,
            attention=None if ends else position.attention,
            last_action_at=now,
        )
        await self._keeper.commit(Batch(positions=(after,)))
        progress.position = after
        _log.info("%s is %s", after.pair, status, extra={"position": after.model_dump(mode="json")})


def _did_something(intent: Intent) -> bool:
    """Whether an order is under way, or did what it was for, if only a part of it."""
    return intent.state is IntentState.SENT or intent.filled is not None or intent.flat_at is not None


def _shown(intent: Intent, report: Report) -> dict[str, object]:
    """An order and what is known of it, for a log record."""
    return {"intent": intent.model_dump(mode="json"), "report": report.model_dump(mode="json")}


class _Lanes:
    """Lets only so many calls at once to a venue."""

    def __init__(self) -> None:
        self._lanes: dict[str, asyncio.Semaphore] = {}

    def of(self, venue: str) -> asyncio.Semaphore:
        return self._lanes.setdefault(venue, asyncio.Semaphore(CALLS_AT_ONCE))


def fees(intent: Intent) -> tuple[LedgerEntry, ...]:
    """What an order that has ended cost, as far as that is known; booked at its sending, so that it is booked once."""
    if not intent.state.terminal or intent.fee_usd is None or intent.sent_at is None:
        return ()
    paid = intent.fee_usd.copy_negate()
    return (
        LedgerEntry(
            position_id=intent.position_id,
            venue=intent.venue,
            kind=LedgerKind.FEE,
            at=intent.sent_at,
            amount_usd=paid,
        ),
    )
