"""A source behind ccxt: what it asks for, what it makes of names and numbers, and what a fault costs."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from types import ModuleType
from typing import TYPE_CHECKING, Any

import ccxt.async_support as ccxt  # type: ignore[import-untyped]  # ships no types
import pytest

from rebalancer import (
    BadAnswerError,
    InputError,
    MarketSnapshot,
    Missing,
    MissingExtraError,
    Needs,
    RateKind,
    SourceRefusedError,
    SourceUnavailableError,
)
from rebalancer.adapters.ccxt_source import CcxtSource
from rebalancer.domain.names import Market
from rebalancer.domain.request import MarketRequest
from rebalancer.testing import AS_OF, ManualClock

if TYPE_CHECKING:
    from .conftest import Serve, VenueServer

NOW = AS_OF + timedelta(minutes=17)
BTC = MarketRequest(symbols=("BTC",))
SOON = timedelta(milliseconds=150)


def of(*servers: VenueServer, clock: ManualClock, **options: Any) -> CcxtSource:
    """A source that has the exchanges of these servers."""
    return CcxtSource(exchanges={server.name: server.exchange for server in servers}, clock=clock, **options)


def own(monkeypatch: pytest.MonkeyPatch, server: VenueServer, clock: ManualClock, **options: Any) -> CcxtSource:
    """A source that makes the exchange of a server itself."""
    monkeypatch.setattr(ccxt, server.name, server.make)
    return CcxtSource(server.name, clock=clock, **options)


def venues(snapshot: MarketSnapshot) -> list[str]:
    """The venues of which there is a quote."""
    return [quote.venue for quote in snapshot.quotes]


def why(snapshot: MarketSnapshot, field: str = "rate") -> list[str]:
    """The reasons for which a field is missing."""
    return [gap.why for gap in snapshot.missing if gap.field == field]


# What is asked -----------------------------------------------------------------------------------------------------


def test_it_supplies_everything_but_the_past(clock: ManualClock) -> None:
    source = CcxtSource("hyperliquid", clock=clock)
    assert source.name == "ccxt"
    assert (
        Needs(
            opportunities=True, all_symbols=True, schedule=True, open_interest=True, volume=True, mark_price=True
        ).lacking(source.supplies)
        == ()
    )
    assert Needs(observations=1).lacking(source.supplies) == ("observations",)


async def test_only_wanted_markets_are_quoted(serve: Serve, clock: ManualClock) -> None:
    source = of(await serve("hyperliquid", "BTC", "ETH", "SOL"), clock=clock)
    held = MarketRequest(markets=(Market("hyperliquid", "ETH"),))
    assert [quote.symbol for quote in (await source.snapshot(held)).quotes] == ["ETH"]
    everything = await source.snapshot(MarketRequest(symbols=None))
    assert {quote.symbol for quote in everything.quotes} == {"BTC", "ETH", "SOL"}


async def test_a_venue_that_is_not_concerned_is_not_asked(serve: Serve, clock: ManualClock) -> None:
    asked, other = await serve("paradex"), await serve("pacifica")
    source = of(asked, other, clock=clock)
    assert venues(await source.snapshot(MarketRequest(symbols=("BTC",), venues=("paradex",)))) == ["paradex"]
    assert venues(await source.snapshot(MarketRequest(markets=(Market("paradex", "BTC"),)))) == ["paradex"]
    assert other.requests == []


async def test_a_venue_that_lists_none_of_the_wanted_markets_is_not_at_fault(serve: Serve, clock: ManualClock) -> None:
    snapshot = await of(await serve("paradex"), clock=clock).snapshot(MarketRequest(symbols=("DOGE",)))
    assert (snapshot.quotes, snapshot.missing) == ((), ())


async def test_nothing_wanted_is_an_empty_snapshot(clock: ManualClock) -> None:
    snapshot = await CcxtSource("hyperliquid", clock=clock).snapshot(MarketRequest())
    assert (snapshot.quotes, snapshot.missing, snapshot.as_of) == ((), (), NOW)


async def test_a_held_market_of_a_venue_that_the_source_does_not_have_is_missing(
    serve: Serve, clock: ManualClock
) -> None:
    market = Market("edgex", "BTC")
    snapshot = await of(await serve("paradex"), clock=clock).snapshot(MarketRequest(markets=(market, market)))
    assert snapshot.missing == (
        Missing(field="rate", why="this source does not have the venue", venue="edgex", symbol="BTC"),
    )


async def test_candidates_on_a_venue_that_the_source_does_not_have_are_missing(
    serve: Serve, clock: ManualClock
) -> None:
    source = of(await serve("paradex"), clock=clock)
    both = MarketRequest(symbols=("BTC",), venues=("paradex", "edgex", "edgex"))
    assert (await source.snapshot(both)).missing == (
        Missing(field="opportunities", why="this source does not have edgex"),
    )
    assert (await source.snapshot(MarketRequest(venues=("edgex",)))).missing == ()


async def test_a_held_market_that_the_venue_does_not_list_is_missing(serve: Serve, clock: ManualClock) -> None:
    server = await serve("paradex")
    snapshot = await of(server, clock=clock).snapshot(MarketRequest(markets=(Market("paradex", "DOGE"),)))
    assert snapshot.missing == (
        Missing(
            field="rate",
            why="ccxt lists no active linear perpetual of it in dollars",
            venue="paradex",
            symbol="DOGE",
        ),
    )
    assert server.requests == ["/v1/markets"]


async def test_where_time_runs_out_held_markets_were_asked_first(serve: Serve, clock: ManualClock) -> None:
    symbols = [f"C{number:02}" for number in range(12)]
    server = await serve("backpack", *symbols)
    answer, asked = server.answers["/api/v1/markPrices"], list[str]()

    def recorded(query: dict[str, str]) -> Any:
        asked.append(query["symbol"])
        return answer(query)

    server.answers["/api/v1/markPrices"] = recorded
    request = MarketRequest(markets=(Market("backpack", "C11"), Market("backpack", "C10")), symbols=None)
    assert len((await of(server, clock=clock).snapshot(request)).quotes) == 12
    assert {"C11_USDC_PERP", "C10_USDC_PERP"} <= set(asked[:8])


# Names -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue", "name", "symbol", "price"),
    [
        ("hyperliquid", "kPEPE", "PEPE", "90"),
        ("pacifica", "kBONK", "BONK", "90"),
        ("grvt", "KPEPE", "PEPE", "90.0005"),
        ("aster", "1000PEPE", "PEPE", "90.0005"),
        ("aster", "10000SATS", "SATS", "9.00005"),
        ("aster", "1000000MOG", "MOG", "0.0900005"),
        ("aster", "1MBABYDOGE", "BABYDOGE", "0.0900005"),
        ("hyperliquid", "KAS", "KAS", "90000"),
        ("hyperliquid", "1INCH", "1INCH", "90000"),
        ("hyperliquid", "1000X", "1000X", "90000"),
    ],
)
async def test_a_perpetual_of_a_thousand_coins_is_the_coins_with_its_price_and_the_same_rate(
    serve: Serve, clock: ManualClock, venue: str, name: str, symbol: str, price: str
) -> None:
    plain = of(await serve(venue), clock=clock)
    many = of(await serve(venue, name), clock=clock)
    needs = Needs(mark_price=True, open_interest=True)
    (one,) = (await plain.snapshot(MarketRequest(symbols=None, needs=needs))).quotes
    (quote,) = (await many.snapshot(MarketRequest(symbols=(symbol,), needs=needs))).quotes
    assert quote.symbol == symbol
    assert quote.mark_price == Decimal(price)
    assert (quote.rate, quote.open_interest_usd) == (one.rate, one.open_interest_usd)


async def test_the_perpetual_of_single_coins_is_preferred_to_that_of_a_thousand(
    serve: Serve, clock: ManualClock
) -> None:
    source = of(await serve("hyperliquid", "kPEPE", "PEPE"), clock=clock)
    (quote,) = (await source.snapshot(MarketRequest(symbols=None, needs=Needs(mark_price=True)))).quotes
    assert (quote.symbol, quote.mark_price) == ("PEPE", Decimal(90000))


async def in_two_currencies(serve: Serve, *quotes: str) -> VenueServer:
    """Aster with a perpetual of BTC in each of the currencies; the rate says which: 0.00001, 0.00002..."""
    server = await serve("aster", *["BTC"] * len(quotes))
    contracts = server.answers["/fapi/v3/exchangeInfo"]["symbols"]
    rows = server.answers["/fapi/v3/premiumIndex"]
    intervals = server.answers["/fapi/v3/fundingInfo"]
    for number, quote in enumerate(quotes):
        contracts[number] |= {"symbol": f"BTC{quote}", "quoteAsset": quote, "marginAsset": quote}
        rows[number] |= {"symbol": f"BTC{quote}", "lastFundingRate": f"0.0000{number + 1}"}
        intervals[number] |= {"symbol": f"BTC{quote}"}
    return server


@pytest.mark.parametrize(
    ("quotes", "prefer", "number"),
    [
        (("USDC", "USDT"), {}, 2),
        (("USD", "USDC"), {}, 2),
        (("EUR", "USD"), {}, 2),
        (("USDC", "USDT"), {"aster": ("USDC",)}, 1),
        (("USDT", "USD1"), {"Aster": ("USD1",)}, 2),
        (("USDT", "USDC"), {"hyperliquid": ("USDC",)}, 1),
    ],
)
async def test_of_several_quote_currencies_one_is_taken_the_preferred_one_else_usdt_usdc_usd(
    serve: Serve, clock: ManualClock, quotes: tuple[str, ...], prefer: dict[str, tuple[str, ...]], number: int
) -> None:
    server = await in_two_currencies(serve, *quotes)
    (quote,) = (await of(server, clock=clock, prefer=prefer).snapshot(BTC)).quotes
    assert quote.rate.value == Decimal(f"0.0000{number}")


@pytest.mark.parametrize(
    "off",
    [
        {"quoteAsset": "EUR", "marginAsset": "EUR"},
        {"marginAsset": "BTC"},
        {"status": "SETTLING"},
        {"contractType": None},
    ],
)
async def test_what_is_no_active_linear_perpetual_in_dollars_is_not_taken(
    serve: Serve, clock: ManualClock, off: dict[str, Any]
) -> None:
    server = await serve("aster")
    server.answers["/fapi/v3/exchangeInfo"]["symbols"][0] |= off
    snapshot = await of(server, clock=clock).snapshot(MarketRequest(markets=(Market("aster", "BTC"),)))
    assert why(snapshot) == ["ccxt lists no active linear perpetual of it in dollars"]


async def test_an_option_is_no_perpetual(serve: Serve, clock: ManualClock) -> None:
    server = await serve("paradex")
    server.answers["/v1/markets"]["results"][0] |= {
        "asset_kind": "PERP_OPTION",
        "option_type": "CALL",
        "expiry_at": 0,
        "strike_price": "1",
    }
    snapshot = await of(server, clock=clock).snapshot(MarketRequest(markets=(Market("paradex", "BTC"),)))
    assert why(snapshot) == ["ccxt lists no active linear perpetual of it in dollars"]


async def test_a_market_with_a_name_that_no_request_can_have_is_passed_over(serve: Serve, clock: ManualClock) -> None:
    source = of(await serve("aster", "BTC", "币安人生"), clock=clock)
    assert [quote.symbol for quote in (await source.snapshot(MarketRequest(symbols=None))).quotes] == ["BTC"]


# Numbers -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "reason"),
    [
        ("NaN", "FundingRate: value: NaN and infinity are not numbers to act on"),
        ("Infinity", "FundingRate: value: NaN and infinity are not numbers to act on"),
        ("0.5", "FundingRate: beyond 100 % per 8 h: is it a percent, or is its interval wrong?"),
        ("1.79e11", "FundingRate: value: must be at most 100"),
        (None, "the venue gives no rate"),
        ("", "the venue gives no rate"),
    ],
)
async def test_a_refused_rate_is_missing_with_the_reason_and_costs_no_other(
    serve: Serve, clock: ManualClock, rate: str | None, reason: str
) -> None:
    server = await serve("hyperliquid", "BTC", "ETH")
    server.answers["perpetuals"][1][0]["funding"] = rate
    snapshot = await of(server, clock=clock).snapshot(MarketRequest(symbols=None))
    assert [quote.symbol for quote in snapshot.quotes] == ["ETH"]
    assert [(gap.symbol, gap.field) for gap in snapshot.missing] == [("BTC", "rate"), ("BTC", "opportunities")]
    assert why(snapshot, "opportunities") == [f"hyperliquid: {why(snapshot)[0]}"]
    held = MarketRequest(markets=(Market("hyperliquid", "BTC"),), symbols=("ETH",))
    assert why(await of(server, clock=clock).snapshot(held), "opportunities") == []
    assert reason in why(snapshot)[0] or "NaN and infinity" in why(snapshot)[0]


@pytest.mark.parametrize(
    ("field", "value", "missing"),
    [
        ("openInterest", "99999999999", "open interest"),
        ("openInterest", None, "open interest"),
        ("openInterest", "1_000", "open interest"),
        ("dayNtlVlm", "-1", "volume"),
        ("dayNtlVlm", {"odd": 1}, "volume"),
        ("markPx", "0", "mark price"),
    ],
)
async def test_another_refused_number_is_missing_and_costs_no_rate(
    serve: Serve, clock: ManualClock, field: str, value: object, missing: str
) -> None:
    server = await serve("hyperliquid")
    server.answers["perpetuals"][1][0][field] = value
    needs = Needs(open_interest=True, volume=True, mark_price=True)
    snapshot = await of(server, clock=clock).snapshot(MarketRequest(symbols=("BTC",), needs=needs))
    assert venues(snapshot) == ["hyperliquid"]
    assert [gap.field for gap in snapshot.missing] == [missing]


async def test_open_interest_in_coins_is_unknown_without_a_mark_price(serve: Serve, clock: ManualClock) -> None:
    server = await serve("hyperliquid")
    server.answers["perpetuals"][1][0]["markPx"] = None
    snapshot = await of(server, clock=clock).snapshot(MarketRequest(symbols=("BTC",), needs=Needs(open_interest=True)))
    assert why(snapshot, "open interest") == ["it is in coins, and there is no mark price"]


async def test_half_a_volume_is_no_volume(serve: Serve, clock: ManualClock) -> None:
    server = await serve("grvt")
    ticker = server.answers["/full/v1/ticker"]
    server.answers["/full/v1/ticker"] = lambda query: {"result": {**ticker(query)["result"], "sell_volume_24h_q": ""}}
    snapshot = await of(server, clock=clock).snapshot(MarketRequest(symbols=("BTC",), needs=Needs(volume=True)))
    assert snapshot.quotes[0].volume_24h_usd is None
    assert why(snapshot, "volume") == ["the venue does not give it, or ccxt does not"]


# Faults ------------------------------------------------------------------------------------------------------------

UNREACHABLE = "it could not be reached, or can not answer now"


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("refused", UNREACHABLE),
        (500, UNREACHABLE),
        (503, UNREACHABLE),
        (429, "it wants to be asked less often"),
        (418, "it wants to be asked less often"),
        (401, "it refuses the credentials"),
        ({"error": "NOT_FOUND", "message": "canary"}, "it refuses the question"),
        ([], "its answer has none of its markets"),
    ],
)
@pytest.mark.parametrize("wanted", [BTC, MarketRequest(markets=(Market("paradex", "BTC"), Market("grvt", "BTC")))])
async def test_a_venue_at_fault_costs_no_other(
    serve: Serve, clock: ManualClock, fault: Any, reason: str, wanted: MarketRequest
) -> None:
    bad, good = await serve("paradex"), await serve("grvt")
    source = of(bad, good, clock=clock)
    await source.snapshot(wanted)
    if fault == "refused":
        await bad.stop()
    else:
        bad.answers["/v1/markets/summary"] = {"results": []} if fault == [] else fault
    snapshot = await source.snapshot(wanted)
    assert venues(snapshot) == ["grvt"]
    gap = Missing(field="rate", why="the venue gives no rate" if fault == [] else reason, venue="paradex", symbol="BTC")
    lacking = Missing(field="opportunities", why=f"paradex: {reason}")
    assert snapshot.missing == ((gap, lacking) if wanted is BTC else (gap,))


@pytest.mark.parametrize("answer", [{"results": "nothing"}, {"results": [7]}, "<html>"])
async def test_an_answer_of_any_shape_costs_no_other(serve: Serve, clock: ManualClock, answer: object) -> None:
    bad, good = await serve("paradex"), await serve("grvt")
    bad.answers["/v1/markets/summary"] = answer
    snapshot = await of(bad, good, clock=clock).snapshot(BTC)
    assert venues(snapshot) == ["grvt"]
    assert len(why(snapshot)) == len(why(snapshot, "opportunities")) == 1


@pytest.mark.parametrize("surprise", [KeyError("canary"), AttributeError("canary"), ZeroDivisionError("canary")])
async def test_an_exchange_may_raise_what_it_likes(serve: Serve, clock: ManualClock, surprise: Exception) -> None:
    bad, good = await serve("paradex"), await serve("grvt")

    async def raising(*_: Any) -> Any:
        raise surprise

    bad.exchange.fetch_funding_rates = raising
    snapshot = await of(bad, good, clock=clock).snapshot(BTC)
    assert venues(snapshot) == ["grvt"]
    assert why(snapshot) == [f"its answer can not be read ({type(surprise).__name__})"]


async def test_a_list_of_markets_that_can_not_be_had_is_missing_for_held_markets_and_candidates(
    serve: Serve, clock: ManualClock
) -> None:
    bad, good = await serve("paradex"), await serve("grvt")
    bad.answers["/v1/markets"] = 500
    request = MarketRequest(markets=(Market("paradex", "ETH"),), symbols=("BTC",))
    source = of(bad, good, clock=clock)
    assert (await source.snapshot(request)).missing == (
        Missing(field="rate", why=UNREACHABLE, venue="paradex", symbol="ETH"),
        Missing(field="opportunities", why=f"paradex: {UNREACHABLE}"),
    )
    bad.answers |= type(bad)("paradex", (await serve("paradex", "BTC", "ETH")).answers).answers
    assert venues(await source.snapshot(request)) == ["paradex", "paradex", "grvt"]


async def test_a_venue_that_hangs_is_cut_at_the_deadline(serve: Serve, clock: ManualClock) -> None:
    slow, good = await serve("paradex"), await serve("grvt")
    source = of(slow, good, clock=clock, deadline=SOON)
    await slow.exchange.load_markets()
    slow.hanging.add("/v1/markets/summary")
    loop = asyncio.get_running_loop()
    began = loop.time()
    snapshot = await source.snapshot(BTC)
    assert loop.time() - began < 1
    assert venues(snapshot) == ["grvt"]
    assert why(snapshot) == ["it did not answer in time"]
    assert why(snapshot, "opportunities") == ["paradex: it did not answer in time"]


async def test_an_answer_of_its_own_that_hangs_costs_no_rate(serve: Serve, clock: ManualClock) -> None:
    server = await serve("lighter")
    await server.exchange.load_markets()
    server.hanging.add("/api/v1/orderBookDetails")
    snapshot = await of(server, clock=clock, deadline=SOON).snapshot(
        MarketRequest(symbols=("BTC",), needs=Needs(open_interest=True))
    )
    assert venues(snapshot) == ["lighter"]
    assert why(snapshot, "open interest") == ["it did not answer in time"]


async def test_markets_asked_one_by_one_keep_what_came_before_the_deadline(serve: Serve, clock: ManualClock) -> None:
    symbols = [f"C{number:02}" for number in range(20)]
    server = await serve("backpack", *symbols)
    source = of(server, clock=clock, deadline=SOON)
    await server.exchange.load_markets()
    answer = server.answers["/api/v1/markPrices"]

    def some(query: dict[str, str]) -> Any:
        if query["symbol"] >= "C05":
            server.hanging.add("/api/v1/markPrices")
        return answer(query)

    server.answers["/api/v1/markPrices"] = some
    snapshot = await source.snapshot(MarketRequest(symbols=("C00", "C01", "C19")))
    assert "C00" in {quote.symbol for quote in snapshot.quotes}
    server.hanging.clear()
    snapshot = await source.snapshot(MarketRequest(symbols=None))
    assert 0 < len(snapshot.quotes) < 20
    late = {gap.symbol for gap in snapshot.missing if gap.field == "rate"}
    assert late == set(symbols) - {quote.symbol for quote in snapshot.quotes}
    assert late == {gap.symbol for gap in snapshot.missing if gap.field == "opportunities"}


async def test_a_venue_that_is_asked_one_by_one_has_eight_questions_at_a_time(serve: Serve, clock: ManualClock) -> None:
    server = await serve("backpack", *[f"C{number:02}" for number in range(20)])
    await server.exchange.load_markets()
    server.hanging.add("/api/v1/markPrices")
    with pytest.raises(SourceUnavailableError):
        await of(server, clock=clock, deadline=SOON).snapshot(MarketRequest(symbols=None))
    assert server.requests.count("/api/v1/markPrices") == 8


async def test_a_market_that_can_not_be_read_is_missing_among_the_candidates_of_its_symbol(
    serve: Serve, clock: ManualClock
) -> None:
    server = await serve("backpack", "BTC", "ETH")
    answer = server.answers["/api/v1/markPrices"]
    server.answers["/api/v1/markPrices"] = lambda query: 500 if query["symbol"].startswith("ETH") else answer(query)
    source = of(server, clock=clock)
    rate = Missing(field="rate", why=UNREACHABLE, venue="backpack", symbol="ETH")
    lacking = Missing(field="opportunities", why=f"backpack: {UNREACHABLE}", symbol="ETH")
    held = (Market("backpack", "ETH"),)
    assert (await source.snapshot(MarketRequest(symbols=None))).missing == (rate, lacking)
    assert (await source.snapshot(MarketRequest(symbols=("BTC", "ETH")))).missing == (rate, lacking)
    assert (await source.snapshot(MarketRequest(markets=held, symbols=("BTC",)))).missing == (rate,)
    elsewhere = MarketRequest(markets=(*held, Market("backpack", "BTC")), symbols=None, venues=("grvt",))
    foreign = Missing(field="opportunities", why="this source does not have grvt")
    assert (await source.snapshot(elsewhere)).missing == (foreign, rate)


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (500, 401, SourceUnavailableError),
        (401, 500, SourceUnavailableError),
        ({"error": "NOT_FOUND"}, 401, SourceRefusedError),
        ({"results": "x"}, {"success": True, "data": "x"}, BadAnswerError),
    ],
)
async def test_an_error_is_raised_only_if_nothing_at_all_could_be_had(
    serve: Serve, clock: ManualClock, first: Any, second: Any, error: type[Exception]
) -> None:
    one, other = await serve("paradex"), await serve("pacifica")
    source = of(one, other, clock=clock)
    await source.snapshot(BTC)
    one.answers["/v1/markets/summary"] = first
    other.answers["/api/v1/info/prices"] = second
    with pytest.raises(error) as raised:
        await source.snapshot(BTC)
    assert str(raised.value).startswith("ccxt: paradex: it")
    assert "; pacifica: it" in str(raised.value)


async def test_secrets_are_in_no_reason_and_no_error(serve: Serve, clock: ManualClock) -> None:
    bad, good = await serve("paradex"), await serve("grvt")
    bad.exchange.apiKey = bad.exchange.secret = "canary"
    bad.exchange.urls["api"] = {key: f"{url}/canary" for key, url in bad.exchange.urls["api"].items()}
    assert "canary" not in repr(await of(bad, good, clock=clock).snapshot(BTC))
    with pytest.raises(SourceUnavailableError) as raised:
        await of(bad, clock=clock).snapshot(BTC)
    error: BaseException | None = raised.value
    while error is not None:
        assert "canary" not in str(error)
        error = error.__cause__ or error.__context__


async def test_cancelling_passes_and_leaves_no_task_behind(serve: Serve, clock: ManualClock) -> None:
    server = await serve("paradex")
    source = of(server, clock=clock)
    await source.snapshot(BTC)
    server.hanging.add("/v1/markets/summary")
    server.requests.clear()
    asking = asyncio.create_task(source.snapshot(BTC))
    while not server.requests:
        await asyncio.sleep(0)
    ours = asyncio.all_tasks()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    names = {task.get_coro().__qualname__ for task in asyncio.all_tasks() & ours}  # type: ignore[union-attr]  # named
    assert not {name for name in names if "CcxtVenue" in name or "snapshot" in name}


async def test_a_call_that_somebody_else_cancels_is_a_fault_of_its_venue(serve: Serve, clock: ManualClock) -> None:
    bad, good = await serve("paradex"), await serve("grvt")

    async def cancelled(*_: Any) -> Any:
        raise asyncio.CancelledError

    bad.exchange.fetch_funding_rates = cancelled
    snapshot = await of(bad, good, clock=clock).snapshot(BTC)
    assert venues(snapshot) == ["grvt"]
    assert why(snapshot) == ["the call was cancelled"]


# Exchanges ---------------------------------------------------------------------------------------------------------


async def test_an_exchange_of_its_own_is_made_when_it_is_first_asked(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve("hyperliquid")
    async with own(monkeypatch, server, clock) as source:
        assert server.made == [server.exchange]
        assert venues(await source.snapshot(BTC)) == ["hyperliquid"]
        assert server.requests == ["/info", "/info"]
        assert len(server.made) == 2


@pytest.mark.parametrize(
    ("venue", "paths"),
    [
        ("lighter", ["/api/v1/orderBookDetails", "/api/v1/funding-rates"]),
        ("grvt", ["/full/v1/all_instruments", "/full/v1/ticker"]),
        ("extended", ["/api/v1/info/markets", "/api/v1/info/markets"]),
    ],
)
async def test_an_exchange_of_its_own_does_not_ask_for_currencies(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch, venue: str, paths: list[str]
) -> None:
    server = await serve(venue)
    async with own(monkeypatch, server, clock) as source:
        await source.snapshot(BTC)
    assert server.requests == paths


async def test_the_markets_of_its_own_exchange_are_loaded_again_after_an_hour(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve("paradex")
    async with own(monkeypatch, server, clock) as source:
        await source.snapshot(BTC)
        clock.advance(timedelta(minutes=59))
        await source.snapshot(BTC)
        assert server.requests.count("/v1/markets") == 1
        clock.advance(timedelta(minutes=1))
        server.answers |= (await serve("paradex", "ETH")).answers
        assert venues(await source.snapshot(MarketRequest(symbols=("ETH",)))) == ["paradex"]
        assert server.requests.count("/v1/markets") == 2


async def test_the_markets_of_the_hosts_exchange_are_those_that_the_host_has_loaded(
    serve: Serve, clock: ManualClock
) -> None:
    server = await serve("paradex")
    source = of(server, clock=clock)
    await source.snapshot(BTC)
    clock.advance(timedelta(hours=2))
    await source.snapshot(BTC)
    assert server.requests.count("/v1/markets") == 1
    server.answers |= (await serve("paradex", "ETH")).answers
    await server.exchange.load_markets(reload=True)
    assert venues(await source.snapshot(MarketRequest(symbols=("ETH",)))) == ["paradex"]


async def test_loading_goes_on_beyond_the_deadline_and_serves_the_next_snapshot(
    serve: Serve, clock: ManualClock
) -> None:
    server = await serve("paradex")
    release = asyncio.Event()
    load, loads = server.exchange.load_markets, list[bool]()

    async def slow(reload: bool = False) -> Any:  # noqa: FBT001, FBT002  # as ccxt has it
        loads.append(reload)
        await release.wait()
        return await load(reload)

    server.exchange.load_markets = slow
    source = of(server, clock=clock, deadline=SOON)
    with pytest.raises(SourceUnavailableError, match="paradex: it did not answer in time"):
        await source.snapshot(BTC)
    release.set()
    assert venues(await source.snapshot(BTC)) == ["paradex"]
    assert loads == [False]


async def test_closing_closes_what_was_made_here_and_may_be_repeated(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve("paradex")
    source = own(monkeypatch, server, clock)
    await source.snapshot(BTC)
    made = server.made[-1]
    session = made.session
    await source.aclose()
    await source.aclose()
    assert session.closed
    assert made.session is None


async def test_closing_ends_a_loading_that_hangs(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve("paradex")
    server.hanging.add("/v1/markets")
    source = own(monkeypatch, server, clock, deadline=SOON)
    with pytest.raises(SourceUnavailableError):
        await source.snapshot(BTC)
    await source.aclose()
    names = {getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks()}
    assert not {name for name in names if "CcxtVenue" in name}


async def test_a_closed_source_that_is_asked_again_makes_a_new_exchange(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve("paradex")
    async with own(monkeypatch, server, clock) as source:
        await source.snapshot(BTC)
        await source.aclose()
        assert venues(await source.snapshot(BTC)) == ["paradex"]


async def test_the_hosts_exchange_is_not_closed(serve: Serve, clock: ManualClock) -> None:
    server = await serve("paradex")
    async with of(server, clock=clock) as source:
        await source.snapshot(BTC)
    assert not server.exchange.session.closed
    await server.exchange.fetch_funding_rates()


class Elsewhere:
    """An exchange that nobody looked at, with what ccxt's unified structures have."""

    def __init__(self, **has: bool) -> None:
        self.has = {"fetchFundingRate": True, **has}
        self.row: object = {"fundingRate": 0.0001, "interval": "1d", "markPrice": 90000.5, "timestamp": None}

    async def load_markets(self, reload: bool = False) -> Any:  # noqa: FBT001, FBT002  # as ccxt has it
        return {
            "BTC/USDT:USDT": {"symbol": "BTC/USDT:USDT", "base": "BTC", "quote": "USDT", "swap": True, "linear": True}
        }

    async def close(self) -> None: ...

    async def fetch_funding_rate(self, symbol: str) -> Any:
        return self.row

    async def fetch_open_interest(self, symbol: str) -> Any:
        return {"symbol": symbol, "openInterestAmount": 5.0, "openInterestValue": 1234.5}


async def test_a_venue_that_nobody_looked_at_is_taken_at_ccxts_word(clock: ManualClock) -> None:
    source = CcxtSource(exchanges={"elsewhere": Elsewhere(fetchOpenInterest=True)}, clock=clock, name="mine")
    (quote,) = (await source.snapshot(MarketRequest(symbols=None, needs=Needs(open_interest=True)))).quotes
    assert (quote.rate.interval, quote.kind, quote.origin) == (timedelta(days=1), RateKind.INDICATIVE, "mine")
    assert quote.open_interest_usd == 1234


async def test_what_ccxt_can_not_ask_for_is_missing(clock: ManualClock) -> None:
    source = CcxtSource(exchanges={"elsewhere": Elsewhere()}, clock=clock)
    snapshot = await source.snapshot(MarketRequest(symbols=None, needs=Needs(open_interest=True)))
    assert why(snapshot, "open interest") == ["the venue does not give it, or ccxt does not"]


async def test_a_venue_without_any_funding_rate_in_ccxt_says_so(clock: ManualClock) -> None:
    source = CcxtSource(exchanges={"elsewhere": Elsewhere(fetchFundingRate=False)}, clock=clock)
    with pytest.raises(BadAnswerError, match="elsewhere: its answer has none of its markets"):
        await source.snapshot(MarketRequest(symbols=None))


@pytest.mark.parametrize("interval", ["soon", "", None, 8, "0h", "h"])
async def test_an_interval_that_can_not_be_read_makes_the_rate_unknown(clock: ManualClock, interval: object) -> None:
    exchange = Elsewhere()

    exchange.row = {"fundingRate": 0.0001, "interval": interval}
    snapshot = await CcxtSource(exchanges={"elsewhere": exchange}, clock=clock).snapshot(MarketRequest(symbols=None))
    assert snapshot.quotes == ()
    assert len(why(snapshot)) == 1


@pytest.mark.parametrize("row", [None, 7, "fundingRate", [0.0001], {"info": 7}])
async def test_a_row_of_any_shape_makes_the_rate_unknown(clock: ManualClock, row: object) -> None:
    exchange = Elsewhere()
    exchange.row = row
    snapshot = await CcxtSource(exchanges={"elsewhere": exchange}, clock=clock).snapshot(MarketRequest(symbols=None))
    assert snapshot.quotes == ()
    assert why(snapshot) == ["the venue gives no rate"]


async def test_a_source_that_is_closed_while_it_is_asked_says_so(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve("aster")
    source = own(monkeypatch, server, clock, deadline=timedelta(seconds=2))
    server.hanging.add("/fapi/v3/exchangeInfo")
    asking = asyncio.create_task(source.snapshot(BTC))
    while "/fapi/v3/exchangeInfo" not in server.requests:
        await asyncio.sleep(0)
    await source.aclose()
    with pytest.raises(SourceUnavailableError, match="aster: the call was cancelled"):
        await asking


async def test_a_source_that_is_closed_before_it_asks_says_so(
    serve: Serve, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = await serve("paradex")
    source = own(monkeypatch, server, clock)
    await source.snapshot(BTC)
    outcome, _ = await asyncio.gather(source.snapshot(BTC), source.aclose(), return_exceptions=True)
    assert str(outcome) == "ccxt: paradex: the source was closed"


# Making a source ---------------------------------------------------------------------------------------------------


def test_importing_it_does_not_import_ccxt() -> None:
    code = "import sys, rebalancer.adapters.ccxt_source; sys.exit('ccxt' in sys.modules or 'aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_without_ccxt_the_message_is_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ccxt.async_support", None)
    with pytest.raises(MissingExtraError) as raised:
        CcxtSource("hyperliquid")
    assert str(raised.value) == 'CcxtSource needs an optional dependency: pip install "funding-rebalancer[ccxt]"'
    assert raised.value.extra == "ccxt"


@pytest.mark.parametrize(("version", "fits"), [("4.5.77", False), ("4.4.99", False), ("4.5.78", True), ("5.0", True)])
def test_an_older_ccxt_is_refused(monkeypatch: pytest.MonkeyPatch, version: str, fits: bool) -> None:  # noqa: FBT001
    monkeypatch.setattr(ccxt, "__version__", version)
    if fits:
        CcxtSource("hyperliquid")
    else:
        with pytest.raises(MissingExtraError, match="or newer: older ones misread GRVT"):
            CcxtSource("hyperliquid")


def test_what_can_not_be_a_source_is_refused_when_it_is_made() -> None:
    sync: Any = ModuleType("exchange")
    sync.load_markets = dict
    cases: dict[str, Callable[[], CcxtSource]] = {
        "give at least one venue": CcxtSource,
        "a venue is given twice": lambda: CcxtSource("grvt", "GRVT"),
        "ccxt has no exchange of this name": lambda: CcxtSource("edgex"),
        "not a venue": lambda: CcxtSource("hyper liquid"),
        "a list of quote currencies": lambda: CcxtSource("grvt", prefer={"grvt": "USDC"}),
        "deadline must be above 0": lambda: CcxtSource("grvt", deadline=timedelta(0)),
        "exchanges must be of ccxt.async_support": lambda: CcxtSource(exchanges={"grvt": sync}),
    }
    for message, make in cases.items():
        with pytest.raises(InputError, match=message):
            make()
    with pytest.raises(InputError, match="a venue is given twice"):
        CcxtSource("grvt", exchanges={"grvt": sync})
