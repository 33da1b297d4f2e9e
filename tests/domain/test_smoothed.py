"""Smoothed rates as values, and what a snapshot says of them."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalancer import InputError, MarketSnapshot, Missing, Needs, Smoothed, SmoothedRate
from rebalancer.domain.names import Market, Pair
from rebalancer.domain.numbers import BPS, RATIO_ONE
from rebalancer.testing import AS_OF, a_quote, a_smoothed, a_snapshot

HOUR = timedelta(hours=1)
USUAL = Smoothed()
PAIR = Pair("BTC", "lighter", "grvt")


def gap(venue: str, why: str) -> Missing:
    return Missing(field="smoothed rate", venue=venue, symbol="BTC", why=why)


def test_the_usual_signal_is_a_mean_of_five_days_clipped_to_8_bp_known_after_three_days() -> None:
    assert Smoothed(half_life=120 * HOUR, clip_bps=8, warm_up=72 * HOUR) == USUAL
    assert (USUAL.clip, USUAL.warm_up_seconds) == (8 * BPS, 72 * 3600)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("half_life", timedelta(days=365, seconds=1)),
        ("half_life", timedelta(0)),
        ("clip_bps", 0),
        ("clip_bps", 10_001),
        ("warm_up", -HOUR),
    ],
)
def test_a_signal_out_of_bounds_is_refused(field: str, value: object) -> None:
    with pytest.raises(InputError, match=field):
        Smoothed(**{field: value})  # type: ignore[arg-type]
    assert Smoothed(half_life=timedelta(days=365), clip_bps=10_000, warm_up=timedelta(0)).clip == 10_000 * BPS


def test_the_rate_is_the_quotient_floored() -> None:
    assert a_smoothed("lighter", 0, num=7, den=3).steps == 7 * RATIO_ONE // 3
    assert a_smoothed("lighter", 0, num=-7, den=3).steps == -7 * RATIO_ONE // 3
    assert a_smoothed("lighter", 0, num=0, den=0).steps is None


def test_a_smoothed_rate_survives_json() -> None:
    rate = a_smoothed("Lighter", "-0.0003")
    assert SmoothedRate.model_validate_json(rate.model_dump_json()) == rate
    assert (rate.market, rate.settled_epoch) == (Market("lighter", "BTC"), int((AS_OF - HOUR).timestamp()))


@pytest.mark.parametrize(("field", "value"), [("den", -1), ("den", RATIO_ONE + 1), ("interval", 0), ("seen", -1)])
def test_a_smoothed_rate_that_can_not_be_is_refused(field: str, value: int) -> None:
    with pytest.raises(InputError, match=field):
        a_smoothed("lighter", 0, **{field: value})


def test_two_smoothed_rates_of_one_market_by_one_signal_are_refused() -> None:
    other = a_smoothed("lighter", 0, signal=Smoothed(half_life=HOUR))
    assert len(a_snapshot(smoothed=(a_smoothed("lighter"), other)).smoothed) == 2
    with pytest.raises(InputError, match="two smoothed rates of BTC on lighter"):
        a_snapshot(smoothed=(a_smoothed("lighter"), a_smoothed("lighter", 0)))


def test_a_snapshot_without_any_is_written_as_ever() -> None:
    assert "smoothed" not in a_snapshot().model_dump_json()
    snapshot = a_snapshot(smoothed=(a_smoothed(),))
    assert MarketSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot


def test_a_pair_has_the_divergence_of_its_legs() -> None:
    smoothed = a_snapshot(smoothed=(a_smoothed("lighter", "0.0001"), a_smoothed("grvt", "-0.0002"))).book.smoothed(
        USUAL
    )
    assert smoothed.divergence(PAIR) == -3 * BPS
    assert (smoothed.both_known(PAIR), smoothed.settled_ago(PAIR), smoothed.gaps(PAIR)) == (1, 3600, ())


@pytest.mark.parametrize(
    ("rate", "why"),
    [
        (
            a_smoothed("grvt", settled_at=AS_OF - 2 * HOUR - timedelta(seconds=1)),
            "its last settlement is older than its limit",
        ),
        (a_smoothed("grvt", settled_at=AS_OF + timedelta(seconds=11)), "its last settlement is from the future"),
        (a_smoothed("grvt", seen=3600), "settlements of 1 h were seen, of the 72 h it takes"),
        (a_smoothed("grvt", den=0), "no settlement has any weight"),
        (a_smoothed("grvt", signal=Smoothed(half_life=HOUR)), "no settled rate was seen"),
        (a_smoothed("aster"), "no settled rate was seen"),
    ],
)
def test_what_is_unknown_says_why(rate: SmoothedRate, why: str) -> None:
    smoothed = a_snapshot(smoothed=(a_smoothed("lighter"), rate)).book.smoothed(USUAL)
    assert (smoothed.divergence(PAIR), smoothed.both_known(PAIR)) == (None, 0)
    assert smoothed.gaps(PAIR) == (gap("grvt", why),)


@pytest.mark.parametrize("rate", [a_smoothed("grvt", settled_at=AS_OF - 2 * HOUR), a_smoothed("grvt", seen=72 * 3600)])
def test_exactly_at_a_limit_it_counts(rate: SmoothedRate) -> None:
    assert a_snapshot(smoothed=(a_smoothed("lighter"), rate)).book.smoothed(USUAL).divergence(PAIR) == 0


def test_how_long_ago_the_older_leg_was_settled_is_known_of_legs_that_were_seen() -> None:
    old = a_smoothed("grvt", settled_at=AS_OF - 50 * HOUR)
    smoothed = a_snapshot(smoothed=(a_smoothed("lighter"), old)).book.smoothed(USUAL)
    assert (smoothed.settled_ago(PAIR), smoothed.unseen(PAIR)) == (50 * 3600, ())
    unseen = a_snapshot(smoothed=(old,)).book.smoothed(USUAL)
    assert unseen.settled_ago(PAIR) is None
    assert unseen.unseen(PAIR) == (gap("lighter", "no settled rate was seen"),)


def test_only_what_is_quoted_now_is_a_candidate() -> None:
    rates = a_smoothed("lighter", 0), a_smoothed("grvt", "0.0002"), a_smoothed("paradex", "0.0003")
    quotes = a_quote("lighter"), a_quote("grvt"), a_quote("paradex", observed_at=AS_OF - HOUR)
    ranking = a_snapshot(*quotes, smoothed=rates).book.smoothed(USUAL).ranking
    assert list(ranking.best_first("BTC")) == [
        (2 * BPS, Pair("BTC", "lighter", "grvt")),
        (-2 * BPS, Pair("BTC", "grvt", "lighter")),
    ]
    assert (ranking.widest("BTC"), ranking.widest("ETH"), ranking.widest(None)) == (2 * BPS, None, 2 * BPS)
    assert list(ranking.best_first(None)) == ranking.ranked(None) == list(ranking.best_first("BTC"))
    assert a_snapshot().book.smoothed(USUAL).ranking.widest(None) is None


def test_the_union_of_needs_has_each_signal_once_and_in_order() -> None:
    short, long = Smoothed(half_life=HOUR), Smoothed(half_life=99 * HOUR)
    one, other = Needs(smoothed=(long, short, long)), Needs(rates=False, smoothed=(USUAL, short))
    assert one.smoothed == (short, long)
    assert (one | other).smoothed == (other | one).smoothed == (short, long, USUAL)


def test_nobody_has_to_supply_smoothed_rates() -> None:
    assert Needs(smoothed=(USUAL,)).lacking(Needs()) == ()
