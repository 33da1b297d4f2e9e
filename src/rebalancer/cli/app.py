"""The commands. Each reads its input, calls the library, and renders what came back."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .. import __version__
from ..costs import Costs
from ..domain.names import read_symbol, read_venue
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..errors import InputError
from ..history.table import FundingHistory
from ..replay import Trade
from ..replay import replay as run_replay
from . import control, evaluating, histories, live, market, plugins, positions, render, status, sweeping, ticks
from .common import (
    PluginNames,
    PresetName,
    TrustUnits,
    aside,
    clear_errors,
    console,
    names,
    read_bytes,
    registry,
    speaking_of,
)
from .outputs import check_file, opened, refuse_shared

app = typer.Typer(
    name="rebalancer",
    help="Hold, close or switch: the decision engine for funding-rate arbitrage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:  # noqa: FBT001  # typer calls it with the flag
    if asked:
        typer.echo(f"rebalancer {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    version: Annotated[  # the callback reads it
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Hold, close or switch: the decision engine for funding-rate arbitrage."""


@app.command()
def demo() -> None:
    """Explain a decision of each rule, replay a sample history, and watch positions on fake venues. Offline."""
    from . import demo as demonstration  # only this command needs the fake venues

    with clear_errors():
        demonstration.run(console())


@app.command(name="presets")
def list_presets(*, plugin: PluginNames = None) -> None:
    """Print the presets: their rules in order of priority, with every number and its unit."""
    with clear_errors():
        render.presets(console(), registry(plugin).presets)


@app.command()
def decide(
    position: Annotated[Path, typer.Argument(metavar="POSITION.json", help="A position as JSON.")],
    snapshot: Annotated[Path, typer.Argument(metavar="SNAPSHOT.json", help="A market snapshot as JSON.")],
    *,
    preset: PresetName = "conservative",
    plugin: PluginNames = None,
    json: Annotated[bool, typer.Option("--json", help="Print the decision's canonical JSON instead of text.")] = False,
) -> None:
    """Decide one position on one snapshot, and explain the decision."""
    with clear_errors():
        text, market_text = read_bytes(position), read_bytes(snapshot)
        with speaking_of(str(position)):
            held = Position.model_validate_json(text)
        with speaking_of(str(snapshot)):
            market_now = MarketSnapshot.model_validate_json(market_text)
        with aside():
            decision = registry(plugin).presets.create(preset).decide(held, market_now)
        typer.echo(decision.model_dump_json() if json else decision.explain())


@app.command()
def replay(
    history: Annotated[Path, typer.Argument(metavar="HISTORY", help="Funding rates: CSV, CSV.gz or Parquet.")],
    *,
    preset: PresetName = "adaptive",
    plugin: PluginNames = None,
    trust_units: TrustUnits = False,
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Only these symbols.")] = None,
    venues: Annotated[str | None, typer.Option(metavar="A,B", help="Only these venues.")] = None,
    leg_bps: Annotated[str, typer.Option(metavar="BPS", help="What trading one leg costs, in basis points.")] = "2",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON; - is stdout.")] = None,
    html: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as a page for a browser.")] = None,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one JSON line a trade; - is stdout.")
    ] = None,
    all_ticks: Annotated[bool, typer.Option("--all", help="Write the ticks that held to --decisions as well.")] = False,
) -> None:
    """Replay a preset over a funding history: what it would have decided, earned and paid."""
    with clear_errors(), ExitStack() as files:
        if all_ticks and decisions is None:
            raise InputError("--all writes to the decision log: give --decisions FILE too")
        refuse_shared(history, json=json, html=html, decisions=decisions)
        with speaking_of("--leg-bps", field="leg_bps"):
            costs = Costs.flat(leg_bps=leg_bps)
        with aside():
            strategy = registry(plugin).presets.create(preset, costs=costs)
        chosen = FundingHistory.read(history, trust_units=trust_units).select(
            symbols=names(symbols, read_symbol, option="--symbols"),
            venues=names(venues, read_venue, option="--venues"),
        )
        log = opened(decisions, files) if decisions else None
        report_file = opened(json, files) if json else None
        check_file(html, "--html", files)

        def write(trade: Trade) -> None:
            if log is not None:
                log.write(trade.to_json() + "\n")

        with _progress() as progress, aside():
            task = progress.add_task(f"replaying {preset}", total=None)
            report = run_replay(
                strategy,
                chosen,
                costs=costs,
                log=write,
                holds=all_ticks,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        if report_file is not None:
            report_file.write(report.model_dump_json(indent=2) + "\n")
        if html:
            report.to_html(html, title=f"{preset} on {history.name}")
        if sys.stdout not in (log, report_file):
            render.report(console(), report, title=f"{preset} on {history.name}")


_COMMANDS: tuple[Callable[..., None], ...] = (
    sweeping.sweep,
    evaluating.evaluate,
    market.rates,
    market.opportunities,
    market.check,
    live.monitor,
    status.status,
    control.close,
    control.approve,
    control.explain,
    ticks.ticks,
    control.kill,
    control.pause,
    control.resume,
    control.flatten,
)
for _command in _COMMANDS:
    app.command()(_command)
app.add_typer(positions.app)
app.add_typer(plugins.app)
app.add_typer(histories.app)


def _progress() -> Progress:
    """A bar on standard error, gone when done, and absent where nobody watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
