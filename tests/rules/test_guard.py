"""Guards: yes, no or unknown, and no truth value."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from rebalancer import Fact, Guard, HeldFor, InputError, Missing, Needs, Ratio, RuleContext, param
from rebalancer.domain.times import Duration
from rebalancer.rules.algebra import AllOf, AnyOf, Not
from rebalancer.rules.grid import Claims
from rebalancer.rules.guard import Answer, GridGuard, Reply, consult
from rebalancer.testing import a_position, a_quote, a_snapshot

CONTEXT = RuleContext(a_position(), a_snapshot())


class Earning(Guard):
    """Admits while the position earns at least a floor."""

    floor: Ratio = param("0.5")

    def admits(self, ctx: RuleContext) -> bool:
        return ctx.divergence > 0


class Vague(Guard):
    """Answers with something that is not a bool."""

    def admits(self, ctx: RuleContext) -> Any:
        return 1


class Silent(Guard):
    """Does not say what it admits."""


class Deep(GridGuard):
    """Yes where the long leg's open interest is at least a floor, and the position is no newborn."""

    floor: Ratio = param(5)
    newborn: Duration = timedelta(seconds=10)

    claims: ClassVar[Claims] = Claims(fired="deep enough", quiet="too thin", inapplicable="newly born")

    @staticmethod
    def applies(age: int, newborn: int) -> bool:
        return age > newborn

    @staticmethod
    def holds(long_open_interest: int, floor: int) -> bool:
        return long_open_interest * 1_000_000 >= floor

    def facts(self, values: Mapping[str, int]) -> tuple[Fact, ...]:
        return (Fact("long_open_interest_usd", values["long_open_interest"], limit=self.floor),)


def test_a_guard_answers_what_it_admits() -> None:
    assert Earning().answer(CONTEXT) == Answer(Reply.YES, "Earning admits it")
    losing = RuleContext(a_position(), a_snapshot(a_quote("lighter", "0.1"), a_quote("grvt", 0)))
    assert Earning().answer(losing) == Answer(Reply.NO, "Earning does not admit it")


def test_a_guard_that_reads_an_unknown_value_does_not_know() -> None:
    answer = consult(Earning(), RuleContext(a_position(), a_snapshot(a_quote("lighter"))))
    missing = Missing(field="rate", venue="grvt", symbol="BTC", why="there is no quote of this market")
    assert answer == Answer(Reply.UNKNOWN, "a value that it reads is unknown", missing=(missing,))


def test_a_guard_must_answer_true_or_false() -> None:
    with pytest.raises(TypeError, match=r"^admits must return True or False, not a int$"):
        Vague().answer(CONTEXT)
    assert consult(Vague(), CONTEXT) == Answer(Reply.FAILED, f"{__name__}.Vague raised TypeError")


def test_a_guard_that_does_not_say_what_it_admits_raises() -> None:
    with pytest.raises(NotImplementedError, match=r"^Silent does not say what it admits$"):
        Silent().admits(CONTEXT)


def test_a_guard_is_called_by_its_class_and_reads_as_it_was_written() -> None:
    assert (Earning().name, repr(Earning()), repr(Earning(floor=1))) == ("Earning", "Earning()", "Earning(floor=1)")


def test_a_guard_needs_the_two_rates_unless_it_says_otherwise() -> None:
    assert Earning().needs == Needs()


def test_a_guard_spares_nothing_unless_it_says_so() -> None:
    assert Earning().spares_critical is False


def test_a_parameter_off_its_grid_is_refused() -> None:
    with pytest.raises(InputError, match=r"^Earning: floor: finer than its grid of 1e-6: round it$"):
        Earning(floor="0.0000001")


def test_guards_combine_into_guards() -> None:
    one, other = Earning(), HeldFor(at_least=timedelta(hours=1))
    assert one & other == AllOf(guards=(one, other))
    assert one | other == AnyOf(guards=(one, other))
    assert ~one == Not(guard=one)


@pytest.mark.parametrize("other", [1, None, "x", Earning], ids=repr)
def test_a_guard_combines_with_guards_only(other: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        Earning() & other
    with pytest.raises(TypeError, match="unsupported operand"):
        Earning() | other


def test_a_guard_is_neither_true_nor_false() -> None:
    with pytest.raises(TypeError) as refused:
        bool(Earning())
    message = "a guard is neither true nor false: compose guards with & | ~ instead of and, or, not"
    assert str(refused.value) == message


def deep(long_open_interest: int | None, *, age: int = 11) -> Answer:
    legs = a_quote("lighter", open_interest_usd=long_open_interest), a_quote("grvt")
    return Deep().answer(RuleContext(a_position(age=timedelta(seconds=age)), a_snapshot(*legs)))


@pytest.mark.parametrize(("interest", "reply", "why"), [(5, Reply.YES, "deep enough"), (4, Reply.NO, "too thin")])
def test_a_stated_guard_answers_what_its_functions_say(interest: int, reply: Reply, why: str) -> None:
    assert deep(interest) == Answer(reply, why, (Fact("long_open_interest_usd", interest, limit=5),))


def test_a_stated_guard_that_does_not_apply_does_not_know() -> None:
    assert deep(5, age=10) == Answer(Reply.UNKNOWN, "newly born")


def test_a_stated_guard_names_what_is_unknown() -> None:
    missing = Missing(field="open interest", venue="lighter", symbol="BTC", why="its quote does not say")
    assert deep(None) == Answer(Reply.UNKNOWN, "a value that it reads is unknown", missing=(missing,))


def test_a_stated_guard_needs_what_its_functions_name() -> None:
    assert Deep().needs == Needs(rates=False, open_interest=True)


def test_a_stated_guard_must_say_its_facts() -> None:
    with pytest.raises(NotImplementedError):
        GridGuard().facts({})


def test_the_replies_are_spelt_in_lower_case() -> None:
    assert [str(reply) for reply in Reply] == ["yes", "no", "unknown", "failed"]
