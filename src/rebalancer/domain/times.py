"""Instants and durations on the grid of whole seconds; instants are aware and kept in UTC."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from ..errors import InputError

SECOND = timedelta(seconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MAX_DURATION = timedelta(days=36_500)
_ISO_DURATION = re.compile(r"P(?:([0-9]{1,5})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,8})M)?(?:([0-9]{1,10})S)?)?")


def seconds(duration: timedelta) -> int:
    """Whole seconds of `duration`, floored."""
    return duration // SECOND


def epoch_seconds(instant: datetime) -> int:
    """Whole seconds since 1970-01-01 UTC, floored."""
    return (instant - EPOCH) // SECOND


def from_epoch(at: int) -> datetime:
    """The UTC instant `at` seconds after 1970-01-01."""
    return EPOCH + timedelta(seconds=at)


def read_moment(value: object) -> datetime:
    """`value` (an aware datetime, or ISO 8601 text with an offset) in UTC, to the microsecond."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise InputError("not a time: write ISO 8601 such as 2026-01-31T08:00:00Z") from None
    if not isinstance(value, datetime):
        raise InputError("not a time: give an aware datetime")
    if value.tzinfo is UTC:
        return value
    if value.utcoffset() is None:
        raise InputError("a naive time: add its zone, for instance .replace(tzinfo=timezone.utc)")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise InputError("a time outside of the calendar") from None


def read_instant(value: object) -> datetime:
    """`value` as `read_moment` reads it, floored to the second."""
    instant = read_moment(value)
    return instant.replace(microsecond=0) if instant.microsecond else instant


def read_duration(value: object) -> timedelta:
    """`value` (a timedelta, or ISO 8601 text such as PT8H) on whole seconds; a fraction of a second is refused."""
    if isinstance(value, str):
        match = _ISO_DURATION.fullmatch(value)
        if match is None or not any(match.groups()):
            raise InputError("not a duration: write ISO 8601 such as PT8H or P1DT12H")
        days, hours, minutes, secs = (int(part or 0) for part in match.groups())
        value = timedelta(days=days, hours=hours, minutes=minutes, seconds=secs)
    if not isinstance(value, timedelta):
        raise InputError("not a duration: give a datetime.timedelta")
    if value.microseconds:
        raise InputError("durations are whole seconds")
    if abs(value) > MAX_DURATION:
        raise InputError("longer than 100 years")
    return value


def write_instant(instant: datetime) -> str:
    """ISO 8601 text of a UTC time: 2026-01-31T08:00:00Z."""
    return instant.isoformat().replace("+00:00", "Z")


def write_duration(duration: timedelta) -> str:
    """ISO 8601 text of a duration that is not negative, days and larger units as hours: PT168H."""
    left = seconds(duration)
    hours, left = divmod(left, 3600)
    minutes, secs = divmod(left, 60)
    parts = [f"{number}{unit}" for number, unit in ((hours, "H"), (minutes, "M"), (secs, "S")) if number]
    return "PT" + "".join(parts) if parts else "PT0S"


def _not_negative(value: object) -> timedelta:
    duration = read_duration(value)
    if duration < timedelta(0):
        raise InputError("a duration must not be negative")
    return duration


def _positive(value: object) -> timedelta:
    duration = read_duration(value)
    if duration <= timedelta(0):
        raise InputError("a duration must be above 0")
    return duration


_AS_TEXT = (PlainSerializer(write_instant, when_used="json"), WithJsonSchema({"type": "string", "format": "date-time"}))

Instant = Annotated[datetime, PlainValidator(read_instant), *_AS_TEXT]
"""An aware time, kept in UTC and floored to the second; a naive one is refused."""

Moment = Annotated[datetime, PlainValidator(read_moment), *_AS_TEXT]
"""An aware time, kept in UTC to the microsecond, for orders and reads of legs; a naive one is refused."""

_WRITTEN = (PlainSerializer(write_duration, when_used="json"), WithJsonSchema({"type": "string", "format": "duration"}))

Duration = Annotated[timedelta, PlainValidator(_positive), *_WRITTEN]
"""A time span above 0 in whole seconds."""

DurationOrZero = Annotated[timedelta, PlainValidator(_not_negative), *_WRITTEN]
"""A time span of 0 or more in whole seconds."""
