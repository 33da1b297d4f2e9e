"""What one rule says."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import numpy as np
import pytest

from rebalancer import Action, Fact, HeldBack, InputError, Missing, Outcome, Urgency, Verdict
from rebalancer.testing import AS_OF, an_opportunity

FACT = Fact("divergence", "0.0001", limit=0)
GAP = Missing(field="rate", why="HTTP 503")


def test_actions_equal_their_names() -> None:
    assert [str(action) for action in Action] == ["HOLD", "CLOSE", "SWITCH"]
    assert [action.name for action in Action] == ["HOLD", "CLOSE", "SWITCH"]


def test_urgencies_and_outcomes_are_written_in_lower_case() -> None:
    assert [str(urgency) for urgency in Urgency] == ["normal", "high", "critical"]
    assert [str(outcome) for outcome in Outcome] == ["fired", "quiet", "not_evaluated", "failed"]


def test_a_fact_is_a_name_a_value_and_a_limit_if_there_is_one() -> None:
    fact = Fact("divergence", 0.1, "0.20")
    assert (fact.name, fact.value, fact.limit) == ("divergence", Decimal("0.1"), Decimal("0.2"))
    assert Fact("age_seconds", 5).limit is None
    assert Fact("divergence", 5, limit=0).limit == 0
    assert Fact(name="age_seconds", value=5, limit=None) == Fact("age_seconds", 5)


@pytest.mark.parametrize("number", [float("nan"), "1_000", "1" * 31, True])
def test_a_fact_is_a_number_that_can_be_acted_on(number: Any) -> None:
    with pytest.raises(InputError, match=r"^Fact: value: "):
        Fact("divergence", number)
    with pytest.raises(InputError, match=r"^Fact: limit: "):
        Fact("divergence", 0, limit=number)


def test_a_fact_makes_the_way_to_json_and_back_byte_for_byte() -> None:
    text = Fact("divergence", "-0.00010", limit="1E+3").model_dump_json()
    assert text == '{"name":"divergence","value":"-0.0001","limit":"1000"}'
    assert Fact.model_validate_json(text).model_dump_json() == text


def test_a_verdict_to_close_fired_and_acts() -> None:
    verdict = Verdict.close("the edge is gone", FACT, reason="EDGE_GONE", urgency=Urgency.CRITICAL, reopen_after=AS_OF)
    assert verdict == Verdict(
        outcome=Outcome.FIRED,
        claim="the edge is gone",
        reason="EDGE_GONE",
        facts=(FACT,),
        action=Action.CLOSE,
        urgency=Urgency.CRITICAL,
        reopen_after=AS_OF,
    )


def test_a_verdict_to_close_is_of_normal_urgency_and_leaves_its_reason_to_the_rule() -> None:
    verdict = Verdict.close("the edge is gone")
    assert (verdict.urgency, verdict.reason, verdict.rule, verdict.reopen_after) == (Urgency.NORMAL, None, None, None)
    assert (verdict.facts, verdict.missing, verdict.held_back, verdict.target) == ((), (), (), None)


def test_a_verdict_to_switch_fired_and_has_a_target() -> None:
    target = an_opportunity()
    verdict = Verdict.switch(target, "another pair earns more", FACT, reason="BETTER", urgency=Urgency.HIGH)
    assert verdict == Verdict(
        outcome=Outcome.FIRED,
        claim="another pair earns more",
        reason="BETTER",
        facts=(FACT,),
        action=Action.SWITCH,
        target=target,
        urgency=Urgency.HIGH,
    )
    usual = Verdict.switch(target, "another pair earns more")
    assert (usual.urgency, usual.reason) == (Urgency.NORMAL, None)


def test_a_quiet_verdict_holds() -> None:
    assert Verdict.quiet("the edge is fine", FACT) == Verdict(
        outcome=Outcome.QUIET, claim="the edge is fine", facts=(FACT,), action=Action.HOLD
    )


def test_a_verdict_that_could_not_be_evaluated_names_what_is_missing() -> None:
    assert Verdict.not_evaluated("a rate is unknown", FACT, missing=(GAP,)) == Verdict(
        outcome=Outcome.NOT_EVALUATED, claim="a rate is unknown", facts=(FACT,), missing=(GAP,)
    )
    assert Verdict.not_evaluated("it does not apply").missing == ()


def test_a_failed_verdict_holds() -> None:
    assert Verdict.failed("it raised") == Verdict(outcome=Outcome.FAILED, claim="it raised", action=Action.HOLD)


def test_close_if_closes_where_the_condition_holds() -> None:
    verdict = Verdict.close_if(condition=True, claim="too large")
    assert verdict == Verdict.close("too large")
    more = Verdict.close_if(True, "too large", FACT, reason="TOO_LARGE", urgency=Urgency.HIGH)  # noqa: FBT003  # as users do
    assert more == Verdict.close("too large", FACT, reason="TOO_LARGE", urgency=Urgency.HIGH)


def test_close_if_is_quiet_where_the_condition_does_not_hold() -> None:
    verdict = Verdict.close_if(False, "too large", FACT, reason="TOO_LARGE")  # noqa: FBT003  # as users do
    assert verdict == Verdict.quiet("not so: too large", FACT)


@pytest.mark.parametrize(("condition", "kind"), [(None, "NoneType"), (0, "int"), ("", "str"), (np.bool_(1), "bool")])
def test_close_if_refuses_a_condition_that_is_neither_true_nor_false(condition: Any, kind: str) -> None:
    with pytest.raises(InputError) as refused:
        Verdict.close_if(condition, "too large")
    assert str(refused.value) == f"the condition must be True or False, not a {kind}"


@pytest.mark.parametrize("outcome", [Outcome.QUIET, Outcome.NOT_EVALUATED, Outcome.FAILED])
@pytest.mark.parametrize("action", [Action.CLOSE, Action.SWITCH])
def test_a_verdict_that_did_not_fire_can_not_act(outcome: Outcome, action: Action) -> None:
    with pytest.raises(InputError) as refused:
        Verdict(outcome=outcome, claim="x", action=action, target=an_opportunity())
    assert str(refused.value) == "Verdict: a verdict acts exactly if it fired"


def test_a_verdict_that_fired_can_not_hold() -> None:
    with pytest.raises(InputError) as refused:
        Verdict(outcome=Outcome.FIRED, claim="x")
    assert str(refused.value) == "Verdict: a verdict acts exactly if it fired"


@pytest.mark.parametrize(
    ("outcome", "action", "target"),
    [
        (Outcome.FIRED, Action.CLOSE, an_opportunity()),
        (Outcome.FIRED, Action.SWITCH, None),
        (Outcome.QUIET, Action.HOLD, an_opportunity()),
    ],
)
def test_a_target_belongs_to_a_switch_and_only_there(outcome: Outcome, action: Action, target: Any) -> None:
    with pytest.raises(InputError) as refused:
        Verdict(outcome=outcome, claim="x", action=action, target=target)
    assert str(refused.value) == "Verdict: a target belongs to a SWITCH, and only there"


@pytest.mark.parametrize(
    ("verdict", "incomplete"),
    [
        (Verdict.close("x"), False),
        (Verdict.quiet("x"), False),
        (Verdict.not_evaluated("it does not apply"), False),
        (Verdict.not_evaluated("x", missing=(GAP,)), True),
        (Verdict.quiet("x").model_copy(update={"missing": (GAP,)}), True),
        (Verdict.failed("x"), True),
    ],
)
def test_a_verdict_is_incomplete_if_it_failed_or_misses_something(verdict: Verdict, incomplete: object) -> None:
    assert verdict.incomplete is incomplete


@pytest.mark.parametrize("name", ["claim", "rule", "reason"])
def test_a_text_that_could_forge_a_log_line_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"^Verdict: {name}: String should match pattern"):
        Verdict.quiet("x").model_copy(update={name: "FINE\nFORGED"})


@pytest.mark.parametrize("name", ["reason", "guard", "why"])
def test_a_note_of_what_was_held_back_can_not_forge_a_log_line(name: str) -> None:
    note = HeldBack(reason="TIME_LIMIT", guard="HeldFor(at_least=4:00:00)", why="not held for long enough")
    with pytest.raises(InputError, match=rf"^HeldBack: {name}: String should match pattern"):
        note.model_copy(update={name: "FINE\nFORGED"})


def test_a_verdict_makes_the_way_to_json_and_back_byte_for_byte() -> None:
    verdict = Verdict.switch(an_opportunity(), "x", FACT).model_copy(
        update={"missing": (GAP,), "held_back": (HeldBack(reason="A", guard="b", why="c"),), "reopen_after": AS_OF}
    )
    text = verdict.model_dump_json()
    assert Verdict.model_validate_json(text) == verdict
    assert Verdict.model_validate_json(text).model_dump_json() == text
