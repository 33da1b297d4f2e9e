"""The store in a file: how it is made and opened, what it refuses to touch, and what it says when it fails."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rebalancer import InputError, Position
from rebalancer.adapters.stores import SqliteStore
from rebalancer.adapters.stores.file import StoreFile
from rebalancer.adapters.stores.schema import MIGRATIONS, Migration
from rebalancer.domain.batch import Batch, Lease, StoredTick, StoreMode
from rebalancer.domain.intents import Side
from rebalancer.domain.lifecycle import Switch, changed
from rebalancer.errors import Conflict, StoreError
from rebalancer.testing import AS_OF, ManualClock, a_smoothed
from rebalancer.testing.store_checks import a_decision, an_entry
from rebalancer.testing.stores import an_intent, an_open_position

HOUR = timedelta(hours=1)
SOON = timedelta(milliseconds=20)
LONGER: tuple[Migration, ...] = (
    *MIGRATIONS,
    ("ALTER TABLE meta ADD COLUMN note TEXT", "UPDATE meta SET note = 'hello'"),
)
"""A later layout, for tests alone."""


def a_store(path: Path, **options: Any) -> SqliteStore:
    return SqliteStore(path, **{"mode": StoreMode.LIVE, "clock": ManualClock(), **options})


async def leased(store: SqliteStore) -> Lease:
    lease = await store.acquire("desk", HOUR)
    assert lease is not None
    return lease


async def filled(path: Path, *positions: Position) -> Lease:
    """Make a store with positions, and close it."""
    async with a_store(path) as store:
        lease = await leased(store)
        await store.commit(lease, Batch(positions=positions or (an_open_position(),)))
    return lease


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "positions.db"


def sql(path: Path, *statements: str) -> list[Any]:
    """What the last of some statements finds, run behind the store's back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements:
            found = connection.execute(statement).fetchall()
    return found


# Making and opening -------------------------------------------------------------------------------------------------


async def test_a_new_file_is_for_its_owner_alone_and_nothing_else_is_left_beside_it(path: Path) -> None:
    await filled(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in path.parent.iterdir()] == [path.name]


async def test_commits_are_flushed_to_the_disk(path: Path) -> None:
    async with a_store(path) as store:
        pragmas = ("journal_mode", "synchronous", "fullfsync", "checkpoint_fullfsync")
        found = store._file.use
        got = await asyncio.wrap_future(
            store._thread.submit(found, lambda one: [one.execute(f"PRAGMA {name}").fetchone()[0] for name in pragmas])
        )
    assert got == ["wal", 2, 1, 1]


async def test_what_was_written_is_there_when_the_file_is_opened_again(path: Path) -> None:
    position = an_open_position()
    lease = await filled(path, position)
    async with a_store(path) as store:
        assert await store.live() == (position,)
        assert await store.acquire("desk", HOUR) == lease
        await store.set_switch(Switch.KILL)
    async with a_store(path) as store:
        assert await store.switch() is Switch.KILL


async def test_a_file_is_opened_when_it_is_first_used(path: Path) -> None:
    store = a_store(path)
    assert not path.exists()
    assert await store.live() == ()
    assert path.exists()
    await store.aclose()


async def test_a_store_of_another_mode_is_refused_and_left_untouched(path: Path) -> None:
    await filled(path)
    before = path.read_bytes()
    with pytest.raises(StoreError, match="made for live, not for paper"):
        await a_store(path, mode=StoreMode.PAPER).__aenter__()
    assert path.read_bytes() == before


def test_a_mode_that_is_none_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="demo"):
        a_store(path, mode="demo")


def test_patience_is_not_negative(path: Path) -> None:
    with pytest.raises(InputError, match="patience"):
        a_store(path, patience=timedelta(seconds=-1))


async def test_a_lease_is_for_a_second_or_longer(path: Path) -> None:
    async with a_store(path) as store:
        with pytest.raises(InputError, match="a second or longer"):
            await store.acquire("desk", timedelta(milliseconds=999))


FOREIGN: dict[str, Callable[[Path], object]] = {
    "text": lambda path: path.write_text("not a database " * 100),
    "nothing": lambda path: path.touch(),
    "another program's database": lambda path: sql(path, "CREATE TABLE positions (id)"),
}


@pytest.mark.parametrize("kind", FOREIGN)
async def test_a_file_that_is_not_ours_is_refused_and_left_untouched(path: Path, kind: str) -> None:
    FOREIGN[kind](path)
    before = path.read_bytes()
    store = a_store(path)
    with pytest.raises(StoreError, match="not a store of rebalancer: it was left untouched"):
        await store.live()
    await store.aclose()
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="No such file or directory"):
        await a_store(tmp_path / "nowhere" / "positions.db").__aenter__()


async def test_many_that_make_one_file_at_once_all_use_the_same(path: Path) -> None:
    stores = [a_store(path) for _ in range(6)]
    leases = await asyncio.gather(*(store.acquire(f"desk {n}", HOUR) for n, store in enumerate(stores)))
    assert len([lease for lease in leases if lease]) == 1
    await asyncio.gather(*(store.aclose() for store in stores))


# Layouts --------------------------------------------------------------------------------------------------------------


def opened(path: Path, migrations: tuple[Migration, ...]) -> StoreFile:
    return StoreFile(path, StoreMode.LIVE, patience=SOON, migrations=migrations)


async def test_a_store_of_an_older_layout_is_migrated_with_all_it_has(path: Path) -> None:
    await filled(path)
    later = opened(path, LONGER)
    assert later.use(lambda one: one.execute("SELECT schema, note FROM meta").fetchone()) == (len(LONGER), "hello")
    assert later.use(lambda one: one.execute("SELECT count(*) FROM positions").fetchone()) == (1,)
    later.close()
    assert sql(path, "SELECT schema FROM meta") == [(len(LONGER),)]


async def test_a_store_of_the_first_layout_keeps_what_it_has_and_can_keep_smoothed_rates(path: Path) -> None:
    first = opened(path, MIGRATIONS[:1])
    first.use(lambda one: None)
    first.close()
    position, rate = an_open_position(), a_smoothed()
    sql(path, f"INSERT INTO positions VALUES ('{position.id}', 0, 'open', 0, '{position.model_dump_json()}')")
    async with a_store(path) as store:
        assert await store.live() == (position,)
        assert await store.smoothed() == ()
        await store.commit(await leased(store), Batch(smoothed=(rate,)))
        assert await store.smoothed() == (rate,)


async def test_a_store_of_the_second_layout_keeps_what_it_has_and_can_keep_ticks(path: Path) -> None:
    second = opened(path, MIGRATIONS[:2])
    second.use(lambda one: None)
    second.close()
    rate, tick = a_smoothed(), StoredTick(at=AS_OF, as_of=AS_OF, decided=3)
    sql(path, f"INSERT INTO smoothed VALUES ('lighter', 'BTC', 'a signal', 0, '{rate.model_dump_json()}')")
    async with a_store(path) as store:
        assert await store.smoothed() == (rate,)
        assert await store.ticks(AS_OF) == ()
        await store.commit(await leased(store), Batch(ticks=(tick,)))
        assert await store.ticks(AS_OF) == (tick,)


async def test_a_migration_that_fails_changes_nothing(path: Path) -> None:
    await filled(path)
    broken = (*LONGER, ("CREATE TABLE more (id)", "INSERT INTO nowhere VALUES (1)"))
    with pytest.raises(StoreError, match="no such table: nowhere"):
        opened(path, broken).use(lambda one: None)
    assert sql(path, "SELECT * FROM meta") == [(1, len(MIGRATIONS), "live", "run")]
    async with a_store(path) as store:
        assert len(await store.live()) == 1


async def test_a_store_of_a_newer_layout_is_refused_and_left_untouched(path: Path) -> None:
    await filled(path)
    later = opened(path, LONGER)
    later.use(lambda one: None)
    later.close()
    before = path.read_bytes()
    with pytest.raises(StoreError, match="has layout 4, and this version of rebalancer knows up to 3"):
        await a_store(path).__aenter__()
    assert path.read_bytes() == before


# Failures -------------------------------------------------------------------------------------------------------------


async def test_another_process_that_writes_for_too_long_is_an_error_and_nothing_is_lost(path: Path) -> None:
    lease = await filled(path)
    async with a_store(path, patience=SOON) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError, match="another process is writing"):
                await store.commit(lease, Batch(positions=(an_open_position(symbol="ETH"),)))
            assert len(await store.live()) == 1
            other.execute("ROLLBACK")
        await store.commit(lease, Batch(positions=(an_open_position(symbol="ETH"),)))
        assert len(await store.live()) == 2


async def test_a_full_file_is_an_error_and_nothing_of_the_batch_is_written(path: Path) -> None:
    lease = await filled(path)
    async with a_store(path) as store:
        limit = "PRAGMA max_page_count = 40"
        await asyncio.wrap_future(store._thread.submit(store._file.use, lambda one: one.execute(limit).fetchone()))
        many = tuple(an_open_position(symbol=f"S{number}") for number in range(500))
        with pytest.raises(StoreError, match="the disk is full; nothing was written: make room"):
            await store.commit(lease, Batch(positions=many))
        assert len(await store.live()) == 1
        await store.commit(lease, Batch(positions=many))
        assert len(await store.live()) == 501


def in_a_process(code: str, path: Path) -> str:
    """What a process that uses the store at `path` prints."""
    head = """
        import asyncio, os, resource, sys
        from datetime import timedelta
        from rebalancer.adapters.stores import SqliteStore
        from rebalancer.domain.batch import Batch
        from rebalancer.errors import StoreError
        from rebalancer.testing.stores import an_open_position
        path = sys.argv[1]

        async def main(prepare):
            prepare()
            store = SqliteStore(path, mode="live")
            done = 0
            try:
                lease = await store.acquire("desk", timedelta(hours=1))
                for number in range(400):
                    await store.commit(lease, Batch(positions=(an_open_position(symbol=f"S{number}"),)))
                    done += 1
            except StoreError as error:
                print(error)
            print(done, len(await store.live()) if done else None)
            await store.aclose()
    """
    ran = subprocess.run(
        [sys.executable, "-c", dedent(head) + dedent(code), str(path)], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


async def test_a_disk_that_fills_up_loses_no_commit_that_returned(path: Path) -> None:
    code = """
        limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, resource.RLIM_INFINITY))
        asyncio.run(main(limit))
    """
    said, counts = in_a_process(code, path).splitlines()
    done, live = map(int, counts.split())
    assert said.startswith(f"{path}: ")
    assert 0 < done == live < 400
    async with a_store(path) as store:
        assert len(await store.live()) == done


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs the users of a POSIX system")
async def test_a_file_that_may_only_be_read_is_an_error_and_keeps_what_it_has() -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "positions.db"
        await filled(path)
        path.chmod(0o444)
        Path(folder).chmod(0o555)
        said, counts = in_a_process("asyncio.run(main(lambda: os.geteuid() or os.setuid(65534)))", path).splitlines()
        assert said.startswith(f"{path}: it can not be ")
        assert counts == "0 None"
        Path(folder).chmod(0o755)
        assert sql(path, "SELECT count(*) FROM positions") == [(1,)]


async def test_a_damaged_page_is_an_error_that_says_so(path: Path) -> None:
    await filled(path, *(an_open_position(symbol=f"S{number}") for number in range(200)))
    with path.open("r+b") as file:
        for page in range(4, path.stat().st_size // 4096):
            file.seek(page * 4096)
            file.write(b"\xff" * 4096)
    store = a_store(path)
    with pytest.raises(StoreError, match="damaged: stop, keep a copy of it") as caught:
        await store.live()
    assert isinstance(caught.value.__cause__, sqlite3.DatabaseError)
    await store.aclose()


async def test_a_file_that_was_cut_short_is_an_error_that_says_so(path: Path) -> None:
    await filled(path)
    with path.open("r+b") as file:
        file.truncate(100)
    with pytest.raises(StoreError, match="damaged: stop, keep a copy of it"):
        await a_store(path).__aenter__()
    assert path.stat().st_size == 100


CHANGED = {
    "positions": "UPDATE positions SET value = replace(value, '\"10000\"', '\"ten\"')",
    "intents": "UPDATE intents SET value = replace(value, '\"attempt\":1', '\"attempt\":2')",
    "decisions": "UPDATE decisions SET value = replace(value, 'HOLD', 'HOLD') || ' ', id = 'x' || id",
    "ledger": "UPDATE ledger SET value = '{}'",
}


@pytest.mark.parametrize("table", CHANGED)
async def test_a_row_that_something_else_changed_is_an_error(path: Path, table: str) -> None:
    position = an_open_position()
    async with a_store(path) as store:
        lease = await leased(store)
        await store.commit(
            lease, Batch(positions=(position,), decisions=(a_decision(position),), ledger=(an_entry(position),))
        )
        closes = [an_intent(position, leg=leg) for leg in Side]
        await store.commit(lease, Batch(positions=(changed(position, status="pending_close"),), intents=tuple(closes)))
    sql(path, CHANGED[table])
    async with a_store(path) as store:
        with pytest.raises(StoreError, match=f"a row of {table} can not be read"):
            await asyncio.gather(
                store.live(), store.intents(position.id), store.decisions(AS_OF - HOUR), store.ledger(position.id)
            )


async def test_a_store_that_lost_its_first_row_is_refused(path: Path) -> None:
    await filled(path)
    sql(path, "DELETE FROM meta")
    with pytest.raises(StoreError, match="lost its first row"):
        await a_store(path).__aenter__()


@pytest.mark.parametrize("replaced", [False, True], ids=["moved", "replaced"])
async def test_a_file_that_is_moved_while_it_is_in_use_is_an_error_and_is_not_made_anew(
    path: Path, *, replaced: bool
) -> None:
    lease = await filled(path)
    store = a_store(path)
    assert len(await store.live()) == 1
    path.rename(path.with_name("moved.db"))
    if replaced:
        await filled(path, an_open_position(symbol="ETH"))
    for _ in range(2):
        with pytest.raises(StoreError, match="moved or replaced"):
            await store.commit(lease, Batch())
    await store.aclose()
    assert path.exists() == replaced


# Its thread -----------------------------------------------------------------------------------------------------------


async def test_the_event_loop_goes_on_while_the_store_waits(path: Path) -> None:
    lease = await filled(path)
    async with a_store(path) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(store.commit(lease, Batch(positions=(an_open_position(symbol="ETH"),))))
            for _ in range(100):
                await asyncio.sleep(0)
            assert not waiting.done()
            other.execute("ROLLBACK")
        await waiting


async def test_a_commit_that_is_cancelled_half_way_happens_and_is_seen_by_the_next_read(path: Path) -> None:
    lease = await filled(path)
    async with a_store(path) as store:
        await store.live()
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            waiting = asyncio.create_task(store.commit(lease, Batch(positions=(an_open_position(symbol="ETH"),))))
            while not store._thread._work_queue.empty() or not waiting.get_coro():
                await asyncio.sleep(0)
            for _ in range(20):
                await asyncio.sleep(0.001)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            other.execute("ROLLBACK")
        assert len(await store.live()) == 2


async def test_a_commit_that_is_cancelled_in_the_queue_never_happens(path: Path) -> None:
    lease = await filled(path)
    async with a_store(path) as store:
        gate = threading.Event()
        store._thread.submit(gate.wait)
        waiting = asyncio.create_task(store.commit(lease, Batch(positions=(an_open_position(symbol="ETH"),))))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        gate.set()
        assert len(await store.live()) == 1


async def test_no_thread_is_left_when_it_is_closed(path: Path) -> None:
    store = a_store(path)
    await store.live()
    (thread,) = store._thread._threads
    await store.aclose()
    thread.join(10)
    assert not thread.is_alive()


# Values ---------------------------------------------------------------------------------------------------------------

digits = st.decimals(min_value="1E-30", max_value="1E29", allow_nan=False).map(lambda number: f"{number:.25e}")


@given(
    long=digits, short=digits, price=digits, funding=st.decimals("-1E12", "1E12", places=2), note=st.text(max_size=20)
)
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_every_number_comes_back_exactly_when_the_file_is_read_anew(
    tmp_path_factory: pytest.TempPathFactory, long: str, short: str, price: str, funding: Any, note: str
) -> None:
    fields = {"long_quantity": long, "short_quantity": short, "long_entry_price": price}
    try:
        position = an_open_position(**fields, funding_collected_usd=funding, attention=note or None)
    except InputError:
        return
    path = tmp_path_factory.mktemp("store") / "positions.db"

    async def again() -> tuple[Position, ...]:
        await filled(path, position)
        async with a_store(path) as store:
            return await store.live()

    assert asyncio.run(again()) == (position,)


async def test_a_batch_that_was_rolled_back_is_not_remembered(path: Path) -> None:
    position = an_open_position()
    lease = await filled(path, position)
    async with a_store(path) as store:
        lease = await leased(store)
        sql(path, "CREATE TRIGGER full BEFORE INSERT ON ledger BEGIN SELECT RAISE(ABORT, 'no room'); END")
        after = changed(position, last_check=AS_OF)
        with pytest.raises(StoreError, match="no room"):
            await store.commit(lease, Batch(positions=(after,), ledger=(an_entry(position),)))
        assert await store.live() == (position,)
        assert await store.position(position.id) == position


async def test_a_conflict_leaves_the_connection_as_it_was(path: Path) -> None:
    lease = await filled(path)
    async with a_store(path) as store:
        with pytest.raises(Conflict):
            await store.commit(lease, Batch(positions=(an_open_position(age=HOUR),)))
        await store.commit(lease, Batch(positions=(an_open_position(symbol="ETH"),)))
