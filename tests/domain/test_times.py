"""Instants and durations on the grid of whole seconds."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from rebalancer import InputError
from rebalancer.domain.times import (
    EPOCH,
    Duration,
    DurationOrZero,
    Instant,
    epoch_seconds,
    from_epoch,
    read_duration,
    read_instant,
    seconds,
    write_duration,
    write_instant,
)
from rebalancer.testing import AS_OF

SECOND = timedelta(seconds=1)
LONGEST = timedelta(days=36_500)
NOT_A_TIME = "not a time: write ISO 8601 such as 2026-01-31T08:00:00Z"
NAIVE = "a naive time: add its zone, for instance .replace(tzinfo=timezone.utc)"
NOT_A_DURATION = "not a duration: write ISO 8601 such as PT8H or P1DT12H"


class Berlinish(tzinfo):
    """UTC+2 until 1:00 UTC on 2026-10-25, and UTC+1 from then on."""

    def utcoffset(self, when: datetime | None) -> timedelta:
        assert when is not None
        summer = when.replace(tzinfo=UTC) < datetime(2026, 10, 25, 3, tzinfo=UTC)
        return timedelta(hours=2 if summer else 1)

    def dst(self, when: datetime | None) -> timedelta:
        return timedelta(0)

    def tzname(self, when: datetime | None) -> str:
        return "Berlinish"


class Nowhere(tzinfo):
    """A zone that does not know its offset."""

    def utcoffset(self, when: datetime | None) -> None:
        return None

    def dst(self, when: datetime | None) -> None:
        return None

    def tzname(self, when: datetime | None) -> None:
        return None


@pytest.mark.parametrize(
    ("duration", "whole"),
    [
        (timedelta(0), 0),
        (timedelta(seconds=1), 1),
        (timedelta(milliseconds=1999), 1),
        (timedelta(milliseconds=-1), -1),
        (timedelta(days=2, hours=1), 176_400),
    ],
)
def test_seconds_are_whole_and_floored(duration: timedelta, whole: int) -> None:
    assert seconds(duration) == whole


@pytest.mark.parametrize(
    ("instant", "at"),
    [
        (EPOCH, 0),
        (datetime(1970, 1, 1, 0, 0, 1, 999_999, tzinfo=UTC), 1),
        (datetime(1969, 12, 31, 23, 59, 59, 500_000, tzinfo=UTC), -1),
        (datetime(1970, 1, 1, 1, tzinfo=timezone(timedelta(hours=1))), 0),
        (AS_OF, 1_767_614_400),
    ],
)
def test_an_instant_counts_whole_seconds_since_1970_floored(instant: datetime, at: int) -> None:
    assert epoch_seconds(instant) == at


@pytest.mark.parametrize("at", [-1, 0, 1, 1_767_614_400])
def test_seconds_since_1970_become_an_instant_in_utc(at: int) -> None:
    instant = from_epoch(at)
    assert epoch_seconds(instant) == at
    assert instant.tzinfo is UTC


@pytest.mark.parametrize(
    "given_value",
    [
        datetime(2026, 1, 31, 8, tzinfo=UTC),
        datetime(2026, 1, 31, 8, 0, 0, 999_999, tzinfo=UTC),
        datetime(2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=2))),
        datetime(2026, 1, 30, 20, tzinfo=timezone(-timedelta(hours=12))),
        "2026-01-31T08:00:00Z",
        "2026-01-31T08:00:00.999999Z",
        "2026-01-31T10:00:00+02:00",
        "2026-01-31 08:00+00:00",
        "20260131T080000Z",
    ],
)
def test_an_aware_time_is_kept_in_utc_and_floored_to_the_second(given_value: object) -> None:
    instant = read_instant(given_value)
    assert instant == datetime(2026, 1, 31, 8, tzinfo=UTC)
    assert instant.tzinfo is UTC
    assert instant.microsecond == 0


def test_a_time_before_1970_is_floored_too() -> None:
    assert read_instant("1969-12-31T23:59:59.500Z") == datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)


def test_two_times_of_one_zone_subtract_rightly_across_a_clock_change() -> None:
    zone = Berlinish()
    before, after = datetime(2026, 10, 25, 2, tzinfo=zone), datetime(2026, 10, 25, 4, tzinfo=zone)
    assert after - before == timedelta(hours=2)
    assert read_instant(after) - read_instant(before) == timedelta(hours=3)


@pytest.mark.parametrize(
    "naive",
    [AS_OF.replace(tzinfo=None), AS_OF.replace(tzinfo=Nowhere()), "2026-01-31T08:00:00", "2026-01-31", "2026-W05"],
)
def test_a_naive_time_is_refused_and_the_error_says_how_to_fix_it(naive: object) -> None:
    with pytest.raises(InputError) as refused:
        read_instant(naive)
    assert str(refused.value) == NAIVE


@pytest.mark.parametrize(
    "text", ["", "soon", "2026-13-01T00:00:00Z", "1767614400", "\uff12026-01-31T08:00:00Z", "2026-01-31T08:00:00Z\n"]
)
def test_text_that_is_not_iso_8601_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(InputError) as refused:
        read_instant(text)
    assert str(refused.value) == NOT_A_TIME
    assert refused.value.__suppress_context__


@pytest.mark.parametrize("value", [None, 1_767_614_400, 1.5, date(2026, 1, 31), timedelta(0), b"2026-01-31T08:00:00Z"])
def test_what_is_neither_a_datetime_nor_text_is_no_time(value: object) -> None:
    with pytest.raises(InputError) as refused:
        read_instant(value)
    assert str(refused.value) == "not a time: give an aware datetime"


@pytest.mark.parametrize(
    "edge",
    [
        datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=1))),
        datetime(9999, 12, 31, 23, 59, 59, tzinfo=timezone(-timedelta(hours=1))),
    ],
)
def test_a_time_that_leaves_the_calendar_on_its_way_to_utc_is_refused(edge: datetime) -> None:
    with pytest.raises(InputError) as refused:
        read_instant(edge)
    assert str(refused.value) == "a time outside of the calendar"
    assert refused.value.__suppress_context__


def test_an_instant_is_written_with_a_z() -> None:
    assert write_instant(AS_OF) == "2026-01-05T12:00:00Z"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("PT8H", timedelta(hours=8)),
        ("P1DT12H", timedelta(hours=36)),
        ("P2D", timedelta(days=2)),
        ("PT90M", timedelta(minutes=90)),
        ("PT30S", timedelta(seconds=30)),
        ("PT0S", timedelta(0)),
        ("P0D", timedelta(0)),
        ("P1DT2H3M4S", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("PT2H4S", timedelta(hours=2, seconds=4)),
        ("P36500D", LONGEST),
        ("PT876000H", LONGEST),
        ("PT52560000M", LONGEST),
        ("PT3153600000S", LONGEST),
    ],
)
def test_a_duration_is_read_from_iso_8601(text: str, duration: timedelta) -> None:
    assert read_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "T8H",
        "8h",
        "pt8h",
        "-PT8H",
        "+PT8H",
        "PT-8H",
        "PT1.5H",
        "P1W",
        "P1M",
        "P1Y",
        "PT1S1H",
        " PT8H",
        "PT8H ",
        "PT8H\n",
        "PT\uff18H",
        "P100000D",
        "PT1000000H",
        "PT100000000M",
        "PT10000000000S",
    ],
)
def test_text_that_is_not_a_plain_duration_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        read_duration(text)
    assert str(refused.value) == NOT_A_DURATION


@pytest.mark.parametrize("value", [None, 8, 8.0, b"PT8H", AS_OF])
def test_what_is_neither_a_timedelta_nor_text_is_no_duration(value: object) -> None:
    with pytest.raises(InputError) as refused:
        read_duration(value)
    assert str(refused.value) == "not a duration: give a datetime.timedelta"


@pytest.mark.parametrize("duration", [timedelta(microseconds=1), timedelta(seconds=1.5), -timedelta(microseconds=1)])
def test_a_fraction_of_a_second_is_refused(duration: timedelta) -> None:
    with pytest.raises(InputError) as refused:
        read_duration(duration)
    assert str(refused.value) == "durations are whole seconds"


@pytest.mark.parametrize("duration", [LONGEST, -LONGEST, timedelta(0), SECOND, -SECOND])
def test_a_duration_of_up_to_100_years_is_read_as_it_is(duration: timedelta) -> None:
    assert read_duration(duration) == duration


@pytest.mark.parametrize(
    "duration", [LONGEST + SECOND, -LONGEST - SECOND, timedelta.min, "P36501D", "PT876001H", "PT3153600001S"]
)
def test_a_duration_of_more_than_100_years_is_refused(duration: object) -> None:
    with pytest.raises(InputError) as refused:
        read_duration(duration)
    assert str(refused.value) == "longer than 100 years"


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(0), "PT0S"),
        (timedelta(seconds=1), "PT1S"),
        (timedelta(seconds=59), "PT59S"),
        (timedelta(seconds=60), "PT1M"),
        (timedelta(seconds=61), "PT1M1S"),
        (timedelta(minutes=59, seconds=59), "PT59M59S"),
        (timedelta(hours=1), "PT1H"),
        (timedelta(hours=1, seconds=1), "PT1H1S"),
        (timedelta(hours=1, minutes=1, seconds=1), "PT1H1M1S"),
        (timedelta(hours=168), "PT168H"),
        (LONGEST, "PT876000H"),
    ],
)
def test_a_duration_is_written_in_hours_minutes_and_seconds(duration: timedelta, text: str) -> None:
    assert write_duration(duration) == text


@given(st.integers(min_value=0, max_value=36_500 * 86_400))
def test_a_duration_survives_the_way_to_text_and_back(whole: int) -> None:
    duration = timedelta(seconds=whole)
    assert read_duration(write_duration(duration)) == duration


@given(st.datetimes(timezones=st.just(UTC)))
def test_an_instant_survives_the_way_to_text_and_back(instant: datetime) -> None:
    kept = read_instant(instant)
    assert read_instant(write_instant(kept)) == kept == instant.replace(microsecond=0)


def refusal(kind: Any, value: object) -> str:
    """Why a field of the type `kind` refuses `value`."""
    with pytest.raises(ValidationError) as refused:
        TypeAdapter(kind).validate_python(value)
    (error,) = refused.value.errors()
    return error["msg"].removeprefix("Value error, ")


@pytest.mark.parametrize("duration", [timedelta(0), -SECOND, "PT0S"])
def test_a_time_span_must_be_above_0(duration: object) -> None:
    assert refusal(Duration, duration) == "a duration must be above 0"


def test_a_time_span_of_a_second_is_kept() -> None:
    assert TypeAdapter(Duration).validate_python(SECOND) == SECOND


def test_a_time_span_that_may_be_0_must_not_be_negative() -> None:
    assert refusal(DurationOrZero, -SECOND) == "a duration must not be negative"


@pytest.mark.parametrize("duration", [timedelta(0), SECOND])
def test_a_time_span_that_may_be_0_is_kept(duration: timedelta) -> None:
    assert TypeAdapter(DurationOrZero).validate_python(duration) == duration


@pytest.mark.parametrize("kind", [Duration, DurationOrZero])
def test_a_time_span_is_iso_8601_in_json_and_a_timedelta_in_python(kind: Any) -> None:
    adapter = TypeAdapter(kind)
    assert adapter.dump_json(timedelta(minutes=90)) == b'"PT1H30M"'
    assert adapter.validate_json(b'"PT1H30M"') == adapter.dump_python(timedelta(minutes=90)) == timedelta(minutes=90)
    assert adapter.json_schema() == {"type": "string", "format": "duration"}


def test_an_instant_is_iso_8601_in_json_and_a_datetime_in_python() -> None:
    adapter = TypeAdapter(Instant)
    assert adapter.dump_json(AS_OF) == b'"2026-01-05T12:00:00Z"'
    assert adapter.validate_json(b'"2026-01-05T13:00:00+01:00"') == adapter.dump_python(AS_OF) == AS_OF
    assert adapter.json_schema() == {"type": "string", "format": "date-time"}


@pytest.mark.usefixtures("far_zone")
def test_times_do_not_depend_on_the_time_zone_of_the_machine() -> None:
    assert read_instant("2026-01-05T12:00:00Z") == AS_OF
    assert write_instant(AS_OF) == "2026-01-05T12:00:00Z"
    assert epoch_seconds(AS_OF) == 1_767_614_400
    assert from_epoch(1_767_614_400) == AS_OF
    with pytest.raises(InputError):
        read_instant(AS_OF.replace(tzinfo=None))
