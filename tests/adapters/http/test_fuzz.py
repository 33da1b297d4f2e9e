"""Fuzzed answers of the Funding Rate Service (F10): only the declared errors, and one bad row costs only itself."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rebalancer import InputError, SourceError, presets
from rebalancer.adapters.funding_service import FundingServiceClient, FundingServiceSource
from rebalancer.adapters.funding_service.payloads import Payloads, best_opportunity, known_symbols, opportunities
from rebalancer.adapters.http import Breaker, Retry
from rebalancer.adapters.http.answer import read_json
from rebalancer.domain.numbers import ONE
from rebalancer.monitor import Fetcher
from rebalancer.testing import ManualClock, a_position

EIGHT_HOURS = timedelta(hours=8)
SEEN = "2026-01-05T11:59:30.123456"
NEXT = "2026-01-05T16:00:00"
LEG = {"funding_rate": 8.75e-05, "next_funding_time": NEXT, "timestamp": SEEN}
ROW = {**LEG, "annualized_rate": 0.10950000000000001}
FIGURES = {"volume_24h": 534600000.0, "open_interest_usd": 198000000.0}
LISTED = {
    "symbol": "BTC",
    "long_dex": "lighter",
    "short_dex": "grvt",
    "long_rate": -3.1e-05,
    "short_rate": 9.13e-05,
    "divergence": 0.0001223,
    "estimated_fees": -0.00014,
    "net_profit_percent": 0.0002623,
    "annualized_apy": 28.72185,
    "long_dex_oi_usd": 1920000.0,
    "short_dex_oi_usd": None,
    "min_oi_usd": None,
    "min_volume_24h": 5184000.0,
    "discovered_at": SEEN,
}
VENUES = [
    {
        "name": name,
        "display_name": name.title(),
        "is_active": name != "edgex",
        "fee_structure": {"maker_fee_percent": 5e-05, "taker_fee_percent": 0.0004, "has_fee_tiers": False},
        "last_successful_fetch": SEEN,
        "last_error": None,
    }
    for name in ("lighter", "grvt", "edgex")
]
RATES = {"BTC": ROW, "ETH": {**ROW, "funding_rate": -3.7e-09}, "HYPE": {**ROW, "next_funding_time": None}}
SYMBOLS = [
    {"symbol": name, "is_active": True, "spread_bps": 2, "last_updated": SEEN, **FIGURES} for name in ("BTC", "ETH")
]

VALID: dict[str, Any] = {
    "compare": {
        "symbol": "BTC",
        "dex1": {"name": "lighter", **LEG},
        "dex2": {"name": "grvt", **LEG, "next_funding_time": None},
        "divergence": 2.3500000000000002e-05,
    },
    "venue_rates": {"dex_name": "grvt", "rates": RATES},
    "rate": {"dex_name": "grvt", "symbol": "BTC", **ROW, **FIGURES},
    "venues": {"dexes": VENUES},
    "symbols": {"dex_name": "grvt", "symbols": SYMBOLS},
    "opportunities": {"opportunities": [LISTED, {**LISTED, "symbol": "ETH"}], "total_count": 2, "generated_at": SEEN},
    "best": {"opportunity": LISTED, "rank": 1, "generated_at": SEEN},
    "known": {"data": {"BTC": {"grvt": 8.75e-05, "lighter": 6.4e-05}, "ETH": {"grvt": 0.0}}, "count": 3},
}
"""Answers of the service's shapes, made up."""

ZONES: list[tzinfo] = [UTC, timezone(-timedelta(hours=23, minutes=59)), ZoneInfo("Asia/Tokyo"), ZoneInfo("Europe/Rome")]


def readers(zone: tzinfo = UTC) -> dict[str, Callable[[object], object]]:
    """What reads each of the answers."""
    read = Payloads(EIGHT_HOURS, {"lighter": timedelta(hours=1)}, zone)
    return {
        "compare": lambda answer: read.comparison(answer, "BTC", "lighter", "grvt"),
        "venue_rates": lambda answer: read.venue_rates(answer, "grvt"),
        "rate": lambda answer: read.rate(answer, "grvt", "BTC"),
        "venues": read.venues,
        "symbols": lambda answer: read.symbols(answer, "grvt"),
        "opportunities": opportunities,
        "best": best_opportunity,
        "known": known_symbols,
    }


def as_body(answer: object) -> bytes:
    """The answer as the service would send it."""
    return json.dumps(answer, separators=(",", ":")).encode()


@pytest.mark.parametrize("shape", VALID)
def test_the_answers_that_are_fuzzed_are_good_ones(shape: str) -> None:
    assert readers()[shape](read_json(as_body(VALID[shape])))


# Bytes

shapes = st.sampled_from(sorted(VALID))
EDITS = ("flip", "cut", "insert", "duplicate", "swap", "number", "drop")
NUMBERS = [b"1e5", b"-0", b"NaN", b"1e-400", b"-1e999999999999999999999", b"9" * 70, b"179000000000", b'"0.0001"']
edits = st.lists(
    st.tuples(st.sampled_from(EDITS), st.integers(0, 10**6), st.binary(max_size=6)), min_size=1, max_size=4
)


def edited(body: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    """The body after some edits of its bytes."""
    for what, seed, data in changes:
        at = seed % (len(body) + 1)
        size = seed // 7 % 40
        if what == "flip":
            body = body[:at] + bytes(byte ^ 1 << seed % 8 for byte in body[at : at + 1]) + body[at + 1 :]
        elif what == "cut":
            body = body[:at]
        elif what == "insert":
            body = body[:at] + data + body[at:]
        elif what == "duplicate":
            body = body[: at + size] + body[at:]
        elif what == "swap":
            body = body[:at] + data + body[at + len(data) :]
        elif what == "drop":
            body = body[:at] + body[at + size :]
        else:
            start = body.find(b":", at) + 1
            body = body[:start] + NUMBERS[seed % len(NUMBERS)] + body[start:].lstrip(b"-0123456789.e")
    return body


def read_fuzzed(shape: str, body: bytes, zone: tzinfo) -> object | None:
    """What comes of a fuzzed body; None if it is refused with the declared error. Any other is a failure."""
    try:
        answer = read_json(body)
    except ValueError:
        return None
    try:
        return readers(zone)[shape](answer)
    except InputError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 5_000
    return None


@given(shape=shapes, changes=edits, zone=st.sampled_from(ZONES))
@example(shape="rate", changes=[("number", 0, b"")], zone=UTC)
def test_fuzzed_bytes_are_read_or_refused_with_the_declared_error(
    shape: str, changes: list[tuple[str, int, bytes]], zone: tzinfo
) -> None:
    check_plausible(read_fuzzed(shape, edited(as_body(VALID[shape]), changes), zone))


@given(body=st.binary(max_size=200), shape=shapes)
def test_arbitrary_bytes_are_read_or_refused_with_the_declared_error(body: bytes, shape: str) -> None:
    read_fuzzed(shape, body, UTC)


def check_plausible(read: object) -> None:
    """Whatever was read has finite numbers within their bounds, aware times, and names without control characters."""
    for value in read if isinstance(read, tuple) else (read,):
        text = repr(value)
        assert text.isprintable()
        assert "NaN" not in text
        assert "Infinity" not in text
        for rate in getattr(value, "rates", ()):
            assert abs(rate.rate.steps) <= ONE
            assert rate.observed_at.tzinfo is UTC


# Trees


class Number(float):
    """A number with its own spelling in JSON."""

    def __new__(cls, text: str) -> Number:
        made = super().__new__(cls, 0.5)
        made.text = text
        return made

    text: str

    def __repr__(self) -> str:
        return self.text


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-100, 100),
    st.integers(-(10**50), 10**50),
    st.decimals(allow_nan=False, allow_infinity=False).map(lambda number: Number(str(number))),
    st.sampled_from(["1e5", "-1e-400", "1e40", "1e-40", "0.00009599999999999999", "1" * 55 + "e9"]).map(Number),
    st.text(max_size=20),
    st.sampled_from(
        [
            "",
            "BTC",
            "btc",
            "ETH",
            "grvt",
            "GRVT",
            "0.0001",
            "nan",
            "\ud800",
            "\x00",
            "a\nb",
            "x" * 5_000,
            "0001-01-01T00:00:00",
            "9999-12-31T23:59:59.999999",
            "9999-12-31T23:59:59-23:59",
            "0001-01-01T00:00:00+23:59",
            "2026-01-05T24:00:00",
            "2026-W01-1",
            "20260105",
            "2026-01-05T12:00:00Z",
            "2026-03-29T02:30:00",
            "2026-01-05T12:00:00.123456789",
        ]
    ),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)


def written(tree: object) -> bytes:
    """JSON of a tree with numbers spelled as they are; lone surrogates are escaped."""
    if isinstance(tree, Number):
        return tree.text.replace("E+", "E").encode()
    if isinstance(tree, dict):
        return b"{" + b",".join(json.dumps(key).encode() + b":" + written(value) for key, value in tree.items()) + b"}"
    if isinstance(tree, list):
        return b"[" + b",".join(map(written, tree)) + b"]"
    return json.dumps(tree).encode()


def places(tree: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where a tree has nodes: the keys that lead to each."""
    yield at
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in items:
        yield from places(value, (*at, key))


def mutated(tree: Any, draw: Callable[[st.SearchStrategy[Any]], Any], *, within: tuple[Any, ...] = ()) -> Any:
    """A copy in which one node at or below `within` is replaced, dropped, renamed or doubled."""
    tree = copy.deepcopy(tree)
    here = draw(st.sampled_from([at for at in places(tree) if at[: len(within)] == within]))
    if not here:
        return draw(TREES)
    parent = tree
    for key in here[:-1]:
        parent = parent[key]
    key = here[-1]
    kind = draw(st.sampled_from(["replace", "replace", "drop", "rename", "double"]))
    if kind == "replace" or here == within:
        parent[key] = draw(TREES)
    elif kind == "drop":
        del parent[key]
    elif isinstance(parent, dict):
        value = parent[key] if kind == "double" else parent.pop(key)
        parent[draw(st.text(max_size=8) | st.sampled_from([key.upper(), key + "s", "rates", "symbol", "name"]))] = value
    else:
        parent.insert(draw(st.integers(0, len(parent))), copy.deepcopy(parent[key]))
    return tree


@st.composite
def mutants(draw: st.DrawFn) -> tuple[str, bytes]:
    """An answer with up to three changed nodes."""
    shape = draw(shapes)
    tree = VALID[shape]
    for _ in range(draw(st.integers(1, 3))):
        tree = mutated(tree, draw)
    return shape, written(tree)


@given(mutant=mutants(), zone=st.sampled_from(ZONES))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_mutated_answer_is_read_or_refused_with_the_declared_error(mutant: tuple[str, bytes], zone: tzinfo) -> None:
    check_plausible(read_fuzzed(*mutant, zone))


GOOD_RATES = {
    rate.symbol: rate for rate in Payloads(EIGHT_HOURS, {}, UTC).venue_rates(VALID["venue_rates"], "grvt").rates
}
GOOD_SYMBOLS = {one.symbol: one for one in Payloads(EIGHT_HOURS, {}, UTC).symbols(VALID["symbols"], "grvt").symbols}


def untouched(good: dict[str, Any], found: dict[str, Any], *, touched: str) -> None:
    """Every symbol but the touched one is as it was, unless it now stands there twice, and nothing new is the same."""
    for symbol, value in good.items():
        if symbol != touched:
            assert found.get(symbol) in (value, None)


@given(data=st.data(), touched=st.sampled_from(sorted(RATES)))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_bad_row_of_rates_costs_only_itself(data: st.DataObject, touched: str) -> None:
    answer = mutated(VALID["venue_rates"], data.draw, within=("rates", touched))
    read = Payloads(EIGHT_HOURS, {}, UTC).venue_rates(read_json(written(answer)), "grvt")
    found = {rate.symbol: rate for rate in read.rates}
    assert {symbol: found.get(symbol) for symbol in GOOD_RATES if symbol != touched} == {
        symbol: rate for symbol, rate in GOOD_RATES.items() if symbol != touched
    }
    assert touched in found or touched not in answer["rates"] or touched in {gap.symbol for gap in read.refused}


@given(data=st.data(), touched=st.integers(0, len(SYMBOLS) - 1))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_bad_row_of_figures_costs_only_itself(data: st.DataObject, touched: int) -> None:
    symbol = str(SYMBOLS[touched]["symbol"])
    answer = mutated(VALID["symbols"], data.draw, within=("symbols", touched))
    read = Payloads(EIGHT_HOURS, {}, UTC).symbols(read_json(written(answer)), "grvt")
    untouched(GOOD_SYMBOLS, {one.symbol: one for one in read.symbols}, touched=symbol)
    assert {one.symbol for one in read.symbols} | {gap.symbol for gap in read.refused} >= set(GOOD_SYMBOLS) - {symbol}


# Through the client, and on to a decision


class Service:
    """Answers each path with a body, in the place of a network."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bodies: dict[str, bytes] = {}
        self.usual = {
            "/dexes": VALID["venues"],
            "/funding-rates": VALID["known"],
            "/opportunities": VALID["opportunities"],
            "/opportunities/best": VALID["best"],
            "/funding-rates/compare": VALID["compare"],
            "/funding-rates/grvt/BTC": VALID["rate"],
        }
        service = self

        async def handle(self: Any, request: httpx.Request) -> httpx.Response:
            body = service.answer(request.url.path)
            return httpx.Response(200, headers={"content-type": "application/json"}, stream=Body(body))

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", handle)

    def answer(self, path: str) -> bytes:
        """What is at a path."""
        if path in self.bodies:
            return self.bodies[path]
        if path in self.usual:
            return as_body(self.usual[path])
        if path.startswith("/dexes/"):
            return as_body({**VALID["symbols"], "dex_name": path.split("/")[2]})
        return as_body({**VALID["venue_rates"], "dex_name": path.split("/")[2]})


class Body(httpx.AsyncByteStream):
    """A body in one piece."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    async def __aiter__(self) -> Any:
        yield self.data


CALLS: dict[str, tuple[str, Callable[[FundingServiceClient], Any]]] = {
    "compare": ("/funding-rates/compare", lambda client: client.compare_rates("BTC", "lighter", "grvt")),
    "venue_rates": ("/funding-rates/grvt", lambda client: client.get_funding_rates("grvt")),
    "rate": ("/funding-rates/grvt/BTC", lambda client: client.get_next_funding_time("grvt", "BTC")),
    "venues": ("/dexes", lambda client: client.get_dexes()),
    "symbols": ("/dexes/grvt/symbols", lambda client: client.get_symbols("grvt")),
    "opportunities": ("/opportunities", lambda client: client.get_opportunities(min_profit="0.0001")),
    "best": ("/opportunities/best", lambda client: client.get_best_opportunity(max_oi_usd=10**9)),
    "known": ("/funding-rates", lambda client: client.get_best_opportunity(symbol="BTC")),
}
STRATEGY = presets.conservative()


async def through_everything(service: Service, client: FundingServiceClient, shape: str, body: bytes) -> None:
    """Ask for the fuzzed answer, and make a decision with it: only a SourceError, and always a decision."""
    path, call = CALLS[shape]
    service.bodies = {path: body}
    if shape == "known":
        service.bodies["/opportunities/best"] = b'{"opportunity":null}'
    said = "nothing"
    try:
        await call(client)
    except SourceError as error:
        said = str(error)
    assert said.isprintable()
    assert len(said) < 5_000
    fetched = await Fetcher(FundingServiceSource(client), STRATEGY, clock=client.clock).fetch([a_position()])
    STRATEGY.decide(a_position(), fetched.snapshot).explain()


@pytest.fixture
def fuzzed(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, bytes], None]:
    """Sends one fuzzed answer through everything."""
    service = Service(monkeypatch)
    clock = ManualClock()
    never = Breaker("funding rate service", clock, failures=10**9)
    client = FundingServiceClient("https://host", clock=clock, retry=Retry(attempts=1), breaker=never)

    def send(shape: str, body: bytes) -> None:
        asyncio.run(through_everything(service, client, shape, body))

    return send


MANY = settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
VERY_MANY = settings(
    max_examples=5_000, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)


@given(mutant=mutants())
@MANY
def test_a_mutated_answer_ends_in_a_source_error_or_a_value_and_always_in_a_decision(
    fuzzed: Callable[[str, bytes], None], mutant: tuple[str, bytes]
) -> None:
    fuzzed(*mutant)


@given(shape=shapes, changes=edits)
@MANY
def test_fuzzed_bytes_end_in_a_source_error_or_a_value_and_always_in_a_decision(
    fuzzed: Callable[[str, bytes], None], shape: str, changes: list[tuple[str, int, bytes]]
) -> None:
    fuzzed(shape, edited(as_body(VALID[shape]), changes))


@pytest.mark.campaign
@given(mutant=mutants())
@VERY_MANY
def test_5000_mutated_answers(fuzzed: Callable[[str, bytes], None], mutant: tuple[str, bytes]) -> None:
    fuzzed(*mutant)


@pytest.mark.campaign
@given(shape=shapes, changes=edits, zone=st.sampled_from(ZONES))
@VERY_MANY
def test_5000_fuzzed_bodies(
    fuzzed: Callable[[str, bytes], None], shape: str, changes: list[tuple[str, int, bytes]], zone: tzinfo
) -> None:
    body = edited(as_body(VALID[shape]), changes)
    check_plausible(read_fuzzed(shape, body, zone))
    fuzzed(shape, body)


@pytest.mark.campaign
def test_50000_edits_of_a_seed() -> None:
    seed = random.SystemRandom().randrange(10**9)
    print(f"{seed=}")  # noqa: T201  # shown on failure
    chance = random.Random(seed)
    for _ in range(50_000):
        shape = chance.choice(sorted(VALID))
        changes = [
            (chance.choice(EDITS), chance.randrange(10**6), chance.randbytes(chance.randrange(5)))
            for _ in range(chance.randint(1, 4))
        ]
        check_plausible(read_fuzzed(shape, edited(as_body(VALID[shape]), changes), chance.choice(ZONES)))
