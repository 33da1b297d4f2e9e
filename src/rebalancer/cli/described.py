"""The description of a history as tables, for any width."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..domain.explain import span
from ..domain.numbers import BPS, FRACTION_PLACES, divide_half_even, from_grid, to_grid
from ..domain.times import seconds
from ..history.describe import HistoryDescription, IntervalCount, MarketDescription, PairDescription
from .fit import fitting
from .render import counted, table

DAY = 24
UNITS = "Rates are basis points per 8 h; a divergence is that of the second venue less that of the first."


def show(console: Console, found: HistoryDescription, *, title: str) -> None:
    """What there is, then each market, then each pair."""
    console.print(Text(title, style="bold"))
    console.print(
        Text(
            f"{found.start:%Y-%m-%d %H:%M} to {found.end:%Y-%m-%d %H:%M} UTC: {found.rows:,} {'/'.join(found.kinds)} "
            f"rates, {counted(len(found.markets), 'market')} of {counted(len(found.symbols), 'symbol')} on "
            f"{', '.join(found.venues)}."
        ),
        soft_wrap=True,
    )
    console.print(f"{UNITS}\n", soft_wrap=True)
    console.print(fitting(console, _of(found.markets, _market_table)))
    if found.pairs:
        console.print(fitting(console, _of(found.pairs, _pair_table)))


def _of(
    rows: tuple[MarketDescription, ...] | tuple[PairDescription, ...], make: Callable[..., Table]
) -> Callable[[str], Table]:
    return lambda between: make(rows, between)


def _market_table(rows: tuple[MarketDescription, ...], between: str) -> Table:
    made = table("market", "rows", "from", "to", "every", "covered", "gaps", "at rest", "zero", "median", "range")
    for one in rows:
        made.add_row(
            f"{one.symbol}{between}{one.venue}",
            f"{one.rows:,}",
            f"{one.first:%Y-%m-%d}",
            f"{one.last:%Y-%m-%d}",
            _rhythm(one.intervals, between),
            _percent(one.coverage),
            f"{one.gaps:,},{between}at most {span(seconds(one.longest_gap))}" if one.gaps else "none",
            _percent(one.at_mode),
            _percent(one.zero),
            _bps(one.median),
            Text(between).join((_bps(one.smallest), Text("to"), _bps(one.largest))),
        )
    return made


def _rhythm(intervals: tuple[IntervalCount, ...], between: str) -> str:
    """The interval of most rows, then the others."""
    return f",{between}".join(span(seconds(one.interval)) for one in intervals)


def _pair_table(rows: tuple[PairDescription, ...], between: str) -> Table:
    made = table("pair", "days", "mean", "deviation", "mean size", "above 0", "largest", "half-life")
    for one in rows:
        made.add_row(
            f"{one.symbol}{between}{one.long_dex}{between}{one.short_dex}",
            f"{Decimal(one.overlap_hours) / DAY:,.1f}",
            _bps(one.mean),
            _bps(one.deviation),
            _bps(one.mean_size),
            _percent(one.positive),
            _bps(one.largest),
            "-" if one.half_life_hours is None else f"{one.half_life_hours:,.1f} h",
        )
    return made


def _bps(value: Decimal | None) -> Text:
    """A rate in basis points, to a hundredth; red below 0; a dash where unknown."""
    if value is None:
        return Text("-")
    hundredths = divide_half_even(to_grid(value, FRACTION_PLACES) * 100, BPS)
    return Text(f"{from_grid(hundredths, 2):,.2f}", style="red" if hundredths < 0 else "")


def _percent(share: Decimal | None) -> str:
    if share is None:
        return "-"
    return f"{from_grid(divide_half_even(to_grid(share, 6), 1000), 1):.1f}%"
