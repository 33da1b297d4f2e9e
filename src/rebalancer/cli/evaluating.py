"""`rebalancer evaluate`: presets on one history at several costs, and whether what they earned was luck."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..domain.names import read_symbol, read_venue
from ..domain.numbers import plain
from ..history.table import FundingHistory
from ..replay import AtCost, Evaluation, Interval, replay
from ..replay import evaluate as run_evaluation
from ..replay.evaluate import StrategyMaker
from ..replay.evaluation import NOT_IN_IT, chosen
from .common import PluginNames, TrustUnits, aside, clear_errors, console, names, own_names, registry
from .fit import fitting
from .outputs import STDOUT, bar, check_file, opened, refuse_shared
from .render import bps, counted, table

ROUND_TRIPS = ("8", "16", "30")


def evaluate(
    history: Annotated[Path, typer.Argument(metavar="HISTORY", help="Funding rates: CSV, CSV.gz or Parquet.")],
    *,
    preset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME", help=f"One of {', '.join(own_names().presets)}; all unless given; may be given again."
        ),
    ] = None,
    plugin: PluginNames = None,
    trust_units: TrustUnits = False,
    round_trip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="BPS",
            help="What opening and closing a pair costs, in basis points, a leg trade a quarter of it; "
            f"may be given again. {', '.join(ROUND_TRIPS)} unless given.",
        ),
    ] = None,
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Only these symbols.")] = None,
    venues: Annotated[str | None, typer.Option(metavar="A,B", help="Only these venues.")] = None,
    parts: Annotated[int, typer.Option(metavar="N", min=1, help="Parts of time to choose and to test on.")] = 4,
    folds: Annotated[int, typer.Option(metavar="N", min=2, help="Folds of symbols to choose and to test on.")] = 3,
    seed: Annotated[int, typer.Option(metavar="N", help="What the resampling of symbols begins with.")] = 0,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; one a core unless given.")] = None,
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures as JSON; - is stdout.")] = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the tables as CSV.")] = None,
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the first preset's report at the middle cost, with the evaluation."),
    ] = None,
) -> None:
    """Evaluate presets at several costs, beside holding through and the optimum, in sample and out of sample."""
    with clear_errors(), ExitStack() as files:
        refuse_shared(history, json=json, csv=csv, html=html)
        makers = _makers(preset, plugin)
        read = FundingHistory.read(history, trust_units=trust_units).select(
            symbols=names(symbols, read_symbol, option="--symbols"),
            venues=names(venues, read_venue, option="--venues"),
        )
        json_file = opened(json, files) if json is not None else None
        check_file(csv, "--csv", files)
        check_file(html, "--html", files)
        with aside(), bar(f"evaluating {counted(len(makers), 'preset')}") as progress:
            found = run_evaluation(
                read,
                strategies=makers,
                round_trips=round_trip or ROUND_TRIPS,
                parts=parts,
                folds=folds,
                seed=seed,
                workers=workers,
                progress=progress,
            )
        if csv is not None:
            found.to_csv(csv)
        if html is not None:
            with aside():
                _page(html, found, read, makers, named=history.name)
        if json_file is not None:
            json_file.write(found.to_json() + "\n")
        if json is None or str(json) != STDOUT:
            _show(console(), found, title=f"{counted(len(makers), 'preset')} on {history.name}")


def _makers(listed: Sequence[str] | None, plugin: Sequence[str] | None) -> dict[str, StrategyMaker]:
    presets = registry(plugin).presets
    for name in listed or ():
        if name not in presets:
            presets.create(name)  # says what there is
    return {name: partial(presets.create, name) for name in listed or presets}


def _page(
    path: Path, found: Evaluation, history: FundingHistory, makers: Mapping[str, StrategyMaker], *, named: str
) -> None:
    """The report of the first strategy at the middle cost, with all that was found."""
    by_cost = sorted(found.by_cost, key=lambda one: one.round_trip_bps)
    middle = by_cost[(len(by_cost) - 1) // 2]
    name, make = next(iter(makers.items()))
    report = replay(make(costs=middle.costs), history, costs=middle.costs)
    report.to_html(
        path, title=f"{name} on {named}, a round trip of {plain(middle.round_trip_bps)} bp", evaluation=found
    )


def _show(out: Console, found: Evaluation, *, title: str) -> None:
    out.print(Text(title, style="bold"), soft_wrap=True)
    span = f"{found.bounds[0]:%Y-%m-%d %H:%M} to {found.bounds[-1]:%Y-%m-%d %H:%M} UTC"
    out.print(
        f"{span}, {counted(len(found.symbols), 'symbol')}. Net in bp of one leg's notional, summed over symbols; "
        "captured: net as a share of the hindsight optimum, and its 90 % interval by bootstrap over symbols.",
        soft_wrap=True,
    )
    for one in found.by_cost:
        legs = plain(one.costs.leg_bps)
        out.print(
            Text(f"\nA round trip of {plain(one.round_trip_bps)} bp, a leg trade of {legs} bp", "bold"), soft_wrap=True
        )
        out.print(fitting(out, partial(_earned, one, found)))
        for row in one.strategies:
            if row.error is not None:
                out.print(Text(f"{row.name} failed: {row.error}"), soft_wrap=True)
        out.print(fitting(out, partial(_parts, one, found)))
        _walked(out, one, found)
    out.print()
    for line in NOT_IN_IT:
        out.print(Text(line), soft_wrap=True)


def _earned(one: AtCost, found: Evaluation, between: str) -> Table:
    heads = ("above 0", "above hold-through", "trades a year")
    rows = table("strategy", "net", "captured", "90 % interval", *(head.replace(" ", between, 1) for head in heads))
    for row in one.rows:
        if row is one.hold_through:
            rows.add_section()
        rows.add_row(
            row.name,
            bps(row.net_bps),
            "-" if row.captured_share is None else f"{row.captured_share:.3f}",
            _interval(row.captured_interval),
            _of(row.symbols_above_zero, found),
            _of(row.symbols_above_hold_through, found),
            "-" if row.trades_a_year is None else f"{row.trades_a_year:,.0f}",
        )
    return rows


def _interval(interval: Interval | None) -> str:
    return "-" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"


def _of(number: int | None, found: Evaluation) -> str:
    return "-" if number is None else f"{number} of {len(found.symbols)}"


def _parts(one: AtCost, found: Evaluation, between: str) -> Table:
    """What was earned where: in each part of time, and on the worst symbol."""
    days = all((end - start).days for start, end in pairwise(found.bounds))
    starts = (f"{bound:%Y-%m-%d}" if days else f"{bound:%m-%d %H:%M}" for bound in found.bounds[:-1])
    rows = table("net", *(f"from{between}{start}" for start in starts), f"worst{between}symbol")
    for row in one.rows:
        if row is one.hold_through:
            rows.add_section()
        parts = row.parts_bps or (None,) * (len(found.bounds) - 1)
        worst = "-" if row.worst_symbol is None else f"{row.worst_symbol} {bps(row.worst_symbol_bps)}"
        rows.add_row(row.name, *map(bps, parts), worst)
    return rows


def _walked(out: Console, one: AtCost, found: Evaluation) -> None:
    """What choosing among the strategies would have earned where the choice was not made."""
    walked = one.walk_forward
    if walked is None or len([row for row in one.strategies if row.error is None]) < 2:
        return
    if walked.time:
        said = f"Before each part, the best of all parts before it: {_counted(chosen(walked.time))}. "
        out.print(Text(f"{said}Out of sample {bps(walked.in_time_bps)} bp."), soft_wrap=True)
    if walked.symbols:
        said = f"For each of {len(found.folds)} folds of symbols, the best on all others: "
        said += f"{_counted(chosen(walked.symbols))}. Out of sample {bps(walked.across_symbols_bps)} bp"
        share = one.across_symbols_share
        out.print(Text(said + ("." if share is None else f", {share:.3f} of the optimum.")), soft_wrap=True)


def _counted(times: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number} of {sum(times.values())}" for name, number in times.items())
