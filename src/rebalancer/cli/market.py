"""The commands that ask a source: rates, opportunities, and one check of positions."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from ..adapters.clock import SystemClock
from ..domain.model import Value
from ..domain.names import read_symbol, read_venue
from ..domain.needs import Needs
from ..domain.numbers import Bps
from ..domain.position import Position
from ..domain.request import MarketRequest
from ..domain.sanity import REFUSED, screened, suspicions
from ..domain.snapshot import MarketSnapshot
from ..monitor import Fetched, Fetcher, ask
from ..monitor.smoother import Smoother
from ..ports import FundingSource
from ..rules.base import param
from ..rules.combined import CombinedStrategy
from . import quotes
from .common import (
    PluginNames,
    PresetName,
    aside,
    clear_errors,
    console,
    names,
    own_names,
    pairs,
    read_positions,
    registry,
    say_error,
    say_warning,
    speaking_of,
)

T = TypeVar("T")

DEADLINE = timedelta(seconds=60)
"""For a whole command: clearly above what a source allows itself, so that its own option `deadline` counts."""

SourceName = Annotated[
    str,
    typer.Option("--source", metavar="NAME", help=f"One of {', '.join(own_names().sources)}, or a plugin's."),
]
Url = Annotated[str | None, typer.Option("--url", metavar="URL", help="The address of the service.")]
SourceOptions = Annotated[
    list[str] | None,
    typer.Option("--option", "-o", metavar="KEY=VALUE", help="An option of the source; may be given again."),
]
Symbols = Annotated[str | None, typer.Option("--symbol", metavar="A,B", help="Only these symbols.")]
VenueNames = Annotated[str | None, typer.Option("--venues", metavar="A,B", help="Only these venues.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


class _Least(Value):
    above_bps: Bps = param(1)


def rates(
    *,
    source: SourceName = "service",
    url: Url = None,
    option: SourceOptions = None,
    plugin: PluginNames = None,
    symbol: Symbols = None,
    venues: VenueNames = None,
    json: AsJson = False,
) -> None:
    """Show the funding rates that a source has: per 8 h and per year, next settlement, and age."""
    with clear_errors():
        request = _everything(symbol, venues, Needs(opportunities=True, schedule=True))
        snapshot = _looked_at(_with(source, url, option, plugin, lambda one: ask(one, request, deadline=DEADLINE)))
        if json:
            typer.echo(snapshot.model_dump_json(indent=2))
        else:
            quotes.rates(console(), snapshot, request)


def opportunities(
    *,
    source: SourceName = "service",
    url: Url = None,
    option: SourceOptions = None,
    plugin: PluginNames = None,
    symbol: Symbols = None,
    venues: VenueNames = None,
    above_bps: Annotated[str, typer.Option(metavar="BPS", help="Only pairs above this divergence per 8 h.")] = "1",
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="How many pairs to show.")] = 10,
    json: AsJson = False,
) -> None:
    """List the pairs with the largest divergence, from the rates of the legs."""
    with clear_errors():
        with speaking_of("--above-bps", field="above_bps"):
            least = _Least(above_bps=above_bps).above_bps
        needs = Needs(opportunities=True, schedule=True, open_interest=True)
        request = _everything(symbol, venues, needs)
        snapshot = _looked_at(_with(source, url, option, plugin, lambda one: ask(one, request, deadline=DEADLINE)))
        found = quotes.pairs(snapshot, above_bps=least, limit=limit)
        if json:
            typer.echo("[" + ",\n ".join(one.model_dump_json() for one in found) + "]")
        else:
            quotes.opportunities(console(), snapshot, request, found)


def check(
    positions: Annotated[Path, typer.Argument(metavar="POSITIONS.json", help="A position or a list of them, as JSON.")],
    *,
    source: SourceName = "service",
    url: Url = None,
    option: SourceOptions = None,
    plugin: PluginNames = None,
    preset: PresetName = "conservative",
    venues: VenueNames = None,
    json: Annotated[bool, typer.Option("--json", help="Print a line of canonical JSON for each decision.")] = False,
) -> None:
    """Fetch once, decide each position, and explain. Nothing is stored and nothing is traded."""
    with clear_errors():
        held = read_positions(positions)
        only = names(venues, read_venue, option="--venues")
        with aside():
            strategy = registry(plugin).presets.create(preset)
        fetched = _with(source, url, option, plugin, lambda one: _fetched(one, strategy, held, only))
        legs = {(position.symbol, venue) for position in held for venue in (position.long_dex, position.short_dex)}
        for suspicion in fetched.suspicions:
            if any((suspicion.symbol, venue) in legs for venue in suspicion.venues):
                say_warning(str(suspicion))
        with aside():
            decisions = strategy.decide_all(held, fetched.snapshot)
        for place, decision in enumerate(decisions):
            typer.echo(decision.model_dump_json() if json else ("\n" if place else "") + decision.explain())
        if fetched.error is not None:
            say_error(str(fetched.error))
            raise typer.Exit(1)


async def _fetched(
    source: FundingSource, strategy: CombinedStrategy, held: Sequence[Position], venues: Sequence[str] | None
) -> Fetched:
    fetcher = Fetcher(source, strategy, clock=SystemClock(), venues=venues, deadline=DEADLINE)
    fetched = await fetcher.fetch(held)
    if not strategy.needs.smoothed:
        return fetched
    smoother = Smoother(strategy.needs.smoothed, fetcher)
    await smoother.learn(fetched, [market for position in held for market in position.markets])
    return replace(fetched, snapshot=fetched.snapshot.model_copy(update={"smoothed": smoother.rates()}))


def _with(
    name: str,
    url: str | None,
    options: Sequence[str] | None,
    allow: Sequence[str] | None,
    use: Callable[[FundingSource], Awaitable[T]],
) -> T:
    """What `use` makes of the source of that name, which is closed then."""
    given = source_options(url, options)

    async def used() -> T:
        async with registry(allow).sources.create(name, **given) as source:
            return await use(source)

    with aside():
        return asyncio.run(used())


def source_options(url: str | None, options: Sequence[str] | None) -> dict[str, str]:
    """The options of a source, by name."""
    return pairs(options, "--option", such_as="row_zone=Asia/Shanghai", given={} if url is None else {"url": url})


def _everything(symbols: str | None, venues: str | None, needs: Needs) -> MarketRequest:
    """All that a source has of these symbols and venues."""
    listed = names(symbols, read_symbol, option="--symbol")
    only = names(venues, read_venue, option="--venues")
    return MarketRequest(
        symbols=None if listed is None else tuple(listed),
        venues=None if only is None else tuple(only),
        needs=needs.model_copy(update={"all_symbols": listed is None}),
    )


def _looked_at(snapshot: MarketSnapshot) -> MarketSnapshot:
    """The snapshot without what can not be believed, which is said aloud."""
    found = [one for one in suspicions(snapshot) if one.kind in REFUSED]
    for suspicion in found:
        say_warning(str(suspicion))
    return screened(snapshot, found)
