"""A delta-neutral position."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from rebalancer import InputError, Position, PositionStatus
from rebalancer.domain.names import Pair
from rebalancer.domain.position import ENTRY_TOLERANCE
from rebalancer.testing import AS_OF, a_position, an_opportunity

OPTIONAL_TIMES = ["deadline", "last_check", "last_action_at"]
AMOUNTS = ["long_quantity", "short_quantity", "long_entry_price", "short_entry_price"]
MONEY = ["funding_collected_usd", "fees_paid_usd"]


def with_field(name: str, value: object) -> Position:
    """The usual position with one field that is given by its name."""
    fields: dict[str, Any] = {name: value}
    return a_position(**fields)


def test_a_position_of_nothing_but_what_is_required_has_the_documented_defaults() -> None:
    position = a_position()
    assert position.status is PositionStatus.OPEN
    assert position.version == 0
    assert position.funding_collected_usd == position.fees_paid_usd == 0
    unset = ["attention", "then", "parent", "close_reason", *OPTIONAL_TIMES, *AMOUNTS]
    assert [getattr(position, name) for name in unset] == [None] * len(unset)


def test_the_states_of_a_position_are_written_in_lower_case() -> None:
    assert [str(status) for status in PositionStatus] == ["opening", "open", "pending_close", "half_closed", "closed"]
    assert a_position(status="half_closed").status is PositionStatus.HALF_CLOSED


def test_the_entry_divergence_is_derived_as_short_minus_long() -> None:
    position = a_position(entry_long_rate="0.0001", entry_short_rate="0.0004")
    assert position.entry_divergence == Decimal("0.0003")
    assert position.entry_steps == 300_000_000
    assert position.entry_gap == 0


def test_a_derived_entry_divergence_may_be_negative() -> None:
    assert a_position(entry_long_rate="0.0004", entry_short_rate="-0.0001").entry_divergence == Decimal("-0.0005")


def test_an_entry_divergence_that_is_given_is_the_one_that_counts() -> None:
    position = a_position(entry_long_rate="0.0001", entry_short_rate="0.0003", entry_divergence="0.00025")
    assert position.entry_steps == 250_000_000
    assert position.entry_gap == 50_000_000


def test_the_entry_gap_has_no_sign() -> None:
    position = a_position(entry_long_rate="0.0001", entry_short_rate="0.0003", entry_divergence="-0.0002")
    assert position.entry_gap == 400_000_000


def test_the_entry_tolerance_is_2e_8() -> None:
    assert Decimal(ENTRY_TOLERANCE) / 10**12 == Decimal("2e-8")


def test_the_entry_divergence_may_be_up_to_2_and_no_more() -> None:
    extreme = a_position(entry_long_rate=-1, entry_short_rate=1)
    assert extreme.entry_divergence == 2
    with pytest.raises(InputError) as refused:
        a_position(entry_divergence="2.000000000001")
    assert str(refused.value) == "Position: entry_divergence: must be at most 2"


def test_its_pair_is_directed_and_in_one_letter_case() -> None:
    position = a_position(symbol="btc", long_dex="Lighter", short_dex="GRVT")
    assert position.pair == Pair("BTC", "lighter", "grvt")


@pytest.mark.parametrize("venue", ["grvt", "Grvt"])
def test_two_legs_on_one_venue_are_refused(venue: str) -> None:
    with pytest.raises(InputError) as refused:
        a_position(long_dex=venue, short_dex="grvt")
    assert str(refused.value) == "Position: long_dex and short_dex must be two venues"


def test_the_id_is_derived_from_pair_and_opening_time_alike_in_every_process() -> None:
    assert a_position().id == UUID("d85a8c52-1f8f-52a3-a583-22aaf6896716")


@pytest.mark.parametrize(
    "changed",
    [
        {"symbol": "ETH"},
        {"long_dex": "paradex"},
        {"short_dex": "paradex"},
        {"long_dex": "grvt", "short_dex": "lighter"},
        {"opened_at": AS_OF - timedelta(hours=5, seconds=1)},
    ],
)
def test_another_pair_or_opening_time_has_another_id(changed: dict[str, Any]) -> None:
    assert a_position(**changed).id != a_position().id


def test_the_id_does_not_depend_on_anything_else() -> None:
    local = (AS_OF - timedelta(hours=5)).astimezone(timezone(timedelta(hours=3)))
    other = a_position(symbol="btc", size_usd=5, entry_long_rate=0, version=3, status="closed", opened_at=local)
    assert other.id == a_position().id


def test_an_id_that_is_given_is_kept() -> None:
    given = UUID(int=7)
    assert a_position(id=given).id == given
    assert a_position(id=str(given)).id == given


def test_the_opening_time_counts_in_whole_seconds_since_1970() -> None:
    assert a_position(opened_at=datetime(1970, 1, 1, 2, tzinfo=timezone(timedelta(hours=1)))).opened_epoch == 3600


@pytest.mark.parametrize("name", ["opened_at", *OPTIONAL_TIMES])
def test_a_naive_time_is_refused_and_the_error_says_how_to_fix_it(name: str) -> None:
    with pytest.raises(InputError) as refused:
        with_field(name, AS_OF.replace(tzinfo=None))
    assert str(refused.value) == (
        f"Position: {name}: a naive time: add its zone, for instance .replace(tzinfo=timezone.utc)"
    )


@pytest.mark.parametrize("name", ["opened_at", *OPTIONAL_TIMES])
def test_times_are_kept_in_utc_and_floored_to_the_second(name: str) -> None:
    local = (AS_OF + timedelta(milliseconds=999)).astimezone(timezone(timedelta(hours=-7)))
    kept = getattr(with_field(name, local), name)
    assert kept == AS_OF
    assert kept.utcoffset() == timedelta(0)


@pytest.mark.parametrize("size", [0.1, "0.1", Decimal("0.1"), np.float64(0.1)])
def test_a_float_is_read_by_its_shortest_decimal_form(size: object) -> None:
    assert a_position(size_usd=size).size_usd.as_tuple() == Decimal("0.1").as_tuple()


@pytest.mark.parametrize(
    "size", [0, -1, "0.004", float("nan"), float("inf"), "1E+999999", "1_000", True, None, "1" * 31]
)
def test_a_size_that_is_no_amount_of_money_is_refused(size: object) -> None:
    with pytest.raises(InputError, match=r"^Position: size_usd: "):
        a_position(size_usd=size)


@pytest.mark.parametrize("name", ["entry_long_rate", "entry_short_rate"])
def test_an_entry_rate_is_from_minus_1_to_1(name: str) -> None:
    assert getattr(with_field(name, -1), name) == -1
    with pytest.raises(InputError) as refused:
        with_field(name, "-1.000000000001")
    assert str(refused.value) == f"Position: {name}: must be at least -1"


@pytest.mark.parametrize("name", AMOUNTS)
def test_quantities_and_prices_are_above_0_and_on_no_grid(name: str) -> None:
    fine = "0.12345678901234567890123"
    assert getattr(with_field(name, fine), name) == Decimal(fine)
    with pytest.raises(InputError) as refused:
        with_field(name, 0)
    assert str(refused.value) == f"Position: {name}: must be above 0"


@pytest.mark.parametrize("name", MONEY)
def test_money_collected_and_paid_has_a_sign_and_is_in_cents(name: str) -> None:
    assert getattr(with_field(name, "-1.005"), name) == Decimal("-1")
    assert getattr(with_field(name, "-1.015"), name) == Decimal("-1.02")


@pytest.mark.parametrize("version", [0, 1])
def test_a_version_counts_from_0(version: int) -> None:
    assert a_position(version=version).version == version


def test_a_version_below_0_is_refused() -> None:
    with pytest.raises(InputError, match=r"^Position: version: Input should be greater than or equal to 0$"):
        a_position(version=-1)


@pytest.mark.parametrize("name", ["attention", "close_reason"])
def test_a_text_that_could_forge_a_log_line_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=rf"^Position: {name}: String should match pattern"):
        with_field(name, "FINE\nFORGED")


def test_an_unknown_key_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(InputError) as refused:
        a_position(entry_long_rates=0)
    assert str(refused.value) == "Position: entry_long_rates: is not known here (did you mean 'entry_long_rate'?)"


def test_refused_rates_are_named_without_blaming_what_is_derived_from_them() -> None:
    with pytest.raises(InputError) as refused:
        a_position(entry_long_rate="5 %", symbol="")
    assert str(refused.value) == (
        "Position: symbol: not a symbol: 1 to 40 characters of A-Z 0-9 : / _ . -; "
        "entry_long_rate: not a number: write plain ASCII digits, such as 0.0001"
    )


FULL = a_position(
    entry_divergence="0.00025",
    id="00000000-0000-0000-0000-000000000007",
    status="pending_close",
    attention="a leg is unread",
    then=an_opportunity(),
    deadline=AS_OF,
    parent="00000000-0000-0000-0000-000000000006",
    last_check=AS_OF,
    last_action_at=AS_OF,
    long_quantity="0.10",
    short_quantity="0.1000",
    long_entry_price="98765.4321",
    short_entry_price="1E+5",
    funding_collected_usd="12.34",
    fees_paid_usd="-0",
    close_reason="TIME_LIMIT",
    version=3,
)


def test_a_full_position_is_written_as_canonical_json() -> None:
    assert FULL.model_dump_json() == (
        '{"symbol":"BTC","long_dex":"lighter","short_dex":"grvt","size_usd":"10000","entry_long_rate":"0.0001",'
        '"entry_short_rate":"0.0003","entry_divergence":"0.00025","opened_at":"2026-01-05T07:00:00Z",'
        '"id":"00000000-0000-0000-0000-000000000007","status":"pending_close","attention":"a leg is unread",'
        '"then":{"symbol":"BTC","long_dex":"paradex","short_dex":"grvt","long_rate":"0","short_rate":"0.0005",'
        '"observed_at":"2026-01-05T12:00:00Z","origin":null},"deadline":"2026-01-05T12:00:00Z",'
        '"parent":"00000000-0000-0000-0000-000000000006","last_check":"2026-01-05T12:00:00Z",'
        '"last_action_at":"2026-01-05T12:00:00Z","long_quantity":"0.1","short_quantity":"0.1",'
        '"long_entry_price":"98765.4321","short_entry_price":"100000","funding_collected_usd":"12.34",'
        '"fees_paid_usd":"0","close_reason":"TIME_LIMIT","version":3}'
    )


@pytest.mark.parametrize("position", [a_position(), FULL], ids=["usual", "full"])
def test_a_position_makes_the_way_to_json_and_back_byte_for_byte(position: Position) -> None:
    text = position.model_dump_json()
    again = Position.model_validate_json(text)
    assert again == position
    assert hash(again) == hash(position)
    assert again.model_dump_json() == text


@pytest.mark.usefixtures("hostile_context", "far_zone")
def test_a_position_depends_neither_on_the_decimal_context_nor_on_the_time_zone() -> None:
    text = FULL.model_dump_json()
    assert Position.model_validate_json(text).model_dump_json() == text
    position = a_position(entry_long_rate="-0.123456789012", entry_short_rate="0.876543210987", size_usd=1234567.125)
    assert position.entry_steps == 999_999_999_999
    assert str(position.entry_divergence) == "0.999999999999"
    assert str(position.size_usd) == "1234567.12"
    assert position.id == UUID("d85a8c52-1f8f-52a3-a583-22aaf6896716")


def test_the_last_action_is_known_in_whole_seconds_since_1970_if_there_was_one() -> None:
    assert a_position().last_action_epoch is None
    assert a_position(last_action_at=AS_OF + timedelta(milliseconds=1999)).last_action_epoch == 1_767_614_401
