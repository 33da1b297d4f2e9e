"""Rows of a sweep as a table, and as a map of two parameters where there are two."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from ...domain.numbers import plain, read_number
from ...errors import InputError
from ..table import FIGURES
from .markup import DASH, Markup, bp, element, join, percent
from .tables import table

if TYPE_CHECKING:
    from ..table import SweepRow

RESULTS = frozenset((*FIGURES, "hold_through_bps", "never_trade_bps", "optimum_bps", "regret_bps"))
"""What came of a setting; all other names are its parameters."""
ROWS = 500
"""Rows that are shown at most: the best and the worst are among them."""

Row = Mapping[str, object]


def plain_rows(rows: Sequence[Row | SweepRow]) -> list[Row]:
    """The rows of a sweep as mappings with the same keys; what a row does not have is an empty text."""
    found = [row if isinstance(row, Mapping) else {**row.parameters, **row.texts()} for row in rows]
    names = dict.fromkeys(name for row in found for name in row)
    return [{name: "" if row.get(name) is None else row[name] for name in names} for row in found]


def sensitivity(rows: Sequence[Row]) -> Markup:
    """The section's content: how what was earned depends on the parameters."""
    results = [name for name in rows[0] if name in RESULTS and any(row[name] != "" for row in rows)]
    given = [name for name in rows[0] if name not in RESULTS]
    varied = [name for name in given if len({str(row[name]) for row in rows}) > 1]
    earned = [name for name in results if name.endswith(("_bps", "_share"))]
    judged = next((name for name in ("net_bps", "captured_share", *earned) if name in earned), None)
    if judged is None:
        raise InputError("the rows of the sensitivity say nothing of what was earned, such as `net_bps`")
    fixed = [f"{name} {_text(name, rows[0][name])}" for name in given if name not in varied]
    note = element("p", f"The same in all: {', '.join(fixed)}.", class_="note") if fixed else Markup()
    return join(_map(rows, varied, judged), note, _table(rows, varied or given, results, judged))


def _map(rows: Sequence[Row], varied: Sequence[str], judged: str) -> Markup:
    """A map with a cell for each pair of values of two parameters; nothing for another number of them."""
    if len(varied) != 2:
        return Markup()
    across, down = sorted(varied, key=lambda name: len({str(row[name]) for row in rows}))
    cells = {(str(row[down]), str(row[across])): row[judged] for row in rows}
    if len(cells) != len(rows):
        return Markup()
    columns, lines = (sorted({str(row[name]) for row in rows}, key=_order) for name in (across, down))
    shade = _Shade([row[judged] for row in rows])
    body = (
        (_text(down, line), *(shade.cell(judged, cells.get((line, column))) for column in columns)) for line in lines
    )
    heads = (f"{_named(down)} ↓  {_named(across)} →", *(_text(across, column) for column in columns))
    return join(
        element("p", f"{_named(judged)} by {_named(down)} and {_named(across)}", class_="over"),
        table(heads, body, class_="map"),
    )


def _table(rows: Sequence[Row], names: Sequence[str], results: Sequence[str], judged: str) -> Markup:
    ordered = sorted(rows, key=lambda row: _figure(row[judged]) or Decimal("-Infinity"), reverse=True)
    shown = ordered if len(ordered) <= ROWS else [*ordered[: ROWS // 2], *ordered[-ROWS // 2 :]]
    shade = _Shade([row[judged] for row in rows])
    body = (
        tuple(_text(name, row[name]) for name in names)
        + tuple(shade.cell(name, row[name]) if name == judged else _text(name, row[name]) for name in results)
        for row in shown
    )
    left_out = len(rows) - len(shown)
    note = element("p", f"The {left_out:,} in the middle are left out.", class_="note") if left_out else Markup()
    return join(table([_named(name) for name in (*names, *results)], body), note)


class _Shade:
    """Cells whose colour says how far above or below zero a figure is, on one scale."""

    def __init__(self, values: Sequence[object]) -> None:
        known = [abs(figure) for value in values if (figure := _figure(value)) is not None]
        self._most = max(known, default=Decimal(0))

    def cell(self, name: str, value: object) -> Markup:
        """The cell of a figure."""
        figure = _figure(value)
        if figure is None:
            return element("td", DASH)
        share = float(abs(figure) / self._most) if self._most else 0.0
        return element(
            "td", _text(name, value), class_="shade less" if figure < 0 else "shade more", style=f"--share:{share:.3f}"
        )


def _figure(value: object) -> Decimal | None:
    """The number that a value is, or is the text of."""
    try:
        return read_number(value)
    except InputError:
        return None


def _order(text: str) -> tuple[bool, Decimal, str]:
    figure = _figure(text)
    return figure is None, figure if figure is not None else Decimal(0), text


def _text(name: str, value: object) -> str:
    figure = _figure(value)
    if figure is None:
        return DASH if value == "" else str(value)
    if name.endswith("_share"):
        return percent(figure)
    if name not in RESULTS:
        return plain(figure)
    return bp(figure) if name.endswith("_bps") else f"{int(figure):,}"


def _named(name: str) -> str:
    short = name if name == "worst_symbol_bps" else name.removesuffix("_bps")
    return short.replace("_", " ") if name in RESULTS else name
