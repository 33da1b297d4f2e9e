"""A desk: a folder with a history, a file of positions and a store, and the commands in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command
from typer.testing import CliRunner, Result

from rebalancer import Position
from rebalancer.cli.app import app
from rebalancer.testing import a_position

MARKS = {"BTC": 100_000, "ETH": 4_000}
TURNS = 14
"""The hour at which the rates of ETH turn against the usual position."""


class Running:
    """A monitor in a process of its own that prints lines."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[str] = []

    def until(self, text: str) -> str:
        """The next line with a text in it; what it says besides, if it ends before."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line)
            if text in line:
                return line
        raise AssertionError(f"{text!r} was never printed: {''.join(self.lines)}{self.rest}")

    @property
    def rest(self) -> str:
        """What it printed to standard error."""
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def interrupted(self, by: signal.Signals = signal.SIGINT) -> int:
        """End it as Ctrl-C does; its exit status."""
        self.process.send_signal(by)
        return self.process.wait(timeout=20)


class Desk:
    """Where a person works. Its usual positions are BTC and ETH, opened on 2026-01-05 at 7:00."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "store.db"
        self.positions = folder / "positions.json"
        self.held = (a_position(), a_position(symbol="ETH"))
        self._write_history()

    def _write_history(self) -> None:
        lines = ["time_utc,venue,symbol,funding_rate,interval_hours,mark_price"]
        for hour in range(36):
            at = datetime(2026, 1, 5, tzinfo=UTC) + timedelta(hours=hour)
            for symbol, mark in MARKS.items():
                turned = symbol == "ETH" and hour >= TURNS
                for venue, rate in (("lighter", "0.00001"), ("grvt", "-0.00003" if turned else "0.00004")):
                    lines.append(f"{at.isoformat()},{venue},{symbol},{rate},1,{mark}")
        (self.folder / "history.csv").write_text("\n".join(lines) + "\n")

    def save(self, *positions: Position | dict[str, Any]) -> Path:
        """Write a file of positions."""
        rows = [one if isinstance(one, dict) else json.loads(one.model_dump_json()) for one in positions]
        self.positions.write_text(json.dumps(rows))
        return self.positions

    def at(self, hour: str, *, speed: int = 1) -> list[str]:
        """The options of a source that begins at this hour of 2026-01-05, such as `12:00`."""
        history = self.folder / "history.csv"
        given = (f"path={history}", f"start=2026-01-05T{hour}:00Z", f"speed={speed}")
        return ["--source", "history", *(word for one in given for word in ("-o", one))]

    def run(self, *words: object) -> Result:
        """A command."""
        return CliRunner().invoke(app, [str(word) for word in words])

    def on(self, command: str, *words: object) -> Result:
        """A command on the desk's store."""
        return self.run(*command.split(), *words, "--store", self.store)

    def said(self, command: str, *words: object) -> str:
        """What a command on the store prints that succeeds."""
        result = self.on(command, *words)
        assert result.exit_code == 0, result.output
        return result.stdout

    def refused(self, command: str, *words: object) -> str:
        """The one line on standard error of a command on the store that is refused."""
        result = self.on(command, *words)
        assert isinstance(result.exception, SystemExit), result.output
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr.startswith("error: ")
        assert result.stderr.count("\n") == 1
        return result.stderr.removeprefix("error: ").rstrip("\n")

    def imported(self, mode: str = "dry") -> None:
        """Have the usual positions in the store."""
        self.said("positions import", self.save(*self.held), "--mode", mode, *self.at("12:00"))

    def status(self) -> dict[str, Any]:
        """What `status --json` prints."""
        found: dict[str, Any] = json.loads(self.said("status", "--json"))
        return found

    @contextmanager
    def watching(self, *words: object, path: Path | None = None) -> Iterator[Running]:
        """A monitor of the store in a process of its own, until the block ends."""
        command = [sys.executable, "-m", "rebalancer", "monitor", "--store", str(self.store), *map(str, words)]
        environment = {**os.environ, **({} if path is None else {"PYTHONPATH": str(path)})}
        with subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        ) as process:
            try:
                yield Running(process)
            finally:
                process.kill()


_command = cache(get_command)


@pytest.fixture(autouse=True)
def _made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Typer makes all commands anew for each that is run, which takes longer than most of them."""
    monkeypatch.setattr("typer.testing._get_command", _command)


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A desk, at a terminal of 120 columns."""
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "REBALANCER_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)
    return Desk(tmp_path)
