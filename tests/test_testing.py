"""The factories that rule authors and hosts arrange their tests with."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from rebalancer import (
    Action,
    FundingRate,
    InputError,
    Known,
    LegReading,
    MarketSnapshot,
    Opportunity,
    Position,
    Quote,
    RateKind,
    Unknown,
    presets,
)
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_rate, a_snapshot, an_opportunity


def test_now_is_a_monday_noon_in_utc() -> None:
    assert datetime(2026, 1, 5, 12, tzinfo=UTC) == AS_OF
    assert f"{AS_OF:%A %H:%M}" == "Monday 12:00"


def test_a_rate_is_per_8_h_unless_told_otherwise() -> None:
    assert a_rate() == FundingRate("0.0001", timedelta(hours=8))
    assert a_rate("-0.0002", hours=1) == FundingRate("-0.0002", timedelta(hours=1))


def test_the_usual_position_is_five_hours_old_and_earns_2_bp() -> None:
    assert a_position() == Position(
        symbol="BTC",
        long_dex="lighter",
        short_dex="grvt",
        size_usd=10_000,
        entry_long_rate="0.0001",
        entry_short_rate="0.0003",
        opened_at=AS_OF - timedelta(hours=5),
    )
    assert a_position().entry_divergence == Decimal("0.0002")


def test_a_position_is_as_old_as_it_is_told_to_be() -> None:
    assert a_position(age=timedelta(minutes=1)).opened_at == AS_OF - timedelta(minutes=1)
    assert a_position(age=timedelta(minutes=1), opened_at=AS_OF).opened_at == AS_OF


def test_a_position_overrides_what_matters() -> None:
    position = a_position(symbol="ETH", size_usd=5, id=UUID(int=7))
    assert (position.symbol, position.id, position.long_dex) == ("ETH", UUID(int=7), "lighter")
    assert position.size_usd == 5


def test_the_usual_leg_is_long_a_tenth_of_a_token() -> None:
    assert a_leg() == LegReading(venue="lighter", symbol="BTC", state=Known("0.1"))


def test_a_leg_takes_a_plain_number_as_a_known_quantity_and_overrides_what_matters() -> None:
    assert a_leg("grvt", -2, symbol="ETH", mark_price=5) == LegReading(
        venue="grvt", symbol="ETH", state=Known(-2, mark_price=5)
    )
    assert a_leg(state=Known(1, mark_price=4), mark_price=5).state == Known(1, mark_price=5)


def test_a_leg_may_be_unknown() -> None:
    assert a_leg(state=Unknown("no answer")).state == Unknown("no answer")


def test_the_usual_quote_is_live_and_seen_now() -> None:
    assert a_quote() == Quote(venue="lighter", symbol="BTC", rate=a_rate("0.0001"), observed_at=AS_OF)
    assert a_quote().kind is RateKind.INDICATIVE


def test_a_quote_takes_a_plain_number_as_a_rate_per_8_h() -> None:
    assert a_quote("grvt", "0.0005").rate == a_rate("0.0005", hours=8)
    assert a_quote("grvt", a_rate("0.0005", hours=1)).rate == a_rate("0.0005", hours=1)


def test_a_quote_overrides_what_matters() -> None:
    quote = a_quote(symbol="ETH", kind="settled", observed_at=AS_OF - timedelta(seconds=1))
    assert (quote.symbol, quote.kind, quote.observed_at) == ("ETH", RateKind.SETTLED, AS_OF - timedelta(seconds=1))


def test_the_usual_snapshot_lets_the_usual_position_hold() -> None:
    quotes = (a_quote("lighter", "0.0001"), a_quote("grvt", "0.0003"))
    assert a_snapshot() == MarketSnapshot(as_of=AS_OF, quotes=quotes)
    decision = presets.conservative().decide(a_position(), a_snapshot())
    assert (decision.action, decision.complete, decision.warnings) == (Action.HOLD, True, ())


def test_a_snapshot_has_the_quotes_that_it_is_given_and_no_others() -> None:
    later = AS_OF + timedelta(seconds=1)
    snapshot = a_snapshot(a_quote("grvt"), as_of=later, opportunities=(an_opportunity(),))
    assert snapshot == MarketSnapshot(as_of=later, quotes=(a_quote("grvt"),), opportunities=(an_opportunity(),))


def test_the_usual_opportunity_earns_5_bp() -> None:
    assert an_opportunity() == Opportunity(
        symbol="BTC", long_dex="paradex", short_dex="grvt", long_rate=0, short_rate="0.0005", observed_at=AS_OF
    )
    assert an_opportunity().divergence == Decimal("0.0005")
    assert an_opportunity(symbol="ETH", short_rate=0).divergence == 0


def test_what_is_misspelt_is_refused() -> None:
    for make in (a_position, a_quote, a_snapshot, an_opportunity):
        with pytest.raises(InputError, match=r"symbl: is not known here"):
            make(symbl="ETH")
