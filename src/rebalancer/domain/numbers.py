"""The grid: how numbers from outside become exact integers, and how they are written.

Fractions of notional (rates, costs, improvements) live on 1e-12, pure ratios on 1e-6, money on cents, open interest
and volume on whole dollars, time on whole seconds. Nothing here reads the ambient decimal context.
"""

from __future__ import annotations

import re
from decimal import Context, Decimal, Inexact
from functools import reduce
from numbers import Integral
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self, overload

from pydantic import BeforeValidator, PlainSerializer, StrictBool, WithJsonSchema

from ..errors import InputError

Number = Decimal | int | float | str
"""What a user may write for a number; a float is read by its shortest decimal form, so 0.1 is exactly 0.1."""

FRACTION_PLACES = 12
RATIO_PLACES = 6
ONE: int = 10**FRACTION_PLACES
"""The fraction 1 in grid steps."""
RATIO_ONE: int = 10**RATIO_PLACES
"""The ratio 1 in grid steps."""
BPS = ONE // 10_000
"""One basis point (1e-4) in grid steps."""
EIGHT_HOURS = 28_800
"""Seconds of the interval over which every rate is compared."""

MAX_DIGITS = 30
_MAX_EXPONENT = 40
_NUMERAL = re.compile(r"[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?")


def read_number(value: object) -> Decimal:
    """`value` as an exact finite Decimal; InputError for anything that is not plainly a number."""
    if isinstance(value, Decimal):
        number = value if type(value) is Decimal else Decimal(value)
    elif isinstance(value, bool):
        raise InputError("true and false are not numbers")
    elif isinstance(value, Integral):
        value = int(value)
        if value.bit_length() > 200:  # before turning it into text, which costs quadratic time
            raise InputError(f"more than {MAX_DIGITS} digits")
        number = Decimal(value)
    elif isinstance(value, float):
        number = Decimal(float.__repr__(value))
    elif isinstance(value, str):
        if len(value) > 100 or not _NUMERAL.fullmatch(value):
            raise InputError("not a number: write plain ASCII digits, such as 0.0001")
        number = Decimal(value)
    else:
        raise InputError(f"a {type(value).__name__} is not a number: give a Decimal, int, float or str")
    return _sane(number)


def _sane(number: Decimal) -> Decimal:
    if not number.is_finite():
        raise InputError("NaN and infinity are not numbers to act on")
    _, digits, exponent = number.as_tuple()
    if not -_MAX_EXPONENT <= int(exponent) <= _MAX_EXPONENT:
        raise InputError(f"the exponent is absurd: keep it within {_MAX_EXPONENT}")
    if len(digits) > MAX_DIGITS:
        raise InputError(f"more than {MAX_DIGITS} digits")
    return number


def to_grid(number: Decimal, places: int) -> int:
    """`number` in steps of 10**-places, rounded half to even. Exact, whatever the ambient decimal context."""
    numerator, denominator = number.as_integer_ratio()
    return divide_half_even(numerator * 10**places, denominator)


def divide_half_even(numerator: int, denominator: int) -> int:
    """The quotient rounded to the nearest integer, ties to even; `denominator` is above 0."""
    quotient, remainder = divmod(numerator, denominator)
    twice = 2 * remainder
    if twice > denominator or (twice == denominator and quotient % 2):
        return quotient + 1
    return quotient


def from_grid(steps: int, places: int) -> Decimal:
    """The Decimal that `steps` of 10**-places stand for, without trailing zeros."""
    return Decimal(plain(Decimal(f"{steps}E-{places}")))


def fraction(steps: int) -> Decimal:
    """A fraction of notional from grid steps."""
    return from_grid(steps, FRACTION_PLACES)


def ratio(steps: int) -> Decimal:
    """A pure ratio from grid steps."""
    return from_grid(steps, RATIO_PLACES)


def plain(number: Decimal) -> str:
    """Plain digits, never an exponent, no trailing zeros and no negative zero: `-0.0002`."""
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def total(*numbers: Decimal) -> Decimal:
    """The sum, exactly, whatever the ambient decimal context."""
    exact = Context(prec=200, traps=[Inexact])
    return reduce(exact.add, numbers, Decimal(0))


def _written(number: Decimal) -> Decimal:
    """`number` as it reads back from its plain digits; InputError if it would not."""
    text = plain(number)
    if sum(character.isdigit() for character in text.lstrip("-0.")) > MAX_DIGITS:
        raise InputError(f"more than {MAX_DIGITS} digits")
    return Decimal(text)


def _placed(number: Decimal, places: int | None) -> Decimal:
    """`number` on the grid of 10**-places (None: on no grid), as it reads back from its plain digits: most are so."""
    sign, digits, exponent = number.as_tuple()
    finest = _MAX_EXPONENT if places is None else places
    if 0 <= -int(exponent) <= finest and (exponent == 0 or digits[-1]) and (number or not sign):
        return number
    return _written(number) if places is None else from_grid(to_grid(number, places), places)


def _no_flag(value: object) -> object:
    """A whole number's input, unless it is true or false."""
    if isinstance(value, bool):
        raise InputError("true and false are not numbers")
    return value


UNKNOWN: Any = None
"""The default of a number that may be unknown."""


class Grid(NamedTuple):
    """Says in a number type's metadata that it lives on the grid of 10**-places (None: on no grid)."""

    places: int | None


def _number_type(
    places: int | None, low: str | None = None, high: str | None = None, *, above: bool = False, rounds: bool = True
) -> Any:
    """A pydantic type for numbers on the grid of 10**-places (None: on no grid) from `low` to `high`.

    `above`: `low` itself is refused. `rounds`: an outside value is put on the grid half-even, while a parameter
    (`rounds=False`) off the grid is refused.
    """
    lowest = None if low is None else Decimal(low)
    highest = None if high is None else Decimal(high)

    def validate(value: object) -> Decimal:
        number = read_number(value)
        placed = _placed(number, places)
        if not rounds and placed != number:
            raise InputError(f"finer than its grid of 1e-{places}: round it")
        if lowest is not None and (placed < lowest or (above and placed == lowest)):
            raise InputError(f"must be {'above' if above else 'at least'} {plain(lowest)}")
        if highest is not None and placed > highest:
            raise InputError(f"must be at most {plain(highest)}")
        return placed

    return Annotated[
        Decimal,
        Grid(places),
        BeforeValidator(validate),  # a plain one would drop the bounds of `param`, which pydantic puts before it
        PlainSerializer(plain, when_used="json"),
        WithJsonSchema({"type": "string"}),
    ]


if TYPE_CHECKING:

    class _Number:
        """To a type checker, a field of this type takes any number and reads as a Decimal."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Decimal: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Number) -> None: ...

    class _OptionalNumber:
        """The same for a number that may be None: unknown."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> Decimal | None: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Number | None) -> None: ...

    class Fraction(_Number):
        """A parameter as a fraction of notional, -1 to 1, on the grid of 1e-12; off the grid is refused."""

    class Ratio(_Number):
        """A parameter as a pure ratio, 0 to 90, on the grid of 1e-6; off the grid is refused."""

    class Bps(_Number):
        """A parameter in basis points of notional, -10,000 to 10,000, on the grid of 1e-8 bp."""

    class OptionalBps(_OptionalNumber):
        """A parameter in basis points as `Bps`, or None where another parameter takes its place."""

    class RawRate(_Number):
        """A funding rate over an interval of its own, -100 to 100, rounded half-even onto the grid of 1e-12."""

    class Rate(_Number):
        """A rate per 8 h from outside, -1 to 1, rounded half-even onto the grid of 1e-12."""

    class Divergence(_Number):
        """A difference of two rates per 8 h, -2 to 2, rounded half-even onto the grid of 1e-12."""

    class Notional(_Number):
        """Money above 0 in dollars, rounded half-even to cents."""

    class Usd(_Number):
        """Money in dollars, rounded half-even to cents."""

    class Hours(_Number):
        """A time span above 0 in hours, to the second where it is used."""

    class Count:
        """A whole number; to a type checker it takes any number, so that a plain dict of numbers fits."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> int: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: Number) -> None: ...

    class Flag:
        """True or false; to a type checker it takes any number too, so that a plain dict of numbers fits."""

        @overload
        def __get__(self, instance: None, owner: Any) -> Self: ...
        @overload
        def __get__(self, instance: object, owner: Any) -> bool: ...
        def __get__(self, instance: Any, owner: Any) -> Any: ...
        def __set__(self, instance: Any, value: bool | Number) -> None: ...  # noqa: FBT001

    class Exact(_Number):
        """Any finite number, on no grid."""

    class OptionalRate(_OptionalNumber):
        """A rate per 8 h from outside, or None where unknown."""

    class OptionalWholeUsd(_OptionalNumber):
        """Open interest or volume, 0 to 1e11, in whole dollars; None is unknown, zero is a known zero."""

    class OptionalPositive(_OptionalNumber):
        """A price or quantity above 0, on no grid; None is unknown."""

    class OptionalExact(_OptionalNumber):
        """Any finite number, on no grid, or None."""

else:
    Fraction = _number_type(FRACTION_PLACES, "-1", "1", rounds=False)
    Ratio = _number_type(RATIO_PLACES, "0", "90", rounds=False)
    Bps = _number_type(FRACTION_PLACES - 4, "-10000", "10000", rounds=False)
    OptionalBps = Bps | None
    RawRate = _number_type(FRACTION_PLACES, "-100", "100")
    Rate = _number_type(FRACTION_PLACES, "-1", "1")
    Divergence = _number_type(FRACTION_PLACES, "-2", "2")
    Notional = _number_type(2, "0", "1e12", above=True)
    Usd = _number_type(2, "-1e12", "1e12")
    Count = Annotated[int, BeforeValidator(_no_flag)]
    Flag = StrictBool
    Hours = _number_type(RATIO_PLACES, "0", "876000", above=True, rounds=False)
    Exact = _number_type(None)
    OptionalRate = Rate | None
    OptionalWholeUsd = _number_type(0, "0", "1e11") | None
    OptionalPositive = _number_type(None, "0", above=True) | None
    OptionalExact = Exact | None
