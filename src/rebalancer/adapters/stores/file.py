"""A store's file: made whole or not at all, opened only if it is ours, and every failure of it a StoreError."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

from ...domain.batch import StoreMode
from ...domain.times import SECOND
from ...errors import StoreError
from .schema import APPLICATION, MIGRATIONS, Migration, bring_up_to_date, create, layout_and_mode

_Result = TypeVar("_Result")
_MAGIC = b"SQLite format 3\x00"
_WHY = {
    "SQLITE_BUSY": "another process is writing to it and did not end in time; nothing was written: try again",
    "SQLITE_LOCKED": "another process is writing to it and did not end in time; nothing was written: try again",
    "SQLITE_FULL": "the disk is full; nothing was written: make room",
    "SQLITE_READONLY": "it can not be written: make the file and its folder writable",
    "SQLITE_CANTOPEN": "it can not be opened: is its folder there and writable?",
    "SQLITE_PERM": "it can not be opened: is its folder there and writable?",
    "SQLITE_CORRUPT": "it is damaged: stop, keep a copy of it, and restore it from a backup",
    "SQLITE_NOTADB": "it is damaged: stop, keep a copy of it, and restore it from a backup",
    "SQLITE_IOERR": "the disk failed; check it, then read what is there",
}


class StoreFile:
    """A connection to a store's file, opened when it is first used. It belongs to the thread that uses it.

    A file that is not there is made. After a failure that may have harmed the connection, the next use opens it anew.
    """

    def __init__(
        self, path: Path, mode: StoreMode, *, patience: timedelta, migrations: Sequence[Migration] = MIGRATIONS
    ) -> None:
        self.path = path
        self._mode = mode
        self._patience = patience / SECOND
        self._migrations = migrations
        self._connection: sqlite3.Connection | None = None
        self._inode: tuple[int, int] | None = None

    def use(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """What `work` makes of the connection. Raises StoreError if the file can not be used."""
        with self._failures():
            return work(self._open())

    def change(self, work: Callable[[sqlite3.Connection], _Result]) -> _Result:
        """The same in a transaction that writes: all of it is durable when this returns, and none if it raises."""

        def transaction(connection: sqlite3.Connection) -> _Result:
            connection.execute("BEGIN IMMEDIATE")
            try:
                result = work(connection)
                connection.execute("COMMIT")
            finally:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
            return result

        return self.use(transaction)

    @classmethod
    def mode_of(cls, path: Path, *, patience: timedelta) -> StoreMode:
        """What the store in a file was made for. Nothing is made, migrated or changed. Raises StoreError."""
        if not path.exists():
            raise StoreError(f"{path}: there is no such file")
        file = cls(path, StoreMode.DRY, patience=patience)  # of whatever mode: it is only looked at
        with file._failures():
            _require_ours(path)
            with closing(file._connect(path)) as connection:
                return layout_and_mode(connection)[1]

    def close(self) -> None:
        """Close the connection, if there is one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):  # every commit is durable already
                connection.close()

    def _open(self) -> sqlite3.Connection:
        if self._connection is not None:
            self._require_same()
            return self._connection
        if self._inode is None and not self.path.exists():
            self._create()
        elif self._inode is not None:
            self._require_same()  # what was there once is never made anew: that would be an empty store
        _require_ours(self.path)
        connection = self._connect(self.path)
        try:
            bring_up_to_date(connection, self._mode, self._migrations)
            self._inode = _inode(self.path)
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _require_same(self) -> None:
        if not self.path.exists() or _inode(self.path) != self._inode:
            raise StoreError(f"{self.path}: the file was moved or replaced while it was in use; nothing was written")

    def _connect(self, path: Path) -> sqlite3.Connection:
        address = f"{path.absolute().as_uri()}?mode=rw"  # never makes a file
        connection = sqlite3.connect(address, uri=True, timeout=self._patience, isolation_level=None)
        try:
            _set_up(connection, path)
        except BaseException:
            connection.close()
            raise
        return connection

    def _create(self) -> None:
        """Make the file beside its place, for nobody else to read, and put it there unless somebody else did."""
        with TemporaryDirectory(prefix=f".{self.path.name}.", dir=self.path.parent) as folder:
            made = Path(folder) / "store"
            os.close(os.open(made, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            with closing(self._connect(made)) as connection:
                create(connection, self._mode, self._migrations)
            with suppress(FileExistsError):
                os.link(made, self.path)
        _flush_folder(self.path.parent)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        """Turn what SQLite and the file system raise into a StoreError that says what to do."""
        try:
            yield
        except sqlite3.Error as error:
            name = getattr(error, "sqlite_errorname", "")
            why = next((why for code, why in _WHY.items() if name.startswith(code)), "SQLite failed")
            if not name.startswith(("SQLITE_BUSY", "SQLITE_CONSTRAINT")):
                self.close()
            raise StoreError(f"{self.path}: {why} ({error})") from error
        except OSError as error:
            self.close()
            raise StoreError(f"{self.path}: it can not be used ({error.strerror})") from error


def _set_up(connection: sqlite3.Connection, path: Path) -> None:
    """Make every commit durable when it returns."""
    if connection.execute("PRAGMA journal_mode = WAL").fetchone()[0] != "wal":
        raise StoreError(f"{path}: its file system can not keep a write-ahead log: use a local disk")
    for pragma in ("synchronous = FULL", "fullfsync = 1", "checkpoint_fullfsync = 1", "trusted_schema = 0"):
        connection.execute(f"PRAGMA {pragma}")


def _require_ours(path: Path) -> None:
    """Raise StoreError unless a file has the marks of a store. It is not touched."""
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != _MAGIC or int.from_bytes(header[68:72], "big") != APPLICATION:
        raise StoreError(f"{path}: not a store of rebalancer: it was left untouched; take another file")


def _inode(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino


def _flush_folder(folder: Path) -> None:
    """Make a new name in a folder durable, where folders can be flushed."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
