"""What a source makes of what it has: an answer with what was asked for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from ...domain.market import Quote
from ...domain.missing import OPPORTUNITIES, RATE, Missing
from ...domain.names import Market, as_line
from ...domain.needs import Needs
from ...domain.opportunity import Opportunity
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...errors import InputError

EVERYTHING = Needs(
    opportunities=True,
    all_symbols=True,
    schedule=True,
    open_interest=True,
    volume=True,
    mark_price=True,
    observations=10_000,
)


def a_name(name: str) -> str:
    """The name of a source; InputError unless it is one short line."""
    if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= 100:
        raise InputError("a source's name must be one line of 1 to 100 characters")
    return name


def a_deadline(deadline: timedelta) -> timedelta:
    """The deadline; InputError unless it is a timedelta above 0."""
    if not isinstance(deadline, timedelta) or deadline <= timedelta(0):
        raise InputError("deadline must be a timedelta above 0")
    return deadline


def named(quote: Quote, name: str) -> Quote:
    """The quote with the source's name as its origin, unless it has one."""
    return quote if quote.origin is not None else quote.model_copy(update={"origin": name})


def answer(
    request: MarketRequest, known: MarketSnapshot, *, name: str, absent: Callable[[Market], str]
) -> MarketSnapshot:
    """What of `known` the request wants. Wanted markets without a quote are missing: `absent` says why, unless
    `known` does. Candidates are missing too where the rate of one is.
    """
    reported = {(gap.venue, gap.symbol) for gap in known.missing if gap.field == RATE}
    gaps = tuple(
        Missing(field=RATE, venue=market.venue, symbol=market.symbol, why=absent(market))
        for market in dict.fromkeys(request.markets)
        if market not in known.by_market and reported.isdisjoint(_speaking_of(market))
    )
    missing = (*known.missing, *gaps)
    return known.model_copy(
        update={
            "quotes": tuple(named(quote, name) for quote in known.quotes if request.wants(quote.market)),
            "opportunities": tuple(one for one in known.opportunities if _listed(request, one)),
            "observations": tuple(
                quote for quote in known.observations if request.needs.observations and request.wants(quote.market)
            ),
            "missing": (*missing, *dict.fromkeys(_lacking(request, known, missing))),
        }
    )


def _lacking(request: MarketRequest, known: MarketSnapshot, gaps: tuple[Missing, ...]) -> Iterator[Missing]:
    """What a list of candidates lacks: whatever of it has no rate, as far as that is known and not said already."""
    said = {gap.symbol for gap in gaps if gap.field == OPPORTUNITIES}
    for gap in gaps:
        venue, symbol = gap.venue, gap.symbol
        here = request.venues is None or venue is None or venue in request.venues
        wanted = request.symbols is None or (bool(request.symbols) if symbol is None else symbol in request.symbols)
        quoted = venue is not None and symbol is not None and Market(venue, symbol) in known.by_market
        if gap.field == RATE and here and wanted and not quoted and said.isdisjoint((symbol, None)):
            why = gap.why if venue is None else as_line(f"{venue}: {gap.why}")
            yield Missing(field=OPPORTUNITIES, why=why, symbol=symbol)


def _speaking_of(market: Market) -> set[tuple[str | None, str | None]]:
    """The venue and symbol of every gap that covers the market."""
    venue, symbol = market
    return {(venue, symbol), (venue, None), (None, symbol), (None, None)}


def _listed(request: MarketRequest, one: Opportunity) -> bool:
    """Whether the pair is a candidate that the request wants."""
    openable = request.venues is None or {one.long_dex, one.short_dex} <= set(request.venues)
    return openable and (request.symbols is None or one.symbol in request.symbols)
