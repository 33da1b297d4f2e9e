"""Funding: what the venue says that it paid, else each settlement at its rate; each booked once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    AlarmKind,
    FundingRate,
    Known,
    LedgerEntry,
    LedgerKind,
    MarketRequest,
    MarketSnapshot,
    PositionStatus,
    Quote,
    RateKind,
)
from rebalancer.testing import AS_OF, FakeExecutor
from rebalancer.testing.fake_venue import Answer, Fate, Habits

if TYPE_CHECKING:
    from .conftest import World

HOUR = timedelta(hours=1)


class Settles:
    """A source of settled hourly rates; `marks` are mark prices by venue."""

    def __init__(self, world: World, *, rates: dict[str, str], marks: dict[str, str] | None = None) -> None:
        self._world, self._rates, self._marks = world, rates, marks or {}
        world.rates.snapshot = self.snapshot  # type: ignore[method-assign]

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        now = self._world.clock.now()
        last = now.replace(minute=0, second=0, microsecond=0)
        quotes = tuple(
            Quote(
                venue=market.venue,
                symbol=market.symbol,
                rate=FundingRate(self._rates[market.venue], HOUR),
                observed_at=last,
                kind=RateKind.SETTLED,
                mark_price=self._marks.get(market.venue),
            )
            for market in request.markets
        )
        return MarketSnapshot(as_of=now, quotes=quotes)


async def funding(world: World, position: Any) -> list[tuple[str, datetime, Decimal]]:
    """What is booked."""
    entries: tuple[LedgerEntry, ...] = await world.store.ledger(position.id)
    return [(entry.venue, entry.at, entry.amount_usd) for entry in entries if entry.kind is LedgerKind.FUNDING]


def without_funding(world: World) -> FakeExecutor:
    """An executor whose reads do not say what funding was accrued."""
    real = world.executor

    class Silent(FakeExecutor):
        async def read_legs(self, markets: Any) -> Any:
            legs = await real.read_legs(markets)
            return {
                market: state.model_copy(update={"funding_accrued": None}) if isinstance(state, Known) else state
                for market, state in legs.items()
            }

    return Silent(*world.venues.values())


async def test_each_settlement_is_booked_once_at_its_rate(world: World) -> None:
    world.executor = without_funding(world)
    Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"})
    world.clock.advance(timedelta(minutes=30))
    monitor = world.monitor()
    position = await world.adopted(monitor, opened_at=world.clock.now())

    await world.ticks(monitor, 30, every=300)

    one, two = AS_OF + HOUR, AS_OF + 2 * HOUR
    long, short = Decimal("-1.00"), Decimal("3.00")  # of 10,000 dollars: the long leg pays, the short one gets
    booked = [("grvt", one, short), ("lighter", one, long), ("grvt", two, short), ("lighter", two, long)]
    assert await funding(world, position) == booked
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.funding_collected_usd == Decimal(4)


async def test_a_settlement_is_of_the_tokens_at_their_mark_price_where_both_are_known(world: World) -> None:
    world.executor = without_funding(world)
    Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"}, marks={"grvt": "50000"})
    monitor = world.monitor()
    position = await world.adopted(monitor, opened_at=world.clock.now())
    world.clock.advance(HOUR)

    await world.ticks(monitor, 1)

    at = AS_OF + HOUR
    assert await funding(world, position) == [("grvt", at, Decimal("1.50")), ("lighter", at, Decimal("-1.00"))]


async def test_a_settlement_at_the_opening_or_before_it_pays_nothing(world: World) -> None:
    world.executor = without_funding(world)
    Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"})
    monitor = world.monitor()
    position = await world.adopted(monitor, opened_at=world.clock.now())

    await world.ticks(monitor, 5)

    assert await funding(world, position) == []


async def test_two_processes_book_a_settlement_once(world: World) -> None:
    world.executor = without_funding(world)
    Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"})
    first, second = world.monitor(), world.monitor()
    position = await world.adopted(first, opened_at=world.clock.now())

    for number in range(50):
        await world.ticks((first, second, world.monitor())[number % 3], 1, every=360)

    booked = await funding(world, position)
    assert len(booked) == len({(venue, at) for venue, at, _ in booked}) == 2 * 4
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.funding_collected_usd == Decimal(2) * 4


async def test_two_processes_at_once_book_a_settlement_once(world: World) -> None:
    world.executor = without_funding(world)
    Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"})
    monitors = [world.monitor() for _ in range(4)]
    position = await world.adopted(monitors[0], opened_at=world.clock.now())

    for _ in range(6):
        world.clock.advance(timedelta(minutes=30))
        await asyncio.gather(*(monitor.check_all_positions() for monitor in monitors))

    booked = await funding(world, position)
    assert len(booked) == len({(venue, at) for venue, at, _ in booked}) == 2 * 3
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.funding_collected_usd == sum(amount for *_, amount in booked)


async def test_what_the_venue_says_that_it_paid_is_booked_as_it_grows(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    for paid in ("1.25", "-0.25", "0"):
        world.grvt.fund("BTC", paid)
        await world.ticks(monitor, 2, every=60)
        monitor = world.monitor()

    assert [(venue, amount) for venue, _, amount in await funding(world, position)] == [
        ("grvt", Decimal("1.25")),
        ("grvt", Decimal("-0.25")),
    ]
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.funding_collected_usd == Decimal(1)


async def test_what_the_venue_says_corrects_what_was_booked_by_rate(world: World) -> None:
    Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"})
    monitor = world.monitor()
    position = await world.adopted(monitor, opened_at=world.clock.now())
    world.clock.advance(HOUR)
    world.grvt.fund("BTC", "2.90")
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))  # so that the settlement is booked at its rate: 3.00

    await world.ticks(monitor, 2, every=60)

    booked = [amount for venue, _, amount in await funding(world, position) if venue == "grvt"]
    assert booked == [Decimal("3.00"), Decimal("-0.10")]


async def test_a_read_that_lags_takes_nothing_back(a_world: Callable[..., World]) -> None:
    world = a_world(habits=Habits(read_lag=timedelta(seconds=3)))
    world.hold()
    world.clock.advance(timedelta(seconds=5))
    monitor = world.monitor()
    from rebalancer.testing import a_position

    position = await monitor.adopt(a_position())
    world.grvt.fund("BTC", "1.00")
    await world.ticks(monitor, 2, every=10)
    world.grvt.plan("read", Fate(lag=timedelta(seconds=40)))

    await world.ticks(monitor, 2, every=10)

    assert [amount for *_, amount in await funding(world, position)] == [Decimal("1.00")]


@pytest.mark.parametrize("forming", [RateKind.FORMING, RateKind.INDICATIVE])
async def test_a_rate_that_was_not_settled_pays_nothing(world: World, forming: RateKind) -> None:
    world.executor = without_funding(world)
    source = Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"})
    ask = source.snapshot

    async def live(request: MarketRequest) -> MarketSnapshot:
        answer = await ask(request)
        quotes = (quote.model_copy(update={"kind": forming, "observed_at": answer.as_of}) for quote in answer.quotes)
        return answer.model_copy(update={"quotes": tuple(quotes)})

    world.rates.snapshot = live  # type: ignore[method-assign]
    monitor = world.monitor()
    position = await world.adopted(monitor, opened_at=world.clock.now())
    await world.ticks(monitor, 20, every=600)

    assert await funding(world, position) == []


async def test_fees_of_a_close_are_booked_once_for_each_order(a_world: Callable[..., World]) -> None:
    world = a_world(habits=Habits(fee_bps="5"))
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(share="0.4"))

    await world.ticks(monitor, 4, every=30)
    await world.ticks(world.monitor(), 2)

    assert await world.status(position) is PositionStatus.CLOSED
    entries = await world.store.ledger(position.id)
    fees = [(entry.venue, entry.amount_usd) for entry in entries if entry.kind is LedgerKind.FEE]
    assert sorted(fees) == [("grvt", Decimal(-3)), ("grvt", Decimal(-2)), ("lighter", Decimal(-5))]
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.fees_paid_usd == Decimal(10)


async def collected(world: World, position: Any) -> Decimal:
    """What the store says that a position got, which is what its ledger says."""
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.funding_collected_usd == sum(amount for *_, amount in await funding(world, position))
    return stored.funding_collected_usd


async def test_what_is_due_when_an_exit_begins_is_booked_with_it(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    await world.ticks(monitor, 1, every=60)
    world.grvt.fund("BTC", "3")
    world.lighter.fund("BTC", "-1")
    world.flip()

    await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED
    assert await collected(world, position) == 2


async def test_a_settlement_that_is_due_when_an_exit_begins_is_booked_with_it(world: World) -> None:
    world.executor = without_funding(world)
    source = Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"})
    monitor = world.monitor()
    position = await world.adopted(monitor, opened_at=world.clock.now())
    world.clock.advance(HOUR)
    source._rates = {"lighter": "0.0003", "grvt": "0.0001"}

    await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED
    assert await collected(world, position) == -2


async def test_what_is_paid_while_it_is_closed_is_booked(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="halted"), times=20)
    for _ in range(5):
        await world.ticks(monitor, 1, every=600)
        world.grvt.fund("BTC", "-3")
    assert await world.status(position) is PositionStatus.HALF_CLOSED
    assert await collected(world, position) == -12

    world.grvt.unplan()
    await world.ticks(world.monitor(), 2)

    assert await world.status(position) is PositionStatus.CLOSED
    assert await collected(world, position) == -15


@pytest.mark.parametrize("by_hand", [False, True])
async def test_what_is_paid_just_before_the_end_is_booked_after_it(
    world: World,
    by_hand: bool,  # noqa: FBT001
) -> None:
    real = world.executor

    class Pays(FakeExecutor):
        async def send(self, intent: Any) -> Any:
            world.grvt.fund("BTC", "5")  # after the tick has read the legs
            return await real.send(intent)

    world.executor = Pays(*world.venues.values())
    monitor = world.monitor()
    position = await world.adopted(monitor)
    if by_hand:
        await monitor.close(position.id)
    else:
        world.flip()
        await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED
    assert await collected(world, position) == 10


@pytest.mark.parametrize("forgets", [0, None])
async def test_a_venue_that_forgets_a_leg_which_is_gone_takes_nothing_back(world: World, forgets: int | None) -> None:
    real = world.executor

    class Forgets(FakeExecutor):
        async def read_legs(self, markets: Any) -> Any:
            legs = await real.read_legs(markets)
            gone = {market: state for market, state in legs.items() if isinstance(state, Known) and not state.quantity}
            return legs | {market: Known(0, funding_accrued=forgets) for market in gone}

    world.executor = Forgets(*world.venues.values())
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.lighter.fund("BTC", "4")
    world.grvt.fund("BTC", "3")
    world.flip()
    world.grvt.plan("place", Fate(reject="halted"), times=2)

    await world.ticks(monitor, 5, every=60)

    assert await world.status(position) is PositionStatus.CLOSED
    assert await collected(world, position) == 7


async def test_an_absurd_amount_is_said_and_not_booked_and_stops_nothing_else(a_world: Callable[..., World]) -> None:
    world = a_world(symbols=("BTC", "ETH"))
    monitor = world.monitor()
    position, other = [await world.adopted(monitor, symbol) for symbol in ("BTC", "ETH")]
    world.lighter.fund("BTC", "2")
    world.grvt.fund("BTC", "1E28")
    world.flip("ETH")

    (report,) = await world.ticks(monitor, 1)

    assert await world.status(other) is PositionStatus.CLOSED
    assert await collected(world, position) == 2
    assert [(alarm.kind, alarm.position_id) for alarm in report.alarms] == [(AlarmKind.SUSPICIOUS, position.id)]
    assert "grvt" in report.alarms[0].about
    assert not report.failures


async def test_no_settlement_is_booked_at_an_absurd_mark_price(world: World) -> None:
    world.executor = without_funding(world)
    Settles(world, rates={"lighter": "0.0001", "grvt": "0.0003"}, marks={"grvt": "1E29"})
    monitor = world.monitor()
    position = await world.adopted(monitor, opened_at=world.clock.now())
    world.clock.advance(HOUR)

    (report,) = await world.ticks(monitor, 1)

    assert await collected(world, position) == -1
    assert [alarm.kind for alarm in report.alarms] == [AlarmKind.SUSPICIOUS]


@pytest.mark.parametrize("part", ["rebalancer.monitor.books.Books.due", "rebalancer.monitor.memory.Memory.new"])
async def test_a_defect_of_the_bookkeeping_stops_no_exit(
    a_world: Callable[..., World], monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    world = a_world(symbols=("BTC", "ETH"))
    monitor = world.monitor()
    _, leaving = [await world.adopted(monitor, symbol) for symbol in ("BTC", "ETH")]
    world.grvt.fund("BTC", "1")
    world.flip("ETH")

    def broken(*_: object) -> None:
        raise ArithmeticError

    monkeypatch.setattr(part, broken)
    (report,) = await world.ticks(monitor, 1)

    assert report.begun == (leaving.id,)
    assert report.failures
