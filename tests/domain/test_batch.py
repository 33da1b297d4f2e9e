"""What a store keeps."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalancer import InputError, presets
from rebalancer.domain.batch import Batch, Lease, LedgerEntry, LedgerKind, StoredDecision, StoreMode
from rebalancer.testing import AS_OF, a_position, a_quote, a_snapshot
from rebalancer.testing.stores import an_intent

RECORD = presets.conservative().decide(a_position(), a_snapshot()).record


def test_a_stored_decision_has_the_id_of_its_record() -> None:
    stored = StoredDecision(record=RECORD, held="a person must look")
    assert stored.id == RECORD.id
    assert stored.record_json == RECORD.model_dump_json()


def test_what_is_computed_of_a_stored_decision_does_not_make_it_another_one() -> None:
    read, fresh = StoredDecision(record=RECORD), StoredDecision(record=RECORD)
    assert read.id == RECORD.id
    assert read == fresh
    assert StoredDecision.model_validate_json(read.model_dump_json()) == fresh


def test_a_stored_decision_is_read_from_the_text_whose_id_it_has() -> None:
    read = StoredDecision.read(RECORD.model_dump_json(), held="it waits", approved_at=AS_OF)
    assert read == StoredDecision(record=RECORD, held="it waits", approved_at=AS_OF)
    assert read.id == RECORD.id

    written_otherwise = StoredDecision.read(f" {RECORD.model_dump_json()}", held=None, approved_at=None)
    assert written_otherwise.record == RECORD
    assert written_otherwise.id != RECORD.id

    with pytest.raises(InputError):
        StoredDecision.read("{}", held=None, approved_at=None)


def test_a_lease_is_held_until_just_before_its_end() -> None:
    lease = Lease(holder="desk-1", epoch=1, until=AS_OF)
    assert lease.held_at(AS_OF - timedelta(microseconds=1))
    assert not lease.held_at(AS_OF)


def test_epochs_begin_at_1() -> None:
    with pytest.raises(InputError, match="epoch"):
        Lease(holder="desk-1", epoch=0, until=AS_OF)


def test_a_ledger_entry_is_signed_money_in_cents() -> None:
    fields = {"position_id": a_position().id, "venue": "GRVT", "kind": "fee", "at": AS_OF, "amount_usd": "-0.125"}
    entry = LedgerEntry.model_validate(fields)
    assert (str(entry.amount_usd), entry.venue, entry.kind) == ("-0.12", "grvt", LedgerKind.FEE)


def test_a_batch_of_nothing_is_a_batch() -> None:
    assert Batch() == Batch(positions=(), intents=(), decisions=(), ledger=(), observations=())


def test_a_batch_survives_json() -> None:
    batch = Batch(
        positions=(a_position(),),
        intents=(an_intent(a_position()),),
        decisions=(StoredDecision(record=RECORD),),
        observations=(a_quote(),),
    )
    assert Batch.model_validate_json(batch.model_dump_json()) == batch


def test_a_store_is_for_one_of_three_modes() -> None:
    assert [str(mode) for mode in StoreMode] == ["dry", "paper", "live"]
