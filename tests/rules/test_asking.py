"""Asking in isolation: whatever a rule or guard does, the answer is a verdict or a reply."""

from collections.abc import Iterator
from decimal import (
    ROUND_HALF_EVEN,
    ROUND_UP,
    Context,
    Decimal,
    DefaultContext,
    Inexact,
    InvalidOperation,
    getcontext,
    localcontext,
)
from typing import Any

import pytest

from rebalancer import (
    Action,
    BaseRule,
    CombinedStrategy,
    DivergenceFlip,
    Fact,
    Guard,
    HeldBack,
    InputError,
    Missing,
    Needs,
    Outcome,
    Rule,
    RuleContext,
    TargetFilter,
    TimeLimit,
    UndeclaredNeedError,
    UnknownValueError,
    Verdict,
    guard,
    rule,
)
from rebalancer.rules.asking import ENGINE_CONTEXT, ask, signed
from rebalancer.rules.guard import Answer, Reply, consult
from rebalancer.testing import a_position, a_snapshot, an_opportunity

CONTEXT = RuleContext(a_position(), a_snapshot())
GAP = Missing(field="rate", symbol="BTC", why="nobody knows")
HERE = __name__


@rule
def broken(ctx: RuleContext) -> Verdict:
    raise ZeroDivisionError("secret numbers")


@rule
def blind(ctx: RuleContext) -> Verdict:
    raise UnknownValueError([GAP])


@rule
def nonsense(ctx: RuleContext) -> Any:
    return True


@rule(needs=Needs(rates=False))
def greedy(ctx: RuleContext) -> Verdict:
    return Verdict.quiet("positive" if ctx.divergence > 0 else "negative")


class BrokenClass(BaseRule):
    """Raises."""

    def evaluate(self, ctx: RuleContext) -> Verdict:
        raise RuntimeError


def a_failure(a_rule: str, reason: str, claim: str) -> Verdict:
    return Verdict(outcome=Outcome.FAILED, claim=claim, rule=a_rule, reason=reason)


def test_a_function_that_raises_has_failed_under_the_name_of_its_own_module() -> None:
    assert ask(broken, CONTEXT) == a_failure("broken", "BROKEN", f"{HERE}.broken raised ZeroDivisionError")


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit(), BaseException()], ids=lambda error: type(error).__name__
)
def test_what_would_end_the_program_is_the_failure_of_one_rule_or_guard(error: BaseException) -> None:
    assert ask(rule(_raising(error)), CONTEXT).claim == f"{HERE}.does raised {type(error).__name__}"
    assert consult(guard(_raising(error)), CONTEXT).reply is Reply.FAILED


def test_an_interrupt_from_the_keyboard_ends_the_program() -> None:
    with pytest.raises(KeyboardInterrupt):
        ask(rule(_raising(KeyboardInterrupt())), CONTEXT)
    with pytest.raises(KeyboardInterrupt):
        consult(guard(_raising(KeyboardInterrupt())), CONTEXT)


def _raising(error: BaseException) -> Any:
    def does(ctx: RuleContext) -> Any:
        raise error

    return does


def test_a_class_that_raises_has_failed_under_its_name() -> None:
    verdict = ask(BrokenClass(reason="MINE"), CONTEXT)
    assert verdict == a_failure("BrokenClass", "MINE", f"{HERE}.BrokenClass raised RuntimeError")


def test_an_answer_that_is_not_a_verdict_is_a_failure_that_names_its_author() -> None:
    assert ask(nonsense, CONTEXT) == a_failure(
        "nonsense", "NONSENSE", f"{HERE}.nonsense returned a bool, not a Verdict"
    )


def test_an_unknown_value_is_not_a_failure() -> None:
    assert ask(blind, CONTEXT) == Verdict(
        outcome=Outcome.NOT_EVALUATED,
        claim="a value that it reads is unknown",
        rule="blind",
        reason="BLIND",
        missing=(GAP,),
    )


def test_reading_what_was_not_declared_is_a_failure() -> None:
    assert ask(greedy, CONTEXT) == a_failure("greedy", "GREEDY", f"{HERE}.greedy raised {UndeclaredNeedError.__name__}")


def test_a_rule_is_signed_with_its_name_and_reason_unless_it_signed_itself() -> None:
    own = Verdict.close("by another name", reason="OTHER").model_copy(update={"rule": "Other"})
    assert signed(own, DivergenceFlip()) is own
    assert signed(Verdict.close("it closes"), DivergenceFlip()) == Verdict.close(
        "it closes", reason="DIVERGENCE_FLIPPED"
    ).model_copy(update={"rule": "DivergenceFlip"})
    assert signed(Verdict.close("it closes", reason="OTHER"), TimeLimit()).rule == "TimeLimit"


def test_a_rule_without_a_reason_gives_its_name_in_upper_case() -> None:
    class Foreign:
        name = "ForeignRule"
        needs = Needs(rates=False)

        def evaluate(self, ctx: RuleContext) -> Verdict:
            return Verdict.quiet("nothing to say")

    verdict = ask(Foreign(), CONTEXT)
    assert (verdict.rule, verdict.reason, verdict.outcome) == ("ForeignRule", "FOREIGN_RULE", Outcome.QUIET)


class Nameless:
    """Its very name raises."""

    needs = Needs()

    @property
    def name(self) -> str:
        raise RuntimeError

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.close("it closes")


class NamelessAndBroken(Nameless):
    """It raises as well."""

    def evaluate(self, ctx: RuleContext) -> Verdict:
        raise RuntimeError


class Unspeakable:
    """Its name is not one line."""

    needs = Needs()
    name = "two\nlines"

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.close("it closes", reason="FINE")


class WithoutCode(Unspeakable):
    """Its name makes no reason code."""

    name = "no code"

    def evaluate(self, ctx: RuleContext) -> Verdict:
        return Verdict.close("it closes")


class Needless(Unspeakable):
    """Its needs are none."""

    name = "Needless"

    @property
    def needs(self) -> Needs:  # type: ignore[override]  # what the test is about
        raise RuntimeError


@pytest.mark.parametrize(
    "a_rule", [Nameless(), NamelessAndBroken(), Unspeakable(), WithoutCode()], ids=lambda a: type(a).__name__
)
def test_a_rule_without_a_usable_name_has_failed_under_its_class(a_rule: Rule) -> None:
    kind = type(a_rule).__name__
    assert ask(a_rule, CONTEXT) == Verdict(
        outcome=Outcome.FAILED, claim=f"{HERE}.{kind} has no usable name or reason code", rule=kind
    )


def test_a_rule_whose_needs_raise_has_failed() -> None:
    assert ask(Needless(), CONTEXT).claim == f"{HERE}.Needless raised RuntimeError"


@pytest.mark.parametrize(
    "wrong", [broken, nonsense, greedy, WithoutCode(), Unspeakable()], ids=lambda a: type(a).__name__
)
def test_whatever_a_rule_does_the_others_still_decide(wrong: Rule) -> None:
    decision = CombinedStrategy(wrong, TimeLimit(max_age=CONTEXT.age)).decide(a_position(), a_snapshot())
    assert decision.reason == "TIME_LIMIT"
    assert not decision.complete


@rule
def thirds(ctx: RuleContext) -> Verdict:
    return Verdict.close("a third of it", Fact("third", Decimal(1) / Decimal(3)))


def test_a_rule_is_evaluated_under_the_engines_decimal_context_and_leaves_the_hosts_alone() -> None:
    hosts = Context(prec=3, rounding=ROUND_UP, traps=[Inexact])
    with localcontext(hosts):
        before = getcontext().copy()
        fact = ask(thirds, CONTEXT).facts[0]
        assert (getcontext().prec, getcontext().rounding) == (before.prec, before.rounding)
        assert not getcontext().flags[Inexact]
    assert str(fact.value) == "0." + "3" * 28


def test_the_engines_decimal_context_is_pinned() -> None:
    context = ENGINE_CONTEXT
    assert (context.prec, context.rounding, context.Emin, context.Emax) == (28, ROUND_HALF_EVEN, -999_999, 999_999)
    assert (context.capitals, context.clamp) == (1, 0)
    assert sorted(trap.__name__ for trap, on in context.traps.items() if on) == [
        "DivisionByZero",
        "InvalidOperation",
        "Overflow",
    ]
    assert not any(context.flags.values())


@pytest.fixture
def other_defaults() -> Iterator[None]:
    """A process that has changed what new decimal contexts are like."""
    usual = DefaultContext.copy()
    other = Context(prec=3, rounding=ROUND_UP, Emin=-9, Emax=9, capitals=0, clamp=1, flags=[Inexact], traps=[Inexact])
    for name in CONTEXT_FIELDS:
        setattr(DefaultContext, name, getattr(other, name))
    yield
    for name in CONTEXT_FIELDS:
        setattr(DefaultContext, name, getattr(usual, name))


CONTEXT_FIELDS = ("prec", "rounding", "Emin", "Emax", "capitals", "clamp", "flags", "traps")
PINNED = str(ENGINE_CONTEXT)


@pytest.mark.usefixtures("other_defaults")
def test_the_engines_decimal_context_does_not_take_after_pythons_defaults() -> None:
    assert str(ENGINE_CONTEXT) == PINNED


def test_a_flag_that_one_rule_raises_is_not_seen_by_the_next() -> None:
    seen = []

    @rule
    def looks(ctx: RuleContext) -> Verdict:
        seen.append(getcontext().flags[Inexact])
        getcontext().prec = 1
        _ = Decimal(1) / Decimal(3)
        return Verdict.quiet("nothing to say")

    ask(looks, CONTEXT)
    ask(looks, CONTEXT)
    assert seen == [False, False]


@guard
def raises(ctx: RuleContext) -> bool:
    raise InvalidOperation


@guard
def unknowing(ctx: RuleContext) -> bool:
    raise UnknownValueError([GAP])


@guard(needs=Needs(rates=False))
def greedy_guard(ctx: RuleContext) -> bool:
    return ctx.divergence > 0


class BrokenGuard(Guard):
    """Raises."""

    def admits(self, ctx: RuleContext) -> bool:
        raise KeyError("secret")


@guard
def divides(ctx: RuleContext) -> bool:
    return getcontext().prec == 28


def test_a_guard_that_raises_has_failed_under_the_name_of_its_author() -> None:
    assert consult(raises, CONTEXT) == Answer(Reply.FAILED, f"{HERE}.raises raised InvalidOperation")
    assert consult(BrokenGuard(), CONTEXT) == Answer(Reply.FAILED, f"{HERE}.BrokenGuard raised KeyError")
    assert consult(greedy_guard, CONTEXT) == Answer(Reply.FAILED, f"{HERE}.greedy_guard raised UndeclaredNeedError")


def test_a_guard_that_reads_an_unknown_value_does_not_know() -> None:
    assert consult(unknowing, CONTEXT) == Answer(Reply.UNKNOWN, "a value that it reads is unknown", missing=(GAP,))


def test_a_guard_is_asked_under_the_engines_decimal_context_too() -> None:
    with localcontext(Context(prec=3)):
        assert consult(divides, CONTEXT).reply is Reply.YES
        assert getcontext().prec == 3


def test_a_verdict_that_breaks_its_own_rules_is_the_rules_failure() -> None:
    @rule
    def careless(ctx: RuleContext) -> Verdict:
        return Verdict.close_if(None, "nobody knows")  # type: ignore[arg-type]  # what the test is about

    assert ask(careless, CONTEXT).claim == f"{HERE}.careless raised {InputError.__name__}"


@rule(needs=Needs(rates=False))
def moves(ctx: RuleContext) -> Verdict:
    return Verdict.switch(an_opportunity(), "it moves", Fact("gain", 1))


@pytest.mark.parametrize(
    ("targets", "position", "why"),
    [
        (TargetFilter(venues=("lighter",)), {}, "a venue is not allowed"),
        (TargetFilter(blocked_symbols=("BTC",)), {}, "the symbol is blocked"),
        (TargetFilter(taken=(an_opportunity().pair,)), {}, "another position holds the pair"),
        (TargetFilter.ANY, {"long_dex": "paradex"}, "it is the pair that is held"),
    ],
)
def test_a_switch_to_a_pair_that_may_not_be_opened_now_is_held_back(
    targets: TargetFilter, position: dict[str, Any], why: str
) -> None:
    assert ask(moves, RuleContext(a_position(**position), a_snapshot(), targets)) == Verdict(
        outcome=Outcome.QUIET,
        claim="held back, though it moves",
        rule="moves",
        reason="MOVES",
        facts=(Fact("gain", 1),),
        held_back=(HeldBack(reason="MOVES", guard="TargetFilter", why=why),),
    )


def test_a_switch_to_a_pair_that_may_be_opened_stands() -> None:
    allowed = TargetFilter(venues=("grvt", "paradex"))
    verdict = ask(moves, RuleContext(a_position(), a_snapshot(), allowed))
    assert (verdict.action, verdict.target, verdict.held_back) == (Action.SWITCH, an_opportunity(), ())


def test_a_long_claim_is_cut_where_a_switch_is_held_back() -> None:
    @rule(needs=Needs(rates=False))
    def talks(ctx: RuleContext) -> Verdict:
        return Verdict.switch(an_opportunity(), "t" * 500)

    verdict = ask(talks, RuleContext(a_position(), a_snapshot(), TargetFilter(venues=())))
    assert verdict.claim == "held back, though " + "t" * 482
