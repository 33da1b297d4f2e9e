"""`rebalancer demo`, as a user runs it: with a monitor at work on fake venues, and killed."""

from __future__ import annotations

import os
import subprocess
import sys
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console

from rebalancer import Position, PositionStatus
from rebalancer.cli import demo, demo_live, demo_monitor
from rebalancer.cli.demo_verdict import WrongError, judge
from rebalancer.plugins import PluginManager
from rebalancer.testing import a_position
from rebalancer.testing.fake_venue import venue_process

PRESETS = PluginManager().registry.presets
SEVEN = (
    "PROFIT_EROSION",
    "DIVERGENCE_FLIPPED",
    "BETTER_OPPORTUNITY",
    "TIME_LIMIT",
    "PRE_FUNDING_EXIT",
    "OI_IMBALANCE",
    "WEEKLY_REBALANCE",
)
LIVE = "Live monitoring: "


@pytest.fixture(scope="module")
def shown() -> subprocess.CompletedProcess[str]:
    """What a process of its own shows, which is no terminal."""
    kept = {name: value for name, value in os.environ.items() if name not in ("FORCE_COLOR", "TTY_COMPATIBLE")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-m", "rebalancer", "demo"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={**kept, "COLUMNS": "80"},
    )


def test_the_demo_ends_well_and_quietly(shown: subprocess.CompletedProcess[str]) -> None:
    assert (shown.returncode, shown.stderr) == (0, "")


def test_the_offline_part_is_the_same_in_every_process(shown: subprocess.CompletedProcess[str]) -> None:
    console = Console(file=StringIO(), width=80, highlight=False, emoji=False)
    demo.offline(console)
    assert shown.stdout.startswith(console.file.getvalue() + LIVE)  # type: ignore[attr-defined]  # it is a StringIO


def test_a_decision_of_each_of_the_seven_strategies_is_explained(shown: subprocess.CompletedProcess[str]) -> None:
    explained = shown.stdout.split(LIVE)[0]
    assert [reason for reason in SEVEN if reason not in explained] == []
    assert [name for name in PRESETS if f"\n {name} " not in explained] == []


def test_it_fits_a_terminal_of_80_columns_and_is_plain_text_elsewhere(
    shown: subprocess.CompletedProcess[str],
) -> None:
    tables = [line for line in shown.stdout.splitlines() if "─" in line or "  " in line.strip()]
    assert [line for line in tables if len(line) > 80] == []
    live = shown.stdout.split(LIVE)[1].splitlines()
    assert [line for line in live if len(line) > 80] == []
    assert "\x1b" not in shown.stdout


def test_it_shows_holds_a_leg_failure_a_crash_recovered_and_what_really_happened(
    shown: subprocess.CompletedProcess[str],
) -> None:
    live = " ".join(shown.stdout.split(LIVE)[1].split())
    for said in (
        "10 ticks, 100 decisions to hold, 0 orders sent",
        "1 close begun: DIVERGENCE_FLIPPED; 9 hold",
        "alarm half_closed: ETH: one leg is closed and the other is not yet",
        "ETH short leg: rejected, then filled",
        "SOL long leg: partial, then filled",
        "killed, exit status -9",
        "XRP, long leg sent none filled 1",
        "DOGE, short leg sent filled filled 1",
        "5 alarms: needs_approval",
        "10 positions, 20 legs, 22 orders: 0 lost, 0 doubled, all flat",
    ):
        assert said in live


def test_it_fails_with_status_1_if_the_monitor_does_not_live(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_monitor, "MONITOR", "rebalancer.cli.no_such_module")
    with pytest.raises(typer.Exit) as ended:
        demo_live.run(Console(file=StringIO()))
    assert ended.value.exit_code == 1


def test_it_fails_with_status_1_if_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_live, "PATIENCE", 0.01)
    with pytest.raises(typer.Exit) as ended:
        demo_live.run(Console(file=StringIO()))
    assert ended.value.exit_code == 1


# The verdict


def a_fact(fact: str, number: int, **more: Any) -> dict[str, Any]:
    """A line of the log about BTC."""
    return {"seq": number, "at": f"2026-01-05T12:00:0{number}Z", "symbol": "BTC", "fact": fact, **more}


def a_closed_leg(position: Position, leg: str, first: int, *, closes: int = 1) -> list[dict[str, Any]]:
    """The log of a leg of 0.1 that was closed, by as many orders of its whole size."""
    venue, side, sign = ("lighter", "sell", 1) if leg == "long" else ("grvt", "buy", -1)
    held = Decimal("0.1") * sign
    facts = [a_fact("changed", first, venue=venue, quantity=str(held), position=str(held), why="held before")]
    for number in range(closes):
        held -= Decimal("0.1") * sign
        order = f"{venue}-{number}"
        tag = {"position": str(position.id), "leg": leg, "effect": "close"}
        facts.append(
            a_fact(
                "accepted",
                first + 1 + 2 * number,
                venue=venue,
                id=order,
                order=order,
                side=side,
                quantity="0.1",
                reduce_only=False,
                tag=tag,
            )
        )
        facts.append(
            a_fact("filled", first + 2 + 2 * number, venue=venue, order=order, quantity="0.1", position=str(held))
        )
    return facts


def verdict(position: Position, facts: list[dict[str, Any]]) -> str:
    """The last line that is printed."""
    console = Console(file=StringIO(), width=100)
    judge(console, [position], facts)
    return str(console.file.getvalue().splitlines()[-1])  # type: ignore[attr-defined]  # it is a StringIO


CLOSED = a_position(status=PositionStatus.CLOSED, close_reason="TIME_LIMIT")


def test_both_legs_closed_once_are_flat() -> None:
    facts = [*a_closed_leg(CLOSED, "long", 1), *a_closed_leg(CLOSED, "short", 4)]
    assert verdict(CLOSED, facts) == "1 positions, 2 legs, 2 orders: 0 lost, 0 doubled, all flat"


def test_a_leg_that_was_closed_twice_is_told() -> None:
    facts = [*a_closed_leg(CLOSED, "long", 1), *a_closed_leg(CLOSED, "short", 4, closes=2)]
    with pytest.raises(WrongError, match=r"0 lost, 1 doubled, 1 legs left; .*was grown to 0\.1 by a close"):
        verdict(CLOSED, facts)


def test_a_leg_that_is_left_is_told() -> None:
    facts = [*a_closed_leg(CLOSED, "long", 1), *a_closed_leg(CLOSED, "short", 4, closes=0)]
    with pytest.raises(WrongError, match="0 lost, 0 doubled, 1 legs left"):
        verdict(CLOSED, facts)


def test_a_position_that_the_store_does_not_have_as_closed_is_lost() -> None:
    facts = [*a_closed_leg(CLOSED, "long", 1), *a_closed_leg(CLOSED, "short", 4)]
    with pytest.raises(WrongError, match="1 lost, 0 doubled, all flat"):
        verdict(a_position(), facts)


def test_a_monitor_whose_demonstration_is_gone_ends(tmp_path: Path) -> None:
    with venue_process(*demo_monitor.VENUES, log=tmp_path / "log", prices={"BTC": 1}) as port:
        command = [sys.executable, "-m", demo_monitor.MONITOR, str(port), str(tmp_path / "store.db")]
        ended = subprocess.run(command, input="", capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")
