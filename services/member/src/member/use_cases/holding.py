"""Which tier a member holds at this moment, for whoever gives something by tier."""

from typing import NamedTuple

from member.domain.customer import EVERYBODY, CustomerNotFound, PersonNotFound
from member.domain.membership import Holder, Member, MemberNotFound
from member.domain.program import Program, Tier
from member.store import Connection, customers, members, programs


class Held(NamedTuple):
    """A membership with its program and the tier it holds."""

    member: Member
    program: Program
    tier: Tier


async def find_held(connection: Connection, holder: Holder) -> Held:
    """The holder's membership and tier, or MemberNotFound."""
    member = await members.find_member(connection, holder)
    if member is None:
        raise MemberNotFound(holder)
    program = (await programs.find_programs(connection, [member.program_id]))[member.program_id]
    return Held(member, program, program.tier(member.tier_id))


async def find_held_for_use(connection: Connection, holder: Holder) -> Held:
    """As `find_held`, for whoever begins something new; also CustomerNotFound and PersonNotFound."""
    held = await find_held(connection, holder)
    await check_known(connection, holder)
    return held


async def check_known(connection: Connection, holder: Holder) -> None:
    """Refuses, with CustomerNotFound or PersonNotFound, who was erased or is no person of the customer any more: the
    membership stands, but begins nothing new. Nobody is erased or merged away until the transaction ends."""
    customer_id, _, person_id = holder
    persons = await customers.existing_persons(connection, [customer_id])
    if customer_id not in persons:
        raise CustomerNotFound(customer_id)
    if person_id != EVERYBODY and person_id not in persons[customer_id]:
        raise PersonNotFound(customer_id, person_id)
