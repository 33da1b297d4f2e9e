"""Any table written as Parquet: it is here because this is the package that knows pyarrow."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from ..errors import InputError, MissingExtraError

DECIMAL_DIGITS = 38
"""The most that Parquet's 128-bit decimals hold."""


def write_parquet(path: str | os.PathLike[str], columns: Mapping[str, Sequence[Any]], *, places: int) -> None:
    """Write columns of texts, whole numbers, or decimals of at most so many `places`; None is null.

    A column of nothing but None is one of texts. Needs the extra `replay`; InputError if the file can not be written.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("writing Parquet", extra="replay") from error
    kinds = {str: pyarrow.string(), int: pyarrow.int64(), Decimal: pyarrow.decimal128(DECIMAL_DIGITS, places)}
    arrays = {}
    for name, values in columns.items():
        kind = next((type(value) for value in values if value is not None), str)
        arrays[name] = pyarrow.array(values, type=kinds[kind])
    try:
        parquet.write_table(pyarrow.table(arrays), Path(path))
    except OSError as error:
        raise InputError(f"{path} can not be written: {error.strerror or error}") from error
