"""One question for the data of all positions."""

from __future__ import annotations

import pickle

import pytest

from rebalancer import InputError, MarketRequest, Needs
from rebalancer.domain.names import Market

LIGHTER, GRVT = Market("lighter", "BTC"), Market("grvt", "BTC")


def test_a_request_asks_for_nothing_but_rates_unless_it_says_more() -> None:
    request = MarketRequest()
    assert (request.markets, request.symbols, request.venues, request.needs) == ((), (), None, Needs())
    assert request.held == frozenset()
    assert not request.wants(LIGHTER)


def test_the_markets_of_a_request_are_held_and_wanted() -> None:
    request = MarketRequest(markets=(LIGHTER, GRVT))
    assert request.held == {LIGHTER, GRVT}
    assert request.wants(LIGHTER)
    assert not request.wants(Market("lighter", "ETH"))
    assert not request.wants(Market("aster", "BTC"))


def test_a_held_market_is_no_candidate_by_itself() -> None:
    assert not MarketRequest(markets=(LIGHTER,)).wants_candidate(LIGHTER)
    assert not MarketRequest(markets=(LIGHTER,), symbols=("ETH",)).wants_candidate(LIGHTER)
    assert MarketRequest(markets=(LIGHTER,), symbols=("BTC",)).wants_candidate(LIGHTER)


@pytest.mark.parametrize(
    ("symbols", "venues", "candidate"),
    [
        ((), None, False),
        (("BTC",), None, True),
        (("ETH", "BTC"), None, True),
        (("ETH",), None, False),
        (None, None, True),
        (("BTC",), ("lighter",), True),
        (("BTC",), ("grvt",), False),
        (("BTC",), (), False),
        (None, ("grvt", "lighter"), True),
        (None, ("grvt",), False),
        ((), ("lighter",), False),
    ],
)
def test_a_candidate_is_of_a_wanted_symbol_on_a_wanted_venue(
    symbols: tuple[str, ...] | None, venues: tuple[str, ...] | None, candidate: object
) -> None:
    request = MarketRequest(symbols=symbols, venues=venues)
    assert request.wants_candidate(LIGHTER) is candidate
    assert request.wants(LIGHTER) is candidate


def test_a_held_market_is_wanted_wherever_candidates_are() -> None:
    request = MarketRequest(markets=(LIGHTER,), symbols=("BTC",), venues=("grvt",))
    assert request.wants(LIGHTER)
    assert not request.wants_candidate(LIGHTER)


def test_names_in_a_request_are_in_one_letter_case() -> None:
    request = MarketRequest(markets=(Market("Lighter", "btc"),), symbols=("btc",), venues=("LIGHTER",))
    assert request == MarketRequest(markets=(LIGHTER,), symbols=("BTC",), venues=("lighter",))
    assert request.wants(LIGHTER)


@pytest.mark.parametrize("venues", ["lighter", ["a venue"], [None]])
def test_venues_that_are_none_are_refused(venues: object) -> None:
    with pytest.raises(InputError, match=r"^MarketRequest: venues"):
        MarketRequest(venues=venues)  # type: ignore[arg-type]  # what it must refuse


def test_a_request_is_pickled_without_what_was_computed_from_it() -> None:
    request = MarketRequest(markets=(LIGHTER,), symbols=("BTC",))
    assert request.wants(LIGHTER)
    assert request.wants_candidate(LIGHTER)
    assert pickle.loads(pickle.dumps(request)) == request
    assert MarketRequest.model_validate_json(request.model_dump_json()) == request
