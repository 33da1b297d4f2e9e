"""Intents: their keys, and what each state of them says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from rebalancer import InputError
from rebalancer.domain.intents import Effect, Intent, IntentState, OrderSide, Side
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF
from rebalancer.testing.stores import an_intent, an_open_position, as_sent

CLOSE = an_intent(an_open_position())
OPEN = an_intent(an_open_position(), effect=Effect.OPEN)
SENT = as_sent(CLOSE)


def test_the_key_is_alike_in_every_process() -> None:
    assert CLOSE.position_id == UUID("d85a8c52-1f8f-52a3-a583-22aaf6896716")
    assert CLOSE.key == "4be2a03b4220f6e8f7e3a11a5194ac6307779a1bee35a03a52827a7c809ec85d"


@pytest.mark.parametrize(
    "changed",
    [{"position_id": UUID(int=1)}, {"version": 1}, {"effect": Effect.OPEN}, {"leg": Side.SHORT}, {"attempt": 2}],
    ids=lambda changed: next(iter(changed)),
)
def test_another_position_version_effect_leg_or_attempt_has_another_key(changed: dict[str, Any]) -> None:
    assert an_intent(an_open_position(), **changed).key != CLOSE.key


@pytest.mark.parametrize(
    "changed",
    [{"venue": "aster"}, {"symbol": "ETH"}, {"deadline": AS_OF}, {"quantity": 1}, {"revision": 4}],
    ids=lambda changed: next(iter(changed)),
)
def test_nothing_else_changes_the_key(changed: dict[str, Any]) -> None:
    assert CLOSE.model_copy(update=changed).key == CLOSE.key


def test_a_key_that_is_not_its_own_is_refused() -> None:
    with pytest.raises(InputError, match="the key is not the one of this intent"):
        CLOSE.model_copy(update={"attempt": 2})


def test_a_key_survives_json() -> None:
    assert Intent.model_validate_json(SENT.model_dump_json()) == SENT


@pytest.mark.parametrize(
    ("effect", "leg", "side", "reduce_only"),
    [
        (Effect.OPEN, Side.LONG, OrderSide.BUY, False),
        (Effect.OPEN, Side.SHORT, OrderSide.SELL, False),
        (Effect.CLOSE, Side.LONG, OrderSide.SELL, True),
        (Effect.CLOSE, Side.SHORT, OrderSide.BUY, True),
    ],
)
def test_what_the_order_does(effect: Effect, leg: Side, side: OrderSide, *, reduce_only: bool) -> None:
    intent = an_intent(an_open_position(), effect=effect, leg=leg)
    assert (intent.side, intent.reduce_only) == (side, reduce_only)


def test_an_intent_is_for_a_market() -> None:
    assert CLOSE.market == Market("lighter", "BTC")


def test_only_planned_and_sent_intents_go_on() -> None:
    going = [state for state in IntentState if not state.terminal]
    assert going == [IntentState.PLANNED, IntentState.SENT]


def test_the_next_revision_keeps_the_key() -> None:
    assert SENT.revision == 1
    assert SENT.key == CLOSE.key
    assert SENT.then(IntentState.SENT, order_id="a").revision == 2


GOOD: list[tuple[Intent, IntentState, dict[str, Any]]] = [
    (CLOSE, IntentState.VOID, {}),
    (CLOSE, IntentState.VOID, {"flat_at": AS_OF}),
    (OPEN, IntentState.VOID, {}),
    (OPEN, IntentState.FILLED, {"filled": 1}),
    (SENT, IntentState.FILLED, {"filled": 1}),
    (SENT, IntentState.FILLED, {"flat_at": AS_OF}),
    (SENT, IntentState.PARTIAL, {"filled": 1, "flat_at": AS_OF}),
    (SENT, IntentState.REJECTED, {}),
    (SENT, IntentState.REJECTED, {"flat_at": AS_OF}),
    (as_sent(OPEN), IntentState.VOID, {"flat_at": AS_OF}),
    (as_sent(OPEN), IntentState.REJECTED, {}),
]


@pytest.mark.parametrize(("before", "state", "fields"), GOOD)
def test_what_a_state_may_say(before: Intent, state: IntentState, fields: dict[str, Any]) -> None:
    assert before.then(state, **fields).state is state


BAD: list[tuple[Intent, IntentState, dict[str, Any], str]] = [
    (CLOSE, IntentState.PLANNED, {"filled": 1}, "no order yet"),
    (CLOSE, IntentState.PLANNED, {"sent_at": AS_OF}, "no order yet"),
    (CLOSE, IntentState.PLANNED, {"order_id": "a"}, "no order yet"),
    (CLOSE, IntentState.PLANNED, {"flat_at": AS_OF}, "a leg is flat when"),
    (CLOSE, IntentState.SENT, {"quantity": 1}, "has a quantity and the time"),
    (CLOSE, IntentState.SENT, {"sent_at": AS_OF}, "has a quantity and the time"),
    (SENT, IntentState.SENT, {"flat_at": AS_OF}, "a leg is flat when"),
    (SENT, IntentState.FILLED, {}, "says how much is filled, or for when"),
    (SENT, IntentState.PARTIAL, {"flat_at": AS_OF}, "says how much is filled"),
    (SENT, IntentState.REJECTED, {"filled": 1}, "is filled or partial"),
    (CLOSE, IntentState.VOID, {"filled": 1}, "is filled or partial"),
    (SENT, IntentState.VOID, {"flat_at": AS_OF}, "is void only if it opens"),
    (as_sent(OPEN), IntentState.VOID, {}, "is void only if it opens"),
    (as_sent(OPEN), IntentState.FILLED, {"flat_at": AS_OF, "filled": 1}, "a leg is flat when"),
]


@pytest.mark.parametrize(("before", "state", "fields", "why"), BAD)
def test_what_a_state_may_not_say(before: Intent, state: IntentState, fields: dict[str, Any], why: str) -> None:
    with pytest.raises(InputError, match=why):
        before.then(state, **fields)
