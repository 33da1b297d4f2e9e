"""JSON with exact numbers, and a service's own words about an error."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest

from rebalancer.adapters.http.answer import LONGEST_NUMBER, masked, read_json, words


@pytest.mark.parametrize(
    "text",
    [
        "1e-10",
        "1E-10",
        "0.00009599999999999999",
        "-3.7e-09",
        "0.0",
        "-0.0",
        "2.3500000000000002e-05",
        "5e0",
        "0." + "1" * (LONGEST_NUMBER - 2),
    ],
)
def test_a_number_with_a_point_or_exponent_is_exact(text: str) -> None:
    number = read_json(text.encode())
    assert isinstance(number, Decimal)
    assert number.as_tuple() == Decimal(text).as_tuple()


@pytest.mark.usefixtures("hostile_context")
@pytest.mark.parametrize("text", ["0.00009599999999999999", "1e-10", "1e40", "123456789.123456789123456789"])
def test_a_number_is_exact_whatever_the_ambient_decimal_context(text: str) -> None:
    assert str(read_json(f"[{text}]".encode())[0]) == f"{Decimal(text)}"


def test_whole_numbers_texts_and_the_rest_are_what_they_are() -> None:
    body = '{"a": [1, -2, "\u00e4\\u00e4", true, false, null], "b": {}}'.encode()
    assert read_json(body) == {"a": [1, -2, "\u00e4\u00e4", True, False, None], "b": {}}
    assert read_json(bytearray(b" 7 ")) == 7


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"NaN", "NaN and infinity"),
        (b"[Infinity]", "NaN and infinity"),
        (b'{"a": -Infinity}', "NaN and infinity"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a":' * 50_000 + b"1" + b"}" * 50_000, "nested too deeply"),
        (b"1" * 5_000, "too long"),
        (b"0." + b"1" * 5_000, "too long"),
        (b"1" * (LONGEST_NUMBER + 1), "too long"),
        (b"1e999999999999999999999", "out of bounds"),
        (b"-1e-999999999999999999999", "out of bounds"),
    ],
)
def test_what_is_no_finite_number_or_too_large_is_refused(body: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_json(body)


@pytest.mark.usefixtures("hostile_context")
def test_an_absurd_exponent_is_refused_whatever_the_ambient_decimal_context() -> None:
    with pytest.raises(ValueError, match="out of bounds"):
        read_json(b"[1e999999999999999999999]")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"a":1',
        b'{"a":1}}',
        b"[1,]",
        b"[1] [2]",
        b"'a'",
        b"\xff\xfe",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        b"\xef\xbb\xbf{}",
        '{"a":1}'.encode("utf-16"),
        b'"\x00"',
        b"01",
        b"1_000",
        b".5",
        b"5.",
        b"0x10",
        b"nan",
        "\u0661".encode(),
        b"<html></html>",
        b"\x1f\x8b\x08",
    ],
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(body)


def test_an_escaped_lone_surrogate_stays_one_text_that_no_name_matches() -> None:
    assert read_json(b'"\\ud800"') == "\ud800"


@pytest.mark.parametrize("body", [b"[[],[]]", b'{"a":{},"b":1}', b"[0.0,1.0,2.0]"])
def test_more_values_than_asked_for_are_refused_before_they_take_memory(body: bytes) -> None:
    assert read_json(body, most=4)
    with pytest.raises(ValueError, match="too many values"):
        read_json(body, most=2)


def said(detail: object, *secrets: str) -> str:
    """The words of an error with this detail."""
    return words(json.dumps({"detail": detail}).encode(), secrets=secrets)


def test_the_detail_of_an_error_is_its_words() -> None:
    assert said("DEX 'nope' not found") == "DEX 'nope' not found"


def test_a_list_of_field_errors_is_one_line() -> None:
    detail = [
        {"loc": ["query", "min_oi"], "msg": "Input should be a valid decimal", "input": "lots"},
        {"loc": ["query", "dex1"], "msg": "Field required"},
    ]
    assert said(detail) == "min_oi: Input should be a valid decimal; dex1: Field required"


@pytest.mark.parametrize(
    "detail",
    [
        None,
        5,
        0.5,
        True,
        "",
        [],
        {},
        {"a": 1},
        [1],
        ["text"],
        [{}],
        [{"loc": [], "msg": "x"}],
        [{"loc": ["x"]}],
        [None],
        [[]],
    ],
)
def test_garbage_in_the_place_of_a_detail_says_nothing(detail: object) -> None:
    assert said(detail) == ""


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"5", b"null", b'"detail"', b"<html>", b"\xff", b'{"detail": NaN}', b"{}"]
)
def test_a_body_without_a_detail_says_nothing(body: bytes) -> None:
    assert words(body, secrets=()) == ""


@pytest.mark.parametrize("depth", [100, 900, 960, 990, 100_000])
def test_a_deeply_nested_detail_says_something_short_or_nothing(depth: int) -> None:
    nested = b"[" * depth + b"]" * depth
    body = b'{"detail":[{"loc":["x"],"msg":' + nested + b"}]}"
    assert len(words(body, secrets=())) <= 200


@pytest.mark.parametrize(
    "text",
    [
        "a\nrebalancer: closed everything",
        "a\r\nb",
        "\x1b[2J",
        "a\u2028b",
        "\ud800",
        "\u202eabc",
        "\x00",
        "\n" * 5000,
        "x" * 300_000,
        "\u00e4" * 500,
    ],
)
def test_words_are_one_printable_line_of_at_most_200_characters(text: str) -> None:
    for detail in (text, [{"loc": [text], "msg": text}]):
        line = said(detail)
        assert line.isprintable()
        assert 0 < len(line) <= 200


@pytest.mark.parametrize(
    ("detail", "shown"),
    [
        ("key canary-1 is wrong", "key *** is wrong"),
        ("key CANARY-1 is wrong", "key *** is wrong"),
        ("canary-1canary-1", "******"),
        ("x" * 195 + "canary-1", "x" * 195 + "***"),
        ([{"loc": ["canary-1"], "msg": "no canary-1"}], "***: no ***"),
    ],
)
def test_words_never_repeat_a_secret(detail: object, shown: str) -> None:
    assert said(detail, "canary-1") == shown


def test_a_secret_that_is_part_of_another_does_not_uncover_the_rest() -> None:
    assert masked("canary-and-more canary", ["canary", "canary-and-more"]) == "*** ***"


def test_a_secret_is_taken_literally() -> None:
    assert masked("a.c abc (", ["a.c", "("]) == "*** abc ***"


def test_without_secrets_nothing_is_masked() -> None:
    assert masked("abc", ["", ""]) == "abc"
    assert masked("abc", []) == "abc"


@pytest.mark.parametrize("text", ['{"a": 1, "a": 1}', '[{"a": {"b": 1, "b": 2}}]', '{"\\u0061": 1, "a": 2}'])
def test_a_name_that_an_object_has_twice_is_refused_since_nobody_knows_which_is_meant(text: str) -> None:
    with pytest.raises(ValueError, match="a name twice"):
        read_json(text.encode())
