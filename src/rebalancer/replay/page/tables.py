"""The figures of a report as tables, each with bars of what was earned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ...domain.numbers import FRACTION_PLACES, from_grid
from .markup import Markup, bp, element, join, percent

if TYPE_CHECKING:
    from ..course import PairFigures
    from ..report import ReplayReport

BESIDE = {
    "this strategy": "net_bps",
    "holding through": "hold_through_bps",
    "never trading": "never_trade_bps",
    "hindsight optimum": "optimum_bps",
}


def beside(report: ReplayReport) -> Markup:
    """What the strategy earned beside what it is measured against."""
    figures = {name: getattr(report, figure) for name, figure in BESIDE.items()}
    return table(
        ("", "bp", ""),
        ((name, _bar_cell(value, figures.values())) for name, value in figures.items() if value is not None),
        class_="beside",
    )


def money(report: ReplayReport) -> Markup:
    """What was paid, what trading took, and what was left."""
    figures = {"funding settled": report.funding_bps, "costs": -report.cost_bps, "net": report.net_bps}
    return table(
        ("", "bp", ""),
        ((name, _bar_cell(value, figures.values())) for name, value in figures.items() if value is not None),
        class_="beside",
    )


def symbols(report: ReplayReport) -> Markup:
    """The symbols, those that earned the most first."""
    nets = [one.net_bps for one in report.symbols]
    ordered = sorted(report.symbols, key=lambda one: (-(one.net_bps or 0), one.symbol))
    heads = ("symbol", "net", "", "funding", "costs", "hold-through", "optimum", "captured", "trades", "days held")
    rows = (
        (
            one.symbol,
            _bar_cell(one.net_bps, nets),
            bp(one.funding_bps),
            bp(-one.cost_bps),
            bp(one.hold_through_bps),
            bp(one.optimum_bps),
            percent(one.captured_share),
            f"{one.trades:,}",
            bp(one.held_hours / 24),
        )
        for one in ordered
    )
    return table(heads, rows)


def pairs(found: Mapping[tuple[str, str], PairFigures]) -> Markup:
    """The pairs of venues, those that earned the most first."""
    ordered = sorted(found.items(), key=lambda item: (item[1].cost - item[1].funding, item[0]))
    nets = [_bps(one.funding - one.cost) for one in found.values()]
    rows = (
        (
            f"{long} / {short}",
            _bar_cell(_bps(one.funding - one.cost), nets),
            bp(_bps(one.funding)),
            bp(_bps(-one.cost)),
            f"{one.times:,}",
            bp(Decimal(one.held) / 86_400),
        )
        for (long, short), one in ordered
    )
    return table(("long / short", "net", "", "funding", "costs", "positions", "days held"), rows)


def reasons(report: ReplayReport) -> Markup:
    """The reasons to trade, those that traded the most first."""
    ordered = sorted(report.reasons, key=lambda one: (-one.trades, one.reason))
    nets = [one.funding_bps - one.cost_bps if one.funding_bps is not None else None for one in ordered]
    rows = (
        (
            element("code", one.reason),
            _bar_cell(net, nets),
            bp(one.funding_bps),
            bp(-one.cost_bps),
            f"{one.trades:,}",
            percent(Decimal(one.trades) / report.trades),
        )
        for one, net in zip(ordered, nets, strict=True)
    )
    return table(("reason", "net", "", "funding of what ended", "costs", "trades", "share of trades"), rows)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, class_: str | None = None) -> Markup:
    """A table whose first column are names. A cell that is markup of cells is taken as it is."""
    head = element("tr", *(element("th", name, scope="col") for name in heads))
    body = (
        element(
            "tr",
            element("th", row[0], scope="row"),
            *(cell if _is_cell(cell) else element("td", cell) for cell in row[1:]),
        )
        for row in rows
    )
    made = element("table", element("thead", head), element("tbody", *body), class_=class_)
    return element("div", made, class_="scroll", tabindex="0")


def _is_cell(text: str) -> bool:
    return isinstance(text, Markup) and text.startswith("<td")


def _bar_cell(value: Decimal | None, among: Iterable[Decimal | None]) -> Markup:
    """A figure, and its bar on the scale of the others: to the right what was earned, to the left what was lost."""
    known = [one for one in among if one is not None]
    low, high = min((*known, Decimal(0))), max((*known, Decimal(0)))
    number = element("td", bp(value), class_="loss" if value is not None and value < 0 else None)
    if value is None or low == high:
        return join(number, element("td", class_="bar"))
    zero, end = (float((one - low) / (high - low)) * 100 for one in (Decimal(0), value))
    style = f"left:{min(zero, end):.2f}%;width:{abs(end - zero):.2f}%"
    drawn = element("i", class_="less" if value < 0 else "more", style=style)
    line = element("i", class_="zero", style=f"left:{zero:.2f}%")
    return join(number, element("td", element("span", drawn, line), class_="bar"))


def _bps(steps: int) -> Decimal:
    return from_grid(steps, FRACTION_PLACES - 4)
