"""Rules as classes: frozen, validated parameters, a derived reason code, operators, and no truth value."""

from datetime import timedelta
from decimal import Context, Decimal, localcontext
from enum import Enum
from typing import Any

import pytest

from rebalancer import (
    BaseRule,
    CombinedStrategy,
    DivergenceFlip,
    Fact,
    Fraction,
    HeldFor,
    InputError,
    Needs,
    ProfitErosion,
    Ratio,
    Rule,
    RuleContext,
    TimeLimit,
    Urgency,
    Verdict,
    param,
)
from rebalancer.rules.asking import ask
from rebalancer.rules.base import is_rule
from rebalancer.rules.combined import CombinedStrategy as Combined
from rebalancer.testing import a_position, a_snapshot


class FundingCliff(BaseRule):
    """Close when the edge is under a floor."""

    floor: Fraction = param("0.00025")

    def evaluate(self, ctx: RuleContext) -> Verdict:
        fact = Fact("divergence", ctx.divergence, limit=self.floor)
        return Verdict.close_if(ctx.divergence < self.floor, "edge under the floor", fact)


class _Private(BaseRule):
    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.quiet("nothing to say")


class WithNeeds(BaseRule):
    """Declares what it reads as an attribute."""

    needs = Needs(rates=False, volume=True)

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.close_if(ctx.short.volume_24h_usd < 5, "too little volume")


class Foreign:
    """A rule by shape alone."""

    name = "Foreign"
    needs = Needs(rates=False)

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.close("it always closes")


class Colour(Enum):
    RED = "red"

    def __str__(self) -> str:
        return "red as such"


class Bounded(BaseRule):
    """Parameters with bounds of their own."""

    above: Ratio = param(1, above="0.5")
    least: Ratio = param(1, at_least="0.5")
    most: Ratio = param(1, at_most="1.5")
    patience: timedelta = param(timedelta(hours=1))
    colour: Colour = Colour.RED
    text: str = "x"


def test_a_rule_written_as_a_class_decides() -> None:
    verdict = ask(FundingCliff(), RuleContext(a_position(), a_snapshot()))
    fact = Fact("divergence", "0.0002", limit="0.00025")
    expected = Verdict.close("edge under the floor", fact, reason="FUNDING_CLIFF")
    assert verdict == expected.model_copy(update={"rule": "FundingCliff"})


def test_a_parameter_takes_any_number_and_reads_as_a_decimal() -> None:
    assert FundingCliff(floor=0.5).floor == Decimal("0.5")
    assert FundingCliff().floor == Decimal("0.00025")


def test_parameters_are_frozen() -> None:
    with pytest.raises(InputError):
        FundingCliff(flor=1)  # type: ignore[call-arg]  # what the test is about
    with pytest.raises(ValueError, match="frozen"):
        FundingCliff().floor = 1


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"above": "0.5"}, "Bounded: above: Input should be greater than 0.5"),
        ({"least": "0.499999"}, "Bounded: least: Input should be greater than or equal to 0.5"),
        ({"most": "1.500001"}, "Bounded: most: Input should be less than or equal to 1.5"),
    ],
)
def test_a_parameter_beyond_its_own_bounds_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refused:
        Bounded(**parameters)
    assert str(refused.value) == message


def test_bounds_are_read_when_a_class_is_made() -> None:
    class Narrow(BaseRule):
        share: Ratio = param(1, above=0.5, at_least="0.6", at_most=2)

    assert [Narrow(share=share).share for share in ("0.6", 2)] == [Decimal("0.6"), Decimal(2)]
    for share in ("0.5", "0.599999", "2.000001"):
        with pytest.raises(InputError, match=r"^Narrow: share: "):
            Narrow(share=share)

    class OpenBelow(BaseRule):
        share: Ratio = param(1, above=0.5)

    with pytest.raises(InputError, match=r"^OpenBelow: share: Input should be greater than 0.5$"):
        OpenBelow(share=0.5)


def test_a_parameter_at_its_own_bounds_is_taken() -> None:
    bounded = Bounded(above="0.500001", least="0.5", most="1.5")
    assert (bounded.above, bounded.least, bounded.most) == (Decimal("0.500001"), Decimal("0.5"), Decimal("1.5"))


def test_a_default_is_validated_as_well() -> None:
    class Wrong(BaseRule):
        floor: Fraction = param("2")

    with pytest.raises(InputError, match=r"^Wrong: floor: must be at most 1$"):
        Wrong()


def test_the_reason_is_the_class_name_in_upper_case_unless_given() -> None:
    assert FundingCliff().reason == "FUNDING_CLIFF"
    assert FundingCliff(reason="TOO_LOW").reason == "TOO_LOW"
    assert _Private().reason == "PRIVATE"


def test_a_reason_must_be_a_code() -> None:
    with pytest.raises(InputError, match=r"^FundingCliff: reason: "):
        FundingCliff(reason="too low")


def test_a_rule_is_of_normal_urgency_unless_given() -> None:
    assert FundingCliff().urgency is Urgency.NORMAL
    assert FundingCliff(urgency=Urgency.HIGH).urgency is Urgency.HIGH


def test_a_rule_needs_the_two_rates_unless_it_says_otherwise() -> None:
    assert FundingCliff().needs == Needs()
    assert WithNeeds().needs == Needs(rates=False, volume=True)


def test_a_rule_is_called_by_its_class() -> None:
    assert FundingCliff(floor="0.1").name == "FundingCliff"


def test_a_rule_reads_as_it_was_written() -> None:
    assert repr(FundingCliff()) == "FundingCliff()"
    assert repr(FundingCliff(floor=0.0000001)) == "FundingCliff(floor=0.0000001)"
    assert str(TimeLimit(max_age=timedelta(hours=168), reason="WEEKLY")) == "TimeLimit(reason='WEEKLY', max_age=168 h)"
    written = "Bounded(patience=2 h, colour=red as such, text='y')"
    assert repr(Bounded(text="y", colour=Colour.RED, patience=timedelta(hours=2))) == written


def test_how_a_rule_reads_does_not_depend_on_the_decimal_context() -> None:
    with localcontext(Context(prec=1, capitals=0)):
        assert repr(ProfitErosion(keep="0.123456")) == "ProfitErosion(keep=0.123456)"


def test_rules_with_equal_parameters_are_equal() -> None:
    assert ProfitErosion(keep=0.3) == ProfitErosion() != ProfitErosion(keep=0.4)
    assert hash(ProfitErosion(keep=0.3)) == hash(ProfitErosion())


def test_a_rule_that_does_not_say_how_to_evaluate_raises() -> None:
    with pytest.raises(NotImplementedError, match=r"^Bounded does not say how to evaluate$"):
        Bounded().evaluate(RuleContext(a_position(), a_snapshot()))


@pytest.mark.parametrize(
    "a_rule", [DivergenceFlip(), CombinedStrategy(TimeLimit()), TimeLimit() & DivergenceFlip()], ids=str
)
def test_a_rule_is_neither_true_nor_false(a_rule: Rule) -> None:
    with pytest.raises(TypeError) as refused:
        bool(a_rule)
    message = "a rule is neither true nor false: compose rules with & | ~ instead of and, or, not"
    assert str(refused.value) == message


def test_a_rule_or_a_rule_is_a_strategy_in_that_order() -> None:
    assert DivergenceFlip() | TimeLimit() == CombinedStrategy(DivergenceFlip(), TimeLimit())


def test_a_foreign_rule_stands_on_either_side_of_or() -> None:
    foreign = Foreign()
    assert (DivergenceFlip() | foreign) == CombinedStrategy(DivergenceFlip(), foreign)
    assert (foreign | DivergenceFlip()) == CombinedStrategy(foreign, DivergenceFlip())


NOT_RULES: list[Any] = [HeldFor(at_least=timedelta(hours=1)), 1, None, TimeLimit, "TimeLimit"]


@pytest.mark.parametrize("other", NOT_RULES, ids=repr)
def test_a_rule_or_anything_else_is_a_type_error(other: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        DivergenceFlip() | other
    with pytest.raises(TypeError, match="unsupported operand"):
        other | DivergenceFlip()


@pytest.mark.parametrize("other", [1, None, TimeLimit, HeldFor], ids=repr)
def test_a_rule_and_anything_else_than_a_rule_or_guard_is_a_type_error(other: Any) -> None:
    with pytest.raises(TypeError, match="unsupported operand"):
        DivergenceFlip() & other


def test_a_guard_and_a_rule_is_a_type_error() -> None:
    held: Any = HeldFor(at_least=timedelta(hours=1))
    with pytest.raises(TypeError, match="unsupported operand"):
        held & DivergenceFlip()


@pytest.mark.parametrize(
    ("value", "is_one"),
    [
        (DivergenceFlip(), True),
        (Combined(TimeLimit()), True),
        (Foreign(), True),
        (DivergenceFlip, False),
        (HeldFor(at_least=timedelta(hours=1)), False),
        (None, False),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, type) else f"class {value.__name__}",
)
def test_a_rule_has_a_name_needs_and_evaluate_and_is_not_a_class(value: object, *, is_one: bool) -> None:
    assert is_rule(value) is is_one
