"""Every answer that was recorded of the real service: read, or refused with a declared error.

The recordings are beside the repository; without them these tests are skipped, and made-up answers stand for them.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import respx

from rebalancer import (
    Action,
    CombinedStrategy,
    DivergenceFlip,
    FundingRate,
    MarketSnapshot,
    Needs,
    SourceError,
    SourceRefusedError,
    presets,
)
from rebalancer.adapters.funding_service import (
    Comparison,
    FundingServiceClient,
    ServiceOpportunity,
    ServiceRate,
    VenueRates,
    VenueSymbols,
)
from rebalancer.adapters.http import JsonReader
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import plain
from rebalancer.monitor.fetch import Fetcher, request_for
from rebalancer.testing import ManualClock, a_position

if TYPE_CHECKING:
    from .conftest import FakeService

HERE = Path(__file__).resolve().parents[3].parent / "shared" / "service"
FILES = sorted(path.stem for path in HERE.glob("*.json"))
RECORDED_AT = datetime(2026, 11, 22, 13, 3, 16, tzinfo=UTC)
HOST = "http://localhost:8000"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # spares each client the reading of certificates

recorded = pytest.mark.skipif(not FILES, reason="the recordings are not beside the repository")

Ask = Callable[[FundingServiceClient], Awaitable[object]]


def compare(symbol: str, long: str, short: str) -> Ask:
    return lambda client: client.compare_rates(symbol, long, short)


def pairs(**filters: Any) -> Ask:
    return lambda client: client.get_opportunities(**filters)


def best(**filters: Any) -> Ask:
    return lambda client: client.get_best_opportunity(**filters)


def rate(venue: str, symbol: str) -> Ask:
    return lambda client: client.get_funding_rate(venue, symbol)


def rates(venue: str) -> Ask:
    return lambda client: client.get_funding_rates(venue)


def symbols(venue: str) -> Ask:
    return lambda client: client.get_symbols(venue)


def venues(client: FundingServiceClient) -> Awaitable[object]:
    return client.get_dexes()


async def proof(client: FundingServiceClient) -> object:
    """The rates of all venues are asked to prove that an empty list says something."""
    return await client.get_opportunities(limit=1)


JSON = None
"""No method of the client asks this question: its answer is read as JSON."""

EXPECTED: dict[str, tuple[Ask | None, str]] = {
    "dbdown__best": (best(symbol="SOL"), "SourceUnavailableError"),
    "dbdown__compare": (compare("BTC", "lighter", "grvt"), "SourceUnavailableError"),
    "dbdown__funding_rate_one": (rate("grvt", "BTC"), "SourceUnavailableError"),
    "dbdown__funding_rates_all": (proof, "SourceUnavailableError"),
    "dbdown__health_database": (JSON, "JSON"),
    "dbdown__health_simple": (JSON, "JSON"),
    "dbdown__opportunities": (pairs(), "SourceUnavailableError"),
    "dbdown__ping": (JSON, "JSON"),
    "empty__best": (best(), "SourceUnavailableError"),
    "empty__dex_symbols": (symbols("lighter"), "0 symbols"),
    "empty__funding_rates_all": (proof, "SourceUnavailableError"),
    "empty__funding_rates_dex": (rates("lighter"), "0 rates"),
    "empty__opportunities": (pairs(), "SourceUnavailableError"),
    "flip__1_before_compare_long_lighter_short_grvt": (
        compare("SOL", "lighter", "grvt"),
        "long -0.000213, short 0.0003127: 0.0005257",
    ),
    "flip__2_after_best_SOL": (best(symbol="SOL"), "SOL grvt/backpack"),
    "flip__2_after_compare_divergence_still_positive_recommendation_reversed": (
        compare("SOL", "lighter", "grvt"),
        "long -0.000213, short -0.0004: -0.000187",
    ),
    "seeded__accept_encoding_gzip_not_used": (proof, "0 pairs"),
    "seeded__best_default": (best(), "FARTCOIN aster/lighter"),
    "seeded__best_exclude": (best(exclude_dexes="backpack,lighter", symbol="SOL"), "SOL aster/grvt"),
    "seeded__best_min_profit_huge_none": (best(min_profit=1), "none"),
    "seeded__best_min_profit_not_a_number": (best(), "SourceRefusedError 422"),
    "seeded__best_symbol_BTC_none_below_default_min_divergence": (best(symbol="BTC"), "none"),
    "seeded__best_symbol_ETH": (best(symbol="ETH"), "ETH paradex/grvt"),
    "seeded__best_symbol_HYPE_zero_oi": (best(symbol="HYPE"), "HYPE grvt/backpack"),
    "seeded__best_symbol_unknown_200_null": (best(symbol="NOPE"), "UnknownMarketError"),
    "seeded__best_trailing_slash": (best(), "BadAnswerError"),
    "seeded__best_whitelist": (best(whitelist_dexes="lighter,grvt"), "HYPE grvt/lighter"),
    "seeded__compare_AVAX_hyperliquid_backpack_both_negative": (
        compare("AVAX", "hyperliquid", "backpack"),
        "long -0.000152, short -0.00041112: -0.00025912",
    ),
    "seeded__compare_BTC_grvt_lighter_swapped": (
        compare("BTC", "grvt", "lighter"),
        "long 0.0000875, short 0.000064: -0.0000235",
    ),
    "seeded__compare_BTC_lighter_grvt": (
        compare("BTC", "lighter", "grvt"),
        "long 0.000064, short 0.0000875: 0.0000235",
    ),
    "seeded__compare_HYPE_float_noise": (
        compare("HYPE", "lighter", "backpack"),
        "long 0.00096, short 0.001528: 0.000568",
    ),
    "seeded__compare_LINK_equal_rates_zero_divergence": (
        compare("LINK", "lighter", "grvt"),
        "long 0.0001, short 0.0001: 0",
    ),
    "seeded__compare_SOL_grvt_lighter_flipped_position": (
        compare("SOL", "grvt", "lighter"),
        "long 0.0003127, short -0.000213: -0.0005257",
    ),
    "seeded__compare_XRP_tiny_negative": (
        compare("XRP", "hyperliquid", "paradex"),
        "long -0.0000000037, short 0.0000000001: 0.0000000038",
    ),
    "seeded__compare_XRP_tiny_scientific": (
        compare("XRP", "lighter", "paradex"),
        "long 0, short 0.0000000001: 0.0000000001",
    ),
    "seeded__compare_duplicate_param_last_wins": (compare("BTC", "lighter", "grvt"), "BadAnswerError"),
    "seeded__compare_empty_symbol": (compare("BTC", "lighter", "grvt"), "UnknownMarketError 404"),
    "seeded__compare_inactive_dex_still_served": (
        compare("SOL", "lighter", "edgex"),
        "long -0.000213, short 0.0019: 0.002113",
    ),
    "seeded__compare_missing_all_params": (compare("BTC", "lighter", "grvt"), "SourceRefusedError 422"),
    "seeded__compare_mixed_case": (compare("btc", "Lighter", "GRVT"), "long 0.000064, short 0.0000875: 0.0000235"),
    "seeded__compare_no_rate_dex2": (compare("arb", "lighter", "GRVT"), "UnknownMarketError 404"),
    "seeded__compare_trailing_slash_redirect": (compare("BTC", "lighter", "grvt"), "BadAnswerError"),
    "seeded__compare_unknown_dex1": (compare("BTC", "binance", "grvt"), "UnknownMarketError 404"),
    "seeded__compare_with_spaces_404": (compare("BTC", "lighter", "grvt"), "UnknownMarketError 404"),
    "seeded__cors_preflight": (JSON, "BadAnswerError"),
    "seeded__dex_LIGHTER_symbols_case": (symbols("LIGHTER"), "13 symbols"),
    "seeded__dex_grvt_symbols": (symbols("grvt"), "8 symbols"),
    "seeded__dex_lighter": (JSON, "JSON"),
    "seeded__dex_lighter_symbols": (symbols("lighter"), "13 symbols"),
    "seeded__dexes": (venues, "7 venues, 6 active"),
    "seeded__funding_rate_backpack_HYPE__zero_oi_becomes_null": (
        rate("backpack", "HYPE"),
        "0.001528 until 14:00, interest None, volume 29160000",
    ),
    "seeded__funding_rate_backpack_PEPE__no_dex_symbols_row": (
        rate("backpack", "PEPE"),
        "0.000116 until 14:00, interest None, volume None",
    ),
    "seeded__funding_rate_backpack_XRP__rate_1.2e-06": (
        rate("backpack", "XRP"),
        "0.0000012 until 14:00, interest 7200000, volume 19440000",
    ),
    "seeded__funding_rate_grvt_BTC__full": (
        rate("grvt", "BTC"),
        "0.0000875 until 16:00, interest 198000000, volume 534600000",
    ),
    "seeded__funding_rate_hyperliquid_XRP__rate_-3.7e-09": (
        rate("hyperliquid", "XRP"),
        "-0.0000000037 until 14:00, interest 390000000, volume 1053000000",
    ),
    "seeded__funding_rate_lighter_BTC__null_next_funding_time": (
        rate("lighter", "BTC"),
        "0.000064, interest 900000000, volume 2430000000",
    ),
    "seeded__funding_rate_lighter_NOPE__unknown_symbol_404": (rate("lighter", "NOPE"), "UnknownMarketError 404"),
    "seeded__funding_rate_symbol_with_dash": (rate("lighter", "BTC-PERP"), "UnknownMarketError 404"),
    "seeded__funding_rate_symbol_with_slash_encoded": (rate("lighter", "BTC/USD"), "UnknownMarketError 404"),
    "seeded__funding_rates_all": (proof, "0 pairs"),
    "seeded__funding_rates_dex_LIGHTER_uppercase_is_empty": (proof, "SourceUnavailableError"),
    "seeded__funding_rates_inactive_dex_filter": (proof, "SourceUnavailableError"),
    "seeded__funding_rates_of_dex_grvt": (rates("grvt"), "8 rates"),
    "seeded__funding_rates_of_dex_lighter": (rates("lighter"), "13 rates"),
    "seeded__funding_rates_of_dex_trailing_slash": (rates("lighter"), "BadAnswerError"),
    "seeded__funding_rates_post_not_allowed": (JSON, "SourceRefusedError 405"),
    "seeded__funding_rates_small_and_zero_values_XRP": (proof, "0 pairs"),
    "seeded__funding_rates_symbol_BTC": (proof, "0 pairs"),
    "seeded__funding_rates_unknown_dex_filter": (proof, "SourceUnavailableError"),
    "seeded__funding_rates_unknown_param_ignored": (proof, "0 pairs"),
    "seeded__funding_rates_unknown_symbol_filter": (proof, "SourceUnavailableError"),
    "seeded__history_bad_period_d": (JSON, "SourceRefusedError 400"),
    "seeded__history_lighter_BTC": (JSON, "SourceUnavailableError"),
    "seeded__history_lighter_BTC_period_1d_limit": (JSON, "SourceUnavailableError"),
    "seeded__opps_DOGE_tiny_divergence_hidden_by_default_min_divergence": (pairs(symbol="DOGE"), "0 pairs"),
    "seeded__opps_default": (pairs(), "10 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_dex_lighter": (pairs(dexes="lighter"), "10 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_dex_pair_one_value": (pairs(dexes="lighter"), "SourceUnavailableError"),
    "seeded__opps_dexes": (pairs(dexes="lighter,grvt"), "10 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_for_symbol_path_SOL": (JSON, "JSON"),
    "seeded__opps_limit_100": (pairs(limit=100), "50 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_max_oi_500000": (pairs(min_profit="0.001", max_oi_usd=500_000), "3 pairs, FARTCOIN backpack/lighter"),
    "seeded__opps_max_oi_null_oi_passes": (pairs(max_oi_usd=1, symbol="SOL", limit=100, dexes="grvt"), "0 pairs"),
    "seeded__opps_max_oi_zero_is_no_filter": (pairs(max_oi_usd=0, limit=100), "0 pairs"),
    "seeded__opps_max_spread_2": (pairs(limit=100), "24 pairs, PEPE lighter/aster"),
    "seeded__opps_max_volume": (pairs(limit=100), "22 pairs, FARTCOIN paradex/lighter"),
    "seeded__opps_min_oi_1e6": (pairs(min_oi_usd="1e6", limit=100), "27 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_min_oi_bad": (pairs(), "SourceRefusedError 422"),
    "seeded__opps_min_profit_0.001": (pairs(min_profit="0.001"), "10 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_min_profit_Infinity": (pairs(), "SourceRefusedError 422"),
    "seeded__opps_min_profit_NaN": (pairs(), "SourceRefusedError 422"),
    "seeded__opps_min_profit_huge_none": (pairs(min_profit="0.9"), "0 pairs"),
    "seeded__opps_min_volume": (pairs(min_volume_usd="5e7", limit=100), "13 pairs, HYPE grvt/lighter"),
    "seeded__opps_oi_ratio": (pairs(limit=100), "22 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_post_405": (pairs(), "SourceRefusedError 405"),
    "seeded__opps_required_dex_null_oi_excluded": (
        pairs(max_oi_usd=10**11, required_dex="grvt", symbol="SOL", limit=100),
        "0 pairs",
    ),
    "seeded__opps_seed_call_unknown_params_ignored": (
        pairs(min_profit="0.001", max_oi_usd=500_000, prioritize_dexes="lighter,grvt"),
        "3 pairs, FARTCOIN backpack/lighter",
    ),
    "seeded__opps_sort_by_nullable_text_oi_imbalance": (pairs(limit=3), "3 pairs, FARTCOIN aster/lighter"),
    "seeded__opps_sort_by_text_field_symbol": (pairs(limit=3), "3 pairs, XRP lighter/grvt"),
    "seeded__opps_sort_unknown_field": (pairs(limit=3), "3 pairs, ETH paradex/grvt"),
    "seeded__opps_stale_row_ARB_included": (pairs(symbol="ARB", dexes="aster"), "3 pairs, ARB lighter/aster"),
    "seeded__opps_symbol_sol_lowercase": (pairs(symbol="sol", limit=3), "3 pairs, SOL lighter/grvt"),
    "seeded__opps_trailing_slash": (pairs(limit=1), "BadAnswerError"),
    "seeded__opps_zero_oi_min_oi_filter_passes": (
        pairs(symbol="ARB", dexes="lighter", min_oi_usd=1_000_000),
        "0 pairs",
    ),
    "seeded__opps_zero_oi_row_HYPE_backpack": (
        pairs(symbol="HYPE", whitelist_dexes="lighter,backpack"),
        "1 pairs, HYPE lighter/backpack",
    ),
    "seeded__root": (JSON, "JSON"),
    "seeded__tasks_health": (JSON, "JSON"),
    "unmapped__best_works_anyway": (best(), "FARTCOIN aster/lighter"),
}


def told(answer: object) -> str:  # noqa: PLR0911  # one for each kind of answer
    """An answer in short."""
    match answer:
        case None:
            return "none"
        case Comparison():
            legs = [plain(leg.rate.per_8h) for leg in (answer.long, answer.short)]
            return f"long {legs[0]}, short {legs[1]}: {plain(answer.divergence)}"
        case ServiceRate():
            until = f" until {answer.next_funding_at:%H:%M}" if answer.next_funding_at else ""
            figures = f"interest {answer.open_interest_usd}, volume {answer.volume_24h_usd}"
            return f"{plain(answer.rate.per_8h)}{until}, {figures}"
        case VenueRates() | VenueSymbols():
            assert answer.refused == ()
            rows = answer.rates if isinstance(answer, VenueRates) else answer.symbols
            return f"{len(rows)} {'rates' if isinstance(answer, VenueRates) else 'symbols'}"
        case ServiceOpportunity():
            return f"{answer.symbol} {answer.long_dex}/{answer.short_dex}"
        case tuple() if all(isinstance(one, ServiceOpportunity) for one in answer):
            return f"{len(answer)} pairs" + (f", {told(answer[0])}" if answer else "")
        case tuple():
            return f"{len(answer)} venues, {sum(one.active for one in answer)} active"
    return "JSON"


def recording(name: str) -> dict[str, Any]:
    """A recorded question and its answer."""
    found: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return found


def response(name: str) -> httpx.Response:
    """A recorded answer, as it was sent."""
    said = recording(name)
    return httpx.Response(said["status"], headers=said["headers"], content=said["body_raw"].encode())


@pytest.fixture
def router() -> Iterator[respx.MockRouter]:
    """What answers instead of a service; nothing but what it was told."""
    with respx.mock(assert_all_called=False) as made:
        yield made


@pytest.fixture
async def client() -> AsyncIterator[FundingServiceClient]:
    """A client when the recordings were made."""
    async with FundingServiceClient(clock=ManualClock(RECORDED_AT), verify=NO_TLS) as made:
        yield made


@recorded
def test_every_recording_has_an_expectation_and_every_expectation_a_recording() -> None:
    assert sorted(EXPECTED) == FILES


@recorded
@pytest.mark.parametrize("name", FILES)
async def test_a_recorded_answer_is_read_or_refused_with_the_declared_error(
    name: str, router: respx.MockRouter, client: FundingServiceClient
) -> None:
    ask, outcome = EXPECTED[name]
    asked = recording(name)["request"]
    path = "" if ask is JSON else asked["path"].rstrip("/")
    if ask is None:
        router.get(HOST + asked["path"]).mock(return_value=response(name))
        ask = reading(asked["path"])
    else:
        mine = router.get(url__regex=f"(?i)^{HOST}{path}(\\?|$)").mock(return_value=response(name))
        state = name.partition("__")[0]
        everything = f"{state if state in ('empty', 'dbdown') else 'seeded'}__funding_rates_all"
        if ask is proof:
            router.get(f"{HOST}/api/v1/opportunities").mock(return_value=response("empty__opportunities"))
        router.get(f"{HOST}/api/v1/funding-rates").mock(return_value=response(everything))
    try:
        said = told(await ask(client))
    except SourceError as error:
        status = error.status if isinstance(error, SourceRefusedError) else None
        said = type(error).__name__ + (f" {status}" if status else "")
    assert said == outcome
    if path:
        assert mine.called


def reading(path: str) -> Ask:
    """Read the path as JSON."""

    async def read(client: FundingServiceClient) -> object:
        reader = JsonReader(HOST, name="service", clock=client.clock, verify=NO_TLS)
        try:
            return await reader.get(path)
        finally:
            await reader.aclose()

    return read


@recorded
async def test_the_flip_that_compare_hides_is_seen(router: respx.MockRouter, client: FundingServiceClient) -> None:
    held = a_position(symbol="SOL", opened_at=RECORDED_AT - timedelta(hours=5))
    strategy = CombinedStrategy(DivergenceFlip())
    decisions = []
    for name in (
        "flip__1_before_compare_long_lighter_short_grvt",
        "flip__2_after_compare_divergence_still_positive_recommendation_reversed",
    ):
        router.get(path="/api/v1/funding-rates/compare").mock(return_value=response(name))
        assert recording(name)["body"]["divergence"] > 0  # what the service says of it, before and after
        legs = await client.compare_rates("SOL", held.long_dex, held.short_dex)
        snapshot = MarketSnapshot.of(held, long_rate=legs.long.rate, short_rate=legs.short.rate, as_of=RECORDED_AT)
        decisions.append(strategy.decide(held, snapshot))
    assert [(one.action, one.reason) for one in decisions] == [
        (Action.HOLD, None),
        (Action.CLOSE, "DIVERGENCE_FLIPPED"),
    ]


# A copy of the recorded service, behind a real socket.

ALL = Needs(opportunities=True, schedule=True, open_interest=True, volume=True)


@pytest.fixture
def copy(service: FakeService) -> FakeService:
    """What was recorded, with the venues that were not made up from the rates of all venues."""
    everything = recording("seeded__funding_rates_all")["body"]["data"]
    for venue in ("aster", "backpack", "edgex", "hyperliquid", "paradex"):
        rows = {
            symbol: {
                "funding_rate": of_venues[venue],
                "next_funding_time": "2026-11-22T14:00:00",
                "timestamp": "2026-11-19T13:02:50.5" if (venue, symbol) == ("aster", "ARB") else "2026-11-22T13:02:50",
            }
            for symbol, of_venues in everything.items()
            if venue in of_venues
        }
        service.answers[f"/funding-rates/{venue}"] = {"dex_name": venue, "rates": rows}
        service.answers[f"/dexes/{venue}/symbols"] = {"dex_name": venue, "symbols": []}
    for path, name in (
        ("/dexes", "seeded__dexes"),
        ("/funding-rates/grvt", "seeded__funding_rates_of_dex_grvt"),
        ("/funding-rates/lighter", "seeded__funding_rates_of_dex_lighter"),
        ("/dexes/grvt/symbols", "seeded__dex_grvt_symbols"),
        ("/dexes/lighter/symbols", "seeded__dex_lighter_symbols"),
    ):
        service.answers[path] = recording(name)["body_raw"]
    return service


@recorded
@pytest.mark.parametrize("count", [1, 10, 100, 500])
async def test_a_tick_on_the_recorded_service_asks_as_much_for_any_number_of_positions(
    copy: FakeService, count: int
) -> None:
    strategy = presets.conservative()
    clock = ManualClock(RECORDED_AT)
    positions = [
        a_position(
            symbol=symbol,
            long_dex=("lighter", "aster", "hyperliquid")[number % 3],
            short_dex=("grvt", "backpack", "paradex")[number // 3 % 3],
            opened_at=RECORDED_AT - timedelta(minutes=number + 1),
        )
        for number, symbol in zip(range(count), ["BTC", "ETH", "SOL", "HYPE", "XRP", "LINK"] * count, strict=False)
    ]
    async with copy.source(clock) as source:
        fetched = await Fetcher(source, strategy, clock=clock).fetch(positions)
    assert (fetched.error, fetched.snapshot.missing) == (None, ())
    assert len(copy.requests) == len(set(copy.requests)) == 1 + 6
    decisions = [strategy.decide(position, fetched.snapshot) for position in positions]
    assert all(decision.complete for decision in decisions)


@recorded
async def test_every_recorded_rate_of_an_active_venue_is_quoted_exactly(copy: FakeService) -> None:
    async with copy.source(ManualClock(RECORDED_AT)) as source:
        everything = Needs(opportunities=True, all_symbols=True)
        snapshot = await source.snapshot(request_for([], everything))
    raw = json.loads(recording("seeded__funding_rates_all")["body_raw"], parse_float=Decimal)["data"]
    eight = timedelta(hours=8)
    assert {market: quote.rate for market, quote in snapshot.by_market.items()} == {
        Market(venue, symbol): FundingRate(value, eight)
        for symbol, of_venues in raw.items()
        for venue, value in of_venues.items()
    }
    assert len(snapshot.quotes) == 68
    assert snapshot.missing == ()


@recorded
async def test_the_recorded_figures_and_schedules_are_those_of_the_legs(copy: FakeService) -> None:
    async with copy.source(ManualClock(RECORDED_AT)) as source:
        snapshot = await source.snapshot(request_for([a_position(), a_position(symbol="SOL")], ALL))
    lighter, grvt = (snapshot.by_market[Market(venue, "BTC")] for venue in ("lighter", "grvt"))
    assert [lighter.open_interest_usd, lighter.volume_24h_usd] == [900_000_000, 2_430_000_000]
    assert [grvt.open_interest_usd, grvt.volume_24h_usd] == [198_000_000, 534_600_000]
    assert (lighter.next_funding_at, grvt.next_funding_at) == (None, datetime(2026, 11, 22, 16, tzinfo=UTC))
    unknown = snapshot.by_market[Market("grvt", "SOL")]
    assert (unknown.open_interest_usd, unknown.volume_24h_usd) == (None, None)
    assert len(copy.requests) == 1 + 2 * 6


@recorded
async def test_a_row_of_three_days_ago_is_not_acted_on(copy: FakeService) -> None:
    held = a_position(symbol="ARB", short_dex="aster", opened_at=RECORDED_AT - timedelta(hours=5))
    clock = ManualClock(RECORDED_AT)
    strategy = CombinedStrategy(DivergenceFlip())
    async with copy.source(clock) as source:
        fetched = await Fetcher(source, strategy, clock=clock).fetch([held])
    decision = strategy.decide(held, fetched.snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert [(one.kind, one.venues) for one in fetched.suspicions] == [("stale", ("aster",))]


@recorded
async def test_a_held_leg_on_the_recorded_inactive_venue_is_quoted_and_gives_no_candidates(copy: FakeService) -> None:
    edgex = {"SOL": {"funding_rate": 0.0019, "next_funding_time": None, "timestamp": "2026-11-22T13:02:23.937698"}}
    copy.answers["/funding-rates/edgex"] = {"dex_name": "edgex", "rates": {**edgex, "BTC": edgex["SOL"]}}
    held = a_position(symbol="SOL", short_dex="edgex")
    async with copy.source(ManualClock(RECORDED_AT)) as source:
        snapshot = await source.snapshot(request_for([held, a_position()], Needs(opportunities=True)))
    quoted = {symbol for venue, symbol in snapshot.by_market if venue == "edgex"}
    assert quoted == {"SOL"}
    assert {venue for venue, symbol in snapshot.by_market if symbol == "BTC"} == {
        "aster",
        "backpack",
        "grvt",
        "hyperliquid",
        "lighter",
        "paradex",
    }
