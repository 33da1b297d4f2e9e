"""`rebalancer evaluate`: presets at several costs, beside holding through and the optimum."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rebalancer import FundingHistory, presets
from rebalancer.cli.app import app
from rebalancer.replay import Evaluation, evaluate
from rebalancer.replay.evaluation import NOT_IN_IT
from rebalancer.testing import sample_history

pytest.importorskip("numpy")

TWO = ("--preset", "combined", "--preset", "aggressive", "--round-trip", "2", "--round-trip", "8")


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight days of the sample, in a file."""
    path = tmp_path_factory.mktemp("evaluate") / "history.csv"
    sample_history(days=8).write(path)
    return path


@pytest.fixture(scope="module")
def found(history: Path) -> Evaluation:
    """What the library finds."""
    makers = {"combined": presets.combined, "aggressive": presets.aggressive}
    return evaluate(FundingHistory.read(history), strategies=makers, round_trips=[2, 8], workers=1)


@pytest.fixture(autouse=True)
def _a_terminal_of_100_columns(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.chdir(tmp_path)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate", *map(str, words), "--workers", "1"])


def printed(*words: object) -> str:
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def refused(*words: object) -> str:
    result = run(*words)
    assert (result.exit_code, result.stdout) == (1, ""), result.output
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


def test_each_cost_has_its_tables(history: Path, found: Evaluation) -> None:
    said = printed(history, *TWO)
    assert "2 presets on history.csv" in said
    assert [line for line in said.splitlines() if line.startswith("A round trip")] == [
        "A round trip of 2 bp, a leg trade of 0.5 bp",
        "A round trip of 8 bp, a leg trade of 2 bp",
    ]
    lines = [" ".join(line.split()) for line in said.splitlines()]
    for one in found.by_cost:
        for row in one.rows:
            interval = row.captured_interval
            ends = "-" if interval is None else f"{interval.low:.2f} to {interval.high:.2f}"
            above = row.symbols_above_hold_through
            counts = f"{row.symbols_above_zero} of 4 {'-' if above is None else f'{above} of 4'}"
            assert (
                f"{row.name} {row.net_bps:,.1f} {row.captured_share:.3f} {ends} {counts} {row.trades_a_year:,.0f}"
            ) in lines
            parts = " ".join(f"{bps:,.1f}" for bps in row.parts_bps) or "- - - -"
            assert f"{row.name} {parts} {row.worst_symbol} {row.worst_symbol_bps:,.1f}" in lines


def test_what_was_chosen_and_earned_out_of_sample_is_told(history: Path, found: Evaluation) -> None:
    said = printed(history, *TWO)
    for one in found.by_cost:
        assert one.walk_forward is not None
        assert f"Out of sample {one.walk_forward.in_time_bps:,.1f} bp." in said
        across = one.walk_forward.across_symbols_bps
        assert f"Out of sample {across:,.1f} bp, {one.across_symbols_share:.3f} of the optimum." in said
    assert "Before each part, the best of all parts before it: combined 3 of 3." in said
    alone = printed(history, "--preset", "combined", "--round-trip", "8")
    assert "Out of sample" not in alone  # there is no choice


def test_it_ends_with_what_the_figures_are_not(history: Path) -> None:
    assert printed(history, *TWO).endswith("\n".join(("", "", *NOT_IN_IT, "")))
    assert len(NOT_IN_IT) == 3


def test_all_presets_are_evaluated_at_8_16_and_30_bp_unless_others_are_named(history: Path) -> None:
    read = json.loads(printed(history, "--symbols", "BTC", "--json", "-"))
    assert [one["round_trip_bps"] for one in read["by_cost"]] == ["8", "16", "30"]
    names = [row["name"] for row in read["by_cost"][0]["strategies"]]
    assert names == ["adaptive", "combined", "conservative", "aggressive"]


def test_headings_are_broken_before_rows_are(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "88")
    said = printed(history, *TWO)
    assert "strategy:" not in said  # as a table that is still too wide has it: a line for each figure
    assert "net:" not in said
    rules = [line for line in said.splitlines() if "\N{BOX DRAWINGS LIGHT HORIZONTAL}" in line]
    assert len(rules) == 4
    assert max(map(len, rules)) <= 88


def test_in_a_narrow_terminal_no_figure_is_broken(history: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = set(re.findall(r"-?[\d,]+\.\d+\b", printed(history, *TWO)))
    monkeypatch.setenv("COLUMNS", "34")
    assert figures <= set(re.findall(r"-?[\d,]+\.\d+\b", printed(history, *TWO)))


def test_everything_is_written_as_json_csv_and_a_page(history: Path, found: Evaluation, tmp_path: Path) -> None:
    printed(history, *TWO, "--json", "all.json", "--csv", "all.csv", "--html", "all.html")
    assert json.loads((tmp_path / "all.json").read_text()) == found.as_dict()
    with (tmp_path / "all.csv").open(newline="") as file:
        assert len(list(csv.DictReader(file))) == 2 * 4
    page = (tmp_path / "all.html").read_text(encoding="utf-8")
    assert "<h1>combined on history.csv, a round trip of 2 bp</h1>" in page
    assert 'id="evaluation"' in page


def test_the_page_is_of_the_middle_cost_however_they_are_ordered(history: Path, tmp_path: Path) -> None:
    costs = [word for cost in (30, 4, 16) for word in ("--round-trip", str(cost))]
    printed(history, "--preset", "combined", *costs, "--html", "all.html")
    assert "combined on history.csv, a round trip of 16 bp" in (tmp_path / "all.html").read_text(encoding="utf-8")


def test_parts_folds_and_the_seed_are_passed_on(history: Path) -> None:
    read = json.loads(printed(history, *TWO, "--parts", "2", "--folds", "4", "--seed", "5", "--json", "-"))
    assert (len(read["bounds"]), len(read["folds"]), read["seed"]) == (3, 4, 5)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--preset", "adaptve"), "did you mean 'adaptive'"),
        (("--round-trip", "x"), "not a number"),
        (("--round-trip", "-8"), "a round trip costs 0 or more"),
        (("--parts", "1000"), "too short for 1000 parts"),
        (("--csv", "-"), "--csv needs a file to write to"),
        (("--html", "-"), "--html needs a file to write to"),
        (("--json", "a", "--csv", "a"), "--json, --csv and --html need a file each"),
        (("--json", "no/folder/file"), "can not be written"),
        (("--csv", "no/folder/file"), "can not be written"),
        (("--html", "no/folder/file"), "can not be written"),
    ],
)
def test_what_is_refused_is_one_line(history: Path, words: tuple[str, ...], why: str) -> None:
    assert why in refused(history, *words)


def test_the_history_is_never_overwritten(history: Path) -> None:
    before = history.read_bytes()
    assert "must not overwrite the history" in refused(history, "--csv", history)
    assert history.read_bytes() == before
