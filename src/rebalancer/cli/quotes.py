"""Rates and pairs as tables."""

from __future__ import annotations

from decimal import Decimal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..domain.explain import span
from ..domain.market import Quote
from ..domain.numbers import FRACTION_PLACES, from_grid, to_grid
from ..domain.opportunity import Opportunity
from ..domain.snapshot import MarketSnapshot
from .render import table

INTERVALS_A_YEAR = 3 * 365
"""Eight-hour intervals: a rate per year is the rate per 8 h as often, without compounding."""
SHOWN = 12
"""How many gaps are listed."""
HOUR, MARGIN = 3600, 300
"""Seconds: a zone is off by whole hours, a fresh age by minutes."""


def rates(console: Console, snapshot: MarketSnapshot) -> None:
    """Every quote, the smallest rate of a symbol first."""
    rows = table("symbol", "venue", "bp/8 h", "%/year", "pays every", "settles in", "age")
    _words(rows, 2)
    for quote in sorted(snapshot.quotes, key=lambda one: (one.symbol, one.rate.steps, one.venue)):
        rows.add_row(
            quote.symbol,
            quote.venue,
            _bps(quote.rate.steps),
            _per_year(quote.rate.steps),
            span(quote.pays_seconds) if quote.pays_seconds else "always",
            _until(snapshot, quote),
            _age(snapshot, quote),
        )
    _print(console, snapshot, rows)


def pairs(snapshot: MarketSnapshot, *, above_bps: Decimal, limit: int) -> list[Opportunity]:
    """The pairs with a divergence above `above_bps` per 8 h, the largest first."""
    least = to_grid(above_bps, FRACTION_PLACES - 4)
    ranked = [pair for divergence, pair in snapshot.book.ranked(None) if divergence > least]
    return [snapshot.book.opportunity(pair) for pair in ranked[:limit]]


def opportunities(console: Console, snapshot: MarketSnapshot, found: list[Opportunity]) -> None:
    """Pairs with what a trader looks at first."""
    rows = table("symbol", "long", "short", "bp/8 h", "%/year", "smaller OI, USD", "age")
    _words(rows, 3)
    for one in found:
        legs = [snapshot.by_market[market] for market in (one.pair.long, one.pair.short)]
        rows.add_row(
            one.symbol,
            one.long_dex,
            one.short_dex,
            _bps(one.steps),
            _per_year(one.steps),
            _smaller(legs),
            _age(snapshot, min(legs, key=lambda leg: leg.observed_epoch)),
        )
    _print(console, snapshot, rows)


def _words(rows: Table, columns: int) -> None:
    """The first columns are names: to the left, and as wide as they are."""
    for column in rows.columns[:columns]:
        column.justify, column.no_wrap = "left", True


def _print(console: Console, snapshot: MarketSnapshot, rows: Table) -> None:
    console.print(f"as of {snapshot.as_of:%Y-%m-%d %H:%M:%S} UTC\n", soft_wrap=True)
    console.print(rows)
    if not rows.row_count:
        console.print(f"There is none among {len(snapshot.quotes)} rates.", soft_wrap=True)
    refused = sum(snapshot.book.leg(quote.market).refusal is not None for quote in snapshot.quotes)
    if refused:
        console.print(f"{refused} of {len(snapshot.quotes)} rates are too old or too early to count.", soft_wrap=True)
    for gap in snapshot.missing[:SHOWN]:
        console.print(Text(f"missing: {gap}"), soft_wrap=True)
    if len(snapshot.missing) > SHOWN:
        console.print(f"and {len(snapshot.missing) - SHOWN} more are missing", soft_wrap=True)
    if _in_another_zone(snapshot):
        console.print(
            "All ages are off by whole hours: is the source in another zone (option row_zone of the service)?",
            soft_wrap=True,
        )


def _bps(steps: int) -> Text:
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
