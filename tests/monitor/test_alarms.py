"""Alarms: since when each lasts, how loud it is by now, and how often it is logged."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from rebalancer import AlarmKind, AlarmLevel
from rebalancer.monitor.alarms import Alarms
from rebalancer.monitor.notice import Notice
from rebalancer.testing import AS_OF
from rebalancer.testing.fake_venue import Answer, Fate

if TYPE_CHECKING:
    from .conftest import World

MINUTE = timedelta(minutes=1)
SECOND = timedelta(seconds=1)
BTC = Notice(AlarmKind.HALF_CLOSED, "BTC", "one leg is closed and the other is not yet")
ETH = Notice(AlarmKind.HALF_CLOSED, "ETH", "one leg is closed and the other is not yet")


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged, quiet things too."""
    caplog.set_level(logging.DEBUG, logger="rebalancer.monitor")
    return caplog


@pytest.mark.parametrize(
    ("lasted", "level"),
    [
        (timedelta(0), AlarmLevel.WARNING),
        (5 * MINUTE - SECOND, AlarmLevel.WARNING),
        (5 * MINUTE, AlarmLevel.ERROR),
        (30 * MINUTE - SECOND, AlarmLevel.ERROR),
        (30 * MINUTE, AlarmLevel.CRITICAL),
        (timedelta(days=3), AlarmLevel.CRITICAL),
    ],
)
def test_an_alarm_that_lasts_gets_louder(lasted: timedelta, level: AlarmLevel) -> None:
    alarms = Alarms()
    alarms.raised([BTC], AS_OF)

    (alarm,) = alarms.raised([BTC], AS_OF + lasted)

    assert (alarm.level, alarm.since) == (level, AS_OF)


def test_what_is_over_begins_anew() -> None:
    alarms = Alarms()
    alarms.raised([BTC], AS_OF)
    alarms.raised([], AS_OF + 30 * MINUTE)

    (alarm,) = alarms.raised([BTC], AS_OF + 31 * MINUTE)

    assert (alarm.level, alarm.since) == (AlarmLevel.WARNING, AS_OF + 31 * MINUTE)


def test_each_kind_about_each_thing_is_an_alarm_of_its_own() -> None:
    alarms = Alarms()
    alarms.raised([BTC], AS_OF)

    both = alarms.raised([BTC, ETH, BTC._replace(kind=AlarmKind.STALLED)], AS_OF + 5 * MINUTE)

    assert [alarm.level for alarm in both] == ["error", "warning", "warning"]


def test_the_newest_reason_is_shown() -> None:
    alarms = Alarms()
    alarms.raised([BTC], AS_OF)

    (alarm,) = alarms.raised([BTC._replace(why="now for another reason")], AS_OF + MINUTE)

    assert (alarm.why, alarm.since) == ("now for another reason", AS_OF)


def test_a_look_at_a_part_ends_no_alarm() -> None:
    alarms = Alarms()
    alarms.raised([BTC], AS_OF)

    kept = alarms.raised([ETH], AS_OF + MINUTE, keep=True)

    assert {alarm.about for alarm in kept} == {"BTC", "ETH"}


def test_it_is_logged_when_it_begins_when_it_gets_louder_and_once_an_hour(logged: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    for minutes in range(0, 151, 1):
        alarms.raised([BTC], AS_OF + MINUTE * minutes)

    levels = [record.levelno for record in logged.records]
    assert levels == [logging.WARNING, logging.ERROR, logging.CRITICAL, logging.CRITICAL, logging.CRITICAL]


def test_that_it_is_over_is_logged_once(logged: pytest.LogCaptureFixture) -> None:
    alarms = Alarms()
    alarms.raised([BTC], AS_OF)
    logged.clear()

    alarms.raised([], AS_OF + MINUTE)
    alarms.raised([], AS_OF + 2 * MINUTE)

    assert [record.getMessage() for record in logged.records] == [f"over: half_closed: BTC: {BTC.why}"]


def test_a_clock_that_goes_back_makes_nothing_begin_later_than_now() -> None:
    alarms = Alarms()
    alarms.raised([BTC], AS_OF)

    (alarm,) = alarms.raised([BTC], AS_OF - timedelta(hours=1))
    (again,) = alarms.raised([BTC], AS_OF)

    assert (alarm.since, alarm.level) == (AS_OF - timedelta(hours=1), "warning")
    assert again.level == "critical"


@pytest.mark.parametrize("text", ["two\nlines", "\x1b[2Jcleared", "x" * 600, "", "line\u2028separator"])
def test_any_text_becomes_one_line(text: str) -> None:
    (alarm,) = Alarms().raised([Notice(AlarmKind.BENCHED, text, text)], AS_OF)

    assert str(alarm).isprintable()
    assert len(alarm.why) <= 500


async def test_a_reason_of_a_venue_that_is_as_long_as_it_may_be_ends_no_tick(world: World) -> None:
    """It is told inside of a longer sentence."""
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(answer=Answer.TIMEOUT, done=False), times=9)
    real = world.executor.find

    async def long_winded(intent: object) -> object:
        report = await real(intent)
        return report.model_copy(update={"state": "unknown", "why": "x" * 500, "order_id": None})

    world.executor.find = long_winded

    reports = await world.ticks(monitor, 3, every=60)

    assert AlarmKind.ORDER_UNKNOWN in {alarm.kind for alarm in reports[-1].alarms}


async def test_an_alarm_does_not_last_over_a_time_in_which_another_monitor_watched(world: World) -> None:
    monitor = world.monitor()
    await world.adopted(monitor)
    world.rates.down = True
    await world.ticks(monitor, 1, every=60)
    lease = await world.store.acquire("another monitor", timedelta(hours=3))
    assert lease is not None

    (standing_by,) = await world.ticks(monitor, 1, every=3600)
    await world.store.release(lease)
    now = world.clock.now()
    (report,) = await world.ticks(monitor, 1)

    assert standing_by.alarms == ()
    assert [(alarm.kind, alarm.level, alarm.since) for alarm in report.alarms] == [("source_down", "warning", now)]


async def test_what_nobody_expected_is_an_alarm_of_its_own_kind(world: World) -> None:
    """The disk is not to blame for a bug: in a tick as a whole, or in one close."""
    monitor = world.monitor()
    await world.adopted(monitor)
    world.flip()
    world.grvt.plan("place", Fate(reject="no liquidity"))
    await world.ticks(monitor, 1)
    intents = world.store.intents

    async def nonsense(*_: object) -> object:
        return None

    world.store.intents = nonsense  # type: ignore[method-assign, assignment]
    (one_close,) = await world.ticks(monitor, 1)
    world.store.intents = intents  # type: ignore[method-assign]
    world.store.live = nonsense  # type: ignore[method-assign, assignment]
    (whole,) = await world.ticks(monitor, 1)

    for report in (one_close, whole):
        kinds = {alarm.kind for alarm in report.alarms}
        assert AlarmKind.DEFECT in kinds
        assert AlarmKind.STORE not in kinds
        assert "TypeError in " in report.failures[0].why
    assert whole.active
