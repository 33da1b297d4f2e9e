"""What a store must do, as named checks: `checks_for_store(make)` for a store of your own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from ..domain.batch import Batch, Lease
from ..domain.intents import Effect, Intent, IntentState, Side
from ..domain.lifecycle import changed
from ..domain.position import Position, PositionStatus
from ..errors import StoreError
from ..ports import PositionStore
from .factories import AS_OF, a_position

Make = Callable[[], PositionStore]
Advance = Callable[[timedelta], None]
HOUR = timedelta(hours=1)


class StoreCheck:
    """One thing that a store must do. Call it: it raises AssertionError, saying what is wrong, if the store does not.

    Each call makes a fresh store, on an event loop of its own.
    """

    def __init__(self, make: Make, body: Callable[[Desk], Awaitable[None]], advance: Advance | None) -> None:
        self.__name__ = body.__name__
        self._make = make
        self._body = body
        self._advance = advance

    def __call__(self) -> None:
        asyncio.run(self._run())

    def __str__(self) -> str:
        return self.__name__.replace("_", " ")

    def __repr__(self) -> str:
        return f"<StoreCheck {self}>"

    async def _run(self) -> None:
        async with self._make() as store:
            lease = await store.acquire("first", HOUR)
            if lease is None:
                raise AssertionError("a fresh store gave no lease: `make` must give a new and empty one each time")
            await self._body(Desk(store, lease, self._advance))


class Desk:
    """A store with a lease of an hour, and what the checks do with it."""

    def __init__(self, store: PositionStore, lease: Lease, advance: Advance | None) -> None:
        self.store = store
        self.lease = lease
        self.advance = advance

    async def write(self, *values: Position | Intent, **more: Any) -> None:
        """Commit positions and intents, and what else a batch may have."""
        try:
            await self.store.commit(self.lease, batch_of(*values, **more))
        except StoreError as error:
            raise AssertionError(f"refused, though it must be written: {type(error).__name__}: {error}") from error

    async def refuses(self, kind: type[StoreError], *values: Position | Intent, **more: Any) -> None:
        """Require that a batch is refused with an error of just this kind, and that nothing of it is written."""
        batch = batch_of(*values, **more)
        before = await self.content(batch)
        try:
            await self.store.commit(self.lease, batch)
        except StoreError as error:
            require(type(error) is kind, f"refused as {type(error).__name__}, not as {kind.__name__}: {error}")
        else:
            raise AssertionError(f"written, though it must be refused as {kind.__name__}")
        require(await self.content(batch) == before, "a refused batch was written in part")

    async def content(self, batch: Batch) -> list[object]:
        """All that the store has, as far as a batch may touch it."""
        store = self.store
        found: list[object] = [await store.live(), await store.intents(), await store.decisions(AS_OF - 9_999 * HOUR)]
        ids = dict.fromkeys((*(one.id for one in batch.positions), *(one.position_id for one in batch.intents)))
        for position_id in ids:
            found += [await store.position(position_id), await store.intents(position_id)]
        for entry in batch.ledger:
            found.append(await store.ledger(entry.position_id))
        markets = [quote.market for quote in batch.observations]
        start = AS_OF - 9_999 * HOUR
        return [*found, await store.observations(markets, start), await store.smoothed(), await store.ticks(start)]

    async def open(self, **fields: Any) -> Position:
        """Take over a position whose legs were read."""
        position = an_open_position(**fields)
        await self.write(position)
        return position

    async def closing(self, **fields: Any) -> tuple[Position, Intent, Intent]:
        """A position that is being closed, and its two planned closes."""
        position = await self.open(**fields)
        after = changed(position, status=PositionStatus.PENDING_CLOSE)
        closes = an_intent(position, leg=Side.LONG), an_intent(position, leg=Side.SHORT)
        await self.write(after, *closes)
        return after, *closes

    async def filled(self, intent: Intent) -> Intent:
        """Send a planned close and have it filled."""
        sent = as_sent(intent)
        await self.write(sent)
        done = sent.then(IntentState.FILLED, filled=sent.quantity)
        await self.write(done)
        return done

    async def closed(self, **fields: Any) -> Position:
        """A position that was closed leg by leg."""
        position, *closes = await self.closing(**fields)
        for close in closes:
            await self.filled(close)
        after = changed(position, status=PositionStatus.CLOSED)
        await self.write(after)
        return after


def batch_of(*values: Position | Intent, **more: Any) -> Batch:
    """A batch of positions and intents, and what else a batch may have."""
    return Batch(
        positions=tuple(value for value in values if isinstance(value, Position)),
        intents=tuple(value for value in values if isinstance(value, Intent)),
        **more,
    )


def an_open_position(**fields: Any) -> Position:
    """The usual position, open, with 0.1 tokens recorded of each leg; `fields` override those of `Position`."""
    return a_position(**{"long_quantity": "0.1", "short_quantity": "0.1", **fields})


def an_intent(position: Position, *, effect: Effect = Effect.CLOSE, leg: Side = Side.LONG, **fields: Any) -> Intent:
    """A planned intent for a leg of a position, decided on its version; `fields` override those of `Intent`."""
    market = position.pair.long if leg is Side.LONG else position.pair.short
    usual = {"position_id": position.id, "version": position.version, "planned_at": AS_OF}
    return Intent(**{**usual, **market._asdict(), "effect": effect, "leg": leg, **fields})


def as_sent(intent: Intent, **fields: Any) -> Intent:
    """The intent as it is sent, for 0.1 tokens unless told otherwise."""
    return intent.then(IntentState.SENT, **{"quantity": "0.1", "sent_at": AS_OF, **fields})


def require(condition: bool, what: str) -> None:  # noqa: FBT001  # it reads as an assertion, and survives `python -O`
    """Raise AssertionError with `what` unless the condition holds."""
    if not condition:
        raise AssertionError(what)


def checks_for_store(make: Make, *, advance: Advance | None = None) -> tuple[StoreCheck, ...]:
    """The checks that a store must pass: `@pytest.mark.parametrize("check", checks_for_store(make), ids=str)`.

    `make` gives a fresh and empty store, an asynchronous context manager. `advance`, if given, lets time pass on the
    clock of the stores that it makes: then the end of a lease is checked too. Without pytest, call each check.
    """
    from .store_checks import CHECKS, TIMED

    bodies = (*CHECKS, *TIMED) if advance else CHECKS
    return tuple(StoreCheck(make, body, advance) for body in bodies)
