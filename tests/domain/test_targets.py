"""Which candidates may be opened now."""

from __future__ import annotations

import pytest

from rebalancer import InputError, TargetFilter
from rebalancer.domain.names import Pair

PAIR = Pair("BTC", "lighter", "grvt")


def test_any_pair_may_be_opened_unless_something_speaks_against_it() -> None:
    assert TargetFilter.ANY.refusal(PAIR) is None
    assert TargetFilter() == TargetFilter.ANY
    assert TargetFilter.ANY.venues is None


@pytest.mark.parametrize(
    ("venues", "why"),
    [
        (("lighter", "grvt"), None),
        (("paradex", "grvt", "lighter"), None),
        (("lighter",), "a venue is not allowed"),
        (("grvt", "paradex"), "a venue is not allowed"),
        ((), "a venue is not allowed"),
    ],
)
def test_both_legs_must_be_on_allowed_venues(venues: tuple[str, ...], why: str | None) -> None:
    assert TargetFilter(venues=venues).refusal(PAIR) == why


@pytest.mark.parametrize(("symbols", "why"), [(("ETH",), None), (("ETH", "BTC"), "the symbol is blocked")])
def test_a_blocked_symbol_may_not_be_opened(symbols: tuple[str, ...], why: str | None) -> None:
    assert TargetFilter(blocked_symbols=symbols).refusal(PAIR) == why


@pytest.mark.parametrize(
    ("taken", "why"),
    [
        ((PAIR,), "another position holds the pair"),
        ((Pair("BTC", "grvt", "lighter"), Pair("ETH", "lighter", "grvt")), None),
    ],
)
def test_a_pair_that_is_held_already_may_not_be_opened_and_its_reverse_may(
    taken: tuple[Pair, ...], why: str | None
) -> None:
    assert TargetFilter(taken=taken).refusal(PAIR) == why


def test_the_venue_is_named_before_the_symbol_and_the_symbol_before_the_pair() -> None:
    everything = TargetFilter(venues=(), blocked_symbols=("BTC",), taken=(PAIR,))
    assert everything.refusal(PAIR) == "a venue is not allowed"
    assert everything.model_copy(update={"venues": None}).refusal(PAIR) == "the symbol is blocked"


def test_pairs_are_taken_besides_those_that_were() -> None:
    other, third = Pair("ETH", "lighter", "grvt"), Pair("SOL", "lighter", "grvt")
    usual = TargetFilter(venues=("lighter", "grvt"), blocked_symbols=("ARB",), taken=(other,))
    assert usual.without(PAIR, third) == TargetFilter(
        venues=("lighter", "grvt"), blocked_symbols=("ARB",), taken=(other, PAIR, third)
    )
    assert usual.without() == usual


def test_names_are_read_in_one_letter_case_and_validated() -> None:
    given = TargetFilter(venues=("Lighter",), blocked_symbols=("btc",), taken=(Pair("btc", "Lighter", "GRVT"),))
    assert given == TargetFilter(venues=("lighter",), blocked_symbols=("BTC",), taken=(PAIR,))
    with pytest.raises(InputError, match=r"^TargetFilter: taken\.0\.\w+: not a venue: "):
        TargetFilter(taken=(Pair("BTC", "a\nb", "grvt"),))


def test_it_makes_the_way_to_json_and_back_byte_for_byte() -> None:
    text = TargetFilter(venues=("lighter",), blocked_symbols=("BTC",), taken=(PAIR,)).model_dump_json()
    assert text == '{"venues":["lighter"],"blocked_symbols":["BTC"],"taken":[["BTC","lighter","grvt"]]}'
    assert TargetFilter.model_validate_json(text).model_dump_json() == text
