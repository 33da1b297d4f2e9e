"""The second part of the demonstration: a monitor at work on fake venues, what goes wrong there, and what is left.

The venues, the monitor and this program are processes of their own. Everything that is said is read from the monitor's
reports, from its store, and at the end from the log of what really happened on the venues.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import fill
from typing import Any

import typer
from rich.console import Console
from rich.rule import Rule as Line
from rich.text import Text

from ..adapters import SqliteStore, SystemClock
from ..domain.batch import StoreMode
from ..domain.explain import span
from ..domain.intents import Intent, IntentState, Side
from ..domain.numbers import Number, read_number
from ..domain.position import Position, PositionStatus
from ..domain.times import seconds
from ..errors import RebalancerError
from ..testing.fake_venue import Fate, RemoteVenue, truth, venue_process
from .common import say_error
from .demo_monitor import LIMITS, VENUES, Monitor, a_monitor
from .demo_verdict import ORDERS, WrongError, judge
from .render import table

PRICES: Mapping[str, Number] = {
    "BTC": 100_000,
    "ETH": 4_000,
    "SOL": 200,
    "XRP": 2,
    "DOGE": "0.2",
    "AVAX": 25,
    "LINK": 20,
    "SUI": 4,
    "HYPE": 40,
    "TON": 5,
}
SIZE = 10_000
"""Dollars on each leg."""
PATIENCE = 60.0
"""Seconds that all of it may take; it takes about five."""
_SOON = 0.2
"""Seconds between two ticks."""


def run(console: Console) -> None:
    """Show it, in a few seconds. Raises typer.Exit with status 1 if anything is not as it should be."""
    console.print(Text("Live monitoring: ten positions on two fake venues", style="bold"))
    console.print(
        "The venues, the monitor and this program are three processes. The clock, the\n"
        "files and the kill -9 are real. Ticks follow each other at once, not by minutes."
    )
    try:
        asyncio.run(_played(console))
    except WrongError as error:
        wrong = str(error)
    except TimeoutError:
        wrong = f"it did not end within {PATIENCE:g} s"
    except (RebalancerError, OSError, ValueError) as error:  # a process or a file that does not do its part
        wrong = f"{type(error).__name__}: {error}"
    else:
        return
    say_error(f"the live part failed: {wrong}")
    raise typer.Exit(1)


async def _played(console: Console) -> None:
    with TemporaryDirectory(prefix="rebalancer-demo-") as folder:
        log, path = Path(folder, "truth.jsonl"), Path(folder, "positions.db")
        with venue_process(*VENUES, log=log, prices=PRICES) as port:
            async with asyncio.timeout(PATIENCE), SqliteStore(path, mode=StoreMode.LIVE) as store:
                await Play(console, port=port, log=log, path=path, store=store).all_acts()


class Play:
    """What happens, act by act."""

    def __init__(self, console: Console, *, port: int, log: Path, path: Path, store: SqliteStore) -> None:
        self._console = console
        self._port = port
        self._log = log
        self._path = path
        self._store = store
        self._positions = {symbol: _position(symbol) for symbol in PRICES}

    async def all_acts(self) -> None:
        """From the first position to the last."""
        venues = [await RemoteVenue.connect(name, port=self._port) for name in VENUES]
        for position in self._positions.values():
            await venues[0].control("hold", symbol=position.symbol, quantity=str(position.long_quantity))
            await venues[1].control("hold", symbol=position.symbol, quantity=f"-{position.short_quantity}")
        async with a_monitor(self._port, self._path) as monitor:
            await self._holds(monitor)
            await self._flips(monitor)
            await self._half_closes(monitor, *venues)
            before = await self._dies(monitor)
        async with a_monitor(self._port, self._path) as monitor:
            await self._recovers(monitor, before)
            await self._panics(monitor)
        self._act("What really happened, by the venues' own log")
        judge(self._console, await self._closed(self._positions), truth.read(self._log))

    # Acts

    async def _holds(self, monitor: Monitor) -> None:
        self._act("Ten positions are taken over, and nothing happens")
        positions = [position.model_dump(mode="json") for position in self._positions.values()]
        reports = [await monitor.told("adopt", positions=positions), *[await monitor.told() for _ in range(9)]]
        holds = sum(report["holds"] for report in reports)
        self._say(f"{len(reports)} ticks, {holds} decisions to hold, {len(self._orders())} orders sent")
        _require(holds == len(reports) * len(self._positions), f"not everything was held: {reports}")

    async def _flips(self, monitor: Monitor) -> None:
        self._act("BTC: the edge turns against us")
        report = await monitor.told(turned=["BTC"])
        await self._until(monitor, "BTC")
        (closed,) = await self._closed(["BTC"])
        orders = [order for order in self._orders() if order["symbol"] == "BTC"]
        _require(all(order["reduce_only"] for order in orders), "an order could have opened a position")
        self._say(f"{report['begun']} close begun: {closed.close_reason}; {report['holds']} hold")
        self._say(f"{len(orders)} orders, reduce-only; the position is {closed.status}")

    async def _half_closes(self, monitor: Monitor, long_venue: RemoteVenue, short_venue: RemoteVenue) -> None:
        self._act("ETH: the short venue rejects. SOL: the long venue fills 40 %")
        await short_venue.control("plan", call="place", symbol="ETH", fate=Fate(reject="no liquidity"))
        await long_venue.control("plan", call="place", symbol="SOL", fate=Fate(share="0.4"))
        report = await monitor.told(turned=["ETH", "SOL"])
        self._alarms(report, "half_closed")
        for symbol in ("ETH", "SOL"):
            status = await self._status(symbol)
            _require(status is PositionStatus.HALF_CLOSED, f"{symbol} is {status}, not half closed")
        await self._until(monitor, "ETH", "SOL")
        for symbol in ("ETH", "SOL"):
            for leg in Side:
                tried = ", then ".join(str(intent.state) for intent in await self._closes(symbol, leg))
                self._say(f"{symbol} {leg} leg: {tried}")
        self._say("both are closed, each attempt under a key of its own")

    async def _dies(self, monitor: Monitor) -> dict[str, tuple[Intent, bool]]:
        """What was stored of each order when the monitor died, and whether the venue had filled it."""
        self._act("XRP and DOGE: kill -9 in the middle of both closes")
        answer = await monitor.told(turned=["XRP", "DOGE"], stand={"XRP": "before", "DOGE": "after"})
        _require("stands" in answer, f"the monitor did not come as far as it should: {answer}")
        status = await monitor.kill()
        self._say(f"killed, exit status {status}: XRP just before its orders went out,")
        self._say("DOGE just after, before anything of the answer was stored")
        filled = {fact["id"] for fact in truth.read(self._log) if fact["fact"] == "filled"}
        intents = [intent for symbol in ("XRP", "DOGE") for leg in Side for intent in await self._closes(symbol, leg)]
        return {intent.key: (intent, intent.key in filled) for intent in intents}

    async def _recovers(self, monitor: Monitor, before: dict[str, tuple[Intent, bool]]) -> None:
        self._act("Another monitor starts, and has only the store")
        self._say(f"the lease of the dead one has to run out first: at most {span(seconds(LIMITS.lease))}")
        await self._until(monitor, "XRP", "DOGE")
        rows = table("order", "stored at death", "on the venue", "stored now", "orders in all")
        counted = truth.orders_per_id(truth.read(self._log))
        for key, (intent, filled) in before.items():
            (now,) = await self._closes(intent.symbol, intent.leg)
            there, orders = "filled" if filled else "none", counted.get((intent.venue, key), 0)
            rows.add_row(f"{intent.symbol}, {intent.leg} leg", intent.state, there, now.state, str(orders))
            _require(intent.state is IntentState.SENT, f"the {intent.symbol} order was {intent.state} when it died")
            _require(filled == (intent.symbol == "DOGE"), f"the {intent.symbol} order was filled: {filled}")
        self._console.print(rows)

    async def _panics(self, monitor: Monitor) -> None:
        rest = ["AVAX", "LINK", "SUI", "HYPE", "TON"]
        self._act(f"{', '.join(rest)} want out at once")
        report = await monitor.told(turned=rest)
        _require(report["begun"] == 0, f"exits began that should wait: {report}")
        for why in report["skipped"]:
            self._say(why)
        waiting = {
            self._symbol(alarm): alarm["approve"] for alarm in report["alarms"] if alarm["kind"] == "needs_approval"
        }
        _require(len(waiting) == len(rest), f"{len(waiting)} of {len(rest)} exits wait for approval")
        self._say(f"{len(waiting)} alarms: needs_approval")
        first, *others = rest
        await monitor.told("approve", name=waiting[first])
        await self._until(monitor, first)
        still = [await self._status(symbol) for symbol in others]
        _require(set(still) == {PositionStatus.OPEN}, f"more went than were approved: {still}")
        self._say(f"{first} is approved, and closed; the other {len(others)} are still held")
        await monitor.told("flatten")
        await self._until(monitor, *others)
        reasons = {str(one.close_reason) for one in await self._closed(others)}
        self._say(f"the switch is set to flatten, and they are closed: {', '.join(reasons)}")

    # What is known

    async def _until(self, monitor: Monitor, *symbols: str) -> None:
        """Tick until these positions are closed. `PATIENCE` ends it if they never are."""
        while any([await self._status(symbol) is not PositionStatus.CLOSED for symbol in symbols]):
            await asyncio.sleep(_SOON)
            await monitor.told()

    async def _status(self, symbol: str) -> PositionStatus:
        (position,) = await self._stored([symbol])
        return position.status

    async def _stored(self, symbols: Collection[str]) -> list[Position]:
        found = [await self._store.position(self._positions[symbol].id) for symbol in symbols]
        return [position for position in found if position is not None]

    async def _closed(self, symbols: Collection[str]) -> list[Position]:
        found = await self._stored(symbols)
        _require(len(found) == len(symbols), f"the store has {len(found)} of {len(symbols)} positions")
        return found

    async def _closes(self, symbol: str, leg: Side) -> list[Intent]:
        """The attempts to close a leg, in order."""
        return [intent for intent in await self._store.intents(self._positions[symbol].id) if intent.leg is leg]

    def _orders(self) -> list[truth.Fact]:
        """Every order that came to a venue."""
        return [fact for fact in truth.read(self._log) if fact["fact"] in ORDERS]

    def _symbol(self, alarm: dict[str, Any]) -> str:
        """The position that an alarm is about."""
        return next(one.symbol for one in self._positions.values() if str(one.id) == alarm["position_id"])

    def _act(self, name: str) -> None:
        self._console.print()
        self._console.print(Line(Text(name), align="left", style="dim"))

    def _say(self, what: str, *, style: str = "") -> None:
        lines = fill(what, self._console.width, initial_indent="  ", subsequent_indent="  ")
        self._console.print(Text(lines, style=style), soft_wrap=True)

    def _alarms(self, report: dict[str, Any], kind: str) -> None:
        found = [alarm for alarm in report["alarms"] if alarm["kind"] == kind]
        _require(bool(found), f"there is no alarm {kind}: {report}")
        for symbol, why in sorted((self._symbol(alarm), alarm["why"]) for alarm in found):
            self._say(f"alarm {kind}: {symbol}: {why}", style="yellow")


def _position(symbol: str) -> Position:
    """Opened five hours ago at 2 bp per 8 h."""
    return Position(
        symbol=symbol,
        long_dex=VENUES[0],
        short_dex=VENUES[1],
        size_usd=SIZE,
        entry_long_rate="0.0001",
        entry_short_rate="0.0003",
        opened_at=SystemClock().now() - timedelta(hours=5),
        long_quantity=_tokens(symbol),
        short_quantity=_tokens(symbol),
    )


def _tokens(symbol: str) -> Decimal:
    """What `SIZE` buys."""
    return SIZE / read_number(PRICES[symbol])


def _require(holds: bool, why: str) -> None:  # noqa: FBT001
    if not holds:
        raise WrongError(why)
