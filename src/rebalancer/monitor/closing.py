"""What to do next about a leg that is being closed. Pure: intents and reads in, one step out.

A close may be resent, but an unknown order only under its own key; another attempt begins only when the one before has
ended by evidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_DOWN, Context, Decimal
from enum import StrEnum
from functools import reduce

from ..domain.intents import Intent, IntentState, Side
from ..domain.numbers import MAX_DIGITS
from ..domain.orders import Capabilities, Report, ReportState
from ..domain.tick import AlarmKind
from .evidence import LegRead, Seen, Touch
from .journal import lasts

FIRST_RETRY = timedelta(seconds=1)
LAST_RETRY = timedelta(seconds=60)
STALLS_AFTER = 5
"""Attempts after which a close that does not come to its end is an alarm."""


class Do(StrEnum):
    """What to do about a leg."""

    NOTHING = "nothing"
    """It is proved closed."""
    WAIT = "wait"
    PLAN = "plan"
    """Plan the next attempt."""
    VOID = "void"
    """The leg is flat: the planned order is not needed."""
    SETTLE = "settle"
    """The leg is flat: whatever became of the order, it did its work."""
    SEND = "send"
    RESEND = "resend"
    FIND = "find"
    CANCEL = "cancel"


@dataclass(frozen=True, slots=True)
class Step:
    """What to do, with what belongs to it: the `quantity` to send, the instant for which the leg is flat, or what a
    person should know while nothing can be done. `again_at` is when it is worth another look.
    """

    do: Do
    quantity: Decimal | None = None
    flat_at: datetime | None = None
    alarm: AlarmKind | None = None
    why: str | None = None
    again_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """What was done about a leg in this pass already, and what its order's latest report was."""

    report: Report | None = None
    sent: bool = False
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class ClosingLeg:
    """A leg that is being closed, as it is seen in one pass.

    `recorded` is what the position records of it, `closes` its intents in order of their attempts (at least one).
    `touch` is when its orders were last touched. `may_start` is False if the close has not begun yet and another of
    its legs was not read. `unread_too` says that the leg may be traded though it was not read itself: that begins for
    the sake of liquidation, or finishes a half-close. `surplus` says that more was seen on
    the market than is recorded, which is not ours to trade. `approval_life` is how long a person's
    approval counts. `another_waits` says that the close has not begun, and that another of its legs waits for one.
    """

    leg: Side
    recorded: Decimal
    closes: Sequence[Intent]
    read: LegRead
    seen: Seen
    touch: Touch | None
    can: Capabilities
    may_start: bool
    unread_too: bool
    surplus: bool
    approval_life: timedelta
    another_waits: bool = False

    @property
    def last(self) -> Intent:
        """The attempt that counts."""
        return self.closes[-1]

    @property
    def left(self) -> Decimal:
        """The tokens that are recorded and not known to be filled: exact, or rounded down to what can be stored."""
        rounded = Context(prec=MAX_DIGITS, rounding=ROUND_DOWN)
        return reduce(rounded.subtract, (one.filled for one in self.closes if one.filled is not None), self.recorded)

    def after(self, intent: Intent, touch: Touch | None = None) -> ClosingLeg:
        """The case with its last attempt as it is now, or with a next one."""
        earlier = tuple(one for one in self.closes if one.key != intent.key)
        return replace(self, closes=(*earlier, intent), touch=touch or self.touch)


def next_step(case: ClosingLeg, asked: Asked, now: datetime) -> Step:
    """What to do next about a leg that is not proved closed."""
    state = case.last.state
    if state.terminal:
        return Step(Do.PLAN)
    return _of_planned(case, now) if state is IntentState.PLANNED else _of_sent(case, asked, now)


def _of_planned(case: ClosingLeg, now: datetime) -> Step:
    if case.seen is Seen.FLAT:
        return Step(Do.VOID, flat_at=case.read.true_at(case.can))
    if case.seen is Seen.ZERO:
        lasts = now - case.last.planned_at > 2 * case.can.settle + LAST_RETRY
        why = "nothing is to be seen of the leg, which proves nothing yet"
        return Step(Do.WAIT, alarm=AlarmKind.STALLED if lasts else None, why=why)
    if not case.can.reduce_only and not _read_since(case):
        return Step(Do.WAIT, why="the leg was not read since its last order can have done anything")
    due = retry_at(case.closes)
    if due is not None and case.last.planned_at <= now < due:  # else the clock was set back: it waits no longer
        stalls = AlarmKind.STALLED if case.last.attempt > STALLS_AFTER else None
        return Step(Do.WAIT, alarm=stalls, why="the close was not filled as a whole; it is tried again", again_at=due)
    return _hindered(case, now) or Step(Do.SEND, quantity=_quantity(case))


def _hindered(case: ClosingLeg, now: datetime) -> Step | None:
    """What keeps an order from being sent; None if nothing does."""
    if case.seen is Seen.WRONG_SIDE:
        return _alarm(AlarmKind.UNEXPECTED_LEG, "the leg is on the wrong side: it is not traded")
    if not case.can.may_close and not approved(case.last, now, case.approval_life):
        return _alarm(AlarmKind.NEEDS_APPROVAL, "the venue can not be trusted with a second send: approve each order")
    if case.seen is Seen.UNREAD and not (case.unread_too and case.can.reduce_only):
        return _alarm(AlarmKind.UNREAD, "the leg was not read: nothing is sent")
    if case.another_waits:
        return Step(Do.WAIT, why="another leg waits for approval: the close does not begin")
    if not case.may_start:
        return _alarm(AlarmKind.UNREAD, "another leg was not read: the close does not begin")
    return None


def _of_sent(case: ClosingLeg, asked: Asked, now: datetime) -> Step:
    if asked.report is None:
        return Step(Do.FIND)
    overdue = _overdue(case.last, now)
    if asked.report.state is ReportState.LIVE:
        if overdue and not asked.cancelled:
            return Step(Do.CANCEL)
        alarm = AlarmKind.STALLED if overdue else None
        return Step(Do.WAIT, alarm=alarm, why="the order rests on the venue", again_at=case.last.deadline)
    may_rest = case.can.finds_ids and asked.report.state is ReportState.UNKNOWN  # the venue could say, and did not
    if case.seen is Seen.FLAT and not (may_rest and asked.cancelled):
        return Step(Do.CANCEL) if may_rest else Step(Do.SETTLE, flat_at=case.read.true_at(case.can))
    if not asked.sent and _may_resend(case, asked.report):
        let_go = case.can.may_close or approved(case.last, now, case.approval_life)
        why = "what became of the order is not known: approve to send it again"
        return Step(Do.RESEND) if let_go else _alarm(AlarmKind.NEEDS_APPROVAL, why)
    why = f"it is not known what became of the order: {asked.report.why or 'the venue does not know it'}"
    return Step(Do.WAIT, alarm=AlarmKind.ORDER_UNKNOWN if overdue else None, why=why)


def _overdue(sent: Intent, now: datetime) -> bool:
    """Whether the order's time is over. A clock that was set back does not give it more than twice as much."""
    if sent.deadline is None or sent.sent_at is None:
        return False
    return not sent.sent_at - (sent.deadline - sent.sent_at) <= now < sent.deadline


def _may_resend(case: ClosingLeg, report: Report) -> bool:
    """Whether an order of which nothing is known may be sent again, under its own key.

    At once where the venue refuses a known id for ever and says that it does not know this one. Else once what was
    sent can do nothing any more and the leg, read after that, is still there.
    """
    if case.can.finds_ids and not case.can.dedupes_ids and report.state is not ReportState.ABSENT:
        return False  # it may rest there; a second one of its name would be all that is found from then on
    if case.seen in (Seen.WRONG_SIDE, Seen.ZERO, Seen.FLAT):
        return False
    if case.seen is Seen.UNREAD:
        quiet = case.touch is not None and case.read.began_after(case.touch, case.can.settle)
        return quiet and case.unread_too and case.can.reduce_only and not case.surplus
    if case.can.dedupes_ids and report.state is ReportState.ABSENT:
        return _fits(case, once=True)
    return _fits(case, once=False) and case.touch is not None and _read_since(case)


def _read_since(case: ClosingLeg) -> bool:
    """Whether the leg was read when none of its orders could do anything any more; so too if there was none."""
    return case.touch is None or case.read.later_than(case.touch, case.can.settle, case.can)


def _fits(case: ClosingLeg, *, once: bool) -> bool:
    """Whether the order, if it is sent again, can close nothing but what is left of the leg.

    A reduce-only one closes at most what is there, so that must be ours, unless it surely is filled `once` at most; any
    other must not be larger than the leg.
    """
    held, quantity = case.read.quantity, case.last.quantity
    if held is None or quantity is None:
        return False
    if case.can.reduce_only:
        return (once or not case.surplus) and (quantity <= case.left or held.copy_abs() <= case.left)
    return quantity <= min(case.left, held.copy_abs())


def _quantity(case: ClosingLeg) -> Decimal:
    """What to send: no more than is left of the record, nor than is there."""
    held = case.read.quantity
    return case.left if held is None else min(case.left, held.copy_abs())


def approved(intent: Intent, now: datetime, life: timedelta) -> bool:
    """Whether a person let this send go, not long ago, and not an earlier one."""
    at, touched = intent.approved_at, intent.touched_at
    return at is not None and lasts(at, now, life) and (touched is None or at > touched)


def retry_at(closes: Sequence[Intent]) -> datetime | None:
    """When the last of these intents may be sent: attempts wait longer and longer, not all positions equally long."""
    last = closes[-1]
    if last.attempt == 1:
        return None
    wait = min(LAST_RETRY, FIRST_RETRY * (1 << min(last.attempt - 2, 10)))
    share = int(last.key[:4], 16) / 0xFFFF  # of chance: keys are hashes
    return last.planned_at + wait * (0.5 + share / 2)


def _alarm(kind: AlarmKind, why: str) -> Step:
    return Step(Do.WAIT, alarm=kind, why=why)


def learnt(intent: Intent, report: Report, at: datetime) -> Intent | None:
    """The intent with what a report shows of its order; None if that is nothing new, or contradicts what is known."""
    known, filled = intent.filled or 0, report.filled or 0
    order_id = report.order_id or intent.order_id
    if report.state.terminal:
        if filled < known:
            return None
        return intent.then(
            IntentState(report.state),
            filled=report.filled,
            price=report.price,
            fee_usd=report.fee_usd,
            order_id=order_id,
            touched_at=at,
        )
    if report.state is ReportState.LIVE and (filled > known or order_id != intent.order_id):
        more = {"filled": report.filled, "price": report.price, "fee_usd": report.fee_usd} if filled > known else {}
        return intent.then(IntentState.SENT, order_id=order_id, **more)
    return None
