"""Whether a snapshot can be believed: rates that no venue prints, jumps, and quotes too old, early or far apart.

Pure functions of a snapshot and of past observations, so that they guard every source alike.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain

from pydantic import Field

from .book import Book
from .market import Freshness, Quote
from .missing import OPPORTUNITIES, RATE, Missing
from .model import Value
from .names import Line, Market, Pair, Symbol, Venue
from .numbers import FRACTION_PLACES, RATIO_PLACES, fraction, from_grid, to_grid
from .opportunity import Opportunity
from .plausible import Observed, Plausibility, Rates
from .snapshot import MarketSnapshot
from .times import seconds
from .verdict import Fact

USUAL = Plausibility()
"""The limits that are used where none are given."""


class SuspicionKind(StrEnum):
    """What is wrong with a quote, a listed pair, or two legs beside each other."""

    IMPLAUSIBLE = "implausible"
    """Beyond the venue's cap; or, where it states none, beyond the limit and confirmed by nothing. Refused."""
    JUMP = "jump"
    """Many times the observation before it. Refused until a second sample says the same."""
    STALE = "stale"
    """Older than its limit."""
    FUTURE = "future"
    """Seen later than now: a clock is wrong."""
    SKEW = "skew"
    """Two live legs that were seen too far apart in time to be compared."""


REFUSED = frozenset((SuspicionKind.IMPLAUSIBLE, SuspicionKind.JUMP))
"""What `screened` takes out. The others are unknown by the snapshot's own freshness."""


class Suspicion(Value):
    """Why something in a snapshot is not believed: what an alarm is raised about.

    It is about `symbol` on one venue, or on two: a pair, long and short (a listed one, or legs that are skewed).
    `why` is a lower-case clause without numbers; `facts` are the numbers, the limit of a rate being one of its size.
    """

    kind: SuspicionKind
    symbol: Symbol
    venues: tuple[Venue, ...] = Field(min_length=1, max_length=2)
    why: Line
    facts: tuple[Fact, ...] = ()

    def __str__(self) -> str:
        return f"{self.kind}: {self.symbol} on {' and '.join(self.venues)}: {self.why}"


def suspicions(
    snapshot: MarketSnapshot, past: Iterable[Observed] = (), *, pairs: Iterable[Pair] = (), limits: Plausibility = USUAL
) -> tuple[Suspicion, ...]:
    """What can not be believed of a snapshot, in the order of its quotes, its opportunities, then `pairs` (for skew).

    `past` are earlier observations in any order, refused ones too: a second sample is believed because the first is
    among them. The snapshot's own observations count as well.
    """
    rates = Rates(snapshot, past, limits)
    found: list[Suspicion] = []
    leg, usual = snapshot.book.leg, limits.usual_steps
    for quote in snapshot.quotes:
        refusal = leg(quote.market).refusal
        if refusal is not None:
            found.append(_untimely(snapshot, quote, refusal))
        if abs(quote.rate.steps) > usual:
            found.extend(_of_quote(rates, limits, quote))
    of_listed = (_of_listed(rates, limits, listed) for listed in snapshot.opportunities)
    return (*found, *chain.from_iterable(of_listed), *_skewed(snapshot.book, snapshot.freshness, pairs))


def screened(snapshot: MarketSnapshot, found: Iterable[Suspicion]) -> MarketSnapshot:
    """The snapshot without the implausible and the jumped quotes, which are missing with the reason instead.

    Opportunities go with a leg's quote, and those listed at an implausible rate; either way the symbol's list may then
    lack one, so that `opportunities` are missing as well. The rest of what was `found` stays:
    freshness makes it unknown already. Nothing to take out: the same object.
    """
    refused = {(one.symbol, one.venues): one.why for one in found if one.kind in REFUSED}
    quotes = [quote for quote in snapshot.quotes if _place(quote) in refused] if refused else []
    listed = [one for one in snapshot.opportunities if _place(one) in refused] if refused else []
    if not quotes and not listed:
        return snapshot
    gone = {quote.market for quote in quotes}
    lacking = [(place[0], refused[place]) for place in (*map(_place, quotes), *map(_place, listed))]
    missing = (
        *(Missing(field=RATE, venue=one.venue, symbol=one.symbol, why=refused[_place(one)]) for one in quotes),
        *dict.fromkeys(Missing(field=OPPORTUNITIES, symbol=symbol, why=why) for symbol, why in lacking),
    )
    return snapshot.model_copy(
        update={
            "quotes": tuple(quote for quote in snapshot.quotes if quote.market not in gone),
            "opportunities": tuple(
                one
                for one in snapshot.opportunities
                if _place(one) not in refused and gone.isdisjoint((one.pair.long, one.pair.short))
            ),
            "missing": (*missing, *snapshot.missing),
        }
    )


def _place(one: Quote | Opportunity) -> tuple[str, tuple[str, ...]]:
    """The symbol and venues of what a suspicion may be about."""
    return one.symbol, (one.venue,) if isinstance(one, Quote) else (one.long_dex, one.short_dex)


def _untimely(snapshot: MarketSnapshot, quote: Quote, refusal: str) -> Suspicion:
    """A quote that is refused as too old, or from the future, by the snapshot's own limits."""
    age = snapshot.now - quote.observed_epoch
    if age < 0:
        fact = Fact("ahead_seconds", -age, limit=snapshot.freshness.future_seconds)
        return _about(SuspicionKind.FUTURE, quote.market, refusal, fact)
    fact = Fact("age_seconds", age, limit=snapshot.freshness.limit(quote))
    return _about(SuspicionKind.STALE, quote.market, refusal, fact)


def _skewed(book: Book, freshness: Freshness, pairs: Iterable[Pair]) -> Iterator[Suspicion]:
    """The pairs whose legs are known, but were seen too far apart in time."""
    for pair in dict.fromkeys(pairs):
        reading = book[pair]
        long, short = reading.long, reading.short
        if not reading.skewed or long.refusal or short.refusal:
            continue
        legs = [leg.quote.observed_epoch for leg in (long, short) if leg.quote is not None]
        fact = Fact("apart_seconds", max(legs) - min(legs), limit=seconds(freshness.max_skew))
        yield _about_pair(SuspicionKind.SKEW, pair, "the legs were seen too far apart in time", fact)


def _of_quote(rates: Rates, limits: Plausibility, quote: Quote) -> Iterator[Suspicion]:
    """Why a quote's rate is refused; at most one reason."""
    market, rate = quote.market, quote.rate.steps
    limit = rates.exceeded(market, rate)
    if limit is not None:
        fact = Fact("rate", fraction(rate), limit=fraction(limit))
        yield _about(SuspicionKind.IMPLAUSIBLE, market, _beyond(limits, market), fact)
    elif rates.jumps(market, rate):
        earlier = rates.earlier[market]
        most = from_grid(limits.unjumped(earlier), FRACTION_PLACES + RATIO_PLACES)
        facts = Fact("rate", fraction(rate), limit=most), Fact("earlier_rate", fraction(earlier))
        yield _about(SuspicionKind.JUMP, market, "the rate jumped, and no second sample says the same", *facts)


def _of_listed(rates: Rates, limits: Plausibility, listed: Opportunity) -> Iterator[Suspicion]:
    """The implausible leg rates of a listed pair."""
    legs = (("long_rate", listed.pair.long, listed.long_rate), ("short_rate", listed.pair.short, listed.short_rate))
    for name, market, rate in legs:
        limit = rates.exceeded(market, to_grid(rate, FRACTION_PLACES))
        if limit is not None:
            fact = Fact(name, rate, limit=fraction(limit))
            yield _about_pair(SuspicionKind.IMPLAUSIBLE, listed.pair, _beyond(limits, market), fact)


def _beyond(limits: Plausibility, market: Market) -> str:
    if limits.cap(market) is None:
        return "the rate is beyond what is plausible, and nothing confirms it"
    return "the rate is beyond the venue's own cap"


def _about(kind: SuspicionKind, market: Market, why: str, *facts: Fact) -> Suspicion:
    return Suspicion(kind=kind, symbol=market.symbol, venues=(market.venue,), why=why, facts=facts)


def _about_pair(kind: SuspicionKind, pair: Pair, why: str, *facts: Fact) -> Suspicion:
    return Suspicion(kind=kind, symbol=pair.symbol, venues=(pair.long_dex, pair.short_dex), why=why, facts=facts)
