"""The commands. Each reads its input, calls the library, and renders what came back."""

from __future__ import annotations

import sys
from codecs import BOM_UTF8
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from errno import EPIPE
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

from .. import __version__, presets
from ..costs import Costs
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..entry.policy import EntryPolicy
from ..errors import InputError, RebalancerError
from ..history.table import FundingHistory
from ..replay import Trade
from ..replay import replay as run_replay
from . import demo as demonstration
from . import render

app = typer.Typer(
    name="rebalancer",
    help="Hold, close or switch: the decision engine for funding-rate arbitrage.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

PresetName = Annotated[str, typer.Option("--preset", metavar="NAME", help=f"One of {', '.join(presets.NAMED)}.")]


@contextmanager
def _clear_errors() -> Iterator[None]:
    """What the library refuses becomes one line on standard error and exit status 1."""
    try:
        yield
    except RebalancerError as error:
        _say_error(str(error))
        raise typer.Exit(1) from error
    except OSError as error:
        if error.errno == EPIPE:
            raise  # typer ends quietly when nobody reads on
        _say_error(f"writing failed: {error.strerror}")
        raise typer.Exit(1) from error


def _say_error(what: str) -> None:
    Console(stderr=True).print(Text("error: ", style="bold red").append(what, style="not bold default"), soft_wrap=True)


def _console() -> Console:
    """Standard output, where a symbol such as A:B:C is not an emoji."""
    return Console(highlight=False, emoji=False)


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
    """Explain one decision of each rule, then replay a sample history. Offline, in seconds."""
    with _clear_errors():
        demonstration.run(_console())


@app.command(name="presets")
def list_presets() -> None:
    """Print the presets: their rules in order of priority, with every number and its unit."""
    render.presets(_console())


@app.command()
def decide(
    position: Annotated[Path, typer.Argument(metavar="POSITION.json", help="A position as JSON.")],
    snapshot: Annotated[Path, typer.Argument(metavar="SNAPSHOT.json", help="A market snapshot as JSON.")],
    *,
    preset: PresetName = "conservative",
    json: Annotated[bool, typer.Option("--json", help="Print the decision's canonical JSON instead of text.")] = False,
) -> None:
    """Decide one position on one snapshot, and explain the decision."""
    with _clear_errors():
        decision = presets.named(preset).decide(
            Position.model_validate_json(_bytes(position)), MarketSnapshot.model_validate_json(_bytes(snapshot))
        )
        typer.echo(decision.model_dump_json() if json else decision.explain())


@app.command()
def replay(
    history: Annotated[Path, typer.Argument(metavar="HISTORY", help="Funding rates: CSV, CSV.gz or Parquet.")],
    *,
    preset: PresetName = "conservative",
    symbols: Annotated[str | None, typer.Option(metavar="A,B", help="Only these symbols.")] = None,
    venues: Annotated[str | None, typer.Option(metavar="A,B", help="Only these venues.")] = None,
    leg_bps: Annotated[str, typer.Option(metavar="BPS", help="What trading one leg costs, in basis points.")] = "2",
    json: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the report as JSON; - is stdout.")] = None,
    decisions: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write one JSON line a trade; - is stdout.")
    ] = None,
    all_ticks: Annotated[bool, typer.Option("--all", help="Write the ticks that held to --decisions as well.")] = False,
) -> None:
    """Replay a preset over a funding history: what it would have decided, earned and paid."""
    with _clear_errors(), ExitStack() as files:
        if all_ticks and decisions is None:
            raise InputError("--all writes to the decision log: give --decisions FILE too")
        _refuse_shared(history, json, decisions)
        costs = Costs.flat(leg_bps=leg_bps)
        strategy = presets.named(preset, costs=costs)
        chosen = FundingHistory.read(history).select(symbols=_names(symbols), venues=_names(venues))
        log = _output(decisions, files) if decisions else None
        report_file = _output(json, files) if json else None

        def write(trade: Trade) -> None:
            if log is not None:
                log.write(trade.to_json() + "\n")

        with _progress() as progress:
            task = progress.add_task(f"replaying {preset}", total=None)
            report = run_replay(
                strategy,
                chosen,
                entry=EntryPolicy.matching(strategy),
                costs=costs,
                log=write,
                holds=all_ticks,
                progress=lambda done, total: progress.update(task, completed=done, total=total),
            )
        if report_file is not None:
            report_file.write(report.model_dump_json(indent=2) + "\n")
        if sys.stdout not in (log, report_file):
            render.report(_console(), report, title=f"{preset} on {history.name}")


def _progress() -> Progress:
    """A bar on standard error, gone when done, and absent where nobody watches."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=console, transient=True, disable=not console.is_terminal)


def _refuse_shared(history: Path, json: Path | None, decisions: Path | None) -> None:
    """Neither output may be the history, nor both be one file."""
    outputs = [path if str(path) == "-" else path.resolve() for path in (json, decisions) if path is not None]
    if len(set(outputs)) != len(outputs):
        raise InputError("--json and --decisions need two files")
    if history.resolve() in outputs:
        raise InputError("--json and --decisions must not overwrite the history")


def _names(listed: str | None) -> list[str] | None:
    """The names of a list such as `A,B`; None if there is no list. An empty one is a mistake, not "all"."""
    if listed is None:
        return None
    names = [name.strip() for name in listed.split(",") if name.strip()]
    if not names:
        raise InputError("--symbols and --venues need at least one name, such as A,B")
    return names


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().removeprefix(BOM_UTF8)
    except OSError as error:
        raise InputError(f"{path} can not be read: {error.strerror}") from error


def _output(path: Path, files: ExitStack) -> TextIO:
    """A file to write to; `-` is standard output."""
    if str(path) == "-":
        return sys.stdout
    try:
        return files.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} can not be written: {error.strerror}") from error
