"""The funding that a paper leg was paid, from what was seen of its market. What was not seen makes it unknown."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from ...domain.funding import RateKind
from ...domain.market import Quote
from ...domain.times import epoch_seconds, from_epoch, seconds
from .paper_account import PaperLeg, dollars, exactly


@exactly
def funded(leg: PaperLeg, quote: Quote | None, *, now: int) -> PaperLeg:
    """The leg with every payment until `now` (epoch seconds), and with `quote` as what was last seen.

    A settled rate is paid at the instant at which it was seen. A live one is paid at the settlement that it speaks of:
    its next one, else the first multiple of the payment interval after it was seen. Continuous funding is paid by the
    second, at the rate that was seen before. Until the market is first seen, nothing is.
    """
    seen = [one for one in (leg.quote, quote) if one is not None]
    if not seen:
        return leg
    last, since = seen[-1], now if leg.funded_until is None else epoch_seconds(leg.funded_until)
    until = max(now, since)
    if leg.quantity and last.kind is RateKind.SETTLED and last.pays_seconds:
        until = max(since, min(now, last.observed_epoch))  # the next payment is known when it has been made
    funding = leg.funding_usd
    if leg.quantity:
        for amount in _paid(leg.quantity, seen, since=since, until=until):
            funding = None if funding is None or amount is None else funding + amount
    return leg.model_copy(update={"funding_usd": funding, "funded_until": from_epoch(until), "quote": last})


def _paid(quantity: Decimal, seen: list[Quote], *, since: int, until: int) -> Iterator[Decimal | None]:
    """Each payment after `since` up to `until`; None for one whose rate or price nobody saw."""
    last = seen[-1]
    pays = last.pays_seconds
    if pays == 0:
        if until > since:
            elapsed, before = until - since, seen[0]
            yield _amount(quantity, before, elapsed) if elapsed <= seconds(before.rate.interval) else None
        return
    settled = last.kind is RateKind.SETTLED
    phase = last.observed_epoch if settled else last.next_epoch or 0
    for at in range(since + 1 + (phase - since - 1) % pays, until + 1, pays):
        speaks = [one for one in seen if (one.observed_epoch == at if settled else _speaks_of(one, at))]
        yield _amount(quantity, speaks[-1], pays) if speaks else None


def _speaks_of(quote: Quote, at: int) -> bool:
    """Whether a live quote's rate is the one that is paid at `at`."""
    if quote.next_epoch is not None:
        return quote.next_epoch == at
    return at - quote.pays_seconds <= quote.observed_epoch < at


def _amount(quantity: Decimal, quote: Quote, span: int) -> Decimal | None:
    """What a leg is paid for `span` seconds, in dollars: longs pay a positive rate."""
    if quote.mark_price is None:
        return None
    return dollars(-quantity * quote.mark_price * quote.rate.value * span / seconds(quote.rate.interval))
