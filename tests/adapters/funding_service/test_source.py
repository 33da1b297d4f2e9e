"""The Funding Rate Service as a source, over a real socket: what it asks, and what it makes of what it is told."""

from __future__ import annotations

import asyncio
import contextlib
import pickle
import ssl
from datetime import date, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    Action,
    BadAnswerError,
    BetterOpportunity,
    CombinedStrategy,
    DivergenceFlip,
    FundingSchedule,
    InputError,
    MarketRequest,
    MarketSnapshot,
    Needs,
    OpenInterestImbalance,
    Outcome,
    Position,
    Quote,
    RebalanceDecision,
    SourceError,
    SourceUnavailableError,
    TimeLimit,
    UnknownMarketError,
    presets,
)
from rebalancer.adapters.funding_service import (
    FundingServiceClient,
    FundingServiceSource,
    ServiceRate,
    ServiceVenue,
    VenueRates,
)
from rebalancer.domain.names import Market
from rebalancer.domain.quoted_legs import NEVER
from rebalancer.domain.venues import VENUES, VenueFacts
from rebalancer.monitor.fetch import Fetched, Fetcher, request_for
from rebalancer.rules.base import Rule
from rebalancer.testing import AS_OF, ManualClock, a_position, a_quote, a_rate

if TYPE_CHECKING:
    from .conftest import FakeService

SIX = {"aster", "backpack", "grvt", "hyperliquid", "lighter", "paradex"}
CANDIDATES = Needs(opportunities=True)
FIGURES = Needs(open_interest=True, volume=True)
EVERYTHING = Needs(opportunities=True, schedule=True, open_interest=True, volume=True)
FLIP = CombinedStrategy(DivergenceFlip())
SWITCH = CombinedStrategy(DivergenceFlip(), BetterOpportunity(cost_bps=0, min_improvement=0))
PICKY = CombinedStrategy(DivergenceFlip(), BetterOpportunity(cost_bps=0, min_improvement="0.1"))
HOUR = timedelta(hours=1)


async def ask(
    service: FakeService,
    *positions: Position,
    needs: Needs = CANDIDATES,
    client: dict[str, Any] | None = None,
    **options: Any,
) -> MarketSnapshot:
    """What a source says of these positions, the usual one unless given."""
    async with service.source(ManualClock(), client=client, **options) as source:
        return await source.snapshot(request_for(positions or (a_position(),), needs))


async def decide(
    service: FakeService, strategy: CombinedStrategy, *, past: tuple[Quote, ...] = (), **client: Any
) -> tuple[Fetched, RebalanceDecision]:
    """The tick of the usual position."""
    clock = ManualClock()
    async with service.source(clock, client=client) as source:
        fetched = await Fetcher(source, strategy, clock=clock).fetch([a_position()], past=past)
    return fetched, strategy.decide(a_position(), fetched.snapshot)


def gaps(snapshot: MarketSnapshot) -> list[tuple[str, str | None, str | None]]:
    """What is missing, without the reasons."""
    return [(gap.field, gap.venue, gap.symbol) for gap in snapshot.missing]


# What a tick costs.


@pytest.mark.parametrize("count", [1, 10, 100, 500])
async def test_a_tick_asks_twice_a_venue_and_once_for_the_venues_whatever_the_number_of_positions(
    service: FakeService, count: int
) -> None:
    snapshot = await ask(service, *service.positions(count), needs=EVERYTHING)
    assert len(service.requests) == len(set(service.requests)) == 2 * len(SIX) + 1
    assert snapshot.missing == ()
    symbols = {position.symbol for position in service.positions(count)}
    assert set(snapshot.by_market) == {Market(venue, symbol) for venue in SIX for symbol in symbols}


@pytest.mark.parametrize("count", [1, 500])
async def test_without_figures_a_venue_is_asked_once(service: FakeService, count: int) -> None:
    await ask(service, *service.positions(count), needs=Needs(opportunities=True, schedule=True))
    assert sorted(service.requests) == ["/dexes", *(f"/funding-rates/{venue}" for venue in sorted(SIX))]


async def test_without_candidates_the_held_venues_alone_are_asked(service: FakeService) -> None:
    snapshot = await ask(service, needs=Needs())
    assert sorted(service.requests) == ["/funding-rates/grvt", "/funding-rates/lighter"]
    assert set(snapshot.by_market) == {Market("grvt", "BTC"), Market("lighter", "BTC")}


async def test_a_ranked_list_is_never_asked(service: FakeService) -> None:
    await ask(service, needs=EVERYTHING)
    assert not [path for path in service.requests if "opportunities" in path or "compare" in path]


async def test_nothing_is_asked_where_nothing_is_wanted(service: FakeService) -> None:
    async with service.source(ManualClock()) as source:
        snapshot = await source.snapshot(MarketRequest())
    assert (snapshot.quotes, snapshot.missing, service.requests) == ((), (), [])


@pytest.mark.parametrize(
    ("needs", "asked"),
    [
        (Needs(), False),
        (Needs(schedule=True), False),
        (Needs(open_interest=True), True),
        (Needs(volume=True), True),
        (Needs(mark_price=True), False),
    ],
)
async def test_the_needs_decide_whether_figures_are_asked(service: FakeService, needs: Needs, asked: bool) -> None:  # noqa: FBT001  # a parameter of the test
    snapshot = await ask(service, needs=needs)
    assert ("/dexes/grvt/symbols" in service.requests) is asked
    assert (snapshot.by_market[Market("grvt", "BTC")].open_interest_usd is not None) is asked


@pytest.mark.parametrize("at_once", [1, 2, 3])
async def test_no_more_requests_are_under_way_than_allowed(clock: ManualClock, at_once: int) -> None:
    class Counting(FundingServiceClient):
        under_way = most = 0

        async def get_funding_rates(self, dex: str) -> VenueRates:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
            await asyncio.sleep(0)
            self.under_way -= 1
            return VenueRates(venue=dex, rates=())

        async def get_dexes(self) -> tuple[ServiceVenue, ...]:
            return tuple(ServiceVenue(venue=venue, active=True) for venue in SIX)

    client = Counting(clock=clock)
    async with FundingServiceSource(client, at_once=at_once) as source:
        await source.snapshot(MarketRequest(symbols=("BTC",), needs=CANDIDATES))
    assert (client.under_way, client.most) == (0, at_once)


async def test_at_least_one_request_must_be_allowed() -> None:
    async with FundingServiceClient() as client:
        with pytest.raises(InputError, match=r"^at_once must be at least 1$"):
            FundingServiceSource(client, at_once=0)


async def test_a_tick_that_is_cut_off_leaves_nothing_under_way(clock: ManualClock) -> None:
    class Hanging(FundingServiceClient):
        started = 0

        async def get_funding_rates(self, dex: str) -> VenueRates:
            self.started += 1
            await asyncio.Event().wait()
            raise AssertionError

    before = asyncio.all_tasks()
    client = Hanging(clock=clock)
    async with FundingServiceSource(client, at_once=1) as source:
        tick = asyncio.create_task(source.snapshot(request_for([a_position()], Needs())))
        while not client.started:
            await asyncio.sleep(0)
        tick.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await tick
    assert tick.cancelled()
    assert asyncio.all_tasks() == before
    assert client.started == 1  # the one that waited for its turn was not sent after all


# Which venues.


async def test_candidates_are_of_the_allowed_venues_alone_and_a_held_leg_elsewhere_is_still_read(
    service: FakeService,
) -> None:
    held = a_position(long_dex="paradex")
    snapshot = await ask(service, held, venues=["Lighter", "grvt"])
    assert set(snapshot.by_market) == {Market(venue, "BTC") for venue in ("grvt", "lighter", "paradex")}
    eth = request_for([held], Needs(opportunities=True, all_symbols=True))
    async with service.source(ManualClock(), venues="lighter, grvt") as source:
        everything = await source.snapshot(eth)
    assert {venue for venue, symbol in everything.by_market if symbol == "ETH"} == {"grvt", "lighter"}
    assert {symbol for venue, symbol in everything.by_market if venue == "paradex"} == {"BTC"}


async def test_the_source_and_the_question_may_both_limit_the_venues(service: FakeService) -> None:
    async with service.source(ManualClock(), venues=["lighter", "grvt"]) as source:
        request = MarketRequest(symbols=("BTC",), venues=("grvt", "aster"), needs=CANDIDATES)
        snapshot = await source.snapshot(request)
    assert set(snapshot.by_market) == {Market("grvt", "BTC")}
    assert service.requests == ["/dexes", "/funding-rates/grvt"]


async def test_a_venue_that_is_allowed_but_inactive_or_unheard_of_is_not_asked(service: FakeService) -> None:
    async with service.source(ManualClock(), venues=["edgex", "unheard", "grvt"]) as source:
        for venues in (None, ("edgex", "unheard", "grvt")):
            service.quiet()
            snapshot = await source.snapshot(MarketRequest(symbols=("BTC",), venues=venues, needs=CANDIDATES))
            assert set(snapshot.by_market) == {Market("grvt", "BTC")}
            assert service.requests == ["/dexes", "/funding-rates/grvt"]
            assert [str(gap) for gap in snapshot.missing] == [
                "opportunities: the service does not know the venue unheard"
            ]
    async with service.source(ManualClock()) as source:
        snapshot = await source.snapshot(MarketRequest(symbols=("BTC",), venues=("edgex",), needs=CANDIDATES))
    assert (snapshot.quotes, snapshot.missing) == ((), ())


class Slow(FundingServiceClient):
    """A client of which some venues never answer."""

    def __init__(self, *deaf: str) -> None:
        super().__init__(clock=ManualClock(), verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
        self.deaf = deaf
        self.asked: list[str] = []

    async def get_dexes(self) -> tuple[ServiceVenue, ...]:
        if "dexes" in self.deaf:
            await asyncio.Event().wait()
        return tuple(ServiceVenue(venue=venue, active=True) for venue in ("a", "b", "c", "d", "x", "y"))

    async def get_funding_rates(self, dex: str) -> VenueRates:
        self.asked.append(dex)
        if dex in self.deaf:
            await asyncio.Event().wait()
        rate = ServiceRate(venue=dex, symbol="BTC", rate=a_rate(), observed_at=AS_OF)
        return VenueRates(venue=dex, rates=(rate,))


async def slowly(client: Slow) -> MarketSnapshot:
    held = MarketRequest(markets=(Market("x", "BTC"), Market("y", "BTC")), symbols=("BTC",), needs=CANDIDATES)
    async with FundingServiceSource(client, deadline=timedelta(milliseconds=50)) as source:
        snapshot = await source.snapshot(held)
    assert len(asyncio.all_tasks()) == 1
    return snapshot


async def test_venues_that_do_not_answer_cost_only_themselves_and_held_ones_are_asked_first() -> None:
    client = Slow("a", "b", "c", "d")
    snapshot = await slowly(client)
    assert client.asked[:2] == ["x", "y"]
    assert {market.venue for market in snapshot.by_market} == {"x", "y"}
    late = "funding rate service: no answer within 0.05 s"
    assert {gap.venue for gap in snapshot.missing if gap.why == late} == {"a", "b", "c", "d"}
    assert any(gap.field == "opportunities" for gap in snapshot.missing)


async def test_a_list_of_venues_that_does_not_come_leaves_the_held_markets() -> None:
    snapshot = await slowly(Slow("dexes"))
    assert {market.venue for market in snapshot.by_market} == {"x", "y"}
    assert "which venues are active is unknown" in str(snapshot.missing[0])


async def test_a_source_that_is_cancelled_leaves_nothing_under_way() -> None:
    source = FundingServiceSource(Slow("x"))
    asking = asyncio.create_task(source.snapshot(MarketRequest(markets=(Market("x", "BTC"),))))
    await asyncio.sleep(0)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    assert len(asyncio.all_tasks()) == 1
    await source.aclose()


@pytest.mark.parametrize(
    "options",
    [{"venues": []}, {"venues": ""}, {"deadline": timedelta(0)}, {"figures_age": timedelta(0)}, {"at_once": 0}],
    ids=str,
)
async def test_what_could_never_give_anything_is_refused(options: Any) -> None:
    async with Slow() as client:
        with pytest.raises(InputError):
            FundingServiceSource(client, **options)


async def test_candidates_of_all_symbols_are_given_where_they_are_wanted(service: FakeService) -> None:
    snapshot = await ask(service, needs=Needs(opportunities=True, all_symbols=True))
    assert len(snapshot.quotes) == 6 * 20
    assert len(service.requests) == 7


async def test_an_inactive_venue_is_not_asked_unless_a_leg_is_held_there(service: FakeService) -> None:
    snapshot = await ask(service)
    assert "/funding-rates/edgex" not in service.requests
    assert Market("edgex", "BTC") not in snapshot.by_market
    snapshot = await ask(service, a_position(), a_position(symbol="ETH", long_dex="edgex"))
    assert {symbol for venue, symbol in snapshot.by_market if venue == "edgex"} == {"ETH"}


async def test_a_venue_that_is_not_a_name_is_refused(clock: ManualClock) -> None:
    async with FundingServiceClient(clock=clock) as client:
        with pytest.raises(InputError, match=r"^not a venue"):
            FundingServiceSource(client, venues=["a venue"])


# What a quote is made of.


async def test_a_quote_says_what_the_service_says_of_the_market(service: FakeService) -> None:
    snapshot = await ask(service, needs=EVERYTHING)
    quote = snapshot.by_market[Market("grvt", "BTC")]
    said = a_quote(
        "grvt",
        "0.000077",
        observed_at=AS_OF - timedelta(seconds=10),
        pays_every=8 * HOUR,
        next_funding_at=AS_OF + HOUR / 2,
        open_interest_usd=2_000_002,
        volume_24h_usd=5_000_002,
        origin="funding rate service",
    )
    assert quote == said
    assert snapshot.as_of == AS_OF


async def test_what_a_source_gives_is_as_valid_as_what_is_validated(service: FakeService) -> None:
    snapshot = await ask(service, *service.positions(20), needs=EVERYTHING)
    assert MarketSnapshot.model_validate_json(snapshot.model_dump_json()) == snapshot
    assert pickle.loads(pickle.dumps(snapshot)) == snapshot
    for quote in snapshot.quotes:
        assert Quote(**{name: getattr(quote, name) for name in Quote.model_fields}) == quote


@pytest.mark.parametrize(
    ("venue", "pays_every"),
    [("lighter", HOUR), ("hyperliquid", HOUR), ("grvt", 8 * HOUR), ("paradex", timedelta(0)), ("unheard", 8 * HOUR)],
)
async def test_how_often_a_venue_pays_is_from_the_table_else_the_interval_of_its_rates(
    service: FakeService, venue: str, pays_every: timedelta
) -> None:
    service.venues["unheard"] = service.venues["aster"]
    service.answers["/funding-rates/unheard"] = {"dex_name": "unheard", "rates": service.venues["aster"].rates}
    snapshot = await ask(service, a_position(long_dex=venue, short_dex="aster"), needs=Needs())
    quote = snapshot.by_market[Market(venue, "BTC")]
    assert (quote.pays_every, quote.rate.interval) == (pays_every, 8 * HOUR)


async def test_the_table_may_be_overridden(service: FakeService) -> None:
    facts = VenueFacts(venue="lighter", symbol="BTC", pays_every=4 * HOUR, as_of=date(2026, 1, 5), source="a test")
    held = a_position(), a_position(symbol="ETH")
    snapshot = await ask(service, *held, needs=Needs(), table=VENUES.with_facts(facts))
    assert snapshot.by_market[Market("lighter", "BTC")].pays_every == 4 * HOUR
    assert snapshot.by_market[Market("lighter", "ETH")].pays_every == HOUR


async def test_the_earlier_settlement_decides_and_a_continuous_venue_never_settles(service: FakeService) -> None:
    service.rate("lighter", "BTC", next_funding_time="2026-01-05T12:10:00")
    held = a_position(), a_position(long_dex="paradex")
    snapshot = await ask(service, *held, needs=Needs(schedule=True))
    decisions = [CombinedStrategy(FundingSchedule()).decide(position, snapshot) for position in held]
    assert [decision.reason for decision in decisions] == ["PRE_FUNDING_EXIT", None]
    assert snapshot.book.leg(Market("paradex", "BTC")).settles_in == NEVER
    assert all(decision.complete for decision in decisions)


@pytest.mark.parametrize(
    ("sent", "why"),
    [
        (None, "its quote does not say"),
        ("2026-01-05T11:00:00", "it is in the past"),
        ("2026-01-05T13:00:01", "it is more than one interval ahead"),
    ],
)
async def test_a_schedule_that_is_unknown_is_not_guessed(service: FakeService, sent: str | None, why: str) -> None:
    service.rate("lighter", "BTC", next_funding_time=sent)
    snapshot = await ask(service, needs=Needs(schedule=True))
    decision = CombinedStrategy(FundingSchedule()).decide(a_position(), snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert f"next funding time of BTC on lighter: {why}" in decision.explain()


# What could not be had.

FAULTS = [
    ((500, {"detail": "[Errno 111] Connection refused"}), SourceUnavailableError, "HTTP 500: [Errno 111] Connection"),
    ((404, {"detail": "DEX 'grvt' not found"}), UnknownMarketError, "HTTP 404: DEX 'grvt' not found"),
    ("<html>", BadAnswerError, "the answer is not the JSON it should be"),
    ({"dex_name": "grvt"}, BadAnswerError, "it has no rates"),
    ({"dex_name": "grvt", "rates": []}, BadAnswerError, "a list where an object belongs"),
    ({"dex_name": "lighter", "rates": {}}, BadAnswerError, "its dex_name is not the one that was asked for"),
    ((307, ""), BadAnswerError, "HTTP 307; redirects are not followed"),
]


@pytest.mark.parametrize(("answer", "error", "why"), FAULTS)
async def test_a_venue_that_can_not_be_read_is_missing_with_the_reason_and_the_others_stand(
    service: FakeService, answer: object, error: type[SourceError], why: str
) -> None:
    service.answers["/funding-rates/grvt"] = answer
    elsewhere = a_position(symbol="ETH", long_dex="aster", short_dex="lighter")
    snapshot = await ask(service, a_position(), elsewhere)
    assert gaps(snapshot) == [("rate", "grvt", None), ("opportunities", None, None)]
    assert why in snapshot.missing[0].why
    assert snapshot.missing[1].why == "grvt could not be read"
    assert {venue for venue, _ in snapshot.by_market} == SIX - {"grvt"}
    mine, other = (PICKY.decide(position, snapshot) for position in (a_position(), elsewhere))
    assert [(one.action, one.complete) for one in (mine, other)] == [(Action.HOLD, False)] * 2
    assert why in mine.explain()
    assert [verdict.outcome for verdict in other.verdicts] == [Outcome.QUIET, Outcome.NOT_EVALUATED]
    assert "opportunities: grvt could not be read" in other.explain()


@pytest.mark.parametrize(("answer", "error", "why"), FAULTS)
async def test_where_no_venue_can_be_read_there_is_no_answer_and_everything_is_held(
    service: FakeService, answer: object, error: type[SourceError], why: str
) -> None:
    for venue in service.venues:
        service.answers[f"/funding-rates/{venue}"] = answer
    if answer == {"dex_name": "lighter", "rates": {}}:
        service.answers["/funding-rates/lighter"] = {"dex_name": "grvt", "rates": {}}
    clock, held = ManualClock(), service.positions(10)
    strategy = presets.conservative()
    async with service.source(clock) as source:
        with pytest.raises(SourceError):
            await source.snapshot(request_for(held, strategy.needs))
        fetched = await Fetcher(source, strategy, clock=clock).fetch(held)
    assert isinstance(fetched.error, SourceError)
    assert (fetched.snapshot.quotes, fetched.suspicions) == ((), ())
    assert gaps(fetched.snapshot) == [("rate", None, None), ("opportunities", None, None)]
    for position in held:
        decision = strategy.decide(position, fetched.snapshot)
        assert (decision.action, decision.complete) == (Action.HOLD, False)
        assert "funding rate service: " in decision.explain()


async def test_where_no_candidates_are_wanted_none_are_missing(service: FakeService) -> None:
    service.rate("lighter", "BTC", funding_rate=None)
    service.answers["/funding-rates/grvt"] = 500
    snapshot = await ask(service, needs=Needs())
    assert gaps(snapshot) == [("rate", "grvt", None), ("rate", "lighter", "BTC")]


async def test_a_service_that_is_not_there_is_no_answer_and_everything_is_held(clock: ManualClock) -> None:
    strategy = presets.conservative()
    client = FundingServiceClient("http://127.0.0.1:9/api/v1", clock=clock)
    async with FundingServiceSource(client) as source:
        fetched = await Fetcher(source, strategy, clock=clock).fetch([a_position()])
    assert isinstance(fetched.error, SourceUnavailableError)
    decision = strategy.decide(a_position(), fetched.snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)


async def test_only_the_time_still_closes_while_the_service_is_down(service: FakeService) -> None:
    for venue in service.venues:
        service.answers[f"/funding-rates/{venue}"] = 500
    strategy = CombinedStrategy(DivergenceFlip(), BetterOpportunity(), TimeLimit(max_age=HOUR))
    _, decision = await decide(service, strategy)
    assert (decision.action, decision.reason, decision.complete) == (Action.CLOSE, "TIME_LIMIT", False)


@pytest.mark.parametrize("answer", [500, "<html>", {"dexes": [{"name": "grvt"}]}, {"dexes": None}, []])
async def test_without_the_list_of_venues_the_legs_are_quoted_and_no_candidate_is_believed(
    service: FakeService, answer: object
) -> None:
    service.answers["/dexes"] = answer
    service.rate("grvt", "BTC", funding_rate=0.0009)
    _, decision = await decide(service, SWITCH)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert "which venues are active is unknown: funding rate service: " in decision.explain()
    assert sorted(service.requests) == ["/dexes", "/funding-rates/grvt", "/funding-rates/lighter"]
    service.rate("grvt", "BTC", funding_rate=-0.0009)
    _, decision = await decide(service, SWITCH)
    assert decision.reason == "DIVERGENCE_FLIPPED"


async def test_without_the_list_of_venues_and_without_a_leg_there_is_no_answer(service: FakeService) -> None:
    service.answers["/dexes"] = 500
    async with service.source(ManualClock()) as source:
        with pytest.raises(SourceUnavailableError, match="HTTP 500"):
            await source.snapshot(MarketRequest(symbols=None, needs=CANDIDATES))


async def test_a_held_market_that_the_service_does_not_have_says_so(service: FakeService) -> None:
    del service.venues["grvt"].rates["BTC"]
    snapshot = await ask(service, needs=Needs())
    assert [(gap.field, gap.venue, gap.symbol, gap.why) for gap in snapshot.missing] == [
        ("rate", "grvt", "BTC", "the service has no rate of it")
    ]


async def test_a_refused_row_is_missing_as_a_leg_and_as_a_candidate_and_the_others_stand(service: FakeService) -> None:
    service.rate("grvt", "BTC", funding_rate=1.79e11)
    fetched, decision = await decide(service, SWITCH)
    said = "the row was refused: FundingRate: value: must be at most 100"
    assert [(gap.field, gap.venue, gap.symbol, gap.why) for gap in fetched.snapshot.missing] == [
        ("rate", "grvt", "BTC", said),
        ("opportunities", None, "BTC", "a row of grvt was refused"),
    ]
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert f"rate of BTC on grvt: {said}" in decision.explain()
    assert len(fetched.snapshot.quotes) == 5


async def test_a_refused_row_of_a_candidate_leaves_no_proof_that_there_is_none(service: FakeService) -> None:
    service.rate("grvt", "BTC", funding_rate=0.0009)
    service.rate("aster", "BTC", funding_rate=None)
    _, decision = await decide(service, PICKY)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert "opportunities of BTC: a row of aster was refused" in decision.explain()
    service.rate("aster", "BTC", funding_rate=0.0001)
    service.rate("aster", "ETH", funding_rate=None)  # another symbol's row is nothing to this one
    _, decision = await decide(service, PICKY)
    assert (decision.action, decision.complete) == (Action.HOLD, True)


# Open interest and volume.


@pytest.mark.parametrize("answer", [500, 404, "<html>", {"dex_name": "grvt", "symbols": {}}])
async def test_figures_that_can_not_be_read_are_missing_and_the_rates_stand(
    service: FakeService, answer: object
) -> None:
    service.answers["/dexes/grvt/symbols"] = answer
    snapshot = await ask(service, needs=FIGURES)
    assert gaps(snapshot) == [("open interest", "grvt", None), ("volume", "grvt", None)]
    assert all(gap.why.startswith("funding rate service: ") for gap in snapshot.missing)
    grvt, lighter = (snapshot.by_market[Market(venue, "BTC")] for venue in ("grvt", "lighter"))
    assert (grvt.open_interest_usd, grvt.volume_24h_usd) == (None, None)
    assert [lighter.open_interest_usd, lighter.volume_24h_usd] == [2_000_004, 5_000_004]
    decision = CombinedStrategy(OpenInterestImbalance()).decide(a_position(), snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert snapshot.missing[0].why in decision.explain()


@pytest.mark.parametrize(
    ("age", "limit", "known"),
    [(HOUR, HOUR, True), (HOUR + timedelta(seconds=1), HOUR, False), (3 * HOUR, 3 * HOUR, True)],
)
async def test_figures_that_are_too_old_are_unknown_with_the_reason(
    service: FakeService,
    age: timedelta,
    limit: timedelta,
    known: bool,  # noqa: FBT001  # a parameter of the test
) -> None:
    for symbol in ("BTC", "ETH"):
        service.figures("grvt", symbol, last_updated=(AS_OF - age).isoformat()[:19])
    snapshot = await ask(service, needs=FIGURES, figures_age=limit)
    assert (snapshot.by_market[Market("grvt", "BTC")].open_interest_usd is not None) is known
    why = "the service did not refresh it lately"
    missing = [("open interest", "grvt", "BTC", why), ("volume", "grvt", "BTC", why)]
    assert [(gap.field, gap.venue, gap.symbol, gap.why) for gap in snapshot.missing] == ([] if known else missing)


async def test_a_refused_row_of_figures_is_missing_with_the_reason(service: FakeService) -> None:
    service.figures("grvt", "BTC", open_interest_usd=-5)
    snapshot = await ask(service, needs=FIGURES)
    assert gaps(snapshot) == [("open interest", "grvt", "BTC"), ("volume", "grvt", "BTC")]
    assert all(gap.why.startswith("the row was refused: ") for gap in snapshot.missing)


async def test_open_interest_that_the_service_does_not_know_decides_nothing(service: FakeService) -> None:
    service.figures("grvt", "BTC", open_interest_usd=None)
    snapshot = await ask(service, needs=FIGURES)
    decision = CombinedStrategy(OpenInterestImbalance()).decide(a_position(), snapshot)
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    service.figures("grvt", "BTC", open_interest_usd=0)
    snapshot = await ask(service, needs=FIGURES)
    assert CombinedStrategy(OpenInterestImbalance()).decide(a_position(), snapshot).reason == "OI_IMBALANCE"


# Wrong data: refused or held, with the reason.


async def test_a_percent_taken_for_a_fraction_is_a_jump_and_is_not_acted_on(service: FakeService) -> None:
    service.rate("lighter", "BTC", funding_rate=0.03)
    service.rate("grvt", "BTC", funding_rate=0.0003)
    before = (a_quote("lighter", "0.0003", observed_at=AS_OF - HOUR, pays_every=HOUR),)
    fetched, decision = await decide(service, SWITCH, past=before)
    assert [(one.kind, one.venues) for one in fetched.suspicions] == [("jump", ("lighter",))]
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert "rate of BTC on lighter: the rate jumped, and no second sample says the same" in decision.explain()
    fetched, decision = await decide(service, SWITCH)  # nothing but the jump shows it
    assert (fetched.suspicions, decision.action) == ((), Action.CLOSE)


async def test_a_rate_that_no_venue_prints_is_not_acted_on(service: FakeService) -> None:
    service.rate("lighter", "BTC", funding_rate=0.9)
    fetched, decision = await decide(service, SWITCH)
    assert [(one.kind, one.venues) for one in fetched.suspicions] == [("implausible", ("lighter",))]
    assert (decision.action, decision.complete) == (Action.HOLD, False)


@pytest.mark.parametrize(
    ("seen", "kind", "why"),
    [
        ("2026-01-05T11:57:59", "stale", "the quote is older than its limit"),
        ("2026-01-05T12:00:11", "future", "the quote is from the future"),
    ],
)
async def test_a_leg_that_is_stale_or_from_the_future_is_not_acted_on(
    service: FakeService, seen: str, kind: str, why: str
) -> None:
    service.rate("lighter", "BTC", funding_rate=0.0009, timestamp=seen)
    fetched, decision = await decide(service, SWITCH)
    assert [(one.kind, one.venues) for one in fetched.suspicions] == [(kind, ("lighter",))]
    assert (decision.action, decision.complete) == (Action.HOLD, False)
    assert f"rate of BTC on lighter: {why}" in decision.explain()


@pytest.mark.parametrize(("hours", "action"), [(8, Action.HOLD), (1, Action.CLOSE)])
async def test_rates_over_different_intervals_are_compared_per_8_h(
    service: FakeService, hours: int, action: Action
) -> None:
    service.rate("lighter", "BTC", funding_rate=0.0001)
    service.rate("grvt", "BTC", funding_rate=0.0005)
    _, decision = await decide(service, FLIP, rate_intervals={"lighter": hours * HOUR})
    assert decision.action is action
    fact = next(fact for fact in decision.verdicts[0].facts if fact.name == "divergence")
    assert fact.value == Decimal("0.0004" if action is Action.HOLD else "-0.0003")


async def test_candidates_are_ranked_by_what_they_earn_not_by_the_services_net_profit(service: FakeService) -> None:
    for venue in SIX:
        service.rate(venue, "BTC", funding_rate=0.0001)
    service.rate("grvt", "BTC", funding_rate=0.0002)
    service.rate("aster", "BTC", funding_rate=0.0004)
    _, decision = await decide(service, SWITCH)
    assert decision.action is Action.SWITCH
    assert decision.target is not None
    assert (decision.target.short_dex, decision.target.divergence) == ("aster", Decimal("0.0003"))
    assert decision.target.origin == "funding rate service"


# What a source is.


async def test_a_source_connects_with_the_options_of_its_client(service: FakeService, clock: ManualClock) -> None:
    source = FundingServiceSource.connect(service.url, venues=["grvt"], clock=clock, rate_interval=4 * HOUR)
    async with source:
        snapshot = await source.snapshot(MarketRequest(symbols=("BTC",), needs=CANDIDATES))
    (quote,) = snapshot.quotes
    assert (quote.venue, quote.rate.interval) == ("grvt", 4 * HOUR)
    assert source.name == source.client.name == "funding rate service"
    await source.aclose()


@pytest.mark.parametrize(
    "strategy", [presets.conservative(), presets.aggressive(), presets.combined(), FundingSchedule(), SWITCH]
)
async def test_a_source_supplies_what_the_usual_strategies_need(clock: ManualClock, strategy: Rule) -> None:
    async with FundingServiceSource(FundingServiceClient(clock=clock)) as source:
        Fetcher(source, strategy, clock=clock)
        assert strategy.needs.lacking(source.supplies) == ()


async def test_a_source_does_not_supply_what_the_service_does_not_have(clock: ManualClock) -> None:
    async with FundingServiceSource(FundingServiceClient(clock=clock)) as source:
        lacking = Needs(mark_price=True, observations=1, volume=True).lacking(source.supplies)
    assert lacking == ("mark_price", "observations")
