"""The record of a decision: what every rule said, how the legs were seen, and what should be known besides."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from ..domain.decision import Head
from ..domain.numbers import fraction
from ..domain.position import ENTRY_TOLERANCE, Position
from ..domain.quoted_legs import Leg
from ..domain.record import DecisionRecord, LegRecord
from ..domain.snapshot import MarketSnapshot
from ..domain.targets import TargetFilter
from ..domain.verdict import Action, Fact, Outcome, Verdict
from .asking import ask
from .base import Rule
from .context import RuleContext


def record(
    position: Position,
    snapshot: MarketSnapshot,
    rules: Sequence[Rule],
    said: Mapping[int, Verdict],
    head: Head,
    targets: TargetFilter,
) -> DecisionRecord:
    """The whole decision. A rule that was asked while deciding is not asked again: `said` has its answer."""
    context = RuleContext(position, snapshot, targets)
    verdicts = tuple(said.get(place) or ask(rule, context) for place, rule in enumerate(rules))
    fired = next((place for place, verdict in enumerate(verdicts) if verdict.outcome is Outcome.FIRED), None)
    counted = verdicts if fired is None else verdicts[: fired + 1]
    return DecisionRecord(
        as_of=snapshot.as_of,
        position_id=position.id,
        position_version=position.version,
        symbol=position.symbol,
        long=_leg(snapshot.book.leg(position.pair.long)),
        short=_leg(snapshot.book.leg(position.pair.short)),
        action=head.action,
        reason=head.reason,
        target=verdicts[fired].target if fired is not None and head.action is Action.SWITCH else None,
        urgency=head.urgency,
        complete=not any(verdict.incomplete for verdict in counted),
        verdicts=verdicts,
        held_back=tuple(held for verdict in verdicts for held in verdict.held_back),
        warnings=tuple(_warnings(position, snapshot)),
        targets=targets,
    )


def _leg(leg: Leg) -> LegRecord:
    return LegRecord(
        venue=leg.market.venue,
        rate=None if leg.rate is None else fraction(leg.rate),
        age_seconds=leg.age,
        kind=leg.quote.kind if leg.quote else None,
        origin=leg.quote.origin if leg.quote else None,
    )


def _warnings(position: Position, snapshot: MarketSnapshot) -> Iterator[Fact]:
    """Clocks that disagree, entry figures that disagree, settlements that the payment interval does not allow."""
    book = snapshot.book
    if position.opened_epoch > snapshot.now:
        yield Fact("opened_after_now_seconds", position.opened_epoch - snapshot.now, limit=0)
    if position.entry_gap > ENTRY_TOLERANCE:
        yield Fact("entry_divergence_gap", fraction(position.entry_gap), limit=fraction(ENTRY_TOLERANCE))
    for leg in (book.leg(position.pair.long), book.leg(position.pair.short)):
        if leg.age is not None and leg.age < 0:
            yield Fact(f"{leg.market.venue}_ahead_of_now_seconds", -leg.age)
        if leg.too_far_ahead is not None:
            yield Fact(f"{leg.market.venue}_settles_in_seconds", leg.too_far_ahead, limit=leg.pays_every)
