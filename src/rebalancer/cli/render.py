"""Tables for a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..costs import Costs
from ..domain.explain import rate, span
from ..domain.numbers import plain
from ..domain.times import seconds
from ..plugins import Catalogue
from ..replay import ReplayReport
from ..rules.base import BaseRule
from ..rules.combined import CombinedStrategy
from .common import aside

PURE = ("keep", "max_ratio", "min_ratio")
"""The parameters that are pure ratios; the other decimals are fractions of notional."""

UNITS = "Figures: bp of one leg's notional, summed over symbols."
EVIDENCE = (
    "Evidence for adaptive: on a year of settled rates (21 symbols, five markets each) it kept 0.50, 0.50 and 0.48 of "
    "what perfect foresight could have earned at round trips of 8, 16 and 30 bp, every symbol above zero; holding "
    "through kept 0.24, 0.27 and 0.30. Funding only. On your own history: rebalancer evaluate HISTORY."
)
LITERAL = (
    "combined, conservative and aggressive act on raw rates, and so on noise: on real histories they pay more in costs "
    "than they earn. adaptive acts on means of days, and is the one to begin with. "
    "Compare net with hold-through before trusting one."
)


def bps(value: Decimal | None) -> Text:
    """A figure in basis points: one decimal, thousands grouped, red below zero; a dash where unknown."""
    if value is None:
        return Text("-")
    return Text(f"{value:,.1f}", style="red" if value < 0 else "")


def report(console: Console, found: ReplayReport, *, title: str) -> None:
    """A replay's summary, its trades by reason, and each symbol."""
    console.print(Text(title, style="bold"))
    console.print(
        f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC, a tick every {span(seconds(found.every))}: "
        f"{found.rows:,} rows, {counted(len(found.symbols), 'symbol')} on {', '.join(found.venues)}.",
        soft_wrap=True,
    )
    console.print(f"A leg trade costs {_costs(found.costs)}. {UNITS}\n", soft_wrap=True)
    console.print(_summary(found))
    console.print(_reasons(found))
    console.print(_symbols(found))
    for note in _notes(found):
        console.print(note, soft_wrap=True)


def counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _summary(found: ReplayReport) -> Table:
    rows = table("result", "bp")
    rows.add_row("funding settled", bps(found.funding_bps))
    rows.add_row(f"costs of {found.legs_traded:,} leg trades", bps(-found.cost_bps))
    rows.add_row(Text("net", style="bold"), bps(found.net_bps))
    rows.add_section()
    rows.add_row("hold-through (best pair once, kept)", bps(found.hold_through_bps))
    rows.add_row("never trade", bps(found.never_trade_bps))
    if found.optimum_bps is not None:
        rows.add_row("hindsight optimum (perfect foresight)", bps(found.optimum_bps))
        rows.add_row("regret (optimum less net)", bps(found.regret_bps))
        rows.add_row("captured share (net of optimum)", share(found.captured_share))
    return rows


def share(value: Decimal | None) -> Text:
    """A ratio as a percentage with one decimal; a dash where there is none."""
    return Text("-" if value is None else f"{value * 100:,.1f} %")


def _reasons(found: ReplayReport) -> Table:
    rows = table("trades by reason", "trades", "funding of what ended", "costs")
    for one in found.reasons:
        rows.add_row(one.reason, f"{one.trades:,}", bps(one.funding_bps), bps(-one.cost_bps))
    return rows


def _symbols(found: ReplayReport) -> Table:
    rows = table("symbol", "net", "funding", "costs", "hold-through", "optimum", "trades", "days held")
    for one in found.symbols:
        days = f"{one.held_hours / 24:.1f}"
        costs = bps(-one.cost_bps)
        rows.add_row(
            one.symbol,
            bps(one.net_bps),
            bps(one.funding_bps),
            costs,
            bps(one.hold_through_bps),
            bps(one.optimum_bps),
            f"{one.trades:,}",
            days,
        )
    return rows


def _notes(found: ReplayReport) -> Iterator[str]:
    if found.net_bps is None:
        yield "No rate of this history was settled, and only settled rates pay: there is no net."
    if found.lone_leg_hours:
        yield f"For {plain(found.lone_leg_hours)} h one leg's market had ended and the other earned alone."
    if found.ignored:
        yield f"Not settled, so not used: {', '.join(found.ignored)}."
    if found.net_bps is not None and found.hold_through_bps is not None and found.net_bps < found.hold_through_bps:
        yield "Holding through would have earned more: this strategy paid for trading on noise."


def _costs(costs: Costs) -> str:
    exceptions = "".join(f", {plain(leg_bps)} bp on {venue}" for venue, leg_bps in costs.venues)
    return f"{plain(costs.leg_bps)} bp{exceptions}"


def table(first: str, *figures: str) -> Table:
    """A table of one name and figures; in a narrow terminal they are folded, so that no digit is lost."""
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column(first, overflow="fold")
    for figure in figures:
        table.add_column(figure, justify="right", overflow="fold")
    return table


def presets(console: Console, named: Catalogue[CombinedStrategy]) -> None:
    """Every preset: its rules in order, with their numbers and units."""
    for name in named:
        with aside():
            strategy = named.create(name)
        table = Table(box=SIMPLE_HEAD, pad_edge=False, title=Text(name, style="bold"), title_justify="left")
        for column in ("", "rule", "reason", "urgency", "numbers"):
            table.add_column(column)
        for place, one in enumerate(strategy.rules, start=1):
            if isinstance(one, BaseRule):
                table.add_row(str(place), one.name, one.reason, one.urgency, numbers(one))
        console.print(table)
    console.print(EVIDENCE, soft_wrap=True)
    console.print(LITERAL, soft_wrap=True)


def numbers(one: BaseRule) -> str:
    """A rule's effective parameters, each with its unit."""
    fields = (name for name in type(one).model_fields if name not in BaseRule.model_fields)
    shown = ((name, getattr(one, name)) for name in fields)
    return ", ".join(f"{name} {_number(name, value)}" for name, value in shown if value is not None)


def _number(name: str, value: object) -> str:
    if isinstance(value, timedelta):
        return span(seconds(value))
    if isinstance(value, Costs):
        return f"{_costs(value)} a leg"
    if not isinstance(value, Decimal):
        return str(value)
    if name.endswith("_bps"):
        return f"{plain(value)} bp"
    return plain(value) if name in PURE else rate(value)
