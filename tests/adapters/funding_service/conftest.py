"""The Funding Rate Service, made up: its answers by path, and a whole one behind a real socket."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import respx

from rebalancer import Position
from rebalancer.adapters.funding_service import FundingServiceClient, FundingServiceSource
from rebalancer.testing import AS_OF, ManualClock, a_position

ACTIVE = ("aster", "backpack", "grvt", "hyperliquid", "lighter", "paradex")
INACTIVE = "edgex"
SYMBOLS = (*(f"S{number}" for number in range(17)), "BTC", "ETH", "SOL")
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Spares each client the reading of certificates that nobody shows it."""


def naive(at: datetime, *, fraction: str = ".937698") -> str:
    """A time as the service writes it: without a zone."""
    return at.strftime("%Y-%m-%dT%H:%M:%S") + fraction


class Answers:
    """What the service answers by path: a payload, a text sent as it is, a status, or a status and a payload.

    `asked` are the paths with their queries, in order; `sent` is the last request as it was sent.
    """

    def __init__(self) -> None:
        self.by_path: dict[str, Any] = {}
        self.headers: dict[str, str] = {"content-type": "application/json"}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.sent: httpx.Request | None = None

    def __setitem__(self, path: str, answer: object) -> None:
        self.by_path[path] = answer

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0].removeprefix("/api/v1")
        self.sent = request
        self.asked.append((path, dict(request.url.params)))
        status, text = spoken(self.by_path.get(path, 404))
        return httpx.Response(status, content=text.encode(), headers=self.headers)


def spoken(answer: Any) -> tuple[int, str]:
    """The status and the text of an answer."""
    status, payload = answer if isinstance(answer, tuple) else (200, answer)
    if isinstance(payload, int):
        status, payload = payload, {"detail": f"Symbol 'X' not found ({payload})"}
    return status, payload if isinstance(payload, str) else json.dumps(payload)


class FakeVenue:
    """A venue of the service: its rates and figures by symbol, all seen 10 s before `AS_OF`."""

    def __init__(self, name: str, place: int, *, active: bool) -> None:
        self.name = name
        self.active = active
        seen = naive(AS_OF - timedelta(seconds=10))
        self.rates: dict[str, dict[str, Any]] = {
            symbol: {
                "funding_rate": round(0.00003 * place + 0.000001 * number, 10),
                "annualized_rate": 0.10950000000000001,
                "next_funding_time": naive(AS_OF + timedelta(minutes=30), fraction=""),
                "timestamp": seen,
            }
            for number, symbol in enumerate(SYMBOLS)
        }
        self.figures: dict[str, dict[str, Any]] = {
            symbol: {
                "symbol": symbol,
                "dex_symbol_format": f"{symbol}-PERP",
                "is_active": True,
                "volume_24h": 5_000_000.4 + place,
                "open_interest_usd": 2_000_000.0 + place,
                "spread_bps": 2,
                "last_updated": seen,
            }
            for symbol in SYMBOLS
        }


class FakeService:
    """A service of six active venues and an inactive one, behind a real socket in a thread of its own.

    `answers` replaces what it says at a path. `requests` are the paths that were asked, `most_at_once` is how many
    were under way together.
    """

    def __init__(self) -> None:
        self.venues = {name: FakeVenue(name, place, active=True) for place, name in enumerate(ACTIVE)}
        self.venues[INACTIVE] = FakeVenue(INACTIVE, 9, active=False)
        self.answers: dict[str, Any] = {}
        self.requests: list[str] = []
        self.most_at_once = 0
        self._under_way = 0
        self._counting = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/api/v1"

    def stop(self) -> None:
        """Close the socket."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def quiet(self) -> None:
        """Forget what was asked."""
        self.requests.clear()

    def rate(self, venue: str, symbol: str, **fields: object) -> None:
        """Change a venue's row of rates."""
        self.venues[venue].rates[symbol].update(fields)

    def figures(self, venue: str, symbol: str, **fields: object) -> None:
        """Change a venue's row of figures."""
        self.venues[venue].figures[symbol].update(fields)

    @staticmethod
    def positions(count: int) -> list[Position]:
        """That many positions, on every pair of active venues and every symbol in turn."""
        pairs = [(long, short) for long in ACTIVE for short in ACTIVE if long != short]
        return [
            a_position(
                symbol=SYMBOLS[number % len(SYMBOLS)],
                long_dex=pairs[number % len(pairs)][0],
                short_dex=pairs[number % len(pairs)][1],
                age=timedelta(minutes=number + 1),
            )
            for number in range(count)
        ]

    def source(
        self, clock: ManualClock, *, client: Mapping[str, Any] | None = None, **options: Any
    ) -> FundingServiceSource:
        """A source that asks it; `client` are options of its client."""
        options_of_client: dict[str, Any] = {"clock": clock, "verify": NO_TLS, **(client or {})}
        return FundingServiceSource(FundingServiceClient(self.url, **options_of_client), **options)

    def answer(self, path: str) -> tuple[int, str]:
        """What it says at a path."""
        self.requests.append(path)
        if path in self.answers:
            return spoken(self.answers[path])
        match path.strip("/").split("/"):
            case ["dexes"]:
                return spoken({"dexes": [self._listed(venue) for venue in self.venues.values()]})
            case ["dexes", name, "symbols"] if name in self.venues:
                return spoken({"dex_name": name, "symbols": list(self.venues[name].figures.values())})
            case ["funding-rates", name] if name in self.venues:
                return spoken({"dex_name": name, "rates": self.venues[name].rates, "updated_at": naive(AS_OF)})
        return spoken(404)

    @staticmethod
    def _listed(venue: FakeVenue) -> dict[str, Any]:
        return {
            "name": venue.name,
            "is_active": venue.active,
            "fee_structure": {"maker_fee_percent": -0.0001, "taker_fee_percent": 0.0005, "has_fee_tiers": False},
            "last_successful_fetch": None,
        }

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                with service._counting:
                    service._under_way += 1
                    service.most_at_once = max(service.most_at_once, service._under_way)
                status, text = service.answer(urlsplit(self.path).path.removeprefix("/api/v1"))
                with service._counting:
                    service._under_way -= 1
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(text.encode())))
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # its name in the base class
                pass

        return Handler


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at `AS_OF`."""
    return ManualClock()


@pytest.fixture
def answers() -> Iterator[Answers]:
    """The answers at the usual address; no socket is opened."""
    made = Answers()
    with respx.mock(assert_all_called=False) as router:
        router.route().mock(side_effect=made)
        yield made


@pytest.fixture
async def client(answers: Answers, clock: ManualClock) -> AsyncIterator[FundingServiceClient]:
    """The usual client, who gets these answers."""
    async with FundingServiceClient(clock=clock, verify=NO_TLS) as made:
        yield made


@pytest.fixture
def service() -> Iterator[FakeService]:
    """A service that runs."""
    made = FakeService()
    yield made
    made.stop()
