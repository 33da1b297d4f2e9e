"""Rules and guards written as functions."""

import copy
import pickle
from typing import Any

import pytest

from rebalancer import (
    CombinedStrategy,
    Fact,
    InputError,
    Needs,
    Outcome,
    RuleContext,
    Verdict,
    guard,
    rule,
)
from rebalancer.rules.asking import ask
from rebalancer.rules.function import FunctionGuard, FunctionRule
from rebalancer.rules.guard import Answer, Reply, consult
from rebalancer.testing import a_position, a_quote, a_snapshot

CONTEXT = RuleContext(a_position(), a_snapshot(a_quote("lighter"), a_quote("grvt", open_interest_usd=100_000)))


@rule(needs=Needs(open_interest=True))
def thin_market(ctx: RuleContext) -> Verdict:
    """Close when our leg is more than 5 % of the short venue's open interest."""
    size = ctx.position.size_usd
    too_large = size * 20 > ctx.short.open_interest_usd
    return Verdict.close_if(too_large, "too large for the short venue", Fact("size_usd", size))


@rule
def never(ctx: RuleContext) -> Verdict:
    return Verdict.quiet("it never fires")


@guard
def earning(ctx: RuleContext) -> bool:
    return ctx.divergence > 0


@guard(needs=Needs(rates=False, volume=True))
def liquid(ctx: RuleContext) -> bool:
    return ctx.long.volume_24h_usd > 0


class Namespace:
    """Decorated functions may be attributes."""

    @staticmethod
    @rule
    def inner(ctx: RuleContext) -> Verdict:
        return Verdict.quiet("it never fires")


def test_a_function_decides_under_its_name_in_upper_case() -> None:
    expected = Verdict.close("too large for the short venue", Fact("size_usd", 10_000), reason="THIN_MARKET")
    assert ask(thin_market, CONTEXT) == expected.model_copy(update={"rule": "thin_market"})


def test_the_decorator_declares_what_the_function_reads() -> None:
    assert thin_market.needs == Needs(open_interest=True)
    assert never.needs == Needs()


def test_a_decorated_function_keeps_its_name_and_docstring() -> None:
    assert (thin_market.name, repr(thin_market), thin_market.reason) == ("thin_market", "thin_market", "THIN_MARKET")
    assert thin_market.__doc__ == "Close when our leg is more than 5 % of the short venue's open interest."


def test_a_function_is_decorated_with_or_without_needs() -> None:
    def exits(ctx: RuleContext) -> Verdict:
        """Says nothing."""
        return Verdict.quiet("it never fires")

    def admits(ctx: RuleContext) -> bool:
        return True

    volume = Needs(volume=True)
    for decorated, needs in ((rule(exits), Needs()), (rule(needs=volume)(exits), volume)):
        assert (decorated.name, decorated.needs, decorated.__doc__) == ("exits", needs, "Says nothing.")
        assert decorated(CONTEXT) == Verdict.quiet("it never fires")
    for guarding, needs in ((guard(admits), Needs()), (guard(needs=volume)(admits), volume)):
        assert (guarding.name, guarding.needs, guarding.admits(CONTEXT)) == ("admits", needs, True)


def test_a_decorated_function_can_still_be_called() -> None:
    assert thin_market(CONTEXT).outcome is Outcome.FIRED
    assert thin_market.evaluate(CONTEXT) == thin_market(CONTEXT)


def test_a_function_rule_composes() -> None:
    assert (thin_market | never) == CombinedStrategy(thin_market, never)
    assert ask(thin_market & earning, CONTEXT).outcome is Outcome.QUIET


def test_a_function_guard_admits_what_the_function_says() -> None:
    earns = RuleContext(a_position(), a_snapshot())
    assert consult(earning, earns) == Answer(Reply.YES, "earning admits it")
    assert consult(~earning, earns) == Answer(Reply.NO, "earning admits it")
    assert consult(earning, CONTEXT) == Answer(Reply.NO, "earning does not admit it")


def test_a_function_guard_says_what_it_reads() -> None:
    assert (earning.needs, liquid.needs) == (Needs(), Needs(rates=False, volume=True))
    assert (earning.name, repr(earning)) == ("earning", "earning")
    assert consult(liquid, CONTEXT).reply is Reply.UNKNOWN


@pytest.mark.parametrize("decorated", [thin_market, never, earning, Namespace.inner], ids=repr)
def test_a_decorated_function_is_pickled_and_copied_by_its_name(decorated: FunctionRule | FunctionGuard) -> None:
    assert pickle.loads(pickle.dumps(decorated)) is decorated
    assert copy.deepcopy(decorated) == decorated


def test_what_is_composed_of_functions_can_be_pickled() -> None:
    composed = thin_market & earning
    assert pickle.loads(pickle.dumps(composed)) == composed
    assert pickle.loads(pickle.dumps(never | thin_market)) == CombinedStrategy(never, thin_market)


def named(name: str) -> Any:
    def function(ctx: RuleContext) -> Verdict:
        return Verdict.quiet("it never fires")

    function.__name__ = name
    return function


@pytest.mark.parametrize("name", ["<lambda>", "größe", "_", "_1", "x" * 65])
def test_a_function_whose_name_makes_no_reason_code_is_refused(name: str) -> None:
    with pytest.raises(InputError) as refused:
        rule(named(name))
    message = "a rule's function needs a name that makes a reason code: letters, digits and _"
    assert str(refused.value) == message


@pytest.mark.parametrize(("name", "reason"), [("_thin_market", "THIN_MARKET"), ("x" * 64, "X" * 64), ("oi2", "OI2")])
def test_any_other_name_makes_a_reason_code(name: str, reason: str) -> None:
    verdict = ask(rule(named(name)), CONTEXT)
    assert (verdict.rule, verdict.reason, verdict.outcome) == (name, reason, Outcome.QUIET)
