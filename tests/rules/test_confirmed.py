"""Wait until a rule has fired at several observations in a row."""

from datetime import timedelta
from typing import Any

import pytest

from rebalancer import (
    BetterOpportunity,
    Confirmed,
    DivergenceFlip,
    Fact,
    FundingRate,
    HeldBack,
    HeldFor,
    InputError,
    Needs,
    OpenInterestImbalance,
    Outcome,
    ProfitErosion,
    Quote,
    RateKind,
    RuleContext,
    TargetFilter,
    TimeLimit,
    Urgency,
    Verdict,
    rule,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot

FLIP = DivergenceFlip()
THRICE = Confirmed(FLIP, times=3)
POSITIVE, NEGATIVE = "0.0002", "-0.0002"
SECOND = timedelta(seconds=1)


def short(seconds_ago: int, rate: str) -> Quote:
    return a_quote("grvt", rate, observed_at=AS_OF - timedelta(seconds=seconds_ago))


def said(
    *shorts: Quote,
    a_rule: Confirmed = THRICE,
    longs: tuple[Quote, ...] = (),
    age: timedelta = timedelta(hours=5),
    now: Quote | None = None,
) -> Verdict:
    """The long leg stays at zero, seen two minutes ago; the last of `shorts` is the current quote unless given."""
    long = a_quote("lighter", 0, observed_at=AS_OF - timedelta(seconds=120))
    snapshot = a_snapshot(*(longs[-1:] or (long,)), now or shorts[-1], observations=(long, *longs, *shorts))
    return ask(a_rule, RuleContext(a_position(age=age), snapshot))


def confirming(verdict: Verdict) -> int | None:
    return next((int(fact.value) for fact in verdict.facts if fact.name == "confirming_observations"), None)


def test_one_negative_print_is_held_back_as_unconfirmed() -> None:
    assert said(short(60, POSITIVE), short(0, NEGATIVE)) == Verdict(
        outcome=Outcome.QUIET,
        claim="held back, though the divergence is below the margin",
        rule="DivergenceFlip",
        reason="DIVERGENCE_FLIPPED",
        urgency=Urgency.CRITICAL,
        facts=(Fact("divergence", NEGATIVE, limit=0), Fact("confirming_observations", 1, limit=3)),
        held_back=(
            HeldBack(
                reason="DIVERGENCE_FLIPPED",
                guard="Confirmed(DivergenceFlip(), times=3)",
                why="too few observations in a row confirm it",
            ),
        ),
    )


def test_as_many_negative_prints_as_asked_for_fire_as_the_rule_itself_does() -> None:
    shorts = short(60, NEGATIVE), short(30, NEGATIVE), short(0, NEGATIVE)
    verdict = said(*shorts)
    assert verdict.outcome is Outcome.FIRED
    assert verdict == said(*shorts, a_rule=Confirmed(FLIP, times=1))


def test_one_print_less_than_asked_for_is_held_back() -> None:
    verdict = said(short(30, NEGATIVE), short(0, NEGATIVE))
    assert (verdict.outcome, confirming(verdict)) == (Outcome.QUIET, 2)


def test_a_positive_print_in_between_starts_the_count_again() -> None:
    prints = [short(90, NEGATIVE), short(60, NEGATIVE), short(45, POSITIVE), short(30, NEGATIVE), short(0, NEGATIVE)]
    assert confirming(said(*prints)) == 2


def test_while_the_rule_is_quiet_now_the_past_does_not_matter() -> None:
    verdict = said(short(60, NEGATIVE), short(30, NEGATIVE), short(20, NEGATIVE), short(0, POSITIVE))
    assert (verdict.outcome, verdict.held_back) == (Outcome.QUIET, ())


def test_polls_that_saw_the_same_print_count_once() -> None:
    verdict = said(*[short(0, NEGATIVE)] * 5)
    assert (verdict.outcome, confirming(verdict)) == (Outcome.QUIET, 1)


def test_a_new_print_of_the_same_value_counts() -> None:
    assert said(short(3, NEGATIVE), short(2, NEGATIVE), short(1, NEGATIVE)).outcome is Outcome.FIRED


def test_a_new_value_of_either_leg_is_an_observation() -> None:
    longs = tuple(a_quote("lighter", "0.0004", observed_at=AS_OF - timedelta(seconds=ago)) for ago in (90, 30))
    assert said(short(60, POSITIVE), longs=longs, now=short(60, POSITIVE)).outcome is Outcome.QUIET
    longs = tuple(a_quote("lighter", "0.0004", observed_at=AS_OF - timedelta(seconds=ago)) for ago in (60, 30))
    assert said(short(90, POSITIVE), longs=longs, now=short(90, POSITIVE)).outcome is Outcome.QUIET
    three = (*longs, a_quote("lighter", "0.0004"))
    assert said(short(90, POSITIVE), longs=three, now=short(90, POSITIVE)).outcome is Outcome.FIRED


def test_two_legs_seen_at_one_instant_are_one_observation() -> None:
    longs = (a_quote("lighter", "0.0004", observed_at=AS_OF - SECOND), a_quote("lighter", "0.0004"))
    verdict = said(short(1, POSITIVE), short(0, POSITIVE), longs=longs)
    assert confirming(verdict) == 2


def test_each_leg_counts_at_its_latest_by_then() -> None:
    longs = tuple(a_quote("lighter", rate, observed_at=AS_OF - timedelta(seconds=40)) for rate in ("0.0003",))
    shorts = short(60, POSITIVE), short(30, POSITIVE), short(20, POSITIVE), short(0, POSITIVE)
    assert said(*shorts, longs=longs).outcome is Outcome.FIRED
    assert confirming(said(*shorts[:-1], longs=longs, a_rule=Confirmed(FLIP, times=4))) == 3


@pytest.mark.parametrize(("age", "outcome"), [(90, Outcome.FIRED), (89, Outcome.QUIET)])
def test_observations_count_from_the_instant_of_the_opening(age: int, outcome: Outcome) -> None:
    verdict = said(short(90, NEGATIVE), short(60, NEGATIVE), short(0, NEGATIVE), age=timedelta(seconds=age))
    assert verdict.outcome is outcome


def test_a_leg_seen_before_the_opening_is_still_the_latest_after_it() -> None:
    shorts = short(60, NEGATIVE), short(30, NEGATIVE), short(0, NEGATIVE)
    assert said(*shorts, age=timedelta(seconds=60)).outcome is Outcome.FIRED


def test_observations_that_could_not_be_evaluated_are_skipped() -> None:
    """Five minutes ago the long leg had not been seen, and when it was, the short leg was stale."""
    prints = short(300, NEGATIVE), short(60, NEGATIVE), short(30, NEGATIVE), short(0, NEGATIVE)
    assert said(*prints).outcome is Outcome.FIRED
    assert confirming(said(*prints[:1], *prints[2:])) == 2


def test_a_skipped_observation_does_not_break_the_row() -> None:
    long = a_quote("lighter", 0, observed_at=AS_OF - timedelta(seconds=600))
    shorts = short(600, NEGATIVE), short(300, POSITIVE), short(60, NEGATIVE), short(0, NEGATIVE)
    fresh = a_quote("lighter", 0, observed_at=AS_OF - timedelta(seconds=60))
    snapshot = a_snapshot(fresh, shorts[-1], observations=(long, fresh, *shorts))
    assert ask(THRICE, RuleContext(a_position(), snapshot)).outcome is Outcome.FIRED


def test_an_unknown_rate_now_is_not_evaluated_whatever_the_past_says() -> None:
    shorts = tuple(short(ago, NEGATIVE) for ago in (200, 190, 180))
    verdict = said(*shorts)
    assert (verdict.outcome, verdict.rule, len(verdict.missing)) == (Outcome.NOT_EVALUATED, "DivergenceFlip", 1)


def test_the_past_is_read_by_the_age_of_then() -> None:
    shorts = short(60, NEGATIVE), short(30, NEGATIVE), short(0, NEGATIVE)
    limit = Confirmed(TimeLimit(max_age=timedelta(seconds=31)), times=2)
    assert said(*shorts, a_rule=limit, age=timedelta(seconds=60)).outcome is Outcome.QUIET
    assert said(*shorts, a_rule=limit, age=timedelta(seconds=61)).outcome is Outcome.FIRED


def test_the_past_is_read_under_the_freshness_of_now() -> None:
    old = FundingRate("-0.0002", timedelta(hours=8))
    settled = [
        Quote(venue=venue, symbol="BTC", rate=old, observed_at=AS_OF - timedelta(hours=hours), kind=RateKind.SETTLED)
        for venue in ("grvt",)
        for hours in (4, 3, 0)
    ]
    longs = a_quote("lighter", 0, observed_at=AS_OF - timedelta(hours=4), kind="settled")
    snapshot = a_snapshot(longs, settled[-1], observations=(longs, *settled))
    assert ask(THRICE, RuleContext(a_position(), snapshot)).outcome is Outcome.FIRED


def test_the_past_is_asked_about_with_the_targets_of_now() -> None:
    targets = TargetFilter(venues=("grvt",))
    asked = []

    @rule
    def remembers(ctx: RuleContext) -> Verdict:
        asked.append(ctx.targets)
        return Verdict.close("it closes")

    snapshot = a_snapshot(a_quote("lighter"), a_quote("grvt"))
    ask(Confirmed(remembers, times=1), RuleContext(a_position(), snapshot, targets))
    assert asked == [targets, targets]


def test_three_times_are_asked_for_unless_given() -> None:
    assert Confirmed(FLIP).times == 3
    assert Confirmed(FLIP) == THRICE


def test_it_is_called_as_its_rule_and_reads_as_it_was_written() -> None:
    assert THRICE.name == "DivergenceFlip"
    written = "Confirmed(ProfitErosion(keep=0.5), times=2)"
    assert repr(Confirmed(ProfitErosion(keep=0.5), times=2)) == written


def test_it_needs_the_rates_and_as_many_observations() -> None:
    assert THRICE.needs == Needs(observations=3)
    assert Confirmed(TimeLimit(), times=5).needs == Needs(observations=5)


@rule(needs=Needs(mark_price=True))
def reads_prices(ctx: RuleContext) -> Verdict:
    return Verdict.quiet("nothing to say")


@pytest.mark.parametrize("a_rule", [BetterOpportunity(), OpenInterestImbalance(), reads_prices, THRICE], ids=repr)
def test_only_a_rule_that_needs_the_rates_alone_can_be_confirmed(a_rule: BetterOpportunity) -> None:
    with pytest.raises(InputError) as refused:
        Confirmed(a_rule)
    message = "only a rule that needs nothing but the rates can be confirmed by past observations"
    assert str(refused.value) == f"Confirmed: {message}"


@pytest.mark.parametrize("times", [0, 1_001])
def test_the_times_are_one_to_a_thousand(times: int) -> None:
    with pytest.raises(InputError, match=r"^Confirmed: times: "):
        Confirmed(FLIP, times=times)
    assert Confirmed(FLIP, times=1_000).times == 1_000


def test_a_confirmed_flip_is_spared_by_a_minimum_hold() -> None:
    shorts = short(60, NEGATIVE), short(30, NEGATIVE), short(0, NEGATIVE)
    guarded = THRICE & HeldFor(at_least=timedelta(days=1))
    long = a_quote("lighter", 0, observed_at=AS_OF - timedelta(seconds=120))
    snapshot = a_snapshot(long, shorts[-1], observations=(long, *shorts))
    assert ask(guarded, RuleContext(a_position(), snapshot)).outcome is Outcome.FIRED


def test_the_class_of_a_rule_is_not_confirmed() -> None:
    unusual: Any = DivergenceFlip
    with pytest.raises(InputError, match="not a rule to confirm: give an instance"):
        Confirmed(unusual)
