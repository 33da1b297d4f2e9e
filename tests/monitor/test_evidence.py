"""What a read of a leg proves."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import Capabilities, Effect, Intent, IntentState, Known, LegState, Side
from rebalancer.domain.names import Market
from rebalancer.monitor.evidence import Evidence, LegRead, Seen, Touch, When, unread
from rebalancer.testing.factories import AS_OF

BTC = Market("lighter", "BTC")
LAG = timedelta(seconds=2)
SETTLE = timedelta(seconds=10)
VENUE = Capabilities(read_lag=LAG, settle=SETTLE)
TICK = timedelta(microseconds=1)


def at(seconds: float, *, jumped: float = 0) -> When:
    """So many seconds after the start, with a wall clock that is off by `jumped`."""
    return When(AS_OF + timedelta(seconds=seconds + jumped), seconds)


def a_read(
    state: LegState | str, began: float = 0, ended: float | None = None, as_of: float | None = None, jumped: float = 0
) -> LegRead:
    """A read of a quantity, begun at that second; `as_of` is what the venue says of its time."""
    if isinstance(state, str):
        state = Known(state, as_of=None if as_of is None else AS_OF + timedelta(seconds=as_of))
    return LegRead(state, at(began, jumped=jumped), at(began if ended is None else ended, jumped=jumped))


def an_intent(sent: float = 0, state: IntentState = IntentState.SENT, **fields: object) -> Intent:
    """A close of the long leg that was touched at that second."""
    when = AS_OF + timedelta(seconds=sent)
    usual = {"position_id": UUID(int=1), "version": 1, "effect": Effect.CLOSE, "leg": Side.LONG, "planned_at": AS_OF}
    order = {"venue": "lighter", "symbol": "BTC", "quantity": "0.1", "sent_at": when, "touched_at": when}
    return Intent.model_validate({**usual, **order, "state": state, **fields})


def seen(evidence: Evidence, read: LegRead, *intents: Intent, leg: Side = Side.LONG, can: Capabilities = VENUE) -> Seen:
    return evidence.seen(read, BTC, leg, intents, can)


# For which instant a read is true


def test_a_read_is_of_the_time_that_the_venue_says() -> None:
    assert a_read("0", began=10, as_of=7).true_at(VENUE) == AS_OF + timedelta(seconds=7)


def test_without_a_time_a_read_is_as_old_as_its_begin_less_the_lag() -> None:
    assert a_read("0", began=10, ended=15).true_at(VENUE) == AS_OF + timedelta(seconds=8)


def test_a_time_after_the_answer_is_not_believed() -> None:
    assert a_read("0", began=10, ended=15, as_of=15).true_at(VENUE) == AS_OF + timedelta(seconds=15)
    assert a_read("0", began=10, ended=15, as_of=15.001).true_at(VENUE) == AS_OF + timedelta(seconds=8)


def test_what_was_not_read_is_true_of_no_time() -> None:
    read = unread("503", at(0), at(1))
    assert (read.true_at(VENUE), read.quantity) == (None, None)
    assert not read.later_than(Touch(AS_OF - timedelta(days=1)), SETTLE, VENUE)


# Unknown, held, the wrong side


def test_what_was_not_read_is_unread_whatever_was_done_before() -> None:
    evidence, read = Evidence(), unread("503", at(100), at(100))
    assert seen(evidence, read) is Seen.UNREAD
    assert seen(evidence, read, an_intent()) is Seen.UNREAD


@pytest.mark.parametrize(
    ("leg", "quantity", "shown"),
    [
        (Side.LONG, "0.1", Seen.HELD),
        (Side.LONG, "-0.1", Seen.WRONG_SIDE),
        (Side.SHORT, "-0.1", Seen.HELD),
        (Side.SHORT, "0.1", Seen.WRONG_SIDE),
        (Side.LONG, "1E-30", Seen.HELD),
        (Side.SHORT, "1E-30", Seen.WRONG_SIDE),
    ],
)
def test_a_leg_is_long_or_short(leg: Side, quantity: str, shown: Seen) -> None:
    assert seen(Evidence(), a_read(quantity, 100), an_intent(), leg=leg) is shown


@given(st.decimals("-1000000", "1000000", places=6), st.sampled_from(Side), st.integers(0, 1000))
def test_only_a_zero_is_ever_flat(quantity: object, leg: Side, began: int) -> None:
    shown = seen(Evidence(), a_read(str(quantity), began), an_intent(), leg=leg)
    assert (shown in (Seen.FLAT, Seen.ZERO)) is (quantity == 0)


# A zero after an order of ours


@pytest.mark.parametrize(("as_of", "shown"), [(9.999999, Seen.ZERO), (10, Seen.FLAT)])
def test_a_zero_proves_flat_from_settle_after_the_order(as_of: float, shown: Seen) -> None:
    assert seen(Evidence(), a_read("0", 20, as_of=as_of), an_intent(0)) is shown


@pytest.mark.parametrize(("began", "shown"), [(11.999999, Seen.ZERO), (12, Seen.FLAT)])
def test_without_a_time_a_zero_proves_flat_one_lag_later(began: float, shown: Seen) -> None:
    assert seen(Evidence(), a_read("0", began), an_intent(0)) is shown


def test_the_last_of_several_orders_counts() -> None:
    ended = an_intent(0, IntentState.REJECTED)
    again = an_intent(30, attempt=2)
    assert seen(Evidence(), a_read("0", 35, as_of=35), ended, again) is Seen.ZERO
    assert seen(Evidence(), a_read("0", 40, as_of=40), ended, again) is Seen.FLAT


def test_a_cancellation_is_a_touch_too() -> None:
    assert seen(Evidence(), a_read("0", 30, as_of=30), an_intent(0, touched_at=AS_OF + 25 * LAG / 2)) is Seen.ZERO


def test_a_wall_clock_that_jumped_does_not_prove_flat_in_the_process_that_sent() -> None:
    evidence = Evidence()
    evidence.touch(BTC, at(0))
    assert seen(evidence, a_read("0", 5, jumped=3600), an_intent(0)) is Seen.ZERO
    assert seen(evidence, a_read("0", 10, jumped=3600), an_intent(0)) is Seen.FLAT


def test_a_wall_clock_that_went_back_makes_it_wait() -> None:
    evidence = Evidence()
    evidence.touch(BTC, at(0))
    assert seen(evidence, a_read("0", 60, jumped=-3600), an_intent(0)) is Seen.ZERO


def test_another_process_has_only_the_wall_clock() -> None:
    assert seen(Evidence(), a_read("0", 5, jumped=3600), an_intent(0)) is Seen.FLAT


# A zero that no order of ours explains


def zeros(*reads: LegRead) -> list[Seen]:
    evidence = Evidence()
    return [seen(evidence, read) for read in reads]


def test_a_first_zero_proves_nothing() -> None:
    assert zeros(a_read("0", 1000)) == [Seen.ZERO]


def test_two_zeros_settle_apart_prove_flat() -> None:
    assert zeros(a_read("0", 100, as_of=100), a_read("0", 109, as_of=109.9)) == [Seen.ZERO, Seen.ZERO]
    assert zeros(a_read("0", 100, as_of=100), a_read("0", 110, as_of=110)) == [Seen.ZERO, Seen.FLAT]


def test_the_first_zero_counts_and_not_the_one_before() -> None:
    reads = (a_read("0", second, as_of=second) for second in (100, 105, 110))
    assert zeros(*reads) == [Seen.ZERO, Seen.ZERO, Seen.FLAT]


def test_something_held_in_between_begins_it_again() -> None:
    reads = (a_read(quantity, second, as_of=second) for quantity, second in (("0", 100), ("0.1", 105), ("0", 111)))
    assert zeros(*reads) == [Seen.ZERO, Seen.HELD, Seen.ZERO]


def test_a_read_that_failed_in_between_does_not() -> None:
    reads = (a_read("0", 100, as_of=100), unread("503", at(105), at(105)), a_read("0", 110, as_of=110))
    assert zeros(*reads) == [Seen.ZERO, Seen.UNREAD, Seen.FLAT]


def test_the_same_answer_twice_is_one_zero() -> None:
    assert zeros(a_read("0", 100, as_of=100), a_read("0", 500, as_of=100)) == [Seen.ZERO, Seen.ZERO]


def test_a_second_zero_needs_the_steady_clock_as_well() -> None:
    reads = a_read("0", 100, as_of=100), a_read("0", 101, as_of=3700, jumped=3600)
    assert zeros(*reads) == [Seen.ZERO, Seen.ZERO]


def test_an_order_that_has_ended_explains_no_zero() -> None:
    evidence, rejected = Evidence(), an_intent(0, IntentState.REJECTED)
    assert seen(evidence, a_read("0", 100, as_of=100), rejected) is Seen.ZERO
    assert seen(evidence, a_read("0", 110, as_of=110), rejected) is Seen.FLAT


def test_an_order_that_was_never_sent_explains_no_zero() -> None:
    planned = an_intent(0, IntentState.PLANNED, sent_at=None, touched_at=None, quantity=None)
    assert seen(Evidence(), a_read("0", 100, as_of=100), planned) is Seen.ZERO


def test_a_zero_of_before_an_order_is_not_the_first_of_two() -> None:
    evidence = Evidence()
    assert seen(evidence, a_read("0", 0, as_of=0)) is Seen.ZERO
    evidence.touch(BTC, at(50))
    ended = an_intent(50, IntentState.REJECTED)
    assert seen(evidence, a_read("0", 60, as_of=60), ended) is Seen.ZERO
    assert seen(evidence, a_read("0", 70, as_of=70), ended) is Seen.FLAT


@given(st.lists(st.tuples(st.sampled_from(["0", "0.1", None]), st.integers(0, 8)), min_size=1, max_size=20))
def test_flat_without_an_order_always_has_two_zeros_settle_apart_and_nothing_held_between(
    steps: list[tuple[str | None, int]],
) -> None:
    evidence, now = Evidence(), 0
    zero_since: int | None = None
    for quantity, later in steps:
        now += later
        read = unread("503", at(now), at(now)) if quantity is None else a_read(quantity, now, as_of=now)
        shown = seen(evidence, read)
        if quantity == "0":
            zero_since = now if zero_since is None else zero_since
            assert (shown is Seen.FLAT) is (now - zero_since >= 10)
        elif quantity is not None:
            zero_since = None


# What is remembered


def test_what_nobody_watches_is_forgotten() -> None:
    evidence, other = Evidence(), Market("grvt", "BTC")
    evidence.touch(BTC, at(0))
    evidence.seen(a_read("0", 1), other, Side.SHORT, (), VENUE)
    assert evidence.remembered == {BTC, other}
    evidence.forget([BTC])
    assert evidence.remembered == {other}
    evidence.forget([other, BTC])
    assert not evidence.remembered


def test_a_market_was_last_touched_when_its_orders_say() -> None:
    evidence = Evidence()
    assert evidence.last_touch(BTC, ()) is None
    assert evidence.last_touch(BTC, [an_intent(3)]) == Touch(AS_OF + timedelta(seconds=3), None)
    evidence.touch(BTC, at(4))
    assert evidence.last_touch(BTC, [an_intent(3), an_intent(5, attempt=2)]) == Touch(AS_OF + timedelta(seconds=5), 4)


def test_a_read_begins_after_a_touch_on_both_clocks() -> None:
    touch = Touch(AS_OF, 0)
    assert not a_read("0", 9.9).began_after(touch, SETTLE)
    assert a_read("0", 10).began_after(touch, SETTLE)
    assert not a_read("0", 9, jumped=3600).began_after(touch, SETTLE)
    assert not a_read("0", 11, jumped=-3600).began_after(touch, SETTLE)
    assert unread("503", at(10), at(20)).began_after(touch, SETTLE)
