"""The latest settlements of a source's venues: all of a market's or none of it, before a deadline."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import RateKind, SourceUnavailableError
from rebalancer.adapters.ccxt_source import CcxtSource
from rebalancer.domain.names import Market
from rebalancer.testing import ManualClock

if TYPE_CHECKING:
    from .conftest import Serve, VenueServer

BEGIN = datetime(2025, 12, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
NOW = BEGIN + 100 * HOUR + timedelta(minutes=3)
PAST = {"binance": "/fapi/v1/fundingRate", "bybit": "/v5/market/funding/history"}
BINANCE, BYBIT = Market("binance", "BTC"), Market("bybit", "BTC")


def a_past(server: VenueServer) -> None:
    """Have a venue settle every 8 h from two days before BEGIN on."""

    def answer(query: dict[str, Any]) -> Any:
        times = [int((BEGIN + HOUR * hour).timestamp()) * 1000 for hour in range(-48, 200, 8)]
        within = [at for at in times if int(query["startTime"]) <= at <= int(query["endTime"])]
        if server.name == "bybit":
            rows = [
                {"symbol": query["symbol"], "fundingRate": "0.0001", "fundingRateTimestamp": str(at)} for at in within
            ]
            return {"retCode": 0, "result": {"category": "linear", "list": rows}}
        return [{"symbol": query["symbol"], "fundingTime": at, "fundingRate": "0.0001"} for at in within]

    server.answers[PAST[server.name]] = answer


def a_source(*servers: VenueServer, **options: Any) -> CcxtSource:
    exchanges = {server.name: server.exchange for server in servers}
    return CcxtSource(exchanges=exchanges, clock=ManualClock(NOW), **options)


async def test_settlements_are_those_since_then_in_order_of_time(serve: Serve) -> None:
    servers = await serve("binance", "BTC", "ETH"), await serve("bybit")
    for server in servers:
        a_past(server)
    since = BEGIN + 80 * HOUR
    found = await a_source(*servers).settlements([BINANCE, BYBIT, Market("elsewhere", "BTC")], since)
    times = [since, since, since + 8 * HOUR, since + 8 * HOUR, since + 16 * HOUR, since + 16 * HOUR]
    assert [quote.observed_at for quote in found] == times
    assert {quote.market for quote in found} == {BINANCE, BYBIT}
    assert {(quote.kind, quote.origin, quote.pays_every) for quote in found} == {(RateKind.SETTLED, "ccxt", 8 * HOUR)}


async def test_a_venue_that_does_not_answer_in_time_costs_the_others_nothing(serve: Serve) -> None:
    binance, bybit = await serve("binance"), await serve("bybit")
    for server in (binance, bybit):
        a_past(server)
    source = a_source(binance, bybit, deadline=timedelta(seconds=1))
    await source.settlements([BINANCE, BYBIT], BEGIN)  # its markets are loaded
    binance.hanging.add(PAST["binance"])
    assert {quote.market for quote in await source.settlements([BINANCE, BYBIT], BEGIN)} == {BYBIT}
    with pytest.raises(SourceUnavailableError, match=r"^ccxt: binance: not all within [0-9.]+ s$"):
        await source.settlements([BINANCE], BEGIN)


async def test_a_market_of_which_a_part_is_missing_is_left_out(serve: Serve) -> None:
    binance = await serve("binance")
    a_past(binance)
    whole = binance.answers[PAST["binance"]]
    late = int((BEGIN + 50 * HOUR).timestamp()) * 1000
    binance.answers[PAST["binance"]] = lambda query: whole(query) if int(query["startTime"]) < late else 400
    with pytest.raises(SourceUnavailableError, match=r"^ccxt: BTC on binance: "):
        await a_source(binance).settlements([BINANCE], BEGIN - 24 * HOUR)


@pytest.mark.parametrize("venue", ["lighter", "paradex"])
async def test_a_venue_without_past_settlements_has_none(serve: Serve, venue: str) -> None:
    server = await serve(venue)
    assert await a_source(server).settlements([Market(venue, "BTC")], BEGIN) == ()


async def test_a_venue_whose_markets_can_not_be_loaded_is_unavailable(serve: Serve) -> None:
    binance = await serve("binance")
    source = a_source(binance)
    await binance.stop()
    with pytest.raises(SourceUnavailableError, match=r"^ccxt: binance: "):
        await source.settlements([BINANCE], BEGIN)
