"""Whatever JSON the service sends, it is read or refused: nothing else ever happens."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import UTC, timedelta, timezone, tzinfo
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rebalancer import InputError
from rebalancer.adapters.funding_service.payloads import Payloads, best_opportunity, known_symbols, opportunities

SEEN = "2026-01-05T11:59:50.937698"
ROW = {"funding_rate": Decimal("0.0001"), "next_funding_time": None, "timestamp": SEEN}
LEG = {"dex_name": "grvt", "symbol": "BTC", "volume_24h": Decimal(5), "open_interest_usd": None, **ROW}
FEES = {"maker_fee_percent": Decimal("-0.0001"), "taker_fee_percent": None}
FIGURE = {"symbol": "BTC", "is_active": True, "volume_24h": 5, "open_interest_usd": None, "last_updated": SEEN}
PAIR = {
    "symbol": "BTC",
    "long_dex": "lighter",
    "short_dex": "grvt",
    "long_rate": Decimal("0.0001"),
    "short_rate": Decimal("0.0006"),
    "net_profit_percent": Decimal("0.0003"),
    "min_oi_usd": None,
    "discovered_at": SEEN,
}
ANSWERS: dict[str, Any] = {
    "compare": {"symbol": "BTC", "dex1": {"name": "lighter", **ROW}, "dex2": {"name": "grvt", **ROW}},
    "rates": {"dex_name": "grvt", "rates": {"BTC": ROW, "eth": ROW}},
    "rate": LEG,
    "venues": {
        "dexes": [{"name": "grvt", "is_active": True, "fee_structure": FEES, "last_successful_fetch": SEEN}],
    },
    "symbols": {"dex_name": "grvt", "symbols": [FIGURE]},
    "opportunities": {"opportunities": [PAIR, PAIR]},
    "best": {"opportunity": PAIR},
    "known": {"data": {"BTC": {"grvt": 0}}},
}

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**59), 10**59)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.sampled_from([Decimal("1E+999999"), Decimal("-1E-999999"), Decimal("1.79e11"), Decimal("1e59"), 10**59])
    | st.text(max_size=60)
    | st.datetimes().map(lambda at: at.isoformat())
    | st.sampled_from(["0001-01-01T00:00:00", "9999-12-31T23:59:59", "0001-01-01T00:00:00+23:59", "2026-W01-1", "BTC"])
    | st.sampled_from(["24:00", "2026-01-05T11:59:50+24:00", "20260105T115950Z", "\ud800", "\x00", "grvt"])
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=10), inner, max_size=3),
    max_leaves=6,
)


def reader(kind: str, zone: tzinfo) -> Callable[[Any], object]:
    """What reads an answer of that kind."""
    payloads = Payloads(timedelta(hours=8), {}, zone)
    readers: dict[str, Callable[[Any], object]] = {
        "compare": lambda answer: payloads.comparison(answer, "BTC", "lighter", "grvt"),
        "rates": lambda answer: payloads.venue_rates(answer, "grvt"),
        "rate": lambda answer: payloads.rate(answer, "grvt", "BTC"),
        "venues": payloads.venues,
        "symbols": lambda answer: payloads.symbols(answer, "grvt"),
        "opportunities": opportunities,
        "best": best_opportunity,
        "known": known_symbols,
    }
    return readers[kind]


def places(value: object, way: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value within a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way, *(place for key, one in inner for place in places(one, (*way, key)))]


def replaced(answer: Any, way: tuple[Any, ...], value: object) -> Any:
    """A copy of the answer with another value at a place."""
    if not way:
        return value
    changed = copy.deepcopy(answer)
    at = changed
    for key in way[:-1]:
        at = at[key]
    at[way[-1]] = value
    return changed


@pytest.mark.parametrize("kind", sorted(ANSWERS))
def test_an_answer_as_it_should_be_is_read(kind: str) -> None:
    assert reader(kind, UTC)(ANSWERS[kind])


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))], ids=str)
@pytest.mark.parametrize("kind", sorted(ANSWERS))
@settings(max_examples=50)
@given(data=st.data())
def test_whatever_is_sent_in_the_place_of_anything_it_is_read_or_refused(
    kind: str, zone: tzinfo, data: st.DataObject
) -> None:
    way = data.draw(st.sampled_from(places(ANSWERS[kind])))
    answer = replaced(ANSWERS[kind], way, data.draw(VALUES))
    try:
        reader(kind, zone)(answer)
    except InputError as error:
        said = str(error)
    else:
        said = ""
    assert said.isprintable()
