"""The latest settlements of many markets at once, as far as they can be had before a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from ...domain.funding import RateKind
from ...domain.market import Quote
from ...domain.names import Market, as_line
from ...domain.times import SECOND, epoch_seconds
from ...domain.venues import VenueTable
from ...errors import BadAnswerError, SourceUnavailableError
from ...history.table import Series
from ...ports import Clock
from ..ccxt_source.failure import Failure
from ..ccxt_source.venue import Exchange
from .fetch import _Found, _Venue
from .intervals import rows_of

_NOW = (SourceUnavailableError, BadAnswerError)
"""Failures for which a venue is asked again; the others say that it has no past to tell."""


async def settled_since(
    since: datetime,
    markets: Collection[Market],
    exchanges: Mapping[str, Exchange],
    *,
    name: str,
    clock: Clock,
    deadline: timedelta,
    table: VenueTable,
    prefer: Mapping[str, Sequence[str]],
) -> tuple[Quote, ...]:
    """What these markets settled since then, in order of time, from the exchanges of their venues.

    Venues are asked at once, the markets of one in turn. A market of which not all could be had by then is left out: it
    is for the next question. Raises SourceUnavailableError if there are none because venues could not answer.
    """
    found = _Found(table, epoch_seconds(since), epoch_seconds(clock.now()), None, None)
    asked: dict[str, list[str]] = {}
    for market in markets:
        if market.venue in exchanges:
            asked.setdefault(market.venue, []).append(market.symbol)
    tasks: dict[str, asyncio.Task[None]] = {}
    for venue, symbols in asked.items():
        one = _Venue(venue, found, clock, deadline / SECOND, tuple(prefer.get(venue, ())))
        tasks[venue] = asyncio.create_task(one.fetch(symbols, exchanges[venue], None))
    failed = await _until(deadline, tasks)
    failed += [f"{market}: {failure.why}" for market, failure in found.missing.items() if failure.error in _NOW]
    quotes = _quotes(found, name)
    if failed and not quotes:
        raise SourceUnavailableError(name, as_line(failed[0]))
    return quotes


async def _until(deadline: timedelta, tasks: Mapping[str, asyncio.Task[None]]) -> list[str]:
    """Let venues answer until the deadline; what was wrong with those that did not, or failed otherwise."""
    try:
        if tasks:
            await asyncio.wait(tasks.values(), timeout=deadline / SECOND)
    finally:
        for task in tasks.values():
            task.cancel()
        ends = await asyncio.gather(*tasks.values(), return_exceptions=True)
    late = f"not all within {deadline / SECOND:g} s"
    return [
        f"{venue}: {late if isinstance(end, asyncio.CancelledError) else Failure.of(end).why}"
        for venue, end in zip(tasks, ends, strict=True)
        if end is not None
    ]


def _quotes(found: _Found, name: str) -> tuple[Quote, ...]:
    """The settlements of the markets that are complete."""
    quotes = []
    for market, rates in found.rates.items():
        if found.reached[market] >= found.end:
            rows = [row for row in rows_of(rates, found.table.of(market)) if found.start <= row.at <= found.end]
            series = Series(market, RateKind.SETTLED, tuple(rows))
            quotes += [series.quote(row, origin=name) for row in rows]
    return tuple(sorted(quotes, key=lambda quote: quote.observed_epoch))
