"""Several sources as one: the first that answers, market by market."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

import pytest

from rebalancer import (
    BadAnswerError,
    Freshness,
    FundingSource,
    InputError,
    MarketRequest,
    MarketSnapshot,
    Missing,
    Needs,
    Quote,
    RateKind,
    SourceError,
    SourceUnavailableError,
    UnknownMarketError,
)
from rebalancer.adapters.sources import FallbackSource, HistorySource, StaticSource
from rebalancer.domain.names import Market
from rebalancer.history.view import FRESHNESS
from rebalancer.testing import AS_OF, ManualClock, a_quote, a_snapshot, an_opportunity, sample_history

SECOND = timedelta(seconds=1)
LIGHTER, GRVT, ASTER = Market("lighter", "BTC"), Market("grvt", "BTC"), Market("aster", "BTC")
LEGS = MarketRequest(markets=(LIGHTER, GRVT))
CANDIDATES = MarketRequest(markets=(LIGHTER,), symbols=("BTC",))
NO_LIST = Missing(field="opportunities", venue="grvt", why="HTTP 503")
OLD = AS_OF - 200 * SECOND


class Fake(FundingSource):
    """A source that answers as it is told, and remembers what it was asked."""

    def __init__(self, name: str, answer: object = None, *, supplies: Needs | None = None) -> None:
        self._name = name
        self._answer = answer
        self._supplies = supplies or Needs()
        self.asked: list[MarketRequest] = []
        self.asked_for: list[tuple[tuple[Market, ...], datetime]] = []
        self.closed = 0

    @property
    def name(self) -> str:
        return self._name

    @property
    def supplies(self) -> Needs:
        return self._supplies

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        self.asked.append(request)
        if isinstance(self._answer, BaseException):
            raise self._answer
        assert isinstance(self._answer, MarketSnapshot | int)
        return self._answer  # type: ignore[return-value]  # nonsense too

    async def settlements(self, markets: Collection[Market], since: datetime) -> tuple[Quote, ...]:
        self.asked_for.append((tuple(markets), since))
        if isinstance(self._answer, BaseException):
            raise self._answer
        assert isinstance(self._answer, MarketSnapshot)
        return self._answer.observations

    async def aclose(self) -> None:
        self.closed += 1
        if isinstance(self._answer, BaseException):
            raise self._answer


def giving(name: str, *quotes: Quote, **fields: Any) -> Fake:
    return Fake(name, MarketSnapshot(**{"as_of": AS_OF, "quotes": quotes, **fields}))


def down(name: str = "a", why: str = "it was down") -> Fake:
    return Fake(name, SourceUnavailableError(name, why))


def rate(market: Market, why: str) -> Missing:
    return Missing(field="rate", venue=market.venue, symbol=market.symbol, why=why)


def seen(snapshot: MarketSnapshot) -> dict[str, str | None]:
    """Who gave the quote of which venue."""
    return {quote.venue: quote.origin for quote in snapshot.quotes}


# who is asked, and for what


async def test_the_second_is_not_asked_where_the_first_has_all() -> None:
    first, second = giving("a", a_quote("lighter"), a_quote("grvt")), giving("b")
    snapshot = await FallbackSource(first, second).snapshot(LEGS)
    assert seen(snapshot) == {"lighter": "a", "grvt": "a"}
    assert (first.asked, second.asked) == ([LEGS], [])


async def test_the_second_is_asked_for_what_the_first_does_not_have() -> None:
    first, second = giving("a", a_quote("lighter"), missing=(rate(GRVT, "HTTP 503"),)), giving("b", a_quote("grvt"))
    request = LEGS.model_copy(update={"venues": ("grvt",), "needs": Needs(observations=3)})
    snapshot = await FallbackSource(first, second).snapshot(request)
    assert seen(snapshot) == {"lighter": "a", "grvt": "b"}
    assert second.asked == [request.model_copy(update={"markets": (GRVT,)})]
    assert snapshot.missing == ()


async def test_a_stale_quote_is_asked_for_again_and_replaced_by_a_fresh_one() -> None:
    first = giving("a", a_quote("lighter"), a_quote("grvt", observed_at=OLD))
    second = giving("b", a_quote("grvt", "0.0007"))
    snapshot = await FallbackSource(first, second).snapshot(LEGS)
    assert second.asked == [MarketRequest(markets=(GRVT,))]
    assert snapshot.by_market[GRVT] == a_quote("grvt", "0.0007", origin="b")


async def test_of_two_stale_quotes_the_first_stays() -> None:
    first, second = giving("a", a_quote("lighter", observed_at=OLD)), giving("b", a_quote("lighter", observed_at=OLD))
    third = giving("c", a_quote("lighter"))
    request = MarketRequest(markets=(LIGHTER,))
    assert seen(await FallbackSource(first, second).snapshot(request)) == {"lighter": "a"}
    assert seen(await FallbackSource(first, second, third).snapshot(request)) == {"lighter": "c"}


async def test_what_is_quoted_freshly_is_never_replaced() -> None:
    second = giving("b", a_quote("lighter", 0), a_quote("grvt"))
    snapshot = await FallbackSource(giving("a", a_quote("lighter")), second).snapshot(LEGS)
    assert seen(snapshot) == {"lighter": "a", "grvt": "b"}


async def test_candidates_are_asked_for_once_if_the_first_has_them_all() -> None:
    first, second = giving("a", a_quote("grvt")), giving("b", a_quote("lighter"), a_quote("aster"))
    snapshot = await FallbackSource(first, second).snapshot(CANDIDATES)
    assert second.asked == [MarketRequest(markets=(LIGHTER,))]
    assert seen(snapshot) == {"grvt": "a", "lighter": "b", "aster": "b"}


async def test_candidates_are_asked_for_again_where_the_first_could_not_list_all() -> None:
    first = giving("a", a_quote("lighter"), missing=(NO_LIST,))
    second, third = giving("b", a_quote("grvt")), giving("c")
    snapshot = await FallbackSource(first, second, third).snapshot(CANDIDATES)
    assert second.asked == [MarketRequest(symbols=("BTC",))]
    assert third.asked == []
    assert (seen(snapshot), snapshot.missing) == ({"lighter": "a", "grvt": "b"}, ())


async def test_a_candidate_that_is_stale_or_reported_missing_is_asked_for_by_its_market() -> None:
    first = giving(
        "a", a_quote("lighter"), a_quote("grvt", observed_at=OLD), missing=(rate(ASTER, "no answer"), rate(GRVT, "old"))
    )
    second = giving("b", a_quote("aster"))
    snapshot = await FallbackSource(first, second).snapshot(CANDIDATES)
    assert second.asked == [MarketRequest(markets=(GRVT, ASTER))]
    assert seen(snapshot) == {"lighter": "a", "grvt": "a", "aster": "b"}


async def test_what_nobody_wants_is_neither_answered_nor_asked_for_again() -> None:
    first = giving("a", a_quote("lighter"), a_quote("grvt"), a_quote("aster"), missing=(rate(Market("x", "Y"), "no"),))
    second = giving("b")
    assert seen(await FallbackSource(first, second).snapshot(LEGS)) == {"lighter": "a", "grvt": "a"}
    assert second.asked == []


async def test_a_market_that_is_quoted_is_not_asked_for_again_though_it_is_called_missing() -> None:
    second = giving("b")
    await FallbackSource(giving("a", a_quote("lighter"), missing=(rate(LIGHTER, "half read"),)), second).snapshot(
        MarketRequest(markets=(LIGHTER,))
    )
    assert second.asked == []


async def test_candidates_that_nobody_wants_are_not_missing() -> None:
    second = giving("b")
    first = giving("a", a_quote("lighter"), a_quote("grvt"), missing=(NO_LIST,))
    assert (await FallbackSource(first, second).snapshot(LEGS)).missing == ()
    assert second.asked == []


async def test_all_symbols_are_candidates_until_somebody_lists_them() -> None:
    request = MarketRequest(symbols=None)
    second = giving("b", a_quote("grvt", symbol="ETH"))
    snapshot = await FallbackSource(down(), second).snapshot(request)
    assert second.asked == [request]
    assert (len(snapshot.quotes), snapshot.missing) == (1, ())


# failures


async def test_if_the_first_fails_the_second_is_asked_for_everything() -> None:
    second = giving("b", a_quote("lighter"), a_quote("grvt"))
    snapshot = await FallbackSource(down(), second).snapshot(CANDIDATES)
    assert second.asked == [CANDIDATES]
    assert (seen(snapshot), snapshot.missing) == ({"lighter": "b", "grvt": "b"}, ())


async def test_if_all_fail_each_reason_is_named() -> None:
    last = UnknownMarketError("b", "no BTC here")
    with pytest.raises(SourceUnavailableError) as failed:
        await FallbackSource(down(), Fake("b", last), name="both").snapshot(LEGS)
    assert str(failed.value) == "both: a: it was down; b: no BTC here"
    assert failed.value.__cause__ is last


@pytest.mark.parametrize("error", [KeyError("s3cret"), SystemExit("s3cret")], ids=repr)
async def test_a_source_that_breaks_its_promise_does_not_stop_the_next(error: BaseException) -> None:
    broken = Fake("a", error)
    assert seen(await FallbackSource(broken, giving("b", a_quote("lighter"))).snapshot(LEGS)) == {"lighter": "b"}
    with pytest.raises(SourceUnavailableError, match=rf"^fallback: a: it raised {type(error).__name__}$"):
        await FallbackSource(broken).snapshot(LEGS)


async def test_an_answer_that_is_no_snapshot_counts_as_a_failure() -> None:
    with pytest.raises(SourceUnavailableError) as failed:
        await FallbackSource(Fake("a", 7)).snapshot(LEGS)
    assert str(failed.value) == "fallback: a: it answered with a int, not a MarketSnapshot"
    assert isinstance(failed.value.__cause__, BadAnswerError)


def test_an_interrupt_from_the_keyboard_passes() -> None:
    second = giving("b")
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(FallbackSource(Fake("a", KeyboardInterrupt()), second).snapshot(LEGS))
    assert second.asked == []


class Hangs(Fake):
    """A source that answers when it is cancelled, if at all."""

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        self.asked.append(request)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if self._answer is None:
                raise
        return await super().snapshot(request)


@pytest.mark.parametrize("late", [None, a_snapshot(a_quote("lighter", 0))], ids=["never", "when it is cancelled"])
async def test_a_source_that_hangs_is_cut_off_and_the_next_one_is_asked(late: MarketSnapshot | None) -> None:
    source = FallbackSource(Hangs("a", late), giving("b", a_quote("lighter")), deadline=timedelta(milliseconds=10))
    snapshot = await source.snapshot(LEGS)
    assert seen(snapshot) == {"lighter": "b"}
    assert snapshot.missing == (rate(GRVT, "a: no answer within 0.01 s; b: there is no quote of this market"),)


async def test_a_source_that_is_cancelled_from_within_does_not_stop_the_next() -> None:
    broken = Fake("a", asyncio.CancelledError())
    assert seen(await FallbackSource(broken, giving("b", a_quote("lighter"))).snapshot(LEGS)) == {"lighter": "b"}
    with pytest.raises(SourceUnavailableError, match=r"^fallback: a: it raised CancelledError$"):
        await FallbackSource(broken).snapshot(LEGS)


async def test_the_callers_own_cancellation_passes() -> None:
    first, second = Hangs("a"), giving("b")
    asking = asyncio.create_task(FallbackSource(first, second).snapshot(LEGS))
    while not first.asked:
        await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert second.asked == []


@pytest.mark.parametrize("deadline", [timedelta(0), -SECOND, 5])
def test_a_deadline_is_a_timedelta_above_0(deadline: timedelta) -> None:
    with pytest.raises(InputError, match=r"^deadline must be a timedelta above 0$"):
        FallbackSource(down(), deadline=deadline)


async def test_a_reason_of_several_lines_is_made_one() -> None:
    (gap,) = (
        await FallbackSource(down("a", "two\nlines"), giving("b")).snapshot(MarketRequest(markets=(GRVT,)))
    ).missing
    assert gap.why == "a: 'two\\nlines'; b: there is no quote of this market"


async def test_a_reason_that_is_empty_or_endless_is_still_a_reason() -> None:
    request = MarketRequest(markets=(GRVT,))
    (empty,) = (await FallbackSource(down("a", ""), giving("b")).snapshot(request)).missing
    assert empty.why.startswith("a: nothing; b: ")
    (endless,) = (await FallbackSource(down("a", "x" * 900), giving("b")).snapshot(request)).missing
    assert len(endless.why) == 500


# what is needed of a market

NEEDED = [
    (Needs(schedule=True), "next funding time", {"next_funding_at": AS_OF + timedelta(hours=1)}),
    (Needs(open_interest=True), "open interest", {"open_interest_usd": 0}),
    (Needs(volume=True), "volume", {"volume_24h_usd": 0}),
    (Needs(mark_price=True), "mark price", {"mark_price": 1}),
]
ONE = MarketRequest(markets=(LIGHTER,))


@pytest.mark.parametrize(("needs", "field", "more"), NEEDED)
async def test_the_first_quote_that_has_what_is_needed_counts(needs: Needs, field: str, more: dict[str, Any]) -> None:
    told = Missing(field=field, venue="lighter", symbol="BTC", why="HTTP 503")
    first, second, third = giving("a", a_quote(), missing=(told,)), giving("b", a_quote(**more)), giving("c")
    request = ONE.model_copy(update={"needs": needs})
    snapshot = await FallbackSource(first, second, third).snapshot(request)
    assert (second.asked, third.asked) == ([request], [])
    assert (snapshot.quotes, snapshot.missing) == ((a_quote(origin="b", **more),), ())


@pytest.mark.parametrize(("needs", "field", "more"), NEEDED)
async def test_if_no_quote_has_what_is_needed_the_first_counts_and_says_why(
    needs: Needs, field: str, more: dict[str, Any]
) -> None:
    told = Missing(field=field, venue="lighter", symbol="BTC", why="HTTP 503")
    first, third = giving("a", a_quote(), missing=(told,)), giving("c", a_quote(rate=0))
    snapshot = await FallbackSource(first, down("b"), third).snapshot(ONE.model_copy(update={"needs": needs}))
    why = "a: HTTP 503; b: it was down; c: its quote does not say"
    assert seen(snapshot) == {"lighter": "a"}
    assert snapshot.missing == (told.model_copy(update={"why": why}),)
    everything = Needs(schedule=True, open_interest=True, volume=True, mark_price=True)
    half = FallbackSource(giving("a", a_quote(**more)))
    snapshot = await half.snapshot(ONE.model_copy(update={"needs": everything}))
    assert {gap.field for gap in snapshot.missing} == {other for _, other, _ in NEEDED} - {field}


async def test_a_fresh_quote_counts_before_a_stale_one_that_has_more() -> None:
    stale = giving("a", a_quote(observed_at=OLD, open_interest_usd=5))
    request = ONE.model_copy(update={"needs": Needs(open_interest=True)})
    snapshot = await FallbackSource(stale, giving("b", a_quote())).snapshot(request)
    assert seen(snapshot) == {"lighter": "b"}
    assert [gap.field for gap in snapshot.missing] == ["open interest"]


async def test_a_schedule_of_the_past_is_not_known_and_one_of_continuous_funding_is() -> None:
    request = ONE.model_copy(update={"needs": Needs(schedule=True)})
    past, second = giving("a", a_quote(next_funding_at=AS_OF - SECOND)), giving("b")
    (gap,) = (await FallbackSource(past, second).snapshot(request)).missing
    assert gap.why == "a: it is in the past; b: there is no quote of this market"
    continuous = giving("a", a_quote(pays_every=timedelta(0)))
    assert (await FallbackSource(continuous, down("b")).snapshot(request)).missing == ()


async def test_a_candidate_without_what_is_needed_is_asked_for_by_its_market() -> None:
    second = giving("b", a_quote("grvt", open_interest_usd=7))
    request = MarketRequest(symbols=("BTC",), needs=Needs(open_interest=True))
    snapshot = await FallbackSource(giving("a", a_quote("grvt")), second).snapshot(request)
    assert second.asked == [request.model_copy(update={"markets": (GRVT,), "symbols": ()})]
    assert seen(snapshot) == {"grvt": "b"}


# what is still missing


async def test_candidates_are_asked_for_again_where_they_are_lacking_and_no_further() -> None:
    def lacks(*symbols: str) -> tuple[Missing, ...]:
        return tuple(Missing(field="opportunities", symbol=symbol, why="a row was refused") for symbol in symbols)

    request = MarketRequest(symbols=None)
    first = giving("a", a_quote("lighter"), missing=lacks("DOGE", "ETH"))
    second, third = giving("b", missing=lacks("DOGE", "SOL")), giving("c", missing=lacks("SOL"))
    snapshot = await FallbackSource(first, second, third).snapshot(request)
    assert second.asked == [request.model_copy(update={"symbols": ("DOGE", "ETH")})]
    assert third.asked == [request.model_copy(update={"symbols": ("DOGE",)})]
    assert snapshot.missing == ()
    snapshot = await FallbackSource(first, down("z"), second).snapshot(request)
    why = "a: a row was refused; z: it was down; b: a row was refused"
    assert snapshot.missing == (Missing(field="opportunities", symbol="DOGE", why=why),)


async def test_candidates_of_a_market_that_the_next_one_lists_are_not_missing() -> None:
    gap = Missing(field="opportunities", venue="grvt", symbol="BTC", why="HTTP 503")
    first = giving("a", a_quote("lighter"), missing=(gap,))
    assert (await FallbackSource(first, giving("b")).snapshot(CANDIDATES)).missing == ()


async def test_a_market_that_nobody_has_says_why_source_by_source() -> None:
    source = FallbackSource(giving("a", missing=(rate(GRVT, "HTTP 503"),)), down("b"), giving("c"))
    assert (await source.snapshot(MarketRequest(markets=(GRVT,)))).missing == (
        rate(GRVT, "a: HTTP 503; b: it was down; c: there is no quote of this market"),
    )


async def test_candidates_that_nobody_could_list_say_why_source_by_source() -> None:
    first = giving("a", a_quote("lighter"), missing=(NO_LIST, NO_LIST.model_copy(update={"why": "slow"})))
    snapshot = await FallbackSource(first, down("b")).snapshot(CANDIDATES)
    assert snapshot.missing == (Missing(field="opportunities", why="a: HTTP 503, slow; b: it was down"),)


async def test_a_stale_quote_speaks_for_itself() -> None:
    snapshot = await FallbackSource(giving("a", a_quote("lighter", observed_at=OLD)), giving("b")).snapshot(
        MarketRequest(markets=(LIGHTER,))
    )
    assert snapshot.missing == ()
    assert snapshot.book.gap(LIGHTER, "rate").why == "the quote is older than its limit"


async def test_what_else_is_missing_of_a_market_is_what_the_source_of_its_quote_says() -> None:
    volumes = [Missing(field="volume", venue="grvt", symbol="BTC", why=why) for why in ("a says", "b says")]
    unquoted = Missing(field="volume", venue="aster", symbol="BTC", why="a says")
    first = giving("a", a_quote("lighter"), missing=(volumes[0], unquoted, unquoted))
    second = giving("b", a_quote("grvt"), missing=(volumes[1],))
    assert (await FallbackSource(first, second).snapshot(LEGS)).missing == (unquoted, volumes[1])


@pytest.mark.parametrize("where", [{"venue": "grvt"}, {"symbol": "BTC"}, {}])
async def test_a_general_gap_of_rates_stays_until_nothing_is_missing(where: dict[str, str]) -> None:
    down_there = Missing.model_validate({"field": "rate", "why": "HTTP 503", **where})
    general = Missing.model_validate({"field": "volume", "why": "nobody counts", **where})
    first = giving("a", a_quote("lighter"), missing=(down_there, general))
    found = (await FallbackSource(first, giving("b")).snapshot(LEGS)).missing
    assert found == (rate(GRVT, "a: HTTP 503; b: there is no quote of this market"), down_there, general)
    found = (await FallbackSource(first, giving("b", a_quote("grvt"))).snapshot(LEGS)).missing
    assert found == (general,)
    listless = giving("a", a_quote("lighter"), a_quote("grvt"), missing=(down_there, NO_LIST))
    found = (await FallbackSource(listless).snapshot(CANDIDATES)).missing
    assert found == (Missing(field="opportunities", why="a: HTTP 503"), down_there)


# one answer of several


async def test_it_is_as_of_the_latest_answer() -> None:
    first, second = giving("a", a_quote("lighter")), giving("b", a_quote("grvt"), as_of=AS_OF + SECOND)
    for sources in ((down("z"), first, second), (first, giving("y", as_of=AS_OF - SECOND), second)):
        assert (await FallbackSource(*sources).snapshot(LEGS)).as_of == AS_OF + SECOND


LOOSE = Freshness(
    max_age=300 * SECOND, max_intervals=9, live_by_interval=True, max_future=60 * SECOND, max_skew=300 * SECOND
)


@pytest.mark.parametrize(
    "strict",
    [
        {"max_age": SECOND},
        {"max_intervals": 1},
        {"live_by_interval": False},
        {"max_future": timedelta(0)},
        {"max_skew": SECOND},
    ],
    ids=str,
)
async def test_of_each_limit_of_freshness_the_strictest_counts(strict: dict[str, Any]) -> None:
    limits = LOOSE, LOOSE.model_copy(update=strict)
    for one, other in (limits, limits[::-1]):
        sources = giving("a", a_quote("lighter"), freshness=one), giving("b", a_quote("grvt"), freshness=other)
        assert (await FallbackSource(*sources).snapshot(LEGS)).freshness == limits[1]


async def test_a_live_quote_is_not_judged_by_the_rule_of_a_history() -> None:
    history = giving("history", a_quote("grvt"), freshness=FRESHNESS)
    live = giving("live", a_quote("lighter", observed_at=AS_OF - timedelta(minutes=90)))
    snapshot = await FallbackSource(history, live).snapshot(LEGS)
    assert snapshot.book.leg(LIGHTER).refusal == "the quote is older than its limit"


async def test_a_quote_is_one_sources_whole() -> None:
    first = giving("a", a_quote("lighter"), a_quote("grvt", observed_at=OLD, open_interest_usd=5))
    second = giving("b", a_quote("lighter", open_interest_usd=7), a_quote("grvt", origin="their venue"))
    snapshot = await FallbackSource(first, second).snapshot(LEGS)
    assert snapshot.quotes == (a_quote("lighter", origin="a"), a_quote("grvt", origin="their venue"))


async def test_observations_are_of_the_source_that_gave_the_quote() -> None:
    def past(venue: str, rate: str) -> Quote:
        return a_quote(venue, rate, observed_at=AS_OF - 60 * SECOND)

    first = giving("a", a_quote("lighter"), observations=(past("lighter", "1e-5"), past("grvt", "1e-5")))
    second = giving("b", a_quote("grvt"), observations=(past("lighter", "2e-5"), past("grvt", "2e-5")))
    third = giving("c", observations=(past("aster", "3e-5"),))
    snapshot = await FallbackSource(first, second, third).snapshot(LEGS.model_copy(update={"symbols": ("BTC",)}))
    assert snapshot.observations == (past("lighter", "1e-5"), past("grvt", "2e-5"))
    everyone = MarketRequest(markets=(LIGHTER, GRVT, ASTER))
    snapshot = await FallbackSource(first, second, third).snapshot(everyone)
    assert snapshot.observations[-1] == past("aster", "3e-5")


async def test_opportunities_of_all_are_listed_once_with_their_origin() -> None:
    own = an_opportunity(origin="a list")
    first = giving("a", opportunities=(own, an_opportunity()), missing=(NO_LIST,))
    second = giving("b", a_quote("lighter"), opportunities=(own, an_opportunity()))
    assert (await FallbackSource(first, second).snapshot(CANDIDATES)).opportunities == (
        own,
        an_opportunity(origin="a"),
        an_opportunity(origin="b"),
    )


def test_it_supplies_what_any_of_them_supplies() -> None:
    first, second = Fake("a", supplies=Needs(schedule=True)), Fake("b", supplies=Needs(observations=5, rates=False))
    assert FallbackSource(first, second).supplies == Needs(schedule=True, observations=5)


def test_it_plays_back_only_if_all_of_them_do() -> None:
    past = HistorySource(sample_history(days=1), clock=ManualClock())
    assert FallbackSource(past, past).plays_back
    assert not FallbackSource(past, down()).plays_back


def test_it_has_a_name() -> None:
    assert FallbackSource(down()).name == "fallback"
    assert FallbackSource(down(), name="both").name == "both"


async def test_closing_closes_all_even_if_one_raises() -> None:
    first, second, third = giving("a"), Fake("b", SourceError("b", "stuck")), giving("c")
    with pytest.raises(SourceError, match=r"^b: stuck$"):
        await FallbackSource(first, second, third).aclose()
    assert (first.closed, second.closed, third.closed) == (1, 1, 1)


async def test_fallbacks_nest_and_the_innermost_name_is_the_origin() -> None:
    clock = ManualClock()
    inner = FallbackSource(down(), StaticSource([a_quote("lighter")], clock=clock, name="inner"))
    outer = FallbackSource(inner, StaticSource([a_quote("grvt")], clock=clock, name="outer"))
    assert await outer.snapshot(LEGS) == a_snapshot(a_quote("lighter", origin="inner"), a_quote("grvt", origin="outer"))


# settlements


def settled(venue: str, hours: int = 0) -> Quote:
    return a_quote(venue, kind=RateKind.SETTLED, observed_at=AS_OF - hours * timedelta(hours=1))


async def test_a_markets_settlements_are_those_of_the_first_that_has_any() -> None:
    first = giving("a", observations=(settled("lighter", 3), settled("lighter", 1)))
    second = giving("b", observations=(settled("grvt", 2), settled("lighter", 2)))
    third = giving("c", observations=(settled("aster", 1),))
    never = giving("d")
    found = await FallbackSource(first, second, third, never).settlements([LIGHTER, GRVT, ASTER], OLD)
    assert [(quote.venue, quote.origin) for quote in found] == [
        ("lighter", "a"),
        ("grvt", "b"),
        ("lighter", "a"),
        ("aster", "c"),
    ]
    asked = [source.asked_for for source in (first, second, third, never)]
    assert asked == [[((LIGHTER, GRVT, ASTER), OLD)], [((GRVT, ASTER), OLD)], [((ASTER,), OLD)], []]


async def test_settlements_are_there_even_if_a_source_fails_and_unavailable_if_no_other_has_any() -> None:
    second = giving("b", observations=(settled("lighter"),))
    assert len(await FallbackSource(down(), second).settlements([LIGHTER], OLD)) == 1
    for sources in ([down(), giving("b")], [giving("b"), down()], [down()]):
        with pytest.raises(SourceUnavailableError, match=r"^fallback: a: it was down$"):
            await FallbackSource(*sources).settlements([LIGHTER], OLD)
    assert await FallbackSource(giving("a"), giving("b")).settlements([LIGHTER], OLD) == ()


async def test_settlements_that_are_none_are_a_bad_answer() -> None:
    lies = Fake("a", MarketSnapshot.model_construct(observations=("a quote",)))
    with pytest.raises(SourceUnavailableError, match="it answered with settlements that are no Quotes"):
        await FallbackSource(lies).settlements([LIGHTER], OLD)
