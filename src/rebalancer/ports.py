"""What a host supplies: abstract classes that adapters, ready-made or the host's own, make real."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from datetime import datetime

    from .domain.needs import Needs
    from .domain.request import MarketRequest
    from .domain.snapshot import MarketSnapshot


class Clock(ABC):
    """What time it is, and how to wait. One interface for live and for tests."""

    @abstractmethod
    def now(self) -> datetime:
        """The wall clock, in UTC."""

    @abstractmethod
    def monotonic(self) -> float:
        """Seconds that never go back, since an instant of no meaning. For durations."""

    @abstractmethod
    async def sleep(self, seconds: float) -> None:
        """Wait that long."""


class FundingSource(ABC):
    """Where funding rates come from. It is asked once a tick, for all positions at once.

    Use it as an asynchronous context manager, or call `aclose()` when done.
    """

    @property
    @abstractmethod
    def name(self) -> str:
        """What the source is called in errors and as the `origin` of its quotes."""

    @property
    @abstractmethod
    def supplies(self) -> Needs:
        """What it can supply. A strategy that needs more is refused when it starts."""

    @abstractmethod
    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What is known now of the markets that `request` names, with at most one quote a market.

        Everything that could not be had is in `missing`, with the reason; unknown is never zero. Where a whole venue
        could not be read though its candidates were wanted, `opportunities` are missing too: a list that may lack some
        is no proof of none. Raises SourceError if nothing could be had at all, and nothing else.
        """

    async def aclose(self) -> None:  # noqa: B027  # most sources hold nothing
        """Give back what it holds. May be called twice."""

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()
