"""What was acknowledged is there after a kill, whole; and of many processes one alone sends."""

from __future__ import annotations

import asyncio
import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from rebalancer.adapters.stores import SqliteStore
from rebalancer.domain.batch import StoreMode

SCRIPT = Path(__file__).with_name("processes.py")


def run(*words: object) -> dict[str, Any]:
    """What `processes.py` found."""
    what, path, *more = map(str, words)
    done = subprocess.run([sys.executable, SCRIPT, what, path, *more], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(Path(f"{path}.json").read_text(encoding="utf-8"))
    return found


def killed(path: Path, *, kills: int) -> None:
    """Kill a process that commits, that often, and require that nothing is lost or half there."""
    seed = random.SystemRandom().randrange(10**9)
    print(f"seed {seed}")  # noqa: T201  # shown if it fails
    start = time.perf_counter()
    found = run("crash", path, kills, seed)
    print(f"{kills} kills, {found['numbers']} commits, {time.perf_counter() - start:.1f} s")  # noqa: T201
    assert found["faults"] == []
    assert found["numbers"] > 0

    async def read() -> None:
        async with SqliteStore(path, mode=StoreMode.LIVE) as store:
            for position in await store.live():
                entries = await store.ledger(position.id)
                assert [entry.amount_usd for entry in entries] == list(range(1, found["numbers"] + 1))
                assert position.funding_collected_usd == found["numbers"]

    asyncio.run(read())


def test_a_store_killed_twenty_times_has_every_commit_that_returned_and_no_half_one(tmp_path: Path) -> None:
    killed(tmp_path / "positions.db", kills=20)


def test_a_writer_that_commits_one_batch_in_two_parts_is_found_out(tmp_path: Path) -> None:
    found = run("crash-in-parts", tmp_path / "positions.db", 20, 1)
    assert any("half a batch" in fault for fault in found["faults"])


@pytest.mark.campaign
def test_a_store_killed_a_thousand_times_has_every_commit_that_returned_and_no_half_one(tmp_path: Path) -> None:
    killed(tmp_path / "positions.db", kills=1_000)


def raced(path: Path) -> None:
    """Race with eight processes, and require one winner of everything."""
    found = run("race", path, 8)
    assert len(found["leased"]) == 1
    wins = Counter(key for keys in found["won"].values() for key in keys)
    assert len(wins) == 40
    assert set(wins.values()) == {1}

    async def read() -> None:
        async with SqliteStore(path, mode=StoreMode.LIVE) as store:
            sent = {intent.key: intent.order_id for intent in await store.intents()}
        assert sent == {key: name for name, keys in found["won"].items() for key in keys}

    asyncio.run(read())


def test_of_eight_processes_one_has_the_lease_and_one_sends_each_intent(tmp_path: Path) -> None:
    raced(tmp_path / "positions.db")


@pytest.mark.campaign
@pytest.mark.parametrize("number", range(50))
def test_of_eight_processes_one_sends_each_intent_every_time(tmp_path: Path, number: int) -> None:
    raced(tmp_path / "positions.db")
