"""Venues on a local HTTP server: what their endpoints answer, for ccxt's own classes to ask and to read."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import ccxt.async_support as ccxt  # type: ignore[import-untyped]  # ships no types
import pytest

from rebalancer.testing import AS_OF, ManualClock

NOW = AS_OF + timedelta(minutes=17)
Payload = dict[str, Any] | list[Any]
Query = dict[str, str]


def ms(at: datetime) -> int:
    """Milliseconds since 1970, as venues write times."""
    return int(at.timestamp()) * 1000


class VenueServer:
    """A venue: `answers` by path (a payload, a function of the query, or a status), `requests` that came.

    A path in `hanging` is never answered. `exchange` is ccxt's class for the venue, pointed here, and the host's own.
    """

    def __init__(self, name: str, answers: dict[str, Any]) -> None:
        self.name = name
        self.answers = answers
        self.hanging: set[str] = set()
        self.requests: list[str] = []
        self.base = ""
        self.exchange: Any = None
        self.made: list[Any] = []
        self._kind = getattr(ccxt, name)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Listen, and make the exchange."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.base = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.exchange = self.make()

    def make(self, config: dict[str, Any] | None = None) -> Any:
        """A new exchange of ccxt that asks this server, as fast as it likes."""
        exchange = self._kind({**(config or {}), "enableRateLimit": False, "verify": False})
        exchange.urls["api"] = {
            key: re.sub("https://[^/]+", self.base, url) for key, url in exchange.urls["api"].items()
        }
        exchange.timeout_on_exit = 0
        self.made.append(exchange)
        return exchange

    async def stop(self) -> None:
        """Refuse connections from now on."""
        assert self._server is not None
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def close(self) -> None:
        """Close the exchange, which is the host's, then the server."""
        await self.exchange.close()
        await self.stop()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while head := await reader.readline():
                await self._respond(head.decode(), reader, writer)
        except (asyncio.CancelledError, ConnectionError):
            pass
        finally:
            self._open.discard(task)
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _respond(self, head: str, reader: StreamReader, writer: StreamWriter) -> None:
        target = urlsplit(head.split()[1])
        length = 0
        while (line := (await reader.readline()).decode().strip().lower()) != "":
            if line.startswith("content-length:"):
                length = int(line.partition(":")[2])
        body = json.loads(await reader.readexactly(length) or b"{}")
        self.requests.append(target.path)
        if target.path in self.hanging:
            await asyncio.Event().wait()
        query = {key: values[0] for key, values in parse_qs(target.query).items()} | body
        answer = self.answers.get(target.path, 404)
        answer = answer(query) if callable(answer) else answer
        status, payload = (answer, {"sorry": True}) if isinstance(answer, int) else (200, answer)
        text = json.dumps(payload).encode()
        writer.write(
            f"HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\n\r\n".encode()
            + text
        )
        await writer.drain()


def hyperliquid(symbols: tuple[str, ...]) -> dict[str, Any]:
    universe = [{"name": name, "szDecimals": 5, "maxLeverage": 40} for name in symbols]
    context = {
        "funding": "0.0000125",
        "openInterest": "1500.5",
        "prevDayPx": "89000.0",
        "dayNtlVlm": "2000000.4",
        "premium": "0.0004",
        "oraclePx": "90010.0",
        "markPx": "90000.0",
        "midPx": "90001.0",
        "impactPxs": ["89999.0", "90002.0"],
    }
    perpetuals = [{"universe": universe}, [dict(context) for _ in symbols]]
    answers: dict[str, Payload] = {
        "metaAndAssetCtxs": perpetuals,
        "spotMetaAndAssetCtxs": [{"tokens": [], "universe": []}, []],
        "spotMeta": {"tokens": [], "universe": []},
        "perpDexs": [None],
    }

    def info(query: Query) -> Payload:
        return answers[query["type"]]

    return {"/info": info, "perpetuals": perpetuals}


def paradex(symbols: tuple[str, ...]) -> dict[str, Any]:
    markets = [
        {
            "symbol": f"{name}-USD-PERP",
            "base_currency": name,
            "quote_currency": "USD",
            "settlement_currency": "USDC",
            "order_size_increment": "0.001",
            "price_tick_size": "0.1",
            "min_notional": "100",
            "asset_kind": "PERP",
            "max_funding_rate": "0.05",
            "funding_period_hours": 8,
        }
        for name in symbols
    ]
    summaries = [
        {
            "symbol": f"{name}-USD-PERP",
            "mark_price": "90000.5",
            "underlying_price": "90010",
            "last_traded_price": "90000",
            "volume_24h": "5815541.39",
            "created_at": ms(NOW - timedelta(seconds=3)),
            "open_interest": "162.272",
            "funding_rate": "-0.00021",
        }
        for name in symbols
    ]

    def summary(query: Query) -> Payload:
        return {"results": [row for row in summaries if query["market"] in ("ALL", row["symbol"])]}

    return {"/v1/markets": {"results": markets}, "/v1/markets/summary": summary}


def aster(symbols: tuple[str, ...]) -> dict[str, Any]:
    contracts = [
        {
            "symbol": f"{name}USDT",
            "status": "TRADING",
            "contractType": "PERPETUAL",
            "baseAsset": name,
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "pricePrecision": 1,
            "quantityPrecision": 3,
            "filters": [],
        }
        for name in symbols
    ]
    premiums = [
        {
            "symbol": f"{name}USDT",
            "markPrice": "90000.5",
            "indexPrice": "90010",
            "estimatedSettlePrice": "90005",
            "lastFundingRate": "0.00005",
            "interestRate": "0.00010000",
            "nextFundingTime": ms(AS_OF + timedelta(hours=4)),
            "time": ms(NOW - timedelta(seconds=2)),
        }
        for name in symbols
    ]
    intervals = [{"symbol": f"{name}USDT", "fundingIntervalHours": 4, "time": ms(NOW)} for name in symbols]
    tickers = [{"symbol": f"{name}USDT", "lastPrice": "90000", "quoteVolume": "923607368.61"} for name in symbols]
    return {
        "/api/v3/exchangeInfo": {"symbols": []},
        "/fapi/v3/exchangeInfo": {"symbols": contracts},
        "/fapi/v3/premiumIndex": premiums,
        "/fapi/v3/fundingInfo": intervals,
        "/fapi/v3/ticker/24hr": tickers,
    }


def backpack(symbols: tuple[str, ...]) -> dict[str, Any]:
    filters = {"price": {"tickSize": "0.1"}, "quantity": {"stepSize": "0.001", "minQuantity": "0.001"}}
    markets = [
        {
            "symbol": f"{name}_USDC_PERP",
            "baseSymbol": name,
            "quoteSymbol": "USDC",
            "marketType": "PERP",
            "fundingInterval": 3_600_000,
            "filters": filters,
            "orderBookState": "Open",
        }
        for name in symbols
    ]

    def mark_prices(query: Query) -> Payload:
        return [
            {
                "symbol": query["symbol"],
                "fundingRate": "0.00002",
                "indexPrice": "90010",
                "markPrice": "90000",
                "nextFundingTimestamp": ms(AS_OF + timedelta(hours=1)),
            }
        ]

    def open_interest(query: Query) -> Payload:
        return [{"symbol": query["symbol"], "openInterest": "1273.5", "timestamp": ms(NOW)}]

    return {
        "/api/v1/markets": markets,
        "/api/v1/securities": [],
        "/api/v1/assets": [],
        "/api/v1/markPrices": mark_prices,
        "/api/v1/openInterest": open_interest,
        "/api/v1/tickers": [
            {"symbol": f"{name}_USDC_PERP", "lastPrice": "90000", "quoteVolume": "7000000.2"} for name in symbols
        ],
    }


def lighter(symbols: tuple[str, ...]) -> dict[str, Any]:
    details = [
        {
            "symbol": name,
            "market_id": number,
            "market_type": "perp",
            "status": "active",
            "size_decimals": 4,
            "price_decimals": 2,
            "quote_multiplier": 1,
            "last_trade_price": 90000.5,
            "mark_price": "90000.5",
            "daily_quote_token_volume": 1671431095.26,
            "open_interest": 39.5,
        }
        for number, name in enumerate(symbols)
    ]
    others = [{"market_id": 0, "exchange": "binance", "symbol": symbols[0], "rate": 0.07}]
    own = [
        {"market_id": number, "exchange": "lighter", "symbol": name, "rate": 0.00009599999999999999}
        for number, name in enumerate(symbols)
    ]
    return {
        "/api/v1/orderBookDetails": {"code": 200, "order_book_details": details, "spot_order_book_details": []},
        "/api/v1/funding-rates": {"code": 200, "funding_rates": others + own},
        "/api/v1/assetDetails": {"code": 200, "asset_details": []},
    }


def pacifica(symbols: tuple[str, ...]) -> dict[str, Any]:
    markets = [
        {
            "symbol": name,
            "base_asset": name,
            "instrument_type": "perpetual",
            "tick_size": "1",
            "lot_size": "0.00001",
            "max_leverage": 50,
            "min_order_size": "10",
            "max_order_size": "5000000",
        }
        for name in symbols
    ]
    prices = [
        {
            "symbol": name,
            "funding": "0.0005",
            "next_funding": "-0.000015",
            "mark": "90000",
            "mid": "90001",
            "oracle": "90010",
            "open_interest": "12.5",
            "timestamp": ms(NOW - timedelta(seconds=4)),
            "volume_24h": "20896698.06",
            "yesterday_price": "89000",
        }
        for name in symbols
    ]
    return {
        "/api/v1/info": {"success": True, "data": markets, "error": None, "code": None},
        "/api/v1/info/prices": {"success": True, "data": prices, "error": None, "code": None},
    }


def grvt(symbols: tuple[str, ...]) -> dict[str, Any]:
    instruments = [
        {
            "instrument": f"{name}_USDT_Perp",
            "base": name,
            "quote": "USDT",
            "kind": "PERPETUAL",
            "tick_size": "0.1",
            "min_size": "0.001",
            "base_decimals": 9,
            "quote_decimals": 6,
            "funding_interval_hours": 4,
        }
        for name in symbols
    ]

    def ticker(query: Query) -> Payload:
        return {
            "result": {
                "instrument": query["instrument"],
                "event_time": str(ms(NOW - timedelta(seconds=1)) * 1_000_000),
                "mark_price": "90000.5",
                "last_price": "90000",
                "funding_rate_8h_curr": "0.005",
                "funding_rate": "0.005",
                "open_interest": "1523.2",
                "buy_volume_24h_q": "266955739.16",
                "sell_volume_24h_q": "268170211.71",
                "next_funding_time": str(ms(AS_OF + timedelta(hours=4)) * 1_000_000),
            }
        }

    return {
        "/full/v1/currency": {"result": []},
        "/full/v1/all_instruments": {"result": instruments},
        "/full/v1/ticker": ticker,
    }


def extended(symbols: tuple[str, ...]) -> dict[str, Any]:
    markets = [
        {
            "name": f"{name}-USD",
            "assetName": name,
            "collateralAssetName": "USD",
            "status": "ACTIVE",
            "marketStats": {
                "dailyVolume": "231016077.5",
                "lastPrice": "90000",
                "markPrice": "90000.25",
                "indexPrice": "90010",
                "fundingRate": "0.000013",
                "nextFundingRate": ms(AS_OF + timedelta(hours=1)),
                "openInterest": "115861923.3",
                "openInterestBase": "1500.4",
            },
            "tradingConfig": {"minOrderSize": "0.0001", "minOrderSizeChange": "0.00001", "minPriceChange": "1"},
        }
        for name in symbols
    ]
    return {"/api/v1/info/markets": {"status": "OK", "data": markets}, "/api/v1/info/assets": {"data": []}}


def binance(symbols: tuple[str, ...]) -> dict[str, Any]:
    contracts = [
        {
            "symbol": f"{name}USDT",
            "status": "TRADING",
            "contractType": "PERPETUAL",
            "baseAsset": name,
            "quoteAsset": "USDT",
            "marginAsset": "USDT",
            "filters": [],
        }
        for name in symbols
    ]
    nothing: dict[str, Any] = {"symbols": []}
    return {
        "/api/v3/exchangeInfo": nothing,
        "/fapi/v1/exchangeInfo": {"symbols": contracts},
        "/dapi/v1/exchangeInfo": nothing,
    }


def bybit(symbols: tuple[str, ...]) -> dict[str, Any]:
    contracts = [
        {
            "symbol": f"{name}USDT",
            "contractType": "LinearPerpetual",
            "status": "Trading",
            "baseCoin": name,
            "quoteCoin": "USDT",
            "settleCoin": "USDT",
            "launchTime": "0",
            "deliveryTime": "0",
            "fundingInterval": 480,
            "priceFilter": {"tickSize": "0.1", "minPrice": "0.1", "maxPrice": "1000000"},
            "lotSizeFilter": {"qtyStep": "0.001", "minOrderQty": "0.001", "maxOrderQty": "100"},
            "leverageFilter": {"minLeverage": "1", "maxLeverage": "100"},
        }
        for name in symbols
    ]

    def instruments(query: Query) -> Payload:
        found = contracts if query["category"] == "linear" else []
        return {"retCode": 0, "result": {"category": query["category"], "list": found, "nextPageCursor": ""}}

    return {"/v5/market/instruments-info": instruments}


PAYLOADS: dict[str, Callable[[tuple[str, ...]], dict[str, Any]]] = {
    venue.__name__: venue
    for venue in (hyperliquid, paradex, aster, backpack, lighter, pacifica, grvt, extended, binance, bybit)
}

Serve = Callable[..., Awaitable[VenueServer]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Starts a venue that lists BTC, or the symbols given."""
    servers: list[VenueServer] = []

    async def start(name: str, *symbols: str) -> VenueServer:
        server = VenueServer(name, PAYLOADS[name](symbols or ("BTC",)))
        await server.start()
        servers.append(server)
        return server

    yield start
    await asyncio.gather(*(server.close() for server in servers))


@pytest.fixture
def clock() -> ManualClock:
    """Stands at 12:17, UTC."""
    return ManualClock(NOW)
