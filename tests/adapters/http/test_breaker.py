"""A service that is down is left alone for a while, then tried by one request."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from rebalancer import SourceRefusedError, SourceUnavailableError, UnknownMarketError
from rebalancer.adapters.http import Breaker
from rebalancer.testing import ManualClock

REST = timedelta(seconds=30)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands still."""
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    """A breaker of the usual limits."""
    return Breaker("the service", clock)


async def ok(breaker: Breaker) -> None:
    """A request that is answered."""
    async with breaker.request():
        pass


async def fail(breaker: Breaker, *, times: int = 1) -> None:
    """Requests that fail."""
    for _ in range(times):
        with pytest.raises(ConnectionError):
            async with breaker.request():
                raise ConnectionError


async def refused(breaker: Breaker) -> str:
    """What a request is refused with, before it is sent."""
    sent = False
    with pytest.raises(SourceUnavailableError) as error:
        async with breaker.request():
            sent = True
    assert not sent
    return str(error.value)


async def test_it_opens_after_so_many_failures_in_a_row(breaker: Breaker) -> None:
    await fail(breaker, times=4)
    assert not breaker.open
    await fail(breaker)
    assert breaker.open
    said = await refused(breaker)
    assert said == "the service: it failed 5 times in a row, and is left alone for 30 s more"


async def test_a_success_starts_the_count_anew(breaker: Breaker) -> None:
    await fail(breaker, times=4)
    await ok(breaker)
    await fail(breaker, times=4)
    assert not breaker.open


@pytest.mark.parametrize("answer", [SourceRefusedError, UnknownMarketError])
async def test_a_refused_question_is_an_answer(breaker: Breaker, answer: type[SourceRefusedError]) -> None:
    await fail(breaker, times=4)
    for _ in range(10):
        with pytest.raises(answer):
            async with breaker.request():
                raise answer("the service", "HTTP 404", status=404)
    await fail(breaker, times=4)
    assert not breaker.open


async def test_an_error_that_the_service_answers_with_shows_that_it_is_up(breaker: Breaker, clock: ManualClock) -> None:
    async def answered() -> None:
        async with breaker.request() as passage:
            passage.up = True
            raise SourceUnavailableError("the service", "HTTP 500")

    for _ in range(10):
        with pytest.raises(SourceUnavailableError, match="HTTP 500"):
            await answered()
    assert not breaker.open
    await fail(breaker, times=5)
    clock.advance(REST)
    with pytest.raises(SourceUnavailableError, match="HTTP 500"):
        await answered()
    assert not breaker.open


async def test_what_its_caller_cuts_off_shows_nothing(breaker: Breaker) -> None:
    async def cut_off() -> None:
        async with breaker.request() as passage:
            passage.up = None
            raise asyncio.CancelledError

    for _ in range(10):
        with pytest.raises(asyncio.CancelledError):
            await cut_off()
    assert not breaker.open


async def test_it_rests_as_long_as_it_says(breaker: Breaker, clock: ManualClock) -> None:
    await fail(breaker, times=5)
    clock.advance(REST - timedelta(seconds=1))
    assert "left alone for 1 s more" in await refused(breaker)
    clock.advance(timedelta(seconds=1))
    await ok(breaker)
    assert not breaker.open


async def test_being_refused_does_not_prolong_the_rest(breaker: Breaker, clock: ManualClock) -> None:
    await fail(breaker, times=5)
    for _ in range(29):
        clock.advance(timedelta(seconds=1))
        await refused(breaker)
    clock.advance(timedelta(seconds=1))
    await ok(breaker)


async def test_one_failed_try_after_a_rest_is_enough_for_the_next(breaker: Breaker, clock: ManualClock) -> None:
    await fail(breaker, times=5)
    clock.advance(REST)
    await fail(breaker)
    assert "left alone for 30 s more" in await refused(breaker)


class Trying:
    """A request that is under way until it is told how it ends."""

    def __init__(self, breaker: Breaker) -> None:
        self.sent = False
        self.end: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.task = asyncio.create_task(self._run(breaker))

    async def _run(self, breaker: Breaker) -> None:
        async with breaker.request():
            self.sent = True
            error = await self.end
            if error is not None:
                raise error


async def turns() -> None:
    """Let every other task go on as far as it can."""
    for _ in range(10):
        await asyncio.sleep(0)


async def tried_by_one_of(number: int, breaker: Breaker, clock: ManualClock) -> tuple[Trying, list[Trying]]:
    """After a rest: the request that tries, and those that wait for it."""
    await fail(breaker, times=5)
    clock.advance(REST)
    first, *others = [Trying(breaker) for _ in range(number)]
    await turns()
    assert first.sent
    assert not any(one.sent or one.task.done() for one in others)
    return first, others


async def test_after_a_rest_one_tries_and_the_others_pass_when_it_succeeds(
    breaker: Breaker, clock: ManualClock
) -> None:
    first, others = await tried_by_one_of(5, breaker, clock)
    first.end.set_result(None)
    await turns()
    assert all(one.sent for one in others)
    for one in others:
        one.end.set_result(None)
    await asyncio.gather(*(one.task for one in others))
    assert not breaker.open


async def test_after_a_rest_one_tries_and_the_others_are_refused_when_it_fails(
    breaker: Breaker, clock: ManualClock
) -> None:
    first, others = await tried_by_one_of(5, breaker, clock)
    first.end.set_result(ConnectionError())
    results = await asyncio.gather(*(one.task for one in others), return_exceptions=True)
    assert [type(one) for one in results] == [SourceUnavailableError] * 4
    assert not any(one.sent for one in others)
    with pytest.raises(ConnectionError):
        await first.task


async def test_the_others_pass_when_the_one_that_tries_is_refused_its_question(
    breaker: Breaker, clock: ManualClock
) -> None:
    first, (other,) = await tried_by_one_of(2, breaker, clock)
    first.end.set_result(SourceRefusedError("the service", "HTTP 422"))
    await turns()
    assert other.sent
    other.end.set_result(None)
    await other.task
    with pytest.raises(SourceRefusedError):
        await first.task


async def test_a_cancelled_try_does_not_lock_it_for_ever(breaker: Breaker, clock: ManualClock) -> None:
    first, (other,) = await tried_by_one_of(2, breaker, clock)
    first.task.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(SourceUnavailableError):
            await other.task
    with pytest.raises(asyncio.CancelledError):
        await first.task
    clock.advance(REST)
    await ok(breaker)
    assert not breaker.open


async def test_a_cancelled_waiter_takes_nobody_with_it(breaker: Breaker, clock: ManualClock) -> None:
    first, (waiter, other) = await tried_by_one_of(3, breaker, clock)
    waiter.task.cancel()
    first.end.set_result(None)
    other.end.set_result(None)
    await asyncio.gather(first.task, other.task)
    with pytest.raises(asyncio.CancelledError):
        await waiter.task
    assert not breaker.open


async def test_a_hold_is_not_undone_by_the_success_of_another(breaker: Breaker, clock: ManualClock) -> None:
    under_way = Trying(breaker)
    await turns()
    breaker.hold(60, why="it asked to be left alone")
    under_way.end.set_result(None)
    await under_way.task
    assert "it asked to be left alone, and is left alone for 60 s more" in await refused(breaker)
    clock.advance(timedelta(seconds=60))
    await ok(breaker)


async def test_a_hold_is_not_shortened_by_a_later_one(breaker: Breaker, clock: ManualClock) -> None:
    breaker.hold(60, why="it asked to be left alone")
    breaker.hold(1, why="it asked again")
    clock.advance(timedelta(seconds=59))
    await refused(breaker)


async def test_a_failure_does_not_shorten_a_hold(breaker: Breaker, clock: ManualClock) -> None:
    under_way = [Trying(breaker) for _ in range(5)]
    await turns()
    breaker.hold(300, why="it asked to be left alone")
    for one in under_way:
        one.end.set_result(ConnectionError())
    await asyncio.gather(*(one.task for one in under_way), return_exceptions=True)
    clock.advance(timedelta(seconds=299))
    await refused(breaker)


async def test_two_breakers_know_nothing_of_each_other(clock: ManualClock) -> None:
    one, other = Breaker("one", clock), Breaker("other", clock)
    await fail(one, times=5)
    await ok(other)
    assert not other.open
