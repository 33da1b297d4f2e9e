"""What a report says in words: its verdict, and what its figures take for granted."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from ...domain.explain import span
from ...domain.numbers import plain
from ...domain.times import seconds
from .markup import Markup, bp, element, join, percent

if TYPE_CHECKING:
    from ..report import ReplayReport


def counted(number: int, noun: str) -> str:
    """`3 symbols`, `1 symbol`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def setting(report: ReplayReport) -> str:
    """What was replayed, in a line."""
    return (
        f"{report.start:%Y-%m-%d %H:%M} to {report.end:%Y-%m-%d %H:%M} UTC, "
        f"a tick every {span(seconds(report.every))}, "
        f"{counted(report.rows, 'row')}, {counted(len(report.symbols), 'symbol')} on {', '.join(report.venues)}"
    )


def verdict(report: ReplayReport) -> Markup:
    """What came of it, in a sentence or two."""
    if report.net_bps is None:
        return join("No rate of this history was settled, and only settled rates pay: there is no net.")
    days = (report.end - report.start) / timedelta(days=1)
    said = [
        "The strategy ",
        "lost " if report.net_bps < 0 else "earned ",
        element("b", f"{bp(abs(report.net_bps))} bp"),
        f" in {days:,.0f} days. " if days >= 2 else ". ",
    ]
    if report.hold_through_bps is not None:
        said.append(f"Opening the best pair of each symbol once would have earned {bp(report.hold_through_bps)} bp")
    if report.optimum_bps is not None:
        said.append(f", perfect foresight {bp(report.optimum_bps)} bp")
    said.append(".")
    if report.hold_through_bps is not None and report.net_bps < max(report.hold_through_bps, Decimal(0)):
        better = "holding through" if report.hold_through_bps > 0 else "never trading"
        said.append(f" It did worse than {better}.")
    if report.funding_bps is not None and report.cost_bps > max(report.funding_bps, Decimal(0)):
        said.append(" Trading cost more than the funding that it collected.")
    return join(*said)


def tiles(report: ReplayReport) -> Iterator[tuple[str, str, str]]:
    """The headline figures: each with its name, and what it means."""
    yield "net", f"{bp(report.net_bps)} bp", "funding settled, less what trading cost"
    if report.optimum_bps is not None:
        yield "captured share", percent(report.captured_share), "net, of what perfect foresight would have earned"
        yield "regret", f"{bp(report.regret_bps)} bp", "what perfect foresight would have earned more"
    yield "trades", f"{report.trades:,}", f"{counted(report.legs_traded, 'leg')} traded"
    if report.funding_bps is not None and report.funding_bps > 0:
        share = percent(report.cost_bps / report.funding_bps)
        yield "share of costs", share, f"of the funding: {bp(report.cost_bps)} of {bp(report.funding_bps)} bp"
    else:
        yield "costs", f"{bp(report.cost_bps)} bp", "and no funding to pay them from"
    whole = Decimal(seconds(report.end - report.start)) / 3600 * max(1, len(report.symbols))
    if whole:
        yield "time in position", percent(report.held_hours / whole), "of all hours of all symbols"


def assumptions(report: ReplayReport) -> Iterator[str]:
    """What the figures rest on, and what they leave out."""
    exceptions = "".join(f", {plain(leg_bps)} bp on {venue}" for venue, leg_bps in report.costs.venues)
    yield (
        "All figures are basis points (bp) of one leg's notional, summed over symbols. Each symbol has one slot of one "
        "unit; nothing is compounded."
    )
    yield (
        "At each tick, in this order: settlements pay the positions that were opened before; the last settled rates "
        "are looked at; open positions are decided; symbols that were flat are offered to the entry policy; trades "
        "happen. Nothing is known before its time, and a rate older than two of its intervals is unknown."
    )
    yield (
        f"Trading one leg costs {plain(report.costs.leg_bps)} bp{exceptions}: fee, half the spread and slippage "
        "together. A rotation trades two legs, any other switch four. What is open at the end is closed at this cost."
    )
    yield (
        "Only settled funding counts. Left out are the difference in price between the legs and its changes, slippage "
        "beyond that cost, the depth of the book, margin, interest and liquidation, and outages of venues."
    )
    yield (
        "Holding through opens, once for each symbol, the pair with the largest difference of mean rates (half-life "
        "24 h) when that is above 1 bp, and keeps it to the end at the same costs."
    )
    if report.optimum_bps is not None:
        yield (
            "The hindsight optimum knows every rate in advance, and trades at the same ticks and costs. No strategy "
            "can beat it, and none will come near: it is a ruler."
        )
    yield "This was one history. What was chosen because it did well on it will do worse on the next."
    if report.lone_leg_hours:
        yield f"For {plain(report.lone_leg_hours)} h one leg's market had ended and the other earned alone."
    if report.ignored:
        yield f"Not settled, so not used: {', '.join(report.ignored)}."
    yield f"Computed by the engine: {report.engine}."
