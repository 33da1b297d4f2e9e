"""Quotes, and how old is too old."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import Freshness, InputError, Quote, RateKind
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, a_quote, a_rate

SECOND = timedelta(seconds=1)
WHOLE = ["open_interest_usd", "volume_24h_usd"]
OPTIONAL = ["next_funding_at", *WHOLE, "mark_price", "origin"]


def with_field(name: str, value: object) -> Quote:
    """The usual quote with one field that is given by its name."""
    fields: dict[str, Any] = {name: value}
    return a_quote(**fields)


def test_what_a_quote_does_not_say_is_unknown() -> None:
    assert [getattr(a_quote(), name) for name in OPTIONAL] == [None] * len(OPTIONAL)


def test_a_quote_is_indicative_unless_it_says_more() -> None:
    assert a_quote().kind is RateKind.INDICATIVE
    assert a_quote(kind="settled").kind is RateKind.SETTLED


def test_a_venue_pays_at_the_rates_interval_unless_told_otherwise() -> None:
    assert a_quote(rate=a_rate(0, hours=4)).pays_every == timedelta(hours=4)
    assert a_quote(rate=a_rate(0, hours=4), pays_every=timedelta(hours=1)).pays_every == timedelta(hours=1)


def test_funding_may_accrue_continuously() -> None:
    assert a_quote(pays_every=timedelta(0)).pays_every == timedelta(0)


def test_a_negative_payment_interval_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        a_quote(pays_every=-SECOND)
    assert str(refused.value) == "Quote: pays_every: a duration must not be negative"


def test_its_market_is_in_one_letter_case() -> None:
    assert a_quote("Lighter", symbol="btc").market == Market("lighter", "BTC")


def test_it_was_seen_a_whole_number_of_seconds_after_1970() -> None:
    assert a_quote(observed_at=AS_OF + timedelta(milliseconds=1999)).observed_epoch == 1_767_614_401


@pytest.mark.parametrize("name", WHOLE)
def test_interest_and_volume_are_in_whole_dollars_and_zero_is_a_known_zero(name: str) -> None:
    assert getattr(with_field(name, "1234567.5"), name) == 1_234_568
    assert getattr(with_field(name, 0), name) == Decimal(0)
    assert getattr(with_field(name, "1e11"), name) == 10**11


@pytest.mark.parametrize("name", WHOLE)
def test_interest_and_volume_beyond_their_bounds_are_refused(name: str) -> None:
    with pytest.raises(InputError) as refused:
        with_field(name, -1)
    assert str(refused.value) == f"Quote: {name}: must be at least 0"
    with pytest.raises(InputError) as refused:
        with_field(name, 10**11 + 1)
    assert str(refused.value) == f"Quote: {name}: must be at most 100000000000"


def test_a_mark_price_is_above_0_and_on_no_grid() -> None:
    assert a_quote(mark_price="0.000000000000012345").mark_price == Decimal("0.000000000000012345")
    with pytest.raises(InputError) as refused:
        a_quote(mark_price=0)
    assert str(refused.value) == "Quote: mark_price: must be above 0"


@pytest.mark.parametrize("name", ["observed_at", "next_funding_at"])
def test_a_naive_time_is_refused_and_the_error_says_how_to_fix_it(name: str) -> None:
    with pytest.raises(InputError) as refused:
        with_field(name, AS_OF.replace(tzinfo=None))
    assert str(refused.value) == (
        f"Quote: {name}: a naive time: add its zone, for instance .replace(tzinfo=timezone.utc)"
    )


def test_a_plain_number_is_no_rate_because_it_has_no_interval() -> None:
    with pytest.raises(InputError) as refused:
        Quote(venue="lighter", symbol="BTC", rate="0.0001", observed_at=AS_OF)  # type: ignore[arg-type]  # the mistake
    assert str(refused.value) == "Quote: rate: Input should be a valid dictionary or instance of FundingRate"


FULL = a_quote(
    "lighter",
    a_rate("-0.0001", hours=1),
    kind="settled",
    pays_every=timedelta(0),
    next_funding_at=AS_OF,
    open_interest_usd=0,
    volume_24h_usd=5,
    mark_price="1.50",
    origin="svc",
)


def test_a_full_quote_is_written_as_canonical_json() -> None:
    assert FULL.model_dump_json() == (
        '{"venue":"lighter","symbol":"BTC","rate":{"value":"-0.0001","interval":"PT1H"},'
        '"observed_at":"2026-01-05T12:00:00Z","kind":"settled","pays_every":"PT0S",'
        '"next_funding_at":"2026-01-05T12:00:00Z","open_interest_usd":"0","volume_24h_usd":"5","mark_price":"1.5",'
        '"origin":"svc"}'
    )


@pytest.mark.parametrize("quote", [a_quote(), FULL], ids=["usual", "full"])
def test_a_quote_makes_the_way_to_json_and_back_byte_for_byte(quote: Quote) -> None:
    text = quote.model_dump_json()
    again = Quote.model_validate_json(text)
    assert again == quote
    assert hash(again) == hash(quote)
    assert again.model_dump_json() == text


@pytest.mark.usefixtures("hostile_context", "far_zone")
def test_a_quote_depends_neither_on_the_decimal_context_nor_on_the_time_zone() -> None:
    quote = a_quote(open_interest_usd=99_999_999_999.5, mark_price="98765.4321987654321", next_funding_at=AS_OF)
    text = quote.model_dump_json()
    assert '"open_interest_usd":"100000000000","volume_24h_usd":null,"mark_price":"98765.4321987654321"' in text
    assert '"observed_at":"2026-01-05T12:00:00Z"' in text
    assert Quote.model_validate_json(text).model_dump_json() == text


def test_by_default_data_is_stale_after_two_checks_of_a_minute() -> None:
    assert Freshness() == Freshness(
        max_age=timedelta(seconds=120),
        max_intervals=2,
        max_future=timedelta(seconds=10),
        max_skew=timedelta(seconds=120),
    )


@pytest.mark.parametrize("kind", ["forming", "indicative"])
def test_a_live_quote_may_be_as_old_as_the_age_limit_whatever_its_interval(kind: str) -> None:
    quote = a_quote(rate=a_rate(0, hours=8), kind=kind)
    assert Freshness(max_age=timedelta(seconds=90)).limit(quote) == 90


@pytest.mark.parametrize(
    ("fields", "limit"),
    [
        ({}, 2 * 8 * 3600),
        ({"pays_every": timedelta(hours=1)}, 2 * 3600),
        ({"pays_every": timedelta(0)}, 2 * 8 * 3600),
        ({"pays_every": timedelta(seconds=44)}, 90),
        ({"pays_every": timedelta(seconds=45)}, 90),
        ({"pays_every": timedelta(seconds=46)}, 92),
    ],
)
def test_a_settled_rate_may_be_two_payment_intervals_old_or_as_old_as_a_live_one(
    fields: dict[str, timedelta], limit: int
) -> None:
    quote = a_quote("lighter", a_rate(0, hours=8), kind="settled", **fields)
    assert Freshness(max_age=timedelta(seconds=90)).limit(quote) == limit


def test_the_number_of_payment_intervals_can_be_set() -> None:
    assert Freshness(max_intervals=3).limit(a_quote(kind="settled")) == 3 * 8 * 3600


@pytest.mark.parametrize("intervals", [1, 100])
def test_a_settled_rate_may_be_1_to_100_intervals_old(intervals: int) -> None:
    assert Freshness(max_intervals=intervals).max_intervals == intervals


@pytest.mark.parametrize("intervals", [0, 101])
def test_fewer_and_more_intervals_are_refused(intervals: int) -> None:
    with pytest.raises(InputError, match=r"^Freshness: max_intervals: Input should be "):
        Freshness(max_intervals=intervals)


def test_the_age_and_skew_limits_are_above_0_and_the_future_limit_may_be_0() -> None:
    assert Freshness(max_future=timedelta(0)).max_future == timedelta(0)
    with pytest.raises(InputError) as refused:
        Freshness(max_age=timedelta(0), max_skew=timedelta(0), max_future=-SECOND)
    assert str(refused.value) == (
        "Freshness: max_age: a duration must be above 0; max_future: a duration must not be negative; "
        "max_skew: a duration must be above 0"
    )


def test_a_venue_pays_every_21_days_at_the_least() -> None:
    assert a_quote(pays_every=timedelta(days=21)).pays_every == timedelta(days=21)
    with pytest.raises(InputError, match=r"^Quote: pays_every must be at most 21 days$"):
        a_quote(pays_every=timedelta(days=21, seconds=1))


def test_live_quotes_may_be_given_the_age_of_settled_ones() -> None:
    limits = Freshness(max_age=SECOND, live_by_interval=True)
    assert limits.limit(a_quote(rate=a_rate(0, hours=4))) == 8 * 3600
    assert Freshness(max_age=SECOND).limit(a_quote(rate=a_rate(0, hours=4))) == 1
