"""Which tier a member holds at this moment, for whoever gives something by tier."""

from typing import NamedTuple

from member.domain.membership import Holder, Member, MemberNotFound
from member.domain.program import Program, Tier
from member.store import Connection, members, programs


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
