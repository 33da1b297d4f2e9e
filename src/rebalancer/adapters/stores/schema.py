"""The tables of a store's file, and how a file of an older layout becomes one of this."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from ...domain.batch import StoreMode
from ...domain.lifecycle import Switch
from ...errors import StoreError

APPLICATION = 0x7265_6261
"""The mark in the header of every file of ours: `reba`."""

Migration = Sequence[str]
"""The statements that make a layout from the one before it."""

MIGRATIONS: tuple[Migration, ...] = (
    (
        "CREATE TABLE meta (id INTEGER PRIMARY KEY CHECK (id = 1), schema INTEGER NOT NULL, mode TEXT NOT NULL, "
        "switch TEXT NOT NULL)",
        "CREATE TABLE lease (id INTEGER PRIMARY KEY CHECK (id = 1), epoch INTEGER NOT NULL, holder TEXT, until TEXT)",
        "CREATE TABLE positions (id TEXT NOT NULL PRIMARY KEY, opened_at INTEGER NOT NULL, status TEXT NOT NULL, "
        "version INTEGER NOT NULL, value TEXT NOT NULL)",
        "CREATE INDEX positions_live ON positions (opened_at) WHERE status <> 'closed'",
        "CREATE TABLE claims (venue TEXT NOT NULL, symbol TEXT NOT NULL, position_id TEXT NOT NULL, "
        "PRIMARY KEY (venue, symbol)) WITHOUT ROWID",
        "CREATE TABLE intents (key TEXT NOT NULL PRIMARY KEY, position_id TEXT NOT NULL, effect TEXT NOT NULL, "
        "leg TEXT NOT NULL, attempt INTEGER NOT NULL, state TEXT NOT NULL, revision INTEGER NOT NULL, "
        "value TEXT NOT NULL, UNIQUE (position_id, effect, leg, attempt))",
        "CREATE INDEX intents_unfinished ON intents (position_id) WHERE state IN ('planned', 'sent')",
        "CREATE TABLE decisions (id TEXT NOT NULL PRIMARY KEY, position_id TEXT NOT NULL, as_of INTEGER NOT NULL, "
        "held TEXT, approved_at TEXT, value TEXT NOT NULL)",
        "CREATE INDEX decisions_by_time ON decisions (as_of)",
        "CREATE TABLE ledger (position_id TEXT NOT NULL, venue TEXT NOT NULL, kind TEXT NOT NULL, at TEXT NOT NULL, "
        "value TEXT NOT NULL, PRIMARY KEY (position_id, venue, kind, at)) WITHOUT ROWID",
        "CREATE TABLE observations (venue TEXT NOT NULL, symbol TEXT NOT NULL, observed_at INTEGER NOT NULL, "
        "rate INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (venue, symbol, observed_at, rate))",
    ),
    (
        "CREATE TABLE smoothed (venue TEXT NOT NULL, symbol TEXT NOT NULL, signal TEXT NOT NULL, "
        "settled_at INTEGER NOT NULL, value TEXT NOT NULL, PRIMARY KEY (venue, symbol, signal)) WITHOUT ROWID",
    ),
    ("CREATE TABLE ticks (at INTEGER PRIMARY KEY, value TEXT NOT NULL)",),  # in microseconds
)
"""Layout 1 from an empty file, then each from the one before. What was released is never edited: add another."""


def create(connection: sqlite3.Connection, mode: StoreMode, migrations: Sequence[Migration] = MIGRATIONS) -> None:
    """Make an empty file a store of `mode`."""
    connection.execute(f"PRAGMA application_id = {APPLICATION}")
    connection.execute("BEGIN IMMEDIATE")
    for migration in migrations:
        for statement in migration:
            connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES (1, ?, ?, ?)", (len(migrations), mode, Switch.RUN))
    connection.execute("INSERT INTO lease VALUES (1, 0, NULL, NULL)")
    connection.execute("COMMIT")


def bring_up_to_date(
    connection: sqlite3.Connection, mode: StoreMode, migrations: Sequence[Migration] = MIGRATIONS
) -> None:
    """Migrate a store of an older layout, all of it in one transaction.

    Raises StoreError, and changes nothing, for a newer layout or a store of another mode.
    """
    if _layout(connection, mode, migrations) == len(migrations):
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        found = _layout(connection, mode, migrations)  # somebody else may have been here since
        for migration in migrations[found:]:
            for statement in migration:
                connection.execute(statement)
        connection.execute("UPDATE meta SET schema = ?", (len(migrations),))
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _layout(connection: sqlite3.Connection, mode: StoreMode, migrations: Sequence[Migration]) -> int:
    """The layout of a store of `mode` that this version can read or migrate."""
    layout, its_mode = layout_and_mode(connection, migrations)
    if its_mode != mode:
        raise StoreError(f"the store was made for {its_mode}, not for {mode}: it was left untouched; take another file")
    return layout


def layout_and_mode(
    connection: sqlite3.Connection, migrations: Sequence[Migration] = MIGRATIONS
) -> tuple[int, StoreMode]:
    """What a store is, whatever it was made for. Raises StoreError for a newer layout than this version knows."""
    row = connection.execute("SELECT schema, mode FROM meta").fetchone()
    if row is None:
        raise StoreError("the store has lost its first row: keep a copy of it, and restore it from a backup")
    layout, its_mode = row
    if layout > len(migrations):
        raise StoreError(
            f"the store has layout {layout}, and this version of rebalancer knows up to {len(migrations)}: "
            "it was left untouched; install a newer version"
        )
    try:
        return int(layout), StoreMode(its_mode)
    except ValueError:
        raise StoreError("the store does not say what it was made for: restore it from a backup") from None
