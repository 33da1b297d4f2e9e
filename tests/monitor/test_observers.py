"""Observers are told off the decision path: one that is slow or broken loses reports, and nothing waits for it."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from rebalancer import AlarmKind, MonitorLimits, Observer, PositionStatus, TickReport
from rebalancer.monitor.outbox import MOST, Outbox
from rebalancer.testing import AS_OF

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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


def test_a_loop_of_its_own_for_each_tick_loses_no_report(a_world: Callable[..., World]) -> None:
    """Its tasks end with it: what they had not told is told in the next one."""
    world, listens = a_world(), Listens()
    monitor = world.monitor(observers=[listens])

    reports = [asyncio.run(monitor.check_all_positions()) for _ in range(20)]
    told_before = len(listens.reports)
    asyncio.run(monitor.aclose())

    assert told_before == 19
    assert listens.reports == reports
    assert all(report.alarms == () for report in reports)


def test_a_report_that_is_cut_off_by_the_end_of_its_loop_is_dropped_with_an_alarm(
    a_world: Callable[..., World],
) -> None:
    class Posts(Observer):
        """It needs longer than the loop lasts."""

        begun: ClassVar[list[TickReport]] = []

        async def observe(self, report: TickReport) -> None:
            self.begun.append(report)
            await asyncio.sleep(60)

    monitor = a_world().monitor(observers=[Posts()])

    reports = [asyncio.run(monitor.check_all_positions()) for _ in range(6)]

    (alarm,) = reports[-1].alarms
    assert alarm.kind is AlarmKind.OBSERVER
    assert "4 reports were dropped" in alarm.why
    assert Posts.begun == reports[:5]


def test_a_loop_that_ended_without_ending_its_tasks_keeps_no_observer_from_being_told() -> None:
    listens = Listens()
    outbox = Outbox([listens], deadline=SHORT)
    given = list(reports(2))

    async def tell(report: TickReport) -> None:
        outbox.tell(report)

    left = asyncio.new_event_loop()
    left.run_until_complete(tell(given[0]))  # its tasks are there still, and never go on

    async def later() -> None:
        outbox.tell(given[1])
        await outbox.aclose(patience=SHORT)

    asyncio.run(later())

    assert listens.reports == given
    for task in asyncio.all_tasks(left):
        task.cancel()
    left.run_until_complete(asyncio.sleep(0.01))
    left.close()


async def test_closing_gives_up_what_it_could_not_tell() -> None:
    hangs = Hangs()
    outbox = Outbox([hangs], deadline=timedelta(hours=1))
    for report in reports(3):
        outbox.tell(report)
    await outbox.aclose(patience=SHORT)
    began = asyncio.get_running_loop().time()

    await outbox.aclose(patience=timedelta(hours=1))

    assert asyncio.get_running_loop().time() - began < 1
    (notice,) = outbox.notices
    assert "3 reports were dropped" in notice.why
