"""Smoothed rates, against the formula of the design written down a second time."""

from __future__ import annotations

import decimal
from datetime import timedelta
from decimal import ROUND_UP, Decimal, Inexact, localcontext
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.history.smoothing import Decay, Mean

HOUR = 3600
MILLION = 10**6
DAY = timedelta(hours=24)
ALWAYS = True


class Settlement(NamedTuple):
    gap: int
    rate: int
    interval: int


settlements = st.lists(
    st.builds(
        Settlement,
        gap=st.integers(1, 10 * 24 * HOUR),
        rate=st.integers(-(10**12), 10**12),
        interval=st.sampled_from([HOUR, 4 * HOUR, 8 * HOUR]),
    ),
    max_size=12,
)
half_lives = st.sampled_from([1, 24, 120]).map(lambda hours: timedelta(hours=hours))


def weight(age: int, half_life: timedelta) -> int:
    """`round(10^6 * 2^(-age / half-life))`, to sixty digits before it is rounded."""
    with localcontext(prec=60):
        exponent = Decimal(-age) / Decimal(int(half_life.total_seconds()))
        return round(MILLION * (exponent * Decimal(2).ln()).exp())


def smoothed(rows: list[Settlement], half_life: timedelta) -> int:
    """The formula, over the settlements in order."""
    num = den = 0
    for place, (gap, rate, interval) in enumerate(rows):
        kept = weight(gap, half_life) if place else 0
        new = MILLION - weight(interval, half_life)
        num = (num * kept + new * rate) // MILLION
        den = den * kept // MILLION + new
    return num * MILLION // den if den else 0


def learnt(rows: list[Settlement], half_life: timedelta) -> Mean:
    """What the library makes of them."""
    mean, at = Mean(Decay(half_life)), 1_767_225_600
    for gap, rate, interval in rows:
        at += gap
        mean.settle(at, rate, interval)
    return mean


@given(settlements, half_lives)
def test_the_mean_is_the_designs_formula_to_the_last_step(rows: list[Settlement], half_life: timedelta) -> None:
    assert learnt(rows, half_life).rate == smoothed(rows, half_life)


@given(settlements)
def test_no_ambient_decimal_context_changes_it(rows: list[Settlement]) -> None:
    with localcontext(prec=2, rounding=ROUND_UP, Emax=3, Emin=-3):
        careless = learnt(rows, DAY).rate
    assert careless == learnt(rows, DAY).rate


def test_nor_do_the_defaults_of_new_contexts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(decimal.DefaultContext.traps, Inexact, ALWAYS)
    monkeypatch.setattr(decimal.DefaultContext, "Emin", -2)
    monkeypatch.setattr(decimal.DefaultContext, "prec", 3)
    monkeypatch.setattr(decimal.DefaultContext, "rounding", ROUND_UP)
    assert Decay(DAY)[100 * HOUR] == weight(100 * HOUR, DAY)


@given(st.integers(0, 100 * 24 * HOUR), half_lives)
def test_a_weight_is_what_is_left_in_millionths(age: int, half_life: timedelta) -> None:
    assert Decay(half_life)[age] == weight(age, half_life)


def test_half_of_the_weight_is_left_after_the_half_life() -> None:
    decay = Decay(DAY)
    assert [decay[age * HOUR] for age in (0, 24, 48, 72)] == [MILLION, 500_000, 250_000, 125_000]


def test_in_the_end_nothing_is_left() -> None:
    assert Decay(timedelta(seconds=1))[100 * 365 * 24 * HOUR] == 0


def test_before_the_first_settlement_the_mean_is_zero_and_nothing_was_seen() -> None:
    mean = Mean(Decay(DAY))
    assert (mean.rate, mean.seen) == (0, 0)


@given(st.integers(-(10**12), 10**12), st.sampled_from([HOUR, 4 * HOUR, 8 * HOUR]))
def test_one_settlement_is_its_own_mean_but_for_what_is_floored(rate: int, interval: int) -> None:
    floored = MILLION // (MILLION - weight(interval, DAY)) + 1
    assert 0 <= rate - learnt([Settlement(0, rate, interval)], DAY).rate <= floored


def test_a_mean_has_seen_what_its_settlements_cover_and_not_the_gaps() -> None:
    rows = [Settlement(0, 1, 8 * HOUR), Settlement(100 * HOUR, 1, HOUR)]
    assert learnt(rows, DAY).seen == 9 * HOUR


def test_after_a_half_life_without_news_old_and_new_weigh_alike() -> None:
    rows = [Settlement(0, 0, 24 * HOUR), Settlement(24 * HOUR, 300_000_000, 24 * HOUR)]
    assert learnt(rows, DAY).rate == 200_000_000
