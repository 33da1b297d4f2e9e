"""What leg states say of a position, on the grid."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import Freshness, LegReading, MarketSnapshot, Missing, Unknown
from rebalancer.domain.held import FARTHEST, HeldLeg, HeldPair, in_proportion
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_snapshot

PAIR = a_position().pair
SECOND = timedelta(seconds=1)


def held(*legs: LegReading, **fields: Any) -> HeldPair:
    return a_snapshot(legs=legs, **fields).held[PAIR]


def long(quantity: Any = "0.1", **fields: Any) -> HeldLeg:
    return held(a_leg("lighter", quantity, **fields)).long


def short(quantity: Any = "-0.1", **fields: Any) -> HeldLeg:
    return held(a_leg("grvt", quantity, **fields)).short


def gap(field: str, why: str, venue: str = "lighter") -> Missing:
    return Missing(field=field, venue=venue, symbol="BTC", why=why)


# What counts ---------------------------------------------------------------------------------------------------------


def test_a_leg_is_found_by_venue_and_symbol_and_shows_what_was_read() -> None:
    ours, theirs = a_leg("lighter", 1), a_leg("lighter", 2, symbol="ETH")
    pair = held(theirs, ours, a_leg("grvt", -1))
    assert pair.long.known == ours.state
    assert (pair.long.market, pair.short.market) == (Market("lighter", "BTC"), Market("grvt", "BTC"))


def test_how_a_pair_is_held_is_computed_once() -> None:
    snapshot = a_snapshot(legs=(a_leg(),))
    assert snapshot.held[PAIR] is snapshot.held[PAIR]


def test_a_leg_that_was_not_read_is_unknown() -> None:
    leg = held(a_leg("grvt", -1)).long
    assert (leg.known, leg.open, leg.liquidation_distance) == (None, None, None)
    assert leg.open_gaps() == leg.distance_gaps() == (gap("leg state", "no leg state was read"),)


def test_a_leg_that_could_not_be_read_is_unknown_for_the_reason_given() -> None:
    leg = long(Unknown("the venue timed out"))
    assert (leg.known, leg.open, leg.liquidation_distance) == (None, None, None)
    assert leg.open_gaps() == leg.distance_gaps() == (gap("leg state", "the venue timed out"),)


@pytest.mark.parametrize("seen", [-120, 0, 10])
def test_a_state_at_the_very_limit_of_its_age_still_counts(seen: int) -> None:
    assert long(as_of=AS_OF + seen * SECOND).open == 1


@pytest.mark.parametrize(
    ("seen", "why"), [(-121, "the leg state is older than its limit"), (11, "the leg state is from the future")]
)
def test_a_state_that_is_stale_or_from_the_future_is_unknown_although_it_is_there(seen: int, why: str) -> None:
    leg = long(as_of=AS_OF + seen * SECOND, mark_price=2, liquidation_price=1)
    assert (leg.known, leg.open, leg.liquidation_distance) == (None, None, None)
    assert leg.open_gaps() == leg.distance_gaps() == (gap("leg state", why),)


def test_the_limits_of_age_are_the_snapshots() -> None:
    strict = Freshness(max_age=5 * SECOND, max_future=2 * SECOND)
    for seen, known in ((-5, True), (-6, False), (2, True), (3, False)):
        leg = held(a_leg(as_of=AS_OF + seen * SECOND), freshness=strict).long
        assert (leg.known is not None) is known


def test_what_a_source_said_is_why_a_leg_was_not_read() -> None:
    said = gap("leg state", "HTTP 503")
    assert held(missing=(said,)).long.open_gaps() == (said,)
    assert held(a_leg(state=Unknown("timed out")), missing=(said,)).long.open_gaps() == (gap("leg state", "timed out"),)


# Sides ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quantity", "is_open"), [("0.000001", 1), (0, 0), ("-0.000001", None)])
def test_a_leg_is_open_on_its_own_side_only(quantity: Any, is_open: int | None) -> None:
    assert long(quantity).open == is_open
    assert short(Decimal(str(quantity)).copy_negate()).open == is_open


@pytest.mark.parametrize("leg", [long("0.1"), long(0)])
def test_whether_a_leg_is_open_is_known_on_its_side_and_where_it_is_flat(leg: HeldLeg) -> None:
    assert leg.open_gaps() == ()


def test_a_leg_on_the_wrong_side_is_named() -> None:
    wrong = gap("leg state", "it is on the wrong side")
    assert long(-1).open_gaps() == long(-1, mark_price=2, liquidation_price=1).distance_gaps() == (wrong,)
    assert short(1).open_gaps() == (gap("leg state", "it is on the wrong side", "grvt"),)


# Distance to liquidation ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "liquidation", "distance"),
    [
        (100, 90, 100_000),
        (100, 50, 500_000),
        (100, 100, 0),
        (100, 110, -100_000),
        (3, 2, 333_333),
        (3, 1, 666_667),
        ("0.0000003", "0.0000001", 666_667),
        (2_000_000, 1_999_999, 0),  # half a step: to even
        (2_000_000, 1_999_997, 2),  # one and a half
        (2_000_000, 2_000_001, 0),
        (2_000_000, 2_000_003, -2),
        ("1e-30", "1e-30", 0),
    ],
)
def test_the_distance_is_a_share_of_the_mark_price_and_changes_its_sign_with_the_side(
    mark: Any, liquidation: Any, distance: int
) -> None:
    prices = {"mark_price": mark, "liquidation_price": liquidation}
    assert long(**prices).liquidation_distance == distance
    assert short(**prices).liquidation_distance == -distance
    assert long(**prices).distance_gaps() == ()


def test_a_distance_without_measure_stays_within_bounds() -> None:
    far = {"mark_price": 1, "liquidation_price": "1e29"}
    assert (long(**far).liquidation_distance, short(**far).liquidation_distance) == (-FARTHEST, FARTHEST)
    edge = {"mark_price": 1, "liquidation_price": 1_001}
    assert short(**edge).liquidation_distance == FARTHEST == 1_000_000_000
    assert short(mark_price=1, liquidation_price="1000.999999").liquidation_distance == FARTHEST - 1


@pytest.mark.parametrize("quantity", [0, "-0.1"])
def test_a_leg_that_is_not_open_on_its_side_has_no_distance(quantity: Any) -> None:
    leg = long(quantity, mark_price=100, liquidation_price=90)
    assert leg.liquidation_distance is None
    assert len(leg.distance_gaps()) == 1


def test_a_flat_leg_says_so() -> None:
    assert long(0).distance_gaps() == (gap("liquidation price", "the leg is flat"),)


def test_a_leg_without_prices_names_each() -> None:
    assert long().distance_gaps() == (
        gap("liquidation price", "its leg state does not say"),
        gap("mark price", "its quote does not say"),
    )
    assert long(mark_price=1).distance_gaps() == (gap("liquidation price", "its leg state does not say"),)
    assert long(liquidation_price=1).distance_gaps() == (gap("mark price", "its quote does not say"),)


def test_what_a_source_said_is_why_a_price_is_unknown() -> None:
    said = gap("liquidation price", "cross margin"), gap("mark price", "HTTP 503")
    assert held(a_leg(), missing=said).long.distance_gaps() == said


def quoted(**fields: Any) -> MarketSnapshot:
    """The long leg without a mark price of its own, beside a quote that has one."""
    quote = a_quote("lighter", **{"mark_price": 100, **fields})
    return MarketSnapshot(as_of=AS_OF, quotes=(quote,), legs=(a_leg(liquidation_price=90),))


def test_a_leg_without_a_mark_price_of_its_own_takes_that_of_its_quote() -> None:
    assert quoted().held[PAIR].long.liquidation_distance == 100_000
    own = quoted().model_copy(update={"legs": (a_leg(liquidation_price=90, mark_price=120),)})
    assert own.held[PAIR].long.liquidation_distance == 250_000


@pytest.mark.parametrize(
    ("seen", "why"), [(-121, "the quote is older than its limit"), (11, "the quote is from the future")]
)
def test_the_mark_price_of_a_quote_that_does_not_count_is_unknown(seen: int, why: str) -> None:
    leg = quoted(observed_at=AS_OF + seen * SECOND).held[PAIR].long
    assert leg.liquidation_distance is None
    assert leg.distance_gaps() == (gap("mark price", why),)


def test_without_a_quote_the_mark_price_is_unknown() -> None:
    nothing = MarketSnapshot(as_of=AS_OF, quotes=(), legs=(a_leg(liquidation_price=90),))
    assert nothing.held[PAIR].long.distance_gaps() == (gap("mark price", "there is no quote of this market"),)


NEAR = a_leg("lighter", 1, mark_price=100, liquidation_price=95)
FAR = a_leg("grvt", -1, mark_price=100, liquidation_price=150)
NOTHING = a_leg("grvt", -1)


def test_of_both_legs_the_nearer_one_counts() -> None:
    both = held(NEAR, FAR)
    assert (both.liquidation_distance, both.both_distances) == (50_000, 1)


def test_of_one_known_leg_that_one_counts() -> None:
    for legs in ((NEAR,), (NEAR, NOTHING)):
        assert (held(*legs).liquidation_distance, held(*legs).both_distances) == (50_000, 0)
    assert (held(FAR).liquidation_distance, held(FAR).both_distances) == (500_000, 0)


def test_of_no_known_leg_none_counts() -> None:
    assert (held().liquidation_distance, held().both_distances) == (None, 0)


# Balance -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("larger", "smaller", "difference"),
    [
        (1, 1, 0),
        (100, 95, 50_000),
        (3, 2, 333_333),
        (3, 1, 666_667),
        ("0.3", "0.1", 666_667),
        (1, 0, 1_000_000),
        (0, 0, 0),
        (2_000_000, 1_999_999, 0),
        (2_000_000, 1_999_997, 2),
    ],
)
def test_the_difference_is_a_share_of_the_larger_leg_whichever_that_is(
    larger: Any, smaller: Any, difference: int
) -> None:
    def of(long: Any, short: Any) -> int | None:
        return held(a_leg("lighter", long), a_leg("grvt", Decimal(str(short)).copy_negate())).quantity_difference

    assert of(larger, smaller) == of(smaller, larger) == difference


@pytest.mark.parametrize(
    "legs",
    [
        (),
        (a_leg("lighter", 1),),
        (a_leg("grvt", -1),),
        (a_leg("lighter", 0), a_leg("grvt", Unknown("no answer"))),
        (a_leg("lighter", Unknown("no answer")), a_leg("grvt", 0)),
        (a_leg("lighter", -1), a_leg("grvt", -1)),
        (a_leg("lighter", 1), a_leg("grvt", 1)),
    ],
)
def test_the_difference_is_unknown_unless_both_legs_are_known_on_their_sides(legs: tuple[LegReading, ...]) -> None:
    assert held(*legs).quantity_difference is None


# Exactness -----------------------------------------------------------------------------------------------------------


def test_proportions_are_whole_numbers() -> None:
    assert in_proportion(Decimal("0.5"), Decimal("0.25")) == (4, 2)
    assert in_proportion(Decimal(3), Decimal(0)) == (3, 0)


@pytest.mark.usefixtures("hostile_context", "far_zone")
def test_ratios_do_not_depend_on_the_decimal_context() -> None:
    prices = {"mark_price": "91250.123456789", "liquidation_price": "80000.987654321"}
    pair = held(a_leg("lighter", "1.23456789", **prices), a_leg("grvt", "-1.23456780", **prices))
    assert (pair.long.liquidation_distance, pair.short.liquidation_distance) == (123_278, -123_278)
    assert pair.quantity_difference == 0


amounts = st.integers(1, 10**6).map(lambda steps: Decimal(steps).scaleb(-3))


@given(mark=amounts, liquidation=amounts, toward=amounts)
def test_moving_the_mark_price_toward_liquidation_never_raises_the_distance(
    mark: Decimal, liquidation: Decimal, toward: Decimal
) -> None:
    def distance(side: str, price: Decimal) -> int:
        leg = (long if side == "long" else short)(mark_price=price, liquidation_price=liquidation)
        assert leg.liquidation_distance is not None
        return leg.liquidation_distance

    lower, higher = min(mark, toward), max(mark, toward)
    assert distance("long", lower) <= distance("long", higher)
    assert distance("short", higher) <= distance("short", lower)


@given(one=amounts, other=amounts, more=amounts)
def test_growing_the_larger_leg_never_lowers_the_difference(one: Decimal, other: Decimal, more: Decimal) -> None:
    def difference(long: Decimal, short: Decimal) -> int:
        found = held(a_leg("lighter", long), a_leg("grvt", short.copy_negate())).quantity_difference
        assert found is not None
        return found

    smaller, larger = sorted((one, other))
    assert difference(larger + more, smaller) >= difference(larger, smaller)
    assert difference(smaller, larger) == difference(larger, smaller)
