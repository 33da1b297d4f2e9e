"""Close when a position has been open long enough."""

from datetime import timedelta

import pytest

from rebalancer import (
    Action,
    Fact,
    InputError,
    MarketSnapshot,
    Needs,
    Outcome,
    RuleContext,
    TimeLimit,
    Urgency,
    Verdict,
)
from rebalancer.rules.asking import ask
from rebalancer.testing import AS_OF, a_position

BLIND = MarketSnapshot(as_of=AS_OF, quotes=())


def said(rule: TimeLimit, *, age: timedelta) -> Verdict:
    return ask(rule, RuleContext(a_position(age=age), BLIND))


def test_the_limit_itself_closes_even_without_any_market_data() -> None:
    assert said(TimeLimit(), age=timedelta(hours=72)) == Verdict(
        outcome=Outcome.FIRED,
        action=Action.CLOSE,
        claim="the position has reached its greatest age",
        rule="TimeLimit",
        reason="TIME_LIMIT",
        facts=(Fact("age_seconds", 259_200, limit=259_200),),
    )


def test_one_second_less_than_the_limit_holds() -> None:
    assert said(TimeLimit(), age=timedelta(hours=72, seconds=-1)) == Verdict(
        outcome=Outcome.QUIET,
        claim="the position is younger than its greatest age",
        rule="TimeLimit",
        reason="TIME_LIMIT",
        facts=(Fact("age_seconds", 259_199, limit=259_200),),
    )


def test_a_fraction_of_a_second_does_not_make_the_position_older_or_younger() -> None:
    verdict = said(TimeLimit(max_age=timedelta(seconds=10)), age=timedelta(seconds=9, milliseconds=1))
    assert (verdict.outcome, verdict.facts[0]) == (Outcome.FIRED, Fact("age_seconds", 10, limit=10))


def test_a_position_that_opens_after_now_has_age_zero() -> None:
    verdict = said(TimeLimit(max_age=timedelta(seconds=1)), age=timedelta(hours=-100))
    assert (verdict.outcome, verdict.facts) == (Outcome.QUIET, (Fact("age_seconds", 0, limit=1),))


def test_it_needs_nothing_of_the_markets() -> None:
    assert TimeLimit().needs == Needs(rates=False)


def test_its_reason_and_urgency_can_be_given() -> None:
    verdict = said(TimeLimit(reason="WEEKLY_REBALANCE", urgency=Urgency.HIGH), age=timedelta(days=7))
    assert (verdict.reason, verdict.urgency) == ("WEEKLY_REBALANCE", Urgency.HIGH)


@pytest.mark.parametrize("max_age", [timedelta(0), timedelta(seconds=-1), timedelta(seconds=1.5)])
def test_a_limit_that_is_not_a_positive_number_of_seconds_is_refused(max_age: timedelta) -> None:
    with pytest.raises(InputError, match=r"^TimeLimit: max_age: "):
        TimeLimit(max_age=max_age)
