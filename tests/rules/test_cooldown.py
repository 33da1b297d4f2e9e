"""The rest after an action."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalancer import (
    CombinedStrategy,
    Cooldown,
    DivergenceFlip,
    Fact,
    InputError,
    LiquidationDistance,
    MarketSnapshot,
    Needs,
    RuleContext,
    TimeLimit,
)
from rebalancer.rules.guard import Answer, Reply, consult
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_snapshot

QUARTER = Cooldown(after=timedelta(minutes=15))
EMPTY = MarketSnapshot(as_of=AS_OF, quotes=())


def answer(*, ago: timedelta | None) -> Answer:
    """What it says so long after the last action; None: there was none."""
    last = None if ago is None else AS_OF - ago
    return consult(QUARTER, RuleContext(a_position(last_action_at=last), EMPTY))


def since(seconds: int) -> tuple[Fact, ...]:
    return (Fact("since_action_seconds", seconds, limit=900),)


def test_the_rest_itself_is_long_enough() -> None:
    assert answer(ago=timedelta(minutes=15)) == Answer(Reply.YES, "the last action was long enough ago", since(900))


def test_one_second_less_than_the_rest_is_not_long_enough() -> None:
    assert answer(ago=timedelta(minutes=15, seconds=-1)) == Answer(
        Reply.NO, "the last action was not long enough ago", since(899)
    )


def test_an_action_just_now_is_not_long_enough_ago() -> None:
    assert answer(ago=timedelta(0)) == Answer(Reply.NO, "the last action was not long enough ago", since(0))


def test_without_an_action_there_is_nothing_to_rest_from() -> None:
    assert answer(ago=None) == Answer(Reply.YES, "there was no action yet")


def test_an_action_after_now_is_a_no_that_says_so() -> None:
    assert answer(ago=timedelta(seconds=-1)) == Answer(
        Reply.NO, "the last action is after now: a clock is wrong", since(-1)
    )


def test_it_needs_nothing_of_the_markets() -> None:
    assert QUARTER.needs == Needs(rates=False)


def test_it_holds_back_what_is_not_critical_and_says_so() -> None:
    strategy = CombinedStrategy(TimeLimit(max_age=timedelta(hours=1)) & QUARTER)
    (held,) = strategy.decide(a_position(last_action_at=AS_OF), EMPTY).held_back
    assert (held.reason, held.guard) == ("TIME_LIMIT", "Cooldown(after=15 min)")
    assert held.why == "the last action was not long enough ago"
    assert strategy.should_rebalance(a_position(), EMPTY) == (True, "TIME_LIMIT")


def test_a_critical_exit_does_not_wait() -> None:
    near = a_leg("lighter", 1, mark_price=100, liquidation_price=99)
    snapshot = a_snapshot(a_quote("lighter", "0.0002"), a_quote("grvt", "0.0001"), legs=(near,))
    for rule in (DivergenceFlip(), LiquidationDistance()):
        decision = CombinedStrategy(rule & QUARTER).decide(a_position(last_action_at=AS_OF), snapshot)
        assert decision.reason == rule.reason
        assert decision.verdicts[0].claim.endswith("; critical, so not held back")


def test_sparing_belongs_to_that_use_alone() -> None:
    flipped = a_snapshot(a_quote("lighter", "0.0002"), a_quote("grvt", "0.0001"))
    for guard in (~~QUARTER, QUARTER | QUARTER):
        strategy = CombinedStrategy(DivergenceFlip() & guard)
        assert strategy.should_rebalance(a_position(last_action_at=AS_OF), flipped) == (False, None)


def test_it_reads_as_it_was_written() -> None:
    assert repr(QUARTER) == "Cooldown(after=15 min)"


def test_the_rest_must_be_given_and_above_zero() -> None:
    with pytest.raises(InputError, match=r"^Cooldown: after: a duration must be above 0$"):
        Cooldown(after=timedelta(0))
    with pytest.raises(InputError, match=r"^Cooldown: after: Field required$"):
        Cooldown()  # type: ignore[call-arg]  # what the test is about
