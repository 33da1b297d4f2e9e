"""A day of ticks while a fifth of all calls fail: no tick lags, nothing grows, and nothing wrong is done."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("soak.py")


def soaked(**given: int) -> dict[str, Any]:
    """What `soak.py` found."""
    words = [f"--{name}={number}" for name, number in given.items()]
    done = subprocess.run([sys.executable, SCRIPT, *words], capture_output=True, text=True, check=False)
    print(done.stdout)  # noqa: T201  # shown if it fails, with the seed
    assert done.stdout.endswith("}\n"), done.stderr
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def require_nothing_wrong(found: dict[str, Any]) -> None:
    """Each leg was closed once, by whom wanted out, and everybody who wanted out is out."""
    assert found["wrong"] == []
    assert found["failures"] == 0
    assert found["exits"] == found["ended"] > 0
    assert found["reads that failed"] > found["ticks"]
    assert found["orders"] >= found["fills"] >= 2 * found["exits"]  # some are filled in parts


def require_bounds(found: dict[str, Any]) -> None:
    """No part of the monitor remembers more than what is alive."""
    positions = found["positions"]
    most = {
        "alarms": 20 + found["most under way"],
        "alarms logged": 20 + found["most under way"],
        "waiting for observers": 16,
        "zeros": 2 * found["most under way"],
        "touched": 2 * found["most under way"],
        "last decisions": positions,
        "turns": positions,
        "books": positions,
        "accounts": 2 * positions,
        "observations": 0,
        "exits": 15 * 10 + 10,
        "quotes": 4 * positions,
        "known to the store": positions,
        "tasks": 3,
    }
    for sizes in found["sizes"].values():
        assert {what: size for what, size in sizes.items() if size > most[what]} == {}


def test_for_thirty_ticks_over_a_hundred_positions_nothing_wrong_is_done_and_nothing_is_kept_for_ever() -> None:
    found = soaked(positions=100, ticks=30, every=10, leave=1, records=5, seed=random.SystemRandom().randrange(10**9))

    require_nothing_wrong(found)
    require_bounds(found)


@pytest.mark.campaign
def test_for_a_day_over_ten_thousand_positions_no_tick_lags_and_nothing_grows() -> None:
    found = soaked(positions=10_000, ticks=1_440, seed=random.SystemRandom().randrange(10**9))

    require_nothing_wrong(found)
    require_bounds(found)
    assert found["p99"] < 2
    assert found["growth_mib_per_1000"] < 1
