"""The switch, and the file that kills."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from rebalancer import InputError, StoreError, Switch
from rebalancer.adapters import MemoryStore
from rebalancer.monitor.brake import Brake
from rebalancer.monitor.keeper import Keeper
from rebalancer.testing import ManualClock


def a_brake(kill_file: Path | None, store: MemoryStore | None = None) -> Brake:
    keeper = Keeper(
        store or MemoryStore(),
        clock=ManualClock(),
        holder="me",
        lease=timedelta(seconds=60),
        deadline=timedelta(seconds=1),
    )
    return Brake(keeper, kill_file=kill_file)


async def test_the_file_kills_and_its_going_away_lets_nothing_begin_again(tmp_path: Path) -> None:
    store, file = MemoryStore(), tmp_path / "kill"
    brake = a_brake(file, store)
    assert await brake.switch() is Switch.RUN

    file.touch()
    assert await brake.switch() is Switch.KILL
    file.unlink()

    assert await brake.switch() is Switch.KILL
    assert await store.switch() is Switch.KILL
    await brake.set(Switch.RUN)
    assert await brake.switch() is Switch.RUN


@pytest.mark.parametrize("switch", [Switch.RUN, Switch.PAUSE, Switch.FLATTEN])
async def test_nothing_but_kill_is_set_while_the_file_is_there(tmp_path: Path, switch: Switch) -> None:
    file = tmp_path / "kill"
    file.touch()
    brake = a_brake(file)

    with pytest.raises(InputError, match="remove it first"):
        await brake.set(switch)
    await brake.set(Switch.KILL)


async def test_a_file_that_can_not_be_looked_at_may_be_there(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    brake = a_brake(tmp_path / "file" / "kill")  # below a file: not "there is none", but an error

    assert await brake.switch() is Switch.KILL
    with pytest.raises(InputError):
        await brake.set(Switch.RUN)


@pytest.mark.parametrize("kind", ["directory", "dangling link"])
async def test_whatever_has_the_name_kills(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "kill"
    if kind == "directory":
        file.mkdir()
    else:
        file.symlink_to(tmp_path / "nowhere")

    assert await a_brake(file).switch() is Switch.KILL


async def test_a_switch_that_can_not_be_read_is_an_error_and_never_run() -> None:
    class Deaf(MemoryStore):
        async def switch(self) -> Switch:
            raise OSError

    with pytest.raises(StoreError):
        await a_brake(None, Deaf()).switch()


async def test_a_kill_by_file_that_can_not_be_stored_lets_nothing_through(tmp_path: Path) -> None:
    class Full(MemoryStore):
        async def set_switch(self, switch: Switch) -> None:
            raise OSError

    (tmp_path / "kill").touch()

    with pytest.raises(StoreError):
        await a_brake(tmp_path / "kill", Full()).switch()
