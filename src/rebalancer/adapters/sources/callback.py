"""A host's own function as a source: its answer is checked, and its failures are a source's."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from datetime import timedelta
from functools import partial
from inspect import isawaitable

from ..._within import LateError, within
from ...domain.market import Quote
from ...domain.names import Market
from ...domain.needs import Needs
from ...domain.request import MarketRequest
from ...domain.snapshot import MarketSnapshot
from ...errors import BadAnswerError, InputError, SourceError, SourceUnavailableError
from ...ports import Clock, FundingSource
from ..clock import SystemClock
from .answer import a_deadline, a_name, answer

RatesFunction = Callable[[MarketRequest], Awaitable[MarketSnapshot | Iterable[Quote]]]


class CallbackSource(FundingSource):
    """`function(request)`, an `async def` that returns quotes or a MarketSnapshot, for instance from your database.

    `supplies` is what it can supply: the rates of the markets that are asked for, unless you say more. `name` is the
    function's own by default. The answer is as of the clock's now, whatever a returned snapshot says: a stored one does
    not look fresh. Quotes that nobody asked for are dropped.

    `snapshot` raises BadAnswerError if the function returns anything else or two quotes of one market, and
    SourceUnavailableError if it raises, is cancelled by somebody else, or takes longer than `deadline`. The function
    must not block the event loop: no deadline can end that.
    """

    def __init__(
        self,
        function: RatesFunction,
        *,
        supplies: Needs | None = None,
        name: str | None = None,
        deadline: timedelta = timedelta(seconds=10),
        clock: Clock | None = None,
    ) -> None:
        if not callable(function):
            raise InputError(f"a {type(function).__name__} can not be called: give an async function")
        self._function = function
        self._supplies = supplies or Needs()
        self._called = str(getattr(function, "__qualname__", type(function).__name__))
        self._name = a_name(getattr(function, "__name__", type(function).__name__) if name is None else name)
        self._deadline = a_deadline(deadline)
        self._clock = clock or SystemClock()

    @property
    def name(self) -> str:
        """What it was named, else the function's name."""
        return self._name

    @property
    def supplies(self) -> Needs:
        """What the host says that the function can supply."""
        return self._supplies

    async def snapshot(self, request: MarketRequest) -> MarketSnapshot:
        """What is wanted of what the function returns."""
        outcome = await within(self._deadline, partial(self._asked, request))
        error = outcome.error
        if isinstance(error, SourceError):
            raise error
        if outcome.value is None:  # a host's code may raise anything; its message may hold secrets
            why = "did not answer in time" if isinstance(error, LateError) else f"raised {type(error).__name__}"
            raise SourceUnavailableError(self._name, f"{self._called} {why}") from error
        return answer(request, outcome.value, name=self._name, absent=_absent)

    async def _asked(self, request: MarketRequest) -> MarketSnapshot:
        """What the function returns, as of now."""
        promised: object = self._function(request)
        if not isawaitable(promised):
            what = type(promised).__name__
            raise BadAnswerError(self._name, f"{self._called} returned a {what} at once: make it an async function")
        returned: object = await promised
        if isinstance(returned, MarketSnapshot):
            return returned.model_copy(update={"as_of": self._clock.now()})
        quotes = tuple(returned) if isinstance(returned, Iterable) else (None,)
        if not all(isinstance(quote, Quote) for quote in quotes):
            what = type(returned).__name__
            raise BadAnswerError(self._name, f"{self._called} returned a {what}: not a MarketSnapshot, nor Quotes")
        try:
            return MarketSnapshot(as_of=self._clock.now(), quotes=quotes)
        except InputError as error:
            raise BadAnswerError(
                self._name, f"{self._called} returned {str(error).removeprefix('MarketSnapshot: ')}"
            ) from error


def _absent(_: Market) -> str:
    return "the source returned no quote of it"
