"""Decisions in words: plain decimals with basis points beside them, durations, ages; never an exponent."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from .numbers import FRACTION_PLACES, plain, to_grid
from .verdict import Fact, Outcome, Verdict

if TYPE_CHECKING:
    from .record import DecisionRecord, LegRecord

_FRACTIONS = frozenset(("divergence", "rate", "margin", "gain", "cost", "improvement"))
_UNITS = ("_seconds", "_usd", "_bps", "_tokens")
"""Endings of a name that its number shows instead."""
_OUTCOMES = {
    Outcome.FIRED: "fired",
    Outcome.QUIET: "quiet",
    Outcome.NOT_EVALUATED: "not evaluated",
    Outcome.FAILED: "FAILED",
}


def bps(fraction: Decimal) -> str:
    """A fraction of notional as basis points: `-2 bp`."""
    return plain(Decimal(f"{to_grid(fraction, FRACTION_PLACES)}E-{FRACTION_PLACES - 4}")) + " bp"


def rate(fraction: Decimal) -> str:
    """A fraction with its basis points beside it: `-0.0002 (-2 bp)`."""
    return f"{plain(fraction)} ({bps(fraction)})"


def span(seconds: int) -> str:
    """A duration in its two largest units: `3 h 20 min`."""
    sign, left = ("-", -seconds) if seconds < 0 else ("", seconds)
    hours, left = divmod(left, 3600)
    minutes, secs = divmod(left, 60)
    parts = [f"{number} {unit}" for number, unit in ((hours, "h"), (minutes, "min"), (secs, "s")) if number]
    return sign + " ".join(parts[:2] or ["0 s"])


def number(name: str, value: Decimal) -> str:
    """`value` in the unit that `name` carries."""
    if name.endswith("_seconds"):
        return span(int(value))
    if name.endswith("_usd"):
        return f"{value:,f} USD"
    if name.endswith("_bps"):
        return f"{plain(value)} bp"
    if name.endswith("_tokens"):
        return f"{plain(value)} tokens"
    if not name.endswith("_ratio") and not _FRACTIONS.isdisjoint(name.split("_")):
        return rate(value)
    return plain(value)


def fact(one: Fact) -> str:
    """A fact as `divergence -0.0002 (-2 bp), limit 0 (0 bp)`."""
    name = one.name
    for unit in _UNITS:
        name = name.removesuffix(unit)
    text = f"{name.replace('_', ' ')} {number(one.name, one.value)}"
    return text if one.limit is None else f"{text}, limit {number(one.name, one.limit)}"


def verdict(one: Verdict) -> Iterator[str]:
    """What a rule said, and under it what it said it of."""
    code = f"{one.reason} ({one.rule})" if one.reason else str(one.rule)
    yield f"{_OUTCOMES[one.outcome]}: {code}: {one.claim}"
    details = [*map(fact, one.facts), *(f"unknown {gap}" for gap in one.missing)]
    if details:
        yield f"  {'; '.join(details)}"


def _leg(side: str, leg: LegRecord) -> str:
    if leg.age_seconds is None:
        return f"{side} {leg.venue}: no quote"
    age = (
        f"seen {span(leg.age_seconds)} ago" if leg.age_seconds >= 0 else f"seen {span(-leg.age_seconds)} in the future"
    )
    value = "rate unknown" if leg.rate is None else f"{rate(leg.rate)} per 8 h"
    return f"{side} {leg.venue}: {value}, {leg.kind}, {age}" + (f", from {leg.origin}" if leg.origin else "")


def _lines(record: DecisionRecord) -> Iterator[str]:
    deciding = record.decided_by
    pair = f"{record.symbol} long {record.long.venue} / short {record.short.venue}"
    because = f": {record.reason}" if record.reason else ""
    urgent = f" ({record.urgency})" if record.reason else ""
    yield f"{record.action} {pair}{because}{urgent}"
    if record.target is not None:
        target = record.target
        yield f"  to {target.pair}, divergence {rate(target.divergence)} per 8 h"
    if deciding is not None:
        yield f"  {deciding.claim}"
        yield from (f"    {fact(one)}" for one in deciding.facts)
        if deciding.reopen_after is not None:
            yield f"  reopen after {deciding.reopen_after:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  as of {record.as_of:%Y-%m-%d %H:%M:%S} UTC"
    yield f"  {_leg('long', record.long)}"
    yield f"  {_leg('short', record.short)}"
    if not record.complete:
        yield "  incomplete: something that a rule reads is unknown, or a rule failed"
    for held in record.held_back:
        yield f"  held back: {held.reason} by {held.guard}: {held.why}"
    for warning in record.warnings:
        yield f"  warning: {fact(warning)}"
    others = [one for one in record.verdicts if one is not deciding]
    if others:
        yield "  the other rules:" if deciding is not None else "  what each rule said:"
        for one in others:
            yield from (f"    {line}" for line in verdict(one))


def explain(record: DecisionRecord) -> str:
    """The whole decision as text of several lines."""
    return "\n".join(_lines(record))
