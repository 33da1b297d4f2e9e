"""What came back: JSON with exact numbers, and a service's own words about an error."""

from __future__ import annotations

import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any, NoReturn

from ...domain.names import as_line

LONGEST_NUMBER = 60
"""Characters of a number; longer ones are no rates, and cost time."""


def read_json(body: bytes | bytearray) -> Any:
    """The value of a JSON text in UTF-8; numbers with a point or exponent are exact Decimals.

    Raises ValueError for anything else, NaN and infinity included.
    """
    try:
        return json.loads(body.decode(), parse_float=_decimal, parse_int=_whole, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _decimal(text: str) -> Decimal:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number is too long")
    try:
        return Decimal(text)
    except ArithmeticError:
        raise ValueError("a number is out of bounds") from None


def _whole(text: str) -> int:
    if len(text) > LONGEST_NUMBER:
        raise ValueError("a number is too long")
    return int(text)


def _no_number(_: str) -> NoReturn:
    raise ValueError("NaN and infinity are not numbers")


def words(body: bytes | bytearray, *, secrets: Iterable[str]) -> str:
    """What an error's body says (its `detail`), in one short line without `secrets`; "" if it says nothing."""
    try:
        detail = read_json(body)["detail"]
        text = detail if isinstance(detail, str) else "; ".join(f"{one['loc'][-1]}: {one['msg']}" for one in detail)
    except (ValueError, LookupError, TypeError):
        return ""
    for secret in secrets:
        text = text.replace(secret, "***")
    return as_line(text, most=200)
