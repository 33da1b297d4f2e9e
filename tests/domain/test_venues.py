"""What venues do, and how a user overrides it."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import InputError
from rebalancer.domain.names import Market
from rebalancer.domain.venues import VENUES, VenueFacts, VenueTable
from rebalancer.testing import AS_OF

HOUR = timedelta(hours=1)


def some_facts(venue: str = "lighter", **fields: Any) -> VenueFacts:
    """Facts about a venue that pays hourly; `fields` override those of `VenueFacts`."""
    usual = {"venue": venue, "pays_every": HOUR, "as_of": date(2026, 1, 5), "source": "a test"}
    return VenueFacts(**{**usual, **fields})


def built_in(venue: str) -> VenueFacts:
    """What the table says of a venue."""
    facts = VENUES.of(Market(venue, "BTC"))
    assert facts is not None
    return facts


# Facts -------------------------------------------------------------------------------------------------------------


def test_what_facts_do_not_say_is_unknown() -> None:
    facts = some_facts()
    assert (facts.symbol, facts.rate_interval, facts.rate_cap) == (None, None, None)
    assert (facts.varies, facts.aligned) == (False, False)


def test_rates_are_quoted_over_the_payment_interval_unless_the_facts_say_otherwise() -> None:
    assert some_facts().quoted_over == HOUR
    assert some_facts(rate_interval=8 * HOUR).quoted_over == 8 * HOUR


def test_facts_do_not_say_over_what_rates_are_quoted_where_perpetuals_differ_or_funding_is_continuous() -> None:
    assert some_facts(varies=True).quoted_over is None
    assert some_facts(pays_every=timedelta(0)).quoted_over is None
    assert some_facts(varies=True, rate_interval=8 * HOUR).quoted_over == 8 * HOUR
    assert some_facts(pays_every=timedelta(0), rate_interval=8 * HOUR).quoted_over == 8 * HOUR


@pytest.mark.parametrize(
    ("hours", "after", "payment"),
    [
        (1, AS_OF + timedelta(minutes=17), AS_OF + HOUR),
        (1, AS_OF, AS_OF + HOUR),
        (1, AS_OF - timedelta(seconds=1), AS_OF),
        (8, AS_OF, AS_OF + 4 * HOUR),
        (8, AS_OF + 4 * HOUR, AS_OF + 12 * HOUR),
        (24, AS_OF, AS_OF + 12 * HOUR),
    ],
)
def test_aligned_payments_are_at_whole_multiples_of_their_interval_since_midnight(
    hours: int, after: datetime, payment: datetime
) -> None:
    assert some_facts(pays_every=hours * HOUR, aligned=True).next_payment(after) == payment


def test_the_next_payment_is_unknown_unless_all_perpetuals_are_aligned() -> None:
    assert some_facts().next_payment(AS_OF) is None
    assert some_facts(aligned=True, varies=True).next_payment(AS_OF) is None


@pytest.mark.parametrize("pays_every", [timedelta(0), 5 * HOUR, 48 * HOUR])
def test_aligned_payments_divide_the_day(pays_every: timedelta) -> None:
    with pytest.raises(InputError) as refused:
        some_facts(pays_every=pays_every, aligned=True)
    assert str(refused.value) == "VenueFacts: aligned payments divide the day: 1 h, 4 h or 8 h, say"


def test_a_rate_interval_is_above_0() -> None:
    with pytest.raises(InputError) as refused:
        some_facts(rate_interval=timedelta(0))
    assert str(refused.value) == "VenueFacts: rate_interval: a duration must be above 0"


# Tables ------------------------------------------------------------------------------------------------------------


def test_a_market_has_its_own_facts_else_those_of_its_venue() -> None:
    table = VenueTable(facts=(some_facts(), some_facts(symbol="btc", pays_every=4 * HOUR)))
    assert [facts.pays_every for symbol in ("BTC", "ETH") if (facts := table.of(Market("lighter", symbol)))] == [
        4 * HOUR,
        HOUR,
    ]


def test_a_market_of_an_unknown_venue_has_no_facts() -> None:
    assert VenueTable().of(Market("lighter", "BTC")) is None
    assert VenueTable(facts=(some_facts(symbol="BTC"),)).of(Market("lighter", "ETH")) is None


def test_two_facts_about_one_place_are_refused() -> None:
    with pytest.raises(InputError) as refused:
        VenueTable(facts=(some_facts(), some_facts("LIGHTER", pays_every=8 * HOUR)))
    assert str(refused.value) == "VenueTable: two facts about one venue, or one market: keep one"


def test_facts_of_a_user_take_the_place_of_those_about_the_same() -> None:
    other = some_facts("grvt")
    table = VenueTable(facts=(some_facts(), other)).with_facts(
        some_facts(pays_every=2 * HOUR), some_facts(symbol="ETH")
    )
    assert table.facts == (some_facts(pays_every=2 * HOUR), other, some_facts(symbol="ETH"))


# What is built in --------------------------------------------------------------------------------------------------


def test_the_venues_pay_as_often_as_they_say() -> None:
    assert {facts.venue: facts.pays_every // HOUR for facts in VENUES.facts} == {
        "aster": 8,
        "backpack": 1,
        "edgex": 4,
        "extended": 1,
        "grvt": 8,
        "hyperliquid": 1,
        "lighter": 1,
        "pacifica": 1,
        "paradex": 0,
    }


def test_every_fact_has_its_date_and_its_source() -> None:
    assert {facts.as_of for facts in VENUES.facts} == {date(2026, 11, 23)}
    assert all("its " in facts.source for facts in VENUES.facts)


def test_where_perpetuals_differ_no_interval_holds_for_all() -> None:
    assert {facts.venue for facts in VENUES.facts if facts.quoted_over is None} == {
        "aster",
        "backpack",
        "edgex",
        "grvt",
        "paradex",
    }


def test_lighter_quotes_over_8_hours_what_it_pays_every_hour() -> None:
    assert built_in("lighter").quoted_over == 8 * HOUR
    assert built_in("lighter").pays_every == HOUR


def test_the_venues_that_pay_on_the_hour_are_known() -> None:
    on_the_hour = {facts.venue for facts in VENUES.facts if facts.next_payment(AS_OF) == AS_OF + HOUR}
    assert on_the_hour == {"hyperliquid", "lighter", "pacifica"}


def test_a_cap_is_one_that_holds_for_all_perpetuals_of_its_venue() -> None:
    assert {facts.venue: facts.rate_cap for facts in VENUES.facts if facts.rate_cap is not None} == {
        "hyperliquid": Decimal("0.32"),
        "pacifica": Decimal("0.32"),
    }
