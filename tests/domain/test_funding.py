"""Funding rates, and the sign of a divergence."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import FundingRate, InputError, RateKind
from rebalancer.domain.funding import divergence
from rebalancer.testing import a_rate

BEYOND = "FundingRate: beyond 100 % per 8 h: is it a percent, or is its interval wrong?"
NO_INTERVAL = "FundingRate: interval: a funding interval must be above 0 and at most 21 days"


def test_the_divergence_is_short_minus_long_so_that_a_position_that_earns_has_a_positive_one() -> None:
    assert divergence(100, 300) == 200
    assert divergence(300, 100) == -200
    assert divergence(-100, 100) == 200
    assert divergence(100, 100) == 0


def test_rate_kinds_are_written_in_lower_case() -> None:
    assert [str(kind) for kind in RateKind] == ["settled", "forming", "indicative"]


@pytest.mark.parametrize(
    ("value", "hours", "per_8h"),
    [
        ("0.0001", 8, "0.0001"),
        ("0.0001", 1, "0.0008"),
        ("0.0001", 4, "0.0002"),
        ("0.0001", 16, "0.00005"),
        ("-0.0001", 1, "-0.0008"),
        ("0.0001", 24, "0.000033333333"),
        ("0.0002", 24, "0.000066666667"),
        ("-0.0002", 24, "-0.000066666667"),
        ("0.000000000001", 16, "0"),
        ("0.000000000003", 16, "0.000000000002"),
        ("0.000000000005", 16, "0.000000000002"),
        ("-0.000000000003", 16, "-0.000000000002"),
        ("0", 1, "0"),
    ],
)
def test_a_rate_is_compared_per_8_h_rounded_half_even(value: str, hours: int, per_8h: str) -> None:
    rate = a_rate(value, hours=hours)
    assert rate.per_8h == Decimal(per_8h)
    assert rate.steps == int(Decimal(per_8h) * 10**12)


def test_a_rate_over_a_second_counts_28_800_times() -> None:
    assert FundingRate("0.000000000007", timedelta(seconds=1)).steps == 7 * 28_800


def test_a_rate_is_put_on_the_grid_before_it_is_scaled() -> None:
    assert a_rate("0.0000000000004", hours=1).steps == 0
    assert a_rate("0.0000000000006", hours=1).steps == 8
    assert a_rate("0.00009599999999999999").value == Decimal("0.000096")


def test_the_arguments_may_be_named() -> None:
    assert FundingRate(value="0.0001", interval=timedelta(hours=8)) == FundingRate("0.0001", timedelta(hours=8))


@pytest.mark.parametrize("value", ["1", "-1"])
def test_a_rate_of_exactly_1_per_8_h_is_kept(value: str) -> None:
    assert a_rate(value).per_8h == Decimal(value)


@pytest.mark.parametrize("value", ["1.000000000001", "-1.000000000001", "2"])
def test_a_rate_a_grid_step_beyond_1_per_8_h_is_refused_as_a_likely_percent(value: str) -> None:
    with pytest.raises(InputError) as refused:
        a_rate(value)
    assert str(refused.value) == BEYOND


def test_the_bound_holds_for_the_rate_per_8_h_and_not_for_the_rate_as_given() -> None:
    assert a_rate("63", hours=504).per_8h == 1
    assert a_rate("0.125", hours=1).per_8h == 1
    with pytest.raises(InputError) as refused:
        a_rate("0.125000000001", hours=1)
    assert str(refused.value) == BEYOND


def test_the_bound_holds_after_rounding() -> None:
    assert a_rate("63.000000000031", hours=504).per_8h == 1
    with pytest.raises(InputError) as refused:
        a_rate("63.000000000032", hours=504)
    assert str(refused.value) == BEYOND


def test_an_hourly_percent_is_refused_by_the_bound_of_its_own() -> None:
    with pytest.raises(InputError) as refused:
        a_rate("100.000000000001", hours=504)
    assert str(refused.value) == "FundingRate: value: must be at most 100"


@pytest.mark.parametrize("interval", [timedelta(seconds=1), timedelta(days=21)])
def test_an_interval_of_1_s_to_21_days_is_kept(interval: timedelta) -> None:
    assert FundingRate("0.00001", interval).interval == interval


@pytest.mark.parametrize("interval", [timedelta(0), timedelta(seconds=-1), timedelta(days=21, seconds=1)])
def test_an_interval_of_0_or_less_or_of_more_than_21_days_is_refused(interval: timedelta) -> None:
    with pytest.raises(InputError) as refused:
        FundingRate("0.0001", interval)
    assert str(refused.value) == NO_INTERVAL


def test_an_interval_is_a_timedelta_and_never_a_plain_number() -> None:
    with pytest.raises(InputError) as refused:
        FundingRate("0.0001", 8)  # type: ignore[arg-type]  # the mistake under test
    assert str(refused.value) == "FundingRate: interval: not a duration: give a datetime.timedelta"


def test_a_rate_makes_the_way_to_json_and_back_byte_for_byte() -> None:
    rate = a_rate("-0.00010", hours=1)
    text = rate.model_dump_json()
    assert text == '{"value":"-0.0001","interval":"PT1H"}'
    assert FundingRate.model_validate_json(text) == rate
    assert FundingRate.model_validate_json(text).model_dump_json() == text


def test_a_rate_in_json_needs_its_interval() -> None:
    with pytest.raises(InputError) as refused:
        FundingRate.model_validate_json('{"value": "0.0001"}')
    assert str(refused.value) == "FundingRate: interval: Field required"


@given(st.decimals(min_value=-1, max_value=1, places=12))
def test_a_rate_over_8_h_is_its_own_rate_per_8_h(value: Decimal) -> None:
    assert a_rate(value).per_8h == value


@given(st.decimals(min_value="-0.01", max_value="0.01", places=15), st.integers(min_value=1, max_value=504))
def test_the_sign_of_a_rate_mirrors_its_rate_per_8_h(value: Decimal, hours: int) -> None:
    assert a_rate(value, hours=hours).steps == -a_rate(-value, hours=hours).steps


@pytest.mark.usefixtures("hostile_context")
def test_rates_ignore_the_ambient_decimal_context() -> None:
    rate = a_rate("0.0123456789012", hours=7)
    assert str(rate.value) == "0.012345678901"
    assert rate.steps == 14_109_347_315
    assert str(rate.per_8h) == "0.014109347315"
    assert rate.model_dump_json() == '{"value":"0.012345678901","interval":"PT7H"}'
