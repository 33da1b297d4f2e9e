"""What a position has earned, and what of it is not known."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import Effect, Intent, IntentState, Known, Position, PositionStatus, Profit, Side, Unknown, profit
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, a_position

LONG, SHORT = Market("lighter", "BTC"), Market("grvt", "BTC")


def a_held(**fields: Any) -> Position:
    """0.1 BTC on each leg, entered at 100,000 and 100,100."""
    usual = {
        "long_quantity": "0.1",
        "short_quantity": "0.1",
        "long_entry_price": 100_000,
        "short_entry_price": 100_100,
        "funding_collected_usd": "3.50",
    }
    return a_position(**{**usual, **fields})


def a_close(leg: Side, quantity: str = "0.1", *, attempt: int = 1, **fields: Any) -> Intent:
    """A close that was filled, without a fee."""
    usual: dict[str, Any] = {"price": 100_050, "fee_usd": 0, "filled": quantity, "state": IntentState.FILLED}
    usual |= {"effect": Effect.CLOSE, "venue": "lighter" if leg is Side.LONG else "grvt", "symbol": "BTC"}
    usual |= {"position_id": a_held().id, "version": 0, "planned_at": AS_OF}
    usual |= {"quantity": quantity, "sent_at": AS_OF + timedelta(seconds=attempt)}
    return Intent(leg=leg, attempt=attempt, **{**usual, **fields})


def marks(long: Any = 101_000, short: Any = 101_000) -> dict[Market, Known]:
    """Both legs at a mark price."""
    return {LONG: Known("0.1", mark_price=long), SHORT: Known("-0.1", mark_price=short)}


def test_an_open_position_is_worth_its_marks_and_its_funding() -> None:
    earned = profit(a_held(fees_paid_usd="1.25"), legs=marks())

    assert earned.price_usd == Decimal(10)  # +100 on the long leg, -90 on the short one
    assert (earned.funding_usd, earned.fees_usd) == (Decimal("3.5"), Decimal("1.25"))
    assert earned.net_usd == Decimal("12.25")
    assert earned.net_bps == Decimal("12.25")  # of 10,000 dollars
    assert earned.unknown == ()


def test_a_closed_position_is_worth_its_fills_and_counts_its_fees_once() -> None:
    closes = [a_close(Side.LONG, fee_usd="0.40"), a_close(Side.SHORT, price=100_040, fee_usd="0.60")]
    closed = a_held(status=PositionStatus.CLOSED, fees_paid_usd=1)

    earned = profit(closed, closes)

    assert earned.price_usd == Decimal(11)  # 5 on the long leg, 6 on the short one
    assert earned.net_usd == Decimal("13.5")


def test_fees_of_a_close_that_goes_on_count_before_they_are_in_the_position() -> None:
    half = a_held(status=PositionStatus.HALF_CLOSED, fees_paid_usd=1)

    earned = profit(half, [a_close(Side.LONG, fee_usd="0.40")], legs=marks())

    assert earned.fees_usd == Decimal("1.4")
    assert earned.price_usd == Decimal(-85)  # 5 realised, -90 at the mark


def test_several_attempts_add_up() -> None:
    parts = [
        a_close(Side.LONG, "0.04", state=IntentState.PARTIAL, price=100_100),
        a_close(Side.LONG, "0.06", attempt=2, price=99_900),
        a_close(Side.SHORT, price=100_100),
    ]

    assert profit(a_held(status=PositionStatus.CLOSED), parts).price_usd == Decimal(-2)


@pytest.mark.parametrize(
    ("held", "closes", "legs", "unknown"),
    [
        (a_held(long_quantity=None), [], marks(), "the long leg's tokens"),
        (a_held(short_entry_price=None), [], marks(), "the short leg's entry price"),
        (a_held(), [], marks(long=None), "the long leg's mark price"),
        (a_held(), [], {LONG: marks()[LONG], SHORT: Unknown("503")}, "the short leg's mark price"),
        (a_held(), [], None, "the long leg's mark price"),
        (a_held(), [a_close(Side.LONG, price=None)], marks(), "the price of a close of the long leg"),
        (a_held(), [a_close(Side.SHORT, fee_usd=None)], marks(), "the fee of a close of the short leg"),
        (a_held(status=PositionStatus.CLOSED), [a_close(Side.LONG)], marks(), "the short leg's exit price"),
    ],
)
def test_what_is_not_known_is_named_and_the_net_is_unknown_too(
    held: Position, closes: list[Intent], legs: Any, unknown: str
) -> None:
    earned = profit(held, closes, legs)

    assert earned.net_usd is None
    assert earned.net_bps is None
    assert unknown in earned.unknown
    assert earned.funding_usd == Decimal("3.5")


def test_an_open_that_was_filled_is_no_close() -> None:
    opened = a_close(Side.LONG, effect=Effect.OPEN)

    assert profit(a_held(), [opened], marks()) == profit(a_held(), [], marks())


def test_it_reads_back_from_json() -> None:
    earned = profit(a_held(), legs=marks())

    assert Profit.model_validate_json(earned.model_dump_json()) == earned


@given(mark=st.integers(min_value=1, max_value=10**9), entry=st.integers(min_value=1, max_value=10**9))
def test_a_neutral_position_gains_nothing_by_a_price_that_both_legs_share(mark: int, entry: int) -> None:
    held = a_held(long_entry_price=entry, short_entry_price=entry)

    assert profit(held, legs=marks(mark, mark)).price_usd == 0


def test_it_does_not_depend_on_the_ambient_decimal_context(hostile_context: None) -> None:
    assert profit(a_held(), legs=marks()).net_usd == Decimal("13.5")
