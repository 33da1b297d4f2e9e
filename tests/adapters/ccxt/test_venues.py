"""What each venue gives through ccxt's own classes, fact by fact."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import InputError, MarketSnapshot, Missing, Needs, Quote, RateKind
from rebalancer.adapters.ccxt_source import CcxtSource
from rebalancer.adapters.ccxt_source.dialects import at_nanoseconds, hours, milliseconds
from rebalancer.domain.names import Market
from rebalancer.domain.request import MarketRequest
from rebalancer.domain.times import EPOCH
from rebalancer.domain.venues import VENUES, VenueFacts, VenueTable
from rebalancer.testing import AS_OF, ManualClock

if TYPE_CHECKING:
    from .conftest import Serve, VenueServer

NOW = AS_OF + timedelta(minutes=17)
HOUR = timedelta(hours=1)
ALL = Needs(schedule=True, open_interest=True, volume=True, mark_price=True)


def of(server: VenueServer, clock: ManualClock, **options: Any) -> CcxtSource:
    """A source that has the exchange of one server."""
    return CcxtSource(exchanges={server.name: server.exchange}, clock=clock, **options)


async def ask(source: CcxtSource, *symbols: str, needs: Needs = ALL) -> MarketSnapshot:
    """What the source says of candidates of the symbols, BTC unless given."""
    return await source.snapshot(MarketRequest(symbols=symbols or ("BTC",), needs=needs))


async def quoted(server: VenueServer, clock: ManualClock, **options: Any) -> Quote:
    """The one quote of a server's venue."""
    (quote,) = (await ask(of(server, clock, **options))).quotes
    return quote


@dataclass(frozen=True)
class Given:
    """What the payloads of a venue say of BTC."""

    rate: str
    per_8h: str
    interval: timedelta
    pays_every: timedelta
    kind: RateKind
    observed_at: datetime
    next_funding_at: datetime | None
    mark_price: str | None
    open_interest: int | None
    volume: int | None


EXPECTED = {
    "hyperliquid": Given(
        "0.0000125", "0.0001", HOUR, HOUR, RateKind.FORMING, NOW, AS_OF + HOUR, "90000", 135_045_000, 2_000_000
    ),
    "paradex": Given(
        "-0.00021",
        "-0.00021",
        8 * HOUR,
        timedelta(0),
        RateKind.FORMING,
        NOW - timedelta(seconds=3),
        None,
        "90000.5",
        14_604_561,
        5_815_541,
    ),
    "aster": Given(
        "0.00005",
        "0.0001",
        4 * HOUR,
        4 * HOUR,
        RateKind.FORMING,
        NOW - timedelta(seconds=2),
        AS_OF + 4 * HOUR,
        "90000.5",
        None,
        923_607_369,
    ),
    "backpack": Given(
        "0.00002", "0.00016", HOUR, HOUR, RateKind.FORMING, NOW, AS_OF + HOUR, "90000", 114_615_000, 7_000_000
    ),
    "lighter": Given(
        "0.000096",
        "0.000096",
        8 * HOUR,
        HOUR,
        RateKind.INDICATIVE,
        NOW,
        AS_OF + HOUR,
        "90000.5",
        3_555_020,
        1_671_431_095,
    ),
    "pacifica": Given(
        "-0.000015",
        "-0.00012",
        HOUR,
        HOUR,
        RateKind.FORMING,
        NOW - timedelta(seconds=4),
        AS_OF + HOUR,
        "90000",
        1_125_000,
        20_896_698,
    ),
    "grvt": Given(
        "0.00005",
        "0.0001",
        4 * HOUR,
        4 * HOUR,
        RateKind.FORMING,
        NOW - timedelta(seconds=1),
        AS_OF + 4 * HOUR,
        "90000.5",
        137_088_762,
        535_125_951,
    ),
    "extended": Given(
        "0.000013", "0.000104", HOUR, HOUR, RateKind.FORMING, NOW, AS_OF + HOUR, "90000.25", 115_861_923, 231_016_078
    ),
}
VENUE = pytest.mark.parametrize("venue", EXPECTED)


@VENUE
async def test_the_rate_has_its_sign_and_the_interval_over_which_it_is_quoted(
    serve: Serve, clock: ManualClock, venue: str
) -> None:
    given, quote = EXPECTED[venue], await quoted(await serve(venue), clock)
    assert quote.rate.value == Decimal(given.rate)
    assert quote.rate.interval == given.interval
    assert quote.rate.per_8h == Decimal(given.per_8h)


@VENUE
async def test_a_venue_pays_as_often_as_it_says_and_next_at_the_coming_instant(
    serve: Serve, clock: ManualClock, venue: str
) -> None:
    given, quote = EXPECTED[venue], await quoted(await serve(venue), clock)
    assert quote.pays_every == given.pays_every
    assert quote.next_funding_at == given.next_funding_at


@VENUE
async def test_open_interest_and_volume_are_in_dollars_and_the_mark_price_is_of_one_coin(
    serve: Serve, clock: ManualClock, venue: str
) -> None:
    given, quote = EXPECTED[venue], await quoted(await serve(venue), clock)
    assert quote.open_interest_usd == given.open_interest
    assert quote.volume_24h_usd == given.volume
    assert quote.mark_price == (None if given.mark_price is None else Decimal(given.mark_price))


@VENUE
async def test_a_rate_says_what_it_is_and_when_it_was_seen(serve: Serve, clock: ManualClock, venue: str) -> None:
    given, quote = EXPECTED[venue], await quoted(await serve(venue), clock)
    assert quote.kind is given.kind
    assert quote.observed_at == given.observed_at
    assert quote.origin == "ccxt"
    assert quote.market == Market(venue, "BTC")


@VENUE
async def test_numbers_do_not_depend_on_the_ambient_decimal_context(
    serve: Serve, clock: ManualClock, venue: str, hostile_context: None
) -> None:
    given, quote = EXPECTED[venue], await quoted(await serve(venue), clock)
    assert quote.rate.value == Decimal(given.rate)
    assert quote.open_interest_usd == given.open_interest
    assert quote.volume_24h_usd == given.volume


@pytest.mark.parametrize("venue", [venue for venue in EXPECTED if venue != "aster"])
async def test_nothing_is_missing_of_a_venue_that_gives_it_all(serve: Serve, clock: ManualClock, venue: str) -> None:
    assert (await ask(of(await serve(venue), clock))).missing == ()


async def test_the_open_interest_of_aster_is_missing_if_it_is_needed(serve: Serve, clock: ManualClock) -> None:
    source = of(await serve("aster"), clock)
    assert (await ask(source)).missing == (
        Missing(field="open interest", why="the venue does not give it, or ccxt does not", venue="aster", symbol="BTC"),
    )
    assert (await ask(source, needs=Needs())).missing == ()


@pytest.mark.parametrize(
    ("venue", "paths"),
    [
        ("hyperliquid", ["/info"]),
        ("paradex", ["/v1/markets/summary"]),
        ("aster", ["/fapi/v3/fundingInfo", "/fapi/v3/premiumIndex"]),
        ("lighter", ["/api/v1/funding-rates"]),
        ("pacifica", ["/api/v1/info/prices"]),
        ("extended", ["/api/v1/info/markets"]),
    ],
)
@pytest.mark.parametrize("count", [1, 100])
async def test_a_venue_with_bulk_answers_is_asked_once_whatever_the_number_of_markets(
    serve: Serve, clock: ManualClock, venue: str, paths: list[str], count: int
) -> None:
    symbols = [f"C{number}" for number in range(count)]
    server = await serve(venue, *symbols)
    source = of(server, clock)
    await ask(source, *symbols, needs=Needs())
    server.requests.clear()
    snapshot = await ask(source, *symbols, needs=Needs())
    assert len(snapshot.quotes) == count
    assert sorted(server.requests) == paths


@pytest.mark.parametrize(("venue", "path"), [("backpack", "/api/v1/markPrices"), ("grvt", "/full/v1/ticker")])
async def test_a_venue_without_bulk_answers_is_asked_for_the_wanted_markets_only(
    serve: Serve, clock: ManualClock, venue: str, path: str
) -> None:
    server = await serve(venue, "BTC", "ETH", "SOL")
    snapshot = await ask(of(server, clock), "BTC", "SOL", needs=Needs())
    assert {quote.symbol for quote in snapshot.quotes} == {"BTC", "SOL"}
    assert server.requests.count(path) == 2


@pytest.mark.parametrize(
    ("venue", "path"), [("lighter", "/api/v1/orderBookDetails"), ("backpack", "/api/v1/openInterest")]
)
async def test_an_answer_of_its_own_is_asked_for_only_if_it_is_needed(
    serve: Serve, clock: ManualClock, venue: str, path: str
) -> None:
    server = await serve(venue)
    source = of(server, clock)
    await ask(source, needs=Needs())
    server.requests.clear()
    quiet = await ask(source, needs=Needs())
    assert path not in server.requests
    assert [quote.open_interest_usd for quote in quiet.quotes] == [None]
    await ask(source, needs=Needs(open_interest=True))
    assert server.requests.count(path) == 1


async def test_other_venues_rates_in_the_answer_of_lighter_are_not_its_own(serve: Serve, clock: ManualClock) -> None:
    assert (await quoted(await serve("lighter"), clock)).rate.value == Decimal("0.000096")


async def test_the_rate_of_pacifica_is_the_one_that_forms_not_the_one_that_was_paid(
    serve: Serve, clock: ManualClock
) -> None:
    server = await serve("pacifica")
    server.answers["/api/v1/info/prices"]["data"][0]["next_funding"] = "0.00003"
    assert (await quoted(server, clock)).rate.value == Decimal("0.00003")


# Intervals ---------------------------------------------------------------------------------------------------------


def why(snapshot: MarketSnapshot, field: str = "rate") -> list[str]:
    """The reasons for which a field is missing."""
    return [gap.why for gap in snapshot.missing if gap.field == field]


async def without_interval(serve: Serve, venue: str) -> VenueServer:
    """A venue whose answers do not say the interval of its markets."""
    server = await serve(venue)
    if venue == "aster":
        server.answers["/fapi/v3/fundingInfo"] = []
    elif venue == "backpack":
        del server.answers["/api/v1/markets"][0]["fundingInterval"]
    elif venue == "grvt":
        del server.answers["/full/v1/all_instruments"]["result"][0]["funding_interval_hours"]
    elif venue == "paradex":
        del server.answers["/v1/markets"]["results"][0]["funding_period_hours"]
    return server


@pytest.mark.parametrize("venue", ["aster", "backpack", "grvt", "paradex"])
async def test_a_rate_is_unknown_if_nobody_says_over_what_interval_it_is(
    serve: Serve, clock: ManualClock, venue: str
) -> None:
    other = await serve("hyperliquid")
    server = await without_interval(serve, venue)
    source = CcxtSource(exchanges={venue: server.exchange, "hyperliquid": other.exchange}, clock=clock)
    snapshot = await ask(source)
    assert [quote.venue for quote in snapshot.quotes] == ["hyperliquid"]
    assert why(snapshot) == ["nobody says over what interval the rate is: add a fact to the venue table"]


@pytest.mark.parametrize("venue", ["lighter", "extended"])
async def test_a_venue_that_never_says_its_interval_needs_the_table(
    serve: Serve, clock: ManualClock, venue: str
) -> None:
    snapshot = await ask(of(await serve(venue), clock, table=VenueTable()))
    assert snapshot.quotes == ()
    assert why(snapshot) == ["nobody says over what interval the rate is: add a fact to the venue table"]


async def test_a_fact_of_a_venue_is_the_last_resort(serve: Serve, clock: ManualClock) -> None:
    fact = VenueFacts(venue="aster", pays_every=2 * HOUR, as_of=date(2026, 1, 1), source="a test")
    server = await without_interval(serve, "aster")
    assert (await quoted(server, clock, table=VENUES.with_facts(fact))).rate.interval == 2 * HOUR
    assert (await quoted(await serve("aster"), clock, table=VENUES.with_facts(fact))).rate.interval == 4 * HOUR


async def test_a_fact_of_a_market_is_preferred_to_what_its_venue_says(serve: Serve, clock: ManualClock) -> None:
    fact = VenueFacts(
        venue="hyperliquid",
        symbol="BTC",
        pays_every=2 * HOUR,
        rate_interval=4 * HOUR,
        as_of=date(2026, 1, 1),
        source="a test",
    )
    quote = await quoted(await serve("hyperliquid"), clock, table=VENUES.with_facts(fact))
    assert (quote.rate.interval, quote.pays_every) == (4 * HOUR, 2 * HOUR)


async def test_rates_are_unknown_while_the_intervals_of_aster_can_not_be_read(serve: Serve, clock: ManualClock) -> None:
    fact = VenueFacts(venue="aster", pays_every=8 * HOUR, as_of=date(2026, 1, 1), source="a test")
    server = await serve("aster")
    server.answers["/fapi/v3/fundingInfo"] = 500
    snapshot = await ask(of(server, clock, table=VENUES.with_facts(fact)))
    assert snapshot.quotes == ()
    assert why(snapshot) == ["it could not be reached, or can not answer now"]


async def test_the_interval_of_backpack_is_its_markets_not_the_hour_that_ccxt_says(
    serve: Serve, clock: ManualClock
) -> None:
    server = await serve("backpack")
    server.answers["/api/v1/markets"][0]["fundingInterval"] = "28800000"
    assert (await quoted(server, clock)).rate.interval == 8 * HOUR


# Times -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("venue", "path", "field"),
    [("aster", "/fapi/v3/premiumIndex", "nextFundingTime"), ("extended", "/api/v1/info/markets", "nextFundingRate")],
)
async def test_a_payment_time_in_the_past_is_dropped(
    serve: Serve, clock: ManualClock, venue: str, path: str, field: str
) -> None:
    server = await serve(venue)
    rows = server.answers[path]
    row = rows[0] if venue == "aster" else rows["data"][0]["marketStats"]
    row[field] = int(AS_OF.timestamp()) * 1000
    snapshot = await ask(of(server, clock))
    assert snapshot.quotes[0].next_funding_at is None
    assert why(snapshot, "next funding time") == ["the time that the venue gives is in the past"]


async def test_a_payment_time_that_is_not_given_is_missing(serve: Serve, clock: ManualClock) -> None:
    server = await serve("aster")
    del server.answers["/fapi/v3/premiumIndex"][0]["nextFundingTime"]
    snapshot = await ask(of(server, clock))
    assert why(snapshot, "next funding time") == ["the venue does not give it, or ccxt does not"]


async def test_without_the_table_the_next_hour_is_that_of_ccxts_own_clock(serve: Serve, clock: ManualClock) -> None:
    server = await serve("hyperliquid")
    server.exchange.milliseconds = lambda: int(AS_OF.timestamp()) * 1000 + 1
    assert (await quoted(server, clock, table=VenueTable())).next_funding_at == AS_OF + HOUR


async def test_of_two_times_the_earlier_one_that_is_ahead_is_the_next_payment(serve: Serve, clock: ManualClock) -> None:
    server = await serve("hyperliquid")
    parse = server.exchange.parse_funding_rate
    stamps = {
        "fundingTimestamp": int((AS_OF + 2 * HOUR).timestamp() * 1000),
        "nextFundingTimestamp": int((AS_OF + HOUR).timestamp() * 1000),
    }
    server.exchange.parse_funding_rate = lambda info, market=None: {**parse(info, market), **stamps}
    assert (await quoted(server, clock, table=VenueTable())).next_funding_at == AS_OF + HOUR


@pytest.mark.parametrize("time", [10**19, -1])
async def test_an_absurd_time_of_an_answer_makes_its_rate_unknown(serve: Serve, clock: ManualClock, time: int) -> None:
    server = await serve("paradex", "BTC", "ETH")
    parse = server.exchange.parse_funding_rate

    def absurd(info: Any, market: Any = None) -> dict[str, Any]:
        row: dict[str, Any] = parse(info, market)
        return row | ({"timestamp": time} if info["symbol"].startswith("BTC") else {})

    server.exchange.parse_funding_rate = absurd
    snapshot = await ask(of(server, clock), "BTC", "ETH")
    assert [quote.symbol for quote in snapshot.quotes] == ["ETH"]
    assert why(snapshot) == ["a time or interval out of bounds"]


@pytest.mark.parametrize(
    ("read", "value", "span"),
    [
        (hours, "1.5", timedelta(minutes=90)),
        (hours, 0.25, timedelta(minutes=15)),
        (hours, 8, 8 * HOUR),
        (milliseconds, "1500.25", timedelta(seconds=1, microseconds=500_250)),
        (milliseconds, 3_600_000, HOUR),
    ],
)
def test_a_fraction_of_a_unit_counts(read: Callable[[object], timedelta], value: object, span: timedelta) -> None:
    assert read(value) == span


@pytest.mark.parametrize(("read", "value"), [(hours, "1.3333333333"), (milliseconds, "0.0001")])
def test_what_is_finer_than_a_microsecond_is_refused(read: Callable[[object], timedelta], value: str) -> None:
    with pytest.raises(InputError, match=r"^a time or interval that is finer than a microsecond$"):
        read(value)


def test_nanoseconds_count_to_the_millisecond() -> None:
    assert at_nanoseconds("1500999999") == EPOCH + timedelta(milliseconds=1500)
