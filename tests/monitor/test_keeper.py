"""The store, asked with a deadline and under a lease of which the monitor knows on its own clock how long it lasts."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import pytest

from rebalancer import Batch, Conflict, Fenced, InputError, Lease, SourceUnavailableError, StoreError
from rebalancer.adapters import MemoryStore
from rebalancer.monitor.keeper import Keeper
from rebalancer.testing import ManualClock, a_position

LEASE = timedelta(seconds=60)
CALL = timedelta(seconds=10)
NOTHING = Batch()


class Wall(ManualClock):
    """A clock whose wall can jump."""

    def jump(self, by: timedelta) -> None:
        """Set the wall clock."""
        self._now += by

    def sleep_uncounted(self, by: timedelta) -> None:
        """The machine sleeps, and its steady clock stands still."""
        self._now += by


def a_keeper(clock: ManualClock, store: Any = None, **given: Any) -> Keeper:
    store = store or MemoryStore(clock=clock)
    return Keeper(store, clock=clock, **{"holder": "me", "lease": LEASE, "deadline": timedelta(seconds=1), **given})


class Broken(MemoryStore):
    """A store whose every call does something else."""

    def __init__(self, clock: ManualClock, does: Callable[[], Any]) -> None:
        super().__init__(clock=clock)
        self.does: Callable[[], Any] | None = does

    async def live(self) -> Any:
        return self.does() if self.does else await super().live()

    async def acquire(self, holder: str, ttl: timedelta) -> Any:
        return self.does() if self.does else await super().acquire(holder, ttl)


def raises(error: BaseException) -> Callable[[], Any]:
    def raised() -> Any:
        raise error

    return raised


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("password=hunter2"),
        SystemExit(1),
        OSError(28, "disk full"),
        InputError("not of a store"),
        SourceUnavailableError("store", "not of a store either"),
        asyncio.CancelledError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_whatever_a_store_raises_is_a_store_error(error: BaseException) -> None:
    keeper = a_keeper(ManualClock(), Broken(ManualClock(), raises(error)))

    with pytest.raises(StoreError) as raised:
        await keeper.ask(keeper.store.live)

    assert type(raised.value) is StoreError
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("error", [Conflict("a"), Fenced("b"), StoreError("c")], ids=str)
async def test_what_a_store_means_to_say_is_kept(error: StoreError) -> None:
    keeper = a_keeper(ManualClock(), Broken(ManualClock(), raises(error)))

    with pytest.raises(type(error)) as raised:
        await keeper.ask(keeper.store.live)

    assert raised.value is error


async def test_a_batch_that_a_store_refused_is_not_kept_until_the_garbage_is_collected() -> None:
    class Refusing(MemoryStore):
        async def commit(self, lease: object, batch: Batch) -> None:
            raise Conflict("not so")

    clock = ManualClock()
    keeper = a_keeper(clock, Refusing(clock=clock))
    await keeper.lead()
    batch = Batch(positions=(a_position(),))
    kept = weakref.ref(batch)
    gc.disable()
    try:
        with suppress(Conflict):
            await keeper.commit(batch)
        del batch
        assert kept() is None
    finally:
        gc.enable()


async def test_a_name_that_forges_a_line_is_one_line() -> None:
    forged = type("Oops\nCRITICAL all is lost", (Exception,), {})
    keeper = a_keeper(ManualClock(), Broken(ManualClock(), raises(forged())))

    with pytest.raises(StoreError) as raised:
        await keeper.ask(keeper.store.live)

    assert "\n" not in str(raised.value)


async def test_a_store_that_hangs_is_given_up() -> None:
    keeper = a_keeper(ManualClock(), deadline=timedelta(milliseconds=20))

    with pytest.raises(StoreError, match=r"no answer within 0\.02 s"):
        await keeper.ask(lambda: asyncio.sleep(60))


async def test_without_a_lease_nothing_is_written() -> None:
    keeper = a_keeper(ManualClock())

    with pytest.raises(Fenced):
        await keeper.commit(NOTHING)


async def test_a_lease_lasts_for_a_send_only_if_it_ends_after_it() -> None:
    clock = ManualClock()
    keeper = a_keeper(clock)
    assert await keeper.lead()

    clock.advance(LEASE - CALL - timedelta(milliseconds=1))
    keeper.check_for(CALL)
    clock.advance(timedelta(milliseconds=1))

    with pytest.raises(Fenced):
        keeper.check_for(CALL)
    await keeper.hold_for(CALL)  # it is renewed
    keeper.check_for(CALL)


async def test_a_lease_is_counted_from_before_it_was_asked_for() -> None:
    clock = ManualClock()

    class Slow(MemoryStore):
        async def acquire(self, holder: str, ttl: timedelta) -> Any:
            lease = await super().acquire(holder, ttl)
            clock.advance(timedelta(seconds=55))
            return lease

    keeper = a_keeper(clock, Slow(clock=clock))
    assert await keeper.lead()

    with pytest.raises(Fenced):
        keeper.check_for(CALL)


async def test_a_sleep_that_the_steady_clock_did_not_count_ends_a_lease_too() -> None:
    clock = Wall()
    keeper = a_keeper(clock)
    await keeper.lead()
    clock.sleep_uncounted(timedelta(minutes=5))

    with pytest.raises(Fenced):
        keeper.check_for(CALL)


async def test_a_wall_clock_that_is_set_back_does_not_prolong_a_lease() -> None:
    clock = Wall()
    keeper = a_keeper(clock)
    await keeper.lead()
    clock.jump(timedelta(hours=-1))
    clock.advance(LEASE)

    with pytest.raises(Fenced):
        keeper.check_for(CALL)


async def test_one_leads_and_the_other_stands_by_until_the_lease_ends() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    first, second = a_keeper(clock, store, holder="a"), a_keeper(clock, store, holder="b")

    assert (await first.lead(), await second.lead()) == (True, False)
    clock.advance(LEASE)
    assert await second.lead()

    with pytest.raises(Fenced):
        await first.commit(Batch(positions=(a_position(),)))
    assert not first.leads
    assert await store.live() == ()


async def test_a_lease_that_is_given_back_is_free_at_once() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    first, second = a_keeper(clock, store, holder="a"), a_keeper(clock, store, holder="b")
    await first.lead()

    await first.rest()

    assert await second.lead()


async def test_the_term_lasts_as_long_as_nobody_else_led() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    first, second = a_keeper(clock, store, holder="a"), a_keeper(clock, store, holder="b")
    await first.lead()
    terms = [first.term]
    for _ in range(2):  # it rests, and nobody comes between
        await first.rest()
        await first.lead()
        terms.append(first.term)
    await first.rest()
    await second.lead()
    await second.rest()
    await first.lead()

    assert terms == [1, 1, 1]
    assert first.term == 2


async def test_others_that_write_are_not_fenced_while_the_lease_is_renewed() -> None:
    clock = ManualClock()
    store = MemoryStore(clock=clock)
    keeper = a_keeper(clock, store)
    await keeper.lead()
    clock.advance(timedelta(seconds=55))

    await asyncio.gather(keeper.hold_for(CALL), keeper.commit(Batch(positions=(a_position(),))), keeper.hold_for(CALL))

    assert len(await store.live()) == 1


async def test_a_store_that_can_not_take_the_lease_back_does_no_harm() -> None:
    clock = ManualClock()

    class Stuck(MemoryStore):
        async def release(self, lease: object) -> None:
            raise SystemExit(1)

    keeper = a_keeper(clock, Stuck(clock=clock))
    await keeper.lead()

    await keeper.rest()

    assert not keeper.leads


@pytest.mark.parametrize("somebody_came", [True, False])
async def test_after_a_question_for_the_lease_was_cut_off_it_is_known_whether_somebody_else_had_it(
    *, somebody_came: bool
) -> None:
    class Slow(MemoryStore):
        hangs = False

        async def acquire(self, holder: str, ttl: timedelta) -> Lease | None:
            lease = await super().acquire(holder, ttl)
            if self.hangs:
                await asyncio.sleep(3_600)
            return lease

    clock = ManualClock()
    store = Slow(clock=clock)
    keeper = a_keeper(clock, store, deadline=CALL)
    await keeper.lead()
    await keeper.rest()
    term = keeper.term
    if somebody_came:
        other = await store.acquire("another", LEASE)
        assert other is not None
        await store.release(other)
    store.hangs = True
    asked = asyncio.ensure_future(keeper.lead())
    await asyncio.sleep(0.01)
    asked.cancel()
    await asyncio.wait((asked,))
    store.hangs = False

    await keeper.rest()
    await keeper.lead()

    assert keeper.term == term + somebody_came
