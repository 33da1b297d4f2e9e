"""The state tables: every row is allowed with its evidence, refused without it, and all else is refused."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from rebalancer import Opportunity, Position, PositionStatus
from rebalancer.domain.intents import Effect, Intent, IntentState, Side
from rebalancer.domain.lifecycle import (
    NEXT,
    NEXT_STATE,
    Step,
    Switch,
    changed,
    claims,
    kept,
    proved,
    recorded,
    refused_intent,
    refused_position,
    stopped,
)
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, a_position, an_opportunity
from rebalancer.testing.stores import an_intent, an_open_position, as_sent

STATUS, STATE = PositionStatus, IntentState
OPEN = an_open_position()
OPENING = a_position(status="opening")
CLOSING = changed(OPEN, status="pending_close")
HALF = changed(CLOSING, status="half_closed")
CLOSED = changed(HALF, status="closed")
ROTATION = an_opportunity()
"""Long from lighter to paradex; short stays on grvt."""
ROTATING = changed(OPEN, status="pending_close", then=ROTATION)
SWITCHING = changed(OPEN, status="pending_close", then=an_opportunity(long_dex="aster", short_dex="paradex"))
LEGS = {"long_quantity": "0.1", "short_quantity": "0.1"}
NONE = {"long_quantity": None, "short_quantity": None}


def opened(leg: Side, state: str = "planned", **fields: Any) -> Intent:
    """The open of a leg, in a state."""
    return in_state(an_intent(OPENING, effect=Effect.OPEN, leg=leg), state, **fields)


def close(leg: Side, state: str = "planned", *, attempt: int = 1, **fields: Any) -> Intent:
    """A close of a leg, in a state."""
    return in_state(an_intent(OPEN, leg=leg, attempt=attempt), state, **fields)


def in_state(intent: Intent, state: str, **fields: Any) -> Intent:
    """The intent as it is in that state, with what the state needs: 0.1 tokens."""
    match state:
        case "planned":
            return intent.model_copy(update=fields)
        case "unsent":
            return intent.then(STATE.VOID, **fields)
        case "sent":
            return as_sent(intent, **fields)
        case "filled" | "partial":
            return as_sent(intent).then(STATE(state), **{"filled": "0.1", **fields})
        case "void":
            flat = {"flat_at": AS_OF}
            return (intent if intent.effect is Effect.CLOSE else as_sent(intent)).then(STATE.VOID, **{**flat, **fields})
        case _:
            return as_sent(intent).then(STATE(state), **fields)


LONG, SHORT = Side.LONG, Side.SHORT
SUCCESSOR = a_position(status="opening", long_dex="paradex", opened_at=AS_OF, parent=OPEN.id)
FIRST = an_intent(SUCCESSOR, effect=Effect.OPEN)
INHERITED = an_intent(SUCCESSOR, effect=Effect.OPEN, leg=SHORT, state=STATE.FILLED, filled="0.1")
ROTATED = Step(ROTATING, changed(ROTATING, status="closed"), (close(LONG, "filled"),))
BEGUN = Step(None, SUCCESSOR, (FIRST, INHERITED))
TARGET = a_position(status="opening", long_dex="aster", short_dex="paradex", opened_at=AS_OF, parent=OPEN.id)
TARGETED = Step(None, TARGET, tuple(an_intent(TARGET, effect=Effect.OPEN, leg=leg) for leg in Side))
SWITCHED = Step(SWITCHING, changed(SWITCHING, status="closed"), (close(LONG, "filled"), close(SHORT, "filled")))


def step(before: Position | None, after: Position | str, *intents: Intent, **fields: Any) -> Step:
    """What becomes of a position, with these intents; `fields` change too."""
    if isinstance(after, Position):
        return Step(before, after, intents)
    assert before is not None
    return Step(before, changed(before, status=after, **fields), intents)


def unwinding(*intents: Intent, **legs: Any) -> Step:
    """An opening that is closed again."""
    return step(OPENING, "pending_close", *intents, **legs)


# Positions: every row, with its evidence ----------------------------------------------------------------------------

ROWS: dict[str, tuple[Step, dict[str, Step]]] = {
    "planned": (step(None, OPENING, opened(LONG), opened(SHORT)), {}),
    "a rotation goes on": (BEGUN, {"parent": ROTATED}),
    "a switch goes on": (TARGETED, {"parent": SWITCHED}),
    "taken over": (step(None, OPEN), {}),
    "taken over unread": (step(None, a_position()), {}),
    "both filled": (step(OPENING, "open", opened(LONG, "filled"), opened(SHORT, "filled"), **LEGS), {}),
    "one filled, one rejected": (
        step(
            OPENING,
            "pending_close",
            opened(LONG, "filled"),
            opened(SHORT, "rejected"),
            close(LONG),
            long_quantity="0.1",
        ),
        {},
    ),
    "one filled, one void": (
        step(
            OPENING, "pending_close", opened(LONG, "void"), opened(SHORT, "filled"), close(SHORT), short_quantity="0.1"
        ),
        {},
    ),
    "one in part, one never sent": (
        step(
            OPENING,
            "pending_close",
            opened(LONG, "partial", filled="0.04"),
            opened(SHORT, "unsent"),
            close(LONG),
            long_quantity="0.04",
        ),
        {},
    ),
    "a void open whose leg came late": (
        step(
            OPENING, "pending_close", opened(LONG, "void"), opened(SHORT, "rejected"), close(LONG), long_quantity="0.07"
        ),
        {},
    ),
    "nothing opened": (step(OPENING, "closed", opened(LONG, "rejected"), opened(SHORT, "void")), {}),
    "never sent": (step(OPENING, "closed", opened(LONG, "unsent"), opened(SHORT, "unsent")), {}),
    "exit": (step(OPEN, "pending_close", close(LONG), close(SHORT)), {}),
    "exit of the leg that is left": (step(OPEN, "pending_close", close(LONG), short_quantity=None), {}),
    "exit by rotation": (step(OPEN, "pending_close", close(LONG), then=ROTATION), {}),
    "closed externally": (step(OPEN, "closed", **NONE), {}),
    "unread and closed externally": (step(a_position(), "closed"), {}),
    "one leg closed": (step(CLOSING, "half_closed", close(LONG, "filled"), close(SHORT)), {}),
    "one leg closed, the other sent": (step(CLOSING, "half_closed", close(LONG, "sent"), close(SHORT, "void")), {}),
    "a rotation whose target is gone": (
        step(ROTATING, "half_closed", close(LONG, "filled"), close(SHORT), then=None),
        {},
    ),
    "both closed at once": (step(CLOSING, "closed", close(LONG, "filled"), close(SHORT, "void")), {}),
    "closed in two parts": (
        step(
            HALF,
            "closed",
            close(LONG, "partial", filled="0.04"),
            close(LONG, "filled", attempt=2, filled="0.06"),
            close(SHORT, "filled"),
        ),
        {},
    ),
    "closed, found flat after a rejection": (
        step(HALF, "closed", close(LONG, "rejected", flat_at=AS_OF), close(SHORT, "filled")),
        {},
    ),
    "the leg that was left is closed": (
        step(changed(OPEN, status="pending_close", short_quantity=None), "closed", close(LONG, "filled")),
        {},
    ),
    "a rotation is handed over": (ROTATED, {"successor": BEGUN}),
    "a switch is handed over": (SWITCHED, {"successor": TARGETED}),
    "a switch without its target": (step(SWITCHING, "closed", *SWITCHED.intents, then=None), {}),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table_is_allowed_with_its_evidence(row: str) -> None:
    what, others = ROWS[row]
    assert refused_position(what, **others) is None


def test_every_change_of_status_in_the_table_has_a_row_here() -> None:
    had = {(what.before.status if what.before else None, what.after.status) for what, _ in ROWS.values()}
    assert had == {(before, after) for before, afters in NEXT.items() for after in afters}


@pytest.mark.parametrize("before", [None, *PositionStatus])
@pytest.mark.parametrize("after", PositionStatus)
def test_a_change_of_status_that_is_not_in_the_table_is_refused(
    before: PositionStatus | None, after: PositionStatus
) -> None:
    if before is after or after in NEXT[before]:
        return
    was = None if before is None else an_open_position(status=before)
    now = an_open_position(status=after) if was is None else changed(was, status=after)
    what = "does not exist" if before is None else f"is {before}"
    assert refused_position(Step(was, now)) == f"a position that {what} can not be {after}"


def test_the_table_of_positions() -> None:
    table = {str(before): [str(after) for after in afters] for before, afters in NEXT.items()}
    assert table == {
        "None": ["opening", "open"],
        "opening": ["open", "pending_close", "closed"],
        "open": ["pending_close", "closed"],
        "pending_close": ["half_closed", "closed"],
        "half_closed": ["closed"],
        "closed": [],
    }


# Positions: every row, without its evidence ---------------------------------------------------------------------------

FAIL: dict[str, tuple[str, Step, dict[str, Step]]] = {
    "planned with one intent": ("for each leg", step(None, OPENING, opened(LONG)), {}),
    "planned with two of one leg": (
        "for each leg",
        step(None, OPENING, opened(LONG), an_intent(OPENING, effect=Effect.OPEN, attempt=2)),
        {},
    ),
    "planned with closes": ("for each leg", step(None, OPENING, opened(LONG), close(SHORT)), {}),
    "planned with a target": (
        "without the target",
        step(None, OPENING.model_copy(update={"then": ROTATION}), opened(LONG), opened(SHORT)),
        {},
    ),
    "filled from the start": (
        "only a leg that a rotation keeps",
        step(None, OPENING, opened(LONG), an_intent(OPENING, effect=Effect.OPEN, leg=SHORT, state="filled", filled=1)),
        {},
    ),
    "a successor of nobody": ("where its parent is closed", BEGUN, {}),
    "a successor of one that is not closed": (
        "where its parent is closed",
        BEGUN,
        {"parent": Step(ROTATING, ROTATING.model_copy(update={"last_check": AS_OF}))},
    ),
    "a successor of one that was closed before": (
        "where its parent is closed",
        BEGUN,
        {"parent": Step(ROTATED.after, ROTATED.after)},
    ),
    "a successor of one without a target": (
        "the target of its parent's switch",
        BEGUN,
        {"parent": step(CLOSING, "closed", close(LONG, "filled"), close(SHORT, "filled"))},
    ),
    "a successor that is not the target": ("the target of its parent's switch", BEGUN, {"parent": SWITCHED}),
    "a rotation that inherits nothing": (
        "takes over the leg",
        Step(None, SUCCESSOR, (FIRST, an_intent(SUCCESSOR, effect=Effect.OPEN, leg=SHORT))),
        {"parent": ROTATED},
    ),
    "a rotation that inherits too much": (
        "takes over the leg",
        Step(None, SUCCESSOR, (FIRST, INHERITED.model_copy(update={"filled": "0.2"}))),
        {"parent": ROTATED},
    ),
    "a switch that inherits": (
        "takes over the leg",
        Step(None, TARGET, (TARGETED.intents[0], in_state(TARGETED.intents[1], "filled"))),
        {"parent": SWITCHED},
    ),
    "taken over with intents": ("has no intents", step(None, OPEN, opened(LONG)), {}),
    "taken over as a successor": ("opened, not taken over", step(None, a_position(parent=UUID(int=1))), {}),
    "one filled": ("both legs", step(OPENING, "open", opened(LONG, "filled"), opened(SHORT, "sent"), **LEGS), {}),
    "one in part": ("both legs", step(OPENING, "open", opened(LONG, "filled"), opened(SHORT, "partial"), **LEGS), {}),
    "filled and not recorded": (
        "as they are filled",
        step(OPENING, "open", opened(LONG, "filled"), opened(SHORT, "filled"), long_quantity="0.1"),
        {},
    ),
    "filled and recorded otherwise": (
        "as they are filled",
        step(OPENING, "open", opened(LONG, "filled"), opened(SHORT, "filled"), **{**LEGS, "long_quantity": "0.11"}),
        {},
    ),
    "unwound while an open is sent": (
        "may yet be filled",
        unwinding(opened(LONG, "filled"), opened(SHORT, "sent"), close(LONG), long_quantity="0.1"),
        {},
    ),
    "unwound while an open is planned": (
        "may yet be filled",
        unwinding(opened(LONG, "filled"), opened(SHORT), close(LONG), long_quantity="0.1"),
        {},
    ),
    "unwound without a close": (
        "an intent for each leg",
        unwinding(opened(LONG, "filled"), opened(SHORT, "rejected"), long_quantity="0.1"),
        {},
    ),
    "unwound with nothing filled": (
        "nothing is recorded",
        unwinding(opened(LONG, "void"), opened(SHORT, "rejected")),
        {},
    ),
    "unwound as if a rejected leg were there": (
        "as they are filled",
        step(
            OPENING,
            "pending_close",
            opened(LONG, "filled"),
            opened(SHORT, "rejected"),
            close(LONG),
            close(SHORT),
            **LEGS,
        ),
        {},
    ),
    "unwound without the leg that is filled": (
        "as they are filled",
        step(
            OPENING, "pending_close", opened(LONG, "filled"), opened(SHORT, "void"), close(SHORT), short_quantity="0.1"
        ),
        {},
    ),
    "closed while an open is sent": (
        "or may yet be",
        step(OPENING, "closed", opened(LONG, "sent"), opened(SHORT, "rejected")),
        {},
    ),
    "closed while an open is planned": (
        "or may yet be",
        step(OPENING, "closed", opened(LONG), opened(SHORT, "void")),
        {},
    ),
    "closed though one is filled": (
        "something is filled",
        step(OPENING, "closed", opened(LONG, "rejected"), opened(SHORT, "partial")),
        {},
    ),
    "exit without intents": ("an intent for each leg", step(OPEN, "pending_close"), {}),
    "exit of one leg while both are there": ("an intent for each leg", step(OPEN, "pending_close", close(LONG)), {}),
    "exit of an unread leg": (
        "never read",
        step(an_open_position(short_quantity=None), "pending_close", close(LONG)),
        {},
    ),
    "exit with both legs gone": ("nothing is recorded", step(OPEN, "pending_close", **NONE), {}),
    "exit by rotation without a close": ("an intent for each leg", step(OPEN, "pending_close", then=ROTATION), {}),
    "exit with another quantity": (
        "can not change so",
        step(OPEN, "pending_close", close(LONG), close(SHORT), long_quantity="0.2"),
        {},
    ),
    "closed externally with a leg recorded": ("nothing proves it gone", step(OPEN, "closed", long_quantity=None), {}),
    "half closed with nothing closed": ("one of two", step(CLOSING, "half_closed", close(LONG), close(SHORT)), {}),
    "half closed with both closed": (
        "one of two",
        step(CLOSING, "half_closed", close(LONG, "filled"), close(SHORT, "filled")),
        {},
    ),
    "half closed of one leg": (
        "one of two",
        step(changed(OPEN, status="pending_close", short_quantity=None), "half_closed", close(LONG, "filled")),
        {},
    ),
    "half closed in a rotation": ("one of two", step(ROTATING, "half_closed", close(LONG, "filled")), {}),
    "half closed without the kept leg's close": (
        "one of two",
        step(ROTATING, "half_closed", close(LONG, "filled"), then=None),
        {},
    ),
    "closed with one leg open": ("is not proved closed", step(CLOSING, "closed", close(LONG, "filled")), {}),
    "closed by a close that was given up": (
        "is not proved closed",
        step(CLOSING, "closed", close(LONG, "filled"), close(SHORT, "unsent")),
        {},
    ),
    "closed by a rejected close": (
        "is not proved closed",
        step(HALF, "closed", close(LONG, "filled"), close(SHORT, "rejected")),
        {},
    ),
    "closed by a part": (
        "is not proved closed",
        step(HALF, "closed", close(LONG, "filled"), close(SHORT, "partial", filled="0.09")),
        {},
    ),
    "closed by less than the recorded leg": (
        "is not proved closed",
        step(HALF, "closed", close(LONG, "filled"), close(SHORT, "filled", filled="0.0999999999999999999999999999")),
        {},
    ),
    "closed while an order lives": (
        "under way",
        step(HALF, "closed", close(LONG, "filled"), close(SHORT, "partial"), close(SHORT, "sent", attempt=2)),
        {},
    ),
    "a rotation without its successor": ("ends with its successor", ROTATED, {}),
    "a switch without its successor": ("ends with its successor", SWITCHED, {}),
    "a switch whose successor was there before": (
        "ends with its successor",
        SWITCHED,
        {"successor": Step(TARGET, TARGET, TARGETED.intents)},
    ),
    "a rotation that drops its target and forgets the kept leg": (
        "is not proved closed",
        step(ROTATING, "closed", close(LONG, "filled"), then=None),
        {},
    ),
}


@pytest.mark.parametrize("probe", FAIL)
def test_a_row_of_the_table_is_refused_without_its_evidence(probe: str) -> None:
    why, what, others = FAIL[probe]
    said = refused_position(what, **others)
    assert said is not None
    assert why in said


# Positions: what else may change ------------------------------------------------------------------------------------

LASTING = {
    "last_check": AS_OF,
    "last_action_at": AS_OF,
    "deadline": AS_OF,
    "attention": "look",
    "funding_collected_usd": "1.5",
    "fees_paid_usd": "2",
    "close_reason": "BY_HAND",
}
TERMS = {
    "size_usd": 20_000,
    "long_quantity": "0.2",
    "short_quantity": "0.2",
    "long_entry_price": 95_000,
    "short_entry_price": 95_000,
    "entry_long_rate": "0.0009",
    "entry_short_rate": "0.0009",
    "entry_divergence": "0.0009",
}
IDENTITY = {"symbol": "ETH", "long_dex": "aster", "short_dex": "aster", "opened_at": AS_OF, "parent": UUID(int=1)}
ALL = [OPENING, OPEN, CLOSING, HALF, CLOSED]


def test_every_field_of_a_position_is_in_one_of_the_three_groups_or_the_state_itself() -> None:
    assert {*LASTING, *TERMS, *IDENTITY, "id", "status", "then", "version"} == set(Position.model_fields)


@pytest.mark.parametrize("position", ALL, ids=lambda position: position.status)
@pytest.mark.parametrize("field", LASTING)
def test_a_check_a_sum_or_a_note_keeps_the_version(position: Position, field: str) -> None:
    after = changed(position, **{field: LASTING[field]})
    assert after.version == position.version
    assert refused_position(Step(position, after)) is None
    assert refused_position(Step(position, after.model_copy(update={"version": position.version + 1}))) is not None


@pytest.mark.parametrize("field", TERMS)
def test_size_and_legs_change_with_the_version_while_it_is_open(field: str) -> None:
    after = changed(OPEN, **{field: TERMS[field]})
    assert after.version == OPEN.version + 1
    assert refused_position(Step(OPEN, after)) is None
    for version in (OPEN.version, OPEN.version + 2):
        stale = after.model_copy(update={"version": version})
        assert refused_position(Step(OPEN, stale)) == "somebody else has changed the position"


@pytest.mark.parametrize("position", [OPENING, CLOSING, HALF], ids=lambda position: position.status)
@pytest.mark.parametrize("field", TERMS)
def test_size_and_legs_are_fixed_while_orders_may_live(position: Position, field: str) -> None:
    said = refused_position(Step(position, changed(position, **{field: TERMS[field]})))
    assert said == f"size and legs can not change so: the position is {position.status}"


@pytest.mark.parametrize("field", TERMS)
def test_a_closed_position_is_final(field: str) -> None:
    assert refused_position(Step(CLOSED, changed(CLOSED, **{field: TERMS[field]}))) == "the position is closed"


@pytest.mark.parametrize("position", ALL, ids=lambda position: position.status)
@pytest.mark.parametrize("field", IDENTITY)
def test_what_a_position_is_never_changes(position: Position, field: str) -> None:
    said = refused_position(Step(position, changed(position, **{field: IDENTITY[field]})))
    assert said == "a position's pair, opening time and parent can not be changed"


@pytest.mark.parametrize("position", [CLOSING, HALF], ids=lambda position: position.status)
def test_a_leg_that_came_late_is_recorded_while_closing_and_only_if_its_open_was_void(position: Position) -> None:
    before = position.model_copy(update={"short_quantity": None})
    after = changed(before, short_quantity="0.07")
    late = (opened(LONG, "filled"), opened(SHORT, "void"), close(LONG))
    assert refused_position(Step(before, after, late)) is None
    for others in ((), (opened(SHORT, "unsent"),), (opened(SHORT, "rejected"),), (opened(LONG, "void"),)):
        assert refused_position(Step(before, after, others)) is not None
    assert refused_position(Step(position, changed(position, short_quantity=None), late)) is not None


def test_the_target_of_a_switch_is_set_with_its_close_and_then_only_dropped() -> None:
    why = "the target of a switch is set where its close begins, and then only dropped"
    assert refused_position(Step(ROTATING, changed(ROTATING, then=None))) is None
    assert refused_position(Step(ROTATING, changed(ROTATING, then=SWITCHING.then))) == why
    for position in (OPENING, OPEN, CLOSING, HALF, CLOSED):
        assert refused_position(Step(position, changed(position, then=ROTATION))) == why


def test_a_position_owns_both_markets_while_it_lives() -> None:
    both = (Market("lighter", "BTC"), Market("grvt", "BTC"))
    assert [claims(position) for position in ALL] == [both, both, both, both, ()]


@pytest.mark.parametrize(
    ("fields", "legs"),
    [
        ({"long_dex": "paradex", "short_dex": "grvt"}, (SHORT,)),
        ({"long_dex": "lighter", "short_dex": "aster"}, (LONG,)),
        ({"long_dex": "lighter", "short_dex": "grvt"}, (LONG, SHORT)),
        ({"long_dex": "grvt", "short_dex": "lighter"}, ()),
        ({"long_dex": "lighter", "short_dex": "aster", "symbol": "ETH"}, ()),
    ],
)
def test_a_rotation_keeps_the_leg_that_stays_on_its_market(fields: dict[str, Any], legs: tuple[Side, ...]) -> None:
    assert kept(OPEN.model_copy(update={"then": an_opportunity(**fields)})) == legs
    assert kept(OPEN) == ()


def test_a_leg_that_is_not_recorded_is_proved_closed_only_by_a_read() -> None:
    gone = CLOSING.model_copy(update={"long_quantity": None})
    assert recorded(gone, LONG) is None
    assert not proved(Step(None, gone, (close(LONG, "filled"),)), LONG)
    assert proved(Step(None, gone, (close(LONG, "void"),)), LONG)


# Intents ------------------------------------------------------------------------------------------------------------

EXITING = Step(OPEN, CLOSING)


def allowed(before: Intent | None, after: Intent, what: Step, *others: Intent) -> str | None:
    """Why an intent is refused beside others of its position."""
    return refused_intent(before, after, Step(what.before, what.after, (*others, after)))


def test_the_table_of_intents() -> None:
    table = {str(before): [str(after) for after in afters] for before, afters in NEXT_STATE.items()}
    assert table == {
        "None": ["planned", "filled"],
        "planned": ["planned", "sent", "void"],
        "sent": ["sent", "filled", "partial", "rejected", "void"],
        "filled": [],
        "partial": [],
        "rejected": [],
        "void": [],
    }


NAMES = ["planned", "sent", "filled", "partial", "rejected", "void"]


@pytest.mark.parametrize("effect", Effect)
@pytest.mark.parametrize("before", [None, *NAMES])
@pytest.mark.parametrize("after", NAMES)
def test_a_change_of_state_is_allowed_if_it_is_in_the_table(effect: Effect, before: str | None, after: str) -> None:
    make = close if effect is Effect.CLOSE else opened
    what = EXITING if effect is Effect.CLOSE else Step(None, OPENING)
    if before is None:
        new = make(LONG).model_copy(update={"state": after, **EXTRA[after]})
        allowed_new = after == "planned" or (after == "filled" and effect is Effect.OPEN)
        assert (allowed(None, new, what) is None) == allowed_new
        return
    was = make(LONG, before)
    fields = dict(EXTRA[after])
    if before == "sent" and after != "planned":
        fields |= {"quantity": was.quantity, "sent_at": was.sent_at}
        if after == "void" and effect is Effect.CLOSE:
            fields["sent_at"] = None
    now = make(LONG).model_copy(update={"state": after, "revision": was.revision + 1, **fields})
    inside = IntentState(after) in NEXT_STATE[IntentState(before)]
    never = before == "sent" and after == "void" and effect is Effect.CLOSE
    assert (allowed(was, now, Step(what.after, what.after)) is None) == (inside and not never)


EXTRA: dict[str, dict[str, Any]] = {
    "planned": {},
    "sent": {"quantity": "0.1", "sent_at": AS_OF},
    "filled": {"filled": "0.1"},
    "partial": {"filled": "0.04"},
    "rejected": {},
    "void": {"flat_at": AS_OF},
}


@pytest.mark.parametrize("after", NAMES)
def test_only_a_planned_or_an_inherited_intent_is_new(after: str) -> None:
    said = allowed(None, close(LONG, after), EXITING)
    if after == "planned":
        assert said is None
    elif after == "filled":
        assert said == "a new intent has revision 0"
    else:
        assert said == f"an intent that does not exist can not be {after}"


NEW: dict[str, tuple[str, Intent, Step, tuple[Intent, ...]]] = {
    "revised": ("has revision 0", close(LONG, revision=1), EXITING, ()),
    "of an older version": ("another version", close(LONG), Step(CLOSING, CLOSING), ()),
    "of a later version": ("another version", an_intent(CLOSING), EXITING, ()),
    "for another venue": ("another market", close(LONG, venue="grvt"), EXITING, ()),
    "for another symbol": ("another market", close(LONG, symbol="ETH"), EXITING, ()),
    "beside one that is planned": ("has not ended", close(LONG, attempt=2), EXITING, (close(LONG),)),
    "beside one that is sent": ("has not ended", close(LONG, attempt=2), EXITING, (close(LONG, "sent"),)),
    "second without a first": ("without a gap", close(LONG, attempt=2), EXITING, ()),
    "third after the first": ("without a gap", close(LONG, attempt=3), EXITING, (close(LONG, "rejected"),)),
    "open of a position that is there": ("where its position begins", opened(LONG), Step(OPENING, OPENING), ()),
    "open of a position that is taken over": (
        "where its position begins",
        an_intent(OPEN, effect=Effect.OPEN),
        Step(None, OPEN),
        (),
    ),
    "inherited and sent": (
        "is not sent again",
        an_intent(OPENING, effect=Effect.OPEN, state="filled", filled=1, sent_at=AS_OF),
        Step(None, OPENING),
        (),
    ),
    "close that is filled": ("begins as planned", an_intent(OPEN, state="filled", filled=1), EXITING, ()),
    "close of what is open": ("nothing is closed of", close(LONG), Step(OPEN, OPEN), ()),
    "close of what is closed": (
        "nothing is closed of",
        an_intent(CLOSED, attempt=2),
        Step(CLOSED, CLOSED),
        (close(LONG, "filled"),),
    ),
    "close of a leg that is not there": (
        "nothing is recorded of the leg",
        close(LONG),
        step(OPEN, "pending_close", long_quantity=None),
        (),
    ),
    "close of the kept leg": ("the rotation keeps", close(SHORT), Step(OPEN, ROTATING), ()),
    "close of a closed leg": (
        "is proved closed",
        an_intent(CLOSING, attempt=2),
        Step(CLOSING, CLOSING),
        (close(LONG, "filled"),),
    ),
}


@pytest.mark.parametrize("probe", NEW)
def test_a_new_intent_without_its_evidence_is_refused(probe: str) -> None:
    why, intent, what, others = NEW[probe]
    said = allowed(None, intent, what, *others)
    assert said is not None
    assert why in said


@pytest.mark.parametrize("ended", ["partial", "rejected", "unsent"])
def test_the_next_attempt_follows_one_that_has_ended_without_proof(ended: str) -> None:
    fields: dict[str, Any] = {"filled": "0.04"} if ended == "partial" else {}
    again = an_intent(CLOSING, attempt=2)
    assert allowed(None, again, Step(CLOSING, CLOSING), close(LONG, ended, **fields), close(SHORT, "sent")) is None


CHANGE: dict[str, tuple[str, Intent, Intent, tuple[Intent, ...]]] = {
    "revision kept": ("somebody else", close(LONG), close(LONG, "sent", revision=0), ()),
    "revision skipped": ("somebody else", close(LONG), close(LONG, "sent", revision=2), ()),
    "order changed": ("order can not be changed", close(LONG), close(LONG, "sent", venue="aster"), ()),
    "quantity changed": (
        "what was sent can not",
        close(LONG, "sent"),
        close(LONG, "sent").then(STATE.SENT, quantity=1),
        (),
    ),
    "time changed": (
        "what was sent can not",
        close(LONG, "sent"),
        close(LONG, "sent").then(STATE.REJECTED, sent_at=None),
        (),
    ),
    "fills taken back": (
        "what was filled can not",
        close(LONG, "sent", filled="0.04"),
        close(LONG, "sent").then(STATE.PARTIAL, filled="0.03", revision=2),
        (),
    ),
    "fills forgotten": (
        "what was filled can not",
        close(LONG, "sent", filled="0.04"),
        close(LONG, "sent").then(STATE.REJECTED, revision=2),
        (),
    ),
    "more than the recorded leg": ("no more than what is left", close(LONG), close(LONG, "sent", quantity="0.11"), ()),
    "more than is left of it": (
        "no more than what is left",
        close(LONG, attempt=2),
        close(LONG, "sent", attempt=2, quantity="0.0600000000000000000000000001"),
        (close(LONG, "partial", filled="0.04"),),
    ),
    "given up as if sent": (
        "was never sent",
        opened(LONG),
        opened(LONG).then(STATE.VOID, sent_at=AS_OF, flat_at=AS_OF),
        (),
    ),
}


@pytest.mark.parametrize("probe", CHANGE)
def test_a_change_of_an_intent_without_its_evidence_is_refused(probe: str) -> None:
    why, before, after, others = CHANGE[probe]
    said = allowed(before, after, Step(CLOSING, CLOSING), *others)
    assert said is not None
    assert why in said


def test_a_close_is_for_what_is_left_of_the_leg_and_an_open_for_what_it_is_told() -> None:
    rest = close(LONG, "sent", attempt=2, quantity="0.06")
    part = close(LONG, "partial", filled="0.04")
    assert allowed(close(LONG, attempt=2), rest, Step(CLOSING, CLOSING), part) is None
    assert allowed(opened(LONG), opened(LONG, "sent", quantity=9), Step(OPENING, OPENING)) is None


def test_a_planned_intent_may_be_approved() -> None:
    after = close(LONG).then(STATE.PLANNED, approved_at=AS_OF)
    assert allowed(close(LONG), after, Step(CLOSING, CLOSING)) is None


# The switch ---------------------------------------------------------------------------------------------------------


def said(switch: Switch, before: Intent | None, after: Intent, position: Position | None = OPEN) -> bool:
    """Whether the switch forbids it."""
    return stopped(switch, before, after, position) is not None


@pytest.mark.parametrize("switch", Switch)
def test_what_a_switch_forbids_to_plan(switch: Switch) -> None:
    assert said(switch, None, opened(LONG), None) == (switch is not Switch.RUN)
    assert said(switch, None, close(LONG), OPEN) == (switch in (Switch.PAUSE, Switch.KILL))
    for position in (OPENING, CLOSING, HALF, None):
        assert said(switch, None, close(LONG), position) == (switch is Switch.KILL)


@pytest.mark.parametrize("switch", Switch)
def test_what_a_switch_forbids_to_send(switch: Switch) -> None:
    assert said(switch, opened(LONG), opened(LONG, "sent")) == (switch is not Switch.RUN)
    assert said(switch, close(LONG), close(LONG, "sent")) == (switch is Switch.KILL)


@pytest.mark.parametrize("switch", Switch)
@pytest.mark.parametrize("state", ["sent", "filled", "partial", "rejected"])
@pytest.mark.parametrize("make", [opened, close])
def test_what_is_learnt_is_never_forbidden(switch: Switch, state: str, make: Any) -> None:
    sent = make(LONG, "sent")
    fields = {"filled": "0.1"} if state in ("filled", "partial") else {}
    assert not said(switch, sent, sent.then(STATE(state), **fields))
    assert not said(switch, make(LONG), make(LONG, "unsent"))
    assert not said(switch, make(LONG), make(LONG).then(STATE.PLANNED, approved_at=AS_OF))


def test_a_switch_to_the_very_same_pair_can_not_begin() -> None:
    same = Opportunity(
        symbol="BTC", long_dex="lighter", short_dex="grvt", long_rate=0, short_rate="0.0005", observed_at=AS_OF
    )
    assert refused_position(step(OPEN, "pending_close", then=same)) == "nothing is recorded that could be closed"
