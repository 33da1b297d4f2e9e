"""What a source makes of what it has: an answer with what was asked for, and nothing else."""

from __future__ import annotations

from collections.abc import Callable

from ...domain.market import Quote
from ...domain.missing import RATE, Missing
from ...domain.names import Market
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


def named(quote: Quote, name: str) -> Quote:
    """The quote with the source's name as its origin, unless it has one."""
    return quote if quote.origin is not None else quote.model_copy(update={"origin": name})


def answer(
    request: MarketRequest, known: MarketSnapshot, *, name: str, absent: Callable[[Market], str]
) -> MarketSnapshot:
    """What of `known` the request wants. Wanted markets without a quote are missing: `absent` says why, unless
    `known` does.
    """
    reported = {(gap.venue, gap.symbol) for gap in known.missing if gap.field == RATE}
    gaps = (
        Missing(field=RATE, venue=market.venue, symbol=market.symbol, why=absent(market))
        for market in dict.fromkeys(request.markets)
        if market not in known.by_market and reported.isdisjoint(_speaking_of(market))
    )
    return known.model_copy(
        update={
            "quotes": tuple(named(quote, name) for quote in known.quotes if request.wants(quote.market)),
            "opportunities": tuple(one for one in known.opportunities if _listed(request, one)),
            "observations": tuple(
                quote for quote in known.observations if request.needs.observations and request.wants(quote.market)
            ),
            "missing": (*known.missing, *gaps),
        }
    )


def _speaking_of(market: Market) -> set[tuple[str | None, str | None]]:
    """The venue and symbol of every gap that covers the market."""
    venue, symbol = market
    return {(venue, symbol), (venue, None), (None, symbol), (None, None)}


def _listed(request: MarketRequest, one: Opportunity) -> bool:
    """Whether the pair is a candidate that the request wants."""
    openable = request.venues is None or {one.long_dex, one.short_dex} <= set(request.venues)
    return openable and (request.symbols is None or one.symbol in request.symbols)
