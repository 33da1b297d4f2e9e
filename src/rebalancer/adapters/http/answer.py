"""What came back: JSON with exact numbers, and a service's own words about an error."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NoReturn

from ...domain.names import as_line

LONGEST_NUMBER = 60
"""Characters of a number; longer ones are no rates, and cost time."""
MOST_VALUES = 40_000
"""Values of an answer: a text takes at most 4 bytes of memory a byte, but a list of two bytes takes 100."""


def read_json(body: bytes | bytearray, *, most: int | None = None) -> Any:
    """The value of a JSON text in UTF-8; numbers with a point or exponent are exact Decimals.

    Raises ValueError for anything else, for NaN and infinity, for a name that an object has twice, and for more than
    `most` values.
    """
    if most is not None and sum(map(body.count, (b"[", b"{", b","))) > most:
        raise ValueError("it has too many values")
    try:
        return json.loads(
            body.decode(),
            object_pairs_hook=_object,
            parse_float=_decimal,
            parse_int=_whole,
            parse_constant=_no_number,
        )
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):  # which of two is meant, nobody knows
        raise ValueError("an object has a name twice")
    return made


def _decimal(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number is too long")
    try:
        number = Decimal(text)
    except ArithmeticError:
        raise ValueError("a number is out of bounds") from None
    if not number.is_finite():  # what an absurd exponent makes of it where the ambient context does not trap
        raise ValueError("a number is out of bounds")
    return number


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return int(text)


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and infinity are not numbers")


def words(body: bytes | bytearray, *, secrets: Iterable[str]) -> str:
    """What an error's body says (its `detail`), in one short line without `secrets`; "" if it says nothing."""
    try:
        detail = read_json(body, most=MOST_VALUES)["detail"]
        text = detail if isinstance(detail, str) else "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in detail)
    except (ValueError, LookupError, TypeError):
        return ""
    return as_line(masked(text, secrets), most=200) if text else ""


def masked(text: str, secrets: Iterable[str]) -> str:
    """`text` with `***` for each of the secrets, in any letter case."""
    longest_first = sorted(filter(None, secrets), key=len, reverse=True)  # one may be a part of another
    return re.sub("|".join(map(re.escape, longest_first)), "***", text, flags=re.IGNORECASE) if longest_first else text
