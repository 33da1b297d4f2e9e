"""A directed pair that could be opened."""

from __future__ import annotations

from decimal import Decimal

import pytest

from rebalancer import InputError, Opportunity
from rebalancer.domain.names import Pair
from rebalancer.testing import AS_OF, an_opportunity


def test_its_divergence_is_short_minus_long() -> None:
    opportunity = an_opportunity(long_rate="0.0001", short_rate="0.0004")
    assert opportunity.divergence == Decimal("0.0003")
    assert opportunity.steps == 300_000_000


def test_its_divergence_is_negative_where_the_pair_pays() -> None:
    assert an_opportunity(long_rate="0.0004", short_rate="-0.0001").divergence == Decimal("-0.0005")


def test_its_pair_is_directed() -> None:
    assert an_opportunity(long_dex="paradex", short_dex="grvt").pair == Pair("BTC", "paradex", "grvt")


def test_its_names_are_kept_in_one_letter_case() -> None:
    opportunity = an_opportunity(symbol="eth", long_dex="Paradex", short_dex="GRVT")
    assert opportunity.pair == Pair("ETH", "paradex", "grvt")


@pytest.mark.parametrize("venue", ["grvt", "GRVT"])
def test_two_legs_on_one_venue_are_refused(venue: str) -> None:
    with pytest.raises(InputError) as refused:
        an_opportunity(long_dex=venue, short_dex="grvt")
    assert str(refused.value) == "Opportunity: long_dex and short_dex must be two venues"


@pytest.mark.parametrize("name", ["long_rate", "short_rate"])
def test_a_rate_beyond_1_per_8_h_is_refused(name: str) -> None:
    assert getattr(an_opportunity(**{name: 1}), name) == 1
    with pytest.raises(InputError) as refused:
        an_opportunity(**{name: "1.000000000001"})
    assert str(refused.value) == f"Opportunity: {name}: must be at most 1"


def test_a_naive_time_is_refused_and_the_error_says_how_to_fix_it() -> None:
    with pytest.raises(InputError) as refused:
        an_opportunity(observed_at=AS_OF.replace(tzinfo=None))
    assert str(refused.value) == (
        "Opportunity: observed_at: a naive time: add its zone, for instance .replace(tzinfo=timezone.utc)"
    )


def test_it_makes_the_way_to_json_and_back_byte_for_byte() -> None:
    opportunity = an_opportunity(long_rate="-0.00010", origin="svc")
    text = opportunity.model_dump_json()
    assert text == (
        '{"symbol":"BTC","long_dex":"paradex","short_dex":"grvt","long_rate":"-0.0001","short_rate":"0.0005",'
        '"observed_at":"2026-01-05T12:00:00Z","origin":"svc"}'
    )
    assert Opportunity.model_validate_json(text) == opportunity
    assert Opportunity.model_validate_json(text).model_dump_json() == text


@pytest.mark.usefixtures("hostile_context")
def test_its_divergence_ignores_the_ambient_decimal_context() -> None:
    opportunity = an_opportunity(long_rate="-0.123456789012", short_rate="0.876543210988")
    assert str(opportunity.divergence) == "1"
    assert opportunity.steps == 10**12
