"""Open positions in one tick: what their legs show, one fetch, a decision each, and what of it begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cache
from uuid import UUID

from ..domain.batch import Batch, StoredTick
from ..domain.decision import RebalanceDecision
from ..domain.legs import LegReading
from ..domain.lifecycle import Switch
from ..domain.names import Market, as_line
from ..domain.needs import Needs
from ..domain.position import Position, PositionStatus
from ..domain.snapshot import MarketSnapshot
from ..domain.tick import AlarmKind, Skipped
from ..domain.times import seconds
from ..domain.verdict import Action, Fact
from ..errors import Stopped, StoreError
from .bench import Bench, Wanting
from .books import Books
from .desk import Desk
from .evidence import Evidence, Reads
from .exits import turn
from .fetch import Fetcher
from .instructions import Blind, Flatten, LegGone
from .journal import Journal
from .keeper import Keeper
from .leaving import Leaving
from .legs import Looked, look
from .limits import MonitorLimits
from .memory import Memory
from .notice import Notice, of_data, of_means
from .outcomes import Outcomes
from .records import Records
from .smoother import Smoother


class Decider:
    """Decides open positions. One batch for all that hold, and one for each exit, so that none stops another."""

    def __init__(
        self,
        *,
        needs: Needs,
        desk: Desk,
        keeper: Keeper,
        evidence: Evidence,
        fetcher: Fetcher,
        bench: Bench,
        journal: Journal,
        books: Books,
        leaving: Leaving,
        limits: MonitorLimits,
        liquidation: frozenset[str],
    ) -> None:
        self._needs = needs
        self._desk = desk
        self._keeper = keeper
        self._evidence = evidence
        self._fetcher = fetcher
        self._bench = bench
        self._journal = journal
        self._books = books
        self._leaving = leaving
        self._limits = limits
        self._liquidation = liquidation
        self._memory = Memory(keeper, most=_remembered(needs, limits))
        self._smoother = Smoother(needs.smoothed, fetcher) if needs.smoothed else None
        self._records = Records(keeper, journal, books, self._memory, self._smoother)
        self._term = 0

    async def recall(self, now: datetime) -> None:
        """Begin a term: what is remembered of decisions is what the store has."""
        since = now - max(self._limits.mass_window, self._limits.record_every + self._limits.approval_life)
        store = self._keeper.store
        decisions = await self._keeper.ask(lambda: store.exits(since))
        self._leaving.recall(decisions)
        approved = [one.record.as_of for one in decisions if one.approved_at is not None]
        if approved:  # what was decided since may have ended an approval
            first = min(approved)
            later = await self._keeper.ask(lambda: store.decisions(first))
            decisions = (*(one for one in decisions if one.record.as_of < first), *later)
        self._journal.recall(decisions)
        self._books.forget(())
        if self._term != self._keeper.term:  # another process observed meanwhile
            if self._smoother is not None:
                self._smoother.know(await self._keeper.ask(self._keeper.store.smoothed))
            self._memory.forget()
            self._term = self._keeper.term

    async def tick(self, positions: Sequence[Position], reads: Reads, switch: Switch, outcomes: Outcomes) -> None:
        """Decide open positions, and begin what may begin. `reads` is empty if nobody reads legs."""
        looked = await self._look(positions, reads, outcomes)
        held = [one.position for one in looked]
        turns = self._journal.turns([position.id for position in held])
        if not held:
            return
        try:
            await self._memory.recall(_markets(held), self._desk.now().wall)
        except StoreError as error:  # what was seen before is unknown then, which stops nobody from being decided
            outcomes.failed("what was observed before", error)
        fetched = await self._fetcher.fetch(held, past=self._memory.past)
        if self._smoother is not None:
            await self._smoother.learn(fetched, _markets(held))
        snapshot = self._seen_by_rules(fetched.snapshot, reads, held)
        outcomes.notices += [*of_means(snapshot, self._needs.smoothed, held), *of_data(fetched, held)]
        decisions = await self._bench.decide(held, snapshot, traced=turns, exits=self._wanting(looked, switch))
        outcomes.notices += [Notice(AlarmKind.BENCHED, f"rule {name}", why) for name, why in self._bench.benched]
        decisions = tuple(
            self._instead(one, decision, snapshot, switch) for one, decision in zip(looked, decisions, strict=True)
        )
        outcomes.decisions = decisions
        exits = self._leaving.exits(looked, decisions, switch)
        for exit_ in sorted(exits.values(), key=lambda one: turn(one.decision.urgency, one.position)):
            if exit_.held is not None:
                outcomes.skipped.append(Skipped(position_id=exit_.position.id, why=exit_.held))
                continue
            try:
                outcomes.begun.append(await self._leaving.begin(exit_, outcomes.failures, snapshot))
            except Stopped as stopped:  # the switch was set while this tick decided
                outcomes.skipped.append(Skipped(position_id=exit_.position.id, why=as_line(stopped)))
            except StoreError as error:
                outcomes.failed(str(exit_.position.pair), error)
        tick = StoredTick(
            at=self._desk.now().wall,
            as_of=snapshot.as_of,
            decided=len(held),
            blind=sum(snapshot.book[position.pair].divergence is None for position in held),
            begun=len(outcomes.begun),
            held_back=len(exits) - len(outcomes.begun),
        )
        await self._records.write(looked, decisions, exits, turns, snapshot, reads, outcomes, tick)

    async def _look(self, positions: Sequence[Position], reads: Reads, outcomes: Outcomes) -> list[Looked]:
        """The positions that are still open, as their legs show them. What is new of them is stored at once."""
        if not reads:
            return [Looked(position, {}) for position in positions]
        capabilities = cache(self._desk.capabilities)  # asked once a venue, in this tick
        looked = [look(position, reads, self._evidence, capabilities) for position in positions]
        news = [(before, one) for before, one in zip(positions, looked, strict=True) if one.position is not before]
        for before, one in news:
            try:
                await self._keeper.commit(Batch(positions=(one.position,)))
            except StoreError as error:
                outcomes.failed(str(before.pair), error)
                looked[looked.index(one)] = Looked(before, one.legs)
                continue
            if one.position.status is PositionStatus.CLOSED:
                outcomes.ended.append(before.id)
                why = "both legs are gone, and no order of ours explains it: it is closed"
                outcomes.notices.append(Notice(AlarmKind.LEG_GONE, str(before.pair), why, before.id))
        open_ = [one for one in looked if one.position.status is PositionStatus.OPEN]
        for one in open_:
            if one.attention is not None:
                kind = AlarmKind.UNEXPECTED_LEG if one.gone is None else AlarmKind.LEG_GONE
                outcomes.notices.append(Notice(kind, str(one.position.pair), one.attention, one.position.id))
        return open_

    def _wanting(self, looked: Sequence[Looked], switch: Switch) -> Callable[[Wanting], set[UUID]]:
        """Of whose exits the records are made, once it is known who wants out."""
        return lambda wanting: self._leaving.looked_at(wanting, {one.position.id: one for one in looked}, switch)

    def _seen_by_rules(self, snapshot: MarketSnapshot, reads: Reads, positions: Iterable[Position]) -> MarketSnapshot:
        """The snapshot with what else the rules read: legs, past observations, and smoothed rates."""
        more: dict[str, object] = {}
        if self._needs.legs and reads:
            wanted = dict.fromkeys(_markets(positions))
            more["legs"] = tuple(
                LegReading(venue=market.venue, symbol=market.symbol, state=reads[market].state) for market in wanted
            )
        if self._needs.observations:
            more["observations"] = (*snapshot.observations, *self._memory.past)
        if self._smoother is not None:
            more["smoothed"] = self._smoother.rates()
        return snapshot.model_copy(update=more) if more else snapshot

    def _instead(
        self, looked: Looked, decision: RebalanceDecision, snapshot: MarketSnapshot, switch: Switch
    ) -> RebalanceDecision:
        """The decision that counts: the strategy's, unless something else says to leave."""
        if decision.action is Action.CLOSE and decision.reason in self._liquidation:
            return decision  # whatever else is the matter, this one waits for nothing
        if looked.gone is not None:
            return LegGone().decision(looked.position, snapshot)
        if switch is Switch.FLATTEN:
            return Flatten().decision(looked.position, snapshot)
        most = self._limits.max_blind
        if most is not None and decision.action is Action.HOLD and _unknown(looked.position, snapshot):
            blind = self._memory.blind_for(looked.position, snapshot)
            if blind is not None and blind >= most:
                fact = Fact("blind_seconds", seconds(blind), limit=seconds(most))
                return Blind(facts=(fact,)).decision(looked.position, snapshot)
        return decision


def _unknown(position: Position, snapshot: MarketSnapshot) -> bool:
    """Whether the rate of a leg is unknown."""
    return any(snapshot.book.leg(market).rate is None for market in position.markets)


def _remembered(needs: Needs, limits: MonitorLimits) -> int:
    """How many observations of a market are remembered: one more than a rule needs, since two legs alternate."""
    return needs.observations + 1 if needs.observations else int(limits.max_blind is not None)


def _markets(positions: Iterable[Position]) -> list[Market]:
    return [market for position in positions for market in position.markets]
