"""The commands about funding histories: check one, describe one, fetch one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import Progress, TextColumn
from rich.text import Text

from ..adapters.ccxt_history import Fetched, Journal, fetch_history
from ..adapters.ccxt_history.journal import started
from ..adapters.clock import SystemClock
from ..domain.names import Market, read_symbol, read_venue, split_names
from ..domain.times import read_instant, write_instant
from ..errors import InputError, SourceUnavailableError
from ..history.check import Finding, Severity, check_file
from ..history.table import FundingHistory
from . import described
from .common import TrustUnits, clear_errors, console, names, say, say_error, say_warning, speaking_of
from .market import AsJson, Symbols, VenueNames

app = typer.Typer(name="history", help="Check, describe or fetch a funding history.", no_args_is_help=True)

SHOWN = 20
"""How many findings of one code are listed, unless all are asked for."""
STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "dim"}
SUFFIXES = (".csv", ".csv.gz", ".parquet")

File = Annotated[Path, typer.Argument(metavar="FILE", help="Funding rates: CSV, CSV.gz or Parquet.")]


@app.command()
def check(
    file: File,
    *,
    every: Annotated[bool, typer.Option("--all", help="List every finding, however many there are of a kind.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each finding.")] = False,
) -> None:
    """List what to know of a history before trusting it. Exit status 1 if a replay would refuse it."""
    with clear_errors():
        found = check_file(file)
        if json:
            for one in found:
                typer.echo(one.model_dump_json())
        else:
            _list(console(), found, most=len(found) if every else SHOWN)
        if any(one.severity is Severity.ERROR for one in found):
            raise typer.Exit(1)


def _list(to: Console, found: Sequence[Finding], *, most: int) -> None:
    """The findings, at most so many of a code; then how many there are."""
    seen: Counter[tuple[Severity, str]] = Counter()
    for one in found:
        kind = one.severity, one.code
        seen[kind] += 1
        if seen[kind] <= most:
            severity, _, what = str(one).partition(": ")
            to.print(
                Text(f"{severity}: ", style=STYLES[one.severity]).append(what, style="not bold not dim default"),
                soft_wrap=True,
            )
    left = {code: number - most for (_, code), number in seen.items() if number > most}
    for code, number in left.items():
        to.print(Text(f"and {number:,} more of {code}: --all lists them"), soft_wrap=True)
    counts = Counter(one.severity for one in found)
    said = [f"{counts[one]:,} {one}{'s' if counts[one] != 1 else ''}" for one in Severity if counts[one]]
    to.print(Text(", ".join(said) if said else "Nothing was found: the history is clean.", style="bold"))


@app.command()
def describe(
    file: File,
    *,
    symbol: Symbols = None,
    venues: VenueNames = None,
    trust_units: TrustUnits = False,
    json: AsJson = False,
) -> None:
    """Describe a history: coverage, gaps and intervals of each market, and the divergence of each pair of venues."""
    with clear_errors():
        chosen = FundingHistory.read(file, trust_units=trust_units).select(
            symbols=names(symbol, read_symbol, option="--symbol"), venues=names(venues, read_venue, option="--venues")
        )
        found = chosen.describe()
        if json:
            typer.echo(found.model_dump_json(indent=2))
        else:
            described.show(console(), found, title=file.name)


@app.command()
def fetch(
    *,
    venue: Annotated[list[str], typer.Option("--venue", metavar="A,B", help="ccxt's names; may be given again.")],
    symbol: Annotated[list[str], typer.Option("--symbol", metavar="A,B", help="Base assets; may be given again.")],
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="From when: 2025-01-01 is its first moment, UTC.")
    ],
    until: Annotated[str | None, typer.Option("--until", metavar="TIME", help="Until when; now by default.")] = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where to: .csv, .csv.gz or .parquet.")
    ],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file if it is there.")] = False,
) -> None:
    """Fetch settled rates from exchanges through ccxt. Interrupted, it goes on where it was when it is run again."""
    with clear_errors():
        _refuse_output(output, force=force)
        with speaking_of("--venue"):
            venues = [read_venue(name) for listed in venue for name in split_names(listed)]
        with speaking_of("--symbol"):
            symbols = [read_symbol(name) for listed in symbol for name in split_names(listed)]
        start = _moment(since, "--since")
        end = _moment(until, "--until") if until else None
        beside = output.with_name(f"{output.name}.unfinished")
        what = {"venues": venues, "symbols": symbols, "since": write_instant(start)}
        what["until"] = write_instant(end) if end else _until_of(beside, what)
        with Journal(beside, what) as journal:
            if journal.pages:
                say(f"going on with the fetch in {beside}")
            fetched = _fetched(venues, symbols, start, read_instant(what["until"]), journal)
            _keep(fetched, output, journal)


def _refuse_output(output: Path, *, force: bool) -> None:
    if not output.name.lower().endswith(SUFFIXES):
        raise InputError(f"--output must end in one of {', '.join(SUFFIXES)}")
    if output.exists() and not force:
        raise InputError(f"{output} is there already: choose another name, or --force to overwrite it")
    if not output.absolute().parent.is_dir():
        raise InputError(f"{output} can not be written: its folder is not there")


def _moment(text: str, option: str) -> datetime:
    """A time, or a day: its first moment, in UTC."""
    with speaking_of(option):
        return read_instant(f"{text}T00:00:00Z" if len(text) == len("2025-01-01") else text)


def _until_of(beside: Path, what: Mapping[str, Any]) -> str:
    """Until when an unfinished fetch of the same goes; else now."""
    before = started(beside) or {}
    same = all(before.get(name) == value for name, value in what.items())
    return (
        str(before["until"])
        if same and "until" in before
        else write_instant(SystemClock().now().replace(microsecond=0))
    )


def _fetched(
    venues: Sequence[str], symbols: Sequence[str], start: datetime, end: datetime, journal: Journal
) -> Fetched:
    to = Console(stderr=True)
    columns = TextColumn("{task.description}"), TextColumn("{task.fields[said]}")
    with Progress(*columns, console=to, transient=True, disable=not to.is_terminal) as progress:
        tasks = {venue: progress.add_task(venue, total=None, said="") for venue in venues}

        def told(market: Market, at: datetime, settlements: int) -> None:
            said = f"{market.symbol} until {at:%Y-%m-%d}: {settlements:,} settlements"
            progress.update(tasks[market.venue], said=said)

        work = fetch_history(venues, symbols, since=start, until=end, journal=journal, progress=told)
        return asyncio.run(work)


def _keep(fetched: Fetched, output: Path, journal: Journal) -> None:
    """Write what was fetched, if all that can be had is there."""
    for market, failure in fetched.missing.items():
        (say_error if failure.error is SourceUnavailableError else say_warning)(f"{market}: {failure.why}")
    if fetched.unfinished:
        say(f"not finished: run the same command again, and it goes on; what is there is in {journal.path}")
        raise typer.Exit(1)
    journal.discard()
    if fetched.history is None:
        raise InputError("nothing was fetched, and nothing written")
    fetched.history.write(output)
    console().print(Text(f"{output}: {len(fetched.history):,} rows of {len(fetched.history.series):,} markets"))
