"""Close before a venue liquidates a leg."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import (
    Action,
    CombinedStrategy,
    Fact,
    InputError,
    LegReading,
    LiquidationDistance,
    MarketSnapshot,
    Missing,
    Needs,
    Outcome,
    RuleContext,
    TimeLimit,
    Unknown,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote

USUAL = LiquidationDistance()
FIRED = "a leg is close to its liquidation price"
QUIET = "both legs are far enough from their liquidation prices"
UNKNOWN = "a value that it reads is unknown"
NO_ANSWER = Unknown("no answer")


def long(liquidation: Any, mark: Any = 100, **fields: Any) -> LegReading:
    return a_leg("lighter", "0.1", mark_price=mark, liquidation_price=liquidation, **fields)


def short(liquidation: Any, mark: Any = 100, **fields: Any) -> LegReading:
    return a_leg("grvt", "-0.1", mark_price=mark, liquidation_price=liquidation, **fields)


def blind(*legs: LegReading) -> MarketSnapshot:
    """The legs alone: no market is quoted."""
    return MarketSnapshot(as_of=AS_OF, quotes=(), legs=legs)


def said(*legs: LegReading, rule: LiquidationDistance = USUAL) -> Verdict:
    return ask(rule, RuleContext(a_position(), blind(*legs)))


def a_verdict(outcome: Outcome, claim: str, *facts: Fact, **more: Any) -> Verdict:
    return Verdict(
        outcome=outcome, claim=claim, rule="LiquidationDistance", reason="LIQUIDATION_DISTANCE", facts=facts, **more
    )


def fired(*facts: Fact) -> Verdict:
    return a_verdict(Outcome.FIRED, FIRED, *facts, action=Action.CLOSE, urgency=Urgency.CRITICAL)


def unknown(*missing: Missing) -> Verdict:
    return a_verdict(Outcome.NOT_EVALUATED, UNKNOWN, missing=missing)


def gap(field: str, venue: str, why: str) -> Missing:
    return Missing(field=field, venue=venue, symbol="BTC", why=why)


def of(side: str, distance: Any) -> Fact:
    return Fact(f"{side}_liquidation_distance_ratio", distance, limit="0.1")


def test_a_leg_exactly_at_the_least_distance_holds() -> None:
    assert said(long(90), short(110)) == a_verdict(Outcome.QUIET, QUIET, of("long", "0.1"), of("short", "0.1"))


def test_a_long_leg_a_grid_step_below_the_least_distance_closes() -> None:
    assert said(long("90.0001"), short(150)) == fired(of("long", "0.099999"), of("short", "0.5"))


def test_a_short_leg_a_grid_step_below_the_least_distance_closes() -> None:
    assert said(long(50), short("109.9999")) == fired(of("long", "0.5"), of("short", "0.099999"))


def test_less_than_half_a_grid_step_below_is_rounded_onto_the_limit_and_holds() -> None:
    assert said(long("90.00004"), short(150)).outcome is Outcome.QUIET
    assert said(long("90.00005"), short(150)).outcome is Outcome.QUIET  # half a step, to the even one
    assert said(long("90.00006"), short(150)).outcome is Outcome.FIRED


@pytest.mark.parametrize(("leg", "side"), [(long(101), "long"), (short(99), "short")])
def test_a_leg_beyond_its_liquidation_price_has_a_negative_distance_and_closes(leg: LegReading, side: str) -> None:
    assert said(leg) == fired(of(side, "-0.01"))


def test_even_a_least_distance_of_zero_closes_beyond_the_liquidation_price() -> None:
    beyond = LiquidationDistance(min_distance=0)
    assert said(long(100), short(150), rule=beyond).outcome is Outcome.QUIET
    assert said(long("100.0001"), short(150), rule=beyond).outcome is Outcome.FIRED


@pytest.mark.parametrize("other", [(), (a_leg("grvt", NO_ANSWER),), (short(None),), (short(150, None),)])
def test_one_known_leg_that_is_too_close_is_enough(other: tuple[LegReading, ...]) -> None:
    assert said(long(95), *other) == fired(of("long", "0.05"))


def test_a_short_leg_that_is_too_close_is_enough_too() -> None:
    assert said(a_leg("lighter", NO_ANSWER), short(105)) == fired(of("short", "0.05"))


def test_one_leg_far_enough_is_not_enough_to_be_quiet() -> None:
    assert said(long(50)) == unknown(gap("leg state", "grvt", "no leg state was read"))
    assert said(long(50), a_leg("grvt", NO_ANSWER)) == unknown(gap("leg state", "grvt", "no answer"))
    assert said(a_leg("lighter", NO_ANSWER), short(150)) == unknown(gap("leg state", "lighter", "no answer"))


def test_a_leg_without_a_price_is_named_with_it() -> None:
    assert said(long(50), short(None)) == unknown(gap("liquidation price", "grvt", "its leg state does not say"))
    assert said(long(50), short(150, None)) == unknown(gap("mark price", "grvt", "there is no quote of this market"))


def test_two_unknown_legs_are_both_named_long_leg_first() -> None:
    assert said(a_leg("lighter", NO_ANSWER)) == unknown(
        gap("leg state", "lighter", "no answer"), gap("leg state", "grvt", "no leg state was read")
    )


def test_a_flat_leg_has_no_distance() -> None:
    assert said(a_leg("lighter", 0), short(150)) == unknown(gap("liquidation price", "lighter", "the leg is flat"))
    assert said(a_leg("lighter", 0), short(101)).outcome is Outcome.FIRED


def test_a_leg_on_the_wrong_side_is_never_acted_on() -> None:
    wrong = a_leg("lighter", "-0.1", mark_price=100, liquidation_price=101)
    assert said(wrong, short(150)) == unknown(gap("leg state", "lighter", "it is on the wrong side"))


def test_a_leg_that_was_read_too_long_ago_is_unknown() -> None:
    old = long(95, as_of=AS_OF - timedelta(seconds=121))
    assert said(old, short(150)) == unknown(gap("leg state", "lighter", "the leg state is older than its limit"))


def test_a_leg_without_a_mark_price_takes_that_of_its_quote_whose_rate_does_not_matter() -> None:
    quotes = (a_quote("lighter", mark_price=100), a_quote("grvt", mark_price=100))
    for liquidation, reason in ((90, None), (91, "LIQUIDATION_DISTANCE")):
        legs = (long(liquidation, None), short(150, None))
        snapshot = MarketSnapshot(as_of=AS_OF, quotes=quotes, legs=legs)
        assert CombinedStrategy(USUAL).should_rebalance(a_position(), snapshot) == (reason is not None, reason)


def test_it_decides_without_any_rate_and_says_what_it_saw() -> None:
    decision = CombinedStrategy(USUAL).decide(a_position(), blind(long(95), short(150)))
    assert (decision.action, decision.urgency, decision.complete) == (Action.CLOSE, Urgency.CRITICAL, True)
    assert decision.explain() == (
        "CLOSE BTC long lighter / short grvt: LIQUIDATION_DISTANCE (critical)\n"
        "  a leg is close to its liquidation price\n"
        "    long liquidation distance ratio 0.05, limit 0.1\n"
        "    short liquidation distance ratio 0.5, limit 0.1\n"
        "  as of 2026-01-05 12:00:00 UTC\n"
        "  long lighter: no quote\n"
        "  short grvt: no quote"
    )


def test_where_it_is_unknown_the_rules_below_still_decide() -> None:
    strategy = CombinedStrategy(USUAL, TimeLimit(max_age=timedelta(hours=1)))
    decision = strategy.decide(a_position(), blind(long(50)))
    assert (decision.reason, decision.complete) == ("TIME_LIMIT", False)


def test_it_needs_legs_and_mark_prices_but_no_rates() -> None:
    assert USUAL.needs == Needs(rates=False, legs=True, mark_price=True)


def test_its_parameters_can_be_given() -> None:
    rule = LiquidationDistance(min_distance="0.2", reason="TOO_CLOSE", urgency=Urgency.HIGH)
    verdict = said(long(81), short(150), rule=rule)
    assert (verdict.reason, verdict.urgency) == ("TOO_CLOSE", Urgency.HIGH)
    assert verdict.facts[0] == Fact("long_liquidation_distance_ratio", "0.19", limit="0.2")
    assert said(long(80), short(150), rule=rule).outcome is Outcome.QUIET


@pytest.mark.parametrize("min_distance", ["-0.1", "1.000001", "10", "0.0000001"])
def test_a_distance_that_is_no_share_is_refused(min_distance: str) -> None:
    with pytest.raises(InputError, match=r"^LiquidationDistance: min_distance: "):
        LiquidationDistance(min_distance=min_distance)
    assert LiquidationDistance(min_distance=1).min_distance == 1


prices = st.integers(1, 10_000).map(lambda cents: Decimal(cents).scaleb(-2))


@given(mark=prices, liquidation=prices, by=prices)
def test_moving_the_mark_price_toward_liquidation_never_turns_a_fire_into_quiet(
    mark: Decimal, liquidation: Decimal, by: Decimal
) -> None:
    far_long, far_short = long(1, 1_000_000), short(1_000_000, 1)
    if said(long(liquidation, mark + by), far_short).outcome is Outcome.FIRED:
        assert said(long(liquidation, mark), far_short).outcome is Outcome.FIRED
    if said(far_long, short(liquidation, mark)).outcome is Outcome.FIRED:
        assert said(far_long, short(liquidation, mark + by)).outcome is Outcome.FIRED


@given(one=prices, other=prices)
def test_losing_a_leg_never_turns_quiet_into_a_fire_nor_a_fire_into_quiet(one: Decimal, other: Decimal) -> None:
    both = said(long(one), short(other)).outcome
    for left in (said(long(one)).outcome, said(short(other)).outcome):
        assert left in ({Outcome.NOT_EVALUATED} if both is Outcome.QUIET else {Outcome.FIRED, Outcome.NOT_EVALUATED})
