"""The next step of a leg that is being closed."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import AlarmKind, Capabilities, Effect, Intent, IntentState, Known, Report, ReportState, Side
from rebalancer.monitor.closing import (
    FIRST_RETRY,
    LAST_RETRY,
    STALLS_AFTER,
    Asked,
    ClosingLeg,
    Do,
    Step,
    learnt,
    next_step,
    retry_at,
)
from rebalancer.monitor.evidence import LegRead, Seen, Touch, When, unread
from rebalancer.testing.factories import AS_OF

SECOND = timedelta(seconds=1)
SETTLE = timedelta(seconds=10)
DEADLINE = timedelta(seconds=30)
REDUCES = Capabilities(reduce_only=True, finds_ids=True, reads_legs=True, settle=SETTLE)
DEDUPES = Capabilities(dedupes_ids=True, finds_ids=True, reads_legs=True, settle=SETTLE)
BLIND = Capabilities(reduce_only=True, reads_legs=True, settle=SETTLE)
"""Obeys reduce-only, and finds no order."""
WEAK = Capabilities(reads_legs=True, settle=SETTLE)


def an_intent(state: IntentState = IntentState.PLANNED, **fields: Any) -> Intent:
    """A close of a long 0.1; if it was sent, then at the start."""
    order = {"position_id": UUID(int=1), "version": 1, "effect": Effect.CLOSE, "leg": Side.LONG, "planned_at": AS_OF}
    more: dict[str, Any] = {"venue": "lighter", "symbol": "BTC", "state": state}
    if state is not IntentState.PLANNED and "flat_at" not in fields:
        more |= {"quantity": "0.1", "sent_at": AS_OF, "touched_at": AS_OF, "deadline": AS_OF + DEADLINE}
    return Intent.model_validate({**order, **more, **fields})


def a_read(quantity: str | None, began: float = 60) -> LegRead:
    when = When(AS_OF + began * SECOND, began)
    return unread("503", when, when) if quantity is None else LegRead(Known(quantity, as_of=when.wall), when, when)


def a_leg(*closes: Intent, read: LegRead | None = None, **fields: Any) -> ClosingLeg:
    """A leg of 0.1 that was read a minute after the start, as it is recorded."""
    usual: dict[str, Any] = {
        "leg": Side.LONG,
        "recorded": Decimal("0.1"),
        "closes": closes or (an_intent(),),
        "read": read or a_read("0.1"),
        "seen": Seen.HELD if read is None or read.quantity else Seen.UNREAD,
        "touch": Touch(AS_OF, None) if any(one.sent_at for one in closes) else None,
        "can": REDUCES,
        "may_start": True,
        "unread_too": False,
        "surplus": False,
        "approval_life": timedelta(hours=1),
    }
    return ClosingLeg(**{**usual, **fields})


def step(case: ClosingLeg, report: Report | None = None, *, after: float = 60, **asked: Any) -> Step:
    """The next step, so many seconds after the start."""
    return next_step(case, Asked(report, **asked), AS_OF + after * SECOND)


LIVE = Report(state=ReportState.LIVE)
ABSENT = Report.absent()
UNKNOWN = Report.unknown("503")
SENT = an_intent(IntentState.SENT)

# Planned


def test_a_planned_close_is_sent_for_what_is_recorded() -> None:
    assert step(a_leg()) == Step(Do.SEND, quantity=Decimal("0.1"))


@pytest.mark.parametrize(("held", "sent"), [("0.04", "0.04"), ("0.1", "0.1"), ("0.3", "0.1")])
def test_the_quantity_is_no_more_than_is_held_nor_than_is_recorded(held: str, sent: str) -> None:
    assert step(a_leg(read=a_read(held))).quantity == Decimal(sent)


@given(st.decimals("0.001", "9", places=3), st.decimals("0.001", "9", places=3), st.lists(st.integers(1, 400)))
def test_the_quantity_never_passes_any_bound(recorded: Decimal, held: Decimal, fills: list[int]) -> None:
    ended = [
        an_intent(IntentState.PARTIAL, attempt=number, filled=Decimal(fill) / 1000, quantity="10")
        for number, fill in enumerate(fills, 1)
    ]
    case = a_leg(*ended, an_intent(attempt=len(fills) + 1), recorded=recorded, read=a_read(str(held)))
    left = recorded - sum((Decimal(fill) / 1000 for fill in fills), Decimal(0))
    quantity = step(case, after=10_000).quantity
    assert quantity == min(left, held)


def test_what_is_left_has_no_more_digits_than_can_be_stored() -> None:
    part = an_intent(IntentState.PARTIAL, filled="0.0000000000000000000000000001", quantity="1")
    case = a_leg(part, an_intent(attempt=2), recorded=Decimal(1000))
    assert case.left < Decimal(1000)
    assert len(case.left.as_tuple().digits) <= 30


def test_a_leg_that_is_flat_needs_no_order() -> None:
    read = a_read("0")
    assert step(a_leg(read=read, seen=Seen.FLAT)) == Step(Do.VOID, flat_at=read.ended.wall)


def test_a_zero_that_proves_nothing_is_waited_for() -> None:
    waits = step(a_leg(read=a_read("0"), seen=Seen.ZERO))
    assert (waits.do, waits.alarm) == (Do.WAIT, None)


@pytest.mark.parametrize(
    ("fields", "alarm"),
    [
        ({"read": a_read("-0.1"), "seen": Seen.WRONG_SIDE}, AlarmKind.UNEXPECTED_LEG),
        ({"can": WEAK}, AlarmKind.NEEDS_APPROVAL),
        ({"read": a_read(None)}, AlarmKind.UNREAD),
        ({"read": a_read(None), "unread_too": True, "can": DEDUPES}, AlarmKind.UNREAD),
        ({"may_start": False}, AlarmKind.UNREAD),
    ],
    ids=["wrong side", "supervised", "unread", "unread and not reduce-only", "another leg unread"],
)
def test_what_can_not_be_sent_waits_with_an_alarm(fields: dict[str, Any], alarm: AlarmKind) -> None:
    waits = step(a_leg(**fields))
    assert (waits.do, waits.alarm) == (Do.WAIT, alarm)


def test_an_unread_leg_is_closed_by_the_record_where_it_may_and_the_order_only_reduces() -> None:
    assert step(a_leg(read=a_read(None), unread_too=True)) == Step(Do.SEND, quantity=Decimal("0.1"))


def test_an_approved_order_of_a_supervised_venue_is_sent() -> None:
    case = a_leg(an_intent(approved_at=AS_OF), can=WEAK)
    assert step(case, after=3600).do is Do.SEND
    assert step(case, after=3600.001).alarm is AlarmKind.NEEDS_APPROVAL


# Attempts


def test_after_an_end_the_next_attempt_is_planned() -> None:
    for state, filled in ((IntentState.REJECTED, None), (IntentState.PARTIAL, "0.05"), (IntentState.FILLED, "0.05")):
        assert step(a_leg(an_intent(state, filled=filled))) == Step(Do.PLAN)


def test_a_first_attempt_does_not_wait() -> None:
    assert retry_at([an_intent()]) is None


@given(st.integers(2, 10_000))
def test_attempts_wait_longer_and_longer_and_never_longer_than_the_cap(attempt: int) -> None:
    due = retry_at([an_intent(attempt=attempt)])
    assert due is not None
    whole = min(LAST_RETRY, FIRST_RETRY * 2 ** min(attempt - 2, 10))
    assert whole / 2 <= due - AS_OF <= whole


def test_not_all_positions_wait_equally_long() -> None:
    waits = {retry_at([an_intent(attempt=9, position_id=UUID(int=number))]) for number in range(20)}
    assert len(waits) > 15


def test_an_attempt_is_sent_when_it_is_due_and_not_before() -> None:
    case = a_leg(an_intent(IntentState.REJECTED), an_intent(attempt=2))
    due = retry_at(case.closes)
    assert due is not None
    before = next_step(case, Asked(), due - timedelta(microseconds=1))
    assert (before.do, before.again_at, before.alarm) == (Do.WAIT, due, None)
    assert next_step(case, Asked(), due).do is Do.SEND


@pytest.mark.parametrize(
    ("attempt", "alarm"), [(STALLS_AFTER, None), (STALLS_AFTER + 1, AlarmKind.STALLED)], ids=["enough", "too many"]
)
def test_a_close_that_does_not_end_is_an_alarm(attempt: int, alarm: AlarmKind | None) -> None:
    waits = step(a_leg(an_intent(attempt=attempt)), after=0)
    assert (waits.do, waits.alarm) == (Do.WAIT, alarm)


def test_a_clock_that_was_set_back_does_not_make_an_attempt_wait() -> None:
    assert step(a_leg(an_intent(attempt=9)), after=-3600).do is Do.SEND


# Sent


def test_what_was_sent_is_asked_for_first() -> None:
    for seen in Seen:
        assert step(a_leg(SENT, seen=seen)) == Step(Do.FIND)


def test_an_order_that_rests_is_cancelled_at_its_deadline() -> None:
    early, late = step(a_leg(SENT), LIVE, after=29.999), step(a_leg(SENT), LIVE, after=30)
    assert (early.do, early.alarm, early.again_at) == (Do.WAIT, None, SENT.deadline)
    assert late == Step(Do.CANCEL)


def test_an_order_that_rests_after_it_was_cancelled_is_an_alarm() -> None:
    waits = step(a_leg(SENT), LIVE, cancelled=True)
    assert (waits.do, waits.alarm) == (Do.WAIT, AlarmKind.STALLED)


def test_a_flat_leg_does_not_end_an_order_that_rests() -> None:
    case = a_leg(SENT, read=a_read("0"), seen=Seen.FLAT)
    assert step(case, LIVE, after=5).do is Do.WAIT
    assert step(case, LIVE, after=30).do is Do.CANCEL


def test_a_flat_leg_ends_an_order_that_the_venue_does_not_know() -> None:
    read = a_read("0")
    assert step(a_leg(SENT, read=read, seen=Seen.FLAT), ABSENT) == Step(Do.SETTLE, flat_at=read.ended.wall)


def test_a_flat_leg_whose_order_may_rest_is_cancelled_first_and_then_asked_for_again() -> None:
    case = a_leg(SENT, read=a_read("0"), seen=Seen.FLAT)
    assert step(case, UNKNOWN).do is Do.CANCEL
    assert step(case, UNKNOWN, cancelled=True).do is Do.WAIT
    assert step(case, ABSENT, cancelled=True).do is Do.SETTLE


def test_a_flat_leg_ends_an_order_where_nobody_can_ask() -> None:
    assert step(a_leg(SENT, read=a_read("0"), seen=Seen.FLAT, can=BLIND), UNKNOWN).do is Do.SETTLE


@pytest.mark.parametrize(("after", "alarm"), [(29.999, None), (30, AlarmKind.ORDER_UNKNOWN)])
def test_an_order_of_which_nothing_is_known_is_an_alarm_from_its_deadline(
    after: float, alarm: AlarmKind | None
) -> None:
    waits = step(a_leg(SENT, read=a_read("0"), seen=Seen.ZERO), ABSENT, after=after)
    assert (waits.do, waits.alarm) == (Do.WAIT, alarm)
    assert waits.why == "it is not known what became of the order: the venue does not know it"


# Sent again


def resends(report: Report = ABSENT, **fields: Any) -> bool:
    sent = fields.pop("sent", False)
    taken = step(a_leg(SENT, **fields), report, sent=sent)
    assert taken.do in (Do.RESEND, Do.WAIT, Do.CANCEL, Do.SETTLE)
    return taken.do is Do.RESEND


def test_an_order_that_is_not_found_is_sent_again_at_once_where_ids_are_known_for_ever() -> None:
    assert resends(can=DEDUPES, read=a_read("0.1", 0))
    assert not resends(UNKNOWN, can=DEDUPES, read=a_read("0.1", 9))  # it did not say that it knows none


@pytest.mark.parametrize(("began", "again"), [(9.999999, False), (10, True)])
def test_elsewhere_it_is_sent_again_when_the_leg_is_still_there_after_settle(began: float, again: bool) -> None:  # noqa: FBT001
    assert resends(read=a_read("0.1", began)) is again


def test_where_nobody_can_ask_the_leg_alone_says() -> None:
    assert resends(UNKNOWN, can=BLIND)
    assert not resends(UNKNOWN, can=BLIND, read=a_read("0.1", 9))


def test_a_venue_that_could_say_and_does_not_is_asked_again() -> None:
    assert not resends(UNKNOWN)
    assert resends(UNKNOWN, can=DEDUPES)


@pytest.mark.parametrize("seen", [Seen.WRONG_SIDE, Seen.ZERO])
def test_it_is_not_sent_again_for_a_leg_that_is_not_seen_there(seen: Seen) -> None:
    assert not resends(seen=seen, can=DEDUPES)


def test_it_is_sent_once_in_a_pass() -> None:
    assert not resends(can=DEDUPES, sent=True)


def test_an_order_that_could_turn_the_leg_round_is_not_sent_again() -> None:
    assert not resends(can=DEDUPES, read=a_read("0.0999"))
    assert resends(can=DEDUPES, read=a_read("0.1"))


def test_an_order_of_which_a_part_is_filled_is_not_sent_again_as_a_whole() -> None:
    part = SENT.then(IntentState.SENT, filled=Decimal("0.05"))
    assert step(a_leg(part, can=DEDUPES), ABSENT).do is Do.WAIT
    assert step(a_leg(part, can=REDUCES), ABSENT).do is Do.WAIT
    assert step(a_leg(part, can=REDUCES, read=a_read("0.05")), ABSENT).do is Do.RESEND


def test_a_reduce_only_order_is_sent_again_for_less_than_it_says() -> None:
    assert resends(read=a_read("0.04"))


def test_with_a_surplus_it_is_sent_again_only_where_it_can_not_be_filled_twice() -> None:
    both = Capabilities(reduce_only=True, dedupes_ids=True, finds_ids=True, reads_legs=True, settle=SETTLE)

    assert not resends(surplus=True)
    assert not resends(surplus=True, read=a_read("0.13"))
    assert resends(surplus=True, can=both, read=a_read("0.13"))
    assert not resends(UNKNOWN, surplus=True, can=both, read=a_read("0.13"))  # it did not say that it knows none


@pytest.mark.parametrize(
    ("fields", "again"),
    [
        ({"unread_too": True}, True),
        ({"unread_too": False}, False),
        ({"unread_too": True, "can": DEDUPES}, False),
        ({"unread_too": True, "read": a_read(None, 9)}, False),
        ({"unread_too": True, "touch": None}, False),
    ],
    ids=["exempt", "not exempt", "not reduce-only", "too early", "nobody knows when"],
)
def test_for_an_unread_leg_it_is_sent_again_only_where_it_is_exempt_and_reduces(
    fields: dict[str, Any], *, again: bool
) -> None:
    assert resends(**{"read": a_read(None), **fields}) is again


def test_a_supervised_order_needs_another_approval_for_each_send() -> None:
    def waits(approved_after: float) -> bool:
        sent = an_intent(IntentState.SENT, approved_at=AS_OF + approved_after * SECOND)
        return step(a_leg(sent, can=WEAK), UNKNOWN).do is Do.WAIT

    assert waits(-1)
    assert waits(0)
    assert not waits(1)


@given(st.sampled_from(Seen), st.sampled_from([LIVE, ABSENT, UNKNOWN]), st.booleans(), st.floats(0, 100))
def test_an_unknown_order_is_never_given_up(seen: Seen, report: Report, sent: bool, after: float) -> None:  # noqa: FBT001
    for can in (REDUCES, DEDUPES, BLIND, WEAK):
        taken = step(a_leg(SENT, seen=seen, can=can), report, after=after, sent=sent)
        assert taken.do not in (Do.PLAN, Do.SEND, Do.VOID, Do.NOTHING)
        assert taken.do is not Do.SETTLE or (seen is Seen.FLAT and report is not LIVE)


# What a report shows


@pytest.mark.parametrize("report", [ABSENT, UNKNOWN, LIVE])
def test_what_says_nothing_new_changes_nothing(report: Report) -> None:
    assert learnt(SENT, report, AS_OF) is None


def test_an_end_is_kept_with_its_price_fee_and_id() -> None:
    report = Report(state=ReportState.FILLED, filled="0.1", price="100", fee_usd="0.3", order_id="7")
    after = learnt(SENT, report, AS_OF + SECOND)
    assert after is not None
    assert (after.state, after.filled, after.price) == (IntentState.FILLED, Decimal("0.1"), Decimal(100))
    assert (after.fee_usd, after.order_id, after.touched_at) == (Decimal("0.3"), "7", AS_OF + SECOND)
    assert after.revision == SENT.revision + 1


def test_a_part_of_an_order_that_lives_is_kept() -> None:
    after = learnt(SENT, Report(state=ReportState.LIVE, filled="0.05", price="100", order_id="7"), AS_OF)
    assert after is not None
    assert (after.state, after.filled, after.order_id) == (IntentState.SENT, Decimal("0.05"), "7")
    assert learnt(after, Report(state=ReportState.LIVE, filled="0.05", order_id="7"), AS_OF) is None
    assert learnt(after, Report(state=ReportState.LIVE, filled="0.04", order_id="7"), AS_OF) is None
    more = learnt(after, Report(state=ReportState.LIVE, filled="0.06", order_id="7"), AS_OF)
    assert more is not None
    assert more.filled == Decimal("0.06")


@pytest.mark.parametrize("report", [Report.rejected("no"), Report(state=ReportState.PARTIAL, filled="0.04")])
def test_a_report_that_takes_a_fill_back_is_not_believed(report: Report) -> None:
    part = SENT.then(IntentState.SENT, filled=Decimal("0.05"))
    assert learnt(part, report, AS_OF) is None


def test_the_id_of_the_venue_is_kept_when_a_later_report_lacks_it() -> None:
    named = SENT.then(IntentState.SENT, order_id="7")
    after = learnt(named, Report.rejected("no"), AS_OF)
    assert after is not None
    assert after.order_id == "7"
