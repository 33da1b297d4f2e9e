"""The page of a report: whole, offline, escaped, and with the report's own figures."""

from __future__ import annotations

import json
import pickle
import re
from decimal import Context, Decimal, localcontext
from functools import cache
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rebalancer import CombinedStrategy, Costs, FundingHistory, InputError, RateKind, TimeLimit, presets
from rebalancer.domain.names import Market
from rebalancer.domain.numbers import BPS
from rebalancer.history.table import Row, Series
from rebalancer.replay import Evaluation, ReplayReport, SymbolReport, Trade, TradeAction, evaluate, replay
from rebalancer.replay.page.data import EQUITY_POINTS
from rebalancer.replay.page.markup import element
from rebalancer.replay.page.rates import Clock, means, packed, width
from rebalancer.replay.table import Earned, SweepRow
from rebalancer.testing import sample_history

HOUR = 3600
START = 1_767_225_600
VOID = {"meta"}
COSTS = Costs(leg_bps=2, venues={"grvt": 1})


class Page(HTMLParser):
    """A page that was read: its tags balance, and `text` and `inside` say what it shows and what each script holds."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.scripts: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.feed(source)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif self.open and self.open[-1] != "style":
            self.text.append(data)

    @property
    def data(self) -> Any:
        """What is drawn."""
        return json.loads(self.scripts[0])

    @property
    def words(self) -> str:
        """What stands on the page, with single spaces."""
        return " ".join(" ".join(self.text).split())


@cache
def a_report(days: int = 10) -> ReplayReport:
    return replay(presets.combined(costs=COSTS), sample_history(days=days), costs=COSTS)


def a_page(report: ReplayReport, folder: Path, **options: Any) -> str:
    path = folder / "report.html"
    report.to_html(path, **options)
    return path.read_text(encoding="utf-8")


def grouped(value: Decimal | None) -> str:
    assert value is not None
    return f"{value:,.1f}".replace("-", "\N{MINUS SIGN}")


def test_it_is_one_whole_document_that_loads_nothing(tmp_path: Path) -> None:
    source = a_page(a_report(), tmp_path)
    page = Page(source)
    assert source.startswith("<!doctype html>")
    assert "//" not in re.sub(
        r"// .*", "", source.replace("</", "<")
    )  # no address of anything, with or without a scheme
    loading = [one for one in page.attributes if one[1] in {"src", "href", "srcset", "action", "data", "background"}]
    assert loading == []
    assert "@import" not in source
    assert "url(" not in source.replace('"url(#frame)"', "")
    policy = next(value for _, name, value in page.attributes if name == "content" and "default-src" in value)
    assert policy.startswith("default-src 'none';")


def test_the_figures_on_it_are_the_reports(tmp_path: Path) -> None:
    report = a_report()
    words = Page(a_page(report, tmp_path, title="of July")).words
    assert "of July" in words
    parts: tuple[ReplayReport | SymbolReport, ...] = (report, *report.symbols)
    for part in parts:
        for figure in (part.net_bps, part.funding_bps, part.hold_through_bps, part.optimum_bps):
            assert grouped(figure) in words
    assert f"{grouped(report.regret_bps)} bp" in words
    assert report.captured_share is not None
    assert f"{grouped(report.captured_share * 100)} %" in words
    for reason in report.reasons:
        assert f"{reason.reason} " in words


def test_the_lines_of_equity_end_at_the_figures_of_the_report(tmp_path: Path) -> None:
    report = a_report()
    equity = Page(a_page(report, tmp_path)).data["equity"]
    assert equity["ticks"][-1] == report.ticks - 1
    ends = {line["name"]: Decimal(line["values"][-1]) / BPS for line in equity["lines"]}
    assert ends == {
        "strategy": report.net_bps,
        "hold-through": report.hold_through_bps,
        "optimum": report.optimum_bps,
    }
    assert {len(line["values"]) for line in equity["lines"]} == {len(equity["ticks"])}


def test_a_long_replay_is_drawn_at_the_ends_of_days_or_parts_of_them(tmp_path: Path) -> None:
    data = Page(a_page(a_report(days=120), tmp_path)).data
    ticks, first = data["equity"]["ticks"], data["clock"]["first"]
    assert len(ticks) <= EQUITY_POINTS + 2
    assert all((first + tick * HOUR) % (3 * HOUR) == 0 for tick in ticks[1:-1])


def test_every_trade_and_position_is_on_it(tmp_path: Path) -> None:
    report = a_report()
    data = Page(a_page(report, tmp_path)).data
    assert [one["name"] for one in data["symbols"]] == ["BTC", "ETH", "HYPE", "SOL"]
    for one in data["symbols"]:
        log = [trade for trade in report.log if trade.pair.symbol == one["name"]]
        assert [data["clock"]["first"] + trade[0] * HOUR for trade in one["trades"]] == [trade.at for trade in log]
        assert [data["reasons"][trade[2]] for trade in one["trades"]] == [trade.reason for trade in log]
        opened = sum(trade.action in {TradeAction.OPEN, TradeAction.SWITCH} for trade in log)
        assert len(one["held"]["strategy"]) == 5 * opened


HOSTILE = "</script><script>alert(1)</script>"


def hostile_history() -> FundingHistory:
    """Names that no reader would let in."""
    rates = {f"{HOSTILE}a": -BPS, '"><img src=x onerror=alert(2)>': BPS, "x\ud800\u2028": 5 * BPS}
    return FundingHistory.of(
        Series(
            Market(venue, f"<b>{HOSTILE}"),
            RateKind.SETTLED,
            tuple(Row(START + at * HOUR, rate, HOUR) for at in range(40)),
        )
        for venue, rate in rates.items()
    )


def hostile_report(history: FundingHistory) -> ReplayReport:
    """As the library itself would refuse to make one: unvalidated."""
    report = a_report()
    long, short, _ = (one.market.venue for one in history.series)
    pair = type(report.log[0].pair)(history.symbols[0], long, short)
    trades = tuple(
        Trade(
            at=START + at * HOUR, action=action, pair=pair, target=None, reason=HOSTILE, divergence=BPS,
            entry_divergence=BPS, legs=2, cost=4 * BPS,
        )
        for at, action in ((0, TradeAction.OPEN), (30, TradeAction.END))
    )  # fmt: skip
    symbol = report.symbols[0].model_construct(**{**dict(report.symbols[0]), "symbol": history.symbols[0]})
    fields = {
        **dict(report), "strategy": HOSTILE, "funding_bps": None, "venues": history.venues, "symbols": (symbol,),
        "log": trades, "rows": len(history), "engine": HOSTILE, "ignored": (HOSTILE,),
    }  # fmt: skip
    return ReplayReport.model_construct(**fields)


def test_hostile_names_are_text(tmp_path: Path) -> None:
    history = hostile_history()
    rows = [{HOSTILE: HOSTILE, "net_bps": 1}, {HOSTILE: "<i>", "net_bps": HOSTILE}]
    source = a_page(hostile_report(history), tmp_path, history=history, title=HOSTILE, sensitivity=rows)
    page = Page(source)
    assert "<script>alert" not in source
    assert "<img" not in source
    assert "<i>" not in source
    assert len(page.scripts) == 2
    assert page.data["symbols"][0]["name"] == f"<b>{HOSTILE}"
    assert HOSTILE in page.words


def test_text_is_escaped_inside_of_attributes_too() -> None:
    assert element("i", "<", title='"><b>') == '<i title="&quot;&gt;&lt;b&gt;">&lt;</i>'


def test_a_sweep_is_a_map_of_two_parameters_and_a_table_of_all(tmp_path: Path) -> None:
    rows = [
        {"keep": keep, "hours": hours, "leg_bps": "2", "net_bps": f"{hours * 10 - 35}.25", "captured_share": "0.5"}
        for keep in ("0.3", "0.5")
        for hours in (1, 2, 10)
    ]
    source = a_page(a_report(), tmp_path, sensitivity=rows)
    words = Page(source).words
    assert "net by hours and keep" in words
    assert "hours \u2193 keep \u2192 0.3 0.5 1 \N{MINUS SIGN}25.2 \N{MINUS SIGN}25.2 2" in words
    assert "The same in all: leg_bps 2." in words
    assert "50.0 %" in words
    assert 'id="sensitivity"' not in a_page(a_report(), tmp_path)


def test_the_result_of_a_sweep_is_taken_as_it_is(tmp_path: Path) -> None:
    earned = Earned(funding=((5 * BPS,),), cost=((2 * BPS,),), trades=((7,),), legs=((14,),))
    rows = [
        SweepRow(0, {"keep": "0.5"}, ("BTC",), earned=earned, optimum=6 * BPS),
        SweepRow(1, {"hours": "9"}, ("BTC",), error="no such key"),
    ]
    words = Page(a_page(a_report(), tmp_path, sensitivity=rows)).words
    assert "0.5 \N{EN DASH} 3.0 3.0" in words
    assert "50.0 % 7 14" in words
    assert "no such key" in words


@cache
def an_evaluation() -> Evaluation:
    def weekly(*, costs: Costs) -> CombinedStrategy:
        return CombinedStrategy(TimeLimit())

    def failing(*, costs: Costs) -> CombinedStrategy:
        raise LookupError(HOSTILE)

    makers = {"weekly": weekly, "combined": presets.combined, f"<i>{HOSTILE}": failing}
    return evaluate(sample_history(days=10), strategies=makers, round_trips=[2, 8], workers=1)


def test_an_evaluation_is_a_section_with_every_figure_of_its_tables(tmp_path: Path) -> None:
    found = an_evaluation()
    page = Page(a_page(a_report(), tmp_path, evaluation=found))
    for one in found.by_cost:
        assert f"A round trip of {one.round_trip_bps} bp" in page.words
        for row in one.rows:
            if row.error is not None:
                continue
            assert row.captured_share is not None
            interval = " to ".join(f"{grouped(end * 100)} %" for end in row.captured_interval or ())
            above = (row.symbols_above_zero, row.symbols_above_hold_through)
            counts = " ".join("\N{EN DASH}" if count is None else f"{count} of 4" for count in above)
            figures = f"{grouped(row.net_bps)} {grouped(row.captured_share * 100)} % {interval or chr(0x2013)} {counts}"
            assert f"{row.name} {figures} {row.trades_a_year:,.0f} {row.worst_symbol} " in page.words
            apart = [grouped(bps) for bps in row.parts_bps] or ["\N{EN DASH}"] * 4
            assert " ".join([row.name, *apart, *(grouped(bps) for bps in row.folds_bps)]) in page.words
        assert one.walk_forward is not None
        assert f"{grouped(one.walk_forward.in_time_bps)} bp out of sample" in page.words
        assert f"{grouped(one.walk_forward.across_symbols_bps)} bp, " in page.words
    assert "Folds of symbols: 1: BTC, SOL; 2: ETH; 3: HYPE." in page.words
    assert 'id="evaluation"' not in a_page(a_report(), tmp_path)


def test_the_drawing_of_an_evaluation_has_each_share_where_the_scale_says(tmp_path: Path) -> None:
    found = an_evaluation()
    page = Page(a_page(a_report(), tmp_path, evaluation=found))
    drawn = [
        (kinds.split()[0], kinds.split()[-1], style)
        for (_, _, kinds), (_, _, style) in pairwise(page.attributes)
        if kinds.startswith(("dot ", "beyond "))
    ]
    expected = []
    for places in range(3):
        for one in found.by_cost:
            row = (one.strategies[0], one.strategies[1], one.hold_through)[places]
            assert row.captured_share is not None
            at = max(row.captured_share, Decimal("-0.5"))  # the scale goes from -50 % to 100 %
            kind = "beyond" if row.captured_share < Decimal("-0.5") else "dot"
            expected.append((kind, "less" if row.captured_share < 0 else "more", f"left:{(at * 100 + 50) / 150:.2%}"))
    assert drawn == expected
    assert {kind for kind, _, _ in drawn} == {"dot", "beyond"}


def test_names_and_errors_in_an_evaluation_are_text(tmp_path: Path) -> None:
    source = a_page(a_report(), tmp_path, evaluation=an_evaluation())
    assert "<script>alert" not in source
    assert f"<i>{HOSTILE} failed: LookupError: {HOSTILE}" in Page(source).words


def test_an_evaluation_of_another_history_is_refused(tmp_path: Path) -> None:
    report = replay(presets.combined(), sample_history(days=11))
    with pytest.raises(InputError, match="the evaluation is of another history"):
        a_page(report, tmp_path, evaluation=an_evaluation())


def test_rows_that_say_nothing_of_what_was_earned_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="say nothing of what was earned"):
        a_report().to_html(tmp_path / "report.html", sensitivity=[{"keep": 1, "hours": 2}])


def test_a_place_that_can_not_be_written_is_said() -> None:
    with pytest.raises(InputError, match=r"^/nowhere/report\.html can not be written: No such file or directory$"):
        a_report().to_html("/nowhere/report.html")


def test_a_report_that_left_its_history_behind_takes_the_same_one_again(tmp_path: Path) -> None:
    report = a_report()
    there = a_page(report, tmp_path)
    away = pickle.loads(pickle.dumps(report))
    with pytest.raises(InputError, match="give it again, as history="):
        away.to_html(tmp_path / "away.html")
    for other in (sample_history(days=11), sample_history(seed=3, days=10)):
        with pytest.raises(InputError, match="not the history that was replayed"):
            away.to_html(tmp_path / "away.html", history=other)
    assert a_page(away, tmp_path, history=sample_history(days=10)) == there


def test_a_report_of_json_has_nothing_to_draw(tmp_path: Path) -> None:
    read = ReplayReport.model_validate_json(a_report().model_dump_json())
    with pytest.raises(InputError, match="without its log"):
        read.to_html(tmp_path / "report.html", history=sample_history(days=10))


def test_a_history_without_settled_rates_has_positions_and_no_equity(tmp_path: Path) -> None:
    live = FundingHistory.of(Series(one.market, RateKind.INDICATIVE, one.rows) for one in sample_history(days=3).series)
    page = Page(a_page(replay(presets.combined(), live), tmp_path))
    assert page.data["equity"]["lines"] == []
    assert any(one["held"]["strategy"] for one in page.data["symbols"])
    assert "only settled rates pay" in page.words


def test_a_strategy_that_never_trades_has_a_page_too(tmp_path: Path) -> None:
    series = [
        Series(one.market, one.kind, tuple(Row(row.at, 0, row.interval) for row in one.rows))
        for one in sample_history(days=3).series
    ]
    report = replay(CombinedStrategy(TimeLimit()), FundingHistory.of(series))
    assert report.trades == 0
    assert Page(a_page(report, tmp_path)).data["symbols"][0]["trades"] == []


def test_the_ambient_decimal_context_changes_nothing(tmp_path: Path) -> None:
    usual = a_page(a_report(), tmp_path)
    with localcontext(Context(prec=3)):
        assert a_page(a_report(), tmp_path) == usual


def a_market(*rows: tuple[int, int], interval: int = 1) -> Series:
    """Rates per 8 h in hundredths of a basis point, by the hour that they were seen at."""
    return Series(
        Market("a", "BTC"),
        RateKind.SETTLED,
        tuple(Row(START + at * HOUR, rate * interval * BPS // 800, interval * HOUR) for at, rate in rows),
    )


def test_a_rate_is_drawn_until_the_next_or_until_it_is_too_old() -> None:
    market = a_market((1, 8), (2, 16), (7, 24))
    assert means(market, Clock(START, HOUR, 10), every=1) == [None, 8, 16, 16, 16, None, None, 24, 24, 24]


def test_a_bucket_is_the_mean_of_the_ticks_that_are_known() -> None:
    market = a_market((1, 8), (2, 16), (7, 24))
    assert means(market, Clock(START, HOUR, 10), every=4) == [round((8 + 16 + 16) / 3), round((16 + 24) / 2), 24]


def test_what_stays_the_same_is_written_once() -> None:
    assert packed([None, None, 5, 5, -5, None]) == "x,,5,,-5,x"


@pytest.mark.parametrize(
    ("ticks", "markets", "every"), [(2_200, 1, 1), (2_201, 1, 2), (8_760, 93, 4), (8_760, 1_000, 48)]
)
def test_many_ticks_and_markets_are_drawn_in_wider_buckets(ticks: int, markets: int, every: int) -> None:
    assert width(ticks, markets) == every
