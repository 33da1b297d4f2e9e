"""The file of a paper account: replaced as a whole, so that it is never half of anything."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile

from ...errors import InputError
from .paper_account import PaperAccount


class AccountFile:
    """A file for a paper account, there since its first change, and which of its versions was last seen.

    Raises OSError for a path that can not be written: that is found out before anything is to be kept.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = Path(path)
        self._seen: object = None
        with NamedTemporaryFile(dir=self._path.parent, prefix=f".{self._path.name}."):
            """Nothing: whoever else has the path may be writing to it at this moment."""

    def changed(self) -> PaperAccount | None:
        """The account, if the file was written by somebody else since; None if not, or if there is no file.

        Raises InputError if it can not be read.
        """
        if (version := self._version()) in (self._seen, None):
            return None
        try:
            account = PaperAccount.model_validate_json(self._path.read_bytes())
        except (OSError, InputError) as error:
            what = f"the paper account in {self._path} can not be read"
            raise InputError(f"{what}: restore it, or move it away to begin with nothing") from error
        self._seen = version
        return account

    def write(self, account: PaperAccount) -> None:
        """Have it contain the account, or what it did before, whatever happens meanwhile."""
        path = self._path
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            try:
                file.write(account.model_dump_json().encode())
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
        self._seen = self._version()
        with suppress(OSError):  # not every file system lets a directory be synchronised
            directory = os.open(path.parent, os.O_RDONLY)
            try:
                os.fsync(directory)
            finally:
                os.close(directory)

    def _version(self) -> object:
        """What changes when somebody replaces the file; None if there is none."""
        try:
            found = self._path.stat()
        except FileNotFoundError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size
