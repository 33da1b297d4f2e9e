"""Observers are told off the decision path: one that is slow or broken loses reports, and nothing waits for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import AlarmKind, MonitorLimits, Observer, PositionStatus, TickReport
from rebalancer.monitor.outbox import MOST, Outbox
from rebalancer.testing import AS_OF

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .conftest import World

SHORT = timedelta(milliseconds=50)


class Listens(Observer):
    """It takes note."""

    def __init__(self) -> None:
        self.reports: list[TickReport] = []

    async def observe(self, report: TickReport) -> None:
        self.reports.append(report)


class Raises(Observer):
    async def observe(self, report: TickReport) -> None:
        raise RuntimeError("password=hunter2")


class Exits(Observer):
    async def observe(self, report: TickReport) -> None:
        raise SystemExit(1)


class Hangs(Observer):
    async def observe(self, report: TickReport) -> None:
        await asyncio.sleep(3600)


class Stubborn(Observer):
    """It swallows its cancellation, for a while."""

    async def observe(self, report: TickReport) -> None:
        for _ in range(3):
            try:
                await asyncio.sleep(0.1)
            except asyncio.CancelledError:
                continue


class NotEvenAsync(Observer):
    def observe(self, report: TickReport) -> Any:
        return None


BROKEN = [Raises, Exits, Hangs, Stubborn, NotEvenAsync]


def reports(count: int) -> Iterator[TickReport]:
    return (TickReport(as_of=AS_OF + timedelta(minutes=number), active=True) for number in range(count))


def others() -> set[asyncio.Task[Any]]:
    """The tasks that are there beside the test's own."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


async def settle() -> None:
    """Let everything that can happen at once happen."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("broken", BROKEN)
async def test_a_broken_observer_changes_nothing_but_an_alarm(world: World, broken: type[Observer]) -> None:
    listens = Listens()
    limits = MonitorLimits.model_construct(
        **{**{name: getattr(MonitorLimits(), name) for name in MonitorLimits.model_fields}, "observer_deadline": SHORT}
    )
    monitor = world.monitor(observers=[broken(), listens], limits=limits)
    position = await world.adopted(monitor)
    world.flip()

    began = asyncio.get_running_loop().time()
    (first,) = await world.ticks(monitor, 1)
    assert asyncio.get_running_loop().time() - began < SHORT.total_seconds() * 10
    assert await world.status(position) is PositionStatus.CLOSED
    await asyncio.sleep(0.15)
    (second,) = await world.ticks(monitor, 1)

    await settle()
    assert listens.reports == [first, second]
    assert broken is Stubborn or {alarm.kind for alarm in second.alarms} == {AlarmKind.OBSERVER}
    assert "hunter2" not in str(second.alarms)
    await monitor.aclose()
    await asyncio.sleep(0.4 if broken is Stubborn else 0)
    assert others() == set()


async def test_an_alarm_of_an_observer_is_over_once_it_works_again(world: World) -> None:
    class Once(Observer):
        down = True

        async def observe(self, report: TickReport) -> None:
            if self.down:
                raise OSError

    once = Once()
    monitor = world.monitor(observers=[once])
    await world.ticks(monitor, 1)
    await settle()
    once.down = False
    (during,) = await world.ticks(monitor, 1)
    await settle()

    (after,) = await world.ticks(monitor, 1)

    assert [alarm.kind for alarm in during.alarms] == [AlarmKind.OBSERVER]
    assert after.alarms == ()
    await monitor.aclose()


async def test_a_full_queue_drops_the_oldest_and_counts_what_it_drops() -> None:
    free = asyncio.Event()

    class Slow(Listens):
        async def observe(self, report: TickReport) -> None:
            await free.wait()
            await super().observe(report)

    slow = Slow()
    outbox = Outbox([slow], deadline=timedelta(seconds=10))
    given = list(reports(1 + MOST + 5))
    outbox.tell(given[0])
    await settle()
    for report in given[1 : 1 + MOST]:
        outbox.tell(report)
    assert outbox.notices == []

    for report in given[1 + MOST :]:
        outbox.tell(report)
    (notice,) = outbox.notices

    assert notice.kind is AlarmKind.OBSERVER
    assert "5 reports were dropped" in notice.why
    free.set()
    await outbox.aclose(patience=timedelta(seconds=5))
    assert slow.reports == [given[0], *given[-MOST:]]


async def test_closing_tells_what_is_left_and_leaves_no_task(world: World) -> None:
    listens = Listens()
    monitor = world.monitor(observers=[listens])
    for _ in range(3):
        await monitor.check_all_positions()

    await monitor.aclose()

    assert len(listens.reports) == 3
    assert others() == set()


async def test_closing_does_not_wait_longer_than_its_patience_and_leaves_no_task() -> None:
    outbox = Outbox([Hangs()], deadline=timedelta(hours=1))
    for report in reports(3):
        outbox.tell(report)
    began = asyncio.get_running_loop().time()

    await outbox.aclose(patience=SHORT)

    assert asyncio.get_running_loop().time() - began < 1
    assert others() == set()


async def test_closing_twice_does_no_harm() -> None:
    outbox = Outbox([Listens()], deadline=SHORT)
    outbox.tell(next(reports(1)))
    await outbox.aclose(patience=SHORT)
    await outbox.aclose(patience=SHORT)
    assert others() == set()


async def test_each_observer_has_its_own_time() -> None:
    listens = Listens()
    outbox = Outbox([Hangs(), listens], deadline=timedelta(hours=1))

    for report in reports(3):
        outbox.tell(report)
    await settle()

    assert len(listens.reports) == 3
    await outbox.aclose(patience=SHORT)


async def test_reports_come_in_order_and_one_at_a_time() -> None:
    now, most = 0, 0

    class Overlaps(Listens):
        async def observe(self, report: TickReport) -> None:
            nonlocal now, most
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)
            now -= 1
            await super().observe(report)

    overlaps = Overlaps()
    outbox = Outbox([overlaps], deadline=SHORT * 100)
    given = list(reports(5))
    for report in given:
        outbox.tell(report)
        await asyncio.sleep(0)
    await outbox.aclose(patience=timedelta(seconds=5))

    assert (overlaps.reports, most) == (given, 1)


async def test_without_reports_there_are_no_tasks(world: World) -> None:
    monitor = world.monitor(observers=[Listens(), Hangs()])

    assert others() == set()
    await monitor.aclose()
