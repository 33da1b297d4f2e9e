"""What a fetch has so far, in a file beside its output: after an interruption it goes on where it was."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Any, NamedTuple

from ...domain.names import Market
from ...errors import InputError


class Page(NamedTuple):
    """The settlements of a market up to `until` (epoch seconds), from where the page before ended: rates by time."""

    market: Market
    until: int
    rates: Mapping[int, int]


class Journal:
    """The pages of a fetch as lines of JSON, each written before the next is asked for. Use it as a context.

    The first line says what is fetched. A file of another fetch is refused; a last line that was cut off is dropped; a
    journal without a page leaves no file.
    """

    def __init__(self, path: str | os.PathLike[str], what: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.what = dict(what)
        self.pages: list[Page] = []
        self._file: IO[str] | None = None

    def __enter__(self) -> Journal:
        try:
            whole = self._read() if self.path.exists() else b""
            self._file = self.path.open("a", encoding="utf-8")
            if not whole:
                self._file.truncate(0)
                self._line(self.what)
            else:
                self._file.truncate(len(whole))
        except OSError as error:
            raise InputError(f"{self.path} can not be written: {error.strerror}") from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
            if not self.pages:
                self.discard()

    def add(self, page: Page) -> None:
        """Keep a page."""
        self.pages.append(page)
        rates = {str(at): rate for at, rate in page.rates.items()}
        self._line({"venue": page.market.venue, "symbol": page.market.symbol, "until": page.until, "rates": rates})

    def discard(self) -> None:
        """Remove the file: the fetch is complete."""
        self.__exit__(None, None, None)
        with suppress(FileNotFoundError):
            self.path.unlink()

    def _line(self, what: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(what) + "\n")
            self._file.flush()

    def _read(self) -> bytes:
        """Take in the pages of the file; its whole lines."""
        lines = self.path.read_bytes().split(b"\n")
        whole = lines[:-1]
        try:
            read = [json.loads(line) for line in whole]
            if read and read[0] != self.what:
                raise InputError(
                    f"{self.path} holds an unfinished fetch of something else: finish that one with its own options, "
                    "or delete the file"
                )
            self.pages = [_page(line) for line in read[1:]]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, InputError):
                raise
            raise InputError(f"{self.path} is damaged: delete it to fetch anew") from error
        return b"".join(line + b"\n" for line in whole)


def _page(line: Mapping[str, Any]) -> Page:
    rates = {int(at): int(rate) for at, rate in line["rates"].items()}
    return Page(Market(line["venue"], line["symbol"]), int(line["until"]), rates)


def started(path: str | os.PathLike[str]) -> dict[str, Any] | None:
    """What the unfinished fetch in a file is of; None if there is none that can be read."""
    try:
        with Path(path).open("rb") as file:
            found = json.loads(file.readline())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
