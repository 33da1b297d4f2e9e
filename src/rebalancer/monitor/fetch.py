"""The fetch planner: one question a tick for all positions, and an answer that can be decided on, whatever happens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from operator import itemgetter
from typing import TypeVar

from .._within import LateError, within
from ..domain.funding import RateKind
from ..domain.market import Freshness, Quote
from ..domain.missing import OPPORTUNITIES, RATE, Missing
from ..domain.names import Market, Pair, as_line, made
from ..domain.needs import Needs
from ..domain.plausible import PastRate, Plausibility
from ..domain.position import Position
from ..domain.request import MarketRequest
from ..domain.sanity import USUAL, Suspicion, screened, suspicions
from ..domain.snapshot import MarketSnapshot
from ..domain.times import SECOND
from ..errors import BadAnswerError, InputError, SourceError, SourceUnavailableError, UnsuppliedNeedError
from ..ports import Clock, FundingSource
from ..rules.base import Rule
from ..rules.combined import CombinedStrategy

T = TypeVar("T")


def require_supplied(strategy: Rule, *supplied: Needs) -> None:
    """Refuse a strategy with a rule that needs what nobody supplies: it could never be evaluated.

    `supplied` is what each supplier has: the source, an executor that reads legs, a store that keeps observations.
    Raises UnsuppliedNeedError, naming the rule.
    """
    all_of_them = Needs(rates=False)
    for one in supplied:
        all_of_them |= one
    for rule in strategy.rules if isinstance(strategy, CombinedStrategy) else (strategy,):
        lacking = rule.needs.lacking(all_of_them)
        if lacking:
            raise UnsuppliedNeedError(rule.name, lacking)


def request_for(positions: Collection[Position], needs: Needs, *, venues: Sequence[str] | None = None) -> MarketRequest:
    """The one question for all positions: their legs and, where needed, the candidates on `venues` (None: on all)."""
    if isinstance(venues, str):
        raise InputError("venues is a list of names, such as ['lighter', 'grvt']")
    asked = MarketRequest(venues=None if venues is None else tuple(venues), needs=needs)
    legs = {market for position in positions for market in position.markets}
    symbols = tuple(sorted({market.symbol for market in legs})) if needs.opportunities else ()
    return MarketRequest.model_construct(  # the names of positions are validated already
        markets=tuple(sorted(sorted(legs, key=itemgetter(1)), key=itemgetter(0))),  # as pairs, it takes thrice as long
        symbols=None if needs.opportunities and needs.all_symbols else symbols,
        venues=asked.venues,
        needs=asked.needs,
    )


async def ask(source: FundingSource, request: MarketRequest, *, deadline: timedelta) -> MarketSnapshot:
    """What a source answers, within `deadline`. Whatever it does instead of answering is a SourceError."""

    async def asked() -> tuple[str, object]:
        return source.name, await source.snapshot(request)

    name, snapshot = await _answered(source, asked, deadline)
    if not isinstance(snapshot, MarketSnapshot):
        raise BadAnswerError(name, f"it returned a {type(snapshot).__name__}, not a MarketSnapshot")
    return snapshot


async def _answered(source: FundingSource, asked: Callable[[], Awaitable[T]], deadline: timedelta) -> T:
    """What a question to a source gives by the deadline. Whatever it does instead is a SourceError."""
    outcome = await within(deadline, asked)
    if isinstance(outcome.error, SourceError):
        try:
            raise outcome.error
        finally:
            del outcome  # an error whose traceback leads to itself keeps the whole question until it is collected
    if outcome.value is None:
        late = isinstance(outcome.error, LateError)
        why = f"no answer within {deadline / SECOND:g} s" if late else f"it raised {type(outcome.error).__name__}"
        raise SourceUnavailableError(_name(source), why) from outcome.error
    return outcome.value


def _name(source: FundingSource) -> str:
    """What a failed source is called; even its name may fail."""
    try:
        return as_line(source.name)
    except KeyboardInterrupt:
        raise
    except BaseException:  # a host's or a plugin's source may raise anything, even SystemExit
        return type(source).__name__


@dataclass(frozen=True, slots=True)
class Fetched:
    """A tick's data: the snapshot to decide on, and what of the source's answer was not believed.

    `error` is why the source gave no answer at all; every value is unknown then.
    """

    snapshot: MarketSnapshot
    suspicions: tuple[Suspicion, ...] = ()
    error: SourceError | None = None


class Fetcher:
    """Asks a source once a tick for what a strategy needs, and looks at the answer before anybody decides on it.

    `supplied` is what others supply beside the source. `deadline` bounds the question. `freshness` replaces the
    source's own limits of age; `plausibility` is what rates are believed. Raises UnsuppliedNeedError if a rule needs
    what nobody supplies.
    """

    def __init__(
        self,
        source: FundingSource,
        strategy: Rule,
        *,
        clock: Clock,
        supplied: Sequence[Needs] = (),
        venues: Sequence[str] | None = None,
        deadline: timedelta = timedelta(seconds=20),
        freshness: Freshness | None = None,
        plausibility: Plausibility = USUAL,
    ) -> None:
        require_supplied(strategy, source.supplies, *supplied)
        self._source = source
        self._needs = strategy.needs
        self._clock = clock
        self._venues = request_for((), strategy.needs, venues=venues).venues
        self._deadline = deadline
        self._freshness = freshness
        self._plausibility = plausibility
        self._seen: dict[Market, tuple[PastRate, ...]] = {}
        self._asked: tuple[tuple[Pair, ...], MarketRequest] | None = None

    async def fetch(self, positions: Collection[Position], *, past: Sequence[Quote] = ()) -> Fetched:
        """The data of this tick. Whatever the source does, there is an answer; what it did not give is unknown.

        `past` are earlier observations, by which jumps are known, beside those that it remembers itself of the ticks
        before. Rates that are not believed are taken out of the snapshot and are missing there, with the reason.
        """
        pairs = tuple(dict.fromkeys(position.pair for position in positions))
        if self._asked is None or self._asked[0] != pairs:  # in most ticks they are those of the one before
            self._asked = pairs, request_for(positions, self._needs, venues=self._venues)
        request = self._asked[1]
        try:
            answer = await ask(self._source, request, deadline=self._deadline)
            return self._looked_at(answer, request, pairs, past)
        except SourceError as error:
            return Fetched(self._nothing(error), error=error)

    async def settlements(self, markets: Sequence[Market], since: datetime) -> tuple[Quote, ...]:
        """What markets settled since then, in order of time, as far as it is believed. Raises SourceError.

        A rate beyond what its venue allows, or what is plausible at all, is left out; jumps are not looked for.
        """

        async def asked() -> tuple[object, ...]:
            return tuple(await self._source.settlements(markets, since))

        wanted, plausible = frozenset(markets), self._plausibility
        found = await _answered(self._source, asked, self._deadline)
        try:
            believed = (
                quote
                for quote in found
                if isinstance(quote, Quote)
                and quote.kind is RateKind.SETTLED
                and quote.market in wanted
                and abs(quote.rate.steps) <= plausible.limit(quote.market)
            )
            return tuple(sorted(believed, key=lambda quote: quote.observed_epoch))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # values that were made without being validated may do anything
            raise BadAnswerError(_name(self._source), f"a settlement is none: {type(error).__name__}") from error

    def _looked_at(
        self, answer: MarketSnapshot, request: MarketRequest, pairs: Sequence[Pair], past: Sequence[Quote]
    ) -> Fetched:
        """The answer as of this clock's now, without what is not believed."""
        changes: dict[str, object] = {} if self._freshness is None else {"freshness": self._freshness}
        try:
            if not self._source.plays_back:
                changes["as_of"] = self._clock.now()
            snapshot = answer.model_copy(update=changes)
            self._remember(snapshot, request)
            seen = chain.from_iterable(self._seen.values())
            found = suspicions(snapshot, chain(past, seen), pairs=pairs, limits=self._plausibility)
            return Fetched(screened(snapshot, found), found)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a source, and values that were made without being validated, may do anything
            raise BadAnswerError(_name(self._source), f"its snapshot is none: {type(error).__name__}") from error

    def _remember(self, snapshot: MarketSnapshot, request: MarketRequest) -> None:
        """Keep the last two observations of each market that is held or quoted, those that are refused too."""
        new: dict[Market, tuple[PastRate, ...]] = {}
        for market, quote in snapshot.by_market.items():
            seen, at = self._seen.get(market), quote.observed_epoch
            if seen is None:
                new[market] = (made(PastRate, (market, quote.kind, at, quote.steps)),)
            elif seen[-1].observed_epoch < at:
                new[market] = (seen[-1], made(PastRate, (market, quote.kind, at, quote.steps)))
        self._seen |= new  # all of an answer or, where a quote of it is none, nothing
        if len(self._seen) > len(snapshot.by_market):  # what is quoted is seen: else there is nothing to drop
            for market in [one for one in self._seen if one not in snapshot.by_market and one not in request.held]:
                del self._seen[market]

    def _nothing(self, error: SourceError) -> MarketSnapshot:
        """A snapshot in which nothing is known, because of `error`."""
        gaps = tuple(Missing(field=field, why=as_line(error)) for field in (RATE, OPPORTUNITIES))
        return MarketSnapshot(as_of=self._clock.now(), quotes=(), missing=gaps)
