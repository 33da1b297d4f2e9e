"""Whatever is asked of them in whatever order: both stores answer alike, and what they have makes sense."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import Position
from rebalancer.adapters.stores import MemoryStore, SqliteStore
from rebalancer.domain.batch import Batch, Lease, StoreMode
from rebalancer.domain.intents import IntentState, Side
from rebalancer.domain.lifecycle import Switch, changed, claims
from rebalancer.errors import StoreError
from rebalancer.ports import PositionStore
from rebalancer.testing import AS_OF, ManualClock
from rebalancer.testing.store_checks import an_entry
from rebalancer.testing.stores import an_intent, an_open_position, as_sent, batch_of

HOUR = timedelta(hours=1)


def story(position: Position) -> list[Batch]:
    """The life of a position, commit by commit."""
    closing = changed(position, status="pending_close")
    half = changed(closing, status="half_closed")
    closes = [an_intent(position, leg=leg) for leg in Side]
    sent = [as_sent(close) for close in closes]
    done = [one.then(IntentState.FILLED, filled="0.1") for one in sent]
    return [
        batch_of(position),
        batch_of(changed(position, last_check=AS_OF)),
        batch_of(closing, *closes),
        batch_of(sent[0]),
        batch_of(half, done[0]),
        batch_of(sent[1], ledger=(an_entry(position),)),
        batch_of(changed(half, status="closed"), done[1]),
    ]


FIRST, RIVAL, OTHER = an_open_position(), an_open_position(age=HOUR), an_open_position(symbol="ETH")
LIVES = [story(position) for position in (FIRST, RIVAL, OTHER)]
KNOWN = [position.id for position in (FIRST, RIVAL, OTHER)]
BATCHES = [batch for life in LIVES for batch in life]
JOINED = [
    Batch(positions=one.positions + two.positions, intents=one.intents + two.intents)
    for one, two in pairwise([batch for life in zip(*LIVES, strict=True) for batch in life])
]
ordered = st.integers(0, 2).map(lambda life: ("next", life))
anything = st.sampled_from([*BATCHES, *JOINED]).map(lambda batch: ("batch", batch))
switched = st.sampled_from(Switch).map(lambda to: ("switch", to))
steps = st.lists(st.one_of(ordered, ordered, ordered, anything, switched), min_size=1, max_size=40)


async def outcome(store: PositionStore, lease: Lease, step: tuple[str, object], told: list[int]) -> str:
    """What comes of a step, in words."""
    what, value = step
    if what == "switch":
        await store.set_switch(Switch(str(value)))
        return "set"
    batch = value
    if isinstance(value, int):
        batch = LIVES[value][min(told[value], len(LIVES[value]) - 1)]
    assert isinstance(batch, Batch)
    try:
        await store.commit(lease, batch)
    except StoreError as error:
        return f"{type(error).__name__}: {error}"
    if isinstance(value, int):
        told[value] += 1
    return "written"


async def content(store: PositionStore) -> list[object]:
    """All that a store has of the three positions."""
    found: list[object] = [await store.live(), await store.intents(), await store.switch()]
    for known in KNOWN:
        found += [await store.position(known), await store.intents(known), await store.ledger(known)]
    return found


@given(steps=steps)
@settings(max_examples=25)
def test_both_stores_answer_alike_and_no_market_has_two_owners(steps: list[tuple[str, object]]) -> None:
    async def play() -> None:
        with TemporaryDirectory() as folder:
            clock = ManualClock()
            path = Path(folder) / "positions.db"
            in_file = SqliteStore(path, mode=StoreMode.LIVE, clock=clock)
            async with in_file, MemoryStore(mode=StoreMode.LIVE, clock=clock) as in_memory:
                lease = await in_file.acquire("desk", HOUR)
                assert lease is not None
                assert await in_memory.acquire("desk", HOUR) == lease
                told: list[list[int]] = [[0, 0, 0], [0, 0, 0]]
                for step in steps:
                    said = [
                        await outcome(store, lease, step, had)
                        for store, had in zip((in_file, in_memory), told, strict=True)
                    ]
                    assert said[0] == said[1]
                    owned = Counter(market for one in await in_memory.live() for market in claims(one))
                    assert set(owned.values()) <= {1}
                expected = await content(in_memory)
                assert await content(in_file) == expected
            async with SqliteStore(path, mode=StoreMode.LIVE, clock=clock) as again:
                assert await content(again) == expected

    asyncio.run(play())
