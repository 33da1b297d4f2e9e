"""Monitors as processes: killed at any time, stopped past their lease, and set against each other.

Each has a naive twin, in which a careless bot goes through the same and is found out.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import SystemRandom
from typing import Any

import pytest

SCRIPT = Path(__file__).with_name("processes.py")
KILLED = ("--kills=10", "--legs=40", "--positions=20", "--life=0.4", "--most=10")
RACED = ("--kills=0", "--legs=16", "--positions=8", "--workers=3")
STOPPED = (*RACED, "--stops", "--life=0.3", "--most=3")


def run(folder: Path, *words: str) -> dict[str, Any]:
    """What `processes.py` found; its figures and its seed are printed."""
    seed, result = SystemRandom().randrange(10**9), folder / "result.json"
    done = subprocess.run(
        [sys.executable, SCRIPT, f"--seed={seed}", f"--result={result}", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    print(done.stdout, done.stderr)  # noqa: T201  # shown if it fails
    found: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return found


def test_a_monitor_killed_ten_times_closes_every_leg_once(tmp_path: Path) -> None:
    found = run(tmp_path, *KILLED)
    assert found["wrong"] == []
    assert found["kills"] >= 10


def test_a_monitor_that_ends_itself_around_its_calls_closes_every_leg_once(tmp_path: Path) -> None:
    found = run(tmp_path, "--exits", "--kills=4", "--legs=12", "--positions=6")
    assert found["wrong"] == []
    assert found["kills"] >= 4


def test_of_three_monitors_on_one_store_each_leg_is_closed_once(tmp_path: Path) -> None:
    assert run(tmp_path, *RACED)["wrong"] == []


def test_without_a_lease_three_monitors_still_close_each_leg_once(tmp_path: Path) -> None:
    assert run(tmp_path, *RACED, "--without-lease")["wrong"] == []


def test_monitors_that_are_stopped_past_their_lease_and_go_on_do_no_harm(tmp_path: Path) -> None:
    found = run(tmp_path, *STOPPED)
    assert found["wrong"] == []
    assert found["stops"] > 0


@pytest.mark.parametrize("words", [KILLED, RACED], ids=["killed", "three at once"])
def test_a_careless_bot_is_found_out(tmp_path: Path, words: tuple[str, ...]) -> None:
    wrong = run(tmp_path, *words, "--engine=naive", "--lanes=1")["wrong"]
    assert any("was closed by" in one for one in wrong)


@pytest.mark.campaign
def test_a_monitor_killed_five_thousand_times_closes_every_leg_once(tmp_path: Path) -> None:
    words = ("--kills=5000", "--legs=200000", "--positions=150", "--life=1.5", "--most=8", "--lanes=5")
    assert run(tmp_path, *words)["wrong"] == []


@pytest.mark.campaign
def test_a_monitor_that_ends_itself_a_thousand_times_closes_every_leg_once(tmp_path: Path) -> None:
    assert run(tmp_path, "--exits", "--kills=1000", "--legs=10000", "--positions=40", "--lanes=4")["wrong"] == []


@pytest.mark.campaign
@pytest.mark.parametrize("lease", [(), ("--without-lease",)], ids=["leased", "without a lease"])
def test_eight_monitors_that_are_killed_and_stopped_close_each_leg_once(tmp_path: Path, lease: tuple[str, ...]) -> None:
    words = ("--kills=200", "--legs=6000", "--positions=100", "--workers=8", "--stops", "--life=0.5", *lease)
    assert run(tmp_path, *words)["wrong"] == []
