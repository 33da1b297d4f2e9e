"""Fixed quotes as a source."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalancer import InputError, MarketRequest, MarketSnapshot, Missing, Needs, Quote, RateKind
from rebalancer.adapters.clock import SystemClock
from rebalancer.adapters.sources import StaticSource
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, ManualClock, a_quote, an_opportunity

LIGHTER, GRVT = Market("lighter", "BTC"), Market("grvt", "BTC")
ALL = MarketRequest(symbols=None, needs=Needs(opportunities=True, observations=5))


def a_source(*quotes: Quote, **more: object) -> StaticSource:
    return StaticSource(quotes, **{"clock": ManualClock(), **more})  # type: ignore[arg-type]  # by their names


async def test_it_answers_with_its_quotes_as_of_the_clocks_now() -> None:
    clock = ManualClock()
    source = a_source(a_quote("lighter", origin="me"), clock=clock)
    clock.advance(timedelta(minutes=1))
    assert await source.snapshot(ALL) == MarketSnapshot(
        as_of=AS_OF + timedelta(minutes=1), quotes=(a_quote("lighter", origin="me"),)
    )


async def test_its_quotes_grow_old() -> None:
    clock = ManualClock()
    source = a_source(a_quote("lighter"), clock=clock)
    clock.advance(timedelta(seconds=121))
    assert (await source.snapshot(ALL)).book.leg(LIGHTER).refusal == "the quote is older than its limit"


async def test_without_a_clock_it_is_the_machines() -> None:
    before = SystemClock().now().replace(microsecond=0)
    assert before <= (await StaticSource([]).snapshot(ALL)).as_of <= SystemClock().now()


async def test_only_what_is_wanted_is_answered() -> None:
    source = a_source(
        a_quote("lighter"),
        a_quote("grvt"),
        a_quote("grvt", symbol="ETH"),
        a_quote("aster", symbol="ETH"),
        opportunities=[an_opportunity(), an_opportunity(symbol="ETH"), an_opportunity(symbol="ETH", short_dex="aster")],
        observations=[a_quote("lighter"), a_quote("grvt")],
    )
    request = MarketRequest(
        markets=(LIGHTER,), symbols=("ETH",), venues=("grvt", "paradex"), needs=Needs(observations=1)
    )
    snapshot = await source.snapshot(request)
    assert [quote.market for quote in snapshot.quotes] == [LIGHTER, Market("grvt", "ETH")]
    assert snapshot.opportunities == (an_opportunity(symbol="ETH"),)
    assert snapshot.observations == (a_quote("lighter"),)


async def test_everything_is_answered_to_a_request_for_everything() -> None:
    source = a_source(
        a_quote("lighter"), a_quote("grvt", symbol="ETH"), opportunities=[an_opportunity()], observations=[a_quote()]
    )
    snapshot = await source.snapshot(ALL)
    assert len(snapshot.quotes) == 2
    assert snapshot.opportunities == (an_opportunity(),)
    assert snapshot.observations == (a_quote(),)


async def test_observations_that_nobody_needs_are_not_answered() -> None:
    source = a_source(observations=[a_quote()])
    assert (await source.snapshot(MarketRequest(symbols=None))).observations == ()


async def test_a_wanted_market_without_a_quote_is_missing_once() -> None:
    request = MarketRequest(markets=(LIGHTER, GRVT, GRVT))
    assert (await a_source(a_quote("lighter")).snapshot(request)).missing == (
        Missing(field="rate", venue="grvt", symbol="BTC", why="the source has no quote of it"),
    )


@pytest.mark.parametrize("where", [{"venue": "grvt", "symbol": "BTC"}, {"venue": "grvt"}, {"symbol": "BTC"}, {}])
async def test_a_gap_that_the_source_was_told_of_speaks_for_itself(where: dict[str, str]) -> None:
    told = Missing.model_validate({"field": "rate", "why": "HTTP 503", **where})
    assert (await a_source(missing=[told]).snapshot(MarketRequest(markets=(GRVT,)))).missing == (told,)


@pytest.mark.parametrize("where", [{"field": "volume"}, {"field": "rate", "venue": "aster"}])
async def test_a_gap_of_something_else_does_not(where: dict[str, str]) -> None:
    told = Missing.model_validate({"field": "rate", "why": "HTTP 503", **where})
    assert len((await a_source(missing=[told]).snapshot(MarketRequest(markets=(GRVT,)))).missing) == 2


@pytest.mark.parametrize(
    ("where", "symbol", "why"),
    [
        ({"venue": "grvt", "symbol": "BTC"}, "BTC", "grvt: HTTP 503"),
        ({"venue": "grvt"}, None, "grvt: HTTP 503"),
        ({"symbol": "BTC"}, "BTC", "HTTP 503"),
        ({}, None, "HTTP 503"),
    ],
)
async def test_a_list_of_candidates_lacks_what_the_source_was_told_has_no_rate(
    where: dict[str, str], symbol: str | None, why: str
) -> None:
    told = Missing.model_validate({"field": "rate", "why": "HTTP 503", **where})
    lacking = Missing(field="opportunities", symbol=symbol, why=why)
    for request in (ALL, MarketRequest(symbols=("BTC",), venues=("grvt",))):
        assert (await a_source(missing=[told, told]).snapshot(request)).missing == (told, told, lacking)


@pytest.mark.parametrize(
    "told",
    [
        Missing(field="rate", venue="grvt", symbol="BTC", why="HTTP 503"),
        Missing(field="rate", venue="aster", symbol="ETH", why="HTTP 503"),
        Missing(field="rate", venue="paradex", why="HTTP 503"),
        Missing(field="rate", symbol="ETH", why="HTTP 503"),
        Missing(field="volume", venue="aster", symbol="BTC", why="HTTP 503"),
    ],
    ids=str,
)
async def test_a_list_of_candidates_lacks_nothing_that_is_quoted_or_not_wanted(told: Missing) -> None:
    request = MarketRequest(symbols=("BTC",), venues=("grvt", "aster"))
    assert (await a_source(a_quote("grvt"), missing=[told]).snapshot(request)).missing == (told,)
    assert (await a_source(missing=[told]).snapshot(MarketRequest(symbols=()))).missing == (told,)


@pytest.mark.parametrize("symbol", ["BTC", None])
async def test_candidates_that_the_source_was_told_it_lacks_are_lacking_once(symbol: str | None) -> None:
    rate = Missing(field="rate", venue="grvt", symbol="BTC", why="HTTP 503")
    lacking = Missing(field="opportunities", symbol=symbol, why="HTTP 503")
    assert (await a_source(missing=[rate, lacking]).snapshot(ALL)).missing == (rate, lacking)


async def test_a_quote_without_an_origin_has_the_sources_name() -> None:
    source = a_source(a_quote("lighter"), a_quote("grvt", origin="me"), name="a table")
    assert source.name == "a table"
    assert [quote.origin for quote in (await source.snapshot(ALL)).quotes] == ["a table", "me"]


async def test_set_replaces_the_quotes_and_nothing_else() -> None:
    source = a_source(a_quote("lighter"), opportunities=[an_opportunity()])
    source.set(a_quote("grvt"), a_quote("aster"))
    snapshot = await source.snapshot(ALL)
    assert ([quote.venue for quote in snapshot.quotes], len(snapshot.opportunities)) == (["grvt", "aster"], 1)


def test_two_quotes_of_one_market_are_refused_at_once() -> None:
    with pytest.raises(InputError, match=r"^MarketSnapshot: two quotes of BTC on lighter$"):
        a_source(a_quote("lighter"), a_quote("lighter", 0))
    with pytest.raises(InputError, match=r"^MarketSnapshot: two quotes of BTC on lighter$"):
        a_source().set(a_quote("lighter"), a_quote("lighter", 0))


def test_it_counts_as_supplying_everything_but_the_legs_that_we_hold() -> None:
    everything = dict.fromkeys(Needs.model_fields.keys() - {"smoothed"}, True)
    wanted = Needs.model_validate({**everything, "observations": 10_000})
    assert wanted.lacking(a_source().supplies) == ("legs",)


@pytest.mark.parametrize("name", ["", "two\nlines", "x" * 101, None])
def test_a_name_is_one_short_line(name: str) -> None:
    with pytest.raises(InputError, match=r"^a source's name must be one line of 1 to 100 characters$"):
        StaticSource([], name=name)


async def test_it_is_closed_like_any_source() -> None:
    async with a_source() as source:
        await source.aclose()


async def test_what_was_settled_of_its_quotes_and_observations_are_its_settlements() -> None:
    hour = timedelta(hours=1)
    times = [AS_OF - n * hour for n in (2, 1, 0)] + [AS_OF + hour]
    oldest, old, now, future = [a_quote("lighter", kind=RateKind.SETTLED, observed_at=at) for at in times]
    other, live = a_quote("grvt", kind=RateKind.SETTLED), a_quote("aster", observed_at=times[1])
    source = a_source(other, now, live, observations=[old, old, future, oldest, live], name="a table")
    markets = [LIGHTER, live.market]
    found = await source.settlements(markets, times[1])
    assert found == tuple(quote.model_copy(update={"origin": "a table"}) for quote in (old, now))
