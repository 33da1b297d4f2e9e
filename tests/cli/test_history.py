"""The commands about histories: check, describe, fetch."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from rebalancer import FundingHistory, SourceUnavailableError, UnknownMarketError
from rebalancer.adapters.ccxt_history import Fetched, Journal
from rebalancer.adapters.ccxt_history.journal import Page
from rebalancer.adapters.ccxt_source.failure import Failure
from rebalancer.adapters.clock import SystemClock
from rebalancer.cli import histories
from rebalancer.cli.app import app
from rebalancer.domain.names import Market
from rebalancer.errors import MissingExtraError
from rebalancer.history.describe import HistoryDescription
from rebalancer.testing import sample_history

HEADER = "time_utc,venue,symbol,funding_rate,interval_hours\n"
SAMPLE = sample_history(days=2)
NOW = datetime(2026, 1, 5, 12, 30, 1, 5, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "140")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["history", *map(str, words)])


def printed(*words: object) -> str:
    result = run(*words)
    assert (result.exit_code, result.stderr) == (0, ""), result.output
    return result.stdout


def refused(*words: object) -> str:
    """The one line on standard error of a command that is refused."""
    result = run(*words)
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """Two days of the sample as a file."""
    path = tmp_path / "sample.csv"
    SAMPLE.write(path)
    return path


def faulty(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "faulty.csv"
    path.write_text(HEADER + "\n".join(lines))
    return path


def line(hour: int, rate: str = "0.0001", *, hours: int = 8) -> str:
    return f"2026-01-{1 + hour // 24:02}T{hour % 24:02}:00:00Z,bybit,INJ,{rate},{hours}"


# check


def test_a_clean_history_is_said_to_be_clean(sample: Path) -> None:
    assert printed("check", sample) == "Nothing was found: the history is clean.\n"


def test_findings_are_listed_and_counted_and_warnings_are_no_failure(tmp_path: Path) -> None:
    lines = printed("check", faulty(tmp_path, line(8), line(40), line(41, hours=1))).splitlines()
    assert lines == [
        "warning: INJ on bybit: 1 gap of 24 h from 2026-01-01 08:00 that no row stands for, where a replay knows no "
        "rate (row 2)",
        "note: INJ on bybit: its interval changes: 8 h -> 1 h at 2026-01-02 17:00 (row 4)",
        "1 warning, 1 note",
    ]


def test_every_row_that_is_refused_is_listed_and_fails(tmp_path: Path) -> None:
    result = run("check", faulty(tmp_path, line(8), line(16, "x"), line(24), line(24)))
    assert result.exit_code == 1
    assert "(row 3)" in result.stdout
    assert "a second row of INJ on bybit at one time (row 5)" in result.stdout
    assert "2 errors" in result.stdout


def test_a_percent_fails_with_its_row(tmp_path: Path) -> None:
    result = run("check", faulty(tmp_path, *(line(hour, "0.05") for hour in range(8, 80, 8))))
    assert result.exit_code == 1
    assert "is it a percent?" in result.stdout
    assert "(row 2)" in result.stdout


def test_no_more_than_20_of_a_kind_are_listed_unless_all_are_asked_for(tmp_path: Path) -> None:
    path = faulty(tmp_path, line(8), *(line(hour, "x") for hour in range(23)))
    short = run("check", path).stdout
    assert short.count("not a number") == 20
    assert "and 3 more of REFUSED: --all lists them" in short
    assert run("check", path, "--all").stdout.count("not a number") == 23


def test_findings_are_lines_of_json(tmp_path: Path) -> None:
    result = run("check", faulty(tmp_path, line(8), line(16, "x")), "--json")
    assert result.exit_code == 1
    (found,) = map(json.loads, result.stdout.splitlines())
    assert (found["severity"], found["code"], found["row"]) == ("error", "REFUSED", 3)


def test_a_file_that_is_not_there_is_one_line() -> None:
    assert refused("check", "nowhere.csv") == "nowhere.csv can not be read: No such file or directory"


# describe


def test_a_history_is_described_market_by_market_and_pair_by_pair(sample: Path) -> None:
    text = printed("describe", sample, "--symbol", "btc", "--venues", "grvt,lighter")
    assert text.splitlines()[:2] == [
        "sample.csv",
        "2026-01-01 01:00 to 2026-01-03 00:00 UTC: 54 settled rates, 2 markets of 1 symbol on grvt, lighter.",
    ]
    rows = [line.split() for line in text.splitlines()]
    market = next(row for row in rows if row[:2] == ["BTC", "grvt"])
    assert market[2:8] == ["6", "2026-01-01", "2026-01-03", "8", "h", "100.0%"]
    assert next(row for row in rows if row[:3] == ["BTC", "grvt", "lighter"])[3] == "2.0"
    assert "ETH" not in text


def test_the_description_is_json(sample: Path) -> None:
    found = HistoryDescription.model_validate_json(printed("describe", sample, "--json"))
    assert found == SAMPLE.describe()


@pytest.mark.parametrize("columns", [20, 40, 60, 80, 100, 120, 200])
def test_no_figure_is_lost_at_any_width(sample: Path, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    text = printed("describe", sample, "--symbol", "BTC")
    assert "…" not in text
    for figure in ("2026-01-03", "100.0%", "0.00%".replace("0.00%", "to")):
        assert figure in text
    tables = text.splitlines()[3:]
    assert [line for line in tables if len(line.rstrip()) > max(columns, 45)] == []


def test_a_symbol_that_is_not_there_is_refused_with_the_nearest(sample: Path) -> None:
    assert refused("describe", sample, "--symbol", "BTCC").startswith("the history has no BTCC (did you mean 'BTC'?)")


# fetch

Fetch = Callable[..., Any]


class Asked:
    """A fetch in the place of ccxt's: what it was asked, what it gives."""

    def __init__(self) -> None:
        self.calls: list[dict[str, Any]] = []
        self.pages: list[int] = []
        self.gives = Fetched(SAMPLE, {})

    async def __call__(self, venues: list[str], symbols: list[str], **options: Any) -> Fetched:
        journal: Journal = options.pop("journal")
        self.pages.append(len(journal.pages))
        journal.add(Page(Market(venues[0], symbols[0]), 5, {3: 1}))
        options.pop("progress")(Market(venues[0], symbols[0]), NOW, 3)
        self.calls.append({"venues": venues, "symbols": symbols, **options})
        return self.gives


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    fake = Asked()
    monkeypatch.setattr(histories, "fetch_history", fake)
    return fake


USUAL = ("fetch", "--venue", "binance,bybit", "--venue", "OKX", "--symbol", "btc", "--since", "2025-01-01", "-o")


def test_what_is_fetched_is_written_and_said(asked: Asked, tmp_path: Path) -> None:
    assert printed(*USUAL, "out.csv.gz") == f"out.csv.gz: {len(SAMPLE)} rows of 16 markets\n"
    assert FundingHistory.read("out.csv.gz") == SAMPLE
    assert asked.calls == [
        {
            "venues": ["binance", "bybit", "okx"],
            "symbols": ["BTC"],
            "since": datetime(2025, 1, 1, tzinfo=UTC),
            "until": NOW.replace(microsecond=0),
        }
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["out.csv.gz"]


def test_a_file_that_is_there_is_never_overwritten_without_force(asked: Asked) -> None:
    Path("out.csv").write_text("precious")
    assert refused(*USUAL, "out.csv") == "out.csv is there already: choose another name, or --force to overwrite it"
    assert (Path("out.csv").read_text(), asked.calls) == ("precious", [])
    printed(*USUAL, "out.csv", "--force")
    assert FundingHistory.read("out.csv") == SAMPLE


def test_what_could_not_be_reached_leaves_an_unfinished_file_and_the_same_command_goes_on(asked: Asked) -> None:
    whole = asked.gives
    asked.gives = Fetched(SAMPLE, {Market("okx", "BTC"): Failure("it could not be reached", SourceUnavailableError)})
    result = run(*USUAL, "out.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.splitlines() == [
        "error: BTC on okx: it could not be reached",
        "not finished: run the same command again, and it goes on; what is there is in out.csv.unfinished",
    ]
    assert not Path("out.csv").exists()
    asked.gives = whole
    result = run(*USUAL, "out.csv")
    assert (result.exit_code, asked.pages) == (0, [0, 1])
    assert result.stderr == "going on with the fetch in out.csv.unfinished\n"
    assert not Path("out.csv.unfinished").exists()


def test_an_unfinished_fetch_keeps_its_own_end(asked: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    asked.gives = Fetched(None, {Market("okx", "BTC"): Failure("no", SourceUnavailableError)})
    run(*USUAL, "out.csv")
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW.replace(day=9))
    run(*USUAL, "out.csv")
    assert [call["until"] for call in asked.calls] == [NOW.replace(microsecond=0)] * 2


def test_another_fetch_to_the_same_file_is_refused_while_one_is_unfinished(asked: Asked) -> None:
    asked.gives = Fetched(None, {Market("okx", "BTC"): Failure("no", SourceUnavailableError)})
    run(*USUAL, "out.csv")
    other = [word.replace("btc", "eth") for word in USUAL]
    assert refused(*other, "out.csv").startswith("out.csv.unfinished holds an unfinished fetch of something else")


def test_what_a_venue_does_not_have_is_a_warning(asked: Asked) -> None:
    asked.gives = Fetched(SAMPLE, {Market("okx", "NOPE"): Failure("it is not listed", UnknownMarketError)})
    result = run(*USUAL, "out.csv")
    assert (result.exit_code, result.stderr) == (0, "warning: NOPE on okx: it is not listed\n")
    assert Path("out.csv").exists()


def test_nothing_at_all_is_an_error_and_no_file(asked: Asked) -> None:
    asked.gives = Fetched(None, {Market("okx", "NOPE"): Failure("it is not listed", UnknownMarketError)})
    result = run(*USUAL, "out.csv")
    assert result.exit_code == 1
    assert result.stderr.endswith("error: nothing was fetched, and nothing written\n")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*USUAL, "out.txt"), "--output must end in one of .csv, .csv.gz, .parquet"),
        ((*USUAL, "nowhere/out.csv"), "nowhere/out.csv can not be written: its folder is not there"),
        ((*USUAL, "out.csv", "--until", "soon"), "--until: not a time"),
        ((*USUAL, "out.csv", "--venue", "a b"), "--venue: not a venue"),
        ((*USUAL, "out.csv", "--symbol", "b c"), "--symbol: not a symbol"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_asked(
    asked: Asked, words: tuple[str, ...], message: str
) -> None:
    assert refused(*words).startswith(message)
    assert asked.calls == []
    assert list(Path().iterdir()) == []


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent() -> None:
        raise MissingExtraError("fetching", extra="ccxt")

    monkeypatch.setattr("rebalancer.adapters.ccxt_history.fetch._ccxt", absent)
    assert 'pip install "funding-rebalancer[ccxt]"' in refused(*USUAL, "out.csv")
    assert list(Path().iterdir()) == []
