"""A decision, and the record that explains it."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
import traceback
import weakref
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from rebalancer import (
    Action,
    CombinedStrategy,
    Fact,
    HeldBack,
    InputError,
    Missing,
    Position,
    RebalanceDecision,
    TargetFilter,
    Urgency,
    Verdict,
    presets,
)
from rebalancer.domain.decision import HOLD, Head, deferred
from rebalancer.domain.funding import RateKind
from rebalancer.domain.names import Pair
from rebalancer.domain.record import DecisionRecord, LegRecord
from rebalancer.testing import AS_OF, a_position, a_quote, a_rate, a_snapshot, an_opportunity

CHANGED = "the decision's id does not match its content: it was changed after it was made"
CANARY = "hunter2" * 3
FIRED = Verdict.close("the edge is gone", Fact("divergence", "-0.0001", limit=0), reopen_after=AS_OF)


def a_record(**fields: Any) -> DecisionRecord:
    """The record of a CLOSE of the usual position."""
    usual: dict[str, Any] = {
        "as_of": AS_OF,
        "position_id": UUID(int=7),
        "position_version": 3,
        "symbol": "BTC",
        "long": LegRecord(venue="lighter", rate="0.0001", age_seconds=5, kind=RateKind.SETTLED, origin="svc"),
        "short": LegRecord(venue="grvt", rate=None, age_seconds=None, kind=None, origin=None),
        "action": Action.CLOSE,
        "reason": "EDGE",
        "target": None,
        "urgency": Urgency.HIGH,
        "complete": False,
        "verdicts": (Verdict.quiet("it is young"), FIRED, Verdict.close("it is old")),
        "held_back": (HeldBack(reason="AGE", guard="HeldFor", why="too young"),),
        "warnings": (Fact("opened_after_now_seconds", 5, limit=0),),
        "targets": TargetFilter(venues=("grvt",), taken=(Pair("BTC", "grvt", "lighter"),)),
    }
    return DecisionRecord(**{**usual, **fields})


def a_switch() -> RebalanceDecision:
    """A decision to switch, made by a preset."""
    quotes = (a_quote("lighter"), a_quote("grvt", "0.0003"), a_quote("paradex", "0.0105", origin="svc"))
    return presets.conservative().decide(a_position(), a_snapshot(*quotes))


def a_close() -> RebalanceDecision:
    """A decision to close, made by a preset."""
    return presets.conservative().decide(a_position(), a_snapshot(a_quote("lighter", "0.0003"), a_quote("grvt")))


def a_hold() -> RebalanceDecision:
    """A decision to hold, made by a preset."""
    return presets.conservative().decide(a_position(), a_snapshot())


def a_blind_hold() -> RebalanceDecision:
    """A decision to hold because the markets are unknown, made by a preset."""
    missing = (Missing(field="rate", why="HTTP 503", venue="grvt"),)
    return presets.conservative().decide(a_position(), a_snapshot(a_quote("lighter"), missing=missing))


MADE = [a_switch, a_close, a_hold, a_blind_hold]


class Trace:
    """Makes a record, and counts how often it was asked to."""

    def __init__(self, record: DecisionRecord) -> None:
        self.record = record
        self.calls: list[tuple[object, ...]] = []

    def __call__(self, *context: object) -> DecisionRecord:
        self.calls.append(context)
        return self.record


def a_deferred(head: Head, record: DecisionRecord) -> tuple[RebalanceDecision, Trace]:
    """A decision whose record was not read yet, and what will make it."""
    trace = Trace(record)
    return deferred(head, (a_position(), a_snapshot(), trace, "some", "context")), trace


def test_a_decision_is_traced_once_its_record_was_read() -> None:
    decision = presets.conservative().decide(a_position(), a_snapshot(a_quote("lighter"), a_quote("grvt")))
    assert not decision.traced
    assert decision.record.position_id == a_position().id
    assert decision.traced
    assert RebalanceDecision(decision.record).traced


def test_a_decision_has_what_its_record_has() -> None:
    record = a_record()
    decision = RebalanceDecision(record)
    assert decision.record is record
    assert (decision.action, decision.reason, decision.urgency) == (Action.CLOSE, "EDGE", Urgency.HIGH)
    assert (decision.as_of, decision.position_id, decision.complete) == (AS_OF, UUID(int=7), False)
    assert (decision.verdicts, decision.held_back) == (record.verdicts, record.held_back)
    assert (decision.warnings, decision.target) == (record.warnings, None)


def test_the_first_verdict_that_fired_decided() -> None:
    record = a_record()
    assert record.decided_by is FIRED
    assert RebalanceDecision(record).decided_by is FIRED
    assert RebalanceDecision(record).reopen_after == AS_OF


def test_on_hold_no_verdict_decided() -> None:
    decision = RebalanceDecision(
        a_record(action="HOLD", reason=None, verdicts=(Verdict.quiet("x"), Verdict.failed("y")))
    )
    assert decision.decided_by is None
    assert decision.reopen_after is None


def test_a_verdict_may_decide_without_saying_when_to_reopen() -> None:
    assert RebalanceDecision(a_record(verdicts=(Verdict.close("it is old"),))).reopen_after is None


def test_a_switch_has_its_target() -> None:
    target = an_opportunity()
    record = a_record(action="SWITCH", target=target, verdicts=(Verdict.switch(target, "x"),))
    assert RebalanceDecision(record).target == target


def test_the_head_of_a_hold_has_no_reason() -> None:
    assert HOLD == (Action.HOLD, None, Urgency.NORMAL)


def test_the_head_is_read_without_computing_the_record() -> None:
    decision, trace = a_deferred(Head(Action.CLOSE, "EDGE", Urgency.HIGH), a_record())
    assert (decision.action, decision.reason, decision.urgency) == (Action.CLOSE, "EDGE", Urgency.HIGH)
    assert (decision.position_id, decision.as_of) == (a_position().id, AS_OF)
    assert decision.target is None
    assert repr(decision) == "<RebalanceDecision CLOSE EDGE>"
    assert trace.calls == []


@pytest.mark.parametrize(
    "read",
    [
        lambda decision: decision.record,
        lambda decision: decision.complete,
        lambda decision: decision.verdicts,
        lambda decision: decision.held_back,
        lambda decision: decision.warnings,
        lambda decision: decision.decided_by,
        lambda decision: decision.reopen_after,
        lambda decision: decision.id,
        lambda decision: decision.explain(),
        lambda decision: decision.model_dump_json(),
        lambda decision: decision == RebalanceDecision(a_record()),
        hash,
        pickle.dumps,
        copy.deepcopy,
    ],
)
def test_the_record_is_computed_once_and_only_when_it_is_first_read(
    read: Callable[[RebalanceDecision], object],
) -> None:
    decision, trace = a_deferred(Head(Action.CLOSE, "EDGE", Urgency.HIGH), a_record())
    assert trace.calls == []
    read(decision)
    read(decision)
    assert trace.calls == [(a_position(), a_snapshot(), "some", "context")]
    assert decision == RebalanceDecision(a_record())


def test_the_target_of_a_deferred_switch_is_that_of_its_record() -> None:
    target = an_opportunity()
    record = a_record(action="SWITCH", target=target, verdicts=(Verdict.switch(target, "x"),))
    decision, trace = a_deferred(Head(Action.SWITCH, "EDGE", Urgency.NORMAL), record)
    assert decision.target == target
    assert len(trace.calls) == 1


def test_the_context_is_dropped_once_the_record_was_read() -> None:
    decision, trace = a_deferred(HOLD, a_record(action="HOLD", reason=None))
    reference = weakref.ref(trace)
    del trace
    assert reference() is not None
    assert decision.complete is False
    assert reference() is None


def test_a_decision_is_frozen() -> None:
    decision = a_hold()
    for name in ("action", "record", "note", "_head"):
        with pytest.raises(AttributeError, match=r"^a decision is frozen$"):
            setattr(decision, name, None)
    with pytest.raises(AttributeError, match=r"^a decision is frozen$"):
        del decision._head
    assert not hasattr(decision, "__dict__")


@pytest.mark.parametrize("made", MADE)
def test_decisions_are_equal_and_hash_alike_by_content(made: Callable[[], RebalanceDecision]) -> None:
    assert made() == made()
    assert hash(made()) == hash(made())
    assert {made(), made()} == {made()}
    assert made().id == made().id


def test_decisions_of_other_content_differ() -> None:
    decisions = {made() for made in MADE}
    assert len(decisions) == len({decision.id for decision in decisions}) == len(MADE)
    assert RebalanceDecision(a_record()) != RebalanceDecision(a_record(position_version=4))


def test_a_decision_equals_nothing_but_decisions() -> None:
    decision = RebalanceDecision(a_record())
    assert decision != decision.record
    assert decision.__eq__(decision.record) is NotImplemented


def test_a_decision_shows_its_action_and_reason() -> None:
    assert repr(a_hold()) == "<RebalanceDecision HOLD>"
    assert repr(a_close()) == "<RebalanceDecision CLOSE DIVERGENCE_FLIPPED>"


def test_the_id_is_the_first_128_bits_of_the_sha_256_of_the_canonical_json() -> None:
    record = a_record()
    digest = hashlib.sha256(record.model_dump_json().encode()).hexdigest()
    assert RebalanceDecision(record).id.hex == record.id.hex == digest[:32]


def test_a_decision_is_written_as_canonical_json_with_its_id_first() -> None:
    body = (
        '"as_of":"2026-01-05T12:00:00Z","position_id":"00000000-0000-0000-0000-000000000007","position_version":3,'
        '"symbol":"BTC",'
        '"long":{"venue":"lighter","rate":"0.0001","age_seconds":5,"kind":"settled","origin":"svc"},'
        '"short":{"venue":"grvt","rate":null,"age_seconds":null,"kind":null,"origin":null},'
        '"action":"CLOSE","reason":"EDGE","target":null,"urgency":"high","complete":false,'
        '"verdicts":[{"outcome":"fired","claim":"the edge is gone","rule":null,"reason":null,'
        '"facts":[{"name":"divergence","value":"-0.0001","limit":"0"}],"action":"CLOSE","target":null,'
        '"urgency":"normal","reopen_after":"2026-01-05T12:00:00Z","missing":[],"held_back":[]}],'
        '"held_back":[{"reason":"AGE","guard":"HeldFor","why":"too young"}],'
        '"warnings":[{"name":"opened_after_now_seconds","value":"5","limit":"0"}],'
        '"targets":{"venues":["grvt"],"blocked_symbols":[],"taken":[["BTC","grvt","lighter"]]}}'
    )
    digest = hashlib.sha256(f"{{{body}".encode()).digest()
    decision = RebalanceDecision(a_record(verdicts=(FIRED,)))
    assert decision.model_dump_json() == f'{{"id":"{UUID(bytes=digest[:16])}",{body}'


@pytest.mark.parametrize("made", [*MADE, lambda: RebalanceDecision(a_record())])
def test_a_decision_makes_the_way_to_json_and_back_byte_for_byte(made: Callable[[], RebalanceDecision]) -> None:
    decision = made()
    text = decision.model_dump_json()
    for again in (RebalanceDecision.model_validate_json(text), RebalanceDecision.model_validate_json(text.encode())):
        assert again == decision
        assert again.id == decision.id
        assert (again.action, again.reason, again.urgency) == (decision.action, decision.reason, decision.urgency)
        assert again.model_dump_json() == text
        assert again.explain() == decision.explain()


@pytest.mark.parametrize("made", MADE)
def test_a_decision_survives_pickling_and_copying(made: Callable[[], RebalanceDecision]) -> None:
    decision = made()
    for again in (pickle.loads(pickle.dumps(decision)), copy.copy(decision), copy.deepcopy(decision)):
        assert again == decision
        assert again.model_dump_json() == decision.model_dump_json()


def test_json_of_the_same_content_in_another_layout_is_the_same_decision() -> None:
    text = a_close().model_dump_json()
    assert RebalanceDecision.model_validate_json(json.dumps(json.loads(text), indent=2)).model_dump_json() == text


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"action":"CLOSE","reason":"DIVERGENCE_FLIPPED"', '"action":"HOLD","reason":"DIVERGENCE_FLIPPED"'),
        ('"urgency":"critical"', '"urgency":"normal"'),
        ('"complete":true', '"complete":false'),
        ('"rate":"0.0003"', '"rate":"0.0004"'),
        ('"position_version":0', '"position_version":1'),
        ('"as_of":"2026-01-05T12:00:00Z"', '"as_of":"2026-01-05T12:00:01Z"'),
        ('"id":"', '"id":"0'),
        ('"id":"', '"id":null,"_":"'),
    ],
)
def test_a_decision_that_was_tampered_with_is_refused(old: str, new: str) -> None:
    text = a_close().model_dump_json()
    assert old in text
    with pytest.raises(InputError):
        RebalanceDecision.model_validate_json(text.replace(old, new, 1))


@pytest.mark.parametrize("written", [None, 5, "", "00000000-0000-0000-0000-000000000007"])
def test_a_decision_without_its_own_id_is_refused(written: object) -> None:
    fields = json.loads(a_close().model_dump_json())
    with pytest.raises(InputError) as refused:
        RebalanceDecision.model_validate_json(json.dumps({**fields, "id": written}))
    assert str(refused.value) == CHANGED
    del fields["id"]
    with pytest.raises(InputError) as refused:
        RebalanceDecision.model_validate_json(json.dumps(fields))
    assert str(refused.value) == CHANGED


@pytest.mark.parametrize("text", ["", "{", "HOLD", b"\xff", '{"id": ' + "[" * 10_000])
def test_what_is_not_json_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError) as refused:
        RebalanceDecision.model_validate_json(text)
    assert str(refused.value) == "not a decision: this is not JSON"
    assert refused.value.__cause__ is not None


@pytest.mark.parametrize("text", ["[]", "null", "5", '"HOLD"'])
def test_json_that_is_no_object_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        RebalanceDecision.model_validate_json(text)
    assert str(refused.value) == "not a decision: a JSON object is expected"


def test_an_object_that_is_no_decision_is_refused_field_by_field() -> None:
    fields = {**json.loads(a_close().model_dump_json()), "action": "PANIC", "urgenci": "high"}
    with pytest.raises(InputError) as refused:
        RebalanceDecision.model_validate_json(json.dumps(fields))
    assert str(refused.value) == (
        "DecisionRecord: action: Input should be 'HOLD', 'CLOSE' or 'SWITCH'; "
        "urgenci: is not known here (did you mean 'urgency'?)"
    )


@pytest.mark.parametrize("text", [CANARY, f'["{CANARY}"]', f'{{"id": "{CANARY}"}}', f'{{"action": "{CANARY}"}}'])
def test_refused_json_is_neither_in_the_message_nor_in_the_traceback(text: str) -> None:
    with pytest.raises(InputError) as refused:
        RebalanceDecision.model_validate_json(text)
    assert CANARY not in "".join(traceback.format_exception(refused.value))


@pytest.fixture
def usual_text() -> str:
    """A decision with odd numbers in it, as it is written in a friendly process."""
    return decide_oddly(presets.aggressive(), odd_position())


def odd_position() -> Position:
    """A position of many digits."""
    return a_position(size_usd="123456.789", entry_long_rate="0.000123456789", entry_short_rate="0.000987654321")


def decide_oddly(strategy: CombinedStrategy, position: Position) -> str:
    """A decision on odd numbers, and its words."""
    long = a_quote("lighter", a_rate("0.000012345678", hours=1), observed_at=AS_OF)
    snapshot = a_snapshot(long, a_quote("grvt", "0.000987654321"), a_quote("paradex", "-0.000111222333"))
    decision = strategy.decide(position, snapshot)
    return decision.model_dump_json() + decision.explain()


@pytest.mark.usefixtures("usual_text", "hostile_context", "far_zone")
def test_a_decision_depends_neither_on_the_decimal_context_nor_on_the_time_zone(usual_text: str) -> None:
    assert decide_oddly(presets.aggressive(), odd_position()) == usual_text


@pytest.mark.usefixtures("hostile_context", "far_zone")
def test_reading_a_written_decision_depends_neither_on_the_decimal_context_nor_on_the_time_zone() -> None:
    decision = RebalanceDecision(a_record(warnings=(Fact("entry_divergence_gap", "0.123456789012"),)))
    text = decision.model_dump_json()
    assert RebalanceDecision.model_validate_json(text).model_dump_json() == text
    assert '{"name":"entry_divergence_gap","value":"0.123456789012","limit":null}' in text
