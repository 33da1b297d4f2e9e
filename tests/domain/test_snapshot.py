"""What is known of all markets at one instant."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from rebalancer import Freshness, InputError, MarketSnapshot, Missing, Quote, Unknown
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_rate, a_snapshot, an_opportunity

SECOND = timedelta(seconds=1)
LIGHTER, GRVT = Market("lighter", "BTC"), Market("grvt", "BTC")


def test_a_snapshot_of_quotes_alone_has_the_documented_defaults() -> None:
    snapshot = MarketSnapshot(as_of=AS_OF, quotes=())
    assert (snapshot.quotes, snapshot.missing, snapshot.opportunities, snapshot.observations) == ((), (), (), ())
    assert (snapshot.legs, snapshot.freshness) == ((), Freshness())


def test_now_is_its_instant_in_whole_seconds_since_1970() -> None:
    assert a_snapshot(as_of=AS_OF + timedelta(milliseconds=1999)).now == 1_767_614_401


def test_quotes_are_looked_up_by_their_market() -> None:
    lighter, grvt = a_quote("lighter"), a_quote("grvt")
    assert a_snapshot(lighter, grvt).by_market == {LIGHTER: lighter, GRVT: grvt}


def test_two_quotes_of_one_market_are_refused_and_named() -> None:
    with pytest.raises(InputError) as refused:
        a_snapshot(a_quote("grvt"), a_quote("lighter"), a_quote("Lighter", "0.0002"))
    assert str(refused.value) == "MarketSnapshot: two quotes of BTC on lighter"


def test_quotes_of_one_venue_and_several_symbols_are_fine() -> None:
    assert len(a_snapshot(a_quote(symbol="BTC"), a_quote(symbol="ETH")).by_market) == 2


def test_leg_states_are_looked_up_by_their_market() -> None:
    long, short = a_leg("lighter", "0.5"), a_leg("grvt", Unknown("no answer"))
    assert a_snapshot(legs=(long, short)).leg_states == {LIGHTER: long.state, GRVT: short.state}


def test_two_readings_of_one_leg_are_refused_and_named() -> None:
    legs = (a_leg("grvt"), a_leg("lighter"), a_leg("Lighter", "-1"))
    with pytest.raises(InputError) as refused:
        a_snapshot(legs=legs)
    assert str(refused.value) == "MarketSnapshot: two leg readings of BTC on lighter"
    assert len(a_snapshot(legs=(a_leg(), a_leg(symbol="ETH"))).leg_states) == 2


def test_an_earlier_snapshot_knows_no_legs() -> None:
    assert a_snapshot(legs=(a_leg(),)).at(0, ()).legs == ()


def test_a_naive_now_is_refused_and_the_error_says_how_to_fix_it() -> None:
    with pytest.raises(InputError) as refused:
        a_snapshot(as_of=AS_OF.replace(tzinfo=None))
    assert str(refused.value) == (
        "MarketSnapshot: as_of: a naive time: add its zone, for instance .replace(tzinfo=timezone.utc)"
    )


def test_a_caller_with_just_two_rates_gets_a_snapshot_of_two_quotes_seen_now() -> None:
    long_rate, short_rate = a_rate("0.0001", hours=1), a_rate("0.0003", hours=4)
    snapshot = MarketSnapshot.of(a_position(symbol="ETH"), long_rate=long_rate, short_rate=short_rate, as_of=AS_OF)
    assert snapshot == MarketSnapshot(
        as_of=AS_OF,
        quotes=(
            Quote(venue="lighter", symbol="ETH", rate=long_rate, observed_at=AS_OF),
            Quote(venue="grvt", symbol="ETH", rate=short_rate, observed_at=AS_OF),
        ),
    )


def test_the_book_knows_what_the_snapshot_has() -> None:
    listed = an_opportunity(symbol="ETH")
    snapshot = a_snapshot(
        a_quote(observed_at=AS_OF - 6 * SECOND),
        missing=(Missing(field="rate", why="HTTP 503", venue="grvt"),),
        opportunities=(listed,),
        freshness=Freshness(max_age=5 * SECOND),
    )
    assert snapshot.book.now == snapshot.now
    assert snapshot.book.gap(LIGHTER, "rate").why == "the quote is older than its limit"
    assert snapshot.book.gap(GRVT, "rate").why == "HTTP 503"
    assert [pair for _, pair in snapshot.book.ranked("ETH")] == [listed.pair]
    assert snapshot.book is snapshot.book


def test_observations_are_past_and_present_quotes_in_order_of_time() -> None:
    first, second = a_quote("grvt", observed_at=AS_OF - 2 * SECOND), a_quote(observed_at=AS_OF - SECOND)
    present = a_quote("lighter", "0.0005")
    snapshot = a_snapshot(present, observations=(second, first))
    assert snapshot.observed((LIGHTER, GRVT)) == (first, second, present)


def test_observations_at_one_instant_are_in_order_of_venue() -> None:
    snapshot = a_snapshot(a_quote("lighter"), a_quote("grvt"))
    assert [quote.venue for quote in snapshot.observed((LIGHTER, GRVT))] == ["grvt", "lighter"]


def test_observations_are_of_the_markets_asked_for() -> None:
    others = (a_quote("paradex"), a_quote("lighter", symbol="ETH"))
    snapshot = a_snapshot(a_quote("lighter"), a_quote("grvt"), observations=others)
    assert snapshot.observed((LIGHTER,)) == (a_quote("lighter"),)
    assert snapshot.observed(()) == ()


def test_observations_up_to_the_tolerance_of_the_future_count_and_later_ones_do_not() -> None:
    seen = [a_quote("lighter", "0.0002", observed_at=AS_OF + seconds * SECOND) for seconds in (0, 10, 11)]
    assert a_snapshot(a_quote("grvt"), observations=seen).observed((LIGHTER,)) == tuple(seen[:2])


def test_what_is_seen_now_comes_after_what_was_seen_at_the_same_instant() -> None:
    past, now = a_quote("lighter", "0.01"), a_quote("lighter", "0")
    assert a_snapshot(now, observations=(past,)).observed((LIGHTER,)) == (past, now)


def test_observations_of_another_kind_than_the_markets_quote_do_not_count() -> None:
    past = a_quote("lighter", kind="settled", observed_at=AS_OF - SECOND)
    assert a_snapshot(a_quote("lighter"), observations=(past,)).observed((LIGHTER,)) == (a_quote("lighter"),)
    assert a_snapshot(a_quote("grvt"), observations=(past,)).observed((LIGHTER,)) == (past,)


def test_polls_that_saw_the_same_rate_at_the_same_instant_count_once() -> None:
    quote = a_quote("lighter")
    snapshot = a_snapshot(quote, observations=(quote, a_quote("lighter", origin="another poll")))
    assert snapshot.observed((LIGHTER,)) == (quote,)


@pytest.mark.parametrize("other", [{"rate": "0.0002"}, {"observed_at": AS_OF - SECOND}])
def test_another_rate_or_another_instant_is_another_observation(other: dict[str, Any]) -> None:
    past = a_quote("lighter", **other)
    assert set(a_snapshot(a_quote("lighter"), observations=(past,)).observed((LIGHTER,))) == {past, a_quote("lighter")}


def test_an_earlier_snapshot_has_its_own_quotes_and_the_same_freshness() -> None:
    freshness = Freshness(max_age=5 * SECOND)
    snapshot = a_snapshot(
        missing=(Missing(field="rate", why="HTTP 503"),),
        opportunities=(an_opportunity(),),
        observations=(a_quote(),),
        freshness=freshness,
    )
    past = a_quote("grvt", observed_at=AS_OF - SECOND)
    earlier = snapshot.at(snapshot.now - 1, iter([past]))
    assert earlier == MarketSnapshot(as_of=AS_OF - SECOND, quotes=(past,), freshness=freshness)


FULL = a_snapshot(
    a_quote("lighter", "-0.00010"),
    a_quote("grvt", "0.0003", open_interest_usd=5),
    missing=(Missing(field="volume", why="HTTP 503", venue="grvt"),),
    opportunities=(an_opportunity(),),
    observations=(a_quote("lighter", observed_at=AS_OF - SECOND),),
    legs=(a_leg("lighter", "0.10", as_of=AS_OF, mark_price="9e4"), a_leg("grvt", Unknown("no answer"))),
    freshness=Freshness(max_age=90 * SECOND),
)


@pytest.mark.parametrize("snapshot", [MarketSnapshot(as_of=AS_OF, quotes=()), FULL], ids=["empty", "full"])
def test_a_snapshot_makes_the_way_to_json_and_back_byte_for_byte(snapshot: MarketSnapshot) -> None:
    text = snapshot.model_dump_json()
    again = MarketSnapshot.model_validate_json(text)
    assert again == snapshot
    assert hash(again) == hash(snapshot)
    assert again.model_dump_json() == text


def test_a_snapshot_is_written_as_canonical_json() -> None:
    snapshot = a_snapshot(a_quote(), missing=(Missing(field="rate", why="HTTP 503", venue="grvt"),))
    assert snapshot.model_dump_json() == (
        '{"as_of":"2026-01-05T12:00:00Z","quotes":[' + a_quote().model_dump_json() + '],"missing":[{"field":"rate",'
        '"why":"HTTP 503","venue":"grvt","symbol":null}],"opportunities":[],"observations":[],'
        '"freshness":{"max_age":"PT2M","max_intervals":2,"live_by_interval":false,"max_future":"PT10S","max_skew":"PT2M"}}'
    )


def test_legs_are_written_only_where_they_were_read() -> None:
    bare = a_snapshot(a_quote())
    assert "legs" not in bare.model_dump()
    written = bare.model_copy(update={"legs": (a_leg(),)}).model_dump_json()
    assert written == bare.model_dump_json().replace('"freshness"', f'"legs":[{a_leg().model_dump_json()}],"freshness"')


def test_a_snapshot_from_before_there_were_legs_reads_as_ever() -> None:
    old = a_snapshot().model_dump_json()
    assert MarketSnapshot.model_validate_json(old) == a_snapshot()
    assert MarketSnapshot.model_validate_json(old[:-1] + ',"legs":[]}') == a_snapshot()


@pytest.mark.usefixtures("hostile_context", "far_zone")
def test_a_snapshot_depends_neither_on_the_decimal_context_nor_on_the_time_zone() -> None:
    text = FULL.model_dump_json()
    again = MarketSnapshot.model_validate_json(text)
    assert again.model_dump_json() == text
    assert again.now == 1_767_614_400
    assert again.book[a_position().pair].divergence == 400_000_000
