"""What asking for the data of a tick costs: `python benchmarks/fetch.py`.

A server in a process of its own answers as the Funding Rate Service does, from memory: seven venues, thirteen symbols.
The naive design asks it twice for each position, one after the other (`compare`, then `best`, over the same kept
client). Each figure is the median of interleaved rounds; the naive one is five times that of 100 positions. The second
table is of a server that takes as long as the real service was seen to. Nothing here is a gate.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rebalancer import Position, presets
from rebalancer.adapters.clock import SystemClock
from rebalancer.adapters.funding_service import FundingServiceClient, FundingServiceSource
from rebalancer.monitor.fetch import Fetcher
from rebalancer.testing import a_position

ROUNDS = 41
NAIVE_ROUNDS = 5
NAIVE = 100
VENUES = ("aster", "backpack", "edgex", "grvt", "hyperliquid", "lighter", "paradex")
SYMBOLS = ("ARB", "AVAX", "BTC", "DOGE", "ETH", "FARTCOIN", "HYPE", "LINK", "PEPE", "SOL", "SUI", "TOSHI", "XRP")
TAKES = {"compare": 0.0012, "best": 0.0042, "bulk": 0.0018}
"""Seconds that the real service was seen to take, less what the exchange itself takes here."""


def row_of(venue: str, symbol: str) -> dict[str, Any]:
    """A row of rates, seen a moment ago."""
    at = datetime.now(UTC) - timedelta(seconds=20)
    later = at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    rate = 0.00001 * VENUES.index(venue) + 0.000001 * SYMBOLS.index(symbol)
    return {
        "funding_rate": round(rate, 10),
        "annualized_rate": 0.10950000000000001,
        "next_funding_time": later.isoformat()[:19],
        "timestamp": at.isoformat()[:23],
    }


def compared(query: dict[str, list[str]]) -> dict[str, Any]:
    """The answer of `compare`."""
    symbol = query["symbol"][0]
    legs = {key: {"name": query[key][0], **row_of(query[key][0], symbol)} for key in ("dex1", "dex2")}
    return {"symbol": symbol, **legs, "divergence": 0.0001, "divergence_bps": 1.0, "estimated_net_profit_8h": 0.0001}


def best(query: dict[str, list[str]]) -> dict[str, Any]:
    """The answer of `best`."""
    pair = {
        "symbol": query["symbol"][0],
        "long_dex": "aster",
        "short_dex": "paradex",
        "long_rate": 0.0,
        "short_rate": 0.00006,
        "divergence": 0.00006,
        "net_profit_percent": 0.00006,
        "min_volume_24h": 5e6,
        "min_oi_usd": 2e6,
        "discovered_at": datetime.now(UTC).isoformat()[:23],
    }
    return {"opportunity": pair, "rank": 1}


def answer(path: str, query: dict[str, list[str]]) -> tuple[str, dict[str, Any]]:
    """What kind of question it is, and the answer."""
    match path.strip("/").split("/"):
        case [*_, "compare"]:
            return "compare", compared(query)
        case [*_, "best"]:
            return "best", best(query)
        case [*_, "dexes"]:
            fees = {"maker_fee_percent": 0.0001, "taker_fee_percent": 0.0004}
            venue = {"fee_structure": fees, "last_successful_fetch": None}
            return "bulk", {"dexes": [{"name": name, "is_active": name != "edgex", **venue} for name in VENUES]}
        case [*_, venue_name]:
            rows = {symbol: row_of(venue_name, symbol) for symbol in SYMBOLS}
            return "bulk", {"dex_name": venue_name, "rates": rows}
    raise AssertionError(path)


async def serve(*, as_slow: bool) -> None:
    """Answer until killed; the port is the first line of the output."""

    async def exchange(reader: StreamReader, writer: StreamWriter) -> None:
        while head := await reader.readline():
            while (await reader.readline()).strip():
                pass
            target = urlsplit(head.decode().split()[1])
            kind, payload = answer(target.path, parse_qs(target.query))
            body = json.dumps(payload, separators=(",", ":")).encode()
            if as_slow:
                time.sleep(TAKES[kind])  # it is one process that is busy
            length = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
            writer.write(length.encode() + body)
        writer.close()

    server = await asyncio.start_server(exchange, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


def positions(count: int) -> list[Position]:
    """That many positions, on every pair of active venues and every symbol in turn."""
    active = [venue for venue in VENUES if venue != "edgex"]
    pairs = [(long, short) for long in active for short in active if long != short]
    return [
        a_position(
            symbol=SYMBOLS[number % len(SYMBOLS)],
            long_dex=pairs[number % len(pairs)][0],
            short_dex=pairs[number % len(pairs)][1],
            age=timedelta(minutes=number + 1),
        )
        for number in range(count)
    ]


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds that it takes."""
    start = time.perf_counter()
    await work()
    return (time.perf_counter() - start) * 1e3


async def measure(url: str) -> None:
    """One table: ticks of 10, 100 and 500 positions, and the naive design."""
    clock, strategy = SystemClock(), presets.conservative()
    async with FundingServiceSource(FundingServiceClient(url, clock=clock)) as source:
        fetcher = Fetcher(source, strategy, clock=clock)
        held = {count: positions(count) for count in (10, 100, 500)}

        async def naive() -> None:
            for position in held[NAIVE]:
                await source.client.compare_rates(position.symbol, position.long_dex, position.short_dex)
                await source.client.get_best_opportunity(symbol=position.symbol)

        async def tick(count: int) -> None:
            fetched = await fetcher.fetch(held[count])
            assert fetched.error is None
            assert not fetched.snapshot.missing

        async def decided(count: int) -> None:
            fetched = await fetcher.fetch(held[count])
            strategy.decide_all(held[count], fetched.snapshot)

        taken: dict[object, list[float]] = {count: [] for count in held}
        for number in range(ROUNDS):
            for count in held:
                taken[count].append(await timed(lambda count=count: tick(count)))  # type: ignore[misc]  # a default
            taken.setdefault("decided", []).append(await timed(lambda: decided(500)))
            if number % (ROUNDS // NAIVE_ROUNDS) == 0:
                taken.setdefault("naive", []).append(await timed(naive))
    ten, *_, most = (statistics.median(taken[count]) for count in held)
    naive_500 = statistics.median(taken["naive"]) * 500 / NAIVE
    for count in held:
        row(f"a tick for {count} positions", statistics.median(taken[count]))
    row("the same for 500, all decided", statistics.median(taken["decided"]))
    row(f"two requests a position, 500 (of {NAIVE} x {500 // NAIVE})", naive_500)
    print(f"500 against 10 positions: {most / ten:.2f} x; against two requests a position: 1/{naive_500 / most:.0f}")


def row(name: str, milliseconds: float) -> None:
    """One line of the table."""
    print(f"{name:45} {milliseconds:12.2f} ms", flush=True)


def main() -> None:
    """Both tables."""
    for how, title in (("fast", "a server that answers at once"), ("slow", "one that takes as long as the service")):
        with subprocess.Popen([sys.executable, __file__, how], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                port = server.stdout.readline().strip()
                print(f"\n{title}")
                asyncio.run(measure(f"http://127.0.0.1:{port}/api/v1"))
            finally:
                server.kill()


if __name__ == "__main__":
    if sys.argv[1:]:
        asyncio.run(serve(as_slow=sys.argv[1] == "slow"))
    else:
        main()
