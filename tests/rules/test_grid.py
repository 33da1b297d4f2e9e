"""Stated functions, bound to what they read."""

from collections.abc import Mapping
from datetime import timedelta
from typing import ClassVar, Literal

import pytest

from rebalancer import (
    BetterOpportunity,
    Bps,
    CombinedStrategy,
    DivergenceFlip,
    Fact,
    Fraction,
    FundingSchedule,
    Missing,
    Needs,
    OpenInterestImbalance,
    Outcome,
    ProfitErosion,
    Ratio,
    Rule,
    RuleContext,
    SettlementDue,
    TimeLimit,
    Verdict,
    param,
    rule,
)
from rebalancer.domain.times import Duration
from rebalancer.rules.asking import ask
from rebalancer.rules.grid import Bound, Claims, GridRule, Stated, is_stated, names, parameter
from rebalancer.testing import a_position, a_quote, a_snapshot


class Thin(GridRule):
    """Close when the short side's open interest is below a floor, in positions that earn."""

    floor: Ratio = param(5)
    margin: Fraction = param("0.0001")
    cost: Bps = param("2.5")
    patience: Duration = param(timedelta(minutes=1))
    times: int = 3
    side: Literal["short"] = "short"

    claims: ClassVar[Claims] = Claims(fired="it is thin", quiet="it is not thin")

    @staticmethod
    def applies(divergence: int) -> bool:
        return divergence > 0

    @staticmethod
    def fires(short_open_interest: int, age: int, divergence: int, floor: int) -> bool:
        return short_open_interest * 1_000_000 < floor * age * divergence

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        return tuple(Fact(name, value) for name, value in values.items())


def test_a_parameter_is_an_integer_on_the_grid_of_its_type() -> None:
    thin = Thin()
    assert [parameter(thin, name) for name in ("floor", "margin", "cost", "patience", "times")] == [
        5_000_000,
        100_000_000,
        250_000_000,
        60,
        3,
    ]


def test_a_parameter_of_a_built_in_rule_that_was_given_is_on_the_grid_too() -> None:
    assert parameter(ProfitErosion(keep=0.7), "keep") == 700_000
    assert parameter(DivergenceFlip(margin="-0.5"), "margin") == -500_000_000_000
    assert parameter(SettlementDue(within=timedelta(hours=1)), "within") == 3_600


def test_the_names_of_a_function_are_its_parameters_in_order() -> None:
    assert names(Thin.fires) == ("short_open_interest", "age", "divergence", "floor")


def test_what_functions_read_is_each_value_once_in_order_of_use_and_no_parameter() -> None:
    assert Thin().stated() == Stated(fires=Thin.fires, applies=Thin.applies)
    assert Thin().stated().reads == ("divergence", "short_open_interest", "age")
    assert BetterOpportunity().stated().reads == ("divergence",)
    assert Stated(fires=Thin.fires, gain=lambda age: age).reads == ("age", "short_open_interest", "divergence")


def test_the_needs_follow_from_the_names() -> None:
    assert Thin().needs == Needs(open_interest=True)
    assert Stated(fires=lambda margin: margin).needs() == Needs(rates=False)


def test_what_is_known_is_bound_and_what_is_unknown_is_left_out() -> None:
    bound = Bound(Thin(), Thin().stated(), RuleContext(a_position(), a_snapshot()))
    assert bound.values == {"divergence": 200_000_000, "age": 18_000}


def test_a_function_is_called_with_values_parameters_and_what_is_given() -> None:
    bound = Bound(Thin(), Thin().stated(), RuleContext(a_position(), a_snapshot()))
    assert bound.call(lambda patience, age, gain: (patience, age, gain), gain=7) == (60, 18_000, 7)
    assert bound.call(lambda age: age, age=1) == 1


def test_a_value_that_the_condition_reads_is_missed_before_any_other() -> None:
    verdict = ask(Thin(), RuleContext(a_position(), a_snapshot(a_quote("lighter"))))
    assert verdict.missing == (
        Missing(field="rate", venue="grvt", symbol="BTC", why="there is no quote of this market"),
    )


def test_a_rule_that_does_not_apply_misses_nothing() -> None:
    verdict = ask(Thin(), RuleContext(a_position(), a_snapshot(a_quote("lighter", "0.01"), a_quote("grvt", "0.01"))))
    assert (verdict.outcome, verdict.claim, verdict.missing) == (Outcome.NOT_EVALUATED, "it does not apply", ())


def test_a_value_that_only_the_decision_reads_is_missed_where_the_rule_applies() -> None:
    verdict = ask(Thin(), RuleContext(a_position(), a_snapshot()))
    assert verdict.outcome is Outcome.NOT_EVALUATED
    assert verdict.claim == "a value that it reads is unknown"
    assert verdict.missing == (
        Missing(field="open interest", venue="grvt", symbol="BTC", why="its quote does not say"),
    )


def test_gaps_name_each_unknown_value_once() -> None:
    bound = Bound(FundingSchedule(), FundingSchedule().stated(), RuleContext(a_position(), a_snapshot()))
    unsaid = [
        Missing(field="next funding time", venue=venue, symbol="BTC", why="its quote does not say")
        for venue in ("lighter", "grvt")
    ]
    assert bound.gaps(("settles_in", "both_scheduled", "age", "divergence")) == tuple(unsaid)
    assert bound.gaps(()) == ()


def test_the_facts_are_made_of_the_values_that_were_read() -> None:
    snapshot = a_snapshot(a_quote("lighter"), a_quote("grvt", "0.0003", open_interest_usd=17_999))
    facts = (Fact("divergence", 200_000_000), Fact("short_open_interest", 17_999), Fact("age", 18_000))
    assert ask(Thin(floor="0.000001"), RuleContext(a_position(), snapshot)) == Verdict.close(
        "it is thin", *facts, reason="THIN"
    ).model_copy(update={"rule": "Thin"})
    assert ask(Thin(floor=0), RuleContext(a_position(), snapshot)) == Verdict.quiet(
        "it is not thin", *facts
    ).model_copy(update={"rule": "Thin", "reason": "THIN"})


def test_a_stated_rule_must_say_its_facts() -> None:
    with pytest.raises(NotImplementedError):
        GridRule().facts({})


@rule
def a_function_rule(ctx: RuleContext) -> Verdict:
    return Verdict.quiet("nothing to say")


class Overruled(DivergenceFlip):
    """Evaluates in its own way."""

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.quiet("never")


class Renamed(DivergenceFlip):
    """Evaluates as its parent does."""


@pytest.mark.parametrize(
    ("a_rule", "stated"),
    [
        (DivergenceFlip(), True),
        (BetterOpportunity(), True),
        (FundingSchedule(), True),
        (OpenInterestImbalance(), True),
        (TimeLimit(), True),
        (Thin(), False),
        (Renamed(), False),
        (Overruled(), False),
        (a_function_rule, False),
        (CombinedStrategy(DivergenceFlip()), False),
    ],
    ids=str,
)
def test_a_rule_is_stated_if_its_functions_alone_decide(a_rule: Rule, *, stated: bool) -> None:
    assert is_stated(a_rule) is stated
