"""Keep the one row for each customer that says what it is entitled to, and answer from it.

Whatever changes a customer's tiers, grants or uses calls `refresh` in the same transaction, once, with every customer
it touched: the rows are locked first and then worked out from what stands in the tables, so that of two changes at the
same time the later one sees the earlier.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from chassis.work import Transaction

from member.domain.benefit_grant import MAX_GRANTS
from member.domain.customer import CustomerId
from member.domain.entitlement import EntitlementsChanged, EntitlementState, HeldTier
from member.domain.membership import Member
from member.domain.program import Program, ProgramId, ProgramNotFound
from member.store import Connection, benefits, members, programs
from member.store import entitlements as store

CUSTOMERS_PER_ROUND = 1_000


@dataclass(frozen=True, slots=True)
class RefreshProgram:
    """Look at the next members of a program whose benefits changed; of any such program where none is named."""

    program_id: ProgramId | None
    most: int = CUSTOMERS_PER_ROUND


@dataclass(frozen=True, slots=True)
class Refreshed:
    """How many customers a round looked at, and whether there is more to do."""

    customers: int
    more: bool


async def refresh(transaction: Transaction, customer_ids: Collection[CustomerId]) -> None:
    """Bring the rows of these customers in line with their tiers, grants and uses, and tell those that changed."""
    ids = sorted(set(customer_ids))
    if not ids:
        return
    connection, recorded_at = transaction.connection, transaction.recorded_at
    await store.make_rows(connection, ids, recorded_at=recorded_at)
    known = await store.states_for_update(connection, ids)
    changed = [
        EntitlementState(state.customer_id, state.tiers, state.grants, state.counts, before.state.revision + 1)
        for state in await _work_out(connection, ids)
        if store.state_to_text(state) != (before := known[state.customer_id]).text
    ]
    await store.save_states(connection, changed, recorded_at=recorded_at)
    for state in changed:
        transaction.emit(EntitlementsChanged(state, occurred_at=recorded_at))


async def find_entitlements(
    connection: Connection, customer_ids: Collection[CustomerId]
) -> dict[CustomerId, EntitlementState]:
    """What customers are entitled to, for those who have a row: one read of the primary key."""
    return await store.find_states(connection, customer_ids)


async def move_entitlements(transaction: Transaction, away: CustomerId, *, to: CustomerId) -> None:
    """Uses and grants of a customer that was merged into another go with it. Call `refresh` with both afterwards."""
    await benefits.move_to_customer(transaction.connection, away, to=to)


async def note_program_changed(transaction: Transaction, program_id: ProgramId) -> None:
    """From now on the tiers of this program may give other benefits: all its members are to be looked at, in rounds."""
    await store.ask_for_rounds(transaction.connection, program_id)


async def ask_for_refresh(transaction: Transaction, program_id: ProgramId) -> None:
    """Have all members of a program looked at; ProgramNotFound."""
    if program_id not in await programs.find_programs(transaction.connection, [program_id]):
        raise ProgramNotFound(program_id)
    await note_program_changed(transaction, program_id)


async def refresh_program(transaction: Transaction, command: RefreshProgram) -> Refreshed:
    """One round of looking at the members of a program; a round that was left is begun again."""
    connection = transaction.connection
    round_ = await store.next_round_for_update(connection, command.program_id)
    if round_ is None:
        return Refreshed(0, more=False)
    found = await store.next_customers(connection, round_, most=command.most)
    through = len(found) < command.most
    await store.save_round(connection, round_.program_id, after=None if through else found[-1][0])
    await refresh(transaction, {customer_id for _, customer_id in found})
    return Refreshed(len(found), more=not through or command.program_id is None)


async def _work_out(connection: Connection, ids: Collection[CustomerId]) -> list[EntitlementState]:
    """The states as they follow from the tables, without their revision."""
    held = [member for member in await members.find_members_of(connection, ids) if member.left_at is None]
    known = await programs.find_programs(connection, {member.program_id for member in held})
    granted = await benefits.grants_in_force(connection, ids, most=MAX_GRANTS)
    counts = await store.quota_counts(connection, ids)
    tiers = _tiers_by_customer(held, known)
    return [
        EntitlementState(
            customer_id,
            tuple(tiers.get(customer_id, ())),
            tuple(granted.get(customer_id, ())),
            tuple(counts.get(customer_id, ())),
        )
        for customer_id in ids
    ]


def _tiers_by_customer(held: Iterable[Member], known: dict[ProgramId, Program]) -> dict[CustomerId, list[HeldTier]]:
    """In the order of programs and persons, so that the same tiers always make the same state."""
    tiers: dict[CustomerId, list[HeldTier]] = {}
    for member in sorted(held, key=lambda each: each.holder):
        tiers.setdefault(member.customer_id, []).append(_held(member, known[member.program_id]))
    return tiers


def _held(member: Member, program: Program) -> HeldTier:
    """A tier that the version in force does not have yet, or has no longer, gives nothing."""
    tier = next((tier for tier in program.tiers if tier.tier_id == member.tier_id), None)
    return HeldTier(
        member.member_id,
        member.program_id,
        member.holder.person_id,
        member.tier_id,
        tier.rank if tier else 0,
        tier.benefits if tier else (),
    )
