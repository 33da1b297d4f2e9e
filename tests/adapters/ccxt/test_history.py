"""Past settlements through ccxt's own classes: every window whole, intervals seen and not guessed, faults named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import FundingHistory, InputError, RateKind, SourceUnavailableError
from rebalancer.adapters.ccxt_history import Fetched, Journal, fetch_history
from rebalancer.adapters.ccxt_history import fetch as module
from rebalancer.adapters.ccxt_history.intervals import on_the_hour, rows_of
from rebalancer.adapters.ccxt_history.journal import Page
from rebalancer.domain.names import Market
from rebalancer.domain.venues import VENUES, VenueFacts
from rebalancer.history.table import Row
from rebalancer.testing import ManualClock

if TYPE_CHECKING:
    from .conftest import Serve, VenueServer

HOUR = 3600
BEGIN = datetime(2025, 12, 1, tzinfo=UTC)
START = int(BEGIN.timestamp())
PAST = {"binance": "/fapi/v1/fundingRate", "bybit": "/v5/market/funding/history"}
LATE_MS = 31
"""How late after the hour these venues stamp a settlement."""


class Book:
    """The settlements of a venue: `spacings` hours apart from a day before BEGIN on, at most `most` in an answer."""

    def __init__(self, server: VenueServer, spacings: Sequence[int], *, most: int = 100, late: int = LATE_MS) -> None:
        self.server = server
        self.most = most
        self.late = late
        self.asked: list[tuple[int, int]] = []
        self.times: list[int] = []
        at = START - 24 * HOUR
        for spacing in spacings:
            at += spacing * HOUR
            self.times.append(at)
        if server.name == "hyperliquid":
            market = server.answers["/info"]
            server.answers["/info"] = lambda query: (
                self.answer(query) if query["type"] == "fundingHistory" else market(query)
            )
        else:
            server.answers[PAST[server.name]] = self.answer

    def answer(self, query: dict[str, Any]) -> Any:
        """The first settlements of the window (bybit: the last), as the venue writes them."""
        start, end = int(query["startTime"]), int(query["endTime"])
        self.asked.append((start, end))
        within = [at for at in self.times if start <= at * 1000 + self.late <= end]
        if self.server.name == "bybit":
            rows = [
                {
                    "symbol": query["symbol"],
                    "fundingRate": self.rate(at),
                    "fundingRateTimestamp": str(at * 1000 + self.late),
                }
                for at in reversed(within[-self.most :])
            ]
            return {"retCode": 0, "result": {"category": "linear", "list": rows}}
        if self.server.name == "hyperliquid":
            return [
                {"coin": query["coin"], "fundingRate": self.rate(at), "premium": "0", "time": at * 1000 + self.late}
                for at in within[: self.most]
            ]
        return [
            {"symbol": query["symbol"], "fundingTime": at * 1000 + self.late, "fundingRate": self.rate(at)}
            for at in within[: self.most]
        ]

    @staticmethod
    def rate(at: int) -> str:
        return f"0.0000{at // HOUR % 90 + 10}"

    def rows(self, until: int) -> list[tuple[int, int]]:
        """What should be fetched: times and grid steps."""
        return [(at, (at // HOUR % 90 + 10) * 1_000_000) for at in self.times if START <= at <= until]


async def fetched(*servers: VenueServer, days: int = 20, symbols: Sequence[str] = ("BTC",), **options: Any) -> Fetched:
    """What these venues settled in the days after BEGIN."""
    return await fetch_history(
        [server.name for server in servers],
        symbols,
        since=BEGIN,
        until=BEGIN + timedelta(days=days),
        exchanges={server.name: server.exchange for server in servers},
        clock=options.pop("clock", ManualClock(BEGIN + timedelta(days=days))),
        **options,
    )


def history(found: Fetched) -> FundingHistory:
    assert found.history is not None, found.missing
    return found.history


@pytest.mark.parametrize("most", [100, 500])
@pytest.mark.parametrize(("venue", "hours"), [("binance", 8), ("bybit", 8), ("hyperliquid", 1), ("bybit", 1)])
async def test_every_settlement_is_fetched_once_and_exactly(serve: Serve, venue: str, hours: int, most: int) -> None:
    server = await serve(venue)
    book = Book(server, [hours] * 600, most=most)
    (series,) = history(await fetched(server)).series
    assert (series.market, series.kind) == (Market(venue, "BTC"), RateKind.SETTLED)
    assert [(row.at, row.value) for row in series.rows] == book.rows(START + 20 * 24 * HOUR)
    assert {row.interval for row in series.rows} == {hours * HOUR}


async def test_a_settlement_at_the_very_end_is_fetched_although_it_is_stamped_late(serve: Serve) -> None:
    server = await serve("bybit")
    book = Book(server, [8] * 99, late=100_000)
    (series,) = history(await fetched(server)).series
    assert [(row.at, row.value) for row in series.rows] == book.rows(START + 20 * 24 * HOUR)


async def test_a_window_that_comes_back_full_is_asked_again_in_halves(serve: Serve) -> None:
    server = await serve("bybit")
    book = Book(server, [1] * 600)
    (series,) = history(await fetched(server, days=10)).series
    assert len(series.rows) == 241
    lengths = {round((end - start) / 1000 / HOUR) for start, end in book.asked}
    assert lengths >= {100, 50}


async def test_several_venues_and_symbols_make_one_history(serve: Serve) -> None:
    binance, bybit = await serve("binance", "BTC", "ETH"), await serve("bybit", "BTC", "ETH")
    Book(binance, [8] * 99)
    Book(bybit, [8] * 99)
    found = await fetched(binance, bybit, symbols=("BTC", "ETH"))
    assert [str(series.market) for series in history(found).series] == [
        "BTC on binance",
        "BTC on bybit",
        "ETH on binance",
        "ETH on bybit",
    ]
    assert not found.missing


async def test_what_a_venue_does_not_have_is_named_and_costs_the_others_nothing(serve: Serve) -> None:
    binance = await serve("binance")
    Book(binance, [8] * 99)
    found = await fetched(binance, symbols=("BTC", "NOPE"))
    assert len(history(found).series) == 1
    assert {market: failure.why for market, failure in found.missing.items()} == {
        Market("binance", "NOPE"): "ccxt lists no active linear perpetual of it in dollars"
    }
    assert not found.unfinished


@pytest.mark.parametrize(
    ("venue", "why"),
    [
        ("lighter", "ccxt has no past funding rates of this venue"),
        ("paradex", "it accrues continuously: there are no settlements to fetch"),
    ],
)
async def test_a_venue_without_settlements_is_refused_with_the_reason(serve: Serve, venue: str, why: str) -> None:
    found = await fetched(await serve(venue))
    assert found.history is None
    assert [failure.why for failure in found.missing.values()] == [why]


async def test_a_market_that_settled_nothing_then_is_missing(serve: Serve) -> None:
    server = await serve("bybit")
    Book(server, [])
    found = await fetched(server)
    assert found.history is None
    assert [failure.why for failure in found.missing.values()] == ["it has no settlement of that time"]


async def test_a_venue_that_can_not_answer_now_is_asked_again(serve: Serve) -> None:
    server = await serve("binance")
    book = Book(server, [8] * 99)
    answers = iter([503, 503])
    server.answers[PAST["binance"]] = lambda query: next(answers, None) or book.answer(query)
    clock = ManualClock(BEGIN + timedelta(days=20))
    found = await fetched(server, clock=_Hurried(clock))
    assert len(history(found)) == 61


class _Hurried(ManualClock):
    """A clock on which nobody waits."""

    def __init__(self, clock: ManualClock) -> None:
        super().__init__(clock.now())

    async def sleep(self, seconds: float) -> None:
        """Not at all."""


async def test_without_a_network_the_fetch_is_unfinished(serve: Serve) -> None:
    server = await serve("bybit")
    await server.stop()
    found = await fetched(server, clock=_Hurried(ManualClock(BEGIN + timedelta(days=20))))
    assert found.history is None
    assert found.unfinished
    (failure,) = found.missing.values()
    assert failure.error is SourceUnavailableError
    assert failure.why == "it could not be reached, or can not answer now"


async def test_an_interrupted_fetch_goes_on_where_it_was(serve: Serve, tmp_path: Path) -> None:
    server = await serve("binance")
    book = Book(server, [8] * 99)
    what = {"fetch": "this"}
    answer = server.answers[PAST["binance"]]
    clock = _Hurried(ManualClock(BEGIN + timedelta(days=20)))
    server.answers[PAST["binance"]] = lambda query: answer(query) if len(book.asked) < 2 else 503
    with Journal(tmp_path / "part", what) as journal:
        found = await fetched(server, clock=clock, journal=journal)
    assert found.unfinished
    with (tmp_path / "part").open("a") as file:
        file.write('{"venue": "bybit", "sy')  # it was killed in the middle of a line
    asked, server.answers[PAST["binance"]] = len(book.asked), answer
    with Journal(tmp_path / "part", what) as journal:
        assert len(journal.pages) == 2
        found = await fetched(server, clock=clock, journal=journal)
    assert book.asked[asked][0] > book.asked[asked - 1][0]
    assert [(row.at, row.value) for row in history(found).series[0].rows] == book.rows(START + 20 * 24 * HOUR)
    with Journal(tmp_path / "part", what) as journal:
        assert len(journal.pages) == 6
        journal.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_journal_of_another_fetch_is_refused_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "part"
    with Journal(path, {"symbols": ["BTC"]}) as journal:
        journal.add(Page(Market("binance", "BTC"), 5, {}))
    before = path.read_bytes()
    with pytest.raises(InputError, match="holds an unfinished fetch of something else"), Journal(path, {"symbols": []}):
        pass
    assert path.read_bytes() == before


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "part"
    path.write_text(json.dumps({}) + "\n{}\n")
    with pytest.raises(InputError, match="is damaged: delete it to fetch anew"), Journal(path, {}):
        pass


async def test_progress_hears_the_market_how_far_it_is_and_how_much(serve: Serve) -> None:
    server = await serve("bybit")
    Book(server, [8] * 99)
    heard: list[tuple[str, datetime, int]] = []
    await fetched(server, days=5, progress=lambda market, at, rows: heard.append((str(market), at, rows)))
    assert [at for _, at, _ in heard] == [BEGIN + timedelta(hours=76), BEGIN + timedelta(days=5)]
    assert heard[-1][::2] == ("BTC on bybit", 18)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"venues": []}, "give at least one venue and one symbol"),
        ({"symbols": []}, "give at least one venue and one symbol"),
        ({"venues": ["nowhere"]}, "ccxt has no exchange of this name"),
        ({"until": BEGIN}, "since must be before until"),
        ({"since": BEGIN.replace(tzinfo=None)}, "a naive time"),
    ],
)
async def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    usual: dict[str, Any] = {"venues": ["binance"], "symbols": ["BTC"], "since": BEGIN}
    asked = {**usual, "until": BEGIN + timedelta(days=1), **options}
    with pytest.raises(InputError, match=message):
        await fetch_history(asked.pop("venues"), asked.pop("symbols"), **asked)


# intervals


def intervals(*spacings: int, facts: VenueFacts | None = None) -> list[int]:
    """The intervals in hours of settlements these hours apart."""
    times = [0]
    for spacing in spacings:
        times.append(times[-1] + spacing * HOUR)
    return [row.interval // HOUR for row in rows_of(dict.fromkeys(times, 1), facts)]


Case = Callable[..., None]


@pytest.mark.parametrize(
    ("spacings", "expected"),
    [
        ((8, 8, 8), [8, 8, 8]),
        ((8, 8, 16, 8), [8, 8, 8, 8]),
        ((8, 8, 1, 1, 1), [8, 8, 1, 1, 1]),
        ((1, 1, 6, 8, 8), [1, 1, 6, 8, 8]),
        ((1, 1, 4, 4), [1, 1, 4, 4]),
        ((1, 30, 1), [1, 1, 1]),
        ((8, 8, 40), [8, 8, 8]),
        ((4,), [4]),
        ((), []),
    ],
    ids=["even", "one missing", "faster", "slower", "slower at once", "a day missing", "at the end", "two", "one"],
)
def test_an_interval_is_the_spacing_unless_a_settlement_is_missing(
    spacings: tuple[int, ...], expected: list[int]
) -> None:
    assert intervals(*spacings) == expected


def test_where_the_venue_pays_all_alike_its_interval_is_taken_from_the_table() -> None:
    facts = VENUES.of(Market("hyperliquid", "BTC"))
    assert intervals(1, 5, facts=facts) == [1, 1, 1]
    assert intervals(4, 4, facts=VENUES.of(Market("aster", "BTC"))) == [4, 4]


@given(st.lists(st.sampled_from([1, 4, 8]), min_size=1, max_size=30))
def test_no_interval_is_longer_than_the_time_since_the_settlement_before(spacings: list[int]) -> None:
    found = intervals(*spacings)
    assert all(interval <= spacing for interval, spacing in zip(found, spacings, strict=True))


@pytest.mark.parametrize(
    ("at", "hour"), [(7200, 7200), (7201, 7200), (7199, 7200), (7320, 7200), (7321, 7321), (7000, 7000)]
)
def test_a_settlement_is_stamped_at_its_hour(at: int, hour: int) -> None:
    assert on_the_hour(at) == hour


def test_rows_are_in_order_with_their_rates() -> None:
    assert rows_of({7200: 5, 0: 1, 3600: -3}, None) == [Row(3600, -3, 3600), Row(7200, 5, 3600)]


def test_an_exchange_that_is_made_here_loads_linear_markets_alone() -> None:
    class Exchange:
        def __init__(self, **options: Any) -> None:
            self.options = options

    binance = Exchange(fetchMarkets={"types": ["spot", "linear", "inverse"]})
    module._lean(binance)
    assert binance.options["fetchMarkets"]["types"] == ["linear"]
    other = Exchange(fetchMarkets={"types": ["swap"]})
    module._lean(other)
    assert other.options["fetchMarkets"]["types"] == ["swap"]
    module._lean(Exchange())
