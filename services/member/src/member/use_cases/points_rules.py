"""Set and read the rules by which points of a program are spent."""

from dataclasses import dataclass, replace
from datetime import datetime

from chassis.work import Transaction

from member.domain.program import ProgramId, ProgramNotFound
from member.domain.spending import PointsRules, check_rules
from member.store import Connection, programs
from member.store import spending as store


@dataclass(frozen=True, slots=True)
class PutPointsRules:
    """Let rules apply from their instant on; `put_by` says who set them."""

    rules: PointsRules
    put_by: str

    def __post_init__(self) -> None:
        check_rules(self.rules)


async def put_rules(transaction: Transaction, command: PutPointsRules) -> PointsRules:
    """Write the program's next rules, or ProgramNotFound. Of two that apply from one instant the later put holds."""
    connection, program_id = transaction.connection, command.rules.program_id
    if program_id not in await programs.find_programs(connection, [program_id]):
        raise ProgramNotFound(program_id)
    rules = replace(command.rules, revision=await store.next_rules_revision(connection, program_id))
    await store.insert_rules(connection, rules, put_by=command.put_by, recorded_at=transaction.recorded_at)
    return rules


async def get_rules(connection: Connection, program_id: ProgramId, *, as_of: datetime) -> PointsRules:
    """The rules in force at an instant, or ProgramNotFound."""
    if program_id not in await programs.find_programs(connection, [program_id]):
        raise ProgramNotFound(program_id)
    (rules,) = await store.rules_in_force(connection, [(program_id, as_of)])
    return rules
