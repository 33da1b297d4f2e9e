"""The experiments of `research/` rest on a plain simulator, which earns what the library's replay earns to the step."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from rebalancer import FundingHistory
from rebalancer.history.table import Series
from rebalancer.testing import sample_history

RESEARCH = Path(__file__).parents[1] / "research"

pytestmark = pytest.mark.skipif(not RESEARCH.is_dir(), reason="the experiments are in a clone alone")


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.syspath_prepend(str(RESEARCH))
    import lab as module

    yield module
    for name in ("lab", "concentration"):
        sys.modules.pop(name, None)


def days(count: int) -> FundingHistory:
    """The first days of the made-up history."""
    whole = sample_history()
    until = whole.start + count * 86_400
    return FundingHistory.of(
        Series(one.market, one.kind, tuple(row for row in one.rows if row.at <= until)) for one in whole.series
    )


@pytest.fixture(scope="module")
def history() -> FundingHistory:
    return days(40)


def test_the_plain_simulator_earns_what_the_replay_earns(lab: ModuleType, history: FundingHistory) -> None:
    made = lab.Lab.of("made up", history)
    assert made.base.any()


def test_a_simulator_that_earns_something_else_is_refused(lab: ModuleType, history: FundingHistory) -> None:
    made = lab.Lab.of("made up", history)
    made.__dict__["base"] = made.net(made.run(made.carry(*made.means(), horizon=lab.HORIZON // 2)))
    with pytest.raises(AssertionError, match="do not earn the same"):
        made.check()


def test_late_rates_are_unknown_at_first(lab: ModuleType) -> None:
    assert lab.later(np.array([[1, 2, 3]]), 1).tolist() == [[0, 1, 2]]
    assert lab.later(np.array([True, True]), 1).tolist() == [False, True]


def test_a_move_is_put_off_while_the_held_pair_is_paid_more(lab: ModuleType, history: FundingHistory) -> None:
    made = lab.Lab.of("made up", history)
    never_now = np.zeros_like(made.adaptive)
    never_now[:, :, 0] = 1
    assert not made.run(made.adaptive, never_now).any()


def test_no_more_symbols_than_the_limit_are_on_one_pair_of_venues(lab: ModuleType, history: FundingHistory) -> None:
    import concentration

    made = lab.Lab.of("made up", history)
    kinds = concentration.directions(made)
    fullest = []
    for states in (made.run(made.adaptive), concentration.limited(made, kinds, 1)):
        held = kinds[np.arange(made.count)[:, None], states]
        fullest.append(max(int((held == kind).sum(axis=1).max()) for kind in range(1, kinds.max() + 1)))
    assert fullest == [2, 1]


def test_a_limit_that_is_never_reached_changes_nothing(lab: ModuleType, history: FundingHistory) -> None:
    import concentration

    made = lab.Lab.of("made up", history)
    states = concentration.limited(made, concentration.directions(made), made.count)
    assert (states == made.run(made.adaptive)).all()


@pytest.mark.parametrize("name", sorted(path.stem for path in RESEARCH.glob("*.py") if path.stem != "lab"))
def test_every_experiment_runs_on_the_files_that_it_is_given(
    lab: ModuleType,
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "made-up.csv"
    days(12).write(path)
    files = [str(path)] * (2 if name == "forming" else 1)
    monkeypatch.setattr(sys, "argv", [f"research/{name}.py", *files])
    runpy.run_path(str(RESEARCH / f"{name}.py"), run_name="__main__")
    assert "made-up" in capsys.readouterr().out


def test_without_histories_an_experiment_says_what_to_give(
    lab: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["research/hurdle.py"])
    monkeypatch.setattr(lab, "DATA", tmp_path)
    with pytest.raises(SystemExit, match="give the paths of your own"):
        lab.labs("")
