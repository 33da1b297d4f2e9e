"""Which decisions are kept: those that act, those that differ from the one before, and each once an hour."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from rebalancer import (
    Action,
    AlarmKind,
    AlarmLevel,
    BaseRule,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    Needs,
    Position,
    RebalanceDecision,
    RuleContext,
    StoredDecision,
    Verdict,
    presets,
    rule,
)
from rebalancer.domain.explain import explain
from rebalancer.monitor.exits import MASS_EXIT, RATE
from rebalancer.monitor.journal import Journal
from rebalancer.monitor.leaving import LATER
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot

if TYPE_CHECKING:
    from .conftest import World

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def a_decision(
    position: Position | None = None, *, after: timedelta = timedelta(0), flipped: bool = False
) -> RebalanceDecision:
    """What the conservative preset decides, some time after the usual."""
    as_of = AS_OF + after
    rates = ("0.0003", "0.0001") if flipped else ("0.0001", "0.0003")
    quotes = [a_quote(venue, rate, observed_at=as_of) for venue, rate in zip(("lighter", "grvt"), rates, strict=True)]
    return presets.conservative().decide(position or a_position(), a_snapshot(*quotes, as_of=as_of))


def keep(journal: Journal, decision: RebalanceDecision, held: str | None = None) -> StoredDecision | None:
    """What is kept of a decision, as if it were stored now."""
    stored = journal.due(decision.position_id, decision, held)
    journal.kept([] if stored is None else [stored])
    return stored


def test_a_hold_that_does_not_change_is_kept_once_an_hour() -> None:
    journal = Journal(MonitorLimits())

    kept = [keep(journal, a_decision(after=MINUTE * 10 * number)) is not None for number in range(13)]

    assert kept == [number % 6 == 0 for number in range(13)]


def test_just_under_an_hour_is_not_an_hour() -> None:
    journal = Journal(MonitorLimits())
    keep(journal, a_decision())

    assert keep(journal, a_decision(after=HOUR - timedelta(seconds=1))) is None
    assert keep(journal, a_decision(after=HOUR)) is not None


def test_another_action_reason_outcome_or_hindrance_is_kept_at_once() -> None:
    journal = Journal(MonitorLimits())
    keep(journal, a_decision())

    assert keep(journal, a_decision(after=MINUTE, flipped=True), "it waits") is not None
    assert keep(journal, a_decision(after=2 * MINUTE, flipped=True), "it waits") is None
    assert keep(journal, a_decision(after=3 * MINUTE, flipped=True), "it waits for something else") is not None
    assert keep(journal, a_decision(after=4 * MINUTE, flipped=True)) is not None
    assert keep(journal, a_decision(after=5 * MINUTE)) is not None
    blind = presets.conservative().decide(a_position(), a_snapshot(a_quote(), as_of=AS_OF + 6 * MINUTE))
    assert blind.action is Action.HOLD
    assert keep(journal, blind) is not None  # the same action, and other outcomes


def test_after_a_clock_was_set_back_the_next_one_is_kept() -> None:
    journal = Journal(MonitorLimits())
    keep(journal, a_decision(after=HOUR))

    assert keep(journal, a_decision()) is not None


def test_what_a_store_has_is_not_kept_again_by_another_process() -> None:
    first, second = Journal(MonitorLimits()), Journal(MonitorLimits())
    stored = keep(first, a_decision())
    assert stored is not None

    second.recall([stored])

    assert keep(second, a_decision(after=MINUTE)) is None


def test_with_many_positions_each_has_its_turn() -> None:
    journal = Journal(MonitorLimits(records_per_tick=3))
    ids = [a_position(symbol=f"S{number}").id for number in range(8)]

    turns = [journal.turns(ids) for _ in range(3)]

    assert [len(turn) for turn in turns] == [3, 3, 3]
    assert frozenset().union(*turns) == set(ids)


def test_a_new_position_is_looked_at_first_and_one_that_is_gone_is_forgotten() -> None:
    journal = Journal(MonitorLimits(records_per_tick=2))
    ids = [a_position(symbol=f"S{number}").id for number in range(4)]
    journal.turns(ids)
    new = a_position(symbol="NEW").id

    assert new in journal.turns([*ids[1:], new])
    assert ids[0] not in journal.turns([*ids[1:], new])


def test_an_approval_counts_for_the_same_action_until_it_expires() -> None:
    journal = Journal(MonitorLimits())
    held = keep(journal, a_decision(flipped=True), "it waits")
    assert held is not None
    journal.approve(held.model_copy(update={"approved_at": AS_OF}))
    position_id = held.record.position_id

    assert journal.approved(position_id, Action.CLOSE, AS_OF + HOUR)
    assert not journal.approved(position_id, Action.CLOSE, AS_OF + HOUR + timedelta(seconds=1))
    assert journal.approved(position_id, Action.CLOSE, AS_OF - HOUR)  # the clock was set back
    assert not journal.approved(position_id, Action.CLOSE, AS_OF - HOUR - timedelta(seconds=1))
    assert not journal.approved(position_id, Action.SWITCH, AS_OF)
    assert not journal.approved(a_position(symbol="ETH").id, Action.CLOSE, AS_OF)


def test_an_approval_lapses_with_another_action_in_a_store_as_in_memory() -> None:
    journal, again = Journal(MonitorLimits()), Journal(MonitorLimits())
    held = keep(journal, a_decision(flipped=True), "it waits")
    assert held is not None
    approved = held.model_copy(update={"approved_at": AS_OF})
    journal.approve(approved)
    hold = keep(journal, a_decision(after=MINUTE))
    assert hold is not None
    journal.still([hold.record.position_id], [RebalanceDecision(hold.record)])
    again.recall([approved, hold])

    for one in (journal, again):
        assert not one.approved(held.record.position_id, Action.CLOSE, AS_OF + 2 * MINUTE)


def test_a_hold_for_want_of_data_ends_no_approval_in_a_store_as_in_memory() -> None:
    journal, again = Journal(MonitorLimits()), Journal(MonitorLimits())
    held = keep(journal, a_decision(flipped=True), "it waits")
    assert held is not None
    approved = held.model_copy(update={"approved_at": AS_OF})
    journal.approve(approved)
    blind = presets.conservative().decide(a_position(), a_snapshot(a_quote(), as_of=AS_OF + MINUTE))
    assert (blind.action, blind.complete) == (Action.HOLD, False)
    kept = keep(journal, blind)
    assert kept is not None
    journal.still([blind.position_id], [blind])
    again.recall([approved, kept])

    for one in (journal, again):
        assert one.approved(blind.position_id, Action.CLOSE, AS_OF + 2 * MINUTE)


# Through the monitor


async def kept_by(world: World) -> list[StoredDecision]:
    """All decisions that the store has."""
    return list(await world.store.decisions(AS_OF - HOUR))


async def test_an_hour_of_holding_is_kept_as_one_row_and_a_change_as_another(world: World) -> None:
    monitor = world.monitor()
    await world.adopted(monitor)
    await world.ticks(monitor, 59, every=60)
    assert len(await kept_by(world)) == 1

    await world.ticks(monitor, 2, every=60)
    assert len(await kept_by(world)) == 2
    world.rates.of["grvt"] = None
    await world.ticks(monitor, 2, every=60)

    assert [one.record.complete for one in await kept_by(world)] == [True, True, False]


async def test_a_decision_that_acts_is_kept_with_its_trace_and_explained_from_the_store(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    (report,) = await world.ticks(monitor, 1)

    (kept,) = [one for one in await kept_by(world) if one.record.action is Action.CLOSE]

    assert kept.held is None
    assert (kept.record.position_id, kept.record.position_version) == (position.id, position.version)
    assert RebalanceDecision(kept.record) == report.decisions[0]
    words = explain(kept.record)
    for said in ("DIVERGENCE_FLIPPED", "lighter", "grvt", "BTC"):
        assert said in words
    assert len(kept.record.verdicts) == len(report.decisions[0].verdicts)


async def test_with_more_positions_than_a_tick_looks_at_all_are_kept_in_turns(a_world: Callable[..., World]) -> None:
    symbols = tuple(f"S{number}" for number in range(7))
    world = a_world(symbols=symbols)
    monitor = world.monitor(limits=MonitorLimits(records_per_tick=3))
    positions = [await world.adopted(monitor, symbol) for symbol in symbols]

    counts = []
    for _ in range(4):
        await world.ticks(monitor, 1, every=60)
        counts.append(len(await kept_by(world)))

    assert counts == [3, 6, 7, 7]
    checked = [await world.store.position(position.id) for position in positions]
    assert all(one is not None and one.last_check is not None for one in checked)


async def test_an_exit_is_kept_whosever_turn_it_is(a_world: Callable[..., World]) -> None:
    symbols = ("AAA", "BBB", "CCC")
    world = a_world(symbols=symbols)
    monitor = world.monitor(limits=MonitorLimits(records_per_tick=1))
    positions = [await world.adopted(monitor, symbol) for symbol in symbols]
    await world.ticks(monitor, 3)
    world.flip("AAA", "BBB")

    (report,) = await world.ticks(monitor, 1)

    assert set(report.begun) == {position.id for position in positions[:2]}
    acted = {one.record.position_id for one in await kept_by(world) if one.record.action is Action.CLOSE}
    assert acted == set(report.begun)


async def test_of_many_that_want_out_at_once_so_many_are_kept_in_a_tick(a_world: Callable[..., World]) -> None:
    """Their records take long to make, and meanwhile nobody else is looked at."""
    symbols = tuple(f"S{number}" for number in range(7))
    world = a_world(symbols=symbols)
    monitor = world.monitor(limits=MonitorLimits(records_per_tick=2, closes_per_minute=1))
    for symbol in symbols:
        await world.adopted(monitor, symbol)
    world.flip()

    exits, traced = [], []
    for _ in range(4):
        (report,) = await world.ticks(monitor, 1, every=60)
        assert [one.why for one in report.skipped] == [MASS_EXIT] * 7
        traced.append(sum(decision.traced for decision in report.decisions))
        exits.append(sum(one.record.action is Action.CLOSE for one in await kept_by(world)))

    assert exits[-1] == 7
    assert all(later - earlier <= 5 for earlier, later in zip([0, *exits], exits, strict=False))
    assert max(traced) <= 5  # one may begin, two are new, two have their turn


async def test_an_exit_that_was_not_looked_at_waits_for_a_later_tick(a_world: Callable[..., World]) -> None:
    """It rested yet when the records were made, so that nobody knows what all the rules say, and does not any more."""
    symbols = sorted((f"S{number}" for number in range(9)), key=lambda symbol: a_position(symbol=symbol).id.int)
    world = a_world(symbols=tuple(symbols))

    @rule
    def slow(ctx: RuleContext) -> Verdict:
        world.clock.advance(timedelta(seconds=1))
        return Verdict.quiet("all is well")

    limits = MonitorLimits(records_per_tick=1, closes_per_minute=2)
    monitor = world.monitor(strategy=presets.conservative() | slow, limits=limits)
    just_now = world.clock.now() - limits.action_spacing + timedelta(seconds=7)  # six are asked before the records
    resting = [await world.adopted(monitor, symbol, last_action_at=just_now) for symbol in symbols[:2]]
    third, *_ = [await world.adopted(monitor, symbol) for symbol in symbols[2:]]
    world.flip(*symbols[:3])

    first, second = await world.ticks(monitor, 2, every=70)

    assert first.begun == (resting[0].id,)
    assert {one.position_id: one.why for one in first.skipped} == {resting[1].id: LATER, third.id: RATE}
    assert second.begun == (resting[1].id, third.id)


@pytest.mark.parametrize("restarts", [False, True])
async def test_restarts_lose_no_change_and_no_hourly_record(
    a_world: Callable[..., World],
    restarts: bool,  # noqa: FBT001
) -> None:
    world = a_world()
    monitor = world.monitor()
    await world.adopted(monitor)
    began = world.clock.now()
    for number in range(130):
        world.rates.of["grvt"] = None if 20 <= number < 40 else "0.0003"
        await world.ticks(world.monitor() if restarts and number % 70 == 30 else monitor, 1, every=60)

    minutes = [(one.record.as_of - began) // timedelta(minutes=1) for one in await kept_by(world)]

    again = [30, 31, 100, 101] if restarts else []  # a new monitor keeps a hold once more, and so does who leads again
    assert sorted({0, 20, 40, *again}) == [minute for minute in minutes if minute in {0, 20, 40, *again}]
    assert all(later - earlier <= 60 for earlier, later in zip(minutes, [*minutes[1:], 130], strict=True))
    assert len(minutes) <= 5 + len(again)


async def test_a_rule_that_fails_is_one_alarm_whosever_turn_it_is(a_world: Callable[..., World]) -> None:
    class Broken(BaseRule):
        needs = Needs(rates=False)

        def evaluate(self, ctx: object, /) -> Verdict:
            raise ValueError

    symbols = ("AAA", "BBB", "CCC")
    world = a_world(symbols=symbols)
    world.strategy = Broken() | presets.conservative()
    monitor = world.monitor(limits=MonitorLimits(records_per_tick=1))
    for symbol in symbols:
        await world.adopted(monitor, symbol)

    reports = await world.ticks(monitor, 8, every=300)

    assert [len(report.alarms) for report in reports] == [1] * 8
    assert {(alarm.kind, alarm.about) for report in reports for alarm in report.alarms} == {
        (AlarmKind.DEGRADED, "rule Broken")
    }
    assert reports[-1].alarms[0].level is AlarmLevel.CRITICAL
    assert "3 positions" in reports[-1].alarms[0].why


async def test_each_tick_is_a_row_whether_a_decision_is_kept_or_not(world: World) -> None:
    monitor = world.monitor()
    await world.adopted(monitor)
    began = world.clock.now()

    await world.ticks(monitor, 3)
    world.rates.down = True
    await world.ticks(monitor, 1)
    world.rates.down = False
    world.flip()
    await world.ticks(monitor, 1)

    rows = await world.store.ticks(began)
    assert [(one.decided, one.blind, one.begun, one.held_back) for one in rows] == [
        (1, 0, 0, 0),
        (1, 0, 0, 0),
        (1, 0, 0, 0),
        (1, 1, 0, 0),
        (1, 0, 1, 0),
    ]
    assert [one.at - began for one in rows] == [number * timedelta(seconds=5) for number in range(5)]
    kept = await world.store.decisions(began)
    assert [one.record.action for one in kept] == [Action.HOLD, Action.HOLD, Action.CLOSE]


async def test_the_row_of_a_tick_says_how_many_exits_were_held_back(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=("BTC", "ETH", "SOL"))
    monitor = world.monitor()
    for symbol in ("BTC", "ETH", "SOL"):
        await world.adopted(monitor, symbol)
    began = world.clock.now()
    world.flip()

    await world.ticks(monitor, 1)

    (row,) = await world.store.ticks(began)
    assert (row.decided, row.begun, row.held_back) == (3, 0, 3)


async def test_positions_that_come_and_go_between_two_ticks_are_not_remembered(world: World) -> None:
    monitor = world.monitor()
    journal, books = monitor._engine.journal, monitor._engine.books
    await world.ticks(monitor, 1)
    for _ in range(5):
        position = await world.adopted(monitor, id=uuid4())
        await monitor.close(position.id)
        await world.ticks(monitor, 1)

    assert (len(journal._last), len(books._booked)) == (0, 0)


async def test_the_rows_of_ticks_name_the_decisions_that_are_of_them(world: World) -> None:
    monitor = world.monitor()
    await world.adopted(monitor)
    slow = world.rates.snapshot

    async def snapshot(request: MarketRequest) -> MarketSnapshot:
        world.clock.advance(timedelta(seconds=4))
        return await slow(request)

    world.rates.snapshot = snapshot  # type: ignore[method-assign]
    began = world.clock.now()

    await world.ticks(monitor, 1)

    (kept,) = await world.store.decisions(began)
    assert [one.as_of for one in await world.store.ticks(kept.record.as_of)] == [kept.record.as_of]
