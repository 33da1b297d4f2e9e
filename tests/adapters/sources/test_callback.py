"""A host's function as a source: checked, bounded in time, and never a foreign exception."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from functools import partial

import pytest

from rebalancer import (
    BadAnswerError,
    Freshness,
    InputError,
    MarketRequest,
    Missing,
    Needs,
    Quote,
    SourceRefusedError,
    SourceUnavailableError,
)
from rebalancer.adapters.clock import SystemClock
from rebalancer.adapters.sources import CallbackSource
from rebalancer.domain.names import Market
from rebalancer.testing import AS_OF, ManualClock, a_quote, a_snapshot, an_opportunity

LIGHTER, GRVT = Market("lighter", "BTC"), Market("grvt", "BTC")
LEGS = MarketRequest(markets=(LIGHTER, GRVT))


def returning(answer: object, **more: object) -> CallbackSource:
    async def rates(request: MarketRequest) -> object:
        return answer

    return CallbackSource(rates, **{"clock": ManualClock(), **more})  # type: ignore[arg-type]  # nonsense too


def raising(error: BaseException) -> CallbackSource:
    async def rates(request: MarketRequest) -> list[Quote]:
        raise error

    return CallbackSource(rates)


@pytest.mark.parametrize("of", [list, tuple, iter], ids=lambda of: of.__name__)
async def test_quotes_become_a_snapshot_as_of_the_clocks_now(of: Callable[[list[Quote]], object]) -> None:
    quotes = [a_quote("lighter", origin="me"), a_quote("grvt", origin="me")]
    assert await returning(of(quotes)).snapshot(LEGS) == a_snapshot(*quotes)


async def test_the_function_is_asked_what_the_source_is_asked() -> None:
    asked: list[MarketRequest] = []

    async def rates(request: MarketRequest) -> list[Quote]:
        asked.append(request)
        return []

    await CallbackSource(rates).snapshot(LEGS)
    assert asked == [LEGS]


async def test_without_a_clock_it_is_the_machines() -> None:
    async def rates(request: MarketRequest) -> list[Quote]:
        return []

    before = SystemClock().now().replace(microsecond=0)
    assert before <= (await CallbackSource(rates).snapshot(LEGS)).as_of <= SystemClock().now()


async def test_a_snapshot_keeps_what_it_says_but_its_time() -> None:
    said = a_snapshot(
        a_quote("lighter", origin="me"),
        a_quote("grvt", origin="me"),
        as_of=AS_OF - timedelta(hours=1),
        missing=(Missing(field="volume", why="nobody counts"),),
        opportunities=(an_opportunity(),),
        observations=(a_quote("lighter"),),
        freshness=Freshness(max_intervals=3),
    )
    request = MarketRequest(markets=(LIGHTER, GRVT), symbols=("BTC",), needs=Needs(observations=1))
    assert await returning(said).snapshot(request) == said.model_copy(update={"as_of": AS_OF})


async def test_a_stored_snapshot_does_not_look_fresh() -> None:
    hours_ago = AS_OF - timedelta(hours=3)
    stored = a_snapshot(a_quote("lighter", observed_at=hours_ago), as_of=hours_ago)
    snapshot = await returning(stored).snapshot(LEGS)
    assert snapshot.book.leg(LIGHTER).refusal == "the quote is older than its limit"


async def test_quotes_that_nobody_asked_for_are_dropped() -> None:
    snapshot = await returning([a_quote("lighter"), a_quote("grvt"), a_quote("aster")]).snapshot(LEGS)
    assert [quote.market for quote in snapshot.quotes] == [LIGHTER, GRVT]


async def test_a_wanted_market_that_it_does_not_return_is_missing() -> None:
    snapshot = await returning([a_quote("lighter")]).snapshot(LEGS)
    assert snapshot.missing == (
        Missing(field="rate", venue="grvt", symbol="BTC", why="the source returned no quote of it"),
    )


async def test_a_market_that_is_missing_is_missing_among_the_candidates_too() -> None:
    request = MarketRequest(markets=(LIGHTER, GRVT), symbols=("BTC",))
    assert (await returning([a_quote("lighter")]).snapshot(request)).missing == (
        Missing(field="rate", venue="grvt", symbol="BTC", why="the source returned no quote of it"),
        Missing(field="opportunities", symbol="BTC", why="grvt: the source returned no quote of it"),
    )


async def test_a_quote_without_an_origin_has_the_sources_name() -> None:
    snapshot = await returning([a_quote("lighter"), a_quote("grvt", origin="me")]).snapshot(LEGS)
    assert [quote.origin for quote in snapshot.quotes] == ["rates", "me"]


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (None, "NoneType"),
        (7, "int"),
        ("BTC", "str"),
        ({"lighter": a_quote()}, "dict"),
        ([a_quote(), 7], "list"),
        (a_quote(), "Quote"),
    ],
    ids=["nothing", "number", "text", "dict", "list of both", "one quote"],
)
async def test_an_answer_of_a_wrong_type_is_refused_and_names_the_function(answer: object, what: str) -> None:
    with pytest.raises(BadAnswerError) as refused:
        await returning(answer).snapshot(LEGS)
    assert str(refused.value) == (
        f"rates: returning.<locals>.rates returned a {what}: not a MarketSnapshot, nor Quotes"
    )


async def test_two_quotes_of_one_market_are_refused_even_if_nobody_asked() -> None:
    with pytest.raises(BadAnswerError) as refused:
        await returning([a_quote("aster"), a_quote("aster", 0)]).snapshot(LEGS)
    assert str(refused.value) == "rates: returning.<locals>.rates returned two quotes of BTC on aster"


async def test_a_function_that_is_not_asynchronous_is_told_so() -> None:
    def rates(request: MarketRequest) -> Awaitable[list[Quote]]:
        return [a_quote()]  # type: ignore[return-value]  # the mistake

    with pytest.raises(BadAnswerError, match=r"rates returned a list at once: make it an async function$"):
        await CallbackSource(rates).snapshot(LEGS)


@pytest.mark.parametrize("error", [ValueError("s3cret"), SystemExit("s3cret"), TimeoutError("s3cret")], ids=repr)
async def test_what_it_raises_is_a_sources_error_without_its_message(error: BaseException) -> None:
    with pytest.raises(SourceUnavailableError) as unavailable:
        await raising(error).snapshot(LEGS)
    assert str(unavailable.value) == f"rates: raising.<locals>.rates raised {type(error).__name__}"
    assert unavailable.value.__cause__ is error


async def test_what_a_lazy_answer_raises_is_a_sources_error_too() -> None:
    def quotes() -> Iterator[Quote]:
        yield a_quote()
        raise KeyError("s3cret")

    with pytest.raises(SourceUnavailableError, match=r"raised KeyError$"):
        await returning(quotes()).snapshot(LEGS)


async def test_what_it_raises_before_it_is_awaited_is_a_sources_error_too() -> None:
    def rates(request: MarketRequest) -> Awaitable[list[Quote]]:
        raise OSError("s3cret")

    with pytest.raises(SourceUnavailableError, match=r"raised OSError$"):
        await CallbackSource(rates).snapshot(LEGS)


async def test_a_sources_error_of_its_own_passes_as_it_is() -> None:
    own = SourceRefusedError("my table", "no such symbol")
    with pytest.raises(SourceRefusedError) as refused:
        await raising(own).snapshot(LEGS)
    assert refused.value is own


def test_an_interrupt_from_the_keyboard_passes() -> None:
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(raising(KeyboardInterrupt()).snapshot(LEGS))


async def test_a_cancellation_that_nobody_asked_for_is_a_sources_error() -> None:
    with pytest.raises(SourceUnavailableError, match=r"rates raised CancelledError$"):
        await raising(asyncio.CancelledError()).snapshot(LEGS)


async def test_it_can_be_cancelled_while_it_waits() -> None:
    started = asyncio.Event()

    async def rates(request: MarketRequest) -> list[Quote]:
        started.set()
        await asyncio.Event().wait()
        return []

    task = asyncio.create_task(CallbackSource(rates).snapshot(LEGS))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def waits_for_ever(request: MarketRequest) -> list[Quote]:
    await asyncio.Event().wait()
    return []


async def answers_late(request: MarketRequest) -> list[Quote]:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return [a_quote("lighter"), a_quote("grvt")]
    return []


async def fails_late(request: MarketRequest) -> list[Quote]:
    try:
        await asyncio.Event().wait()
    finally:
        raise KeyError("s3cret")


@pytest.mark.parametrize("function", [waits_for_ever, answers_late, fails_late], ids=lambda function: function.__name__)
async def test_the_deadline_ends_it(function: Callable[[MarketRequest], Awaitable[list[Quote]]]) -> None:
    source = CallbackSource(function, deadline=timedelta(milliseconds=1))
    with pytest.raises(SourceUnavailableError) as late:
        await source.snapshot(LEGS)
    assert str(late.value) == f"{function.__name__}: {function.__name__} did not answer in time"


def test_it_has_the_functions_name_and_supplies_the_rates_unless_told_otherwise() -> None:
    assert (returning([]).name, returning([]).supplies) == ("rates", Needs())
    told = returning([], name="my table", supplies=Needs(schedule=True))
    assert (told.name, told.supplies) == ("my table", Needs(schedule=True))


async def test_a_callable_without_a_name_is_called_by_its_type() -> None:
    source = CallbackSource(partial(waits_for_ever), deadline=timedelta(milliseconds=1))
    with pytest.raises(SourceUnavailableError, match=r"^partial: partial did not answer in time$"):
        await source.snapshot(LEGS)


def test_what_can_not_be_called_is_refused() -> None:
    with pytest.raises(InputError, match=r"^a str can not be called: give an async function$"):
        CallbackSource("rates")  # type: ignore[arg-type]  # the mistake


@pytest.mark.parametrize("deadline", [timedelta(0), -timedelta(seconds=1), 10])
def test_a_deadline_is_a_timedelta_above_0(deadline: timedelta) -> None:
    with pytest.raises(InputError, match=r"^deadline must be a timedelta above 0$"):
        CallbackSource(waits_for_ever, deadline=deadline)
