"""The commands that ask a source, on a service whose answers are made up."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx
from rich.console import Console
from typer.testing import CliRunner, Result

from rebalancer import FundingHistory, MarketRequest, MarketSnapshot, Opportunity, RebalanceDecision
from rebalancer.adapters.clock import SystemClock
from rebalancer.cli import market
from rebalancer.cli.app import app
from rebalancer.cli.quotes import SHOWN, rates
from rebalancer.domain.missing import Missing
from rebalancer.domain.times import from_epoch, write_instant
from rebalancer.testing import a_position, a_snapshot, sample_history

URL = "http://127.0.0.1:8000/api/v1"
NOW = datetime(2026, 1, 5, 12, tzinfo=UTC)
RATES = {
    "lighter": {"BTC": 0.0004, "SOL": -0.0002},
    "grvt": {"BTC": 0.0003, "SOL": 0.0003},
    "paradex": {"BTC": -0.0005},
}


class Service:
    """Answers like the Funding Rate Service; a test changes what it says."""

    def __init__(self) -> None:
        self.seen_at = "2026-01-05T11:59:30"
        self.down = False
        self.rates: dict[str, dict[str, Any]] = {venue: dict(rates) for venue, rates in RATES.items()}

    def __call__(self, request: httpx.Request) -> httpx.Response:
        parts = request.url.path.removeprefix("/api/v1/").split("/")
        if self.down:
            return httpx.Response(500, json={"detail": "no database"})
        if parts == ["dexes"]:
            return httpx.Response(200, json={"dexes": [self.venue(name) for name in self.rates]})
        if parts[0] == "dexes":
            return httpx.Response(200, json={"dex_name": parts[1], "symbols": self.symbols(parts[1])})
        return httpx.Response(200, json={"dex_name": parts[1], "rates": self.rows(parts[1])})

    def venue(self, name: str) -> dict[str, Any]:
        return {"name": name, "is_active": True, "fee_structure": {}, "last_successful_fetch": self.seen_at}

    def symbols(self, venue: str) -> list[dict[str, Any]]:
        row = {"is_active": True, "open_interest_usd": 2_500_000.0, "volume_24h": None, "last_updated": self.seen_at}
        return [{"symbol": symbol, **row} for symbol in self.rates[venue]]

    def rows(self, venue: str) -> dict[str, dict[str, Any]]:
        times = {"next_funding_time": "2026-01-05T13:00:00", "timestamp": self.seen_at}
        return {symbol: {"funding_rate": rate, **times} for symbol, rate in self.rates[venue].items()}


@pytest.fixture(autouse=True)
def _terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FORCE_COLOR", "NO_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(SystemClock, "now", lambda _: NOW)


@pytest.fixture
def service() -> Iterator[Service]:
    answers = Service()
    with respx.mock(assert_all_called=False) as mock:
        mock.get(url__startswith=URL).mock(side_effect=answers)
        yield answers


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words])


def asked(command: str, *words: str) -> Result:
    return run(command, *words, "--source", "service", "--url", URL)


def cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("  ") if cell.strip()]


def saved(folder: Path, *positions: Any) -> str:
    path = folder / "positions.json"
    path.write_text("[" + ",".join(position.model_dump_json() for position in positions) + "]")
    return str(path)


# rates


@pytest.mark.usefixtures("service")
def test_rates_are_shown_per_8_h_and_per_year_with_schedule_and_age() -> None:
    lines = asked("rates", "--symbol", "btc").stdout.splitlines()
    assert lines[0] == "as of 2026-01-05 12:00:00 UTC"
    assert [cells(line) for line in lines if "BTC" in line] == [
        ["BTC", "paradex", "-5.00", "-54.8", "always", "accrues", "30 s"],
        ["BTC", "grvt", "3.00", "32.8", "8 h", "1 h", "30 s"],
        ["BTC", "lighter", "4.00", "43.8", "1 h", "1 h", "30 s"],
    ]
    assert "SOL" not in "".join(lines)


@pytest.mark.usefixtures("service")
def test_rates_can_be_limited_to_venues() -> None:
    printed = asked("rates", "--venues", "grvt").stdout
    assert "grvt" in printed
    assert "lighter" not in printed


@pytest.mark.usefixtures("service")
def test_rates_as_json_are_a_snapshot() -> None:
    snapshot = MarketSnapshot.model_validate_json(asked("rates", "--json").stdout)
    assert {str(quote.market): str(quote.rate.value) for quote in snapshot.quotes} == {
        f"{symbol} on {venue}": f"{rate:.4f}" for venue, rates in RATES.items() for symbol, rate in rates.items()
    }


def test_a_rate_that_can_not_be_believed_is_left_out_with_a_warning(service: Service) -> None:
    service.rates["grvt"]["BTC"] = 0.9
    result = asked("rates", "--symbol", "BTC")
    assert "warning: implausible: BTC on grvt" in result.stderr
    assert "missing: rate of BTC on grvt" in result.stdout
    assert result.exit_code == 0


def test_a_row_that_is_refused_is_listed_as_missing(service: Service) -> None:
    service.rates["grvt"]["BTC"] = 1.79e11
    assert "missing: rate of BTC on grvt: the row was refused" in asked("rates").stdout


def test_ages_that_are_off_by_whole_hours_hint_at_the_zone(service: Service) -> None:
    service.seen_at = "2026-01-05T19:59:30"
    printed = asked("rates").stdout
    assert "5 of 5 rates are too old or too early to count." in printed
    assert "All ages are off by whole hours" in printed
    right = asked("rates", "--option", "row_zone=Asia/Shanghai").stdout
    assert "off by whole hours" not in right
    assert "30 s" in right


def test_a_stale_rate_is_counted_and_gives_no_hint(service: Service) -> None:
    service.seen_at = "2026-01-05T11:22:00"
    printed = asked("rates").stdout
    assert "5 of 5 rates are too old" in printed
    assert "off by whole hours" not in printed


def test_a_service_that_is_down_is_one_line_of_error(service: Service) -> None:
    service.down = True
    result = asked("rates")
    assert result.exit_code == 1
    assert result.stderr == "error: funding rate service: HTTP 500: no database\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "servce"], "there is no source of that name (did you mean 'service'?)"),
        (["--option", "urll=x"], "error: the source 'service': urll: is not known here (did you mean 'url'?)"),
        (["--option", "row_zone=Mars/Olympus"], "the source 'service': row_zone: not a time zone"),
        (["--option", "row_zone"], "--option takes KEY=VALUE"),
        (["--option", "venues=grvt", "--option", "venues=lighter"], "the option venues is given twice"),
        (["--url", "http://198.51.100.1/"], "plain http to another machine"),
        (["--symbol", ","], "--symbol needs at least one name"),
        (["--symbol", "BTC,b t c"], "error: --symbol: not a symbol: "),
        (["--venues", "grvt,?"], "error: --venues: not a venue: "),
        (["--plugin", "no-such-plugin"], "it is not installed"),
        (["--source", "history"], "error: the source 'history': path: Field required"),
    ],
)
def test_what_can_not_be_asked_is_one_line_of_error(words: list[str], said: str) -> None:
    result = run("rates", *words)
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.usefixtures("service")
def test_a_named_symbol_without_a_rate_is_said_to_have_none() -> None:
    for command in ("rates", "opportunities"):
        result = asked(command, "--symbol", "btcc,BTC")
        assert "no rate of BTCC on any venue\n" in result.stdout
        assert "no rate of BTC " not in result.stdout
        assert result.exit_code == 0
    assert "no rate of BTCC on grvt, lighter\n" in asked("rates", "--symbol", "BTCC", "--venues", "grvt,lighter").stdout


def test_nothing_that_is_missing_of_what_was_named_is_left_out(service: Service) -> None:
    service.rates["grvt"] = {f"S{number}": 1.79e11 for number in range(40)}
    symbols = ",".join(service.rates["grvt"])
    everything = asked("rates").stdout
    assert everything.count("\nmissing: ") == SHOWN
    assert " more are missing" in everything
    for words in (("--symbol", symbols), ("--venues", "grvt")):
        assert asked("rates", *words).stdout.count("\nmissing: rate of ") == 40


def test_what_is_missing_of_the_whole_answer_is_never_left_out() -> None:
    rows = [Missing(field="rate", why="refused", venue="grvt", symbol=f"S{number}") for number in range(40)]
    snapshot = a_snapshot(missing=(*rows, Missing(field="opportunities", why="this source does not have grvtt")))
    console = Console(file=StringIO(), width=100)
    rates(console, snapshot, MarketRequest(symbols=None))
    assert isinstance(console.file, StringIO)
    assert "missing: opportunities: this source does not have grvtt\n" in console.file.getvalue()
    assert "and 28 more are missing\n" in console.file.getvalue()


def blocks(text: str) -> list[dict[str, str]]:
    """The blocks of `name: value` lines, one for each row."""
    parts = [block.splitlines() for block in text.split("\n\n")]
    return [dict(line.split(": ", 1) for line in lines) for lines in parts if lines and ": " in lines[0]]


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("columns", ["1", "40"])
def test_in_a_narrow_terminal_every_row_is_a_block(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    assert blocks(asked("rates", "--symbol", "BTC").stdout)[0] == {
        "symbol": "BTC",
        "venue": "paradex",
        "bp/8 h": "-5.00",
        "%/year": "-54.8",
        "pays every": "always",
        "settles in": "accrues",
        "age": "30 s",
    }
    assert blocks(asked("opportunities").stdout)[0] == {
        "symbol": "BTC",
        "long": "paradex",
        "short": "lighter",
        "bp/8 h": "9.00",
        "%/year": "98.6",
        "smaller OI, USD": "2,500,000",
        "age": "30 s",
    }


@pytest.mark.usefixtures("service")
@pytest.mark.parametrize("command", ["rates", "opportunities"])
def test_at_any_width_every_figure_is_whole(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    figures = {"rates": ("paradex", "-5.00", "-54.8", "4.00", "43.8"), "opportunities": ("9.00", "98.6", "2,500,000")}
    for columns in (*range(20, 80, 3), 80, 100):
        monkeypatch.setenv("COLUMNS", str(columns))
        printed = asked(command).stdout
        assert [figure for figure in figures[command] if figure not in printed] == []
        if columns >= 80:
            assert "─" in printed
        if "─" in printed:
            assert max(map(len, printed.splitlines())) <= max(columns, len(f"as of {NOW:%Y-%m-%d %H:%M:%S} UTC"))


def test_the_deadline_of_a_source_is_its_own_and_the_commands_is_in_the_reference() -> None:
    page = Path(__file__).parents[2] / "docs" / "reference" / "command-line.md"
    assert timedelta(seconds=40) < market.DEADLINE
    assert f"A source has {market.DEADLINE.seconds} s to answer." in page.read_text()


# opportunities


@pytest.mark.usefixtures("service")
def test_opportunities_are_ranked_by_the_signed_divergence_of_the_legs() -> None:
    lines = asked("opportunities", "--above-bps", "4.99").stdout.splitlines()
    assert [cells(line) for line in lines if "30 s" in line] == [
        ["BTC", "paradex", "lighter", "9.00", "98.6", "2,500,000", "30 s"],
        ["BTC", "paradex", "grvt", "8.00", "87.6", "2,500,000", "30 s"],
        ["SOL", "lighter", "grvt", "5.00", "54.8", "2,500,000", "30 s"],
    ]


@pytest.mark.usefixtures("service")
def test_only_pairs_strictly_above_the_limit_are_listed_and_no_more_than_asked_for() -> None:
    found = json.loads(asked("opportunities", "--above-bps", "5", "--json").stdout)
    assert [Opportunity.model_validate(one).divergence for one in found] == [
        Opportunity.model_validate(one).divergence for one in found[:2]
    ]
    assert len(found) == 2
    assert len(json.loads(asked("opportunities", "--limit", "1", "--json").stdout)) == 1


def test_a_bad_limit_names_its_option() -> None:
    result = asked("opportunities", "--above-bps", "much")
    assert result.stderr.startswith("error: --above-bps: not a number")


@pytest.mark.usefixtures("service")
def test_no_opportunity_says_so() -> None:
    assert "There is none among 5 rates." in asked("opportunities", "--above-bps", "50").stdout


# check


@pytest.mark.usefixtures("service")
def test_each_position_is_decided_and_explained(tmp_path: Path) -> None:
    path = saved(tmp_path, a_position(), a_position(symbol="SOL"))
    result = asked("check", path)
    assert result.exit_code == 0
    assert "CLOSE BTC long lighter / short grvt: DIVERGENCE_FLIPPED (critical)" in result.stdout
    assert "HOLD SOL long lighter / short grvt" in result.stdout


@pytest.mark.usefixtures("service")
def test_checked_decisions_as_json_read_back(tmp_path: Path) -> None:
    lines = asked("check", saved(tmp_path, a_position(), a_position(symbol="SOL")), "--json").stdout.splitlines()
    assert [RebalanceDecision.model_validate_json(line).action for line in lines] == ["CLOSE", "HOLD"]


@pytest.mark.usefixtures("service")
def test_a_file_with_one_position_is_enough(tmp_path: Path) -> None:
    path = tmp_path / "position.json"
    path.write_text(a_position().model_dump_json())
    assert asked("check", str(path)).stdout.startswith("CLOSE BTC")


@pytest.mark.usefixtures("service")
def test_a_switch_goes_only_to_the_venues_that_are_allowed(tmp_path: Path) -> None:
    path = saved(tmp_path, a_position(symbol="BTC", long_dex="grvt", short_dex="lighter"))
    assert "SWITCH BTC" in asked("check", path, "--preset", "aggressive").stdout
    assert "SWITCH BTC" not in asked("check", path, "--preset", "aggressive", "--venues", "grvt,lighter").stdout


def test_a_check_knows_the_smoothed_rates_of_a_source_that_knows_its_past(tmp_path: Path) -> None:
    history = tmp_path / "history.csv"
    sample_history(days=8).write(history)
    start = FundingHistory.read(history).start + 7 * 86_400
    options = ("--option", f"path={history}", "--option", f"start={write_instant(from_epoch(start))}")
    path = saved(tmp_path, a_position(symbol="BTC", long_dex="lighter", short_dex="grvt"))
    result = CliRunner().invoke(app, ["check", path, "--source", "history", *options, "--preset", "adaptive"])
    assert result.exit_code == 0, result.output
    assert "not evaluated" not in result.stdout
    assert "no settled rate was seen" not in result.stdout
    assert "half life 120 h" in result.stdout


def test_a_check_without_an_answer_holds_explains_and_fails(service: Service, tmp_path: Path) -> None:
    service.down = True
    result = asked("check", saved(tmp_path, a_position()))
    assert result.exit_code == 1
    assert result.stdout.startswith("HOLD BTC long lighter / short grvt\n")
    assert "HTTP 500" in result.stdout
    assert result.stderr == "error: funding rate service: HTTP 500: no database\n"


def test_a_check_warns_of_a_leg_that_can_not_be_believed_and_of_no_other(service: Service, tmp_path: Path) -> None:
    service.rates["grvt"]["BTC"] = 0.9
    service.rates["grvt"]["SOL"] = 0.9
    result = asked("check", saved(tmp_path, a_position()))
    assert "warning: implausible: BTC on grvt" in result.stderr
    assert "SOL" not in result.stderr
    assert result.stdout.startswith("HOLD BTC")


@pytest.mark.parametrize(
    ("text", "said"),
    [("{", "is not JSON"), ("[]", "has no positions"), ("[1]", "Position"), ('[{"symbol": NaN}]', "is not JSON")],
)
def test_a_file_without_positions_is_one_line_of_error(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "positions.json"
    path.write_text(text)
    result = asked("check", str(path))
    assert result.exit_code == 1
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_bad_position_in_a_list_is_found_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "positions.json"
    good = a_position().model_dump_json()
    path.write_text(f"[{good}, {good}, {good.replace(chr(34) + '10000' + chr(34), '0')}]")
    assert asked("check", str(path)).stderr == f"error: {path}, position 3: size_usd: must be above 0\n"
    path.write_text("{}")
    assert asked("check", str(path)).stderr.startswith(f"error: {path}: symbol: Field required; ")


def test_a_file_that_is_not_there_is_not_called_bad_json(tmp_path: Path) -> None:
    path = tmp_path / "nope.json"
    assert asked("check", str(path)).stderr == f"error: {path} can not be read: No such file or directory\n"


def test_a_history_takes_the_place_of_live_data(tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    rows = ("lighter,BTC,0.0004", "grvt,BTC,0.0003")
    times = ("2026-01-05T04:00:00Z", "2026-01-05T12:00:00Z")
    lines = [f"{at},{row},8" for at in times for row in rows]
    path.write_text("\n".join(("time_utc,venue,symbol,funding_rate,interval_hours", *lines)) + "\n")
    words = ("--source", "history", "--option", f"path={path}", "--option", "start=2026-01-05T12:00:00Z")
    result = run("check", saved(tmp_path, a_position()), *words)
    assert result.stdout.startswith("CLOSE BTC long lighter / short grvt: DIVERGENCE_FLIPPED")


# plugins


def test_without_plugins_the_commands_about_them_say_so() -> None:
    assert run("plugins", "list").stdout == run("plugins", "check").stdout == "No plugin is installed.\n"


def test_a_plugin_that_is_not_installed_fails_the_check() -> None:
    result = run("plugins", "check", "no-such-plugin")
    assert result.exit_code == 1
    assert "no-such-plugin: not found" in result.stdout


PLUGIN = """
import rebalancer as rb
from rebalancer.plugins import hookimpl

@hookimpl
def rebalancer_register_presets(register):
    register("patient", lambda costs=None: rb.CombinedStrategy(rb.DivergenceFlip()))
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "acme_rules-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-rules\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text("[rebalancer]\nacme = acme_rules_of_a_test\n")
    (tmp_path / "acme_rules_of_a_test.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.usefixtures("plugin")
def test_an_installed_plugin_is_listed_and_loads() -> None:
    assert "acme-rules 1.2 [acme]: found" in run("plugins", "list").stdout
    result = run("plugins", "check", "acme-rules==1.2")
    assert result.exit_code == 0
    assert "acme-rules 1.2 [acme]: loaded: presets patient" in result.stdout


@pytest.mark.usefixtures("plugin")
def test_a_preset_of_a_plugin_is_used_where_the_plugin_is_allowed_and_only_there() -> None:
    assert "patient" in run("presets", "--plugin", "acme-rules").stdout
    assert "patient" not in run("presets").stdout
    folder = Path(__file__).parents[2] / "examples"
    words = ("decide", str(folder / "position.json"), str(folder / "snapshot.json"), "--preset", "patient")
    assert run(*words, "--plugin", "acme-rules").stdout.startswith("HOLD")
    refused = run(*words)
    assert refused.exit_code == 1
    assert "there is no preset of that name" in refused.stderr


CHATTY = """
import rebalancer as rb
from rebalancer.plugins import hookimpl
from rebalancer.testing import AS_OF, a_snapshot

print("chatter")

class Talker(rb.DivergenceFlip):
    def evaluate(self, ctx):
        print("chatter")
        return super().evaluate(ctx)

class Source(rb.FundingSource):
    name = "talker"
    supplies = rb.Needs()

    async def snapshot(self, request):
        print("chatter")
        return a_snapshot()

def talking(made):
    def factory(costs=None):
        print("chatter")
        return made()
    return factory

@hookimpl
def rebalancer_register_presets(register):
    print("chatter")
    register("talker", talking(Talker))

@hookimpl
def rebalancer_register_sources(register):
    register("talker", talking(Source))
"""


@pytest.fixture
def chatty(plugin: None, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "acme_rules_of_a_test.py").write_text(CHATTY)
    sys.modules.pop("acme_rules_of_a_test", None)
    yield
    sys.modules.pop("acme_rules_of_a_test", None)


@pytest.mark.usefixtures("chatty")
@pytest.mark.parametrize("command", ["rates", "opportunities", "check", "decide", "replay"])
def test_what_a_plugin_prints_stays_out_of_the_json(command: str, tmp_path: Path) -> None:
    examples, history = Path(__file__).parents[2] / "examples", tmp_path / "history.csv"
    rows = [f"2026-01-05T{hour}:00:00Z,{venue},BTC,0.0004,8" for hour in ("04", "12") for venue in ("lighter", "grvt")]
    history.write_text("\n".join(("time_utc,venue,symbol,funding_rate,interval_hours", *rows)) + "\n")
    source, preset = ("--source", "talker", "--json"), ("--preset", "talker")
    words = {
        "rates": source,
        "opportunities": source,
        "check": (str(examples / "position.json"), *source, *preset),
        "decide": (str(examples / "position.json"), str(examples / "snapshot.json"), *preset, "--json"),
        "replay": (str(history), *preset, "--json", "-"),
    }
    result = run(command, *words[command], "--plugin", "acme-rules")
    assert result.exit_code == 0, result.stderr
    json.loads(result.stdout)
    assert "chatter" in result.stderr


@pytest.mark.usefixtures("chatty")
@pytest.mark.parametrize("words", [("presets", "--plugin", "acme-rules"), ("plugins", "check")])
def test_what_a_plugin_prints_stays_out_of_the_tables(words: tuple[str, ...]) -> None:
    result = run(*words)
    assert "talker" in result.stdout
    assert "chatter" not in result.stdout
    assert "chatter" in result.stderr
