"""Positions that the host opened: taken over once, as the venue shows them; and more of the same added to one."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import (
    AlarmKind,
    Capabilities,
    Conflict,
    InputError,
    Known,
    Position,
    PositionStatus,
    StoreMode,
    Unknown,
)
from rebalancer.domain.names import Market
from rebalancer.monitor.adoption import adopted, merged
from rebalancer.testing import AS_OF, FakeExecutor, a_position
from rebalancer.testing.fake_venue import Answer, Fate, Habits

if TYPE_CHECKING:
    from .conftest import World

LONG, SHORT = a_position().pair.long, a_position().pair.short
NEVER_READ = "a leg was never read: it is not traded"


def test_what_is_held_is_recorded_with_its_entry_prices() -> None:
    legs = {LONG: Known("0.1", entry_price=100), SHORT: Known("-0.1", entry_price=101)}

    taken = adopted(a_position(), legs)

    assert (taken.long_quantity, taken.short_quantity) == (Decimal("0.1"), Decimal("0.1"))
    assert (taken.long_entry_price, taken.short_entry_price) == (Decimal(100), Decimal(101))
    assert taken.attention is None


@pytest.mark.parametrize(("said", "recorded"), [("0.05", "0.05"), ("0.1", "0.1"), ("0.2", "0.1")])
def test_what_the_host_says_counts_as_far_as_it_is_there(said: str, recorded: str) -> None:
    legs = {LONG: Known("0.1"), SHORT: Known("-0.1")}

    assert adopted(a_position(long_quantity=said), legs).long_quantity == Decimal(recorded)


def test_what_the_host_says_of_a_price_counts() -> None:
    legs = {LONG: Known("0.1", entry_price=100), SHORT: Known("-0.1")}

    taken = adopted(a_position(long_entry_price=99), legs)

    assert (taken.long_entry_price, taken.short_entry_price) == (Decimal(99), None)


@pytest.mark.parametrize(
    "legs",
    [
        {LONG: Known(0), SHORT: Known("-0.1")},
        {LONG: Known("0.1"), SHORT: Known(0)},
        {LONG: Known("-0.1"), SHORT: Known("-0.1")},
        {LONG: Known("0.1"), SHORT: Known("0.1")},
    ],
)
def test_a_leg_that_is_not_there_or_on_the_wrong_side_is_refused(legs: Any) -> None:
    with pytest.raises(InputError, match="leg is not there"):
        adopted(a_position(), legs)


@pytest.mark.parametrize("legs", [{}, {LONG: Known("0.1")}, {LONG: Known("0.1"), SHORT: Unknown("it is down")}])
def test_a_leg_that_nobody_read_is_said(legs: Any) -> None:
    taken = adopted(a_position(), legs)

    assert taken.attention is not None
    assert "not read yet" in taken.attention
    assert taken.short_quantity is None


@pytest.mark.parametrize("status", [one for one in PositionStatus if one is not PositionStatus.OPEN])
def test_only_what_is_open_is_taken_over(status: PositionStatus) -> None:
    with pytest.raises(InputError, match="only a position that is open"):
        adopted(a_position(status=status), {})


# Through the monitor


async def test_the_same_again_changes_nothing(world: World) -> None:
    monitor = world.monitor()
    world.hold()
    first = await monitor.adopt(a_position())
    await world.ticks(monitor, 2)
    stored = await world.store.position(first.id)

    again = [await monitor.adopt(a_position()), await world.monitor().adopt(a_position(size_usd=99))]

    assert again == [stored, stored]


async def test_one_that_was_closed_is_not_opened_again_by_adopting_it(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    await monitor.close(position.id)

    assert (await monitor.adopt(a_position())).status is PositionStatus.CLOSED


async def test_the_id_of_another_pair_is_refused(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)

    with pytest.raises(Conflict, match="another position"):
        await monitor.adopt(a_position(id=position.id, short_dex="paradex"))


async def test_a_market_that_another_position_owns_is_refused(a_world: Callable[..., World]) -> None:
    world = a_world(mode=StoreMode.DRY)
    monitor = world.monitor()
    await world.adopted(monitor)

    for other in (a_position(short_dex="paradex"), a_position(long_dex="paradex", opened_at=AS_OF)):
        with pytest.raises(Conflict, match="owned by another position"):
            await world.monitor(executor=None).adopt(other)


async def test_what_is_not_on_the_venue_is_refused(world: World) -> None:
    world.lighter.hold("BTC", "0.1")

    with pytest.raises(InputError, match="nothing is held of BTC on grvt"):
        await world.monitor().adopt(a_position())

    assert await world.store.live() == ()


async def test_what_the_host_read_counts_where_the_executor_can_not_read(world: World) -> None:
    world.hold()
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))
    monitor = world.monitor()

    taken = await monitor.adopt(a_position(), {SHORT: Known("-0.08", entry_price=99), LONG: Known("0.01")})

    assert (taken.long_quantity, taken.short_quantity) == (Decimal("0.1"), Decimal("0.08"))
    assert taken.attention is None


async def test_with_a_leg_that_nobody_read_it_is_watched_and_not_traded(world: World) -> None:
    world.hold()
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=4)
    monitor = world.monitor()
    position = await monitor.adopt(a_position())
    world.flip()

    reports = await world.ticks(monitor, 2)

    assert world.sent == []
    assert {one.why for report in reports for one in report.skipped} == {NEVER_READ}
    with pytest.raises(Conflict, match="never read"):
        await monitor.close(position.id)
    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.attention is not None
    assert "not read yet" in stored.attention

    await world.ticks(monitor, 3)
    assert await world.status(position) is PositionStatus.CLOSED
    assert world.held == {}


async def test_once_it_is_read_the_mark_is_gone(world: World) -> None:
    world.hold()
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=2)
    monitor = world.monitor()
    position = await monitor.adopt(a_position())

    await world.ticks(monitor, 3)

    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.attention is None
    assert (stored.long_quantity, stored.short_quantity) == (Decimal("0.1"), Decimal("0.1"))


async def test_an_unread_leg_that_turns_out_not_to_be_there_is_not_traded(world: World) -> None:
    world.lighter.hold("BTC", "0.1")
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))
    monitor = world.monitor()
    position = await monitor.adopt(a_position())
    world.flip()

    reports = await world.ticks(monitor, 4, every=60)

    assert world.sent == []
    assert await world.status(position) is PositionStatus.OPEN
    assert AlarmKind.UNEXPECTED_LEG in {alarm.kind for alarm in reports[-1].alarms}


async def test_what_is_more_than_was_said_is_not_traded(world: World) -> None:
    world.hold(quantity="0.3")
    monitor = world.monitor()
    position = await monitor.adopt(a_position(long_quantity="0.1", short_quantity="0.1"))
    world.flip()

    await world.ticks(monitor, 3)

    assert await world.status(position) is PositionStatus.CLOSED
    assert world.held == {("lighter", "BTC"): Decimal("0.2"), ("grvt", "BTC"): Decimal("-0.2")}


async def test_an_adoption_that_a_crash_cut_off_may_be_said_again(world: World) -> None:
    world.hold()
    monitor = world.monitor(store=Forgetful(world.store))
    with pytest.raises(Exception, match="the store failed"):
        await monitor.adopt(a_position())

    taken = await world.monitor().adopt(a_position())

    assert await world.store.live() == (taken,)


class Forgetful:
    """A store that writes, and fails to say so."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def commit(self, lease: Any, batch: Any) -> None:
        await self._real.commit(lease, batch)
        raise OSError


# Adding to a position

SIZES = st.decimals("1", "1e8", places=2)
TOKENS = st.decimals("0.0001", "1e6", places=4)
RATES = st.decimals("-0.01", "0.01", places=8)


def a_part(draw: Any) -> Position:
    """A position of any size."""
    long, short = draw(TOKENS), draw(TOKENS)
    prices = {"long_entry_price": draw(TOKENS), "short_entry_price": draw(TOKENS)}
    rates = {"entry_long_rate": draw(RATES), "entry_short_rate": draw(RATES)}
    return a_position(size_usd=draw(SIZES), long_quantity=long, short_quantity=short, **prices, **rates)


PARTS = st.composite(a_part)()
ENTRIES = ("entry_long_rate", "entry_short_rate", "entry_divergence")


@settings(max_examples=50)
@given(PARTS, PARTS)
def test_sizes_and_tokens_add_up_exactly_in_any_order(one: Position, other: Position) -> None:
    both, turned = merged(one, other), merged(other, one)

    for name in ("size_usd", "long_quantity", "short_quantity"):
        assert Fraction(getattr(both, name)) == Fraction(getattr(one, name)) + Fraction(getattr(other, name))
        assert getattr(both, name) == getattr(turned, name)
    for name in (*ENTRIES, "long_entry_price", "short_entry_price"):
        assert getattr(both, name) == getattr(turned, name)


@settings(max_examples=50)
@given(PARTS, PARTS)
def test_entries_are_weighted_by_size_to_the_last_place(one: Position, other: Position) -> None:
    both = merged(one, other)

    for names, weight in ((ENTRIES, "size_usd"), (("long_entry_price",), "long_quantity")):
        shares = [Fraction(getattr(part, weight)) for part in (one, other)]
        for name in names:
            values = [Fraction(getattr(part, name)) for part in (one, other)]
            exact = (values[0] * shares[0] + values[1] * shares[1]) / (shares[0] + shares[1])
            assert abs(Fraction(getattr(both, name)) - exact) <= Fraction(1, 2 * 10**12)
            assert (
                min(values) - Fraction(1, 10**12) <= Fraction(getattr(both, name)) <= max(values) + Fraction(1, 10**12)
            )


@settings(max_examples=30)
@given(PARTS, PARTS, PARTS)
def test_in_whatever_order_three_are_added_the_sizes_are_the_same(
    one: Position, two: Position, three: Position
) -> None:
    first, last = merged(merged(one, two), three), merged(one, merged(two, three))

    for name in ("size_usd", "long_quantity", "short_quantity"):
        assert getattr(first, name) == getattr(last, name)


def test_a_quantity_that_one_lacks_is_unknown_for_both() -> None:
    known = a_position(long_quantity=1, short_quantity=1, long_entry_price=5)

    both = merged(known, a_position(long_quantity=1))

    assert (both.long_quantity, both.short_quantity, both.long_entry_price) == (Decimal(2), None, None)


def test_the_id_and_the_opening_are_those_of_the_held_one_and_it_is_another_version() -> None:
    held = a_position(version=3)

    both = merged(held, a_position(age=timedelta(hours=1), size_usd=1))

    assert (both.id, both.opened_at, both.version) == (held.id, held.opened_at, 4)


def test_another_pair_or_one_that_is_not_open_is_refused() -> None:
    with pytest.raises(InputError, match="can not be added"):
        merged(a_position(), a_position(symbol="ETH"))
    with pytest.raises(Conflict, match="pending_close"):
        merged(a_position(status=PositionStatus.PENDING_CLOSE), a_position())


async def test_a_merged_position_is_closed_as_a_whole(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.hold(quantity="0.05")
    await monitor.merge(position.id, a_position(size_usd=5_000, long_quantity="0.05", short_quantity="0.05"))
    world.flip()
    world.clock.advance(timedelta(minutes=2))

    await world.ticks(monitor, 2)

    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


@pytest.mark.parametrize(("said", "recorded"), [(None, None), ("0.1", "0.1")])
async def test_a_read_that_may_be_of_before_the_opening_says_nothing_of_quantities(
    a_world: Callable[..., World], said: str | None, recorded: str | None
) -> None:
    """The host opened 0.1, and a replica that is behind still shows the 0.03 that somebody else held before."""
    lag = timedelta(seconds=10)
    world = a_world()
    can = Capabilities(reduce_only=True, finds_ids=True, reads_legs=True, read_lag=lag, settle=lag)
    world.executor = FakeExecutor(*world.venues.values(), capabilities=dict.fromkeys(world.venues, can))
    world.hold(quantity="0.03")
    world.clock.advance(lag)
    world.hold(quantity="0.07")
    for venue in world.venues.values():
        venue.plan("read", Fate(lag=timedelta(seconds=5)))
    monitor = world.monitor()

    opened = world.clock.now()
    taken = await monitor.adopt(a_position(opened_at=opened, long_quantity=said, short_quantity=said))

    assert taken.long_quantity == (None if recorded is None else Decimal(recorded))
    assert taken.attention == "a leg was not read yet: nothing is traded until both are"
    world.clock.advance(lag)
    await world.ticks(monitor, 1)
    held = await world.store.position(taken.id)
    assert held is not None
    assert (held.long_quantity, held.short_quantity, held.attention) == (Decimal("0.1"), Decimal("0.1"), None)


async def test_a_zero_of_before_more_was_opened_does_not_say_that_it_is_gone(a_world: Callable[..., World]) -> None:
    """A leg was closed by somebody else, and the host opened it again: a read that lags still shows nothing of it."""
    lag = timedelta(seconds=10)
    world = a_world(habits=Habits(read_lag=lag))
    can = Capabilities(reduce_only=True, finds_ids=True, reads_legs=True, read_lag=lag, settle=lag)
    world.executor = FakeExecutor(*world.venues.values(), capabilities=dict.fromkeys(world.venues, can))
    monitor = world.monitor()
    world.hold()
    world.clock.advance(lag)
    position = await monitor.adopt(a_position(long_quantity="0.1", short_quantity="0.1"))
    world.lighter.liquidate("BTC")
    world.clock.advance(lag)
    await monitor.check_all_positions()
    world.clock.advance(lag)
    world.lighter.hold("BTC", "0.1")
    await monitor.merge(position.id, a_position(size_usd=5_000, long_quantity="0.1", short_quantity="0.1"))
    world.lighter.plan("read", Fate(lag=lag))

    report = await monitor.check_all_positions()

    assert (report.begun, report.ended) == ((), ())
    assert [alarm.kind for alarm in report.alarms if alarm.kind is AlarmKind.LEG_GONE] == []
    assert await world.status(position) is PositionStatus.OPEN


async def test_after_merging_it_rests(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.hold(quantity="0.05")
    await monitor.merge(position.id, a_position(size_usd=5_000, long_quantity="0.05", short_quantity="0.05"))
    world.flip()

    (early,) = await world.ticks(monitor, 1, every=60)
    await world.ticks(monitor, 1)

    assert [one.position_id for one in early.skipped] == [position.id]
    assert await world.status(position) is PositionStatus.CLOSED


async def test_without_tokens_the_merged_legs_are_read_again(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.hold(quantity="0.05")
    merged_ = await monitor.merge(position.id, a_position(size_usd=5_000))
    assert merged_.long_quantity is None

    await world.ticks(monitor, 1)

    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.long_quantity == Decimal("0.15")


async def test_in_a_dry_run_nothing_is_said_of_legs_that_nobody_reads(a_world: Callable[..., World]) -> None:
    world = a_world(mode=StoreMode.DRY)

    taken = await world.monitor(executor=None).adopt(a_position())

    assert taken.attention is None


async def test_what_nobody_asked_for_may_be_given_too(world: World) -> None:
    world.hold()

    taken = await world.monitor().adopt(a_position(), {Market("other", "ETH"): Known(5)})

    assert taken.long_quantity == Decimal("0.1")


async def test_what_the_venues_say_of_funding_replaces_what_the_host_counted(world: World) -> None:
    monitor = world.monitor()
    world.hold()
    world.lighter.fund("BTC", "2.5")
    world.grvt.fund("BTC", "1.5")

    position = await monitor.adopt(a_position(funding_collected_usd=99))
    await world.ticks(monitor, 2)

    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.funding_collected_usd == 4


def silent(world: World, venue: str) -> None:
    """Have a venue not say what funding a leg got."""
    real = world.executor

    class Silent(FakeExecutor):
        async def read_legs(self, markets: Any) -> Any:
            legs = await real.read_legs(markets)
            nothing = {"funding_accrued": None}
            return {
                one: state.model_copy(update=nothing) if one.venue == venue and isinstance(state, Known) else state
                for one, state in legs.items()
            }

    world.executor = Silent(*world.venues.values())


@pytest.mark.parametrize(("counted", "before", "after"), [(10, 10, 11), (0, 6, 7)])
async def test_where_one_venue_says_nothing_of_funding_what_the_host_counted_counts_until_then(
    world: World, counted: int, before: int, after: int
) -> None:
    silent(world, "lighter")
    monitor = world.monitor()
    world.hold()
    world.grvt.fund("BTC", "6")
    position = await monitor.adopt(a_position(funding_collected_usd=counted))
    await world.ticks(monitor, 2, every=60)
    first = await world.store.position(position.id)
    world.grvt.fund("BTC", "1")

    await world.ticks(world.monitor(), 2, every=60)

    stored = await world.store.position(position.id)
    assert first is not None
    assert stored is not None
    assert (first.funding_collected_usd, stored.funding_collected_usd) == (Decimal(before), Decimal(after))


async def test_an_absurd_amount_of_funding_keeps_nobody_from_taking_a_position_over(world: World) -> None:
    monitor = world.monitor()
    world.hold()
    world.grvt.fund("BTC", "1E28")

    assert (await monitor.adopt(a_position(funding_collected_usd=4))).funding_collected_usd == 4


@pytest.mark.parametrize(("quiet", "sum_"), [(None, 7), ("lighter", 5)])
async def test_funding_of_what_is_added_is_counted_once(world: World, quiet: str | None, sum_: int) -> None:
    if quiet is not None:
        silent(world, quiet)
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.lighter.fund("BTC", "2")
    world.grvt.fund("BTC", "3")
    await world.ticks(monitor, 1, every=60)
    world.hold()
    world.lighter.fund("BTC", "1")
    world.grvt.fund("BTC", "1")

    added = a_position(long_quantity="0.1", short_quantity="0.1", funding_collected_usd=2)
    await monitor.merge(position.id, added)
    await world.ticks(monitor, 2, every=60)

    stored = await world.store.position(position.id)
    assert stored is not None
    assert stored.funding_collected_usd == sum_


async def test_funding_is_not_added_while_it_can_not_be_read_who_counts_it(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))

    with pytest.raises(Conflict, match="can not be read"):
        await monitor.merge(position.id, a_position(funding_collected_usd=2))

    assert await world.store.live() == (position,)
