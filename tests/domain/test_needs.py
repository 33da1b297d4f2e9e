"""What a rule reads beyond the position."""

from __future__ import annotations

import pytest

from rebalancer import InputError, Needs


def test_a_rule_needs_the_two_rates_and_nothing_else_unless_it_says_so() -> None:
    assert Needs() == Needs(
        rates=True,
        opportunities=False,
        all_symbols=False,
        schedule=False,
        open_interest=False,
        volume=False,
        mark_price=False,
        legs=False,
        observations=0,
    )


@pytest.mark.parametrize(
    "name", ["opportunities", "all_symbols", "schedule", "open_interest", "volume", "mark_price", "legs"]
)
def test_the_union_of_needs_has_what_either_has(name: str) -> None:
    neither, one = Needs(rates=False), Needs.model_validate({"rates": False, name: True})
    assert neither | one == one | neither == one
    assert getattr(neither | one, name) is True


def test_the_union_of_needs_has_the_rates_if_either_has() -> None:
    assert Needs(rates=False) | Needs() == Needs()
    assert Needs(rates=False) | Needs(rates=False) == Needs(rates=False)


def test_the_union_of_needs_has_the_larger_number_of_observations() -> None:
    assert (Needs(observations=2) | Needs(observations=3)).observations == 3
    assert (Needs(observations=3) | Needs(observations=2)).observations == 3


@pytest.mark.parametrize("observations", [0, 10_000])
def test_up_to_10_000_observations_may_be_needed(observations: int) -> None:
    assert Needs(observations=observations).observations == observations


@pytest.mark.parametrize("observations", [-1, 10_001])
def test_fewer_than_none_and_more_than_10_000_observations_are_refused(observations: int) -> None:
    with pytest.raises(InputError, match=r"^Needs: observations: Input should be "):
        Needs(observations=observations)


@pytest.mark.parametrize(
    "name", ["rates", "opportunities", "all_symbols", "schedule", "open_interest", "volume", "legs"]
)
def test_a_need_is_lacking_unless_it_is_supplied(name: str) -> None:
    nothing = Needs(rates=False)
    one = Needs.model_validate({"rates": False, name: True})
    assert one.lacking(nothing) == (name,)
    assert one.lacking(one) == nothing.lacking(one) == nothing.lacking(nothing) == ()


@pytest.mark.parametrize(("supplied", "lacking"), [(0, True), (2, True), (3, False), (4, False)])
def test_fewer_observations_than_needed_are_lacking(supplied: int, lacking: object) -> None:
    assert (Needs(observations=3).lacking(Needs(observations=supplied)) == ("observations",)) is lacking


def test_all_that_is_lacking_is_named_in_the_order_of_the_needs() -> None:
    wanted = Needs(mark_price=True, observations=1, opportunities=True, volume=True)
    assert wanted.lacking(Needs(volume=True)) == ("opportunities", "mark_price", "observations")
