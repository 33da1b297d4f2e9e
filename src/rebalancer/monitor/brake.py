"""The switch: what the store says, and the file that kills."""

from __future__ import annotations

from pathlib import Path

from ..domain.lifecycle import Switch
from ..errors import InputError, Stopped
from .keeper import Keeper


class Brake:
    """Says what may be done now. While the kill file is there, that is nothing; it is also written into the store, so
    that a file which is gone lets nothing begin again: only `resume` does.
    """

    def __init__(self, keeper: Keeper, *, kill_file: Path | None) -> None:
        self._keeper = keeper
        self._kill_file = kill_file

    async def switch(self) -> Switch:
        """What may be done at this moment."""
        store = self._keeper.store
        switch = await self._keeper.ask(store.switch)
        if switch is not Switch.KILL and self._killed():
            await self._keeper.ask(lambda: store.set_switch(Switch.KILL))
            return Switch.KILL
        return switch

    def check(self) -> None:
        """Raise Stopped if the kill file is there: it may have come while something was stored."""
        if self._killed():
            raise Stopped("the kill file is there: nothing is sent")

    async def set(self, switch: Switch) -> None:
        """Set it. Raises InputError for anything but kill while the kill file is there."""
        if switch is not Switch.KILL and self._killed():
            raise InputError(f"the kill file {self._kill_file} is there: remove it first")
        await self._keeper.ask(lambda: self._keeper.store.set_switch(switch))

    def _killed(self) -> bool:
        """Whether the file is there. One that can not be looked at may be there: unknown is not no."""
        if self._kill_file is None:
            return False
        try:
            self._kill_file.lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True
