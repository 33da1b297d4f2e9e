"""The conformance checks: right executors pass all of them, and each wrong one fails the check that is about it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

import pytest

from rebalancer import Costs
from rebalancer.adapters.executors import PaperExecutor
from rebalancer.adapters.sources import StaticSource
from rebalancer.domain.intents import Intent
from rebalancer.domain.legs import Known, LegState, Unknown
from rebalancer.domain.names import Market
from rebalancer.domain.orders import Report, ReportState
from rebalancer.testing import ManualClock, a_quote
from rebalancer.testing.executors import ExecutorCase, ExecutorCheck, checks_for_executor
from rebalancer.testing.fake_venue import Answer, FakeExecutor, FakeVenue, Fate, Habits, Ids, Stamps

BTC = Market("lighter", "BTC")
LAG = timedelta(milliseconds=30)


def a_case(
    make: Callable[[FakeVenue], FakeExecutor] = FakeExecutor, claims: Mapping[str, bool] | None = None, **habits: Any
) -> ExecutorCase:
    """A case on a fake venue, through an executor that may be wrong or claim too much."""
    clock = ManualClock()
    venue = FakeVenue(prices={"BTC": 100}, clock=clock, habits=Habits(**habits))
    executor = make(venue)
    if claims:
        executor._claimed["lighter"] = executor.capabilities("lighter").model_copy(update=claims)

    async def settled() -> None:
        clock.advance(timedelta(seconds=1))

    return ExecutorCase(
        executor=executor,
        market=BTC,
        quantity=Decimal("0.5"),
        settled=settled,
        break_reads=lambda: venue.plan("read", Fate(answer=Answer.UNAVAILABLE), times=None),
        break_orders=lambda: venue.plan("place", Fate(answer=Answer.TIMEOUT, done=False), times=None),
    )


async def on_paper() -> ExecutorCase:
    """A case on paper, made inside of the loop."""
    clock = ManualClock()
    source = StaticSource([a_quote("lighter", mark_price=100)], clock=clock)

    async def settled() -> None:
        """Nothing is ever under way."""

    return ExecutorCase(
        executor=PaperExecutor(source, costs=Costs.flat(leg_bps=5), slippage_bps=2, clock=clock),
        market=BTC,
        quantity=Decimal("0.5"),
        settled=settled,
        break_orders=source.set,  # without any quote
    )


@pytest.mark.parametrize("check", checks_for_executor(a_case), ids=str)
def test_the_fake_executor_does_what_executors_must(check: ExecutorCheck) -> None:
    check()


@pytest.mark.parametrize(
    "habits",
    [
        {"ids": Ids.OPEN, "reduce_only": False},
        {"ids": Ids.NONE, "stamps": Stamps.NONE},
        {"read_lag": LAG, "find_lag": LAG},
        {"slippage_bps": 10, "fee_bps": -1, "latency": LAG},
    ],
    ids=str,
)
def test_it_does_so_on_weak_venues_too_since_it_claims_no_more_than_they_can(habits: dict[str, Any]) -> None:
    for check in checks_for_executor(lambda: a_case(**habits)):
        check()


@pytest.mark.parametrize("check", checks_for_executor(on_paper), ids=str)
def test_the_paper_executor_does_what_executors_must(check: ExecutorCheck) -> None:
    check()


def failures(make: Callable[[], ExecutorCase]) -> set[str]:
    """The names of the checks that fail."""
    failed = set()
    for check in checks_for_executor(make):
        try:
            check()
        except AssertionError:
            failed.add(str(check))
    return failed


class ZeroWhenUnread(FakeExecutor):
    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        legs = await super().read_legs(markets)
        return {market: Known(0) if isinstance(leg, Unknown) else leg for market, leg in legs.items()}


class OnlyWhatIsHeld(FakeExecutor):
    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        legs = await super().read_legs(markets)
        return {market: leg for market, leg in legs.items() if isinstance(leg, Known) and leg.quantity}


class WithoutSigns(FakeExecutor):
    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        legs = await super().read_legs(markets)
        return {
            market: leg.model_copy(update={"quantity": abs(leg.quantity)}) if isinstance(leg, Known) else leg
            for market, leg in legs.items()
        }


class BelievesWhatItSent(FakeExecutor):
    async def send(self, intent: Intent) -> Report:
        await super().send(intent)
        return Report(state=ReportState.FILLED, filled=intent.quantity)


class TakesKnownIdsForRejections(FakeExecutor):
    async def send(self, intent: Intent) -> Report:
        report = await super().send(intent)
        known = report.why is not None and "409" in report.why
        return Report.rejected("the venue refused it") if known else report


class TakesNotFoundForRejected(FakeExecutor):
    async def find(self, intent: Intent) -> Report:
        report = await super().find(intent)
        return Report.rejected("not found") if report.state is ReportState.ABSENT else report


class TakesCancelledForRejected(FakeExecutor):
    async def cancel(self, intent: Intent) -> Report:
        await super().cancel(intent)
        return Report.rejected("cancelled")


class FindsNothing(FakeExecutor):
    async def find(self, intent: Intent) -> Report:
        return Report.absent()


class ClosesOnce(FakeExecutor):
    closed = False

    async def aclose(self) -> None:
        assert not self.closed, "closed twice"
        self.closed = True


class ChangesItsMind(FakeExecutor):
    async def send(self, intent: Intent) -> Report:
        now = self.capabilities("lighter")
        self._claimed["lighter"] = now.model_copy(update={"sends_once": not now.sends_once})
        return await super().send(intent)


class ClosesHalf(FakeExecutor):
    async def send(self, intent: Intent) -> Report:
        half = intent.quantity / 2 if intent.quantity and intent.reduce_only else intent.quantity
        return await super().send(intent.model_copy(update={"quantity": half}))


class SendsToCancel(FakeExecutor):
    async def cancel(self, intent: Intent) -> Report:
        return await self.send(intent)


class SendsTwice(FakeExecutor):
    """Under another id the second time, as a client that makes its own."""

    async def send(self, intent: Intent) -> Report:
        said = await super().send(intent)
        again = {name: getattr(intent, name) for name in Intent.model_fields if name != "key"}
        return said if said.state.terminal else await super().send(Intent(**{**again, "attempt": 99}))


class Raises(FakeExecutor):
    """Whenever it knows nothing, which it may."""

    async def send(self, intent: Intent) -> Report:
        said = await super().send(intent)
        if said.why == "no answer in time":
            raise TimeoutError
        return said

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        legs = await super().read_legs(markets)
        if Unknown("no list of positions, with status 503") in legs.values():
            raise ConnectionError
        return legs


class RoundsUp(FakeExecutor):
    async def send(self, intent: Intent) -> Report:
        return await super().send(intent.model_copy(update={"quantity": 1}))


@pytest.mark.parametrize(
    ("make", "caught"),
    [
        (ZeroWhenUnread, "a read that fails is unknown and not zero"),
        (ZeroWhenUnread, "a market that nobody knows is unknown and not zero"),
        (ZeroWhenUnread, "a venue that it does not have can do nothing with legs"),
        (OnlyWhatIsHeld, "a read answers for each market that was asked for"),
        (WithoutSigns, "a short is negative"),
        (BelievesWhatItSent, "an order that does not reach the venue is not filled"),
        (BelievesWhatItSent, "a close of nothing opens nothing"),
        (BelievesWhatItSent, "a close of more than is held does not turn the position round"),
        (TakesKnownIdsForRejections, "an intent that is sent twice is one order"),
        (TakesNotFoundForRejected, "an order that never was has not ended"),
        (TakesCancelledForRejected, "cancelling what is filled takes nothing back"),
        (FindsNothing, "an open is held as it was reported"),
        (FindsNothing, "a sender that is cancelled leaves a truth that can be found"),
        (ClosesOnce, "it can be closed twice"),
        (ChangesItsMind, "capabilities do not change"),
        (RoundsUp, "an open is held as it was reported"),
        (ClosesHalf, "a close leaves nothing"),
        (SendsToCancel, "cancelling what never was does nothing"),
        (SendsTwice, "an intent that is sent twice at once is one order"),
    ],
)
def test_an_executor_that_is_wrong_is_caught(make: type[FakeExecutor], caught: str) -> None:
    assert caught in failures(lambda: a_case(make))


@pytest.mark.parametrize(
    ("claims", "habits", "caught"),
    [
        ({"dedupes_ids": True}, {"ids": Ids.OPEN}, "an intent that is sent twice is one order"),
        ({"dedupes_ids": True}, {"ids": Ids.NONE}, "an intent that is sent twice at once is one order"),
        ({"reduce_only": True}, {"reduce_only": False}, "a close of nothing opens nothing"),
        (
            {"reduce_only": True},
            {"reduce_only": False},
            "a close of more than is held does not turn the position round",
        ),
    ],
)
def test_a_capability_that_is_claimed_and_not_there_is_caught(
    claims: dict[str, bool], habits: dict[str, Any], caught: str
) -> None:
    assert caught in failures(lambda: a_case(claims=claims, **habits))


def test_an_executor_may_raise_where_it_knows_nothing() -> None:
    assert failures(lambda: a_case(Raises)) == set()


def test_every_check_can_fail() -> None:
    wrong = [ZeroWhenUnread, OnlyWhatIsHeld, WithoutSigns, BelievesWhatItSent, TakesKnownIdsForRejections, FindsNothing]
    more = [TakesNotFoundForRejected, TakesCancelledForRejected, ClosesOnce, ChangesItsMind, ClosesHalf, SendsToCancel]
    caught = {name for make in (*wrong, *more, SendsTwice) for name in failures(partial(a_case, make))}
    assert caught == {str(check) for check in checks_for_executor(a_case)}


def test_an_executor_that_can_not_read_legs_may_not_claim_that_it_can() -> None:
    class Blind(FakeExecutor):
        async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
            return dict.fromkeys(markets, Unknown("it can not"))

    assert failures(lambda: a_case(Blind)) != set()
    assert failures(lambda: a_case(Blind, claims={"reads_legs": False})) == set()


def test_checks_have_names_that_can_be_read_and_are_given_a_time() -> None:
    checks = checks_for_executor(a_case)
    assert len({str(check) for check in checks}) == len(checks) == 18
    assert all("_" not in str(check) for check in checks)

    class Hangs(FakeExecutor):
        async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
            await asyncio.sleep(60)
            return {}

    with pytest.raises(TimeoutError):
        checks_for_executor(lambda: a_case(Hangs), within=timedelta(milliseconds=20))[0]()


def test_without_a_way_to_settle_a_case_waits_for_as_long_as_the_venue_claims() -> None:
    def quick() -> ExecutorCase:
        case = a_case()
        return ExecutorCase(executor=case.executor, market=BTC, quantity=Decimal(1))

    for check in checks_for_executor(quick):
        check()
