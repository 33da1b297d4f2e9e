"""The state tables: which changes of a position and of an intent there are, and what must be shown for each.

A store refuses any other change, in the transaction that would make it. The tables speak of what is stored: that a leg
was read, and late enough, is for who commits to know; it says so by `Intent.flat_at`, and by the recorded quantities.

A leg is *recorded* if its quantity is known, and a recorded leg is closed only by proof, or handed on to a successor. A
leg that is found gone loses its quantity in the change of status that says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from typing import Any

from .intents import Effect, Intent, IntentState, Side
from .names import Market
from .position import Position, PositionStatus

_STATUS = PositionStatus
_STATE = IntentState

NEXT: Mapping[PositionStatus | None, tuple[PositionStatus, ...]] = {
    None: (_STATUS.OPENING, _STATUS.OPEN),
    _STATUS.OPENING: (_STATUS.OPEN, _STATUS.PENDING_CLOSE, _STATUS.CLOSED),
    _STATUS.OPEN: (_STATUS.PENDING_CLOSE, _STATUS.CLOSED),
    _STATUS.PENDING_CLOSE: (_STATUS.HALF_CLOSED, _STATUS.CLOSED),
    _STATUS.HALF_CLOSED: (_STATUS.CLOSED,),
    _STATUS.CLOSED: (),
}
"""Where a position may go from each status; None is before it begins."""
NEXT_STATE: Mapping[IntentState | None, tuple[IntentState, ...]] = {
    None: (_STATE.PLANNED, _STATE.FILLED),
    _STATE.PLANNED: (_STATE.PLANNED, _STATE.SENT, _STATE.VOID),
    _STATE.SENT: (_STATE.SENT, _STATE.FILLED, _STATE.PARTIAL, _STATE.REJECTED, _STATE.VOID),
    _STATE.FILLED: (),
    _STATE.PARTIAL: (),
    _STATE.REJECTED: (),
    _STATE.VOID: (),
}
"""Where an intent may go from each state. A planned one may be approved and stay planned, a sent one may learn more."""
_CLOSING = (_STATUS.PENDING_CLOSE, _STATUS.HALF_CLOSED)
_ORDER = ("position_id", "version", "effect", "leg", "attempt", "venue", "symbol", "planned_at", "key")
_IDENTITY = ("symbol", "long_dex", "short_dex", "opened_at", "parent")
_QUANTITY = {Side.LONG: "long_quantity", Side.SHORT: "short_quantity"}
_TERMS = (
    "size_usd",
    *_QUANTITY.values(),
    "long_entry_price",
    "short_entry_price",
    "entry_long_rate",
    "entry_short_rate",
    "entry_divergence",
)
"""Size and legs. With the status they make another version of a position; all else may change without one."""
_Faults = Iterator[tuple[bool, str]]
"""Whether a fault is there, and why it is one."""


class Switch(StrEnum):
    """What a monitor may do. It survives restarts."""

    RUN = "run"
    PAUSE = "pause"
    """No new decision is acted on; what was begun is finished, and ends flat."""
    FLATTEN = "flatten"
    """Nothing is opened; everything is closed."""
    KILL = "kill"
    """Nothing is planned or sent, not even a second leg. Reads and alarms go on."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a transaction does to a position: as it was (None: it begins), as it shall be, and then all its intents."""

    before: Position | None
    after: Position
    intents: tuple[Intent, ...] = ()

    def of(self, effect: Effect, leg: Side) -> tuple[Intent, ...]:
        """The intents for a leg, in order of their attempts."""
        found = (intent for intent in self.intents if intent.effect is effect and intent.leg is leg)
        return tuple(sorted(found, key=lambda intent: intent.attempt))

    @property
    def moves(self) -> bool:
        """Whether the status changes."""
        return self.before is None or self.before.status is not self.after.status


def claims(position: Position) -> tuple[Market, ...]:
    """The markets that a position owns: both of its legs' while it lives. No two positions own one.

    So a position whose open was sent and found void is not closed before its orphan watch is over.
    """
    return () if position.status is _STATUS.CLOSED else (position.pair.long, position.pair.short)


def recorded(position: Position, leg: Side) -> Decimal | None:
    """The tokens that a position records of a leg; None if it has none, or was never read."""
    quantity: Decimal | None = getattr(position, _QUANTITY[leg])
    return quantity


def kept(position: Position) -> tuple[Side, ...]:
    """The leg that the target of a switch keeps, if the switch is a rotation."""
    to = position.then
    if to is None or to.symbol != position.symbol:
        return ()
    return tuple(
        leg
        for leg, same in (
            (Side.LONG, to.long_dex == position.long_dex),
            (Side.SHORT, to.short_dex == position.short_dex),
        )
        if same
    )


def proved(step: Step, leg: Side) -> bool:
    """Whether a recorded leg is proved closed: flat after its last close ended, or filled for all that is recorded."""
    closes, quantity = step.of(Effect.CLOSE, leg), recorded(step.after, leg)
    if not closes or not closes[-1].state.terminal:
        return False
    return closes[-1].flat_at is not None or (quantity is not None and _filled(closes) >= Fraction(quantity))


def changed(position: Position, **fields: Any) -> Position:
    """The position with some `fields` replaced, and the version that belongs to it."""
    after = position.model_copy(update=fields)
    return after.model_copy(update={"version": position.version + 1}) if _material(position, after) else after


def stopped(switch: Switch, before: Intent | None, after: Intent, position: Position | None) -> str | None:
    """Why the switch forbids an intent to become `after`; None if it does not. `position` is as it was before.

    Only planning and sending are ever forbidden: what is learnt of an order that was sent is always kept.
    """
    learnt = before is not None and before.state is after.state
    if switch is Switch.RUN or after.state.terminal or learnt:
        return None
    if switch is Switch.KILL:
        return "the kill switch is on: nothing is sent"
    if after.effect is Effect.OPEN:
        return f"the switch is on {switch}: nothing is opened"
    exits = after.state is _STATE.PLANNED and position is not None and position.status is _STATUS.OPEN
    return "the switch is on pause: no exit begins" if exits and switch is Switch.PAUSE else None


def refused_intent(before: Intent | None, after: Intent, step: Step) -> str | None:
    """Why an intent may not become `after`; None if it may. `step` is what its position does, `after` included."""
    if after.state not in NEXT_STATE[before.state if before else None]:
        return f"an intent that {f'is {before.state}' if before else 'does not exist'} can not be {after.state}"
    return _first(_of_new(after, step) if before is None else _of_change(before, after, step))


def refused_position(step: Step, *, parent: Step | None = None, successor: Step | None = None) -> str | None:
    """Why a position may not change so; None if it may.

    `parent` is the step of the position that it continues, `successor` of the one that continues it, where the same
    transaction has them.
    """
    before, after = step.before, step.after
    if step.moves and after.status not in NEXT[before.status if before else None]:
        return f"a position that {f'is {before.status}' if before else 'does not exist'} can not be {after.status}"
    fault = _first(_of_fields(before, step)) if before is not None else None
    if fault is None and step.moves:
        fault = _first(_of_beginning(step, parent) if before is None else _of_move(before, step, successor))
    return fault


def _of_new(after: Intent, step: Step) -> _Faults:
    others = [one for one in step.of(after.effect, after.leg) if one.key != after.key]
    decided_on = step.before or step.after
    yield after.revision != 0, "a new intent has revision 0"
    yield after.version != decided_on.version, "the intent was decided on another version of the position"
    yield after.market != market_of(step.after, after.leg), "the intent is for another market than its leg's"
    yield not all(other.state.terminal for other in others), "an earlier attempt has not ended"
    yield after.attempt != len(others) + 1, "attempts are counted from 1, without a gap"
    if after.effect is Effect.OPEN:
        begins = step.before is None and step.after.status is _STATUS.OPENING
        yield not begins, "an open is planned where its position begins, and only there"
        yield after.sent_at is not None, "a leg that a rotation keeps is not sent again"
        return
    yield after.state is not _STATE.PLANNED, "a close begins as planned"
    yield step.after.status not in _CLOSING, f"nothing is closed of a position that is {step.after.status}"
    yield recorded(step.after, after.leg) is None, "nothing is recorded of the leg"
    yield after.leg in kept(step.after), "the rotation keeps this leg: drop its target first"
    yield bool(others) and proved(Step(None, step.after, tuple(others)), after.leg), "the leg is proved closed"


def _of_change(before: Intent, after: Intent, step: Step) -> _Faults:
    sent, sends = before.state is _STATE.SENT, after.state is _STATE.SENT
    yield after.revision != before.revision + 1, "somebody else has changed the intent"
    yield any(getattr(before, name) != getattr(after, name) for name in _ORDER), "an intent's order can not be changed"
    if sent:
        same = (after.quantity, after.sent_at) == (before.quantity, before.sent_at)
        yield not same, "what was sent can not be changed"
        yield _amount(after.filled) < _amount(before.filled), "what was filled can not be taken back"
    elif sends and after.effect is Effect.CLOSE:
        others = [one for one in step.of(Effect.CLOSE, after.leg) if one.key != after.key]
        left = _amount(recorded(step.after, after.leg)) - _filled(others)
        yield _amount(after.quantity) > left, "a close is for no more than what is left of the recorded leg"
    elif not sends:
        yield after.sent_at is not None, "an intent that was never sent has no time at which it was sent"


def _of_fields(before: Position, step: Step) -> _Faults:
    after = step.after
    fixed = all(getattr(before, name) == getattr(after, name) for name in _IDENTITY)
    yield not fixed, "a position's pair, opening time and parent can not be changed"
    closed = before.status is _STATUS.CLOSED and _material(before, after)
    yield closed, "the position is closed"
    yield after.version != before.version + _material(before, after), "somebody else has changed the position"
    yield not _terms_allowed(before, step), f"size and legs can not change so: the position is {before.status}"
    begins_closing = before.status is _STATUS.OPEN and after.status is _STATUS.PENDING_CLOSE
    aimed = after.then is None or after.then == before.then or begins_closing
    yield not aimed, "the target of a switch is set where its close begins, and then only dropped"


def _terms_allowed(before: Position, step: Step) -> bool:
    """Whether size and legs may change as they do."""
    after = step.after
    differing = {name for name in _TERMS if getattr(before, name) != getattr(after, name)}
    if not differing:
        return True
    if (before.status, after.status) in (
        (_STATUS.OPEN, _STATUS.OPEN),  # read, or merged with what the host traded
        (_STATUS.OPENING, _STATUS.OPEN),
        (_STATUS.OPENING, _STATUS.PENDING_CLOSE),
    ):
        return True
    if not differing <= set(_QUANTITY.values()):
        return False
    legs = [leg for leg, name in _QUANTITY.items() if name in differing]
    if before.status is _STATUS.OPEN:  # a leg is gone
        return all(recorded(after, leg) is None for leg in legs)
    return before.status in _CLOSING and all(recorded(before, leg) is None and _orphan(step, leg) for leg in legs)


def _of_beginning(step: Step, parent: Step | None) -> _Faults:
    after, opens = step.after, step.intents
    yield after.then is not None, "a position begins without the target of a switch"
    if after.status is _STATUS.OPEN:
        yield bool(opens), "a position that is taken over has no intents"
        yield after.parent is not None, "a successor is opened, not taken over"
        return
    both = sorted((one.effect, one.leg) for one in opens) == [(Effect.OPEN, leg) for leg in Side]
    yield not both, "an opening needs an intent for each leg"
    inherited = {one.leg: one.filled for one in opens if one.state is _STATE.FILLED}
    if after.parent is None:
        yield bool(inherited), "only a leg that a rotation keeps begins as filled"
        return
    ends = parent is not None and parent.moves and parent.after.status is _STATUS.CLOSED
    yield not ends, "a successor begins where its parent is closed"
    old = parent.after if parent else after
    yield old.then is None or old.then.pair != after.pair, "a successor is the target of its parent's switch"
    handed = {leg: recorded(old, leg) for leg in kept(old)}
    yield inherited != handed, "a successor takes over the leg that the rotation keeps, in its tokens"


def _of_move(before: Position, step: Step, successor: Step | None) -> _Faults:
    """What is missing for a change of status."""
    if before.status is _STATUS.OPENING:
        yield from _of_opened(step)
    elif before.status is _STATUS.OPEN:
        yield from _of_exit(before, step)
    else:
        yield from _of_closing(step, successor)


def _of_opened(step: Step) -> _Faults:
    after = step.after
    opens = {leg: step.of(Effect.OPEN, leg)[0] for leg in Side}
    filled = {leg: one.filled for leg, one in opens.items()}
    if after.status is _STATUS.CLOSED:
        ended = all(one.state.terminal and one.filled is None for one in opens.values())
        yield not ended, "something is filled, or may yet be"
        return
    if after.status is _STATUS.OPEN:
        yield any(one.state is not _STATE.FILLED for one in opens.values()), "both legs must be filled"
    else:
        yield not all(one.state.terminal for one in opens.values()), "an open may yet be filled"
        yield from _of_closes(step)
    exact = all(recorded(after, leg) == filled[leg] or _orphan(step, leg) for leg in Side)
    yield not exact, "the legs are recorded as they are filled"


def _of_exit(before: Position, step: Step) -> _Faults:
    after = step.after
    if after.status is _STATUS.CLOSED:
        yield any(recorded(after, leg) is not None for leg in Side), "a leg is recorded: nothing proves it gone"
        return
    yield any(recorded(before, leg) is None for leg in Side), "a leg was never read: it is not traded"
    yield from _of_closes(step)


def _of_closes(step: Step) -> _Faults:
    """Whether every leg that is there is closed, unless a rotation keeps it."""
    legs = closing_legs(step.after)
    yield not legs, "nothing is recorded that could be closed"
    yield not all(step.of(Effect.CLOSE, leg) for leg in legs), "a close needs an intent for each leg that it closes"


def _of_closing(step: Step, successor: Step | None) -> _Faults:
    after, legs = step.after, closing_legs(step.after)
    done = [leg for leg in legs if proved(step, leg)]
    if after.status is _STATUS.HALF_CLOSED:
        begun = len(legs) == 2 and all(step.of(Effect.CLOSE, leg) for leg in legs)
        yield not begun or len(done) != 1, "one of two closing legs must be proved closed, and the other not"
        return
    yield not all(one.state.terminal for one in step.intents), "an order may still be under way"
    yield len(done) < len(legs), "a leg is not proved closed"
    follows = after.then is None or (successor is not None and successor.before is None)
    yield not follows, "a switch ends with its successor, or without its target"


def closing_legs(position: Position) -> list[Side]:
    """The legs that a close trades: those that are recorded, and that no rotation keeps."""
    return [leg for leg in Side if recorded(position, leg) is not None and leg not in kept(position)]


def _orphan(step: Step, leg: Side) -> bool:
    """Whether a leg may be there though its open was found to have done nothing."""
    return any(one.state is _STATE.VOID and one.sent_at is not None for one in step.of(Effect.OPEN, leg))


def _material(before: Position, after: Position) -> bool:
    """Whether the change makes another version of the position."""
    return any(getattr(before, name) != getattr(after, name) for name in ("status", *_TERMS))


def market_of(position: Position, leg: Side) -> Market:
    """The market of a leg."""
    return position.markets[leg is Side.SHORT]


def _amount(quantity: Decimal | None) -> Fraction:
    """A quantity, exactly; none is 0."""
    return Fraction(quantity or 0)


def _filled(intents: Iterable[Intent]) -> Fraction:
    """What is filled of intents, exactly."""
    return sum((_amount(intent.filled) for intent in intents), Fraction(0))


def _first(faults: _Faults) -> str | None:
    """Why the first fault that is there is one; None if none is."""
    return next((why for there, why in faults if there), None)
