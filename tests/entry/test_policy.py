"""When a position is opened, and which pair."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest

from rebalancer import (
    DivergenceFlip,
    EntryPolicy,
    HeldFor,
    InputError,
    MarketSnapshot,
    NetCarry,
    TargetFilter,
    TimeLimit,
)
from rebalancer.plugins import PluginManager
from rebalancer.testing import AS_OF, a_quote, a_snapshot, an_opportunity

PRESETS = PluginManager().registry.presets

STEP = Decimal("1e-12")
POLICY = EntryPolicy()


def a_market(**rates: object) -> MarketSnapshot:
    """BTC at these rates per 8 h, venue by venue."""
    return a_snapshot(*(a_quote(venue, rate) for venue, rate in rates.items()))  # type: ignore[arg-type]


def opened(
    snapshot: MarketSnapshot,
    policy: EntryPolicy = POLICY,
    *,
    symbol: str = "BTC",
    targets: TargetFilter = TargetFilter.ANY,
) -> tuple[str, str] | None:
    """The legs that the policy would open now."""
    found = policy.should_open(symbol, snapshot, targets=targets)
    return None if found is None else (found.long_dex, found.short_dex)


def test_exactly_one_basis_point_stays_out() -> None:
    assert opened(a_market(lighter=0, grvt="0.0001")) is None


def test_a_grid_step_more_opens() -> None:
    assert opened(a_market(lighter=0, grvt=Decimal("0.0001") + STEP)) == ("lighter", "grvt")


@pytest.mark.parametrize("above", ["0", "-0.0001", "0.01"])
def test_the_limit_can_be_set_and_is_itself_outside(above: str) -> None:
    policy = EntryPolicy(above=above)
    limit = Decimal(above)
    assert opened(a_market(lighter=0, grvt=abs(limit)), policy) == (("lighter", "grvt") if limit < 0 else None)
    assert opened(a_market(lighter=0, grvt=abs(limit) + STEP), policy) == ("lighter", "grvt")


def test_the_limit_is_one_basis_point_unless_given() -> None:
    assert EntryPolicy() == EntryPolicy(above="0.0001")


def test_a_limit_finer_than_the_grid_is_refused() -> None:
    with pytest.raises(InputError, match=r"EntryPolicy: above: finer than its grid of 1e-12"):
        EntryPolicy(above="0.0000000000001")


def test_the_largest_divergence_is_opened_long_the_low_rate_and_short_the_high_one() -> None:
    found = POLICY.should_open("BTC", a_market(lighter="0.0005", grvt="-0.0002", paradex="0.0001"))
    assert found == an_opportunity(long_dex="grvt", short_dex="lighter", long_rate="-0.0002", short_rate="0.0005")


def test_ties_go_to_the_first_long_venue_then_the_first_short_one() -> None:
    assert opened(a_market(d=0, c=0, b="0.001", a="0.001")) == ("c", "a")
    assert opened(a_market(a=0, z="0.001", y="0.001")) == ("a", "y")


def test_a_symbol_is_not_opened_for_the_divergence_of_another() -> None:
    rich = a_quote("paradex", "0.01", symbol="ETH"), a_quote("aster", 0, symbol="ETH")
    snapshot = a_snapshot(a_quote("lighter", 0), a_quote("grvt", 0), *rich)
    assert opened(snapshot) is None
    assert opened(snapshot, symbol="ETH") == ("aster", "paradex")


def test_a_symbol_that_nobody_quotes_stays_out() -> None:
    assert opened(a_market(lighter=0, grvt="0.01"), symbol="ETH") is None
    assert opened(a_market(lighter="0.01")) is None


def test_an_unknown_rate_is_no_reason_to_open() -> None:
    stale = a_quote("grvt", "0.01", observed_at=AS_OF - timedelta(hours=1))
    assert opened(a_snapshot(a_quote("lighter", 0), stale)) is None


def test_a_pair_that_only_a_service_lists_counts() -> None:
    snapshot = a_snapshot(a_quote("lighter", 0), opportunities=(an_opportunity(),))
    assert opened(snapshot) == ("paradex", "grvt")


MARKET = {"lighter": 0, "grvt": "0.0010", "paradex": "0.0008"}


@pytest.mark.parametrize(
    ("targets", "legs"),
    [
        (TargetFilter.ANY, ("lighter", "grvt")),
        (TargetFilter(venues=("lighter", "paradex")), ("lighter", "paradex")),
        (TargetFilter(venues=("lighter",)), None),
        (TargetFilter(blocked_symbols=("BTC",)), None),
        (TargetFilter(blocked_symbols=("ETH",)), ("lighter", "grvt")),
    ],
)
def test_the_best_pair_that_may_be_opened_is_taken(targets: TargetFilter, legs: tuple[str, str] | None) -> None:
    assert opened(a_market(**MARKET), targets=targets) == legs


def test_a_pair_that_is_taken_leaves_the_next_best() -> None:
    best = an_opportunity(long_dex="lighter", short_dex="grvt").pair
    assert opened(a_market(**MARKET), targets=TargetFilter.ANY.without(best)) == ("lighter", "paradex")


def test_the_next_best_must_be_above_the_limit_too() -> None:
    best = an_opportunity(long_dex="lighter", short_dex="grvt").pair
    market = a_market(lighter=0, grvt="0.001", paradex="0.0009")
    assert opened(market, EntryPolicy(above="0.0009"), targets=TargetFilter.ANY.without(best)) is None


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "adaptive"])
def test_every_literal_preset_is_entered_above_one_basis_point(name: str) -> None:
    assert EntryPolicy.matching(PRESETS.create(name)) == POLICY


def test_a_strategy_with_a_net_carry_is_entered_by_it_wherever_it_stands() -> None:
    carry = NetCarry(horizon=timedelta(hours=100))
    for strategy in (carry, DivergenceFlip() | carry, TimeLimit() | (carry & HeldFor(at_least=timedelta(hours=1)))):
        assert EntryPolicy.matching(strategy) == carry
