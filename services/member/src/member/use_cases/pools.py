"""Say which memberships of a customer pay together, and what they can pay."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from chassis.errors import InvalidArgument
from chassis.work import Transaction

from member.domain.customer import CustomerId, CustomerNotFound, PersonId
from member.domain.membership import Holder, Member, MemberId, MemberNotFound
from member.domain.points import PointsBalance
from member.domain.pool import MAX_PAYERS, Pool, PoolNotFound
from member.domain.program import ProgramId
from member.store import Connection, customers, members, points
from member.store import spending as store


@dataclass(frozen=True, slots=True)
class PutPool:
    """Let these persons' memberships pay together, the first first; nobody dissolves the pool."""

    customer_id: CustomerId
    program_id: ProgramId
    persons: tuple[PersonId, ...]
    put_by: str

    def __post_init__(self) -> None:
        if len(self.persons) > MAX_PAYERS:
            raise InvalidArgument("person_ids", f"must have at most {MAX_PAYERS} items")
        if len(set(self.persons)) < len(self.persons):
            raise InvalidArgument("person_ids", "must not repeat")


@dataclass(frozen=True, slots=True)
class PoolView:
    """A pool with its memberships in their order."""

    pool: Pool
    payers: tuple[Member, ...]


def paying(pool: Pool, known: Mapping[MemberId, Member]) -> tuple[MemberId, ...]:
    """Who of a pool pays: memberships that have ended since, or gone over to another customer, no longer do."""
    return tuple(
        payer for payer in pool.payers if known[payer].customer_id == pool.customer_id and known[payer].left_at is None
    )


async def put_pool(transaction: Transaction, command: PutPool) -> PoolView:
    """Put the pool whole; putting it as it is changes nothing. Refuses CustomerNotFound, and MemberNotFound for a
    person who is no member of the program."""
    connection = transaction.connection
    if command.customer_id not in await customers.existing_customers(connection, [command.customer_id]):
        raise CustomerNotFound(command.customer_id)
    wanted = [Holder(command.customer_id, command.program_id, person) for person in command.persons]
    found = await members.find_members(connection, wanted) if wanted else {}
    for holder in wanted:
        if holder not in found:
            raise MemberNotFound(holder)
    payers = tuple(found[holder] for holder in wanted)
    before = await store.find_pool_for_update(connection, command.customer_id, command.program_id)
    ids = tuple(member.member_id for member in payers)
    if ids == before.payers:
        return PoolView(before, payers)
    pool = Pool(command.customer_id, command.program_id, ids, before.revision + 1)
    await store.insert_pool(connection, pool, put_by=command.put_by, recorded_at=transaction.recorded_at)
    return PoolView(pool, payers)


async def get_pool(
    connection: Connection, customer_id: CustomerId, program_id: ProgramId, *, as_of: datetime | None
) -> tuple[PoolView, list[PointsBalance]]:
    """The pool with the points of each who pays, in their order, or PoolNotFound."""
    pool = (await store.find_pools(connection, [(customer_id, program_id)])).get((customer_id, program_id))
    known = await members.find_members_by_id(connection, pool.payers) if pool else {}
    payers = paying(pool, known) if pool else ()
    if pool is None or not payers:
        raise PoolNotFound(customer_id, program_id)
    balances = await points.balances_of(connection, payers, as_of=as_of)
    return PoolView(pool, tuple(known[payer] for payer in payers)), [balances[payer] for payer in payers]
