"""Put a program with its tiers, read it, count its members."""

from dataclasses import dataclass, replace

from chassis.work import Transaction

from member.domain.program import Program, ProgramId, ProgramNotFound, Tier, TierInUse, check_program
from member.store import Connection
from member.store import programs as store


@dataclass(frozen=True, slots=True)
class PutProgram:
    """Create the program or replace it with all its tiers."""

    program: Program

    def __post_init__(self) -> None:
        check_program(self.program)


async def put_program(transaction: Transaction, command: PutProgram) -> Program:
    """Put the program. TierInUse when a tier is left out that a member holds or once held: its rate is still asked for
    when an order of that time arrives late. Rates and requirements hold for everything judged from now on."""
    wanted = command.program
    known = await store.lock_program_for_update(transaction.connection, wanted.program_id)
    if known == replace(wanted, revision=known.revision if known else 0):
        return known
    if known:
        kept = {tier.tier_id for tier in wanted.tiers}
        for tier_id in sorted(await store.tiers_ever_held(transaction.connection, wanted.program_id) - kept):
            raise TierInUse(tier_id)
    return await store.save_program(transaction.connection, wanted)


async def get_program(connection: Connection, program_id: ProgramId) -> Program:
    """The program, or ProgramNotFound."""
    program = await store.find_program(connection, program_id)
    if program is None:
        raise ProgramNotFound(program_id)
    return program


async def count_members(connection: Connection, program_id: ProgramId) -> list[tuple[Tier, int]]:
    """How many members hold each tier of the program, by rank."""
    program = await get_program(connection, program_id)
    counts = await store.count_members_by_tier(connection, program_id)
    return [(tier, counts.get(tier.tier_id, 0)) for tier in program.tiers]
