"""The executor on fake venues: evidence, and nothing else."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from rebalancer import InputError, Needs
from rebalancer.domain.intents import Effect, Intent, IntentState, Side
from rebalancer.domain.legs import Known, Unknown
from rebalancer.domain.names import Market
from rebalancer.domain.orders import Capabilities, ReportState
from rebalancer.testing import AS_OF, ManualClock
from rebalancer.testing.fake_venue import (
    Answer,
    Call,
    Chance,
    FakeExecutor,
    FakeVenue,
    Fate,
    Habits,
    Ids,
    Stamps,
    truth,
)

MS = timedelta(milliseconds=1)
BTC = Market("lighter", "BTC")


def a_venue(name: str = "lighter", clock: ManualClock | None = None, **habits: Any) -> FakeVenue:
    return FakeVenue(name, prices={"BTC": 100}, clock=clock or ManualClock(), habits=Habits(**habits))


def an_intent(effect: str = "open", leg: str = "long", **fields: Any) -> Intent:
    usual: dict[str, Any] = {"venue": "lighter", "symbol": "BTC", "quantity": "0.5", "state": IntentState.SENT}
    times = {"planned_at": AS_OF, "sent_at": AS_OF}
    identity: dict[str, Any] = {"position_id": UUID(int=7), "version": 1, "effect": Effect(effect), "leg": Side(leg)}
    return Intent(**{**identity, **usual, **times, **fields})


async def test_an_open_and_its_close_leave_nothing_and_are_tagged_for_the_judge() -> None:
    venue = a_venue(slippage_bps=10, fee_bps=5)
    executor = venue.executor()
    for leg in Side:
        opened = await executor.send(an_intent("open", leg))
        closed = await executor.send(an_intent("close", leg))
        assert (opened.state, closed.state) == (ReportState.FILLED, ReportState.FILLED)
        assert opened.filled == closed.filled == Decimal("0.5")
    assert opened.price == Decimal("99.9")
    assert opened.fee_usd == Decimal("0.024975")
    assert opened.order_id == "lighter-3"
    assert truth.problems(venue.facts) == []
    assert set(truth.effects(venue.facts, "close")) == {(str(UUID(int=7)), "long"), (str(UUID(int=7)), "short")}


@pytest.mark.parametrize(
    "fate",
    [
        Fate(answer=Answer.TIMEOUT),
        Fate(answer=Answer.RESET),
        Fate(answer=Answer.UNAVAILABLE, done=False),
        Fate(answer=Answer.HTML),
        Fate(answer=Answer.EMPTY),
        Fate(answer=Answer.NULL),
        Fate(answer=Answer.HINT),
        Fate(after=20 * MS),
        Fate(share="0.5", rests=True),
    ],
    ids=lambda fate: f"{fate.answer} {fate.after} {fate.share}",
)
async def test_whatever_is_not_the_end_of_an_order_is_unknown_to_its_sender(fate: Fate) -> None:
    venue = a_venue()
    venue.plan("place", fate)
    report = await venue.executor().send(an_intent())
    assert report.state is ReportState.UNKNOWN
    assert report.why


async def test_an_id_that_is_known_is_no_rejection() -> None:
    executor = a_venue().executor()
    await executor.send(an_intent())
    assert (await executor.send(an_intent())).state is ReportState.UNKNOWN
    assert (await executor.find(an_intent())).state is ReportState.FILLED


@pytest.mark.parametrize(
    ("fate", "state"),
    [
        (Fate(), "filled"),
        (Fate(share="0.5"), "partial"),
        (Fate(share=0), "rejected"),
        (Fate(reject="no"), "rejected"),
        (Fate(after=20 * MS), "live"),
        (Fate(done=False), "absent"),
    ],
    ids=lambda value: str(value) if isinstance(value, str) else "",
)
async def test_an_order_is_found_as_it_is(fate: Fate, state: str) -> None:
    venue = a_venue()
    venue.plan("place", fate)
    executor = venue.executor()
    await executor.send(an_intent())
    assert (await executor.find(an_intent())).state is ReportState(state)


async def test_a_cancellation_reports_what_became_of_the_order() -> None:
    venue = a_venue()
    executor = venue.executor()
    venue.plan("place", Fate(share="0.5", rests=True))
    await executor.send(an_intent())
    report = await executor.cancel(an_intent())
    assert (report.state, report.filled, report.why) == (ReportState.PARTIAL, Decimal("0.25"), "cancelled")
    assert (await executor.cancel(an_intent(attempt=2))).state is ReportState.ABSENT


async def test_a_query_that_fails_is_unknown() -> None:
    venue = a_venue()
    executor = venue.executor()
    await executor.send(an_intent())
    for answer in (Answer.TIMEOUT, Answer.RESET, Answer.UNAVAILABLE, Answer.HTML, Answer.EMPTY, Answer.NULL):
        venue.plan("find", Fate(answer=answer))
        venue.plan("cancel", Fate(answer=answer))
        assert (await executor.find(an_intent())).state is ReportState.UNKNOWN
        assert (await executor.cancel(an_intent())).state is ReportState.UNKNOWN


async def test_legs_are_known_with_all_that_the_venue_says_of_them() -> None:
    venue = a_venue()
    venue.hold("BTC", "-0.5", entry_price=90)
    venue.fund("BTC", "0.1")
    legs = await venue.executor().read_legs([BTC])
    assert legs == {BTC: Known("-0.5", as_of=AS_OF, entry_price=90, mark_price=100, funding_accrued="0.1")}


async def test_a_read_without_a_time_has_none() -> None:
    leg = (await a_venue(stamps=Stamps.NONE).executor().read_legs([BTC]))[BTC]
    assert leg == Known(0, mark_price=100, funding_accrued=0)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (Answer.UNAVAILABLE, "no list of positions, with status 503"),
        (Answer.HTML, "no list of positions, with status 200"),
        (Answer.EMPTY, "the answer does not have it"),
        (Answer.NULL, "its quantity is null"),
        (Answer.TIMEOUT, "no answer in time"),
        (Answer.RESET, "the connection was lost"),
    ],
    ids=str,
)
async def test_a_leg_that_could_not_be_read_is_unknown_and_never_flat(answer: Answer, why: str) -> None:
    venue = a_venue()
    venue.hold("BTC", 1)
    venue.plan("read", Fate(answer=answer))
    assert await venue.executor().read_legs([BTC]) == {BTC: Unknown(why)}


async def test_each_venue_is_asked_once_and_fails_alone() -> None:
    lighter, grvt = a_venue("lighter"), a_venue("grvt")
    for venue in (lighter, grvt):
        venue.price("ETH", 10)
    lighter.plan("read", Fate(answer=Answer.UNAVAILABLE))
    grvt.plan("read", Fate(), times=1)
    grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))
    markets = [Market(venue, symbol) for venue in ("lighter", "grvt", "aster") for symbol in ("BTC", "ETH")]
    legs = await FakeExecutor(lighter, grvt).read_legs([*markets, *markets])
    known = [market for market, leg in legs.items() if isinstance(leg, Known)]
    assert known == [Market("grvt", "BTC"), Market("grvt", "ETH")]
    assert legs[Market("aster", "BTC")] == Unknown("there is no such venue")
    assert len(legs) == 6


async def test_an_order_for_a_venue_that_it_does_not_have_is_unknown() -> None:
    report = await FakeExecutor(a_venue("grvt")).send(an_intent())
    assert (report.state, report.why) == (ReportState.UNKNOWN, "there is no such venue")


async def test_what_has_no_quantity_is_not_sent() -> None:
    planned = an_intent(state=IntentState.PLANNED, quantity=None, sent_at=None)
    with pytest.raises(InputError, match="without a quantity"):
        await a_venue().executor().send(planned)


def test_capabilities_are_true_of_the_venue() -> None:
    chances = (
        Chance(call=Call.PLACE, probability="0.1", fate=Fate(arrives=10 * MS, after=20 * MS, again=30 * MS)),
        Chance(call=Call.READ, probability="0.1", fate=Fate(lag=40 * MS)),
    )
    assert a_venue().executor().capabilities("lighter") == Capabilities(
        reduce_only=True, dedupes_ids=True, finds_ids=True, sends_once=True, reads_legs=True, settle=timedelta(0)
    )
    weak = a_venue(reduce_only=False, ids=Ids.OPEN, read_lag=5 * MS, chances=chances)
    assert weak.executor().capabilities("lighter") == Capabilities(
        finds_ids=True, reads_legs=True, read_lag=40 * MS, settle=100 * MS
    )


def test_capabilities_may_be_claimed_that_are_not_there() -> None:
    executor = a_venue(ids=Ids.NONE).executor(dedupes_ids=True)
    assert executor.capabilities("lighter").dedupes_ids
    assert executor.capabilities("lighter").reduce_only
    assert executor.capabilities("grvt") == Capabilities()


def test_an_executor_supplies_legs_and_has_each_venue_once() -> None:
    assert a_venue().executor().supplies == Needs(rates=False, legs=True)
    with pytest.raises(InputError, match="twice"):
        FakeExecutor(a_venue(), a_venue())
