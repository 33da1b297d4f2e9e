"""A service that asks to be left alone (F22): it is, but never for longer than is sensible."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING

import pytest

from rebalancer import SourceUnavailableError
from rebalancer.adapters.http import JsonReader, Retry
from rebalancer.testing import AS_OF, ManualClock

if TYPE_CHECKING:
    from .conftest import FaultServer

MakeReader = Callable[..., JsonReader]
BUSY = [429, 502, 503, 504]
IN_A_WHILE = AS_OF + timedelta(seconds=120)


async def refused(reader: JsonReader) -> str:
    """What a read is refused with."""
    with pytest.raises(SourceUnavailableError) as error:
        await reader.get("/x")
    return str(error.value)


@pytest.mark.parametrize("status", BUSY)
@pytest.mark.parametrize(
    ("asked", "seconds"),
    [
        ("120", 120),
        (format_datetime(IN_A_WHILE, usegmt=True), 120),
        ("300", 300),
        ("301", 300),
        ("1000000000", 300),
        ("9" * 50, 300),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 300),
    ],
)
async def test_it_is_left_alone_as_long_as_it_asks_but_at_most_5_minutes(
    server: FaultServer, reader: MakeReader, status: int, asked: str, seconds: int
) -> None:
    url, clock = server.url("busy", status, asked), ManualClock()
    asking = reader(url, clock=clock, deadline=timedelta(seconds=2))
    assert await refused(asking) == f"the service: HTTP {status}"
    assert clock.slept == []
    clock.advance(timedelta(seconds=seconds - 1))
    for _ in range(10):
        assert await refused(asking) == "the service: it asked to be left alone, and is left alone for 1 s more"
    assert len(server.seen(url)) == 1
    clock.advance(timedelta(seconds=1))
    assert await refused(asking) == f"the service: HTTP {status}"
    assert len(server.seen(url)) >= 2


@pytest.mark.parametrize("asked", ["", "soon", "-5", "1.5", "NaN", "5 minutes", "\u0665", "0x10", "1e9"])
async def test_nonsense_is_no_reason_to_wait(server: FaultServer, reader: MakeReader, asked: str) -> None:
    url, clock = server.url("busy", 429, asked), ManualClock()
    asking = reader(url, clock=clock, retry=Retry(), deadline=timedelta(seconds=2))
    await refused(asking)
    assert len(server.seen(url)) == 3
    assert len(clock.slept) == 2
    assert all(0 <= waited <= 0.2 for waited in clock.slept)


@pytest.mark.parametrize("asked", ["0", "Thu, 01 Jan 1970 00:00:00 GMT"])
async def test_a_time_that_has_come_is_no_reason_to_wait(server: FaultServer, reader: MakeReader, asked: str) -> None:
    clock = ManualClock()
    assert await reader(server.url("briefly", 503, asked), clock=clock).get("/x")
    assert clock.slept == [0.0]


@pytest.mark.parametrize("asked", ["4", "Mon, 05 Jan 2026 12:00:04 GMT"])
async def test_a_short_wait_is_kept_to_the_second(server: FaultServer, reader: MakeReader, asked: str) -> None:
    clock = ManualClock()
    assert await reader(server.url("briefly", 503, asked), clock=clock, deadline=timedelta(seconds=5)).get("/x")
    assert clock.slept == [4.0]


async def test_the_second_request_comes_no_earlier_than_asked(server: FaultServer, reader: MakeReader) -> None:
    url = server.url("briefly", 429, "1")
    start = time.monotonic()
    assert await reader(url, deadline=timedelta(seconds=3)).get("/x")
    first, second = server.seen(url)
    assert second["at"] - first["at"] >= 1
    assert time.monotonic() - start < 1.5


@pytest.mark.parametrize("asked", ["2", "3", "1000000000"])
async def test_nobody_waits_beyond_the_deadline(server: FaultServer, reader: MakeReader, asked: str) -> None:
    clock = ManualClock()
    asking = reader(server.url("busy", 503, asked), clock=clock, deadline=timedelta(seconds=2))
    start = time.monotonic()
    await refused(asking)
    assert clock.slept == []
    assert time.monotonic() - start < 0.5


async def test_short_waits_add_up_to_no_more_than_the_deadline(server: FaultServer, reader: MakeReader) -> None:
    clock = ManualClock()
    often = Retry(attempts=1_000, budget=1_000)
    await refused(reader(server.url("busy", 503, 2), clock=clock, deadline=timedelta(seconds=7), retry=often))
    assert clock.slept == [2.0, 2.0, 2.0]


async def test_after_a_pause_one_asks_and_the_others_wait_for_its_answer(
    server: FaultServer, reader: MakeReader
) -> None:
    url, clock = server.url("briefly", 429, 60), ManualClock()
    asking = reader(url, clock=clock, deadline=timedelta(seconds=2))
    await refused(asking)
    clock.advance(timedelta(seconds=60))
    assert len(await asyncio.gather(*(asking.get(f"/{number}") for number in range(5)))) == 5
    assert len(server.seen(url)) == 6


async def test_a_pause_of_one_service_is_none_of_another(server: FaultServer, reader: MakeReader) -> None:
    clock = ManualClock()
    await refused(reader(server.url("busy", 429, 60), clock=clock))
    assert await reader(server.url("good"), clock=clock).get("/x")
