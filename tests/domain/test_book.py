"""What a snapshot knows, on the grid: legs, pairs and candidates, where unknown is None and says why."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from itertools import permutations
from random import Random
from typing import Any

import pytest

from rebalancer import Freshness, Missing, Opportunity, Quote
from rebalancer.domain.book import Book, PairReading
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Market, Pair
from rebalancer.domain.quoted_legs import NEVER, Leg
from rebalancer.domain.ranking import rank
from rebalancer.testing import AS_OF, a_quote, a_rate, a_snapshot, an_opportunity

SECOND = timedelta(seconds=1)
HOUR = timedelta(hours=1)
BP = 100_000_000
LIGHTER = Market("lighter", "BTC")
HELD = Pair("BTC", "lighter", "grvt")

RATE, SCHEDULE, VOLUME, MARK_PRICE = "rate", "next funding time", "volume", "mark price"
OPEN_INTEREST, OPPORTUNITIES = "open interest", "opportunities"

STALE = "the quote is older than its limit"
FUTURE = "the quote is from the future"


def a_leg(quote: Quote | None = None, freshness: Freshness | None = None) -> Leg:
    """A leg as of `AS_OF`."""
    return Leg(LIGHTER, quote, a_snapshot().now, freshness or Freshness())


def seen(age: timedelta, venue: str = "lighter", **fields: Any) -> Quote:
    """A quote that was seen `age` before `AS_OF`."""
    return a_quote(venue, **{"observed_at": AS_OF - age, **fields})


def gaps(leg: Leg) -> dict[str, str]:
    """What the leg's quote itself shows of why a field is unknown."""
    shown = {field: leg.why(field) for field in (RATE, SCHEDULE, OPEN_INTEREST, VOLUME, MARK_PRICE)}
    return {field: why for field, why in shown.items() if why is not None}


def a_reading(long: Quote, short: Quote) -> PairReading:
    """The reading of the usual pair."""
    return a_snapshot(long, short).book[HELD]


def a_book(*quotes: Quote, missing: tuple[Missing, ...] = (), opportunities: tuple[Opportunity, ...] = ()) -> Book:
    """A book of these quotes alone, as of `AS_OF`."""
    return Book(
        a_snapshot().now,
        {quote.market: quote for quote in quotes},
        freshness=Freshness(),
        missing=missing,
        opportunities=opportunities,
    )


def test_never_is_later_than_any_settlement() -> None:
    assert NEVER == 2**40


class TestALeg:
    """A leg on the grid."""

    def test_knows_nothing_without_a_quote(self) -> None:
        leg = a_leg()
        assert (leg.market, leg.quote, gaps(leg), leg.pays_every) == (LIGHTER, None, {}, 0)
        assert (leg.age, leg.rate, leg.open_interest, leg.settles_in, leg.too_far_ahead) == (None,) * 5

    def test_knows_what_its_quote_says(self) -> None:
        quote = seen(
            5 * SECOND, rate=a_rate("0.0001", hours=4), open_interest_usd=700, next_funding_at=AS_OF + 3 * SECOND
        )
        leg = a_leg(quote)
        assert (leg.market, leg.quote, gaps(leg)) == (LIGHTER, quote, {})
        assert (leg.age, leg.rate, leg.open_interest, leg.settles_in) == (5, 2 * BP, 700, 3)
        assert (leg.pays_every, leg.too_far_ahead) == (4 * 3600, None)

    def test_does_not_know_what_its_quote_does_not_say(self) -> None:
        leg = a_leg(a_quote())
        assert (leg.rate, leg.open_interest, leg.settles_in, gaps(leg)) == (BP, None, None, {})

    def test_knows_a_zero_as_a_zero(self) -> None:
        leg = a_leg(a_quote(rate=0, open_interest_usd=0, next_funding_at=AS_OF))
        assert (leg.rate, leg.open_interest, leg.settles_in) == (0, 0, 0)

    @pytest.mark.parametrize("kind", ["forming", "indicative"])
    @pytest.mark.parametrize("age", [120, 0, -10])
    def test_believes_a_live_quote_within_its_limits(self, kind: str, age: int) -> None:
        leg = a_leg(seen(age * SECOND, kind=kind, open_interest_usd=5))
        assert (leg.age, leg.rate, leg.open_interest, gaps(leg)) == (age, BP, 5, {})

    @pytest.mark.parametrize("kind", ["forming", "indicative"])
    def test_does_not_believe_a_live_quote_a_second_older_than_its_limit(self, kind: str) -> None:
        leg = a_leg(seen(121 * SECOND, kind=kind, open_interest_usd=5))
        assert (leg.age, leg.rate, leg.open_interest) == (121, None, None)
        assert gaps(leg) == {"rate": STALE, "open interest": STALE, "volume": STALE, "mark price": STALE}

    def test_believes_a_settled_quote_for_two_payment_intervals(self) -> None:
        limit = 2 * HOUR
        hourly = a_rate("0.0001", hours=1)
        assert a_leg(seen(limit, rate=hourly, kind="settled")).rate == 8 * BP
        late = a_leg(seen(limit + SECOND, rate=hourly, kind="settled"))
        assert late.rate is None
        assert gaps(late)["rate"] == STALE

    def test_still_knows_the_schedule_of_a_stale_quote(self) -> None:
        leg = a_leg(seen(121 * SECOND, next_funding_at=AS_OF + SECOND))
        assert leg.settles_in == 1
        assert SCHEDULE not in gaps(leg)

    def test_does_not_believe_a_quote_from_the_future(self) -> None:
        leg = a_leg(seen(-11 * SECOND, open_interest_usd=5, next_funding_at=AS_OF + HOUR))
        assert (leg.age, leg.rate, leg.open_interest, leg.settles_in) == (-11, None, None, None)
        assert gaps(leg) == {
            "rate": FUTURE,
            "open interest": FUTURE,
            "volume": FUTURE,
            "mark price": FUTURE,
            "next funding time": FUTURE,
        }

    def test_believes_the_schedule_of_a_quote_slightly_ahead(self) -> None:
        assert a_leg(seen(-10 * SECOND, next_funding_at=AS_OF + HOUR)).settles_in == 3600

    def test_takes_its_limits_from_the_snapshots_freshness(self) -> None:
        strict = Freshness(max_age=5 * SECOND, max_future=timedelta(0))
        assert a_leg(seen(5 * SECOND), strict).rate == BP
        assert a_leg(seen(6 * SECOND), strict).rate is None
        assert a_leg(seen(timedelta(0)), strict).rate == BP
        assert gaps(a_leg(seen(-SECOND, next_funding_at=AS_OF), strict)).keys() == {
            RATE,
            OPEN_INTEREST,
            VOLUME,
            MARK_PRICE,
            SCHEDULE,
        }

    @pytest.mark.parametrize("ahead", [0, 1, 8 * 3600])
    def test_knows_a_settlement_up_to_one_payment_interval_ahead(self, ahead: int) -> None:
        leg = a_leg(a_quote(next_funding_at=AS_OF + ahead * SECOND))
        assert (leg.settles_in, leg.too_far_ahead, gaps(leg)) == (ahead, None, {})

    def test_does_not_believe_a_settlement_in_the_past(self) -> None:
        leg = a_leg(a_quote(next_funding_at=AS_OF - SECOND))
        assert (leg.settles_in, leg.too_far_ahead) == (None, None)
        assert gaps(leg) == {"next funding time": "it is in the past"}

    def test_does_not_believe_a_settlement_more_than_one_payment_interval_ahead(self) -> None:
        leg = a_leg(a_quote(next_funding_at=AS_OF + 8 * HOUR + SECOND))
        assert (leg.settles_in, leg.too_far_ahead) == (None, 8 * 3600 + 1)
        assert gaps(leg) == {"next funding time": "it is more than one interval ahead"}

    def test_measures_a_settlement_by_the_payment_interval_and_not_by_the_rates(self) -> None:
        quote = a_quote(rate=a_rate(0, hours=8), pays_every=HOUR, next_funding_at=AS_OF + HOUR + SECOND)
        assert a_leg(quote).too_far_ahead == 3601

    @pytest.mark.parametrize("next_funding_at", [None, AS_OF + SECOND, AS_OF - SECOND])
    def test_never_settles_where_funding_is_continuous(self, next_funding_at: object) -> None:
        leg = a_leg(a_quote(pays_every=timedelta(0), next_funding_at=next_funding_at))
        assert (leg.settles_in, leg.pays_every, leg.too_far_ahead) == (NEVER, 0, None)


class TestAPair:
    """A directed pair on the grid."""

    def test_earns_what_the_short_leg_receives_less_what_the_long_leg_pays(self) -> None:
        assert a_reading(a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003")).divergence == 2 * BP
        assert a_reading(a_quote("lighter", "0.0003"), a_quote("grvt", "-0.0001")).divergence == -4 * BP
        assert a_reading(a_quote("lighter", "0.0001"), a_quote("grvt", "0.0001")).divergence == 0

    def test_has_its_legs(self) -> None:
        reading = a_reading(a_quote("lighter"), a_quote("grvt"))
        assert reading.long.market == HELD.long
        assert reading.short.market == HELD.short

    @pytest.mark.parametrize(
        "quotes",
        [
            (a_quote("lighter"), a_quote("paradex")),
            (a_quote("paradex"), a_quote("grvt")),
            (a_quote("lighter"), seen(121 * SECOND, "grvt")),
            (seen(121 * SECOND, "lighter"), a_quote("grvt")),
        ],
    )
    def test_has_no_divergence_if_a_rate_is_unknown(self, quotes: tuple[Quote, Quote]) -> None:
        reading = a_snapshot(*quotes).book[HELD]
        assert reading.divergence is None

    @pytest.mark.parametrize("venues", [("lighter", "grvt"), ("grvt", "lighter")])
    def test_has_a_divergence_of_live_legs_within_the_skew_limit_only(self, venues: tuple[str, str]) -> None:
        older, newer = venues
        freshness = Freshness(max_age=300 * SECOND, max_skew=100 * SECOND)
        near = a_snapshot(seen(150 * SECOND, older), seen(50 * SECOND, newer), freshness=freshness).book[HELD]
        far = a_snapshot(seen(151 * SECOND, older), seen(50 * SECOND, newer), freshness=freshness).book[HELD]
        assert (near.skewed, near.divergence) == (False, 0)
        assert (far.skewed, far.divergence) == (True, None)

    @pytest.mark.parametrize("kinds", [("settled", "indicative"), ("indicative", "settled"), ("settled", "settled")])
    def test_compares_a_settled_leg_with_any(self, kinds: tuple[str, str]) -> None:
        freshness = Freshness(max_age=300 * SECOND, max_skew=100 * SECOND)
        long, short = (
            seen(timedelta(0), "lighter", kind=kinds[0]),
            seen(250 * SECOND, "grvt", kind=kinds[1]),
        )
        reading = a_snapshot(long, short, freshness=freshness).book[HELD]
        assert (reading.skewed, reading.divergence) == (False, 0)

    def test_is_not_skewed_without_both_quotes(self) -> None:
        assert a_snapshot(a_quote("lighter")).book[HELD].skewed is False
        assert a_snapshot(a_quote("grvt")).book[HELD].skewed is False

    @pytest.mark.parametrize(
        ("long", "short", "earlier", "both"),
        [
            (60, 90, 60, 1),
            (90, 60, 60, 1),
            (60, 60, 60, 1),
            (0, 60, 0, 1),
            (60, None, 60, 0),
            (None, 60, 60, 0),
            (0, None, 0, 0),
            (None, 0, 0, 0),
            (None, None, None, 0),
        ],
    )
    def test_settles_when_the_earlier_known_leg_does(
        self, long: int | None, short: int | None, earlier: int | None, both: int
    ) -> None:
        at = [None if ahead is None else AS_OF + ahead * SECOND for ahead in (long, short)]
        reading = a_reading(a_quote("lighter", next_funding_at=at[0]), a_quote("grvt", next_funding_at=at[1]))
        assert (reading.settles_in, reading.both_scheduled) == (earlier, both)

    def test_settles_with_its_other_leg_where_one_is_continuous(self) -> None:
        continuous = a_quote("lighter", pays_every=timedelta(0))
        reading = a_reading(continuous, a_quote("grvt", next_funding_at=AS_OF + HOUR))
        assert (reading.settles_in, reading.both_scheduled) == (3600, 1)

    def test_never_settles_where_both_legs_are_continuous(self) -> None:
        legs = (a_quote("lighter", pays_every=timedelta(0)), a_quote("grvt", pays_every=timedelta(0)))
        reading = a_reading(*legs)
        assert (reading.settles_in, reading.both_scheduled) == (NEVER, 1)

    def test_receives_the_difference_where_both_legs_settle_together(self) -> None:
        long = a_quote("lighter", "0.0001", pays_every=HOUR, next_funding_at=AS_OF + HOUR)
        short = a_quote("grvt", "0.0003", pays_every=4 * HOUR, next_funding_at=AS_OF + HOUR)
        assert a_reading(long, short).net_payment == 3 * BP * 4 * 3600 - BP * 3600

    def test_pays_its_long_leg_alone_where_that_settles_earlier(self) -> None:
        long = a_quote("lighter", "0.0001", pays_every=HOUR, next_funding_at=AS_OF + HOUR - SECOND)
        short = a_quote("grvt", "0.0003", pays_every=4 * HOUR, next_funding_at=AS_OF + HOUR)
        assert a_reading(long, short).net_payment == -BP * 3600

    def test_receives_from_its_short_leg_alone_where_that_settles_earlier(self) -> None:
        long = a_quote("lighter", "0.0001", pays_every=4 * HOUR, next_funding_at=AS_OF + HOUR)
        short = a_quote("grvt", "0.0003", pays_every=HOUR, next_funding_at=AS_OF + HOUR - SECOND)
        assert a_reading(long, short).net_payment == 3 * BP * 3600

    def test_receives_from_a_negative_rate_that_it_is_long_of(self) -> None:
        long = a_quote("lighter", "-0.0001", next_funding_at=AS_OF + HOUR)
        short = a_quote("grvt", "0.0003", next_funding_at=AS_OF + 2 * HOUR)
        assert a_reading(long, short).net_payment == BP * 8 * 3600

    def test_knows_its_payment_even_of_legs_seen_too_far_apart_to_compare(self) -> None:
        long = seen(119 * SECOND, "lighter", next_funding_at=AS_OF + HOUR)
        short = seen(-2 * SECOND, "grvt", rate="0.0003", next_funding_at=AS_OF + HOUR)
        reading = a_reading(long, short)
        assert reading.skewed
        assert reading.net_payment == 2 * BP * 8 * 3600

    @pytest.mark.parametrize("venue", ["lighter", "grvt"])
    @pytest.mark.parametrize("fault", [{"next_funding_at": None}, {"observed_at": AS_OF - 121 * SECOND}])
    def test_does_not_know_its_payment_unless_both_rates_and_schedules_are_known(
        self, venue: str, fault: dict[str, object]
    ) -> None:
        usual = {name: a_quote(name, next_funding_at=AS_OF + HOUR) for name in ("lighter", "grvt")}
        assert a_reading(usual["lighter"], usual["grvt"]).net_payment == 0
        broken = {**usual, venue: usual[venue].model_copy(update=fault)}
        assert a_reading(broken["lighter"], broken["grvt"]).net_payment is None

    def test_reads_the_open_interest_of_each_leg(self) -> None:
        reading = a_reading(a_quote("lighter", open_interest_usd=5), a_quote("grvt", open_interest_usd=7))
        assert (reading.long_open_interest, reading.short_open_interest) == (5, 7)


class TestABook:
    """Readings and candidates of a snapshot, made when they are first asked for."""

    def test_makes_each_leg_and_each_pair_once(self) -> None:
        book = a_snapshot().book
        assert book[HELD] is book[HELD]
        assert book.leg(HELD.long) is book[HELD].long
        assert book.ranked("BTC") is book.ranked("BTC")

    def test_reads_the_reversed_pair_with_the_opposite_sign(self) -> None:
        book = a_snapshot(a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003")).book
        assert book[Pair("BTC", "grvt", "lighter")].divergence == -2 * BP

    def test_needs_neither_gaps_nor_listings(self) -> None:
        quotes = (a_quote("lighter"), a_quote("grvt", "0.0003"))
        book = Book(a_snapshot().now, {quote.market: quote for quote in quotes}, freshness=Freshness())
        assert book[HELD].divergence == 2 * BP
        assert len(book.ranked("BTC")) == 2
        assert book.gap(LIGHTER, RATE).why == "its quote does not say"
        assert book.opportunity_gaps("BTC") == ()

    @pytest.mark.parametrize("order", list(permutations(("a", "b", "c"))))
    def test_ranks_every_directed_pair_of_a_symbol_by_its_divergence_then_by_its_name(
        self, order: tuple[str, ...]
    ) -> None:
        rates = {"a": "0.0001", "b": "0.0003", "c": "0.0002"}
        book = a_book(*(a_quote(venue, rates[venue]) for venue in order), a_quote("d", symbol="ETH"))
        assert book.ranked("BTC") == (
            (2 * BP, Pair("BTC", "a", "b")),
            (BP, Pair("BTC", "a", "c")),
            (BP, Pair("BTC", "c", "b")),
            (-BP, Pair("BTC", "b", "c")),
            (-BP, Pair("BTC", "c", "a")),
            (-2 * BP, Pair("BTC", "b", "a")),
        )

    @pytest.mark.parametrize("seed", range(40))
    def test_gives_the_same_candidates_best_first_one_by_one(self, seed: int) -> None:
        chance = Random(seed)
        quotes = [
            seen(
                chance.choice((0, 60, 115)) * SECOND,
                venue,
                rate=a_rate(Decimal(chance.randrange(-2, 3)).scaleb(-4)),
                kind=chance.choice(list(RateKind)),
            )
            for venue in "abcdefg"[: chance.randrange(8)]
        ]
        chance.shuffle(quotes)
        freshness = Freshness(max_skew=chance.choice((50, 200)) * SECOND)
        book = a_snapshot(*quotes, a_quote("z", symbol="ETH"), freshness=freshness).book
        ranked = book.ranked("BTC")
        assert tuple(book.best_first("BTC")) == ranked
        assert tuple(book.best_first("BTC")) == ranked
        widest = book.widest("BTC")
        assert all(widest is not None and divergence <= widest for divergence, _ in ranked)

    @pytest.mark.parametrize("symbol", ["BTC", None])
    def test_gives_listed_pairs_best_first_too(self, symbol: str | None) -> None:
        listed = an_opportunity(long_dex="c", short_dex="z", long_rate=0, short_rate="0.0002")
        book = a_book(a_quote("b", 0), a_quote("y", "0.0001"), opportunities=(listed,))
        assert tuple(book.best_first(symbol)) == book.ranked(symbol)
        assert book.widest(symbol) == 2 * BP

    @pytest.mark.parametrize("symbol", ["BTC", None])
    def test_knows_no_widest_divergence_without_a_quote(self, symbol: str | None) -> None:
        assert a_book().widest(symbol) is None
        assert tuple(a_book().best_first(symbol)) == ()

    def test_ranks_ties_by_symbol_long_and_short(self) -> None:
        in_order = [
            (2, Pair("BTC", "b", "a")),
            (1, Pair("ARB", "z", "a")),
            (1, Pair("BTC", "a", "c")),
            (1, Pair("BTC", "b", "a")),
            (-1, Pair("BTC", "a", "b")),
        ]
        assert sorted(sorted(in_order), key=rank) == in_order

    @pytest.mark.parametrize("symbols", [("BTC", "ETH"), ("ETH", "BTC")])
    @pytest.mark.parametrize("venues", [("a", "b"), ("b", "a")])
    def test_ranks_all_symbols_together_if_asked_to(self, symbols: tuple[str, ...], venues: tuple[str, ...]) -> None:
        rates = {("BTC", "a"): "0", ("BTC", "b"): "0.0001", ("ETH", "a"): "0.0001", ("ETH", "b"): "0"}
        quotes = (a_quote(venue, rates[symbol, venue], symbol=symbol) for symbol in symbols for venue in venues)
        assert a_book(*quotes).ranked(None) == (
            (BP, Pair("BTC", "a", "b")),
            (BP, Pair("ETH", "b", "a")),
            (-BP, Pair("BTC", "b", "a")),
            (-BP, Pair("ETH", "a", "b")),
        )

    def test_ranks_the_pairs_of_one_symbol_without_those_of_another(self) -> None:
        book = a_book(*(a_quote(venue, symbol=symbol) for symbol in ("BTC", "ETH") for venue in ("a", "b")))
        assert {pair.symbol for _, pair in book.ranked("ETH")} == {"ETH"}
        assert len(book.ranked("ETH")) == 2

    def test_ranks_a_listed_pair_among_its_ties_by_name(self) -> None:
        listed = [an_opportunity(long_dex=long, short_dex="z", short_rate="0.0001") for long in ("c", "a")]
        book = a_book(a_quote("b", 0), a_quote("y", "0.0001"), opportunities=tuple(listed))
        assert [pair.long_dex for _, pair in book.ranked("BTC")] == ["a", "b", "c", "y"]

    @pytest.mark.parametrize("symbol", ["BTC", None])
    def test_never_pairs_different_symbols(self, symbol: str | None) -> None:
        assert a_book(a_quote("a", symbol="BTC"), a_quote("b", symbol="ETH")).ranked(symbol) == ()

    @pytest.mark.parametrize("symbol", ["BTC", None])
    def test_has_no_candidates_without_quotes_and_listings(self, symbol: str | None) -> None:
        assert a_book().ranked(symbol) == ()

    def test_ranks_no_pair_with_an_unknown_rate(self) -> None:
        book = a_book(a_quote("a"), a_quote("b"), seen(121 * SECOND, "c"))
        assert [pair for _, pair in book.ranked("BTC")] == [Pair("BTC", "a", "b"), Pair("BTC", "b", "a")]

    def test_ranks_no_pair_whose_legs_were_seen_too_far_apart(self) -> None:
        book = a_book(seen(115 * SECOND, "a"), seen(-5 * SECOND, "b"), seen(-6 * SECOND, "c"))
        assert {frozenset(pair[1:]) for _, pair in book.ranked("BTC")} == {
            frozenset(("a", "b")),
            frozenset(("b", "c")),
        }

    def test_adds_a_pair_that_a_service_lists_and_the_quotes_do_not_know(self) -> None:
        listed = an_opportunity(long_dex="a", short_dex="z", long_rate=0, short_rate="0.0005")
        book = a_book(a_quote("a", "0.0001"), a_quote("b", "0.0003"), opportunities=(listed,))
        assert book.ranked("BTC") == (
            (5 * BP, Pair("BTC", "a", "z")),
            (2 * BP, Pair("BTC", "a", "b")),
            (-2 * BP, Pair("BTC", "b", "a")),
        )

    def test_believes_its_quotes_rather_than_a_listing(self) -> None:
        listed = an_opportunity(long_dex="a", short_dex="b", long_rate=0, short_rate="0.9")
        book = a_book(a_quote("a", "0.0001"), a_quote("b", "0.0003"), opportunities=(listed,))
        assert book.ranked("BTC")[0] == (2 * BP, Pair("BTC", "a", "b"))
        assert len(book.ranked("BTC")) == 2

    def test_believes_the_first_of_two_listings_of_a_pair(self) -> None:
        first, second = an_opportunity(short_rate="0.0001"), an_opportunity(short_rate="0.0002")
        assert a_book(opportunities=(first, second)).ranked("BTC") == ((BP, first.pair),)

    def test_lists_pairs_of_the_symbol_asked_for_or_of_all(self) -> None:
        eth, btc = an_opportunity(symbol="ETH", short_rate="0.0001"), an_opportunity(short_rate="0.0002")
        book = a_book(opportunities=(eth, btc))
        assert [pair for _, pair in book.ranked("ETH")] == [eth.pair]
        assert [pair for _, pair in book.ranked(None)] == [btc.pair, eth.pair]

    @pytest.mark.parametrize(("age", "counts"), [(121, False), (120, True), (0, True), (-10, True), (-11, False)])
    def test_believes_a_listing_as_long_as_a_live_quote(self, age: int, counts: object) -> None:
        book = a_book(opportunities=(an_opportunity(observed_at=AS_OF - age * SECOND),))
        assert bool(book.ranked("BTC")) is counts

    def test_offers_a_pair_of_quotes_as_of_the_older_leg(self) -> None:
        long = seen(20 * SECOND, "lighter", rate=a_rate("0.0001", hours=4), origin="one")
        short = seen(10 * SECOND, "grvt", rate="0.0005", origin="two")
        book = a_book(long, short)
        assert book.opportunity(HELD) == Opportunity(
            symbol="BTC",
            long_dex="lighter",
            short_dex="grvt",
            long_rate="0.0002",
            short_rate="0.0005",
            observed_at=AS_OF - 20 * SECOND,
            origin="one",
        )
        reverse = book.opportunity(Pair("BTC", "grvt", "lighter"))
        assert (reverse.long_rate, reverse.short_rate) == (short.rate.per_8h, long.rate.per_8h)
        assert (reverse.observed_at, reverse.origin) == (AS_OF - 20 * SECOND, "one")

    def test_offers_a_listed_pair_as_it_was_listed(self) -> None:
        other, listed = an_opportunity(symbol="ETH"), an_opportunity(origin="svc")
        assert a_book(opportunities=(other, listed)).opportunity(listed.pair) is listed

    @pytest.mark.parametrize(
        "quotes",
        [
            (a_quote("paradex"),),
            (a_quote("grvt"),),
            (a_quote("paradex"), seen(121 * SECOND, "grvt")),
            (seen(-10 * SECOND, "paradex"), seen(111 * SECOND, "grvt")),
        ],
    )
    def test_offers_the_listing_where_the_quotes_do_not_know_the_pair(self, quotes: tuple[Quote, ...]) -> None:
        listed = an_opportunity(origin="svc")
        assert a_book(*quotes, opportunities=(listed,)).opportunity(listed.pair) is listed

    def test_offers_the_listing_that_was_ranked_and_not_a_stale_one(self) -> None:
        stale = an_opportunity(short_rate="0.0009", observed_at=AS_OF - 121 * SECOND)
        fresh = an_opportunity(short_rate="0.0005")
        book = a_book(opportunities=(stale, fresh))
        assert book.ranked("BTC") == ((5 * BP, fresh.pair),)
        assert book.opportunity(fresh.pair) is fresh


class TestAGap:
    """Why a value is unknown."""

    def test_is_what_the_quote_shows(self) -> None:
        book = a_book(seen(121 * SECOND), missing=(Missing(field=RATE, why="HTTP 503", venue="lighter", symbol="BTC"),))
        assert book.gap(LIGHTER, RATE) == Missing(field=RATE, why=STALE, venue="lighter", symbol="BTC")

    @pytest.mark.parametrize(
        ("next_funding_at", "why"),
        [
            (AS_OF - SECOND, "it is in the past"),
            (AS_OF + 8 * HOUR + SECOND, "it is more than one interval ahead"),
            (None, "its quote does not say"),
        ],
    )
    def test_of_a_schedule_is_what_is_wrong_with_it(self, next_funding_at: datetime | None, why: str) -> None:
        assert a_book(a_quote(next_funding_at=next_funding_at)).gap(LIGHTER, SCHEDULE) == Missing(
            field=SCHEDULE, why=why, venue="lighter", symbol="BTC"
        )

    def test_is_else_what_the_source_said(self) -> None:
        book = a_book(a_quote(), missing=(Missing(field=OPEN_INTEREST, why="HTTP 503", venue="lighter", symbol="BTC"),))
        assert book.gap(LIGHTER, OPEN_INTEREST) == Missing(
            field=OPEN_INTEREST, why="HTTP 503", venue="lighter", symbol="BTC"
        )

    def test_is_else_that_the_quote_does_not_say(self) -> None:
        assert a_book(a_quote()).gap(LIGHTER, VOLUME) == Missing(
            field=VOLUME, why="its quote does not say", venue="lighter", symbol="BTC"
        )

    def test_is_else_that_there_is_no_quote(self) -> None:
        assert a_book().gap(LIGHTER, VOLUME) == Missing(
            field=VOLUME, why="there is no quote of this market", venue="lighter", symbol="BTC"
        )

    @pytest.mark.parametrize(("venue", "symbol"), [("lighter", "BTC"), ("lighter", None), (None, "BTC"), (None, None)])
    def test_may_be_told_of_a_whole_venue_or_symbol(self, venue: str | None, symbol: str | None) -> None:
        book = a_book(missing=(Missing(field=RATE, why="HTTP 503", venue=venue, symbol=symbol),))
        assert book.gap(LIGHTER, RATE) == Missing(field=RATE, why="HTTP 503", venue="lighter", symbol="BTC")

    @pytest.mark.parametrize(
        "other",
        [
            Missing(field=VOLUME, why="HTTP 503"),
            Missing(field=RATE, why="HTTP 503", venue="grvt"),
            Missing(field=RATE, why="HTTP 503", symbol="ETH"),
            Missing(field=RATE, why="HTTP 503", venue="grvt", symbol="BTC"),
            Missing(field=RATE, why="HTTP 503", venue="lighter", symbol="ETH"),
        ],
    )
    def test_is_not_what_was_said_of_another_field_or_market(self, other: Missing) -> None:
        assert a_book(missing=(other,)).gap(LIGHTER, RATE).why == "there is no quote of this market"

    def test_is_the_first_thing_that_was_said(self) -> None:
        said = [
            Missing(field=RATE, why=why, venue=venue) for why, venue in (("a", "grvt"), ("b", None), ("c", "lighter"))
        ]
        assert a_book(missing=tuple(said)).gap(LIGHTER, RATE).why == "b"

    def test_is_absent_where_the_rates_are_known(self) -> None:
        assert a_snapshot().book.rate_gaps(HELD) == ()

    @pytest.mark.parametrize("known", ["lighter", "grvt"])
    def test_of_a_divergence_is_that_of_the_leg_whose_rate_is_unknown(self, known: str) -> None:
        (gap,) = a_book(a_quote(known)).rate_gaps(HELD)
        unknown = "grvt" if known == "lighter" else "lighter"
        assert gap == Missing(field=RATE, why="there is no quote of this market", venue=unknown, symbol="BTC")

    def test_of_a_divergence_is_that_of_the_long_leg_then_that_of_the_short_leg(self) -> None:
        gaps = a_book(seen(121 * SECOND, "grvt")).rate_gaps(HELD)
        assert [(gap.venue, gap.why) for gap in gaps] == [
            ("lighter", "there is no quote of this market"),
            ("grvt", STALE),
        ]

    def test_of_a_divergence_is_that_the_legs_were_seen_too_far_apart(self) -> None:
        gaps = a_book(seen(115 * SECOND, "lighter"), seen(-6 * SECOND, "grvt")).rate_gaps(HELD)
        assert gaps == (Missing(field=RATE, why="the legs were seen too far apart in time", symbol="BTC"),)

    @pytest.mark.parametrize("stale", ["lighter", "grvt"])
    def test_of_a_divergence_names_a_stale_leg_before_the_skew(self, stale: str) -> None:
        fresh = "grvt" if stale == "lighter" else "lighter"
        (gap,) = a_book(seen(121 * SECOND, stale), a_quote(fresh)).rate_gaps(HELD)
        assert (gap.venue, gap.why) == (stale, STALE)

    def test_of_opportunities_is_what_was_said_of_the_symbol_or_of_all(self) -> None:
        of_btc, of_eth, of_all = (
            Missing(field=OPPORTUNITIES, why="HTTP 503", symbol=name) for name in ("BTC", "ETH", None)
        )
        other = Missing(field=RATE, why="HTTP 503", symbol="BTC")
        book = a_book(missing=(of_btc, of_eth, other, of_all))
        assert book.opportunity_gaps("BTC") == (of_btc, of_all)
        assert book.opportunity_gaps("ARB") == (of_all,)

    def test_of_opportunities_of_any_symbol_is_what_was_said_of_each(self) -> None:
        of_btc, of_all = (Missing(field=OPPORTUNITIES, why="HTTP 503", symbol=name) for name in ("BTC", None))
        assert a_book(missing=(of_btc, of_all)).opportunity_gaps(None) == (of_btc, of_all)
        assert a_book().opportunity_gaps(None) == ()
