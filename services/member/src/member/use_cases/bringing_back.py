"""Bring points back to a membership that ended in another one, so that what it was given can be taken back there.

A merge moves the points of a membership by a transfer. To undo what the one that ended was given, the transfer is
undone first, as far as is needed: what is free of the standing membership goes back, in a chain of merges from one to
the next, and is taken from there. Grants lose their names on the way: what is free counts, not what is left of one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from chassis.work import Transaction
from ledger import Reverse, Shortfall, Source

from member.domain.kinds import PointsKind
from member.domain.membership import MemberId
from member.store import earning, standing
from member.store import spending as store
from member.store.standing import PassedOn

# What comes back to a grant that has expired meanwhile is taken from there at the same instant.
_A_MOMENT = timedelta(days=1)


@dataclass(slots=True)
class Plan:
    """What is posted for reversals: before each what brings its points back. `chains` are of members that ended."""

    steps: list[tuple[Reverse, ...]]
    chains: Mapping[MemberId, Sequence[MemberId]]

    @property
    def postings(self) -> list[Reverse]:
        """All of it in order."""
        return [each for steps in self.steps for each in steps]


@dataclass(slots=True)
class _Books:
    """What the planned reversals leave of each member's free points and of the transfers."""

    chains: Mapping[MemberId, Sequence[MemberId]]
    credited: Mapping[str, Mapping[MemberId, int]]
    undone: dict[str, int]
    free: dict[MemberId, int]
    passed_on: dict[MemberId, list[PassedOn]]

    def bring_back(self, reversal: Reverse) -> tuple[Reverse, ...]:
        """The reversal behind what brings back the points that it takes of memberships that ended."""
        given = self.credited.get(reversal.of, {})
        if not any(member_id in self.chains for member_id in given):
            return (reversal,)
        undone, total = self.undone.get(reversal.of, 0), sum(given.values())
        asked = total - undone if reversal.amount is None else reversal.amount
        if not 0 < asked <= total - undone or (asked < total and len(given) > 1):
            return (reversal,)  # the ledger refuses it
        self.undone[reversal.of] = undone + asked
        steps = [
            step
            for member_id, points in given.items()
            if member_id in self.chains
            for step in self._fetch(reversal, member_id, min(asked, points))
        ]
        return (*steps, replace(reversal, shortfall=Shortfall.DOWN_TO_FLOOR))

    def _fetch(self, reversal: Reverse, ended: MemberId, points: int) -> list[Reverse]:
        """Transfers undone for so many points to be there, the one out of the standing membership first."""
        chain = [ended, *self.chains[ended]]
        fetched: list[Reverse] = []
        for place, member_id in enumerate(chain[:-1]):
            there = max(0, min(points, self.free[member_id]))
            self.free[member_id] -= there
            points -= there
            owing = reversal.shortfall is Shortfall.OWE and place == len(chain) - 2
            fetched = [*self._undo(reversal, member_id, points, owing=owing), *fetched]
        return fetched

    def _undo(self, reversal: Reverse, member_id: MemberId, points: int, *, owing: bool) -> list[Reverse]:
        undone: list[Reverse] = []
        transfers = self.passed_on[member_id]
        while points and transfers:
            last = transfers.pop(0)
            part = min(points, last.points)
            points -= part
            if part < last.points:
                transfers.insert(0, PassedOn(last.source, last.points - part))
            undone.append(
                Reverse(
                    source=Source(f"{reversal.source}<{last.source}"),
                    kind=PointsKind.REVERSAL,
                    occurred_at=reversal.occurred_at,
                    metadata=reversal.metadata,
                    of=Source(last.source),
                    amount=part,
                    shortfall=Shortfall.OWE if owing else Shortfall.DOWN_TO_FLOOR,
                    most_owed=reversal.most_owed if owing else 0,
                    regrant_for=_A_MOMENT,
                )
            )
        return undone


async def bring_back(transaction: Transaction, reversals: Sequence[Reverse]) -> Plan:
    """What is to be posted for these reversals. The accounts are locked before it is asked where they stand, so that a
    merge comes before or behind it."""
    connection, names = transaction.connection, {reversal.of for reversal in reversals}
    given = await standing.credited(connection, names)
    ids = {member_id for points in given.values() for member_id in points}
    ids |= {each for chain in (await standing.find_chains(connection, ids)).values() for each in chain}
    await store.lock_accounts(connection, ids)
    chains = await standing.find_chains(connection, ids)
    if not chains:
        return Plan([(reversal,) for reversal in reversals], {})
    books = _Books(
        chains,
        given,
        undone=await earning.reversed_points(connection, names),
        free=await standing.free_points(connection, {*chains, *(each for chain in chains.values() for each in chain)}),
        passed_on=await standing.passed_on(connection, chains),
    )
    return Plan([books.bring_back(reversal) for reversal in reversals], chains)
