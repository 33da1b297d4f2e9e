"""Rates and pairs as tables."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from ..domain.explain import span
from ..domain.market import Quote
from ..domain.missing import Missing
from ..domain.numbers import FRACTION_PLACES, from_grid, to_grid
from ..domain.opportunity import Opportunity
from ..domain.request import MarketRequest
from ..domain.snapshot import MarketSnapshot
from .render import table

INTERVALS_A_YEAR = 3 * 365
"""Eight-hour intervals: a rate per year is the rate per 8 h as often, without compounding."""
SHOWN = 12
"""How many gaps are listed of symbols and venues that the user did not name."""
BOUNDLESS = 10_000
"""Columns of a terminal on which everything fits."""
HOUR, MARGIN = 3600, 300
"""Seconds: a zone is off by whole hours, a fresh age by minutes."""


def rates(console: Console, snapshot: MarketSnapshot, asked: MarketRequest) -> None:
    """Every quote, the smallest rate of a symbol first."""
    rows = table("symbol", "venue", "bp/8 h", "%/year", "pays every", "settles in", "age")
    for quote in sorted(snapshot.quotes, key=lambda one: (one.symbol, one.rate.steps, one.venue)):
        rows.add_row(
            quote.symbol,
            quote.venue,
            bps(quote.rate.steps),
            _per_year(quote.rate.steps),
            span(quote.pays_seconds) if quote.pays_seconds else "always",
            _until(snapshot, quote),
            _age(snapshot, quote),
        )
    _print(console, snapshot, asked, rows, names=2, spans=3)


def pairs(snapshot: MarketSnapshot, *, above_bps: Decimal, limit: int) -> list[Opportunity]:
    """The pairs with a divergence above `above_bps` per 8 h, the largest first."""
    least = to_grid(above_bps, FRACTION_PLACES - 4)
    ranked = [pair for divergence, pair in snapshot.book.ranked(None) if divergence > least]
    return [snapshot.book.opportunity(pair) for pair in ranked[:limit]]


def opportunities(console: Console, snapshot: MarketSnapshot, asked: MarketRequest, found: list[Opportunity]) -> None:
    """Pairs with what a trader looks at first."""
    rows = table("symbol", "long", "short", "bp/8 h", "%/year", "smaller OI, USD", "age")
    for one in found:
        legs = [snapshot.by_market[market] for market in (one.pair.long, one.pair.short)]
        rows.add_row(
            one.symbol,
            one.long_dex,
            one.short_dex,
            bps(one.steps),
            _per_year(one.steps),
            _smaller(legs),
            _age(snapshot, min(legs, key=lambda leg: leg.observed_epoch)),
        )
    _print(console, snapshot, asked, rows, names=3, spans=1)


def _fits(console: Console, rows: Table, *, names: int, spans: int) -> bool:
    """Whether the terminal is wide enough; if so, the columns are as wide as they need.

    The first columns are names, to the left; the last are spans of time, which may be broken between words, as may a
    heading. Nothing else is.
    """
    wide = console.options.update(max_width=BOUNDLESS)
    most: list[int] = []
    for place, column in enumerate(rows.columns):
        if place < names:
            column.justify = "left"
        heading = Measurement.get(console, wide, column.header)
        cells = [Measurement.get(console, wide, cell) for cell in column.cells]
        breaks = place >= len(rows.columns) - spans
        column.width = max([heading.minimum, *(cell.minimum if breaks else cell.maximum for cell in cells)])
        most.append(max([heading.maximum, *(cell.maximum for cell in cells)]))
    left = console.width - Measurement.get(console, wide, rows).maximum
    if left < 0:
        return False
    for column, width in zip(rows.columns, most, strict=True):
        least = column.width or 0
        column.width = min(width, least + left)
        left -= column.width - least
    return True


def blocks(rows: Table) -> Iterator[Text]:
    """The rows for a narrow terminal: a line for each figure, so that no digit is lost."""
    for cells in zip(*(column.cells for column in rows.columns), strict=True):
        for column, cell in zip(rows.columns, cells, strict=True):
            yield Text.assemble(f"{column.header}: ", cell)
        yield Text()


def _print(
    console: Console, snapshot: MarketSnapshot, asked: MarketRequest, rows: Table, *, names: int, spans: int
) -> None:
    console.print(f"as of {snapshot.as_of:%Y-%m-%d %H:%M:%S} UTC\n", soft_wrap=True)
    if _fits(console, rows, names=names, spans=spans):
        console.print(rows)
    else:
        for line in blocks(rows):
            console.print(line, soft_wrap=True)
    if not rows.row_count:
        console.print(f"There is none among {len(snapshot.quotes)} rates.", soft_wrap=True)
    refused = sum(snapshot.book.leg(quote.market).refusal is not None for quote in snapshot.quotes)
    if refused:
        console.print(f"{refused} of {len(snapshot.quotes)} rates are too old or too early to count.", soft_wrap=True)
    for symbol in _without_rates(snapshot, asked):
        where = ", ".join(asked.venues) if asked.venues else "any venue"
        console.print(f"no rate of {symbol} on {where}", soft_wrap=True)
    due = [gap for gap in snapshot.missing if _is_due(gap, asked)]
    others = [gap for gap in snapshot.missing if not _is_due(gap, asked)]
    for gap in due + others[:SHOWN]:
        console.print(Text(f"missing: {gap}"), soft_wrap=True)
    if len(others) > SHOWN:
        console.print(f"and {len(others) - SHOWN} more are missing", soft_wrap=True)
    if _in_another_zone(snapshot):
        console.print(
            "All ages are off by whole hours: is the source in another zone (option row_zone of the service)?",
            soft_wrap=True,
        )


def _without_rates(snapshot: MarketSnapshot, asked: MarketRequest) -> list[str]:
    quoted = {quote.symbol for quote in snapshot.quotes}
    return [symbol for symbol in asked.symbols or () if symbol not in quoted]


def _is_due(gap: Missing, asked: MarketRequest) -> bool:
    """Whether the user has to know: it is about a venue or a symbol that was named, or about the answer as a whole."""
    return gap.venue in (asked.venues or ()) or gap.symbol in (asked.symbols or ()) or gap.venue is gap.symbol is None


def bps(steps: int) -> Text:
    """A rate or a divergence in basis points; red below zero."""
    return Text(f"{from_grid(steps, FRACTION_PLACES - 4):,.2f}", style="red" if steps < 0 else "")


def _per_year(steps: int) -> Text:
    return Text(f"{from_grid(steps * INTERVALS_A_YEAR, FRACTION_PLACES - 2):,.1f}", style="red" if steps < 0 else "")


def _until(snapshot: MarketSnapshot, quote: Quote) -> str:
    if not quote.pays_seconds:
        return "accrues"
    left = snapshot.book.leg(quote.market).settles_in
    return "unknown" if left is None else span(left)


def _age(snapshot: MarketSnapshot, quote: Quote) -> Text:
    """The age of a quote; red where it is too old or too early to count."""
    refused = snapshot.book.leg(quote.market).refusal is not None
    return Text(_short(snapshot.now - quote.observed_epoch), style="red" if refused else "")


def _short(seconds: int) -> str:
    """A duration in its larger unit, floored from two hours on: `47 min 3 s`, `11 h`."""
    return span(seconds if abs(seconds) < 2 * HOUR else int(seconds / HOUR) * HOUR)


def _smaller(legs: list[Quote]) -> str:
    known = [leg.open_interest_usd for leg in legs if leg.open_interest_usd is not None]
    return f"{min(known):,f}" if len(known) == len(legs) else "unknown"


def _in_another_zone(snapshot: MarketSnapshot) -> bool:
    """Whether all ages are off by the same number of whole hours, within five minutes."""
    ages = [snapshot.now - quote.observed_epoch for quote in snapshot.quotes]
    off = {(age + MARGIN) // HOUR for age in ages}
    return off not in (set(), {0}) and len(off) == 1 and all((age + MARGIN) % HOUR <= 2 * MARGIN for age in ages)
