"""The file of a sweep that may be interrupted: a line of JSON for each setting that is finished."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from hashlib import sha256
from io import BufferedRandom
from pathlib import Path
from types import TracebackType
from typing import Any

from ..errors import InputError
from ..history.table import FundingHistory

KIND = "rebalancer sweep 1"
DIFFERENT = {
    "history": "another history",
    "version": "another version of the library",
    "every": "another time between ticks",
    "cuts": "other parts of time",
}


def fingerprint(history: FundingHistory) -> str:
    """A hash of every row of a history: equal contents have equal ones, wherever they were read."""
    found = sha256()
    for series in history.series:
        found.update(f"{series.market}|{series.kind.value}\n".encode())
        rows = (
            f"{row.at} {row.value} {row.interval} {row.mark_price} {row.open_interest_usd} {row.volume_24h_usd}"
            for row in series.rows
        )
        found.update("\n".join(rows).encode())
        found.update(b"\n\n")
    return found.hexdigest()


def key(*parts: object) -> str:
    """A hash of texts, numbers and lists of them."""
    return sha256(json.dumps(parts).encode()).hexdigest()[:32]


class Finished(AbstractContextManager["Finished"]):
    """What an earlier run of the same sweep had finished, and what this one does, line by line.

    A torn last line, as a killed process leaves it, is cut off. InputError if the file is not one of these, belongs to
    another history, version or sweep, or is being written by another process.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        self._path = path
        self._file = self._opened(path)
        self.found: dict[str, Any] = {}
        try:
            self._lock()
            self._read(about)
        except BaseException:
            self._file.close()
            raise

    def add(self, name: str, result: Any) -> None:
        """Write down a result: when this returns, no end of this process loses it."""
        line = json.dumps([name, result], separators=(",", ":")).encode() + b"\n"
        self._file.write(line)
        self._file.flush()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    @staticmethod
    def _opened(path: Path) -> BufferedRandom:
        try:
            path.touch()
            return path.open("r+b")
        except OSError as error:
            raise InputError(f"{path} can not be written: {error.strerror}") from error

    def _lock(self) -> None:
        try:
            from fcntl import LOCK_EX, LOCK_NB, lockf
        except ImportError:  # not on every system
            return
        try:
            lockf(self._file, LOCK_EX | LOCK_NB)
        except OSError as error:
            raise InputError(f"{self._path} is being written by another sweep") from error

    def _read(self, about: Mapping[str, Any]) -> None:
        lines = self._file.read().split(b"\n")
        whole = lines[:-1]  # what follows the last line break is torn, or nothing
        header = json.dumps([KIND, about]).encode()
        if not whole:
            if lines[0] and not header.startswith(lines[0]):
                raise self._foreign()
            self._cut(0)
            self._file.write(header + b"\n")
            self._file.flush()
            return
        self._check(whole[0], about)
        for number, line in enumerate(whole[1:], start=2):
            try:
                name, result = json.loads(line)
            except (TypeError, ValueError) as error:
                raise InputError(f"{self._path}: line {number} is damaged: delete it to compute it again") from error
            self.found[name] = result
        self._cut(sum(len(line) + 1 for line in whole))

    def _check(self, line: bytes, about: Mapping[str, Any]) -> None:
        try:
            kind, written = json.loads(line)
        except (TypeError, ValueError) as error:
            raise self._foreign() from error
        if kind != KIND or not isinstance(written, dict):
            raise self._foreign()
        for name, what in DIFFERENT.items():
            if written.get(name) != json.loads(json.dumps(about[name])):
                raise InputError(f"{self._path} is of a sweep with {what}: give another file, or delete it")

    def _cut(self, size: int) -> None:
        self._file.seek(size)
        self._file.truncate()

    def _foreign(self) -> InputError:
        return InputError(f"{self._path} is not the file of an interrupted sweep")


def about(history: FundingHistory, *, every: int, cuts: Sequence[int], version: str) -> dict[str, Any]:
    """What makes two sweeps the same, beside their settings."""
    return {"history": fingerprint(history), "version": version, "every": every, "cuts": list(cuts)}
