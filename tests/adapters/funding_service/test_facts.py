"""What a client must know of the Funding Rate Service, fact by fact, with made-up answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    Action,
    BadAnswerError,
    CombinedStrategy,
    DivergenceFlip,
    Freshness,
    InputError,
    MarketRequest,
    Needs,
    SourceRefusedError,
    SourceUnavailableError,
    UnknownMarketError,
)
from rebalancer.adapters.funding_service import FundingServiceClient, FundingServiceSource, ServiceRate
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, ManualClock, a_position

if TYPE_CHECKING:
    from .conftest import Answers

SEEN = "2026-01-05T11:59:50.937698"
BTC = (Market("grvt", "BTC"), Market("lighter", "BTC"))
EVERYTHING = {"data": {"BTC": {"lighter": 0.0001, "grvt": 0.0003}, "SOL": {}}, "count": 2}


def a_row(rate: object = 0.0001, **fields: object) -> dict[str, Any]:
    """A row of a venue's rates."""
    return {"funding_rate": rate, "annualized_rate": 0.1095, "next_funding_time": None, "timestamp": SEEN, **fields}


def a_market(venue: str = "grvt", symbol: str = "BTC", **fields: object) -> dict[str, Any]:
    """The answer about one market."""
    return {"dex_name": venue, "symbol": symbol, "volume_24h": 5e6, "open_interest_usd": 2e6, **a_row(), **fields}


def rates_of(venue: str, **rows: dict[str, Any]) -> dict[str, Any]:
    """The answer about a venue's rates."""
    return {"dex_name": venue, "rates": rows, "updated_at": SEEN}


def a_comparison(long: object, short: object, **fields: object) -> dict[str, Any]:
    """The answer of `compare` about BTC, long lighter and short grvt."""
    return {
        "symbol": "BTC",
        "dex1": {"name": "lighter", **a_row(long)},
        "dex2": {"name": "grvt", **a_row(short)},
        "divergence": 0.9,
        "divergence_bps": 9000.0,
        "long_recommendation": "grvt",
        "short_recommendation": "lighter",
        "estimated_net_profit_8h": 0.9,
        "timestamp": SEEN,
        **fields,
    }


def a_pair(**fields: object) -> dict[str, Any]:
    """An opportunity in a list: BTC long lighter, short grvt."""
    return {
        "symbol": "BTC",
        "long_dex": "lighter",
        "short_dex": "grvt",
        "long_rate": 0.0001,
        "short_rate": 0.0006,
        "divergence": 0.0005,
        "estimated_fees": 0.0002,
        "net_profit_percent": 0.0003,
        "annualized_apy": 32.85,
        "min_volume_24h": 4e6,
        "long_dex_oi_usd": 3e6,
        "short_dex_oi_usd": 1e6,
        "min_oi_usd": 1e6,
        "max_oi_usd": 3e6,
        "discovered_at": "2026-01-05T12:00:00.5",
        **fields,
    }


def a_best(**fields: object) -> dict[str, Any]:
    """The answer of `best`, whose pair has no open interest of each leg."""
    unsaid = ("long_dex_oi_usd", "short_dex_oi_usd", "max_oi_usd")
    best = {name: value for name, value in a_pair(**fields).items() if name not in unsaid}
    return {"opportunity": best, "rank": 1, "generated_at": "2026-01-05T12:00:01"}


def listed(*pairs: dict[str, Any]) -> dict[str, Any]:
    """The answer of `opportunities`."""
    return {"opportunities": list(pairs), "total_count": len(pairs), "generated_at": SEEN}


async def the_rate(client: FundingServiceClient, answers: Answers, **fields: Any) -> ServiceRate:
    """What the client makes of a market's answer."""
    answers["/funding-rates/grvt/BTC"] = a_market(**fields)
    return await client.get_funding_rate("grvt", "BTC")


# 1. The divergence of `compare` is absolute.


@pytest.mark.parametrize(
    ("long", "short", "divergence"),
    [(0.0001, 0.0003, "0.0002"), (0.0003, 0.0001, "-0.0002"), (-0.0002, -0.0001, "0.0001"), (0.0001, 0.0001, "0")],
)
async def test_a_divergence_is_the_signed_difference_of_the_two_legs_whatever_the_service_says(
    client: FundingServiceClient, answers: Answers, long: float, short: float, divergence: str
) -> None:
    answers["/funding-rates/compare"] = a_comparison(long, short)
    compared = await client.compare_rates("BTC", "lighter", "grvt")
    assert compared.divergence == Decimal(divergence)
    assert (compared.long.venue, compared.short.venue) == ("lighter", "grvt")
    assert answers.asked == [("/funding-rates/compare", {"symbol": "BTC", "dex1": "lighter", "dex2": "grvt"})]


@pytest.mark.parametrize("unsigned", [0.0005, 0, None, "nonsense"])
async def test_a_comparison_does_not_read_the_services_own_divergence_and_profit(
    client: FundingServiceClient, answers: Answers, unsigned: object
) -> None:
    answers["/funding-rates/compare"] = a_comparison(
        0.0003, 0.0001, divergence=unsigned, divergence_bps=unsigned, estimated_net_profit_8h=unsigned
    )
    assert (await client.compare_rates("BTC", "lighter", "grvt")).divergence == Decimal("-0.0002")


@pytest.mark.parametrize(
    "swapped",
    [
        {"dex1": {"name": "grvt", **a_row()}, "dex2": {"name": "lighter", **a_row()}},
        {"dex1": {"name": "grvt", **a_row()}},
        {"dex2": {"name": "lighter", **a_row()}},
        {"symbol": "ETH"},
        {"symbol": None},
    ],
)
async def test_a_comparison_of_other_legs_than_were_asked_for_is_refused(
    client: FundingServiceClient, answers: Answers, swapped: dict[str, Any]
) -> None:
    answers["/funding-rates/compare"] = a_comparison(0.0001, 0.0003, **swapped)
    with pytest.raises(BadAnswerError, match=r"is not the one that was asked for$"):
        await client.compare_rates("BTC", "lighter", "grvt")


# 2. Numbers are JSON floats.


@pytest.mark.parametrize(
    ("sent", "rate"),
    [
        ("1e-10", "0.0000000001"),
        ("1.2e-06", "0.0000012"),
        ("-3.7E-9", "-0.0000000037"),
        ("0.00009599999999999999", "0.000096"),
        ("0.0001213456", "0.0001213456"),
        ("8.75e-05", "0.0000875"),
        ("0.0", "0"),
        ("-0.0", "0"),
        ("0", "0"),
        ('"0.0001"', "0.0001"),
    ],
)
async def test_a_rate_is_exactly_the_number_that_was_sent_on_the_grid(
    client: FundingServiceClient, answers: Answers, sent: str, rate: str
) -> None:
    answers["/funding-rates/grvt/BTC"] = (
        f'{{"dex_name":"grvt","symbol":"BTC","funding_rate":{sent},"next_funding_time":null,"timestamp":"{SEEN}"}}'
    )
    assert str((await client.get_funding_rate("grvt", "BTC")).rate.value) == str(Decimal(rate))


@pytest.mark.parametrize("sent", ["NaN", "Infinity", "-Infinity", "1e400", "1.79e11", "1.1", "1e-400", "true", "null"])
async def test_a_rate_that_is_none_is_refused(client: FundingServiceClient, answers: Answers, sent: str) -> None:
    answers["/funding-rates/grvt/BTC"] = (
        f'{{"dex_name":"grvt","symbol":"BTC","funding_rate":{sent},"next_funding_time":null,"timestamp":"{SEEN}"}}'
    )
    with pytest.raises(BadAnswerError):
        await client.get_funding_rate("grvt", "BTC")


# 3. The service gives no intervals.


async def test_a_rate_is_per_8_h_unless_declared_otherwise(client: FundingServiceClient, answers: Answers) -> None:
    rate = (await the_rate(client, answers)).rate
    assert (rate.interval, rate.per_8h) == (timedelta(hours=8), Decimal("0.0001"))


async def test_the_interval_of_rates_is_declared_for_all_venues_and_for_one(
    answers: Answers, clock: ManualClock
) -> None:
    answers["/funding-rates/compare"] = a_comparison(0.0001, 0.0005)
    hours = {"LIGHTER": timedelta(hours=1)}
    async with FundingServiceClient(rate_interval=timedelta(hours=4), rate_intervals=hours, clock=clock) as client:
        compared = await client.compare_rates("BTC", "lighter", "grvt")
    assert (compared.long.rate.per_8h, compared.short.rate.per_8h) == (Decimal("0.0008"), Decimal("0.001"))
    assert compared.divergence == Decimal("0.0002")


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(hours=-1), timedelta(days=22), timedelta(seconds=0.5)])
async def test_an_interval_that_is_none_is_refused_when_the_client_is_made(interval: timedelta) -> None:
    with pytest.raises(InputError, match="interval"):
        FundingServiceClient(rate_interval=interval)
    with pytest.raises(InputError, match="interval"):
        FundingServiceClient(rate_intervals={"lighter": interval})


async def test_the_interval_of_something_that_is_no_venue_is_refused_when_the_client_is_made() -> None:
    with pytest.raises(InputError, match=r"^not a venue"):
        FundingServiceClient(rate_intervals={"a venue": timedelta(hours=1)})


# 4. Fractions in spite of their names.


async def test_profits_and_fees_called_percent_are_fractions(client: FundingServiceClient, answers: Answers) -> None:
    answers["/opportunities"] = listed(a_pair(net_profit_percent=0.0003))
    answers["/dexes"] = {
        "dexes": [
            {
                "name": "GRVT",
                "is_active": True,
                "fee_structure": {"maker_fee_percent": -0.0001, "taker_fee_percent": 0.00055},
                "last_successful_fetch": SEEN,
            }
        ]
    }
    (pair,) = await client.get_opportunities()
    (venue,) = await client.get_dexes()
    assert pair.net_profit == Decimal("0.0003")
    assert (venue.venue, venue.maker_fee, venue.taker_fee) == ("grvt", Decimal("-0.0001"), Decimal("0.00055"))
    assert venue.fetched_at == datetime(2026, 1, 5, 11, 59, 50, tzinfo=UTC)


async def test_fees_that_the_service_does_not_know_are_unknown(client: FundingServiceClient, answers: Answers) -> None:
    row = {"name": "grvt", "is_active": False, "fee_structure": {}, "last_successful_fetch": None}
    answers["/dexes"] = {"dexes": [row]}
    (venue,) = await client.get_dexes()
    assert (venue.active, venue.maker_fee, venue.taker_fee, venue.fetched_at) == (False, None, None, None)


# 5. The net profit is not comparable with a divergence.


async def test_an_opportunitys_divergence_is_of_its_two_rates_and_its_net_profit_is_kept_apart(
    client: FundingServiceClient, answers: Answers
) -> None:
    rebate = a_pair(long_rate=0.0001, short_rate=0.0003, divergence=0.9, net_profit_percent=0.0004)
    against = a_pair(long_rate=0.0003, short_rate=0.0002, divergence=0.9, net_profit_percent=0.0001, long_dex="aster")
    answers["/opportunities"] = listed(rebate, against)
    first, second = await client.get_opportunities()
    assert (first.divergence, first.net_profit) == (Decimal("0.0002"), Decimal("0.0004"))
    assert (second.divergence, second.net_profit) == (Decimal("-0.0001"), Decimal("0.0001"))


async def test_a_least_divergence_is_asked_of_the_two_rates_not_of_the_services_figure(
    client: FundingServiceClient, answers: Answers
) -> None:
    against = a_pair(long_rate=0.0006, short_rate=0.0001, divergence=0.0005)
    answers["/opportunities"] = listed(against, a_pair(long_dex="aster"))
    (pair,) = await client.get_opportunities(min_divergence="0.0002")
    assert pair.long_dex == "aster"


# 6. The answer of `best` is nested, and lacks the open interest of each leg.


async def test_the_best_pair_stands_one_level_down(client: FundingServiceClient, answers: Answers) -> None:
    answers["/opportunities/best"] = a_best()
    best = await client.get_best_opportunity(symbol="btc")
    assert best is not None
    assert (best.symbol, best.long_dex, best.short_dex) == ("BTC", "lighter", "grvt")
    assert (best.long_open_interest_usd, best.short_open_interest_usd) == (None, None)
    assert best.least_open_interest_usd == 1_000_000
    assert answers.asked == [("/opportunities/best", {"symbol": "BTC"})]


async def test_a_best_pair_that_is_not_nested_is_refused(client: FundingServiceClient, answers: Answers) -> None:
    answers["/opportunities/best"] = a_pair()
    with pytest.raises(BadAnswerError, match=r"it has no opportunity$"):
        await client.get_best_opportunity()


async def test_a_best_pair_that_can_not_be_shown_to_pass_gives_way_to_the_first_of_the_list_that_does(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/opportunities/best"] = a_best()
    answers["/opportunities"] = listed(a_pair(short_dex_oi_usd=9e6), a_pair(long_dex="aster"))
    best = await client.get_best_opportunity(required_dex="grvt", max_oi_usd=2_000_000)
    assert best is not None
    assert best.long_dex == "aster"
    assert [path for path, _ in answers.asked] == ["/opportunities/best", "/opportunities"]


async def test_there_is_no_best_pair_where_none_can_be_shown_to_pass(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/opportunities/best"] = a_best()
    answers["/opportunities"] = listed(a_pair(min_oi_usd=None))
    assert await client.get_best_opportunity(min_oi_usd=2_000_000) is None


# 7. Times are naive.


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("2026-01-05T11:59:50.937698", "2026-01-05T11:59:50Z"),
        ("2026-01-05T11:59:50", "2026-01-05T11:59:50Z"),
        ("2026-01-05T11:59:50.5", "2026-01-05T11:59:50Z"),
        ("2026-01-05T19:59:50+08:00", "2026-01-05T11:59:50Z"),
        ("2026-01-05T11:59:50Z", "2026-01-05T11:59:50Z"),
    ],
)
async def test_row_times_are_utc_unless_they_say_otherwise(
    client: FundingServiceClient, answers: Answers, sent: str, seen: str
) -> None:
    rate = await the_rate(client, answers, timestamp=sent, next_funding_time=sent)
    assert rate.observed_at == rate.next_funding_at == datetime.fromisoformat(seen)
    assert rate.observed_at.tzinfo is UTC


async def test_row_times_are_read_in_the_zone_of_the_services_database(answers: Answers, clock: ManualClock) -> None:
    zone = timezone(timedelta(hours=8))
    async with FundingServiceClient(row_zone=zone, clock=clock) as client:
        rate = await the_rate(client, answers, timestamp="2026-01-05T19:59:50", next_funding_time="2026-01-05T21:00:00")
        answers["/opportunities"] = listed(a_pair(discovered_at="2026-01-05T12:00:00"))
        (pair,) = await client.get_opportunities()
    assert rate.observed_at == datetime(2026, 1, 5, 11, 59, 50, tzinfo=UTC)
    assert rate.next_funding_at == datetime(2026, 1, 5, 13, tzinfo=UTC)
    assert pair.listed_at == AS_OF  # this one is UTC whatever the database's zone


@pytest.mark.parametrize(
    ("hours_east", "why"),
    [(0, None), (8, "the quote is older than its limit"), (-8, "the quote is from the future")],
)
async def test_a_wrong_zone_shows_in_ages_that_are_off_by_whole_hours_and_is_never_acted_on(
    answers: Answers, clock: ManualClock, hours_east: int, why: str | None
) -> None:
    answers["/funding-rates/lighter"] = rates_of("lighter", BTC=a_row(0.0005))
    answers["/funding-rates/grvt"] = rates_of("grvt", BTC=a_row(0.0001))
    zone = timezone(timedelta(hours=hours_east))
    async with FundingServiceSource(FundingServiceClient(row_zone=zone, clock=clock)) as source:
        snapshot = await source.snapshot(MarketRequest(markets=BTC))
    leg = snapshot.book.leg(BTC[0])
    assert leg.age == 10 + hours_east * 3600
    assert leg.refusal == why
    action = CombinedStrategy(DivergenceFlip()).decide(a_position(), snapshot).action
    assert action is (Action.CLOSE if why is None else Action.HOLD)


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "",
        "yesterday",
        1_767_614_390,
        True,
        ["2026-01-05T11:59:50"],
        "2026-13-05T11:59:50",
        "0001-01-01T00:00:00+14:00",
        "9999-12-31T23:59:59-14:00",
    ],
)
async def test_a_time_that_is_none_is_refused(client: FundingServiceClient, answers: Answers, sent: object) -> None:
    with pytest.raises(BadAnswerError):
        await the_rate(client, answers, timestamp=sent)


@pytest.mark.parametrize(
    ("sent", "at"),
    [
        ("2026-01-05T12:00:01", datetime(2026, 1, 5, 12, 0, 1, tzinfo=UTC)),
        ("2026-01-05T12:00:00", None),
        ("2026-01-05T11:00:00", None),
        (None, None),
    ],
)
async def test_the_next_funding_time_is_one_that_is_still_to_come(
    client: FundingServiceClient, answers: Answers, sent: str | None, at: datetime | None
) -> None:
    answers["/funding-rates/grvt/BTC"] = a_market(next_funding_time=sent)
    assert await client.get_next_funding_time("grvt", "BTC") == at


# 8. Nothing says that a row is stale.


async def test_a_row_of_three_days_ago_is_unknown_although_it_is_served_like_any_other(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/funding-rates/lighter"] = rates_of("lighter", BTC=a_row(0.0005, timestamp="2026-01-02T11:59:50"))
    answers["/funding-rates/grvt"] = rates_of("grvt", BTC=a_row(0.0001))
    snapshot = await FundingServiceSource(client).snapshot(MarketRequest(markets=BTC))
    decision = CombinedStrategy(DivergenceFlip()).decide(a_position(), snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert "rate of BTC on lighter: the quote is older than its limit" in decision.explain()


async def test_how_old_is_too_old_is_the_callers_to_say(client: FundingServiceClient, answers: Answers) -> None:
    answers["/funding-rates/lighter"] = rates_of("lighter", BTC=a_row(0.0005, timestamp="2026-01-05T11:55:00"))
    answers["/funding-rates/grvt"] = rates_of("grvt", BTC=a_row(0.0001, timestamp="2026-01-05T11:55:00"))
    snapshot = await FundingServiceSource(client).snapshot(MarketRequest(markets=BTC))
    flip = CombinedStrategy(DivergenceFlip())
    assert flip.decide(a_position(), snapshot).action is Action.HOLD
    patient = snapshot.model_copy(update={"freshness": Freshness(max_age=timedelta(seconds=300))})
    assert flip.decide(a_position(), patient).action is Action.CLOSE


# 9. Names in any letter case.


async def test_names_are_asked_in_one_letter_case_and_echoes_in_any_are_accepted(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/funding-rates/grvt/BTC"] = a_market("GrVt", "bTc")
    answers["/funding-rates/grvt"] = rates_of("GRVT", btc=a_row())
    answers["/dexes/grvt/symbols"] = {"dex_name": "Grvt", "symbols": []}
    rate = await client.get_funding_rate("GRVT", "btc")
    rates = await client.get_funding_rates("Grvt")
    symbols = await client.get_symbols("GRVT")
    assert (rate.venue, rate.symbol) == ("grvt", "BTC")
    assert [(row.venue, row.symbol) for row in rates.rates] == [("grvt", "BTC")]
    assert symbols.venue == "grvt"
    assert [path for path, _ in answers.asked] == [
        "/funding-rates/grvt/BTC",
        "/funding-rates/grvt",
        "/dexes/grvt/symbols",
    ]


@pytest.mark.parametrize("said", ["lighter", "grvt2", "", None, 5])
async def test_an_answer_about_another_venue_is_refused(
    client: FundingServiceClient, answers: Answers, said: object
) -> None:
    answers["/funding-rates/grvt"] = {"dex_name": said, "rates": {}}
    answers["/dexes/grvt/symbols"] = {"dex_name": said, "symbols": []}
    answers["/funding-rates/grvt/BTC"] = a_market(dex_name=said)
    for ask in (client.get_funding_rates("grvt"), client.get_symbols("grvt"), client.get_funding_rate("grvt", "BTC")):
        with pytest.raises(BadAnswerError, match=r"its dex_name is not the one that was asked for$"):
            await ask


async def test_an_answer_about_another_symbol_is_refused(client: FundingServiceClient, answers: Answers) -> None:
    with pytest.raises(BadAnswerError, match=r"its symbol is not the one that was asked for$"):
        await the_rate(client, answers, symbol="ETH")


async def test_a_symbol_with_a_slash_is_one_part_of_the_path(client: FundingServiceClient, answers: Answers) -> None:
    answers["/funding-rates/grvt/XYZ%3AA%2FB"] = a_market(symbol="XYZ:A/B")
    assert (await client.get_funding_rate("grvt", "xyz:a/b")).symbol == "XYZ:A/B"


@pytest.mark.parametrize("name", ["", " grvt", "../dexes", "grvt/BTC", "grvt?x=1", "gr\nvt", "%2e%2e", "..", "."])
async def test_a_name_that_is_none_is_refused_before_anything_is_asked(
    client: FundingServiceClient, answers: Answers, name: str
) -> None:
    questions: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: client.get_funding_rates(name),
        lambda: client.get_symbols(name),
        lambda: client.get_funding_rate(name, "BTC"),
        lambda: client.get_next_funding_time(name, "BTC"),
        lambda: client.compare_rates("BTC", name, "grvt"),
        lambda: client.compare_rates("BTC", "grvt", name),
        lambda: client.get_opportunities(required_dex=name),
        lambda: client.get_opportunities(prioritize_dexes=[name]),
    )
    for ask in questions:
        with pytest.raises(InputError, match="not a venue"):
            await ask()
    assert answers.asked == []


@pytest.mark.parametrize("name", ["", " BTC", "BTC?x", "B\nTC", "..", "\u00df"])
async def test_a_symbol_that_is_none_is_refused_before_anything_is_asked(
    client: FundingServiceClient, answers: Answers, name: str
) -> None:
    questions: tuple[Callable[[], Awaitable[object]], ...] = (
        lambda: client.get_funding_rate("grvt", name),
        lambda: client.compare_rates(name, "lighter", "grvt"),
        lambda: client.get_opportunities(symbol=name),
        lambda: client.get_best_opportunity(symbol=name),
    )
    for ask in questions:
        with pytest.raises(InputError, match="not a symbol"):
            await ask()
    assert answers.asked == []


# 10. Filters that do not exist.


async def test_filters_are_asked_under_the_names_that_the_service_knows(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/opportunities"] = listed(a_pair())
    await client.get_opportunities(
        limit=5,
        prioritize_dexes="lighter,grvt",
        symbol="btc",
        min_profit="0.00000001",
        min_divergence="0",
        min_oi_usd=100_000,
        max_oi_usd=5e6,
        min_volume_usd=1,
        dexes="Lighter, grvt",
        whitelist_dexes=["lighter", "grvt", "aster"],
        exclude_dexes=("edgex",),
        required_dex="GRVT",
    )
    assert answers.asked == [
        (
            "/opportunities",
            {
                "symbol": "BTC",
                "min_profit": "0.00000001",
                "min_divergence": "0",
                "min_oi": "100000",
                "max_oi": "5000000",
                "min_volume": "1",
                "dexes": "lighter,grvt",
                "whitelist_dexes": "lighter,grvt,aster",
                "exclude_dexes": "edgex",
                "required_dex": "grvt",
                "limit": "100",
            },
        )
    ]


async def test_what_is_not_filtered_is_not_asked(client: FundingServiceClient, answers: Answers) -> None:
    answers["/opportunities"] = listed(a_pair())
    answers["/opportunities/best"] = a_best()
    await client.get_opportunities()
    await client.get_best_opportunity()
    assert answers.asked == [("/opportunities", {"limit": "100"}), ("/opportunities/best", {})]


async def test_pairs_on_preferred_venues_come_first_each_in_the_services_order(
    client: FundingServiceClient, answers: Answers
) -> None:
    venues = [("a", "b"), ("a", "lighter"), ("lighter", "grvt"), ("grvt", "b"), ("grvt", "lighter"), ("c", "d")]
    answers["/opportunities"] = listed(*(a_pair(long_dex=long, short_dex=short) for long, short in venues))
    pairs = await client.get_opportunities(prioritize_dexes="Lighter, GRVT")
    assert [(pair.long_dex, pair.short_dex) for pair in pairs] == [
        ("lighter", "grvt"),
        ("grvt", "lighter"),
        ("a", "lighter"),
        ("grvt", "b"),
        ("a", "b"),
        ("c", "d"),
    ]
    assert await client.get_opportunities(prioritize_dexes=["grvt", "lighter"], limit=2) == pairs[:2]


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [("max_oi", "max_oi_usd"), ("min_profits", "min_profit"), ("exclude_dex", "exclude_dexes"), ("sort_by", None)],
)
async def test_a_filter_that_is_not_known_is_refused_with_the_nearest_one_not_ignored(
    client: FundingServiceClient, answers: Answers, unknown: str, meant: str | None
) -> None:
    filters: dict[str, Any] = {unknown: 1}
    text = rf"{unknown}: is not known here" + (rf" \(did you mean '{meant}'\?\)$" if meant else "$")
    with pytest.raises(InputError, match=text):
        await client.get_opportunities(**filters)
    with pytest.raises(InputError, match=text):
        await client.get_best_opportunity(**filters)
    assert answers.asked == []


@pytest.mark.parametrize("limit", [0, -1, 101])
async def test_a_limit_that_the_service_does_not_have_is_refused(client: FundingServiceClient, limit: int) -> None:
    with pytest.raises(InputError, match=r"^limit must be from 1 to 100$"):
        await client.get_opportunities(limit=limit)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_at_most_the_limit_is_given(client: FundingServiceClient, answers: Answers, limit: int) -> None:
    answers["/opportunities"] = listed(*(a_pair(symbol=f"S{number}") for number in range(100)))
    assert len(await client.get_opportunities(limit=limit)) == limit


@pytest.mark.parametrize("value", ["NaN", "Infinity", "abc", "1e99", True])
async def test_a_filter_that_is_no_number_is_refused_before_anything_is_asked(
    client: FundingServiceClient, answers: Answers, value: Any
) -> None:
    with pytest.raises(InputError, match=r"^OpportunityFilter: min_profit: "):
        await client.get_opportunities(min_profit=value)
    assert answers.asked == []


# 11. Filters let unknown values pass, so they are checked again.


@pytest.mark.parametrize(
    ("unknown", "wanted"),
    [
        ({"min_oi_usd": None}, {"min_oi_usd": 0}),
        ({"min_oi_usd": None}, {"max_oi_usd": 10**11}),
        ({"min_volume_24h": None}, {"min_volume_usd": 0}),
        ({"short_dex_oi_usd": None}, {"max_oi_usd": 10**11, "required_dex": "grvt"}),
        ({"long_dex_oi_usd": None}, {"max_oi_usd": 10**11, "required_dex": "lighter"}),
    ],
)
async def test_an_unknown_figure_never_passes_a_limit(
    client: FundingServiceClient, answers: Answers, unknown: dict[str, Any], wanted: dict[str, Any]
) -> None:
    answers["/opportunities"] = listed(a_pair(**unknown), a_pair(symbol="ETH"))
    assert [pair.symbol for pair in await client.get_opportunities(**wanted)] == ["ETH"]
    assert [pair.symbol for pair in await client.get_opportunities()] == ["BTC", "ETH"]


@pytest.mark.parametrize(
    ("wanted", "passes"),
    [
        ({"symbol": "btc"}, True),
        ({"symbol": "ETH"}, False),
        ({"min_profit": "0.0003"}, True),
        ({"min_profit": "0.000300000001"}, False),
        ({"min_divergence": "0.0005"}, True),
        ({"min_divergence": "0.000500000001"}, False),
        ({"min_oi_usd": 1_000_000}, True),
        ({"min_oi_usd": 1_000_001}, False),
        ({"max_oi_usd": 1_000_000}, True),
        ({"max_oi_usd": 999_999}, False),
        ({"max_oi_usd": 0}, False),
        ({"max_oi_usd": 1_000_000, "required_dex": "lighter"}, False),
        ({"max_oi_usd": 3_000_000, "required_dex": "lighter"}, True),
        ({"max_oi_usd": 1_000_000, "required_dex": "grvt"}, True),
        ({"min_volume_usd": 4_000_000}, True),
        ({"min_volume_usd": 4_000_001}, False),
        ({"dexes": "grvt"}, True),
        ({"dexes": "aster,lighter"}, True),
        ({"dexes": "aster"}, False),
        ({"whitelist_dexes": "lighter,grvt"}, True),
        ({"whitelist_dexes": "lighter,aster"}, False),
        ({"exclude_dexes": "aster"}, True),
        ({"exclude_dexes": "aster,grvt"}, False),
        ({"exclude_dexes": "lighter"}, False),
        ({"required_dex": "lighter"}, True),
        ({"required_dex": "aster"}, False),
        ({"min_oi_usd": None, "symbol": None, "required_dex": None, "dexes": ""}, True),
    ],
)
async def test_every_filter_is_checked_again_on_this_side(
    client: FundingServiceClient, answers: Answers, wanted: dict[str, Any], passes: int
) -> None:
    answers["/opportunities"] = listed(a_pair())
    assert len(await client.get_opportunities(**wanted)) == passes


async def test_no_open_interest_is_known_of_a_venue_that_is_not_a_leg(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/opportunities"] = listed(a_pair())
    (pair,) = await client.get_opportunities()
    known = [pair.open_interest_on(venue) for venue in ("lighter", "grvt", "aster")]
    assert known == [3_000_000, 1_000_000, None]


async def test_null_open_interest_and_volume_are_unknown_and_a_zero_is_a_zero(
    client: FundingServiceClient, answers: Answers
) -> None:
    unknown = await the_rate(client, answers, open_interest_usd=None, volume_24h=None)
    zero = await the_rate(client, answers, open_interest_usd=0, volume_24h=0.0)
    known = await the_rate(client, answers, open_interest_usd=198000000.4, volume_24h=5.0)
    assert (unknown.open_interest_usd, unknown.volume_24h_usd) == (None, None)
    assert [zero.open_interest_usd, zero.volume_24h_usd] == [0, 0]
    assert [known.open_interest_usd, known.volume_24h_usd] == [198_000_000, 5]


async def test_an_inactive_venue_gives_no_candidates_but_a_held_leg_there_is_quoted(
    client: FundingServiceClient, answers: Answers
) -> None:
    fees: dict[str, Any] = {"fee_structure": {}, "last_successful_fetch": None}
    answers["/dexes"] = {
        "dexes": [
            {"name": "lighter", "is_active": True, **fees},
            {"name": "edgex", "is_active": False, **fees},
            {"name": "dead", "is_active": False, **fees},
        ]
    }
    answers["/funding-rates/lighter"] = rates_of("lighter", BTC=a_row(), ETH=a_row(), SOL=a_row())
    answers["/funding-rates/edgex"] = rates_of("edgex", BTC=a_row(), ETH=a_row(), SOL=a_row())
    request = MarketRequest(markets=(Market("edgex", "BTC"),), symbols=("BTC", "ETH"), needs=Needs(opportunities=True))
    snapshot = await FundingServiceSource(client).snapshot(request)
    assert set(snapshot.by_market) == {Market("edgex", "BTC"), Market("lighter", "BTC"), Market("lighter", "ETH")}
    assert [path for path, _ in answers.asked] == ["/dexes", "/funding-rates/edgex", "/funding-rates/lighter"]


# 12. Statuses.


@pytest.mark.parametrize(
    ("answer", "error", "text"),
    [
        ((404, {"detail": "Symbol 'BTC' not found"}), UnknownMarketError, "HTTP 404: Symbol 'BTC' not found"),
        (
            (422, {"detail": [{"type": "missing", "loc": ["query", "symbol"], "msg": "Field required"}]}),
            SourceRefusedError,
            "HTTP 422: symbol: Field required",
        ),
        ((405, {"detail": "Method Not Allowed"}), SourceRefusedError, "HTTP 405: Method Not Allowed"),
        (
            (500, {"detail": "400: dex_pair must contain exactly 2 DEXs"}),
            SourceUnavailableError,
            "HTTP 500: 400: dex_pair must contain exactly 2 DEXs",
        ),
        ((500, "<html>"), SourceUnavailableError, "HTTP 500"),
        ((307, ""), BadAnswerError, "HTTP 307; redirects are not followed"),
        ((204, ""), BadAnswerError, "HTTP 204; redirects are not followed"),
        ((200, "<html>"), BadAnswerError, "the answer is not the JSON it should be"),
        ((200, "[]"), BadAnswerError, "a list where an object belongs"),
        ((200, "null"), BadAnswerError, "a NoneType where an object belongs"),
        ((200, "{}"), BadAnswerError, "it has no dex_name"),
    ],
)
async def test_a_status_or_a_body_that_is_no_answer_is_the_declared_error(
    client: FundingServiceClient, answers: Answers, answer: object, error: type[Exception], text: str
) -> None:
    answers["/funding-rates/grvt/BTC"] = answer
    with pytest.raises(error, match=text) as raised:
        await client.get_funding_rate("grvt", "BTC")
    assert type(raised.value) is error
    assert str(raised.value).startswith("funding rate service: ")


async def test_a_refused_question_carries_its_status(client: FundingServiceClient, answers: Answers) -> None:
    answers["/funding-rates/grvt/BTC"] = 422
    with pytest.raises(SourceRefusedError) as refused:
        await client.get_funding_rate("grvt", "BTC")
    assert refused.value.status == 422


@pytest.mark.parametrize(
    "rows",
    [
        {"opportunities": [5]},
        {"opportunities": {}},
        {"opportunities": None},
        {},
        listed(a_pair(), a_pair(long_rate=1.79e11)),
        listed(a_pair(symbol="B TC")),
        listed(a_pair(short_dex=None)),
        listed(a_pair(min_oi_usd=-1)),
        listed(a_pair(net_profit_percent=None)),
        listed(a_pair(discovered_at=None)),
        listed({name: value for name, value in a_pair().items() if name != "long_rate"}),
    ],
)
async def test_a_list_with_a_row_that_is_off_is_not_believed_at_all(
    client: FundingServiceClient, answers: Answers, rows: dict[str, Any]
) -> None:
    answers["/opportunities"] = rows
    with pytest.raises(BadAnswerError, match=r"^funding rate service: it answered with something else than promised: "):
        await client.get_opportunities()


@pytest.mark.parametrize(
    ("name", "row", "why"),
    [
        ("BTC", a_row(1.79e11), "the row was refused: FundingRate: value: must be at most 100"),
        ("BTC", a_row(5), "the row was refused: FundingRate: beyond 100 % per 8 h"),
        ("BTC", a_row(None), "the row was refused: FundingRate: value: a NoneType is not a number"),
        ("BTC", a_row(timestamp=None), "the row was refused: a time must be text"),
        ("BTC", a_row(timestamp="now"), "the row was refused: a time is not ISO 8601"),
        ("BTC", a_row(next_funding_time=5), "the row was refused: a time must be text"),
        ("BTC", {}, "the row was refused: it has no funding_rate"),
        ("BTC", 0.0001, "the row was refused: a Decimal where an object belongs"),
        ("BTC", None, "the row was refused: a NoneType where an object belongs"),
        ("btc", None, "the row was refused: a NoneType where an object belongs"),
    ],
)
async def test_a_row_of_rates_that_is_off_costs_itself_alone(
    client: FundingServiceClient, answers: Answers, name: str, row: Any, why: str
) -> None:
    answers["/funding-rates/grvt"] = rates_of("grvt", **{"ETH": a_row(0.0002), name: row})
    rates = await client.get_funding_rates("grvt")
    (refused,) = rates.refused
    assert [rate.symbol for rate in rates.rates] == ["ETH"]
    assert (refused.field, refused.venue, refused.symbol) == ("rate", "grvt", "BTC")
    assert refused.why.startswith(why)


async def test_a_row_without_a_name_is_refused_for_the_venue(client: FundingServiceClient, answers: Answers) -> None:
    answers["/funding-rates/grvt"] = rates_of("grvt", **{"ETH": a_row(), "not\na symbol": a_row()})
    answers["/dexes/grvt/symbols"] = {"dex_name": "grvt", "symbols": [5, {"symbol": None}, a_figure("ETH")]}
    for answer in (await client.get_funding_rates("grvt"), await client.get_symbols("grvt")):
        (refused,) = answer.refused
        assert (refused.venue, refused.symbol) == ("grvt", None)
        assert refused.why.startswith("the row was refused: not a symbol")
    assert [rate.symbol for rate in (await client.get_funding_rates("grvt")).rates] == ["ETH"]
    assert [one.symbol for one in (await client.get_symbols("grvt")).symbols] == ["ETH"]


async def test_of_two_rows_of_one_symbol_neither_is_believed(client: FundingServiceClient, answers: Answers) -> None:
    answers["/funding-rates/grvt"] = rates_of("grvt", BTC=a_row(0.0001), btc=a_row(0.0009), ETH=a_row())
    rates = await client.get_funding_rates("grvt")
    assert [rate.symbol for rate in rates.rates] == ["ETH"]
    assert [(gap.symbol, gap.why) for gap in rates.refused] == [("BTC", "there are two rows of it")]


def a_figure(symbol: str = "BTC", **fields: object) -> dict[str, Any]:
    """A row of a venue's symbols."""
    return {
        "symbol": symbol,
        "is_active": True,
        "volume_24h": 5e6,
        "open_interest_usd": 2e6,
        "last_updated": SEEN,
        **fields,
    }


async def test_a_venues_symbols_come_with_their_figures(client: FundingServiceClient, answers: Answers) -> None:
    quiet = a_figure("ETH", is_active=False, volume_24h=None, open_interest_usd=None)
    answers["/dexes/grvt/symbols"] = {"dex_name": "grvt", "symbols": [a_figure(), quiet], "count": 2}
    found = await client.get_symbols("grvt")
    assert [(one.symbol, one.active, one.open_interest_usd, one.volume_24h_usd) for one in found.symbols] == [
        ("BTC", True, 2_000_000, 5_000_000),
        ("ETH", False, None, None),
    ]
    assert found.refused == ()


@pytest.mark.parametrize(
    "fields", [{"is_active": "yes"}, {"is_active": 1}, {"open_interest_usd": -1}, {"volume_24h": "x"}]
)
async def test_a_row_of_figures_that_is_off_costs_itself_alone(
    client: FundingServiceClient, answers: Answers, fields: dict[str, Any]
) -> None:
    answers["/dexes/grvt/symbols"] = {"dex_name": "grvt", "symbols": [a_figure(**fields), a_figure("ETH")]}
    found = await client.get_symbols("grvt")
    assert [one.symbol for one in found.symbols] == ["ETH"]
    assert [gap.symbol for gap in found.refused] == ["BTC"]


# 13. With its database down the service answers 200 with nothing.


@pytest.mark.parametrize(
    ("rates", "why"),
    [
        ({"data": {}, "count": 0}, "it has no rates at all, so that its empty list says nothing"),
        ({"data": {"BTC": {}}, "count": 0}, "it has no rates at all, so that its empty list says nothing"),
        ((500, {"detail": "[Errno 111] Connection refused"}), r"HTTP 500: \[Errno 111\] Connection refused"),
    ],
)
async def test_an_empty_list_is_not_believed_while_no_rates_can_be_read(
    client: FundingServiceClient, answers: Answers, rates: object, why: str
) -> None:
    answers["/opportunities"] = listed()
    answers["/opportunities/best"] = {"opportunity": None, "message": "No profitable opportunities found"}
    answers["/funding-rates"] = rates
    with pytest.raises(SourceUnavailableError, match=f"^funding rate service: {why}$"):
        await client.get_opportunities()
    with pytest.raises(SourceUnavailableError, match=f"^funding rate service: {why}$"):
        await client.get_best_opportunity()


async def test_an_empty_list_is_believed_while_rates_can_be_read(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/opportunities"] = listed()
    answers["/opportunities/best"] = {"opportunity": None}
    answers["/funding-rates"] = EVERYTHING
    assert await client.get_opportunities(symbol="btc") == ()
    assert await client.get_best_opportunity(symbol="btc") is None
    assert [path for path, _ in answers.asked] == [
        "/opportunities",
        "/funding-rates",
        "/opportunities/best",
        "/funding-rates",
    ]
    assert answers.asked[1][1] == {}  # its filters answer 200 with nothing to a name in the wrong letter case


@pytest.mark.parametrize("symbol", ["NOPE", "SOL"])
async def test_an_empty_list_of_a_symbol_that_the_service_does_not_have_is_no_answer(
    client: FundingServiceClient, answers: Answers, symbol: str
) -> None:
    answers["/opportunities"] = listed()
    answers["/funding-rates"] = EVERYTHING
    with pytest.raises(UnknownMarketError, match=f"it has no rates of {symbol}$"):
        await client.get_opportunities(symbol=symbol)


async def test_rates_that_are_not_as_promised_prove_nothing(client: FundingServiceClient, answers: Answers) -> None:
    answers["/opportunities"] = listed()
    nothing: tuple[object, ...] = ({}, {"data": []}, {"data": None}, [])
    for rates in nothing:
        answers["/funding-rates"] = rates
        with pytest.raises(BadAnswerError):
            await client.get_opportunities()


async def test_a_list_whose_pairs_are_all_refused_here_needs_no_proof(
    client: FundingServiceClient, answers: Answers
) -> None:
    answers["/opportunities"] = listed(a_pair())
    assert await client.get_opportunities(exclude_dexes="grvt") == ()
    assert len(answers.asked) == 1


# What a client is made of.


async def test_a_client_sends_its_headers_to_its_address(answers: Answers, clock: ManualClock) -> None:
    answers["/dexes"] = {"dexes": []}
    async with FundingServiceClient("http://127.0.0.1:9/api/v1/", headers={"X-Key": "k"}, clock=clock) as client:
        assert await client.get_dexes() == ()
    assert answers.sent is not None
    assert str(answers.sent.url) == "http://127.0.0.1:9/api/v1/dexes"
    assert (answers.sent.headers["x-key"], answers.sent.method) == ("k", "GET")


async def test_a_client_asks_this_machine_unless_told_otherwise(client: FundingServiceClient, answers: Answers) -> None:
    answers["/dexes"] = {"dexes": []}
    await client.get_dexes()
    assert answers.sent is not None
    assert str(answers.sent.url) == "http://localhost:8000/api/v1/dexes"


async def test_plain_http_to_another_machine_must_be_allowed() -> None:
    with pytest.raises(InputError, match=r"use https$"):
        FundingServiceClient("http://rates.example/api/v1")
    await FundingServiceClient("http://rates.example/api/v1", allow_http=True).aclose()


async def test_a_client_has_the_machines_clock_unless_given_another() -> None:
    async with FundingServiceClient() as client:
        assert client.clock.now().tzinfo is UTC
