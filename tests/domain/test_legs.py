"""Legs as venues show them."""

from __future__ import annotations

import pickle
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from rebalancer import InputError, Known, LegReading, LegState, Unknown
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, a_leg

FULL = Known(
    "-0.50",
    as_of=AS_OF,
    entry_price="90000.5",
    mark_price=91_000,
    liquidation_price="120000",
    funding_accrued="-1.25",
)
PRICES = ("entry_price", "mark_price", "liquidation_price")


def test_of_a_known_leg_only_the_quantity_must_be_known() -> None:
    known = Known("0.1")
    assert known.quantity == Decimal("0.1")
    assert (known.as_of, known.funding_accrued) == (None, None)
    assert [getattr(known, name) for name in PRICES] == [None] * 3


@pytest.mark.parametrize("quantity", ["0.1", "-0.1", "0", 0.1, 3, "0.000000000000001", "123456789012345.123456789"])
def test_a_quantity_is_signed_and_on_no_grid(quantity: Any) -> None:
    assert Known(quantity).quantity == Decimal(str(quantity))


def test_a_zero_is_a_known_zero_without_a_sign() -> None:
    assert str(Known("-0.00").quantity) == "0"
    assert Known(0) == Known("-0")


@pytest.mark.parametrize("name", PRICES)
@pytest.mark.parametrize("price", [0, "-1"])
def test_a_price_is_above_zero(name: str, price: Any) -> None:
    with pytest.raises(InputError, match=rf"^Known: {name}: must be above 0$"):
        Known(1, **{name: price})


@pytest.mark.parametrize("quantity", ["NaN", "Infinity", None, True])
def test_what_is_no_number_is_no_quantity(quantity: Any) -> None:
    with pytest.raises(InputError, match=r"^Known: quantity: "):
        Known(quantity)


def test_a_naive_time_is_refused() -> None:
    with pytest.raises(InputError, match=r"^Known: as_of: a naive time: add its zone"):
        Known(1, as_of=AS_OF.replace(tzinfo=None))


def test_accrued_funding_may_be_paid_or_received() -> None:
    assert [Known(1, funding_accrued=usd).funding_accrued for usd in ("-2.5", 0, "1e-9")] == [
        Decimal("-2.5"),
        0,
        Decimal("1e-9"),
    ]


def test_an_unknown_leg_says_why() -> None:
    assert Unknown("the venue did not answer").reason == "the venue did not answer"
    for reason in ("", "two\nlines"):
        with pytest.raises(InputError, match=r"^Unknown: reason: "):
            Unknown(reason)


def test_a_state_is_known_or_unknown() -> None:
    assert isinstance(FULL, LegState)
    assert isinstance(Unknown("no answer"), LegState)
    assert not isinstance(0, LegState)


def test_a_reading_is_of_one_market() -> None:
    reading = LegReading(venue="Grvt", symbol="btc", state=FULL)
    assert reading.market == Market("grvt", "BTC")
    assert reading == a_leg("grvt", FULL)
    assert hash(reading) == hash(a_leg("grvt", FULL))


@pytest.mark.parametrize("state", [FULL, Known(0), Unknown("no answer")], ids=repr)
def test_a_reading_makes_the_way_to_json_and_back_byte_for_byte(state: LegState) -> None:
    reading = a_leg("grvt", state)
    written = reading.model_dump_json()
    read = LegReading.model_validate_json(written)
    assert read == reading
    assert read.model_dump_json() == written
    assert pickle.loads(pickle.dumps(reading)) == reading
    assert LegReading(**reading.model_dump()) == reading


def test_a_reading_is_written_as_canonical_json() -> None:
    assert a_leg("grvt", FULL).model_dump_json() == (
        '{"venue":"grvt","symbol":"BTC","state":{"quantity":"-0.5","as_of":"2026-01-05T12:00:00Z",'
        '"entry_price":"90000.5","mark_price":"91000","liquidation_price":"120000","funding_accrued":"-1.25"}}'
    )
    assert a_leg("grvt", Unknown("no answer")).model_dump_json() == (
        '{"venue":"grvt","symbol":"BTC","state":{"reason":"no answer"}}'
    )


@pytest.mark.parametrize(
    ("state", "refused"),
    [
        ("{}", "state.known.quantity: Field required"),
        ('{"quantity":"x"}', "state.known.quantity: not a number: write plain ASCII digits, such as 0.0001"),
        ('{"quantity":"1","side":"long"}', "state.known.side: is not known here"),
        ('{"reason":""}', "state.unknown.reason: String should have at least 1 character"),
        ('{"reason":"no answer","quantity":"0"}', "state.unknown.quantity: is not known here"),
        ("null", "state.known: Input should be an object"),
    ],
)
def test_a_state_that_is_neither_is_refused_with_one_reason(state: str, refused: str) -> None:
    with pytest.raises(InputError) as error:
        LegReading.model_validate_json(f'{{"venue":"grvt","symbol":"BTC","state":{state}}}')
    assert str(error.value) == f"LegReading: {refused}"


def test_a_copy_is_validated() -> None:
    later = FULL.model_copy(update={"as_of": AS_OF + timedelta(seconds=1)})
    assert (later.as_of, later.quantity) == (AS_OF + timedelta(seconds=1), FULL.quantity)
    with pytest.raises(InputError, match=r"^Known: mark_price: "):
        FULL.model_copy(update={"mark_price": 0})
