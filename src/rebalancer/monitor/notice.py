"""What one pass wants a person to know; the alarms are made of it. What many markets share is said once a venue."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from traceback import extract_tb
from typing import NamedTuple
from uuid import UUID

from ..domain.legs import Known
from ..domain.names import Market, as_line
from ..domain.position import Position
from ..domain.snapshot import MarketSnapshot
from ..domain.tick import AlarmKind
from .evidence import Reads
from .fetch import Fetched


class Notice(NamedTuple):
    """An alarm as long as it is only of this pass: see `Alarm` for what the fields mean."""

    kind: AlarmKind
    about: str
    why: str
    position_id: UUID | None = None
    approve: str | None = None


def where(error: BaseException) -> str:
    """What is said of an error that nobody expected: its type and its place, and nothing that it carries."""
    *_, frame = extract_tb(error.__traceback__)
    return as_line(f"{type(error).__name__} in {frame.name}, line {frame.lineno} of {Path(frame.filename).name}")


def of_reads(reads: Reads) -> Iterator[Notice]:
    """The legs that could not be read."""
    unread = ((market, read.state.reason) for market, read in reads.items() if not isinstance(read.state, Known))
    return _by_venue(AlarmKind.UNREAD, unread, "legs could not be read")


def of_data(fetched: Fetched, positions: Iterable[Position]) -> Iterator[Notice]:
    """What is wrong with a tick's rates: none at all, some that are unknown, some that are not believed."""
    if fetched.error is not None:
        source = fetched.error.source
        yield Notice(AlarmKind.SOURCE_DOWN, source, as_line(str(fetched.error).removeprefix(f"{source}: ")))
        return
    yield from _by_venue(AlarmKind.BLIND, _unknown(fetched.snapshot, positions), "rates are unknown")
    suspect = ((Market(one.venues[0], one.symbol), f"{one.kind}, {one.why}") for one in fetched.suspicions)
    yield from _by_venue(AlarmKind.SUSPICIOUS, suspect, "rates are not believed")


def _unknown(snapshot: MarketSnapshot, positions: Iterable[Position]) -> Iterator[tuple[Market, str]]:
    """The held markets without a rate that counts."""
    book = snapshot.book
    for position in positions:
        reading = book[position.pair]
        for leg in (reading.long, reading.short):
            if leg.rate is None:
                yield leg.market, leg.refusal or "there is no quote"


def _by_venue(kind: AlarmKind, found: Iterable[tuple[Market, str]], what: str) -> Iterator[Notice]:
    """One notice for each venue, with the first market and its reason."""
    venues: dict[str, list[tuple[Market, str]]] = {}
    for market, why in found:
        venues.setdefault(market.venue, []).append((market, why))
    for venue, markets in venues.items():
        symbol, why = markets[0][0].symbol, markets[0][1]
        yield Notice(kind, venue, as_line(f"{len(markets)} {what}, that of {symbol} because: {why}"))
