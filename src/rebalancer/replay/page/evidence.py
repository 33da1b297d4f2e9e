"""An evaluation on the page: the captured shares of all strategies at all costs in one drawing, and a table of each."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from ...domain.numbers import plain
from ..evaluation import chosen
from .markup import DASH, Markup, bp, element, join, percent
from .tables import table

if TYPE_CHECKING:
    from ..evaluation import AtCost, Evaluation, EvaluationRow

LOW, HIGH = Decimal("-0.5"), Decimal(1)
"""What the drawing shows: the optimum is at the right end, and what loses more than this is beyond the left one."""
RULES = {Decimal("-0.5"): "", Decimal(0): "0", Decimal("0.5"): "50", Decimal(1): ""}
"""Where lines stand, and what is said of them."""


def evidence(found: Evaluation) -> Markup:
    """The section."""
    said = (
        "What each strategy captured, at each cost of a round trip, of what perfect foresight would have earned, and "
        f"the interval that holds 90 % of {found.resamples:,} resamples of the symbols (bootstrap, percentile method). "
        "An arrow is a share below \N{MINUS SIGN}50 %."
    )
    folds = "; ".join(f"{number}: {', '.join(fold)}" for number, fold in enumerate(found.folds, start=1))
    return element(
        "section",
        element("h2", "Evaluation"),
        element("p", said, class_="note"),
        _drawing(found),
        *(_table(one, found) for one in found.by_cost),
        *([element("p", f"Folds of symbols: {folds}.", class_="note")] if folds else []),
        id="evaluation",
    )


def _drawing(found: Evaluation) -> Markup:
    """A line for each strategy, and a column for each cost, all on one scale."""
    heads = ("captured, %", *(f"{plain(one.round_trip_bps)} bp" for one in found.by_cost))
    lines = zip(*((*one.strategies, one.hold_through) for one in found.by_cost), strict=True)
    body = [(line[0].name, *map(_cell, line)) for line in lines]
    scale = ("", *(element("td", element("span", *_scale())) for _ in found.by_cost))
    return table(heads, [*body, scale], class_="shares")


def _cell(row: EvaluationRow) -> Markup:
    rules = [element("i", class_="rule" if at else "rule zero", style=_left(at)) for at in RULES]
    share, interval = row.captured_share, row.captured_interval
    if share is None:
        return element("td", element("span", *rules))
    tone = "less" if share < 0 else "more"
    drawn = []
    if interval is not None and interval.high > LOW:
        low, high = _place(interval.low), _place(interval.high)
        drawn.append(element("i", class_=f"range {tone}", style=f"left:{low:.2f}%;width:{high - low:.2f}%"))
    drawn.append(element("i", class_=f"{'beyond' if share < LOW else 'dot'} {tone}", style=_left(share)))
    return element("td", element("span", *rules, *drawn), title=f"{percent(share)}, {_interval(row)}")


def _scale() -> list[Markup]:
    return [element("b", said, style=_left(at)) for at, said in RULES.items() if said]


def _left(share: Decimal) -> str:
    return f"left:{_place(share):.2f}%"


def _place(share: Decimal) -> float:
    """Percent of the way from the left end to the right one; what is beyond an end is at it."""
    return float((min(max(share, LOW), HIGH) - LOW) / (HIGH - LOW)) * 100


def _table(one: AtCost, found: Evaluation) -> Markup:
    heads = ("net", "captured", "90 % interval", "above 0", "above hold-through", "trades a year", "worst symbol")
    starts = [f"from {bound:%Y-%m-%d}" for bound in found.bounds[:-1]]
    folds = [f"fold {number}" for number in range(1, len(found.folds) + 1)]
    return join(
        element("p", f"A round trip of {plain(one.round_trip_bps)} bp", class_="over"),
        table(("strategy", *heads), [_line(row, len(found.symbols)) for row in one.rows]),
        table(("net by part and fold", *starts, *folds), [_apart(row, len(starts), len(folds)) for row in one.rows]),
        element("p", _walked(one), class_="note"),
    )


def _line(row: EvaluationRow, symbols: int) -> tuple[str, ...]:
    above = (row.symbols_above_zero, row.symbols_above_hold_through)
    return (
        row.name,
        _net(row.net_bps),
        percent(row.captured_share),
        _interval(row),
        *(DASH if count is None else f"{count} of {symbols}" for count in above),
        DASH if row.trades_a_year is None else f"{row.trades_a_year:,.0f}",
        DASH if row.worst_symbol is None else f"{row.worst_symbol} {bp(row.worst_symbol_bps)}",
    )


def _apart(row: EvaluationRow, parts: int, folds: int) -> tuple[str, ...]:
    """What was earned in each part of time, and on each fold of symbols."""
    return (row.name, *map(_net, row.parts_bps or (None,) * parts), *map(_net, row.folds_bps or (None,) * folds))


def _net(value: Decimal | None) -> Markup:
    return element("td", bp(value), class_="loss" if value is not None and value < 0 else None)


def _interval(row: EvaluationRow) -> str:
    return DASH if row.captured_interval is None else " to ".join(map(percent, row.captured_interval))


def _walked(one: AtCost) -> str:
    """What was chosen without that on which it was tested, and what it earned there."""
    walked, said = one.walk_forward, [f"{row.name} failed: {row.error}." for row in one.strategies if row.error]
    if walked is not None and walked.time:
        said.append(
            f"Chosen before each part by all parts before it ({_counted(chosen(walked.time))}): "
            f"{bp(walked.in_time_bps)} bp out of sample."
        )
    if walked is not None and walked.symbols:
        said.append(
            f"Chosen for each fold of symbols by all others ({_counted(chosen(walked.symbols))}): "
            f"{bp(walked.across_symbols_bps)} bp, {percent(one.across_symbols_share)} of the optimum."
        )
    return " ".join(said)


def _counted(times: dict[str, int]) -> str:
    return ", ".join(f"{name} {number} of {sum(times.values())}" for name, number in times.items())
