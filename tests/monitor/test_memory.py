"""What was observed before: for rules with memory and for blindness, the same after a restart as without one."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

import pytest

from rebalancer import (
    Action,
    AlarmKind,
    Confirmed,
    DivergenceFlip,
    Freshness,
    LiquidationDistance,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    PositionStatus,
    Quote,
    RateKind,
    StoreError,
    StoreMode,
    presets,
)
from rebalancer.adapters import MemoryStore
from rebalancer.domain.names import Market
from rebalancer.monitor.keeper import Keeper
from rebalancer.monitor.memory import Memory
from rebalancer.testing import AS_OF, FakeExecutor, a_position, a_quote, a_snapshot
from rebalancer.testing.fake_venue import Answer, Fate

if TYPE_CHECKING:
    from .conftest import World

HOUR = timedelta(hours=1)
FRESH = Freshness().max_age
BTC = Market("lighter", "BTC")


def a_memory(world: World, most: int = 3) -> Memory:
    keeper = Keeper(
        world.store, clock=world.clock, holder="me", lease=timedelta(seconds=60), deadline=timedelta(seconds=1)
    )
    return Memory(keeper, most=most)


async def test_an_observation_is_a_new_time_or_a_new_rate(world: World) -> None:
    memory = a_memory(world)
    await memory.recall([BTC], AS_OF)
    new = []
    for rate, seconds in (("0.0001", 0), ("0.0001", 0), ("0.0002", 0), ("0.0002", 60)):
        at = AS_OF + timedelta(seconds=seconds)
        quotes = memory.new(a_snapshot(a_quote(rate=rate, observed_at=at), as_of=at))
        memory.keep(quotes)
        new.append(len(quotes))

    assert new == [1, 0, 1, 1]


async def test_what_is_too_old_or_from_the_future_is_no_observation(world: World) -> None:
    memory = a_memory(world)
    await memory.recall([BTC], AS_OF)

    for off in (-timedelta(hours=2), HOUR):
        assert memory.new(a_snapshot(a_quote(observed_at=AS_OF + off))) == ()


async def test_only_the_latest_are_kept_and_only_of_what_is_held(world: World) -> None:
    memory = a_memory(world, most=2)
    await memory.recall([BTC], AS_OF)
    for minutes in range(4):
        memory.keep([a_quote(observed_at=AS_OF + timedelta(minutes=minutes))])

    assert [quote.observed_at for quote in memory.past] == [AS_OF + timedelta(minutes=2), AS_OF + timedelta(minutes=3)]
    await memory.recall([Market("grvt", "BTC")], AS_OF)
    assert memory.past == ()


async def test_blindness_counts_from_when_the_first_rate_stopped_to_count_and_is_unknown_if_one_was_never_seen(
    world: World,
) -> None:
    memory, position = a_memory(world), a_position()
    await memory.recall([position.pair.long, position.pair.short], AS_OF)
    memory.keep([a_quote("lighter", observed_at=AS_OF - HOUR)])
    assert memory.blind_for(position, a_snapshot()) is None

    memory.keep([a_quote("grvt", observed_at=AS_OF - 2 * HOUR)])
    assert memory.blind_for(position, a_snapshot()) == 2 * HOUR - FRESH


def confirmed(world: World) -> None:
    """Have a flip count only at its third observation."""
    world.strategy = Confirmed(DivergenceFlip(), times=3)


@pytest.mark.parametrize("restarts", [False, True])
async def test_a_rule_with_memory_decides_after_a_restart_as_without_one(
    world: World,
    restarts: bool,  # noqa: FBT001
) -> None:
    confirmed(world)
    monitor = world.monitor()
    position = await world.adopted(monitor)
    await world.ticks(monitor, 2, every=60)
    world.flip()

    statuses = []
    for _ in range(3):
        await world.ticks(world.monitor() if restarts else monitor, 1, every=60)
        statuses.append(await world.status(position))

    assert statuses == [PositionStatus.OPEN, PositionStatus.OPEN, PositionStatus.CLOSED]


async def test_a_monitor_that_stood_by_knows_what_the_other_one_saw(world: World) -> None:
    """It led, another one led for a while, and it leads again: there is no hole in what it remembers."""
    confirmed(world)
    first, second = world.monitor(), world.monitor()
    position = await world.adopted(first)
    await world.ticks(first, 2, every=60)
    world.flip()
    await world.ticks(first, 1, every=60)
    await world.ticks(second, 1, every=60)

    (report,) = await world.ticks(first, 1, every=60)

    assert [decision.action for decision in report.decisions] == [Action.CLOSE]
    assert await world.status(position) is PositionStatus.CLOSED


async def test_polls_that_see_the_same_count_once(world: World) -> None:
    confirmed(world)
    monitor = world.monitor()
    position = await world.adopted(monitor)
    await world.ticks(monitor, 2, every=60)
    world.flip()
    stands = world.clock.now()
    ask = world.rates.snapshot

    async def same(request: object) -> object:
        answer = await ask(request)  # type: ignore[arg-type]
        return answer.model_copy(
            update={"quotes": tuple(quote.model_copy(update={"observed_at": stands}) for quote in answer.quotes)}
        )

    world.rates.snapshot = same  # type: ignore[assignment, method-assign]

    await world.ticks(monitor, 5, every=5)

    assert await world.status(position) is PositionStatus.OPEN


# Blindness


async def test_while_the_source_is_down_everything_holds_with_an_alarm(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    await world.ticks(monitor, 2, every=60)
    world.rates.down = True

    reports = await world.ticks(monitor, 100, every=3600)

    assert await world.status(position) is PositionStatus.OPEN
    assert world.sent == []
    assert {AlarmKind.SOURCE_DOWN} == {alarm.kind for report in reports for alarm in report.alarms}
    assert {alarm.level for alarm in reports[-1].alarms} == {"critical"}


@pytest.mark.parametrize("missing", [("grvt",), ("lighter", "grvt")])
async def test_a_rate_that_is_missing_holds_with_an_alarm(world: World, missing: tuple[str, ...]) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.rates.of.update(dict.fromkeys(missing))

    (report,) = await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.OPEN
    assert {(alarm.kind, alarm.about) for alarm in report.alarms} == {(AlarmKind.BLIND, venue) for venue in missing}


BLIND = MonitorLimits(max_blind=timedelta(hours=4))


@pytest.mark.parametrize("restarts", [False, True])
async def test_after_max_blind_it_leaves_also_across_a_restart(
    world: World,
    restarts: bool,  # noqa: FBT001
) -> None:
    monitor = world.monitor(limits=BLIND)
    position = await world.adopted(monitor)
    await world.ticks(monitor, 1, every=0)
    world.rates.down = True
    world.clock.advance(timedelta(hours=4) + FRESH - timedelta(seconds=1))
    monitor = world.monitor(limits=BLIND) if restarts else monitor
    await world.ticks(monitor, 1, every=1)
    assert await world.status(position) is PositionStatus.OPEN

    (report,) = await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.close_reason == "BLIND"
    (decision,) = report.decisions
    facts = decision.decided_by.facts if decision.decided_by else ()
    assert [(fact.name, fact.value, fact.limit) for fact in facts] == [
        ("blind_seconds", Decimal(14_400), Decimal(14_400))
    ]


async def test_a_settled_rate_is_not_blindness_as_long_as_it_counts(world: World) -> None:
    ask, settled = world.rates.snapshot, world.clock.now() - 3 * HOUR

    async def old(request: MarketRequest) -> MarketSnapshot:
        answer = await ask(request)
        seen = {"observed_at": settled, "kind": RateKind.SETTLED}
        return answer.model_copy(update={"quotes": tuple(quote.model_copy(update=seen) for quote in answer.quotes)})

    world.rates.snapshot = old  # type: ignore[method-assign]
    monitor = world.monitor(limits=MonitorLimits(max_blind=2 * HOUR))
    position = await world.adopted(monitor)
    await world.ticks(monitor, 1)
    world.rates.down = True

    await world.ticks(monitor, 1)
    world.clock.advance(settled + 18 * HOUR - timedelta(seconds=1) - world.clock.now())  # it counts for 16 hours
    await world.ticks(monitor, 1, every=1)
    assert await world.status(position) is PositionStatus.OPEN
    await world.ticks(world.monitor(limits=MonitorLimits(max_blind=2 * HOUR)), 1)

    assert await world.status(position) is PositionStatus.CLOSED


async def test_one_that_never_saw_a_rate_is_not_known_to_be_blind_for_long(world: World) -> None:
    world.rates.down = True
    monitor = world.monitor(limits=BLIND)
    position = await world.adopted(monitor)

    await world.ticks(monitor, 10, every=3600)

    assert await world.status(position) is PositionStatus.OPEN


async def test_it_leaves_blindly_only_with_known_legs(world: World) -> None:
    monitor = world.monitor(limits=BLIND)
    position = await world.adopted(monitor)
    await world.ticks(monitor, 1)
    world.rates.down = True
    world.clock.advance(timedelta(hours=5))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=3)

    (first, *_) = await world.ticks(monitor, 3)
    assert world.sent == []
    assert AlarmKind.UNREAD in {alarm.kind for alarm in first.alarms}
    await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED


async def test_a_blind_mass_exit_waits_for_a_person(a_world: Callable[..., World]) -> None:
    symbols = ("AAA", "BBB", "CCC")
    world = a_world(symbols=symbols)
    monitor = world.monitor(limits=BLIND)
    for symbol in symbols:
        await world.adopted(monitor, symbol)
    await world.ticks(monitor, 1)
    world.rates.down = True

    reports = await world.ticks(monitor, 6, every=3600)

    assert world.sent == []
    assert AlarmKind.NEEDS_APPROVAL in {alarm.kind for alarm in reports[-1].alarms}


async def test_liquidation_distance_works_without_the_source(world: World) -> None:
    world.strategy = LiquidationDistance() | presets.conservative()
    real = world.executor

    class Near(FakeExecutor):
        async def read_legs(self, markets: object) -> object:  # type: ignore[override]
            legs = await real.read_legs(markets)
            return {
                market: leg.model_copy(update={"liquidation_price": 95_000}) if leg.quantity > 0 else leg
                for market, leg in legs.items()
            }

    world.executor = Near(*world.venues.values())
    world.rates.down = True
    monitor = world.monitor()
    position = await world.adopted(monitor)

    await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.close_reason == "LIQUIDATION_DISTANCE"


async def test_no_more_is_read_again_than_is_remembered(world: World) -> None:
    class Counting(MemoryStore):
        read = 0

        async def observations(
            self, markets: Collection[Market], since: datetime, *, most: int | None = None
        ) -> tuple[Quote, ...]:
            found = await super().observations(markets, since, most=most)
            self.read = len(found)
            return found

    store = Counting(mode=StoreMode.LIVE, clock=world.clock)
    world.store = store
    await world.adopted(world.monitor())
    limits = MonitorLimits(max_blind=HOUR)
    await world.ticks(world.monitor(limits=limits), 30, every=60)

    await world.ticks(world.monitor(limits=limits), 1)

    assert store.read == 2


async def test_what_can_not_be_read_again_stops_nobody_from_leaving(world: World) -> None:
    class Forgetful(MemoryStore):
        async def observations(self, *_: object, **__: object) -> tuple[Quote, ...]:
            raise StoreError("no answer within 30 s")

    world.store = Forgetful(mode=StoreMode.LIVE, clock=world.clock)
    monitor = world.monitor(limits=MonitorLimits(max_blind=HOUR))
    position = await world.adopted(monitor)
    world.flip()

    (report,) = await world.ticks(monitor, 1)

    assert [failure.what for failure in report.failures] == ["what was observed before"]
    assert await world.status(position) is PositionStatus.CLOSED
