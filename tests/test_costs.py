"""What trading costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalancer import Costs, InputError
from rebalancer.costs import Move
from rebalancer.domain.names import Pair

BP = 100_000_000
HELD = Pair("BTC", "lighter", "grvt")


def costs(leg_bps: Any = 2, **venues: Any) -> Costs:
    """Costs of 2 bp a leg but on the venues named."""
    return Costs(leg_bps=leg_bps, venues=venues)


def test_a_leg_costs_the_same_everywhere_unless_a_venue_is_named() -> None:
    assert costs(lighter=0, paradex="3.5").leg("lighter") == 0
    assert costs(lighter=0, paradex="3.5").leg("paradex") == 350_000_000
    assert costs(lighter=0, paradex="3.5").leg("grvt") == 2 * BP


def test_a_basis_point_is_1e_4_of_notional_in_grid_steps_of_1e_12() -> None:
    assert costs(1).leg("grvt") == 10**12 // 10_000
    assert costs("0.00000001").leg("grvt") == 1
    assert costs("-10000").leg("grvt") == -(10**12)


def test_flat_costs_are_the_same_on_every_venue() -> None:
    assert Costs.flat(leg_bps="1.5") == Costs(leg_bps="1.5") == Costs(leg_bps="1.5", venues={})
    assert Costs.flat(leg_bps="1.5").leg("lighter") == 150_000_000


@pytest.mark.parametrize(
    ("held", "target", "legs", "cost"),
    [
        (None, None, 0, 0),
        (HELD, HELD, 0, 0),
        (None, HELD, 2, 1 + 10),
        (HELD, None, 2, 1 + 10),
        (HELD, Pair("BTC", "paradex", "grvt"), 2, 1 + 100),
        (HELD, Pair("BTC", "lighter", "paradex"), 2, 10 + 100),
        (HELD, Pair("BTC", "grvt", "lighter"), 4, 1 + 10 + 10 + 1),
        (HELD, Pair("BTC", "grvt", "paradex"), 4, 1 + 10 + 10 + 100),
        (HELD, Pair("BTC", "paradex", "lighter"), 4, 1 + 10 + 100 + 1),
        (HELD, Pair("BTC", "paradex", "other"), 4, 1 + 10 + 100 + 1000),
        (HELD, Pair("ETH", "lighter", "grvt"), 4, 1 + 10 + 1 + 10),
        (HELD, Pair("ETH", "lighter", "paradex"), 4, 1 + 10 + 1 + 100),
    ],
)
def test_a_move_costs_the_legs_that_the_two_states_do_not_share(
    held: Pair | None, target: Pair | None, legs: int, cost: int
) -> None:
    prices = costs(1000, lighter=1, grvt=10, paradex=100)
    assert prices.move(held, target) == Move(legs, cost * BP)
    assert prices.move(target, held) == Move(legs, cost * BP)


@pytest.mark.parametrize(
    ("prices", "cheapest"),
    [
        (costs(2), 4),
        (costs(2, lighter=1), 2),
        (costs(2, lighter=1, grvt="0.5"), 1),
        (costs(2, lighter=3), 4),
        (costs(0), 0),
        (costs(2, lighter=0), 0),
        (costs(2, lighter=-1), -4),
        (costs(-2, lighter=1), -8),
    ],
)
def test_the_cheapest_switch_trades_two_legs_where_legs_cost_and_four_where_they_pay(
    prices: Costs, cheapest: int
) -> None:
    assert prices.cheapest_switch == cheapest * BP


VENUES = ("a", "b", "c", "d")
BPS = st.integers(min_value=-10_000, max_value=10_000)
PAIRS = st.permutations(VENUES).flatmap(
    lambda venues: st.sampled_from(("BTC", "ETH")).map(lambda symbol: Pair(symbol, venues[0], venues[1]))
)


@given(st.dictionaries(st.sampled_from(VENUES), BPS), BPS, PAIRS, PAIRS)
def test_no_switch_costs_less_than_the_cheapest(venues: dict[str, int], leg_bps: int, held: Pair, target: Pair) -> None:
    prices = costs(leg_bps, **venues)
    if held != target:
        assert prices.move(held, target).cost >= prices.cheapest_switch


def test_equal_costs_are_equal_whatever_their_order_and_letter_case() -> None:
    one = Costs(leg_bps=2, venues={"Lighter": 0, "grvt": 1})
    other = Costs(leg_bps=2, venues={"GRVT": 1, "lighter": 0})
    pairs = Costs(leg_bps=2, venues=(("lighter", 0), ("grvt", 1)))
    assert one == other == pairs
    assert hash(one) == hash(other) == hash(pairs)
    assert one.venues == (("grvt", Decimal(1)), ("lighter", Decimal(0)))
    assert one != costs(lighter=0)


@pytest.mark.parametrize("venues", [{"Lighter": 0, "lighter": 1}, (("grvt", 1), ("grvt", 1))])
def test_a_venue_that_is_named_twice_is_refused(venues: Any) -> None:
    with pytest.raises(InputError) as refused:
        Costs(leg_bps=2, venues=venues)
    assert str(refused.value) == "Costs: venues: a venue is named twice"


@pytest.mark.parametrize("venues", [{"a\nb": 0}, {1: 0}, {1: 0, "lighter": 0}])
def test_a_name_that_is_no_venue_is_refused(venues: Any) -> None:
    with pytest.raises(InputError, match=r"^Costs: venues\.0\.0: not a venue: "):
        Costs(leg_bps=2, venues=venues)


@pytest.mark.parametrize("venues", [5, "lighter", None, (("lighter",),)])
def test_what_is_no_mapping_of_venues_is_refused(venues: Any) -> None:
    with pytest.raises(InputError, match=r"^Costs: venues"):
        Costs(leg_bps=2, venues=venues)


@pytest.mark.parametrize(
    ("leg_bps", "why"),
    [
        ("10000.00000001", "must be at most 10000"),
        ("-10000.00000001", "must be at least -10000"),
        ("0.000000001", "finer than its grid of 1e-8: round it"),
        (float("nan"), "NaN and infinity are not numbers to act on"),
    ],
)
def test_a_figure_out_of_bounds_or_off_the_grid_is_refused(leg_bps: Any, why: str) -> None:
    with pytest.raises(InputError) as refused:
        Costs(leg_bps=leg_bps)
    assert str(refused.value) == f"Costs: leg_bps: {why}"
    with pytest.raises(InputError) as refused:
        costs(lighter=leg_bps)
    assert str(refused.value) == f"Costs: venues.0.1: {why}"


def test_costs_need_a_figure_for_the_venues_that_are_not_named() -> None:
    with pytest.raises(InputError) as refused:
        Costs(venues={"lighter": 0})  # type: ignore[call-arg]  # the mistake under test
    assert str(refused.value) == "Costs: leg_bps: Field required"


def test_costs_make_the_way_to_json_and_back_byte_for_byte() -> None:
    text = costs("2.50", lighter=0, grvt="-0.10").model_dump_json()
    assert text == '{"leg_bps":"2.5","venues":[["grvt","-0.1"],["lighter","0"]]}'
    assert Costs.model_validate_json(text).model_dump_json() == text
    assert Costs.model_validate_json('{"leg_bps": "2.5", "venues": {"lighter": 0, "GRVT": "-0.1"}}') == costs(
        "2.5", lighter=0, grvt="-0.1"
    )


def test_costs_are_shown_as_a_person_would_write_them() -> None:
    assert repr(costs("2.50")) == "Costs(leg_bps=2.5)"
    assert repr(costs(2, lighter="0.10", grvt=0)) == "Costs(leg_bps=2, venues={'grvt': 0, 'lighter': 0.1})"


@pytest.mark.usefixtures("hostile_context")
def test_costs_ignore_the_ambient_decimal_context() -> None:
    prices = costs("1234.12345678", lighter="-0.12345678", grvt=0.1)
    assert prices.move(HELD, Pair("BTC", "paradex", "grvt")).cost == 123_412_345_678 - 12_345_678
    assert prices.leg("grvt") == BP // 10
    assert prices.cheapest_switch == -4 * 12_345_678
    assert prices.model_dump_json() == (
        '{"leg_bps":"1234.12345678","venues":[["grvt","0.1"],["lighter","-0.12345678"]]}'
    )
    assert repr(prices) == "Costs(leg_bps=1234.12345678, venues={'grvt': 0.1, 'lighter': -0.12345678})"
