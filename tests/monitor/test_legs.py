"""What the legs of open positions show: recorded, gone, closed by somebody else, or amiss."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import AlarmKind, Capabilities, Known, LegState, Position, PositionStatus, Side, Unknown
from rebalancer.domain.names import Market
from rebalancer.monitor.evidence import Evidence, LegRead, Reads, When
from rebalancer.monitor.legs import GONE_EXTERNALLY, look
from rebalancer.testing import FakeExecutor, a_position
from rebalancer.testing.factories import AS_OF
from rebalancer.testing.fake_venue import Fate, Habits

if TYPE_CHECKING:
    from .conftest import World

Worlds = Callable[..., Any]
SETTLE = timedelta(seconds=10)


def reads(long: str | None, short: str | None, *, after: float = 0, **fields: Any) -> Reads:
    """Both legs as they were read so many seconds later; None: not read."""
    pair, when = a_position().pair, When(AS_OF + timedelta(seconds=after), after)
    states = {
        market: Unknown("503") if tokens is None else Known(tokens, **fields)
        for market, tokens in ((pair.long, long), (pair.short, short))
    }
    return {market: LegRead(state, when, when) for market, state in states.items()}


def at_once(_: str) -> Capabilities:
    """Every venue settles at once."""
    return Capabilities(reduce_only=True, reads_legs=True, settle=timedelta(0))


@pytest.fixture
def recorded() -> Position:
    """0.1 on both legs."""
    return a_position(long_quantity="0.1", short_quantity="0.1")


def test_legs_that_are_as_recorded_change_nothing(recorded: Position) -> None:
    looked = look(recorded, reads("0.1", "-0.1"), Evidence(), at_once)
    assert looked.position is recorded
    assert (looked.gone, looked.amiss, looked.unread, looked.wrong) == (None, None, False, False)


def test_a_leg_that_is_smaller_than_recorded_is_not_amiss(recorded: Position) -> None:
    looked = look(recorded, reads("0.04", "-0.1"), Evidence(), at_once)
    assert (looked.position, looked.amiss) == (recorded, None)


@pytest.mark.parametrize(("long", "short"), [(None, "-0.1"), ("0.1", None), (None, None), (None, "0")])
def test_a_leg_that_is_not_read_is_not_gone(recorded: Position, long: str | None, short: str) -> None:
    evidence = Evidence()
    for after in (0, 100, 1000):
        looked = look(recorded, reads(long, short, after=after), evidence, at_once)
        assert looked.unread
        assert looked.position is recorded
        assert looked.gone is None


def test_a_first_zero_of_both_legs_closes_nothing(recorded: Position) -> None:
    looked = look(recorded, reads("0", "0"), Evidence(), at_once)
    assert looked.position is recorded


def test_two_zeros_of_both_legs_are_a_close_by_somebody_else(recorded: Position) -> None:
    evidence = Evidence()
    look(recorded, reads("0", "0"), evidence, at_once)
    looked = look(recorded, reads("0", "0", after=60), evidence, at_once)
    assert (looked.position.status, looked.position.close_reason) == (PositionStatus.CLOSED, GONE_EXTERNALLY)
    assert (looked.position.long_quantity, looked.position.short_quantity) == (None, None)
    assert looked.position.version == recorded.version + 1


@pytest.mark.parametrize(("long", "short", "gone"), [("0", "-0.1", Side.LONG), ("0.1", "0", Side.SHORT)])
def test_two_zeros_of_one_leg_say_that_it_is_gone(recorded: Position, long: str, short: str, gone: Side) -> None:
    evidence = Evidence()
    assert look(recorded, reads(long, short), evidence, at_once).gone is None
    looked = look(recorded, reads(long, short, after=60), evidence, at_once)
    assert (looked.gone, looked.position) == (gone, recorded)


def test_a_leg_is_not_called_gone_while_the_other_one_is_not_read(recorded: Position) -> None:
    evidence = Evidence()
    look(recorded, reads("0", "-0.1"), evidence, at_once)
    looked = look(recorded, reads("0", None, after=60), evidence, at_once)
    assert (looked.gone, looked.unread) == (None, True)


@pytest.mark.parametrize(
    ("long", "short", "why"),
    [
        ("-0.1", "-0.1", "the long leg is on the wrong side: it is not traded"),
        ("0.1", "0.1", "the short leg is on the wrong side: it is not traded"),
        ("0.2", "-0.1", "the long leg is larger than recorded: the rest is not traded"),
        ("0.1", "-0.1000001", "the short leg is larger than recorded: the rest is not traded"),
    ],
)
def test_what_is_amiss_is_said(recorded: Position, long: str, short: str, why: str) -> None:
    looked = look(recorded, reads(long, short), Evidence(), at_once)
    assert (looked.amiss, looked.wrong, looked.position) == (why, "wrong side" in why, recorded)


def test_legs_that_nobody_recorded_are_recorded_once_both_are_there() -> None:
    never = a_position()
    assert look(never, reads("0.1", None), Evidence(), at_once).position is never
    looked = look(never, reads("0.1", "-0.2", entry_price="100"), Evidence(), at_once).position
    assert (str(looked.long_quantity), str(looked.short_quantity)) == ("0.1", "0.2")
    assert (looked.long_entry_price, looked.short_entry_price) == (Decimal(100), Decimal(100))


@pytest.mark.parametrize(("long", "short"), [("0", "0"), ("-0.1", "0.1"), (None, None)])
def test_legs_that_are_not_there_are_not_recorded(long: str | None, short: str | None) -> None:
    never = a_position()
    looked = look(never, reads(long, short), Evidence(), at_once)
    assert looked.position is never


def test_a_price_that_was_given_is_kept() -> None:
    given = a_position(long_entry_price="99")
    looked = look(given, reads("0.1", "-0.2", entry_price="100"), Evidence(), at_once).position
    assert (looked.long_entry_price, looked.short_entry_price) == (Decimal(99), Decimal(100))


def test_a_leg_that_was_never_read_and_is_not_there_is_amiss_and_never_traded() -> None:
    evidence, never = Evidence(), a_position()
    look(never, reads("0", "-0.1"), evidence, at_once)
    looked = look(never, reads("0", "-0.1", after=60), evidence, at_once)
    assert looked.position is never
    assert looked.gone is None
    assert looked.amiss == "the long leg is not there, and was never read: nothing is traded"


# In ticks


async def test_a_position_that_somebody_closes_is_closed_without_an_order(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.lighter.close("BTC")
    world.grvt.close("BTC")

    first, second = await world.ticks(monitor, 2)

    assert (first.ended, second.ended) == ((), (position.id,))
    assert AlarmKind.LEG_GONE in {alarm.kind for alarm in second.alarms}
    stored = await world.store.position(position.id)
    assert stored is not None
    assert (stored.status, stored.close_reason) == (PositionStatus.CLOSED, "CLOSED_EXTERNALLY")
    assert world.sent == []


@pytest.mark.parametrize("gone", ["lighter", "grvt"])
async def test_if_one_leg_is_liquidated_the_other_one_is_closed(world: World, gone: str) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.venues[gone].liquidate("BTC")

    await world.ticks(monitor, 1)
    assert world.sent == []
    await world.ticks(monitor, 1)

    stored = await world.store.position(position.id)
    assert stored is not None
    assert (stored.status, stored.close_reason) == (PositionStatus.CLOSED, "LEG_GONE")
    assert (world.held, world.wrong) == ({}, [])
    assert len(world.sent) == 1
    assert world.sent[0]["venue"] != gone


async def test_a_liquidation_of_another_symbol_is_none_of_this_one(a_world: Worlds) -> None:
    world = a_world(symbols=("S", "SOL"))
    monitor = world.monitor()
    position, other = await world.adopted(monitor, "SOL"), await world.adopted(monitor, "S")
    world.grvt.liquidate("S")
    await world.ticks(monitor, 3)
    assert await world.status(position) is PositionStatus.OPEN
    assert await world.status(other) is PositionStatus.CLOSED


async def test_two_zeros_that_are_less_than_settle_apart_close_nothing(a_world: Worlds) -> None:
    world = a_world(habits=Habits(read_lag=timedelta(seconds=0)))
    world.executor = FakeExecutor(
        *world.venues.values(),
        capabilities={
            name: FakeExecutor(venue).capabilities(name).model_copy(update={"settle": SETTLE})
            for name, venue in world.venues.items()
        },
    )
    monitor = world.monitor()
    await world.adopted(monitor)
    world.grvt.plan("read", Fate(lag=timedelta(hours=1)), times=2)  # a replica that was set up anew
    world.grvt.habits = world.grvt.habits.model_copy(update={"stamps": "now"})
    await world.ticks(monitor, 2, every=9)
    await world.ticks(monitor, 3, every=9)
    assert world.sent == []


ODD: dict[str, LegState] = {
    "a float": Known.model_construct(quantity=-0.1, as_of=None, entry_price=None, mark_price=None),
    "no number": Known.model_construct(quantity=Decimal("NaN"), as_of=None),
    "a naive time": Known.model_construct(quantity=Decimal(0), as_of=datetime(2026, 1, 5)),  # noqa: DTZ001
    "a price that is text": Known.model_construct(quantity=Decimal("-0.1"), as_of=None, entry_price="much"),
    "fields that are not there": Known.model_construct(),
    "no reason": Unknown.model_construct(),
    "a reason of two lines": Unknown.model_construct(reason="a\nb"),
}


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_a_leg_that_was_made_without_being_validated_is_unread_and_the_others_go_on(
    a_world: Callable[..., World], odd: LegState
) -> None:
    world = a_world(symbols=("BTC", "ETH"))
    monitor = world.monitor()
    btc, eth = [await world.adopted(monitor, symbol) for symbol in ("BTC", "ETH")]
    await world.ticks(monitor, 1)
    world.flip()
    read = world.executor.read_legs

    async def read_legs(markets: Any) -> Any:
        return {**await read(markets), **{one: odd for one in markets if one == Market("grvt", "ETH")}}

    world.executor.read_legs = read_legs

    (report,) = await world.ticks(monitor, 1)

    assert report.begun == (btc.id,)
    assert [one.position_id for one in report.skipped] == [eth.id]
    assert AlarmKind.UNREAD in {alarm.kind for alarm in report.alarms}
    assert await world.status(eth) is PositionStatus.OPEN
