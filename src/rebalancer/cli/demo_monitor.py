"""The monitor of the demonstration, in a process of its own: both ends of it.

It is told what to do on standard input, a line each, and answers in one line. It can be told to stand still around a
send, so that it can be killed just there.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from .. import presets
from ..adapters import CallbackSource, SqliteStore, SystemClock
from ..domain.batch import StoreMode
from ..domain.funding import FundingRate
from ..domain.intents import Intent
from ..domain.market import Quote
from ..domain.names import Market
from ..domain.needs import Needs
from ..domain.orders import Report
from ..domain.position import Position
from ..domain.request import MarketRequest
from ..domain.tick import TickReport
from ..monitor.limits import MonitorLimits
from ..monitor.position_monitor import PositionMonitor
from ..testing.fake_venue import FakeExecutor, RemoteVenue
from .demo_verdict import WrongError

MONITOR = "rebalancer.cli.demo_monitor"
"""The module that a monitor's process runs."""
VENUES = ("lighter", "grvt")
LIMITS = MonitorLimits(call_deadline=timedelta(seconds=1), lease=timedelta(seconds=2))
"""As usual, but for a lease that ends soon after its holder was killed."""
_EIGHT_HOURS = timedelta(hours=8)
_HELD, _TURNED = ("0.0001", "0.0003"), ("0.0003", "0.0001")


# The side of who tells it


class Monitor:
    """A monitor in a process of its own."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def told(self, do: str = "tick", **more: object) -> dict[str, Any]:
        """What it says after it was told something."""
        assert self._process.stdin is not None  # both are pipes
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **more}).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise WrongError("the monitor ended by itself")
        answer: dict[str, Any] = json.loads(line)
        return answer

    async def kill(self) -> int:
        """Kill it, and give its exit status."""
        self._process.kill()
        return await self._process.wait()


@asynccontextmanager
async def a_monitor(port: int, path: Path) -> AsyncIterator[Monitor]:
    """A new monitor, until the block ends."""
    command = (sys.executable, "-m", MONITOR, str(port), str(path))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE)
    assert process.stdin is not None  # it is a pipe
    try:
        yield Monitor(process)
        process.stdin.close()
        await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        process.stdin.close()


# The process itself


class Standing(FakeExecutor):
    """Stands still, and the whole process with it, when orders of all of `places` have come that far.

    `places` says for a symbol whether that is before an order is sent, or after it was.
    """

    def __init__(self, *venues: RemoteVenue) -> None:
        super().__init__(*venues)
        self._places: dict[str, str] = {}
        self._left: set[Market] = set()

    def stand(self, places: Mapping[str, str]) -> None:
        """Stand still at these places from now on."""
        self._places = dict(places)
        self._left = {Market(venue, symbol) for symbol in places for venue in VENUES}

    async def send(self, intent: Intent) -> Report:
        """Send an order, if that is not where to stand still."""
        place = self._places.get(intent.symbol)
        if place == "before":
            await self._came(intent)
        report = await super().send(intent)
        if place == "after":
            await self._came(intent)
        return report

    async def _came(self, intent: Intent) -> None:
        self._left.discard(intent.market)
        if not self._left:
            _say({"stands": True})
            sys.stdin.read()  # nothing in this process goes on, until it is killed
        await asyncio.Event().wait()


async def serve(port: int, path: Path) -> None:
    """Do what standard input says, until it ends."""
    executor = Standing(*[await RemoteVenue.connect(name, port=port) for name in VENUES])
    turned: set[str] = set()

    async def rates(request: MarketRequest) -> list[Quote]:
        now = SystemClock().now()
        return [_quote(market, now, turned) for market in request.markets]

    source = CallbackSource(rates, supplies=Needs(opportunities=True))
    strategy = presets.conservative()
    async with (
        SqliteStore(path, mode=StoreMode.LIVE) as store,
        PositionMonitor(strategy=strategy, source=source, store=store, executor=executor, limits=LIMITS) as monitor,
    ):
        while line := await asyncio.to_thread(sys.stdin.readline):
            told = json.loads(line)
            turned.update(told.get("turned", ()))
            executor.stand(told.get("stand", {}))
            _say(await _done(monitor, told))


async def _done(monitor: PositionMonitor, told: Mapping[str, Any]) -> Mapping[str, object]:
    match told["do"]:
        case "adopt":
            for position in told["positions"]:
                await monitor.adopt(Position.model_validate(position))
        case "approve":
            await monitor.approve(told["name"])
        case "flatten":
            await monitor.flatten()
    return _told(await monitor.check_all_positions())


def _told(report: TickReport) -> dict[str, object]:
    """A report as JSON: what the demonstration shows of it."""
    return {
        "active": report.active,
        "holds": sum(decision.action == "HOLD" for decision in report.decisions),
        "begun": len(report.begun),
        "closing": len(report.closing),
        "skipped": sorted({skipped.why for skipped in report.skipped}),
        "failures": [f"{failure.what}: {failure.why}" for failure in report.failures],
        "alarms": [alarm.model_dump(mode="json") for alarm in report.alarms],
    }


def _quote(market: Market, now: datetime, turned: Collection[str]) -> Quote:
    """A rate per 8 h: the long venue pays less than the short one, until the symbol has turned."""
    long_rate, short_rate = _TURNED if market.symbol in turned else _HELD
    rate = FundingRate(long_rate if market.venue == VENUES[0] else short_rate, _EIGHT_HOURS)
    return Quote(venue=market.venue, symbol=market.symbol, rate=rate, observed_at=now)


def _say(what: Mapping[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    logging.getLogger("rebalancer").addHandler(logging.NullHandler())  # its alarms are in what it says
    with suppress(KeyboardInterrupt):  # it came to all processes of the demonstration, which one of them tells
        asyncio.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
