"""`rebalancer sweep`: many settings of a preset on one history."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..domain.names import read_symbol, read_venue
from ..domain.numbers import plain
from ..errors import InputError
from ..history.table import FundingHistory
from ..presets import CONFIGS
from ..replay import Design, Split, SweepResult, WalkForward, between, grid, walk_forward
from ..replay import sweep as run_sweep
from ..replay.making import preset as maker_of
from .common import (
    PluginNames,
    PresetName,
    TrustUnits,
    aside,
    clear_errors,
    console,
    names,
    pairs,
    registry,
    speaking_of,
)
from .fit import fitting
from .outputs import bar, opened, refuse_shared
from .render import bps, table

SUFFIXES = (".csv", ".parquet")
SHOWN = 10
MIDNIGHT = "T00:00:00Z"
SAMPLES = (
    "In sample: all parts of time but the last, by which the rows are ranked. Out of sample: the last part, which had "
    "no say in it. A choice that is good in sample alone was made on noise."
)


def sweep(
    history: Annotated[Path, typer.Argument(metavar="HISTORY", help="Funding rates: CSV, CSV.gz or Parquet.")],
    *,
    preset: PresetName = "conservative",
    plugin: PluginNames = None,
    trust_units: TrustUnits = False,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=A,B",
            help="Values of a parameter of the preset, or FIRST:LAST:STEP; may be given again.",
        ),
    ] = None,
    leg_bps: Annotated[str, typer.Option(metavar="A,B", help="What trading one leg costs, in basis points.")] = "2",
    random: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Try N random settings of the grid instead of all.")
    ] = None,
    seed: Annotated[int, typer.Option(metavar="N", help="What --random begins with.")] = 0,
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Only these symbols.")] = None,
    venues: Annotated[str | None, typer.Option(metavar="A,B", help="Only these venues.")] = None,
    parts: Annotated[
        int, typer.Option("--walk-forward", metavar="N", min=1, help="Parts of time to choose and to test on.")
    ] = 4,
    workers: Annotated[int | None, typer.Option(metavar="N", min=1, help="Processes; one a core unless given.")] = None,
    resume: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write down what is finished, and go on from there.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the whole table: FILE.csv or FILE.parquet.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the table and the choices as JSON; - is stdout.")
    ] = None,
) -> None:
    """Replay many settings of a preset, and show the best beside what they earned out of sample."""
    with clear_errors(), ExitStack() as files:
        if out is not None and out.suffix.lower() not in SUFFIXES:
            raise InputError(f"--out writes {' or '.join(SUFFIXES)}: give a file that ends so")
        refuse_shared(history, out=out, json=json, resume=resume)
        design = _design(changes, leg_bps)
        if random is not None:
            design = design.sample(random, seed=seed)
        make = _maker(preset, plugin)
        chosen = FundingHistory.read(history, trust_units=trust_units).select(
            symbols=names(symbols, read_symbol, option="--symbols"),
            venues=names(venues, read_venue, option="--venues"),
        )
        with aside(), bar(f"sweeping {preset}") as progress:
            found = run_sweep(make, design, chosen, parts=parts, workers=workers, progress=progress, resume=resume)
        walked = [walk_forward(one) for one in found.by_costs().values() if len(one.failed) < len(one)]
        if out is not None:
            (found.to_csv if out.suffix.lower() == ".csv" else found.to_parquet)(out)
        if json is not None:
            opened(json, files).write(found.to_json(*walked) + "\n")
        if json is None or str(json) != "-":
            _show(console(), found, walked, title=f"{len(found):,} settings of {preset} on {history.name}")


def _design(changes: Sequence[str] | None, leg_bps: str) -> Design:
    given = pairs(changes, "--set", such_as="min_erosion_threshold=0.3,0.5")
    if "leg_bps" in given:
        raise InputError("costs are given as --leg-bps A,B")
    return grid(
        **{name: _values(f"--set {name}", text) for name, text in given.items()}, leg_bps=_values("--leg-bps", leg_bps)
    )


def _values(option: str, text: str) -> Sequence[str]:
    """The values of a list such as `0.3,0.5`, or of `FIRST:LAST:STEP`."""
    ends = text.split(":")
    with speaking_of(option):
        if len(ends) == 3:
            return between(ends[0], ends[1], by=ends[2])
        values = [value.strip() for value in text.split(",") if value.strip()]
        if not values:
            raise InputError("give at least one value")
        return values


def _maker(name: str, plugin: Sequence[str] | None) -> Callable[..., Any]:
    presets = registry(plugin).presets
    if name not in presets:
        presets.create(name)  # says what there is
    return maker_of(name, create=None if name in CONFIGS else partial(presets.create, name))


def _show(out: Console, found: SweepResult, walked: Sequence[WalkForward], *, title: str) -> None:
    varied = [name for name in found.names if len({row.parameters.get(name) for row in found}) > 1]
    fixed = {name: found[0].parameters[name] for name in found.names if name not in varied}
    varied = [name for name in varied if name != "leg_bps"]
    out.print(Text(title, style="bold"), soft_wrap=True)
    if fixed:
        out.print(Text(f"In all of them: {_named(fixed, fixed, ', ')}."), soft_wrap=True)
    if walked and walked[0].time:
        out.print(Text(SAMPLES), soft_wrap=True)
    tables = found.by_costs()
    for one in walked:
        if len(walked) > 1:
            out.print(Text(f"\nA leg trade costs {plain(one.costs.leg_bps)} bp", style="bold"), soft_wrap=True)
        out.print(fitting(out, partial(_best, tables[one.costs], varied)))
        if len(tables[one.costs]) > 1:
            _choices(out, one, varied)
    if found.failed:
        failed = f"{len(found.failed):,} of {len(found):,} settings failed, the first with: {found.failed[0].error}"
        out.print(Text(failed), soft_wrap=True)


def _choices(out: Console, walked: WalkForward, varied: Sequence[str]) -> None:
    if walked.time:
        out.print(fitting(out, partial(_splits, "tested in", walked.time, varied)))
        said = f"Choosing anew before each part earned {bps(walked.in_time_bps)} bp out of sample."
        out.print(Text(said), soft_wrap=True)
    if walked.symbols:
        out.print(fitting(out, partial(_splits, "tested on", walked.symbols, varied)))
        said = f"Each symbol with what was chosen without it: {bps(walked.across_symbols_bps)} bp."
        out.print(Text(said), soft_wrap=True)


def _best(found: SweepResult, varied: Sequence[str], between: str) -> Table:
    best = found.best(SHOWN)
    figures = ("in sample", "out of sample", "net", "captured", "trades", "worst symbol")
    rows = table(f"best {len(best)}", *(name.replace(" ", between) for name in figures))
    for row in best:
        rows.add_row(
            _named(row.parameters, varied, f",{between}") or "as it is",
            *(bps(figure) for figure in (row.in_sample_bps, row.out_of_sample_bps, row.net_bps)),
            "-" if row.captured_share is None else f"{row.captured_share:.3f}",
            f"{row.trades:,}",
            f"{row.worst_symbol}{between}{bps(row.worst_symbol_bps)}",
        )
    return rows


def _splits(first: str, splits: Sequence[Split], varied: Sequence[str], between: str) -> Table:
    figures = ("chosen without it", "in sample", "out of sample", "rank")
    rows = table(first, *(name.replace(" ", between) for name in figures))
    rows.columns[1].justify = "left"
    for split in splits:
        rows.add_row(
            split.out_of_sample.replace(MIDNIGHT, "").replace(", ", f",{between}").replace(" to ", f"{between}to "),
            _named(split.chosen.parameters, varied, f",{between}"),
            bps(split.in_sample_bps),
            bps(split.out_of_sample_bps),
            f"{split.rank} of {split.settings}",
        )
    return rows


def _named(parameters: Mapping[str, str], shown: Iterable[str], between: str) -> str:
    return between.join(f"{name} {parameters[name]}" for name in shown if name in parameters)
