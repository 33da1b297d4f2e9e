"""The log of what really happened: append-only, one JSON line a fact, written at once."""

from __future__ import annotations

import json
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import IO

from ...domain.numbers import plain
from ...errors import InputError
from .truth import Fact, parse


class TruthLog:
    """Facts in the order in which they happened, of one venue or of several; in a file if it has a `path`.

    Raises InputError for a file that has something in it: a log begins with its venues.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._path = None if path is None else Path(path)
        self._lines: list[str] = []
        self._count = 0
        self._file: IO[str] | None = None
        if self._path is not None:
            self._file = self._path.open("a", encoding="utf-8")
            if self._file.tell():
                self._file.close()
                raise InputError("the log has facts already: give each run a file of its own")

    def write(self, fact: str, *, at: datetime, venue: str, symbol: str, **more: object) -> None:
        """Add a fact, and hand it to the operating system before anything else happens."""
        self._count += 1
        time = at.isoformat(timespec="microseconds").replace("+00:00", "Z")  # as text they sort by time
        row = {"seq": self._count, "at": time, "venue": venue, "symbol": symbol, "fact": fact, **more}
        line = json.dumps(row, default=_written) + "\n"
        if self._file is None:
            self._lines.append(line)
        else:
            self._file.write(line)
            self._file.flush()

    @property
    def facts(self) -> list[Fact]:
        """All facts so far, as `truth` reads them."""
        return parse("".join(self._lines) if self._path is None else self._path.read_text(encoding="utf-8"))

    def close(self) -> None:
        """Close the file. May be called twice."""
        if self._file is not None:
            self._file.close()


def _written(value: object) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"a {type(value).__name__} does not belong into the log")
