"""Statistics in whole grid steps: each is the exact figure rounded once, half-even; nothing here is a float."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import repeat
from math import isqrt
from operator import mul

from ..domain.numbers import RATIO_ONE, divide_half_even

FEWEST = 48
"""Pairs of hours that follow one another, below which no half-life is estimated."""


def mean(values: Sequence[int]) -> int:
    """The mean of at least one value."""
    return divide_half_even(sum(values), len(values))


def deviation(values: Sequence[int]) -> int:
    """The standard deviation of at least one value, around their own mean and over their number."""
    number = len(values)
    return _root_over(number * sum(map(mul, values, values)) - sum(values) ** 2, number)


def middle(values: Sequence[int]) -> int:
    """The median of at least one value; of an even number the mean of the two in the middle."""
    ordered = sorted(values)
    number = len(ordered)
    return divide_half_even(ordered[(number - 1) // 2] + ordered[number // 2], 2)


def share(part: int, whole: int) -> int:
    """A part of a whole above 0, in steps of a ratio."""
    return divide_half_even(part * RATIO_ONE, whole)


def most_common(values: Sequence[int]) -> tuple[int, int]:
    """The value that is there most often, the smallest of several, and how often."""
    counts = Counter(values)
    often = max(counts.values())
    return min(value for value, times in counts.items() if times == often), often


def half_life(before: Sequence[int], after: Sequence[int]) -> int | None:
    """After how many steps of time half of a deviation from the mean is left, in steps of a ratio (1e-6).

    The series is taken for an AR(1) process, d(t) - m = phi (d(t-1) - m) + noise, whose deviations shrink by phi at
    each step, so that half is left after -ln 2 / ln phi. phi is the least-squares slope of `after` on `before`, the
    values one step apart (E. P. Chan, Algorithmic Trading, 2013, chapter 2, in its discrete form): with n of them,
    phi = (n Σxy - Σx Σy) / (n Σx² - (Σx)²). None if it can not be estimated: below 48 of them, where `before` never
    changes, or where phi is not above 0 and below 1: then nothing reverts.
    """
    number = len(before)
    if number < FEWEST:
        return None
    total = sum(before)
    variation = number * sum(map(mul, before, before)) - total * total
    common = number * sum(map(mul, before, after)) - total * sum(after)
    if not 0 < common < variation:
        return None
    own = Context(
        prec=60, rounding=ROUND_HALF_EVEN, Emin=-999_999, Emax=999_999, capitals=1, clamp=0, flags=[], traps=[]
    )
    decay = own.ln(own.divide(Decimal(common), Decimal(variation)))
    steps = own.divide(own.multiply(own.ln(Decimal(2)), Decimal(-RATIO_ONE)), decay)
    return int(own.to_integral_value(steps))


def _root_over(square: int, number: int) -> int:
    """The root of `square`, over `number`, half-even."""
    root = isqrt(square) // number
    twice = (2 * root + 1) ** 2 * number * number
    return root + (4 * square > twice or (4 * square == twice and root % 2 == 1))


def signs(values: Sequence[int]) -> tuple[int, int]:
    """How many values are above 0, and how many below."""
    return sum(map(int.__gt__, values, repeat(0))), sum(map(int.__lt__, values, repeat(0)))
