"""Smoothed rates, against the formula of the design written down a second time."""

from __future__ import annotations

import decimal
from datetime import timedelta
from decimal import ROUND_UP, Decimal, Inexact, localcontext
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer.domain.names import Market
from rebalancer.domain.smoothed import Smoothed
from rebalancer.history.smoothing import Decay, Mean, Means
from rebalancer.history.smoothing import Settlement as Paid

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


# Means of markets -----------------------------------------------------------------------------------------------------

BTC, ETH = Market("lighter", "BTC"), Market("lighter", "ETH")
FAST, SLOW = Smoothed(half_life=DAY, warm_up=timedelta(hours=2)), Smoothed(warm_up=timedelta(hours=3))
PAST = [Paid(hour * HOUR, hour * 1_000_000, HOUR) for hour in range(1, 9)]


def means(*settlements: Paid, signals: tuple[Smoothed, ...] = (FAST, SLOW)) -> Means:
    """Means of BTC after some settlements."""
    known = Means(signals)
    for settlement in settlements:
        known.settle(BTC, settlement)
    return known


def test_a_settlement_that_is_not_later_than_the_last_does_not_count() -> None:
    known = means(*PAST)
    before = known.rates()
    for again in (PAST[-1], PAST[2]):
        assert known.settle(BTC, again._replace(rate=9)) is False
        assert known.learn(BTC, [again]) is False
    assert known.rates() == before
    assert known.settle(BTC, Paid(9 * HOUR, 1, HOUR)) is True


def test_no_settlement_counts_for_more_than_the_clip() -> None:
    huge, clip = Paid(HOUR, 10**12, HOUR), Paid(HOUR, FAST.clip, HOUR)
    assert means(huge).rates() == means(clip).rates()
    assert means(huge._replace(rate=-(10**12))).rates() == means(clip._replace(rate=-FAST.clip)).rates()


def test_what_is_learnt_at_once_is_what_is_learnt_one_by_one() -> None:
    known = means(*PAST[:3])
    assert known.learn(BTC, PAST) is True
    assert known.rates() == means(*PAST).rates()


def test_a_mean_that_began_with_the_present_is_made_anew_of_the_past_once_it_is_had() -> None:
    known = means(PAST[-1])
    assert known.learn(BTC, PAST) is True
    assert known.rates() == means(*PAST).rates()


def test_a_mean_that_is_warm_is_never_made_anew() -> None:
    known = means(*PAST[-2:])
    known.learn(BTC, PAST)
    fast, slow = known.of(BTC)
    assert (fast.seen, slow.seen) == (2 * HOUR, 8 * HOUR)


def test_a_mean_is_not_made_anew_of_a_past_that_has_seen_less() -> None:
    known = means(PAST[0], PAST[-1])
    assert known.learn(BTC, PAST[-1:]) is False
    assert [rate.seen for rate in known.of(BTC)] == [2 * HOUR, 2 * HOUR]


def test_what_was_known_before_goes_on_as_if_nothing_had_happened() -> None:
    known = Means((SLOW, FAST))
    known.know(means(*PAST[:4]).rates())
    for settlement in PAST[4:]:
        known.settle(BTC, settlement)
    assert set(known.rates()) == set(means(*PAST).rates())


def test_what_was_known_before_counts_unless_more_is_known_and_of_signals_that_are_read() -> None:
    known = means(*PAST[:4], signals=(FAST,))
    known.know(means(*PAST[:3]).rates())
    assert known.rates() == means(*PAST[:4], signals=(FAST,)).rates()
    known.know(means(PAST[3]).rates())
    assert known.rates() == means(PAST[3], signals=(FAST,)).rates()


def test_a_market_was_last_settled_when_all_signals_say_so_and_is_warm_when_all_are() -> None:
    known = means(*PAST[:2])
    assert (known.last(BTC), known.warm(BTC)) == ((2 * HOUR, HOUR), False)
    known.settle(BTC, PAST[2])
    assert known.warm(BTC)
    assert (known.last(ETH), known.warm(ETH)) == (None, False)

    later = means(*PAST[:3], signals=(FAST,)).rates()
    mixed = Means((FAST, SLOW))
    mixed.know(later)
    assert (mixed.last(BTC), mixed.warm(BTC)) == (None, False)


def test_a_market_that_is_forgotten_is_not_known() -> None:
    known = means(*PAST)
    known.settle(ETH, PAST[0])
    known.forget(BTC)
    assert set(known.markets) == {ETH}
    assert {rate.market for rate in known.rates()} == {ETH}
    assert known.of(BTC) == ()
