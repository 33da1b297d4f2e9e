"""Names of venues and symbols: one letter case, a safe alphabet, and so no forged log lines."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies
from pydantic import TypeAdapter, ValidationError

from rebalancer import InputError
from rebalancer.domain.names import (
    Line,
    Market,
    Pair,
    ReasonCode,
    as_line,
    read_symbol,
    read_venue,
    reason_of,
    split_names,
)

NOT_A_VENUE = "not a venue: 1 to 40 characters of a-z 0-9 _ . -"
NOT_A_SYMBOL = "not a symbol: 1 to 40 characters of A-Z 0-9 : / _ . -"


@pytest.mark.parametrize(
    ("text", "venue"),
    [
        ("lighter", "lighter"),
        ("Lighter", "lighter"),
        ("GRVT", "grvt"),
        ("0x", "0x"),
        ("9", "9"),
        ("z", "z"),
        ("perp_dex.v2-eu", "perp_dex.v2-eu"),
        ("v" * 40, "v" * 40),
    ],
)
def test_a_venue_is_kept_in_lower_case(text: str, venue: str) -> None:
    assert read_venue(text) == venue


@pytest.mark.parametrize(
    ("text", "symbol"),
    [
        ("BTC", "BTC"),
        ("btc", "BTC"),
        ("1000pepe", "1000PEPE"),
        ("9", "9"),
        ("z", "Z"),
        ("xyz:TSLA/USD_1.5-P", "XYZ:TSLA/USD_1.5-P"),
        ("s" * 40, "S" * 40),
    ],
)
def test_a_symbol_is_kept_in_upper_case(text: str, symbol: str) -> None:
    assert read_symbol(text) == symbol


@pytest.mark.parametrize(("read", "why"), [(read_venue, NOT_A_VENUE), (read_symbol, NOT_A_SYMBOL)])
@pytest.mark.parametrize(
    "value",
    [
        "",
        "n" * 41,
        "_a",
        ".a",
        "-a",
        ":a",
        "/a",
        " a",
        "a ",
        "a b",
        "a\n",
        "a\nb",
        "a\rb",
        "a\tb",
        "a\x00",
        "a\x1b[2J",
        "a\x7f",
        "a\x85b",
        "a\u2028b",
        "a,b",
        "a'b",
        "a%s",
        "a{b}",
        "a\\b",
        "\u00e9",
        "\u212a",  # a Kelvin sign, whose lower case is an ASCII k
        "\u017f",  # a long s, whose upper case is an ASCII S
        "\u00df",  # a sharp s, whose upper case is SS
        "a\uff11",
        None,
        5,
        b"a",
        ["a"],
    ],
)
def test_a_name_outside_of_its_alphabet_is_refused_without_repeating_it(
    read: Callable[[object], str], why: str, value: object
) -> None:
    with pytest.raises(InputError) as refused:
        read(value)
    assert str(refused.value) == why


@pytest.mark.parametrize("text", ["a:b", "a/b"])
def test_a_symbol_may_have_colons_and_slashes_and_a_venue_may_not(text: str) -> None:
    assert read_symbol(text) == text.upper()
    with pytest.raises(InputError):
        read_venue(text)


def test_a_market_reads_as_its_symbol_on_its_venue() -> None:
    assert str(Market("lighter", "BTC")) == "BTC on lighter"


def test_a_pair_reads_as_its_symbol_and_its_two_sides() -> None:
    assert str(Pair("BTC", "lighter", "grvt")) == "BTC long lighter / short grvt"


def test_a_pair_has_a_market_for_each_side() -> None:
    pair = Pair("BTC", "lighter", "grvt")
    assert pair.long == Market(venue="lighter", symbol="BTC")
    assert pair.short == Market(venue="grvt", symbol="BTC")


def test_pairs_sort_by_symbol_then_long_then_short() -> None:
    first, second, third, last = (
        Pair("BTC", "a", "z"),
        Pair("BTC", "b", "a"),
        Pair("BTC", "b", "c"),
        Pair("ETH", "a", "b"),
    )
    assert sorted((last, third, second, first)) == [first, second, third, last]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("FundingCliff", "FUNDING_CLIFF"),
        ("funding_cliff", "FUNDING_CLIFF"),
        ("_FundingCliff", "FUNDING_CLIFF"),
        ("__funding_cliff_", "FUNDING_CLIFF"),
        ("XFlipX", "XFLIP_X"),
        ("Flip", "FLIP"),
        ("OIRatio2Big", "OIRATIO2_BIG"),
        ("xY", "X_Y"),
        ("zA9B", "Z_A9_B"),
    ],
)
def test_a_reason_code_is_made_of_a_rules_name(name: str, reason: str) -> None:
    assert reason_of(name) == reason


def accepts(kind: Any, value: object) -> bool:
    """Whether a field of type `kind` takes `value` as it is."""
    try:
        return bool(TypeAdapter(kind).validate_python(value) == value)
    except ValidationError:
        return False


@pytest.mark.parametrize("code", ["A", "TIME_LIMIT", "A1_", "Z" * 64])
def test_a_reason_code_is_upper_case_words_joined_by_underscores(code: str) -> None:
    assert accepts(ReasonCode, code)


@pytest.mark.parametrize("code", ["", "a", "Time_Limit", "1A", "_A", "A-B", "A B", "A\n", "\nA", "\u00c4", "Z" * 65])
def test_any_other_reason_code_is_refused(code: str) -> None:
    assert not accepts(ReasonCode, code)


@pytest.mark.parametrize(
    "text", ["a", "x" * 500, "the edge is gone: 3 % left", "\x20", "~", "\xa0", "\u2027", "\u202a", "\u4f60\u597d"]
)
def test_a_line_is_up_to_500_characters_of_text(text: str) -> None:
    assert accepts(Line, text)


@pytest.mark.parametrize("text", ["", "x" * 501, None, 5, "\ud800"])
def test_a_line_that_is_empty_too_long_or_no_text_is_refused(text: object) -> None:
    assert not accepts(Line, text)


@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029])
def test_a_line_has_no_control_character_and_so_can_not_forge_another_line(code: int) -> None:
    assert not accepts(Line, f"a{chr(code)}b")
    assert not accepts(Line, f"a{chr(code)}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("HTTP 503: \u00fcberlastet", "HTTP 503: \u00fcberlastet"),
        ("", "nothing"),
        ("a\nb", r"'a\nb'"),
        ("a\x1b[2J", r"'a\x1b[2J'"),
        ("a\u2028b", r"'a\u2028b'"),
        ("\ud800", r"'\ud800'"),
        ("x" * 500, "x" * 500),
        ("x" * 501, "x" * 500),
        (ValueError("no key"), "no key"),
        (None, "None"),
    ],
)
def test_any_text_from_outside_is_made_a_line(text: object, line: str) -> None:
    assert as_line(text) == line
    assert accepts(Line, as_line(text))


CUT = [("abcdef", "abcd"), ("abcd", "abcd"), ("\n\n\n\n", "'\\n\\"), ("", "nothing")]


@pytest.mark.parametrize(("text", "line"), CUT)
def test_a_line_is_cut_to_what_was_asked_for_after_it_was_escaped(text: str, line: str) -> None:
    assert as_line(text, most=4) == line


@given(strategies.text(strategies.characters(exclude_categories=()), max_size=700))
def test_whatever_the_text_it_is_a_line_of_at_most_500_characters(text: str) -> None:
    assert accepts(Line, as_line(text))


@pytest.mark.parametrize(
    ("text", "names"),
    [("lighter,grvt", ("lighter", "grvt")), (" a , ,b,", ("a", "b")), ("a", ("a",)), ("", ()), (" , ", ())],
)
def test_a_text_of_names_is_split_at_its_commas(text: str, names: tuple[str, ...]) -> None:
    assert split_names(text) == names
