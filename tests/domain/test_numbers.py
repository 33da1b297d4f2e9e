"""How numbers from outside become exact integers on the grid, and how they are written."""

from __future__ import annotations

from decimal import Decimal
from enum import IntEnum
from fractions import Fraction as Exactly
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rebalancer import InputError
from rebalancer.domain import numbers
from rebalancer.domain.numbers import (
    divide_half_even,
    fraction,
    from_grid,
    plain,
    ratio,
    read_number,
    to_grid,
)

NOT_A_NUMERAL = "not a number: write plain ASCII digits, such as 0.0001"
NOT_FINITE = "NaN and infinity are not numbers to act on"
NOT_TRUTH = "true and false are not numbers"
ABSURD = "the exponent is absurd: keep it within 40"
TOO_LONG = "more than 30 digits"


class Lot(IntEnum):
    SMALL = 3


class ShoutingFloat(float):
    def __repr__(self) -> str:
        return "A LOT"


class ShoutingText(str):
    __slots__ = ()


def test_the_grid_is_that_of_the_design() -> None:
    assert numbers.FRACTION_PLACES == 12
    assert numbers.RATIO_PLACES == 6
    assert numbers.ONE == 1_000_000_000_000
    assert numbers.RATIO_ONE == 1_000_000
    assert numbers.BPS == 100_000_000
    assert numbers.EIGHT_HOURS == 8 * 3600
    assert numbers.MAX_DIGITS == 30
    assert numbers.UNKNOWN is None


@pytest.mark.parametrize(
    ("given_value", "number"),
    [
        (Decimal("0.10"), "0.10"),
        (0, "0"),
        (-3, "-3"),
        (Lot.SMALL, "3"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (1e-7, "1E-7"),
        (0.1 + 0.2, "0.30000000000000004"),
        (np.float64(0.1), "0.1"),
        (ShoutingFloat(0.1), "0.1"),
        ("0.0001", "0.0001"),
        (ShoutingText("0.5"), "0.5"),
        ("+5", "5"),
        (".5", "0.5"),
        ("5.", "5"),
        ("007", "7"),
        ("-.5e-3", "-0.0005"),
        ("1E+2", "1E+2"),
        ("1e2", "1E+2"),
        ("0.00009599999999999999", "0.00009599999999999999"),
    ],
)
def test_a_number_is_read_exactly_and_a_float_by_its_shortest_decimal_form(given_value: object, number: str) -> None:
    assert read_number(given_value).as_tuple() == Decimal(number).as_tuple()


@pytest.mark.parametrize("flag", [True, False])
def test_a_bool_is_no_number(flag: object) -> None:
    with pytest.raises(InputError) as refused:
        read_number(flag)
    assert str(refused.value) == NOT_TRUTH


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        float("inf"),
        float("-inf"),
        np.float64("nan"),
        Decimal("NaN"),
        Decimal("-NaN"),
        Decimal("sNaN"),
        Decimal("Infinity"),
        Decimal("-Infinity"),
    ],
)
def test_nan_and_infinity_are_refused(value: object) -> None:
    with pytest.raises(InputError) as refused:
        read_number(value)
    assert str(refused.value) == NOT_FINITE


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        " 1",
        "1 ",
        "1\n",
        "\n1",
        "nan",
        "NaN123",
        "inf",
        "Infinity",
        "1_000",
        "1,5",
        "1,000.5",
        "1 000",
        "0x10",
        ".",
        "+",
        "-",
        "--1",
        "+-1",
        "1.2.3",
        "e5",
        "1e",
        "1e+",
        "1e5.0",
        "1/3",
        "5%",
        "\uff11\uff12",  # fullwidth 12
        "\u0663",  # Arabic-Indic 3
        "1\u0663",
        "1e\u0663",
        "\u22121",  # a minus sign that is not the ASCII one
        "\u00b2",
    ],
)
def test_text_that_is_not_a_plain_ascii_numeral_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        read_number(text)
    assert str(refused.value) == NOT_A_NUMERAL


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "NoneType"),
        (b"1", "bytes"),
        ([1], "list"),
        (1j, "complex"),
        (np.float32(0.5), "float32"),
        (Exactly(1, 3), "Fraction"),
    ],
)
def test_another_type_is_refused_by_its_name(value: object, kind: str) -> None:
    with pytest.raises(InputError) as refused:
        read_number(value)
    assert str(refused.value) == f"a {kind} is not a number: give a Decimal, int, float or str"


@pytest.mark.parametrize(
    "value",
    [
        "1" * 30,
        "-" + "1" * 30,
        "0." + "1" * 30,
        "0" * 20 + "1" * 30,
        Decimal("1" * 30),
        int("9" * 30),
        -int("9" * 30),
    ],
)
def test_thirty_digits_are_read(value: Any) -> None:
    assert read_number(value) == Decimal(value)


@pytest.mark.parametrize(
    "value",
    [
        "1" * 31,
        "-" + "1" * 31,
        "0." + "1" * 31,
        "1." + "0" * 30,
        Decimal("1" * 31),
        10**30,
        -(10**30),
        2**200 - 1,
        2**200,
        2**201,
        -(10**100),
        pytest.param(10**5000, id="so large that turning it into text would raise an error of its own"),
    ],
)
def test_more_than_thirty_digits_are_refused(value: object) -> None:
    with pytest.raises(InputError) as refused:
        read_number(value)
    assert str(refused.value) == TOO_LONG


def test_a_numeral_of_100_characters_is_read() -> None:
    assert read_number("0" * 99 + "7") == 7


def test_a_numeral_of_101_characters_is_refused() -> None:
    with pytest.raises(InputError) as refused:
        read_number("0" * 100 + "7")
    assert str(refused.value) == NOT_A_NUMERAL


@pytest.mark.parametrize("value", ["1E+40", "1E-40", "0E+40", Decimal("7E-40"), "0." + "0" * 39 + "1"])
def test_an_exponent_of_40_is_read(value: Any) -> None:
    assert read_number(value) == Decimal(value)


@pytest.mark.parametrize(
    "value",
    [
        "1E+41",
        "1E-41",
        "0E-41",
        "1E+999999",
        "1E-999999",
        "-1e+999999",
        Decimal("1E+41"),
        Decimal("1E+999999"),
        1e41,
        1e308,
        5e-324,
    ],
)
def test_an_exponent_beyond_40_is_refused(value: object) -> None:
    with pytest.raises(InputError) as refused:
        read_number(value)
    assert str(refused.value) == ABSURD


@pytest.mark.parametrize(
    ("numerator", "denominator", "quotient"),
    [
        (6, 3, 2),
        (-6, 3, -2),
        (0, 3, 0),
        (1, 3, 0),
        (2, 3, 1),
        (-1, 3, 0),
        (-2, 3, -1),
        (1, 2, 0),
        (3, 2, 2),
        (5, 2, 2),
        (7, 2, 4),
        (-1, 2, 0),
        (-3, 2, -2),
        (-5, 2, -2),
        (-7, 2, -4),
        (7, 1, 7),
        (49, 100, 0),
        (51, 100, 1),
        (149, 100, 1),
        (151, 100, 2),
    ],
)
def test_division_rounds_to_the_nearest_and_ties_to_even(numerator: int, denominator: int, quotient: int) -> None:
    assert divide_half_even(numerator, denominator) == quotient


@given(st.integers(), st.integers(min_value=1))
def test_division_rounds_as_exact_fractions_do(numerator: int, denominator: int) -> None:
    assert divide_half_even(numerator, denominator) == round(Exactly(numerator, denominator))


@pytest.mark.parametrize(
    ("number", "places", "steps"),
    [
        ("1", 12, 10**12),
        ("-1", 12, -(10**12)),
        ("0.0001", 12, 10**8),
        ("1e-12", 12, 1),
        ("5e-13", 12, 0),
        ("5.000000001e-13", 12, 1),
        ("1.5e-12", 12, 2),
        ("2.5e-12", 12, 2),
        ("-5e-13", 12, 0),
        ("-1.5e-12", 12, -2),
        ("-2.5e-12", 12, -2),
        ("0.00009599999999999999", 12, 96_000_000),
        ("0.005", 2, 0),
        ("0.015", 2, 2),
        ("1E+5", 0, 100_000),
        ("-0", 12, 0),
    ],
)
def test_a_number_is_rounded_half_even_onto_its_grid(number: str, places: int, steps: int) -> None:
    assert to_grid(Decimal(number), places) == steps


@pytest.mark.parametrize(
    ("steps", "places", "text"),
    [
        (0, 12, "0"),
        (1, 12, "0.000000000001"),
        (-1, 12, "-0.000000000001"),
        (200_000_000, 12, "0.0002"),
        (10**13, 12, "10"),
        (150, 2, "1.5"),
        (100, 0, "100"),
    ],
)
def test_steps_of_the_grid_are_written_without_trailing_zeros_and_exponents(steps: int, places: int, text: str) -> None:
    assert from_grid(steps, places).as_tuple() == Decimal(text).as_tuple()


def test_a_fraction_is_in_steps_of_1e_12_and_a_ratio_in_steps_of_1e_6() -> None:
    assert fraction(-123) == Decimal("-0.000000000123")
    assert ratio(-123) == Decimal("-0.000123")


@given(st.integers(), st.integers(min_value=0, max_value=18))
def test_steps_survive_the_way_to_a_decimal_and_back(steps: int, places: int) -> None:
    assert to_grid(from_grid(steps, places), places) == steps


@pytest.mark.parametrize(
    ("number", "text"),
    [
        ("-0.0002000", "-0.0002"),
        ("1E+3", "1000"),
        ("100", "100"),
        ("100.00", "100"),
        ("10.50", "10.5"),
        ("1E-7", "0.0000001"),
        ("-1E-12", "-0.000000000001"),
        ("0", "0"),
        ("0.00", "0"),
        ("-0", "0"),
        ("-0.00", "0"),
        ("-10", "-10"),
    ],
)
def test_plain_text_has_no_exponent_no_trailing_zeros_and_no_negative_zero(number: str, text: str) -> None:
    assert plain(Decimal(number)) == text


def read(kind: Any, value: object) -> Any:
    """What a field of the number type `kind` holds when it is given `value`."""
    return TypeAdapter(kind).validate_python(value)


def refusal(kind: Any, value: object) -> str:
    """Why a field of the number type `kind` refuses `value`."""
    with pytest.raises(ValidationError) as refused:
        read(kind, value)
    (error,) = refused.value.errors()
    return error["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Fraction", "1"),
        ("Fraction", "-1"),
        ("Fraction", "0.999999999999"),
        ("Fraction", "0.000000000001"),
        ("Ratio", "0"),
        ("Ratio", "90"),
        ("Ratio", "0.000001"),
        ("Ratio", "89.999999"),
        ("Bps", "10000"),
        ("Bps", "-10000"),
        ("Bps", "0.00000001"),
        ("OptionalBps", "10000"),
        ("OptionalBps", "-10000"),
        ("OptionalBps", None),
        ("RawRate", "100"),
        ("RawRate", "-100"),
        ("Rate", "1"),
        ("Rate", "-1"),
        ("OptionalRate", "1"),
        ("OptionalRate", "-1"),
        ("OptionalRate", None),
        ("Divergence", "2"),
        ("Divergence", "-2"),
        ("Notional", "0.01"),
        ("Notional", "1000000000000"),
        ("Usd", "1000000000000"),
        ("Usd", "-1000000000000"),
        ("Usd", "0"),
        ("Hours", "0.000001"),
        ("Hours", "876000"),
        ("OptionalWholeUsd", "0"),
        ("OptionalWholeUsd", "100000000000"),
        ("OptionalWholeUsd", None),
        ("OptionalPositive", "1E-40"),
        ("OptionalPositive", "1E+29"),
        ("OptionalPositive", None),
        ("Exact", "-1E-40"),
        ("OptionalExact", "123456789.123456789123456789"),
        ("OptionalExact", None),
    ],
)
def test_a_value_on_its_bounds_and_on_its_grid_is_kept_exactly(name: str, value: str | None) -> None:
    assert read(getattr(numbers, name), value) == (None if value is None else Decimal(value))


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("Fraction", "1.000000000001", "must be at most 1"),
        ("Fraction", "-1.000000000001", "must be at least -1"),
        ("Fraction", "0.0000000000001", "finer than its grid of 1e-12: round it"),
        ("Fraction", "1.0000000000001", "finer than its grid of 1e-12: round it"),
        ("Ratio", "90.000001", "must be at most 90"),
        ("Ratio", "-0.000001", "must be at least 0"),
        ("Ratio", "0.0000001", "finer than its grid of 1e-6: round it"),
        ("Bps", "10000.00000001", "must be at most 10000"),
        ("Bps", "-10000.00000001", "must be at least -10000"),
        ("Bps", "0.000000001", "finer than its grid of 1e-8: round it"),
        ("OptionalBps", "10000.00000001", "must be at most 10000"),
        ("RawRate", "100.000000000001", "must be at most 100"),
        ("RawRate", "-100.000000000001", "must be at least -100"),
        ("Rate", "1.000000000001", "must be at most 1"),
        ("Rate", "-1.000000000001", "must be at least -1"),
        ("OptionalRate", "1.000000000001", "must be at most 1"),
        ("Divergence", "2.000000000001", "must be at most 2"),
        ("Divergence", "-2.000000000001", "must be at least -2"),
        ("Notional", "0", "must be above 0"),
        ("Notional", "0.005", "must be above 0"),
        ("Notional", "-0.01", "must be above 0"),
        ("Notional", "1000000000000.01", "must be at most 1000000000000"),
        ("Usd", "1000000000000.01", "must be at most 1000000000000"),
        ("Usd", "-1000000000000.01", "must be at least -1000000000000"),
        ("Hours", "0", "must be above 0"),
        ("Hours", "-0.000001", "must be above 0"),
        ("Hours", "876000.000001", "must be at most 876000"),
        ("Hours", "0.0000001", "finer than its grid of 1e-6: round it"),
        ("OptionalWholeUsd", "-1", "must be at least 0"),
        ("OptionalWholeUsd", "100000000001", "must be at most 100000000000"),
        ("OptionalPositive", "0", "must be above 0"),
        ("OptionalPositive", "-1E-40", "must be above 0"),
        ("Exact", "1E+41", ABSURD),
        ("Exact", None, "a NoneType is not a number: give a Decimal, int, float or str"),
        ("Rate", "1_0", NOT_A_NUMERAL),
    ],
)
def test_a_value_one_step_beyond_its_bounds_or_off_its_grid_is_refused(name: str, value: object, why: str) -> None:
    assert refusal(getattr(numbers, name), value) == why


@pytest.mark.parametrize(
    ("name", "value", "placed"),
    [
        ("RawRate", "0.0000000000005", "0"),
        ("RawRate", "0.0000000000015", "0.000000000002"),
        ("RawRate", "100.0000000000005", "100"),
        ("Rate", "0.00009599999999999999", "0.000096"),
        ("Rate", "1.0000000000005", "1"),
        ("Rate", "-1.0000000000005", "-1"),
        ("Divergence", "-0.0000000000025", "-0.000000000002"),
        ("Notional", "0.006", "0.01"),
        ("Notional", "10000.125", "10000.12"),
        ("Usd", "-0.005", "0"),
        ("Usd", "-0.015", "-0.02"),
        ("OptionalWholeUsd", "0.5", "0"),
        ("OptionalWholeUsd", "1.5", "2"),
        ("OptionalWholeUsd", "2.5", "2"),
        ("OptionalWholeUsd", "-0.5", "0"),
        ("Exact", "1E+3", "1000"),
        ("Exact", "1.50", "1.5"),
    ],
)
def test_an_outside_value_is_rounded_half_even_onto_its_grid(name: str, value: str, placed: str) -> None:
    assert read(getattr(numbers, name), value).as_tuple() == Decimal(placed).as_tuple()


@pytest.mark.parametrize("name", ["Fraction", "Ratio", "Bps", "RawRate", "Rate", "Divergence", "Usd", "Exact"])
@pytest.mark.parametrize("zero", [Decimal("-0"), "-0", "-0.000", -0.0])
def test_negative_zero_reads_as_zero(name: str, zero: object) -> None:
    assert read(getattr(numbers, name), zero).as_tuple() == Decimal(0).as_tuple()


@pytest.mark.parametrize("name", ["RawRate", "Rate", "Divergence", "Usd", "Exact"])
@given(number=st.decimals(min_value=-1, max_value=1, places=17))
def test_a_value_that_was_placed_stays_where_it_is(name: str, number: Decimal) -> None:
    kind = getattr(numbers, name)
    placed = read(kind, number)
    assert read(kind, placed).as_tuple() == placed.as_tuple()


@given(number=st.decimals(min_value=-1, max_value=1, places=17))
def test_placing_moves_a_rate_by_half_a_step_at_most(number: Decimal) -> None:
    assert abs(read(numbers.Rate, number) - number) <= Decimal("5e-13")


@pytest.mark.parametrize("name", ["Fraction", "Ratio", "Bps", "RawRate", "Rate", "Usd", "Exact", "OptionalExact"])
def test_a_number_is_a_decimal_in_python_and_a_plain_string_in_json(name: str) -> None:
    adapter = TypeAdapter(getattr(numbers, name))
    value = adapter.validate_python("0.10")
    assert adapter.dump_python(value) == Decimal("0.1")
    assert adapter.dump_json(value) == b'"0.1"'
    assert adapter.validate_json(b'"0.10"') == Decimal("0.1")


def test_json_schema_describes_a_number_as_a_string() -> None:
    assert TypeAdapter(numbers.Rate).json_schema() == {"type": "string"}


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("Fraction", 12),
        ("Ratio", 6),
        ("Bps", 8),
        ("Rate", 12),
        ("Notional", 2),
        ("Usd", 2),
        ("Hours", 6),
        ("Exact", None),
    ],
)
def test_a_number_type_says_its_grid_in_its_metadata(name: str, places: int | None) -> None:
    assert numbers.Grid(places) in get_args(getattr(numbers, name))


@pytest.mark.parametrize("value", ["1E+30", "-1E+40", "123E+28"])
def test_a_number_that_would_not_read_back_from_its_digits_is_refused(value: str) -> None:
    with pytest.raises(ValueError, match="more than 30 digits"):
        read(numbers._number_type(None), value)


def test_a_number_type_without_bounds_has_none() -> None:
    anything = numbers._number_type(None)
    assert read(anything, "1E+29") == Decimal("1E+29")
    assert read(anything, "-1E+29") == Decimal("-1E+29")
    assert numbers.Grid(None) in get_args(anything)


def test_a_number_type_includes_its_low_bound_and_rounds_unless_told_otherwise() -> None:
    usual = numbers._number_type(2, "0", "10")
    assert read(usual, "0.004") == 0
    assert read(usual, "10.005") == 10
    assert refusal(usual, "-0.01") == "must be at least 0"
    assert refusal(usual, "10.01") == "must be at most 10"
    assert numbers.Grid(2) in get_args(usual)


def test_a_number_type_may_exclude_its_low_bound() -> None:
    above = numbers._number_type(2, "1", above=True)
    assert read(above, "1.01") == Decimal("1.01")
    assert refusal(above, "1") == "must be above 1"
    assert refusal(above, "0.99") == "must be above 1"


def test_a_number_type_may_refuse_what_is_off_its_grid() -> None:
    parameter = numbers._number_type(2, "0", "10", rounds=False)
    assert read(parameter, "0.010") == Decimal("0.01")
    assert refusal(parameter, "0.011") == "finer than its grid of 1e-2: round it"


def test_a_number_type_is_a_decimal_in_python_and_a_plain_string_in_json() -> None:
    adapter = TypeAdapter(numbers._number_type(2))
    assert adapter.dump_python(Decimal("1.50")) == Decimal("1.5")
    assert adapter.dump_json(Decimal("1.50")) == b'"1.5"'
    assert adapter.json_schema() == {"type": "string"}


@pytest.mark.usefixtures("hostile_context")
@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("Fraction", "0.123456789012", "0.123456789012"),
        ("Ratio", 89.999999, "89.999999"),
        ("Bps", "-9999.99999999", "-9999.99999999"),
        ("Rate", "-0.99999999999949999", "-0.999999999999"),
        ("Divergence", "1.9999999999995", "2"),
        ("Notional", "123456789.125", "123456789.12"),
        ("Usd", "-999999999999.995", "-1000000000000"),
        ("OptionalWholeUsd", "99999999999.5", "100000000000"),
        ("OptionalPositive", "123456789.12345678901234567890", "123456789.1234567890123456789"),
        ("Exact", Decimal("1E+29"), "1" + "0" * 29),
        ("Exact", 0.1, "0.1"),
        ("Exact", 10**29, "1" + "0" * 29),
    ],
)
def test_reading_placing_and_writing_ignore_the_ambient_decimal_context(name: str, value: object, text: str) -> None:
    adapter = TypeAdapter(getattr(numbers, name))
    assert adapter.dump_json(adapter.validate_python(value)) == f'"{text}"'.encode()


@pytest.mark.usefixtures("hostile_context")
def test_the_grid_ignores_the_ambient_decimal_context() -> None:
    assert to_grid(read_number("0.1234567890125"), 12) == 123_456_789_012
    assert str(from_grid(-123_456_789_012_345, 12)) == "-123.456789012345"
    assert str(fraction(999_999_999_999)) == "0.999999999999"
    assert str(ratio(89_999_999)) == "89.999999"
    assert plain(read_number("-123456789.123456789000")) == "-123456789.123456789"


def test_a_count_is_a_whole_number_and_not_true_or_false() -> None:
    counts: TypeAdapter[Any] = TypeAdapter(numbers.Count)
    assert [counts.validate_python(number) for number in (60, 60.0, "60")] == [60, 60, 60]
    with pytest.raises(ValidationError) as refused:
        counts.validate_python(True)  # noqa: FBT003  # as a user might
    assert refused.value.errors()[0]["msg"] == "Value error, true and false are not numbers"


@pytest.mark.parametrize("name", ["Exact", "Rate", "Usd"])
@given(number=st.decimals(-1, 1, places=14) | st.decimals(-1, 1, places=2) | st.integers(-1, 1).map(Decimal))
def test_a_number_that_is_on_its_grid_already_is_as_one_that_had_to_be_placed(name: str, number: Decimal) -> None:
    places = {"Exact": None, "Rate": 12, "Usd": 2}[name]
    slowly = numbers._written(number) if places is None else from_grid(to_grid(number, places), places)
    placed = TypeAdapter(getattr(numbers, name)).validate_python(number)
    assert placed.as_tuple() == slowly.as_tuple()


def test_a_number_of_a_class_derived_from_decimal_is_a_plain_one() -> None:
    class Lying(Decimal):
        def __gt__(self, other: object) -> bool:
            return False

    assert type(read_number(Lying("1.5"))) is Decimal


def test_integers_of_numpy_are_integers() -> None:
    assert numbers.read_number(np.int64(12)) == 12
