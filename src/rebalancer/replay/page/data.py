"""What the drawings of a report are made of: plain JSON, with times as ticks and names as places in lists."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ...domain.numbers import BPS
from ...domain.times import epoch_seconds, seconds
from ..course import Change, Payments, equity, holdings
from ..log import TradeAction
from .rates import CENTS, Clock, means, packed, width

if TYPE_CHECKING:
    from ...history.table import FundingHistory
    from ..log import Trade
    from ..report import ReplayReport

EQUITY_POINTS = 1_000
"""Points of a line of equity at most."""
DAY = 86_400
SYMBOLS = 60
"""Symbols whose positions are drawn at most."""
TRADES = 40_000
"""Trades that are drawn at most."""

Courses = dict[str, list[Change]]
"""By name, what each way to trade would have done."""


def page_data(report: ReplayReport, history: FundingHistory, courses: Courses) -> dict[str, Any]:
    """All that is drawn. `history` is the decisive part of what was replayed."""
    clock = Clock(epoch_seconds(report.start), seconds(report.every), report.ticks)
    payments = Payments(history)
    points = _points(clock)
    return {
        "clock": clock._asdict(),
        "venues": list(history.venues),
        "reasons": sorted({trade.reason or "" for trade in report.log}),
        "actions": [action.value for action in TradeAction],
        "equity": {
            "unit": BPS,
            "ticks": [clock.tick(at) for at in points],
            "lines": [{"name": name, "values": equity(changes, payments, points)} for name, changes in courses.items()]
            if report.net_bps is not None
            else [],
        },
        "symbols": _symbols(report, history, courses, payments, clock),
        "left_out": len(history.symbols) - len(drawn(report)),
    }


def drawn(report: ReplayReport) -> list[str]:
    """The symbols that are drawn: as many as there is room for, those that lost the most first."""
    room = TRADES
    chosen: list[str] = []
    for one in sorted(report.symbols, key=lambda one: (one.net_bps or 0, one.symbol)):
        if len(chosen) < SYMBOLS and (one.trades <= room or not chosen):
            room -= one.trades
            chosen.append(one.symbol)
    return sorted(chosen)


def _points(clock: Clock) -> list[int]:
    """The instants at which equity is drawn: ticks on round times, such as the ends of days, and the last one."""
    last = clock.first + (clock.ticks - 1) * clock.every
    step = clock.every
    for hours in (1, 2, 3, 4, 6, 8, 12, 24, 48, 120, 240, 720):
        if (last - clock.first) // step <= EQUITY_POINTS:
            break
        if hours * 3600 % clock.every == 0:
            step = hours * 3600
    while (last - clock.first) // step > EQUITY_POINTS:
        step *= 2
    start = -(-clock.first // step) * step
    return sorted({clock.first, *range(start, last, step), last})


def _symbols(
    report: ReplayReport, history: FundingHistory, courses: Courses, payments: Payments, clock: Clock
) -> list[dict[str, Any]]:
    names = drawn(report)
    series = [one for one in history.series if one.market.symbol in names]
    every = width(clock.ticks, len(series))
    venues = {venue: place for place, venue in enumerate(history.venues)}
    reasons = {reason: place for place, reason in enumerate(sorted({trade.reason or "" for trade in report.log}))}
    found: dict[str, dict[str, Any]] = {
        name: {
            "name": name,
            "width": every,
            "markets": [
                {"venue": venues[one.market.venue], "rates": packed(means(one, clock, every=every))}
                for one in series
                if one.market.symbol == name
            ],
            "held": {course: [] for course in courses},
            "trades": [],
        }
        for name in names
    }
    for course, changes in courses.items():
        for hold in holdings(changes, payments):
            if hold.pair.symbol in found:
                legs = venues[hold.pair.long_dex], venues[hold.pair.short_dex]
                span = clock.tick(hold.opened), clock.tick(hold.left)
                found[hold.pair.symbol]["held"][course] += [*span, *legs, hold.funding // CENTS]
    actions = list(TradeAction)
    for trade in report.log:
        if trade.pair.symbol in found:
            found[trade.pair.symbol]["trades"].append(
                _trade(trade, clock, venues, action=actions.index(trade.action), reason=reasons[trade.reason or ""])
            )
    return list(found.values())


def _trade(trade: Trade, clock: Clock, venues: dict[str, int], *, action: int, reason: int) -> list[Any]:
    """Tick, action, reason, the pair, the pair that a switch opened and its symbol, divergences, and the cost."""
    target = trade.target
    legs: Sequence[Any] = (venues[trade.pair.long_dex], venues[trade.pair.short_dex])
    to: Iterable[Any] = (venues[target.long_dex], venues[target.short_dex]) if target is not None else (-1, -1)
    other = target.symbol if target is not None and target.symbol != trade.pair.symbol else 0
    seen = None if trade.divergence is None else trade.divergence // CENTS
    return [
        clock.tick(trade.at),
        action,
        reason,
        *legs,
        *to,
        other,
        seen,
        trade.entry_divergence // CENTS,
        trade.cost // CENTS,
    ]
