"""Secrets and forged lines: strings that are put into every input are found in no log, store, report or alarm."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from rebalancer import (
    InputError,
    Known,
    Observer,
    Report,
    ReportState,
    RuleContext,
    SourceUnavailableError,
    StoreError,
    StoreMode,
    TickReport,
    Unknown,
    Verdict,
    presets,
    rule,
)
from rebalancer.adapters import MemoryStore, SqliteStore
from rebalancer.testing import a_position
from rebalancer.testing.fake_venue import Answer, Fate

if TYPE_CHECKING:
    from .conftest import World

CANARY = "sk-canary-0xDEADBEEF-hunter2"
FORGED = "all is well\nCRITICAL rebalancer.monitor: forged \x1b[2J\x1b[31m line\r\u2028next\u0085end"
RAW = ("\n", "\r", "\x1b", "\u2028", "\u0085")
"""What must not stand in any line."""


class Everything(logging.Handler):
    """All that is logged, with whatever belongs to it, as a careless host would write it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))
        self.lines += [
            f"{key}={value!r}" for key, value in vars(record).items() if key not in ("msg", "args", "exc_text")
        ]


@pytest.fixture
def logs() -> Iterator[Everything]:
    handler, root = Everything(), logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield handler
    root.removeHandler(handler)
    root.setLevel(level)


class Careless(Observer):
    """It writes down all that it is told."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    async def observe(self, report: TickReport) -> None:
        self.lines += [f"{part!r} {part}" for part in (*report.alarms, *report.failures, *report.skipped)]
        self.lines += [decision.explain() for decision in report.decisions]
        self.lines += [decision.model_dump_json() for decision in report.decisions]


def raises(text: str, kind: Callable[[str], BaseException] = RuntimeError) -> Callable[..., Any]:
    """What raises an error with this text."""

    async def raised(*_: Any, **__: Any) -> Any:
        raise kind(text)

    return raised


def returns(value: object) -> Callable[..., Any]:
    """What returns it, in a list."""

    async def returned(*_: Any, **__: Any) -> Any:
        return [value]

    return returned


class Trap:
    """A value that raises whatever is asked of it."""

    def __init__(self, text: str) -> None:
        self.__dict__["said"] = text

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(self.__dict__["said"])


class Instead:
    """Something of which some methods are others."""

    def __init__(self, real: Any, **methods: Any) -> None:
        self._real = real
        self._methods = methods

    def __getattr__(self, name: str) -> Any:
        return self._methods.get(name) or getattr(self._real, name)


async def dumped(world: World) -> list[str]:
    """All that the store has, as text."""
    store: Any = world.store
    if isinstance(store, SqliteStore):
        return []
    tables = store._tables
    rows = [*tables.positions.values(), *tables.decisions.values(), *tables.ledger.values()]
    rows += [*tables.seen.values(), *tables.means.values(), *tables.ticks.values()]
    rows += [intent for own in tables.orders.values() for intent in own.values()]
    return [row.model_dump_json() for row in rows]


def odd(name: str) -> type[Exception]:
    """An error whose very name is a trap."""
    return type(name, (Exception,), {})


HOSTS: dict[str, Callable[..., dict[str, Any]]] = {
    "the source": lambda world, text: {"source": Instead(world.rates, snapshot=raises(text))},
    "the source, as the name of its error": lambda world, text: {
        "source": Instead(world.rates, snapshot=raises("", odd(f"Oops {FORGED}")))
    },
    "reads": lambda world, text: {"executor": Instead(world.executor, read_legs=raises(text))},
    "sends": lambda world, text: {"executor": Instead(world.executor, send=raises(text))},
    "sends and queries": lambda world, text: {
        "executor": Instead(world.executor, send=raises(text), find=raises(text), cancel=raises(text))
    },
    "executor, as the name of its error": lambda world, text: {
        "executor": Instead(world.executor, read_legs=raises("", odd(f"Oops {FORGED}")))
    },
    "the store": lambda world, text: {"store": Instead(world.store, commit=raises(text))},
    "the store's reads": lambda world, text: {"store": Instead(world.store, live=raises(text))},
    "the store's lease": lambda world, text: {"store": Instead(world.store, acquire=raises(text))},
    "the store, as the name of its error": lambda world, text: {
        "store": Instead(world.store, commit=raises("", odd(f"Oops {FORGED}")))
    },
    "what a store returns": lambda world, text: {"store": Instead(world.store, live=returns(Trap(text)))},
    "an observer": lambda world, text: {"observers": [Instead(Careless(), observe=raises(text))]},
}


@pytest.mark.parametrize("text", [CANARY, f"{CANARY} {FORGED}"], ids=["a secret", "a forged line"])
@pytest.mark.parametrize("where", HOSTS)
async def test_what_an_error_says_is_told_to_nobody(world: World, logs: Everything, where: str, text: str) -> None:
    position = await world.adopted(world.monitor())
    world.flip()
    careless = Careless()
    given = HOSTS[where](world, text)
    given["observers"] = [*given.get("observers", ()), careless]
    monitor = world.monitor(**given)

    reports = await world.ticks(monitor, 4, every=60)
    await monitor.aclose()

    told = [*logs.lines, *careless.lines, *await dumped(world), *map(str, reports), *map(repr, reports)]
    assert [line for line in told if CANARY in line] == []
    assert [line for line in _of_one_line(logs, careless, reports) if any(raw in line for raw in RAW)] == []
    assert await world.store.position(position.id) is not None


def _of_one_line(logs: Everything, careless: Careless, reports: list[TickReport]) -> Iterator[str]:
    """What is written as one line: messages, alarms, failures."""
    yield from logs.lines
    for report in reports:
        for said in (*report.alarms, *report.failures, *report.skipped):
            yield str(said)


@pytest.mark.parametrize("where", ["source", "store"])
async def test_an_error_of_our_own_kind_with_a_forged_text_becomes_one_line(
    world: World, logs: Everything, where: str
) -> None:
    await world.adopted(world.monitor())
    world.flip()
    if where == "source":
        given: dict[str, Any] = {
            "source": Instead(world.rates, snapshot=raises(FORGED, lambda text: SourceUnavailableError(text, text)))
        }
    else:
        given = {"store": Instead(world.store, commit=raises(FORGED, StoreError))}
    monitor = world.monitor(**given)

    reports = await world.ticks(monitor, 2, every=60)

    assert reports[-1].alarms
    assert [line for line in _of_one_line(logs, Careless(), reports) if any(raw in line for raw in RAW)] == []


async def test_what_a_venue_says_of_an_order_can_forge_no_line(world: World, logs: Everything) -> None:
    """A reason, a venue's order id, the reason of a leg that could not be read: refused, or made one line."""
    for make in (
        lambda: Report(state=ReportState.LIVE, order_id=FORGED),
        lambda: Report(state=ReportState.REJECTED, why=FORGED),
        lambda: Unknown(FORGED),
        lambda: a_position(attention=FORGED),
        lambda: a_position(symbol=FORGED),
        lambda: Known(FORGED),
    ):
        with pytest.raises(InputError) as raised:
            make()
        assert not any(raw in str(raised.value) for raw in RAW)
        assert "forged" not in str(raised.value)
    for one in (Report.unknown(FORGED), Report.rejected(FORGED)):
        assert one.why is not None
        assert one.why.isprintable()

    async def careless(intent: Any) -> Report:
        return Report(state=ReportState.LIVE, order_id=f"{intent.key}{FORGED}")

    monitor = world.monitor(executor=Instead(world.executor, send=careless, find=careless))
    await world.adopted(monitor)
    world.flip()

    reports = await world.ticks(monitor, 3, every=60)

    told = [*logs.lines, *await dumped(world), *map(str, reports)]
    assert [line for line in told if "forged" in line] == []


async def test_a_hand_close_takes_a_code_as_its_reason_and_never_a_text(world: World, logs: Everything) -> None:
    monitor = world.monitor()
    position = await world.adopted(monitor)

    for reason in (FORGED, CANARY, "because", ""):
        with pytest.raises(InputError) as raised:
            await monitor.close(position.id, reason)
        assert CANARY not in str(raised.value)

    assert [line for line in (*logs.lines, *await dumped(world)) if CANARY in line] == []
    assert world.sent == []


async def test_a_name_to_approve_is_not_repeated(world: World, logs: Everything) -> None:
    with pytest.raises(InputError) as raised:
        await world.monitor().approve(f"{CANARY}{FORGED}")

    assert CANARY not in str(raised.value)
    assert [line for line in logs.lines if CANARY in line] == []


async def test_a_rule_that_raises_a_secret_tells_it_to_nobody(world: World, logs: Everything) -> None:
    @rule
    def indiscreet(ctx: RuleContext) -> Verdict:
        raise odd(f"Oops {FORGED}")(CANARY)

    careless = Careless()
    monitor = world.monitor(strategy=presets.conservative() | indiscreet, observers=[careless])
    await world.adopted(monitor)

    reports = await world.ticks(monitor, 2, every=60)
    await monitor.aclose()

    assert reports[-1].alarms
    told = [*logs.lines, *careless.lines, *await dumped(world), *map(str, reports)]
    assert [line for line in told if CANARY in line] == []
    assert [line for line in _of_one_line(logs, careless, reports) if any(raw in line for raw in RAW)] == []


async def test_nothing_of_it_is_in_the_file_of_a_store(world: World, logs: Everything, tmp_path: Path) -> None:
    world.store = SqliteStore(tmp_path / "store.db", mode=StoreMode.LIVE, clock=world.clock)
    await world.adopted(world.monitor())
    world.flip()
    error = raises(f"{CANARY} {FORGED}")
    monitor = world.monitor(executor=Instead(world.executor, send=error, find=error))
    world.grvt.plan("read", Fate(answer=Answer.UNAVAILABLE))

    await world.ticks(monitor, 3, every=60)
    await world.store.aclose()

    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"BTC" in written
    assert CANARY.encode() not in written
    assert [line for line in logs.lines if CANARY in line] == []


def test_the_store_of_these_tests_is_dumped_whole() -> None:
    """What `dumped` reads is all that a MemoryStore has."""
    tables: Any = MemoryStore()._tables
    assert set(vars(tables)) == {
        "lease",
        "at",
        "positions",
        "orders",
        "owners",
        "decisions",
        "ledger",
        "seen",
        "means",
        "ticks",
    }
