"""The bodies of `checks_for_store`: each is given a store with a lease, and raises if the store is wrong."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from ..domain.batch import Batch, LedgerEntry, LedgerKind, StoredDecision, StoredTick
from ..domain.intents import Effect, Intent, IntentState, Side
from ..domain.lifecycle import Switch, changed
from ..domain.position import Position, PositionStatus
from ..domain.smoothed import Smoothed
from ..domain.times import SECOND
from ..errors import Conflict, Fenced, Stopped, StoreError
from ..presets import conservative
from .factories import AS_OF, a_position, a_quote, a_rate, a_smoothed, a_snapshot, an_opportunity
from .stores import HOUR, Desk, an_intent, an_open_position, as_sent, require

LONGEST = "0.123456789012345678901234567891"
"""Thirty digits: no float has so many."""


def a_decision(position: Position, *, after: timedelta = timedelta(0), held: str | None = None) -> StoredDecision:
    """A decision to hold, as of `AS_OF` and `after`."""
    record = conservative().decide(position, a_snapshot(as_of=AS_OF + after)).record
    return StoredDecision(record=record, held=held)


def an_entry(position: Position, *, amount: str = "1.25", after: timedelta = timedelta(0)) -> LedgerEntry:
    """Funding that was received on the long leg."""
    at = AS_OF + after
    return LedgerEntry(
        position_id=position.id, venue=position.long_dex, kind=LedgerKind.FUNDING, at=at, amount_usd=amount
    )


async def a_new_store_is_empty_and_runs(desk: Desk) -> None:
    store = desk.store
    require(await store.live() == () and await store.intents() == (), "a new store has something")
    require(await store.smoothed() == (), "a new store has smoothed rates")
    require(await store.ticks(AS_OF - 9_999 * HOUR) == (), "a new store has ticks")
    require(await store.switch() is Switch.RUN, "a new store does not run")
    require(await store.position(a_position().id) is None, "a position that is not there is None")
    require(await store.decision(a_position().id) is None, "a decision that is not there is None")


async def a_position_comes_back_equal_to_the_last_digit(desk: Desk) -> None:
    position = an_open_position(
        size_usd="1000000000000",
        entry_long_rate="-0.000000000001",
        entry_short_rate=1,
        long_quantity=LONGEST,
        short_quantity="0.0000000000000000000000000000000000000001",
        long_entry_price="100000000000000000000000000000",
        attention="näher ansehen ✓",
        deadline=AS_OF + SECOND,
        funding_collected_usd="-999999999999.99",
    )
    await desk.write(position)
    require(await desk.store.position(position.id) == position, "a position is not the one that was written")
    require(await desk.store.live() == (position,), "a live position is not the one that was written")


async def an_intent_comes_back_equal_to_the_microsecond(desk: Desk) -> None:
    position, close, _ = await desk.closing(long_quantity=LONGEST)
    moment = AS_OF + timedelta(microseconds=1)
    sent = as_sent(close, quantity=LONGEST, sent_at=moment, deadline=moment, order_id="0x9", fee_usd="-0.00000001")
    await desk.write(sent)
    require(sent in await desk.store.intents(position.id), "an intent is not the one that was written")


async def other_values_come_back_equal(desk: Desk) -> None:
    position = await desk.open()
    decision, entry = a_decision(position, held="a person must look"), an_entry(position, amount="-0.01")
    quote = a_quote("lighter", a_rate("-0.000000000001", hours=1), open_interest_usd=0, mark_price=LONGEST)
    await desk.write(decisions=(decision,), ledger=(entry,), observations=(quote,))
    store = desk.store
    require(await store.decision(decision.id) == decision, "a decision is not the one that was written")
    require(await store.ledger(position.id) == (entry,), "a ledger entry is not the one that was written")
    require(await store.observations([quote.market], AS_OF) == (quote,), "an observation is not the one written")


async def live_positions_are_in_order_of_their_opening_and_never_closed_ones(desk: Desk) -> None:
    late, early = [an_open_position(symbol=name, age=age * HOUR) for name, age in (("ETH", 1), ("SOL", 9))]
    await desk.write(late, early)
    gone = await desk.closed(symbol="XRP", age=4 * HOUR)
    require(await desk.store.live() == (early, late), "live positions are not those that live, in order of opening")
    require(await desk.store.position(gone.id) == gone, "a closed position can not be read by its id")


async def intents_are_in_order_of_time_and_without_a_position_only_the_unfinished_ones(desk: Desk) -> None:
    eth, sol = await desk.open(symbol="ETH"), await desk.open(symbol="SOL")
    times = {Side.LONG: AS_OF + SECOND, Side.SHORT: AS_OF}
    made = {leg: an_intent(eth, leg=leg, planned_at=at) for leg, at in times.items()}
    await desk.write(changed(eth, status=PositionStatus.PENDING_CLOSE), *made.values())
    others = [an_intent(sol, leg=leg, planned_at=AS_OF + 2 * SECOND) for leg in Side]
    await desk.write(changed(sol, status=PositionStatus.PENDING_CLOSE), *others)
    done = await desk.filled(made[Side.SHORT])
    require(
        await desk.store.intents(eth.id) == (done, made[Side.LONG]), "a position's intents are not in order of time"
    )
    unfinished = await desk.store.intents()
    require(unfinished[:1] == (made[Side.LONG],), "unfinished intents are not in order of time")
    require(set(unfinished[1:]) == set(others), "the unfinished intents are not those of all positions")


async def decisions_are_read_from_an_instant_on_in_order_of_time(desk: Desk) -> None:
    position = await desk.open()
    third, first, second = [a_decision(position, after=SECOND * n) for n in (3, 1, 2)]
    await desk.write(decisions=(third, first, second))
    require(await desk.store.decisions(AS_OF) == (first, second, third), "decisions are not in order of time")
    later = await desk.store.decisions(AS_OF + 2 * SECOND)
    require(later == (second, third), "decisions of an instant are not among those since it, or earlier ones are")


async def exits_are_the_decisions_that_did_not_hold(desk: Desk) -> None:
    position = await desk.open()
    flipped = a_snapshot(a_quote("lighter", "0.0003"), a_quote("grvt", "0.0001"), as_of=AS_OF + SECOND)
    leaves = StoredDecision(record=conservative().decide(position, flipped).record, held="dry run")
    await desk.write(decisions=(a_decision(position), leaves, a_decision(position, after=2 * SECOND)))
    require(await desk.store.exits(AS_OF) == (leaves,), "exits are not those decisions that did not hold")
    require(await desk.store.exits(AS_OF + 2 * SECOND) == (), "an exit from before the instant is there")


async def a_ledger_is_in_order_of_time_and_of_one_position(desk: Desk) -> None:
    eth, sol = await desk.open(symbol="ETH"), await desk.open(symbol="SOL")
    later, earlier = an_entry(eth, after=HOUR), an_entry(eth)
    await desk.write(ledger=(later, an_entry(sol), earlier))
    require(await desk.store.ledger(eth.id) == (earlier, later), "a ledger is not one position's, in order of time")


async def observations_are_of_the_markets_asked_for_from_an_instant_on_in_order(desk: Desk) -> None:
    third, first, second = [a_quote("lighter", observed_at=AS_OF + SECOND * n) for n in (3, 1, 2)]
    other = a_quote("grvt", observed_at=AS_OF + SECOND)
    await desk.write(observations=(third, first, other, second))
    market = [first.market]
    require(await desk.store.observations(market, AS_OF) == (first, second, third), "observations are not in order")
    require(await desk.store.observations(market, AS_OF + 2 * SECOND) == (second, third), "observations are too old")
    both = await desk.store.observations([*market, other.market], AS_OF)
    require(set(both) == {first, second, third, other}, "observations of a market are missing")
    latest = await desk.store.observations([*market, other.market], AS_OF, most=2)
    require(set(latest) == {second, third, other}, "of each market's observations not the latest are read")
    require(await desk.store.observations(market, AS_OF, most=2) == (second, third), "the latest are not in order")


async def a_decision_written_twice_is_there_once_and_an_approval_stays(desk: Desk) -> None:
    decision = a_decision(await desk.open(), held="a person must look")
    await desk.write(decisions=(decision, decision))
    await desk.write(decisions=(decision,))
    approved = decision.model_copy(update={"approved_at": AS_OF})
    await desk.write(decisions=(approved,))
    await desk.write(decisions=(decision,))
    require(await desk.store.decisions(AS_OF) == (approved,), "a decision is there twice, or its approval is lost")
    await desk.refuses(Conflict, decisions=(decision.model_copy(update={"held": None}),))


async def a_ledger_entry_written_twice_is_there_once_and_never_changes(desk: Desk) -> None:
    position = await desk.open()
    await desk.write(ledger=(an_entry(position), an_entry(position)))
    await desk.write(ledger=(an_entry(position),))
    require(await desk.store.ledger(position.id) == (an_entry(position),), "a ledger entry is there twice")
    await desk.refuses(Conflict, ledger=(an_entry(position, amount="1.26"),))
    await desk.refuses(Conflict, ledger=(an_entry(position, after=HOUR), an_entry(position, amount="9", after=HOUR)))
    await desk.refuses(Conflict, ledger=(an_entry(an_open_position(symbol="ETH")),))


async def of_one_observation_the_first_is_kept(desk: Desk) -> None:
    first, again, other = a_quote(origin="a"), a_quote(origin="b"), a_quote(rate="0.0002")
    await desk.write(observations=(first, again))
    await desk.write(observations=(again, other))
    found = await desk.store.observations([first.market], AS_OF)
    require(found == (first, other), "an observation is there twice, or not the first that was seen")


async def a_smoothed_rate_comes_back_equal_one_for_each_market_and_signal(desk: Desk) -> None:
    largest = a_smoothed(num=-(1 << 62), den=10**6, seen=10**10)
    others = a_smoothed(venue="grvt"), a_smoothed(symbol="ETH")
    faster = [a_smoothed(signal=signal) for signal in (Smoothed(clip_bps="0.5"), Smoothed(warm_up=HOUR))]
    await desk.write(smoothed=(largest, *others))
    await desk.write(smoothed=tuple(faster))
    found = await desk.store.smoothed()
    require(len(found) == 5, "there is not one smoothed rate for each market and signal")
    require(all(one in found for one in (largest, *others, *faster)), "a smoothed rate is not the one that was written")


async def of_a_smoothed_rate_the_one_that_was_settled_last_is_kept(desk: Desk) -> None:
    later, earlier, other = a_smoothed(settled_at=AS_OF), a_smoothed(), a_smoothed(symbol="ETH")
    await desk.write(smoothed=(earlier,))
    await desk.write(smoothed=(later,))
    require(await desk.store.smoothed() == (later,), "a smoothed rate is not replaced by a later one")
    await desk.write(smoothed=(earlier, other))
    require(set(await desk.store.smoothed()) == {later, other}, "an earlier smoothed rate replaced a later one")
    better = a_smoothed(settled_at=AS_OF, seen=99_999)
    await desk.write(smoothed=(better,))
    found = await desk.store.smoothed()
    require(set(found) == {better, other}, "what is learnt of the same settlement is not written")


async def ticks_come_back_in_order_of_time_one_of_an_instant(desk: Desk) -> None:
    microsecond = timedelta(microseconds=1)
    first, second, third = (
        StoredTick(at=AS_OF + n * microsecond, as_of=AS_OF, decided=10 + n, blind=n) for n in range(3)
    )
    await desk.write(ticks=(third, first))
    await desk.write(ticks=(second, first.model_copy(update={"begun": 1}), third))
    require(await desk.store.ticks(AS_OF) == (first, second, third), "ticks are not those that were written, in order")
    require(await desk.store.ticks(second.at) == (second, third), "the ticks since an instant are others than those")
    require(await desk.store.ticks(third.at + microsecond) == (), "a tick is there that was never")


async def a_batch_with_one_bad_part_writes_nothing(desk: Desk) -> None:
    position = await desk.open()
    good = [changed(position, last_check=AS_OF), an_open_position(symbol="ETH")]
    more = {
        "decisions": (a_decision(position),),
        "observations": (a_quote(),),
        "smoothed": (a_smoothed(),),
        "ticks": (StoredTick(at=AS_OF, as_of=AS_OF, decided=1),),
    }
    await desk.refuses(Conflict, *good, an_open_position(symbol="BTC", age=HOUR), **more)
    await desk.refuses(Conflict, *good, an_intent(position), **more)
    await desk.refuses(Conflict, *good, ledger=(an_entry(an_open_position(symbol="SOL")),), **more)


async def a_change_of_a_version_that_is_not_the_last_is_refused(desk: Desk) -> None:
    old = await desk.open()
    new = changed(old, size_usd=20_000, long_quantity="0.2", short_quantity="0.2")
    await desk.write(new)
    await desk.refuses(Conflict, changed(old, size_usd=5))
    await desk.refuses(Conflict, changed(old, last_check=AS_OF))
    await desk.refuses(Conflict, new.model_copy(update={"size_usd": 5}))
    await desk.refuses(Conflict, new.model_copy(update={"version": new.version + 1}))
    await desk.refuses(Conflict, new, new.model_copy(update={"last_check": AS_OF}))


async def what_does_not_change_a_position_s_terms_keeps_its_version(desk: Desk) -> None:
    position = await desk.open()
    after = position.model_copy(
        update={"last_check": AS_OF, "funding_collected_usd": "1.25", "fees_paid_usd": "0.5", "attention": "look"}
    )
    await desk.write(after)
    require(await desk.store.live() == (after,), "a check or a sum of the ledger was not written")


async def an_open_position_may_be_merged_and_keeps_its_identity(desk: Desk) -> None:
    position = await desk.open()
    merged = changed(position, size_usd=20_000, long_quantity="0.2", short_quantity="0.2", long_entry_price="95000")
    await desk.write(merged)
    require(await desk.store.live() == (merged,), "a merged position is not the one that was written")
    for fields in ({"short_dex": "aster"}, {"symbol": "ETH"}, {"opened_at": AS_OF}, {"parent": position.id}):
        await desk.refuses(Conflict, changed(merged, **fields))


async def an_intent_is_sent_by_one_only(desk: Desk) -> None:
    _, close, _ = await desk.closing()
    rivals = [as_sent(close, sent_at=AS_OF + SECOND * n) for n in range(20)]
    writes = (desk.store.commit(desk.lease, Batch(intents=(rival,))) for rival in rivals)
    results = await asyncio.gather(*writes, return_exceptions=True)
    won = [rival for rival, result in zip(rivals, results, strict=True) if result is None]
    lost = [result for result in results if isinstance(result, Conflict)]
    require((len(won), len(lost)) == (1, 19), "not just one of twenty sent an intent")
    require(won[0] in await desk.store.intents(), "the one that won is not the one that is there")


async def an_intent_that_has_ended_never_changes(desk: Desk) -> None:
    _, close, _ = await desk.closing()
    done = await desk.filled(close)
    for state, fields in ((IntentState.SENT, {}), (IntentState.REJECTED, {"filled": None})):
        await desk.refuses(Conflict, done.then(state, **fields))
    await desk.refuses(Conflict, close)


async def an_intent_s_order_never_changes_and_fills_never_shrink(desk: Desk) -> None:
    _, close, _ = await desk.closing()
    await desk.refuses(Conflict, as_sent(close, venue="aster"))
    sent = as_sent(close)
    await desk.write(sent)
    await desk.refuses(Conflict, sent.then(IntentState.SENT, quantity="0.2"))
    part = sent.then(IntentState.SENT, filled="0.04")
    await desk.write(part)
    await desk.refuses(Conflict, part.then(IntentState.PARTIAL, filled="0.03"))
    await desk.refuses(Conflict, part.then(IntentState.SENT, filled=None))


async def a_close_is_never_for_more_than_is_left_of_its_leg(desk: Desk) -> None:
    position, close, _ = await desk.closing()
    await desk.refuses(Conflict, as_sent(close, quantity="0.1000000001"))
    sent = as_sent(close)
    await desk.write(sent)
    await desk.refuses(Conflict, an_intent(position, attempt=2))
    await desk.write(sent.then(IntentState.PARTIAL, filled="0.04"))
    await desk.refuses(Conflict, an_intent(position, attempt=3))
    again = an_intent(position, attempt=2)
    await desk.write(again)
    await desk.refuses(Conflict, as_sent(again, quantity="0.0600000001"))
    await desk.write(as_sent(again, quantity="0.06"))


async def an_intent_belongs_to_a_position_and_its_leg(desk: Desk) -> None:
    position, _, _ = await desk.closing()
    await desk.refuses(Conflict, an_intent(an_open_position(symbol="ETH")))
    one = await desk.open(symbol="SOL")
    after = changed(one, status=PositionStatus.PENDING_CLOSE)
    await desk.refuses(Conflict, after, an_intent(one, venue="aster"), an_intent(one, leg=Side.SHORT))
    await desk.refuses(Conflict, an_intent(position, effect=Effect.OPEN))


async def a_market_has_one_living_owner(desk: Desk) -> None:
    await desk.open()
    await desk.refuses(Conflict, an_open_position(age=HOUR))
    await desk.refuses(Conflict, an_open_position(long_dex="grvt", short_dex="aster"))
    await desk.refuses(Conflict, *(an_open_position(symbol="ETH", age=age * HOUR) for age in (1, 2)))
    await desk.write(an_open_position(long_dex="paradex", short_dex="aster"))


async def a_closed_position_gives_its_markets_back(desk: Desk) -> None:
    await desk.closed()
    other = an_open_position(age=HOUR)
    await desk.write(other)
    require(await desk.store.live() == (other,), "the next position on the same markets is not there")


async def an_opening_ends_open_when_both_legs_are_filled(desk: Desk) -> None:
    plan, opens = an_opening()
    await desk.refuses(Conflict, plan, opens[0])
    await desk.write(plan, *opens)
    sent = [as_sent(one) for one in opens]
    await desk.write(*sent)
    legs = {"long_quantity": "0.1", "short_quantity": "0.1"}
    await desk.refuses(Conflict, changed(plan, status=PositionStatus.OPEN, **legs))
    done = [one.then(IntentState.FILLED, filled="0.1") for one in sent]
    await desk.refuses(Conflict, changed(plan, status=PositionStatus.OPEN, **{**legs, "long_quantity": "0.2"}), *done)
    await desk.write(changed(plan, status=PositionStatus.OPEN, **legs), *done)


async def an_opening_of_which_one_leg_failed_is_closed(desk: Desk) -> None:
    plan, opens = an_opening()
    await desk.write(plan, *opens)
    sent = [as_sent(one) for one in opens]
    await desk.write(*sent)
    failed = sent[0].then(IntentState.REJECTED), sent[1].then(IntentState.FILLED, filled="0.1")
    after = changed(plan, status=PositionStatus.PENDING_CLOSE, short_quantity="0.1")
    await desk.refuses(Conflict, after, *failed)
    await desk.refuses(Conflict, changed(plan, status=PositionStatus.CLOSED), *failed)
    await desk.write(after, *failed, an_intent(plan, leg=Side.SHORT))


def an_opening(**fields: Any) -> tuple[Position, tuple[Intent, Intent]]:
    """A position that is being opened, and its planned opens."""
    plan = a_position(**{"status": PositionStatus.OPENING, **fields})
    return plan, (an_intent(plan, effect=Effect.OPEN), an_intent(plan, effect=Effect.OPEN, leg=Side.SHORT))


async def a_close_needs_an_intent_for_each_leg(desk: Desk) -> None:
    position = await desk.open()
    after = changed(position, status=PositionStatus.PENDING_CLOSE)
    await desk.refuses(Conflict, after)
    await desk.refuses(Conflict, after, an_intent(position))
    await desk.refuses(Conflict, changed(position, status=PositionStatus.CLOSED))


async def a_position_is_closed_leg_by_leg_and_only_by_proof(desk: Desk) -> None:
    position, long, short = await desk.closing()
    half = changed(position, status=PositionStatus.HALF_CLOSED)
    await desk.refuses(Conflict, half)
    await desk.filled(long)
    await desk.refuses(Conflict, changed(position, status=PositionStatus.CLOSED))
    await desk.write(half)
    over = changed(half, status=PositionStatus.CLOSED, close_reason="BY_HAND")
    given_up = short.then(IntentState.VOID)
    await desk.refuses(Conflict, over, given_up)
    await desk.write(over, short.then(IntentState.VOID, flat_at=AS_OF))
    require(await desk.store.live() == (), "a closed position is among the live ones")


async def a_late_writer_can_not_bring_a_closed_position_back(desk: Desk) -> None:
    closed = await desk.closed()
    for status in (status for status in PositionStatus if status is not PositionStatus.CLOSED):
        await desk.refuses(Conflict, changed(closed, status=status))
    await desk.refuses(Conflict, an_open_position())
    await desk.refuses(Conflict, changed(closed, size_usd=5))
    await desk.refuses(Conflict, an_intent(closed, attempt=2))
    late = closed.model_copy(update={"funding_collected_usd": "0.75"})
    await desk.write(late, ledger=(an_entry(late, amount="0.75"),))


async def a_rotation_hands_the_kept_leg_to_its_successor(desk: Desk) -> None:
    """Long moves from lighter to paradex; the short leg on grvt stays."""
    old = await desk.open()
    target = an_opportunity()
    begun = changed(old, status=PositionStatus.PENDING_CLOSE, then=target)
    close = an_intent(old)
    await desk.refuses(Conflict, begun, close, an_intent(old, leg=Side.SHORT))
    await desk.write(begun, close)
    await desk.filled(close)
    over = changed(begun, status=PositionStatus.CLOSED)
    fields = {"long_dex": target.long_dex, "age": HOUR, "parent": old.id}
    successor, (first, _) = an_opening(**fields)
    inherited = an_intent(successor, effect=Effect.OPEN, leg=Side.SHORT, state=IntentState.FILLED, filled="0.1")
    await desk.refuses(Conflict, over)
    await desk.refuses(Conflict, successor, first, inherited)
    await desk.refuses(Conflict, over, successor, first, inherited.model_copy(update={"filled": "0.2"}))
    await desk.write(over, successor, first, inherited)
    require(await desk.store.live() == (successor,), "the successor is not the one that lives")
    await desk.refuses(Conflict, an_open_position(long_dex="grvt", short_dex="aster", age=2 * HOUR))
    await desk.write(an_open_position(long_dex="lighter", short_dex="aster", age=2 * HOUR))


async def another_holder_waits_until_the_lease_is_given_back(desk: Desk) -> None:
    store = desk.store
    require(await store.acquire("second", HOUR) is None, "two holders at a time")
    await store.release(desk.lease)
    second = await store.acquire("second", HOUR)
    require(second is not None and second.epoch > desk.lease.epoch, "the next holder's epoch is not larger")
    require(await store.acquire("first", HOUR) is None, "two holders at a time")
    await desk.refuses(Fenced, an_open_position())
    await store.release(desk.lease)
    require(await store.acquire("third", HOUR) is None, "who holds the lease no more gave it back for another")


async def a_holder_renews_its_own_lease(desk: Desk) -> None:
    again = await desk.store.acquire("first", 2 * HOUR)
    require(again is not None and again.epoch == desk.lease.epoch, "a holder's own renewal has another epoch")
    require(again is not None and again.until > desk.lease.until, "a renewal is not longer")
    await desk.write(an_open_position())


async def a_lease_that_was_given_back_writes_no_more(desk: Desk) -> None:
    await desk.store.release(desk.lease)
    await desk.store.release(desk.lease)
    await desk.refuses(Fenced, an_open_position())
    again = await desk.store.acquire("first", HOUR)
    require(again is not None and again.epoch > desk.lease.epoch, "the epoch after a release is not larger")
    await desk.refuses(Fenced, an_open_position())


async def a_lease_of_the_future_or_of_somebody_else_writes_nothing(desk: Desk) -> None:
    for fields in ({"epoch": desk.lease.epoch + 1}, {"holder": "somebody else"}):
        forged = Desk(desk.store, desk.lease.model_copy(update=fields), None)
        await forged.refuses(Fenced, an_open_position())


async def the_kill_switch_stops_planning_and_sending_and_nothing_else(desk: Desk) -> None:
    position, close, other = await desk.closing()
    sent = as_sent(close)
    await desk.write(sent)
    await desk.store.set_switch(Switch.KILL)
    require(await desk.store.switch() is Switch.KILL, "the switch is not where it was set")
    await desk.refuses(Stopped, as_sent(other))
    plan, opens = an_opening(symbol="ETH")
    await desk.refuses(Stopped, plan, *opens)
    await desk.write(sent.then(IntentState.FILLED, filled="0.1"), decisions=(a_decision(position),))
    await desk.write(changed(position, status=PositionStatus.HALF_CLOSED, last_check=AS_OF))
    await desk.store.set_switch(Switch.RUN)
    await desk.write(as_sent(other))


async def pause_begins_no_exit_and_finishes_what_was_begun(desk: Desk) -> None:
    eth = await desk.open(symbol="ETH")
    _, close, other = await desk.closing()
    await desk.store.set_switch(Switch.PAUSE)
    exits = [an_intent(eth, leg=leg) for leg in Side]
    await desk.refuses(Stopped, changed(eth, status=PositionStatus.PENDING_CLOSE), *exits)
    await desk.write(as_sent(close), as_sent(other))


async def flatten_opens_nothing_and_closes_all(desk: Desk) -> None:
    plan, opens = an_opening(symbol="ETH")
    await desk.write(plan, *opens)
    await desk.store.set_switch(Switch.FLATTEN)
    await desk.refuses(Stopped, as_sent(opens[0]))
    other, more = an_opening(symbol="SOL")
    await desk.refuses(Stopped, other, *more)
    _, close, _ = await desk.closing()
    await desk.write(as_sent(close))


async def a_cancelled_commit_is_whole_or_not_there(desk: Desk) -> None:
    one, two = an_open_position(), an_open_position(symbol="ETH")
    for turns in range(4):
        task = asyncio.create_task(desk.write(one, two))
        for _ in range(turns):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        found = len(await desk.store.live())
        require(found in (0, 2), "a cancelled commit was written in part")
        if found:
            return
    await desk.write(one, two)


async def a_closed_store_says_so(desk: Desk) -> None:
    await desk.store.aclose()
    await desk.store.aclose()
    try:
        await desk.store.live()
    except StoreError:
        return
    raise AssertionError("a store that was closed answers as if it were not")


async def a_lease_that_has_run_out_passes_on_and_fences_its_old_holder(desk: Desk) -> None:
    position = await desk.open()
    pass_time(desk, HOUR + SECOND)
    await desk.write(changed(position, last_check=AS_OF))  # the clock alone fences nobody
    second = await desk.store.acquire("second", HOUR)
    require(second is not None and second.epoch > desk.lease.epoch, "a lease that has run out does not pass on")
    await desk.refuses(Fenced, changed(position, last_check=AS_OF + SECOND))
    require(await desk.store.acquire("first", HOUR) is None, "two holders at a time")


def pass_time(desk: Desk, by: timedelta) -> None:
    """Let time pass on the store's clock."""
    if desk.advance is not None:
        desk.advance(by)


CHECKS = (
    a_new_store_is_empty_and_runs,
    a_position_comes_back_equal_to_the_last_digit,
    an_intent_comes_back_equal_to_the_microsecond,
    other_values_come_back_equal,
    live_positions_are_in_order_of_their_opening_and_never_closed_ones,
    intents_are_in_order_of_time_and_without_a_position_only_the_unfinished_ones,
    decisions_are_read_from_an_instant_on_in_order_of_time,
    exits_are_the_decisions_that_did_not_hold,
    a_ledger_is_in_order_of_time_and_of_one_position,
    observations_are_of_the_markets_asked_for_from_an_instant_on_in_order,
    a_decision_written_twice_is_there_once_and_an_approval_stays,
    a_ledger_entry_written_twice_is_there_once_and_never_changes,
    of_one_observation_the_first_is_kept,
    a_smoothed_rate_comes_back_equal_one_for_each_market_and_signal,
    of_a_smoothed_rate_the_one_that_was_settled_last_is_kept,
    ticks_come_back_in_order_of_time_one_of_an_instant,
    a_batch_with_one_bad_part_writes_nothing,
    a_change_of_a_version_that_is_not_the_last_is_refused,
    what_does_not_change_a_position_s_terms_keeps_its_version,
    an_open_position_may_be_merged_and_keeps_its_identity,
    an_intent_is_sent_by_one_only,
    an_intent_that_has_ended_never_changes,
    an_intent_s_order_never_changes_and_fills_never_shrink,
    a_close_is_never_for_more_than_is_left_of_its_leg,
    an_intent_belongs_to_a_position_and_its_leg,
    a_market_has_one_living_owner,
    a_closed_position_gives_its_markets_back,
    an_opening_ends_open_when_both_legs_are_filled,
    an_opening_of_which_one_leg_failed_is_closed,
    a_close_needs_an_intent_for_each_leg,
    a_position_is_closed_leg_by_leg_and_only_by_proof,
    a_late_writer_can_not_bring_a_closed_position_back,
    a_rotation_hands_the_kept_leg_to_its_successor,
    another_holder_waits_until_the_lease_is_given_back,
    a_holder_renews_its_own_lease,
    a_lease_that_was_given_back_writes_no_more,
    a_lease_of_the_future_or_of_somebody_else_writes_nothing,
    the_kill_switch_stops_planning_and_sending_and_nothing_else,
    pause_begins_no_exit_and_finishes_what_was_begun,
    flatten_opens_nothing_and_closes_all,
    a_cancelled_commit_is_whole_or_not_there,
    a_closed_store_says_so,
)
"""What every store must do."""
TIMED = (a_lease_that_has_run_out_passes_on_and_fences_its_old_holder,)
"""What can be checked where time can be let pass."""
