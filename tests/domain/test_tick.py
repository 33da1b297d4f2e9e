"""What is told of a tick."""

from __future__ import annotations

import pytest

from rebalancer import Alarm, AlarmKind, AlarmLevel, InputError, TickReport
from rebalancer.testing import AS_OF, a_position


def an_alarm(**fields: object) -> Alarm:
    """An alarm about a store."""
    usual = {"kind": AlarmKind.STORE, "about": "the store", "why": "it is full", "since": AS_OF}
    return Alarm.model_validate({**usual, **fields})


def test_an_alarm_says_what_and_why_in_one_line() -> None:
    assert str(an_alarm()) == "store: the store: it is full"
    assert an_alarm().level is AlarmLevel.WARNING


def test_an_alarm_can_not_forge_a_line() -> None:
    with pytest.raises(InputError, match="why"):
        an_alarm(why="full\nCRITICAL all is well")


def test_an_alarm_reads_back_from_json() -> None:
    alarm = an_alarm(position_id=a_position().id, approve="a key")

    assert Alarm.model_validate_json(alarm.model_dump_json()) == alarm


def test_a_report_says_at_least_when_and_whether_anything_was_looked_at() -> None:
    report = TickReport(as_of=AS_OF, active=False)

    assert (report.decisions, report.alarms, report.failures, report.closing) == ((), (), (), ())
