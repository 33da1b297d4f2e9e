"""A sweep that is interrupted goes on where it was, and never with the results of another."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rebalancer import CombinedStrategy, Costs, InputError, ProfitErosion
from rebalancer.history.table import FundingHistory, Series
from rebalancer.replay import Scores, Setting, SweepResult, grid, sweep
from rebalancer.replay.resume import fingerprint
from rebalancer.replay.scores import Scorer
from rebalancer.testing import sample_history

pytest.importorskip("numpy")

HISTORY = sample_history(days=1)
DESIGN = grid(keep=["0.2", "0.5"], leg_bps=[0, 1])

PROGRAM = """
import os, time
import rebalancer as rb
from rebalancer.replay import Setting, grid, sweep
from rebalancer.replay.scores import Scorer
from rebalancer.replay.spread import Sizes
from rebalancer.testing import sample_history

class Told(rb.EntryPolicy):
    number: int = 0

    def should_open(self, symbol, snapshot, *, targets=None):
        if symbol == "BTC" and not seen and not quiet:
            seen.append(1)
            with open("began", "a") as file:
                file.write(f"{os.getpid()} {self.number}\\n")
            time.sleep(0.05)
        return super().should_open(symbol, snapshot)

seen, quiet = [], []

def make(number):
    strategy = rb.CombinedStrategy(rb.ProfitErosion(keep="0.5"))
    return Setting(strategy, entry=Told(number=number), costs=rb.Costs.flat(leg_bps=number))

def forget(run):
    def scores(scorer, settings):
        seen.clear()
        assert len(settings) == 1
        return run(scorer, settings)
    return scores

if __name__ == "__main__":
    original = Scorer.scores
    Scorer.scores = forget(original)
    Sizes.next = lambda sizes, left: 1  # one setting a chunk, so that what began is known
    history, design = sample_history(days=1), grid(number=range(16))
    result = sweep(make, design, history, workers=2, resume="done.jsonl", optimum=False)
    quiet.append(1)
    Scorer.scores = original
    assert result == sweep(make, design, history, workers=1, optimum=False)
"""


def began(folder: Path) -> list[tuple[int, int]]:
    """The processes and the numbers of the settings that were begun."""
    file = folder / "began"
    lines = file.read_text().split("\n")[:-1] if file.exists() else []
    return [(int(process), int(number)) for process, number in (line.split() for line in lines)]


def finished(folder: Path) -> int:
    file = folder / "done.jsonl"
    return max(0, file.read_bytes().count(b"\n") - 1) if file.exists() else 0


def runs(process: int) -> bool:
    """Whether a process is there, and not merely waiting for its parent to look."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def until(true: Any) -> None:
    end = time.monotonic() + 20
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def started(folder: Path) -> subprocess.Popen[bytes]:
    """The program, at a terminal of its own."""
    with (folder / "said").open("wb") as said:
        return subprocess.Popen([sys.executable, "program.py"], cwd=folder, start_new_session=True, stderr=said)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are looked up in /proc")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT], ids=lambda how: how.name)
def test_a_sweep_killed_midway_goes_on_and_replays_nothing_twice(tmp_path: Path, how: signal.Signals) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    with started(tmp_path) as process:
        until(lambda: finished(tmp_path) >= 4)
        if how is signal.SIGINT:
            os.killpg(process.pid, how)  # as Ctrl-C does: all processes hear of it
        else:
            process.send_signal(how)
        process.wait()
    assert "Process" not in (tmp_path / "said").read_text()  # the workers end without a word
    done = finished(tmp_path)
    assert done < 16
    workers = {pid for pid, _ in began(tmp_path)}
    until(lambda: not any(map(runs, workers)))  # no orphans, whatever the end
    before = len(began(tmp_path))
    first = [json.loads(line)[0] for line in (tmp_path / "done.jsonl").read_bytes().split(b"\n")[1 : done + 1]]

    with started(tmp_path) as process:
        assert process.wait() == 0

    assert len(began(tmp_path)) - before == 16 - done
    names = [json.loads(line)[0] for line in (tmp_path / "done.jsonl").read_text().splitlines()[1:]]
    assert names[:done] == first
    assert len(names) == len(set(names)) == 16


class Counted:
    """A sweep of small settings, and how many it replayed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.replayed = 0
        original = Scorer.scores

        def scores(scorer: Scorer, settings: list[Setting]) -> Scores:
            self.replayed += len(settings)
            return original(scorer, settings)

        monkeypatch.setattr(Scorer, "scores", scores)

    def __call__(self, file: Path, **changed: Any) -> SweepResult:
        self.replayed = 0
        options: dict[str, Any] = {"design": DESIGN, "history": HISTORY, "make": make} | changed
        return sweep(**options, workers=1, resume=file)


def make(*, keep: str, leg_bps: int) -> Setting:
    return Setting(CombinedStrategy(ProfitErosion(keep=keep)), costs=Costs.flat(leg_bps=leg_bps))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_what_is_finished_is_not_replayed_again_and_the_table_is_the_same(counted: Counted, tmp_path: Path) -> None:
    whole = counted(tmp_path / "done")
    assert counted.replayed == 4
    assert counted(tmp_path / "done") == whole
    assert counted.replayed == 0


def test_a_larger_design_reuses_what_is_there(counted: Counted, tmp_path: Path) -> None:
    counted(tmp_path / "done")
    counted(tmp_path / "done", design=grid(keep=["0.2", "0.4", "0.5"], leg_bps=[0, 1]))
    assert counted.replayed == 2


def test_a_changed_setting_under_the_same_parameters_is_replayed(counted: Counted, tmp_path: Path) -> None:
    def other(*, keep: str, leg_bps: int) -> Setting:
        return Setting(CombinedStrategy(ProfitErosion(keep=keep, reason="OTHER")), costs=Costs.flat(leg_bps=leg_bps))

    counted(tmp_path / "done")
    counted(tmp_path / "done", make=other)
    assert counted.replayed == 4


@pytest.mark.parametrize("cut", [1, 5, 40])
def test_a_torn_last_line_is_repaired(counted: Counted, tmp_path: Path, cut: int) -> None:
    whole = counted(tmp_path / "done")
    complete = (tmp_path / "done").read_bytes()
    (tmp_path / "done").write_bytes(complete[:-cut])

    assert counted(tmp_path / "done") == whole
    assert counted.replayed == 1
    assert (tmp_path / "done").read_bytes() == complete


@pytest.mark.parametrize("size", [0, 1, 30])
def test_a_torn_first_line_is_repaired(counted: Counted, tmp_path: Path, size: int) -> None:
    counted(tmp_path / "done")
    complete = (tmp_path / "done").read_bytes()
    (tmp_path / "done").write_bytes(complete[:size])
    counted(tmp_path / "done")
    assert (tmp_path / "done").read_bytes() == complete


def test_an_error_is_kept_too(counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: Any, **__: Any) -> Any:
        raise LookupError("no")

    with monkeypatch.context() as patch:
        patch.setattr(Scorer, "scores", failing)
        first = sweep(make, DESIGN, HISTORY, workers=1, resume=tmp_path / "done")
    assert [row.error for row in first] == ["LookupError: no"] * 4
    assert counted(tmp_path / "done") == first
    assert counted.replayed == 0


def turned(history: FundingHistory) -> FundingHistory:
    """The same times and markets, and one rate that differs."""
    first, *others = history.series
    row, *rows = first.rows
    changed = type(row)(at=row.at, value=row.value + 1, interval=row.interval)
    return FundingHistory.of([Series(first.market, first.kind, (changed, *rows)), *others])


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"history": turned(HISTORY)}, "another history"),
        ({"history": sample_history(days=2)}, "another history"),
        ({"parts": 3}, "other parts of time"),
    ],
)
def test_the_file_of_another_sweep_is_refused_and_left_alone(
    counted: Counted, tmp_path: Path, changed: dict[str, Any], why: str
) -> None:
    counted(tmp_path / "done")
    before = (tmp_path / "done").read_bytes()
    with pytest.raises(InputError, match=rf"done is of a sweep with {why}: give another file, or delete it"):
        counted(tmp_path / "done", **changed)
    assert (tmp_path / "done").read_bytes() == before


def test_another_version_of_the_library_is_refused(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted(tmp_path / "done")
    monkeypatch.setattr(sys.modules["rebalancer.replay.sweep"], "version", lambda _: "0.0.1")
    with pytest.raises(InputError, match="another version"):
        counted(tmp_path / "done")


@pytest.mark.parametrize("text", ["keep,net_bps\n1,2\n", "{}\n", "5\n", "notes", '["rebalancer sweep 9", {}]\n'])
def test_a_file_of_something_else_is_refused_and_left_alone(counted: Counted, tmp_path: Path, text: str) -> None:
    (tmp_path / "done").write_text(text)
    with pytest.raises(InputError, match="not the file of an interrupted sweep"):
        counted(tmp_path / "done")
    assert (tmp_path / "done").read_text() == text


def test_a_damaged_line_is_named(counted: Counted, tmp_path: Path) -> None:
    counted(tmp_path / "done")
    lines = (tmp_path / "done").read_bytes().split(b"\n")
    lines[2] = b"7"
    (tmp_path / "done").write_bytes(b"\n".join(lines))
    with pytest.raises(InputError, match="line 3 is damaged"):
        counted(tmp_path / "done")


def test_two_sweeps_do_not_write_one_file(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    lock = "file = open('done', 'w'); fcntl.lockf(file, fcntl.LOCK_EX); print(flush=True); time.sleep(60)"
    holder = f"import fcntl, time; {lock}"
    with subprocess.Popen([sys.executable, "-c", holder], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(InputError, match="being written by another sweep"):
            sweep(make, DESIGN, HISTORY, workers=1, resume=tmp_path / "done")
        process.kill()


def test_a_file_that_can_not_be_written_says_why(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="can not be written"):
        sweep(make, DESIGN, HISTORY, workers=1, resume=tmp_path / "no" / "done")


def test_equal_histories_have_one_fingerprint_and_any_changed_cell_another() -> None:
    assert fingerprint(sample_history(days=1)) == fingerprint(HISTORY)
    assert fingerprint(turned(HISTORY)) != fingerprint(HISTORY)
