"""Monitors as processes: stopped, killed by file and by command, and worked with from a second terminal."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING

import pytest

from rebalancer import StoreMode
from rebalancer.adapters import SqliteStore
from rebalancer.adapters.clock import SystemClock
from rebalancer.testing import a_position
from rebalancer.testing.fake_venue import RemoteVenue, venue_process
from rebalancer.testing.fake_venue.truth import effects, net, parse, problems

if TYPE_CHECKING:
    from .conftest import Desk

PLUGIN = """
    from rebalancer import FundingSource, MarketSnapshot, Needs
    from rebalancer.adapters.clock import SystemClock
    from rebalancer.plugins import hookimpl
    from rebalancer.testing import FakeExecutor, a_quote
    from rebalancer.testing.fake_venue import Habits, RemoteVenue

    RATES = {"lighter": "0.0001", "grvt": "0.0003"}


    class Steady(FundingSource):
        name = "steady"
        supplies = Needs(opportunities=True, schedule=True, open_interest=True)

        async def snapshot(self, request):
            now = SystemClock().now()
            quotes = (a_quote(one.venue, RATES[one.venue], observed_at=now) for one in request.markets)
            return MarketSnapshot(as_of=now, quotes=tuple(quotes))


    def venues(*, port):
        return FakeExecutor(*(RemoteVenue(name, port=int(port), habits=Habits()) for name in RATES))


    @hookimpl
    def rebalancer_register_sources(register):
        register("steady", Steady)


    @hookimpl
    def rebalancer_register_executors(register):
        register("acme", venues)
"""


@pytest.fixture
def plugins(tmp_path: Path) -> Path:
    """A folder with a distribution that has a source and an executor on fake venues."""
    site = tmp_path / "site"
    info = site / "acme_desk-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-desk\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[rebalancer]\nplugin = acme_desk\n")
    (site / "acme_desk.py").write_text(dedent(PLUGIN))
    return site


def test_a_monitor_that_is_stopped_ends_well_and_gives_its_lease_back(desk: Desk) -> None:
    desk.imported()
    with desk.watching("--every", "60", *desk.at("12:00")) as monitor:
        assert "  dry  switch run  2 open, 0 closing, 0 held back, 0 alarms, " in monitor.until("switch run")
        assert monitor.interrupted() == 0
        assert monitor.rest == "stopped; what was begun is finished by the next monitor of this store\n"
    assert asyncio.run(_free(desk.store))


async def _free(path: Path) -> bool:
    """Whether anybody may have the lease at once."""
    async with SqliteStore(path, mode=StoreMode.DRY) as store:
        return await store.acquire("somebody else", timedelta(seconds=1)) is not None


def test_a_monitor_that_is_killed_by_command_sends_nothing_until_it_is_resumed(desk: Desk) -> None:
    desk.imported("paper")
    desk.said("kill")
    with desk.watching("--every", "1", *desk.at("15:00")) as monitor:
        assert "switch kill" in monitor.until("switch")
        assert monitor.until("ETH").endswith("CLOSE DIVERGENCE_FLIPPED, held: the kill switch is on\n")
        desk.said("resume")
        monitor.until("switch run")
        monitor.until("ETH long lighter / short grvt: closed")
        desk.said("kill")
        monitor.until("switch kill")
        assert monitor.interrupted() == 0


def test_a_kill_file_stops_a_monitor_and_is_remembered(desk: Desk) -> None:
    desk.imported("paper")
    file = desk.folder / "stop"
    with desk.watching("--every", "1", "--kill-file", file, *desk.at("12:00")) as monitor:
        monitor.until("switch run")
        file.touch()
        monitor.until("switch kill")
        assert monitor.interrupted(signal.SIGTERM) == 0  # asked politely, it ends as by Ctrl-C
    file.unlink()
    assert desk.status()["switch"] == "kill"


def test_a_close_from_a_second_terminal_is_sent_by_the_monitor_in_the_first(desk: Desk, plugins: Path) -> None:
    log, opened = desk.folder / "truth.jsonl", SystemClock().now() - timedelta(hours=5)
    position = a_position(opened_at=opened, long_quantity="0.1", short_quantity="0.1")
    desk.said("positions import", desk.save(position), "--mode", "live")
    with venue_process("lighter", "grvt", log=log, prices={"BTC": 100_000}) as port:
        _hold(port)
        trading = ("--source", "steady", "--executor", "acme", "--executor-option", f"port={port}")
        with desk.watching("--every", "2", "--plugin", "acme-desk", *trading, path=plugins) as monitor:
            assert "  live  switch run  1 open, 0 closing" in monitor.until("switch run")
            said = desk.on("close", str(position.id)[:8])
            assert "pending_close; nothing was sent yet" in said.stdout
            monitor.until("BTC long lighter / short grvt: closed")
            assert monitor.interrupted() == 0
    facts = parse(log.read_text())
    assert problems(facts) == []
    closed = {leg: (done.orders, str(done.quantity)) for (_, leg), done in effects(facts, "close").items()}
    assert closed == {"long": (1, "0.1"), "short": (1, "0.1")}
    assert not any(net(facts).values())


def _hold(port: int) -> None:
    """Have both legs of the position on the venues."""

    async def held() -> None:
        for name, quantity in (("lighter", "0.1"), ("grvt", "-0.1")):
            venue = await RemoteVenue.connect(name, port=port)
            await venue.control("hold", symbol="BTC", quantity=quantity)

    asyncio.run(held())


def test_an_alarm_is_in_the_table_and_not_printed_beside_it(desk: Desk) -> None:
    desk.imported()
    with desk.watching("--once", "--url", "http://127.0.0.1:9/") as monitor:
        monitor.until("source_down")
        assert monitor.process.wait(timeout=20) == 1
        assert monitor.rest == ""


def test_of_two_monitors_one_stands_by(desk: Desk) -> None:
    desk.imported()
    with desk.watching("--every", "3600", *desk.at("12:00")) as first:
        first.until("switch run")
        result = desk.on("monitor", "--once", *desk.at("12:00"))
        assert "Another monitor is active; this one stands by.\n" in result.stdout
        assert result.exit_code == 1
