"""The switch, in every phase of a close, by every way to set it, and across a restart."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    InputError,
    IntentState,
    MarketRequest,
    MarketSnapshot,
    MonitorLimits,
    Position,
    PositionMonitor,
    PositionStatus,
    Stopped,
    Switch,
)
from rebalancer.testing import FakeExecutor
from rebalancer.testing.fake_venue import Answer, Fate, Habits

if TYPE_CHECKING:
    from .conftest import World

SYMBOLS = ("BTC", "ETH")


class Killing(FakeExecutor):
    """An executor in the middle of whose calls somebody kills."""

    def __init__(self, world: World, at: str, kill: Callable[[], Awaitable[None]], *, after: bool = False) -> None:
        super().__init__(*world.venues.values())
        self._at, self._kill, self._after = at, kill, after
        self.sends = 0

    async def _passing(self, call: str, work: Awaitable[Any]) -> Any:
        self.sends += call == "send"
        if call == self._at and not self._after:
            await self._kill()
        done = await work
        if call == self._at and self._after:
            await self._kill()
        return done

    async def read_legs(self, markets: Any) -> Any:
        return await self._passing("read", super().read_legs(markets))

    async def send(self, intent: Any) -> Any:
        return await self._passing("send", super().send(intent))

    async def find(self, intent: Any) -> Any:
        return await self._passing("find", super().find(intent))

    async def cancel(self, intent: Any) -> Any:
        return await self._passing("cancel", super().cancel(intent))


async def by_method(world: World, monitor: PositionMonitor, _: Path) -> None:
    await monitor.kill()


async def by_another_process(world: World, _: PositionMonitor, __: Path) -> None:
    await world.store.set_switch(Switch.KILL)


async def by_file(_: World, __: PositionMonitor, file: Path) -> None:
    file.touch()


Ways = Callable[["World", PositionMonitor, Path], Awaitable[None]]
ways = pytest.mark.parametrize("kill", [by_method, by_another_process, by_file])


async def planned(world: World, monitor: PositionMonitor) -> Position:
    """The first orders were rejected, and the next ones are planned."""
    position = await world.adopted(monitor)
    for venue in world.venues.values():
        venue.plan("place", Fate(reject="no liquidity"))
    await monitor.close(position.id)
    return position


async def unknown(world: World, monitor: PositionMonitor) -> Position:
    """Both orders were sent, and nobody knows what became of them; one never arrived."""
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT))
    world.lighter.plan("place", Fate(answer=Answer.TIMEOUT, done=False))
    for venue in world.venues.values():
        venue.plan("find", Fate(answer=Answer.UNAVAILABLE))
    await world.ticks(monitor, 1)
    return position


async def half(world: World, monitor: PositionMonitor) -> Position:
    """One leg is closed; the other was rejected, and its retry waits."""
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="no liquidity"), times=2)
    await world.ticks(monitor, 2)
    assert await world.status(position) is PositionStatus.HALF_CLOSED
    return position


async def resting(world: World, monitor: PositionMonitor) -> Position:
    """One order rests on the venue, half filled, and is overdue."""
    position = await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(rests=True, share="0.5"))
    await world.ticks(monitor, 1, every=60)
    return position


async def open_(world: World, monitor: PositionMonitor) -> Position:
    """It wants out, and nothing began yet."""
    position = await world.adopted(monitor)
    world.flip()
    return position


PHASES = [open_, planned, unknown, half, resting]


@ways
@pytest.mark.parametrize("phase", PHASES)
@pytest.mark.parametrize("restarts", [False, True])
async def test_nothing_is_sent_after_a_kill_and_all_ends_well_after_a_resume(
    world: World,
    tmp_path: Path,
    phase: Any,
    kill: Ways,
    restarts: bool,  # noqa: FBT001
) -> None:
    file = tmp_path / "kill"
    monitor = world.monitor(kill_file=file)
    position = await phase(world, monitor)
    sent = len(world.sent)
    intents = {intent.key for intent in await world.intents(position)}
    await kill(world, monitor, file)

    if restarts:
        monitor = world.monitor(kill_file=file)
    reports = await world.ticks(monitor, 5, every=45)

    assert len(world.sent) == sent
    assert {intent.key for intent in await world.intents(position)} == intents  # nothing is planned either
    assert {report.switch for report in reports} == {Switch.KILL}
    file.unlink(missing_ok=True)
    await monitor.resume()
    await world.ticks(monitor, 8, every=45)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


@ways
async def test_what_was_sent_is_still_looked_into_while_killed(world: World, tmp_path: Path, kill: Ways) -> None:
    file = tmp_path / "kill"
    monitor = world.monitor(kill_file=file)
    position = await world.adopted(monitor)
    world.flip()
    for venue in world.venues.values():
        venue.plan("place", Fate(answer=Answer.TIMEOUT))
        venue.plan("find", Fate(answer=Answer.UNAVAILABLE))
    await world.ticks(monitor, 1)
    assert await world.status(position) is PositionStatus.PENDING_CLOSE
    await kill(world, monitor, file)

    await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED


async def test_an_order_that_rests_is_not_even_cancelled_while_killed_and_is_after_a_resume(world: World) -> None:
    position = await resting(world, world.monitor())
    told: list[str] = []

    class Tells(FakeExecutor):
        async def cancel(self, intent: Any) -> Any:
            told.append(intent.key)
            return await super().cancel(intent)

    monitor = world.monitor(executor=Tells(*world.venues.values()))
    await monitor.kill()
    await world.ticks(monitor, 3, every=60)
    assert told == []

    await monitor.resume()
    await world.ticks(monitor, 3, every=60)

    assert len(told) == 1
    assert await world.status(position) is PositionStatus.CLOSED


@ways
@pytest.mark.parametrize(("at", "after", "orders"), [("read", False, 0), ("read", True, 0), ("send", False, 2)])
async def test_a_kill_in_the_middle_of_a_tick_stops_what_was_not_sent_yet(
    world: World,
    tmp_path: Path,
    kill: Ways,
    at: str,
    after: bool,  # noqa: FBT001
    orders: int,
) -> None:
    """A second leg whose sending was stored already counts as sent."""
    file = tmp_path / "kill"
    good = world.monitor()
    position = await world.adopted(good)
    world.flip()

    async def now() -> None:
        await kill(world, good, file)

    executor = Killing(world, at, now, after=after)
    monitor = world.monitor(executor=executor, kill_file=file)

    await world.ticks(monitor, 3, every=30)

    assert executor.sends <= orders
    if not orders:
        assert await world.status(position) is PositionStatus.OPEN
        assert await world.intents(position) == ()


@ways
async def test_not_even_the_second_leg_is_sent_after_a_kill_between_two_legs(
    world: World, tmp_path: Path, kill: Ways
) -> None:
    """The store is slow with the second leg: when it comes to it, the switch is on."""
    file = tmp_path / "kill"
    good = world.monitor()
    position = await world.adopted(good)
    world.flip()

    async def now() -> None:
        await kill(world, good, file)

    executor = Killing(world, "send", now, after=True)
    monitor = world.monitor(executor=executor, kill_file=file, store=OneByOne(world.store))

    await world.ticks(monitor, 3, every=30)

    assert executor.sends == 1
    assert await world.status(position) is PositionStatus.HALF_CLOSED
    file.unlink(missing_ok=True)
    await good.resume()
    await world.ticks(good, 4, every=60)
    assert await world.status(position) is PositionStatus.CLOSED
    assert (world.held, world.wrong) == ({}, [])


class OneByOne:
    """A store in which the short leg is marked as sent a little later than the long one."""

    def __init__(self, real: Any) -> None:
        self._real = real

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    async def switch(self) -> Any:
        return await self._real.switch()

    async def commit(self, lease: Any, batch: Any) -> None:
        import asyncio

        if any(one.state is IntentState.SENT and one.leg == "short" for one in batch.intents):
            for _ in range(50):
                await asyncio.sleep(0)
        await self._real.commit(lease, batch)


async def test_a_file_that_appears_while_the_source_is_asked_lets_no_exit_begin(world: World, tmp_path: Path) -> None:
    file = tmp_path / "kill"
    monitor = world.monitor(kill_file=file)
    position = await world.adopted(monitor)
    world.flip()
    ask = world.rates.snapshot

    async def slow(request: MarketRequest) -> MarketSnapshot:
        file.touch()
        return await ask(request)

    world.rates.snapshot = slow  # type: ignore[method-assign]

    await world.ticks(monitor, 1)

    assert await world.intents(position) == ()
    assert await world.status(position) is PositionStatus.OPEN


async def test_a_person_can_not_close_while_the_file_is_there(world: World, tmp_path: Path) -> None:
    file = tmp_path / "kill"
    monitor = world.monitor(kill_file=file)
    position = await world.adopted(monitor)
    file.touch()

    with pytest.raises(Stopped):
        await monitor.close(position.id)

    assert await world.status(position) is PositionStatus.OPEN


async def test_resume_is_refused_while_the_file_is_there(world: World, tmp_path: Path) -> None:
    file = tmp_path / "kill"
    monitor = world.monitor(kill_file=file)
    await world.adopted(monitor)
    file.touch()
    await world.ticks(monitor, 1)

    with pytest.raises(InputError, match="remove it first"):
        await monitor.resume()

    file.unlink()
    await monitor.resume()
    (report,) = await world.ticks(monitor, 1)
    assert report.switch is Switch.RUN


async def test_a_file_that_can_not_be_looked_at_kills(world: World, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    monitor = world.monitor(kill_file=tmp_path / "file" / "kill")
    position = await world.adopted(monitor)
    world.flip()

    (report,) = await world.ticks(monitor, 1)

    assert report.switch is Switch.KILL
    assert await world.status(position) is PositionStatus.OPEN


@pytest.mark.parametrize("restarts", [False, True])
async def test_pause_finishes_what_was_begun_and_begins_nothing(
    a_world: Callable[..., World],
    restarts: bool,  # noqa: FBT001
) -> None:
    world = a_world(symbols=SYMBOLS)
    monitor = world.monitor()
    btc, eth = [await world.adopted(monitor, symbol) for symbol in SYMBOLS]
    world.flip("BTC")
    world.grvt.plan("place", Fate(reject="no liquidity"), times=2)
    await world.ticks(monitor, 1)
    await monitor.pause()
    world.flip()

    monitor = world.monitor() if restarts else monitor
    reports = await world.ticks(monitor, 4, every=20)

    assert (await world.status(btc), await world.status(eth)) == (PositionStatus.CLOSED, PositionStatus.OPEN)
    assert {one.why for one in reports[-1].skipped} == {"the switch is on pause"}
    with pytest.raises(Stopped):
        await monitor.close(eth.id)
    await monitor.resume()
    await world.ticks(monitor, 1)
    assert await world.status(eth) is PositionStatus.CLOSED


@pytest.mark.parametrize("restarts", [False, True])
async def test_flatten_closes_everything_whatever_the_rules_and_the_guards_say(
    a_world: Callable[..., World],
    restarts: bool,  # noqa: FBT001
) -> None:
    symbols = ("BTC", "ETH", "SOL", "XRP")
    world = a_world(symbols=symbols)
    limits = MonitorLimits(closes_per_minute=1, action_spacing=timedelta(hours=1))
    monitor = world.monitor(limits=limits)
    positions = [await world.adopted(monitor, symbol) for symbol in symbols]
    world.rates.down = True
    await monitor.flatten()

    await world.ticks(world.monitor(limits=limits) if restarts else monitor, 1)

    assert {await world.status(position) for position in positions} == {PositionStatus.CLOSED}
    stored = await world.store.position(positions[0].id)
    assert stored is not None
    assert stored.close_reason == "FLATTEN"
    assert (world.held, world.wrong) == ({}, [])


async def test_flatten_does_not_trade_a_leg_that_was_not_read(a_world: Callable[..., World]) -> None:
    world = a_world(habits=Habits())
    monitor = world.monitor()
    position = await world.adopted(monitor)
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE), times=2)
    await monitor.flatten()

    await world.ticks(monitor, 2)
    assert world.sent == []
    await world.ticks(monitor, 1)

    assert await world.status(position) is PositionStatus.CLOSED


async def test_a_kill_wins_over_a_flatten(world: World) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)
    await monitor.flatten()
    await monitor.kill()

    await world.ticks(monitor, 2)

    assert await world.status(position) is PositionStatus.OPEN
    assert world.sent == []


async def test_a_kill_while_an_order_is_looked_for_keeps_it_from_being_cancelled(world: World) -> None:
    class Counting(Killing):
        cancels = 0

        async def cancel(self, intent: Any) -> Any:
            self.cancels += 1
            return await super().cancel(intent)

    for venue in world.venues.values():
        venue.plan("place", Fate(rests=True, share="0.5"), times=None)
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    await world.ticks(monitor, 1, every=60)
    killing = Counting(world, "find", monitor.kill)

    await world.ticks(world.monitor(executor=killing), 1, every=60)

    assert await world.store.switch() is Switch.KILL
    assert (killing.cancels, killing.sends) == (0, 0)
    await monitor.resume()
    later = Counting(world, "nothing", monitor.kill)
    await world.ticks(world.monitor(executor=later), 1)
    assert later.cancels == 2


async def test_a_kill_file_that_comes_while_an_order_is_sent_keeps_the_next_attempt_from_being_planned(
    world: World, tmp_path: Path
) -> None:
    async def now() -> None:
        (tmp_path / "kill").touch()

    for venue in world.venues.values():
        venue.plan("place", Fate(reject="no liquidity"), times=None)
    monitor = world.monitor(executor=Killing(world, "send", now), kill_file=tmp_path / "kill")
    position = await world.adopted(monitor)
    world.flip()

    await world.ticks(monitor, 3, every=60)

    assert {intent.attempt for intent in await world.intents(position)} == {1}
