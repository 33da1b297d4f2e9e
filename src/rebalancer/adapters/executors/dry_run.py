"""The executor that trades nothing."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ...domain.batch import StoreMode
from ...domain.intents import Intent
from ...domain.legs import LegState, Unknown
from ...domain.names import Market
from ...domain.orders import Capabilities, Report
from ...errors import InputError
from ...ports import Executor

_NOTHING = "dry run: nothing is sent"


class DryRunExecutor(Executor):
    """Trades nothing and reads nothing: what a monitor has unless its host hands over another one.

    It has no capabilities and no leg is known, so that no close starts and no order goes out by itself. An intent that
    is sent all the same is kept in `recorded`, the latest `keep` of them, and reported as rejected: that nothing was
    sent is certain. Of any other intent it knows nothing: it may be a live order of an earlier run.
    """

    def __init__(self, *, keep: int = 1000) -> None:
        if keep < 1:
            raise InputError("keep must be at least 1")
        self._keep = keep
        self._recorded: dict[str, Intent] = {}

    @property
    def mode(self) -> StoreMode:
        """Dry."""
        return StoreMode.DRY

    @property
    def recorded(self) -> tuple[Intent, ...]:
        """The latest intents that it was given to send, each once, oldest first."""
        return tuple(self._recorded.values())

    def capabilities(self, venue: str) -> Capabilities:  # noqa: ARG002  # it is connected to none
        """None, on any venue."""
        return Capabilities()

    async def read_legs(self, markets: Collection[Market]) -> Mapping[Market, LegState]:
        """Unknown, all of them."""
        return dict.fromkeys(markets, Unknown("dry run: legs are not read"))

    async def send(self, intent: Intent) -> Report:
        """Record the intent, and reject it."""
        self._recorded.pop(intent.key, None)
        self._recorded[intent.key] = intent
        if len(self._recorded) > self._keep:
            del self._recorded[next(iter(self._recorded))]
        return Report.rejected(_NOTHING)

    async def find(self, intent: Intent) -> Report:
        """Rejected if it is recorded, else unknown."""
        if intent.key in self._recorded:
            return Report.rejected(_NOTHING)
        return Report.unknown("dry run: the venue is not asked")

    async def cancel(self, intent: Intent) -> Report:
        """As `find`: there is nothing to cancel, or nobody who would."""
        return await self.find(intent)
