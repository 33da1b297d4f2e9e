"""Both stores do what a store must do, and each check fails for a store that does not."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from rebalancer.adapters.stores import MemoryStore, SqliteStore
from rebalancer.domain.batch import StoreMode
from rebalancer.ports import PositionStore
from rebalancer.testing import ManualClock
from rebalancer.testing.stores import StoreCheck, checks_for_store

CLOCK = ManualClock()


class Temporary(SqliteStore):
    """A store in a file that goes away with it."""

    def __init__(self) -> None:
        self.folder = TemporaryDirectory()
        super().__init__(Path(self.folder.name) / "positions.db", mode=StoreMode.LIVE, clock=CLOCK)

    async def aclose(self) -> None:
        await super().aclose()
        self.folder.cleanup()


def in_memory() -> PositionStore:
    return MemoryStore(mode=StoreMode.LIVE, clock=CLOCK)


@pytest.mark.parametrize("check", checks_for_store(in_memory, advance=CLOCK.advance), ids=str)
def test_the_store_in_memory(check: StoreCheck) -> None:
    check()


@pytest.mark.parametrize("check", checks_for_store(Temporary, advance=CLOCK.advance), ids=str)
def test_the_store_in_a_file(check: StoreCheck) -> None:
    check()


def test_a_store_says_what_its_positions_are(tmp_path: Path) -> None:
    assert in_memory().mode is StoreMode.LIVE
    assert SqliteStore(tmp_path / "positions.db", mode=StoreMode.PAPER).mode is StoreMode.PAPER
    assert MemoryStore().mode is StoreMode.DRY
