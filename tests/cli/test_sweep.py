"""`rebalancer sweep`: many settings of a preset, the best beside what they earned out of sample."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rebalancer import Costs, FundingHistory
from rebalancer.cli.app import app
from rebalancer.domain.numbers import fraction, plain
from rebalancer.domain.times import from_epoch, write_instant
from rebalancer.replay import grid, sweep, walk_forward
from rebalancer.replay.scores import Scorer
from rebalancer.testing import sample_history

pytest.importorskip("numpy")

THRESHOLDS = ("--set", "min_erosion_threshold=0.3,0.5")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four days of the sample, in a file."""
    path = tmp_path_factory.mktemp("sweep") / "history.csv"
    with path.open("w") as file:
        file.write("time_utc,venue,symbol,funding_rate,interval_hours\n")
        for series, row in sample_history(days=4).rows():
            when, rate = write_instant(from_epoch(row.at)), plain(fraction(row.value))
            file.write(f"{when},{series.market.venue},{series.market.symbol},{rate},{row.interval // 3600}\n")
    return path


@pytest.fixture(autouse=True)
def _a_terminal_of_120_columns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.chdir(tmp_path)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["sweep", *map(str, words), "--workers", "1"])


def printed(*words: object) -> str:
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def refused(*words: object) -> str:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


def test_the_best_settings_stand_beside_what_they_earned_out_of_sample(history: Path) -> None:
    result = sweep(
        "conservative",
        grid(min_erosion_threshold=["0.3", "0.5"], leg_bps=["1"]),
        FundingHistory.read(history),
        workers=1,
    )
    best, walked = result.best(1)[0], walk_forward(result)

    said = printed(history, *THRESHOLDS, "--leg-bps", "1")

    assert "2 settings of conservative on history.csv" in said
    assert "In all of them: leg_bps 1." in said
    figures = [f"{figure:,.1f}" for figure in (best.in_sample_bps, best.out_of_sample_bps, best.net_bps)]
    threshold = best.parameters["min_erosion_threshold"]
    assert re.search(rf"min_erosion_threshold {threshold} +{' +'.join(map(re.escape, figures))} ", said)
    for split in walked.time:
        assert re.search(rf"{split.out_of_sample_bps:,.1f} +{split.rank} of 2", said)
    assert f"earned {walked.in_time_bps:,.1f} bp out of sample" in said
    assert f"chosen without it: {walked.across_symbols_bps:,.1f} bp" in said


def test_what_trading_costs_is_no_choice_each_has_its_own_tables(history: Path) -> None:
    said = printed(history, *THRESHOLDS, "--leg-bps", "0,2", "--walk-forward", "2")
    assert [line for line in said.splitlines() if line.startswith("A leg trade")] == [
        "A leg trade costs 0 bp",
        "A leg trade costs 2 bp",
    ]
    assert said.count("1 of 2") + said.count("2 of 2") == 2 * (1 + 3)


def test_in_a_narrow_terminal_no_figure_is_broken(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = set(re.findall(r"-?[\d,]+\.\d+\b", printed(history, *THRESHOLDS)))
    monkeypatch.setenv("COLUMNS", "34")
    assert figures <= set(re.findall(r"-?[\d,]+\.\d+\b", printed(history, *THRESHOLDS)))


def test_the_whole_table_is_written_as_csv_parquet_and_json(history: Path, tmp_path: Path) -> None:
    printed(history, *THRESHOLDS, "--out", "table.csv", "--json", "table.json")
    with (tmp_path / "table.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    found: dict[str, Any] = json.loads((tmp_path / "table.json").read_text())
    assert [line["min_erosion_threshold"] for line in lines] == ["0.3", "0.5"]
    assert [line["net_bps"] for line in lines] == [row["net_bps"] for row in found["rows"]]
    assert [len(found["walk_forward"]), len(found["walk_forward"][0]["time"])] == [1, 3]
    assert found["walk_forward"][0]["costs"] == json.loads(Costs.flat(leg_bps=2).model_dump_json())

    parquet = pytest.importorskip("pyarrow.parquet")
    printed(history, *THRESHOLDS, "--out", "table.parquet")
    rows = parquet.read_table(tmp_path / "table.parquet").to_pylist()
    assert [plain(row["net_bps"]) for row in rows] == [line["net_bps"] for line in lines]


def test_a_dash_prints_json_and_nothing_else(history: Path) -> None:
    assert len(json.loads(printed(history, *THRESHOLDS, "--json", "-"))["rows"]) == 2


def test_values_may_be_a_range_and_random_takes_some_of_the_grid(history: Path) -> None:
    words = (history, "--set", "min_erosion_threshold=0.3:0.9:0.1", "--json", "-", "--random", "3")
    rows = json.loads(printed(*words, "--seed", "1"))["rows"]
    thresholds = [row["parameters"]["min_erosion_threshold"] for row in rows]
    assert len(set(thresholds)) == 3
    assert set(thresholds) < {f"0.{digit}" for digit in range(3, 10)}
    assert json.loads(printed(*words, "--seed", "1"))["rows"] == rows


def test_a_preset_without_a_configuration_is_swept_over_its_entry(history: Path) -> None:
    rows = json.loads(printed(history, "--preset", "combined", "--set", "above=0.0001,0.0009", "--json", "-"))["rows"]
    assert rows[0]["trades"] > rows[1]["trades"]


def test_a_sweep_goes_on_from_its_file(history: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = printed(history, *THRESHOLDS, "--resume", "done.jsonl")
    monkeypatch.setattr(Scorer, "scores", None)  # nothing is left to be replayed
    assert printed(history, *THRESHOLDS, "--resume", "done.jsonl") == whole
    assert "is of a sweep with another history" in refused(history, "--symbols", "BTC", "--resume", "done.jsonl")


def test_a_setting_that_fails_is_told_and_the_others_are_shown(history: Path) -> None:
    said = printed(history, "--set", "min_erosion_threshold=0.3,9")
    assert "best 1" in said
    assert "1 of 2 settings failed, the first with: RebalanceConfig: min_erosion_threshold" in said


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--set", "min_erosion_treshold=0.3"), "did you mean 'min_erosion_threshold'"),
        (("--set", "min_erosion_threshold"), "--set takes KEY=VALUE, such as min_erosion_threshold=0.3,0.5"),
        (("--set", "min_erosion_threshold=,"), "--set min_erosion_threshold: give at least one value"),
        (("--set", "min_erosion_threshold=1:2:x"), "--set min_erosion_threshold: not a number"),
        (("--set", "leg_bps=1"), "costs are given as --leg-bps A,B"),
        (("--preset", "combind"), "did you mean 'combined'"),
        (("--out", "table.xlsx"), "--out writes .csv or .parquet"),
        (("--out", "a.csv", "--resume", "a.csv"), "--out, --json and --resume need a file each"),
        (("--resume", "no/folder/file"), "can not be written"),
        (("--json", "no/folder/file"), "can not be written"),
        (("--walk-forward", "1000"), "too short for 1000 parts"),
    ],
)
def test_what_is_refused_is_one_line(history: Path, words: tuple[str, ...], why: str) -> None:
    assert why in refused(history, *words)


def test_the_history_is_never_overwritten(history: Path) -> None:
    before = history.read_bytes()
    assert "must not overwrite the history" in refused(history, "--out", history)
    assert history.read_bytes() == before
