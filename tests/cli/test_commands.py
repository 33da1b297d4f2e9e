"""The command line, command by command."""

from __future__ import annotations

import csv
import gzip
import json
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from rebalancer import FundingHistory, RateKind, RebalanceDecision, presets
from rebalancer.cli.app import app
from rebalancer.domain.names import Market
from rebalancer.history.table import Row, Series
from rebalancer.plugins import PluginManager
from rebalancer.testing import a_position, a_quote, a_snapshot, sample_history

PRESETS = PluginManager().registry.presets

LITERAL = ("--preset", "conservative")
"""One that trades much."""


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")


def run(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def printed(*arguments: object) -> str:
    """What a command that succeeds prints."""
    result = run(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def refused(*arguments: object) -> str:
    """The one line on standard error of a command that is refused."""
    result = run(*arguments)
    assert isinstance(result.exception, SystemExit)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("error: ")
    assert result.stderr.count("\n") == 1
    return result.stderr.removeprefix("error: ").rstrip("\n")


def wide(text: str) -> list[str]:
    """The lines of tables that a terminal of 80 columns would break."""
    return [line for line in text.splitlines() if len(line) > 80 and ("─" in line or "  " in line.strip())]


def process(*arguments: object) -> subprocess.CompletedProcess[str]:
    """Run Python with these arguments."""
    return subprocess.run(
        [sys.executable, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False
    )


def write_history(path: Path, history: FundingHistory) -> Path:
    kinds = {
        RateKind.SETTLED: "settled",
        RateKind.FORMING: "live_snapshot",
        RateKind.INDICATIVE: "indicative_hour_mean",
    }
    with path.open("w", encoding="utf-8", newline="") as text:
        lines = csv.writer(text)
        lines.writerow(["time_utc", "venue", "symbol", "funding_rate", "interval_hours", "rate_kind"])
        for series, row in history.rows():
            quote = series.quote(row)
            hours = Decimal(row.interval) / 3600
            rate = f"{quote.rate.value:f}"
            lines.writerow([quote.observed_at.isoformat(), *series.market, rate, hours, kinds[series.kind]])
    return path


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Three days of the sample as a file."""
    return write_history(tmp_path / "history.csv", sample_history(days=3))


# rebalancer


def test_the_version_is_the_distributions() -> None:
    assert printed("--version") == f"rebalancer {version('funding-rebalancer')}\n"


def test_without_a_command_the_commands_are_listed() -> None:
    result = run()
    for command in ("demo", "presets", "decide", "replay"):
        assert command in result.stdout


@pytest.mark.parametrize("command", ["demo", "presets", "decide", "replay"])
def test_every_command_has_help(command: str) -> None:
    assert "Usage: " in printed(command, "--help")


# rebalancer presets


def test_the_presets_are_listed_with_every_number_and_its_unit() -> None:
    text = " ".join(printed("presets").split())
    for name in PRESETS:
        assert f"{name} rule reason urgency numbers" in text
    for number in (
        "margin 0 (0 bp)",
        "keep 0.2",
        "keep 0.5",
        "keep 0.7",
        "cost_bps 8 bp",
        "(10 bp)",
        "(20 bp)",
        "(5 bp)",
        "horizon 24 h",
        "max_age 168 h",
        "max_age 48 h",
    ):
        assert number in text


def test_the_presets_fit_into_80_columns() -> None:
    assert wide(printed("presets")) == []


# rebalancer decide


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., tuple[Path, Path]]:
    """Writes the usual position and a snapshot as JSON files."""

    def write(grvt: str = "0.0003") -> tuple[Path, Path]:
        position, snapshot = tmp_path / "position.json", tmp_path / "snapshot.json"
        position.write_text(a_position().model_dump_json(), encoding="utf-8")
        quotes = a_quote("lighter", "0.0001"), a_quote("grvt", grvt)
        snapshot.write_text(a_snapshot(*quotes).model_dump_json(), encoding="utf-8")
        return position, snapshot

    return write


Files = Callable[..., tuple[Path, Path]]


def test_a_decision_on_files_is_explained(files: Files) -> None:
    text = printed("decide", *files(grvt="-0.0001"))
    decision = presets.conservative().decide(a_position(), a_snapshot(a_quote(), a_quote("grvt", "-0.0001")))
    assert text == decision.explain() + "\n"
    assert text.startswith("CLOSE BTC long lighter / short grvt: DIVERGENCE_FLIPPED (critical)\n")


def test_a_decision_as_json_is_the_canonical_one(files: Files) -> None:
    text = printed("decide", *files(), "--json")
    decision = presets.conservative().decide(a_position(), a_snapshot())
    assert text == decision.model_dump_json() + "\n"
    assert RebalanceDecision.model_validate_json(text) == decision


def test_the_preset_decides(files: Files) -> None:
    """Three quarters of the entry edge are left: that is enough for two of the presets."""
    reasons = {
        name: json.loads(printed("decide", *files(grvt="0.00023"), "--preset", name, "--json"))["reason"]
        for name in PRESETS
    }
    assert reasons == {"adaptive": None, "combined": None, "conservative": None, "aggressive": "PROFIT_EROSION"}


@pytest.mark.parametrize(
    ("position", "snapshot", "message"),
    [
        ("{}", None, "position.json: symbol: Field required; "),
        ("not JSON", None, "position.json: Invalid JSON"),
        ("\udcff", None, "position.json: Invalid JSON"),
        ('{"symbl": "BTC"}', None, "position.json: "),
        (None, "[]", "snapshot.json: "),
        (None, '{"as_of": "2026-01-05T12:00:00", "quotes": []}', "snapshot.json: as_of: a naive time"),
    ],
)
def test_a_bad_file_is_one_line_of_error(
    files: Files, position: str | None, snapshot: str | None, message: str
) -> None:
    paths = files()
    for path, text in zip(paths, (position, snapshot), strict=True):
        if text is not None:
            path.write_bytes(text.encode("utf-8", "surrogateescape"))
    assert refused("decide", *paths).removeprefix(f"{paths[0].parent}/").startswith(message)


def test_a_file_that_is_not_there_is_named(files: Files, tmp_path: Path) -> None:
    position, _ = files()
    missing = tmp_path / "[bold]nowhere.json"
    assert refused("decide", position, missing) == f"{missing} can not be read: No such file or directory"
    assert refused("decide", tmp_path, missing) == f"{tmp_path} can not be read: Is a directory"


def test_an_unknown_preset_is_refused_with_the_nearest(files: Files, history: Path) -> None:
    message = (
        "there is no preset of that name (did you mean 'conservative'?); there are "
        "adaptive, combined, conservative, aggressive"
    )
    assert refused("decide", *files(), "--preset", "conservativ") == message
    assert refused("replay", history, "--preset", "conservativ") == message


# rebalancer replay


def test_a_replay_prints_a_summary_the_reasons_and_each_symbol(history: Path) -> None:
    text = printed("replay", history, *LITERAL)
    words = " ".join(text.split())
    assert text.startswith("conservative on history.csv\n")
    assert "2026-01-01 01:00 to 2026-01-04 00:00 UTC, a tick every 1 h: 648 rows, 4 symbols on aster, grvt," in words
    for part in (
        "funding settled",
        "net",
        "hold-through",
        "never trade",
        "regret",
        "END_OF_HISTORY",
        "ENTRY",
        "PROFIT_EROSION",
    ):
        assert part in text
    for symbol in ("BTC", "ETH", "HYPE", "SOL"):
        assert f"\n {symbol} " in text


def test_no_digit_is_lost_where_80_columns_are_too_few(tmp_path: Path) -> None:
    rates = {"a-venue-of-length": -12 * 10**10, "b": 12 * 10**10}
    series = (
        Series(
            Market(venue, symbol),
            RateKind.SETTLED,
            tuple(Row(1_767_225_600 + hour * 3600, rate, 3600) for hour in range(500)),
        )
        for symbol in ("BTC", "1000000MOG")
        for venue, rate in rates.items()
    )
    text = printed(
        "replay", write_history(tmp_path / "large.csv", FundingHistory.of(series)), "--leg-bps", "12.5", "--trust-units"
    )
    assert wide(text) == []
    assert "\u2026" not in text
    assert re.search(r"^ funding settled +[1-9],[0-9]{3},[0-9]{3}\.0 *$", text, re.MULTILINE)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_replayed(history: Path, preset: str) -> None:
    assert printed("replay", history, "--preset", preset).startswith(f"{preset} on history.csv\n")


def test_symbols_and_venues_are_chosen_in_any_letter_case(history: Path) -> None:
    arguments = ("--symbols", "btc, ETH", "--venues", "Lighter,grvt,", "--json", "-")
    report = json.loads(printed("replay", history, *LITERAL, *arguments))
    assert [one["symbol"] for one in report["symbols"]] == ["BTC", "ETH"]
    assert report["venues"] == ["grvt", "lighter"]


def test_the_cost_of_a_leg_goes_to_the_preset_and_to_the_accounts(history: Path) -> None:
    report = json.loads(printed("replay", history, *LITERAL, "--leg-bps", "1.5", "--json", "-"))
    assert report["costs"] == {"leg_bps": "1.5", "venues": []}
    assert "BetterOpportunity(costs=Costs(leg_bps=1.5)" in report["strategy"]
    assert Decimal(report["cost_bps"]) == Decimal("1.5") * report["legs_traded"]


def test_a_leg_costs_2_bp_unless_told_otherwise(history: Path) -> None:
    assert json.loads(printed("replay", history, *LITERAL, "--json", "-"))["costs"]["leg_bps"] == "2"


def test_a_negative_cost_is_a_rebate(history: Path) -> None:
    report = json.loads(printed("replay", history, *LITERAL, "--leg-bps", "-1", "--json", "-"))
    assert Decimal(report["cost_bps"]) == -report["legs_traded"]


def test_report_and_log_go_to_files_and_the_tables_to_the_terminal(history: Path, tmp_path: Path) -> None:
    report, log = tmp_path / "report.json", tmp_path / "log.jsonl"
    text = printed("replay", history, *LITERAL, "--json", report, "--decisions", log)
    assert text == printed("replay", history, *LITERAL)
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    assert len(lines) == json.loads(report.read_text(encoding="utf-8"))["trades"]
    assert {line["action"] for line in lines} >= {"OPEN", "CLOSE", "END"}


def test_a_dash_is_standard_output_and_then_there_are_no_tables(history: Path, tmp_path: Path) -> None:
    report, log = tmp_path / "report.json", tmp_path / "log.jsonl"
    printed("replay", history, *LITERAL, "--json", report, "--decisions", log)
    assert printed("replay", history, *LITERAL, "--json", "-") == report.read_text(encoding="utf-8")
    assert printed("replay", history, *LITERAL, "--decisions", "-") == log.read_text(encoding="utf-8")


def test_the_optimum_stands_beside_the_net(history: Path) -> None:
    report = json.loads(printed("replay", history, *LITERAL, "--json", "-"))
    text = printed("replay", history, *LITERAL)
    share = f"{Decimal(report['captured_share']) * 100:,.1f} %"
    assert re.search(rf"hindsight optimum .* {float(report['optimum_bps']):,.1f} ", text)
    assert re.search(rf"captured share .* {re.escape(share)}", text)


def test_a_page_for_a_browser_is_written_beside_the_tables(history: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert printed("replay", history, *LITERAL, "--html", page) == printed("replay", history, *LITERAL)
    assert "<h1>conservative on history.csv</h1>" in page.read_text(encoding="utf-8")


def test_all_adds_the_ticks_that_held(history: Path) -> None:
    trades = printed("replay", history, *LITERAL, "--decisions", "-").splitlines()
    everything = printed("replay", history, *LITERAL, "--decisions", "-", "--all").splitlines()
    assert [line for line in everything if '"HOLD"' not in line] == trades
    assert len(everything) > len(trades)


def test_a_gzip_history_is_read(history: Path, tmp_path: Path) -> None:
    packed = tmp_path / "packed" / "history.csv.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(history.read_bytes()))
    assert printed("replay", packed, *LITERAL, "--json", "-") == printed("replay", history, *LITERAL, "--json", "-")


def test_what_was_not_settled_is_said(tmp_path: Path) -> None:
    sample = sample_history(days=3)
    live = [
        Series(Market(f"live-{one.market.venue}", one.market.symbol), RateKind.FORMING, one.rows)
        for one in sample.series
    ]
    mixed = printed("replay", write_history(tmp_path / "mixed.csv", FundingHistory.of([*sample.series, live[0]])))
    assert "Not settled, so not used: BTC on live-aster.\n" in mixed
    none = printed("replay", write_history(tmp_path / "live.csv", FundingHistory.of(live)))
    assert "No rate of this history was settled, and only settled rates pay: there is no net.\n" in none
    assert re.search(r"^ net +- *$", none, re.MULTILINE)


def test_a_leg_that_was_left_alone_is_said(tmp_path: Path) -> None:
    long = tuple(Row(1_767_225_600 + hour * 3600, 0, 3600) for hour in range(5))
    short = tuple(Row(1_767_225_600 + hour * 3600, 10**9, 3600) for hour in range(12))
    history = FundingHistory.of(
        Series(Market(venue, "BTC"), RateKind.SETTLED, rows) for venue, rows in (("a", long), ("b", short))
    )
    text = printed("replay", write_history(tmp_path / "history.csv", history), *LITERAL)
    assert "For 7 h one leg's market had ended and the other earned alone.\n" in text


def test_a_symbol_with_colons_is_not_an_emoji(tmp_path: Path) -> None:
    rows = tuple(Row(1_767_225_600 + hour * 3600, 0, 3600) for hour in range(5))
    history = FundingHistory.of([Series(Market("a", "X:B:USD"), RateKind.SETTLED, rows)])
    assert "\n X:B:USD " in printed("replay", write_history(tmp_path / "history.csv", history))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--symbols", "BTCC"), "the history has no BTCC (did you mean 'BTC'?); it has BTC, ETH, HYPE, SOL"),
        (("--venues", "lihgter"), "the history has no lihgter (did you mean 'lighter'?); it has aster, grvt, lighter"),
        (("--symbols", "[red]"), "--symbols: not a symbol: "),
        (("--leg-bps", "cheap"), "--leg-bps: not a number"),
        (("--leg-bps", "nan"), "--leg-bps: not a number"),
        (("--leg-bps", "10001"), "--leg-bps: must be at most 10000"),
        (("--all",), "--all writes to the decision log: give --decisions FILE too"),
        (("--json", "-", "--decisions", "-"), "--json, --html and --decisions need a file each"),
        (("--html", "-"), "--html needs a file to write to"),
        (("--html", "/nowhere/report.html"), "/nowhere/report.html can not be written: No such file or directory"),
        (("--json", "/nowhere/report.json"), "/nowhere/report.json can not be written: No such file or directory"),
        (("--decisions", "/nowhere/log"), "/nowhere/log can not be written: No such file or directory"),
    ],
)
def test_a_bad_option_is_one_line_of_error(history: Path, arguments: tuple[str, ...], message: str) -> None:
    assert refused("replay", history, *arguments).startswith(message)


@pytest.mark.parametrize("listed", ["", " , "])
def test_an_empty_list_of_names_does_not_mean_all(history: Path, listed: str) -> None:
    assert refused("replay", history, "--symbols", listed) == ("--symbols needs at least one name, such as A,B")


@pytest.mark.parametrize("option", ["--json", "--html", "--decisions"])
def test_the_history_is_never_written_over(history: Path, option: str) -> None:
    before = history.read_bytes()
    roundabout = history.parent / "." / ".." / history.parent.name / history.name
    assert (
        refused("replay", history, option, roundabout)
        == "--json, --html and --decisions must not overwrite the history"
    )
    assert history.read_bytes() == before


def test_json_with_a_byte_order_mark_is_read(tmp_path: Path) -> None:
    position, snapshot = tmp_path / "position.json", tmp_path / "snapshot.json"
    position.write_text("\ufeff" + a_position().model_dump_json(), encoding="utf-8")
    snapshot.write_text("\ufeff" + a_snapshot().model_dump_json(), encoding="utf-8")
    assert printed("decide", position, snapshot).startswith("HOLD BTC long lighter / short grvt")


def test_a_bad_history_is_one_line_of_error(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    assert refused("replay", path) == "history.csv can not be read: No such file or directory"
    path.write_text("time_utc,venue,symbol,funding_rate,interval_hours\n2026-01-01,a,BTC,0,8\n", encoding="utf-8")
    assert refused("replay", path).startswith("row 2: time_utc: a naive time: add its zone")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_a_full_disk_is_one_line_of_error(history: Path) -> None:
    assert refused("replay", history, *LITERAL, "--decisions", "/dev/full") == "writing failed: No space left on device"


# as processes


def test_an_error_of_a_process_has_no_traceback(tmp_path: Path) -> None:
    finished = process("-m", "rebalancer", "replay", tmp_path / "nowhere.csv")
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr == "error: nowhere.csv can not be read: No such file or directory\n"


def test_a_reader_that_goes_away_is_no_traceback(history: Path) -> None:
    arguments = [sys.executable, "-m", "rebalancer", "replay", str(history), *LITERAL, "--decisions", "-", "--all"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        running.stdout.close()
        assert "Traceback" not in running.stderr.read()
        assert running.wait(timeout=60) == 1


@pytest.mark.parametrize("absent", ["typer", "rich"])
def test_without_its_extra_the_command_line_says_how_to_install_it(absent: str) -> None:
    code = f"import sys, runpy; sys.modules[{absent!r}] = None; runpy.run_module('rebalancer', run_name='__main__')"
    finished = process("-c", code)
    assert finished.returncode == 1
    assert finished.stdout == ""
    assert finished.stderr == ('The command line needs an optional dependency: pip install "funding-rebalancer[cli]"\n')


def test_the_library_itself_needs_no_command_line() -> None:
    code = (
        "import sys; sys.modules['typer'] = sys.modules['rich'] = None; "
        "import rebalancer; from rebalancer.replay import replay; print(rebalancer.presets.combined().name)"
    )
    assert process("-c", code).stdout == "CombinedStrategy\n"
