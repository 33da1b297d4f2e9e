"""Processes that use one store at a time or all at once, and are killed: `python processes.py crash ...`, or `race`.

Children are forked from a process that has imported everything and has no thread, so that twenty take seconds.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sqlite3
import sys
import time
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

from rebalancer import Position
from rebalancer.adapters.stores import SqliteStore
from rebalancer.domain.batch import Batch, Lease, LedgerEntry, StoreMode
from rebalancer.domain.intents import Intent, IntentState, Side
from rebalancer.domain.lifecycle import changed
from rebalancer.errors import Conflict
from rebalancer.testing import AS_OF
from rebalancer.testing.stores import an_intent, an_open_position

HOUR = timedelta(hours=1)
PAIR = (an_open_position(symbol="BTC"), an_open_position(symbol="ETH"))
RACED = tuple(an_open_position(symbol=f"S{number}") for number in range(20))


def store_at(path: str) -> SqliteStore:
    """The store, with patience for a busy machine."""
    return SqliteStore(path, mode=StoreMode.LIVE, patience=timedelta(seconds=60))


async def lease_of(store: SqliteStore, holder: str) -> Lease:
    """The lease; it must be free."""
    lease = await store.acquire(holder, HOUR)
    assert lease is not None
    return lease


def forked(work: Any) -> tuple[int, int]:
    """A child that does the work and ends; its process id, and where it writes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        try:
            asyncio.run(work(writing))
        finally:
            os._exit(0)
    os.close(writing)
    return child, reading


def said(reading: int) -> str:
    """All that a child wrote until it ended."""
    with os.fdopen(reading) as pipe:
        return pipe.read()


# Killed while it commits ----------------------------------------------------------------------------------------------


async def commit_for_ever(path: str, writing: int, *, in_parts: bool) -> None:
    """Count in two positions and their ledgers at once; each number is said when its commit has returned.

    A naive writer does it in parts.
    """
    async with store_at(path) as store:
        lease = await lease_of(store, "desk")
        number = int((await store.live())[0].funding_collected_usd)
        while True:
            number += 1
            positions = await store.live()
            for part in [(one,) for one in positions] if in_parts else [positions]:
                await store.commit(lease, batch_number(number, part))
            os.write(writing, f"{number}\n".encode())


def batch_number(number: int, positions: tuple[Position, ...]) -> Batch:
    """What is written for a number."""
    return Batch(
        positions=tuple(changed(one, funding_collected_usd=number, attention="x" * 400) for one in positions),
        ledger=tuple(
            LedgerEntry.model_validate(
                {
                    "position_id": one.id,
                    "venue": one.long_dex,
                    "kind": "funding",
                    "at": AS_OF + timedelta(seconds=number),
                    "amount_usd": number,
                }
            )
            for one in positions
        ),
    )


def crash(path: str, kills: int, seed: int, *, in_parts: bool) -> dict[str, Any]:
    """Kill it that often, each time at some moment, and look at what is there."""
    random, last, faults = Random(seed), 0, []
    child, reading = forked(lambda _: make(path, PAIR))
    os.waitpid(child, 0)
    said(reading)
    for _ in range(kills):
        child, reading = forked(lambda writing: commit_for_ever(path, writing, in_parts=in_parts))
        time.sleep(random.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        acknowledged = max([last, *map(int, said(reading).split())])
        last, fault = look(path, acknowledged)
        faults += [fault] if fault else []
    return {"numbers": last, "faults": faults}


async def make(path: str, positions: tuple[Position, ...]) -> None:
    """A store with these positions."""
    async with store_at(path) as store:
        await store.commit(await lease_of(store, "desk"), Batch(positions=positions))


def look(path: str, acknowledged: int) -> tuple[int, str | None]:
    """The number that is there, and what is wrong with it. SQLite alone looks, none of our code."""
    with closing(sqlite3.connect(path)) as connection:
        whole = connection.execute("PRAGMA integrity_check").fetchone()[0]
        numbers = [
            int(float(json.loads(text)["funding_collected_usd"]))
            for (text,) in connection.execute("SELECT value FROM positions")
        ]
        entries = [count for (count,) in connection.execute("SELECT count(*) FROM ledger GROUP BY position_id")]
    found = max(numbers)
    if whole != "ok":
        return found, f"integrity: {whole}"
    if numbers != [found] * len(PAIR) or (found and entries != [found] * len(PAIR)):
        return found, f"half a batch: positions at {numbers}, ledgers of {entries}"
    if not acknowledged <= found <= acknowledged + 1:
        return found, f"{acknowledged} was acknowledged, {found} is there"
    return found, None


# All at once ----------------------------------------------------------------------------------------------------------


def planned() -> list[Intent]:
    """The closes that are raced for."""
    return [an_intent(one, leg=leg) for one in RACED for leg in Side]


async def make_race(path: str) -> None:
    """A store with planned closes."""
    async with store_at(path) as store:
        lease = await lease_of(store, "all of them")
        await store.commit(lease, Batch(positions=RACED))
        closing_now = tuple(changed(one, status="pending_close") for one in RACED)
        await store.commit(lease, Batch(positions=closing_now, intents=tuple(planned())))


async def race_for_intents(path: str, name: str, writing: int) -> None:
    """Send every intent, in an order of its own, under the lease that all of them share."""
    intents = planned()
    Random(name).shuffle(intents)
    async with store_at(path) as store:
        lease = await lease_of(store, "all of them")
        for intent in intents:
            sent = intent.then(IntentState.SENT, quantity="0.1", sent_at=AS_OF, order_id=name)
            try:
                await store.commit(lease, Batch(intents=(sent,)))
            except Conflict:
                continue
            os.write(writing, f"{intent.key}\n".encode())


async def race_for_the_lease(path: str, name: str, writing: int) -> None:
    """Ask for the lease, once."""
    async with store_at(path) as store:
        if await store.acquire(name, HOUR):
            os.write(writing, f"{name}\n".encode())


def race(path: str, processes: int) -> dict[str, Any]:
    """Let them race for the lease of a file that none has made yet, then in another for what to send."""
    children = [
        forked(lambda writing, name=f"p{number}": race_for_the_lease(f"{path}.lease", name, writing))
        for number in range(processes)
    ]
    leased = [said(reading).split() for _, reading in children]
    for child, _ in children:
        os.waitpid(child, 0)
    child, reading = forked(lambda _: make_race(path))
    os.waitpid(child, 0)
    said(reading)
    children = [
        forked(lambda writing, name=f"p{number}": race_for_intents(path, name, writing)) for number in range(processes)
    ]
    won = {f"p{number}": said(reading).split() for number, (_, reading) in enumerate(children)}
    for child, _ in children:
        os.waitpid(child, 0)
    return {"leased": [name for names in leased for name in names], "won": won}


if __name__ == "__main__":
    what, where, count, *more = sys.argv[1:]
    if what == "race":
        result = race(where, int(count))
    else:
        result = crash(where, int(count), int(more[0]), in_parts=what == "crash-in-parts")
    Path(f"{where}.json").write_text(json.dumps(result), encoding="utf-8")
