"""The minimum hold."""

from datetime import timedelta

import pytest

from rebalancer import Fact, HeldFor, InputError, MarketSnapshot, Needs, RuleContext
from rebalancer.rules.guard import Answer, Reply, consult
from rebalancer.testing import AS_OF, a_position

FOUR_HOURS = HeldFor(at_least=timedelta(hours=4))


def answer(*, age: timedelta) -> Answer:
    return consult(FOUR_HOURS, RuleContext(a_position(age=age), MarketSnapshot(as_of=AS_OF, quotes=())))


def test_the_minimum_itself_is_long_enough() -> None:
    assert answer(age=timedelta(hours=4)) == Answer(
        Reply.YES, "the position was held for long enough", (Fact("age_seconds", 14_400, limit=14_400),)
    )


def test_one_second_less_than_the_minimum_is_not_long_enough() -> None:
    assert answer(age=timedelta(hours=4, seconds=-1)) == Answer(
        Reply.NO, "the position was not held for long enough", (Fact("age_seconds", 14_399, limit=14_400),)
    )


def test_a_position_that_opens_after_now_was_not_held() -> None:
    assert answer(age=timedelta(hours=-5)).reply is Reply.NO


def test_it_needs_nothing_of_the_markets() -> None:
    assert FOUR_HOURS.needs == Needs(rates=False)


def test_it_spares_critical_verdicts() -> None:
    assert FOUR_HOURS.spares_critical is True


def test_it_reads_as_it_was_written() -> None:
    assert repr(FOUR_HOURS) == "HeldFor(at_least=4 h)"


def test_the_minimum_must_be_given_and_above_zero() -> None:
    with pytest.raises(InputError, match=r"^HeldFor: at_least: a duration must be above 0$"):
        HeldFor(at_least=timedelta(0))
    with pytest.raises(InputError, match=r"^HeldFor: at_least: Field required$"):
        HeldFor()  # type: ignore[call-arg]  # what the test is about
