"""The checks of `checks_for_executor`: each is a sentence that is true of every executor."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from ..domain.intents import Effect, Side
from ..domain.legs import Known, Unknown
from ..domain.names import Market
from ..domain.orders import Capabilities, Report, ReportState
from .executors import ExecutorCase, must

NOWHERE = "NO-SUCH-MARKET"
"""A symbol that no venue has."""


async def a_read_answers_for_each_market_that_was_asked_for(case: ExecutorCase) -> None:
    other = Market(case.market.venue, NOWHERE)
    legs = await case.executor.read_legs([case.market, other])
    must(set(legs) == {case.market, other}, f"asked for 2 markets, it answered for {sorted(map(str, legs))}")
    must(all(isinstance(leg, Known | Unknown) for leg in legs.values()), "a leg is neither Known nor Unknown")
    must(dict(await case.executor.read_legs([])) == {}, "asked for nothing, it answered something")
    await case.holds(Decimal(0), "before any order")


async def a_market_that_nobody_knows_is_unknown_and_not_zero(case: ExecutorCase) -> None:
    market = Market(case.market.venue, NOWHERE)
    leg = await case.leg(market)
    must(isinstance(leg, Unknown), f"a market that does not exist was read as {leg}")


async def a_read_that_fails_is_unknown_and_not_zero(case: ExecutorCase) -> None:
    await case.done(case.intent(Effect.OPEN))
    if case.break_reads is not None:
        case.break_reads()
        try:
            leg = await case.leg()
        except Exception:  # a method that fails may raise: unknown too
            return
        must(isinstance(leg, Unknown), f"a read that failed was given as {leg}")


async def capabilities_do_not_change(case: ExecutorCase) -> None:
    before = case.capabilities
    await case.done(case.intent(Effect.OPEN))
    must(isinstance(before, Capabilities), f"capabilities are a {type(before).__name__}")
    must(case.capabilities == before, "capabilities changed with an order")


async def a_venue_that_it_does_not_have_can_do_nothing_with_legs(case: ExecutorCase) -> None:
    market = Market("no-such-venue", NOWHERE)
    leg = await case.leg(market)
    must(isinstance(leg, Unknown), f"a venue that does not exist was read: {leg}")


async def an_open_is_held_as_it_was_reported(case: ExecutorCase) -> None:
    intent = case.intent(Effect.OPEN)
    said = await case.done(intent)
    found = await case.executor.find(intent)
    await case.holds(case.quantity, "after an open was filled")
    must(
        found.state is ReportState.FILLED or not case.capabilities.finds_ids,
        f"finds_ids is claimed, and an order that was filled is {found.state} ({found.why})",
    )
    for report in (said, found):
        if report.state.terminal:
            must(report.filled == case.quantity, f"an order that was filled is reported as {report}")


async def a_short_is_negative(case: ExecutorCase) -> None:
    await case.done(case.intent(Effect.OPEN, leg=Side.SHORT))
    await case.holds(-case.quantity, "after a short was opened")


async def a_close_leaves_nothing(case: ExecutorCase) -> None:
    for leg in Side:
        await case.done(case.intent(Effect.OPEN, leg=leg))
        await case.done(case.intent(Effect.CLOSE, leg=leg))
        await case.holds(Decimal(0), f"after a {leg} was closed")


async def a_close_of_more_than_is_held_does_not_turn_the_position_round(case: ExecutorCase) -> None:
    if case.capabilities.reduce_only:
        await case.done(case.intent(Effect.OPEN))
        intent = case.intent(Effect.CLOSE, times=2)
        for report in (await case.done(intent), await case.executor.find(intent)):
            much = report.filled is not None and report.filled > case.quantity
            must(not much, f"more was closed than was held: {report}")
        leg = await case.leg()
        must(
            not isinstance(leg, Known) or 0 <= leg.quantity <= case.quantity, f"reduce_only is claimed, and left {leg}"
        )


async def a_close_of_nothing_opens_nothing(case: ExecutorCase) -> None:
    if case.capabilities.reduce_only:
        intent = case.intent(Effect.CLOSE)
        said = await case.done(intent)
        must(said.filled is None, f"nothing was held, and a close is reported as {said}")
        await case.holds(Decimal(0), "after a close of nothing")


async def an_intent_that_is_sent_twice_is_one_order(case: ExecutorCase) -> None:
    if case.capabilities.dedupes_ids:
        intent = case.intent(Effect.OPEN)
        await case.done(intent)
        again = await case.done(intent)
        await case.holds(case.quantity, "after an intent was sent twice")
        must(
            again.state in (ReportState.FILLED, ReportState.UNKNOWN),
            f"an order that is filled is reported as {again.state} when it is sent again",
        )


async def an_intent_that_is_sent_twice_at_once_is_one_order(case: ExecutorCase) -> None:
    if case.capabilities.dedupes_ids:
        intent = case.intent(Effect.OPEN)
        await asyncio.gather(case.executor.send(intent), case.executor.send(intent))
        await case.settle()
        await case.holds(case.quantity, "after an intent was sent twice at once")


async def an_order_that_never_was_has_not_ended(case: ExecutorCase) -> None:
    found = await case.executor.find(case.intent(Effect.OPEN))
    nothing = found.state in (ReportState.ABSENT, ReportState.UNKNOWN)
    must(nothing, f"an order that was never sent is reported as {found.state}")


async def cancelling_what_never_was_does_nothing(case: ExecutorCase) -> None:
    intent = case.intent(Effect.OPEN)
    said = await case.executor.cancel(intent)
    must(said.filled is None and said.state is not ReportState.LIVE, f"what was never sent is reported as {said}")
    await case.settle()
    await case.holds(Decimal(0), "after an order that never was is cancelled")


async def cancelling_what_is_filled_takes_nothing_back(case: ExecutorCase) -> None:
    intent = case.intent(Effect.OPEN)
    await case.done(intent)
    said = await case.executor.cancel(intent)
    must(
        said.state in (ReportState.FILLED, ReportState.UNKNOWN),
        f"an order that is filled is reported as {said.state} when it is cancelled",
    )
    await case.settle()
    await case.holds(case.quantity, "after an order that is filled was cancelled")


async def an_order_that_does_not_reach_the_venue_is_not_filled(case: ExecutorCase) -> None:
    if case.break_orders is not None:
        case.break_orders()
        try:
            said = await case.done(case.intent(Effect.OPEN))
        except Exception:  # a method that fails may raise: unknown too
            said = Report.unknown("it raised")
        must(said.filled is None, f"an order that did not reach the venue is reported as {said}")
        await case.holds(Decimal(0), "after an order that did not reach the venue")


async def a_sender_that_is_cancelled_leaves_a_truth_that_can_be_found(case: ExecutorCase) -> None:
    intent = case.intent(Effect.OPEN)
    sending = asyncio.create_task(case.executor.send(intent))
    await asyncio.sleep(0)
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)
    await case.settle()
    found, leg = await case.executor.find(intent), await case.leg()
    if case.capabilities.finds_ids and isinstance(leg, Known):
        held = found.filled or Decimal(0)
        must(
            leg.quantity == held and found.state is not ReportState.LIVE,
            f"its sender was cancelled, {leg.quantity} is held, and the order is reported as {found}",
        )


async def it_can_be_closed_twice(case: ExecutorCase) -> None:
    await case.executor.aclose()
    await case.executor.aclose()


CHECKS = (
    a_read_answers_for_each_market_that_was_asked_for,
    a_market_that_nobody_knows_is_unknown_and_not_zero,
    a_read_that_fails_is_unknown_and_not_zero,
    capabilities_do_not_change,
    a_venue_that_it_does_not_have_can_do_nothing_with_legs,
    an_open_is_held_as_it_was_reported,
    a_short_is_negative,
    a_close_leaves_nothing,
    a_close_of_more_than_is_held_does_not_turn_the_position_round,
    a_close_of_nothing_opens_nothing,
    an_intent_that_is_sent_twice_is_one_order,
    an_intent_that_is_sent_twice_at_once_is_one_order,
    an_order_that_never_was_has_not_ended,
    cancelling_what_never_was_does_nothing,
    cancelling_what_is_filled_takes_nothing_back,
    an_order_that_does_not_reach_the_venue_is_not_filled,
    a_sender_that_is_cancelled_leaves_a_truth_that_can_be_found,
    it_can_be_closed_twice,
)
"""All checks, in the order in which they are best read."""
