"""The values that stated functions may read."""

from datetime import timedelta
from typing import Any

import pytest

from rebalancer import MarketSnapshot, Missing, Position
from rebalancer.domain.quoted_legs import NEVER
from rebalancer.rules.values import VALUES
from rebalancer.testing import AS_OF, a_leg, a_position, a_quote, a_snapshot

LEGS = (
    a_leg("lighter", "0.10", mark_price=100, liquidation_price=75),
    a_leg("grvt", "-0.08", mark_price=100, liquidation_price=150),
)


def full_snapshot(**short: Any) -> MarketSnapshot:
    """Both legs say everything; `short` overrides the short leg."""
    at = AS_OF + timedelta(minutes=10)
    long_leg = a_quote("lighter", "0.0001", next_funding_at=at, open_interest_usd=7)
    usual = {"next_funding_at": at + timedelta(minutes=1), "open_interest_usd": 5}
    return a_snapshot(long_leg, a_quote("grvt", "0.0003", **{**usual, **short}), legs=LEGS)


def read(name: str, snapshot: MarketSnapshot, position: Position | None = None) -> int | None:
    return VALUES[name].read(position or a_position(), snapshot)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("age", 18_000),
        ("since_action", NEVER),
        ("entry_divergence", 200_000_000),
        ("divergence", 200_000_000),
        ("settles_in", 600),
        ("both_scheduled", 1),
        ("net_payment", -100_000_000 * 28_800),
        ("long_open_interest", 7),
        ("short_open_interest", 5),
        ("long_open", 1),
        ("short_open", 1),
        ("quantity_difference", 200_000),
        ("liquidation_distance", 250_000),
        ("both_distances", 1),
    ],
)
def test_a_known_value_is_an_integer_on_the_grid(name: str, value: int) -> None:
    assert read(name, full_snapshot()) == value


@pytest.mark.parametrize(
    ("name", "needs", "nullable"),
    [
        ("age", (), False),
        ("since_action", (), False),
        ("entry_divergence", (), False),
        ("divergence", ("rates",), True),
        ("settles_in", ("schedule",), True),
        ("both_scheduled", ("schedule",), True),
        ("net_payment", ("rates", "schedule"), True),
        ("long_open_interest", ("open_interest",), True),
        ("short_open_interest", ("open_interest",), True),
        ("long_open", ("legs",), True),
        ("short_open", ("legs",), True),
        ("quantity_difference", ("legs",), True),
        ("liquidation_distance", ("legs", "mark_price"), True),
        ("both_distances", ("legs", "mark_price"), True),
    ],
)
def test_each_value_says_what_must_be_fetched_and_whether_it_may_be_unknown(
    name: str, needs: tuple[str, ...], *, nullable: bool
) -> None:
    assert (VALUES[name].needs, VALUES[name].nullable) == (needs, nullable)


def test_there_are_no_other_values() -> None:
    assert list(VALUES) == [
        "age",
        "since_action",
        "entry_divergence",
        "divergence",
        "settles_in",
        "both_scheduled",
        "net_payment",
        "long_open_interest",
        "short_open_interest",
        "long_open",
        "short_open",
        "quantity_difference",
        "liquidation_distance",
        "both_distances",
        "leaving_cost",
    ]


@pytest.mark.parametrize(
    ("opened_after_now", "age"), [(-1, 1), (0, 0), (1, 0)], ids=["before", "at the same time", "after"]
)
def test_the_age_is_never_negative(opened_after_now: int, age: int) -> None:
    position = a_position(age=timedelta(seconds=-opened_after_now))
    assert read("age", a_snapshot(), position) == age


def test_the_entry_divergence_is_the_stored_one() -> None:
    assert read("entry_divergence", a_snapshot(), a_position(entry_divergence="-0.5")) == -500_000_000_000


def gap(field: str, venue: str, why: str = "its quote does not say") -> Missing:
    return Missing(field=field, venue=venue, symbol="BTC", why=why)


def gaps(name: str, snapshot: MarketSnapshot) -> tuple[Missing, ...]:
    found = VALUES[name].gaps
    assert found is not None
    return found(snapshot, a_position().pair, None)


@pytest.mark.parametrize("name", [name for name, source in VALUES.items() if source.nullable])
def test_a_known_value_has_no_gaps(name: str) -> None:
    assert gaps(name, full_snapshot()) == ()


def test_an_unknown_rate_is_the_divergences_gap() -> None:
    stale = full_snapshot(observed_at=AS_OF - timedelta(days=1))
    assert read("divergence", stale) is None
    assert gaps("divergence", stale) == (gap("rate", "grvt", "the quote is older than its limit"),)


@pytest.mark.parametrize(("name", "value"), [("settles_in", 600), ("both_scheduled", 0)])
def test_one_unknown_schedule_is_a_gap_beside_a_known_value(name: str, value: int) -> None:
    partly = full_snapshot(next_funding_at=None)
    assert read(name, partly) == value
    assert gaps(name, partly) == (gap("next funding time", "grvt"),)


def test_two_unknown_schedules_are_two_gaps_long_leg_first() -> None:
    assert read("settles_in", a_snapshot()) is None
    assert read("both_scheduled", a_snapshot()) == 0
    assert gaps("settles_in", a_snapshot()) == (gap("next funding time", "lighter"), gap("next funding time", "grvt"))


def test_two_continuous_legs_never_settle() -> None:
    legs = (a_quote(venue, pays_every=timedelta(0)) for venue in ("lighter", "grvt"))
    assert read("settles_in", a_snapshot(*legs)) == NEVER


def test_a_payment_misses_schedules_and_rates_but_no_skew() -> None:
    unknown = full_snapshot(next_funding_at=None, observed_at=AS_OF - timedelta(days=1))
    assert read("net_payment", unknown) is None
    assert gaps("net_payment", unknown) == (
        gap("next funding time", "grvt"),
        gap("rate", "grvt", "the quote is older than its limit"),
    )
    skewed = a_snapshot(
        a_quote("lighter", observed_at=AS_OF - timedelta(seconds=120)),
        a_quote("grvt", observed_at=AS_OF + timedelta(seconds=1)),
    )
    assert gaps("net_payment", skewed) == (gap("next funding time", "lighter"), gap("next funding time", "grvt"))
    assert gaps("divergence", skewed) == (
        Missing(field="rate", symbol="BTC", why="the legs were seen too far apart in time"),
    )


def test_each_side_of_the_open_interest_is_missed_alone() -> None:
    partly = full_snapshot(open_interest_usd=None)
    assert (read("long_open_interest", partly), read("short_open_interest", partly)) == (7, None)
    assert gaps("short_open_interest", partly) == (gap("open interest", "grvt"),)
    assert gaps("long_open_interest", partly) == ()
    assert gaps("long_open_interest", a_snapshot()) == (gap("open interest", "lighter"),)


@pytest.mark.parametrize("ago", [-1, 0, 1, 3_600])
def test_the_time_since_the_last_action_may_be_negative(ago: int) -> None:
    position = a_position(last_action_at=AS_OF - timedelta(seconds=ago))
    assert read("since_action", a_snapshot(), position) == ago


def test_each_leg_is_missed_alone_and_both_where_they_are_compared() -> None:
    no_long, no_short = (gap("leg state", venue, "no leg state was read") for venue in ("lighter", "grvt"))
    half = a_snapshot(legs=LEGS[:1])
    assert (read("long_open", half), read("short_open", half), read("quantity_difference", half)) == (1, None, None)
    assert (gaps("long_open", half), gaps("short_open", half)) == ((), (no_short,))
    assert gaps("short_open", a_snapshot(legs=LEGS[1:])) == ()
    assert gaps("long_open", a_snapshot()) == (no_long,)
    assert gaps("quantity_difference", half) == (no_short,)
    assert gaps("quantity_difference", a_snapshot()) == (no_long, no_short)


@pytest.mark.parametrize(("name", "value"), [("liquidation_distance", 250_000), ("both_distances", 0)])
def test_one_unknown_distance_is_a_gap_beside_a_known_value(name: str, value: int) -> None:
    partly = a_snapshot(legs=(LEGS[0], a_leg("grvt", "-0.1", mark_price=1)))
    assert read(name, partly) == value
    assert gaps(name, partly) == (gap("liquidation price", "grvt", "its leg state does not say"),)


def test_two_unknown_distances_are_two_gaps_long_leg_first() -> None:
    assert (read("liquidation_distance", a_snapshot()), read("both_distances", a_snapshot())) == (None, 0)
    assert [one.venue for one in gaps("liquidation_distance", a_snapshot())] == ["lighter", "grvt"]
